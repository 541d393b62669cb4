//! The audit as a whole: placement groups one after the other, and the record once more where
//! something is gone.

use super::finding::Report;
use crate::format::{Epoch, Lsn, PgId, QueueUid};
use crate::object::{Bucket, Error};
use crate::tier::ObjectId;
use crate::tier::proof::Digest;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;

/// How often a placement group is begun again because its record moved on meanwhile. With a day's
/// grace before anything is deleted, once is rare.
const VIEWS_MAX: u32 = 8;

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The metadata store: what it refers to must be there.
    Metadata,
    /// Copies in the bucket: what they refer to may have been replaced since.
    Copies,
}

/// A placement group's record, as far as it is about the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whose.
    pub pg: PgId,
    /// Of the record.
    pub epoch: Epoch,
    /// Everything below is in the bucket.
    pub tiered: Lsn,
    /// The name of the manifest's root; none before the first fold.
    pub root: Option<String>,
    /// Oldest first.
    pub deltas: Vec<Bytes>,
}

/// What [`Records::read`] gives.
pub type Read<'a> = Pin<Box<dyn Future<Output = Option<Subject>> + Send + 'a>>;

/// Who knows the records.
pub trait Records: Sync {
    /// Every placement group that has one, ascending.
    fn pgs(&self) -> Vec<PgId>;
    /// The newest record; `None`: it is gone, or cannot be read, and the placement group is left
    /// out.
    fn read(&self, pg: PgId) -> Read<'_>;
    /// Whether a queue is known to be nobody's any more: then parts of it may be gone.
    fn is_gone(&self, queue: QueueUid) -> bool;
}

/// What is to be checked, and how hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Tails only: whether everything is there, and goes on. A request or two for each object.
    pub quick: bool,
    /// Every message is looked for in the key index, not one of 64.
    pub deep: bool,
    /// Every byte that the proof covers is held against it.
    pub proof: bool,
}

impl AuditSettings {
    /// Objects that are read at once; each holds a few MiB, and with `deep` up to 100.
    pub(super) const fn reads(&self) -> usize {
        if self.deep { 2 } else { 4 }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Placement groups that are done.
    pub pgs: u64,
    /// Of so many.
    pub pgs_in_all: u64,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes that were read of them.
    pub bytes: u64,
}

/// An audit under way.
pub(super) struct Audit<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) settings: AuditSettings,
    pub(super) on_progress: &'a mut (dyn FnMut(Progress) + Send),
    pub(super) report: Report,
    pub(super) pgs_in_all: u64,
    /// Objects whose bytes were read, with their digests where those were wanted.
    pub(super) checked: HashMap<ObjectId, Option<Digest>>,
    /// Objects that were looked at.
    pub(super) objects: HashSet<ObjectId>,
}

/// Checks what the records refer to. Dropped, it has changed nothing.
///
/// # Errors
/// What the store says, when it does not let itself be read. What is wrong with what it has is in
/// the report.
pub async fn audit(
    bucket: &Bucket,
    records: &dyn Records,
    settings: AuditSettings,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, Error> {
    let pgs = records.pgs();
    let mut audit = Audit {
        bucket,
        settings,
        on_progress,
        report: Report::default(),
        pgs_in_all: pgs.len() as u64,
        checked: HashMap::new(),
        objects: HashSet::new(),
    };
    for pg in pgs {
        let mut subject = records.read(pg).await;
        let mut views = 0;
        while let Some(seen) = subject {
            let outcome = audit.pg(&seen, records).await?;
            views += 1;
            let moved = if outcome.is_missing && views < VIEWS_MAX {
                records.read(pg).await.filter(|newer| *newer != seen)
            } else {
                None
            };
            if moved.is_none() {
                outcome.findings.into_iter().for_each(|finding| audit.report.push(finding));
            }
            subject = moved;
        }
        audit.report.totals.pgs += 1;
    }
    audit.report.findings.sort_by_key(|finding| finding.pg);
    Ok(audit.report)
}

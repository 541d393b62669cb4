//! What the new store is to hold.

use super::RebuildError;
use super::gather::{Gathered, Kept, Source};
use crate::model::{
    Cluster, GatewayId, Incarnation, Owner, PgRecord, QUEUES_MAX, Record, UidMark, key,
};
use crate::store::Revision;
use bytes::Bytes;
use std::collections::BTreeSet;
use storage::format::{Epoch, Lsn, PgId, QueueUid};
use storage::tier::rebuild::{CopyName, Doubt, Extended, LeftOut, Start, extend};

/// How far a rebuilt epoch is above the latest with a sign in the bucket: an epoch that wrote nothing leaves none.
pub const EPOCHS_APART: u32 = 1 << 10;
/// How far new uids and ids of objects are above the greatest that the bucket shows: what was taken in blocks and used
/// in journals alone does not show.
pub const UIDS_APART: u64 = 1 << 32;
/// And how far new revisions are above the greatest: most changes are in no copy.
const REVISIONS_APART: i64 = 1 << 32;

/// What the new store is to hold.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cluster, with a new secret.
    pub cluster: Cluster,
    /// The copy of the catalog that topics and groups are from.
    pub catalog: CopyName,
    /// Topics and groups by key, as the lost store had them.
    pub named: Vec<(String, Bytes)>,
    /// Uids begin here.
    pub uids: UidMark,
    /// Revisions begin behind this.
    pub before: Revision,
    /// Every placement group of the cluster, ascending.
    pub pgs: Vec<RebuiltPg>,
    /// Queues with messages beyond the copies that belong to no topic and no group of the copy: they were deleted, or
    /// made after it.
    pub unknown_queues: BTreeSet<QueueUid>,
}

/// One placement group.
#[derive(Clone, Debug)]
pub struct RebuiltPg {
    /// Which.
    pub pg: PgId,
    /// The record to write.
    pub record: PgRecord,
    /// Where it is from.
    pub source: Source,
    /// `tiered` of the copy; what lies between it and the record's was found in bundles.
    pub copied: Lsn,
    /// Bundles that extend the copy.
    pub taken: usize,
    /// Bundles with later positions that do not.
    pub left_out: Vec<LeftOut>,
}

/// The owner of a rebuilt record: nobody's process.
pub(super) fn nobody() -> Owner {
    let gateway = GatewayId::parse("rebuilt").expect("letters only");
    Owner { gateway, incarnation: Incarnation(0) }
}

/// Decides what the new store is to hold. `secret`: the new key of receipt handles.
///
/// # Errors
/// When the copy of the catalog cannot be used.
pub fn plan(gathered: &Gathered, doubt: Doubt, secret: [u8; 32]) -> Result<Plan, RebuildError> {
    let (catalog, dump) = &gathered.dump;
    let cluster = dump.cluster(secret)?;
    let pgs: Vec<RebuiltPg> = cluster.pgs().map(|pg| rebuilt(gathered, pg, doubt)).collect();
    let uids = uid_mark(gathered).ok_or(crate::Error::UidsExhausted)?;
    let known = dump.queues();
    let found = gathered.found.values().flatten();
    let ends = found.filter_map(|found| found.run.queues.range()).flat_map(|(a, b)| [a, b]);
    let revision = i64::try_from(gathered.revision).unwrap_or(0);
    Ok(Plan {
        named: dump.named().map(|(key, value)| (key.clone(), value.clone())).collect(),
        catalog: *catalog,
        uids,
        before: Revision(revision.saturating_add(REVISIONS_APART)),
        pgs,
        unknown_queues: ends.filter(|queue| !known.contains(queue)).collect(),
        cluster,
    })
}

fn rebuilt(gathered: &Gathered, pg: PgId, doubt: Doubt) -> RebuiltPg {
    let nothing = Kept::nothing(pg);
    let kept = gathered.kept.get(&pg).unwrap_or(&nothing);
    let newest_epoch = gathered.epochs.get(&pg).copied().unwrap_or_default();
    let Kept { chain, .. } = *kept;
    let start = Start { epoch: kept.record.epoch, tiered: kept.tiered(), chain, newest_epoch };
    let found = gathered.found.get(&pg).map_or(&[][..], Vec::as_slice);
    let extended = extend(&start, found, doubt);
    let record = PgRecord {
        epoch: Epoch(newest_epoch.0.saturating_add(EPOCHS_APART)),
        owner: nobody(),
        stores: Vec::new(),
        quorum: 1,
        base: extended.tiered,
        tiered: extended.tiered,
        deltas: with_delta(&kept.record, &extended),
        ..kept.record.clone()
    };
    RebuiltPg {
        pg,
        record,
        source: kept.source.clone(),
        copied: kept.tiered(),
        taken: extended.taken.len(),
        left_out: extended.left_out,
    }
}

fn with_delta(record: &PgRecord, extended: &Extended) -> Vec<Bytes> {
    let added = extended.delta(record.tiered).map(|delta| Bytes::from(delta.encode()));
    record.deltas.iter().cloned().chain(added).collect()
}

/// Above everything that was given out, as far as it shows: also what topics were given and did not use.
fn uid_mark(gathered: &Gathered) -> Option<UidMark> {
    let dump = &gathered.dump.1;
    let of_topics = dump.topics().map(|topic| topic.uid_base.saturating_add(QUEUES_MAX.into()));
    let of_groups = dump.groups().map(|group| group.uid.saturating_add(1));
    let greatest = of_topics.chain(of_groups).max().unwrap_or(0);
    let next = greatest.max(gathered.greatest.saturating_add(1)).max(dump.uid_mark().next);
    UidMark { next }.taking(UIDS_APART)
}

impl Plan {
    /// The records to write, the cluster's last: without it a store is none.
    pub(super) fn records(&self) -> impl Iterator<Item = (String, Bytes)> + '_ {
        let pgs = self.pgs.iter().map(|rebuilt| (key::pg(rebuilt.pg), rebuilt.record.encode()));
        let last = [
            (key::UID.to_owned(), self.uids.encode()),
            (key::CLUSTER.to_owned(), self.cluster.encode()),
        ];
        self.named.iter().cloned().chain(pgs).chain(last)
    }
}

//! The rules.

use super::super::manifest::{Overlay, Root, RunEntry, RunPage};
use super::super::{ObjectId, ObjectName};
use crate::format::object::Directory;
use crate::format::{Epoch, Lsn, PgId};
use std::collections::HashSet;

/// What one linearizable read of a placement group's record says, and the manifest that it names.
#[derive(Clone, Debug)]
pub struct References {
    /// The record's epoch.
    pub epoch: Epoch,
    /// The end of what is in the bucket.
    pub tiered: Lsn,
    /// Bundles, runs, pages, the root and the snapshot, by what makes their names their own: ids are
    /// given out once in a cluster.
    objects: HashSet<ObjectId>,
}

impl References {
    /// Of a record with this epoch; its manifest as read. `pages`: all of [`Root::pages`], in any
    /// order.
    pub fn new(
        epoch: Epoch,
        (root_name, root): (Option<ObjectName>, &Root),
        overlay: &Overlay,
        snapshot: Option<ObjectName>,
    ) -> References {
        let mut objects: HashSet<ObjectId> =
            root_name.into_iter().chain(snapshot).map(|name| name.id()).collect();
        objects.extend(root.pages.iter().map(|page| page.page.object));
        objects.extend(root.starts.iter().map(|page| page.page.object));
        objects.extend(overlay.added.values().map(|entry| entry.object));
        objects.extend(overlay.all_summaries(root).iter().map(|summary| summary.object));
        References { epoch, tiered: overlay.tiered, objects }
    }

    /// Takes what a page names, less what deltas removed. Only the entries that `is_of_use`.
    pub fn page(
        &mut self,
        page: &RunPage,
        overlay: &Overlay,
        is_of_use: impl Fn(&RunEntry) -> bool,
    ) {
        let stays = |entry: &&RunEntry| !overlay.removed.contains(&entry.key());
        let entries = page.0.iter().filter(stays).filter(|entry| is_of_use(entry));
        self.objects.extend(entries.map(|entry| entry.object));
    }

    /// Whether the record references an object.
    pub fn has(&self, object: ObjectId) -> bool {
        self.objects.contains(&object)
    }

    /// How many objects it references.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether it references none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// Why an object stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A record references it.
    Referenced,
    /// A commit of the current epoch may still come to reference it.
    Open,
    /// The placement group has no record: the metadata is older than the bucket, or another's.
    NoRecord,
}

/// Whether an object goes.
pub type Judged = Result<(), Keep>;

/// What the owner of the current epoch says of an object, before the record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// No request that names it is under way, and none will be made.
    Settled,
    /// It may be named, or nobody here owns the placement group.
    Unknown,
}

/// An object whose name says which record may reference it; `references`: of a read after `word` was
/// given; `None`: there is no record.
///
/// # Errors
/// Why it stays.
pub fn judge_named(
    object: ObjectId,
    epoch: Epoch,
    word: Word,
    references: Option<&References>,
) -> Judged {
    let references = references.ok_or(Keep::NoRecord)?;
    if references.has(object) {
        return Err(Keep::Referenced);
    }
    if references.epoch > epoch || (references.epoch == epoch && word == Word::Settled) {
        return Ok(());
    }
    Err(Keep::Open)
}

/// A bundle, by its directory. `references`: of each placement group in it, a read of any time.
///
/// # Errors
/// Why it stays.
pub fn judge_bundle<'a>(
    object: ObjectId,
    directory: &Directory,
    mut references: impl FnMut(PgId) -> Option<&'a References>,
) -> Judged {
    let mut outcome = Ok(());
    for entry in &directory.entries {
        let Some(references) = references(entry.pg) else { return Err(Keep::NoRecord) };
        if references.has(object) {
            return Err(Keep::Referenced);
        }
        let is_past = references.epoch > entry.epoch
            || (references.epoch == entry.epoch && references.tiered > entry.from);
        if !is_past {
            outcome = Err(Keep::Open);
        }
    }
    outcome
}

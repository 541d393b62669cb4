//! One object that a manifest refers to.

use super::contents::{self, Contents, Want, all};
use super::finding::{Affected, Fault};
use super::tail::{Unreadable, tail_of};
use crate::format::object::Tail;
use crate::format::{Epoch, PgId};
use crate::object::{Bucket, Error};
use crate::tier::manifest::RunEntry;
use crate::tier::proof::Digest;

/// What is to be checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) pg: PgId,
    pub(super) entry: RunEntry,
    /// Of the record.
    pub(super) epoch: Epoch,
    /// `None`: the tail is enough, or the contents were checked before.
    pub(super) contents: Option<Want>,
    /// What the proof says of it.
    pub(super) proven: Option<Digest>,
    /// The digest of a bundle that was read before.
    pub(super) digest: Option<Digest>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) task: Task,
    /// Where it could be read.
    pub(super) tail: Option<Tail>,
    pub(super) contents: Option<Contents>,
    pub(super) is_missing: bool,
    pub(super) faults: Vec<(Fault, Vec<Affected>)>,
}

/// Checks one object.
///
/// # Errors
/// What the store says, when nothing can be concluded about the object.
pub(super) async fn check(bucket: &Bucket, task: Task) -> Result<Seen, Error> {
    let mut seen = Seen { task, tail: None, contents: None, is_missing: false, faults: Vec::new() };
    let name = task.entry.name(task.pg);
    let tail = match tail_of(bucket, &name).await {
        Ok(tail) => tail,
        Err(fault) => {
            seen.unreadable(fault)?;
            return Ok(seen);
        }
    };
    seen.compare(&tail);
    if let Some(want) = task.contents {
        match contents::read(bucket, &name, &tail, want).await {
            Ok(contents) => seen.contents = Some(contents),
            Err(fault) => seen.unreadable(fault)?,
        }
    }
    let digest = seen.contents.as_ref().and_then(|contents| contents.digest).or(task.digest);
    if let (Some(expected), Some(found)) = (task.proven, digest)
        && expected != found
    {
        let affects = tail.directory.of(task.pg).map(all).into_iter().collect();
        seen.faults.push((Fault::Changed { expected, found }, affects));
    }
    seen.tail = Some(tail);
    Ok(seen)
}

impl Seen {
    fn unreadable(&mut self, fault: Unreadable) -> Result<(), Error> {
        let RunEntry { from, to, .. } = self.task.entry;
        let affected = vec![Affected::All { pg: self.task.pg, from, to }];
        match fault {
            Unreadable::Gone => {
                self.is_missing = true;
                self.faults.push((Fault::Missing, affected));
            }
            Unreadable::Damaged(damage) => self.faults.push((Fault::Damaged(damage), affected)),
            Unreadable::Store(error) => return Err(error),
        }
        Ok(())
    }

    /// The manifest says of it what it says itself.
    fn compare(&mut self, tail: &Tail) {
        let Task { pg, entry, epoch, .. } = self.task;
        let affected = vec![Affected::All { pg, from: entry.from, to: entry.to }];
        let mut differs = |what| self.faults.push((Fault::Entry(what), affected.clone()));
        if tail.directory.level != entry.level() {
            return differs("its level");
        }
        let Some(own) = tail.directory.of(pg) else {
            return differs("that it has something of this placement group");
        };
        match RunEntry::of(tail, pg, entry.origin) {
            Some(said) if said == entry => {}
            Some(said) if said.object_len != entry.object_len => differs("its length"),
            Some(said) if (said.from, said.to) != (entry.from, entry.to) => {
                differs("its range of the log");
            }
            Some(_) | None => differs("its messages, queues or times"),
        }
        if let crate::tier::manifest::Origin::Run { epoch: named, .. } = entry.origin
            && named != own.epoch
        {
            differs("its epoch");
        }
        if own.epoch > epoch {
            let fault = Fault::LaterEpoch { found: own.epoch, record: epoch };
            self.faults.push((fault, Vec::new()));
        }
    }
}

//! The owner's side: takes what was committed, and says when a checkpoint is due and what is in it.

use super::super::manifest::{Change, Delta, RunEntry};
use super::super::name::ObjectId;
use super::checkpoint::{Checkpoint, Mark};
use super::link::{Digest, Link, Proven};
use super::name::ProofName;
use crate::env::Timestamp;
use crate::format::{Epoch, Lsn, PgId};
use std::time::Duration;

/// Links after which a checkpoint is due.
pub const LINKS_DUE: usize = 128;
/// Time after which one is due for a single link.
pub const LINKS_TIME_MAX: Duration = Duration::from_secs(300);

/// What one commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// `tiered` before.
    pub from: Lsn,
    /// `tiered` after.
    pub to: Lsn,
    /// The log's chain at `to`; 0 where it is not known.
    pub chain: u32,
    /// Objects that are referenced from here on.
    pub added: Vec<Proven>,
    /// Objects that are not any more.
    pub removed: Vec<ObjectId>,
}

impl Committed {
    /// What a delta changes. `digest`: of an object, where it is known.
    pub fn of(
        pg: PgId,
        delta: &Delta,
        chain: u32,
        digest: impl Fn(&RunEntry) -> Option<Digest>,
    ) -> Committed {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for change in &delta.changes {
            match change {
                Change::Add(entry) => added.push(proven(pg, entry, digest(entry))),
                Change::Remove(key) => removed.push(key.object),
                Change::Start { .. }
                | Change::Forget(_)
                | Change::Lost { .. }
                | Change::Summary(_)
                | Change::NoSummary(_) => {}
            }
        }
        Committed { from: delta.from, to: delta.to, chain, added, removed }
    }
}

fn proven(pg: PgId, entry: &RunEntry, digest: Option<Digest>) -> Proven {
    Proven { name: entry.name(pg), len: entry.object_len, digest }
}

/// What is missing after [`ProofWriter::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Nothing.
    Done,
    /// What was committed since the newest checkpoint is not in the record any more: bring all
    /// entries of the manifest, at leisure ([`ProofWriter::whole`]).
    Whole,
}

/// The proof of one placement group, as its owner writes it on.
#[derive(Clone, Debug)]
pub struct ProofWriter {
    pg: PgId,
    epoch: Epoch,
    /// Of the last link; the next has one more.
    seq: u64,
    /// After the last link.
    head: Digest,
    /// Before the first of `links`.
    before: Digest,
    /// Those that no checkpoint has, and when the first of them came.
    links: Vec<Link>,
    since: Option<Timestamp>,
}

impl ProofWriter {
    /// Goes on from the newest checkpoint on the branch of the latest epoch, or from nothing.
    /// `root` and `deltas` are those of the record. What the record has beyond the checkpoint
    /// becomes links without digests; nothing is read for it.
    pub fn resume(
        pg: PgId,
        epoch: Epoch,
        newest: Option<&Checkpoint>,
        (root, deltas): (Option<&str>, &[Delta]),
        now: Timestamp,
    ) -> (ProofWriter, CatchUp) {
        let (seq, head) =
            newest.map_or((0, Digest::default()), |newest| (newest.seq(), newest.after));
        let mut writer =
            ProofWriter { pg, epoch, seq, head, before: head, links: Vec::new(), since: None };
        let beyond = match newest {
            Some(newest) => newest.mark.beyond(newest.tiered(), root, deltas),
            None => Mark::default().beyond(Lsn(0), root, deltas),
        };
        match beyond {
            Some(beyond) => {
                for delta in beyond {
                    writer.commit(Committed::of(pg, delta, 0, |_| None), now);
                }
                (writer, CatchUp::Done)
            }
            None => (writer, CatchUp::Whole),
        }
    }

    /// Takes what was committed; commits come in order.
    pub fn commit(&mut self, committed: Committed, now: Timestamp) {
        let Committed { from, to, chain, added, removed } = committed;
        self.push(Link { from, to, chain, added, removed, ..self.next() }, now);
    }

    /// Takes all that the manifest has, as of the last commit; objects without a digest keep the
    /// one that the chain has of them.
    pub fn whole<'a>(
        &mut self,
        tiered: Lsn,
        entries: impl IntoIterator<Item = &'a RunEntry>,
        now: Timestamp,
    ) {
        let added = entries.into_iter().map(|entry| proven(self.pg, entry, None)).collect();
        self.push(Link { from: tiered, to: tiered, is_whole: true, added, ..self.next() }, now);
    }

    /// Takes the digest of an object that was named without one.
    pub fn cover(&mut self, tiered: Lsn, object: Proven, now: Timestamp) {
        self.push(Link { from: tiered, to: tiered, added: vec![object], ..self.next() }, now);
    }

    fn next(&self) -> Link {
        Link {
            seq: self.seq + 1,
            epoch: self.epoch,
            from: Lsn(0),
            to: Lsn(0),
            chain: 0,
            is_whole: false,
            added: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn push(&mut self, link: Link, now: Timestamp) {
        self.head = link.digest(self.pg, self.head);
        self.seq = link.seq;
        self.links.push(link);
        self.since.get_or_insert(now);
    }

    /// Number and digest of the last link; 0 and zeros before the first.
    pub const fn head(&self) -> (u64, Digest) {
        (self.seq, self.head)
    }

    /// Whether a checkpoint is to be written now. One is also due with every fold, which takes the
    /// deltas away that tell what was committed.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let waits = self.since.is_some_and(|since| now.since(since) >= LINKS_TIME_MAX);
        waits || self.links.len() >= LINKS_DUE
    }

    /// The checkpoint to store; `None`: there is no new link. `mark` is of the record after the
    /// last commit that was taken. It is not counted as stored before [`ProofWriter::stored`].
    pub fn checkpoint(&self, mark: Mark, nonce: u32) -> Option<(ProofName, Vec<u8>)> {
        if self.links.is_empty() {
            return None;
        }
        let (pg, seq) = (self.pg, self.seq);
        let checkpoint = Checkpoint {
            pg,
            mark,
            before: self.before,
            links: self.links.clone(),
            after: self.head,
        };
        Some((ProofName { pg, seq, nonce }, checkpoint.encode()))
    }

    /// The checkpoint up to link `seq` is stored: the next begins behind it.
    pub fn stored(&mut self, seq: u64, now: Timestamp) {
        let kept = self.links.partition_point(|link| link.seq <= seq);
        let stored = self.links.drain(..kept);
        self.before = stored.fold(self.before, |before, link| link.digest(self.pg, before));
        self.since = (!self.links.is_empty()).then_some(now);
    }
}

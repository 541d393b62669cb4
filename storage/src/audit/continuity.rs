//! Whether what one object has goes on in the next: the log, and each queue. Pure; fed in order of
//! the log.

use super::finding::{Affected, Fault, Finding};
use crate::format::object::Tail;
use crate::format::{Lsn, PgId, QueueOffset, QueueUid};
use crate::tier::manifest::{Origin, RunEntry};
use std::collections::BTreeMap;

/// The log, as far as bundles show it: runs have records of the log, not ranges of it, and what
/// retention and the end of queues leave out of them is not named. INV-MAN-3.
#[derive(Debug)]
pub(super) struct LogCheck {
    pg: PgId,
    lost: Vec<(Lsn, Lsn)>,
    /// Where the entries so far end.
    end: Option<Lsn>,
    /// The last entry, if it is a bundle: where it ends, and the chain there where it is known.
    bundle: Option<(Lsn, Option<u32>)>,
    pub(super) findings: Vec<Finding>,
}

impl LogCheck {
    pub(super) fn new(pg: PgId, lost: &[(Lsn, Lsn)]) -> LogCheck {
        let said =
            |(from, to): &(Lsn, Lsn)| Finding::of_pg(pg, Fault::Lost { from: *from, to: *to });
        let findings = lost.iter().map(said).collect();
        LogCheck { pg, lost: lost.to_vec(), end: None, bundle: None, findings }
    }

    /// The entry that follows, with its tail where that could be read.
    pub(super) fn entry(&mut self, entry: &RunEntry, tail: Option<&Tail>) {
        match entry.origin {
            Origin::Bundle { .. } => self.bundle(entry, tail),
            Origin::Run { .. } => self.bundle = None,
        }
        self.end = Some(self.end.map_or(entry.to, |end| end.max(entry.to)));
    }

    fn bundle(&mut self, entry: &RunEntry, tail: Option<&Tail>) {
        let own = tail.and_then(|tail| tail.directory.of(self.pg));
        if let Some((before, chain)) = self.bundle {
            self.step(before, entry.from);
            let goes_on = own.is_none_or(|own| chain.is_none_or(|chain| chain == own.chain_before));
            if before == entry.from && !goes_on {
                let fault = Fault::Chain { at: entry.from };
                self.findings.push(Finding::of_object(self.pg, entry.name(self.pg), fault));
            }
        }
        self.bundle = Some((entry.to, own.map(|own| own.chain_end)));
    }

    fn step(&mut self, before: Lsn, next: Lsn) {
        let is_lost = self.lost.contains(&(before, next));
        let fault = match before.cmp(&next) {
            std::cmp::Ordering::Less if !is_lost => Fault::Hole { from: before, to: next },
            std::cmp::Ordering::Greater => Fault::Overlap { from: next, to: before },
            std::cmp::Ordering::Less | std::cmp::Ordering::Equal => return,
        };
        self.findings.push(Finding::of_pg(self.pg, fault));
    }

    /// No entry follows; the record says that the log is in the bucket up to `tiered`.
    pub(super) fn end(&mut self, tiered: Lsn) {
        if let Some((before, _)) = self.bundle {
            self.step(before, tiered);
        }
    }
}

/// The queues.
#[derive(Debug)]
pub(super) struct QueueCheck<'a> {
    pg: PgId,
    starts: &'a BTreeMap<QueueUid, QueueOffset>,
    /// The offset that follows.
    next: BTreeMap<QueueUid, QueueOffset>,
    /// After an object that could not be read nobody knows what follows.
    unknown: bool,
    pub(super) findings: Vec<Finding>,
}

impl<'a> QueueCheck<'a> {
    pub(super) fn new(pg: PgId, starts: &'a BTreeMap<QueueUid, QueueOffset>) -> QueueCheck<'a> {
        QueueCheck { pg, starts, next: BTreeMap::new(), unknown: false, findings: Vec::new() }
    }

    /// An entry whose object could not be read, or could not be named: queues may jump from here.
    pub(super) fn unreadable(&mut self) {
        self.next.clear();
        self.unknown = true;
    }

    /// The entry that follows. `is_gone`: nobody asks for the queue any more, so parts of it may be
    /// gone already.
    pub(super) fn entry(
        &mut self,
        entry: &RunEntry,
        tail: &Tail,
        is_gone: &dyn Fn(QueueUid) -> bool,
    ) {
        for block in tail.queues.blocks_of(self.pg) {
            let start = self.starts.get(&block.queue).copied().unwrap_or_default();
            let known = self.next.get(&block.queue).copied();
            let expected = match known {
                Some(next) => next.max(start.min(block.first)),
                None if self.unknown => block.first,
                None => start.min(block.first),
            };
            // Messages before the start may be gone, and need not be.
            let missing = (expected.max(start), block.first);
            let explained = block.after_gap || block.sparse || is_gone(block.queue);
            let fault = if block.first < expected {
                Some(Fault::Twice { queue: block.queue, expected, found: block.first })
            } else if missing.0 < missing.1 && !explained {
                let (expected, found) = missing;
                Some(Fault::Gap { queue: block.queue, expected, found })
            } else {
                None
            };
            if let Some(fault) = fault {
                let affected = Affected::Messages {
                    pg: self.pg,
                    queue: block.queue,
                    first: expected.min(block.first),
                    last: block.first,
                };
                let finding = Finding::of_object(self.pg, entry.name(self.pg), fault);
                self.findings.push(finding.affecting([affected]));
            }
            let end = block.last.plus(1);
            self.next.insert(block.queue, known.map_or(end, |next| next.max(end)));
        }
    }
}

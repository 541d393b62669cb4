//! Finding entries: by queue, offset, position and time.

use super::delta::Overlay;
use super::entry::{QueueSet, RunEntry};
use super::page::RunPage;
use super::root::PageRef;
use crate::env::Timestamp;
use crate::format::{Lsn, QueueOffset, QueueUid};

/// What is asked for; all that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// May have messages of this queue.
    pub queue: Option<QueueUid>,
    /// May have the record at this position.
    pub lsn: Option<Lsn>,
    /// Has a record stored at this moment or later.
    pub since: Option<Timestamp>,
    /// Has a record stored before this moment.
    pub until: Option<Timestamp>,
}

impl Query {
    /// Entries that may have messages of a queue.
    pub fn queue(queue: QueueUid) -> Query {
        Query { queue: Some(queue), ..Query::default() }
    }

    /// Entries that may have the record at a position.
    pub fn lsn(lsn: Lsn) -> Query {
        Query { lsn: Some(lsn), ..Query::default() }
    }

    /// Entries with records of a range of time, its end left out.
    pub fn time(since: Timestamp, until: Timestamp) -> Query {
        Query { since: Some(since), until: Some(until), ..Query::default() }
    }

    /// Whether an entry of the page may be meant.
    pub(super) fn may_be_in(&self, page: &PageRef) -> bool {
        let in_queues =
            |queue| page.queues.is_some_and(|(first, last)| first <= queue && queue <= last);
        self.queue.is_none_or(in_queues)
            && self.lsn.is_none_or(|lsn| page.first.from <= lsn && lsn < page.end)
            && self.since.is_none_or(|since| since <= page.max_time)
            && self.until.is_none_or(|until| page.min_time < until)
    }

    /// Whether the entry is meant.
    pub fn is_met_by(&self, entry: &RunEntry) -> bool {
        self.queue.is_none_or(|queue| entry.queues.has(queue))
            && self.lsn.is_none_or(|lsn| entry.from <= lsn && lsn < entry.to)
            && self.since.is_none_or(|since| since <= entry.max_time)
            && self.until.is_none_or(|until| entry.min_time < until)
    }
}

/// The entries that are meant, in order of their keys. `pages` are those that
/// [`super::Root::pages`] named for the same query, in any order.
pub fn select<'a>(
    query: &Query,
    pages: impl IntoIterator<Item = &'a RunPage>,
    overlay: &Overlay,
) -> Vec<RunEntry> {
    let of_pages = pages.into_iter().flat_map(|page| &page.0);
    let of_pages = of_pages.filter(|entry| !overlay.removed.contains(&entry.key()));
    let all = of_pages.chain(overlay.added.values());
    let mut found: Vec<RunEntry> = all.filter(|entry| query.is_met_by(entry)).copied().collect();
    found.sort_unstable_by_key(RunEntry::key);
    found
}

/// What a search for an offset wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetStep {
    /// Look into this object's queue index, and say what it has ([`OffsetSearch::feed`]).
    Probe(RunEntry),
    /// The object that has the offset, or, where no object has, the one with the next message.
    Found(RunEntry),
    /// No object has a message at or after the offset.
    Nothing,
}

/// A search for the object that has a queue's message at an offset. Entries of one queue say it
/// themselves; of others the queue index is asked, and halves the rest (INV-MAN-4).
#[derive(Clone, Debug)]
pub struct OffsetSearch {
    queue: QueueUid,
    wanted: QueueOffset,
    /// May have the offset, or the next; ascending.
    left: Vec<RunEntry>,
    /// Has no message before the offset, but a later one.
    next: Option<RunEntry>,
    found: bool,
}

impl OffsetSearch {
    /// A search among what [`select`] gave for [`Query::queue`].
    pub fn new(queue: QueueUid, wanted: QueueOffset, entries: Vec<RunEntry>) -> OffsetSearch {
        let left = entries.into_iter().filter(|entry| entry.queues.has(queue)).collect();
        let mut search = OffsetSearch { queue, wanted, left, next: None, found: false };
        search.use_known();
        search
    }

    /// Whatever is known without a request.
    fn use_known(&mut self) {
        while !self.found
            && let Some(at) = self.middle()
            && let Some(entry) = self.left.get(at)
            && let QueueSet::One { first, last, .. } = entry.queues
        {
            self.halve(at, Some((first, last)));
        }
    }

    fn middle(&self) -> Option<usize> {
        (!self.left.is_empty()).then_some(self.left.len() / 2)
    }

    /// What comes next.
    pub fn step(&self) -> OffsetStep {
        match (self.middle().and_then(|at| self.left.get(at)), self.next) {
            (Some(entry), _) if !self.found => OffsetStep::Probe(*entry),
            (_, Some(entry)) => OffsetStep::Found(entry),
            (_, None) => OffsetStep::Nothing,
        }
    }

    /// The first and last offset that the probed object has of the queue; `None`: it has none.
    pub fn feed(&mut self, offsets: Option<(QueueOffset, QueueOffset)>) {
        if let Some(at) = self.middle().filter(|_| !self.found) {
            self.halve(at, offsets);
            self.use_known();
        }
    }

    fn halve(&mut self, at: usize, offsets: Option<(QueueOffset, QueueOffset)>) {
        match offsets {
            None => {
                self.left.remove(at);
            }
            Some((_, last)) if last < self.wanted => {
                self.left.drain(..=at);
            }
            Some((first, _)) => {
                self.next = self.left.get(at).copied();
                self.found = first <= self.wanted;
                self.left.truncate(at);
            }
        }
    }

    /// Whose messages are looked for.
    pub const fn queue(&self) -> QueueUid {
        self.queue
    }
}

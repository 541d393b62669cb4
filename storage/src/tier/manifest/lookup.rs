//! Finding entries: by queue, offset, position and time.

use super::delta::Overlay;
use super::entry::{QueueSet, RunEntry};
use super::page::RunPage;
use super::root::{PageRef, Root};
use crate::env::Timestamp;
use crate::format::{Lsn, QueueOffset, QueueUid};

/// What is asked for; all that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// May have messages of this queue.
    pub queue: Option<QueueUid>,
    /// May have the record at this position.
    pub lsn: Option<Lsn>,
    /// Has positions at or after the first, and before the second.
    pub lsns: Option<(Lsn, Lsn)>,
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

    /// Entries with positions of a range, its end left out.
    pub fn lsns(from: Lsn, to: Lsn) -> Query {
        Query { lsns: Some((from, to)), ..Query::default() }
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
            && self.lsns.is_none_or(|(from, to)| page.first.from < to && from < page.end)
            && self.since.is_none_or(|since| since <= page.max_time)
            && self.until.is_none_or(|until| page.min_time < until)
    }

    /// Whether the entry is meant.
    pub fn is_met_by(&self, entry: &RunEntry) -> bool {
        self.queue.is_none_or(|queue| entry.queues.has(queue))
            && self.lsn.is_none_or(|lsn| entry.from <= lsn && lsn < entry.to)
            && self.lsns.is_none_or(|(from, to)| entry.from < to && from < entry.to)
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
    let mut found: Vec<RunEntry> =
        pages.into_iter().flat_map(|page| select_in(query, page, overlay)).collect();
    found.extend(overlay.added.values().filter(|entry| query.is_met_by(entry)));
    found.sort_unstable_by_key(RunEntry::key);
    found
}

/// The entries of one page that are meant and that no delta removed, in order.
pub fn select_in(query: &Query, page: &RunPage, overlay: &Overlay) -> Vec<RunEntry> {
    let stays = |entry: &&RunEntry| !overlay.removed.contains(&entry.key());
    page.0.iter().filter(stays).filter(|entry| query.is_met_by(entry)).copied().collect()
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
    /// An object has messages before the offset, and none at or after it.
    has_earlier: bool,
    /// Ends of the list that are asked before its middle.
    ends: u8,
}

impl OffsetSearch {
    /// A search among what [`select`] gave for [`Query::queue`].
    pub fn new(queue: QueueUid, wanted: QueueOffset, entries: Vec<RunEntry>) -> OffsetSearch {
        OffsetSearch::of(queue, wanted, entries, 0)
    }

    /// A search in one page of many, for a [`PageSearch`]: the last and the first entry are asked
    /// first, since mostly it is only to be known on which side the offset lies.
    pub fn in_page(queue: QueueUid, wanted: QueueOffset, entries: Vec<RunEntry>) -> OffsetSearch {
        OffsetSearch::of(queue, wanted, entries, 2)
    }

    fn of(queue: QueueUid, wanted: QueueOffset, entries: Vec<RunEntry>, ends: u8) -> OffsetSearch {
        let left = entries.into_iter().filter(|entry| entry.queues.has(queue)).collect();
        let (next, found, has_earlier) = (None, false, false);
        let mut search = OffsetSearch { queue, wanted, left, next, found, has_earlier, ends };
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

    /// The entry to look into next.
    fn middle(&self) -> Option<usize> {
        let last = self.left.len().checked_sub(1)?;
        Some(match self.ends {
            2.. => last,
            1 => 0,
            0 => self.left.len() / 2,
        })
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
        if offsets.is_some() {
            self.ends = self.ends.saturating_sub(1);
        }
        match offsets {
            None => {
                self.left.remove(at);
            }
            Some((_, last)) if last < self.wanted => {
                self.left.drain(..=at);
                self.has_earlier = true;
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

/// A search for the page that has the object with an offset, so that few pages are read of a
/// manifest that nobody has cached. Per page an [`OffsetSearch::in_page`] is run, among what
/// [`select_in`] gives; what deltas added is searched first, as if it were a page.
#[derive(Clone, Debug)]
pub struct PageSearch {
    /// Places in [`Root::pages`], ascending.
    left: Vec<usize>,
    /// The best so far.
    next: Option<RunEntry>,
}

impl PageSearch {
    /// A search for a queue's offset. `added`: the finished search among what deltas added, which is
    /// what [`select`] gives with no page.
    pub fn new(root: &Root, added: &OffsetSearch) -> PageSearch {
        let left = root.pages(&Query::queue(added.queue)).collect();
        let mut search = PageSearch { left, next: added.next };
        if added.found {
            search.left.clear();
        }
        search
    }

    /// The page to look into next; `None`: the search is over.
    pub fn page(&self) -> Option<usize> {
        self.left.get(self.left.len() / 2).copied()
    }

    /// Takes the finished search in that page.
    pub fn feed(&mut self, in_page: &OffsetSearch) {
        let at = self.left.len() / 2;
        if at >= self.left.len() {
            return;
        }
        match in_page.next {
            Some(entry) if in_page.found => {
                self.next = Some(entry);
                self.left.clear();
            }
            Some(entry) => {
                let nearer = self.next.filter(|next| next.key() < entry.key());
                self.next = Some(nearer.unwrap_or(entry));
                if in_page.has_earlier { self.left.clear() } else { self.left.truncate(at) }
            }
            None if in_page.has_earlier => {
                self.left.drain(..=at);
            }
            None => {
                self.left.remove(at);
            }
        }
    }

    /// The object that has the offset or the next message; `None`: no object has one.
    pub const fn found(&self) -> Option<RunEntry> {
        self.next
    }
}

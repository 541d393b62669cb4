//! Stretches of queues' tiered messages in memory: all messages from one offset to another.
//! Together they take bounded memory; the stretch that was used least lately goes first. Decides
//! only: no IO, no clock.
//!
//! Stretches of a queue lie apart. What is loaded over what is there already is cut to what is new,
//! so that every message is held once; neighbours are kept as they came and read as one.

use std::collections::BTreeMap;
use storage::Entry;
use storage::format::object::Record;
use storage::format::{QueueOffset, QueueUid};

/// The most bytes that windows of one placement group take: some tens of stretches as a reader
/// fetches them, so that as many groups may read far behind the local log without fetching twice.
/// Bytes of a block that its messages do not cover are not counted.
pub const WINDOW_BYTES_MAX: usize = 32 << 20;

/// What a stretch takes beside its messages: itself, its place in two maps.
const STRETCH_BYTES: usize = 256;

/// The windows of one placement group.
#[derive(Debug)]
pub struct Windows {
    queues: BTreeMap<QueueUid, BTreeMap<QueueOffset, Stretch>>,
    /// Every stretch by when it was last used.
    used: BTreeMap<u64, (QueueUid, QueueOffset)>,
    bytes: usize,
    bytes_max: usize,
    /// Counts uses.
    now: u64,
}

#[derive(Debug)]
struct Stretch {
    /// Behind the last offset that it knows of.
    next: QueueOffset,
    /// Ascending by offset; offsets between that are absent hold no message.
    records: Vec<Record>,
    bytes: usize,
    used: u64,
}

impl Windows {
    /// No windows yet; at most so many bytes, but for the newest stretch, which stays however large
    /// it is.
    pub fn new(bytes_max: usize) -> Windows {
        let (queues, used) = (BTreeMap::new(), BTreeMap::new());
        Windows { queues, used, bytes: 0, bytes_max, now: 0 }
    }

    /// Takes in what was loaded: `records` are all messages of `queue` in `from..next`, ascending
    /// by offset, be they sent to it or taken over from another. What lies outside is left out.
    pub fn insert(
        &mut self,
        queue: QueueUid,
        from: QueueOffset,
        next: QueueOffset,
        mut records: Vec<Record>,
    ) {
        records.retain(|one| from <= one.offset && one.offset < next);
        debug_assert!(records.is_sorted_by(|a, b| a.offset < b.offset), "a load is in order");
        let known = self.known(queue, from, next);
        known.iter().for_each(|(first, _)| self.touch(queue, *first));
        let mut at = from;
        for (first, end) in known.into_iter().chain([(next, next)]) {
            if at < first {
                let behind = records.iter().position(|one| one.offset >= first);
                let mut here = std::mem::take(&mut records);
                records = here.split_off(behind.unwrap_or(here.len()));
                self.add(queue, at, first, here);
            }
            at = at.max(end);
            records.retain(|one| one.offset >= at);
        }
        // What was asked for is the last to go.
        self.stretch(queue, from);
        self.shrink();
    }

    /// Appends the messages from an offset on, at most `limit`, none at or behind `below`. Gives
    /// where to go on: all in between is given. That is `from` where nothing is known of it.
    pub fn entries(
        &mut self,
        queue: QueueUid,
        from: QueueOffset,
        below: QueueOffset,
        limit: usize,
        into: &mut Vec<Entry>,
    ) -> QueueOffset {
        let (mut at, mut left) = (from, limit);
        while at < below {
            let Some(stretch) = self.stretch(queue, at) else { break };
            let begin = stretch.records.partition_point(|one| one.offset < at);
            let fits = stretch.records.iter().skip(begin).take_while(|one| one.offset < below);
            let before = into.len();
            into.extend(fits.take(left).map(entry));
            left -= into.len() - before;
            if left == 0 {
                return into.last().map_or(at, |last| last.offset.plus(1));
            }
            at = stretch.next.min(below);
        }
        at
    }

    /// Whether there is a message at an offset, where that is known.
    pub fn find(&mut self, queue: QueueUid, offset: QueueOffset) -> Option<Option<Entry>> {
        Some(self.record(queue, offset)?.as_ref().map(entry))
    }

    /// The message at an offset, if there is one; `None` where that is not known.
    pub fn record(&mut self, queue: QueueUid, offset: QueueOffset) -> Option<Option<Record>> {
        let records = &self.stretch(queue, offset)?.records;
        let at = records.binary_search_by_key(&offset, |one| one.offset).ok();
        Some(at.and_then(|at| records.get(at)).cloned())
    }

    /// Lets go of what a queue no longer keeps.
    pub fn forget_below(&mut self, queue: QueueUid, first: QueueOffset) {
        let stretches = self.queues.get(&queue).into_iter().flatten();
        let gone: Vec<QueueOffset> =
            stretches.filter(|(_, one)| one.next <= first).map(|(from, _)| *from).collect();
        gone.into_iter().for_each(|from| self.remove(queue, from));
    }

    /// Bytes that all stretches take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The parts of `from..next` that are known, ascending, as they lie.
    fn known(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        next: QueueOffset,
    ) -> Vec<(QueueOffset, QueueOffset)> {
        let Some(stretches) = self.queues.get(&queue) else { return Vec::new() };
        let before = stretches.range(..from).next_back().filter(|(_, one)| one.next > from);
        let within = stretches.range(from..).take_while(|(first, _)| **first < next);
        before.into_iter().chain(within).map(|(first, one)| (*first, one.next)).collect()
    }

    /// The stretch that knows of an offset; it counts as used.
    fn stretch(&mut self, queue: QueueUid, at: QueueOffset) -> Option<&Stretch> {
        let stretches = self.queues.get(&queue)?;
        let (from, stretch) = stretches.range(..=at).next_back()?;
        let from = (stretch.next > at).then_some(*from)?;
        self.touch(queue, from);
        self.queues.get(&queue)?.get(&from)
    }

    fn touch(&mut self, queue: QueueUid, from: QueueOffset) {
        let stretches = self.queues.get_mut(&queue);
        let Some(stretch) = stretches.and_then(|all| all.get_mut(&from)) else { return };
        self.now += 1;
        self.used.remove(&stretch.used);
        stretch.used = self.now;
        self.used.insert(self.now, (queue, from));
    }

    fn add(&mut self, queue: QueueUid, from: QueueOffset, next: QueueOffset, records: Vec<Record>) {
        let each = |one: &Record| one.bytes().len() + size_of::<Record>();
        let bytes = STRETCH_BYTES + records.iter().map(each).sum::<usize>();
        self.now += 1;
        self.bytes += bytes;
        self.used.insert(self.now, (queue, from));
        let stretch = Stretch { next, records, bytes, used: self.now };
        self.queues.entry(queue).or_default().insert(from, stretch);
    }

    fn remove(&mut self, queue: QueueUid, from: QueueOffset) {
        let Some(stretches) = self.queues.get_mut(&queue) else { return };
        if let Some(stretch) = stretches.remove(&from) {
            self.used.remove(&stretch.used);
            self.bytes -= stretch.bytes;
        }
        if stretches.is_empty() {
            self.queues.remove(&queue);
        }
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max && self.used.len() > 1 {
            let Some((_, (queue, from))) = self.used.first_key_value() else { return };
            self.remove(*queue, *from);
        }
    }
}

/// A record as the queue's index would show it.
fn entry(record: &Record) -> Entry {
    Entry {
        offset: record.offset,
        lsn: record.lsn,
        // A record's length has four bytes, and a body is shorter.
        len: u32::try_from(record.body().len()).unwrap_or(u32::MAX),
        filter: record.filter,
        time: record.time,
    }
}

//! What a log knows of its queues, and how it gives records their places. No I/O and no clock.
//!
//! INV-OFFSET: within a queue an offset names one message for ever. Offsets grow by one; a gap is
//! only where offsets may have been seen and lost with a page cache (design/replication.md §8, L2
//! and L3), and is recorded first.

use super::answer::{Bounds, Entry, Place, QueueEnd};
use super::index::Chunk;
use super::queue::{QUEUE_BYTES, Queue};
use crate::env::Timestamp;
use crate::format::{Lsn, QueueOffset, QueueOpenRecord, QueueUid, RecordKind};
use crate::journal::{Class, Draft, IndexTaken, Level, Wanted};
use std::collections::{BTreeMap, HashMap};

/// Offsets skipped when some may have been seen and lost. A log never shows as many beyond what is
/// synced.
pub(crate) const GAP: u64 = 1 << 20;

/// Queues that one look at a log that is trimmed may see to, and chunks of their indexes that it
/// may take out: some hundred microseconds for which appends wait.
const TRIM_AT_ONCE: usize = 512;

/// The watermarks of all levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermarks {
    pub(crate) of_async: Lsn,
    pub(crate) of_local: Lsn,
    pub(crate) of_object: Lsn,
}

impl Watermarks {
    fn of(self, level: Level) -> Lsn {
        match level {
            Level::Async => self.of_async,
            Level::Local => self.of_local,
            Level::Object => self.of_object,
        }
    }
}

/// Queues of one level that have messages which the dispatcher was not told of.
#[derive(Default)]
struct Untold {
    queues: Vec<QueueUid>,
    /// The level's watermark when they were last looked at: there is no news before it moves. A
    /// queue of [`Level::Object`] is looked at for each bundle, and not for each sync.
    seen: Lsn,
}

/// All queues of a log, and its end.
pub(crate) struct LogState {
    /// What lies below was trimmed, or is about to be.
    pub(crate) from: Lsn,
    pub(crate) end: Lsn,
    time: Timestamp,
    /// Boxed, so that the room that a map keeps free is not of whole queues.
    queues: HashMap<QueueUid, Box<Queue>>,
    /// What queues and their indexes take of the store's room for them.
    taken: IndexTaken,
    untold: [Untold; Level::ALL.len()],
    /// What the dispatcher is told next, of messages that were trimmed meanwhile.
    told_late: BTreeMap<QueueUid, u64>,
}

impl LogState {
    /// A log of `[from, end)` in which nothing was found yet, whose queues will take of `taken`.
    pub(crate) fn new(from: Lsn, end: Lsn, taken: IndexTaken) -> LogState {
        LogState {
            from,
            end,
            time: Timestamp(0),
            queues: HashMap::new(),
            taken,
            untold: Default::default(),
            told_late: BTreeMap::new(),
        }
    }

    /// The queue, which is made if it is not known.
    fn known(&mut self, uid: QueueUid) -> &mut Queue {
        self.queues.entry(uid).or_insert_with(|| {
            self.taken.change(0, QUEUE_BYTES);
            Box::default()
        })
    }

    // Rebuilding.

    /// A message found in the log.
    pub(crate) fn found_message(&mut self, queue: QueueUid, entry: &Entry, record_len: u64) {
        let queue = self.known(queue);
        let before = queue.index.bytes();
        queue.found(entry, record_len);
        let after = queue.index.bytes();
        self.taken.change(before, after);
    }

    /// A Q_OPEN record found in the log.
    pub(crate) fn found_open(&mut self, queue: QueueUid, record: QueueOpenRecord) {
        self.known(queue).found_open(record);
    }

    /// Where a queue goes on, found in the bucket.
    pub(crate) fn restore(&mut self, end: &QueueEnd) {
        self.known(end.queue).restore(end);
    }

    /// Some record's time, found in the log.
    pub(crate) fn found_time(&mut self, time: Timestamp) {
        self.time = self.time.max(time);
    }

    // Queues.

    /// Opens a queue, or changes its level. `crashes` counts the times that a page cache was lost.
    /// True when there may be something to tell the dispatcher.
    pub(crate) fn open_queue(
        &mut self,
        uid: QueueUid,
        level: Level,
        crashes: u32,
        watermarks: Watermarks,
    ) -> bool {
        let queue = self.known(uid);
        let before = queue.level;
        queue.open(level, crashes, watermarks.of(level));
        let moves = if queue.listed { before != level } else { queue.has_news() };
        if moves {
            // The list of the level before drops it when it comes by.
            queue.listed = true;
            self.list(level, uid);
        }
        moves
    }

    /// Has the dispatcher told of a queue of this level, as soon as there is something to tell.
    fn list(&mut self, level: Level, uid: QueueUid) {
        if let Some(untold) = self.untold.get_mut(level as usize) {
            untold.queues.push(uid);
            untold.seen = Lsn(0);
        }
    }

    /// The Q_OPEN record that must be written before the next message of the queue.
    pub(crate) fn open_record(&self, uid: QueueUid, crashes: u32) -> Option<QueueOpenRecord> {
        self.queues.get(&uid)?.open_record(crashes)
    }

    /// The record was handed to the writer.
    pub(crate) fn opened(&mut self, uid: QueueUid, record: QueueOpenRecord) {
        if let Some(queue) = self.queues.get_mut(&uid) {
            queue.opened(record);
        }
    }

    pub(crate) fn takes_messages(&self, uid: QueueUid) -> bool {
        self.queues.get(&uid).is_some_and(|queue| queue.is_open)
    }

    /// Takes a queue out, and gives it to the caller to drop: a long index is many pieces of
    /// memory, which nobody should wait for.
    pub(crate) fn forget(&mut self, uid: QueueUid) -> Option<Box<Queue>> {
        let queue = self.queues.remove(&uid)?;
        self.taken.change(QUEUE_BYTES + queue.index.bytes(), 0);
        Some(queue)
    }

    // Trimming.

    /// Says that what lies below `to` is to be trimmed; the queues to [`LogState::trim`]. `None`
    /// when there is nothing there. The dispatcher is told of what it will not find any more.
    pub(crate) fn begin_trim(&mut self, to: Lsn, watermarks: Watermarks) -> Option<Vec<QueueUid>> {
        if to <= self.from {
            return None;
        }
        for (uid, count) in self.tell(watermarks) {
            *self.told_late.entry(uid).or_default() += count;
        }
        self.from = to;
        Some(self.uids().collect())
    }

    /// Takes what was to be trimmed out of the indexes of `queues`, from the last on, but not much
    /// at once: whoever is done with gets out of the list. What is taken out is for the caller to
    /// drop, where nobody waits.
    pub(crate) fn trim(&mut self, queues: &mut Vec<QueueUid>) -> Vec<Chunk> {
        let mut gone = Vec::new();
        for _ in 0..TRIM_AT_ONCE {
            let Some(uid) = queues.last() else { break };
            let mut more = false;
            if let Some(queue) = self.queues.get_mut(uid) {
                let before = queue.index.bytes();
                more = queue.trim(self.from, TRIM_AT_ONCE - gone.len(), &mut gone);
                self.taken.change(before, queue.index.bytes());
            }
            if more {
                break;
            }
            queues.pop();
        }
        gone
    }

    pub(crate) fn uids(&self) -> impl Iterator<Item = QueueUid> + '_ {
        self.queues.keys().copied()
    }

    // Appending.

    /// Whether the index has room for messages of this class.
    pub(crate) fn takes_entries(&self, class: Class) -> bool {
        self.taken.room().takes(class)
    }

    /// Store time of what is appended next.
    pub(crate) fn next_time(&mut self, now: Timestamp) -> Timestamp {
        self.time = self.time.max(now);
        self.time
    }

    /// What somebody waits for of these records: consumers, of messages, that they are shown; and
    /// of all others that they are in the journal. Nobody can upload what is not synced.
    pub(crate) fn wanted(&self, drafts: &[Draft]) -> Wanted {
        let is_message = |draft: &Draft| draft.kind == RecordKind::Message;
        let shown_synced = |draft: &Draft| {
            is_message(draft)
                && self.queues.get(&draft.queue).is_some_and(|queue| queue.level != Level::Async)
        };
        match (drafts.iter().any(shown_synced), drafts.iter().all(is_message)) {
            (false, _) => Wanted::Written,
            (true, true) => Wanted::Synced,
            // A dead letter, and the end of its original, which is answered once it is written.
            (true, false) => Wanted::Both,
        }
    }

    /// Gives a record its place, and fills the holes of its head. The queues of messages are known
    /// to be open.
    pub(crate) fn place(&mut self, draft: &mut Draft, time: Timestamp) -> Place {
        let lsn = self.end;
        self.end = lsn.plus(draft.record_len());
        let offset = if draft.kind == RecordKind::Message {
            self.place_message(draft, lsn, time)
        } else {
            None
        };
        fill(&mut draft.head, draft.patch.offset_at, offset.unwrap_or_default().0);
        fill(&mut draft.head, draft.patch.lsn_at, lsn.0);
        fill(&mut draft.head, draft.patch.time_at, time.0);
        Place { lsn, offset }
    }

    fn place_message(&mut self, draft: &Draft, lsn: Lsn, time: Timestamp) -> Option<QueueOffset> {
        let queue = self.queues.get_mut(&draft.queue)?;
        let offset = queue.next;
        let entry = Entry { offset, lsn, len: draft.body_len() as u32, filter: draft.filter, time };
        let before = queue.index.bytes();
        queue.push(&entry, draft.record_len());
        self.taken.change(before, queue.index.bytes());
        if !queue.listed
            && let Some(untold) = self.untold.get_mut(queue.level as usize)
        {
            queue.listed = true;
            untold.queues.push(draft.queue);
        }
        Some(offset)
    }

    // Reading.

    pub(crate) fn bounds(&self, uid: QueueUid, watermarks: Watermarks) -> Bounds {
        let queue = self.queues.get(&uid);
        queue.map_or(Bounds::default(), |queue| queue.bounds(watermarks.of(queue.level)))
    }

    /// Visible entries from `from` on, as many as fit in `into`; how many there were.
    pub(crate) fn entries(
        &self,
        uid: QueueUid,
        from: QueueOffset,
        watermarks: Watermarks,
        into: &mut Vec<Entry>,
        limit: usize,
    ) {
        let Some(queue) = self.queues.get(&uid) else { return };
        let watermark = watermarks.of(queue.level);
        let visible = queue.index.from(from).take_while(|entry| entry.lsn < watermark);
        into.extend(visible.take(limit));
    }

    pub(crate) fn offset_at_time(
        &self,
        uid: QueueUid,
        at: Timestamp,
        watermarks: Watermarks,
    ) -> QueueOffset {
        let Some(queue) = self.queues.get(&uid) else { return QueueOffset(0) };
        let watermark = watermarks.of(queue.level);
        let found = queue.index.first_not(|entry| entry.time < at);
        found
            .filter(|entry| entry.lsn < watermark)
            .map_or_else(|| queue.visible_end(watermark), |entry| entry.offset)
    }

    /// Queues with messages that became visible since this was last asked, and how many.
    pub(crate) fn tell(&mut self, watermarks: Watermarks) -> Vec<(QueueUid, u64)> {
        let mut told: Vec<_> = std::mem::take(&mut self.told_late).into_iter().collect();
        let queues = &mut self.queues;
        for (level, untold) in Level::ALL.into_iter().zip(&mut self.untold) {
            let watermark = watermarks.of(level);
            if untold.seen == watermark {
                continue;
            }
            untold.seen = watermark;
            untold.queues.retain(|uid| {
                let of_level = queues.get_mut(uid).filter(|queue| queue.level == level);
                let Some(queue) = of_level else { return false };
                told.extend(queue.tell(watermark).map(|count| (*uid, count)));
                queue.listed
            });
        }
        told
    }
}

/// Writes a number into a hole, big-endian as in RocketMQ's stored messages. One that does not lie
/// within is left.
fn fill(head: &mut [u8], at: Option<u32>, number: u64) {
    if let Some(at) = at
        && let Some(hole) = head.get_mut(at as usize..).and_then(|rest| rest.first_chunk_mut::<8>())
    {
        *hole = number.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{IndexRoom, Patch};
    use bytes::Bytes;
    use std::sync::Arc;

    const ALL: Watermarks =
        Watermarks { of_async: Lsn(u64::MAX), of_local: Lsn(u64::MAX), of_object: Lsn(u64::MAX) };
    const QUEUE: QueueUid = QueueUid(1);

    fn state(end: Lsn) -> LogState {
        LogState::new(Lsn(0), end, IndexTaken::of(Arc::new(IndexRoom::new(u64::MAX))))
    }

    fn open(state: &mut LogState, level: Level, crashes: u32) {
        state.open_queue(QUEUE, level, crashes, ALL);
    }

    fn message() -> Draft {
        Draft {
            kind: RecordKind::Message,
            queue: QUEUE,
            filter: 0,
            head: vec![0; 24],
            body: Bytes::from_static(b"body"),
            tail: Bytes::new(),
            patch: Patch { offset_at: Some(0), lsn_at: Some(8), time_at: Some(16) },
        }
    }

    fn append(state: &mut LogState) -> (Place, Draft) {
        let mut draft = message();
        let place = state.place(&mut draft, Timestamp(5));
        (place, draft)
    }

    #[test]
    fn holes_are_filled_big_endian() {
        let mut state = state(Lsn(7));
        open(&mut state, Level::Local, 0);
        append(&mut state);
        let (place, draft) = append(&mut state);
        assert_eq!(place.offset, Some(QueueOffset(1)));
        let mut expected = 1u64.to_be_bytes().to_vec();
        expected.extend(place.lsn.0.to_be_bytes());
        expected.extend(5u64.to_be_bytes());
        assert_eq!(draft.head, expected);
    }

    #[test]
    fn a_queue_is_told_of_once_for_what_became_visible() {
        let mut state = state(Lsn(0));
        open(&mut state, Level::Local, 0);
        append(&mut state);
        let (second, _) = append(&mut state);
        let none = Watermarks { of_local: Lsn(0), ..ALL };
        assert_eq!(state.tell(none), []);
        let one = Watermarks { of_local: second.lsn, ..ALL };
        assert_eq!(state.tell(one), [(QUEUE, 1)]);
        assert_eq!(state.tell(one), []);
        assert_eq!(state.tell(ALL), [(QUEUE, 1)]);
        assert!(state.untold.iter().all(|untold| untold.queues.is_empty()));
    }

    #[test]
    fn a_queue_whose_level_changes_is_told_of_by_the_new_one() {
        let mut state = state(Lsn(0));
        open(&mut state, Level::Object, 0);
        append(&mut state);
        let synced = Watermarks { of_object: Lsn(0), ..ALL };
        assert_eq!(state.tell(synced), []);
        assert!(state.open_queue(QUEUE, Level::Local, 0, synced), "there may be news");
        assert_eq!(state.tell(synced), [(QUEUE, 1)]);
        assert!(!state.open_queue(QUEUE, Level::Object, 0, synced));
        let (second, _) = append(&mut state);
        assert_eq!(state.tell(synced), []);
        let one = Watermarks { of_object: second.lsn.plus(1), ..ALL };
        assert_eq!(state.tell(one), [(QUEUE, 1)]);
        assert_eq!(state.tell(ALL), []);
        assert!(state.untold.iter().all(|untold| untold.queues.is_empty()));
    }

    #[test]
    fn what_is_trimmed_before_it_is_told_of_is_told_of() {
        let mut state = state(Lsn(0));
        open(&mut state, Level::Local, 0);
        (0..5).for_each(|_| drop(append(&mut state)));
        let end = state.end;
        trim(&mut state, end);
        (0..2).for_each(|_| drop(append(&mut state)));
        trim(&mut state, end.plus(1));
        let all = reached(&state);
        assert_eq!(state.tell(all), [(QUEUE, 7)]);
        assert_eq!(state.tell(all), []);
    }

    fn reached(state: &LogState) -> Watermarks {
        Watermarks { of_async: state.end, of_local: state.end, of_object: state.end }
    }

    /// Trims to `to`; how many times others could have come in between.
    fn trim(state: &mut LogState, to: Lsn) -> usize {
        let mut times = 0;
        let Some(mut queues) = state.begin_trim(to, reached(state)) else { return 0 };
        while !queues.is_empty() {
            assert!(state.trim(&mut queues).len() <= TRIM_AT_ONCE);
            times += 1;
        }
        times
    }

    #[test]
    fn a_long_trim_lets_others_in_and_gives_all_room_back() {
        let room = Arc::new(IndexRoom::new(u64::MAX));
        let mut state = LogState::new(Lsn(0), Lsn(0), IndexTaken::of(Arc::clone(&room)));
        for queue in 1..=2000 {
            state.open_queue(QueueUid(queue), Level::Local, 0, ALL);
        }
        (0..300_000).for_each(|_| drop(append(&mut state)));
        let end = state.end;
        append(&mut state);
        assert!(trim(&mut state, end) > 4);
        let bounds = state.bounds(QUEUE, ALL);
        assert_eq!((bounds.first, bounds.next), (QueueOffset(300_000), QueueOffset(300_001)));
        assert_eq!(bounds.bytes, message().record_len());
        let end = state.end;
        trim(&mut state, end);
        assert_eq!(room.fill().used, 2000 * QUEUE_BYTES);
        let bounds = state.bounds(QUEUE, Watermarks { of_local: end, ..ALL });
        assert_eq!(bounds.first, bounds.next);
        assert_eq!((bounds.visible_end, bounds.bytes), (bounds.next, 0));
        assert_eq!(trim(&mut state, end), 0, "nothing is left to trim");
    }

    #[test]
    fn the_newer_of_two_records_of_a_queue_counts_wherever_it_was_found() {
        let opened = |next, crashes| QueueOpenRecord { next: QueueOffset(next), crashes };
        let end = |opened| QueueEnd { queue: QUEUE, next: QueueOffset(4), opened: Some(opened) };
        for (here, there) in [((9, 1), (4, 0)), ((0, 0), (9, 1))] {
            let mut state = state(Lsn(0));
            state.found_open(QUEUE, opened(here.0, here.1));
            state.restore(&end(opened(there.0, there.1)));
            open(&mut state, Level::Async, 1);
            assert_eq!(state.open_record(QUEUE, 1), None, "recorded since the last crash");
            assert_eq!(append(&mut state).0.offset, Some(QueueOffset(9)));
        }
    }

    #[test]
    fn an_async_queue_is_recorded_before_its_first_message() {
        let mut state = state(Lsn(0));
        open(&mut state, Level::Async, 2);
        let record = state.open_record(QUEUE, 2).unwrap();
        assert_eq!(record, QueueOpenRecord { next: QueueOffset(0), crashes: 2 });
        state.opened(QUEUE, record);
        open(&mut state, Level::Async, 2);
        assert_eq!(state.open_record(QUEUE, 2), None);
    }

    #[test]
    fn offsets_that_may_have_been_seen_are_skipped_once_after_a_crash() {
        let mut state = state(Lsn(0));
        state.found_open(QUEUE, QueueOpenRecord { next: QueueOffset(0), crashes: 0 });
        let entry =
            Entry { offset: QueueOffset(0), lsn: Lsn(0), len: 0, filter: 0, time: Timestamp(0) };
        state.found_message(QUEUE, &entry, 40);
        open(&mut state, Level::Local, 1);
        open(&mut state, Level::Local, 1);
        let record = state.open_record(QUEUE, 1).unwrap();
        assert_eq!(record.next, QueueOffset(1 + GAP));
        state.opened(QUEUE, record);
        assert_eq!(append(&mut state).0.offset, Some(QueueOffset(1 + GAP)));
        assert_eq!(state.bounds(QUEUE, ALL).next, QueueOffset(2 + GAP));
        assert_eq!(state.tell(ALL), [(QUEUE, 1)]);
    }

    #[test]
    fn what_a_log_takes_of_the_index_room_is_given_back() {
        let room = Arc::new(IndexRoom::new(1 << 20));
        let mut state = LogState::new(Lsn(0), Lsn(0), IndexTaken::of(Arc::clone(&room)));
        for queue in 1..=3 {
            state.open_queue(QueueUid(queue), Level::Local, 0, ALL);
        }
        assert_eq!(room.fill().used, 3 * QUEUE_BYTES);
        (0..1000).for_each(|_| drop(append(&mut state)));
        let full = room.fill().used - 3 * QUEUE_BYTES;
        assert!((12_000..20_000).contains(&full), "{full}");
        state.forget(QUEUE);
        state.forget(QUEUE);
        assert_eq!(room.fill().used, 2 * QUEUE_BYTES);
        drop(state);
        assert_eq!(room.fill().used, 0);
    }
}

//! The index of one queue: where its messages are. In memory only; rebuilt from the log.
//!
//! Messages with consecutive offsets share a chunk, and in it what their numbers have in common: a
//! message takes 12 bytes, and 8 more where the messages of its chunk have different filters. A
//! queue without messages has no chunk, and one with few a small one.
use super::answer::Entry;
use crate::env::Timestamp;
use crate::format::{Lsn, QueueOffset};

/// Messages of a chunk. Twice as many would save a seventh of a byte for each, and cost a queue
/// that is little used as much again.
const CHUNK_ENTRIES: usize = 256;

/// One message, relative to its chunk.
#[derive(Clone, Copy)]
struct Packed {
    lsn: u32,
    len: u32,
    time: u32,
}

/// The filters of a chunk's messages.
enum Filters {
    /// All have this one: queues without tags, and those whose messages come in runs.
    Same(u64),
    /// One for each, in order.
    Each(Vec<u64>),
}

/// What was taken out of an index.
pub(crate) struct Trimmed {
    pub(crate) entries: u64,
    pub(crate) body_bytes: u64,
    /// There may be more to take out.
    pub(crate) more: bool,
    /// For the caller to drop where nobody waits.
    pub(crate) chunks: Vec<Chunk>,
}

/// Messages with consecutive offsets. Never empty.
pub(crate) struct Chunk {
    offset: u64,
    lsn: u64,
    time: u64,
    entries: Vec<Packed>,
    filters: Filters,
}

impl Chunk {
    /// A chunk of one entry, with room for `capacity`.
    fn begin(entry: &Entry, capacity: usize) -> Chunk {
        let mut entries = Vec::with_capacity(capacity);
        entries.push(Packed { lsn: 0, len: entry.len, time: 0 });
        Chunk {
            offset: entry.offset.0,
            lsn: entry.lsn.0,
            time: entry.time.0,
            entries,
            filters: Filters::Same(entry.filter),
        }
    }

    fn end(&self) -> u64 {
        self.offset + self.entries.len() as u64
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let packed = self.entries.get(index)?;
        let filter = match &self.filters {
            Filters::Same(filter) => *filter,
            Filters::Each(filters) => *filters.get(index)?,
        };
        Some(Entry {
            offset: QueueOffset(self.offset + index as u64),
            lsn: Lsn(self.lsn + u64::from(packed.lsn)),
            len: packed.len,
            filter,
            time: Timestamp(self.time + u64::from(packed.time)),
        })
    }

    /// The entry relative to this chunk; `None` if it does not go on with it.
    fn pack(&self, entry: &Entry) -> Option<Packed> {
        if entry.offset.0 != self.end() || self.entries.len() == CHUNK_ENTRIES {
            return None;
        }
        Some(Packed {
            lsn: u32::try_from(entry.lsn.0.checked_sub(self.lsn)?).ok()?,
            len: entry.len,
            time: u32::try_from(entry.time.0.checked_sub(self.time)?).ok()?,
        })
    }

    fn push(&mut self, packed: Packed, filter: u64) {
        grow(&mut self.entries);
        match &mut self.filters {
            Filters::Same(same) if *same == filter => {}
            Filters::Same(same) => {
                let mut each = Vec::with_capacity(self.entries.capacity());
                each.resize(self.entries.len(), *same);
                each.push(filter);
                self.filters = Filters::Each(each);
            }
            Filters::Each(each) => {
                grow(each);
                each.push(filter);
            }
        }
        self.entries.push(packed);
    }

    /// Gives back room that no entry will take.
    fn close(&mut self) {
        self.entries.shrink_to_fit();
        if let Filters::Each(each) = &mut self.filters {
            each.shrink_to_fit();
        }
    }

    fn last_lsn(&self) -> u64 {
        self.lsn + self.entries.last().map_or(0, |packed| u64::from(packed.lsn))
    }

    /// How many entries lie below `lsn`.
    fn below(&self, lsn: Lsn) -> usize {
        partition(self.entries.len(), |i| self.entry(i).is_some_and(|entry| entry.lsn < lsn))
    }

    /// Bytes of the bodies of the first `count` messages.
    fn body_bytes(&self, count: usize) -> u64 {
        self.entries.iter().take(count).map(|packed| u64::from(packed.len)).sum()
    }

    /// Takes the first `count` entries out; not all of them.
    fn cut_front(&mut self, count: usize) {
        self.entries.drain(..count);
        if let Filters::Each(each) = &mut self.filters {
            each.drain(..count);
        }
        self.offset += count as u64;
        // The first entry has no difference to its chunk.
        let (lsn, time) = self.entries.first().map_or((0, 0), |packed| (packed.lsn, packed.time));
        self.lsn += u64::from(lsn);
        self.time += u64::from(time);
        for packed in &mut self.entries {
            packed.lsn -= lsn;
            packed.time -= time;
        }
    }

    /// Bytes of memory beside the chunk itself.
    fn bytes(&self) -> u64 {
        let filters = match &self.filters {
            Filters::Same(_) => 0,
            Filters::Each(each) => bytes_of(each),
        };
        bytes_of(&self.entries) + filters
    }
}

/// Makes room for one more: twice as many each time, from one on.
fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len().max(1));
    }
}

fn bytes_of<T>(list: &Vec<T>) -> u64 {
    (list.capacity() * size_of::<T>()) as u64
}

/// Entries in order of offset, and so of lsn and of time. Offsets may have gaps.
#[derive(Default)]
pub(crate) struct Index {
    chunks: Vec<Chunk>,
    /// Bytes of memory that all of it takes.
    bytes: u64,
}

impl Index {
    /// Adds an entry after all others.
    pub(crate) fn push(&mut self, entry: &Entry) {
        if let Some(chunk) = self.chunks.last_mut() {
            let before = chunk.bytes();
            let packed = chunk.pack(entry);
            match packed {
                Some(packed) => chunk.push(packed, entry.filter),
                None => chunk.close(),
            }
            self.bytes = self.bytes - before + chunk.bytes();
            if packed.is_some() {
                return;
            }
        }
        // Only the first chunk grows: whoever fills one will soon fill another.
        let capacity = if self.chunks.is_empty() { 1 } else { CHUNK_ENTRIES };
        let chunk = Chunk::begin(entry, capacity);
        let before = bytes_of(&self.chunks);
        grow(&mut self.chunks);
        self.bytes = self.bytes - before + bytes_of(&self.chunks) + chunk.bytes();
        self.chunks.push(chunk);
    }

    /// Bytes of memory that the entries take, as asked of the allocator.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes out what lies below `to`, a record's end: whole chunks, at most `chunks_max` of them;
    /// when fewer are left, also the beginning of the next.
    pub(crate) fn trim(&mut self, to: Lsn, chunks_max: usize) -> Trimmed {
        let whole = self.chunks.partition_point(|chunk| chunk.last_lsn() < to.0).min(chunks_max);
        let before = bytes_of(&self.chunks);
        let chunks: Vec<Chunk> = self.chunks.drain(..whole).collect();
        // What is left soon takes twice as much again, and no more is kept for it.
        if 4 * self.chunks.len() < self.chunks.capacity() {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
        self.bytes = self.bytes - before + bytes_of(&self.chunks);
        let mut gone = Trimmed { entries: 0, body_bytes: 0, more: whole == chunks_max, chunks };
        for chunk in &gone.chunks {
            self.bytes -= chunk.bytes();
            gone.entries += chunk.entries.len() as u64;
            gone.body_bytes += chunk.body_bytes(chunk.entries.len());
        }
        let is_last = self.chunks.len() == 1;
        if let Some(first) = self.chunks.first_mut().filter(|_| !gone.more) {
            let below = first.below(to);
            gone.entries += below as u64;
            gone.body_bytes += first.body_bytes(below);
            let before = first.bytes();
            first.cut_front(below);
            if below > 0 && !is_last {
                first.close();
            }
            self.bytes = self.bytes - before + first.bytes();
        }
        gone
    }

    /// The oldest offset.
    pub(crate) fn first(&self) -> Option<QueueOffset> {
        self.chunks.first().map(|chunk| QueueOffset(chunk.offset))
    }

    /// The first entry at or after `from`, and those after it.
    pub(crate) fn from(&self, from: QueueOffset) -> impl Iterator<Item = Entry> + '_ {
        let start = self.chunks.partition_point(|chunk| chunk.end() <= from.0);
        let skip =
            self.chunks.get(start).map_or(0, |chunk| from.0.saturating_sub(chunk.offset) as usize);
        let chunks = self.chunks.get(start..).unwrap_or_default().iter().enumerate();
        chunks.flat_map(move |(number, chunk)| {
            let first = if number == 0 { skip } else { 0 };
            (first..chunk.entries.len()).filter_map(|index| chunk.entry(index))
        })
    }

    /// The first entry for which `before` is false, when it is true for a beginning of all entries
    /// and false for the rest.
    pub(crate) fn first_not(&self, before: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let starts_before =
            self.chunks.partition_point(|chunk| chunk.entry(0).is_some_and(|e| before(&e)));
        let inside = starts_before.checked_sub(1).and_then(|index| {
            let chunk = self.chunks.get(index)?;
            let place = partition(chunk.entries.len(), |i| {
                chunk.entry(i).is_some_and(|entry| before(&entry))
            });
            chunk.entry(place)
        });
        inside.or_else(|| self.chunks.get(starts_before)?.entry(0))
    }

    /// After the last entry below `watermark`; `None` if there is none.
    pub(crate) fn end_below(&self, watermark: Lsn) -> Option<QueueOffset> {
        // Nearly always the newest chunk, so that is looked at first.
        let chunk = match self.chunks.last() {
            Some(last) if last.lsn < watermark.0 => last,
            Some(_) | None => {
                let below = self.chunks.partition_point(|chunk| chunk.lsn < watermark.0);
                self.chunks.get(below.checked_sub(1)?)?
            }
        };
        Some(QueueOffset(chunk.offset + chunk.below(watermark) as u64))
    }
}

/// How many of `0..len` satisfy `before`, when they are the first ones.
fn partition(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = usize::midpoint(low, high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Steps (gap in offsets, step in lsn, step in time) with a jump now and then that does not fit
    /// in 32 bits.
    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let step = (
            prop_oneof![9 => Just(0u64), 1 => 1..5u64, 1 => Just(1 << 20)],
            prop_oneof![9 => 1..5000u64, 1 => Just(1 << 33)],
            prop_oneof![9 => 0..50u64, 1 => Just(1 << 34)],
            prop_oneof![99 => Just(None), 1 => any::<u64>().prop_map(Some)],
            any::<u32>(),
        );
        proptest::collection::vec(step, 0..1500).prop_map(|steps| {
            let (mut offset, mut lsn, mut time, mut last) = (0, 3 << 48, 1000, 0);
            let entry = |(gap, forward, later, other, len): (u64, u64, u64, Option<u64>, u32)| {
                offset += gap;
                last = other.unwrap_or(last);
                let entry = Entry {
                    offset: QueueOffset(offset),
                    lsn: Lsn(lsn),
                    len,
                    filter: last,
                    time: Timestamp(time),
                };
                offset += 1;
                lsn += forward;
                time += later;
                entry
            };
            steps.into_iter().map(entry).collect()
        })
    }

    proptest! {
        #[test]
        fn an_index_answers_like_a_list(list in entries(), probe in any::<prop::sample::Index>()) {
            let mut index = Index::default();
            list.iter().for_each(|entry| index.push(entry));
            prop_assert_eq!(index.bytes(), counted(&index));
            prop_assert_eq!(index.first(), list.first().map(|entry| entry.offset));
            prop_assert_eq!(&index.from(QueueOffset(0)).collect::<Vec<_>>(), &list);
            prop_assume!(!list.is_empty());
            let at = list[probe.index(list.len())];
            for from in [at.offset.0.saturating_sub(1), at.offset.0, at.offset.0 + 1] {
                let model = list.iter().find(|entry| entry.offset.0 >= from).copied();
                prop_assert_eq!(index.from(QueueOffset(from)).next(), model);
            }
            for time in [at.time.0 - 1, at.time.0, at.time.0 + 1] {
                let model = list.iter().find(|entry| entry.time.0 >= time).copied();
                prop_assert_eq!(index.first_not(|entry| entry.time.0 < time), model);
            }
            for lsn in [at.lsn.0, at.lsn.0 + 1] {
                let model = list.iter().rev().find(|entry| entry.lsn.0 < lsn);
                prop_assert_eq!(index.end_below(Lsn(lsn)), model.map(|e| e.offset.plus(1)));
            }
        }
    }

    proptest! {
        #[test]
        fn a_trimmed_index_answers_like_the_rest_of_the_list(
            list in entries(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
            chunks_max in 1..4usize, after in any::<bool>(),
        ) {
            let mut index = Index::default();
            list.iter().for_each(|entry| index.push(entry));
            let mut from = 0;
            for cut in &cuts {
                let to = match list.get(cut.index(list.len() + 1)) {
                    Some(entry) => entry.lsn,
                    None => Lsn(u64::MAX),
                };
                let mut trimmed = (0, 0);
                loop {
                    let gone = index.trim(to, chunks_max);
                    trimmed.0 += gone.entries;
                    trimmed.1 += gone.body_bytes;
                    prop_assert!(gone.chunks.len() <= chunks_max);
                    if !gone.more {
                        break;
                    }
                }
                let below = list.iter().skip(from).take_while(|entry| entry.lsn < to);
                let bytes = below.clone().map(|entry| u64::from(entry.len)).sum::<u64>();
                prop_assert_eq!(trimmed, (below.count() as u64, bytes));
                from += trimmed.0 as usize;
            }
            let mut rest = list[from..].to_vec();
            if after {
                let last = list.last().copied();
                let next = last.map_or(QueueOffset(0), |entry| entry.offset.plus(1));
                let lsn = Lsn(last.map_or(9, |entry| entry.lsn.0 + 1));
                let time = last.map_or(Timestamp(9), |entry| entry.time);
                let entry = Entry { offset: next, lsn, len: 1, filter: 1, time };
                index.push(&entry);
                rest.push(entry);
            }
            prop_assert_eq!(index.bytes(), counted(&index));
            prop_assert_eq!(index.first(), rest.first().map(|entry| entry.offset));
            prop_assert_eq!(&index.from(QueueOffset(0)).collect::<Vec<_>>(), &rest);
            for at in rest.iter().take(3) {
                let below = rest.iter().rev().find(|entry| entry.lsn < at.lsn);
                prop_assert_eq!(index.end_below(at.lsn), below.map(|entry| entry.offset.plus(1)));
                let found = index.first_not(|entry| entry.time < at.time);
                let model = rest.iter().find(|entry| entry.time >= at.time).copied();
                prop_assert_eq!(found, model);
            }
        }
    }

    #[test]
    fn a_trimmed_index_gives_its_memory_back() {
        let mut index = index_of(100_000, |at| at);
        let gone = index.trim(Lsn(99_900 * 1200), usize::MAX);
        assert_eq!((gone.entries, gone.body_bytes), (99_900, 99_900_000));
        assert!(index.bytes() < 8_000, "{}", index.bytes());
        index.trim(Lsn(u64::MAX), usize::MAX);
        assert_eq!((index.bytes(), counted(&index)), (0, 0));
    }

    /// What the index should say that it takes.
    fn counted(index: &Index) -> u64 {
        bytes_of(&index.chunks) + index.chunks.iter().map(Chunk::bytes).sum::<u64>()
    }

    fn index_of(count: u64, filter: impl Fn(u64) -> u64) -> Index {
        let mut index = Index::default();
        for at in 0..count {
            index.push(&Entry {
                offset: QueueOffset(at),
                lsn: Lsn(at * 1200),
                len: 1000,
                filter: filter(at),
                time: Timestamp(at),
            });
        }
        index
    }

    #[test]
    fn a_message_takes_twelve_bytes_and_a_filter_of_its_own_eight_more() {
        let count = 512 * CHUNK_ENTRIES as u64;
        let same = index_of(count, |_| 7).bytes() as f64 / count as f64;
        assert!(same < 12.5, "{same}");
        let each = index_of(count, |at| at).bytes() as f64 / count as f64;
        assert!(each < 20.5, "{each}");
    }

    #[test]
    fn a_queue_with_few_messages_takes_little() {
        assert_eq!(index_of(0, |_| 7).bytes(), 0);
        assert!(index_of(1, |_| 7).bytes() <= 100);
        assert!(index_of(20, |_| 7).bytes() <= 500);
    }

    #[test]
    fn a_chunk_that_ends_early_keeps_no_room_for_more() {
        let mut index = index_of(300, |at| at);
        let gap = Entry {
            offset: QueueOffset(1 << 20),
            lsn: Lsn(1 << 40),
            len: 1,
            filter: 0,
            time: Timestamp(1),
        };
        index.push(&gap);
        assert_eq!(index.bytes(), counted(&index));
        let ended = &index.chunks[1];
        assert_eq!(ended.bytes(), ended.entries.len() as u64 * 20);
    }
}

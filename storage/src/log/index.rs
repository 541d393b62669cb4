//! The index of one queue: where its messages are, 20 bytes each. In memory only; rebuilt from the
//! log.
use super::answer::Entry;
use crate::env::Timestamp;
use crate::format::{Lsn, QueueOffset};
use std::collections::VecDeque;

/// Entries that share their high parts.
const CHUNK_ENTRIES: usize = 256;

/// One message, relative to its chunk.
#[derive(Clone, Copy)]
struct Packed {
    lsn: u32,
    len: u32,
    time: u32,
    filter: [u32; 2],
}

/// Messages with consecutive offsets. Never empty.
struct Chunk {
    offset: u64,
    lsn: u64,
    time: u64,
    entries: Vec<Packed>,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.offset + self.entries.len() as u64
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let packed = self.entries.get(index)?;
        Some(Entry {
            offset: QueueOffset(self.offset + index as u64),
            lsn: Lsn(self.lsn + u64::from(packed.lsn)),
            len: packed.len,
            filter: u64::from(packed.filter[0]) | u64::from(packed.filter[1]) << 32,
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
            filter: halves(entry.filter),
        })
    }
}

fn halves(filter: u64) -> [u32; 2] {
    [filter as u32, (filter >> 32) as u32]
}

/// Entries in order of offset, and so of lsn and of time. Offsets may have gaps.
#[derive(Default)]
pub(crate) struct Index {
    chunks: VecDeque<Chunk>,
}

impl Index {
    /// Adds an entry after all others.
    pub(crate) fn push(&mut self, entry: &Entry) {
        if let Some(chunk) = self.chunks.back_mut()
            && let Some(packed) = chunk.pack(entry)
        {
            chunk.entries.push(packed);
            return;
        }
        let packed = Packed { lsn: 0, len: entry.len, time: 0, filter: halves(entry.filter) };
        self.chunks.push_back(Chunk {
            offset: entry.offset.0,
            lsn: entry.lsn.0,
            time: entry.time.0,
            entries: vec![packed],
        });
    }

    /// The oldest offset.
    pub(crate) fn first(&self) -> Option<QueueOffset> {
        self.chunks.front().map(|chunk| QueueOffset(chunk.offset))
    }

    /// The first entry at or after `from`, and those after it.
    pub(crate) fn from(&self, from: QueueOffset) -> impl Iterator<Item = Entry> + '_ {
        let start = self.chunks.partition_point(|chunk| chunk.end() <= from.0);
        let skip =
            self.chunks.get(start).map_or(0, |chunk| from.0.saturating_sub(chunk.offset) as usize);
        let chunks = self.chunks.range(start.min(self.chunks.len())..);
        let entries = chunks.flat_map(|chunk| (0..chunk.entries.len()).map(move |i| (chunk, i)));
        entries.skip(skip).filter_map(|(chunk, index)| chunk.entry(index))
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
        // Nearly always all of it, or all but the newest chunk's tail.
        let chunk = self.chunks.iter().rev().find(|chunk| chunk.lsn < watermark.0)?;
        let below = partition(chunk.entries.len(), |i| {
            chunk.entry(i).is_some_and(|entry| entry.lsn < watermark)
        });
        Some(QueueOffset(chunk.offset + below as u64))
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
            any::<u64>(),
        );
        proptest::collection::vec(step, 0..700).prop_map(|steps| {
            let (mut offset, mut lsn, mut time) = (0, 3 << 48, 1000);
            let entry = |(gap, forward, later, filter)| {
                offset += gap;
                let entry = Entry {
                    offset: QueueOffset(offset),
                    lsn: Lsn(lsn),
                    len: filter as u32,
                    filter,
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

    #[test]
    fn an_entry_takes_twenty_bytes() {
        assert_eq!(size_of::<Packed>(), 20);
    }
}

//! The queue index: where the blocks of messages lie, sorted by (placement group, queue, offset).
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | groups of up to 16 entries | varints |
//! | … | restart: at u32, queue_number u32 | per group: where it begins; number of its first queue |
//! | end - 16 | groups u32, entries u32, queues u32, crc u32 | crc32c of all before it |
//!
//! An entry is a varint per field: pg and queue_uid (each as the difference from the entry before;
//! the queue in full where the placement group changes), first offset (difference from the last
//! offset before + 1 where the queue is the same), last − first, place in the file (difference
//! from the end of the block before), length, count, max_time and max − min time (zigzag
//! difference), tags (xor), flags. A group starts from nothing, so that a search by halves can begin
//! at any.

use super::Span;
use super::block::{BlockHeader, Contents};
use super::unsealed;
use crate::env::Timestamp;
use crate::format::take::{Take, put_varint, unzigzag, zigzag};
use crate::format::{FormatError, PgId, QueueOffset, QueueUid};
use bytes::Bytes;

const GROUP: u32 = 16;
const AFTER_GAP: u64 = 1;
const SPARSE: u64 = 2;

/// A queue by its place among the queues of one object, from 0, in order of (placement group,
/// queue).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueNumber(pub u32);

/// A block of messages, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Whose.
    pub pg: PgId,
    /// The queue.
    pub queue: QueueUid,
    /// Which queue of the object that is.
    pub number: QueueNumber,
    /// Offset of its first message.
    pub first: QueueOffset,
    /// Offset of its last message.
    pub last: QueueOffset,
    /// Messages.
    pub count: u32,
    /// Where it lies.
    pub span: Span,
    /// Least store time.
    pub min_time: Timestamp,
    /// Greatest store time.
    pub max_time: Timestamp,
    /// Bits of the messages' filters: a reader that wants none of them need not fetch the block.
    pub tags: u64,
    /// No message ever had the offset before the first.
    pub after_gap: bool,
    /// Offsets within may be missing.
    pub sparse: bool,
}

impl BlockRef {
    /// Whether `header` is that of this block.
    pub fn is_of(&self, header: &BlockHeader) -> bool {
        let contents = Contents::Messages {
            queue: self.queue,
            first: self.first,
            last: self.last,
            after_gap: self.after_gap,
            sparse: self.sparse,
        };
        header.contents == contents
            && header.pg == self.pg
            && header.count == self.count
            && header.block_len() == self.span.len
    }

    const fn key(&self) -> (PgId, QueueUid) {
        (self.pg, self.queue)
    }
}

/// Gathers the entries of a queue index.
#[derive(Debug, Default)]
pub struct QueueIndexBuilder {
    bytes: Vec<u8>,
    restarts: Vec<(u32, u32)>,
    last: Option<BlockRef>,
    entries: u32,
}

impl QueueIndexBuilder {
    /// Adds the block that `header` heads and that lies at `at`; blocks come in the order of the
    /// index. Gives the queue's number in this object.
    ///
    /// # Errors
    /// When it is no block of messages, or out of order.
    pub fn push(&mut self, header: &BlockHeader, at: u64) -> Result<QueueNumber, FormatError> {
        let Contents::Messages { queue, first, last, after_gap, sparse } = header.contents else {
            return Err(FormatError::Contradiction);
        };
        let number = match &self.last {
            None => 0,
            Some(before) if before.key() < (header.pg, queue) => before.number.0 + 1,
            Some(before) if before.key() == (header.pg, queue) && before.last < first => {
                before.number.0
            }
            Some(_) => return Err(FormatError::Contradiction),
        };
        let entry = BlockRef {
            pg: header.pg,
            queue,
            number: QueueNumber(number),
            first,
            last,
            count: header.count,
            span: Span { at, len: header.block_len() },
            min_time: header.min_time,
            max_time: header.max_time,
            tags: header.tags,
            after_gap,
            sparse,
        };
        let before = self.last.filter(|_| !self.entries.is_multiple_of(GROUP));
        if before.is_none() {
            self.restarts.push((self.bytes.len() as u32, number));
        }
        put_entry(&mut self.bytes, before.as_ref(), &entry);
        self.entries += 1;
        self.last = Some(entry);
        Ok(entry.number)
    }

    /// Blocks so far.
    pub const fn len(&self) -> u32 {
        self.entries
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The index's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let queues = self.last.map_or(0, |last| last.number.0 + 1);
        let groups = self.restarts.len() as u32;
        for (at, number) in self.restarts {
            self.bytes.extend_from_slice(&at.to_le_bytes());
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [groups, self.entries, queues] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        super::sealed(self.bytes)
    }
}

fn put_entry(out: &mut Vec<u8>, before: Option<&BlockRef>, entry: &BlockRef) {
    let same_pg = before.filter(|before| before.pg == entry.pg);
    let same_queue = before.filter(|before| before.key() == entry.key());
    put_varint(out, u64::from(entry.pg.get() - before.map_or(0, |before| before.pg.get())));
    put_varint(out, entry.queue.0 - same_pg.map_or(0, |before| before.queue.0));
    put_varint(out, entry.first.since(same_queue.map_or(QueueOffset(0), |b| b.last.plus(1))));
    put_varint(out, entry.last.since(entry.first));
    put_varint(out, entry.span.at.wrapping_sub(before.map_or(0, |before| before.span.end())));
    put_varint(out, entry.span.len);
    put_varint(out, u64::from(entry.count));
    let time = before.map_or(0, |before| before.max_time.0);
    put_varint(out, zigzag(entry.max_time.0.wrapping_sub(time)));
    put_varint(out, entry.max_time.0.wrapping_sub(entry.min_time.0));
    put_varint(out, entry.tags ^ before.map_or(0, |before| before.tags));
    put_varint(out, u64::from(entry.after_gap) * AFTER_GAP + u64::from(entry.sparse) * SPARSE);
}

fn take_entry(
    take: &mut Take<'_>,
    before: Option<&BlockRef>,
    first_number: u32,
) -> Result<BlockRef, FormatError> {
    const NO: FormatError = FormatError::Contradiction;
    let pg = before.map_or(0, |before| before.pg.get()).checked_add(take.varint_u32()?);
    let pg = pg.and_then(PgId::new).ok_or(NO)?;
    let same_pg = before.filter(|before| before.pg == pg);
    let base = same_pg.map_or(0, |before| before.queue.0);
    let queue = QueueUid(base.checked_add(take.varint()?).ok_or(NO)?);
    let same_queue = before.filter(|before| before.key() == (pg, queue));
    let base = match same_queue {
        Some(before) => before.last.0.checked_add(1).ok_or(NO)?,
        None => 0,
    };
    let first = base.checked_add(take.varint()?).ok_or(NO)?;
    let last = first.checked_add(take.varint()?).ok_or(NO)?;
    let at = before.map_or(0, |before| before.span.end()).wrapping_add(take.varint()?);
    let len = take.varint()?;
    at.checked_add(len).ok_or(NO)?;
    let count = take.varint_u32()?;
    let time = before.map_or(0, |before| before.max_time.0);
    let max_time = time.wrapping_add(unzigzag(take.varint()?));
    let min_time = max_time.wrapping_sub(take.varint()?);
    let tags = take.varint()? ^ before.map_or(0, |before| before.tags);
    let flags = take.varint()?;
    let number = match (before, same_queue) {
        (None, _) => first_number,
        (Some(before), Some(_)) => before.number.0,
        (Some(before), None) => before.number.0.checked_add(1).ok_or(NO)?,
    };
    Ok(BlockRef {
        pg,
        queue,
        number: QueueNumber(number),
        first: QueueOffset(first),
        last: QueueOffset(last),
        count,
        span: Span { at, len },
        min_time: Timestamp(min_time),
        max_time: Timestamp(max_time),
        tags,
        after_gap: flags & AFTER_GAP != 0,
        sparse: flags & SPARSE != 0,
    })
}

/// A queue index as read. Entries are decoded when they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueIndex {
    bytes: Bytes,
    groups: u32,
    entries: u32,
    queues: u32,
}

impl QueueIndex {
    /// Reads all of `bytes`, and verifies each entry, so that nothing can fail later.
    ///
    /// # Errors
    /// When these are not the bytes of a queue index.
    pub fn decode(bytes: &Bytes) -> Result<QueueIndex, FormatError> {
        let body = unsealed(bytes)?;
        let (rest, counts) = body.split_last_chunk::<12>().ok_or(FormatError::Truncated)?;
        let mut take = Take(counts);
        let (groups, entries, queues) = (take.u32()?, take.u32()?, take.u32()?);
        let restarts = (groups as usize).checked_mul(8).ok_or(FormatError::Length)?;
        if rest.len() < restarts || groups != entries.div_ceil(GROUP) {
            return Err(FormatError::Length);
        }
        let index = QueueIndex { bytes: bytes.slice(..rest.len()), groups, entries, queues };
        index.verify()?;
        Ok(index)
    }

    fn verify(&self) -> Result<(), FormatError> {
        let mut before: Option<BlockRef> = None;
        for group in 0..self.groups {
            let mut start = None;
            let (at, number) = self.restart(group).ok_or(FormatError::Length)?;
            let mut take = Take(self.bytes.get(at..).ok_or(FormatError::Length)?);
            for _ in 0..self.entries_of(group) {
                let entry = take_entry(&mut take, start.as_ref(), number)?;
                let follows = before.is_none_or(|before| match before.key().cmp(&entry.key()) {
                    std::cmp::Ordering::Less => entry.number.0 == before.number.0 + 1,
                    std::cmp::Ordering::Equal => {
                        before.last < entry.first && entry.number == before.number
                    }
                    std::cmp::Ordering::Greater => false,
                });
                let starts = before.is_some() || entry.number == QueueNumber(0);
                if !follows || !starts {
                    return Err(FormatError::Contradiction);
                }
                start = Some(entry);
                before = start;
            }
        }
        let queues = before.map_or(0, |last| last.number.0.saturating_add(1));
        if queues == self.queues { Ok(()) } else { Err(FormatError::Contradiction) }
    }

    fn entries_of(&self, group: u32) -> u32 {
        (self.entries - group * GROUP).min(GROUP)
    }

    /// Where a group begins, and the number of its first queue.
    fn restart(&self, group: u32) -> Option<(usize, u32)> {
        let table = self.bytes.len() - self.groups as usize * 8;
        let mut take = Take(self.bytes.get(table + group as usize * 8..)?);
        Some((take.u32().ok()? as usize, take.u32().ok()?))
    }

    fn group(&self, group: u32) -> Group<'_> {
        let start = (group < self.groups).then(|| self.restart(group)).flatten();
        let (at, number) = start.unwrap_or((self.bytes.len(), 0));
        let left = if group < self.groups { self.entries_of(group) } else { 0 };
        Group { take: Take(self.bytes.get(at..).unwrap_or(&[])), left, number, before: None }
    }

    /// All blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.starting_at(0)
    }

    fn starting_at(&self, group: u32) -> impl Iterator<Item = BlockRef> + '_ {
        (group..self.groups).flat_map(|group| self.group(group))
    }

    /// The last group whose first entry is not past what is looked for.
    fn group_of(&self, is_past: impl Fn(&BlockRef) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.groups);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.group(middle).next().is_some_and(|first| !is_past(&first)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.saturating_sub(1)
    }

    /// The blocks of a queue that have messages at or after `from`, in order.
    pub fn blocks(
        &self,
        pg: PgId,
        queue: QueueUid,
        from: QueueOffset,
    ) -> impl Iterator<Item = BlockRef> + '_ {
        let group = self.group_of(|first| (first.pg, first.queue, first.first) > (pg, queue, from));
        self.starting_at(group)
            .skip_while(move |block| block.key() < (pg, queue))
            .take_while(move |block| block.key() == (pg, queue))
            .skip_while(move |block| block.last < from)
    }

    /// All blocks of a placement group, in order.
    pub fn blocks_of(&self, pg: PgId) -> impl Iterator<Item = BlockRef> + '_ {
        self.starting_at(self.group_of(|first| first.pg >= pg))
            .skip_while(move |block| block.pg < pg)
            .take_while(move |block| block.pg == pg)
    }

    /// The first queue of a placement group that comes after `after`; `None` as `after`: the first.
    pub fn next_queue(&self, pg: PgId, after: Option<QueueUid>) -> Option<QueueUid> {
        let is_past = |block: &BlockRef| match after {
            Some(after) => (pg, after) < block.key(),
            None => pg <= block.pg,
        };
        let mut blocks = self.starting_at(self.group_of(is_past));
        blocks.find(is_past).filter(|block| block.pg == pg).map(|block| block.queue)
    }

    /// The first block of the queue with this number.
    pub fn queue(&self, number: QueueNumber) -> Option<BlockRef> {
        let group = self.group_of(|first| first.number >= number);
        self.starting_at(group)
            .find(|block| block.number >= number)
            .filter(|block| block.number == number)
    }

    /// Blocks.
    pub const fn len(&self) -> u32 {
        self.entries
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Queues that have blocks.
    pub const fn queues(&self) -> u32 {
        self.queues
    }
}

/// The entries of one group.
struct Group<'a> {
    take: Take<'a>,
    left: u32,
    number: u32,
    before: Option<BlockRef>,
}

impl Iterator for Group<'_> {
    type Item = BlockRef;

    fn next(&mut self) -> Option<BlockRef> {
        self.left = self.left.checked_sub(1)?;
        let entry = take_entry(&mut self.take, self.before.as_ref(), self.number).ok()?;
        self.before = Some(entry);
        Some(entry)
    }
}

pub(super) fn fuzz(bytes: &[u8]) {
    for sealed in [bytes.to_vec(), super::sealed(bytes.to_vec())] {
        let Ok(index) = QueueIndex::decode(&Bytes::from(sealed)) else { continue };
        assert_eq!(index.iter().count(), index.len() as usize);
        for block in index.iter().take(64) {
            let found = index.blocks(block.pg, block.queue, block.last).next();
            assert_eq!(found, Some(block));
        }
    }
}

#[cfg(test)]
mod tests;

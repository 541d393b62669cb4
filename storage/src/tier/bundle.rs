//! The bundle builder: ranges of logs as they were committed become one object.
//!
//! INV-BUNDLE-1: a range is taken only as the owner wrote it: positions without holes but for those
//! that are named, each frame's checksum and the chain over them fitting, records filling each
//! payload.
//! INV-BUNDLE-2: offsets of a queue grow by one; where they do not, a Q_OPEN record says why.

use super::name::ObjectId;
use super::writer::{Finished, Follows, ObjectWriter, WriteRefused};
use crate::format::object::{KeyHash, Properties, Record};
use crate::format::{
    Epoch, FormatError, Lsn, PgId, QueueOffset, QueueOpenRecord, QueueUid, RecordKind, chain_of,
    crc32c,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};

/// What only the log's owner knows.
pub trait Knowledge {
    /// Adds what a message is to be found by, beside its place in the log.
    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>);
    /// Whether a queue is gone for ever, so that its records need not be kept.
    fn is_gone(&self, pg: PgId, queue: QueueUid) -> bool;
    /// Where the newest Q_OPEN record before the range let the queue's offsets go on.
    fn opened_at(&self, pg: PgId, queue: QueueUid) -> Option<QueueOffset>;
}

/// A frame of a log. The payload is shared, not copied, until the bundle is finished.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Position of its first byte.
    pub lsn: Lsn,
    /// Checksum of the payload, as the owner wrote it.
    pub payload_crc: u32,
    /// The log's chain after it.
    pub chain: u32,
    /// Its records.
    pub payload: Bytes,
}

/// Why something was not taken into a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefused {
    /// The bundle has as many bytes as it may: finish it and begin another.
    #[error("the bundle is full")]
    Full,
    /// The placement group's range was begun before, or not at all, or holds nothing.
    #[error("placement group {0} has no range here, or has one already")]
    Range(PgId),
    /// What comes is not what follows.
    #[error("the log goes on at {expected}, but this is of {found}")]
    Position {
        /// Where the range ends so far.
        expected: Lsn,
        /// Where it is to go on.
        found: Lsn,
    },
    /// The payload is not what the owner wrote: the copy is damaged.
    #[error("the frame at {0} is damaged")]
    Damaged(Lsn),
    /// The frame is not one that follows the frame before it: another history.
    #[error("the frame at {0} does not follow the frame before it")]
    Chain(Lsn),
    /// Records do not fill a payload, or contradict themselves.
    #[error("the frame at {lsn} holds something else than records")]
    Content {
        /// The frame.
        lsn: Lsn,
        /// What is wrong.
        source: FormatError,
    },
    /// A queue's offsets jump and no Q_OPEN record says why.
    #[error("offsets of queue {queue} go on at {offset}, unexplained")]
    Gap {
        /// The queue.
        queue: QueueUid,
        /// The offset after the gap.
        offset: QueueOffset,
    },
    /// The object would not be readable.
    #[error("the object cannot be written")]
    Write(#[from] WriteRefused),
}

/// One placement group's range so far.
#[derive(Debug)]
struct Range {
    epoch: Epoch,
    from: Lsn,
    end: Lsn,
    chain_before: u32,
    chain: u32,
    /// Bytes in named holes.
    hole_bytes: u64,
    frames: Vec<(Lsn, Bytes)>,
}

/// Gathers ranges for a bundle.
#[derive(Debug)]
pub struct BundleBuilder {
    bytes_max: u64,
    bytes: u64,
    ranges: BTreeMap<PgId, Range>,
}

/// A finished bundle.
#[derive(Debug)]
pub struct Bundle {
    /// What the writer says of it; its directory has, per placement group, what to commit.
    pub finished: Finished,
    /// Its bytes in order.
    pub parts: Vec<Bytes>,
    /// The newest Q_OPEN record of each queue that has one in it.
    pub opened: BTreeMap<(PgId, QueueUid), QueueOpenRecord>,
}

impl BundleBuilder {
    /// A bundle of at most `bytes_max` bytes of payload; one frame is always taken.
    pub const fn new(bytes_max: u64) -> BundleBuilder {
        BundleBuilder { bytes_max, bytes: 0, ranges: BTreeMap::new() }
    }

    /// Begins a placement group's range at `from`, where the log's chain is `chain`. `epoch` is that
    /// of the record the bundle is to be committed to.
    ///
    /// # Errors
    /// [`BundleRefused::Range`] when it was begun already.
    pub fn begin(
        &mut self,
        pg: PgId,
        epoch: Epoch,
        from: Lsn,
        chain: u32,
    ) -> Result<(), BundleRefused> {
        if self.ranges.contains_key(&pg) {
            return Err(BundleRefused::Range(pg));
        }
        let (end, chain_before) = (from, chain);
        let range =
            Range { epoch, from, end, chain_before, chain, hole_bytes: 0, frames: Vec::new() };
        self.ranges.insert(pg, range);
        Ok(())
    }

    /// Adds the frame that follows.
    ///
    /// # Errors
    /// When it does not follow, or is not what the owner wrote; the bundle is as before.
    pub fn frame(&mut self, pg: PgId, frame: &Frame) -> Result<(), BundleRefused> {
        let range = self.ranges.get_mut(&pg).ok_or(BundleRefused::Range(pg))?;
        if frame.lsn != range.end {
            return Err(BundleRefused::Position { expected: range.end, found: frame.lsn });
        }
        if crc32c(&frame.payload) != frame.payload_crc {
            return Err(BundleRefused::Damaged(frame.lsn));
        }
        if chain_of(range.chain, frame.payload_crc) != frame.chain {
            return Err(BundleRefused::Chain(frame.lsn));
        }
        let len = frame.payload.len() as u64;
        if self.bytes > 0 && self.bytes + len > self.bytes_max {
            return Err(BundleRefused::Full);
        }
        each_record(frame.lsn, &frame.payload, |_, _| ())?;
        self.bytes += len;
        range.end = range.end.plus(len);
        range.chain = frame.chain;
        range.frames.push((frame.lsn, frame.payload.clone()));
        Ok(())
    }

    /// Says that only queues that are gone had records up to `to`, where the chain is `chain`, and
    /// that their frames are no more.
    ///
    /// # Errors
    /// When `to` is not further on.
    pub fn hole(&mut self, pg: PgId, to: Lsn, chain: u32) -> Result<(), BundleRefused> {
        let range = self.ranges.get_mut(&pg).ok_or(BundleRefused::Range(pg))?;
        if to <= range.end {
            return Err(BundleRefused::Position { expected: range.end, found: to });
        }
        range.hole_bytes += to.since(range.end);
        (range.end, range.chain) = (to, chain);
        Ok(())
    }

    /// Bytes of payload so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sorts and writes. Beside the payloads and the object's bytes it holds 32 bytes a message of
    /// one placement group, and the key index.
    ///
    /// # Errors
    /// When offsets jump without reason, or a range holds nothing.
    pub fn finish(
        self,
        id: ObjectId,
        properties: &Properties,
        knowledge: &dyn Knowledge,
    ) -> Result<Bundle, BundleRefused> {
        let mut writer = ObjectWriter::new(id, 0);
        let mut opened = BTreeMap::new();
        for (pg, range) in &self.ranges {
            if range.from == range.end {
                return Err(BundleRefused::Range(*pg));
            }
            let found = find(*pg, range, knowledge)?;
            write_range(&mut writer, *pg, range, &found, knowledge)?;
            let newest = |(queue, all): (_, Vec<_>)| Some(((*pg, queue), *all.last()?));
            opened.extend(found.opened.into_iter().filter_map(newest));
        }
        let (finished, parts) = writer.finish(properties)?;
        Ok(Bundle { finished, parts, opened })
    }
}

/// Calls `each` with every record's place in the payload.
fn each_record(
    lsn: Lsn,
    payload: &Bytes,
    mut each: impl FnMut(usize, Record),
) -> Result<(), BundleRefused> {
    let mut at = 0;
    while at < payload.len() {
        let record = Record::first_of(lsn.plus(at as u64), &payload.slice(at..))
            .map_err(|source| BundleRefused::Content { lsn, source })?;
        let len = record.bytes().len();
        each(at, record);
        at += len;
    }
    Ok(())
}

/// Where a message lies among a range's frames, in the order of the object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sorted {
    queue: QueueUid,
    offset: QueueOffset,
    frame: u32,
    at: u32,
}

/// What a first pass over a range finds.
#[derive(Default)]
struct Found {
    messages: Vec<Sorted>,
    operations: Vec<(u32, u32)>,
    /// Q_OPEN records, in order: where they let offsets go on.
    opened: HashMap<QueueUid, Vec<QueueOpenRecord>>,
    dropped: u64,
}

fn write_range(
    writer: &mut ObjectWriter,
    pg: PgId,
    range: &Range,
    found: &Found,
    knowledge: &dyn Knowledge,
) -> Result<(), BundleRefused> {
    writer.begin(pg, range.epoch, range.from)?;
    let dropped = range.hole_bytes + found.dropped;
    writer.range(range.end, range.chain_before, range.chain, dropped);
    let mut keys = Vec::new();
    let mut before: Option<(QueueUid, QueueOffset)> = None;
    for place in &found.messages {
        let record = record_at(range, place.frame, place.at)?;
        let follows = follows(found, before, &record, || knowledge.opened_at(pg, record.queue))?;
        before = Some((record.queue, record.offset));
        keys.clear();
        knowledge.keys(&record, &mut keys);
        writer.message(&record, follows, &keys)?;
    }
    for (frame, at) in &found.operations {
        writer.operation(&record_at(range, *frame, *at)?)?;
    }
    Ok(())
}

fn find(pg: PgId, range: &Range, knowledge: &dyn Knowledge) -> Result<Found, BundleRefused> {
    let mut found = Found::default();
    let mut gone: HashMap<QueueUid, bool> = HashMap::new();
    for (frame, (lsn, payload)) in range.frames.iter().enumerate() {
        let frame = frame as u32;
        let mut wrong = None;
        each_record(*lsn, payload, |at, record| {
            let queue = record.queue;
            // What is of no queue concerns them all.
            let is_gone = || queue != QueueUid(0) && knowledge.is_gone(pg, queue);
            if *gone.entry(queue).or_insert_with(is_gone) {
                found.dropped += record.bytes().len() as u64;
                return;
            }
            if record.kind == RecordKind::Message {
                let at = at as u32;
                found.messages.push(Sorted { queue, offset: record.offset, frame, at });
                return;
            }
            if record.kind == RecordKind::QueueOpen {
                match QueueOpenRecord::decode(&record.body()) {
                    Ok(open) => found.opened.entry(queue).or_default().push(open),
                    Err(source) => wrong = Some(BundleRefused::Content { lsn: *lsn, source }),
                }
            }
            found.operations.push((frame, at as u32));
        })?;
        wrong.map_or(Ok(()), Err)?;
    }
    found.messages.sort_unstable();
    Ok(found)
}

fn follows(
    found: &Found,
    before: Option<(QueueUid, QueueOffset)>,
    record: &Record,
    opened_at: impl FnOnce() -> Option<QueueOffset>,
) -> Result<Follows, BundleRefused> {
    let (queue, offset) = (record.queue, record.offset);
    let opened =
        || found.opened.get(&queue).is_some_and(|all| all.iter().any(|open| open.next == offset));
    match before.filter(|(known, _)| *known == queue) {
        Some((_, last)) if offset.since(last) == 1 => Ok(Follows::Directly),
        Some(_) if opened() => Ok(Follows::AfterGap),
        Some(_) => Err(BundleRefused::Gap { queue, offset }),
        None if offset == QueueOffset(0) => Ok(Follows::Directly),
        None if opened() || opened_at() == Some(offset) => Ok(Follows::AfterGap),
        None => Ok(Follows::Directly),
    }
}

fn record_at(range: &Range, frame: u32, at: u32) -> Result<Record, BundleRefused> {
    let (lsn, payload) =
        range.frames.get(frame as usize).ok_or(BundleRefused::Damaged(range.from))?;
    Record::first_of(lsn.plus(at.into()), &payload.slice(at as usize..))
        .map_err(|source| BundleRefused::Content { lsn: *lsn, source })
}

#[cfg(test)]
mod tests;

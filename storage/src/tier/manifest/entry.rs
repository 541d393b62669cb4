//! A run entry: what the manifest knows of one object, for one placement group.
//!
//! In a page and in a delta an entry is a run of varints, each the difference to the entry before
//! (zigzag where it may be negative), so that it takes about 80 bytes:
//!
//! | field | |
//! |---|---|
//! | level u8, flags u8 | 0: a bundle; bit 1 has queues, 2 one queue, 4 bloom of all ones |
//! | first lsn, lsns | |
//! | id, nonce (4 bytes) | |
//! | session (xor) | bundle |
//! | epoch, window start, window length | run |
//! | object_len, bytes, messages | |
//! | max time, max − min | |
//! | first queue, last − first | if it has queues |
//! | first offset, last − first | if it has one queue |
//! | bloom, 32 bytes | unless all ones, or one queue |

use super::super::name::{ObjectId, ObjectName};
use crate::env::Timestamp;
use crate::format::object::{Tail, mix64};
use crate::format::take::{Take, put_varint, unzigzag, zigzag};
use crate::format::{Epoch, FormatError, Lsn, PgId, QueueOffset, QueueUid};
use std::time::Duration;

const HAS_QUEUES: u8 = 1;
const ONE_QUEUE: u8 = 2;
const BLOOM_FULL: u8 = 4;

/// 256 bits that say which queues an object may have. All ones: ask the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueBloom([u8; 32]);

impl QueueBloom {
    /// Bits set per queue.
    const HASHES: u32 = 3;
    /// With more bits than this it answers yes to most, and is kept as all ones.
    const BITS_MAX: u32 = 192;

    /// Of these queues.
    pub fn of(queues: impl Iterator<Item = QueueUid>) -> QueueBloom {
        let mut bloom = [0u8; 32];
        for queue in queues {
            bits(queue).for_each(|bit| bloom[bit / 8] |= 1 << (bit % 8));
        }
        let ones: u32 = bloom.iter().map(|byte| byte.count_ones()).sum();
        QueueBloom(if ones > QueueBloom::BITS_MAX { [0xff; 32] } else { bloom })
    }

    /// Whether a queue may be among them.
    pub fn has(&self, queue: QueueUid) -> bool {
        bits(queue).all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }
}

fn bits(queue: QueueUid) -> impl Iterator<Item = usize> {
    let hash = mix64(queue.0);
    (0..QueueBloom::HASHES).map(move |at| (hash >> (8 * at)) as usize & 0xff)
}

/// A time window: what retention drops at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Its first moment.
    pub start: Timestamp,
    /// How long.
    pub length: Duration,
}

impl Window {
    /// The window of this length that a moment lies in; windows are counted from 1970. A length of
    /// less than a millisecond is taken for one.
    pub fn of(moment: Timestamp, length: Duration) -> Window {
        let ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
        let start = Timestamp(moment.0 - moment.0 % ms);
        Window { start, length: Duration::from_millis(ms) }
    }

    /// The first moment after it.
    pub fn end(&self) -> Timestamp {
        self.start.plus(self.length)
    }

    /// Whether a moment lies in it.
    pub fn has(&self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end()
    }
}

/// Where an object comes from, and with that its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A bundle.
    Bundle {
        /// The incarnation of the gateway process that wrote it.
        session: u64,
    },
    /// A run.
    Run {
        /// 1 to 9.
        level: u8,
        /// In its name.
        epoch: Epoch,
        /// What its messages' store times lie in; those of a clock that went back may lie before.
        window: Window,
    },
}

/// Which queues an object has messages of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueSet {
    /// None: operations only.
    None,
    /// One, with its offsets.
    One {
        /// The queue.
        queue: QueueUid,
        /// Of its first message there.
        first: QueueOffset,
        /// Of its last message there.
        last: QueueOffset,
    },
    /// Several.
    Several {
        /// The least.
        first: QueueUid,
        /// The greatest.
        last: QueueUid,
        /// Which of those between.
        bloom: QueueBloom,
    },
}

impl QueueSet {
    /// Whether a queue may be among them.
    pub fn has(&self, wanted: QueueUid) -> bool {
        match self {
            QueueSet::None => false,
            QueueSet::One { queue, .. } => *queue == wanted,
            QueueSet::Several { first, last, bloom } => {
                *first <= wanted && wanted <= *last && bloom.has(wanted)
            }
        }
    }

    /// The least and the greatest.
    pub const fn range(&self) -> Option<(QueueUid, QueueUid)> {
        match self {
            QueueSet::None => None,
            QueueSet::One { queue, .. } => Some((*queue, *queue)),
            QueueSet::Several { first, last, .. } => Some((*first, *last)),
        }
    }
}

/// The order of entries, and what names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// First position.
    pub from: Lsn,
    /// The object.
    pub object: ObjectId,
}

/// One object, as far as it is one placement group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// What makes its name its own.
    pub object: ObjectId,
    /// The rest of its name.
    pub origin: Origin,
    /// First position: of a bundle's range, or of a run's first record.
    pub from: Lsn,
    /// After the last position.
    pub to: Lsn,
    /// Bytes of the object.
    pub object_len: u64,
    /// Bytes of the placement group's blocks in it.
    pub bytes: u64,
    /// Messages of the placement group in it.
    pub messages: u64,
    /// Least store time.
    pub min_time: Timestamp,
    /// Greatest store time.
    pub max_time: Timestamp,
    /// Queues.
    pub queues: QueueSet,
}

impl RunEntry {
    /// The entry for what a written object has of `pg`; `None` if it has nothing.
    pub fn of(tail: &Tail, pg: PgId, origin: Origin) -> Option<RunEntry> {
        let entry = tail.directory.of(pg)?;
        let mut blocks = tail.queues.blocks_of(pg).peekable();
        let first = blocks.peek().copied();
        let last = tail.queues.blocks_of(pg).last();
        let bytes = blocks.map(|block| block.span.len).sum::<u64>() + entry.operations_at.len;
        let queues = match (first, last) {
            (Some(first), Some(last)) if first.queue == last.queue => {
                QueueSet::One { queue: first.queue, first: first.first, last: last.last }
            }
            (Some(first), Some(last)) => {
                let all = tail.queues.blocks_of(pg).map(|block| block.queue);
                let bloom = QueueBloom::of(all);
                QueueSet::Several { first: first.queue, last: last.queue, bloom }
            }
            (None, _) | (_, None) => QueueSet::None,
        };
        // A bundle may hold nothing but dropped records.
        let is_empty = entry.min_time > entry.max_time;
        Some(RunEntry {
            object: ObjectId { id: tail.footer.id, nonce: tail.footer.nonce },
            origin,
            from: entry.from,
            to: entry.to,
            object_len: tail.footer.object_len,
            bytes,
            messages: entry.messages,
            min_time: if is_empty { Timestamp(0) } else { entry.min_time },
            max_time: entry.max_time,
            queues,
        })
    }

    /// Its place in the order.
    pub const fn key(&self) -> Key {
        Key { from: self.from, object: self.object }
    }

    /// 0: a bundle.
    pub const fn level(&self) -> u8 {
        match self.origin {
            Origin::Bundle { .. } => 0,
            Origin::Run { level, .. } => level,
        }
    }

    /// The object's name.
    pub const fn name(&self, pg: PgId) -> ObjectName {
        match self.origin {
            Origin::Bundle { session } => ObjectName::Bundle { session, id: self.object },
            Origin::Run { level, epoch, .. } => {
                ObjectName::Run { level, pg, epoch, id: self.object }
            }
        }
    }

    /// Whether the entry can be: ranges in order, a run with a level.
    fn is_sound(&self) -> bool {
        let offsets = match self.queues {
            QueueSet::One { first, last, .. } => first <= last,
            QueueSet::Several { first, last, .. } => first < last,
            QueueSet::None => self.messages == 0,
        };
        let level = match self.origin {
            Origin::Bundle { .. } => true,
            Origin::Run { level, window, .. } => {
                (1..=9).contains(&level) && !window.length.is_zero()
            }
        };
        offsets && level && self.from < self.to && self.min_time <= self.max_time
    }

    /// Writes it behind `before`.
    pub(super) fn put(&self, before: &RunEntry, out: &mut Vec<u8>) {
        let (queues, bloom) = match &self.queues {
            QueueSet::None => (0, None),
            QueueSet::One { .. } => (HAS_QUEUES + ONE_QUEUE, None),
            QueueSet::Several { bloom, .. } if bloom.0 == [0xff; 32] => {
                (HAS_QUEUES + BLOOM_FULL, None)
            }
            QueueSet::Several { bloom, .. } => (HAS_QUEUES, Some(bloom.0)),
        };
        out.extend_from_slice(&[self.level(), queues]);
        put_difference(out, self.from.0, before.from.0);
        put_varint(out, self.to.0 - self.from.0);
        put_difference(out, self.object.id, before.object.id);
        out.extend_from_slice(&self.object.nonce.to_le_bytes());
        match self.origin {
            Origin::Bundle { session } => put_varint(out, session ^ before.session()),
            Origin::Run { epoch, window, .. } => {
                let (known_epoch, known_window) = before.epoch_and_window();
                put_difference(out, epoch.0.into(), known_epoch.into());
                put_difference(out, window.start.0, known_window);
                put_varint(out, window.length.as_millis() as u64);
            }
        }
        for number in [self.object_len, self.bytes, self.messages] {
            put_varint(out, number);
        }
        put_difference(out, self.max_time.0, before.max_time.0);
        put_varint(out, self.max_time.0 - self.min_time.0);
        if let Some((first, last)) = self.queues.range() {
            let known = before.queues.range().map_or(0, |(first, _)| first.0);
            put_difference(out, first.0, known);
            if let QueueSet::One { first, last, .. } = self.queues {
                put_varint(out, first.0);
                put_varint(out, last.0 - first.0);
            } else {
                put_varint(out, last.0 - first.0);
            }
        }
        out.extend(bloom.into_iter().flatten());
    }

    const fn session(&self) -> u64 {
        match self.origin {
            Origin::Bundle { session } => session,
            Origin::Run { .. } => 0,
        }
    }

    const fn epoch_and_window(&self) -> (u32, u64) {
        match self.origin {
            Origin::Bundle { .. } => (0, 0),
            Origin::Run { epoch, window, .. } => (epoch.0, window.start.0),
        }
    }

    /// What comes before the first.
    pub(super) const fn nothing() -> RunEntry {
        RunEntry {
            object: ObjectId { id: 0, nonce: 0 },
            origin: Origin::Bundle { session: 0 },
            from: Lsn(0),
            to: Lsn(0),
            object_len: 0,
            bytes: 0,
            messages: 0,
            min_time: Timestamp(0),
            max_time: Timestamp(0),
            queues: QueueSet::None,
        }
    }

    /// Reads what [`RunEntry::put`] wrote behind `before`.
    pub(super) fn take(take: &mut Take<'_>, before: &RunEntry) -> Result<RunEntry, FormatError> {
        const NO: FormatError = FormatError::Contradiction;
        let (level, flags) = (take.u8()?, take.u8()?);
        let from = take_difference(take, before.from.0)?;
        let to = from.checked_add(take.varint()?).ok_or(NO)?;
        let id = take_difference(take, before.object.id)?;
        let object = ObjectId { id, nonce: take.u32()? };
        let origin = if level == 0 {
            Origin::Bundle { session: take.varint()? ^ before.session() }
        } else {
            let (known_epoch, known_window) = before.epoch_and_window();
            let epoch = take_difference(take, known_epoch.into())?;
            let epoch = Epoch(u32::try_from(epoch).map_err(|_| NO)?);
            let start = Timestamp(take_difference(take, known_window)?);
            let window = Window { start, length: Duration::from_millis(take.varint()?) };
            Origin::Run { level, epoch, window }
        };
        let (object_len, bytes, messages) = (take.varint()?, take.varint()?, take.varint()?);
        let max_time = take_difference(take, before.max_time.0)?;
        let min_time = max_time.checked_sub(take.varint()?).ok_or(NO)?;
        let queues = take_queues(take, flags, before)?;
        let entry = RunEntry {
            object,
            origin,
            from: Lsn(from),
            to: Lsn(to),
            object_len,
            bytes,
            messages,
            min_time: Timestamp(min_time),
            max_time: Timestamp(max_time),
            queues,
        };
        if entry.is_sound() { Ok(entry) } else { Err(NO) }
    }
}

fn take_queues(take: &mut Take<'_>, flags: u8, before: &RunEntry) -> Result<QueueSet, FormatError> {
    const NO: FormatError = FormatError::Contradiction;
    if flags == 0 {
        return Ok(QueueSet::None);
    }
    let known = before.queues.range().map_or(0, |(first, _)| first.0);
    let queue = take_difference(take, known)?;
    if flags == HAS_QUEUES + ONE_QUEUE {
        let first = take.varint()?;
        let last = first.checked_add(take.varint()?).ok_or(NO)?;
        let (first, last) = (QueueOffset(first), QueueOffset(last));
        return Ok(QueueSet::One { queue: QueueUid(queue), first, last });
    }
    let last = queue.checked_add(take.varint()?).ok_or(NO)?;
    let bloom = if flags == HAS_QUEUES + BLOOM_FULL {
        [0xff; 32]
    } else if flags == HAS_QUEUES {
        *take.bytes(32)?.first_chunk().ok_or(FormatError::Truncated)?
    } else {
        return Err(NO);
    };
    Ok(QueueSet::Several { first: QueueUid(queue), last: QueueUid(last), bloom: QueueBloom(bloom) })
}

pub(super) fn put_difference(out: &mut Vec<u8>, number: u64, before: u64) {
    put_varint(out, zigzag(number.wrapping_sub(before)));
}

pub(super) fn take_difference(take: &mut Take<'_>, before: u64) -> Result<u64, FormatError> {
    Ok(before.wrapping_add(unzigzag(take.varint()?)))
}

//! The record envelope.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | len u32 | the whole record, this envelope included |
//! | 4 | type u8, flags u8 | [`Kind`]; 0 |
//! | 6 | ext u16 | bytes of attributes |
//! | 8 | queue_uid u64 | 0: of no queue |
//! | 16 | queue_offset u64 | messages only, else 0 |
//! | 24 | attributes | store time u64 ms; for a message then filter u64 |
//! | 24 + ext | body | opaque |
//!
//! Records follow each other in a frame's payload without padding. The time is in each record,
//! because copies may frame the same bytes differently.

use super::take::Take;
use super::{FormatError, QueueOffset, QueueUid};
use crate::env::Timestamp;

/// Bytes before the attributes.
const ENVELOPE_BYTES: usize = 24;
/// Bytes of a message record that are not its body.
pub(crate) const MESSAGE_OVERHEAD: usize = ENVELOPE_BYTES + 16;
/// Bytes of any other record that are not its body.
pub(crate) const OPERATION_OVERHEAD: usize = ENVELOPE_BYTES + 8;

/// What a record of a placement group's log is. Only [`RecordKind::Message`] takes a queue offset
/// and is indexed. Ids are persisted and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A message in RocketMQ's stored encoding.
    Message = 1,
    /// Several messages under one header.
    Batch = 2,
    /// Messages handed to a consumer for a while.
    Pop = 3,
    /// Messages done with.
    Ack = 4,
    /// A delivery's invisible time changed.
    ChangeInvisible = 5,
    /// A consumer group's position in a queue.
    Offset = 6,
    /// Deliveries whose invisible time ran out.
    Revive = 7,
    /// A message given up and moved to the dead-letter queue.
    DeadLetter = 8,
    /// A half message.
    HalfMessage = 9,
    /// The decision about a half message.
    TransactionEnd = 10,
    /// A timed message.
    TimerPut = 11,
    /// A timed message that became due.
    TimerFire = 12,
    /// A timed message taken back.
    TimerCancel = 13,
    /// Where a queue's offsets go on; written by the log itself.
    QueueOpen = 14,
    /// Where a snapshot of state is.
    SnapshotRef = 18,
}

impl RecordKind {
    /// The kind with this id.
    pub const fn from_id(id: u8) -> Option<RecordKind> {
        Some(match id {
            1 => RecordKind::Message,
            2 => RecordKind::Batch,
            3 => RecordKind::Pop,
            4 => RecordKind::Ack,
            5 => RecordKind::ChangeInvisible,
            6 => RecordKind::Offset,
            7 => RecordKind::Revive,
            8 => RecordKind::DeadLetter,
            9 => RecordKind::HalfMessage,
            10 => RecordKind::TransactionEnd,
            11 => RecordKind::TimerPut,
            12 => RecordKind::TimerFire,
            13 => RecordKind::TimerCancel,
            14 => RecordKind::QueueOpen,
            18 => RecordKind::SnapshotRef,
            _ => return None,
        })
    }
}

/// What a record of the store itself is; it lies in a frame of its own, outside all logs. Shares
/// the ids of [`RecordKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum JournalKind {
    /// A copy took another label.
    Join = 15,
    /// A copy was fenced.
    Seal = 16,
    /// Nothing; its frame says how far the journal was synced.
    Noop = 19,
    /// A copy's state in full, so that older records of the store may be recycled.
    Restate = 20,
    /// Queues that are gone.
    Forget = 21,
    /// The writer went on to another segment.
    SegmentEnd = 22,
    /// The store was closed and everything before is synced.
    Close = 23,
}

impl JournalKind {
    /// Whether it is about the copy of a placement group.
    pub(crate) const fn is_of_a_copy(self) -> bool {
        match self {
            JournalKind::Join | JournalKind::Seal | JournalKind::Restate | JournalKind::Forget => {
                true
            }
            JournalKind::Noop | JournalKind::SegmentEnd | JournalKind::Close => false,
        }
    }
}

/// Either of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Record(RecordKind),
    Journal(JournalKind),
}

impl Kind {
    fn id(self) -> u8 {
        match self {
            Kind::Record(kind) => kind as u8,
            Kind::Journal(kind) => kind as u8,
        }
    }

    fn from_id(id: u8) -> Option<Kind> {
        let journal = match id {
            15 => JournalKind::Join,
            16 => JournalKind::Seal,
            19 => JournalKind::Noop,
            20 => JournalKind::Restate,
            21 => JournalKind::Forget,
            22 => JournalKind::SegmentEnd,
            23 => JournalKind::Close,
            _ => return RecordKind::from_id(id).map(Kind::Record),
        };
        Some(Kind::Journal(journal))
    }

    /// Bytes of attributes that records of this kind carry.
    const fn attribute_bytes(self) -> u16 {
        match self {
            Kind::Record(RecordKind::Message) => 16,
            Kind::Record(_) | Kind::Journal(_) => 8,
        }
    }
}

/// What the store itself knows of a record beside its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) time: Timestamp,
    /// 0 unless a message.
    pub(crate) filter: u64,
}

/// All of a record but its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) kind: Kind,
    pub(crate) queue: QueueUid,
    pub(crate) offset: QueueOffset,
    pub(crate) attributes: Attributes,
    pub(crate) body_len: u32,
}

impl Envelope {
    /// Bytes before the body.
    pub(crate) const fn head_len(&self) -> u32 {
        ENVELOPE_BYTES as u32 + self.kind.attribute_bytes() as u32
    }

    /// Bytes of the whole record.
    pub(crate) const fn record_len(&self) -> u32 {
        self.head_len() + self.body_len
    }

    /// The bytes before the body: the first [`Envelope::head_len`] of the array.
    pub(crate) fn encode(&self) -> [u8; MESSAGE_OVERHEAD] {
        let mut out = [0; MESSAGE_OVERHEAD];
        out[0..4].copy_from_slice(&self.record_len().to_le_bytes());
        out[4] = self.kind.id();
        out[6..8].copy_from_slice(&self.kind.attribute_bytes().to_le_bytes());
        out[8..16].copy_from_slice(&self.queue.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.offset.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.attributes.time.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.attributes.filter.to_le_bytes());
        out
    }

    /// Reads the envelope at the front of `bytes`, which must hold the whole record.
    ///
    /// # Errors
    /// When it does not, or when the kind is not known.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Envelope, FormatError> {
        let mut take = Take(bytes);
        let len = take.u32()?;
        let id = take.u8()?;
        take.u8()?;
        let ext = take.u16()?;
        let queue = QueueUid(take.u64()?);
        let offset = QueueOffset(take.u64()?);
        let kind = Kind::from_id(id).ok_or(FormatError::Kind(id))?;
        if ext != kind.attribute_bytes() {
            return Err(FormatError::Length);
        }
        let mut attributes = Attributes { time: Timestamp(take.u64()?), filter: 0 };
        if ext == 16 {
            attributes.filter = take.u64()?;
        }
        let head_len = ENVELOPE_BYTES as u32 + u32::from(ext);
        let body_len = len.checked_sub(head_len).ok_or(FormatError::Length)?;
        take.bytes(body_len as usize)?;
        Ok(Envelope { kind, queue, offset, attributes, body_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes_of_a_message() {
        let envelope = Envelope {
            kind: Kind::Record(RecordKind::Message),
            queue: QueueUid(0x11),
            offset: QueueOffset(0x22),
            attributes: Attributes { time: Timestamp(0x33), filter: 0x44 },
            body_len: 2,
        };
        let hex: String = envelope.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "2a0000000100100011000000000000002200000000000000\
             33000000000000004400000000000000"
        );
    }

    #[test]
    fn ids_are_those_that_were_given_out() {
        for id in 0..=u8::MAX {
            let Some(kind) = Kind::from_id(id) else { continue };
            assert_eq!(kind.id(), id);
        }
        let known = (0..=u8::MAX).filter(|id| Kind::from_id(*id).is_some());
        assert_eq!(
            known.collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23]
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            id in 1..24u8, queue: u64, offset: u64, time: u64, filter: u64,
            body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let Some(kind) = Kind::from_id(id) else { return Ok(()) };
            let message = kind == Kind::Record(RecordKind::Message);
            let envelope = Envelope {
                kind, queue: QueueUid(queue), offset: QueueOffset(offset),
                attributes: Attributes { time: Timestamp(time), filter: if message { filter } else { 0 } },
                body_len: body.len() as u32,
            };
            let mut bytes = envelope.encode()[..envelope.head_len() as usize].to_vec();
            bytes.extend_from_slice(&body);
            prop_assert_eq!(Envelope::decode(&bytes), Ok(envelope));
            bytes.pop();
            prop_assert_eq!(Envelope::decode(&bytes), Err(FormatError::Truncated));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Envelope::decode(&bytes);
        }
    }
}

//! What is handed to the writer.
use crate::format::{MESSAGE_OVERHEAD, OPERATION_OVERHEAD, QueueUid, RecordKind};
use bytes::Bytes;

/// A record that has no place yet. Its body is `head`, `body` and `tail` one after the other; each
/// is copied once, into the journal.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it is. [`RecordKind::QueueOpen`] is the log's own and is refused.
    pub kind: RecordKind,
    /// The queue that it belongs to and is forgotten with; 0: none.
    pub queue: QueueUid,
    /// Opaque (a hash of the message's tag); indexed with a message, ignored otherwise.
    pub filter: u64,
    /// First bytes; the only ones that may have holes.
    pub head: Vec<u8>,
    /// Middle bytes.
    pub body: Bytes,
    /// Last bytes.
    pub tail: Bytes,
    /// Where `head` has holes.
    pub patch: Patch,
}

impl Draft {
    /// Bytes that the record takes in the log.
    pub(crate) fn record_len(&self) -> u64 {
        let overhead = match self.kind {
            RecordKind::Message => MESSAGE_OVERHEAD,
            RecordKind::Batch
            | RecordKind::Pop
            | RecordKind::Ack
            | RecordKind::ChangeInvisible
            | RecordKind::Offset
            | RecordKind::Revive
            | RecordKind::DeadLetter
            | RecordKind::HalfMessage
            | RecordKind::TransactionEnd
            | RecordKind::TimerPut
            | RecordKind::TimerFire
            | RecordKind::TimerCancel
            | RecordKind::QueueOpen
            | RecordKind::SnapshotRef => OPERATION_OVERHEAD,
        };
        (overhead + self.body_len()) as u64
    }

    /// Bytes of the body.
    pub(crate) fn body_len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }
}

/// Positions in `head` of 8-byte big-endian holes that the log fills when it gives the record its
/// place. A hole that does not lie within `head` is not filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The queue offset.
    pub offset_at: Option<u32>,
    /// The record's lsn.
    pub lsn_at: Option<u32>,
    /// The store time, ms.
    pub time_at: Option<u32>,
}

/// How an append stands when room gets short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Refused first.
    Message,
    /// May use the last part of the journal: acks, transaction ends, whatever lets consumers drain.
    Reserve,
}

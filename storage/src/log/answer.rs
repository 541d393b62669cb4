//! What a log answers.
use crate::env::Timestamp;
use crate::format::{Lsn, QueueOffset, QueueOpenRecord, QueueUid, RecordKind};
use crate::tier::Frame;
use bytes::Bytes;

/// Where an append will be. It counts once the watermark of its level reaches `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the first record.
    pub first: Lsn,
    /// Position after the last.
    pub end: Lsn,
    /// Store time of all of them; never goes back within a log.
    pub time: Timestamp,
    /// One for each draft, in order.
    pub places: Vec<Place>,
}

/// Where a record will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position in the log.
    pub lsn: Lsn,
    /// Position in the queue; messages only.
    pub offset: Option<QueueOffset>,
}

/// Why an append was refused. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The journal is full for this class: delete topics, or give it more room.
    #[error("the journal is full: {used} of {capacity} bytes are in use")]
    Full {
        /// Bytes in use.
        used: u64,
        /// Bytes that the journal may take.
        capacity: u64,
    },
    /// The queue indexes of the store take what memory they may: delete topics, or open the store
    /// with more. Only messages are refused.
    #[error("the queue index is full: {used} of {limit} bytes of memory are in use")]
    IndexFull {
        /// Bytes in use.
        used: u64,
        /// Bytes that the indexes may take.
        limit: u64,
    },
    /// The disk has no room for the next segment; the store looks again each second.
    #[error("the disk has no room for the next journal segment")]
    DiskFull,
    /// The disk does not keep up with what is appended: try again soon.
    #[error("the journal is busy: appends outrun the disk")]
    Busy,
    /// The records together are larger than one atomic group may be.
    #[error("{bytes} bytes do not fit in one atomic group of {limit} bytes")]
    TooLarge {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The store is closed or poisoned.
    #[error("the store is closed")]
    Closed,
    /// Another epoch of the placement group began, or was asked for.
    #[error("this epoch of the placement group is over")]
    Fenced,
    /// A message for a queue that was not opened, or was forgotten.
    #[error("queue {0} is not open")]
    UnknownQueue(QueueUid),
    /// A record kind that only the log itself writes.
    #[error("records of kind {0:?} are the log's own")]
    ReservedKind(RecordKind),
}

/// A queue's extent, as far as it is local: what was trimmed may well be in the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest message held here; `next` if none is. Where the queue begins says the manifest.
    pub first: QueueOffset,
    /// After the newest message that its level's watermark has reached, be it held here or not.
    pub visible_end: QueueOffset,
    /// The offset that the next message gets.
    pub next: QueueOffset,
    /// Bytes of the messages held here, as records.
    pub bytes: u64,
}

/// Where a queue goes on, as what lies in the bucket says; see [`super::Log::restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEnd {
    /// The queue.
    pub queue: QueueUid,
    /// After its newest message there.
    pub next: QueueOffset,
    /// Its newest Q_OPEN record there.
    pub opened: Option<QueueOpenRecord>,
}

/// A piece of a log as it goes to the bucket; see [`super::Log::committed`].
#[derive(Clone, Debug)]
pub enum Piece {
    /// Records. The payload is a slice of the journal: a segment that was given up is not used
    /// again before the last slice of it is dropped.
    Frame(Frame),
    /// Up to `to` only forgotten queues had records, and their frames are no more.
    Hole {
        /// Where the log goes on.
        to: Lsn,
        /// Its chain there.
        chain: u32,
    },
}

impl Piece {
    /// The log's chain where it ends.
    pub fn chain(&self) -> u32 {
        match self {
            Piece::Frame(frame) => frame.chain,
            Piece::Hole { chain, .. } => *chain,
        }
    }

    /// Where it ends.
    pub fn end(&self) -> Lsn {
        match self {
            Piece::Frame(frame) => frame.lsn.plus(frame.payload.len() as u64),
            Piece::Hole { to, .. } => *to,
        }
    }
}

/// A message in the queue index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the queue.
    pub offset: QueueOffset,
    /// Position in the log: what to read it by.
    pub lsn: Lsn,
    /// Bytes of its body.
    pub len: u32,
    /// As in its draft.
    pub filter: u64,
    /// Store time.
    pub time: Timestamp,
}

/// A record, as a slice of the journal. Holding it keeps a whole segment from being recycled: let
/// it go soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// What it is.
    pub kind: RecordKind,
    /// Whose it is; 0: of no queue.
    pub queue: QueueUid,
    /// Position in the queue; 0 unless a message.
    pub offset: QueueOffset,
    /// Position in the log.
    pub lsn: Lsn,
    /// Store time.
    pub time: Timestamp,
    /// As in its draft; 0 unless a message.
    pub filter: u64,
    /// Head, body and tail of its draft, holes filled.
    pub body: Bytes,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not written yet, or never.
    #[error("nothing is written at {0} yet")]
    NotYet(Lsn),
    /// Not held here any more: trimmed, and then the bucket has it; or freed with the queues that
    /// had records around it.
    #[error("what was at {0} is gone")]
    Gone(Lsn),
    /// The position is not that of a record.
    #[error("no record begins at {0}")]
    NotARecord(Lsn),
}

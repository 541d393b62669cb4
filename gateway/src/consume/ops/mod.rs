//! What the consumption machine writes into its placement group's log: one operation is the payload
//! of one record, the queue stands in the record's envelope, and the record's lsn is the
//! operation's name.
//!
//! Numbers are LEB128 (`n`), times are milliseconds, offsets within a list ascend and are written
//! as the distance from the end of the one before. `spans` is `n {gap n, count n}`, `runs` is
//! `n {gap n, count n, attempt n}`:
//!
//! | record | payload, version 1 |
//! |---|---|
//! | OP_POP | `1u8, group n, next n, visible_at n, leased u8 [until n, client text], runs` |
//! | OP_ACK | `1u8, group n, spans` |
//! | OP_CHANGE_INVISIBLE | `1u8, group n, visible_at n, mode u8, spans` |
//! | OP_OFFSET | `1u8, group n, next n`, and a last `1u8` where it is a reset |
//! | OP_DLQ | `1u8, group n, offset n, attempt n` |
//!
//! A decoder is total: any bytes give an operation or [`OpMalformed`], and never more than
//! [`OFFSETS_PER_OP_MAX`] offsets.
mod codec;
mod spans;
#[cfg(test)]
mod tests;

pub use codec::OpMalformed;
pub use spans::{Span, Spans};

use super::GroupUid;
use crate::group::ClientId;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// The most offsets that one operation names; the cap on what a group holds of a queue in flight is
/// not above it.
pub const OFFSETS_PER_OP_MAX: u64 = 10_000;

/// One step of the machine, for one group and one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Whose progress moves.
    pub group: GroupUid,
    /// The queue, which the record's envelope names.
    pub queue: QueueUid,
    /// What happens.
    pub step: Step,
}

/// What happens to a group's progress on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Messages are handed out.
    Pop(Pop),
    /// Messages in flight are done with.
    Ack(Spans),
    /// Messages in flight become visible at another time.
    Change(Change),
    /// The cursor moves without a delivery: the first position of a group, or messages that its
    /// filter does not want.
    Offset(QueueOffset),
    /// The cursor is put there, forwards or back, and everything in flight is let go: handles of
    /// deliveries before are void.
    Reset(QueueOffset),
    /// A message in flight is given up; its copy for the dead-letter queue is the next record of
    /// the same frame.
    DeadLetter {
        /// The message.
        offset: QueueOffset,
        /// How often it was delivered.
        attempt: u32,
    },
}

/// A hand-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pop {
    /// The cursor afterwards: nothing from here on was ever looked at.
    pub next: QueueOffset,
    /// When the messages may be handed out again.
    pub visible_at: Timestamp,
    /// Set where the gateway keeps prolonging on the client's behalf.
    pub lease: Option<Lease>,
    /// What is handed out, ascending.
    pub runs: Vec<Run>,
}

/// Prolongation on behalf of a client that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose life prolongs.
    pub client: ClientId,
    /// No prolongation is begun after this time.
    pub until: Timestamp,
}

/// Neighbouring messages handed out for the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The messages.
    pub span: Span,
    /// 1 at first delivery.
    pub attempt: u32,
}

/// Another visible time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When the messages may be handed out again.
    pub visible_at: Timestamp,
    /// What it means for the next delivery.
    pub mode: ChangeMode,
    /// The messages, all in flight.
    pub spans: Spans,
}

/// What a change of visible time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeMode {
    /// The next delivery counts as another attempt; prolongation ends.
    Counts,
    /// The next delivery is the same attempt, as if this one had not been; prolongation ends.
    Suspends,
    /// The gateway prolongs and goes on doing so.
    Renews,
}

/// The kind of record that carries a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// OP_POP.
    Pop,
    /// OP_ACK.
    Ack,
    /// OP_CHANGE_INVISIBLE.
    Change,
    /// OP_OFFSET.
    Offset,
    /// OP_DLQ.
    DeadLetter,
}

impl Op {
    /// The kind of record that carries it.
    pub fn kind(&self) -> OpKind {
        match self.step {
            Step::Pop(_) => OpKind::Pop,
            Step::Ack(_) => OpKind::Ack,
            Step::Change(_) => OpKind::Change,
            Step::Offset(_) | Step::Reset(_) => OpKind::Offset,
            Step::DeadLetter { .. } => OpKind::DeadLetter,
        }
    }
}

//! A placement group's log as its owner sees it: places for records, queues over them, reads.
//!
//! An append gets its places (lsn, queue offsets, time) at once, under the log's lock, and goes to
//! the journal's writer in that order. The index of each queue is in memory and derived from the
//! log alone. What is visible of a queue is decided by the watermark of its level, at the moment of
//! the question: there is no second structure that could lag or run ahead.
//!
//! What is in the bucket may be trimmed: the log then begins later, and whoever asks for what was
//! before is told that it is gone from here. Where queues go on is not forgotten with it; after a
//! restart the owner says it, out of what it committed.
mod answer;
#[cfg(test)]
mod crash;
mod handle;
mod index;
mod queue;
mod state;
mod tiered;

pub use answer::{Appended, Bounds, Entry, Piece, Place, QueueEnd, ReadError, RecordView, Refused};
pub use handle::Log;

//! A placement group's log as its owner sees it: places for records, queues over them, reads.
//!
//! An append gets its places (lsn, queue offsets, time) at once, under the log's lock, and goes to
//! the journal's writer in that order. The index of each queue is in memory and derived from the
//! log alone. What is visible of a queue is decided by the watermark of its level, at the moment of
//! the question: there is no second structure that could lag or run ahead.
mod answer;
#[cfg(test)]
mod crash;
mod handle;
mod index;
mod state;

pub use answer::{Appended, Bounds, Entry, Place, ReadError, RecordView, Refused};
pub use handle::Log;

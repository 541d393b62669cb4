//! The merge: blocks of one placement group out of several objects become runs, sorted by (queue,
//! offset), of one time window each.
//!
//! ```text
//! for each window, from the earliest:
//!   for each queue, ascending:        small: into the window's shared run
//!     for each of its blocks in it:   large: into a run of its own
//! then the operations that replay may need: into a run of their own
//! ```
//!
//! [`Merge::step`] says what to read or to upload next; memory holds a block, the block list of
//! one queue, two half-written blocks and the indexes of two outputs, whatever the inputs have.
//!
//! INV-MERGE-1: blocks of a queue follow each other over all inputs: offsets grow by one, but for
//! gaps that a block names, for queues that were compacted by key, and before a queue's start.
//! INV-MERGE-2: messages in = messages out + left out by rule; and the sums of
//! [`crate::format::object::Record::check`] likewise. Everything is counted in 64 bits.
//! INV-MERGE-3: within a window a queue is in one run, or in runs of its own that follow each other;
//! and windows follow each other in the log, too. So INV-MAN-4 holds for what comes out.
mod operations;
mod output;
mod plan;
mod state;

pub use output::Output;
pub use plan::{MergeRefused, MergeRules, MergeSettings, Treatment};
pub use state::{Merge, MergeStep, MergeTotals};

#[cfg(test)]
mod tests;

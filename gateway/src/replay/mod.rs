//! Replay: a time range of a topic, written again into another topic or to one group.
//!
//! ```text
//!   front ── create, pause, resume, cancel ──► job record ◄── checkpoint, once a second ──┐
//!                                                  │ follow                               │
//!                                               runner ── Source: range, read ──► Replay (state)
//!                                                  └────── Produce: write ◄─── batches ───┘
//! ```
//!
//! A job is a record in the metadata store ([`metadata::model::Job`]). What is asked of it is a change of the record,
//! by whichever gateway is asked; the one gateway that the record names runs it, and sees there what it is told. Dead
//! letters are put back in the same way: their source is the group's dead-letter topic.
//!
//! What always holds:
//! - INV-REPLAY-1: a message is written before its offset is recorded. Whoever goes on from the record misses nothing
//!   of the range, and writes twice at most what one checkpoint covers; each copy says what it is a copy of.
//! - INV-REPLAY-2: what was in one queue goes into one queue, in its order.
//! - INV-REPLAY-3: the range ends before the job was made, so that a job never reads what it wrote.
//! - INV-REPLAY-4: only the process that the record names writes its progress.
//!
//! What is deliberately not here: the order of messages of different queues is that of their store times only as far as
//! what may be held in memory allows.
mod archive;
mod copy;
mod course;
mod estimate;
mod outlook;
mod pace;
mod refused;
mod run;
mod service;
mod source;
mod state;
mod target;
#[cfg(test)]
mod tests;

pub use archive::Archive;
pub use estimate::{Estimate, Prices};
pub use outlook::Outlook;
pub use refused::ReplayRefused;
pub use service::{Parts, Replays};
pub use source::{Future, Measured, Page, Reading, Source, SourceMessage, SourceRefused};

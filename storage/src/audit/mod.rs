//! The audit of a bucket: whether every object that records refer to is there, is what was written,
//! and says what the manifest says of it; and whether log and queues go on from one to the next.
//!
//! ```text
//! record ──► root, pages, deltas ──► entries, in order of the log
//!                                      │ several at once: tail, and front to back all bytes
//!                                      ▼
//!                     one after the other: log continuity, queue continuity
//! proof/ ──► what was committed, with digests ──► compared with both
//! ```
//!
//! It reads and never writes, and may run beside a broker: where an object is gone, the record is
//! read again, and only what the newest record refers to counts (design/replication.md G4).
//!
//! Memory: the entries of one placement group, a few objects' tails and a chunk of each, an
//! offset per queue, and the findings, which are bounded.
//!
//! Deliberately absent: repair. Nothing here decides that something may go.
mod contents;
mod continuity;
mod finding;
mod front;
mod keys;
mod manifest;
mod object;
mod pg;
mod proof;
mod run;
mod tail;

pub use finding::{Affected, FINDINGS_MAX, Fault, Finding, Report, Severity, Totals};
pub use run::{AuditSettings, Authority, Progress, Read, Records, Subject, audit};
pub use tail::{Damage, Part, Unreadable, tail_of};

#[cfg(test)]
mod tests;

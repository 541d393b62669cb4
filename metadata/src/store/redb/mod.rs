//! The embedded backend: one redb file, one process, one thread.
//!
//! ```text
//!   callers ── bounded queue of jobs ──► thread: drain ─ one redb transaction ─ commit ─ answer all
//!   watches ◄── present revision ───────┘           (jobs that wait during a commit share the next)
//!      └──── "changes since r" is a job like others, answered from the history table
//! ```
//!
//! Every access to the file is on that thread, so a read sees what was answered before it, and no runtime worker ever
//! waits for the disk. `batch` is what a job may do, without a thread and without a clock; `service` drives it.
//! A redb error stops the store for good: what a failed commit left is only known after opening again.
mod batch;
mod service;
mod table;
#[cfg(test)]
mod tests;
mod watch;

pub use service::{RedbConfig, RedbStore};

//! The collector: deletes from the bucket what no record references and none ever will. Decides
//! nothing itself: the rules are [`crate::tier::collect`].
//!
//! ```text
//! Sweep: l0 ─► l1 … l9 ─► manifest ─► snapshot        a page of names a step, resumable by name
//!   LIST ─► young, foreign, locked: stay
//!        ─► the owner's word ─► linearizable read ─► manifest ─► judge ─► DELETE in one request
//! ```
//!
//! The order matters: an owner's word is taken before its record is read, so that what the record
//! does not reference then was dropped, or never committed.
//!
//! Other folders of the bucket, and what has no name of ours, are left alone.
mod service;
mod sweep;

pub use service::{CollectSettings, Collector, RecordView, Records, Swept};
pub use sweep::Sweep;

#[cfg(test)]
mod tests;

//! The catalog: everything in the metadata store, at hand.
//!
//! ```text
//!   readers ──► snapshot (immutable, swapped whole) ◄── follower: list, then watch
//!   writers ──► compare-and-swap on the store ──► wait until the snapshot shows it
//! ```
//!
//! - A read takes no lock and never waits. What it shows is one revision of the store, perhaps not the last one.
//! - A write is decided on what the store holds, never on the snapshot; its caller finds it in the snapshot afterwards.
//! - A record that cannot be read never makes what it was disappear: the snapshot keeps the old one.
mod clones;
mod commit;
mod error;
mod follow;
mod gateways;
mod groups;
mod handle;
mod jobs;
mod known;
mod names;
mod numbers;
mod pgs;
mod snapshot;
mod start;
mod swap;
#[cfg(test)]
mod tests;
mod topics;
mod uids;

pub use commit::{Commit, NotCommitted};
pub use error::CatalogError;
pub use gateways::Registration;
pub use handle::Catalog;
pub use jobs::{JOBS_MAX, JOBS_RUNNING_MAX};
pub use pgs::WriteOutcome;
pub use start::ClusterSpec;
pub use topics::TopicChange;

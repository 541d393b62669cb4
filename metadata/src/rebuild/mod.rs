//! Metadata made anew from the bucket alone, when the metadata store is lost.
//!
//! ```text
//!   while all is well    keep_catalog, keep_pg      copies into the bucket, advice and never authority
//!   after the disaster   gather                     names, newest copies, directories of bundles
//!                        plan                       what the new store is to hold; pure
//!                        write                      into a new file, which gets its name last
//! ```
//!
//! What comes back: topics and groups of the newest copy of the catalog; of each placement group everything up to the
//! newest copy of its record, and what bundles say beyond it ([`storage::tier::rebuild`]). What does not: what was in
//! no bundle, topics and groups made after the newest copy, and the secret of receipt handles.
//!
//! INV-REBUILD-2: nothing is given out again: epochs, uids, ids of objects and revisions of the new store are above all
//! that the bucket shows, with room for what it does not show.
//! INV-REBUILD-3: a rebuilt record names no store, and begins where the bucket ends (`base` = `tiered`). So whoever
//! takes over needs no seal, and joins an empty journal at `tiered` (replication.md §6, with Qr = 0).
mod gather;
mod keep;
mod plan;
#[cfg(test)]
mod tests;
mod write;

pub use gather::{Gathered, Progress, Source, Unread, gather, newest_catalog, newest_copies};
pub use keep::{KeepError, drop_outdated, keep_catalog, keep_pg};
pub use plan::{EPOCHS_APART, Plan, RebuiltPg, UIDS_APART, plan};
pub use write::{rebuild_at, write};

use crate::dump::DumpRefused;

/// Why metadata cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// There is no copy of the catalog that can be read: without it nobody knows the topics.
    #[error(
        "the bucket has no readable copy of the catalog ({found} there): is this the right prefix?"
    )]
    NoCatalog {
        /// How many copies there are that cannot be read.
        found: usize,
    },
    /// The copy of the catalog cannot be used.
    #[error("the copy of the catalog cannot be used")]
    Dump(#[from] DumpRefused),
    /// The bucket.
    #[error("the bucket")]
    Bucket(#[from] storage::object::Error),
    /// The metadata store.
    #[error("the new metadata store")]
    Metadata(#[from] crate::Error),
    /// There are metadata already.
    #[error("{0} is there already: metadata are rebuilt into an empty place only")]
    NotEmpty(String),
    /// The file.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

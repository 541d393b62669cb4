//! Merging and folding what is in the bucket, and letting go of it: what `tier` decides is done
//! here, against the store. Nothing here commits: each operation ends with objects that nothing
//! refers to yet, and with the changes that its caller is to commit. So a failure, a dropped future
//! or a process that dies leaves only what the collector deletes.
//!
//! ```text
//! plan ──► Compactor::merge ──► Merged::changes ──► the owner commits
//!            tails, blocks read ahead, runs uploaded while they are written
//! survey, plan_reclaim ──► Compactor::merge, of what is half for nobody
//! must_fold ──► fold_manifest ──► the owner commits the new root's name
//! expired ──► let_go ──► the owner commits removals and starts
//! plan_summaries ──► Compactor::summarise ──► the owner commits the summary
//! ```
//!
//! Memory of one merge: [`TAILS_BYTES_MAX`] of tails, [`READ_BYTES`] read ahead, two parts that are
//! being uploaded, and the keys of queues that are compacted by key. All bytes go through one
//! [`ByteBudget`], so that compaction stays out of the way. A merge computes for some milliseconds
//! between two requests: run it on a runtime that serves nobody.
mod budget;
mod by_key;
mod error;
mod fetch;
mod fold;
mod merge;
mod reader;
mod retain;
mod summarise;
mod survey;

pub use budget::ByteBudget;
pub use error::CompactError;
pub use fetch::{Manifest, directory_of, entries_of, manifest_of, tail_of};
pub(crate) use fetch::{name_of, page_of};
pub use fold::{FoldRequest, FoldedManifest, fold_manifest};
pub use merge::{
    Compactor, KEYS_MAX, MergeRequest, Merged, READ_BYTES, TAILS_BYTES_MAX, WrittenRun,
};
pub use retain::{Aged, LetGo, let_go, starts_by_size, starts_by_time};
pub use summarise::runs_in;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;

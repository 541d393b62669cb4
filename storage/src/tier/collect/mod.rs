//! Which objects of the bucket may be deleted (design/replication.md §7): pure.
//!
//! INV-COLLECT-1: what a record references, by its root, its pages, its deltas or as its snapshot, is
//! never deleted.
//! INV-COLLECT-2: what is not referenced is deleted only when no record will ever come to reference
//! it. That is shown, never assumed from time:
//!
//! - the record's epoch is past that of the object (G1, G2): commits of the past fail;
//! - a bundle's range begins before the record's `tiered`: a commit names a range that begins
//!   there, and `tiered` only grows, so one that names this bundle fails or was made (G3, G4);
//! - the owner of the epoch says that it names the object in no request, and the record was read after
//!   it said so (G3).
//!
//! The grace period comes on top, for readers that follow an older manifest.
mod state;

pub use state::{Judged, Keep, References, Word, judge_bundle, judge_named};

#[cfg(test)]
mod tests;

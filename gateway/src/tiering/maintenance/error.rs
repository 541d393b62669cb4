//! Why a placement group's turn came to nothing.

use super::super::ledger::LedgerRefused;
use storage::compact::CompactError;
use storage::tier::manifest::ReplaceRefused;

/// Nothing is lost by it: the turn comes again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The bucket, or what lies in it.
    #[error("the bucket is not kept in shape")]
    Bucket(#[from] CompactError),
    /// A merge does not fit the manifest as it is by now.
    #[error("a merge is not taken")]
    Unfit(#[from] ReplaceRefused),
    /// The change was not committed.
    #[error("a change of the manifest is not committed")]
    Commit(#[from] LedgerRefused),
    /// What was made cannot be locked, as messages in it are to be.
    #[error("an object of a merge is not locked: {0}")]
    Lock(String),
    /// No ids for objects.
    #[error("no ids for objects")]
    Ids(#[from] metadata::Error),
}

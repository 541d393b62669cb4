//! Why nothing came of it.

use crate::format::FormatError;
use crate::object::{Advice, Error as StoreError};
use crate::tier::manifest::{DeltaRefused, FoldRefused};
use crate::tier::merge::MergeRefused;
use crate::tier::{ObjectName, SummaryRefused};

/// Why a merge, a fold or a sweep was given up. Nothing was committed, and nothing that is
/// referenced was changed.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The store did not do what was asked.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// An object is not what was written: read it from elsewhere, and do not compact it away.
    #[error("object {object} is damaged")]
    Damaged {
        /// Which.
        object: ObjectName,
        /// What is wrong.
        source: FormatError,
    },
    /// The inputs do not fit together, or what came out is not what went in.
    #[error("the merge was given up")]
    Merge(#[from] MergeRefused),
    /// The runs cannot be summarised.
    #[error("the key summary was given up")]
    Summary(#[from] SummaryRefused),
    /// Deltas are not those of this root: let nobody commit.
    #[error("the deltas do not follow the root")]
    Delta(#[from] DeltaRefused),
    /// The manifest and its deltas do not belong together.
    #[error("the fold was given up")]
    Fold(#[from] FoldRefused),
}

impl CompactError {
    /// What to do now.
    pub fn advice(&self) -> Advice {
        match self {
            // Of what is missing a later record knows: another compaction was faster.
            CompactError::Store(error) => error.advice(),
            CompactError::Damaged { .. }
            | CompactError::Merge(_)
            | CompactError::Summary(_)
            | CompactError::Delta(_)
            | CompactError::Fold(_) => Advice::Stop,
        }
    }
}

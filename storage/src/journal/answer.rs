//! What a store answers about a placement group's copy (design/replication.md §4).
use super::StoreId;
use crate::format::{Epoch, Lsn};

/// A store's copy of a placement group's log: the range `[from, end)` of the log of epoch `label`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The store that holds it.
    pub store: StoreId,
    /// The epoch whose log this is a range of.
    pub label: Epoch,
    /// Everything below is in the bucket.
    pub from: Lsn,
    /// First position that the copy does not hold.
    pub end: Lsn,
    /// Everything below is synced.
    pub synced: Lsn,
    /// Chain at `end`.
    pub chain: u32,
}

/// Who joins a store to an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinedBy {
    /// The owner of the epoch, to append. Refused once the epoch is sealed here.
    Owner,
    /// Who ends the epoch, to hold all of it before the next is opened (§6.3). Sealed or not, all
    /// the same.
    Taker,
}

/// The answer to a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The copy ends here, cut at the base when it is of the epoch before.
    End(Lsn),
    /// The copy is of an older epoch, or there is none.
    Nothing,
}

/// Why a store refused to seal, join or open a log. None of them was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefused {
    /// The copy is of a later epoch: read the record again.
    #[error("the copy is of epoch {0}, which is later")]
    Newer(Epoch),
    /// The epoch was sealed here: read the record again.
    #[error("epochs before {0} are sealed")]
    Sealed(Epoch),
    /// The copy is of an earlier epoch than was asked for: join first.
    #[error("the copy is of epoch {0}, which is earlier")]
    Older(Epoch),
    /// The store lost its copy, or cannot prove it. It never answers "nothing" in this case.
    #[error("the store cannot prove its copy")]
    Unknown,
    /// No room for the record that must be synced before the answer.
    #[error("the journal is full")]
    Full,
    /// The store is closed or poisoned. The outcome of a call that was under way is unknown.
    #[error("the store is closed")]
    Closed,
}

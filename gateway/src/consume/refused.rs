//! Why consumption refuses. Fronts choose the codes.

use super::handle::HandleRefused;
use super::state::ClaimRefused;
use crate::history::LoadFailed;
use storage::format::PgId;

/// Why nothing is handed out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveRefused {
    /// This gateway owns no placement group of the topic. The client asks for a route again.
    #[error("no placement group of the topic is served here")]
    NotServedHere,
    /// As many polls wait as may. The client comes again.
    #[error("polling full")]
    PollingFull,
    /// There are messages, and they are not in memory now. The client comes again.
    #[error(transparent)]
    NotLoaded(#[from] LoadFailed),
    /// The hand-out could not be recorded.
    #[error(transparent)]
    Write(#[from] WriteRefused),
}

/// Why a delivery cannot be acknowledged, changed or given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckRefused {
    /// The text is no handle of this group.
    #[error(transparent)]
    Handle(#[from] HandleRefused),
    /// The delivery can no longer be decided.
    #[error(transparent)]
    Claim(#[from] ClaimRefused),
    /// Another gateway owns the placement group.
    #[error("placement group {0} is not served here")]
    NotServedHere(PgId),
    /// The message cannot be copied to the dead-letter queue.
    #[error("the message cannot be read")]
    Unreadable,
    /// The message is not in memory now. The client comes again.
    #[error(transparent)]
    NotLoaded(#[from] LoadFailed),
    /// It could not be recorded.
    #[error(transparent)]
    Write(#[from] WriteRefused),
}

/// Why a group is not moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetRefused {
    /// Another gateway owns a placement group of the topic. Nothing was moved.
    #[error("placement group {0} is not served here")]
    NotServedHere(PgId),
    /// The messages of that time cannot be found now. Nothing was moved.
    #[error(transparent)]
    NotLoaded(#[from] LoadFailed),
    /// It could not be recorded for every queue.
    #[error(transparent)]
    Write(#[from] WriteRefused),
}

/// Why something could not be recorded. But for [`WriteRefused::OutcomeUnknown`] nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// The journal is full, the reserve for acknowledgements too.
    #[error("the journal is full: {used} of {capacity} bytes are in use")]
    Full {
        /// Bytes in use.
        used: u64,
        /// Bytes that the journal may take.
        capacity: u64,
    },
    /// The memory for the queue indexes is taken, the reserve for dead letters too.
    #[error("the queue index is full: {used} of {limit} bytes of memory are in use")]
    IndexFull {
        /// Bytes in use.
        used: u64,
        /// Bytes that the indexes may take.
        limit: u64,
    },
    /// The disk has no room.
    #[error("the disk has no room for the journal")]
    DiskFull,
    /// The disk does not keep up. The client comes again.
    #[error("the journal is busy")]
    Busy,
    /// Another gateway owns the placement group by now, or this one stops. The client asks for a
    /// route again.
    #[error("the placement group is no longer served here")]
    Moved,
    /// Recorded or not: only a later look tells. Doing it again is safe.
    #[error("the outcome is not known")]
    OutcomeUnknown,
}

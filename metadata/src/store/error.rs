//! What can go wrong with a metadata store, and what to do then.

use super::{LeaseId, OPS_MAX, REQUEST_BYTES_MAX};
use crate::model::{PGS_MAX, RecordError};
use std::time::Duration;

/// A failed request. [`Error::applied`] says whether it may have happened, [`Error::advice`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached, or lost the answer.
    #[error("the metadata store does not answer")]
    Unavailable {
        /// Whether the request may have been applied all the same.
        applied: Applied,
        /// What the backend says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store was closed, or its process is stopping.
    #[error("the metadata store is closed")]
    Closed {
        /// Whether the request may have been applied all the same.
        applied: Applied,
    },
    /// Too many requests wait already; this one was not queued.
    #[error("the metadata store has {waiting} requests waiting")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The lease has expired, was revoked, or never was.
    #[error("lease {0} is gone")]
    LeaseGone(LeaseId),
    /// More operations than the contract allows.
    #[error("a transaction of {ops} operations, over the limit of {OPS_MAX}")]
    TooManyOps {
        /// The longest of its lists.
        ops: usize,
    },
    /// More bytes than the contract allows.
    #[error("a request of {bytes} bytes, over the limit of {REQUEST_BYTES_MAX}")]
    TooLarge {
        /// Keys and values.
        bytes: usize,
    },
    /// A transaction changes a key twice, or names an empty one.
    #[error("a transaction changes the key {0:?} twice, or it is empty")]
    BadKey(String),
    /// Another process has the store open.
    #[error("the metadata store at {0} is in use by another process")]
    Locked(String),
    /// The store's file or its disk failed: nothing more is taken until it has been opened again.
    #[error("the metadata store failed")]
    Broken {
        /// Whether the request may have been applied all the same.
        applied: Applied,
        /// What the backend says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value that cannot be read.
    #[error("the value of {key} cannot be read")]
    Record {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The store belongs to another cluster, or to one of another shape.
    #[error("the metadata store belongs to cluster {found}, and {asked} was asked for")]
    OtherCluster {
        /// Name and number of placement groups, as recorded.
        found: String,
        /// Name and number of placement groups, as asked.
        asked: String,
    },
    /// A cluster cannot have so many placement groups, or none.
    #[error("a cluster has 1 to {PGS_MAX} placement groups, {0} were asked for")]
    PlacementGroups(u32),
    /// Every uid has been given out.
    #[error("no uids are left")]
    UidsExhausted,
}

/// Whether a failed request happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It did not and will not.
    No,
    /// It may have, or may yet. A linearizable read decides once it shows another revision than the one compared
    /// (replication.md, M2).
    Unknown,
}

/// What the caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Ask again; after an [`Applied::Unknown`] only what may happen twice.
    Retry {
        /// Not before this time has passed.
        after: Duration,
    },
    /// Learn the present state first: it has moved on.
    Refresh,
    /// Change the request or the configuration.
    Fix,
    /// Give up: corruption, or a bug.
    Stop,
}

impl Error {
    /// Whether the request may have happened.
    pub fn applied(&self) -> Applied {
        match self {
            Error::Unavailable { applied, .. }
            | Error::Closed { applied }
            | Error::Broken { applied, .. } => *applied,
            Error::Busy { .. }
            | Error::LeaseGone(_)
            | Error::TooManyOps { .. }
            | Error::TooLarge { .. }
            | Error::BadKey(_)
            | Error::Locked(_)
            | Error::Record { .. }
            | Error::OtherCluster { .. }
            | Error::PlacementGroups(_)
            | Error::UidsExhausted => Applied::No,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Advice {
        match self {
            Error::Unavailable { .. } => Advice::Retry { after: Duration::from_millis(100) },
            Error::Busy { .. } => Advice::Retry { after: Duration::from_millis(10) },
            Error::LeaseGone(_) => Advice::Refresh,
            Error::TooManyOps { .. }
            | Error::TooLarge { .. }
            | Error::BadKey(_)
            | Error::Locked(_)
            | Error::OtherCluster { .. }
            | Error::PlacementGroups(_) => Advice::Fix,
            Error::Closed { .. }
            | Error::Broken { .. }
            | Error::Record { .. }
            | Error::UidsExhausted => Advice::Stop,
        }
    }
}

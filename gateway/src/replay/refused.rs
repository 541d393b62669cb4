//! Why a job is not made, or not changed. Fronts choose the codes.

use crate::consume::filter::FilterRefused;
use metadata::CatalogError;
use metadata::model::JobName;
use protocol::names::{GroupName, TopicName};

/// Why a replay is refused. Its text is for the user.
#[derive(Debug, thiserror::Error)]
pub enum ReplayRefused {
    /// Nothing to read.
    #[error("topic {0} does not exist")]
    NoSource(TopicName),
    /// Nowhere to write.
    #[error("topic {0} does not exist")]
    NoTopic(TopicName),
    /// Nobody to write for.
    #[error("group {0} does not exist")]
    NoGroup(GroupName),
    /// `%RETRY%` is a view of nothing.
    #[error("topic {0} never holds a message")]
    Empty(TopicName),
    /// It may not be written to.
    #[error("topic {0} has no write permission")]
    NotWritable(TopicName),
    /// Only dead letters say where they came from.
    #[error("the messages of topic {0} do not name a topic that they came from")]
    NoOrigin(TopicName),
    /// From is not before to.
    #[error("the time range is empty: it begins at {from_ms} and ends at {to_ms}")]
    EmptyRange {
        /// Where it begins, milliseconds since 1970.
        from_ms: u64,
        /// Where it ends.
        to_ms: u64,
    },
    /// Nothing can have been stored then.
    #[error("the time range begins in the future")]
    Ahead,
    /// A limit of nothing.
    #[error("a limit of 0 per second would never write anything")]
    NoRate,
    /// No key.
    #[error("the key is empty")]
    NoKey,
    /// The tag expression.
    #[error(transparent)]
    Filter(#[from] FilterRefused),
    /// It is over, and nothing brings it back.
    #[error("replay {name} is {state} already")]
    Over {
        /// Which one.
        name: JobName,
        /// What became of it.
        state: &'static str,
    },
    /// As many dry runs as may are counting.
    #[error("too many dry runs are counting already")]
    Busy,
    /// The source.
    #[error(transparent)]
    Source(#[from] super::SourceRefused),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

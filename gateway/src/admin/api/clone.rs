//! Bodies about clones of topics.

use super::MessageQueue;
use serde::{Deserialize, Serialize};

/// `PUT /v1/topics/{name}/clone`: makes the topic as a clone of another one, that shares the other's messages up to a
/// time. Nothing is copied. Repeating it gives the clone that there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicClone {
    /// The topic to clone.
    pub source: String,
    /// What was stored later is left out, milliseconds since 1970. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Whether groups begin in the clone where they are in the source.
    #[serde(default)]
    pub with_offsets: bool,
    /// Only say what would be made.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a clone shows of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicCloned {
    /// The clone.
    pub topic: String,
    /// What was cloned.
    pub source: String,
    /// What was stored later is left out, milliseconds since 1970.
    pub at_ms: u64,
    /// Nothing was made.
    pub dry_run: bool,
    /// How many messages it shares.
    pub messages: u64,
    /// Which; its own go on at the end.
    pub message_queues: Vec<MessageQueue>,
    /// The groups that begin in it where they are in the source.
    pub groups: Vec<String>,
}

/// Where a topic's first messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicOrigin {
    /// The topic that it was cloned from; it may be gone, or another one by now.
    pub source: String,
    /// What was stored later is not shared, milliseconds since 1970.
    pub at_ms: u64,
}

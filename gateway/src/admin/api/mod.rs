//! The bodies of the admin API. Requests refuse unknown fields; answers may get further ones.
//!
//! Enumerations travel as the words that RocketMQ and our attributes use, and are checked where
//! they are read.

mod clone;
mod config;
mod message;
mod progress;
mod replay;

pub use clone::{TopicClone, TopicCloned, TopicOrigin};
pub use config::Config;
pub use message::{Message, MessageSearch, MessageTail};
pub use progress::{
    GroupProgress, Place, ProgressMoved, ProgressPut, QueueMoved, QueueName, QueueProgress,
    TopicProgress,
};
pub use replay::{
    Replay, ReplayEstimate, ReplayInto, ReplayList, ReplayPrices, ReplayProgress, ReplayPut,
};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a refused request is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong, in one sentence.
    pub error: String,
    /// What to do about it; may be empty.
    #[serde(default)]
    pub hint: String,
}

/// `PUT /v1/topics/{name}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicPut {
    /// Message queues in all; may grow, never shrink. Default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<u32>,
    /// NORMAL, FIFO, DELAY, TRANSACTION, LITE, PRIORITY, MIXED or UNSPECIFIED. Default NORMAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// async, local, mirrored or object. Default local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<String>,
    /// rw, r, w or none. Default rw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// How long messages are kept: the attribute `retention`. Default forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// All further attributes; replaces those there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// As in [`TopicPut::kind`].
    pub kind: String,
    /// Message queues in all.
    pub queues: u32,
    /// As in [`TopicPut::durability`].
    pub durability: String,
    /// As in [`TopicPut::permission`].
    pub permission: String,
    /// As in [`TopicPut::retention`].
    pub retention: String,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// Where its first messages come from, if it was cloned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<TopicOrigin>,
}

/// `GET /v1/topics`, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicList {
    /// Every topic, without those that groups imply (`%RETRY%`, `%DLQ%`).
    pub topics: Vec<Topic>,
}

/// `GET /v1/topics/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDetail {
    /// The topic.
    #[serde(flatten)]
    pub topic: Topic,
    /// Its queues in the order of routes.
    pub message_queues: Vec<MessageQueue>,
}

/// A message queue as its owner sees it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageQueue {
    /// The broker name under which clients know its placement group.
    pub broker: String,
    /// Its number within the broker.
    pub id: u32,
    /// The offset of its first message.
    pub first_offset: u64,
    /// The offset after its last visible message.
    pub end_offset: u64,
}

/// `PUT /v1/groups/{name}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPut {
    /// Deliveries of a message before it is a dead letter, at least 1. Default 17.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// concurrent or fifo. Default concurrent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// When a message comes again. Default: Apache's ladder of 1 s to 2 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether it may receive. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume_enabled: Option<bool>,
    /// All further attributes; replaces those there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
}

/// When a message that was not acknowledged comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Retry {
    /// A ladder; its last rung holds for all further attempts.
    Customized {
        /// Not empty.
        delays_ms: Vec<u64>,
    },
    /// Longer each time, up to a limit.
    Exponential {
        /// After the first delivery.
        initial_ms: u64,
        /// The longest.
        max_ms: u64,
        /// At least 1.
        multiplier: u32,
    },
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// As in [`GroupPut::max_attempts`].
    pub max_attempts: u32,
    /// As in [`GroupPut::order`].
    pub order: String,
    /// As in [`GroupPut::retry`].
    pub retry: Retry,
    /// Whether it may receive.
    pub consume_enabled: bool,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
}

/// `GET /v1/groups`, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupList {
    /// Every group.
    pub groups: Vec<Group>,
}

/// `GET /v1/groups/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The topic that takes its dead letters.
    pub dead_letter_topic: String,
    /// Dead letters there.
    pub dead_letters: u64,
    /// Its clients that this gateway has heard of lately, by client id.
    pub consumers: Vec<Consumer>,
}

/// A client that receives for a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// What it calls itself.
    pub client_id: String,
    /// The topics that it subscribes to.
    pub topics: Vec<String>,
}

/// `GET /v1/cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The name that `mqadmin -c` takes.
    pub name: String,
    /// Of the gateway that answers.
    pub version: String,
    /// The gateway that answers.
    pub gateway: String,
    /// When the cluster's metadata was made, milliseconds since 1970.
    pub created_ms: u64,
    /// Topics, without those that groups imply.
    pub topics: usize,
    /// Consumer groups.
    pub groups: usize,
    /// The placement groups that this gateway owns.
    pub brokers: Vec<BrokerState>,
    /// This gateway's journal.
    pub journal: Journal,
}

/// A placement group that this gateway owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerState {
    /// The name under which clients know it.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
    /// Bytes ever appended to its log.
    pub log_bytes: u64,
}

/// How full a gateway's journal is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Bytes that hold records.
    pub used_bytes: u64,
    /// Bytes in all.
    pub capacity_bytes: u64,
    /// `open`, `refusing messages` or `refusing all`.
    pub state: String,
    /// The disk has no room for the journal to grow into.
    pub disk_full: bool,
    /// Bytes of memory that the queue indexes take.
    pub index_bytes: u64,
    /// Bytes of memory that they may take; messages are refused at nine tenths.
    pub index_limit_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_refuse_unknown_fields() {
        assert!(serde_json::from_str::<TopicPut>(r#"{"queues":4}"#).is_ok());
        assert!(serde_json::from_str::<TopicPut>(r#"{"queue":4}"#).is_err());
        assert!(serde_json::from_str::<GroupPut>(r#"{"maxAttempts":4}"#).is_err());
        let misspelt = r#"{"retry":{"customized":{"delays_ms":[1],"extra":1}}}"#;
        assert!(serde_json::from_str::<GroupPut>(misspelt).is_err());
    }

    #[test]
    fn a_retry_policy_is_written_under_its_name() {
        let retry = Retry::Exponential { initial_ms: 1, max_ms: 2, multiplier: 3 };
        assert_eq!(
            serde_json::to_string(&retry).unwrap(),
            r#"{"exponential":{"initial_ms":1,"max_ms":2,"multiplier":3}}"#
        );
    }
}

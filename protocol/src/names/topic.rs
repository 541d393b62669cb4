//! Topic names, the topics that the system keeps for itself, and the two that each group implies.

use std::sync::Arc;

use super::text::{name, resource};
use super::{GroupName, NameRefused, Noun, STORED_TOPIC_CHARS_MAX, TOPIC_CHARS_MAX};

const RETRY: &str = "%RETRY%";
const DEAD_LETTER: &str = "%DLQ%";

/// `TopicValidator`'s own list.
const SYSTEM: [&str; 12] = [
    "TBW102",
    "SCHEDULE_TOPIC_XXXX",
    "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
];
const SYSTEM_PREFIX: &str = "rmq_sys_";

/// System topics that Remoting producers may not send to (`TopicValidator.isNotAllowedSendTopic`);
/// the trace topic is not among them.
const NOT_SENDABLE: [&str; 8] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

/// The name of a topic: letters, digits and `% | _ -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

name!(TopicName);

impl TopicName {
    /// By the rules of the gRPC API: at most [`TOPIC_CHARS_MAX`] characters. System topics parse.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        resource(Noun::Topic, text, TOPIC_CHARS_MAX)?;
        Ok(Self(text.into()))
    }

    /// By the rules of a broker: at most [`STORED_TOPIC_CHARS_MAX`] characters, which a `%RETRY%` or
    /// `%DLQ%` name of a Remoting client may need.
    pub fn parse_stored(text: &str) -> Result<Self, NameRefused> {
        resource(Noun::Topic, text, STORED_TOPIC_CHARS_MAX)?;
        Ok(Self(text.into()))
    }

    /// Whether the server keeps this topic for itself: Apache's list, `rmq_sys_…`, the name of the
    /// cluster, its reply topic, and the names of our placement groups (`strata-` and four or more digits).
    pub fn is_system(&self, cluster: &str) -> bool {
        let text = self.as_str();
        let reply = text.strip_suffix("_REPLY_TOPIC").is_some_and(|owner| owner == cluster);
        let broker = text
            .strip_prefix("strata-")
            .is_some_and(|n| n.len() >= 4 && n.bytes().all(|b| b.is_ascii_digit()));
        SYSTEM.contains(&text)
            || text.starts_with(SYSTEM_PREFIX)
            || text == cluster
            || reply
            || broker
    }

    /// Refuses a system topic with the words that Apache's proxy has for it.
    pub fn refuse_system(&self, cluster: &str) -> Result<(), NameRefused> {
        if self.is_system(cluster) { Err(NameRefused::SystemTopic) } else { Ok(()) }
    }

    /// Whether a Remoting producer may send here at all: not to the topics that hold the server's own records.
    pub fn is_sendable(&self) -> bool {
        !NOT_SENDABLE.contains(&self.as_str())
    }

    /// The topic of a group's messages that failed and wait to be tried again: `%RETRY%g`.
    pub fn retry_of(group: &GroupName) -> Self {
        Self(format!("{RETRY}{group}").into())
    }

    /// The topic of a group's messages that failed for good: `%DLQ%g`.
    pub fn dead_letter_of(group: &GroupName) -> Self {
        Self(format!("{DEAD_LETTER}{group}").into())
    }

    /// The group whose retry topic this is.
    pub fn as_retry(&self) -> Option<GroupName> {
        GroupName::parse(self.as_str().strip_prefix(RETRY)?).ok()
    }

    /// The group whose dead-letter topic this is.
    pub fn as_dead_letter(&self) -> Option<GroupName> {
        GroupName::parse(self.as_str().strip_prefix(DEAD_LETTER)?).ok()
    }
}

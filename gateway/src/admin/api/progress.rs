//! Bodies about how far groups are.

use serde::{Deserialize, Serialize};

/// `GET /v1/groups/{name}/progress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupProgress {
    /// The group.
    pub group: String,
    /// Messages that it has yet to be done with, in all topics.
    pub lag: u64,
    /// The topics that it ever received from, by name.
    pub topics: Vec<TopicProgress>,
}

/// `GET /v1/groups/{name}/progress/{topic}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicProgress {
    /// The topic.
    pub topic: String,
    /// Messages that the group has yet to be done with: not received, or received and not
    /// acknowledged.
    pub lag: u64,
    /// Of these, how many are handed out.
    pub in_flight: u64,
    /// The queues that the group ever received from, in the order of routes.
    pub queues: Vec<QueueProgress>,
}

/// How far a group is on a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueProgress {
    /// The broker name under which clients know the queue's placement group.
    pub broker: String,
    /// Its number within the broker.
    pub id: u32,
    /// Every message below is done with.
    pub committed_offset: u64,
    /// No message from here on was handed out.
    pub next_offset: u64,
    /// The offset behind the last message that consumers see.
    pub end_offset: u64,
    /// Messages handed out and not yet done with.
    pub in_flight: u64,
    /// From the committed offset to the end.
    pub lag: u64,
}

/// `PUT /v1/groups/{name}/progress/{topic}`: moves the group. What it holds in flight there is let
/// go, and handles of deliveries before are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgressPut {
    /// Where to.
    pub to: Place,
    /// Only this queue; all of the topic when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At the first message that is still there.
    Earliest,
    /// Behind the last message.
    Latest,
    /// At the first message stored then or later, milliseconds since 1970.
    TimeMs(u64),
    /// At this offset or the nearest there is; for one queue.
    Offset(u64),
}

/// A message queue of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueName {
    /// The broker name of its placement group.
    pub broker: String,
    /// Its number within the broker.
    pub id: u32,
}

/// What a reset did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressMoved {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Nothing was done.
    pub dry_run: bool,
    /// The queues, in the order of routes.
    pub queues: Vec<QueueMoved>,
}

/// What a reset did, or would do, on one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMoved {
    /// The broker name of its placement group.
    pub broker: String,
    /// Its number within the broker.
    pub id: u32,
    /// The committed offset before; none where the group had never received from the queue.
    pub before_offset: Option<u64>,
    /// What the group receives next.
    pub after_offset: u64,
    /// Deliveries whose handles became void.
    pub voided: u64,
}

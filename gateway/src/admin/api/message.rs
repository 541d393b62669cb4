//! Bodies that show messages.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A stored message. Looking at it moves no group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// The broker name of its queue's placement group.
    pub broker: String,
    /// Its queue's number within the broker.
    pub queue_id: u32,
    /// Its place in the queue.
    pub offset: u64,
    /// The id that its producer gave it; the offset message id where it gave none.
    pub message_id: String,
    /// The id that names its place: `GET /v1/messages/{id}` takes it.
    pub offset_message_id: String,
    /// Its body, where that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its body in hexadecimal, where that is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hex: Option<String>,
    /// How the producer compressed the body; it is shown as it is stored. `none`, `lz4`, `zstd`,
    /// `zlib`, or `unspecified` for zlib or gzip.
    pub compression: String,
    /// What consumers filter by.
    pub tag: Option<String>,
    /// What it can be searched by.
    pub keys: Vec<String>,
    /// The properties that its producer set.
    pub properties: BTreeMap<String, String>,
    /// The properties that clients and brokers set.
    pub system_properties: BTreeMap<String, String>,
    /// When its producer made it, milliseconds since 1970.
    pub born_ms: i64,
    /// The address of its producer.
    pub born_host: String,
    /// When it was stored, milliseconds since 1970.
    pub stored_ms: i64,
}

/// `GET /v1/topics/{name}/messages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSearch {
    /// Newest first, at most 64.
    pub messages: Vec<Message>,
    /// Whether all of the span of time was looked at.
    pub complete: bool,
    /// Objects of the object store that are damaged, and could not be looked at.
    pub damaged_objects: Vec<String>,
    /// Where it was not: search again with this as `to_ms` to go on. A message stored in that
    /// millisecond may then be found again.
    pub stopped_at_ms: Option<u64>,
}

/// `GET /v1/topics/{name}/tail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTail {
    /// By the time of their storing; empty when the wait was over.
    pub messages: Vec<Message>,
    /// To be given as `after` to go on.
    pub next: String,
}

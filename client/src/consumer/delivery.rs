//! A message as it arrives.

use crate::config::Endpoint;
use crate::message::BodyEncoding;
use bytes::Bytes;
use protocol::grpc::v2 as pb;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A message that was received, and is to be acknowledged before its invisible time is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Where it was sent to.
    pub topic: String,
    /// Its body, as [`Delivery::encoding`] says.
    pub body: Bytes,
    /// Whether the body is compressed.
    pub encoding: BodyEncoding,
    /// The id that the sender gave it.
    pub id: String,
    /// Its tag.
    pub tag: Option<String>,
    /// Its keys; may be empty.
    pub keys: Vec<String>,
    /// What the sender put on it.
    pub properties: BTreeMap<String, String>,
    /// Its message group, if it is a FIFO message.
    pub group: Option<String>,
    /// 1 for the first delivery.
    pub attempt: u32,
    /// The queue within its broker.
    pub queue_id: i32,
    /// Its offset in that queue.
    pub offset: i64,
    /// When the sender made it.
    pub born_at: Option<SystemTime>,
    /// When the server stored it.
    pub stored_at: Option<SystemTime>,
    /// Who delivered it, and is told what becomes of it.
    pub(super) endpoint: Endpoint,
    pub(super) receipt_handle: String,
}

impl Delivery {
    /// The server's name for this delivery. Opaque; changes with
    /// [`change_invisible`](crate::SimpleConsumer::change_invisible).
    pub fn receipt_handle(&self) -> &str {
        &self.receipt_handle
    }

    /// Whether one request can acknowledge both.
    pub(super) fn goes_with(&self, other: &Delivery) -> bool {
        self.endpoint == other.endpoint && self.topic == other.topic
    }

    pub(crate) fn from_wire(message: pb::Message, endpoint: &Endpoint) -> Delivery {
        let system = message.system_properties.unwrap_or_default();
        let time = |at: Option<prost_types::Timestamp>| SystemTime::try_from(at?).ok();
        Delivery {
            topic: message.topic.unwrap_or_default().name,
            body: message.body,
            encoding: match pb::Encoding::try_from(system.body_encoding) {
                Ok(pb::Encoding::Gzip) => BodyEncoding::Gzip,
                Ok(pb::Encoding::Identity | pb::Encoding::Unspecified) | Err(_) => {
                    BodyEncoding::Identity
                }
            },
            id: system.message_id,
            tag: system.tag,
            keys: system.keys,
            properties: message.user_properties,
            group: system.message_group,
            attempt: system.delivery_attempt.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            queue_id: system.queue_id,
            offset: system.queue_offset.unwrap_or_default(),
            born_at: time(system.born_timestamp),
            stored_at: time(system.store_timestamp),
            endpoint: endpoint.clone(),
            receipt_handle: system.receipt_handle.unwrap_or_default(),
        }
    }
}

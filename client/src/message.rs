//! Messages on their way to the server, and what it says about them.

use crate::{door, identity};
use bytes::Bytes;
use prost_types::Timestamp;
use protocol::grpc::v2 as pb;
use std::time::{Duration, SystemTime};

/// A message to send. It has its id from the beginning, so that a sender who never learns what
/// became of a send can still recognise the message, and a clone that is sent again is the same
/// message.
#[derive(Clone, Debug)]
pub struct Message {
    topic: String,
    body: Bytes,
    id: String,
    tag: Option<String>,
    keys: Vec<String>,
    properties: Vec<(String, String)>,
    group: Option<String>,
    deliver_at: Option<SystemTime>,
}

impl Message {
    /// A message with a new id. The limits are the server's: a body of 1 byte to 4 MiB.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Message {
        Message {
            topic: topic.into(),
            body: body.into(),
            id: identity::message_id(),
            tag: None,
            keys: Vec::new(),
            properties: Vec::new(),
            group: None,
            deliver_at: None,
        }
    }

    /// The tag that consumers can filter by.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Message {
        self.tag = Some(tag.into());
        self
    }

    /// Adds a key to find the message by.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Message {
        self.keys.push(key.into());
        self
    }

    /// Adds a property of the user's; the last value of a name counts.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Message {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Makes it a FIFO message: those of one group are delivered in the order in which they were
    /// stored.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Message {
        self.group = Some(group.into());
        self
    }

    /// Makes it a delayed message.
    #[must_use]
    pub fn deliver_at(mut self, at: SystemTime) -> Message {
        self.deliver_at = Some(at);
        self
    }

    /// Makes it a delayed message, due this long from now.
    #[must_use]
    pub fn deliver_in(self, delay: Duration) -> Message {
        // A delay that no clock can add up is too long for every server: let it say so.
        let at = door::now().checked_add(delay);
        self.deliver_at(at.unwrap_or_else(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)))
    }

    /// Its id, as receivers see it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it goes.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its message group, if it is a FIFO message.
    pub fn message_group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// What the message carries decides its type (spec B.8).
    fn kind(&self) -> pb::MessageType {
        match (&self.deliver_at, &self.group) {
            (Some(_), _) => pb::MessageType::Delay,
            (None, Some(_)) => pb::MessageType::Fifo,
            (None, None) => pb::MessageType::Normal,
        }
    }

    pub(crate) fn to_wire(&self, namespace: &str, queue_id: i32) -> pb::Message {
        pb::Message {
            topic: Some(resource(namespace, &self.topic)),
            user_properties: self.properties.iter().cloned().collect(),
            system_properties: Some(pb::SystemProperties {
                tag: self.tag.clone(),
                keys: self.keys.clone(),
                message_id: self.id.clone(),
                body_encoding: pb::Encoding::Identity as i32,
                message_type: self.kind() as i32,
                born_timestamp: Some(Timestamp::from(door::now())),
                born_host: identity::hostname().to_owned(),
                delivery_timestamp: self.deliver_at.map(Timestamp::from),
                queue_id,
                message_group: self.group.clone(),
                ..pb::SystemProperties::default()
            }),
            body: self.body.clone(),
        }
    }
}

/// What the server said about a message that it stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id.
    pub message_id: String,
    /// What ends the transaction; the message id where there is none.
    pub transaction_id: String,
    /// Its offset in its queue; for a delayed message in an internal queue.
    pub offset: i64,
    /// What recalls a delayed message; empty otherwise.
    pub recall_handle: String,
}

/// How a received body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As it is.
    Identity,
    /// Compressed: gzip, or zlib where a classic client sent it. The first bytes tell.
    Gzip,
}

pub(crate) fn resource(namespace: &str, name: &str) -> pb::Resource {
    pb::Resource { resource_namespace: namespace.to_owned(), name: name.to_owned() }
}

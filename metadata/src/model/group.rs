//! Consumer groups.

use super::attribute::{self, AttributeChange, AttributeRefused, GROUP_CONSUME_FROM};
use super::codec::{Record, RecordError, opened, sealed};
use super::retry::{RetryPolicy, RetryV1};
use bytes::Bytes;
use protocol::names::GroupName;
use std::collections::BTreeMap;
use storage::env::Timestamp;
use storage::format::QueueUid;

/// Deliveries of a message before it is a dead letter: Apache's `retryMaxTimes` of 16, and the first.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 17;

/// In what order a group takes messages: Apache's `consumeMessageOrderly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// As they come.
    #[default]
    Concurrent,
    /// One after the other in each message group.
    Fifo,
}

/// Where a group begins in a queue that it has never read: the attribute [`GROUP_CONSUME_FROM`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConsumeFrom {
    /// At the first message while the log behind it is short, else at the end (DESIGN §7).
    #[default]
    Auto,
    /// At the first message there is.
    Earliest,
    /// At the end.
    Latest,
}

impl ConsumeFrom {
    /// Reads the attribute.
    pub fn parse(text: &str) -> Option<ConsumeFrom> {
        match text {
            "auto" => Some(ConsumeFrom::Auto),
            "earliest" => Some(ConsumeFrom::Earliest),
            "latest" => Some(ConsumeFrom::Latest),
            _ => None,
        }
    }
}

/// What the maker of a group decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// The name.
    pub name: GroupName,
    /// In what order it takes messages.
    pub order: Order,
    /// When a message comes again.
    pub retry: RetryPolicy,
    /// Deliveries of a message before it is a dead letter, at least 1.
    pub max_attempts: u32,
    /// Whether it may receive.
    pub consume_enabled: bool,
    /// Further attributes, as [`GroupSpec::change`] lets them through.
    pub attributes: BTreeMap<String, String>,
}

impl GroupSpec {
    /// A group as it is made on first use.
    pub fn new(name: GroupName) -> GroupSpec {
        GroupSpec {
            name,
            order: Order::default(),
            retry: RetryPolicy::default(),
            max_attempts: MAX_ATTEMPTS_DEFAULT,
            consume_enabled: true,
            attributes: BTreeMap::new(),
        }
    }

    /// Sets or removes an attribute.
    ///
    /// # Errors
    /// When the attribute is not known, or its value means nothing.
    pub fn change(&mut self, change: &AttributeChange) -> Result<(), AttributeRefused> {
        attribute::change_group(self, change)
    }
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: GroupName,
    /// New for every incarnation; also the uid of its dead-letter queue, in every placement group.
    pub uid: u64,
    /// In what order it takes messages.
    pub order: Order,
    /// When a message comes again.
    pub retry: RetryPolicy,
    /// Deliveries of a message before it is a dead letter, at least 1: Apache's `retryMaxTimes` and 1.
    pub max_attempts: u32,
    /// Whether it may receive.
    pub consume_enabled: bool,
    /// Further attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// When this incarnation was made.
    pub created: Timestamp,
}

impl Group {
    const SCHEMA: u8 = 1;

    /// A new incarnation.
    pub fn create(spec: GroupSpec, uid: u64, created: Timestamp) -> Group {
        let GroupSpec { name, order, retry, max_attempts, consume_enabled, attributes } = spec;
        Group { name, uid, order, retry, max_attempts, consume_enabled, attributes, created }
    }

    /// The same incarnation as `spec` wants it.
    pub fn changed(&self, spec: GroupSpec) -> Group {
        Group::create(spec, self.uid, self.created)
    }

    /// The queue of `%DLQ%group`, of the same uid in every placement group.
    pub fn dead_letter_queue(&self) -> QueueUid {
        QueueUid(self.uid)
    }

    /// Where it begins in a queue that it has never read.
    pub fn consume_from(&self) -> ConsumeFrom {
        let attribute = self.attributes.get(GROUP_CONSUME_FROM);
        attribute.and_then(|text| ConsumeFrom::parse(text)).unwrap_or_default()
    }

    /// What would make this group again, to be changed.
    pub fn spec(&self) -> GroupSpec {
        let Group { name, order, retry, max_attempts, consume_enabled, attributes, .. } = self;
        GroupSpec {
            name: name.clone(),
            order: *order,
            retry: retry.clone(),
            max_attempts: *max_attempts,
            consume_enabled: *consume_enabled,
            attributes: attributes.clone(),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct GroupV1 {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    uid: u64,
    #[prost(bool, tag = "3")]
    fifo: bool,
    #[prost(message, optional, tag = "4")]
    retry: Option<RetryV1>,
    #[prost(uint32, tag = "5")]
    max_attempts: u32,
    #[prost(bool, tag = "6")]
    consume_enabled: bool,
    #[prost(btree_map = "string, string", tag = "7")]
    attributes: BTreeMap<String, String>,
    #[prost(uint64, tag = "8")]
    created_ms: u64,
}

impl Record for Group {
    fn encode(&self) -> Bytes {
        let message = GroupV1 {
            name: self.name.as_str().to_owned(),
            uid: self.uid,
            fifo: self.order == Order::Fifo,
            retry: Some(RetryV1::from(&self.retry)),
            max_attempts: self.max_attempts,
            consume_enabled: self.consume_enabled,
            attributes: self.attributes.clone(),
            created_ms: self.created.0,
        };
        sealed(Group::SCHEMA, &message)
    }

    fn decode(value: &[u8]) -> Result<Group, RecordError> {
        let message: GroupV1 = opened(Group::SCHEMA, value)?;
        if message.max_attempts == 0 {
            return Err(RecordError::Field("max_attempts"));
        }
        Ok(Group {
            name: GroupName::parse(&message.name).map_err(|_| RecordError::Field("name"))?,
            uid: message.uid,
            order: if message.fifo { Order::Fifo } else { Order::Concurrent },
            retry: message.retry.ok_or(RecordError::Field("retry"))?.try_into()?,
            max_attempts: message.max_attempts,
            consume_enabled: message.consume_enabled,
            attributes: message.attributes,
            created: Timestamp(message.created_ms),
        })
    }
}

//! Consumer groups.
//!
//! What is replayed to one group only lies in queues of its own, one in each placement group of the topic that the
//! messages are of: [`Replayed`]. The group's record names them, so that they go with the group and need no other
//! record; a receive of the group on that topic draws from them as from the topic's own.

use super::attribute::{self, AttributeChange, AttributeRefused, GROUP_CONSUME_FROM};
use super::codec::{Record, RecordError, opened, sealed};
use super::retry::{RetryPolicy, RetryV1};
use super::topic::{REPLAY_QUEUE_ID, Topic, TopicQueue};
use bytes::Bytes;
use protocol::names::GroupName;
use std::collections::BTreeMap;
use storage::env::Timestamp;
use storage::format::{PgId, QueueUid};

/// Deliveries of a message before it is a dead letter: Apache's `retryMaxTimes` of 16, and the first.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 17;

/// The most topics that messages may be replayed from to one group.
pub const REPLAYED_MAX: usize = 256;

/// The queues of what was replayed to a group on one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The topic's first uid: its incarnation.
    pub topic: u64,
    /// One in each placement group that the topic had, ascending; all of one uid, of id [`REPLAY_QUEUE_ID`].
    pub queues: Vec<TopicQueue>,
}

impl Replayed {
    fn new(topic: u64, uid: u64, pgs: impl Iterator<Item = PgId>) -> Replayed {
        let queue = |pg| TopicQueue { pg, id: REPLAY_QUEUE_ID, uid: QueueUid(uid) };
        Replayed { topic, queues: pgs.map(queue).collect() }
    }
}

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
    /// What was replayed to it, ascending by topic; at most [`REPLAYED_MAX`].
    pub replayed: Vec<Replayed>,
}

impl Group {
    const SCHEMA: u8 = 1;
    /// With queues of replays: a version that does not know them would lose them.
    const SCHEMA_REPLAYED: u8 = 2;

    /// A new incarnation.
    pub fn create(spec: GroupSpec, uid: u64, created: Timestamp) -> Group {
        let GroupSpec { name, order, retry, max_attempts, consume_enabled, attributes } = spec;
        let replayed = Vec::new();
        Group {
            name,
            uid,
            order,
            retry,
            max_attempts,
            consume_enabled,
            attributes,
            created,
            replayed,
        }
    }

    /// The same incarnation as `spec` wants it.
    pub fn changed(&self, spec: GroupSpec) -> Group {
        Group { replayed: self.replayed.clone(), ..Group::create(spec, self.uid, self.created) }
    }

    /// The queue of `%DLQ%group`, of the same uid in every placement group.
    pub fn dead_letter_queue(&self) -> QueueUid {
        QueueUid(self.uid)
    }

    /// The queues of what was replayed to it on a topic, ascending by placement group; mostly empty.
    pub fn replayed(&self, topic: &Topic) -> &[TopicQueue] {
        let at = self.replayed.binary_search_by_key(&topic.uid_base, |replayed| replayed.topic);
        let found = at.ok().and_then(|at| self.replayed.get(at));
        found.map_or(&[], |replayed| &replayed.queues)
    }

    /// The same group with queues for what is replayed to it on `topic`, of a uid that nobody ever had. Those that it
    /// has stay.
    #[must_use]
    pub fn with_replayed(&self, topic: &Topic, uid: u64) -> Group {
        let mut group = self.clone();
        let at = group.replayed.binary_search_by_key(&topic.uid_base, |replayed| replayed.topic);
        if let Err(at) = at {
            let pgs = topic.queues().chunk_by(|a, b| a.pg == b.pg).filter_map(<[_]>::first);
            let replayed = Replayed::new(topic.uid_base, uid, pgs.map(|queue| queue.pg));
            group.replayed.insert(at, replayed);
        }
        group
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
    #[prost(message, repeated, tag = "9")]
    replayed: Vec<ReplayedV2>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReplayedV2 {
    #[prost(uint64, tag = "1")]
    topic: u64,
    #[prost(uint64, tag = "2")]
    uid: u64,
    #[prost(uint32, repeated, tag = "3")]
    pgs: Vec<u32>,
}

impl From<&Replayed> for ReplayedV2 {
    fn from(replayed: &Replayed) -> ReplayedV2 {
        let pgs = replayed.queues.iter().map(|queue| queue.pg.get()).collect();
        let uid = replayed.queues.first().map_or(0, |queue| queue.uid.0);
        ReplayedV2 { topic: replayed.topic, uid, pgs }
    }
}

impl TryFrom<&ReplayedV2> for Replayed {
    type Error = RecordError;

    fn try_from(message: &ReplayedV2) -> Result<Replayed, RecordError> {
        let pgs: Option<Vec<PgId>> = message.pgs.iter().map(|pg| PgId::new(*pg)).collect();
        let pgs = pgs.filter(|pgs| pgs.is_sorted_by(|a, b| a < b) && !pgs.is_empty());
        let pgs = pgs.ok_or(RecordError::Field("replayed.pgs"))?;
        Ok(Replayed::new(message.topic, message.uid, pgs.into_iter()))
    }
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
            replayed: self.replayed.iter().map(ReplayedV2::from).collect(),
        };
        let plain = self.replayed.is_empty();
        sealed(if plain { Group::SCHEMA } else { Group::SCHEMA_REPLAYED }, &message)
    }

    fn decode(value: &[u8]) -> Result<Group, RecordError> {
        let message: GroupV1 = match value.first() {
            Some(&Group::SCHEMA_REPLAYED) => opened(Group::SCHEMA_REPLAYED, value)?,
            Some(_) | None => opened(Group::SCHEMA, value)?,
        };
        let replayed = message.replayed.iter().map(Replayed::try_from);
        let replayed: Vec<Replayed> = replayed.collect::<Result<_, _>>()?;
        if !replayed.is_sorted_by(|a, b| a.topic < b.topic) {
            return Err(RecordError::Field("replayed"));
        }
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
            replayed,
        })
    }
}

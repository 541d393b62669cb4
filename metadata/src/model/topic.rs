//! Topics and their message queues.

use super::attribute::{self, AttributeChange, AttributeRefused};
use super::codec::{Record, RecordError, opened, sealed};
use super::origin::{Origin, OriginV1, Part};
use super::spread::{self, Share};
use super::{Cluster, Group, Retention};
use bytes::Bytes;
use prost::Message;
use protocol::names::TopicName;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::{PgId, QueueOffset, QueueUid};

/// The most queues of a topic; also the number of uids that are set aside for each, so that it can grow.
pub const QUEUES_MAX: u32 = 1 << 16;
/// Queues of a topic whose maker did not say (as `mqadmin updateTopic`).
pub const QUEUES_DEFAULT: u32 = 8;
/// The number of the queues in which what was replayed to one group lies: one that no queue of a topic has.
pub const REPLAY_QUEUE_ID: u32 = QUEUES_MAX;
/// The uid of a queue that is a view of nothing: no log ever opens it, so it is always empty.
pub const NEVER_OPENED: QueueUid = QueueUid(0);

/// What messages a topic takes: Apache's attribute `message.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TopicKind {
    /// Messages that are nothing of the below.
    #[default]
    Normal,
    /// Ordered by message group.
    Fifo,
    /// Delivered at a time.
    Delay,
    /// Half messages, committed or rolled back.
    Transaction,
    /// With lite topics below it.
    Lite,
    /// With priorities.
    Priority,
    /// Normal, FIFO, delayed and transactional.
    Mixed,
    /// Not said; nothing is checked.
    Unspecified,
}

impl TopicKind {
    const ALL: [(TopicKind, u32, &str); 8] = [
        (TopicKind::Unspecified, 0, "UNSPECIFIED"),
        (TopicKind::Normal, 1, "NORMAL"),
        (TopicKind::Fifo, 2, "FIFO"),
        (TopicKind::Delay, 3, "DELAY"),
        (TopicKind::Transaction, 4, "TRANSACTION"),
        (TopicKind::Lite, 5, "LITE"),
        (TopicKind::Priority, 6, "PRIORITY"),
        (TopicKind::Mixed, 7, "MIXED"),
    ];

    /// As in Apache's attribute.
    pub fn as_str(self) -> &'static str {
        self.row().2
    }

    /// Reads Apache's attribute, in any case.
    pub fn parse(text: &str) -> Option<TopicKind> {
        TopicKind::ALL
            .iter()
            .find(|(_, _, name)| name.eq_ignore_ascii_case(text))
            .map(|&(kind, _, _)| kind)
    }

    fn row(self) -> (TopicKind, u32, &'static str) {
        *TopicKind::ALL.iter().find(|(kind, _, _)| *kind == self).expect("every kind has a row")
    }
}

/// When a message counts as sent (DESIGN §3), weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// In the owner's mapped journal.
    Async,
    /// Synced on the owner.
    #[default]
    Local,
    /// Synced on a quorum of the epoch's stores. The same as `Local` where an epoch has one.
    Mirrored,
    /// In the object store.
    Object,
}

impl Durability {
    const ALL: [(Durability, u32, &str); 4] = [
        (Durability::Async, 1, "async"),
        (Durability::Local, 2, "local"),
        (Durability::Mirrored, 3, "mirrored"),
        (Durability::Object, 4, "object"),
    ];

    /// As in the topic attribute and the message property.
    pub fn as_str(self) -> &'static str {
        self.row().2
    }

    /// Reads the topic attribute or the message property.
    pub fn parse(text: &str) -> Option<Durability> {
        Durability::ALL
            .iter()
            .find(|(_, _, name)| name.eq_ignore_ascii_case(text))
            .map(|&(level, _, _)| level)
    }

    fn row(self) -> (Durability, u32, &'static str) {
        *Durability::ALL.iter().find(|(level, _, _)| *level == self).expect("every level has a row")
    }
}

/// What clients may do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// Receive from it.
    pub read: bool,
    /// Send to it.
    pub write: bool,
}

impl Permission {
    /// Both.
    pub const READ_WRITE: Permission = Permission { read: true, write: true };

    /// As in Apache's topic configuration: bit 2 reads, bit 1 writes; the other bits say nothing here.
    pub const fn from_bits(bits: u32) -> Permission {
        Permission { read: bits & 4 != 0, write: bits & 2 != 0 }
    }

    /// As in Apache's topic configuration.
    pub const fn bits(self) -> u32 {
        (self.read as u32) << 2 | (self.write as u32) << 1
    }
}

/// A message queue of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicQueue {
    /// The placement group whose log holds it.
    pub pg: PgId,
    /// Its number in that placement group, from 0.
    pub id: u32,
    /// What the log calls it.
    pub uid: QueueUid,
}

/// What the maker of a topic decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The name.
    pub name: TopicName,
    /// What messages it takes.
    pub kind: TopicKind,
    /// Queues in all, 1 to [`QUEUES_MAX`].
    pub queues: u32,
    /// What clients may do.
    pub permission: Permission,
    /// `None`: the default, or as it is.
    pub durability: Option<Durability>,
    /// Further attributes, as [`TopicSpec::change`] lets them through.
    pub attributes: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A normal topic of [`QUEUES_DEFAULT`] queues.
    pub fn new(name: TopicName) -> TopicSpec {
        TopicSpec {
            name,
            kind: TopicKind::default(),
            queues: QUEUES_DEFAULT,
            permission: Permission::READ_WRITE,
            durability: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Sets or removes an attribute: `message.type` and `durability` move the field, others are kept by name.
    ///
    /// # Errors
    /// When the attribute is not known, its value means nothing, or asks for what this version cannot do.
    pub fn change(&mut self, change: &AttributeChange) -> Result<(), AttributeRefused> {
        attribute::change_topic(self, change)
    }
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The name.
    pub name: TopicName,
    /// What messages it takes.
    pub kind: TopicKind,
    /// Its shares, in the order in which queues are dealt to them; not empty, no placement group twice.
    pub spread: Vec<Share>,
    /// Its first queue's uid; queue i has this plus i. New for every incarnation of a topic.
    pub uid_base: u64,
    /// What clients may do.
    pub permission: Permission,
    /// When a message counts as sent. A message may ask for more.
    pub durability: Durability,
    /// Further attributes by name, without those that have a field.
    pub attributes: BTreeMap<String, String>,
    /// When this incarnation was made.
    pub created: Timestamp,
    /// Where its first messages come from, if it was cloned.
    pub origin: Option<Arc<Origin>>,
    queues: Vec<TopicQueue>,
}

impl Topic {
    const SCHEMA: u8 = 1;
    /// With an origin. A version that does not know origins must not write the topic back without it: what only the
    /// clone shows would be deleted.
    const SCHEMA_CLONE: u8 = 2;

    /// A new incarnation. `uid_base` begins [`QUEUES_MAX`] uids that are its own; `spec` has 1 to [`QUEUES_MAX`]
    /// queues.
    pub fn create(spec: TopicSpec, cluster: &Cluster, uid_base: u64, created: Timestamp) -> Topic {
        let spread = spread::spread(cluster, spec.name.as_str(), spec.queues);
        Topic {
            queues: dealt(&spread, uid_base),
            name: spec.name,
            kind: spec.kind,
            spread,
            uid_base,
            permission: spec.permission,
            durability: spec.durability.unwrap_or_default(),
            attributes: spec.attributes,
            created,
            origin: None,
        }
    }

    /// A new incarnation that begins as `source`, with what `origin` shows of it: settings, placement groups and queues
    /// are the same, the lock of its messages too. `uid_base` as in [`Topic::create`].
    pub fn cloned(
        source: &Topic,
        name: TopicName,
        origin: Origin,
        uid_base: u64,
        created: Timestamp,
    ) -> Topic {
        Topic {
            queues: dealt(&source.spread, uid_base),
            name,
            uid_base,
            created,
            origin: Some(Arc::new(origin)),
            ..source.clone()
        }
    }

    /// The same incarnation as `spec` wants it; queues are only added. A durability that `spec` leaves open stays.
    pub fn changed(&self, spec: TopicSpec) -> Topic {
        let mut spread = self.spread.clone();
        spread::grow(&mut spread, spec.queues);
        Topic {
            queues: dealt(&spread, self.uid_base),
            spread,
            kind: spec.kind,
            permission: spec.permission,
            durability: spec.durability.unwrap_or(self.durability),
            attributes: spec.attributes,
            name: self.name.clone(),
            uid_base: self.uid_base,
            created: self.created,
            origin: self.origin.clone(),
        }
    }

    /// `%DLQ%group`: implied by the group, without a record. One queue in every placement group, all of one uid.
    pub fn dead_letter(group: &Group, cluster: &Cluster) -> Topic {
        let name = TopicName::dead_letter_of(&group.name);
        Topic::implied(name, group.uid, group.created, cluster)
    }

    /// `%RETRY%group`: implied by the group, an empty view. One queue in every placement group, which no log opens.
    pub fn retry(group: &Group, cluster: &Cluster) -> Topic {
        let name = TopicName::retry_of(&group.name);
        Topic::implied(name, NEVER_OPENED.0, group.created, cluster)
    }

    fn implied(name: TopicName, uid: u64, created: Timestamp, cluster: &Cluster) -> Topic {
        Topic {
            name,
            kind: TopicKind::Normal,
            spread: cluster.pgs().map(|pg| Share { pg, queues: 1 }).collect(),
            uid_base: uid,
            permission: Permission::READ_WRITE,
            durability: Durability::Local,
            attributes: BTreeMap::new(),
            created,
            origin: None,
            queues: cluster.pgs().map(|pg| TopicQueue { pg, id: 0, uid: QueueUid(uid) }).collect(),
        }
    }

    /// This topic as what is replayed to one group sees it: with that group's queues, not empty, in place of its own.
    pub fn replayed(&self, queues: &[TopicQueue]) -> Topic {
        Topic {
            uid_base: queues.first().map_or(NEVER_OPENED.0, |queue| queue.uid.0),
            spread: queues.iter().map(|queue| Share { pg: queue.pg, queues: 1 }).collect(),
            permission: Permission::READ_WRITE,
            queues: queues.to_vec(),
            ..self.clone()
        }
    }

    /// Its message queues, sorted by placement group and id: the order of routes. Not empty.
    pub fn queues(&self) -> &[TopicQueue] {
        &self.queues
    }

    /// The queue with this id in this placement group.
    pub fn queue(&self, pg: PgId, id: u32) -> Option<&TopicQueue> {
        let at = self.queues.binary_search_by_key(&(pg, id), |queue| (queue.pg, queue.id)).ok()?;
        self.queues.get(at)
    }

    /// Its queues in one placement group, ids ascending; empty where it has none.
    pub fn queues_in(&self, pg: PgId) -> &[TopicQueue] {
        let from = self.queues.partition_point(|queue| queue.pg < pg);
        let to = self.queues.partition_point(|queue| queue.pg <= pg);
        self.queues.get(from..to).unwrap_or_default()
    }

    /// How long it keeps its messages. `retention` comes before Apache's `cleanup.policy`.
    pub fn retention(&self) -> Retention {
        let attribute = |key| self.attributes.get(key).map(String::as_str);
        match attribute(attribute::TOPIC_RETENTION).and_then(Retention::parse) {
            Some(retention) => retention,
            None if attribute(attribute::TOPIC_CLEANUP) == Some("COMPACTION") => {
                Retention::Compacted
            }
            None => Retention::default(),
        }
    }

    /// Which of its queues has this uid, counted from `uid_base`. None of a topic that a group implies.
    pub fn index_of(&self, queue: QueueUid) -> Option<usize> {
        let i = usize::try_from(queue.0.checked_sub(self.uid_base)?).ok()?;
        (i < self.queues.len()).then_some(i)
    }

    /// What its queue shows of queues of other topics as its own, in ascending order; empty where nothing is inherited.
    pub fn inherited(&self, queue: QueueUid) -> Vec<Part> {
        match (&self.origin, self.index_of(queue)) {
            (Some(origin), Some(i)) => origin.parts(i).collect(),
            (Some(_) | None, _) => Vec::new(),
        }
    }

    /// The offset of the first message that its queue takes itself: where its log begins to count.
    pub fn queue_start(&self, queue: QueueUid) -> QueueOffset {
        match (&self.origin, self.index_of(queue)) {
            (Some(origin), Some(i)) => origin.end(i),
            (Some(_) | None, _) => QueueOffset(0),
        }
    }

    /// Until when it cannot be deleted, when its newest message was stored at `newest`; `None` for a topic that is not
    /// locked, or holds nothing. What a clone shows counts as of the time that it was cloned at.
    pub fn locked_until(&self, newest: Option<Timestamp>) -> Option<Timestamp> {
        let Retention::Locked(period) = self.retention() else { return None };
        let shown = self.origin.as_ref().filter(|origin| !origin.is_empty());
        let newest = newest.max(shown.map(|origin| origin.at));
        newest.map(|newest| newest.plus(period))
    }

    /// Bytes that its origin takes in the metadata store; more than [`super::ORIGIN_BYTES_MAX`] are refused.
    pub(crate) fn origin_bytes(&self) -> usize {
        self.origin.as_ref().map_or(0, |origin| OriginV1::from(&**origin).encoded_len())
    }

    /// Every attribute, with those that have a field: what `mqadmin` shows.
    pub fn all_attributes(&self) -> BTreeMap<String, String> {
        let mut all = self.attributes.clone();
        all.insert(attribute::TOPIC_MESSAGE_TYPE.into(), self.kind.as_str().into());
        all.insert(attribute::TOPIC_DURABILITY.into(), self.durability.as_str().into());
        all
    }

    /// What would make this topic again, to be changed.
    pub fn spec(&self) -> TopicSpec {
        TopicSpec {
            name: self.name.clone(),
            kind: self.kind,
            queues: self.spread.iter().map(|share| share.queues).sum(),
            permission: self.permission,
            durability: Some(self.durability),
            attributes: self.attributes.clone(),
        }
    }
}

/// The queues of `spread`, sorted by placement group and id. Queue i of all is the (i div p)-th of share i mod p.
fn dealt(spread: &[Share], uid_base: u64) -> Vec<TopicQueue> {
    let p = spread.len() as u64;
    let mut queues: Vec<TopicQueue> = (0_u64..)
        .zip(spread)
        .flat_map(|(slot, share)| {
            (0..share.queues).map(move |id| TopicQueue {
                pg: share.pg,
                id,
                uid: QueueUid(uid_base + u64::from(id) * p + slot),
            })
        })
        .collect();
    queues.sort_by_key(|queue| (queue.pg, queue.id));
    queues
}

#[derive(Clone, PartialEq, prost::Message)]
struct TopicV1 {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(message, repeated, tag = "3")]
    spread: Vec<ShareV1>,
    #[prost(uint64, tag = "4")]
    uid_base: u64,
    #[prost(uint32, tag = "5")]
    permission: u32,
    #[prost(uint32, tag = "6")]
    durability: u32,
    #[prost(btree_map = "string, string", tag = "7")]
    attributes: BTreeMap<String, String>,
    #[prost(uint64, tag = "8")]
    created_ms: u64,
    /// In schema 2, and there always.
    #[prost(message, optional, tag = "9")]
    origin: Option<OriginV1>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ShareV1 {
    #[prost(uint32, tag = "1")]
    pg: u32,
    #[prost(uint32, tag = "2")]
    queues: u32,
}

impl Record for Topic {
    fn encode(&self) -> Bytes {
        let share = |share: &Share| ShareV1 { pg: share.pg.get(), queues: share.queues };
        let message = TopicV1 {
            name: self.name.as_str().to_owned(),
            kind: self.kind.row().1,
            spread: self.spread.iter().map(share).collect(),
            uid_base: self.uid_base,
            permission: self.permission.bits(),
            durability: self.durability.row().1,
            attributes: self.attributes.clone(),
            created_ms: self.created.0,
            origin: self.origin.as_deref().map(OriginV1::from),
        };
        let schema = if self.origin.is_some() { Topic::SCHEMA_CLONE } else { Topic::SCHEMA };
        sealed(schema, &message)
    }

    fn decode(value: &[u8]) -> Result<Topic, RecordError> {
        let is_plain = value.first() == Some(&Topic::SCHEMA);
        let schema = if is_plain { Topic::SCHEMA } else { Topic::SCHEMA_CLONE };
        let message: TopicV1 = opened(schema, value)?;
        if message.origin.is_none() != is_plain {
            return Err(RecordError::Field("origin"));
        }
        let spread = message.spread.iter().map(share).collect::<Result<Vec<_>, _>>()?;
        let queues: u64 = spread.iter().map(|share| u64::from(share.queues)).sum();
        let queues = u32::try_from(queues).unwrap_or(u32::MAX);
        if !(1..=QUEUES_MAX).contains(&queues) || !spread::is_dealt(&spread, queues) {
            return Err(RecordError::Field("spread"));
        }
        if message.uid_base.checked_add(u64::from(QUEUES_MAX)).is_none() {
            return Err(RecordError::Field("uid_base"));
        }
        let read = |origin: OriginV1| origin.read(message.uid_base, queues as usize);
        let origin = message.origin.map(read).transpose()?;
        let kind = TopicKind::ALL.iter().find(|(_, id, _)| *id == message.kind);
        let durability = Durability::ALL.iter().find(|(_, id, _)| *id == message.durability);
        Ok(Topic {
            queues: dealt(&spread, message.uid_base),
            name: TopicName::parse_stored(&message.name).map_err(|_| RecordError::Field("name"))?,
            kind: kind.ok_or(RecordError::Field("kind"))?.0,
            spread,
            uid_base: message.uid_base,
            permission: Permission::from_bits(message.permission),
            durability: durability.ok_or(RecordError::Field("durability"))?.0,
            attributes: message.attributes,
            created: Timestamp(message.created_ms),
            origin: origin.map(Arc::new),
        })
    }
}

fn share(message: &ShareV1) -> Result<Share, RecordError> {
    let pg = PgId::new(message.pg).ok_or(RecordError::Field("spread.pg"))?;
    Ok(Share { pg, queues: message.queues })
}

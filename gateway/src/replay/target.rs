//! Where the copies go.

use super::copy::{self, Origin};
use super::state::Item;
use crate::consume::{Consume, Position, ResetRefused};
use crate::ownership::Owned;
use crate::produce::{Outgoing, QueueKey, kind_of};
use metadata::model::{Destination, Group, Job, REPLAY_QUEUE_ID, Topic, TopicQueue};
use metadata::{Catalog, CatalogError};
use protocol::names::{GroupName, TopicName};
use protocol::stored::property;
use std::collections::HashMap;
use std::sync::Arc;

/// Why a destination takes nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTarget {
    /// The topic was deleted.
    #[error("topic {0} does not exist any more")]
    Topic(TopicName),
    /// The group's place in its queues could not be recorded; it may be tried again.
    #[error(transparent)]
    Place(#[from] ResetRefused),
    /// The group was deleted, or the catalog does not answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What became of a destination that takes nothing any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The job cannot go on, and why.
    All(String),
    /// Only the topic that these dead letters were of.
    Topic,
}

/// Whether what takes `topic`'s messages was deleted since it was looked up.
pub(super) fn is_gone(catalog: &Catalog, job: &Job, topic: &Topic) -> Option<Gone> {
    let now = catalog.resolve(&topic.name);
    let there = match &job.spec.into {
        Destination::Topic(_) | Destination::Origin => {
            now.is_some_and(|now| now.uid_base == topic.uid_base)
        }
        Destination::Group(name) => match catalog.group(name.as_str()) {
            None => return Some(Gone::All(format!("group {name} does not exist any more"))),
            Some(group) => now.is_some_and(|now| {
                let queue = group.replayed(&now).first();
                queue.is_some_and(|queue| queue.uid.0 == topic.uid_base)
            }),
        },
    };
    let to_topic = matches!(job.spec.into, Destination::Topic(_));
    match (there, job.spec.source.as_dead_letter()) {
        (true, _) => None,
        (false, Some(_)) if !to_topic => Some(Gone::Topic),
        (false, _) => Some(Gone::All(format!("topic {} does not exist any more", topic.name))),
    }
}

/// The destination of a job, looked up once for each topic.
pub(super) struct Target {
    catalog: Catalog,
    owned: Owned,
    consume: Consume,
    job: Arc<Job>,
    /// The queues of the source, in the order in which the job numbers them.
    queues: Vec<TopicQueue>,
    /// By topic: what a group sees of it.
    replayed: HashMap<u64, Arc<Topic>>,
}

/// Messages for one queue, in their order.
pub(super) type Parcels = HashMap<(u64, QueueKey), (Arc<Topic>, Vec<Outgoing>)>;

impl Target {
    pub(super) fn new(
        (catalog, owned, consume): (&Catalog, &Owned, &Consume),
        job: Arc<Job>,
        queues: Vec<TopicQueue>,
    ) -> Target {
        let (catalog, owned, consume) = (catalog.clone(), owned.clone(), consume.clone());
        Target { catalog, owned, consume, job, queues, replayed: HashMap::new() }
    }

    /// The batch by the queues that take it, and how many messages nowhere takes.
    pub(super) async fn parcels(&mut self, batch: Vec<Item>) -> Result<(Parcels, u64), NoTarget> {
        let (mut parcels, mut left_out) = (Parcels::new(), 0);
        for item in batch {
            let Some(topic) = self.topic(&item).await? else {
                left_out += 1;
                continue;
            };
            match self.outgoing(item, &topic) {
                None => left_out += 1,
                Some(outgoing) => {
                    let key = (topic.uid_base, outgoing.queue_key.clone());
                    parcels.entry(key).or_insert_with(|| (topic, Vec::new())).1.push(outgoing);
                }
            }
        }
        Ok((parcels, left_out))
    }

    /// The topic that takes a message; `None` where the one that it was of is gone.
    async fn topic(&mut self, item: &Item) -> Result<Option<Arc<Topic>>, NoTarget> {
        match &self.job.spec.into {
            Destination::Topic(name) => {
                self.catalog.resolve(name).map(Some).ok_or_else(|| NoTarget::Topic(name.clone()))
            }
            Destination::Origin => Ok(self.origin(item)),
            Destination::Group(name) => {
                let Some(topic) = self.origin(item) else { return Ok(None) };
                if let Some(known) = self.replayed.get(&topic.uid_base) {
                    return Ok(Some(Arc::clone(known)));
                }
                let name = name.clone();
                let replayed = Arc::new(self.prepare(&name, &topic).await?);
                self.replayed.insert(topic.uid_base, Arc::clone(&replayed));
                Ok(Some(replayed))
            }
        }
    }

    /// The topic that the message was sent to.
    fn origin(&self, item: &Item) -> Option<Arc<Topic>> {
        let source = &self.job.spec.source;
        if source.as_dead_letter().is_none() {
            return self.catalog.resolve(source);
        }
        let name = TopicName::parse_stored(copy::died_in(&item.message)?).ok()?;
        self.catalog.resolve(&name)
    }

    /// The group's queues on a topic, made where there were none. A group that begins at the end of what it never read
    /// must begin here before the first message comes.
    async fn prepare(&self, name: &GroupName, topic: &Topic) -> Result<Topic, NoTarget> {
        let group: Arc<Group> = self.catalog.replay_to_group(name, topic).await?;
        let queues = group.replayed(topic);
        let replayed = topic.replayed(queues);
        self.owned.open_topic(&replayed);
        let known = self.consume.progress(&group, topic);
        let is_new = |queue: &&TopicQueue| {
            !known.iter().any(|place| place.id == REPLAY_QUEUE_ID && place.pg == queue.pg)
        };
        let new: Vec<TopicQueue> = queues.iter().filter(is_new).copied().collect();
        if !new.is_empty() {
            self.consume.reset(&group, &new, Position::Earliest).await?;
        }
        Ok(replayed)
    }

    fn outgoing(&self, item: Item, topic: &Topic) -> Option<Outgoing> {
        let number = usize::try_from(item.queue).unwrap_or(usize::MAX);
        let queue = *self.queues.get(number)?;
        let origin =
            Origin { job: self.job.id, pg: queue.pg, queue: queue.uid, offset: item.offset };
        let to_group = matches!(self.job.spec.into, Destination::Group(_));
        let (message, filter) = copy::copy(item.message, topic.name.as_str(), origin)?;
        let queue_key = match message.properties.get(property::SHARDING_KEY) {
            // The copy stays in its placement group, where its group has one queue.
            _ if to_group => {
                let at = topic.queues().iter().position(|one| one.pg == queue.pg);
                QueueKey::Nth(at.unwrap_or(number))
            }
            Some(group) => QueueKey::Hash(group.to_owned()),
            None => QueueKey::Nth(number),
        };
        let kind = kind_of(&message.properties);
        Some(Outgoing { message, kind, filter, durability: None, queue_key })
    }
}

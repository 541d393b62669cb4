//! The placement groups that this gateway owns.

use crate::history::History;
use metadata::model::{Durability, Group, Topic, broker_name};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::format::{PgId, QueueOffset};
use storage::{Level, Log, QueueEnd};

/// A placement group in the epoch that this process opened.
#[derive(Clone)]
pub struct PlacementGroup {
    /// Its number.
    pub id: PgId,
    /// Its log; cheap to clone.
    pub log: Log,
    /// What its log has, and what the bucket has before.
    pub history: History,
    /// The name under which clients know it, for ever.
    pub broker_name: String,
}

/// The placement groups of this gateway, fixed while the process lives. Cheap to clone.
#[derive(Clone, Default)]
pub struct Owned(Arc<BTreeMap<PgId, Arc<PlacementGroup>>>);

impl PlacementGroup {
    /// With this history, whose log says which one it is.
    pub fn new(history: History) -> PlacementGroup {
        let log = history.log().clone();
        PlacementGroup { id: log.pg(), broker_name: broker_name(log.pg()), log, history }
    }
}

impl Owned {
    /// Of these.
    pub fn new(groups: impl IntoIterator<Item = PlacementGroup>) -> Owned {
        Owned(Arc::new(groups.into_iter().map(|pg| (pg.id, Arc::new(pg))).collect()))
    }

    /// Of logs that have everything.
    #[cfg(test)]
    pub(crate) fn of_logs(opened: Vec<super::Opened>) -> Owned {
        let logs = opened.into_iter().map(|opened| opened.log);
        Owned::new(logs.map(|log| PlacementGroup::new(History::of_log(log))))
    }

    /// `None` when another gateway owns it, or none.
    pub fn get(&self, pg: PgId) -> Option<&Arc<PlacementGroup>> {
        self.0.get(&pg)
    }

    /// All, by number.
    pub fn all(&self) -> impl Iterator<Item = &Arc<PlacementGroup>> {
        self.0.values()
    }

    /// Lets the logs know the topic's queues, so that it can be sent to. Idempotent. What a clone
    /// took over comes before what its own queues take.
    pub fn open_topic(&self, topic: &Topic) {
        let level = level(topic.durability);
        for queue in topic.queues() {
            let Some(pg) = self.get(queue.pg) else { continue };
            if let Some(first) = topic.inherited(queue.uid).first() {
                pg.history.keep_from(queue.uid, first.span.from);
            }
            let next = topic.queue_start(queue.uid);
            if next > QueueOffset(0) {
                pg.log.restore(&[QueueEnd { queue: queue.uid, next, opened: None }]);
            }
            pg.log.open_queue(queue.uid, level);
        }
    }

    /// Lets the logs know the group's dead-letter queue, which every placement group has. Idempotent.
    pub fn open_group(&self, group: &Group) {
        for pg in self.all() {
            pg.log.open_queue(group.dead_letter_queue(), Level::Local);
        }
    }
}

/// The level that the store gives to a topic's records. In an epoch of one store `mirrored` is `local`
/// (replication.md L5).
pub(crate) fn level(durability: Durability) -> Level {
    match durability {
        Durability::Async => Level::Async,
        Durability::Local | Durability::Mirrored => Level::Local,
        Durability::Object => Level::Object,
    }
}

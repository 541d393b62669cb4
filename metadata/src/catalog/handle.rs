//! The handle, and reading.

use super::follow::Follower;
use super::snapshot::Snapshot;
use super::uids::Uids;
use crate::model::{Cluster, GatewayRecord, Group, HeldBy, Holder, PgRecord, Topic, UidMark};
use crate::store::{MetadataStore, Revision};
use protocol::names::TopicName;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::env::Env;
use storage::format::{PgId, QueueOffset, QueueUid};
use tokio::sync::watch;

/// The catalog. Cheap to clone; the last clone ends the following.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn MetadataStore>,
    pub(crate) env: Env,
    pub(super) uids: Uids,
    locks: AtomicBool,
    cluster: Arc<Cluster>,
    follower: Follower,
}

impl Catalog {
    pub(super) fn new(
        store: Arc<dyn MetadataStore>,
        env: Env,
        cluster: Arc<Cluster>,
        follower: Follower,
        uids: Uids,
    ) -> Catalog {
        Catalog {
            inner: Arc::new(Inner { store, env, uids, locks: false.into(), cluster, follower }),
        }
    }

    /// What never changes.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.inner.cluster.clone()
    }

    /// The topic of this name, if it was made. Topics implied by groups are not found: see [`Catalog::resolve`].
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.snapshot().topics.get(name).cloned()
    }

    /// Every topic that was made, in ascending order of names; may be empty.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.snapshot().topics.sorted()
    }

    /// The topic of this name: made, or `%DLQ%` or `%RETRY%` of a group that exists.
    pub fn resolve(&self, name: &TopicName) -> Option<Arc<Topic>> {
        let snapshot = self.snapshot();
        if let Some(topic) = snapshot.topics.get(name.as_str()) {
            return Some(topic.clone());
        }
        let group = |of: Option<protocol::names::GroupName>| {
            of.and_then(|group| snapshot.groups.get(group.as_str()).cloned())
        };
        let cluster = &self.inner.cluster;
        if let Some(group) = group(name.as_dead_letter()) {
            return Some(Arc::new(Topic::dead_letter(&group, cluster)));
        }
        let group = group(name.as_retry())?;
        Some(Arc::new(Topic::retry(&group, cluster)))
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<Arc<Group>> {
        self.snapshot().groups.get(name).cloned()
    }

    /// Every group, in ascending order of names; may be empty.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.snapshot().groups.sorted()
    }

    /// The topic whose queue this is; `None` for a queue that no topic has, or not any more.
    pub fn topic_of(&self, queue: QueueUid) -> Option<Arc<Topic>> {
        self.snapshot().topics.of_queue(queue).cloned()
    }

    /// The group with this uid; also that of its dead-letter queue.
    pub fn group_of(&self, uid: u64) -> Option<Arc<Group>> {
        self.snapshot().groups.of_uid(uid).cloned()
    }

    /// Who needs what of a queue's messages: the topic or group that has it, first, and clones that show some of them.
    pub fn holders(&self, queue: QueueUid) -> Vec<Holder> {
        let snapshot = self.snapshot();
        // What was replayed to a group goes with the topic that it was replayed from.
        let replayed = snapshot.groups.of_replayed(queue.0);
        let replayed = replayed.filter(|(_, topic)| snapshot.topics.of_queue(*topic).is_some());
        let group = snapshot.groups.of_uid(queue.0).or(replayed.map(|(group, _)| group));
        let group = group.map(|group| Holder {
            by: HeldBy::Group(group.clone()),
            from: QueueOffset(0),
            to: None,
        });
        group.into_iter().chain(snapshot.topics.holders(queue)).collect()
    }

    /// Whether nobody needs anything of a queue any more, nor ever will. Queues that are no topic's and no group's are
    /// never gone.
    pub fn is_gone(&self, queue: QueueUid) -> bool {
        queue.0 >= UidMark::FIRST.next && self.holders(queue).is_empty()
    }

    /// The store can lock objects: from now on topics may be locked. Without this they are refused.
    pub fn allow_locks(&self) {
        self.inner.locks.store(true, Ordering::Release);
    }

    /// Whether topics may be locked.
    pub fn allows_locks(&self) -> bool {
        self.inner.locks.load(Ordering::Acquire)
    }

    /// A placement group's record and its revision: a hint (rule M3). What leads to a decision is read with
    /// [`Catalog::read_pg`].
    pub fn pg(&self, id: PgId) -> Option<(Arc<PgRecord>, Revision)> {
        self.snapshot().pgs.get(&id).cloned()
    }

    /// The gateways that are here, in ascending order of ids.
    pub fn gateways(&self) -> Vec<Arc<GatewayRecord>> {
        self.snapshot().gateways.values().cloned().collect()
    }

    /// The revision that is shown; wakes with each change. Closed when the catalog no longer follows the store.
    pub fn changed(&self) -> watch::Receiver<Revision> {
        self.inner.follower.revision.clone()
    }

    /// Lets go of the store. The catalog goes on showing what it shows.
    pub async fn close(&self) {
        self.inner.store.close().await;
    }

    pub(super) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.inner.follower.snapshot.load()
    }
}

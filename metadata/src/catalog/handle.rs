//! The handle, and reading.

use super::follow::Follower;
use super::snapshot::Snapshot;
use super::uids::Uids;
use crate::model::{Cluster, GatewayRecord, Group, PgRecord, Topic};
use crate::store::{MetadataStore, Revision};
use protocol::names::TopicName;
use std::sync::Arc;
use storage::env::Env;
use storage::format::PgId;
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
        Catalog { inner: Arc::new(Inner { store, env, uids, cluster, follower }) }
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

    fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.inner.follower.snapshot.load()
    }
}

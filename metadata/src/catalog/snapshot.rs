//! One revision of everything, immutable. A change copies only the shards that it touches.

use super::known::{KnownGroups, KnownTopics};
use super::names::Names;
use crate::model::{GatewayId, GatewayRecord, Job, PgRecord, Record, key};
use crate::store::{Error, Event, KeyValue, Range, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::format::PgId;

/// Everything in the store that is of use to a gateway, at one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) revision: Revision,
    pub(super) topics: KnownTopics,
    pub(super) groups: KnownGroups,
    pub(super) jobs: Names<Job>,
    pub(super) pgs: Arc<BTreeMap<PgId, (Arc<PgRecord>, Revision)>>,
    pub(super) gateways: Arc<BTreeMap<GatewayId, Arc<GatewayRecord>>>,
}

impl Snapshot {
    /// The snapshot that `range` shows.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub(super) fn of(range: Range) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot { revision: range.revision, ..Snapshot::default() };
        range.pairs.iter().try_for_each(|pair| snapshot.put(pair))?;
        Ok(snapshot)
    }

    /// The snapshot that `range` shows, where a record that cannot be read is as it was.
    pub(super) fn relisted(&self, range: Range) -> Snapshot {
        let mut snapshot = Snapshot { revision: range.revision, ..Snapshot::default() };
        for pair in &range.pairs {
            if let Err(error) = snapshot.put(pair) {
                unreadable(&error);
                snapshot.keep(self, &pair.key);
            }
        }
        snapshot
    }

    /// Moves on to `revision`.
    pub(super) fn apply(&mut self, revision: Revision, events: &[Event]) {
        for event in events {
            match event {
                Event::Put(pair) => self.put(pair).unwrap_or_else(|error| unreadable(&error)),
                Event::Delete { key, .. } => self.remove(key),
            }
        }
        self.revision = revision;
    }

    fn put(&mut self, pair: &KeyValue) -> Result<(), Error> {
        let name = &*pair.key;
        if let Some(topic) = name.strip_prefix(key::TOPICS) {
            self.topics.insert(topic, Arc::new(decode(pair)?));
        } else if let Some(group) = name.strip_prefix(key::GROUPS) {
            self.groups.insert(group, Arc::new(decode(pair)?));
        } else if let Some(job) = name.strip_prefix(key::JOBS) {
            self.jobs.insert(job, Arc::new(decode(pair)?));
        } else if let Some(pg) = key::parse_pg(name) {
            let record = Arc::new(decode(pair)?);
            Arc::make_mut(&mut self.pgs).insert(pg, (record, pair.modified));
        } else if let Some(id) = name.strip_prefix(key::GATEWAYS).and_then(GatewayId::parse) {
            Arc::make_mut(&mut self.gateways).insert(id, Arc::new(decode(pair)?));
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        if let Some(topic) = name.strip_prefix(key::TOPICS) {
            self.topics.remove(topic);
        } else if let Some(group) = name.strip_prefix(key::GROUPS) {
            self.groups.remove(group);
        } else if let Some(job) = name.strip_prefix(key::JOBS) {
            self.jobs.remove(job);
        } else if let Some(pg) = key::parse_pg(name) {
            Arc::make_mut(&mut self.pgs).remove(&pg);
        } else if let Some(id) = name.strip_prefix(key::GATEWAYS).and_then(GatewayId::parse) {
            Arc::make_mut(&mut self.gateways).remove(&id);
        }
    }

    /// Takes over what `old` has under a key.
    fn keep(&mut self, old: &Snapshot, name: &str) {
        if let Some(topic) = name.strip_prefix(key::TOPICS) {
            self.topics.keep(&old.topics, topic);
        } else if let Some(group) = name.strip_prefix(key::GROUPS) {
            self.groups.keep(&old.groups, group);
        } else if let Some(job) = name.strip_prefix(key::JOBS) {
            if let Some(kept) = old.jobs.get(job) {
                self.jobs.insert(job, kept.clone());
            }
        } else if let Some(pg) = key::parse_pg(name) {
            let kept = old.pgs.get(&pg).cloned();
            Arc::make_mut(&mut self.pgs).extend(kept.map(|known| (pg, known)));
        } else if let Some(id) = name.strip_prefix(key::GATEWAYS).and_then(GatewayId::parse) {
            let kept = old.gateways.get(&id).cloned();
            Arc::make_mut(&mut self.gateways).extend(kept.map(|record| (id, record)));
        }
    }
}

fn decode<R: Record>(pair: &KeyValue) -> Result<R, Error> {
    R::decode(&pair.value).map_err(|source| Error::Record { key: pair.key.to_string(), source })
}

fn unreadable(error: &Error) {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, source, "keeping what the record was before");
}

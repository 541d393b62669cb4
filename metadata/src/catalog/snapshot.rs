//! One revision of everything, immutable. A change copies only the shard that it touches.

use crate::model::{GatewayId, GatewayRecord, Group, PgRecord, Record, Topic, key};
use crate::store::{Error, Event, KeyValue, Range, Revision};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use storage::format::PgId;

/// Shards of a map of names: a change copies one of them, so that it costs little with 100,000 topics too.
const SHARDS: usize = 256;

/// Everything in the store that is of use to a gateway, at one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) revision: Revision,
    pub(super) topics: Names<Topic>,
    pub(super) groups: Names<Group>,
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
            self.topics.insert(topic, decode(pair)?);
        } else if let Some(group) = name.strip_prefix(key::GROUPS) {
            self.groups.insert(group, decode(pair)?);
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

/// A map of names that is cheap to copy.
#[derive(Debug)]
pub(super) struct Names<V> {
    shards: Vec<Arc<Shard<V>>>,
}

type Shard<V> = HashMap<Arc<str>, Arc<V>>;

impl<V> Names<V> {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<V>> {
        self.shards.get(shard(name))?.get(name)
    }

    /// Every value, in ascending order of names.
    pub(super) fn sorted(&self) -> Vec<Arc<V>> {
        let mut all: Vec<_> = self.shards.iter().flat_map(|shard| shard.iter()).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all.into_iter().map(|(_, value)| value.clone()).collect()
    }

    fn insert(&mut self, name: &str, value: V) {
        self.insert_shared(name, Arc::new(value));
    }

    fn insert_shared(&mut self, name: &str, value: Arc<V>) {
        if let Some(shard) = self.shards.get_mut(shard(name)) {
            Arc::make_mut(shard).insert(name.into(), value);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(shard) = self.shards.get_mut(shard(name)) {
            Arc::make_mut(shard).remove(name);
        }
    }

    fn keep(&mut self, old: &Names<V>, name: &str) {
        if let Some(value) = old.get(name) {
            self.insert_shared(name, value.clone());
        }
    }
}

impl<V> Default for Names<V> {
    fn default() -> Names<V> {
        Names { shards: (0..SHARDS).map(|_| Arc::default()).collect() }
    }
}

impl<V> Clone for Names<V> {
    fn clone(&self) -> Names<V> {
        Names { shards: self.shards.clone() }
    }
}

fn shard(name: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
    usize::try_from(hash % SHARDS as u64).expect("less than SHARDS")
}

//! A map of names that is cheap to copy.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// Shards of a map: a change copies one of them, so that it costs little with 100,000 topics too.
pub(super) const SHARDS: usize = 256;

/// By name.
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

    /// Gives what had the name before.
    pub(super) fn insert(&mut self, name: &str, value: Arc<V>) -> Option<Arc<V>> {
        let shard = self.shards.get_mut(shard(name))?;
        Arc::make_mut(shard).insert(name.into(), value)
    }

    /// Gives what had the name.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<V>> {
        let shard = self.shards.get_mut(shard(name))?;
        Arc::make_mut(shard).remove(name)
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

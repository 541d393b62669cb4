//! A map of uids that is cheap to copy: what a uid belongs to, where each value has a block of them.
//!
//! Values lie in shards by the page of their first uid, a page being as long as a block. A block begins in the page of
//! a uid of it or in the one before, so that two shards are looked into, in each of them for the nearest below.

use super::names::SHARDS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By the first uid of their block. Blocks do not overlap.
#[derive(Debug)]
pub(super) struct Numbers<V> {
    /// Uids of a block; at least 1.
    block: u64,
    shards: Vec<Arc<BTreeMap<u64, V>>>,
}

impl<V: Clone> Numbers<V> {
    /// An empty map of blocks of this many uids.
    pub(super) fn of_blocks(block: u32) -> Numbers<V> {
        let shards = (0..SHARDS).map(|_| Arc::default()).collect();
        Numbers { block: u64::from(block.max(1)), shards }
    }

    /// The value in whose block `uid` is.
    pub(super) fn at(&self, uid: u64) -> Option<&V> {
        let page = uid / self.block;
        [Some(page), page.checked_sub(1)].into_iter().flatten().find_map(|page| {
            let (first, value) = self.shards.get(shard(page))?.range(..=uid).next_back()?;
            (uid - first < self.block).then_some(value)
        })
    }

    /// The value whose block begins at `first`.
    pub(super) fn get(&self, first: u64) -> Option<&V> {
        self.shards.get(shard(first / self.block))?.get(&first)
    }

    pub(super) fn insert(&mut self, first: u64, value: V) {
        if let Some(shard) = self.shards.get_mut(shard(first / self.block)) {
            Arc::make_mut(shard).insert(first, value);
        }
    }

    pub(super) fn remove(&mut self, first: u64) {
        if let Some(shard) = self.shards.get_mut(shard(first / self.block)) {
            Arc::make_mut(shard).remove(&first);
        }
    }
}

impl<V> Clone for Numbers<V> {
    fn clone(&self) -> Numbers<V> {
        Numbers { block: self.block, shards: self.shards.clone() }
    }
}

fn shard(page: u64) -> usize {
    usize::try_from(page % SHARDS as u64).expect("less than SHARDS")
}

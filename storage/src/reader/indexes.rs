//! What says where something is, decoded: roots and pages of manifests, tails of objects, parts of
//! key indexes. Each is loaded once, however many ask, and let go by use, weighed in bytes.

use super::config::ReaderConfig;
use super::counters::{Counters, Looked};
use super::error::ReadError;
use crate::format::FormatError;
use crate::format::object::{KEY_PAGE_BYTES, SummaryTable, Tail};
use crate::tier::ObjectId;
use crate::tier::manifest::{Root, RunEntry, RunPage, StartPage};
use bytes::Bytes;
use moka::future::Cache;
use std::future::Future;
use std::sync::Arc;

/// What an entry takes beside what it holds.
const OVERHEAD: usize = 256;
/// Memory of a partition's place in a tail that was read: it lies there in 4 bytes.
const PARTITION_GROWS: usize = 4;

/// Names one of them: the object, what of it, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexKey {
    pub(super) object: ObjectId,
    /// Where a part of it lies; [`WHOLE`] for what an object has once.
    pub(super) at: u64,
}

/// No part of an object lies here.
const WHOLE: u64 = u64::MAX;

impl IndexKey {
    /// Of what an object has once.
    pub(super) const fn whole(object: ObjectId) -> IndexKey {
        IndexKey { object, at: WHOLE }
    }
}

/// One of them. Which one an object has follows from what the object is.
#[derive(Clone, Debug)]
pub(super) enum Index {
    Root(Arc<Root>),
    Runs(Arc<RunPage>),
    Starts(Arc<StartPage>),
    Tail(Arc<Tail>),
    Summary(Arc<SummaryTable>),
    /// A partition, or pages, as they lie in the object.
    Keys(Bytes),
}

impl Index {
    fn bytes(&self) -> usize {
        match self {
            Index::Root(root) => root.pages.len() * 160 + root.starts.len() * 64,
            Index::Runs(page) => page.0.len() * size_of::<RunEntry>(),
            Index::Starts(page) => page.0.len() * 16,
            Index::Tail(tail) => {
                let footer = &tail.footer;
                let part = |bytes: u32| bytes as usize;
                part(footer.queue_index)
                    + part(footer.partition_table) * PARTITION_GROWS
                    + part(footer.directory)
                    + part(footer.properties)
            }
            Index::Summary(table) => table.bytes(),
            Index::Keys(bytes) => bytes.len().max(KEY_PAGE_BYTES),
        }
    }
}

/// The indexes of one reader.
pub(super) struct Indexes {
    cache: Cache<IndexKey, Index>,
    counters: Arc<Counters>,
}

impl Indexes {
    pub(super) fn new(config: &ReaderConfig, counters: Arc<Counters>) -> Indexes {
        let weigher = |_: &IndexKey, index: &Index| {
            u32::try_from(index.bytes() + OVERHEAD).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(config.index_bytes).weigher(weigher).build();
        Indexes { cache, counters }
    }

    /// The index with this key; `load` brings it when it is not there. A failure is everybody's who
    /// waits, and is not kept.
    pub(super) async fn get(
        &self,
        key: IndexKey,
        kind: Looked,
        load: impl Future<Output = Result<Index, ReadError>>,
    ) -> Result<Index, ReadError> {
        if let Some(index) = self.cache.get(&key).await {
            self.counters.hit(kind, 1);
            return Ok(index);
        }
        self.counters.missed(kind, 1);
        self.cache.try_get_with(key, load).await.map_err(|error| (*error).clone())
    }
}

/// What an object's bytes are taken for follows from its name; if another kind is kept under its id,
/// ids were given out twice.
pub(super) const OTHER_KIND: FormatError = FormatError::Contradiction;

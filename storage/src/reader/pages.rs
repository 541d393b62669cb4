//! Pages of objects, in memory and on a disk.
//!
//! A page is a mebibyte of an object, or what is left at its end: few enough to recover quickly, and
//! the blocks beside the wanted one are mostly wanted next. Objects never change, so a page is never
//! out of date. It may be damaged or gone at any time: blocks have checksums of their own, and every
//! failure of the cache is a miss.
//!
//! Cursors do not put pages here: what is read once, from front to back, would push out the rest.

use super::config::{DiskCache, ReaderConfig};
use super::counters::{Counters, Looked};
use super::error::ReadError;
use crate::env::Crew;
use crate::format::object::Span;
use crate::object::{Bucket, Name, Purpose};
use crate::tier::ObjectId;
use bytes::{Bytes, BytesMut};
use foyer::{
    BlockEngineConfig, Code, DeviceBuilder, FileDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, PsyncIoEngineConfig, S3FifoConfig,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared, try_join_all};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

/// Bytes of a page.
pub(super) const PAGE_BYTES: u64 = 1 << 20;
/// Pages that one request brings at most.
const RUN_PAGES_MAX: usize = 8;
/// What a page takes in memory beside its bytes.
const PAGE_OVERHEAD: usize = 128;
/// Bytes of memory that one part of the cache has at least: one that has only few pages evicts the
/// wrong ones.
const SHARD_BYTES: u64 = 32 << 20;
const SHARDS_MAX: u64 = 8;
/// The part of the disk that is let go at once.
const DISK_PARTS: u64 = 16;
const DISK_PART_BYTES_MAX: u64 = 16 << 20;
const DISK_PART_BYTES_MIN: u64 = 2 << 20;

/// An object to read from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: Name,
    pub(super) id: ObjectId,
    /// Bytes of the object.
    pub(super) len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PageKey {
    object: ObjectId,
    number: u32,
}

impl Code for PageKey {
    fn encode(&self, writer: &mut impl Write) -> foyer::Result<()> {
        self.object.id.encode(writer)?;
        self.object.nonce.encode(writer)?;
        self.number.encode(writer)
    }

    fn decode(reader: &mut impl Read) -> foyer::Result<PageKey> {
        let object = ObjectId { id: u64::decode(reader)?, nonce: u32::decode(reader)? };
        Ok(PageKey { object, number: u32::decode(reader)? })
    }

    fn estimated_size(&self) -> usize {
        16
    }
}

/// A request that is under way: its pages in order.
type Run = BoxFuture<'static, Result<Vec<Bytes>, ReadError>>;

struct Flight {
    /// Tells it from a later one for the same page.
    number: u64,
    first: u32,
    run: WeakShared<Run>,
}

#[derive(Default)]
struct Flights {
    begun: u64,
    of_page: HashMap<PageKey, Flight>,
}

/// The pages of one reader.
pub(super) struct Pages {
    cache: HybridCache<PageKey, Bytes>,
    bucket: Bucket,
    counters: Arc<Counters>,
    flights: Arc<Mutex<Flights>>,
}

impl Pages {
    /// Opens the cache. A folder that cannot be used is done without.
    pub(super) async fn open(
        config: &ReaderConfig,
        bucket: Bucket,
        counters: Arc<Counters>,
        crew: &Crew,
    ) -> Result<Pages, foyer::Error> {
        let mut cache = None;
        if let Some(disk) = &config.disk {
            match build(config.memory_bytes, Some(disk), crew).await {
                Ok(opened) => cache = Some(opened),
                Err(error) => tracing::warn!(
                    folder = %disk.folder.display(),
                    %error,
                    "the cache's folder cannot be used: pages are kept in memory only"
                ),
            }
        }
        let cache = match cache {
            Some(cache) => cache,
            None => build(config.memory_bytes, None, crew).await?,
        };
        Ok(Pages { cache, bucket, counters, flights: Arc::default() })
    }

    /// Waits until what was put in is on the disk.
    pub(super) async fn close(&self) {
        if let Err(error) = self.cache.close().await {
            tracing::warn!(%error, "the cache's folder was not closed: some pages are read again");
        }
    }

    /// Bytes of an object, from the cache where it has them.
    pub(super) async fn span(
        &self,
        object: &Source,
        span: Span,
        purpose: Purpose,
    ) -> Result<Bytes, ReadError> {
        let numbers = pages_of(span);
        let mut pages: Vec<Option<Bytes>> = Vec::new();
        for number in numbers.clone() {
            pages.push(self.cached(object, number).await);
        }
        let there = pages.iter().flatten().count() as u64;
        self.counters.hit(Looked::Page, there);
        self.counters.missed(Looked::Page, pages.len() as u64 - there);
        let missing = numbers.clone().zip(&pages).filter(|(_, page)| page.is_none());
        let missing: Vec<u32> = missing.map(|(number, _)| number).collect();
        for (number, page) in self.bring(object, &missing, purpose).await? {
            if let Some(place) = pages.get_mut((number - numbers.start()) as usize) {
                *place = Some(page);
            }
        }
        let from = u64::from(*numbers.start()) * PAGE_BYTES;
        joined(pages, from, span).ok_or_else(|| {
            ReadError::damaged(&object.name, span, crate::format::FormatError::Length)
        })
    }

    /// A span if all of it is in memory.
    pub(super) fn in_memory(&self, object: &Source, span: Span) -> Option<Bytes> {
        let numbers = pages_of(span);
        let page = |number| {
            let page = self.cache.memory().get(&PageKey { object: object.id, number })?;
            Some(page.value().clone())
        };
        let pages: Vec<Option<Bytes>> = numbers.clone().map(page).collect();
        joined(pages, u64::from(*numbers.start()) * PAGE_BYTES, span)
    }

    /// A span as it is in the bucket, past every cache.
    pub(super) async fn past(
        &self,
        object: &Source,
        span: Span,
        kind: Looked,
        purpose: Purpose,
    ) -> Result<Bytes, ReadError> {
        fetched(&self.bucket, &self.counters, &object.name, span, kind, purpose).await
    }

    /// Lets go of the pages that a span lies in.
    pub(super) fn forget(&self, object: &Source, span: Span) {
        pages_of(span).for_each(|number| self.cache.remove(&PageKey { object: object.id, number }));
    }

    /// A page if a cache has it; every failure means that none has.
    async fn cached(&self, object: &Source, number: u32) -> Option<Bytes> {
        let key = PageKey { object: object.id, number };
        let is_whole = |page: &Bytes| page.len() as u64 == page_span(object.len, number).len;
        if let Some(entry) = self.cache.memory().get(&key) {
            return Some(entry.value().clone()).filter(is_whole);
        }
        if !self.cache.is_hybrid() {
            return None;
        }
        match self.cache.get(&key).await {
            Ok(entry) => entry.map(|entry| entry.value().clone()).filter(is_whole),
            Err(error) => {
                tracing::debug!(%error, "a page of the cache cannot be read: a miss");
                None
            }
        }
    }

    /// Gets pages out of the bucket, each once however many ask for it.
    async fn bring(
        &self,
        object: &Source,
        missing: &[u32],
        purpose: Purpose,
    ) -> Result<Vec<(u32, Bytes)>, ReadError> {
        let runs = self.runs(object, missing, purpose);
        let brought = try_join_all(runs.iter().map(|(_, run)| run.clone())).await?;
        let mut all = Vec::new();
        for ((first, _), pages) in runs.iter().zip(brought) {
            all.extend((*first..).zip(pages).filter(|(number, _)| missing.contains(number)));
        }
        Ok(all)
    }

    /// The requests that bring these pages: those under way, and new ones; with the first page of
    /// each.
    fn runs(&self, object: &Source, missing: &[u32], purpose: Purpose) -> Vec<(u32, Shared<Run>)> {
        let mut flights = self.flights.lock();
        let mut runs = Vec::new();
        let mut new: Vec<u32> = Vec::new();
        for &number in missing {
            let key = PageKey { object: object.id, number };
            if let Some(flight) = flights.of_page.get(&key)
                && let Some(run) = flight.run.upgrade()
            {
                runs.push((flight.first, run));
            } else if let Some(entry) = self.cache.memory().get(&key) {
                // It arrived since the cache was asked.
                let page = entry.value().clone();
                runs.push((number, async { Ok(vec![page]) }.boxed().shared()));
            } else {
                new.push(number);
            }
        }
        for run in new.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(RUN_PAGES_MAX)) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                runs.push((*first, self.begin(&mut flights, object, *first..=*last, purpose)));
            }
        }
        runs
    }

    fn begin(
        &self,
        flights: &mut Flights,
        object: &Source,
        numbers: RangeInclusive<u32>,
        purpose: Purpose,
    ) -> Shared<Run> {
        flights.begun += 1;
        let number = flights.begun;
        let first = *numbers.start();
        let spans: Vec<Span> =
            numbers.clone().map(|number| page_span(object.len, number)).collect();
        let pages: Vec<PageKey> =
            numbers.map(|number| PageKey { object: object.id, number }).collect();
        let landing =
            Landing { flights: Arc::downgrade(&self.flights), number, pages: pages.clone() };
        let (cache, bucket) = (self.cache.clone(), self.bucket.clone());
        let (counters, name) = (Arc::clone(&self.counters), object.name.clone());
        let run = async move {
            let landing = landing;
            let at = spans.first().map_or(0, |span| span.at);
            let whole = Span { at, len: spans.iter().map(|span| span.len).sum() };
            let bytes = fetched(&bucket, &counters, &name, whole, Looked::Page, purpose).await?;
            let pages: Vec<Bytes> = spans.iter().map(|span| cut(&bytes, at, *span)).collect();
            for (key, page) in landing.pages.iter().zip(&pages) {
                cache.insert(*key, page.clone());
            }
            Ok(pages)
        };
        let run: Shared<Run> = run.boxed().shared();
        for key in pages {
            if let Some(weak) = run.downgrade() {
                flights.of_page.insert(key, Flight { number, first, run: weak });
            }
        }
        run
    }
}

/// Takes a request out of those under way when it ends, or when nobody waits for it any more.
struct Landing {
    flights: Weak<Mutex<Flights>>,
    number: u64,
    pages: Vec<PageKey>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let Some(flights) = self.flights.upgrade() else { return };
        let mut flights = flights.lock();
        for page in &self.pages {
            if flights.of_page.get(page).is_some_and(|flight| flight.number == self.number) {
                flights.of_page.remove(page);
            }
        }
    }
}

/// One request of a span.
pub(super) async fn fetched(
    bucket: &Bucket,
    counters: &Counters,
    name: &Name,
    span: Span,
    kind: Looked,
    purpose: Purpose,
) -> Result<Bytes, ReadError> {
    let fetched = bucket.get(name, span.at..span.end(), purpose).await;
    let fetched = fetched.map_err(|error| ReadError::of(error, name, span))?;
    counters.got(kind, fetched.bytes.len() as u64);
    Ok(fetched.bytes)
}

async fn build(
    memory_bytes: u64,
    disk: Option<&DiskCache>,
    crew: &Crew,
) -> Result<HybridCache<PageKey, Bytes>, foyer::Error> {
    let builder = HybridCacheBuilder::new()
        .with_name("pages")
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        // Everything was written when it was inserted.
        .with_flush_on_close(false)
        .memory(usize::try_from(memory_bytes).unwrap_or(usize::MAX))
        .with_shards((memory_bytes / SHARD_BYTES).clamp(1, SHARDS_MAX) as usize)
        .with_eviction_config(S3FifoConfig::default())
        .with_weighter(|_: &PageKey, page: &Bytes| page.len() + PAGE_OVERHEAD)
        .storage()
        .with_spawner(crew.handle().clone().into());
    let Some(disk) = disk else { return builder.build().await };
    std::fs::create_dir_all(&disk.folder).map_err(foyer::Error::io_error)?;
    let part = (disk.bytes / DISK_PARTS).clamp(DISK_PART_BYTES_MIN, DISK_PART_BYTES_MAX);
    let capacity = disk.bytes.max(part * 4);
    // One file: a file for each part would take hundreds of descriptors.
    let device = FileDeviceBuilder::new(disk.folder.join("pages"))
        .with_capacity(usize::try_from(capacity).unwrap_or(usize::MAX))
        .build()?;
    let engine =
        BlockEngineConfig::new(device).with_block_size(usize::try_from(part).unwrap_or(usize::MAX));
    builder
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(engine)
        .build()
        .await
}

/// The pages that a span lies in; of an empty span the one that it would be in.
fn pages_of(span: Span) -> RangeInclusive<u32> {
    let last = span.end().max(span.at + 1) - 1;
    (span.at / PAGE_BYTES) as u32..=(last / PAGE_BYTES) as u32
}

/// Where a page lies.
fn page_span(object_len: u64, number: u32) -> Span {
    let at = u64::from(number) * PAGE_BYTES;
    Span { at, len: object_len.saturating_sub(at).min(PAGE_BYTES) }
}

/// A page out of what one request brought. What is kept is copied unless it is all: a page must not
/// hold the memory of its neighbours.
fn cut(bytes: &Bytes, from: u64, span: Span) -> Bytes {
    match span.of(bytes, from) {
        Some(part) if part.len() == bytes.len() => bytes.clone(),
        Some(part) => Bytes::copy_from_slice(part),
        None => Bytes::new(),
    }
}

/// A span out of the pages that it lies in, the first of which begins at `from`.
fn joined(pages: Vec<Option<Bytes>>, from: u64, span: Span) -> Option<Bytes> {
    let pages: Vec<Bytes> = pages.into_iter().collect::<Option<_>>()?;
    if let [page] = pages.as_slice() {
        return span.of(page, from).map(|part| page.slice_ref(part));
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(span.len).ok()?);
    let mut at = from;
    for page in &pages {
        let end = at + page.len() as u64;
        let (first, last) = (span.at.max(at), span.end().min(end));
        let part = Span { at: first, len: last.saturating_sub(first) };
        bytes.extend_from_slice(part.of(page, at)?);
        at = end;
    }
    (bytes.len() as u64 == span.len).then(|| bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_put_together_from_its_pages() {
        let len = 2 * PAGE_BYTES + 10;
        let object: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        for (at, bytes) in [(0, 1), (5, PAGE_BYTES), (PAGE_BYTES - 1, PAGE_BYTES + 2), (len - 3, 3)]
        {
            let span = Span { at, len: bytes };
            let numbers = pages_of(span);
            let pages = numbers.clone().map(|number| {
                let page = page_span(len, number);
                Some(Bytes::copy_from_slice(&object[page.at as usize..page.end() as usize]))
            });
            let from = u64::from(*numbers.start()) * PAGE_BYTES;
            let joined = joined(pages.collect(), from, span).unwrap();
            assert_eq!(joined, object[at as usize..(at + bytes) as usize]);
        }
    }
}

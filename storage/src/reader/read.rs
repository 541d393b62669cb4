//! Messages of a queue, by offset and by time.

use super::access::{AT_ONCE, Access};
use super::counters::Looked;
use super::error::ReadError;
use super::pages::Source;
use super::seek::{Place, Walk};
use super::view::View;
use crate::env::Timestamp;
use crate::format::object::{BlockRef, Record, Tail};
use crate::format::{PgId, QueueOffset, QueueUid};
use crate::object::Purpose;
use crate::tier::manifest::{Query, RunEntry};
use crate::tier::{Fetch, fetches};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};

/// Bytes that one request of a read brings, where no block is larger.
const FETCH_BYTES: u64 = 4 << 20;
/// Objects that one read looks into: of a queue with few wanted messages it might be all.
const OBJECTS_MAX: usize = 32;

/// How much a reader wants. At least one block is given, however little is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Enough messages.
    pub messages: usize,
    /// Bytes of blocks, as they are stored, that are not to be exceeded.
    pub bytes: u64,
    /// Blocks with no message of these tags are left out: bits of
    /// [`crate::format::object::tag_bit`]; `u64::MAX`: all.
    pub tags: u64,
}

/// Messages of a queue that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// In order of their offsets; also some of other tags. May be empty though more follows.
    pub records: Vec<Record>,
    /// Every message from where was asked up to here, of the wanted tags, is in `records`.
    pub next: QueueOffset,
    /// Nothing in the bucket is at or after `next`.
    pub ended: bool,
}

impl Access {
    pub(super) async fn read(
        &self,
        view: &View,
        queue: QueueUid,
        from: QueueOffset,
        want: Want,
    ) -> Result<Chunk, ReadError> {
        let mut walk = Walk::new(view.clone(), queue, from, Purpose::Read);
        let mut chunk = Chunk { next: from, ..Chunk::default() };
        let Want { messages, bytes, tags } = want;
        let mut room = Room { messages, bytes, tags, has_any: false };
        for _ in 0..OBJECTS_MAX {
            let Some(place) = walk.next(self).await? else {
                chunk.ended = true;
                break;
            };
            let (of, from) = ((view.pg(), queue), from.max(walk.start()));
            chunk.next = chunk.next.max(from);
            let Choice { fetches, next, is_enough } = choose(&place, of, chunk.next, &mut room);
            let source = Source::of(view.pg(), &place.entry);
            let read = |fetch: Fetch| {
                let source = &source;
                async move { self.blocks(source, &fetch, Looked::Page, Purpose::Read).await }
            };
            let mut read = stream::iter(fetches).map(read).buffered(AT_ONCE);
            while let Some(records) = read.next().await {
                chunk.records.extend(records?.into_iter().filter(|record| record.offset >= from));
            }
            chunk.next = next;
            if is_enough {
                break;
            }
        }
        Ok(chunk)
    }

    /// The records of some blocks.
    pub(super) async fn blocks(
        &self,
        source: &Source,
        fetch: &Fetch,
        kind: Looked,
        purpose: Purpose,
    ) -> Result<Vec<Record>, ReadError> {
        let bytes = self.bytes(source, fetch.span, (kind, purpose)).await?;
        self.decoded(source, fetch, &bytes, (kind, purpose)).await
    }

    pub(super) async fn offset_at_time(
        &self,
        view: &View,
        queue: QueueUid,
        at: Timestamp,
    ) -> Result<Option<QueueOffset>, ReadError> {
        let from = self.start_of(view, queue).await?;
        let query = Query { since: Some(at), ..Query::queue(queue) };
        let entries = self.select(view, &query).await?;
        // Mostly the first has it; a queue with few messages may be in none of many.
        let (mut left, mut size) = (entries.as_slice(), 1);
        while !left.is_empty() {
            let (now, later) = left.split_at(size.min(left.len()));
            let tails = now.iter().map(|entry| self.tail(view.pg(), entry, Purpose::Read));
            for (entry, tail) in now.iter().zip(try_join_all(tails).await?) {
                if let Some(offset) = self.at_time(view, entry, &tail, (queue, from), at).await? {
                    return Ok(Some(offset));
                }
            }
            (left, size) = (later, AT_ONCE);
        }
        Ok(None)
    }

    /// The first offset of a queue in one object, at or after `from`, stored at `at` or later.
    async fn at_time(
        &self,
        view: &View,
        entry: &RunEntry,
        tail: &Tail,
        (queue, from): (QueueUid, QueueOffset),
        at: Timestamp,
    ) -> Result<Option<QueueOffset>, ReadError> {
        let blocks = tail.queues.blocks(view.pg(), queue, from);
        for block in blocks.filter(|block| at <= block.max_time) {
            if at <= block.min_time && from <= block.first {
                return Ok(Some(block.first));
            }
            let source = Source::of(view.pg(), entry);
            let fetch = Fetch { span: block.span, blocks: vec![block] };
            let records = self.blocks(&source, &fetch, Looked::Page, Purpose::Read).await?;
            let is_meant = |record: &&Record| from <= record.offset && at <= record.time;
            if let Some(record) = records.iter().find(is_meant) {
                return Ok(Some(record.offset));
            }
        }
        Ok(None)
    }
}

/// What is left to want.
struct Room {
    messages: usize,
    bytes: u64,
    tags: u64,
    has_any: bool,
}

impl Room {
    /// Takes a block, if it may be given.
    fn takes(&mut self, block: &BlockRef) -> bool {
        if self.has_any && (self.is_full() || block.span.len > self.bytes) {
            return false;
        }
        self.messages = self.messages.saturating_sub(block.count as usize);
        self.bytes = self.bytes.saturating_sub(block.span.len);
        self.has_any = true;
        true
    }

    const fn is_full(&self) -> bool {
        self.messages == 0 || self.bytes == 0
    }
}

/// What one object has of what is wanted.
struct Choice {
    fetches: Vec<Fetch>,
    /// Where the queue goes on after it.
    next: QueueOffset,
    /// More is not wanted.
    is_enough: bool,
}

fn choose(
    place: &Place,
    (pg, queue): (PgId, QueueUid),
    from: QueueOffset,
    room: &mut Room,
) -> Choice {
    let (mut next, mut end, mut is_enough) = (from, None, false);
    for block in place.tail.queues.blocks(pg, queue, from) {
        if block.tags & room.tags != 0 {
            if !room.takes(&block) {
                is_enough = true;
                break;
            }
            end = Some(block.last);
        }
        next = block.last.plus(1);
    }
    let Some(end) = end else { return Choice { fetches: Vec::new(), next, is_enough } };
    let sizes = (FETCH_BYTES, u64::MAX);
    let mut fetches = fetches(&place.tail, (pg, queue), from, room.tags, sizes);
    fetches.retain_mut(|fetch| {
        fetch.blocks.retain(|block| block.last <= end);
        let Some(last) = fetch.blocks.last() else { return false };
        fetch.span.len = last.span.end() - fetch.span.at;
        true
    });
    Choice { fetches, next, is_enough: is_enough || room.is_full() }
}

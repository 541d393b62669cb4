//! How much there is to be read of a queue, told without reading it: from the manifest, and from
//! the tails of objects of which the manifest does not say enough.

use super::access::{AT_ONCE, Access};
use super::error::ReadError;
use super::seek::Walk;
use super::view::View;
use super::window::PIECE_BYTES_MAX;
use crate::format::object::{BlockRef, Tail};
use crate::format::{QueueOffset, QueueUid};
use crate::object::Purpose;
use crate::tier::fetches;
use crate::tier::manifest::{Query, QueueSet, RunEntry};
use futures_util::{StreamExt, stream};
use std::ops::Range;
use std::sync::Arc;

/// Tails that one measuring looks into.
const TAILS_MAX: usize = 256;

/// What a cursor would read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Messages of the range; with tags, of the blocks that would be read.
    pub messages: u64,
    /// Their part of the bytes of these blocks, as they are stored.
    pub bytes: u64,
    /// Requests for them, with wide windows and nothing cached.
    pub gets: u64,
    /// Counted is what lies before: the range's end, or where another measuring goes on.
    pub next: QueueOffset,
}

impl Access {
    pub(super) async fn measure(
        &self,
        view: &View,
        queue: QueueUid,
        range: Range<QueueOffset>,
        tags: u64,
    ) -> Result<Measure, ReadError> {
        let mut measure = Measure { next: range.end, ..Measure::default() };
        let mut walk = Walk::new(view.clone(), queue, range.start, Purpose::Read);
        let Some(place) = walk.next(self).await?.filter(|_| range.start < range.end) else {
            return Ok(measure);
        };
        let range = range.start.max(walk.start())..range.end;
        let first = place.entry.key();
        let mut entries = self.select(view, &Query::queue(queue)).await?;
        entries.retain(|entry| first <= entry.key());
        let looked = |entry: RunEntry| {
            let range = range.clone();
            async move {
                let known = known(&entry, &range, tags);
                let tail = match known {
                    Some(_) => None,
                    None => Some(self.tail(view.pg(), &entry, Purpose::Read).await?),
                };
                Ok::<(Option<Part>, Option<Arc<Tail>>), ReadError>((known, tail))
            }
        };
        let mut looks = stream::iter(entries).map(looked).buffered(AT_ONCE);
        let mut tails = 0;
        while let Some(look) = looks.next().await {
            let (known, tail) = look?;
            let part = match &tail {
                Some(tail) => counted(tail, (view, queue), &range, tags),
                None => known,
            };
            let Some(part) = part else { continue };
            if range.end <= part.first {
                break;
            }
            measure.messages += part.messages;
            measure.bytes += part.bytes;
            measure.gets += part.gets;
            tails += usize::from(tail.is_some());
            if tails == TAILS_MAX && part.next < range.end {
                measure.next = part.next;
                break;
            }
        }
        Ok(measure)
    }
}

/// What one object has of a range.
#[derive(Clone, Copy)]
struct Part {
    first: QueueOffset,
    messages: u64,
    bytes: u64,
    gets: u64,
    next: QueueOffset,
}

/// What the manifest says, where that is enough: the object has nothing but this queue, all of it
/// in the range. Its tail must be read nevertheless before its messages are.
fn known(entry: &RunEntry, range: &Range<QueueOffset>, tags: u64) -> Option<Part> {
    let QueueSet::One { first, last, .. } = entry.queues else { return None };
    if range.end <= first {
        return Some(Part { first, messages: 0, bytes: 0, gets: 0, next: first });
    }
    (tags == u64::MAX && range.start <= first && last < range.end).then(|| Part {
        first,
        messages: entry.messages,
        bytes: entry.bytes,
        gets: 1 + entry.bytes.div_ceil(PIECE_BYTES_MAX),
        next: last.plus(1),
    })
}

/// What the tail says; `None`: there is nothing at or after the range's start.
fn counted(
    tail: &Tail,
    (view, queue): (&View, QueueUid),
    range: &Range<QueueOffset>,
    tags: u64,
) -> Option<Part> {
    let of = (view.pg(), queue);
    let first = tail.queues.blocks(of.0, of.1, range.start).next()?.first;
    let mut part = Part { first, messages: 0, bytes: 0, gets: 1, next: first };
    for block in tail.queues.blocks(of.0, of.1, range.start) {
        if range.end <= block.first {
            break;
        }
        part.next = block.last.plus(1);
        if block.tags & tags != 0 {
            let (messages, bytes) = within(&block, range);
            part.messages += messages;
            part.bytes += bytes;
        }
    }
    let sizes = (PIECE_BYTES_MAX, u64::MAX);
    let requests = fetches(tail, of, range.start, tags, sizes);
    let before_end = |fetch: &&crate::tier::Fetch| {
        fetch.blocks.first().is_some_and(|block| block.first < range.end)
    };
    part.gets += requests.iter().filter(before_end).count() as u64;
    Some(part)
}

/// What a block has of a range: exact, unless offsets within are missing.
fn within(block: &BlockRef, range: &Range<QueueOffset>) -> (u64, u64) {
    let (from, to) = (block.first.max(range.start), block.last.plus(1).min(range.end));
    let count = u64::from(block.count);
    let messages = to.since(from).min(count);
    let bytes = u128::from(block.span.len) * u128::from(messages) / u128::from(count.max(1));
    (messages, u64::try_from(bytes).unwrap_or(block.span.len))
}

//! Messages whose place is known.

use super::library::soon;
use super::{Found, Library, LookRefused};
use crate::history::Entries;
use crate::ownership::PlacementGroup;
use futures_util::{StreamExt, TryStreamExt, stream};
use metadata::model::{NEVER_OPENED, TopicQueue};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset, QueueUid};
use storage::{Entry, RecordKind};

/// Queues whose older messages are loaded at once: fewer than a placement group lets on their way
/// ([`crate::history::LOADS_MAX`]), so that consumers come by.
const AT_ONCE: usize = 4;

/// The message at a position of a log, as offset message ids name it. Any number may be asked for.
///
/// # Errors
/// [`LookRefused`].
pub async fn by_lsn(library: &Library, lsn: Lsn) -> Result<Found, LookRefused> {
    soon(find(library, lsn)).await
}

async fn find(library: &Library, lsn: Lsn) -> Result<Found, LookRefused> {
    let id = lsn.pg().ok_or(LookRefused::Missing)?;
    let pg = library.owned.get(id).ok_or(LookRefused::NotServedHere(id))?;
    if let Some(entry) = in_log(pg, lsn)
        && let Some(found) = read(pg, &entry)
    {
        return found;
    }
    if lsn >= library.tiered(id) {
        return Err(LookRefused::Missing);
    }
    let record = library.at(id, lsn).await?.ok_or(LookRefused::Missing)?;
    // The bucket has what was deleted, for a while.
    if library.catalog.is_gone(record.queue) {
        return Err(LookRefused::Missing);
    }
    Found::of_record(id, &record)
}

/// The message that the log has at a position.
fn in_log(pg: &PlacementGroup, lsn: Lsn) -> Option<Entry> {
    // Bytes in the middle of a record may look like one: only the queue's index tells where a
    // message begins.
    let record = pg.log.read(lsn).ok().filter(|record| record.kind == RecordKind::Message)?;
    entry_at(pg, record.queue, record.offset).filter(|entry| entry.lsn == lsn)
}

fn entry_at(pg: &PlacementGroup, queue: QueueUid, offset: QueueOffset) -> Option<Entry> {
    let mut found = None;
    pg.log.scan(queue, offset, &mut |entry| {
        found = Some(entry).filter(|entry| entry.offset == offset);
        ControlFlow::Break(())
    });
    found
}

/// Reads what the log's index names; `None` where the log gave it up since.
pub(super) fn read(pg: &PlacementGroup, entry: &Entry) -> Option<Result<Found, LookRefused>> {
    let record = pg.log.read(entry.lsn).ok()?.body;
    Some(Found::read(pg.id, entry.lsn, record))
}

/// The message at an offset of a queue.
///
/// # Errors
/// [`LookRefused`].
pub async fn by_offset(
    library: &Library,
    queue: TopicQueue,
    offset: QueueOffset,
) -> Result<Found, LookRefused> {
    let pg = library.served(queue)?;
    let message = soon(async { Ok(pg.history.message(queue.uid, offset).await?) }).await?;
    let record = message.ok_or(LookRefused::Missing)?;
    Found::read(pg.id, record.lsn, record.body)
}

/// Where each of these queues goes on with what was stored at a time or later.
///
/// # Errors
/// [`LookRefused::NotServedHere`], [`LookRefused::NotLoaded`].
pub async fn places_at(
    library: &Library,
    queues: &[TopicQueue],
    at: Timestamp,
) -> Result<Vec<(TopicQueue, QueueOffset)>, LookRefused> {
    let place = |queue: TopicQueue| async move {
        let history = &library.served(queue)?.history;
        Ok((queue, history.offset_at_time(queue.uid, at).await?))
    };
    let places = queues.iter().map(|queue| place(*queue)).collect::<Vec<_>>();
    soon(stream::iter(places).buffered(AT_ONCE).try_collect()).await
}

/// What comes next in several queues.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// By store time; those of a queue by offset. What cannot be read is left out.
    pub messages: Vec<Found>,
    /// Where to go on, for each place in their order.
    pub next: Vec<QueueOffset>,
}

/// What comes next in one queue.
struct Lane<'a> {
    pg: &'a Arc<PlacementGroup>,
    queue: QueueUid,
    entries: VecDeque<Entry>,
    /// More comes behind these, of which nobody knows when it was stored.
    goes_on: bool,
}

/// The oldest messages behind these places in their queues: at most `max`, and no further one once
/// `bytes` are reached. There is one unless there is none, or it cannot be read.
///
/// # Errors
/// [`LookRefused::NotServedHere`], [`LookRefused::NotLoaded`].
pub async fn follow(
    library: &Library,
    places: &[(TopicQueue, QueueOffset)],
    max: usize,
    bytes: u64,
) -> Result<Page, LookRefused> {
    soon(next_of(library, places, max, bytes)).await
}

async fn next_of(
    library: &Library,
    places: &[(TopicQueue, QueueOffset)],
    max: usize,
    bytes: u64,
) -> Result<Page, LookRefused> {
    let lanes = places.iter().map(|(queue, from)| lane(library, *queue, *from, max));
    let lanes = stream::iter(lanes.collect::<Vec<_>>()).buffered(AT_ONCE);
    let mut lanes: Vec<Lane<'_>> = lanes.try_collect().await?;
    let mut page = Page { messages: Vec::new(), next: places.iter().map(|(_, at)| *at).collect() };
    let mut taken = 0;
    for _ in 0..max {
        if taken >= bytes {
            break;
        }
        let Some((at, entry)) = oldest(&mut lanes) else { break };
        taken += u64::from(entry.len);
        let (Some(lane), Some(next)) = (lanes.get(at), page.next.get_mut(at)) else { break };
        let record = lane.pg.history.message_at(lane.queue, entry.offset, entry.lsn).await?;
        let found = record.map(|record| Found::read(lane.pg.id, record.lsn, record.body));
        page.messages.extend(found.and_then(Result::ok));
        *next = entry.offset.plus(1);
    }
    Ok(page)
}

async fn lane<'a>(
    library: &'a Library,
    queue: TopicQueue,
    from: QueueOffset,
    max: usize,
) -> Result<Lane<'a>, LookRefused> {
    let pg = library.served(queue)?;
    let Entries { entries, missing } = match queue.uid {
        NEVER_OPENED => Entries::default(),
        uid => pg.history.entries(uid, from, max).await?,
    };
    let goes_on = missing.is_some();
    Ok(Lane { pg, queue: queue.uid, entries: entries.into(), goes_on })
}

/// Takes the oldest of what comes next, and says of which lane. `None` at the end, and where a lane
/// that goes on has nothing more in hand.
fn oldest(lanes: &mut [Lane<'_>]) -> Option<(usize, Entry)> {
    let mut oldest: Option<(usize, Entry)> = None;
    for (at, lane) in lanes.iter().enumerate() {
        match lane.entries.front() {
            None if lane.goes_on => return None,
            None => {}
            // Within a queue neither time nor position goes back, so offsets stay in order.
            Some(entry) => {
                let rank = |entry: &Entry| (entry.time, entry.lsn);
                if oldest.is_none_or(|(_, known)| rank(entry) < rank(&known)) {
                    oldest = Some((at, *entry));
                }
            }
        }
    }
    if let Some((at, _)) = oldest {
        lanes.get_mut(at)?.entries.pop_front();
    }
    oldest
}

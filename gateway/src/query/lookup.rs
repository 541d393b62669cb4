//! Messages whose place is known.

use super::{Found, LookRefused};
use crate::ownership::{Owned, PlacementGroup};
use metadata::model::{NEVER_OPENED, TopicQueue};
use protocol::stored;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::format::{Lsn, QueueOffset, QueueUid};
use storage::{Entry, RecordKind};

/// The message at a position of a log, as offset message ids name it. Any number may be asked for.
///
/// # Errors
/// [`LookRefused`].
pub fn by_lsn(owned: &Owned, lsn: Lsn) -> Result<Found, LookRefused> {
    let pg = lsn.pg().ok_or(LookRefused::Missing)?;
    let pg = owned.get(pg).ok_or(LookRefused::NotServedHere(pg))?;
    // Bytes in the middle of a record may look like one: only the queue's index tells where a
    // message begins.
    let record = pg.log.read(lsn).map_err(|_| LookRefused::Missing)?;
    if record.kind != RecordKind::Message {
        return Err(LookRefused::Missing);
    }
    let entry = entry_at(pg, record.queue, record.offset).ok_or(LookRefused::Missing)?;
    if entry.lsn == lsn { read(pg, &entry) } else { Err(LookRefused::Missing) }
}

/// The message at an offset of a queue.
///
/// # Errors
/// [`LookRefused`].
pub fn by_offset(
    owned: &Owned,
    queue: TopicQueue,
    offset: QueueOffset,
) -> Result<Found, LookRefused> {
    let pg = served(owned, queue)?;
    let entry = entry_at(pg, queue.uid, offset).ok_or(LookRefused::Missing)?;
    read(pg, &entry)
}

/// What comes next in several queues.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// By store time; those of a queue by offset. What cannot be read is left out.
    pub messages: Vec<Found>,
    /// Where to go on, for each place in their order.
    pub next: Vec<QueueOffset>,
}

/// The oldest messages behind these places in their queues: at most `max`, and no further one once
/// `bytes` are reached.
///
/// # Errors
/// [`LookRefused::NotServedHere`].
pub fn follow(
    owned: &Owned,
    places: &[(TopicQueue, QueueOffset)],
    max: usize,
    bytes: u64,
) -> Result<Page, LookRefused> {
    let mut entries = Vec::new();
    for (at, (queue, from)) in places.iter().enumerate() {
        let pg = served(owned, *queue)?;
        let mut left = max;
        if queue.uid == NEVER_OPENED || left == 0 {
            continue;
        }
        pg.log.scan(queue.uid, *from, &mut |entry| {
            entries.push((at, pg, entry));
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    // Within a queue neither time nor position goes back, so offsets stay in order.
    entries.sort_by_key(|(_, _, entry)| (entry.time, entry.lsn));
    let mut page = Page { messages: Vec::new(), next: places.iter().map(|(_, at)| *at).collect() };
    let mut taken = 0;
    for (at, pg, entry) in entries.into_iter().take(max) {
        if taken >= bytes {
            break;
        }
        taken += u64::from(entry.len);
        page.messages.extend(read(pg, &entry));
        if let Some(next) = page.next.get_mut(at) {
            *next = entry.offset.plus(1);
        }
    }
    Ok(page)
}

/// The queue's placement group, if it is here.
pub(super) fn served(
    owned: &Owned,
    queue: TopicQueue,
) -> Result<&Arc<PlacementGroup>, LookRefused> {
    owned.get(queue.pg).ok_or(LookRefused::NotServedHere(queue.pg))
}

/// Reads what the index names.
pub(super) fn read(pg: &PlacementGroup, entry: &Entry) -> Result<Found, LookRefused> {
    // Deleted between the index and the log.
    let record = pg.log.read(entry.lsn).map_err(|_| LookRefused::Missing)?.body;
    match stored::decode(record.clone()) {
        Ok(message) => Ok(Found { pg: pg.id, lsn: entry.lsn, record, message }),
        Err(error) => {
            tracing::error!(%error, lsn = entry.lsn.0, "a stored message cannot be read");
            Err(LookRefused::Unreadable)
        }
    }
}

fn entry_at(pg: &PlacementGroup, queue: QueueUid, offset: QueueOffset) -> Option<Entry> {
    let mut found = None;
    pg.log.scan(queue, offset, &mut |entry| {
        found = Some(entry).filter(|entry| entry.offset == offset);
        ControlFlow::Break(())
    });
    found
}

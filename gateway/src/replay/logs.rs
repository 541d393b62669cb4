//! Messages out of the logs of the placement groups that are owned here.

use super::source::{Future, Measured, Page, Reading, Source, SourceMessage, SourceRefused};
use crate::ownership::{Owned, PlacementGroup};
use bytes::Bytes;
use metadata::model::{NEVER_OPENED, TopicQueue};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use storage::Entry;
use storage::env::Timestamp;
use storage::format::QueueOffset;

/// Index entries looked at in one go: well below half a millisecond.
const ENTRIES_MAX: usize = 4096;

/// The logs.
#[derive(Clone)]
pub struct Logs {
    owned: Owned,
}

impl Logs {
    /// Of what is owned here.
    pub fn new(owned: Owned) -> Logs {
        Logs { owned }
    }

    fn served(&self, queue: TopicQueue) -> Result<&Arc<PlacementGroup>, SourceRefused> {
        self.owned.get(queue.pg).ok_or(SourceRefused::NotServedHere(queue.pg))
    }
}

impl Source for Logs {
    fn range(
        &self,
        queue: TopicQueue,
        from: Timestamp,
        to: Timestamp,
    ) -> Future<'_, Result<Range<QueueOffset>, SourceRefused>> {
        Box::pin(async move {
            if queue.uid == NEVER_OPENED {
                return Ok(QueueOffset(0)..QueueOffset(0));
            }
            let log = &self.served(queue)?.log;
            let first = log.offset_at_time(queue.uid, from).max(log.bounds(queue.uid).first);
            let end = log.offset_at_time(queue.uid, to);
            Ok(first.min(end)..end)
        })
    }

    fn measure<'a>(&'a self, what: Reading<'a>) -> Future<'a, Result<Measured, SourceRefused>> {
        Box::pin(async move {
            let pg = self.served(what.queue)?;
            let (mut measured, mut from) = (Measured::default(), what.from);
            while from < what.end {
                let (entries, next) = look(pg, &Reading { from, bytes_max: u64::MAX, ..what });
                measured.messages += entries.len() as u64;
                measured.bytes += entries.iter().map(|entry| u64::from(entry.len)).sum::<u64>();
                from = next;
                // Others run meanwhile.
                tokio::task::yield_now().await;
            }
            Ok(measured)
        })
    }

    fn read<'a>(&'a self, what: Reading<'a>) -> Future<'a, Result<Page, SourceRefused>> {
        Box::pin(async move {
            let pg = self.served(what.queue)?;
            let (entries, next) = look(pg, &what);
            // What was deleted between the index and the log is left out.
            let read = |entry: Entry| {
                let record = pg.log.read(entry.lsn).ok()?.body;
                let (offset, stored_at) = (entry.offset, entry.time);
                Some(SourceMessage { offset, stored_at, record: Bytes::copy_from_slice(&record) })
            };
            Ok(Page { messages: entries.into_iter().filter_map(read).collect(), next, gets: 0 })
        })
    }
}

/// Entries that may be wanted, and where to go on.
fn look(pg: &PlacementGroup, what: &Reading<'_>) -> (Vec<Entry>, QueueOffset) {
    let (mut entries, mut bytes, mut looked) = (Vec::new(), 0, 0);
    let mut next = what.end;
    pg.log.scan(what.queue.uid, what.from, &mut |entry| {
        if entry.offset >= what.end {
            return ControlFlow::Break(());
        }
        looked += 1;
        if what.filter.admits(entry.filter) {
            bytes += u64::from(entry.len);
            entries.push(entry);
        }
        if looked == ENTRIES_MAX || bytes >= what.bytes_max {
            next = entry.offset.plus(1);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    (entries, next)
}

//! Messages wherever they lie: out of the logs of the placement groups that are owned here, and below them out of the
//! bucket.
//!
//! ```text
//!   a queue:   [ taken over by a clone ][ its own, in the bucket ][ in the log ]
//!                  course by course: a cursor each                  its index
//! ```
//!
//! Where the log begins may move while it is read; what it gave up is then read from the bucket. Cursors are kept
//! between the reads of a job, with what they gave beyond what was asked.

use super::course::{Courses, Kept};
use super::source::{Future, Measured, Page, Reading, Source, SourceMessage, SourceRefused};
use crate::consume::filter::Filter;
use crate::history::{LoadFailed, Look};
use crate::ownership::{Owned, PlacementGroup};
use crate::tiering::Tiering;
use bytes::Bytes;
use metadata::Catalog;
use metadata::model::{NEVER_OPENED, Part, Span, TopicQueue};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use storage::Entry;
use storage::env::Timestamp;
use storage::format::object::tag_bit;
use storage::format::{PgId, QueueOffset};
use storage::reader::{Course, FairKey, ReadError, View};

/// Index entries looked at in one go: well below half a millisecond.
const ENTRIES_MAX: usize = 4096;
/// How often one read begins again because the log gave up, or the manifest replaced, what it was at.
const ATTEMPTS_MAX: usize = 8;

/// All that is stored here. Cheap to clone; clones share the cursors.
#[derive(Clone)]
pub struct Archive {
    owned: Owned,
    /// `None`: the logs have everything.
    below: Option<Below>,
}

#[derive(Clone)]
struct Below {
    catalog: Catalog,
    tiering: Tiering,
    courses: Arc<Courses>,
}

/// Where a read goes on.
enum Place<'a> {
    /// In the log, to the end that was asked for.
    Log,
    /// In the bucket, among these.
    Bucket(&'a Below, Part),
    /// There is nothing before.
    Nothing(QueueOffset),
}

impl Archive {
    /// Of what is owned here.
    pub fn new(owned: Owned, catalog: Catalog, tiering: Tiering) -> Archive {
        Archive { owned, below: Some(Below { catalog, tiering, courses: Arc::default() }) }
    }

    /// Of logs that have everything.
    #[cfg(test)]
    pub(super) fn of_logs(owned: Owned) -> Archive {
        Archive { owned, below: None }
    }

    fn served(&self, queue: TopicQueue) -> Result<&Arc<PlacementGroup>, SourceRefused> {
        self.owned.get(queue.pg).ok_or(SourceRefused::NotServedHere(queue.pg))
    }

    /// Where the message at `from` lies, or the next one.
    fn place(&self, pg: &PlacementGroup, what: &Reading<'_>) -> Place<'_> {
        let (queue, from) = (what.queue.uid, what.from);
        let local_from = pg.log.bounds(queue).first;
        let Some(below) = &self.below else { return Place::Log };
        if from >= local_from {
            return Place::Log;
        }
        let parts = below.inherited(what.queue);
        if let Some(part) = parts.into_iter().find(|part| from < part.span.to) {
            if from < part.span.from {
                return Place::Nothing(part.span.from.min(what.end));
            }
            return Place::Bucket(below, cut(part, what.end));
        }
        let span = Span { from: QueueOffset(0), to: local_from };
        Place::Bucket(below, cut(Part { queue, span }, what.end))
    }
}

/// The part of it before `end`.
fn cut(part: Part, end: QueueOffset) -> Part {
    Part { span: Span { to: part.span.to.min(end), ..part.span }, ..part }
}

impl Source for Archive {
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
            let history = &self.served(queue)?.history;
            let first = history.offset_at_time(queue.uid, from).await?;
            let end = history.offset_at_time(queue.uid, to).await?;
            let first = first.max(history.bounds(queue.uid).first);
            Ok(first.min(end)..end)
        })
    }

    fn measure<'a>(&'a self, what: Reading<'a>) -> Future<'a, Result<Measured, SourceRefused>> {
        Box::pin(async move {
            let pg = self.served(what.queue)?;
            match self.place(pg, &what) {
                Place::Bucket(below, part) => below.measure(&what, part).await,
                Place::Nothing(next) => Ok(Measured { next, ..Measured::default() }),
                Place::Log => {
                    let (entries, next) = look(pg, &Reading { bytes_max: u64::MAX, ..what });
                    let bytes = entries.iter().map(|entry| u64::from(entry.len)).sum();
                    Ok(Measured { messages: entries.len() as u64, bytes, gets: 0, next })
                }
            }
        })
    }

    fn read<'a>(&'a self, what: Reading<'a>) -> Future<'a, Result<Page, SourceRefused>> {
        Box::pin(async move {
            let pg = self.served(what.queue)?;
            for _ in 0..ATTEMPTS_MAX {
                match self.place(pg, &what) {
                    Place::Bucket(below, part) => return below.read(&what, part).await,
                    Place::Nothing(next) => return Ok(Page { next, ..Page::default() }),
                    Place::Log => {
                        if let Some(page) = self.read_log(pg, &what) {
                            return Ok(page);
                        }
                    }
                }
            }
            Err(LoadFailed::Busy.into())
        })
    }
}

impl Archive {
    /// What the log has; `None` where it gave up what was to be read first.
    fn read_log(&self, pg: &PlacementGroup, what: &Reading<'_>) -> Option<Page> {
        let (entries, mut next) = look(pg, what);
        if self.below.is_some() && what.from < pg.log.bounds(what.queue.uid).first {
            return None;
        }
        let mut messages = Vec::with_capacity(entries.len());
        for entry in entries {
            match pg.history.read(what.queue.uid, entry.offset, entry.lsn) {
                Look::Here(record) => messages.push(SourceMessage {
                    offset: entry.offset,
                    stored_at: entry.time,
                    record: Bytes::copy_from_slice(&record.body),
                }),
                // What was deleted between the index and the log is left out.
                Look::Gone => {}
                Look::Missing => {
                    next = entry.offset;
                    break;
                }
            }
        }
        (next > what.from).then_some(Page { messages, next, gets: 0 })
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

impl Below {
    /// What a clone's queue took over, in order of offsets.
    fn inherited(&self, queue: TopicQueue) -> Vec<Part> {
        let topic = self.catalog.topic_of(queue.uid);
        topic.map(|topic| topic.inherited(queue.uid)).unwrap_or_default()
    }

    fn view(&self, pg: PgId) -> Result<View, SourceRefused> {
        self.tiering.view(pg).ok_or(SourceRefused::NotServedHere(pg))
    }

    async fn measure(&self, what: &Reading<'_>, part: Part) -> Result<Measured, SourceRefused> {
        let (reader, tags) = (self.tiering.reader(), tags(what.filter));
        let range = || what.from..part.span.to;
        let ask = |views: Vec<View>| async move {
            match views.first() {
                Some(view) => reader.measure(view, part.queue, range(), tags).await.map(Some),
                None => Ok(None),
            }
        };
        let measure = self.tiering.ask(&[what.queue.pg], ask).await?;
        let measure = measure.ok_or(SourceRefused::NotServedHere(what.queue.pg))?;
        let (messages, bytes, gets) = (measure.messages, measure.bytes, measure.gets);
        Ok(Measured { messages, bytes, gets, next: measure.next })
    }

    /// What follows in the bucket: what is in hand, or else what the cursor gives.
    async fn read(&self, what: &Reading<'_>, part: Part) -> Result<Page, SourceRefused> {
        let mut kept = match self.courses.take(what, part) {
            Some(kept) => kept,
            None => {
                let topic = self.catalog.topic_of(what.queue.uid);
                let key = FairKey(topic.map_or(what.queue.uid.0, |topic| topic.uid_base));
                let (queue, until) = (part.queue, part.span.to);
                let course = Course { queue, from: what.from, until, tags: tags(what.filter) };
                let cursor = self.tiering.reader().cursor(&self.view(what.queue.pg)?, course, key);
                Kept::new(what, course, cursor)
            }
        };
        let mut renewals = 0;
        while kept.is_empty() {
            match kept.fill(what.filter).await {
                Ok(true) => {}
                // The manifest in hand is an old one, or there is nothing more.
                Ok(false) if renewals > 0 => kept.pass_to_end(),
                Err(error) if renewals >= ATTEMPTS_MAX || !is_stale(&error) => {
                    return Err(error.into());
                }
                Ok(false) | Err(_) => {
                    renewals += 1;
                    kept.renew(self.view(what.queue.pg)?);
                }
            }
        }
        let page = kept.give(what.bytes_max);
        self.courses.keep(kept);
        Ok(page)
    }
}

fn is_stale(error: &ReadError) -> bool {
    matches!(error, ReadError::Stale { .. })
}

/// The tags of blocks that may have a wanted message.
pub(super) fn tags(filter: &Filter) -> u64 {
    filter.hashes().map_or(u64::MAX, |hashes| hashes.fold(0, |bits, hash| bits | tag_bit(hash)))
}

impl From<LoadFailed> for SourceRefused {
    fn from(failed: LoadFailed) -> SourceRefused {
        SourceRefused::Unavailable(failed.to_string())
    }
}

impl From<ReadError> for SourceRefused {
    fn from(error: ReadError) -> SourceRefused {
        match &error {
            ReadError::Damaged { .. }
            | ReadError::NotARoot(_)
            | ReadError::Delta(_)
            | ReadError::Deltas(_) => SourceRefused::Broken(error.to_string()),
            ReadError::Stale { .. } | ReadError::Store(_) | ReadError::Closed => {
                SourceRefused::Unavailable(format!(
                    "older messages cannot be read from the object store: {error}"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consume::filter::FilterLanguage;
    use protocol::stored::tag_hash;

    #[test]
    fn blocks_of_a_wanted_tag_are_wanted_and_without_a_filter_all_are() {
        let filter = Filter::parse(FilterLanguage::Tag, "a || b").unwrap();
        assert_eq!(tags(&filter), tag_bit(tag_hash("a")) | tag_bit(tag_hash("b")));
        assert_eq!(tags(&Filter::All), u64::MAX);
    }
}

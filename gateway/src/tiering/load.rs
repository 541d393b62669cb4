//! Older messages for consumers: read from the bucket, ahead of those who read on.
//!
//! A clone of a topic has no objects of its own for what it took over: its queues' first offsets are read from the
//! queues that they were taken from.

use super::view::{self, Published, RENEWALS_MAX};
use crate::history::{LoadFailed, Loaded, Loader};
use async_trait::async_trait;
use metadata::Catalog;
use metadata::model::Part;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};
use storage::reader::{Course, Cursor, FairKey, ReadError, Reader, View};

/// Readers of one placement group that are read ahead for; the one who read longest ago begins anew.
const CURSORS_MAX: usize = 64;
/// Behind the last offset that there can be.
const NO_END: QueueOffset = QueueOffset(u64::MAX);

/// Reads a placement group's messages that the journal no longer has.
pub(super) struct BucketLoader {
    reader: Reader,
    catalog: Catalog,
    view: Published,
    /// Where somebody may read on, the one who read last at the end.
    cursors: Mutex<VecDeque<(QueueUid, Cursor)>>,
}

impl BucketLoader {
    pub(super) fn new(reader: Reader, catalog: Catalog, view: Published) -> BucketLoader {
        BucketLoader { reader, catalog, view, cursors: Mutex::default() }
    }

    /// The one who stands there, or a new one.
    fn cursor(&self, course: Course) -> Cursor {
        let view = self.view.load();
        let known = {
            let mut cursors = self.cursors.lock();
            let stands =
                |(of, at): &(QueueUid, Cursor)| *of == course.queue && at.position() == course.from;
            let at = cursors.iter().position(stands);
            at.and_then(|at| cursors.remove(at))
        };
        match known {
            Some((_, mut cursor)) => {
                cursor.renew(view);
                cursor
            }
            None => self.reader.cursor(&view, course, FairKey(course.queue.0)),
        }
    }

    fn keep(&self, queue: QueueUid, cursor: Cursor) {
        let oldest = {
            let mut cursors = self.cursors.lock();
            cursors.push_back((queue, cursor));
            if cursors.len() > CURSORS_MAX { cursors.pop_front() } else { None }
        };
        // Outside the lock: what it has read ahead goes with it.
        drop(oldest);
    }

    /// What follows in one queue's own objects, before `until`.
    async fn load_own(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        until: QueueOffset,
    ) -> Result<Loaded, LoadFailed> {
        // A cursor goes on beyond `until`, for the queue's own readers.
        let mut cursor = self.cursor(Course { queue, from, until: NO_END, tags: u64::MAX });
        for _ in 0..RENEWALS_MAX {
            match cursor.next().await {
                Ok(Some(chunk)) if chunk.records.is_empty() && !chunk.ended => {}
                Ok(Some(chunk)) => {
                    let next = if chunk.ended { NO_END } else { chunk.next };
                    let mut records = chunk.records;
                    records.retain(|record| record.offset < until);
                    self.keep(queue, cursor);
                    return Ok(Loaded { records, next });
                }
                Ok(None) => return Ok(Loaded { records: Vec::new(), next: NO_END }),
                Err(ReadError::Stale { .. }) => cursor.renew(self.view.load()),
                Err(failed) => return Err(refused(&failed)),
            }
        }
        Err(LoadFailed::Store(Arc::from("the manifest is replaced over and over")))
    }

    /// What a clone's queue took over, in order of offsets.
    fn inherited(&self, queue: QueueUid) -> Vec<Part> {
        let topic = self.catalog.topic_of(queue);
        topic.map(|topic| topic.inherited(queue)).unwrap_or_default()
    }

    /// Asks the newest manifest.
    async fn ask<T, F>(&self, question: impl FnMut(View) -> F) -> Result<T, LoadFailed>
    where
        F: Future<Output = Result<T, ReadError>>,
    {
        view::ask(|| self.view.load(), question).await.map_err(|failed| refused(&failed))
    }
}

fn refused(failed: &ReadError) -> LoadFailed {
    LoadFailed::Store(Arc::from(failed.to_string()))
}

#[async_trait]
impl Loader for BucketLoader {
    async fn load(&self, queue: QueueUid, from: QueueOffset) -> Result<Loaded, LoadFailed> {
        for Part { queue: source, span } in self.inherited(queue) {
            if from < span.to {
                let from = from.max(span.from);
                let mut loaded = self.load_own(source, from, span.to).await?;
                // Where this part ends the next one begins, or the queue's own.
                loaded.next = loaded.next.min(span.to);
                if !loaded.records.is_empty() || loaded.next > from {
                    return Ok(loaded);
                }
            }
        }
        self.load_own(queue, from, NO_END).await
    }

    async fn offset_at_time(
        &self,
        queue: QueueUid,
        at: Timestamp,
    ) -> Result<Option<QueueOffset>, LoadFailed> {
        let reader = &self.reader;
        for Part { queue: source, span } in self.inherited(queue) {
            let found = self
                .ask(|view| async move { reader.offset_at_time(&view, source, at).await })
                .await?;
            if let Some(offset) = found.filter(|offset| *offset < span.to) {
                return Ok(Some(offset.max(span.from)));
            }
        }
        self.ask(|view| async move { reader.offset_at_time(&view, queue, at).await }).await
    }
}

//! All of a placement group's history: what there is, what is in memory of it, and how to get the
//! rest.

use super::index::{Index, Look, Scan};
use super::load::{Flight, Flights, LoadFailed, Loaded, Loader, Pilot, Place};
use super::local::Local;
use super::window::{WINDOW_BYTES_MAX, Windows};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::env::{Env, Timestamp};
use storage::format::object::Record;
use storage::format::{Lsn, QueueOffset, QueueUid};
use storage::{Entry, Log, ReadError, RecordView};

/// How often one question has the same place loaded before it gives up: others may need the memory
/// more.
const LOOKS_MAX: usize = 8;

/// The history of one placement group. Cheap to clone.
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    log: Log,
    /// The same log, but for tests.
    local: Box<dyn Local>,
    windows: Mutex<Windows>,
    /// The first kept offset of queues from which something was removed; 0 for the others.
    starts: RwLock<BTreeMap<QueueUid, QueueOffset>>,
    /// `None`: the local log has everything.
    remote: Option<Remote>,
}

struct Remote {
    loader: Arc<dyn Loader>,
    flights: Arc<Flights>,
    env: Env,
}

/// How far a queue goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryBounds {
    /// The first offset that is kept, wherever.
    pub first: QueueOffset,
    /// Behind the last message that consumers see.
    pub visible_end: QueueOffset,
    /// What the next message gets.
    pub next: QueueOffset,
}

/// Messages of a queue from some offset on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Ascending by offset, without a message left out between.
    pub entries: Vec<Entry>,
    /// They end before this place, which is not in memory.
    pub missing: Option<QueueOffset>,
}

impl History {
    /// Of a log that has everything.
    pub fn of_log(log: Log) -> History {
        History::over(log.clone(), Box::new(log), BTreeMap::new(), None)
    }

    /// Of a log below which `loader` reads. `starts` are the first kept offsets of queues; 0 for
    /// those that are absent.
    pub fn new(
        log: Log,
        loader: Arc<dyn Loader>,
        starts: BTreeMap<QueueUid, QueueOffset>,
        env: Env,
    ) -> History {
        History::over(log.clone(), Box::new(log), starts, Some((loader, env)))
    }

    /// As the others, where `local` is what is to be seen of `log`.
    pub(crate) fn over(
        log: Log,
        local: Box<dyn Local>,
        starts: BTreeMap<QueueUid, QueueOffset>,
        remote: Option<(Arc<dyn Loader>, Env)>,
    ) -> History {
        let remote = remote.map(|(loader, env)| Remote { loader, flights: Arc::default(), env });
        let windows = Mutex::new(Windows::new(WINDOW_BYTES_MAX));
        History(Arc::new(Inner { log, local, windows, starts: RwLock::new(starts), remote }))
    }

    /// The local log.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// Nothing below `first` is kept of the queue any more: retention removed it. Never goes back.
    pub fn keep_from(&self, queue: QueueUid, first: QueueOffset) {
        let mut starts = self.0.starts.write();
        let start = starts.entry(queue).or_default();
        *start = first.max(*start);
        drop(starts);
        self.0.windows.lock().forget_below(queue, first);
    }

    /// The first kept offset of a queue, wherever it lies.
    pub fn kept_from(&self, queue: QueueUid) -> QueueOffset {
        self.0.starts.read().get(&queue).copied().unwrap_or_default()
    }

    /// The first kept offsets of the queues from which something was removed.
    pub fn starts(&self) -> Vec<(QueueUid, QueueOffset)> {
        self.0.starts.read().iter().map(|(queue, start)| (*queue, *start)).collect()
    }

    /// The queue is gone, and where it began with it.
    pub fn forget(&self, queue: QueueUid) {
        self.0.starts.write().remove(&queue);
    }

    /// How far a queue goes.
    pub fn bounds(&self, queue: QueueUid) -> HistoryBounds {
        let index = self.index(queue);
        let (first, visible_end) = (index.first(), index.end());
        HistoryBounds { first, visible_end, next: index.bounds.next }
    }

    /// A queue as far as it is in memory, now.
    pub fn index(&self, queue: QueueUid) -> Index<'_> {
        let inner = &*self.0;
        let start = || inner.starts.read().get(&queue).copied().unwrap_or_default();
        Index {
            local: &*inner.local,
            windows: &inner.windows,
            queue,
            kept_from: inner.remote.as_ref().map(|_| start()),
            bounds: inner.local.bounds(queue),
        }
    }

    /// The message of which an index said that it is at `lsn`, if it is in memory.
    pub fn read(&self, queue: QueueUid, offset: QueueOffset, lsn: Lsn) -> Look<RecordView> {
        let error = match self.0.local.read(lsn) {
            Ok(record) => return Look::Here(record),
            Err(error) => error,
        };
        if self.0.remote.is_some() {
            let known = self.0.windows.lock().record(queue, offset);
            match known {
                Some(Some(record)) => return Look::Here(view(queue, &record)),
                Some(None) => return Look::Gone,
                None if offset < self.index(queue).first() => return Look::Gone,
                None => {}
            }
            match error {
                // The log gave it up since.
                ReadError::Gone(_) | ReadError::NotYet(_) => return Look::Missing,
                ReadError::NotARecord(_) => {}
            }
        }
        tracing::warn!(%error, lsn = lsn.0, "a message is gone between index and log");
        Look::Gone
    }

    /// The same, loaded where it is not in memory; `None` where it is gone.
    ///
    /// # Errors
    /// [`LoadFailed`].
    pub async fn message_at(
        &self,
        queue: QueueUid,
        offset: QueueOffset,
        lsn: Lsn,
    ) -> Result<Option<RecordView>, LoadFailed> {
        for _ in 0..LOOKS_MAX {
            match self.read(queue, offset, lsn) {
                Look::Here(record) => return Ok(Some(record)),
                Look::Gone => return Ok(None),
                Look::Missing => self.load(queue, offset).await?,
            }
        }
        Err(LoadFailed::Busy)
    }

    /// The message at an offset, loaded where it is not in memory; `None` if there is none that
    /// consumers see.
    ///
    /// # Errors
    /// [`LoadFailed`].
    pub async fn message(
        &self,
        queue: QueueUid,
        offset: QueueOffset,
    ) -> Result<Option<RecordView>, LoadFailed> {
        for _ in 0..LOOKS_MAX {
            match self.index(queue).find(offset) {
                Look::Here(entry) => return self.message_at(queue, offset, entry.lsn).await,
                Look::Gone => return Ok(None),
                Look::Missing => self.load(queue, offset).await?,
            }
        }
        Err(LoadFailed::Busy)
    }

    /// What is in memory of a queue from an offset on, at most `max`.
    pub fn entries_here(&self, queue: QueueUid, from: QueueOffset, max: usize) -> Entries {
        let mut entries = Vec::new();
        if max == 0 {
            return Entries::default();
        }
        let scan = self.index(queue).scan(from, &mut |entry| {
            entries.push(entry);
            if entries.len() == max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match scan {
            Scan::End => Entries { entries, missing: None },
            Scan::Missing(at) => Entries { entries, missing: Some(at) },
        }
    }

    /// The same, with the first of them loaded if need be: none only where there is none, or where
    /// `max` is 0.
    ///
    /// # Errors
    /// [`LoadFailed`].
    pub async fn entries(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        max: usize,
    ) -> Result<Entries, LoadFailed> {
        for _ in 0..LOOKS_MAX {
            let here = self.entries_here(queue, from, max);
            match here.missing {
                Some(at) if here.entries.is_empty() => self.load(queue, at).await?,
                Some(_) | None => return Ok(here),
            }
        }
        Err(LoadFailed::Busy)
    }

    /// The offset of a queue's first visible message that was stored at or after a time; the visible
    /// end if there is none.
    ///
    /// # Errors
    /// [`LoadFailed`].
    pub async fn offset_at_time(
        &self,
        queue: QueueUid,
        at: Timestamp,
    ) -> Result<QueueOffset, LoadFailed> {
        let (first, local_from) = {
            let index = self.index(queue);
            (index.first(), index.bounds.first)
        };
        let local = self.0.local.offset_at_time(queue, at);
        let Some(remote) = &self.0.remote else { return Ok(local) };
        // Where an older message is local too, none below is of that time.
        if local > local_from || first >= local_from {
            return Ok(local);
        }
        let tiered = remote.loader.offset_at_time(queue, at).await?;
        Ok(tiered.unwrap_or(local).clamp(first, local.max(first)))
    }

    /// Brings a place that was named as missing into memory, with what follows it. Cancel safe: the
    /// load goes on, and serves whoever asks next.
    ///
    /// # Errors
    /// [`LoadFailed`].
    pub async fn load(&self, queue: QueueUid, from: QueueOffset) -> Result<(), LoadFailed> {
        match self.begin((queue, from))? {
            Some(flight) => flight.end().await,
            None => Ok(()),
        }
    }

    /// Begins to bring a place into memory that will be wanted soon, if there is room for another
    /// load.
    pub fn load_ahead(&self, queue: QueueUid, from: QueueOffset) {
        // Whoever wants it then begins it, or is told.
        let _ = self.begin((queue, from));
    }

    /// `None` where the place is in memory by now.
    fn begin(&self, place: Place) -> Result<Option<Flight>, LoadFailed> {
        let Some(remote) = &self.0.remote else {
            return Err(LoadFailed::Store(Arc::from("there is none")));
        };
        if self.0.windows.lock().find(place.0, place.1).is_some() {
            return Ok(None);
        }
        let (flight, pilot) = remote.flights.join(place)?;
        if let Some(pilot) = pilot {
            let load = fly(Arc::clone(&self.0), Arc::clone(&remote.loader), place, pilot);
            // Ends by itself.
            drop(remote.env.spawn("load older messages", load));
        }
        Ok(Some(flight))
    }
}

/// Loads a place and takes in what came.
async fn fly(inner: Arc<Inner>, loader: Arc<dyn Loader>, place: Place, pilot: Pilot) {
    let (queue, from) = place;
    // What the log gave up before now is in the object store; of what it gives up meanwhile the
    // loader may know nothing.
    let local_from = inner.local.bounds(queue).first;
    let outcome = match loader.load(queue, from).await {
        Ok(loaded) => inner.take_in(place, local_from, loaded),
        Err(failed) => Err(failed),
    };
    if let Err(failed) = &outcome {
        tracing::warn!(%failed, queue = queue.0, offset = from.0, "older messages not loaded");
    }
    pilot.land(outcome);
}

impl Inner {
    fn take_in(
        &self,
        (queue, from): Place,
        local_from: QueueOffset,
        loaded: Loaded,
    ) -> Result<(), LoadFailed> {
        let behind_last = loaded.records.last().map_or(from, |last| last.offset.plus(1));
        // Up to its last message the object store has everything, and all that was not local.
        let next = loaded.next.min(local_from.max(behind_last));
        if next > from {
            self.windows.lock().insert(queue, from, next, loaded.records);
            return Ok(());
        }
        if loaded.next > from {
            // It is local, and was on its way out perhaps; another look will tell.
            return Ok(());
        }
        Err(LoadFailed::Store(Arc::from("it gave nothing for a place that it should have")))
    }
}

/// A record of the object store as one of the log. A clone's queue shows what was sent to another as its own.
fn view(queue: QueueUid, record: &Record) -> RecordView {
    RecordView {
        kind: record.kind,
        queue,
        offset: record.offset,
        lsn: record.lsn,
        time: record.time,
        filter: record.filter,
        body: record.body(),
    }
}

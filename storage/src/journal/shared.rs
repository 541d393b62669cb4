//! What the store's threads, its handles and its logs share.
use super::config::StoreId;
use super::copy::{CopyState, PgCopy};
use super::disk::Disk;
use super::frames::Frames;
use super::handoff::Handoff;
use super::inbox::{Inbox, Item};
use super::index_room::IndexRoom;
use super::metrics::Measured;
use super::segment::Segment;
use super::space::Space;
use crate::env::Env;
use crate::format::{Epoch, ExtentHeader, PgId};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;

/// What happens after a sync or write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The process ends: what it believes to be written may not be.
    Abort,
    /// Only the store stops; for tests, which go on to look at the disk.
    #[cfg(test)]
    Stop,
}

/// This process's life as a user of the store; in each of its extent headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) number: u32,
    /// How many lives began after a page cache was lost unsynced.
    pub(crate) crashes: u32,
    /// Where the life before was found to end.
    pub(crate) cut: u64,
    pub(crate) boot: u64,
}

/// A store, without its threads.
pub(crate) struct Shared {
    pub(crate) id: StoreId,
    pub(crate) env: Env,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) life: Life,
    pub(crate) space: Space,
    pub(crate) index_room: Arc<IndexRoom>,
    pub(crate) inbox: Inbox,
    pub(crate) handoff: Handoff,
    pub(crate) measured: Measured,
    /// Segments with frames in them, the one being written included.
    pub(crate) segments: Mutex<Vec<Arc<Segment>>>,
    /// Names of files that may be recycled, with the segment while somebody may hold a slice of it.
    pub(crate) retired: Mutex<Vec<Retired>>,
    /// Journal position up to which all is synced.
    pub(crate) synced: AtomicU64,
    next_segno: AtomicU64,
    copies: Mutex<HashMap<PgId, Arc<PgCopy>>>,
    /// The journal was damaged: placement groups without a copy may have had one.
    pub(crate) doubt: bool,
    poisoned: AtomicBool,
    on_failure: OnFailure,
    /// Threads that have not ended.
    threads: watch::Sender<u32>,
    lock: Mutex<Option<std::fs::File>>,
}

/// A file that nothing needs.
pub(crate) struct Retired {
    pub(crate) name: String,
    pub(crate) segment: Option<Arc<Segment>>,
}

/// What [`Shared`] begins with.
pub(crate) struct Beginning {
    pub(crate) id: StoreId,
    pub(crate) env: Env,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) life: Life,
    pub(crate) space: Space,
    pub(crate) index_room: IndexRoom,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) retired: Vec<String>,
    pub(crate) position: u64,
    pub(crate) next_segno: u64,
    pub(crate) copies: Vec<(PgId, CopyState, Frames)>,
    pub(crate) doubt: bool,
    pub(crate) on_failure: OnFailure,
    pub(crate) lock: Option<std::fs::File>,
}

impl Shared {
    pub(crate) fn new(beginning: Beginning) -> Shared {
        let inbox = Inbox::new();
        let copies = beginning.copies.into_iter().map(|(pg, state, frames)| {
            (pg, Arc::new(PgCopy::new(pg, inbox.add_lane(), state, frames)))
        });
        let retired =
            beginning.retired.into_iter().map(|name| Retired { name, segment: None }).collect();
        Shared {
            id: beginning.id,
            env: beginning.env,
            disk: beginning.disk,
            life: beginning.life,
            space: beginning.space,
            index_room: Arc::new(beginning.index_room),
            copies: Mutex::new(copies.collect()),
            inbox,
            handoff: Handoff::default(),
            measured: Measured::default(),
            segments: Mutex::new(beginning.segments),
            retired: Mutex::new(retired),
            synced: AtomicU64::new(beginning.position),
            next_segno: AtomicU64::new(beginning.next_segno),
            doubt: beginning.doubt,
            poisoned: AtomicBool::new(false),
            on_failure: beginning.on_failure,
            threads: watch::Sender::new(0),
            lock: Mutex::new(beginning.lock),
        }
    }

    /// Hands an item to whoever is to write it; gives it back when nothing more is taken.
    pub(crate) fn hand_over(&self, item: Item) -> Result<(), Item> {
        if self.inbox.push(item)? {
            self.handoff.hurry();
        }
        Ok(())
    }

    /// The copy of `pg`, which has label 0 where there is none.
    pub(crate) fn copy(&self, pg: PgId) -> Arc<PgCopy> {
        let mut copies = self.copies.lock();
        let copy = copies.entry(pg).or_insert_with(|| {
            let state = CopyState { lost: self.doubt, ..CopyState::default() };
            Arc::new(PgCopy::new(pg, self.inbox.add_lane(), state, Frames::default()))
        });
        Arc::clone(copy)
    }

    /// All copies, in no order.
    pub(crate) fn copies(&self) -> Vec<Arc<PgCopy>> {
        self.copies.lock().values().cloned().collect()
    }

    /// The header of this life's next extent.
    pub(crate) fn next_header(&self, start: u64) -> ExtentHeader {
        ExtentHeader {
            store: self.id.0,
            segno: self.next_segno.fetch_add(1, Ordering::Relaxed),
            salt: self.env.random_u64() as u32,
            size: self.space.segment_bytes,
            start,
            created: self.env.now(),
            life: self.life.number,
            crashes: self.life.crashes,
            life_cut: self.life.cut,
            journal_synced: self.synced.load(Ordering::Acquire),
            boot: self.life.boot,
        }
    }

    /// The bytes `[from, from + len)` of a segment; `None` if they are not published, or no more.
    pub(crate) fn slice(&self, segment: &Segment, from: u64, len: u64) -> Option<Bytes> {
        let slice = segment.slice(from, len)?;
        if slice.was_cold {
            self.space.wake_preparer();
        }
        Some(slice.bytes)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// The disk failed: nothing is acknowledged any more, and the process ends.
    pub(crate) fn poison(&self, action: &'static str, error: &std::io::Error) {
        self.poisoned.store(true, Ordering::Release);
        tracing::error!(action, %error, "journal failed; what was not acknowledged is unknown");
        self.end_all();
        match self.on_failure {
            OnFailure::Abort => std::process::abort(),
            #[cfg(test)]
            OnFailure::Stop => {}
        }
    }

    /// Stops everything where it stands.
    pub(crate) fn end_all(&self) {
        self.inbox.stop();
        self.handoff.stop();
        self.space.wake_preparer();
        let mut called = Vec::new();
        for copy in self.copies() {
            copy.set_live(Epoch(0), &mut called);
        }
        for waker in called {
            waker.wake();
        }
    }

    pub(crate) fn thread_begins(&self) {
        self.threads.send_modify(|count| *count += 1);
    }

    /// The last thread to end gives the folder free.
    pub(crate) fn thread_ends(&self) {
        self.threads.send_modify(|count| {
            *count -= 1;
            if *count == 0 {
                self.lock.lock().take();
            }
        });
    }

    /// Resolves when no thread is left.
    pub(crate) async fn threads_ended(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.threads.subscribe().wait_for(|count| *count == 0).await;
    }
}

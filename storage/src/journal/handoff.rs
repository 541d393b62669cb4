//! From the writer to the syncer: what was published since the last sync began. One sync makes all
//! of it durable.
use super::copy::PgCopy;
use super::segment::Segment;
use crate::format::{Epoch, Lsn};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// A reply that may go out once what was written before it is durable.
pub(crate) type Reply = Box<dyn FnOnce() + Send>;

/// What one sync covers.
#[derive(Default)]
pub(crate) struct Published {
    /// Journal position after it.
    pub(crate) position: u64,
    /// Segments that were written, in order.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Copies whose log grew: the epoch and the new end, in order.
    pub(crate) grown: Vec<(Arc<PgCopy>, Epoch, Lsn)>,
    pub(crate) replies: Vec<Reply>,
    /// Records of logs that it adds, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Segments that nobody needs once this is durable.
    pub(crate) freed: Vec<Arc<Segment>>,
    /// Nothing follows.
    pub(crate) last: bool,
}

impl Published {
    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.replies.is_empty() && self.freed.is_empty() && !self.last
    }

    fn append(&mut self, later: &mut Published) {
        self.position = self.position.max(later.position);
        for segment in later.segments.drain(..) {
            if !self.segments.iter().any(|known| Arc::ptr_eq(known, &segment)) {
                self.segments.push(segment);
            }
        }
        self.grown.append(&mut later.grown);
        self.replies.append(&mut later.replies);
        self.records += std::mem::take(&mut later.records);
        self.bytes += std::mem::take(&mut later.bytes);
        self.freed.append(&mut later.freed);
        self.last |= later.last;
        later.last = false;
    }
}

#[derive(Default)]
struct State {
    published: Published,
    stopped: bool,
    syncer_waits: bool,
}

/// The place where it is handed over.
#[derive(Default)]
pub(crate) struct Handoff {
    state: Mutex<State>,
    came: Condvar,
}

impl Handoff {
    /// Adds `published`, and leaves it empty for the next use.
    pub(crate) fn give(&self, published: &mut Published) {
        if published.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.stopped {
            drop(state);
            // Whoever waits for a reply learns that none will come.
            *published = Published::default();
            return;
        }
        state.published.append(published);
        if state.syncer_waits {
            state.syncer_waits = false;
            self.came.notify_one();
        }
    }

    /// Takes all there is into `into`, which is empty; false when there is nothing.
    pub(crate) fn take(&self, into: &mut Published) -> bool {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.published, into);
        !into.is_empty()
    }

    /// The syncer's rest; false when it is over.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while !state.stopped && state.published.is_empty() {
            state.syncer_waits = true;
            self.came.wait(&mut state);
        }
        state.syncer_waits = false;
        !state.stopped
    }

    /// Nothing more is synced.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        let dropped = std::mem::take(&mut state.published);
        self.came.notify_one();
        drop(state);
        drop(dropped);
    }
}

//! The syncer: takes whatever was published, makes it durable with one sync, and says so. What is
//! published meanwhile is the next group; no timer is needed.
use super::handoff::Published;
use super::shared::{Retired, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

/// See the module.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    taken: Published,
    called: Vec<Waker>,
}

impl Syncer {
    pub(crate) fn new(shared: Arc<Shared>) -> Syncer {
        Syncer { shared, taken: Published::default(), called: Vec::new() }
    }

    /// Syncs what there is. False when nothing follows: the journal is closed or failed.
    pub(crate) fn sync(&mut self) -> bool {
        if !self.shared.handoff.take(&mut self.taken) {
            return true;
        }
        let began = self.shared.env.monotonic();
        if let Err(error) = self.taken.segments.iter().try_for_each(|segment| segment.sync()) {
            // The pages that could not be written may be marked clean by now: a second try would
            // lie.
            self.shared.poison("sync", &error);
            self.taken = Published::default();
            return false;
        }
        self.taken.segments.clear();
        self.taken.wanted = false;
        self.measure(began);
        if self.shared.is_poisoned() {
            return false;
        }
        self.shared.synced.fetch_max(self.taken.position, Ordering::AcqRel);
        for (copy, epoch, end) in self.taken.grown.drain(..) {
            copy.set_synced(epoch, end, &mut self.called);
        }
        for reply in self.taken.replies.drain(..) {
            reply();
        }
        for waker in self.called.drain(..) {
            waker.wake();
        }
        self.free();
        !std::mem::take(&mut self.taken.last)
    }

    /// Counts what was just made durable, unless it was only the journal's own.
    fn measure(&mut self, began: Duration) {
        let records = std::mem::take(&mut self.taken.records);
        let bytes = std::mem::take(&mut self.taken.bytes);
        if records > 0 {
            let took = self.shared.env.monotonic().saturating_sub(began);
            self.shared.measured.synced(records, bytes, took);
        }
    }

    /// Lets the preparer have the segments that are needed no more.
    fn free(&mut self) {
        if self.taken.freed.is_empty() {
            return;
        }
        for segment in self.taken.freed.drain(..) {
            self.shared.space.freed();
            let retired = Retired { name: segment.name.clone(), segment: Some(segment) };
            self.shared.retired.lock().push(retired);
        }
        self.shared.space.wake_preparer();
    }
}

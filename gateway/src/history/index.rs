//! One queue as one list: the local log, and below it the windows.

use super::local::Local;
use super::window::Windows;
use parking_lot::Mutex;
use std::ops::ControlFlow;
use storage::format::{QueueOffset, QueueUid};
use storage::{Bounds, Entry};

/// Entries copied out of the windows at a time, so that no lock is held while a caller looks at
/// them.
const SCAN_ENTRIES: usize = 64;

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Behind the last visible message, or where it was told to stop.
    End,
    /// Before this place, which is not in memory.
    Missing(QueueOffset),
}

/// What there is at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// The message.
    Here(T),
    /// No message, for ever: it was removed, or there never was one.
    Gone,
    /// The place is not in memory.
    Missing,
}

/// A queue, as far as it is in memory.
pub struct Index<'a> {
    pub(super) local: &'a dyn Local,
    pub(super) windows: &'a Mutex<Windows>,
    pub(super) queue: QueueUid,
    /// `None`: nothing is kept but what is local.
    pub(super) kept_from: Option<QueueOffset>,
    pub(super) bounds: Bounds,
}

/// How a scan of the local log ended.
enum Walk {
    End,
    Stopped,
    /// The log gave up messages that were not shown yet.
    Trimmed,
}

impl Index<'_> {
    /// The first offset that is kept, wherever.
    pub fn first(&self) -> QueueOffset {
        self.kept_from.unwrap_or(self.bounds.first)
    }

    /// The offset behind the last visible message, as of when this was made.
    pub fn end(&self) -> QueueOffset {
        self.bounds.visible_end
    }

    /// Shows visible messages from an offset on, ascending, until told to stop.
    pub fn scan(&self, from: QueueOffset, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Scan {
        let mut at = from.max(self.first());
        let mut local_from = self.bounds.first;
        let mut entries = Vec::new();
        loop {
            if at >= self.reachable(local_from) {
                match self.walk(&mut at, each) {
                    Walk::End | Walk::Stopped => return Scan::End,
                    Walk::Trimmed => {}
                }
                local_from = self.local.bounds(self.queue).first;
                continue;
            }
            entries.clear();
            let to =
                self.windows.lock().entries(self.queue, at, local_from, SCAN_ENTRIES, &mut entries);
            if to == at {
                return Scan::Missing(at);
            }
            if entries.iter().any(|entry| each(*entry).is_break()) {
                return Scan::End;
            }
            at = to;
        }
    }

    /// The message at an offset.
    pub fn find(&self, offset: QueueOffset) -> Look<Entry> {
        if offset < self.first() {
            return Look::Gone;
        }
        if offset >= self.reachable(self.bounds.first) {
            let mut found = None;
            self.local.scan(self.queue, offset, &mut |entry| {
                found = Some(entry).filter(|entry| entry.offset == offset);
                ControlFlow::Break(())
            });
            if let Some(entry) = found {
                return Look::Here(entry);
            }
            // It may have been given up just now.
            if offset >= self.reachable(self.local.bounds(self.queue).first) {
                return Look::Gone;
            }
        }
        match self.windows.lock().find(self.queue, offset) {
            Some(Some(entry)) => Look::Here(entry),
            Some(None) => Look::Gone,
            None => Look::Missing,
        }
    }

    /// From where on the local log has everything, or nothing has what it lacks.
    fn reachable(&self, local_from: QueueOffset) -> QueueOffset {
        if self.kept_from.is_some() { local_from } else { QueueOffset(0) }
    }

    /// Shows what the local log has from `at` on, and moves `at` behind what was shown. The log has
    /// everything from its first offset on, so a step over offsets is a gap of the queue, unless
    /// the log gave up messages after the step began.
    fn walk(&self, at: &mut QueueOffset, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Walk {
        let is_trimmed = |at| self.reachable(self.local.bounds(self.queue).first) > at;
        let mut ended = Walk::End;
        self.local.scan(self.queue, *at, &mut |entry| {
            if entry.offset > *at && is_trimmed(*at) {
                ended = Walk::Trimmed;
                return ControlFlow::Break(());
            }
            *at = entry.offset.plus(1);
            let flow = each(entry);
            if flow.is_break() {
                ended = Walk::Stopped;
            }
            flow
        });
        match ended {
            Walk::End if is_trimmed(*at) => Walk::Trimmed,
            Walk::End => Walk::End,
            Walk::Stopped => Walk::Stopped,
            Walk::Trimmed => Walk::Trimmed,
        }
    }
}

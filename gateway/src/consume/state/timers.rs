//! When to look at which cursor: one entry for each that waits for something. Entries of cursors
//! that were forgotten stay until their time and are then ignored.

use super::CursorId;
use super::cursor::{Armed, Cursor};
use std::collections::BTreeSet;
use storage::env::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Timestamp, CursorId)>);

impl Timers {
    /// Sees to it that the cursor is looked at `at` that time, or before.
    pub(super) fn arm(&mut self, id: CursorId, cursor: &mut Cursor, at: Timestamp) {
        if let Some(armed) = cursor.armed.0 {
            if armed <= at {
                return;
            }
            self.0.remove(&(armed, id));
        }
        cursor.armed = Armed(Some(at));
        self.0.insert((at, id));
    }

    /// The earliest time at which something may be due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes one entry whose time has come.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Timestamp, CursorId)> {
        if self.next()? > now { None } else { self.0.pop_first() }
    }
}

//! When to look at which cursor: a heap with at most one live entry per cursor. Entries overtaken by an earlier one, or
//! of cursors forgotten, stay until their time and are then ignored.

use super::CursorId;
use super::cursor::{Armed, Cursor};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use storage::env::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, CursorId)>>,
}

impl Timers {
    /// Sees to it that the cursor is looked at `at` that time, or before.
    pub(super) fn arm(&mut self, id: CursorId, cursor: &mut Cursor, at: Timestamp) {
        if cursor.armed.0.is_none_or(|armed| at < armed) {
            cursor.armed = Armed(Some(at));
            self.heap.push(Reverse((at, id)));
        }
    }

    /// The earliest time at which something may be due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one entry whose time has come.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Timestamp, CursorId)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

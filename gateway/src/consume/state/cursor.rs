//! One group's place on one queue.

use crate::consume::ops::{Change, ChangeMode, Lease, Pop};
use std::collections::{BTreeMap, BTreeSet};
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset};

use super::renew::RENEW_AHEAD_MS;

/// How far a group is on a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything below is done with.
    pub committed: QueueOffset,
    /// Nothing from here on was looked at.
    pub next: QueueOffset,
    /// Messages handed out and not yet done with.
    pub in_flight: u64,
}

/// See the module's head for what holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Cursor {
    pub(super) next: QueueOffset,
    pub(super) in_flight: BTreeMap<QueueOffset, InFlight>,
    /// What is in flight by when it falls due.
    pub(super) deadlines: BTreeSet<(Timestamp, QueueOffset)>,
    /// The lsn of the last reset; deliveries before it are void. 0 where there was none.
    pub(super) reset_at: Lsn,
    /// For when the timers know this cursor; no part of what the log says.
    pub(super) armed: Armed,
}

/// The time that the timers hold for a cursor. All are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Armed(pub(super) Option<Timestamp>);

impl PartialEq for Armed {
    fn eq(&self, _: &Armed) -> bool {
        true
    }
}

/// A message handed out and not yet done with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InFlight {
    /// The delivery's name.
    pub(super) pop: Lsn,
    pub(super) visible_at: Timestamp,
    /// 1 at first delivery.
    pub(super) attempt: u32,
    /// The next delivery is the same attempt.
    pub(super) suspended: bool,
    pub(super) lease: Option<Lease>,
}

impl InFlight {
    /// When it is to be looked at: ahead of its visible time where it is to be prolonged.
    fn deadline(&self) -> Timestamp {
        match self.lease {
            None => self.visible_at,
            Some(_) => Timestamp(self.visible_at.0.saturating_sub(RENEW_AHEAD_MS)),
        }
    }

    /// The attempt that another delivery would be.
    pub(super) fn next_attempt(&self) -> u32 {
        if self.suspended { self.attempt } else { self.attempt.saturating_add(1) }
    }
}

impl Cursor {
    /// Hands messages out; says when they fall due.
    pub(super) fn pop(&mut self, lsn: Lsn, pop: &Pop) -> Option<Timestamp> {
        self.next = self.next.max(pop.next);
        let mut due = None;
        for run in &pop.runs {
            for offset in run.span.offsets() {
                let entry = InFlight {
                    pop: lsn,
                    visible_at: pop.visible_at,
                    attempt: run.attempt,
                    suspended: false,
                    lease: pop.lease.clone(),
                };
                due = Some(entry.deadline());
                self.insert(offset, entry);
            }
        }
        due
    }

    pub(super) fn remove(&mut self, offset: QueueOffset) {
        if let Some(entry) = self.in_flight.remove(&offset) {
            self.deadlines.remove(&(entry.deadline(), offset));
        }
    }

    /// Moves visible times; says when the first of them falls due.
    pub(super) fn change(&mut self, change: &Change) -> Option<Timestamp> {
        let mut due = None;
        for offset in change.spans.offsets() {
            let Some(entry) = self.in_flight.get_mut(&offset) else { continue };
            self.deadlines.remove(&(entry.deadline(), offset));
            entry.visible_at = change.visible_at;
            match change.mode {
                ChangeMode::Renews => {}
                ChangeMode::Counts => (entry.suspended, entry.lease) = (false, None),
                ChangeMode::Suspends => (entry.suspended, entry.lease) = (true, None),
            }
            let deadline = entry.deadline();
            self.deadlines.insert((deadline, offset));
            due = Some(due.map_or(deadline, |due: Timestamp| due.min(deadline)));
        }
        due
    }

    pub(super) fn skip_to(&mut self, next: QueueOffset) {
        self.next = self.next.max(next);
    }

    /// Begins anew at `next`, with nothing in flight.
    pub(super) fn reset(&mut self, lsn: Lsn, next: QueueOffset) {
        self.next = next;
        self.in_flight.clear();
        self.deadlines.clear();
        self.reset_at = lsn;
    }

    pub(super) fn progress(&self) -> Progress {
        let committed = self.in_flight.keys().next().copied().unwrap_or(self.next);
        Progress { committed, next: self.next, in_flight: self.in_flight.len() as u64 }
    }

    pub(super) fn insert(&mut self, offset: QueueOffset, entry: InFlight) {
        let deadline = entry.deadline();
        if let Some(before) = self.in_flight.insert(offset, entry) {
            self.deadlines.remove(&(before.deadline(), offset));
        }
        self.deadlines.insert((deadline, offset));
        debug_assert!(offset < self.next, "INV-POP-1");
    }
}

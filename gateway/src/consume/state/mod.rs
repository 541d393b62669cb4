//! The consumption machine of one placement group: who was handed what, until when, how often.
//!
//! Per (group, queue) there is a cursor. From `next` on nothing was looked at; below it a message
//! is either in flight or done with (acknowledged, given up, unwanted), and done is simply absent,
//! so that a queue without laggards costs two numbers. A decision (`receive`, `ack`, `change`,
//! `dead_letter`, `nack`, `renew`, `release`) reads the machine and gives operations; the caller
//! writes them to the log and then applies them, and a restart applies the same ones from the log.
//! Redelivery is in place: a message in flight whose visible time passed is handed out again by
//! another OP_POP, before any new message; no operation marks the passing itself.
//!
//! What always holds, after any operation from the log:
//!
//! - INV-POP-1: what is in flight lies below `next`.
//! - INV-POP-2: a delivery's name is the lsn of its OP_POP, kept through changes and prolongation
//!   and replaced by the next delivery; so at most one delivery of a message can be acknowledged at
//!   a time.
//! - INV-POP-3: a decision hands a message out only if it is not in flight, or its visible time
//!   passed.
//! - INV-POP-4: decisions then apply, or apply alone from the log, lead to the same cursors.
//! - INV-POP-5: a delivery from before its cursor's last reset decides nothing.
//!
//! No clock, no IO, no randomness; `now` is an argument. Order within message groups is not kept
//! here yet.
mod ack;
mod cursor;
mod pop;
mod renew;
mod snapshot;
#[cfg(test)]
mod tests;
mod timers;

pub use ack::{AckDecision, ClaimRefused};
pub use cursor::Progress;
pub use pop::{
    Ask, Candidate, Exhausted, FIRST_POSITION_BYTES_MAX, IN_FLIGHT_MAX, Pick, Picked, QueueIndex,
    Start,
};
pub use renew::{Due, Outside, RENEW_AHEAD, RENEW_INVISIBLE, RENEW_TOTAL_MAX};

use super::GroupUid;
use super::ops::{Op, Step};
use crate::group::ClientId;
use cursor::Cursor;
use std::collections::{BTreeMap, BTreeSet};
use storage::env::Timestamp;
use storage::format::{Lsn, QueueUid};
use timers::Timers;

/// A group's place on a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CursorId {
    /// The consumer group.
    pub group: GroupUid,
    /// The queue.
    pub queue: QueueUid,
}

/// The machine.
#[derive(Debug, Default)]
pub struct State {
    cursors: BTreeMap<CursorId, Cursor>,
    /// Follows from `cursors`: where something falls due, roughly.
    timers: Timers,
    /// Follows from `cursors`: where a client holds leases, or once held some.
    leases: BTreeMap<ClientId, BTreeSet<CursorId>>,
}

impl State {
    /// Applies an operation that the log holds at `lsn`; live and replayed alike.
    pub fn apply(&mut self, lsn: Lsn, op: &Op) {
        let id = CursorId { group: op.group, queue: op.queue };
        let cursor = self.cursors.entry(id).or_default();
        let due = match &op.step {
            Step::Pop(pop) => {
                if let Some(lease) = &pop.lease {
                    self.leases.entry(lease.client.clone()).or_default().insert(id);
                }
                cursor.pop(lsn, pop)
            }
            Step::Change(change) => cursor.change(change),
            Step::Ack(spans) => {
                spans.offsets().for_each(|offset| cursor.remove(offset));
                None
            }
            Step::Offset(next) => {
                cursor.skip_to(*next);
                None
            }
            Step::Reset(next) => {
                cursor.reset(lsn, *next);
                None
            }
            Step::DeadLetter { offset, .. } => {
                cursor.remove(*offset);
                None
            }
        };
        if let Some(due) = due {
            self.timers.arm(id, cursor, due);
        }
    }

    /// When the machine next wants [`State::due`] called; `None` while nothing is in flight.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// How far a group is on a queue; `None` before its first receive.
    pub fn progress(&self, id: CursorId) -> Option<Progress> {
        self.cursors.get(&id).map(Cursor::progress)
    }

    /// The groups that have a place on a queue, ascending.
    pub fn groups_of(&self, queue: QueueUid) -> Vec<GroupUid> {
        self.cursors.keys().filter(|id| id.queue == queue).map(|id| id.group).collect()
    }

    /// Every place, ascending by group and queue.
    pub fn places(&self) -> impl Iterator<Item = CursorId> {
        self.cursors.keys().copied()
    }

    /// Keeps only places that `keep` wants: after the deletion of topics or groups.
    pub fn retain(&mut self, mut keep: impl FnMut(CursorId) -> bool) {
        self.cursors.retain(|id, _| keep(*id));
    }
}

/// Equal where the log would make them equal.
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.cursors == other.cursors
    }
}

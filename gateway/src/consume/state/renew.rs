//! What time does: prolongs deliveries whose client lives, lets go of those whose client is gone,
//! and tells which queues have something to hand out again.

use super::cursor::{Cursor, InFlight};
use super::{CursorId, State};
use crate::consume::GroupUid;
use crate::consume::ops::{Change, ChangeMode, Op, Spans, Step};
use crate::group::ClientId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::QueueOffset;

pub(super) const RENEW_AHEAD_MS: u64 = 10_000;

/// A leased delivery is prolonged when its visible time is this near (spec B.10).
pub const RENEW_AHEAD: Duration = Duration::from_millis(RENEW_AHEAD_MS);

/// A leased delivery is invisible for this long, at first and after each prolongation
/// (`defaultInvisibleTimeMills`).
pub const RENEW_INVISIBLE: Duration = Duration::from_secs(60);

/// A delivery is not prolonged beyond this age (spec B.10).
pub const RENEW_TOTAL_MAX: Duration = Duration::from_secs(3 * 3600);

/// After a prolongation was decided the cursor is looked at again this soon, in case it could not
/// be written.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// What fell due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Prolongations and endings, to be written in one frame and applied. If they cannot be
    /// written, the next look gives them again.
    pub ops: Vec<Op>,
    /// Where messages can be handed out again, ascending.
    pub visible: Vec<CursorId>,
}

/// What a look at the machine asks of the outside.
pub struct Outside<'a> {
    /// Whether a client was heard of lately.
    pub is_alive: &'a dyn Fn(&ClientId) -> bool,
    /// How long a message rests after an attempt that ended without an answer.
    pub retry_delay: &'a dyn Fn(GroupUid, u32) -> Duration,
}

impl State {
    /// Looks at what fell due. To be called when [`State::next_due`] has come.
    pub fn due(&mut self, now: Timestamp, outside: &Outside<'_>) -> Due {
        let mut due = Due::default();
        while let Some((at, id)) = self.timers.take(now) {
            let Some(cursor) = self.cursors.get_mut(&id) else { continue };
            if cursor.armed.0 != Some(at) {
                continue;
            }
            cursor.armed.0 = None;
            let look = look(id, cursor, now, outside);
            if look.visible {
                due.visible.push(id);
            }
            let again = (!look.ops.is_empty()).then(|| now.plus(RENEW_AGAIN));
            let later =
                cursor.deadlines.range((now.plus(Duration::from_millis(1)), QueueOffset(0))..);
            let next = later.map(|(deadline, _)| *deadline).next();
            if let Some(next) = [again, next].into_iter().flatten().min() {
                self.timers.arm(id, cursor, next);
            }
            for client in look.gone {
                self.leases.remove(&client);
            }
            due.ops.extend(look.ops);
        }
        due.visible.sort();
        due.visible.dedup();
        due
    }

    /// Lets go of everything that a client holds on leases, visible at that time: the client said
    /// goodbye.
    pub fn release(&mut self, client: &ClientId, visible_at: Timestamp) -> Vec<Op> {
        let places = self.leases.remove(client).unwrap_or_default();
        places.into_iter().filter_map(|id| self.release_of(id, client, visible_at)).collect()
    }

    fn release_of(&self, id: CursorId, client: &ClientId, visible_at: Timestamp) -> Option<Op> {
        let cursor = self.cursors.get(&id)?;
        let held = cursor.in_flight.iter().filter(|(_, entry)| {
            entry.visible_at > visible_at
                && entry.lease.as_ref().is_some_and(|lease| lease.client == *client)
        });
        let spans: Spans = held.map(|(offset, _)| *offset).collect();
        let change = Change { visible_at, mode: ChangeMode::Counts, spans };
        (!change.spans.is_empty()).then(|| op(id, change))
    }
}

#[derive(Default)]
struct Look {
    ops: Vec<Op>,
    visible: bool,
    gone: BTreeSet<ClientId>,
}

/// Looks at one cursor's messages whose deadline has come.
fn look(id: CursorId, cursor: &Cursor, now: Timestamp, outside: &Outside<'_>) -> Look {
    let mut look = Look::default();
    let mut changes: BTreeMap<(Timestamp, bool), Vec<QueueOffset>> = BTreeMap::new();
    let passed = cursor.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
    for (_, offset) in passed {
        let Some(entry) = cursor.in_flight.get(offset) else { continue };
        if entry.visible_at <= now {
            look.visible = true;
            continue;
        }
        let (visible_at, renews) = verdict(id.group, entry, now, outside, &mut look.gone);
        changes.entry((visible_at, renews)).or_default().push(*offset);
    }
    for ((visible_at, renews), mut offsets) in changes {
        offsets.sort();
        let mode = if renews { ChangeMode::Renews } else { ChangeMode::Counts };
        let spans = Spans::from_iter(offsets);
        look.ops.push(op(id, Change { visible_at, mode, spans }));
    }
    look
}

/// The new visible time of a leased delivery, and whether its lease goes on.
fn verdict(
    group: GroupUid,
    entry: &InFlight,
    now: Timestamp,
    outside: &Outside<'_>,
    gone: &mut BTreeSet<ClientId>,
) -> (Timestamp, bool) {
    if let Some(lease) = &entry.lease {
        let alive = (outside.is_alive)(&lease.client);
        if alive && now < lease.until {
            return (now.plus(RENEW_INVISIBLE), true);
        }
        if !alive {
            gone.insert(lease.client.clone());
        }
    }
    (now.plus((outside.retry_delay)(group, entry.attempt)), false)
}

fn op(CursorId { group, queue }: CursorId, change: Change) -> Op {
    Op { group, queue, step: Step::Change(change) }
}

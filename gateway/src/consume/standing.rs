//! How far every group is on every queue here, as metrics show it.

use super::GroupUid;
use super::pg::Pg;
use super::service::Consume;
use super::state::{CursorId, Progress, QueueIndex};
use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// A group's place on one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub group: GroupUid,
    /// On what.
    pub queue: QueueUid,
    /// Messages handed out and not done with.
    pub in_flight: u64,
    /// Messages that were never looked at.
    pub ready: u64,
    /// When the oldest message that is not done with was stored; `None` where there is none.
    pub oldest: Option<Timestamp>,
    /// When the oldest message that was never looked at was stored; `None` where there is none.
    pub oldest_ready: Option<Timestamp>,
}

impl Consume {
    /// Every group's place on every queue that it ever received from, in no order. Looks at each
    /// placement group under its lock once, briefly, and reads two entries of each index.
    pub fn standings(&self) -> Vec<Standing> {
        let mut standings = Vec::new();
        for pg in self.0.all() {
            let places: Vec<(CursorId, Progress)> = {
                let machine = pg.lock();
                let ids = machine.state.places();
                ids.filter_map(|id| Some((id, machine.state.progress(id)?))).collect()
            };
            standings.extend(places.into_iter().map(|(id, progress)| standing(&pg, id, progress)));
        }
        standings
    }
}

fn standing(pg: &Pg, id: CursorId, progress: Progress) -> Standing {
    let CursorId { group, queue } = id;
    let Progress { committed, next, in_flight } = progress;
    let ready = pg.index(queue).end().0.saturating_sub(next.0);
    let stored =
        |from: QueueOffset, there: bool| if there { stored(pg, queue, from) } else { None };
    Standing {
        group,
        queue,
        in_flight,
        ready,
        oldest: stored(committed, in_flight + ready > 0),
        oldest_ready: stored(next, ready > 0),
    }
}

/// When the first message at or after `from` was stored. One that is not in memory is older than
/// all that are local: the oldest of these stands for it, since nobody waits here.
fn stored(pg: &Pg, queue: QueueUid, from: QueueOffset) -> Option<Timestamp> {
    let here = pg.history.entries_here(queue, from, 1);
    let mut oldest = here.entries.first().map(|entry| entry.time);
    if here.missing.is_some() && oldest.is_none() {
        pg.log().scan(queue, from, &mut |entry| {
            oldest = Some(entry.time);
            ControlFlow::Break(())
        });
    }
    oldest
}

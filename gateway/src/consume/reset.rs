//! Putting a group elsewhere in a topic: what an operator asks for after a mishap, or to read
//! again.

use super::GroupUid;
use super::ops::{Op, Step};
use super::pg::Pg;
use super::refused::ResetRefused;
use super::service::Consume;
use super::state::{CursorId, QueueIndex};
use metadata::model::{Group, NEVER_OPENED, TopicQueue};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::Level;
use storage::env::Timestamp;
use storage::format::{PgId, QueueOffset};

/// A place in each queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the first message that is still there.
    Earliest,
    /// Behind the last message that consumers see.
    Latest,
    /// At this offset, or the nearest one that there is.
    Offset(QueueOffset),
    /// At the first message stored then or later; behind the last if there is none.
    Time(Timestamp),
}

/// What a reset does, or would do, on one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReset {
    /// The queue's placement group.
    pub pg: PgId,
    /// The queue's number in it.
    pub id: u32,
    /// Every message below was done with; `None` if the group had never received from the queue.
    pub before: Option<QueueOffset>,
    /// The message that the group receives next.
    pub after: QueueOffset,
    /// Deliveries that became void: their handles are refused from now on.
    pub voided: u64,
}

/// Where a queue's cursor is to be put, once times are offsets.
#[derive(Clone, Copy, Debug)]
enum Place {
    Earliest,
    Latest,
    Offset(QueueOffset),
}

/// A placement group here, and the queues that are meant of it with their places.
type Share = (Arc<Pg>, Vec<(TopicQueue, Place)>);

impl Consume {
    /// Moves the group on these queues of one topic, forwards or back. What is in flight there is
    /// let go; messages from the new place on are delivered as if for the first time. One record a
    /// queue, one frame a placement group, on disk before the answer. Gives the queues in the
    /// order of `queues`.
    ///
    /// Cancel safe: what was decided is recorded.
    ///
    /// # Errors
    /// [`ResetRefused`]. After [`ResetRefused::Write`] queues of some placement groups may be
    /// moved; repeating it is safe.
    pub async fn reset(
        &self,
        group: &Group,
        queues: &[TopicQueue],
        to: Position,
    ) -> Result<Vec<QueueReset>, ResetRefused> {
        let inner = &self.0;
        let uid = GroupUid(group.uid);
        let (mut resets, mut ends) = (BTreeMap::new(), Vec::new());
        for (pg, queues) in self.served(queues, to).await? {
            let mut machine = pg.lock();
            let mut ops = Vec::with_capacity(queues.len());
            for (queue, place) in &queues {
                let id = CursorId { group: uid, queue: queue.uid };
                let reset = decide(&pg, &machine.state, id, queue, *place);
                ops.push(Op { group: uid, queue: queue.uid, step: Step::Reset(reset.after) });
                resets.insert(queue.uid, reset);
            }
            let (end, _) = pg.write(&mut machine, &ops)?;
            drop(machine);
            for (queue, _) in &queues {
                inner.lines.wake(CursorId { group: uid, queue: queue.uid });
            }
            ends.push((pg, end));
        }
        for (pg, end) in ends {
            let synced = pg.log().reached(Level::Local, end).await;
            synced.map_err(|_| super::WriteRefused::OutcomeUnknown)?;
        }
        Ok(queues.iter().filter_map(|queue| resets.remove(&queue.uid)).collect())
    }

    /// What [`Consume::reset`] would do now; does nothing.
    ///
    /// # Errors
    /// [`ResetRefused`], but for [`ResetRefused::Write`].
    pub async fn would_reset(
        &self,
        group: &Group,
        queues: &[TopicQueue],
        to: Position,
    ) -> Result<Vec<QueueReset>, ResetRefused> {
        let uid = GroupUid(group.uid);
        let mut resets = BTreeMap::new();
        for (pg, queues) in self.served(queues, to).await? {
            let machine = pg.lock();
            for (queue, place) in &queues {
                let id = CursorId { group: uid, queue: queue.uid };
                resets.insert(queue.uid, decide(&pg, &machine.state, id, queue, *place));
            }
        }
        Ok(queues.iter().filter_map(|queue| resets.remove(&queue.uid)).collect())
    }

    /// The queues by their placement group, all of which are here, and where to put the cursor.
    /// Those that hold no messages are left out.
    async fn served(
        &self,
        queues: &[TopicQueue],
        to: Position,
    ) -> Result<Vec<Share>, ResetRefused> {
        let mut by_pg: BTreeMap<PgId, Share> = BTreeMap::new();
        for queue in queues.iter().filter(|queue| queue.uid != NEVER_OPENED) {
            let pg = self.0.pg(queue.pg).ok_or(ResetRefused::NotServedHere(queue.pg))?;
            let place = match to {
                Position::Earliest => Place::Earliest,
                Position::Latest => Place::Latest,
                Position::Offset(offset) => Place::Offset(offset),
                Position::Time(at) => {
                    Place::Offset(pg.history.offset_at_time(queue.uid, at).await?)
                }
            };
            let share = by_pg.entry(queue.pg).or_insert_with(|| (pg, Vec::new()));
            share.1.push((*queue, place));
        }
        Ok(by_pg.into_values().collect())
    }
}

fn decide(
    pg: &Pg,
    state: &super::state::State,
    id: CursorId,
    queue: &TopicQueue,
    place: Place,
) -> QueueReset {
    let index = pg.index(queue.uid);
    let (first, end) = (index.first().min(index.end()), index.end());
    let after = match place {
        Place::Earliest => first,
        Place::Latest => end,
        Place::Offset(offset) => offset,
    };
    let progress = state.progress(id);
    QueueReset {
        pg: queue.pg,
        id: queue.id,
        before: progress.map(|progress| progress.committed),
        after: after.clamp(first, end),
        voided: progress.map_or(0, |progress| progress.in_flight),
    }
}

//! What consumers say about deliveries: done, later, never; and what the gateway takes back itself.

use super::delivery::{Delivery, Place};
use super::handle::Claim;
use super::ops::{ChangeMode, Op, Spans, Step};
use super::pg::{Machine, NotMoved, Pg};
use super::receive::LOADING_MAX;
use super::refused::{AckRefused, WriteRefused};
use super::service::{Consume, Inner};
use super::state::{AckDecision, ClaimRefused, CursorId, Exhausted, QueueIndex};
use super::{GroupUid, TAKEN_BACK};
use crate::history::Look;
use crate::observe::Deliveries;
use metadata::model::{Group, Topic};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use storage::format::{Lsn, PgId, QueueOffset, QueueUid};

/// How long a consumer's answer may wait for a busy journal; clients wait three seconds for theirs
/// (spec B.22).
const BUSY_WAIT_MAX: Duration = Duration::from_secs(1);

/// What became of a delivery that was to be given up.
enum GivenUp {
    /// It is a dead letter: where to wait, and whether the group had no room before.
    Moved { end: Lsn, had_no_room: bool },
    /// It was settled before.
    Settled,
    /// Its message is not in memory. Nothing happened.
    Missing,
}

impl Consume {
    /// Acknowledges one delivery. Doing it twice is fine.
    ///
    /// # Errors
    /// [`AckRefused`].
    pub async fn ack(&self, group: &Group, topic: &Topic, handle: &str) -> Result<(), AckRefused> {
        let outcome = self.ack_many(group, topic, &[handle]).await.pop();
        outcome.expect("one handle has one outcome")
    }

    /// Acknowledges several deliveries, with one append for each placement group; outcomes in the
    /// order of the handles. Cancel safe: what was decided is recorded.
    pub async fn ack_many(
        &self,
        group: &Group,
        topic: &Topic,
        handles: &[&str],
    ) -> Vec<Result<(), AckRefused>> {
        let claims: Vec<_> =
            handles.iter().map(|handle| self.0.claim(group, topic, handle)).collect();
        let mut by_pg: BTreeMap<PgId, Vec<(usize, Claim)>> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(claims.len());
        for (at, claim) in claims.into_iter().enumerate() {
            outcomes.push(claim.map(|(pg, claim)| by_pg.entry(pg).or_default().push((at, claim))));
        }
        let mut ends = Vec::with_capacity(by_pg.len());
        for (pg, claims) in by_pg {
            let uid = GroupUid(group.uid);
            match self.0.patiently(|| self.0.ack_in(pg, uid, &claims, &mut outcomes)).await {
                Ok(Some((pg, end))) => ends.push((pg, end, claims)),
                Ok(None) => {}
                Err(refused) => fail(&mut outcomes, &claims, &refused),
            }
        }
        for (pg, end, claims) in ends {
            if let Err(refused) = pg.recorded(end).await {
                fail(&mut outcomes, &claims, &refused.into());
            }
        }
        outcomes
    }

    /// Sets the time after which a delivery comes back; `suspend` makes the next one the same
    /// attempt. Gives the handle that says so; the old one stays good.
    ///
    /// # Errors
    /// [`AckRefused`].
    pub async fn change(
        &self,
        group: &Group,
        topic: &Topic,
        handle: &str,
        invisible: Duration,
        suspend: bool,
    ) -> Result<String, AckRefused> {
        let inner = &*self.0;
        let (pg, claim) = inner.claim(group, topic, handle)?;
        let (pg, uid) = (inner.served(pg)?, GroupUid(group.uid));
        let now = inner.env.now();
        let visible_at = now.plus(invisible);
        let mode = if suspend { ChangeMode::Suspends } else { ChangeMode::Counts };
        let end = inner
            .patiently(|| {
                let mut machine = pg.lock();
                let op = machine.state.change(now, uid, &claim, visible_at, mode)?;
                Ok(pg.write(&mut machine, &[op])?.0)
            })
            .await?;
        if visible_at <= now {
            // The timekeeper would notice a tick later.
            inner.lines.wake(CursorId { group: uid, queue: claim.queue });
        }
        pg.recorded(end).await?;
        Ok(inner.signer.sign(uid, &Claim { visible_at, ..claim }))
    }

    /// Gives a delivery up: its message goes to the group's dead-letter queue and is done with. Of
    /// a message that is done with already, nothing happens.
    ///
    /// # Errors
    /// [`AckRefused`].
    pub async fn dead_letter(
        &self,
        group: &Group,
        topic: &Topic,
        handle: &str,
    ) -> Result<(), AckRefused> {
        let inner = &*self.0;
        let (pg, claim) = inner.claim(group, topic, handle)?;
        let pg = inner.served(pg)?;
        let id = CursorId { group: GroupUid(group.uid), queue: claim.queue };
        let load_until = inner.env.monotonic() + LOADING_MAX;
        let (end, had_no_room) = loop {
            match inner.patiently(|| inner.give_up(&pg, group, id, &claim)).await? {
                GivenUp::Moved { end, had_no_room } => break (end, had_no_room),
                // What settled it may be on its way to the journal still; the answer tells of it.
                GivenUp::Settled => return Ok(pg.recorded(pg.log().end()).await?),
                GivenUp::Missing => {
                    inner.in_time(load_until, pg.history.load(id.queue, claim.offset)).await?;
                }
            }
        };
        let counted = Deliveries { dead_letters: 1, ..Deliveries::default() };
        inner.count(pg.log().pg(), topic, group, &counted);
        if had_no_room {
            inner.lines.wake(id);
        }
        Ok(pg.recorded(end).await?)
    }

    /// Takes back deliveries that could not be passed on: visible after a second, as the same
    /// attempt. Does not wait; what cannot be recorded comes back when its invisible time ends.
    pub fn nack(&self, deliveries: &[Delivery]) {
        self.0.take_back(deliveries.iter().map(|one| (one.pg, one.place)));
    }
}

impl Inner {
    /// What a handle says, if it is of this group and topic.
    fn claim(
        &self,
        group: &Group,
        topic: &Topic,
        handle: &str,
    ) -> Result<(PgId, Claim), AckRefused> {
        let claim = self.signer.read(GroupUid(group.uid), handle)?;
        // Who may consume one topic must not settle another's messages.
        let mut queues = topic.queues().iter().chain(group.replayed(topic));
        let queue =
            queues.find(|queue| queue.uid == claim.queue && Some(queue.pg) == claim.pop.pg());
        let queue = queue.ok_or(AckRefused::Claim(ClaimRefused::Unknown))?;
        Ok((queue.pg, claim))
    }

    fn served(&self, pg: PgId) -> Result<Arc<Pg>, AckRefused> {
        self.pg(pg).ok_or(AckRefused::NotServedHere(pg))
    }

    /// Decides and records; gives where to wait, unless there was nothing to record.
    fn ack_in(
        &self,
        pg: PgId,
        group: GroupUid,
        claims: &[(usize, Claim)],
        outcomes: &mut [Result<(), AckRefused>],
    ) -> Result<Option<(Arc<Pg>, Lsn)>, AckRefused> {
        let (pg, now) = (self.served(pg)?, self.env.now());
        let mut machine = pg.lock();
        let mut done: BTreeMap<QueueUid, BTreeSet<QueueOffset>> = BTreeMap::new();
        let mut already = false;
        for (at, claim) in claims {
            match machine.state.ack(now, group, claim) {
                Ok(AckDecision::Ack) => {
                    done.entry(claim.queue).or_default().insert(claim.offset);
                }
                Ok(AckDecision::Already) => already = true,
                Err(refused) => {
                    if let Some(outcome) = outcomes.get_mut(*at) {
                        *outcome = Err(refused.into());
                    }
                }
            }
        }
        if done.is_empty() {
            // What was acknowledged before may be on its way to the journal still; the answer tells of it.
            return Ok(already.then(|| (Arc::clone(&pg), pg.log().end())));
        }
        let full = |queue: &QueueUid| machine.state.is_full(CursorId { group, queue: *queue });
        let had_no_room: Vec<QueueUid> = done.keys().copied().filter(|queue| full(queue)).collect();
        let op = |(queue, offsets): (QueueUid, BTreeSet<QueueOffset>)| Op {
            group,
            queue,
            step: Step::Ack(Spans::from_iter(offsets)),
        };
        let ops: Vec<Op> = done.into_iter().map(op).collect();
        let (end, _) = pg.write(&mut machine, &ops)?;
        drop(machine);
        for queue in had_no_room {
            self.lines.wake(CursorId { group, queue });
        }
        Ok(Some((pg, end)))
    }

    fn give_up(
        &self,
        pg: &Pg,
        group: &Group,
        id: CursorId,
        claim: &Claim,
    ) -> Result<GivenUp, AckRefused> {
        let mut machine = pg.lock();
        let (op, attempt) = match machine.state.dead_letter(self.env.now(), id.group, claim) {
            Err(ClaimRefused::Acknowledged) => return Ok(GivenUp::Settled),
            Err(refused) => return Err(refused.into()),
            Ok(given_up) => given_up,
        };
        let had_no_room = machine.state.is_full(id);
        let lsn = match pg.index(id.queue).find(claim.offset) {
            Look::Here(message) => message.lsn,
            Look::Gone => return Err(AckRefused::Unreadable),
            Look::Missing => return Ok(GivenUp::Missing),
        };
        let lost = Exhausted { offset: claim.offset, lsn, attempt };
        match pg.dead_letter(&mut machine, group, &op, &lost) {
            Ok(end) => Ok(GivenUp::Moved { end, had_no_room }),
            Err(NotMoved::Missing(_)) => Ok(GivenUp::Missing),
            Err(NotMoved::Refused(refused)) => Err(refused),
        }
    }

    /// Decides again while the journal is busy, within [`BUSY_WAIT_MAX`].
    async fn patiently<T>(
        &self,
        mut decide: impl FnMut() -> Result<T, AckRefused>,
    ) -> Result<T, AckRefused> {
        let until = self.env.monotonic() + BUSY_WAIT_MAX;
        loop {
            match decide() {
                Err(AckRefused::Write(WriteRefused::Busy)) if self.rest(until).await => {}
                decided => return decided,
            }
        }
    }

    pub(super) fn take_back(&self, places: impl Iterator<Item = (PgId, Place)>) {
        let visible_at = self.env.now().plus(TAKEN_BACK);
        let mut by_pg: BTreeMap<PgId, Vec<_>> = BTreeMap::new();
        for (pg, place) in places {
            by_pg.entry(pg).or_default().push((place.id, place.offset, place.pop));
        }
        for (pg, places) in by_pg {
            let Some(pg) = self.pg(pg) else { continue };
            let mut machine = pg.lock();
            let ops = machine.state.nack(visible_at, &places);
            if let Err(refused) = self.write_some(&pg, &mut machine, &ops) {
                tracing::warn!(%refused, "deliveries not taken back until their time is up");
            }
        }
    }

    /// Records operations, if any, that nobody waits for.
    pub(super) fn write_some(
        &self,
        pg: &Pg,
        machine: &mut Machine,
        ops: &[Op],
    ) -> Result<(), WriteRefused> {
        if ops.is_empty() { Ok(()) } else { pg.write(machine, ops).map(|_| ()) }
    }
}

/// Claims that were fine so far failed together.
fn fail(outcomes: &mut [Result<(), AckRefused>], claims: &[(usize, Claim)], refused: &AckRefused) {
    for (at, _) in claims {
        if let Some(outcome) = outcomes.get_mut(*at).filter(|outcome| outcome.is_ok()) {
            *outcome = Err(refused.clone());
        }
    }
}

//! Receiving: take what there is, or wait in line for it.

use super::GroupUid;
use super::delivery::{Delivery, Invisible, Place, Receive};
use super::filter::Filter;
use super::handle::Claim;
use super::longpoll::Line;
use super::ops::{Lease, Op, Spans, Step};
use super::pg::{Pg, Taken, TakenMessage};
use super::refused::{ReceiveRefused, WriteRefused};
use super::service::{Consume, Inner};
use super::state::{Ask, CursorId, RENEW_INVISIBLE, RENEW_TOTAL_MAX, Start};
use crate::observe::Deliveries;
use metadata::model::{ConsumeFrom, NEVER_OPENED, TopicQueue};
use protocol::stored::{self, StoredMessage, property};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::QueueUid;

/// Who may wait tries again after this long when the journal is too busy: some syncs later.
const BUSY_REST: Duration = Duration::from_millis(20);

/// A topic's queues in one placement group here.
type Share<'a> = (Arc<Pg>, &'a [TopicQueue]);

impl Consume {
    /// Hands out up to `max` messages, waiting for the first if there is none. Sorted by placement
    /// group (the preferred one first), queue and offset; empty when the wait is over.
    ///
    /// Cancel safe: a poll that goes away gives its place and its wake-up to the next, and what was
    /// handed out to it becomes visible again after a second as the same attempt.
    ///
    /// # Errors
    /// [`ReceiveRefused`].
    pub async fn receive(&self, request: &Receive) -> Result<Vec<Delivery>, ReceiveRefused> {
        let inner = &*self.0;
        let shares = inner.shares(request);
        if shares.is_empty() {
            return Err(ReceiveRefused::NotServedHere);
        }
        // Found before the first look: from here on a wake-up is kept for whoever looks and finds
        // nothing.
        let line = inner.lines.line(GroupUid(request.group.uid), &request.topic);
        let until = inner.env.monotonic() + request.wait;
        loop {
            let look = match inner.look(request, &shares, &line) {
                Err(ReceiveRefused::Write(WriteRefused::Busy)) if inner.rest(until).await => {
                    continue;
                }
                Err(refused) => {
                    // It may have been woken for a message that another can still take.
                    if refused == ReceiveRefused::Write(WriteRefused::Busy) {
                        line.wake();
                    }
                    return Err(refused);
                }
                Ok(look) => look,
            };
            if !look.taken.is_empty() {
                let deliveries = inner.hand_out(request, look.taken).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
            } else if look.more {
                // The filter passes over many; others run meanwhile.
                tokio::task::yield_now().await;
            } else {
                let left = until.saturating_sub(inner.env.monotonic());
                if left.is_zero() || !inner.wait(&line, left).await? {
                    return Ok(Vec::new());
                }
            }
        }
    }
}

/// What one look at all queues gave.
#[derive(Default)]
struct Look {
    taken: Vec<(Arc<Pg>, Taken)>,
    more: bool,
}

impl Inner {
    fn shares<'a>(&self, request: &'a Receive) -> Vec<Share<'a>> {
        let queues = request.topic.queues();
        let by_pg = queues.chunk_by(|a, b| a.pg == b.pg);
        by_pg.filter_map(|share| Some((self.pg(share.first()?.pg)?, share))).collect()
    }

    /// Takes what there is now, from the preferred placement group first, then from all, beginning
    /// at another queue each time. A look that had to leave something wakes the next poll in line.
    fn look(
        &self,
        request: &Receive,
        shares: &[Share<'_>],
        line: &Line,
    ) -> Result<Look, ReceiveRefused> {
        let now = self.env.now();
        let turn = line.turn();
        let mut left = usize::from(request.max.max(1));
        let mut look = Look::default();
        for (pg, queues) in in_turn(shares, turn, request) {
            let ask = ask(request, now, left);
            let queues = rotated(queues, turn).filter(|queue| queue.uid != NEVER_OPENED);
            let taken = match pg.take(now, ask, &request.group, queues) {
                Ok(taken) => taken,
                // What is taken already goes out; the rest is for the next look.
                Err(_) if !look.taken.is_empty() => {
                    look.more = true;
                    break;
                }
                Err(refused) => return Err(refused.into()),
            };
            if taken.dead_letters > 0 {
                let dead_letters = taken.dead_letters;
                let counted = Deliveries { dead_letters, ..Deliveries::default() };
                self.count(pg.log.pg(), &request.topic, &request.group, &counted);
            }
            look.more |= taken.more;
            left -= taken.messages.len();
            if !taken.messages.is_empty() {
                look.taken.push((Arc::clone(pg), taken));
            }
            if left == 0 {
                break;
            }
        }
        if left == 0 || (look.more && !look.taken.is_empty()) {
            self.pass_on(now, request, shares, line);
        }
        Ok(look)
    }

    /// Wakes the next poll in line for what was left. Where none waits the wake-up is kept, for one
    /// that looked in vain a moment ago; where one does it is not woken in vain.
    fn pass_on(&self, now: Timestamp, request: &Receive, shares: &[Share<'_>], line: &Line) {
        let group = GroupUid(request.group.uid);
        let has_more = |(pg, queues): &Share<'_>| pg.has_more(now, group, queues);
        if !line.is_waited_in() || shares.iter().any(has_more) {
            line.wake();
        }
    }

    /// Gives a busy journal a moment, if there is one left.
    pub(super) async fn rest(&self, until: Duration) -> bool {
        let left = until.saturating_sub(self.env.monotonic());
        if left > BUSY_REST {
            self.env.sleep(BUSY_REST).await;
        }
        left > BUSY_REST
    }

    /// Whether the poll was woken before its time was up.
    async fn wait(&self, line: &Line, left: Duration) -> Result<bool, ReceiveRefused> {
        let mut woken = pin!(line.woken());
        // Its place in the line; counted only then, so that whoever is counted can be woken.
        woken.as_mut().enable();
        let _counted = self.lines.enter(line)?;
        // Both branches are cancel safe: see `Line::woken`.
        tokio::select! {
            () = woken => Ok(true),
            () = self.env.sleep(left) => Ok(false),
        }
    }

    /// Reads what was taken, makes the handles and waits until the hand-out is recorded.
    async fn hand_out(
        &self,
        request: &Receive,
        taken: Vec<(Arc<Pg>, Taken)>,
    ) -> Result<Vec<Delivery>, WriteRefused> {
        let mut held = Held { inner: self, deliveries: Vec::new() };
        let mut ends = Vec::with_capacity(taken.len());
        for (pg, taken) in taken {
            self.read(&pg, request, &taken, &mut held.deliveries);
            ends.push((pg, taken.end));
        }
        for (pg, end) in ends {
            pg.recorded(end).await?;
        }
        Ok(std::mem::take(&mut held.deliveries))
    }

    /// Turns messages into deliveries. Those that cannot be read, or whose tag only hashed like a
    /// wanted one, are done with.
    fn read(&self, pg: &Pg, request: &Receive, taken: &Taken, deliveries: &mut Vec<Delivery>) {
        let mut counted = Deliveries::default();
        let mut unwanted = Vec::new();
        for one in &taken.messages {
            match read_message(pg, one) {
                Some(message) if matches(&request.filter, &message) => {
                    let tally =
                        if one.attempt > 1 { &mut counted.again } else { &mut counted.first };
                    tally.messages += 1;
                    tally.bytes += message.body.len() as u64;
                    deliveries.push(self.delivery(pg, one, message, taken.visible_at));
                }
                Some(_) | None => unwanted.push(one.place),
            }
        }
        if !unwanted.is_empty() {
            self.pass_over(pg, &unwanted);
        }
        self.count(pg.log.pg(), &request.topic, &request.group, &counted);
    }

    fn delivery(
        &self,
        pg: &Pg,
        taken: &TakenMessage,
        message: StoredMessage,
        visible_at: Timestamp,
    ) -> Delivery {
        let Place { id, offset, pop } = taken.place;
        let claim = Claim { queue: id.queue, offset, pop, visible_at };
        let receipt_handle = self.signer.sign(id.group, &claim);
        let (attempt, pg) = (taken.attempt, pg.log.pg());
        Delivery { message, attempt, receipt_handle, pg, place: taken.place }
    }

    fn pass_over(&self, pg: &Pg, places: &[Place]) {
        let mut machine = pg.lock();
        let op = |place: &Place| {
            let CursorId { group, queue } = place.id;
            Op { group, queue, step: Step::Ack(Spans::one(place.offset)) }
        };
        let ops: Vec<Op> = places.iter().map(op).collect();
        if let Err(refused) = self.write_some(pg, &mut machine, &ops) {
            tracing::warn!(%refused, "messages passed over come back");
        }
    }
}

/// Deliveries that have not left yet: dropped, they are taken back.
pub(super) struct Held<'a> {
    pub(super) inner: &'a Inner,
    pub(super) deliveries: Vec<Delivery>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.inner.take_back(&self.deliveries);
    }
}

/// The preferred placement group's share first, the others after it, another first each time.
fn in_turn<'a, 'b>(
    shares: &'a [Share<'b>],
    turn: usize,
    request: &Receive,
) -> impl Iterator<Item = &'a Share<'b>> {
    let is_preferred = move |share: &Share<'_>| request.prefer == Some(share.0.log.pg());
    let preferred = shares.iter().find(|share| is_preferred(share));
    preferred.into_iter().chain(rotated(shares, turn).filter(move |share| !is_preferred(share)))
}

fn rotated<T>(items: &[T], turn: usize) -> impl Iterator<Item = &T> {
    let first = turn.checked_rem(items.len()).unwrap_or(0);
    let (head, tail) = items.split_at(first);
    tail.iter().chain(head)
}

fn visible_at(request: &Receive, now: Timestamp) -> Timestamp {
    match request.invisible {
        Invisible::Fixed(time) => now.plus(time),
        Invisible::AutoRenew(_) => now.plus(RENEW_INVISIBLE),
    }
}

/// What is asked of each queue; the queue is set where it is asked.
fn ask(request: &Receive, now: Timestamp, max: usize) -> Ask<'_> {
    let lease = match &request.invisible {
        Invisible::Fixed(_) => None,
        Invisible::AutoRenew(client) => {
            Some(Lease { client: client.clone(), until: now.plus(RENEW_TOTAL_MAX) })
        }
    };
    Ask {
        id: CursorId { group: GroupUid(request.group.uid), queue: QueueUid::default() },
        filter: &request.filter,
        max,
        visible_at: visible_at(request, now),
        lease,
        max_attempts: request.group.max_attempts,
        start: match request.group.consume_from() {
            ConsumeFrom::Auto => Start::Auto,
            ConsumeFrom::Earliest => Start::Earliest,
            ConsumeFrom::Latest => Start::Latest,
        },
    }
}

fn matches(filter: &Filter, message: &StoredMessage) -> bool {
    filter.matches(message.properties.get(property::TAGS))
}

fn read_message(pg: &Pg, taken: &TakenMessage) -> Option<StoredMessage> {
    let record = pg.log.read(taken.lsn).map_err(|error| {
        tracing::warn!(%error, lsn = taken.lsn.0, "a message is gone between index and log");
    });
    stored::decode(record.ok()?.body)
        .map_err(|error| {
            tracing::error!(%error, lsn = taken.lsn.0, "a stored message cannot be read");
        })
        .ok()
}

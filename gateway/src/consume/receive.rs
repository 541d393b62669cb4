//! Receiving: take what there is, load what is not in memory, or wait in line for it.

use super::GroupUid;
use super::delivery::{Delivery, Invisible, Receive};
use super::longpoll::Line;
use super::ops::Lease;
use super::pg::{Pg, Taken};
use super::refused::{ReceiveRefused, WriteRefused};
use super::service::{Consume, Inner};
use super::state::{Ask, CursorId, RENEW_INVISIBLE, RENEW_TOTAL_MAX, Start};
use crate::history::LoadFailed;
use crate::observe::Deliveries;
use metadata::model::{ConsumeFrom, NEVER_OPENED, TopicQueue};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// How long a request that does not wait for new messages waits for old ones to be loaded; clients
/// wait three seconds for its answer (spec B.22).
pub(super) const LOADING_MAX: Duration = Duration::from_secs(2);

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
        let replayed = request.group.replayed(&request.topic);
        let line = inner.lines.line(GroupUid(request.group.uid), &request.topic, replayed);
        let until = inner.env.monotonic() + request.wait;
        let load_until = inner.env.monotonic() + request.wait.max(LOADING_MAX);
        let mut has_loaded = false;
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
                if let Some((pg, queue, offset)) = look.missing {
                    // The next look would come to it.
                    pg.history.load_ahead(queue, offset);
                }
                let deliveries = inner.hand_out(request, look.taken).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
            } else if let Some(missing) = look.missing {
                if has_loaded && inner.env.monotonic() >= load_until {
                    // What was loaded holds nothing for this group; the cursor is behind it.
                    return Ok(Vec::new());
                }
                match inner.load(&line, missing, load_until).await {
                    Ok(()) => has_loaded = true,
                    Err(LoadFailed::Busy) if inner.rest(load_until).await => {}
                    Err(failed) => return Err(failed.into()),
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
    /// The first place that was to be looked at and is not in memory.
    missing: Option<Missing>,
}

/// A place that is not in memory.
type Missing = (Arc<Pg>, QueueUid, QueueOffset);

impl Inner {
    fn shares<'a>(&self, request: &'a Receive) -> Vec<Share<'a>> {
        // What was replayed to the group comes beside what the topic has for everybody.
        let queues = [request.topic.queues(), request.group.replayed(&request.topic)];
        let by_pg = queues.into_iter().flat_map(|queues| queues.chunk_by(|a, b| a.pg == b.pg));
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
                self.count(pg.log().pg(), &request.topic, &request.group, &counted);
            }
            look.more |= taken.more;
            if let Some((queue, offset)) = taken.missing {
                look.missing.get_or_insert_with(|| (Arc::clone(pg), queue, offset));
            }
            left -= taken.messages.len();
            if !taken.messages.is_empty() {
                look.taken.push((Arc::clone(pg), taken));
            }
            if left == 0 {
                break;
            }
        }
        let leaves_some = look.more || look.missing.is_some();
        if left == 0 || (leaves_some && !look.taken.is_empty()) {
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

    /// Has a place loaded, for a poll that may have been woken for what is there.
    async fn load(
        &self,
        line: &Line,
        (pg, queue, offset): Missing,
        until: Duration,
    ) -> Result<(), LoadFailed> {
        let mut loading = Loading { line, ended: false };
        let loaded = self.in_time(until, pg.history.load(queue, offset)).await;
        loading.ended = true;
        loaded
    }

    /// What a load gives by that time. Cancel safe: the load goes on.
    pub(super) async fn in_time<T>(
        &self,
        until: Duration,
        load: impl Future<Output = Result<T, LoadFailed>>,
    ) -> Result<T, LoadFailed> {
        let left = until.saturating_sub(self.env.monotonic());
        tokio::select! {
            loaded = load => loaded,
            () = self.env.sleep(left) => Err(LoadFailed::Slow),
        }
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
}

/// A poll that waits for a load. One that goes away meanwhile gives its wake-up to the next; one
/// whose load failed does not, since the next would fare no better.
struct Loading<'a> {
    line: &'a Line,
    ended: bool,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.line.wake();
        }
    }
}

/// The preferred placement group's shares first, the others after them, another first each time.
fn in_turn<'a, 'b>(
    shares: &'a [Share<'b>],
    turn: usize,
    request: &Receive,
) -> impl Iterator<Item = &'a Share<'b>> {
    let is_preferred = move |share: &Share<'_>| request.prefer == Some(share.0.log().pg());
    let preferred = rotated(shares, turn).filter(move |share| is_preferred(share));
    preferred.chain(rotated(shares, turn).filter(move |share| !is_preferred(share)))
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

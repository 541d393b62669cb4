//! The placement groups that are consumed here, and what operators see of them.

use super::delivery::QueueProgress;
use super::handle::Signer;
use super::longpoll::Lines;
use super::ops::OpMalformed;
use super::pg::Pg;
use super::replay::Replay;
use super::state::{CursorId, QueueIndex};
use super::{GroupUid, timekeeper};
use crate::group::ClientId;
use crate::history::History;
use crate::observe::Deliveries;
use metadata::model::{Group, RetryPolicy, Topic, TopicQueue};
use parking_lot::RwLock;
use protocol::names::{GroupName, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use storage::format::{Lsn, PgId};
use tokio::task::AbortHandle;

type CountDelivered = dyn Fn(PgId, &TopicName, &GroupName, &Deliveries) + Send + Sync;

/// What consumption asks of its neighbours.
pub struct Neighbours {
    /// Whether a client was heard of lately.
    pub is_alive: Box<dyn Fn(&ClientId) -> bool + Send + Sync>,
    /// The group of this uid, while it exists.
    pub group: Box<dyn Fn(GroupUid) -> Option<Arc<Group>> + Send + Sync>,
    /// Told what a group got of a topic from a placement group, or gave up.
    pub count_delivered: Box<CountDelivered>,
}

/// Consumption. Cheap to clone.
#[derive(Clone)]
pub struct Consume(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) signer: Signer,
    pub(super) neighbours: Neighbours,
    pub(super) lines: Lines,
    pgs: RwLock<BTreeMap<PgId, Adopted>>,
}

/// A placement group and the tasks that end with it.
struct Adopted {
    pg: Arc<Pg>,
    tasks: [AbortHandle; 2],
}

impl Drop for Adopted {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Consume {
    /// Consumption of nothing yet. `secret` is the cluster's.
    pub fn new(env: Env, secret: &[u8; 32], neighbours: Neighbours) -> Consume {
        let signer = Signer::new(secret);
        let (lines, pgs) = (Lines::default(), RwLock::default());
        Consume(Arc::new(Inner { env, signer, neighbours, lines, pgs }))
    }

    /// Takes over a placement group: goes on with the replay through its local log, but for places
    /// that `keep` does not want, and begins to keep time for it.
    ///
    /// # Errors
    /// [`OpMalformed`]: a newer version wrote the log; it must not be served.
    pub fn adopt(
        &self,
        history: History,
        replay: Replay,
        keep: impl Fn(CursorId) -> bool,
    ) -> Result<(), OpMalformed> {
        let (id, inner, env) = (history.log().pg(), &self.0, &self.0.env);
        let pg = Arc::new(Pg::open(history, replay, keep)?);
        let follow = timekeeper::follow_log(Arc::clone(inner), Arc::clone(&pg));
        let keep_time = timekeeper::keep(Arc::clone(inner), Arc::clone(&pg));
        let follow = env.spawn("wake polls", follow).abort_handle();
        let keep_time = env.spawn("keep invisible times", keep_time).abort_handle();
        inner.pgs.write().insert(id, Adopted { pg, tasks: [follow, keep_time] });
        Ok(())
    }

    /// The consumption of a placement group as [`super::state::State::snapshot`] writes it, and the position below
    /// which every operation is in it; `None` where it is not consumed here.
    pub fn snapshot(&self, pg: PgId) -> Option<(Lsn, Vec<u8>)> {
        Some(self.0.pg(pg)?.snapshot())
    }

    /// Lets go of a placement group, which is another gateway's now.
    pub fn release(&self, pg: PgId) {
        self.0.pgs.write().remove(&pg);
    }

    /// Lets go of everything: the gateway stops.
    pub fn stop(&self) {
        self.0.pgs.write().clear();
    }

    /// A client said goodbye: what it holds on leases becomes visible after a second. What cannot
    /// be recorded now is let go when its lease would be prolonged.
    pub fn client_gone(&self, client: &ClientId) {
        let visible_at = self.0.env.now().plus(super::TAKEN_BACK);
        for pg in self.0.all() {
            let mut machine = pg.lock();
            let ops = machine.state.release(client, visible_at);
            if let Err(refused) = self.0.write_some(&pg, &mut machine, &ops) {
                tracing::warn!(%refused, pg = %pg.log().pg(), "leases stay until they end");
            }
        }
    }

    /// How far the group is on the topic's queues of placement groups here, in their order, and then
    /// on those of what was replayed to it; queues that it never received from are left out.
    pub fn progress(&self, group: &Group, topic: &Topic) -> Vec<QueueProgress> {
        let of = |queue: &TopicQueue| {
            let pg = self.0.pg(queue.pg)?;
            let id = CursorId { group: GroupUid(group.uid), queue: queue.uid };
            let progress = pg.lock().state.progress(id)?;
            Some(QueueProgress {
                pg: queue.pg,
                id: queue.id,
                committed: progress.committed,
                next: progress.next,
                in_flight: progress.in_flight,
                end: pg.index(queue.uid).end(),
            })
        };
        topic.queues().iter().chain(group.replayed(topic)).filter_map(of).collect()
    }

    /// The groups that ever received from the topic's queues here and still exist.
    pub fn groups_of_topic(&self, topic: &Topic) -> BTreeSet<GroupName> {
        let mut groups = BTreeSet::new();
        for queue in topic.queues() {
            if let Some(pg) = self.0.pg(queue.pg) {
                groups.extend(pg.lock().state.groups_of(queue.uid));
            }
        }
        let known = groups.into_iter().filter_map(&self.0.neighbours.group);
        known.map(|group| group.name.clone()).collect()
    }

    /// How many polls wait for a message.
    pub fn polls_waiting(&self) -> usize {
        self.0.lines.waiting()
    }

    /// The groups and queues that have a place here.
    pub(super) fn places(&self) -> BTreeSet<CursorId> {
        self.0.all().iter().flat_map(|pg| pg.lock().state.places().collect::<Vec<_>>()).collect()
    }

    /// Lets go of places, and of the lines of groups and topics that `is_gone` names.
    pub(super) fn forget(&self, is_gone: impl Fn(CursorId) -> bool) {
        for pg in self.0.all() {
            pg.lock().state.retain(|id| !is_gone(id));
        }
        self.0.lines.retain(|id| !is_gone(id));
    }
}

impl Inner {
    /// What the group says, or Apache's ladder for one that is gone.
    pub(super) fn retry_delay(&self, group: GroupUid, attempt: u32) -> Duration {
        match (self.neighbours.group)(group) {
            Some(group) => group.retry.delay(attempt),
            None => RetryPolicy::default().delay(attempt),
        }
    }

    /// Counts what a group got of a topic, or gave up.
    pub(super) fn count(&self, pg: PgId, topic: &Topic, group: &Group, what: &Deliveries) {
        (self.neighbours.count_delivered)(pg, &topic.name, &group.name, what);
    }

    pub(super) fn pg(&self, pg: PgId) -> Option<Arc<Pg>> {
        self.pgs.read().get(&pg).map(|adopted| Arc::clone(&adopted.pg))
    }

    pub(super) fn all(&self) -> Vec<Arc<Pg>> {
        self.pgs.read().values().map(|adopted| Arc::clone(&adopted.pg)).collect()
    }
}

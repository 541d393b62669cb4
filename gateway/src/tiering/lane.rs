//! What tiering keeps of each owned placement group beside its record.

use super::build::Share;
use super::view::Published;
use crate::history::History;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::format::{Epoch, Lsn, PgId, QueueOffset, QueueOpenRecord, QueueUid};
use storage::reader::View;
use storage::tier::Bundle;
use storage::tier::manifest::ends_in;
use storage::{Log, QueueEnd};
use tokio::sync::Notify;

/// One placement group.
pub(super) struct Lane {
    pub(super) log: Log,
    epoch: Epoch,
    view: Published,
    history: History,
    /// Up to where somebody waits for the bucket.
    awaited: AtomicU64,
    /// The record's snapshot has what the operations below did.
    applied: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Chain where the last bundle ends that was built.
    chain: u32,
    /// Chain at the end of what is committed.
    committed_chain: u32,
    /// The newest Q_OPEN records in bundles that were built.
    opened: HashMap<QueueUid, QueueOffset>,
    /// Where queues go on behind what is committed.
    ends: BTreeMap<QueueUid, (QueueOffset, Option<QueueOpenRecord>)>,
}

impl Lane {
    /// `chain`: at the view's end. `ends`: where queues go on there.
    pub(super) fn new(
        log: Log,
        view: Published,
        history: History,
        chain: u32,
        ends: &[QueueEnd],
    ) -> Lane {
        let opened = ends.iter().filter_map(|end| Some((end.queue, end.opened?.next))).collect();
        let ends = ends.iter().map(|end| (end.queue, (end.next, end.opened))).collect();
        let (epoch, awaited) = (log.epoch(), AtomicU64::new(0));
        let applied = AtomicU64::new(log.pg().first_lsn().0);
        let state = Mutex::new(State { chain, committed_chain: chain, opened, ends });
        Lane { log, epoch, view, history, awaited, applied, state }
    }

    pub(super) fn pg(&self) -> PgId {
        self.log.pg()
    }

    /// Where queues begin, and what is in memory of them.
    pub(super) const fn history(&self) -> &History {
        &self.history
    }

    /// A start replays from here at the earliest.
    pub(super) fn applied(&self) -> Lsn {
        Lsn(self.applied.load(Ordering::Acquire))
    }

    /// A snapshot is committed that has what the operations below did.
    pub(super) fn set_applied(&self, applied: Lsn) {
        self.applied.fetch_max(applied.0, Ordering::AcqRel);
    }

    /// The manifest as it was last committed.
    pub(super) fn view(&self) -> View {
        self.view.load()
    }

    /// Everything below is in the bucket, and committed.
    pub(super) fn tiered(&self) -> Lsn {
        self.view.load().tiered()
    }

    /// What a bundle may take.
    pub(super) fn share(&self, from: Lsn, to: Lsn) -> Share {
        let state = self.state.lock();
        let (chain, opened) = (state.chain, state.opened.clone());
        Share { log: self.log.clone(), epoch: self.epoch, from, to, chain, opened }
    }

    /// A bundle was built that ends where the chain is `chain`.
    pub(super) fn took(&self, chain: u32, bundle: &Bundle) {
        let mut state = self.state.lock();
        state.chain = chain;
        let opened = bundle.opened.iter().filter(|((pg, _), _)| *pg == self.pg());
        state.opened.extend(opened.map(|((_, queue), record)| (*queue, record.next)));
    }

    /// Chain at the end of what is committed.
    pub(super) fn committed_chain(&self) -> u32 {
        self.state.lock().committed_chain
    }

    /// A bundle is committed that ends where the chain is `chain`; `view` shows it.
    pub(super) fn committed(&self, view: View, chain: u32, bundle: &Bundle) {
        let pg = self.pg();
        {
            let mut state = self.state.lock();
            state.committed_chain = chain;
            for ((of, queue), record) in &bundle.opened {
                if *of == pg {
                    let end = state.ends.entry(*queue).or_default();
                    *end = (end.0.max(record.next), Some(*record));
                }
            }
            for (queue, next) in ends_in(&bundle.finished.tail, pg) {
                let end = state.ends.entry(queue).or_default();
                end.0 = end.0.max(next);
            }
        }
        self.publish(view);
    }

    /// The manifest is this now: whoever reads sees it first, then whoever waits for it is called.
    pub(super) fn publish(&self, view: View) {
        let tiered = view.tiered();
        self.view.store(view);
        self.log.set_tiered(tiered);
    }

    /// Where queues go on behind what is committed, and how far that is.
    pub(super) fn ends(&self) -> (Lsn, Vec<QueueEnd>) {
        let state = self.state.lock();
        let end = |(queue, (next, opened)): (&QueueUid, &(QueueOffset, _))| QueueEnd {
            queue: *queue,
            next: *next,
            opened: *opened,
        };
        (self.tiered(), state.ends.iter().map(end).collect())
    }

    /// Forgets queues that nobody holds.
    pub(super) fn retain(&self, mut is_held: impl FnMut(QueueUid) -> bool) {
        let mut state = self.state.lock();
        state.ends.retain(|queue, _| is_held(*queue));
        state.opened.retain(|queue, _| is_held(*queue));
    }

    /// Up to where somebody waits.
    pub(super) fn awaited(&self) -> Lsn {
        Lsn(self.awaited.load(Ordering::Acquire))
    }
}

/// All of them. Cheap to clone; clones share.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    by_pg: RwLock<BTreeMap<PgId, Arc<Lane>>>,
    hurried: Notify,
}

impl Lanes {
    pub(super) fn add(&self, lane: Lane) {
        self.0.by_pg.write().insert(lane.pg(), Arc::new(lane));
    }

    pub(super) fn remove(&self, pg: PgId) {
        self.0.by_pg.write().remove(&pg);
    }

    pub(super) fn get(&self, pg: PgId) -> Option<Arc<Lane>> {
        self.0.by_pg.read().get(&pg).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        self.0.by_pg.read().values().cloned().collect()
    }

    /// Somebody waits until the bucket has everything of `pg` below `end`.
    pub(super) fn hurry(&self, pg: PgId, end: Lsn) {
        if let Some(lane) = self.get(pg) {
            lane.awaited.fetch_max(end.0, Ordering::AcqRel);
            self.0.hurried.notify_one();
        }
    }

    /// Resolves when somebody has begun to wait since the last time. For one caller; cancel safe.
    pub(super) async fn hurried(&self) {
        self.0.hurried.notified().await;
    }
}

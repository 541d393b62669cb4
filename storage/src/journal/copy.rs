//! A store's copy of one placement group's log (design/replication.md §4).
//!
//! INV-COPY-1: `state` is changed by the writer alone, in order with the frames of the journal.
//! INV-COPY-2: `tiered <= synced <= appended <= state.end`, the last three at frame boundaries;
//! frames from `state.from` to `appended` can be read, and `state.from <= tiered` (INV-FROM).
//! INV-COPY-3: while `live` is 0 no watermark moves: what a fenced owner
//! waits for stays unknown to it.

use super::answer::{JoinedBy, Sealed, StoreRefused};
use super::frames::Frames;
use super::level::{Level, Lost};
use super::waiters::{Ticket, Waiters};
use crate::format::{Epoch, JoinRecord, Lsn, PgId, QueueUid, RestateRecord};
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// What the rules of replication decide by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyState {
    /// The epoch whose log this is a range of; 0: no copy.
    pub(crate) label: Epoch,
    /// Appends of earlier epochs are refused.
    pub(crate) fence: Epoch,
    /// Everything below is in the bucket. The writer moves it in memory alone: what was given up is
    /// read again only where a RESTATE says that it is gone, and then its `from` says so too.
    pub(crate) from: Lsn,
    pub(crate) end: Lsn,
    /// Chain at `end`.
    pub(crate) chain: u32,
    /// Chain at `from`.
    pub(crate) chain_from: u32,
    /// The copy cannot be proven.
    pub(crate) lost: bool,
    /// Queues whose records count no more.
    pub(crate) forgotten: BTreeSet<QueueUid>,
}

/// What a join asks for to become of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinPlan {
    /// It is of that epoch already.
    Stay,
    /// It is of the epoch before: keep what lies below.
    CutAt(Lsn),
    /// Begin anew, empty, here.
    BeginAt(Lsn),
}

impl CopyState {
    /// The epoch whose owner may append; 0: none.
    pub(crate) fn live(&self) -> Epoch {
        if self.lost || self.fence > self.label { Epoch(0) } else { self.label }
    }

    /// Whether there is a copy, or was one that is lost now.
    pub(crate) fn is_begun(&self) -> bool {
        self.label != Epoch(0) || self.lost
    }

    /// S4, without the fencing: what a seal answers.
    pub(crate) fn answer_seal(&self, epoch: Epoch, base: Lsn) -> Result<Sealed, StoreRefused> {
        if self.label > epoch {
            return Err(StoreRefused::Newer(self.label));
        }
        if self.lost {
            return Err(StoreRefused::Unknown);
        }
        Ok(if self.label == Epoch(0) {
            Sealed::Nothing
        } else if self.label == epoch {
            Sealed::End(self.end)
        } else if self.label.next() == epoch {
            Sealed::End(self.end.min(base))
        } else {
            Sealed::Nothing
        })
    }

    /// S1. A taker cannot append, so the fence is not its concern.
    pub(crate) fn plan_join(
        &self,
        epoch: Epoch,
        base: Lsn,
        tiered: Lsn,
        by: JoinedBy,
    ) -> Result<JoinPlan, StoreRefused> {
        if self.label > epoch {
            return Err(StoreRefused::Newer(self.label));
        }
        if by == JoinedBy::Owner && self.fence > epoch {
            return Err(StoreRefused::Sealed(self.fence));
        }
        if self.label == epoch {
            return if self.lost { Err(StoreRefused::Unknown) } else { Ok(JoinPlan::Stay) };
        }
        // What it lacks below `tiered` it gets from nobody.
        let reaches = self.end >= tiered;
        if self.label != Epoch(0) && self.label.next() == epoch && !self.lost && reaches {
            return Ok(JoinPlan::CutAt(base.min(self.end)));
        }
        Ok(JoinPlan::BeginAt(tiered))
    }

    /// Chain at `lsn`, if that is an end of the copy or of one of its frames.
    pub(crate) fn chain_at(&self, frames: &Frames, lsn: Lsn) -> Option<u32> {
        if lsn == self.end {
            Some(self.chain)
        } else if lsn == self.from {
            Some(self.chain_from)
        } else {
            frames.chain_at(lsn)
        }
    }

    /// The greatest position at or before `lsn` at which the copy may begin; `from` at least.
    pub(crate) fn boundary(&self, frames: &Frames, lsn: Lsn) -> Lsn {
        if lsn >= self.end {
            self.end
        } else {
            frames.boundary(lsn).unwrap_or(self.from).max(self.from)
        }
    }

    /// The state after a JOIN record.
    pub(crate) fn joined(&mut self, record: &JoinRecord) {
        self.label = record.label;
        self.from = record.from;
        self.end = record.end;
        self.chain = record.chain;
        if record.from == record.end {
            self.chain_from = record.chain;
        }
        self.lost = false;
    }

    /// What a RESTATE record says of it.
    pub(crate) fn restate(&self, frames: &Frames, doubt: bool) -> RestateRecord {
        RestateRecord {
            label: self.label,
            fence: self.fence,
            chain: self.chain,
            lost: self.lost,
            doubt,
            from: self.from,
            end: self.end,
            holes: frames.holes(self.from, self.end, self.chain),
            forgotten: self.forgotten.iter().copied().collect(),
            chain_from: self.chain_from,
        }
    }
}

/// One copy, shared by its owner's log, the writer and the syncer.
pub(crate) struct PgCopy {
    pub(crate) pg: PgId,
    /// Its lane in the inbox.
    pub(crate) lane: usize,
    pub(crate) state: Mutex<CopyState>,
    pub(crate) frames: RwLock<Frames>,
    live: AtomicU32,
    /// The epoch that the watermarks are of: what it reached stays reached when it is over.
    marked: AtomicU32,
    appended: AtomicU64,
    synced: AtomicU64,
    /// Below here everything is in the bucket, as its owner was told.
    tiered: AtomicU64,
    /// While `synced` is below this, [`Level::Async`] is held back to it: a queue's new numbering
    /// must be durable before an offset of it is shown (design/replication.md §8, L2).
    hold: AtomicU64,
    /// What [`Level::Async`] had reached when it was last held back: it never goes back.
    held_at: AtomicU64,
    waiting: [Mutex<Waiters>; Level::ALL.len()],
    /// The log of the epoch's owner, if it was asked for; of what type is the log's affair.
    pub(crate) owner: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
    /// Some queue is shown at [`Level::Async`].
    pub(crate) shows_async: AtomicBool,
    /// Called when a watermark moved; for the one who hands out new messages.
    pub(crate) moved: Notify,
}

impl PgCopy {
    pub(crate) fn new(pg: PgId, lane: usize, state: CopyState, frames: Frames) -> PgCopy {
        let (from, end) = (state.from.0, state.end.0);
        PgCopy {
            pg,
            lane,
            live: AtomicU32::new(state.live().0),
            marked: AtomicU32::new(state.label.0),
            state: Mutex::new(state),
            frames: RwLock::new(frames),
            appended: AtomicU64::new(end),
            synced: AtomicU64::new(end),
            tiered: AtomicU64::new(from),
            hold: AtomicU64::new(0),
            held_at: AtomicU64::new(0),
            waiting: Default::default(),
            owner: Mutex::default(),
            shows_async: AtomicBool::new(false),
            moved: Notify::new(),
        }
    }

    /// Whether the owner of `epoch` may append.
    pub(crate) fn is_live(&self, epoch: Epoch) -> bool {
        epoch != Epoch(0) && self.live.load(Ordering::Acquire) == epoch.0
    }

    /// Where `level` holds up to.
    pub(crate) fn watermark(&self, level: Level) -> Lsn {
        // In this order: whoever sees an end as appended sees the hold that came before it, and
        // whoever sees a hold sees what it was set at.
        let appended = self.appended.load(Ordering::Acquire);
        let hold = self.hold.load(Ordering::Acquire);
        let synced = self.synced.load(Ordering::Acquire);
        Lsn(match level {
            Level::Object => self.tiered.load(Ordering::Acquire),
            Level::Local => synced,
            Level::Async if synced < hold => synced.max(self.held_at.load(Ordering::Acquire)),
            Level::Async => appended,
        })
    }

    /// Holds [`Level::Async`] back, where it is now, until `end` is synced.
    pub(crate) fn hold_until(&self, end: Lsn) {
        self.held_at.fetch_max(self.watermark(Level::Async).0, Ordering::AcqRel);
        self.hold.fetch_max(end.0, Ordering::AcqRel);
    }

    /// The writer published up to `end`.
    pub(crate) fn set_appended(&self, end: Lsn, called: &mut Vec<Waker>) {
        self.appended.store(end.0, Ordering::Release);
        self.call(Level::Async, called);
        if self.shows_async.load(Ordering::Acquire) {
            self.moved.notify_one();
        }
    }

    /// The syncer synced up to `end`, which the owner of `epoch` appended.
    pub(crate) fn set_synced(&self, epoch: Epoch, end: Lsn, called: &mut Vec<Waker>) {
        if !self.is_live(epoch) {
            return;
        }
        self.synced.store(end.0, Ordering::Release);
        self.call(Level::Local, called);
        self.call(Level::Async, called);
        self.moved.notify_one();
    }

    /// The owner of `epoch` committed to the bucket what lies below `to`. Never goes back.
    pub(crate) fn set_tiered(&self, epoch: Epoch, to: Lsn, called: &mut Vec<Waker>) {
        if !self.is_live(epoch) {
            return;
        }
        debug_assert!(to <= self.watermark(Level::Local), "what is uploaded was synced");
        self.tiered.fetch_max(to.0, Ordering::AcqRel);
        self.call(Level::Object, called);
        self.moved.notify_one();
    }

    /// Another epoch, or none, may append from here on. Whoever waits is called and finds its epoch
    /// gone.
    pub(crate) fn set_live(&self, epoch: Epoch, called: &mut Vec<Waker>) {
        if self.live.swap(epoch.0, Ordering::AcqRel) == epoch.0 {
            return;
        }
        for waiting in &self.waiting {
            waiting.lock().call(Lsn(u64::MAX), called);
        }
        self.moved.notify_one();
    }

    /// After a join: all that the copy holds is below `end`, and will be synced before the join is
    /// answered. What is below `tiered` is in the bucket.
    pub(crate) fn restart_at(&self, epoch: Epoch, end: Lsn, tiered: Lsn) {
        // Whoever looks at a watermark for its epoch does so under one of these locks.
        let _waiting = self.waiting.each_ref().map(|waiting| waiting.lock());
        self.marked.store(epoch.0, Ordering::Release);
        self.appended.store(end.0, Ordering::Release);
        self.synced.store(end.0, Ordering::Release);
        self.tiered.store(tiered.0, Ordering::Release);
        self.hold.store(0, Ordering::Release);
        self.held_at.store(0, Ordering::Release);
    }

    /// Resolves when `level` reaches `end`, or when `epoch` is over.
    pub(crate) fn reached(self: &Arc<Self>, epoch: Epoch, level: Level, end: Lsn) -> Reached {
        Reached { copy: Arc::clone(self), epoch, level, end, ticket: None }
    }

    fn call(&self, level: Level, called: &mut Vec<Waker>) {
        // The watermark was stored before this lock is taken, and a waiter looks at it under the
        // lock: one of the two sees the other.
        let mut waiting = self.waiting[level as usize].lock();
        waiting.call(self.watermark(level), called);
    }
}

/// Waits for a watermark. Cancel safe.
pub(crate) struct Reached {
    copy: Arc<PgCopy>,
    epoch: Epoch,
    level: Level,
    end: Lsn,
    ticket: Option<Ticket>,
}

impl Future for Reached {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let copy = Arc::clone(&self.copy);
        let mut waiting = copy.waiting[self.level as usize].lock();
        let marked = copy.marked.load(Ordering::Acquire) == self.epoch.0;
        let done = if marked && copy.watermark(self.level) >= self.end {
            Some(Ok(()))
        } else if !copy.is_live(self.epoch) {
            Some(Err(Lost))
        } else {
            None
        };
        if let Some(done) = done {
            if let Some(ticket) = self.ticket.take() {
                waiting.leave(ticket);
            }
            return Poll::Ready(done);
        }
        let in_line = self.ticket.is_some_and(|ticket| waiting.renew(ticket, context.waker()));
        if !in_line {
            self.ticket = Some(waiting.join(self.end, context.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.copy.waiting[self.level as usize].lock().leave(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(label: u32, fence: u32, from: u64, end: u64) -> CopyState {
        CopyState {
            label: Epoch(label),
            fence: Epoch(fence),
            from: Lsn(from),
            end: Lsn(end),
            ..CopyState::default()
        }
    }

    #[test]
    fn seal_answers_by_label() {
        let copy = state(3, 0, 0, 100);
        assert_eq!(copy.answer_seal(Epoch(3), Lsn(50)), Ok(Sealed::End(Lsn(100))));
        assert_eq!(copy.answer_seal(Epoch(4), Lsn(50)), Ok(Sealed::End(Lsn(50))));
        assert_eq!(copy.answer_seal(Epoch(5), Lsn(50)), Ok(Sealed::Nothing));
        assert_eq!(copy.answer_seal(Epoch(2), Lsn(50)), Err(StoreRefused::Newer(Epoch(3))));
        assert_eq!(CopyState::default().answer_seal(Epoch(1), Lsn(0)), Ok(Sealed::Nothing));
        let lost = CopyState { lost: true, ..copy };
        assert_eq!(lost.answer_seal(Epoch(3), Lsn(0)), Err(StoreRefused::Unknown));
    }

    #[test]
    fn join_keeps_only_what_the_epoch_before_shares() {
        let copy = state(3, 3, 10, 100);
        let plan = |epoch| copy.plan_join(Epoch(epoch), Lsn(60), Lsn(40), JoinedBy::Owner);
        assert_eq!(plan(2), Err(StoreRefused::Newer(Epoch(3))));
        assert_eq!(plan(3), Ok(JoinPlan::Stay));
        assert_eq!(plan(4), Ok(JoinPlan::CutAt(Lsn(60))));
        assert_eq!(plan(5), Ok(JoinPlan::BeginAt(Lsn(40))));
        let lacks = copy.plan_join(Epoch(4), Lsn(120), Lsn(101), JoinedBy::Owner);
        assert_eq!(lacks, Ok(JoinPlan::BeginAt(Lsn(101))), "what it lacks is in the bucket");
        let fenced = state(3, 5, 10, 100);
        let by = |by| fenced.plan_join(Epoch(4), Lsn(60), Lsn(0), by);
        assert_eq!(by(JoinedBy::Owner), Err(StoreRefused::Sealed(Epoch(5))));
        assert_eq!(by(JoinedBy::Taker), Ok(JoinPlan::CutAt(Lsn(60))));
        let lost = CopyState { lost: true, ..state(3, 3, 10, 100) };
        assert_eq!(
            lost.plan_join(Epoch(3), Lsn(0), Lsn(0), JoinedBy::Owner),
            Err(StoreRefused::Unknown)
        );
        assert_eq!(
            lost.plan_join(Epoch(4), Lsn(60), Lsn(40), JoinedBy::Owner),
            Ok(JoinPlan::BeginAt(Lsn(40)))
        );
    }

    #[test]
    fn a_fenced_copy_acknowledges_nothing() {
        let copy = PgCopy::new(PgId::new(0).unwrap(), 0, state(1, 0, 0, 0), Frames::default());
        let mut called = Vec::new();
        copy.set_live(Epoch(0), &mut called);
        copy.set_synced(Epoch(1), Lsn(10), &mut called);
        assert_eq!(copy.watermark(Level::Local), Lsn(0));
    }

    #[test]
    fn what_was_reached_stays_reached_until_another_epoch_begins() {
        let copy = PgCopy::new(PgId::new(0).unwrap(), 0, state(1, 0, 0, 0), Frames::default());
        let copy = Arc::new(copy);
        let mut called = Vec::new();
        copy.set_appended(Lsn(20), &mut called);
        copy.set_synced(Epoch(1), Lsn(10), &mut called);
        copy.set_live(Epoch(0), &mut called);
        let poll = |epoch, end| {
            let mut reached = copy.reached(Epoch(epoch), Level::Local, Lsn(end));
            Pin::new(&mut reached).poll(&mut Context::from_waker(Waker::noop()))
        };
        assert_eq!(poll(1, 10), Poll::Ready(Ok(())));
        assert_eq!(poll(1, 20), Poll::Ready(Err(Lost)));
        copy.restart_at(Epoch(2), Lsn(20), Lsn(0));
        assert_eq!(poll(1, 10), Poll::Ready(Err(Lost)));
    }

    #[test]
    fn the_bucket_is_told_of_by_the_owner_of_the_epoch() {
        let copy = PgCopy::new(PgId::new(0).unwrap(), 0, state(1, 0, 0, 0), Frames::default());
        let copy = Arc::new(copy);
        let mut called = Vec::new();
        copy.set_appended(Lsn(20), &mut called);
        copy.set_synced(Epoch(1), Lsn(20), &mut called);
        let mut reached = copy.reached(Epoch(1), Level::Object, Lsn(10));
        let mut poll = || Pin::new(&mut reached).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll(), Poll::Pending);
        copy.set_tiered(Epoch(2), Lsn(20), &mut called);
        assert_eq!(poll(), Poll::Pending, "another epoch's");
        called.clear();
        copy.set_tiered(Epoch(1), Lsn(15), &mut called);
        assert_eq!(called.len(), 1);
        assert_eq!(poll(), Poll::Ready(Ok(())));
        copy.set_tiered(Epoch(1), Lsn(10), &mut called);
        assert_eq!(copy.watermark(Level::Object), Lsn(15), "it does not go back");
        copy.set_live(Epoch(0), &mut called);
        let mut lost = copy.reached(Epoch(1), Level::Object, Lsn(16));
        let lost = Pin::new(&mut lost).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(lost, Poll::Ready(Err(Lost)));
        copy.restart_at(Epoch(2), Lsn(20), Lsn(17));
        assert_eq!(copy.watermark(Level::Object), Lsn(17));
    }

    #[test]
    fn async_is_held_back_until_a_new_numbering_is_synced() {
        let copy = PgCopy::new(PgId::new(0).unwrap(), 0, state(1, 0, 0, 0), Frames::default());
        let mut called = Vec::new();
        copy.hold_until(Lsn(10));
        copy.set_appended(Lsn(30), &mut called);
        assert_eq!(copy.watermark(Level::Async), Lsn(0));
        copy.set_synced(Epoch(1), Lsn(10), &mut called);
        assert_eq!(copy.watermark(Level::Async), Lsn(30));
    }

    #[test]
    fn async_does_not_go_back_when_a_new_numbering_begins() {
        let copy = PgCopy::new(PgId::new(0).unwrap(), 0, state(1, 0, 0, 0), Frames::default());
        let mut called = Vec::new();
        copy.set_appended(Lsn(30), &mut called);
        assert_eq!(copy.watermark(Level::Async), Lsn(30));
        copy.hold_until(Lsn(40));
        copy.set_appended(Lsn(50), &mut called);
        assert_eq!(copy.watermark(Level::Async), Lsn(30));
        copy.set_synced(Epoch(1), Lsn(40), &mut called);
        assert_eq!(copy.watermark(Level::Async), Lsn(50));
    }
}

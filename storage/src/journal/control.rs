//! The writer's other half: seals, joins, and giving back segments that nobody needs.
use super::active::own_envelope;
use super::answer::{Copy, Sealed, StoreRefused};
use super::copy::{JoinPlan, PgCopy};
use super::inbox::Control;
use super::segment::Segment;
use super::shared::Shared;
use super::space::{For, frame_need};
use super::walk::records;
use super::writer::Writer;
use crate::env::Timestamp;
use crate::format::{
    Epoch, ForgetRecord, JoinRecord, JournalKind, Lsn, QueueUid, RestateRecord, SealRecord,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

type Answer<T> = oneshot::Sender<Result<T, StoreRefused>>;

impl Writer {
    /// Runs a rule of design/replication.md §4. Its answer goes out once what it wrote is durable;
    /// nobody minds when the one who asked has gone.
    pub(super) fn control(&mut self, copy: &Arc<PgCopy>, control: Control) {
        match control {
            Control::Seal { epoch, base, reply } => self.seal(copy, epoch, base, reply),
            Control::Join { epoch, base, tiered, by, reply } => {
                let plan = copy.state.lock().plan_join(epoch, base, tiered, by);
                match plan {
                    Ok(plan) => self.join(copy, epoch, plan, tiered, reply),
                    Err(refused) => self.answer(reply, Err(refused)),
                }
            }
            Control::Forget { queues } => self.forget(copy, &queues),
            Control::Trim { epoch, to } => self.trim(copy, epoch, to),
        }
    }

    /// S4. The answer also of a refusal waits for what was written before it: it tells of state
    /// that must not be undone.
    fn seal(&mut self, copy: &PgCopy, epoch: Epoch, base: Lsn, reply: Answer<Sealed>) {
        let (answer, fence) = {
            let state = copy.state.lock();
            (state.answer_seal(epoch, base), state.fence.max(epoch.next()))
        };
        let Ok(sealed) = answer else { return self.answer(reply, answer) };
        let record = SealRecord { fence };
        if !self.write_own(Some(copy), JournalKind::Seal, &record.encode()) {
            return self.answer(reply, Err(StoreRefused::Full));
        }
        {
            let mut state = copy.state.lock();
            state.fence = fence;
            copy.set_live(state.live(), &mut self.called);
        }
        self.answer(reply, Ok(sealed));
    }

    /// S1.
    fn join(
        &mut self,
        copy: &Arc<PgCopy>,
        epoch: Epoch,
        plan: JoinPlan,
        tiered: Lsn,
        reply: Answer<Copy>,
    ) {
        let record = match plan {
            JoinPlan::Stay => None,
            JoinPlan::CutAt(base) => Some(cut_record(copy, epoch, base, tiered)),
            JoinPlan::BeginAt(tiered) => Some(empty_record(epoch, tiered)),
        };
        let begun = record.is_some();
        if let Some(record) = record {
            if !self.write_own(Some(copy), JournalKind::Join, &record.encode()) {
                return self.answer(reply, Err(StoreRefused::Full));
            }
            self.apply_join(copy, &record);
        }
        let (shared, copy) = (Arc::clone(&self.shared), Arc::clone(copy));
        self.out.replies.push(Box::new(move || {
            // Nobody minds if the one who asked has gone.
            let _ = reply.send(Ok(joined(&shared, &copy, epoch, tiered, begun)));
        }));
    }

    fn apply_join(&mut self, copy: &PgCopy, record: &JoinRecord) {
        let empty = record.from == record.end;
        let gone = {
            let mut frames = copy.frames.write();
            frames.cut(if empty { Lsn(0) } else { record.end })
        };
        if empty {
            for segment in self.shared.segments.lock().iter() {
                segment.evict_all(copy.pg);
            }
        } else {
            for (segment, frame) in gone {
                if let Some(payload) =
                    self.shared.slice(&segment, frame.at.into(), frame.len.into())
                {
                    let queues = records(&payload).map(|(_, envelope)| envelope.queue);
                    segment.move_out(copy.pg, queues);
                }
            }
        }
        copy.state.lock().joined(record);
        // The new epoch's owner may append once this is durable.
        copy.set_live(Epoch(0), &mut self.called);
        self.look_for_vacant = true;
    }

    /// Queues are gone: what only they held is given back.
    fn forget(&mut self, copy: &Arc<PgCopy>, queues: &[QueueUid]) {
        copy.state.lock().forgotten.extend(queues);
        let mut present: BTreeSet<QueueUid> = BTreeSet::new();
        for segment in self.shared.segments.lock().iter() {
            present.extend(segment.queues_of(copy.pg));
            segment.evict(copy.pg, queues);
        }
        // Whoever forgets a topic tells every placement group, and few of them had it.
        let known: Vec<_> = queues.iter().copied().filter(|q| present.contains(q)).collect();
        let parts = known.chunks(ForgetRecord::QUEUES_MAX);
        self.forgotten.extend(parts.map(|part| (Arc::clone(copy), part.to_vec())));
        self.record_forgotten();
        self.look_for_vacant = true;
    }

    /// Writes what was forgotten, as far as there is room. Segments are given back without it; but
    /// what lies in others would come back after a restart, until the gateway asks again.
    pub(super) fn record_forgotten(&mut self) {
        while let Some((copy, queues)) = self.forgotten.pop_front() {
            let record = ForgetRecord { queues };
            if !self.write_own(Some(&copy), JournalKind::Forget, &record.encode()) {
                self.forgotten.push_front((copy, record.queues));
                return;
            }
        }
    }

    /// Gives vacant segments back, wherever they lie. First every copy is restated, so that no
    /// record of the store that lay in one of them is missed; they are recycled only when that is
    /// durable.
    pub(super) fn free_vacant(&mut self) {
        let active = self.active.as_ref().map(|active| Arc::clone(&active.segment));
        let is_active =
            |segment: &Arc<Segment>| active.as_ref().is_some_and(|a| Arc::ptr_eq(a, segment));
        let (vacant, kept): (Vec<_>, Vec<_>) = {
            let segments = self.shared.segments.lock();
            segments.iter().cloned().partition(|s| !is_active(s) && s.is_vacant())
        };
        if vacant.is_empty() {
            return;
        }
        let copies = self.shared.copies();
        let mut restates = Vec::with_capacity(copies.len());
        for copy in &copies {
            let mut frames = copy.frames.write();
            vacant.iter().for_each(|segment| frames.drop_segment(segment));
            drop(frames);
            if let Some(record) = restate(copy, &kept, self.shared.doubt) {
                restates.push((copy, record.encode()));
            }
        }
        // All or none: what a store has left of room is not for saying half of it again and again.
        let need = restates.iter().map(|(_, body)| own_need(body)).sum();
        let room = self.shared.space.reserve(For::Store, need).is_ok();
        if room {
            self.shared.space.settle(need);
        }
        let write = |(copy, body): &(&Arc<PgCopy>, Vec<u8>)| {
            self.write_own(Some(copy), JournalKind::Restate, body)
        };
        if !room || !restates.iter().all(write) {
            // The segments stay until there is room to say so.
            self.look_for_vacant = true;
            return;
        }
        // Not `kept`: a RESTATE may have begun a segment.
        let is_vacant = |segment: &Arc<Segment>| vacant.iter().any(|v| Arc::ptr_eq(v, segment));
        self.shared.segments.lock().retain(|segment| !is_vacant(segment));
        for segment in &vacant {
            tracing::debug!(segment = segment.name, "segment is needed no more");
        }
        self.out.freed.extend(vacant);
    }

    fn answer<T: Send + 'static>(&mut self, reply: Answer<T>, answer: Result<T, StoreRefused>) {
        self.out.replies.push(Box::new(move || {
            // Nobody minds if the one who asked has gone.
            let _ = reply.send(answer);
        }));
    }
}

/// The copy's state as a RESTATE says it; `None` where there is nothing to say.
fn restate(copy: &PgCopy, kept: &[Arc<Segment>], doubt: bool) -> Option<RestateRecord> {
    let mut state = copy.state.lock();
    if state.label == Epoch(0) && state.fence == Epoch(0) && !state.lost {
        return None;
    }
    if !state.forgotten.is_empty() {
        let ghosts: BTreeSet<_> = kept.iter().flat_map(|s| s.ghosts_of(copy.pg)).collect();
        state.forgotten.retain(|queue| ghosts.contains(queue));
    }
    let frames = copy.frames.read();
    Some(state.restate(&frames, doubt))
}

/// The most room that a record of the store with this body needs.
fn own_need(body: &[u8]) -> u64 {
    let record = own_envelope(JournalKind::Restate, Timestamp(0), body).record_len();
    frame_need(record.into())
}

fn empty_record(epoch: Epoch, tiered: Lsn) -> JoinRecord {
    JoinRecord { label: epoch, chain: 0, from: tiered, end: tiered }
}

/// Keeps what lies below `base`. Where that is no frame's end the copy cannot be cut there, and
/// begins anew.
fn cut_record(copy: &PgCopy, epoch: Epoch, base: Lsn, tiered: Lsn) -> JoinRecord {
    let state = copy.state.lock();
    match state.chain_at(&copy.frames.read(), base) {
        Some(chain) if state.from <= base => {
            JoinRecord { label: epoch, chain, from: state.from, end: base }
        }
        Some(_) | None => empty_record(epoch, tiered),
    }
}

/// The join is durable: its epoch's owner may append, unless another rule came in between. A copy
/// that `begun` in this epoch is synced up to its end also where nobody may append, as after the
/// join of a taker.
fn joined(shared: &Shared, copy: &PgCopy, epoch: Epoch, tiered: Lsn, begun: bool) -> Copy {
    let mut called = Vec::new();
    let state = copy.state.lock();
    let is_of_it = state.label == epoch && !copy.is_live(epoch) && !shared.is_poisoned();
    let may_append = state.live() == epoch;
    if is_of_it && (begun || may_append) {
        // INV-FROM, also where the join knows less than the copy.
        copy.restart_at(epoch, state.end, tiered.clamp(state.from, state.end));
    }
    if is_of_it && may_append {
        copy.set_live(epoch, &mut called);
    }
    let answer = Copy {
        store: shared.id,
        label: state.label,
        from: state.from,
        end: state.end,
        synced: copy.watermark(super::Level::Local),
        chain: state.chain,
    };
    drop(state);
    for waker in called {
        waker.wake();
    }
    answer
}

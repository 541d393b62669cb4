//! The log itself.
use super::answer::{Appended, Bounds, Entry, Place, ReadError, RecordView, Refused};
use super::state::{LogState, Watermarks};
use crate::env::Timestamp;
use crate::format::{
    Envelope, Epoch, Kind, Lsn, PgId, QueueOffset, QueueOpenRecord, QueueUid, RecordKind,
};
use crate::journal::{
    Class, Control, Draft, For, FrameRef, Group, Handle, IndexFill, IndexTaken, Item, Level, Lost,
    NoRoom, Offsets, Patch, PgCopy, Segment, Shared, Store, StoreRefused, Wanted, frame_need,
    records,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Bytes that a log may be ahead of what is synced. With at least 40 bytes a record this is fewer
/// records than [`super::state::GAP`], so an offset that was shown and lost is always skipped after
/// a crash.
const LEAD_BYTES: u64 = 32 << 20;
/// Entries copied out of the index at a time, so that no lock is held while a caller looks at them.
const SCAN_ENTRIES: usize = 64;

/// A placement group's log, for the owner of one epoch. Clones are handles to the same log.
///
/// What is appended is visible and acknowledged level by level: see [`Log::watermark`]. When the
/// epoch ends or the store stops, appends are refused and whoever waits is told that the outcome is
/// unknown.
#[derive(Clone)]
pub struct Log {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) handle: Arc<Handle>,
    pub(super) copy: Arc<PgCopy>,
    pub(super) epoch: Epoch,
    pub(super) state: Mutex<LogState>,
}

impl Store {
    /// The owner's log of `pg`, once the store's copy is of `epoch`. Reads all of it to build the
    /// index. A second call for the same epoch gives the same log.
    ///
    /// # Errors
    /// [`StoreRefused::Older`] where a join to `epoch` is missing, and others that say that the
    /// epoch is over.
    pub fn log(&self, pg: PgId, epoch: Epoch) -> Result<Log, StoreRefused> {
        let copy = self.shared().copy(pg);
        let mut owner = copy.owner.lock();
        check_owner(&copy, epoch)?;
        if self.shared().is_poisoned() {
            return Err(StoreRefused::Closed);
        }
        let known = owner.as_ref().and_then(Weak::upgrade);
        if let Some(Ok(inner)) = known.map(Arc::downcast::<Inner>)
            && inner.epoch == epoch
        {
            return Ok(Log { inner });
        }
        let state = Mutex::new(rebuild(
            self.shared(),
            &copy,
            IndexTaken::of(Arc::clone(&self.shared().index_room)),
        ));
        let handle = Arc::clone(self.handle());
        let inner = Arc::new(Inner { handle, copy: Arc::clone(&copy), epoch, state });
        let weak: Weak<Inner> = Arc::downgrade(&inner);
        *owner = Some(weak);
        drop(owner);
        Ok(Log { inner })
    }
}

fn check_owner(copy: &PgCopy, epoch: Epoch) -> Result<(), StoreRefused> {
    let state = copy.state.lock();
    if state.label > epoch {
        Err(StoreRefused::Newer(state.label))
    } else if state.label < epoch {
        Err(StoreRefused::Older(state.label))
    } else if state.lost {
        Err(StoreRefused::Unknown)
    } else if state.fence > epoch {
        Err(StoreRefused::Sealed(state.fence))
    } else if copy.is_live(epoch) {
        Ok(())
    } else {
        Err(StoreRefused::Closed)
    }
}

/// Reads the whole copy.
fn rebuild(shared: &Shared, copy: &PgCopy, taken: IndexTaken) -> LogState {
    let (from, end, forgotten) = {
        let state = copy.state.lock();
        (state.from, state.end, state.forgotten.clone())
    };
    let mut log = LogState::new(from, end, taken);
    for (segment, frame) in frames_of(copy, from) {
        let Some(payload) = shared.slice(&segment, frame.at.into(), frame.len.into()) else {
            continue;
        };
        for (at, envelope) in records(&payload) {
            log.found_time(envelope.attributes.time);
            if forgotten.contains(&envelope.queue) {
                continue;
            }
            if envelope.kind == Kind::Record(RecordKind::Message) {
                let entry = Entry {
                    offset: envelope.offset,
                    lsn: frame.lsn.plus(at.into()),
                    len: envelope.body_len,
                    filter: envelope.attributes.filter,
                    time: envelope.attributes.time,
                };
                log.found_message(envelope.queue, &entry, envelope.record_len().into());
            } else if envelope.kind == Kind::Record(RecordKind::QueueOpen)
                && let Some(body) = payload.get((at + envelope.head_len()) as usize..)
                && let Ok(record) = QueueOpenRecord::decode(body)
            {
                log.found_open(envelope.queue, record);
            }
        }
    }
    log
}

/// All frames there are now that end after `from`.
fn frames_of(copy: &PgCopy, from: Lsn) -> Vec<(Arc<Segment>, FrameRef)> {
    let ahead = copy.frames.read().from(from, usize::MAX);
    ahead.into_iter().map(|ahead| (ahead.segment, ahead.frame)).collect()
}

impl Log {
    /// Whose log it is.
    pub fn pg(&self) -> PgId {
        self.inner.copy.pg
    }

    /// The epoch that its owner holds.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// Position after everything that was appended, also where it is not written yet.
    pub fn end(&self) -> Lsn {
        self.inner.state.lock().end
    }

    /// Makes a queue take messages. `level` says from which watermark on they are visible; it may
    /// be changed by calling again.
    ///
    /// A queue at [`Level::Async`] is recorded in the log; if the host crashed since it was, its
    /// offsets go on after a gap, since some may have been seen and lost. The gap is not shown
    /// before it is synced.
    pub fn open_queue(&self, queue: QueueUid, level: Level) {
        let crashes = self.crashes();
        if level == Level::Async {
            self.inner.copy.shows_async.store(true, Ordering::Release);
        }
        let (news, record) = {
            let mut state = self.inner.state.lock();
            let news = state.open_queue(queue, level, crashes, self.watermarks());
            (news, state.open_record(queue, crashes))
        };
        if news {
            self.inner.copy.moved.notify_one();
        }
        if record.is_some() {
            // When there is no room for it now, the queue's next append tries again before it takes
            // a message.
            let _ = self.append_group(Vec::new(), Class::Reserve, &[queue]);
        }
    }

    fn crashes(&self) -> u32 {
        self.inner.handle.shared.life.crashes
    }

    /// Appends one atomic group: all of it will be found again, or nothing. Gives the records their
    /// places at once, and hands them to the writer; nothing is durable yet. The order of two
    /// appends of one caller is their order in the log.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was appended.
    pub fn append(&self, drafts: Vec<Draft>, class: Class) -> Result<Appended, Refused> {
        self.append_group(drafts, class, &[])
    }

    fn append_group(
        &self,
        mut drafts: Vec<Draft>,
        class: Class,
        open: &[QueueUid],
    ) -> Result<Appended, Refused> {
        let inner = &self.inner;
        let space = &inner.handle.shared.space;
        if let Some(draft) = drafts.iter().find(|draft| draft.kind == RecordKind::QueueOpen) {
            return Err(Refused::ReservedKind(draft.kind));
        }
        let now = inner.handle.shared.env.now();
        let mut state = inner.state.lock();
        if !inner.copy.is_live(inner.epoch) {
            return Err(self.why_over());
        }
        let opened = self.prepend_opens(&state, &mut drafts, open)?;
        let bytes = drafts.iter().map(Draft::record_len).sum::<u64>();
        if bytes > space.group_bytes_max {
            return Err(Refused::TooLarge { bytes, limit: space.group_bytes_max });
        }
        if state.end.since(self.watermark(Level::Local)) + bytes > LEAD_BYTES {
            return Err(Refused::Busy);
        }
        let first = state.end;
        let time = state.next_time(now);
        if drafts.is_empty() {
            return Ok(Appended { first, end: first, time, places: Vec::new() });
        }
        let adds = |draft: &Draft| draft.kind == RecordKind::Message;
        if !state.takes_entries(class) && drafts.iter().any(adds) {
            let IndexFill { used, limit } = inner.handle.shared.index_room.fill();
            return Err(Refused::IndexFull { used, limit });
        }
        let need = frame_need(bytes);
        space.reserve(For::Append(class), need).map_err(no_room)?;
        for (queue, record) in &opened {
            state.opened(*queue, *record);
        }
        // Nothing of a new numbering is shown before it is synced, so that is urgent too.
        let wanted = if opened.is_empty() { state.wanted(&drafts) } else { Wanted::Synced };
        let mut places = Vec::with_capacity(drafts.len());
        places.extend(drafts.iter_mut().map(|draft| state.place(draft, time)));
        let end = state.end;
        if let Some(last) = opened.len().checked_sub(1).and_then(|last| places.get(last)) {
            // Nothing of the new numbering is shown before the numbering is durable.
            inner.copy.hold_until(last.lsn.plus(1));
        }
        let offsets = offsets_of(&places);
        places.drain(..opened.len());
        let first = places.first().map_or(first, |place| place.lsn);
        let group = Group {
            copy: Arc::clone(&inner.copy),
            epoch: inner.epoch,
            first: end_before(end, bytes),
            bytes,
            reserved: need,
            time,
            drafts,
            offsets,
            wanted,
        };
        // Still under the lock: the lane has groups in the order of their lsn.
        if inner.handle.shared.hand_over(Item::Group(group)).is_err() {
            space.settle(need);
            return Err(Refused::Closed);
        }
        Ok(Appended { first, end, time, places })
    }

    fn why_over(&self) -> Refused {
        let shared = &self.inner.handle.shared;
        let stopped = shared.is_poisoned() || shared.inbox.is_stopped();
        if stopped { Refused::Closed } else { Refused::Fenced }
    }

    /// Puts the Q_OPEN records in front that the group's queues still need, and checks that they
    /// take messages.
    fn prepend_opens(
        &self,
        state: &LogState,
        drafts: &mut Vec<Draft>,
        open: &[QueueUid],
    ) -> Result<Vec<(QueueUid, QueueOpenRecord)>, Refused> {
        let mut opened: Vec<(QueueUid, QueueOpenRecord)> = Vec::new();
        let messages = drafts.iter().filter(|draft| draft.kind == RecordKind::Message);
        for queue in messages.map(|draft| draft.queue).chain(open.iter().copied()) {
            if !state.takes_messages(queue) {
                return Err(Refused::UnknownQueue(queue));
            }
            if let Some(record) = state.open_record(queue, self.crashes())
                && !opened.iter().any(|(known, _)| *known == queue)
            {
                opened.push((queue, record));
            }
        }
        let records = opened.iter().map(|(queue, record)| Draft {
            kind: RecordKind::QueueOpen,
            queue: *queue,
            filter: 0,
            head: record.encode(),
            body: Bytes::new(),
            tail: Bytes::new(),
            patch: Patch::default(),
        });
        drafts.splice(..0, records);
        Ok(opened)
    }

    /// Where `level` holds up to. Never goes back within an epoch.
    pub fn watermark(&self, level: Level) -> Lsn {
        self.inner.copy.watermark(level)
    }

    pub(super) fn watermarks(&self) -> Watermarks {
        Watermarks {
            of_async: self.watermark(Level::Async),
            of_local: self.watermark(Level::Local),
            of_object: self.watermark(Level::Object),
        }
    }

    /// Resolves once `level` holds up to `end`, which is an [`Appended::end`] of this log. Cancel
    /// safe.
    ///
    /// # Errors
    /// [`Lost`] when the epoch ended or the store stopped before: the outcome is unknown.
    pub async fn reached(&self, level: Level, end: Lsn) -> Result<(), Lost> {
        if level != Level::Async && self.watermark(Level::Local) < end {
            // It may be in a queue whose messages nobody waits for at this level.
            self.inner.handle.shared.handoff.hurry();
        }
        self.inner.copy.reached(self.inner.epoch, level, end).await
    }

    /// How far a queue goes. All 0 for a queue that is not known.
    pub fn bounds(&self, queue: QueueUid) -> Bounds {
        self.inner.state.lock().bounds(queue, self.watermarks())
    }

    /// Shows visible messages of a queue in the order of their offsets, from the first at or after
    /// `from`, until `f` breaks off. `f` may use the log.
    pub fn scan(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        f: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) {
        let mut entries = Vec::new();
        let mut from = from;
        // A scan for few entries copies few.
        let mut limit = 4;
        loop {
            entries.clear();
            let watermarks = self.watermarks();
            self.inner.state.lock().entries(queue, from, watermarks, &mut entries, limit);
            for entry in &entries {
                if f(*entry).is_break() {
                    return;
                }
                from = entry.offset.plus(1);
            }
            if entries.len() < limit {
                return;
            }
            limit = SCAN_ENTRIES;
        }
    }

    /// The record at `lsn`, which is that of a [`Place`] or [`Entry`]. Its body is a slice of the
    /// journal, not a copy.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<RecordView, ReadError> {
        let found = {
            let frames = self.inner.copy.frames.read();
            frames.find(lsn).map(|(segment, frame)| (Arc::clone(segment), frame))
        };
        let Some((segment, frame)) = found else {
            let written = lsn < self.watermark(Level::Async);
            return Err(if written { ReadError::Gone(lsn) } else { ReadError::NotYet(lsn) });
        };
        let inside = lsn.since(frame.lsn);
        let at = u64::from(frame.at) + inside;
        let shared = &self.inner.handle.shared;
        let rest = shared
            .slice(&segment, at, u64::from(frame.len) - inside)
            .ok_or(ReadError::Gone(lsn))?;
        let envelope = Envelope::decode(&rest).map_err(|_| ReadError::NotARecord(lsn))?;
        view(lsn, &envelope, &rest, 0).ok_or(ReadError::NotARecord(lsn))
    }

    /// The offset of a queue's first visible message that was stored at or after `at`, of those
    /// held here; the visible end if there is none. Where it is [`Bounds::first`] an earlier one
    /// may be in the bucket.
    pub fn offset_at_time(&self, queue: QueueUid, at: Timestamp) -> QueueOffset {
        self.inner.state.lock().offset_at_time(queue, at, self.watermarks())
    }

    /// Shows every record held here that lies at or after `from` and is not a message, of queues
    /// that were not forgotten, in the order of the log; to rebuild state before serving. What is
    /// before [`Log::local_from`] comes out of the bucket. Reads the whole log from there on.
    pub fn replay(&self, from: Lsn, f: &mut dyn FnMut(RecordView)) {
        let shared = &self.inner.handle.shared;
        let forgotten = self.inner.copy.state.lock().forgotten.clone();
        for (segment, frame) in frames_of(&self.inner.copy, from) {
            let Some(payload) = shared.slice(&segment, frame.at.into(), frame.len.into()) else {
                continue;
            };
            for (at, envelope) in records(&payload) {
                let own = envelope.kind == Kind::Record(RecordKind::Message)
                    || envelope.kind == Kind::Record(RecordKind::QueueOpen);
                let lsn = frame.lsn.plus(at.into());
                if own || lsn < from || forgotten.contains(&envelope.queue) {
                    continue;
                }
                if let Some(view) = view(lsn, &envelope, &payload, at) {
                    f(view);
                }
            }
        }
    }

    /// Waits until queues have messages that became visible since the last call (at first: since
    /// the log was opened), and says which and how many. For one caller. Cancel safe. When the
    /// epoch is over it waits for ever.
    pub async fn next_visible(&self) -> Vec<(QueueUid, u64)> {
        loop {
            let moved = self.inner.copy.moved.notified();
            let told = self.inner.state.lock().tell(self.watermarks());
            if !told.is_empty() {
                return told;
            }
            moved.await;
        }
    }

    /// Forgets queues for ever: their messages, and every record that names them. Segments that
    /// hold nothing else are given back soon after. Holds after a restart once what is appended
    /// later is synced; until then they may come back, and [`Log::queues`] names them. So may one
    /// that had nothing left here but what was trimmed, until its segment is given back.
    pub fn forget_queues(&self, queues: &[QueueUid]) {
        let queues: Vec<QueueUid> = queues.iter().copied().filter(|q| *q != QueueUid(0)).collect();
        if queues.is_empty() {
            return;
        }
        let mut state = self.inner.state.lock();
        let gone: Vec<_> = queues.iter().filter_map(|queue| state.forget(*queue)).collect();
        let item = Item::Control(Arc::clone(&self.inner.copy), Control::Forget { queues });
        // A store that stops keeps them; it is asked again after the restart.
        let _ = self.inner.handle.shared.hand_over(item);
        drop(state);
        drop(gone);
    }

    /// Every queue that is open, or that has live records.
    pub fn queues(&self) -> BTreeSet<QueueUid> {
        let mut known: BTreeSet<QueueUid> = self.inner.state.lock().uids().collect();
        let segments = self.inner.handle.shared.segments.lock().clone();
        for segment in segments {
            known.extend(segment.queues_of(self.pg()));
        }
        known.remove(&QueueUid(0));
        known
    }
}

fn no_room(why: NoRoom) -> Refused {
    match why {
        NoRoom::Full { used, capacity } => Refused::Full { used, capacity },
        NoRoom::DiskFull => Refused::DiskFull,
        NoRoom::Busy => Refused::Busy,
    }
}

/// Where the first of `bytes` lies that end at `end`.
const fn end_before(end: Lsn, bytes: u64) -> Lsn {
    Lsn(end.0 - bytes)
}

fn offsets_of(places: &[Place]) -> Offsets {
    match places {
        [place] => Offsets::One(place.offset.unwrap_or_default()),
        places => {
            Offsets::Many(places.iter().map(|place| place.offset.unwrap_or_default()).collect())
        }
    }
}

/// The record whose envelope was read at `at` of `bytes`.
fn view(lsn: Lsn, envelope: &Envelope, bytes: &Bytes, at: u32) -> Option<RecordView> {
    let Kind::Record(kind) = envelope.kind else { return None };
    let from = (at + envelope.head_len()) as usize;
    let to = from + envelope.body_len as usize;
    (to <= bytes.len()).then(|| RecordView {
        kind,
        queue: envelope.queue,
        offset: envelope.offset,
        lsn,
        time: envelope.attributes.time,
        filter: envelope.attributes.filter,
        body: bytes.slice(from..to),
    })
}

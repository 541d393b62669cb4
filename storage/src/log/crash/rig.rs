//! A store whose steps a test runs, and the history of what it said.
use super::bucket::Bucket;
use crate::env::{Env, ManualClock, Timestamp};
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid, RecordKind};
use crate::journal::simulated::{Dice, SimulatedDisk};
use crate::journal::{
    Class, Copy, Draft, FillState, JoinedBy, Level, OnFailure, Parts, Patch, Sealed, Store,
    StoreConfig, StoreRefused,
};
use crate::log::{Appended, Entry, Log, RecordView, Refused};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) const PG: PgId = PgId::new(2).unwrap();
pub(super) const SEGMENT: u64 = 64 << 10;

/// A store, opened but run by nobody else.
pub(super) struct Rig {
    pub(super) disk: SimulatedDisk,
    pub(super) parts: Parts,
    pub(super) store: Store,
    pub(super) clock: Arc<ManualClock>,
    /// Where the copy ended when it was opened.
    pub(super) found_end: Lsn,
    /// What the placement group's record says.
    pub(super) tiered: Lsn,
}

impl Rig {
    pub(super) fn open(disk: &SimulatedDisk, segments: u64) -> Rig {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let config = StoreConfig {
            dir: PathBuf::from("simulated"),
            capacity: segments * SEGMENT,
            segment_bytes: SEGMENT,
            spare_segments: 2,
            index_bytes: 64 << 20,
            gateway: "gw".to_owned(),
        };
        let env = Env::with_clock(Arc::clone(&clock) as _);
        let disk_of_parts = Arc::new(disk.clone());
        let parts = Parts::open(&config, env, disk_of_parts, None, OnFailure::Stop).unwrap();
        let store = parts.store();
        let found_end = parts.shared.copy(PG).state.lock().end;
        let tiered = PG.first_lsn();
        Rig { disk: disk.clone(), parts, store, clock, found_end, tiered }
    }

    /// Writes what waits.
    pub(super) fn write(&mut self) {
        self.parts.writer.write();
    }

    pub(super) fn sync(&mut self) {
        self.parts.syncer.sync();
    }

    pub(super) fn prepare(&mut self) {
        self.parts.preparer.prepare();
    }

    pub(super) fn step(&mut self) {
        self.write();
        self.sync();
        self.prepare();
    }

    /// Steps until `future` is done.
    pub(super) fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for round in 0..300 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
            // An answer that comes too early is seen before the next step makes it true.
            match round % 3 {
                0 => self.write(),
                1 => self.sync(),
                _ => self.prepare(),
            }
        }
        panic!("nothing more happens");
    }

    pub(super) fn seal(&mut self, epoch: Epoch, base: Lsn) -> Result<Sealed, StoreRefused> {
        let store = self.store.clone();
        self.run(async move { store.seal(PG, epoch, base).await })
    }

    pub(super) fn join(&mut self, epoch: Epoch, base: Lsn) -> Result<Copy, StoreRefused> {
        let store = self.store.clone();
        let tiered = self.tiered;
        self.run(async move { store.join(PG, epoch, base, tiered, JoinedBy::Owner).await })
    }

    /// Takes the placement group over from the epoch that the copy is of.
    pub(super) fn take_over(&mut self) -> Log {
        let state = self.parts.shared.copy(PG).state.lock().clone();
        let epoch = state.label.max(Epoch(state.fence.0.saturating_sub(1)));
        let base = match self.seal(epoch, state.end).unwrap() {
            Sealed::End(end) => end,
            Sealed::Nothing => self.tiered,
        };
        self.join(epoch.next(), base).unwrap();
        self.store.log(PG, epoch.next()).unwrap()
    }
}

pub(super) fn draft(kind: RecordKind, queue: QueueUid, id: u64, len: usize) -> Draft {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(8 + len, id as u8);
    Draft {
        kind,
        queue,
        filter: id,
        head: vec![0; 16],
        body: Bytes::from(body),
        tail: Bytes::new(),
        patch: Patch { offset_at: Some(0), lsn_at: Some(8), time_at: None },
    }
}

/// The id that [`draft`] was given, in the record's body.
fn id_in(body: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*body.get(16..)?.first_chunk()?))
}

/// The id that [`draft`] was given.
pub(super) fn id_of(view: &RecordView) -> u64 {
    u64::from_le_bytes(view.body[16..24].try_into().unwrap())
}

pub(super) fn entries(log: &Log, queue: QueueUid) -> Vec<Entry> {
    let mut entries = Vec::new();
    log.scan(queue, QueueOffset(0), &mut |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    });
    entries
}

/// A record that was handed to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: usize,
    pub(super) id: u64,
    pub(super) kind: RecordKind,
    pub(super) queue: QueueUid,
    pub(super) offset: Option<QueueOffset>,
    /// Position of its group's first record: a group is found whole or not at all.
    pub(super) group: Lsn,
}

/// What was sent and said, each with how much had been done to the disk by then.
#[derive(Clone, Default)]
pub(super) struct History {
    pub(super) sent: BTreeMap<Lsn, Sent>,
    pub(super) acked: Vec<(usize, Lsn)>,
    /// Offsets that somebody may have seen, by what they named.
    pub(super) shown: Vec<(usize, QueueUid, QueueOffset, u64)>,
    pub(super) fences: Vec<(usize, Epoch)>,
    pub(super) labels: Vec<(usize, Epoch)>,
    /// When it was asked.
    pub(super) forgotten: Vec<(usize, QueueUid)>,
    pub(super) next_id: u64,
    /// The queue at [`Level::Async`].
    pub(super) asynchronous: QueueUid,
    /// The queue at [`Level::Object`], of a log that is uploaded and trimmed.
    pub(super) object: Option<QueueUid>,
    pub(super) bucket: Bucket,
}

impl History {
    pub(super) fn sent(&mut self, at: usize, drafts: &[Draft], appended: &Appended) {
        for (draft, place) in drafts.iter().zip(&appended.places) {
            let id = u64::from_le_bytes(draft.body[..8].try_into().unwrap());
            let sent = Sent {
                at,
                id,
                kind: draft.kind,
                queue: draft.queue,
                offset: place.offset,
                group: appended.first,
            };
            self.sent.insert(place.lsn, sent);
        }
    }

    /// What holds now that `done` things were done.
    pub(super) fn note(&mut self, done: usize, log: &Log) {
        let local = log.watermark(Level::Local);
        if self.acked.last().is_none_or(|(_, end)| *end < local) {
            self.acked.push((done, local));
        }
        for (lsn, sent) in &self.sent {
            let level = log.watermark(self.level(sent.queue));
            if let Some(offset) = sent.offset
                && *lsn < level
                && !self
                    .shown
                    .iter()
                    .any(|(_, q, o, id)| (*q, *o, *id) == (sent.queue, offset, sent.id))
            {
                self.shown.push((done, sent.queue, offset, sent.id));
            }
        }
    }

    fn level(&self, queue: QueueUid) -> Level {
        if queue == self.asynchronous {
            Level::Async
        } else if Some(queue) == self.object {
            Level::Object
        } else {
            Level::Local
        }
    }

    /// Queues that were forgotten when `done` things were done.
    fn forgotten(&self, done: usize) -> BTreeSet<QueueUid> {
        let forgotten = self.forgotten.iter().filter(|(at, _)| *at <= done);
        forgotten.map(|(_, queue)| *queue).collect()
    }

    /// Says where queues go on of which the bucket alone may know.
    pub(super) fn restore(&self, log: &Log, done: usize) {
        let forgotten = self.forgotten(done);
        let mut ends = self.bucket.ends(done);
        ends.retain(|end| !forgotten.contains(&end.queue));
        log.restore(&ends);
    }

    /// Holds a disk that crashed after `done` things against what was said; returns the store that
    /// goes on with it.
    pub(super) fn check(&self, disk: &SimulatedDisk, done: usize, segments: u64) -> (Rig, Log) {
        let mut rig = Rig::open(disk, segments);
        assert!(!rig.store.is_damaged(), "a crash is no damage");
        let state = rig.parts.shared.copy(PG).state.lock().clone();
        assert!(!state.lost);
        let said = |list: &[(usize, Epoch)]| {
            list.iter().filter(|(at, _)| *at <= done).map(|(_, epoch)| *epoch).max()
        };
        assert!(state.fence >= said(&self.fences).unwrap_or_default(), "a fence is for ever");
        assert!(state.label >= said(&self.labels).unwrap_or_default(), "a label stays");
        let acked = self.acked.iter().filter(|(at, _)| *at <= done).map(|(_, end)| *end).max();
        let acked = acked.unwrap_or_default();
        assert!(state.end >= acked, "acknowledged records are there");
        rig.tiered = self.bucket.tiered(done);
        assert!(state.from <= rig.tiered, "INV-FROM: what is missing is in the bucket");
        let is_empty = state.label == Epoch(0);
        assert!(is_empty || rig.tiered <= state.end, "what was uploaded was synced");
        let log = rig.take_over();
        assert_eq!(log.watermark(Level::Object), rig.tiered);
        self.restore(&log, done);
        self.check_records(&log, done, acked);
        self.check_offsets(&mut rig, &log, done);
        (rig, log)
    }

    fn check_records(&self, log: &Log, done: usize, acked: Lsn) {
        let mut found: BTreeMap<Lsn, (RecordKind, QueueUid, Option<QueueOffset>, u64)> =
            BTreeMap::new();
        let from = log.local_from();
        log.replay(from, &mut |view| {
            found.insert(view.lsn, (view.kind, view.queue, None, id_of(&view)));
        });
        let queues: BTreeSet<QueueUid> = self.sent.values().map(|sent| sent.queue).collect();
        for queue in queues {
            for entry in entries(log, queue) {
                let view = log.read(entry.lsn).unwrap();
                assert_eq!(view.offset, entry.offset);
                assert_eq!(view.body[..8], entry.offset.0.to_be_bytes(), "the hole is filled");
                let id = id_of(&view);
                found.insert(entry.lsn, (view.kind, queue, Some(entry.offset), id));
            }
        }
        for (lsn, record) in &found {
            let sent = &self.sent[lsn];
            assert!(sent.at <= done, "what is found was sent");
            assert_eq!(*record, (sent.kind, sent.queue, sent.offset, sent.id));
        }
        let forgotten = self.forgotten(done);
        assert!(found.keys().all(|lsn| *lsn >= from));
        let stored: BTreeMap<Lsn, u64> = self
            .bucket
            .records(done)
            .filter_map(|record| Some((record.lsn, id_in(&record.body)?)))
            .collect();
        let groups_found: BTreeSet<Lsn> = found.keys().map(|lsn| self.sent[lsn].group).collect();
        for (lsn, sent) in &self.sent {
            let must = *lsn < acked || groups_found.contains(&sent.group);
            if must && *lsn >= from && !forgotten.contains(&sent.queue) {
                assert!(found.contains_key(lsn), "{sent:?} at {lsn} is there, with its group");
            } else if must && !forgotten.contains(&sent.queue) {
                assert_eq!(stored.get(lsn), Some(&sent.id), "{sent:?} at {lsn} is in the bucket");
            }
        }
    }

    fn check_offsets(&self, rig: &mut Rig, log: &Log, done: usize) {
        let queues: BTreeSet<QueueUid> = self.shown.iter().map(|(_, queue, ..)| *queue).collect();
        let gone: BTreeSet<QueueUid> = self.forgotten.iter().map(|(_, queue)| *queue).collect();
        for queue in queues.difference(&gone) {
            log.open_queue(*queue, Level::Local);
            rig.step();
            let next = log.bounds(*queue).next;
            let taken = self.shown.iter().find(|(at, shown_queue, offset, _)| {
                *at <= done && shown_queue == queue && *offset >= next
            });
            assert_eq!(taken, None, "an offset that was shown is never given again ({next})");
        }
    }

    /// Everything that was appended is acknowledged.
    pub(super) fn note_end(&mut self, done: usize, log: &Log) {
        assert_eq!(log.watermark(Level::Local), log.end());
        self.acked.push((done, log.end()));
    }

    /// Holds a disk with a flipped bit against what was said: the copy is lost, or nothing is
    /// missing. True if the damage was noticed.
    pub(super) fn check_damaged(&self, disk: &SimulatedDisk, done: usize, segments: u64) -> bool {
        let mut rig = Rig::open(disk, segments);
        let state = rig.parts.shared.copy(PG).state.lock().clone();
        if state.lost {
            assert!(rig.store.is_damaged());
            let refused = rig.seal(state.label.max(Epoch(1)), PG.first_lsn());
            assert_eq!(refused, Err(StoreRefused::Unknown));
            return true;
        }
        let damaged = rig.store.is_damaged();
        drop(rig);
        let mut rig = Rig::open(disk, segments);
        let acked = self.acked.iter().map(|(_, end)| *end).max().unwrap_or_default();
        assert!(state.end >= acked, "nothing that was acknowledged is cut off");
        let log = rig.take_over();
        self.check_records(&log, done, acked);
        damaged
    }

    /// What is left of it for the next life, which begins with what `log` has.
    pub(super) fn survived(&self, rig: &Rig, log: &Log, done: usize) -> History {
        let mut next = self.clone();
        let mut lives: BTreeSet<Lsn> = BTreeSet::new();
        log.replay(Lsn(0), &mut |view| {
            lives.insert(view.lsn);
        });
        lives.extend(self.bucket.records(done).map(|record| record.lsn));
        for sent in self.sent.values() {
            lives.extend(entries(log, sent.queue).iter().map(|entry| entry.lsn));
        }
        next.sent.retain(|lsn, _| lives.contains(lsn));
        next.sent.values_mut().for_each(|sent| sent.at = 0);
        next.acked = vec![(0, rig.found_end), (rig.disk.done(), log.watermark(Level::Local))];
        next.shown.retain(|(at, ..)| *at <= done);
        next.forgotten.retain(|(at, _)| *at <= done);
        next.shown.iter_mut().for_each(|shown| shown.0 = 0);
        next.fences = Vec::new();
        next.bucket = self.bucket.survived(done);
        next.labels = vec![(rig.disk.done(), log.epoch())];
        next.forgotten.iter_mut().for_each(|forgotten| forgotten.0 = 0);
        next
    }
}

/// A life full of accidents, as `dice` fall.
pub(super) fn live(
    rig: &mut Rig,
    log: &mut Log,
    history: &mut History,
    dice: &mut Dice,
    steps: u32,
) {
    if dice.below(3) == 0 {
        history.asynchronous = QueueUid(history.next_id * 100 + 9);
    }
    let mut queues: Vec<QueueUid> = (1..4).map(|n| QueueUid(history.next_id * 100 + n)).collect();
    queues.push(history.asynchronous);
    queues.extend(history.object);
    let open = |history: &History, log: &Log, queue: QueueUid| {
        log.open_queue(queue, history.level(queue));
    };
    queues.iter().for_each(|queue| open(history, log, *queue));
    for old in log.queues().iter().filter(|queue| !queues.contains(queue)) {
        history.forgotten.push((rig.disk.done(), *old));
        log.forget_queues(&[*old]);
    }
    for _ in 0..steps {
        // The last steps are for logs that are uploaded.
        match dice.below(if history.object.is_some() { 28 } else { 24 }) {
            0..10 => {
                let mut drafts = Vec::new();
                for _ in 0..=dice.below(3) {
                    let kind =
                        if dice.below(4) == 0 { RecordKind::Ack } else { RecordKind::Message };
                    let queue = queues[dice.below(queues.len() as u64) as usize];
                    let len = [0, 50, 3000][dice.below(3) as usize];
                    drafts.push(draft(kind, queue, history.next_id, len));
                    history.next_id += 1;
                }
                let at = rig.disk.done();
                match log.append(drafts.clone(), Class::Message) {
                    Ok(appended) => history.sent(at, &drafts, &appended),
                    Err(Refused::Full { .. } | Refused::Busy) => {}
                    Err(refused) => panic!("{refused}"),
                }
            }
            10..15 => rig.write(),
            15..19 => rig.sync(),
            19 => rig.prepare(),
            20 => {
                rig.parts.writer.note_synced();
            }
            21 => {
                let place = dice.below(3) as usize;
                history.forgotten.push((rig.disk.done(), queues[place]));
                log.forget_queues(&[queues[place]]);
                queues[place] = QueueUid(queues[place].0 + 10);
                open(history, log, queues[place]);
            }
            22 => {
                rig.clock.advance(std::time::Duration::from_millis(dice.below(100)));
            }
            24..26 => {
                let bytes_max = [1, 8000, u64::MAX][dice.below(3) as usize];
                let mut bucket = std::mem::take(&mut history.bucket);
                bucket.upload(rig, log, bytes_max);
                history.bucket = bucket;
            }
            26 => log.trim(Lsn(log.local_from().0 + dice.below(1 << 16))),
            27 => {
                let points = rig.store.trim_points(dice.below(2) * SEGMENT);
                points.get(&PG).into_iter().for_each(|point| log.trim(*point));
            }
            _ => {
                rig.step();
                history.note(rig.disk.done(), log);
                let epoch = log.epoch();
                let end = match rig.seal(epoch, PG.first_lsn()) {
                    Ok(Sealed::End(end)) => end,
                    Ok(Sealed::Nothing) => panic!("the epoch was joined"),
                    Err(refused) => return assert_full(rig, refused),
                };
                history.fences.push((rig.disk.done(), epoch.next()));
                // What was handed over before the seal is in, what comes after is refused.
                history.acked.push((rig.disk.done(), end));
                if let Err(refused) = rig.join(epoch.next(), end) {
                    return assert_full(rig, refused);
                }
                history.labels.push((rig.disk.done(), epoch.next()));
                *log = rig.store.log(PG, epoch.next()).unwrap();
                history.restore(log, rig.disk.done());
                queues.iter().for_each(|queue| open(history, log, *queue));
            }
        }
        history.note(rig.disk.done(), log);
    }
}

/// A life also ends when the journal is really full.
fn assert_full(rig: &Rig, refused: StoreRefused) {
    assert_eq!(refused, StoreRefused::Full);
    assert_ne!(rig.store.fill().state, FillState::Open);
}

/// The first life on an empty disk.
pub(super) fn first_life(dice: &mut Dice, steps: u32, segments: u64) -> (Rig, Log, History) {
    begin_life(dice, steps, segments, None)
}

/// The same of a log that is uploaded and trimmed, and has a queue at [`Level::Object`].
pub(super) fn first_tiered_life(dice: &mut Dice, steps: u32, segments: u64) -> (Rig, Log, History) {
    begin_life(dice, steps, segments, Some(QueueUid(8)))
}

fn begin_life(
    dice: &mut Dice,
    steps: u32,
    segments: u64,
    object: Option<QueueUid>,
) -> (Rig, Log, History) {
    let mut rig = Rig::open(&SimulatedDisk::default(), segments);
    rig.join(Epoch(1), PG.first_lsn()).unwrap();
    let mut log = rig.store.log(PG, Epoch(1)).unwrap();
    let asynchronous = QueueUid(9);
    let mut history = History { next_id: 1, asynchronous, object, ..History::default() };
    history.labels.push((rig.disk.done(), Epoch(1)));
    live(&mut rig, &mut log, &mut history, dice, steps);
    (rig, log, history)
}

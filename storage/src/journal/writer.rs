//! The writer: the only one who puts bytes into segments, and who changes copies.
//!
//! It turns each batch into frames, pads to a block, publishes, and hands over to the syncer.
//! Groups of one placement group that follow each other share a frame. The body of a record is
//! copied once, from its draft into the group, and no lock is held while bytes are copied or
//! summed.

use super::active::{Active, Stamp, own_envelope};
use super::copy::PgCopy;
use super::disk::JournalFile;
use super::frames::FrameRef;
use super::handoff::Published;
use super::inbox::{Group, Item};
use super::level::Level;
use super::segment::Segment;
use super::shared::Shared;
use super::space::{For, frame_need};
use crate::env::Timestamp;
use crate::format::{
    Attributes, BLOCK_BYTES, Envelope, Epoch, FrameFlags, FrameHeader, JournalKind, Kind, Lsn,
    PgId, QueueUid, chain_of,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

/// A frame is closed at this payload, unless one group alone is larger.
const FRAME_BYTES_MAX: u64 = 1 << 20;

/// A frame whose bytes are there but not yet published.
struct Fresh {
    copy: Arc<PgCopy>,
    epoch: Epoch,
    segment: Arc<Segment>,
    chain_before: u32,
    frame: FrameRef,
}

/// See the module.
pub(crate) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Option<Active>,
    fresh: Vec<Fresh>,
    pub(super) out: Published,
    pub(super) called: Vec<Waker>,
    /// Reservations to give back once the batch is written.
    spent: u64,
    /// What was forgotten and is not recorded yet.
    pub(super) forgotten: VecDeque<(Arc<PgCopy>, Vec<QueueUid>)>,
    /// Segments may have become vacant.
    pub(super) look_for_vacant: bool,
    /// Where the last bytes end that somebody may want proven synced.
    data_end: u64,
    /// The `journal_synced` of the last frame.
    recorded: u64,
    /// `data_end` when it was last looked at in a rest.
    rested_at: u64,
    batch: Vec<Item>,
    /// Somebody is at work, or panicked at it and left it half done.
    busy: bool,
    /// CLOSE was written, and nothing may follow it.
    closed: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, active: Option<Active>) -> Writer {
        let synced = shared.synced.load(Ordering::Acquire);
        Writer {
            shared,
            active,
            fresh: Vec::new(),
            out: Published::default(),
            called: Vec::new(),
            spent: 0,
            forgotten: VecDeque::new(),
            look_for_vacant: true,
            data_end: synced,
            recorded: synced,
            rested_at: synced,
            batch: Vec::new(),
            busy: false,
            closed: false,
        }
    }

    /// Takes a batch of what waits, writes it and publishes it. Nothing once it is closed.
    pub(crate) fn write(&mut self) {
        if self.closed {
            return;
        }
        self.begin_work();
        let mut batch = std::mem::take(&mut self.batch);
        self.shared.inbox.drain(&mut batch);
        self.write_batch(&mut batch);
        self.batch = batch;
        self.busy = false;
    }

    /// Two threads take turns at the writer: what one left half done, the other must not publish.
    fn begin_work(&mut self) {
        let left_half_done = std::mem::replace(&mut self.busy, true);
        assert!(!left_half_done, "the other thread panicked while it wrote");
    }

    fn write_batch(&mut self, batch: &mut Vec<Item>) {
        let mut groups: Vec<Group> = Vec::new();
        let mut bytes = 0;
        for item in batch.drain(..) {
            match item {
                Item::Group(group) => {
                    if !groups.last().is_some_and(|last| self.shares_frame(last, &group, bytes)) {
                        self.write_groups(&mut groups);
                        bytes = 0;
                    }
                    bytes += group.bytes;
                    groups.push(group);
                }
                Item::Control(copy, control) => {
                    self.write_groups(&mut groups);
                    // What the copy holds is registered before a rule looks at it.
                    self.finish();
                    self.control(&copy, control);
                }
            }
        }
        self.write_groups(&mut groups);
        self.record_forgotten();
        self.finish();
        self.give_back();
    }

    /// Whether [`Writer::idle`] may have something to do.
    pub(crate) fn has_idle_work(&self) -> bool {
        // A NOOP would say more about what is synced than the last frame does.
        self.look_for_vacant || !self.forgotten.is_empty() || self.recorded < self.data_end
    }

    /// What is left to do when nothing comes. A full journal may take nothing before it gave
    /// segments back, so that does not wait for the next batch.
    pub(crate) fn idle(&mut self) {
        self.begin_work();
        self.give_back();
        self.record_forgotten();
        self.finish();
        // A busy journal records it with its next frame.
        if std::mem::replace(&mut self.rested_at, self.data_end) == self.data_end {
            self.note_synced();
        }
        self.busy = false;
    }

    fn give_back(&mut self) {
        if std::mem::take(&mut self.look_for_vacant) {
            self.free_vacant();
            self.finish();
        }
    }

    /// Records how far the journal is synced, so that rot before that point is told from a torn
    /// tail.
    pub(crate) fn note_synced(&mut self) {
        let data_end = self.data_end;
        if self.recorded < data_end && self.shared.synced.load(Ordering::Acquire) >= data_end {
            self.write_own(None, JournalKind::Noop, &[]);
            self.finish();
            // A NOOP is no news of its own.
            self.data_end = data_end;
        }
    }

    /// The last thing written in a life that ends well.
    pub(crate) fn close(&mut self) {
        self.begin_work();
        self.record_forgotten();
        self.write_own(None, JournalKind::Close, &[]);
        self.out.last = true;
        self.finish();
        self.closed = true;
        self.busy = false;
    }

    fn shares_frame(&self, last: &Group, next: &Group, bytes: u64) -> bool {
        Arc::ptr_eq(&last.copy, &next.copy)
            && last.epoch == next.epoch
            && bytes + next.bytes <= FRAME_BYTES_MAX.min(self.shared.space.group_bytes_max)
    }

    /// Writes groups of one copy and epoch as one frame.
    fn write_groups(&mut self, groups: &mut Vec<Group>) {
        let Some(first) = groups.first() else { return };
        self.spent += groups.iter().map(|group| group.reserved).sum::<u64>();
        let (copy, epoch, first) = (Arc::clone(&first.copy), first.epoch, first.first);
        let (live, lsn, chain_before) = {
            let state = copy.state.lock();
            (state.live(), state.end, state.chain)
        };
        if live == epoch {
            assert_eq!(first, lsn, "INV-PREFIX: a log grows without gaps");
            self.write_frame(&copy, groups, chain_before);
        }
        // Else S2: sealed, or of another epoch by now. Whoever waits was called when that happened.
        groups.clear();
    }

    fn write_frame(&mut self, copy: &Arc<PgCopy>, groups: &[Group], chain_before: u32) {
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return };
        let bytes = groups.iter().map(|group| group.bytes).sum::<u64>();
        let journal_synced = self.shared.synced.load(Ordering::Acquire);
        self.make_room(bytes);
        let active = self.active.as_mut().expect("INV-SPACE-1: room was reserved");
        let payload_at = active.begin_frame();
        let mut at = payload_at;
        for group in groups {
            at = copy_group(active.file.as_mut(), at, group);
        }
        assert_eq!(at, payload_at + bytes, "INV-PREFIX: records are as long as was reserved");
        let payload_crc = active.file.checksum(payload_at, at);
        let count = groups.iter().map(|group| group.drafts.len()).sum::<usize>();
        let chain = chain_of(chain_before, payload_crc);
        active.end_frame(FrameHeader {
            flags: FrameFlags::default(),
            payload_len: bytes as u32,
            payload_crc,
            pg: copy.pg,
            epoch: first.epoch,
            lsn: first.first,
            chain,
            count: u16::try_from(count).unwrap_or(u16::MAX),
            commit_lsn: copy.watermark(Level::Local),
            journal_synced,
            time: last.time,
        });
        self.recorded = journal_synced;
        self.out.wanted |= groups.iter().any(|group| group.wanted.is_synced());
        self.out.records += count as u64;
        self.out.bytes += bytes;
        let frame = FrameRef { lsn: first.first, chain, at: payload_at as u32, len: bytes as u32 };
        let drafts = || groups.iter().flat_map(|group| &group.drafts);
        active.segment.settle_in(copy.pg, drafts().map(|draft| draft.queue));
        let mut state = copy.state.lock();
        state.end = frame.end();
        state.chain = chain;
        if !state.forgotten.is_empty() {
            let ghosts = drafts().map(|draft| draft.queue);
            let ghosts: Vec<_> = ghosts.filter(|queue| state.forgotten.contains(queue)).collect();
            active.segment.evict(copy.pg, &ghosts);
        }
        drop(state);
        let segment = Arc::clone(&active.segment);
        let copy = Arc::clone(copy);
        self.fresh.push(Fresh { copy, epoch: first.epoch, segment, chain_before, frame });
    }

    /// Writes one record of the store, in a frame of its own; false when there is no room for it.
    pub(super) fn write_own(
        &mut self,
        copy: Option<&PgCopy>,
        kind: JournalKind,
        body: &[u8],
    ) -> bool {
        let time = self.shared.env.now();
        let bytes = u64::from(own_envelope(kind, time, body).record_len());
        // The padding of a group is counted with its first frame.
        let padding = if self.spent > 0 { BLOCK_BYTES } else { 0 };
        let need = frame_need(bytes) - padding;
        if bytes > self.shared.space.group_bytes_max
            || self.shared.space.reserve(For::Store, need).is_err()
        {
            return false;
        }
        self.spent += need;
        self.make_room(bytes);
        let mut stamp = self.stamp(time);
        if let Some(copy) = copy {
            let state = copy.state.lock();
            stamp.pg = copy.pg;
            stamp.epoch = state.label;
            stamp.lsn = state.end;
            stamp.chain = state.chain;
        }
        let active = self.active.as_mut().expect("INV-SPACE-1: room was reserved");
        active.put_own(kind, stamp, body);
        self.recorded = stamp.journal_synced;
        true
    }

    fn stamp(&self, time: Timestamp) -> Stamp {
        Stamp {
            pg: PgId::new(0).expect("0 is below the limit"),
            epoch: Epoch(0),
            lsn: Lsn(0),
            chain: 0,
            journal_synced: self.shared.synced.load(Ordering::Acquire),
            time,
        }
    }

    /// Goes on to the next segment if a frame with a payload of `bytes` does not fit in this one.
    fn make_room(&mut self, bytes: u64) {
        if self.active.as_ref().is_some_and(|active| active.fits(bytes)) {
            return;
        }
        let stamp = self.stamp(self.shared.env.now());
        if let Some(active) = &mut self.active {
            // Says that the frames that follow are elsewhere. Where not even this fits, the end of
            // the file says it.
            let end_bytes = own_envelope(JournalKind::SegmentEnd, stamp.time, &[]).record_len();
            if active.fits(end_bytes.into()) {
                active.put_own(JournalKind::SegmentEnd, stamp, &[]);
            }
            // Nothing is published after the failure: the store is poisoned.
            if let Err(error) = active.end_group() {
                self.shared.poison("write", &error);
            }
            active.segment.seal();
            self.out.segments.push(Arc::clone(&active.segment));
        }
        let spare = self.shared.space.take_spare(self.active.is_some());
        let spare = spare.expect("INV-SPACE-1: room was reserved");
        self.shared.segments.lock().push(Arc::clone(&spare.segment));
        self.active = Some(Active::begin(spare));
        self.look_for_vacant = true;
    }

    /// Publishes what was written: to readers, to those who wait at [`Level::Async`], and to the
    /// syncer.
    pub(super) fn finish(&mut self) {
        if let Some(active) = &mut self.active {
            match active.end_group() {
                Ok(false) => {}
                Ok(true) => {
                    self.data_end = active.position();
                    self.out.position = active.position();
                    self.out.segments.push(Arc::clone(&active.segment));
                    self.shared.space.writer_at(active.at());
                }
                Err(error) => self.shared.poison("write", &error),
            }
        }
        if self.shared.is_poisoned() {
            // What was to be published may not be there.
            self.fresh.clear();
        }
        self.shared.space.settle(std::mem::take(&mut self.spent));
        for fresh in self.fresh.drain(..) {
            let end = fresh.frame.end();
            fresh.copy.frames.write().push(&fresh.segment, fresh.chain_before, fresh.frame);
            fresh.copy.set_appended(end, &mut self.called);
            self.out.grown.push((fresh.copy, fresh.epoch, end));
        }
        self.shared.handoff.give(&mut self.out);
        for waker in self.called.drain(..) {
            waker.wake();
        }
    }
}

/// Copies a group's records to `at`, and returns where they end.
fn copy_group(file: &mut dyn JournalFile, mut at: u64, group: &Group) -> u64 {
    for (index, draft) in group.drafts.iter().enumerate() {
        let envelope = Envelope {
            kind: Kind::Record(draft.kind),
            queue: draft.queue,
            offset: group.offsets.get(index),
            attributes: Attributes { time: group.time, filter: draft.filter },
            body_len: draft.body_len() as u32,
        };
        let head = envelope.encode();
        let parts = [
            head.get(..envelope.head_len() as usize).unwrap_or_default(),
            &draft.head,
            &draft.body,
            &draft.tail,
        ];
        for part in parts {
            if !part.is_empty() {
                file.write_at(at, part);
                at += part.len() as u64;
            }
        }
    }
    at
}

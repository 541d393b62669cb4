//! Giving up what is in the bucket (design/replication.md §4, S6).
//!
//! A trim has no record of its own. It moves a copy's `from` in memory, and nothing of the journal
//! is lost by it: only a RESTATE lets a segment go, and that says the new `from`. A crash before it
//! finds more than is needed.
//!
//! Records are not counted out of segments one by one, which would mean reading them all again: a
//! segment is left by a placement group when it holds no frame of it any more.

use super::copy::PgCopy;
use super::frames::Run;
use super::segment::Segment;
use super::store::Store;
use super::writer::Writer;
use crate::format::{Epoch, Lsn, PgId};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Writer {
    /// S6, for the owner of `epoch`; rounded down to where a frame begins or ends.
    pub(super) fn trim(&mut self, copy: &PgCopy, epoch: Epoch, to: Lsn) {
        let Some(gone) = trim_copy(copy, epoch, to) else { return };
        let frames = copy.frames.read();
        for run in &gone {
            let still_there = |other: &Run| Arc::ptr_eq(&other.segment, &run.segment);
            if !frames.runs.iter().any(still_there) {
                run.segment.evict_all(copy.pg);
                self.look_for_vacant = true;
            }
        }
    }
}

/// Moves the copy's beginning; the runs that lie wholly before it.
fn trim_copy(copy: &PgCopy, epoch: Epoch, to: Lsn) -> Option<Vec<Run>> {
    let mut state = copy.state.lock();
    if state.label != epoch || state.lost {
        return None;
    }
    let mut frames = copy.frames.write();
    let to = state.boundary(&frames, to);
    if to == state.from {
        return None;
    }
    state.chain_from = state.chain_at(&frames, to)?;
    state.from = to;
    Some(frames.trim(to))
}

impl Store {
    /// Up to where each copy would have to be trimmed for the journal to keep hardly more than its
    /// newest `keep_bytes`: the segment that is written, and as many whole ones before it as hold
    /// that much. Copies with nothing before that are not listed.
    ///
    /// Whoever trims each log to its point, or to `tiered` where that is less, makes the older
    /// segments vacant. One that holds frames of a log which is not trimmed as far stays whole, so
    /// that a placement group where next to nothing happens pins as much as a busy one: its few
    /// bytes are to be uploaded like others'. Copies that nobody owns pin theirs until they are
    /// joined anew. The segment that is written cannot be given back, whatever it holds.
    pub fn trim_points(&self, keep_bytes: u64) -> BTreeMap<PgId, Lsn> {
        let shared = self.shared();
        let sealed: Vec<Arc<Segment>> = {
            let segments = shared.segments.lock();
            segments.iter().filter(|segment| segment.is_sealed()).cloned().collect()
        };
        let kept = keep_bytes.div_ceil(shared.space.segment_bytes);
        let old = sealed.len().saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
        let old: HashSet<*const Segment> = sealed.iter().take(old).map(Arc::as_ptr).collect();
        let point = |copy: &PgCopy| {
            let frames = copy.frames.read();
            let is_old = |run: &&Run| old.contains(&Arc::as_ptr(&run.segment));
            frames.runs.iter().rev().find(is_old).map(Run::end)
        };
        let copies = shared.copies();
        copies.iter().filter_map(|copy| Some((copy.pg, point(copy)?))).collect()
    }
}

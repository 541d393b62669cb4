//! From what was found in a journal to the state of each copy: the events of a placement group, in
//! journal order.
//!
//! Segments may be missing, since those that nobody needs are recycled wherever they lie; but
//! before that a RESTATE of every copy is durable. So what comes before a copy's last RESTATE only
//! offers frames, and the RESTATE says which of them count; after it nothing is missing, and each
//! event must follow from the one before.
//!
//! INV-FOLD-1: what a fold ends with tiles `[from, end)` but for named holes, or is marked lost.

use super::copy::CopyState;
use super::frames::{FrameRef, Frames};
use super::segment::Segment;
use crate::format::{
    Epoch, ForgetRecord, FrameHeader, JoinRecord, Lsn, RestateRecord, SealRecord, chain_of,
};
use std::sync::Arc;

/// One placement group, so far.
#[derive(Default)]
pub(crate) struct Fold {
    pub(crate) state: CopyState,
    pub(crate) frames: Frames,
    /// A RESTATE says that the store was damaged once.
    pub(crate) doubt: bool,
    /// RESTATE records still to come.
    pub(crate) restates_ahead: u32,
    /// The journal is damaged before here, and nothing since has shown that this copy is whole.
    suspect: bool,
}

impl Fold {
    /// Bytes before here are damaged.
    pub(crate) fn damage(&mut self) {
        // What a later RESTATE says is checked against the frames that are left.
        self.suspect |= self.restates_ahead == 0;
    }

    /// A frame of the log, with its payload at `at`.
    pub(crate) fn frame(&mut self, segment: &Arc<Segment>, at: u64, header: &FrameHeader) {
        let frame = FrameRef {
            lsn: header.lsn,
            chain: header.chain,
            at: at as u32,
            len: header.payload_len,
        };
        if self.restates_ahead > 0 {
            // A later frame at the same place says that the earlier was cut.
            self.frames.cut(frame.lsn);
            self.frames.push(segment, 0, frame);
            return;
        }
        if self.state.lost {
            return;
        }
        let follows = header.lsn == self.state.end
            && header.epoch == self.state.label
            && header.chain == chain_of(self.state.chain, header.payload_crc);
        if !follows {
            self.lose();
            return;
        }
        self.suspect = false;
        self.frames.push(segment, self.state.chain, frame);
        self.state.end = frame.end();
        self.state.chain = frame.chain;
    }

    pub(crate) fn join(&mut self, record: &JoinRecord) {
        if self.restates_ahead > 0 {
            self.frames.keep(record.from, record.end, &[]);
            return;
        }
        let empty = record.from == record.end;
        if empty {
            self.frames = Frames::default();
            self.suspect = false;
        } else {
            // A trim has no record of its own: where it lies further on than here, the copy was
            // trimmed in between.
            let chain_from = self.state.chain_at(&self.frames, record.from);
            let chain = self.state.chain_at(&self.frames, record.end);
            let holds = self.state.from <= record.from && record.end <= self.state.end;
            let (Some(chain_from), true) = (chain_from, holds && !self.state.lost) else {
                return self.lose_to(record.label);
            };
            if chain != Some(record.chain) {
                return self.lose_to(record.label);
            }
            self.suspect = false;
            self.frames.trim(record.from);
            self.frames.cut(record.end);
            self.state.chain_from = chain_from;
        }
        self.state.joined(record);
    }

    pub(crate) fn seal(&mut self, header: &FrameHeader, record: &SealRecord) {
        if self.restates_ahead == 0 {
            self.check_stamp(header);
            self.state.fence = self.state.fence.max(record.fence);
        }
    }

    pub(crate) fn forget(&mut self, header: &FrameHeader, record: &ForgetRecord) {
        if self.restates_ahead == 0 {
            self.check_stamp(header);
        }
        self.state.forgotten.extend(&record.queues);
    }

    /// The store's own records are stamped with the end and chain that the copy had.
    fn check_stamp(&mut self, header: &FrameHeader) {
        if self.state.lost {
            return;
        }
        if (header.lsn, header.chain) == (self.state.end, self.state.chain) {
            self.suspect = false;
        } else {
            self.lose();
        }
    }

    pub(crate) fn restate(&mut self, record: &RestateRecord) {
        self.restates_ahead = self.restates_ahead.saturating_sub(1);
        self.doubt |= record.doubt;
        if self.restates_ahead > 0 {
            return;
        }
        self.suspect = false;
        self.state = CopyState {
            label: record.label,
            fence: record.fence,
            from: record.from,
            end: record.end,
            chain: record.chain,
            lost: record.lost,
            forgotten: record.forgotten.iter().copied().collect(),
            chain_from: record.chain_from,
        };
        self.frames.keep(record.from, record.end, &record.holes);
        self.set_chains(record);
        let holes = self.frames.holes(record.from, record.end, record.chain);
        if record.lost || holes != record.holes {
            self.lose();
        }
    }

    /// The state at the end, and whose frames are whole.
    pub(crate) fn finish(mut self) -> (CopyState, Frames) {
        if self.suspect {
            self.lose();
        }
        (self.state, self.frames)
    }

    /// Runs were collected without knowing what came before them.
    fn set_chains(&mut self, record: &RestateRecord) {
        let mut before = record.chain_from;
        let mut at = record.from;
        for run in &mut self.frames.runs {
            let Some(first) = run.frames.first() else { continue };
            let hole = record.holes.iter().find(|hole| hole.to == first.lsn);
            run.chain_before = match hole {
                Some(hole) => hole.chain,
                None if first.lsn == at => before,
                None => 0,
            };
            if let Some(last) = run.frames.last() {
                at = last.end();
                before = last.chain;
            }
        }
    }

    /// The copy is of this epoch, and lost.
    fn lose_to(&mut self, label: Epoch) {
        self.lose();
        self.state.label = label;
    }

    fn lose(&mut self) {
        self.state.lost = true;
        self.frames = Frames::default();
    }
}

/// Label 0 and nothing else: as good as no copy.
pub(crate) fn is_blank(state: &CopyState) -> bool {
    state.label == Epoch(0) && state.fence == Epoch(0) && !state.lost && state.end == Lsn(0)
}

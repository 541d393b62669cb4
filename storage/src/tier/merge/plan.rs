//! What a merge is to do, and in which order it takes the blocks.

use super::super::manifest::Window;
use super::super::name::ObjectId;
use super::super::writer::WriteRefused;
use crate::env::Timestamp;
use crate::format::object::{BlockRef, KeyHash, Record, Tail};
use crate::format::{Epoch, FormatError, Lsn, PgId, QueueOffset, QueueUid};
use std::time::Duration;

/// Messages in one window that make a queue large, however few bytes they have: a queue's messages
/// never leave the shared run half-way, so they must fit into its indexes.
const OWN_MESSAGES: u64 = 256 << 10;

/// What a merge makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeSettings {
    /// Whose messages.
    pub pg: PgId,
    /// Of the record that the runs are to be committed to.
    pub epoch: Epoch,
    /// Of the runs; 1 to 9, and above that of every input.
    pub level: u8,
    /// Length of a window.
    pub window: Duration,
    /// Bytes that end a shared run, at the next queue.
    pub shared_bytes: u64,
    /// Bytes in one window that make a queue large.
    pub own_bytes: u64,
    /// Bytes that end a run of one queue.
    pub own_bytes_max: u64,
    /// Operations before are not kept: a snapshot has what they did.
    pub operations_from: Lsn,
}

impl MergeSettings {
    /// Windows of an hour, shared runs of 256 MiB, runs of their own for queues from 64 MiB on, up
    /// to 1 GiB; every operation kept.
    pub const fn new(pg: PgId, epoch: Epoch, level: u8) -> MergeSettings {
        MergeSettings {
            pg,
            epoch,
            level,
            window: Duration::from_secs(3600),
            shared_bytes: 256 << 20,
            own_bytes: 64 << 20,
            own_bytes_max: 1 << 30,
            operations_from: Lsn(0),
        }
    }
}

/// What becomes of a queue's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Those from this offset on are kept.
    Keep(QueueOffset),
    /// Of those from this offset on, [`MergeRules::keeps`] chooses.
    Choose(QueueOffset),
    /// None is: the queue is gone.
    Drop,
}

impl Treatment {
    /// The first offset that may stay.
    const fn from(self) -> QueueOffset {
        match self {
            Treatment::Keep(from) | Treatment::Choose(from) => from,
            Treatment::Drop => QueueOffset(u64::MAX),
        }
    }
}

/// What a merge must be told. The answers must not change while it runs.
pub trait MergeRules {
    /// What becomes of a queue's messages.
    fn treatment(&self, queue: QueueUid) -> Treatment;
    /// Whether a message of a queue that is compacted by key stays: whether no later one has its key.
    fn keeps(&self, message: &Record) -> bool;
    /// Adds what a message is to be found by, beside its place in the log.
    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>);
    /// An id for the next run, never given out before.
    fn next_id(&mut self) -> ObjectId;
}

/// Why a merge stops. Nothing that it wrote is referenced; the inputs stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeRefused {
    /// An input has nothing of the placement group, or inputs are not in order of their positions.
    #[error("input {0} has nothing here, or is out of order")]
    Input(usize),
    /// Blocks of a queue overlap, or offsets are missing that no block calls a gap.
    #[error("queue {queue} does not go on at {expected} but at {found}")]
    Continuity {
        /// The queue.
        queue: QueueUid,
        /// The offset after the block before.
        expected: QueueOffset,
        /// The first offset of the block.
        found: QueueOffset,
    },
    /// A block is not what was written, or not the one that its index means: the object is damaged.
    #[error("input {input} is damaged")]
    Damaged {
        /// Which.
        input: usize,
        /// What is wrong.
        source: FormatError,
    },
    /// A clock went back, and windows would tear the log's order apart (INV-MAN-4). Merge these
    /// inputs with a window as long as all of them.
    #[error("store times go back before {0}: merge with one long window")]
    Clock(Lsn),
    /// An output would not be readable.
    #[error("the run cannot be written")]
    Write(#[from] WriteRefused),
    /// Messages were lost, doubled or changed: a bug. Nothing may be committed.
    #[error(
        "what came out is not what went in: {inputs} messages in, {outputs} out, {left_out} left out"
    )]
    Sum {
        /// In the inputs.
        inputs: u64,
        /// In the outputs.
        outputs: u64,
        /// Left out by rule.
        left_out: u64,
    },
    /// Bytes were given that were not asked for.
    #[error("nothing was asked for")]
    NotAsked,
}

/// A block that one queue has in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) input: usize,
    pub(super) block: BlockRef,
    /// Greatest store time before it in the queue.
    pub(super) floor: Timestamp,
}

/// What one queue has in one window.
#[derive(Debug)]
pub(super) struct QueuePlan {
    pub(super) queue: QueueUid,
    pub(super) treatment: Treatment,
    /// In order of offsets.
    pub(super) blocks: Vec<Planned>,
    pub(super) is_large: bool,
    /// The earliest time of a block beyond the window.
    pub(super) later: Option<Timestamp>,
}

/// The next queue after `after` that any input has.
pub(super) fn next_queue(inputs: &[Tail], pg: PgId, after: Option<QueueUid>) -> Option<QueueUid> {
    inputs.iter().filter_map(|tail| tail.queues.next_queue(pg, after)).min()
}

/// All of a queue's blocks over all inputs, in order.
fn blocks_of(inputs: &[Tail], pg: PgId, queue: QueueUid) -> Vec<(usize, BlockRef)> {
    let of_input = |(input, tail)| {
        let tail: &Tail = tail;
        tail.queues.blocks(pg, queue, QueueOffset(0)).map(move |block| (input, block))
    };
    let mut blocks: Vec<(usize, BlockRef)> = inputs.iter().enumerate().flat_map(of_input).collect();
    blocks.sort_unstable_by_key(|(_, block)| block.first);
    blocks
}

/// INV-MERGE-1. What lies before `start` may have been left out by an earlier merge of a part.
fn check_continuity(blocks: &[(usize, BlockRef)], start: QueueOffset) -> Result<(), MergeRefused> {
    for pair in blocks.windows(2) {
        let (before, after) = (&pair[0].1, &pair[1].1);
        let expected = before.last.plus(1);
        let is_past = after.first <= start;
        let may_jump = after.after_gap || before.sparse || after.sparse || is_past;
        if after.first != expected && (after.first < expected || !may_jump) {
            let (queue, found) = (after.queue, after.first);
            return Err(MergeRefused::Continuity { queue, expected, found });
        }
    }
    Ok(())
}

/// What a queue has in a window. A store time before that of an earlier message counts as that
/// one's, so that a clock that went back cannot put messages of a queue out of order.
pub(super) fn plan_queue(
    inputs: &[Tail],
    settings: &MergeSettings,
    queue: QueueUid,
    treatment: Treatment,
    window: Window,
) -> Result<QueuePlan, MergeRefused> {
    let all = blocks_of(inputs, settings.pg, queue);
    check_continuity(&all, treatment.from())?;
    let (mut blocks, mut later, mut floor) = (Vec::new(), None, Timestamp(0));
    for (input, block) in all {
        let (first, last) = (floor.max(block.min_time), floor.max(block.max_time));
        let known = std::mem::replace(&mut floor, last);
        if block.last < treatment.from() || last < window.start {
            continue;
        }
        if first >= window.end() {
            later = Some(later.map_or(first, |later: Timestamp| later.min(first)));
            continue;
        }
        blocks.push(Planned { input, block, floor: known });
    }
    let sum = |of: fn(&BlockRef) -> u64| blocks.iter().map(|at| of(&at.block)).sum::<u64>();
    let is_large = sum(|block| block.span.len) >= settings.own_bytes
        || sum(|block| block.count.into()) >= OWN_MESSAGES;
    Ok(QueuePlan { queue, treatment, blocks, is_large, later })
}

/// What the indexes alone say of all inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Earliest store time of a block that is kept.
    pub(super) earliest: Option<Timestamp>,
    /// Messages in blocks that need not be read: all of them are left out.
    pub(super) skipped: u64,
}

pub(super) fn survey(inputs: &[Tail], pg: PgId, rules: &dyn MergeRules) -> Survey {
    let mut survey = Survey::default();
    for tail in inputs {
        let mut known: Option<(QueueUid, Treatment)> = None;
        for block in tail.queues.blocks_of(pg) {
            let treatment = match known {
                Some((queue, treatment)) if queue == block.queue => treatment,
                Some(_) | None => rules.treatment(block.queue),
            };
            known = Some((block.queue, treatment));
            if block.last < treatment.from() {
                survey.skipped += u64::from(block.count);
            } else {
                let earliest = survey.earliest.unwrap_or(block.min_time);
                survey.earliest = Some(earliest.min(block.min_time));
            }
        }
    }
    survey
}

impl QueuePlan {
    /// Whether a message stays.
    pub(super) fn keeps(&self, rules: &dyn MergeRules, message: &Record) -> bool {
        match self.treatment {
            Treatment::Keep(from) => message.offset >= from,
            Treatment::Choose(from) => message.offset >= from && rules.keeps(message),
            Treatment::Drop => false,
        }
    }
}

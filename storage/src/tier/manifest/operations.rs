//! What compaction and retention ask of a manifest: pure answers that become a delta.

use super::delta::Change;
use super::entry::{Key, Origin, QueueSet, RunEntry};
use crate::env::Timestamp;
use crate::format::object::{BlockRef, Tail};
use crate::format::{Lsn, PgId, QueueOffset, QueueUid};
use crate::tier::ObjectId;
use std::collections::{BTreeMap, BTreeSet};

/// What a compaction made of what.
#[derive(Clone, Copy, Debug)]
pub struct Replaced<'a> {
    /// Taken, in order of their keys.
    pub inputs: &'a [RunEntry],
    /// Made.
    pub outputs: &'a [RunEntry],
    /// Messages that the topic's compaction by key, or the end of their queue, left out.
    pub dropped_messages: u64,
}

/// Why a compaction's result is not taken. Its objects are left to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceRefused {
    /// There is nothing to take.
    #[error("the compaction has no input")]
    Empty,
    /// An input is not referenced any more: another compaction or retention was faster.
    #[error("input {0} is not in the manifest")]
    NotThere(ObjectId),
    /// An entry between the inputs was left out, or the log has a hole there.
    #[error("the inputs are no neighbours at {0}")]
    NotNeighbours(Lsn),
    /// An output has positions that no input has, or no higher level.
    #[error("output {0} is not of these inputs")]
    Foreign(ObjectId),
    /// Messages were lost or doubled.
    #[error("{inputs} messages became {outputs}, with {dropped} left out")]
    Count {
        /// In the inputs.
        inputs: u64,
        /// In the outputs.
        outputs: u64,
        /// Left out by rule.
        dropped: u64,
    },
}

/// The changes that put outputs in the place of inputs. `present`: the entries of the manifest as
/// it is now whose keys are not before the first input's and not after the last one's. `lost`: what
/// the root and the deltas call lost.
///
/// # Errors
/// When it would break INV-MAN-2 to INV-MAN-4.
pub fn replace(
    replaced: Replaced<'_>,
    present: &[RunEntry],
    lost: &[(Lsn, Lsn)],
) -> Result<Vec<Change>, ReplaceRefused> {
    let Replaced { inputs, outputs, dropped_messages } = replaced;
    let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else {
        return Err(ReplaceRefused::Empty);
    };
    check_present(inputs, present)?;
    check_neighbours(inputs, lost)?;
    let to = inputs.iter().map(|entry| entry.to).max().unwrap_or(last.to);
    let level = inputs.iter().map(RunEntry::level).max().unwrap_or(0);
    for output in outputs {
        let within = first.from <= output.from && output.to <= to;
        if !within || output.level() <= level.min(8) {
            return Err(ReplaceRefused::Foreign(output.object));
        }
    }
    let sum = |entries: &[RunEntry]| entries.iter().map(|entry| entry.messages).sum::<u64>();
    let (taken, made) = (sum(inputs), sum(outputs));
    if made.checked_add(dropped_messages) != Some(taken) {
        let dropped = dropped_messages;
        return Err(ReplaceRefused::Count { inputs: taken, outputs: made, dropped });
    }
    let removes = inputs.iter().map(|entry| Change::Remove(entry.key()));
    Ok(removes.chain(outputs.iter().copied().map(Change::Add)).collect())
}

/// Every input is there, and what is there between them is an input; but for objects of one queue
/// that no input has messages of.
fn check_present(inputs: &[RunEntry], present: &[RunEntry]) -> Result<(), ReplaceRefused> {
    let there: BTreeMap<Key, &RunEntry> =
        present.iter().map(|entry| (entry.key(), entry)).collect();
    let taken: BTreeSet<Key> = inputs.iter().map(RunEntry::key).collect();
    for input in inputs {
        if there.get(&input.key()) != Some(&input) {
            return Err(ReplaceRefused::NotThere(input.object));
        }
    }
    let (first, last) = (taken.first(), taken.last());
    let between = present.iter().filter(|entry| {
        first.is_some_and(|first| *first <= entry.key())
            && last.is_some_and(|last| entry.key() <= *last)
            && !taken.contains(&entry.key())
    });
    for entry in between {
        let stands_alone = match entry.queues {
            QueueSet::One { queue, .. } => !inputs.iter().any(|input| input.queues.has(queue)),
            QueueSet::None | QueueSet::Several { .. } => false,
        };
        if !stands_alone {
            return Err(ReplaceRefused::NotNeighbours(entry.from));
        }
    }
    Ok(())
}

/// Inputs ascend, and bundles follow each other without a hole that is not a named loss.
fn check_neighbours(inputs: &[RunEntry], lost: &[(Lsn, Lsn)]) -> Result<(), ReplaceRefused> {
    for pair in inputs.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let both_bundles = matches!(before.origin, Origin::Bundle { .. })
            && matches!(after.origin, Origin::Bundle { .. });
        let follows =
            before.to == after.from || lost.contains(&(before.to, after.from)) || !both_bundles;
        if before.key() >= after.key() || !follows {
            return Err(ReplaceRefused::NotNeighbours(after.from));
        }
    }
    Ok(())
}

/// The entries that age lets go: every message is older than what any of its queues keeps, and
/// replay does not need it. `keeps_since(first, last)`: the moment since which one of the queues in
/// this range keeps its messages; `None`: for ever. `replay_from`: state is replayed from here on.
///
/// Before they are removed, each queue that they have is given a start ([`ends_in`]).
pub fn expired<'a>(
    entries: impl IntoIterator<Item = &'a RunEntry>,
    mut keeps_since: impl FnMut(QueueUid, QueueUid) -> Option<Timestamp>,
    replay_from: Lsn,
) -> Vec<RunEntry> {
    let is_old = |entry: &&RunEntry| {
        let by_age = match entry.queues.range() {
            Some((first, last)) => {
                keeps_since(first, last).is_some_and(|since| entry.max_time < since)
            }
            // Operations are kept for replay alone.
            None => true,
        };
        by_age && entry.to <= replay_from
    };
    entries.into_iter().filter(is_old).copied().collect()
}

/// Where each queue goes on after what an object has of it, ascending by queue.
pub fn ends_in(tail: &Tail, pg: PgId) -> Vec<(QueueUid, QueueOffset)> {
    let mut ends: Vec<(QueueUid, QueueOffset)> = Vec::new();
    for block in tail.queues.blocks_of(pg) {
        let end = (block.queue, block.last.plus(1));
        match ends.last_mut() {
            Some(known) if known.0 == block.queue => *known = end,
            Some(_) | None => ends.push(end),
        }
    }
    ends
}

/// The first offset to keep of a queue so that its blocks have at most `bytes_max` bytes; the newest
/// block is always kept. `None`: all of it may stay. `blocks`: the queue's, newest first.
pub fn start_by_size(
    blocks: impl IntoIterator<Item = BlockRef>,
    bytes_max: u64,
) -> Option<QueueOffset> {
    let (mut bytes, mut first) = (0u64, None);
    for block in blocks {
        bytes = bytes.saturating_add(block.span.len);
        if bytes > bytes_max && first.is_some() {
            return first;
        }
        first = Some(block.first);
    }
    None
}

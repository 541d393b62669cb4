//! Where queues begin, by age and by size, and what of an object that leaves without use.

use super::super::manifest::{RunEntry, start_by_size};
use super::super::merge::Treatment;
use super::newest::treatment;
use super::{Keeps, TopicRules};
use crate::format::object::{BlockRef, Tail};
use crate::format::{PgId, QueueOffset, QueueUid};
use std::collections::BTreeMap;

/// Where queues begin that keep their messages for a time: after the last block of which every
/// message is older, as far as `tails` have them without a later one between. `tails`: neighbours, in
/// order. Only those that move a start on.
pub fn starts_by_age(
    tails: &[Tail],
    pg: PgId,
    rules: &dyn TopicRules,
) -> BTreeMap<QueueUid, QueueOffset> {
    let mut starts = BTreeMap::new();
    for (queue, blocks) in blocks_by_queue(tails, pg) {
        let Keeps::Since(since) = rules.keeps(queue) else { continue };
        let old = blocks.iter().take_while(|block| block.max_time < since);
        let start = old.last().map(|block| block.last.plus(1));
        if let Some(start) = start.filter(|start| *start > rules.start_of(queue)) {
            starts.insert(queue, start);
        }
    }
    starts
}

/// What becomes of each queue that `tails` have; `starts`: those that the same commit moves on.
pub fn treatments(
    tails: &[Tail],
    pg: PgId,
    starts: &BTreeMap<QueueUid, QueueOffset>,
    rules: &dyn TopicRules,
) -> BTreeMap<QueueUid, Treatment> {
    let mut all = BTreeMap::new();
    for tail in tails {
        let mut after = None;
        while let Some(queue) = tail.queues.next_queue(pg, after) {
            after = Some(queue);
            all.entry(queue).or_insert_with(|| {
                let start = starts.get(&queue).copied();
                treatment(rules.keeps(queue), start.unwrap_or_else(|| rules.start_of(queue)))
            });
        }
    }
    all
}

fn blocks_by_queue(tails: &[Tail], pg: PgId) -> BTreeMap<QueueUid, Vec<BlockRef>> {
    let mut all: BTreeMap<QueueUid, Vec<BlockRef>> = BTreeMap::new();
    for block in tails.iter().flat_map(|tail| tail.queues.blocks_of(pg)) {
        all.entry(block.queue).or_default().push(block);
    }
    for blocks in all.values_mut() {
        blocks.sort_unstable_by_key(|block| block.first);
    }
    all
}

/// What of an object is kept for nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// Bytes of blocks of which no message is kept.
    pub bytes: u64,
    /// Bytes of all the placement group's blocks of messages.
    pub of_bytes: u64,
}

impl Dead {
    /// Whether a merge would free half of it: then it is written once more for no more than it
    /// frees.
    pub const fn is_half(&self) -> bool {
        self.bytes > 0 && self.bytes >= self.of_bytes.div_ceil(2)
    }
}

/// What of an object is kept for nobody, by its queues' starts and by those that are gone.
pub fn dead_in(tail: &Tail, pg: PgId, rules: &dyn TopicRules) -> Dead {
    let mut dead = Dead::default();
    let mut known: Option<(QueueUid, Option<QueueOffset>)> = None;
    for block in tail.queues.blocks_of(pg) {
        let start = match known {
            Some((queue, start)) if queue == block.queue => start,
            Some(_) | None => match rules.keeps(block.queue) {
                Keeps::Nothing => None,
                Keeps::Forever | Keeps::Since(_) | Keeps::Bytes(_) | Keeps::NewestOfKey => {
                    Some(rules.start_of(block.queue))
                }
            },
        };
        known = Some((block.queue, start));
        dead.of_bytes += block.span.len;
        if start.is_none_or(|start| block.last < start) {
            dead.bytes += block.span.len;
        }
    }
    dead
}

/// Finds where queues begin that keep so many bytes, from the newest object on; no further than
/// they need.
#[derive(Debug)]
pub struct SizeWalk {
    pg: PgId,
    /// Not done yet: the most, and the blocks so far, newest first.
    open: BTreeMap<QueueUid, Kept>,
    starts: BTreeMap<QueueUid, QueueOffset>,
}

#[derive(Debug)]
struct Kept {
    bytes_max: u64,
    blocks: Vec<BlockRef>,
}

impl SizeWalk {
    /// A walk for these queues and the bytes that each keeps.
    pub fn new(pg: PgId, queues: impl IntoIterator<Item = (QueueUid, u64)>) -> SizeWalk {
        let open = |(queue, bytes_max)| (queue, Kept { bytes_max, blocks: Vec::new() });
        SizeWalk { pg, open: queues.into_iter().map(open).collect(), starts: BTreeMap::new() }
    }

    /// Whether this object must be looked into; entries are asked about newest first.
    pub fn wants(&self, entry: &RunEntry) -> bool {
        match entry.queues.range() {
            Some((first, last)) => {
                self.open.range(first..=last).any(|(queue, _)| entry.queues.has(*queue))
            }
            None => false,
        }
    }

    /// Whether every queue has been found to begin somewhere.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes the tail of an object that was wanted.
    pub fn feed(&mut self, tail: &Tail) {
        let queues: Vec<QueueUid> = self.open.keys().copied().collect();
        for queue in queues {
            let Some(kept) = self.open.get_mut(&queue) else { continue };
            let at = kept.blocks.len();
            kept.blocks.extend(tail.queues.blocks(self.pg, queue, QueueOffset(0)));
            if kept.blocks.len() == at {
                continue;
            }
            kept.blocks.sort_unstable_by_key(|block| std::cmp::Reverse(block.first));
            if let Some(start) = start_by_size(kept.blocks.iter().copied(), kept.bytes_max) {
                self.starts.insert(queue, start);
                self.open.remove(&queue);
            }
        }
    }

    /// Where queues begin that have more than they keep.
    pub fn finish(self) -> BTreeMap<QueueUid, QueueOffset> {
        self.starts
    }
}

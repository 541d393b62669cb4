//! What a search looks for, and how it looks through the logs, which have no index of keys: newest
//! first, within bounds.

use super::Matches;
use super::lookup::read;
use crate::ownership::PlacementGroup;
use metadata::model::{Topic, TopicQueue};
use protocol::stored::{StoredMessage, property};
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::Entry;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset, QueueUid};

/// The most messages that one search gives (Apache's `defaultQueryMaxNum` is 32, its limit 64).
pub const FOUND_MAX: usize = 64;

/// The most messages that one search reads out of the logs; some tenths of a second.
pub const SEARCH_MESSAGES_MAX: usize = 100_000;

/// The most bytes of messages that one search reads out of the logs: each is checksummed.
pub const SEARCH_BYTES_MAX: u64 = 256 << 20;

/// Index entries taken at a time, going back.
const STRIDE: u64 = 256;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One of the message's keys.
    Key(String),
    /// The id that its producer gave it.
    UniqueId(String),
    /// Either, as mqadmin's searches mean it.
    KeyOrUniqueId(String),
}

/// Where to look.
#[derive(Clone, Debug)]
pub struct Search {
    /// In which topic.
    pub topic: Arc<Topic>,
    /// For what.
    pub wanted: Wanted,
    /// Stored then or later.
    pub from: Timestamp,
    /// Stored then or before.
    pub to: Timestamp,
    /// How many at most; more than [`FOUND_MAX`] count as that.
    pub max: usize,
}

/// A queue's part of a log.
#[derive(Clone)]
pub(super) struct Stretch {
    pub(super) pg: Arc<PlacementGroup>,
    pub(super) queue: TopicQueue,
    /// What lies before is found elsewhere.
    pub(super) from: Lsn,
}

/// Searches queues together, newest first. To be run where it may take a while: reads up to
/// [`SEARCH_MESSAGES_MAX`] messages or [`SEARCH_BYTES_MAX`]. What a log gives up meanwhile may be left out.
pub(super) fn in_logs(stretches: &[Stretch], search: &Search) -> Matches {
    let mut trails: BinaryHeap<Trail<'_>> =
        stretches.iter().filter_map(|stretch| Trail::open(stretch, search)).collect();
    let mut found = Vec::new();
    let (mut messages, mut bytes) = (0, 0);
    // The trail whose next message is the newest comes first.
    while let Some(mut trail) = trails.pop() {
        let Some(entry) = trail.newest else { continue };
        let is_enough = found.len() == search.max();
        if is_enough || messages == SEARCH_MESSAGES_MAX || bytes >= SEARCH_BYTES_MAX {
            return Matches { found, stopped_at: Some(entry.time), ..Matches::default() };
        }
        messages += 1;
        bytes += u64::from(entry.len);
        if let Some(Ok(one)) = read(trail.pg, &entry)
            && search.wanted.is(&one.message)
        {
            found.push(one);
        }
        if trail.step() {
            trails.push(trail);
        }
    }
    Matches { found, ..Matches::default() }
}

impl Search {
    /// How many are given.
    pub(super) fn max(&self) -> usize {
        self.max.min(FOUND_MAX)
    }
}

impl Wanted {
    /// What is looked for, as it is written.
    pub(super) fn text(&self) -> &str {
        match self {
            Wanted::Key(text) | Wanted::UniqueId(text) | Wanted::KeyOrUniqueId(text) => text,
        }
    }

    pub(super) fn is(&self, message: &StoredMessage) -> bool {
        let properties = &message.properties;
        let has_key = |wanted: &str| {
            let keys = properties.get(property::KEYS).unwrap_or_default();
            keys.split(property::KEY_SEPARATOR).any(|key| key == wanted)
        };
        let has_id = |wanted: &str| properties.get(property::UNIQ_KEY) == Some(wanted);
        match self {
            Wanted::Key(key) => has_key(key),
            Wanted::UniqueId(id) => has_id(id),
            Wanted::KeyOrUniqueId(text) => has_key(text) || has_id(text),
        }
    }
}

/// One queue, walked back.
struct Trail<'a> {
    pg: &'a PlacementGroup,
    queue: QueueUid,
    /// Nothing before is wanted.
    from_lsn: Lsn,
    /// Nothing below is wanted.
    first: QueueOffset,
    /// Entries in hand reach down to here.
    from: QueueOffset,
    /// Ascending; taken from the end.
    entries: Vec<Entry>,
    /// The next message.
    newest: Option<Entry>,
}

impl<'a> Trail<'a> {
    /// `None` where the queue has nothing of that time.
    fn open(stretch: &'a Stretch, search: &Search) -> Option<Trail<'a>> {
        let Stretch { pg, queue, from } = stretch;
        let behind = Timestamp(search.to.0.saturating_add(1));
        let first = pg.log.offset_at_time(queue.uid, search.from);
        let end = pg.log.offset_at_time(queue.uid, behind);
        let first = first.max(pg.log.bounds(queue.uid).first);
        let entries = Vec::new();
        let (queue, from_lsn) = (queue.uid, *from);
        let mut trail = Trail { pg, queue, from_lsn, first, from: end, entries, newest: None };
        trail.step().then_some(trail)
    }

    /// Goes on to the next older message; `false` at the end. Offsets may have gaps.
    fn step(&mut self) -> bool {
        while self.entries.is_empty() && self.from > self.first {
            let end = self.from;
            self.from = QueueOffset(end.0.saturating_sub(STRIDE)).max(self.first);
            let entries = &mut self.entries;
            self.pg.log.scan(self.queue, self.from, &mut |entry| {
                if entry.offset >= end {
                    return ControlFlow::Break(());
                }
                entries.push(entry);
                ControlFlow::Continue(())
            });
        }
        self.newest = self.entries.pop().filter(|entry| entry.lsn >= self.from_lsn);
        self.newest.is_some()
    }

    fn rank(&self) -> Option<(Timestamp, Lsn)> {
        self.newest.map(|entry| (entry.time, entry.lsn))
    }
}

impl PartialEq for Trail<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Trail<'_> {}

impl PartialOrd for Trail<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Trail<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

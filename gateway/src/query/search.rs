//! Messages by key or id, within a span of time.

use super::lookup::{read, served};
use super::{Found, LookRefused};
use crate::ownership::{Owned, PlacementGroup};
use metadata::model::{NEVER_OPENED, Topic, TopicQueue};
use protocol::stored::{StoredMessage, property};
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::Entry;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// The most messages that one search gives (Apache's `defaultQueryMaxNum` is 32, its limit 64).
pub const FOUND_MAX: usize = 64;

/// The most messages that one search reads; some tenths of a second.
pub const SEARCH_MESSAGES_MAX: usize = 100_000;

/// The most bytes of messages that one search reads: each is checksummed.
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

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Matches {
    /// Newest first.
    pub found: Vec<Found>,
    /// The search stopped before `from`, at a message stored then: what is older was not looked at,
    /// nor all that was stored in that very millisecond. Going on means to search again with it as
    /// `to`. `None` where everything was looked at.
    pub stopped_at: Option<Timestamp>,
}

/// Searches the topic's queues together, newest first. To be run where it may take a while: reads
/// up to [`SEARCH_MESSAGES_MAX`] messages or [`SEARCH_BYTES_MAX`].
///
/// # Errors
/// [`LookRefused::NotServedHere`] where a queue lies elsewhere: a search that leaves something out
/// would say that it is not there.
pub fn search(owned: &Owned, search: &Search) -> Result<Matches, LookRefused> {
    let mut trails = BinaryHeap::new();
    for queue in search.topic.queues().iter().filter(|queue| queue.uid != NEVER_OPENED) {
        trails.extend(Trail::open(served(owned, *queue)?, *queue, search));
    }
    let max = search.max.min(FOUND_MAX);
    let mut found = Vec::new();
    let (mut messages, mut bytes) = (0, 0);
    // The trail whose next message is the newest comes first.
    while let Some(mut trail) = trails.pop() {
        let Some(entry) = trail.newest else { continue };
        if found.len() == max || messages == SEARCH_MESSAGES_MAX || bytes >= SEARCH_BYTES_MAX {
            return Ok(Matches { found, stopped_at: Some(entry.time) });
        }
        messages += 1;
        bytes += u64::from(entry.len);
        if let Ok(one) = read(trail.pg, &entry)
            && search.wanted.is(&one.message)
        {
            found.push(one);
        }
        if trail.step() {
            trails.push(trail);
        }
    }
    Ok(Matches { found, stopped_at: None })
}

impl Wanted {
    fn is(&self, message: &StoredMessage) -> bool {
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
    fn open(pg: &'a PlacementGroup, queue: TopicQueue, search: &Search) -> Option<Trail<'a>> {
        let behind = Timestamp(search.to.0.saturating_add(1));
        let first = pg.log.offset_at_time(queue.uid, search.from);
        let end = pg.log.offset_at_time(queue.uid, behind);
        let first = first.max(pg.log.bounds(queue.uid).first);
        let entries = Vec::new();
        let mut trail = Trail { pg, queue: queue.uid, first, from: end, entries, newest: None };
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
        self.newest = self.entries.pop();
        self.newest.is_some()
    }

    fn rank(&self) -> Option<(Timestamp, storage::format::Lsn)> {
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

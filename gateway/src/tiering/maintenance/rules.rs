//! What is kept of the queues of one placement group, by the catalog as it was at one moment.
//!
//! INV-RULES-1: a queue keeps what any of its holders keeps. Where they do not agree on a way of keeping, it keeps all.
//! INV-RULES-2: what is not known to be a topic's or a group's queue is kept for ever.

use super::super::keys::{keys_of, replaced_key};
use crate::history::History;
use metadata::Catalog;
use metadata::model::{Holder, Retention, UidMark, sole_holder};
use std::collections::{BTreeMap, BTreeSet};
use storage::env::Timestamp;
use storage::format::object::{KeyHash, Record};
use storage::format::{PgId, QueueOffset, QueueUid};
use storage::tier::retention::{Keeps, Keyed, TopicRules};

/// Queues that one answer about a range looks at.
const RANGE_QUEUES_MAX: usize = 4096;

/// The rules of one operation: nothing in them changes.
pub(super) struct Rules {
    /// Every queue that somebody holds.
    keeps: BTreeMap<QueueUid, Keeps>,
    /// Says where queues begin; only this task moves that.
    history: History,
}

impl Rules {
    /// As of now. The manifest was looked at before (INV-UPKEEP-1).
    pub(super) fn new(pg: PgId, catalog: &Catalog, history: History, now: Timestamp) -> Rules {
        let keeps = |queue: QueueUid| {
            let keeps = keeps_of(&catalog.holders(queue), history.kept_from(queue), now);
            (keeps != Keeps::Nothing).then_some((queue, keeps))
        };
        let keeps = named(pg, catalog).into_iter().filter_map(keeps).collect();
        Rules { keeps, history }
    }

    /// Queues that keep so many bytes.
    pub(super) fn sizes(&self) -> Vec<(QueueUid, u64)> {
        let size = |(queue, keeps): (&QueueUid, &Keeps)| match keeps {
            Keeps::Bytes(bytes) => Some((*queue, *bytes)),
            Keeps::Forever | Keeps::Since(_) | Keeps::NewestOfKey | Keeps::Nothing => None,
        };
        self.keeps.iter().filter_map(size).collect()
    }
}

/// Every queue of the placement group that a topic or a group names.
fn named(pg: PgId, catalog: &Catalog) -> BTreeSet<QueueUid> {
    let mut named = BTreeSet::new();
    for topic in catalog.topics() {
        for queue in topic.queues_in(pg) {
            named.insert(queue.uid);
            named.extend(topic.inherited(queue.uid).into_iter().map(|part| part.queue));
        }
    }
    for group in catalog.groups() {
        named.insert(group.dead_letter_queue());
        let replayed = group.replayed.iter().flat_map(|replayed| &replayed.queues);
        named.extend(replayed.filter(|queue| queue.pg == pg).map(|queue| queue.uid));
    }
    named
}

/// What is kept for these holders of a queue that begins at `start`.
fn keeps_of(holders: &[Holder], start: QueueOffset, now: Timestamp) -> Keeps {
    // A clone shows a part only, which may be past.
    let needs = |holder: &&Holder| holder.to.is_none_or(|to| start < to);
    let holders: Vec<Holder> = holders.iter().filter(needs).cloned().collect();
    if holders.is_empty() {
        return Keeps::Nothing;
    }
    // What comes behind the part that a clone shows is not the clone's: it counts for nothing there.
    if let Some(only) = sole_holder(&holders).filter(|only| only.to.is_none()) {
        match only.retention() {
            Retention::Size(bytes) => return Keeps::Bytes(bytes),
            Retention::Compacted => return Keeps::NewestOfKey,
            Retention::Forever | Retention::Age(_) | Retention::Locked(_) => {}
        }
    }
    let since = |holder: &Holder| match holder.retention() {
        Retention::Age(age) => {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Some(Timestamp(now.0.saturating_sub(age)))
        }
        Retention::Forever | Retention::Size(_) | Retention::Compacted | Retention::Locked(_) => {
            None
        }
    };
    let all: Option<Vec<Timestamp>> = holders.iter().map(since).collect();
    all.and_then(|all| all.into_iter().min()).map_or(Keeps::Forever, Keeps::Since)
}

impl TopicRules for Rules {
    fn keeps(&self, queue: QueueUid) -> Keeps {
        if queue.0 < UidMark::FIRST.next {
            return Keeps::Forever;
        }
        self.keeps.get(&queue).copied().unwrap_or(Keeps::Nothing)
    }

    fn keeps_since(&self, first: QueueUid, last: QueueUid) -> Option<Timestamp> {
        if first.0 < UidMark::FIRST.next {
            return None;
        }
        let mut least = Timestamp(u64::MAX);
        for (at, (_, keeps)) in self.keeps.range(first..=last).enumerate() {
            match keeps {
                Keeps::Since(since) if at < RANGE_QUEUES_MAX => least = least.min(*since),
                Keeps::Since(_) | Keeps::Forever | Keeps::Bytes(_) | Keeps::NewestOfKey => {
                    return None;
                }
                Keeps::Nothing => {}
            }
        }
        Some(least)
    }

    fn start_of(&self, queue: QueueUid) -> QueueOffset {
        self.history.kept_from(queue)
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        keys_of(message.body(), into);
    }

    fn key_of(&self, message: &Record) -> Option<Keyed> {
        replaced_key(message.body())
    }
}

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

    /// Queues that keep what was stored at a moment or later.
    pub(super) fn ages(&self) -> Vec<(QueueUid, Timestamp)> {
        let age = |(queue, keeps): (&QueueUid, &Keeps)| match keeps {
            Keeps::Since(since) => Some((*queue, *since)),
            Keeps::Forever | Keeps::Bytes(_) | Keeps::NewestOfKey | Keeps::Nothing => None,
        };
        self.keeps.iter().filter_map(age).collect()
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

/// Since when one of the queues of a range keeps its messages. Queues that are not there are gone.
fn since_of(
    keeps: &BTreeMap<QueueUid, Keeps>,
    first: QueueUid,
    last: QueueUid,
) -> Option<Timestamp> {
    if first.0 < UidMark::FIRST.next {
        return None;
    }
    let mut least = Timestamp(u64::MAX);
    for (at, (_, keeps)) in keeps.range(first..=last).enumerate() {
        match keeps {
            Keeps::Since(since) if at < RANGE_QUEUES_MAX => least = least.min(*since),
            Keeps::Since(_) | Keeps::Forever | Keeps::Bytes(_) | Keeps::NewestOfKey => return None,
            Keeps::Nothing => {}
        }
    }
    Some(least)
}

impl TopicRules for Rules {
    fn keeps(&self, queue: QueueUid) -> Keeps {
        if queue.0 < UidMark::FIRST.next {
            return Keeps::Forever;
        }
        self.keeps.get(&queue).copied().unwrap_or(Keeps::Nothing)
    }

    fn keeps_since(&self, first: QueueUid, last: QueueUid) -> Option<Timestamp> {
        since_of(&self.keeps, first, last)
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

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::model::{Cluster, Group, GroupSpec, HeldBy, Topic, TopicSpec};
    use protocol::names::{GroupName, TopicName};
    use std::sync::Arc;

    const HOUR_MS: u64 = 3_600_000;
    const NOW: Timestamp = Timestamp(100 * HOUR_MS);

    fn topic(retention: &str) -> Arc<Topic> {
        let mut spec = TopicSpec::new(TopicName::parse("t").unwrap());
        spec.attributes.insert("retention".into(), retention.into());
        let cluster = Cluster { name: "c".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
        Arc::new(Topic::create(spec, &cluster, UidMark::FIRST.next, Timestamp(0)))
    }

    fn own(retention: &str) -> Holder {
        Holder { by: HeldBy::Topic(topic(retention)), from: QueueOffset(0), to: None }
    }

    fn clone(retention: &str, to: u64) -> Holder {
        let by = HeldBy::Clone { topic: topic(retention), queue: QueueUid(1 << 40) };
        Holder { by, from: QueueOffset(0), to: Some(QueueOffset(to)) }
    }

    fn kept(holders: &[Holder]) -> Keeps {
        keeps_of(holders, QueueOffset(10), NOW)
    }

    #[test]
    fn a_topic_alone_keeps_what_it_says() {
        for (retention, keeps) in [
            ("forever", Keeps::Forever),
            ("3h", Keeps::Since(Timestamp(97 * HOUR_MS))),
            ("365d", Keeps::Since(Timestamp(0))),
            ("1GiB", Keeps::Bytes(1 << 30)),
            ("compacted", Keeps::NewestOfKey),
            ("locked:1h", Keeps::Forever),
        ] {
            assert_eq!(kept(&[own(retention)]), keeps, "{retention}");
        }
        assert_eq!(kept(&[]), Keeps::Nothing);
    }

    #[test]
    fn with_clones_a_queue_keeps_what_any_of_them_needs() {
        let since = |hours: u64| Keeps::Since(Timestamp(hours * HOUR_MS));
        for (holders, keeps) in [
            (vec![own("3h"), clone("5h", 20)], since(95)),
            (vec![own("3h"), clone("forever", 20)], Keeps::Forever),
            // What the clone shows is past.
            (vec![own("3h"), clone("forever", 10)], since(97)),
            (vec![clone("forever", 10)], Keeps::Nothing),
            (vec![own("compacted"), clone("compacted", 20)], Keeps::Forever),
            (vec![own("1GiB"), clone("3h", 20)], Keeps::Forever),
            // The topic is deleted; what came behind the clone's part does not replace anything of it.
            (vec![clone("compacted", 20)], Keeps::Forever),
            (vec![clone("1GiB", 20)], Keeps::Forever),
            (vec![clone("3h", 20)], since(97)),
        ] {
            assert_eq!(kept(&holders), keeps, "{holders:?}");
        }
    }

    #[test]
    fn dead_letters_are_kept() {
        let spec = GroupSpec::new(GroupName::parse("g").unwrap());
        let by = HeldBy::Group(Arc::new(Group::create(spec, 1 << 30, Timestamp(0))));
        let holder = Holder { by, from: QueueOffset(0), to: None };
        assert_eq!(kept(&[holder]), Keeps::Forever);
    }

    fn range(keeps: &[(u64, Keeps)], first: u64, last: u64) -> Option<Timestamp> {
        let uid = |at: u64| QueueUid(UidMark::FIRST.next + at);
        let keeps = keeps.iter().map(|(at, keeps)| (uid(*at), *keeps)).collect();
        since_of(&keeps, uid(first), uid(last))
    }

    #[test]
    fn a_range_keeps_the_most_that_one_of_its_queues_keeps() {
        let keeps = [
            (1, Keeps::Since(Timestamp(5))),
            (2, Keeps::Since(Timestamp(3))),
            (4, Keeps::Forever),
            (6, Keeps::Bytes(1)),
            (8, Keeps::NewestOfKey),
        ];
        assert_eq!(range(&keeps, 1, 1), Some(Timestamp(5)));
        assert_eq!(range(&keeps, 0, 3), Some(Timestamp(3)));
        assert_eq!(range(&keeps, 3, 3), Some(Timestamp(u64::MAX)), "gone");
        for queue in [4, 6, 8] {
            assert_eq!(range(&keeps, queue - 1, queue), None);
        }
    }

    #[test]
    fn of_system_queues_and_of_very_many_all_is_kept() {
        assert_eq!(since_of(&BTreeMap::new(), QueueUid(0), QueueUid(1 << 40)), None);
        let many = (0..=RANGE_QUEUES_MAX as u64).map(|at| (at, Keeps::Since(Timestamp(1))));
        let many: Vec<_> = many.collect();
        assert_eq!(range(&many, 0, 1 << 20), None);
        assert_eq!(range(&many, 0, 1), Some(Timestamp(1)));
    }
}

//! Looking up by uid against a search through everything.

use super::*;
use crate::model::{Cluster, GroupSpec, Origin, Span, TopicSpec};
use proptest::prelude::*;
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeMap;
use storage::env::Timestamp;
use storage::format::QueueOffset;

const NAMES: usize = 6;

#[derive(Clone, Debug)]
enum Change {
    /// A topic, new or in place of one; so many uids are left out before it.
    Make {
        name: usize,
        queues: u32,
        gap: u64,
    },
    /// One of the name.
    Grow {
        name: usize,
        queues: u32,
    },
    Clone {
        source: usize,
        name: usize,
        from: u64,
        to: u64,
        gap: u64,
    },
    Delete {
        name: usize,
    },
    Group {
        name: usize,
    },
    DeleteGroup {
        name: usize,
    },
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let name = || 0..NAMES;
    // Whole pages, and parts of one: blocks that begin anywhere.
    let gap = || prop_oneof![Just(0), 1..5_u64, Just(u64::from(QUEUES_MAX) * 255), 0..1_u64 << 20];
    let change = prop_oneof![
        3 => (name(), 1..9_u32, gap()).prop_map(|(name, queues, gap)| Change::Make { name, queues, gap }),
        1 => (name(), 1..20_u32).prop_map(|(name, queues)| Change::Grow { name, queues }),
        4 => (name(), name(), 0..10_u64, 0..10_u64, gap()).prop_map(|(source, name, from, to, gap)| {
            Change::Clone { source, name, from, to, gap }
        }),
        2 => name().prop_map(|name| Change::Delete { name }),
        2 => name().prop_map(|name| Change::Group { name }),
        1 => name().prop_map(|name| Change::DeleteGroup { name }),
    ];
    proptest::collection::vec(change, 1..40)
}

/// The catalog as lists, and the next uid that nobody has.
struct Model {
    topics: BTreeMap<String, Arc<Topic>>,
    groups: BTreeMap<String, Arc<Group>>,
    next: u64,
}

impl Model {
    fn take(&mut self, gap: u64, count: u64) -> u64 {
        let first = self.next + gap;
        self.next = first + count;
        first
    }

    fn holders(&self, queue: QueueUid) -> Vec<Holder> {
        let mut all = Vec::new();
        for topic in self.topics.values() {
            if topic.queues().iter().any(|own| own.uid == queue) {
                let (by, from) = (HeldBy::Topic(topic.clone()), topic.queue_start(queue));
                all.push(Holder { by, from, to: None });
            }
            for own in topic.queues() {
                for part in topic.inherited(own.uid).iter().filter(|part| part.queue == queue) {
                    let by = HeldBy::Clone { topic: topic.clone(), queue: own.uid };
                    all.push(Holder { by, from: part.span.from, to: Some(part.span.to) });
                }
            }
        }
        all
    }
}

fn cluster() -> Cluster {
    Cluster { name: "C".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) }
}

fn key(name: usize) -> String {
    format!("t-{name}")
}

fn spec(name: usize, queues: u32) -> TopicSpec {
    TopicSpec { queues, ..TopicSpec::new(TopicName::parse(&key(name)).unwrap()) }
}

fn put(topics: &mut KnownTopics, model: &mut Model, name: &str, topic: Topic) {
    let topic = Arc::new(topic);
    topics.insert(name, topic.clone());
    model.topics.insert(name.to_owned(), topic);
}

fn apply(topics: &mut KnownTopics, groups: &mut KnownGroups, model: &mut Model, change: Change) {
    let block = u64::from(QUEUES_MAX);
    match change {
        Change::Make { name, queues, gap } => {
            let base = model.take(gap, block);
            let topic = Topic::create(spec(name, queues), &cluster(), base, Timestamp(0));
            put(topics, model, &key(name), topic);
        }
        Change::Grow { name, queues } => {
            let Some(topic) = model.topics.get(&key(name)).cloned() else { return };
            put(topics, model, &key(name), topic.changed(spec(name, queues)));
        }
        Change::Clone { source, name, from, to, gap } => {
            let Some(source) = model.topics.get(&key(source)).cloned() else { return };
            let base = model.take(gap, block);
            let span = |queue: QueueUid| Span {
                from: QueueOffset(from + (queue.0 & 1)),
                to: QueueOffset(to + (queue.0 & 2)),
            };
            let origin = Origin::of(&source, Timestamp(0), span);
            let named = TopicName::parse(&key(name)).unwrap();
            put(
                topics,
                model,
                &key(name),
                Topic::cloned(&source, named, origin, base, Timestamp(0)),
            );
        }
        Change::Delete { name } => {
            topics.remove(&key(name));
            model.topics.remove(&key(name));
        }
        Change::Group { name } => {
            let uid = model.take(0, 1);
            let spec = GroupSpec::new(GroupName::parse(&key(name)).unwrap());
            let group = Arc::new(Group::create(spec, uid, Timestamp(0)));
            groups.insert(&key(name), group.clone());
            model.groups.insert(key(name), group);
        }
        Change::DeleteGroup { name } => {
            groups.remove(&key(name));
            model.groups.remove(&key(name));
        }
    }
}

/// Uids worth asking for: of everything that was ever made, and beside it.
fn asked(bases: &[u64]) -> impl Iterator<Item = QueueUid> + '_ {
    let near = [0, 1, 2, 7, 19, u64::from(QUEUES_MAX) - 1, u64::from(QUEUES_MAX)];
    let near = move |base: &u64| near.map(|by| base + by).into_iter().chain([base - 1]);
    bases.iter().flat_map(near).map(QueueUid)
}

proptest! {
    #[test]
    fn a_uid_is_found_as_by_a_search_through_everything(changes in changes()) {
        let (mut topics, mut groups) = (KnownTopics::default(), KnownGroups::default());
        let (none, next) = (BTreeMap::new(), u64::from(QUEUES_MAX));
        let mut model = Model { topics: none, groups: BTreeMap::new(), next };
        let mut bases = vec![next];
        for change in changes {
            let before = (topics.clone(), groups.clone());
            apply(&mut topics, &mut groups, &mut model, change);
            drop(before);
            bases.extend(model.topics.values().map(|topic| topic.uid_base));
            bases.extend(model.groups.values().map(|group| group.uid));
            bases.sort_unstable();
            bases.dedup();
        }
        for uid in asked(&bases) {
            let has = |topic: &&Arc<Topic>| topic.queues().iter().any(|queue| queue.uid == uid);
            prop_assert_eq!(topics.of_queue(uid), model.topics.values().find(has), "{:?}", uid);
            let group = model.groups.values().find(|group| group.uid == uid.0);
            prop_assert_eq!(groups.of_uid(uid.0), group);
            let sorted = |mut all: Vec<Holder>| {
                all.sort_by_key(|holder| match &holder.by {
                    HeldBy::Topic(topic) | HeldBy::Clone { topic, .. } => topic.uid_base,
                    HeldBy::Group(group) => group.uid,
                });
                all
            };
            let got = sorted(topics.holders(uid).collect());
            prop_assert_eq!(got, sorted(model.holders(uid)), "{:?}", uid);
        }
    }
}

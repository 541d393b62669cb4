//! What passed through, by topic and by consumer group. Counting takes one look into a table and a
//! few additions, for all messages of a request together; it makes no garbage and waits for nobody
//! but the first message of a topic or group.

use super::names::{MESSAGE_SIZE_BYTES, MessageType};
use super::rates::{MINUTE_SAMPLES_MAX, Samples};
use parking_lot::{Mutex, RwLock};
use protocol::names::{GroupName, TopicName};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::{Distribution, Histogram};

/// Topics, and groups of one topic, that are counted by name. Far above what a catalog holds; it
/// bounds what is kept of topics that come and go while nobody scrapes.
const NAMES_MAX: usize = 65_536;

/// Messages, and the bytes of their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub messages: u64,
    /// Of their bodies together.
    pub bytes: u64,
}

/// What a group got from a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Delivered for the first time.
    pub first: Tally,
    /// Delivered again.
    pub again: Tally,
    /// Given up.
    pub dead_letters: u64,
}

/// The counters.
#[derive(Default)]
pub(super) struct Traffic {
    topics: RwLock<HashMap<TopicName, OfTopic>>,
}

struct OfTopic {
    /// Sizes of messages sent, by [`MessageType`]: their number and sum are what came in.
    received: [Histogram<{ MESSAGE_SIZE_BYTES.len() + 1 }>; MessageType::ALL.len()],
    groups: RwLock<HashMap<GroupName, OfGroup>>,
}

#[derive(Default)]
struct OfGroup {
    first: Counts,
    again: Counts,
    dead_letters: AtomicU64,
    delivered: Mutex<Samples<MINUTE_SAMPLES_MAX>>,
}

#[derive(Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    pub(super) fn received(&self, topic: &TopicName, kind: MessageType, tally: Tally) {
        let Tally { messages, bytes } = tally;
        self.in_topic(topic, |topic| {
            if let Some(sizes) = topic.received.get(kind as usize) {
                sizes.count_many(messages, bytes.checked_div(messages).unwrap_or(0), bytes);
            }
        });
    }

    pub(super) fn delivered(&self, topic: &TopicName, group: &GroupName, what: &Deliveries) {
        self.in_topic(topic, |topic| topic.in_group(group, |group| group.add(what)));
    }

    /// Notes how much every group got by `now`, for its rates. Nobody who counts waits for it.
    pub(super) fn sample(&self, now: Duration) {
        for of_topic in self.topics.read().values() {
            for of_group in of_topic.groups.read().values() {
                of_group.delivered.lock().add(now, of_group.messages());
            }
        }
    }

    /// Messages a second that the group got of the topic in the minute before `now`.
    pub(super) fn rate(&self, now: Duration, topic: &TopicName, group: &GroupName) -> f64 {
        let topics = self.topics.read();
        let Some(of_topic) = topics.get(topic) else { return 0.0 };
        let groups = of_topic.groups.read();
        let Some(of_group) = groups.get(group) else { return 0.0 };
        of_group.delivered.lock().rates(now, of_group.messages()).minute
    }

    /// Keeps only topics and groups that `topic` and `group` want, and shows what was sent and
    /// delivered, in no order.
    pub(super) fn read(
        &self,
        topic: impl Fn(&TopicName) -> bool,
        group: impl Fn(&GroupName) -> bool,
    ) -> (Vec<Sent>, Vec<Delivered>) {
        let (mut sent, mut delivered) = (Vec::new(), Vec::new());
        self.forget(topic);
        for (topic, of_topic) in &*self.topics.read() {
            for (kind, sizes) in MessageType::ALL.into_iter().zip(&of_topic.received) {
                let sizes = sizes.read();
                if sizes.count() > 0 {
                    sent.push(Sent { topic: topic.clone(), kind, sizes });
                }
            }
            of_topic.forget(&group);
            for (group, of_group) in &*of_topic.groups.read() {
                let (topic, group) = (topic.clone(), group.clone());
                delivered.push(Delivered { topic, group, deliveries: of_group.read() });
            }
        }
        (sent, delivered)
    }

    /// Whoever counts waits only where there is something to forget.
    fn forget(&self, keep: impl Fn(&TopicName) -> bool) {
        let gone = gone(&self.topics.read(), keep);
        if !gone.is_empty() {
            let mut topics = self.topics.write();
            for name in gone {
                topics.remove(&name);
            }
        }
    }

    fn in_topic(&self, name: &TopicName, count: impl Fn(&OfTopic)) {
        if let Some(topic) = self.topics.read().get(name) {
            return count(topic);
        }
        let mut topics = self.topics.write();
        if topics.len() < NAMES_MAX || topics.contains_key(name) {
            count(topics.entry(name.clone()).or_default());
        }
    }
}

/// What came into a topic, of one type.
pub struct Sent {
    /// Where to.
    pub topic: TopicName,
    /// The type.
    pub kind: MessageType,
    /// Messages by size; their number and sum are messages and bytes.
    pub sizes: Distribution,
}

/// What went out of a topic to a group.
pub struct Delivered {
    /// Where from.
    pub topic: TopicName,
    /// To whom.
    pub group: GroupName,
    /// What.
    pub deliveries: Deliveries,
}

impl Default for OfTopic {
    fn default() -> OfTopic {
        OfTopic {
            received: [const { Histogram::new(MESSAGE_SIZE_BYTES) }; MessageType::ALL.len()],
            groups: RwLock::default(),
        }
    }
}

fn gone<K: Clone, V>(known: &HashMap<K, V>, keep: impl Fn(&K) -> bool) -> Vec<K> {
    known.keys().filter(|name| !keep(name)).cloned().collect()
}

impl OfTopic {
    fn forget(&self, keep: impl Fn(&GroupName) -> bool) {
        let gone = gone(&self.groups.read(), keep);
        if !gone.is_empty() {
            let mut groups = self.groups.write();
            for name in gone {
                groups.remove(&name);
            }
        }
    }

    fn in_group(&self, name: &GroupName, count: impl Fn(&OfGroup)) {
        if let Some(group) = self.groups.read().get(name) {
            return count(group);
        }
        let mut groups = self.groups.write();
        if groups.len() < NAMES_MAX || groups.contains_key(name) {
            count(groups.entry(name.clone()).or_default());
        }
    }
}

impl OfGroup {
    fn add(&self, what: &Deliveries) {
        self.first.add(what.first);
        self.again.add(what.again);
        if what.dead_letters > 0 {
            self.dead_letters.fetch_add(what.dead_letters, Ordering::Relaxed);
        }
    }

    fn messages(&self) -> u64 {
        self.first.read().messages + self.again.read().messages
    }

    fn read(&self) -> Deliveries {
        let dead_letters = self.dead_letters.load(Ordering::Relaxed);
        Deliveries { first: self.first.read(), again: self.again.read(), dead_letters }
    }
}

impl Counts {
    fn add(&self, tally: Tally) {
        if tally.messages > 0 {
            self.messages.fetch_add(tally.messages, Ordering::Relaxed);
            self.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Tally {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally { messages: load(&self.messages), bytes: load(&self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::env::Env;

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn group(name: &str) -> GroupName {
        GroupName::parse(name).unwrap()
    }

    #[test]
    fn what_is_deleted_is_counted_no_more() {
        let traffic = Traffic::default();
        let one = Tally { messages: 1, bytes: 2_000 };
        let first = Deliveries { first: one, dead_letters: 1, ..Deliveries::default() };
        for name in ["kept", "gone"] {
            traffic.received(&topic(name), MessageType::Normal, one);
            traffic.received(&topic(name), MessageType::Normal, Tally { messages: 3, bytes: 30 });
            traffic.delivered(&topic(name), &group("kept"), &first);
            traffic.delivered(&topic(name), &group("gone"), &first);
        }
        for _ in 0..2 {
            let kept = |name: &str| name == "kept";
            let (sent, delivered) =
                traffic.read(|topic| kept(topic.as_str()), |group| kept(group.as_str()));
            let [sent] = &sent[..] else { panic!("one topic, one type") };
            assert_eq!((sent.sizes.count(), sent.sizes.sum), (4, 2_030));
            assert_eq!(sent.sizes.counts[..2], [3, 1]);
            let [delivered] = &delivered[..] else { panic!("one topic, one group") };
            assert_eq!(delivered.deliveries, first);
        }
    }

    #[test]
    fn a_groups_rate_is_that_of_the_last_minute() {
        let (traffic, name, of) = (Traffic::default(), topic("orders"), group("readers"));
        let at = Duration::from_secs;
        let some = |messages| Deliveries {
            first: Tally { messages, bytes: 0 },
            again: Tally { messages, bytes: 0 },
            dead_letters: 0,
        };
        assert_eq!(traffic.rate(at(0), &name, &of), 0.0);
        // A thousand at once, then one and one more every second.
        traffic.delivered(&name, &of, &some(500));
        for ten_seconds in 0..=12 {
            traffic.sample(at(10 * ten_seconds));
            traffic.delivered(&name, &of, &some(10));
        }
        assert_eq!(traffic.rate(at(120), &name, &of), (20.0 * 7.0) / 60.0);
        assert_eq!(traffic.rate(at(120), &name, &group("others")), 0.0);
        assert_eq!(traffic.rate(at(120), &topic("others"), &of), 0.0);
    }

    /// What counting costs on the hot path; run it in release mode with `--ignored --nocapture`.
    #[test]
    #[ignore = "a measurement, not a check"]
    fn nanoseconds_of_counting_a_message() {
        const ROUNDS: u32 = 5_000_000;
        let (traffic, env) = (Traffic::default(), Env::system());
        let names: Vec<_> = (0..1_000).map(|i| topic(&format!("orders-of-region-{i}"))).collect();
        let one = Tally { messages: 1, bytes: 1_024 };
        let again = Deliveries { first: one, ..Deliveries::default() };
        let each = |what: &str, count: &dyn Fn(&TopicName)| {
            let begin = env.monotonic();
            names.iter().cycle().take(ROUNDS as usize).for_each(count);
            let took: Duration = env.monotonic() - begin;
            println!("{what}: {:.1} ns", took.as_nanos() as f64 / f64::from(ROUNDS));
        };
        each("nothing", &|name| {
            std::hint::black_box(name);
        });
        each("a send", &|name| traffic.received(name, MessageType::Normal, one));
        let readers = group("readers-of-orders");
        each("a delivery", &|name| traffic.delivered(name, &readers, &again));
        let requests = super::super::requests::Requests::default();
        let send = super::super::Request::grpc("SendMessage");
        each("a request", &|_| {
            let begin = env.monotonic();
            requests.answered(&send, "OK", env.monotonic() - begin);
        });
    }
}

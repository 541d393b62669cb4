//! Jobs at work over real logs.

use super::*;
use crate::consume::filter::Filter;
use crate::consume::{Consume, Delivery, Invisible, Receive};
use crate::group::Clients;
use crate::observe::Stats;
use crate::ownership::{self, Owned};
use crate::produce::{MessageKind, Outgoing, Produce, QueueKey};
use crate::tiering;
use bytes::Bytes;
use metadata::model::{
    AttributeChange, Destination, GROUP_CONSUME_FROM, GatewayId, Group, GroupSpec, Incarnation,
    Job, JobFilter, JobName, JobSpec, JobState, Limits, Owner, Topic, TopicSpec,
};
use metadata::store::redb::RedbStore;
use metadata::{Catalog, ClusterSpec};
use protocol::names::{GroupName, TopicName};
use protocol::stored::{Properties, StoredMessage, SysFlag, property, tag_hash};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use storage::env::{Env, Priority, Timestamp};
use storage::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct World {
    _dir: TempDir,
    _store: Store,
    env: Env,
    catalog: Catalog,
    owned: Owned,
    consume: Consume,
    produce: Produce,
}

/// A process that runs jobs.
struct Gateway {
    replays: Replays,
    stop: CancellationToken,
    following: JoinHandle<()>,
}

impl World {
    async fn new() -> World {
        let (dir, env) = (tempfile::tempdir().unwrap(), Env::system());
        let config = StoreConfig {
            dir: dir.path().join("journal"),
            capacity: 64 << 20,
            segment_bytes: 4 << 20,
            spare_segments: 1,
            index_bytes: 64 << 20,
            gateway: "gateway".to_owned(),
        };
        let store = Store::open(config, env.clone()).unwrap();
        let redb = RedbStore::open(&dir.path().join("metadata.redb"), env.clone()).unwrap();
        let spec = ClusterSpec { name: "c".to_owned(), pgs: 2 };
        let catalog = Catalog::start(Arc::new(redb), env.clone(), spec).await.unwrap();
        let opened = ownership::open_all(&catalog, &store, &me(1)).await.unwrap();
        let owned = Owned::of_logs(opened);
        let stats = Stats::new(owned.all().map(|pg| pg.id), env.clone());
        let clients = Clients::new(env.clone());
        let (of_stats, replays) = (stats.clone(), BTreeMap::new());
        let consume =
            Consume::start(env.clone(), &catalog, &owned, clients, of_stats, replays).unwrap();
        let produce = Produce::new(owned.clone(), tiering::Handle::of_nobody(), stats);
        World { _dir: dir, _store: store, env, catalog, owned, consume, produce }
    }

    /// The gateway's process of this number, at work.
    fn start(&self, incarnation: u64) -> Gateway {
        let stop = CancellationToken::new();
        let replays = Replays::new(Parts {
            env: self.env.clone(),
            crew: self.env.crew("replays", 0, Priority::Usual).unwrap(),
            catalog: self.catalog.clone(),
            owned: self.owned.clone(),
            consume: self.consume.clone(),
            produce: self.produce.clone(),
            source: Arc::new(Archive::of_logs(self.owned.clone())),
            me: me(incarnation),
            stop: stop.clone(),
        });
        let following = self.env.spawn("replays", replays.clone().follow());
        Gateway { replays, stop, following }
    }

    async fn topic(&self, name: &str, queues: u32) -> Arc<Topic> {
        let spec = TopicSpec { queues, ..TopicSpec::new(topic(name)) };
        let topic = self.catalog.create_topic(spec).await.unwrap();
        self.owned.open_topic(&topic);
        topic
    }

    async fn group(&self, name: &str) -> Arc<Group> {
        let mut spec = GroupSpec { max_attempts: 1, ..GroupSpec::new(group(name)) };
        let (key, value) = (GROUP_CONSUME_FROM.to_owned(), "latest".to_owned());
        spec.change(&AttributeChange::Set { key, value }).unwrap();
        let group = self.catalog.put_group(spec).await.unwrap();
        self.owned.open_group(&group);
        group
    }

    /// Sends `0`, `1` ... in turn to the topic's queues, in one frame a queue, every third of them with tag `c`. They
    /// are there before this returns, and a millisecond older.
    async fn send(&self, topic: &Arc<Topic>, count: usize) -> Timestamp {
        let queues = topic.queues().len();
        for queue in 0..queues {
            let numbers = (queue..count).step_by(queues);
            let messages: Vec<Outgoing> =
                numbers.map(|number| outgoing(topic, queue, number)).collect();
            if !messages.is_empty() {
                self.produce.send(topic, messages).await.unwrap();
            }
        }
        let sent = self.env.now();
        while self.env.now() <= sent {
            self.env.sleep(Duration::from_millis(1)).await;
        }
        self.env.now()
    }

    async fn over(&self, name: &str) -> Arc<Job> {
        self.until(|| self.catalog.job(name).filter(|job| job.state.is_over())).await
    }

    async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                self.env.sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), looking).await.expect("soon")
    }

    /// What a topic holds, by queue.
    fn held(&self, topic: &Topic) -> Vec<Vec<StoredMessage>> {
        let of = |queue: &metadata::model::TopicQueue| {
            let (log, mut messages) = (&self.owned.get(queue.pg).unwrap().log, Vec::new());
            log.scan(queue.uid, Default::default(), &mut |entry| {
                let record = log.read(entry.lsn).unwrap().body;
                messages.push(protocol::stored::decode(record).unwrap());
                std::ops::ControlFlow::Continue(())
            });
            messages
        };
        topic.queues().iter().map(of).collect()
    }

    async fn receive(&self, topic: &Arc<Topic>, group: &Arc<Group>) -> Vec<Delivery> {
        let ask = Receive {
            topic: Arc::clone(topic),
            group: Arc::clone(group),
            prefer: None,
            filter: Filter::All,
            max: 32,
            invisible: Invisible::Fixed(Duration::from_secs(60)),
            wait: Duration::ZERO,
        };
        let mut all = Vec::new();
        loop {
            let got = self.consume.receive(&ask).await.unwrap();
            if got.is_empty() {
                return all;
            }
            all.extend(got);
        }
    }
}

impl Gateway {
    async fn create(&self, name: &str, spec: &JobSpec) -> Arc<Job> {
        self.replays.create(&job(name), spec).await.unwrap().0
    }

    fn is_idle(&self) -> bool {
        self.replays.at_work() == 0
    }

    async fn stop(self) {
        self.stop.cancel();
        self.following.await.unwrap();
    }
}

fn me(incarnation: u64) -> Owner {
    let gateway = GatewayId::parse("gateway").unwrap();
    Owner { gateway, incarnation: Incarnation(incarnation) }
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn job(name: &str) -> JobName {
    JobName::parse(name).unwrap()
}

fn spec(source: &str, into: Destination) -> JobSpec {
    JobSpec {
        source: TopicName::parse_stored(source).unwrap(),
        from: Timestamp(0),
        to: Timestamp(u64::MAX),
        filter: JobFilter::All,
        into,
        limits: Limits::default(),
    }
}

fn outgoing(topic: &Topic, queue: usize, number: usize) -> Outgoing {
    let host = "127.0.0.1:8081".parse().unwrap();
    let tag = ["a", "b", "c"][number % 3];
    let (id, key) = (format!("id-{number}"), format!("key-{number}"));
    let pairs = [
        (property::UNIQ_KEY, id.as_str()),
        (property::TAGS, tag),
        (property::KEYS, &key),
        ("colour", "red"),
    ];
    let message = StoredMessage {
        queue_id: 0,
        flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag: SysFlag(0),
        born_at: 77,
        born_host: host,
        stored_at: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(number.to_string()),
        topic: topic.name.to_string(),
        properties: pairs.into_iter().collect::<Properties>(),
    };
    let (kind, filter) = (MessageKind::Normal, tag_hash(tag));
    Outgoing { message, kind, filter, durability: None, queue_key: QueueKey::Nth(queue) }
}

fn number(message: &StoredMessage) -> usize {
    std::str::from_utf8(&message.body).unwrap().parse().unwrap()
}

fn numbers<'a>(messages: impl IntoIterator<Item = &'a StoredMessage>) -> Vec<usize> {
    let mut numbers: Vec<usize> = messages.into_iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn delivered(deliveries: &[Delivery]) -> Vec<usize> {
    numbers(deliveries.iter().map(|delivery| &delivery.message))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_of_time_with_a_tag_is_written_into_a_topic_in_order() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 4).await, world.topic("to", 4).await);
    world.send(&from, 10).await;
    let begins = world.send(&from, 100).await;
    world.send(&from, 300).await;
    let ends = world.send(&from, 0).await;
    world.send(&from, 50).await;
    let wanted = JobSpec {
        from: begins,
        to: ends,
        filter: JobFilter::Tags("b || c".to_owned()),
        ..spec("from", Destination::Topic(to.name.clone()))
    };
    let made = gateway.create("j", &wanted).await;
    assert_eq!(gateway.replays.create(&job("j"), &wanted).await.unwrap().0.id, made.id);
    let done = world.over("j").await;
    assert_eq!(done.state, JobState::Done, "{done:?}");
    let held = world.held(&to);
    let expected: Vec<usize> = (0..300).filter(|number| number % 3 != 0).collect();
    assert_eq!(numbers(held.iter().flatten()), expected);
    for queue in &held {
        assert!(queue.iter().map(number).is_sorted(), "in the order of its queue");
    }
    let one = &held[1][0];
    let kept = [property::UNIQ_KEY, property::KEYS, "colour"].map(|name| one.properties.get(name));
    let (id, key) = (format!("id-{}", number(one)), format!("key-{}", number(one)));
    assert_eq!(kept, [Some(id.as_str()), Some(&key), Some("red")]);
    assert_eq!((one.born_at, one.topic.as_str()), (77, "to"));
    let origins: BTreeSet<&str> = held
        .iter()
        .flatten()
        .map(|message| message.properties.get(property::STRATAMQ_REPLAY).unwrap())
        .collect();
    assert_eq!(origins.len(), 200);
    assert!(origins.iter().all(|origin| origin.starts_with(&format!("{}/", made.id))));
    let progress = &done.progress;
    assert_eq!((progress.written, progress.range, progress.passed), (200, 300, 300));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_a_group_comes_to_it_alone_wherever_it_begins() {
    let world = World::new().await;
    let gateway = world.start(1);
    let from = world.topic("from", 4).await;
    world.send(&from, 40).await;
    let (readers, others) = (world.group("readers").await, world.group("others").await);
    assert_eq!(world.receive(&from, &readers).await.len(), 0, "it begins at the end");
    gateway.create("j", &spec("from", Destination::Group(readers.name.clone()))).await;
    assert_eq!(world.over("j").await.state, JobState::Done);
    let readers = world.catalog.group("readers").unwrap();
    let got = world.receive(&from, &readers).await;
    assert_eq!(delivered(&got), (0..40).collect::<Vec<_>>());
    assert!(got.iter().all(|one| one.message.topic == "from" && one.attempt == 1));
    assert_eq!(world.receive(&from, &others).await.len(), 0);
    for one in got {
        assert_eq!(world.consume.ack(&readers, &from, &one.receipt_handle).await, Ok(()));
    }
    world.send(&from, 1).await;
    assert_eq!(world.receive(&from, &readers).await.len(), 1, "and what is new comes as ever");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_rests_goes_on_and_is_cancelled() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 2).await, world.topic("to", 2).await);
    world.send(&from, 60).await;
    let limits = Limits { messages: Some(50), bytes: None };
    let slow = JobSpec { limits, ..spec("from", Destination::Topic(to.name.clone())) };
    let count = |topic: &Topic| world.held(topic).iter().map(Vec::len).sum::<usize>();
    gateway.create("j", &slow).await;
    world.until(|| (count(&to) >= 10).then_some(())).await;
    gateway.replays.pause(&job("j")).await.unwrap();
    let paused = world
        .until(|| world.catalog.job("j").filter(|job| job.progress.written == count(&to) as u64))
        .await;
    assert_eq!(paused.state, JobState::Paused);
    assert!(paused.progress.written < 60);
    gateway.replays.resume(&job("j")).await.unwrap();
    assert_eq!(world.over("j").await.state, JobState::Done);
    assert_eq!(numbers(world.held(&to).iter().flatten()), (0..60).collect::<Vec<_>>());
    let refused = gateway.replays.pause(&job("j")).await.unwrap_err();
    assert_eq!(refused.to_string(), "replay j is done already");
    gateway.create("k", &slow).await;
    gateway.replays.cancel(&job("k")).await.unwrap();
    assert_eq!(world.over("k").await.state, JobState::Cancelled);
    assert_eq!(gateway.replays.cancel(&job("j")).await.unwrap().state, JobState::Done);
    let refused = gateway.replays.resume(&job("k")).await.unwrap_err();
    assert_eq!(refused.to_string(), "replay k is cancelled already");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_goes_on_from_the_record() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 2).await, world.topic("to", 2).await);
    world.send(&from, 300).await;
    let limits = Limits { messages: Some(150), bytes: None };
    let slow = JobSpec { limits, ..spec("from", Destination::Topic(to.name.clone())) };
    gateway.create("j", &slow).await;
    world.until(|| world.catalog.job("j").filter(|job| job.progress.written > 0)).await;
    // Another process of the gateway; the first one still thinks that it is at work, and must find out.
    let next = world.start(2);
    let done = world.over("j").await;
    assert_eq!((done.state.clone(), done.runner.clone()), (JobState::Done, me(2)));
    let held = world.held(&to);
    let mut copies: BTreeMap<usize, usize> = BTreeMap::new();
    held.iter().flatten().for_each(|message| *copies.entry(number(message)).or_default() += 1);
    assert_eq!(copies.keys().copied().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
    let twice = copies.values().filter(|copies| **copies > 1).count();
    assert!(twice <= 2 * 150, "what two processes write in the second of one checkpoint: {twice}");
    gateway.stop().await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_records_how_far_a_job_is_and_nothing_is_written_twice() {
    let world = World::new().await;
    let (from, to) = (world.topic("from", 2).await, world.topic("to", 2).await);
    world.send(&from, 200).await;
    let limits = Limits { messages: Some(100), bytes: None };
    let slow = JobSpec { limits, ..spec("from", Destination::Topic(to.name.clone())) };
    let mut gateway = world.start(1);
    gateway.create("j", &slow).await;
    for incarnation in 2..6 {
        world.env.sleep(Duration::from_millis(120)).await;
        gateway.stop().await;
        assert!(!world.catalog.job("j").unwrap().state.is_over());
        gateway = world.start(incarnation);
    }
    assert_eq!(world.over("j").await.state, JobState::Done);
    assert_eq!(numbers(world.held(&to).iter().flatten()), (0..200).collect::<Vec<_>>());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_go_back_to_their_group_or_to_the_topics_that_they_were_of() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (first, second) = (world.topic("first", 4).await, world.topic("second", 1).await);
    let gone = world.topic("gone", 1).await;
    let readers = world.group("readers").await;
    for (topic, count) in [(&first, 6), (&second, 3), (&gone, 2)] {
        assert!(world.receive(topic, &readers).await.is_empty(), "its place is here");
        world.send(topic, count).await;
        for one in world.receive(topic, &readers).await {
            let dead = world.consume.dead_letter(&readers, topic, &one.receipt_handle).await;
            assert_eq!(dead, Ok(()));
        }
    }
    world.catalog.delete_topic(&gone.name, None).await.unwrap();
    gateway.create("to-group", &spec("%DLQ%readers", Destination::Group(group("readers")))).await;
    let done = world.over("to-group").await;
    assert_eq!((done.state.clone(), done.progress.written), (JobState::Done, 9), "{done:?}");
    assert_eq!(done.progress.left_out, 2, "their topic is gone");
    let readers = world.catalog.group("readers").unwrap();
    for (topic, count) in [(&first, 6), (&second, 3)] {
        let got = world.receive(topic, &readers).await;
        assert_eq!(delivered(&got), (0..count).collect::<Vec<_>>());
        assert!(got.iter().all(|one| one.message.topic == topic.name.as_str()));
        assert!(got[0].message.properties.get(property::RETRY_TOPIC).is_none());
    }
    gateway.create("to-topics", &spec("%DLQ%readers", Destination::Origin)).await;
    assert_eq!(world.over("to-topics").await.progress.written, 9);
    assert_eq!(world.held(&first).iter().map(Vec::len).sum::<usize>(), 12);
    assert_eq!(world.receive(&second, &readers).await.len(), 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_fails_where_its_topics_are_gone() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 2).await, world.topic("to", 2).await);
    world.send(&from, 60).await;
    let limits = Limits { messages: Some(20), bytes: None };
    let slow = JobSpec { limits, ..spec("from", Destination::Topic(to.name.clone())) };
    gateway.create("j", &slow).await;
    world.catalog.delete_topic(&to.name, None).await.unwrap();
    let why = |text: &str| JobState::Failed(text.to_owned());
    assert_eq!(world.over("j").await.state, why("topic to does not exist any more"));
    world.topic("to", 2).await;
    gateway.create("k", &slow).await;
    gateway.replays.pause(&job("k")).await.unwrap();
    world.catalog.delete_topic(&from.name, None).await.unwrap();
    world.topic("from", 2).await;
    world.until(|| gateway.is_idle().then_some(())).await;
    gateway.replays.resume(&job("k")).await.unwrap();
    assert_eq!(world.over("k").await.state, why("topic from does not exist any more"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_fails_where_something_goes_while_it_is_at_work() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 2).await, world.topic("to", 2).await);
    world.send(&from, 200).await;
    let readers = world.group("readers").await;
    let limits = Limits { messages: Some(40), bytes: None };
    let into = |into| JobSpec { limits, ..spec("from", into) };
    let work = async |name: &str, into: JobSpec| {
        gateway.create(name, &into).await;
        world.until(|| world.catalog.job(name).filter(|job| job.progress.written > 0)).await;
    };
    let why = |text: &str| JobState::Failed(text.to_owned());
    work("j", into(Destination::Topic(to.name.clone()))).await;
    world.catalog.delete_topic(&to.name, None).await.unwrap();
    assert_eq!(world.over("j").await.state, why("topic to does not exist any more"));
    work("k", into(Destination::Group(readers.name.clone()))).await;
    let replayed = world.catalog.group("readers").unwrap().replayed(&from)[0];
    world.catalog.delete_group(&readers.name).await.unwrap();
    // As the follower of the catalog does.
    let log = &world.owned.get(replayed.pg).unwrap().log;
    log.forget_queues(&[replayed.uid]);
    assert_eq!(world.over("k").await.state, why("group readers does not exist any more"));
    world.group("readers").await;
    work("l", into(Destination::Group(group("readers")))).await;
    world.catalog.delete_topic(&from.name, None).await.unwrap();
    assert_eq!(world.over("l").await.state, why("topic from does not exist any more"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_counts_and_writes_nothing() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 3).await, world.topic("to", 3).await);
    world.send(&from, 90).await;
    let all = spec("from", Destination::Topic(to.name.clone()));
    let estimate = gateway.replays.estimate(&all).await.unwrap();
    assert_eq!((estimate.messages, estimate.exact, estimate.complete), (90, true, true));
    let filter = JobFilter::Tags("a".to_owned());
    let tagged = gateway.replays.estimate(&JobSpec { filter, ..all.clone() }).await.unwrap();
    assert_eq!((tagged.messages, tagged.exact), (30, false));
    assert!(tagged.bytes * 2 < estimate.bytes && tagged.bytes > 0);
    assert_eq!(world.held(&to).iter().map(Vec::len).sum::<usize>(), 0);
    assert!(world.catalog.jobs().is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_is_refused() {
    let world = World::new().await;
    let gateway = world.start(1);
    let (from, to) = (world.topic("from", 1).await, world.topic("to", 1).await);
    world.group("readers").await;
    let fine = spec(from.name.as_str(), Destination::Topic(to.name.clone()));
    let into = |into| JobSpec { into, ..fine.clone() };
    let far = Timestamp(u64::MAX - 1);
    let filter = |filter| JobSpec { filter, ..fine.clone() };
    let no_rate = Limits { messages: Some(0), bytes: None };
    for (spec, text) in [
        (spec("none", fine.into.clone()), "topic none does not exist"),
        (spec("%RETRY%readers", fine.into.clone()), "topic %RETRY%readers never holds a message"),
        (into(Destination::Topic(topic("none"))), "topic none does not exist"),
        (into(Destination::Group(group("none"))), "group none does not exist"),
        (
            into(Destination::Origin),
            "the messages of topic from do not name a topic that they came from",
        ),
        (
            JobSpec { to: Timestamp(0), ..fine.clone() },
            "the time range is empty: it begins at 0 and ends at 0",
        ),
        (JobSpec { from: far, ..fine.clone() }, "the time range begins in the future"),
        (
            JobSpec { limits: no_rate, ..fine.clone() },
            "a limit of 0 per second would never write anything",
        ),
        (filter(JobFilter::Key(String::new())), "the key is empty"),
        (filter(JobFilter::Tags("||".to_owned())), "the tag expression names no tag"),
    ] {
        let refused = gateway.replays.create(&job("j"), &spec).await.unwrap_err();
        assert_eq!(refused.to_string(), text);
        assert_eq!(gateway.replays.estimate(&spec).await.unwrap_err().to_string(), text);
    }
    gateway.stop().await;
}

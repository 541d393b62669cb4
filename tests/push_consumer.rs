//! The client crate's push consumer against a broker in a process of its own.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use client::{
    Config, Consumed, Delivery, Filter, Message, Metrics, Producer, PushConsumer, PushSettings, Tls,
};
use harness::{Broker, PATIENCE};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, Semaphore};

const JOURNAL: &str = "--journal-capacity=128MiB";

/// A broker with topic `t`.
struct Fixture {
    broker: Broker,
    data: PathBuf,
}

impl Fixture {
    fn open(name: &str) -> Fixture {
        let data = harness::folder(&format!("push-{name}")).join("data");
        std::fs::create_dir_all(&data).unwrap();
        let fixture = Fixture { broker: Broker::start_with(&data, &[JOURNAL]), data };
        fixture.broker.command(&["topic", "create", "t"]);
        fixture
    }

    fn config(&self) -> Config {
        Config::new(self.broker.addresses().grpc.to_string().parse().unwrap())
    }

    /// Sends `count` messages and returns their ids.
    async fn send(&self, count: usize) -> HashSet<String> {
        let producer = Producer::start(self.config(), ["t"]).await.unwrap();
        let mut sent = HashSet::new();
        for message in (0..count).map(|n| Message::new("t", n.to_string())) {
            sent.insert(message.id().to_owned());
            producer.send_one_way(message).await.unwrap();
        }
        producer.close().await;
        assert_eq!(producer.metrics().sent, u64::try_from(count).unwrap());
        sent
    }
}

fn settings() -> PushSettings {
    PushSettings::new("g").subscribe("t", Filter::all())
}

/// What a listener saw: for each message, its attempts in the order in which they came.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl Seen {
    fn note(&self, delivery: &Delivery) {
        let mut seen = self.0.lock().unwrap();
        seen.entry(delivery.id.clone()).or_default().push(delivery.attempt);
    }

    fn ids(&self) -> HashSet<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn attempts(&self) -> Vec<Vec<u32>> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn listeners_run_side_by_side_and_no_more_than_allowed() {
    const AT_ONCE: usize = 4;
    let fixture = Fixture::open("concurrency");
    fixture.send(3 * AT_ONCE).await;
    // Nobody passes until all are there.
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let listener = {
        let (barrier, running, most) = (barrier, Arc::clone(&running), Arc::clone(&most));
        move |_: Arc<Delivery>| {
            let (barrier, running, most) =
                (Arc::clone(&barrier), Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Consumed::Done
            }
        }
    };
    let consumer =
        PushConsumer::start(fixture.config(), settings().concurrency(AT_ONCE), listener).await;
    let consumer = consumer.unwrap();
    until("all to be acknowledged", || consumer.metrics().acked == 3 * AT_ONCE as u64).await;
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    until("nothing to be held", || consumer.metrics().cached_messages == 0).await;
    consumer.close().await;
}

#[tokio::test]
async fn what_fails_or_panics_comes_again_after_the_groups_pause() {
    let fixture = Fixture::open("again");
    fixture.broker.command(&["group", "create", "g", "--retry", "300ms,1s"]);
    let sent = fixture.send(3).await;
    let seen = Seen::default();
    let first_failure = Arc::new(Mutex::new(BTreeMap::<String, Instant>::new()));
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let (seen, first_failure, pauses) =
            (seen.clone(), Arc::clone(&first_failure), Arc::clone(&pauses));
        move |delivery: Arc<Delivery>| {
            let (seen, first_failure, pauses) =
                (seen.clone(), Arc::clone(&first_failure), Arc::clone(&pauses));
            async move {
                seen.note(&delivery);
                let failed = first_failure.lock().unwrap().remove(&delivery.id);
                if let Some(failed) = failed {
                    pauses.lock().unwrap().push(failed.elapsed());
                    return Ok(());
                }
                first_failure.lock().unwrap().insert(delivery.id.clone(), Instant::now());
                assert!(delivery.body != "1", "a listener that panics");
                Err("not yet")
            }
        }
    };
    let consumer = PushConsumer::start(fixture.config(), settings(), listener).await.unwrap();
    until("all to be acknowledged", || consumer.metrics().acked == 3).await;
    consumer.close().await;
    assert_eq!(seen.ids(), sent);
    assert_eq!(seen.attempts(), [[1, 2], [1, 2], [1, 2]]);
    let pauses = pauses.lock().unwrap();
    let least = Duration::from_millis(300);
    assert!(pauses.iter().all(|pause| *pause >= least), "{pauses:?}");
    let metrics = consumer.metrics();
    assert_eq!((metrics.consumed, metrics.consume_failures), (3, 3));
    assert_eq!((metrics.settle_failures, metrics.consume_time.count()), (0, 6));
}

#[tokio::test]
async fn no_more_messages_are_held_than_there_is_room_for() {
    const ROOM: usize = 5;
    const COUNT: usize = 60;
    let fixture = Fixture::open("pressure");
    let sent = fixture.send(COUNT).await;
    let doors = Arc::new(Semaphore::new(0));
    let seen = Seen::default();
    let listener = {
        let (doors, seen) = (Arc::clone(&doors), seen.clone());
        move |delivery: Arc<Delivery>| {
            let (doors, seen) = (Arc::clone(&doors), seen.clone());
            async move {
                doors.acquire().await.unwrap().forget();
                seen.note(&delivery);
                Consumed::Done
            }
        }
    };
    let settings = settings().concurrency(2).cache(ROOM, 1 << 20);
    let consumer = PushConsumer::start(fixture.config(), settings, listener).await.unwrap();
    until("the room to be used", || consumer.metrics().cached_messages > 0).await;
    for _ in 0..COUNT {
        let Metrics { cached_messages, received, acked, .. } = consumer.metrics();
        assert!(cached_messages <= ROOM as u64, "{cached_messages} are held");
        // `acked` was counted after `received`; what came in between was let in for what went.
        assert!(received <= acked + 2 * ROOM as u64, "{received} came, {acked} went");
        doors.add_permits(1);
        until("the next to be settled", || consumer.metrics().acked > acked).await;
    }
    until("all to be acknowledged", || consumer.metrics().acked == COUNT as u64).await;
    assert_eq!(seen.ids(), sent);
    consumer.close().await;
}

#[tokio::test]
async fn a_stop_lets_listeners_end_and_gives_back_what_they_have_not_begun() {
    const COUNT: usize = 200;
    let fixture = Fixture::open("stop");
    let sent = fixture.send(COUNT).await;
    let (first, second) = (Seen::default(), Seen::default());
    let listener = |seen: &Seen, pause: u64| {
        let seen = seen.clone();
        move |delivery: Arc<Delivery>| {
            let seen = seen.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                seen.note(&delivery);
                Consumed::Done
            }
        }
    };
    let slow = listener(&first, 30);
    let consumer =
        PushConsumer::start(fixture.config(), settings().concurrency(4), slow).await.unwrap();
    until("some to be consumed", || first.ids().len() >= 20).await;
    consumer.close().await;
    let stopped = consumer.metrics();
    assert_eq!((stopped.cached_messages, stopped.settle_failures), (0, 0));
    assert_eq!(stopped.acked, stopped.consumed, "who was done with is acknowledged");
    assert_eq!(first.ids().len() as u64, stopped.consumed);
    assert!(first.ids().len() < COUNT, "nothing was left to give back");

    let next = PushConsumer::start(fixture.config(), settings(), listener(&second, 0)).await;
    let next = next.unwrap();
    let rest = COUNT - first.ids().len();
    until("the rest to be consumed", || next.metrics().acked == rest as u64).await;
    next.close().await;
    assert!(first.ids().is_disjoint(&second.ids()), "something was consumed twice");
    assert_eq!(&first.ids() | &second.ids(), sent);
    consumer.close().await;
}

#[tokio::test]
async fn two_consumers_of_a_group_share_its_messages() {
    const COUNT: usize = 200;
    let fixture = Fixture::open("share");
    let seen = [Seen::default(), Seen::default()];
    let mut consumers = Vec::new();
    for seen in seen.clone() {
        let listener = move |delivery: Arc<Delivery>| {
            seen.note(&delivery);
            // Long enough for the other to get its share.
            async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Consumed::Done
            }
        };
        let settings = settings().concurrency(2).cache(8, 1 << 20);
        consumers.push(PushConsumer::start(fixture.config(), settings, listener).await.unwrap());
    }
    let sent = fixture.send(COUNT).await;
    let acked = || consumers.iter().map(|c| c.metrics().acked).sum::<u64>();
    until("all to be acknowledged", || acked() == COUNT as u64).await;
    let [one, other] = seen.map(|seen| seen.ids());
    assert!(one.is_disjoint(&other));
    assert!(!one.is_empty() && !other.is_empty());
    assert_eq!(&one | &other, sent);
    for consumer in consumers {
        consumer.close().await;
    }
}

#[tokio::test]
async fn a_consumer_goes_on_when_the_broker_comes_back() {
    let fixture = Fixture::open("restart");
    let seen = Seen::default();
    let doors = Arc::new(Semaphore::new(0));
    let listener = {
        let (seen, doors) = (seen.clone(), Arc::clone(&doors));
        move |delivery: Arc<Delivery>| {
            let (seen, doors) = (seen.clone(), Arc::clone(&doors));
            async move {
                let _door = doors.acquire().await.unwrap();
                seen.note(&delivery);
                Consumed::Done
            }
        }
    };
    let consumer = PushConsumer::start(fixture.config(), settings(), listener).await.unwrap();
    let mut sent = fixture.send(10).await;
    until("messages to come", || consumer.metrics().received == 10).await;
    let (addresses, data) = (fixture.broker.addresses(), fixture.data.clone());
    fixture.broker.kill();
    // Consumed while nobody can be told; told once somebody can.
    doors.add_permits(20);
    until("the listener to be done", || consumer.metrics().consumed == 10).await;
    until("the endpoint to be isolated", || consumer.metrics().isolated_endpoints == 1).await;
    let fixture = Fixture { broker: Broker::start_again(&data, addresses, &[]), data };
    sent.extend(fixture.send(10).await);
    until("all to be acknowledged", || consumer.metrics().acked == 20).await;
    until("the endpoint to be back", || consumer.metrics().isolated_endpoints == 0).await;
    assert_eq!(seen.ids(), sent);
    assert_eq!(seen.attempts(), vec![vec![1]; 20], "each came once");
    consumer.close().await;
}

#[tokio::test]
async fn a_push_consumer_speaks_tls() {
    let fixture = Fixture::open("tls");
    let sent = fixture.send(5).await;
    let seen = Seen::default();
    let listener = {
        let seen = seen.clone();
        move |delivery: Arc<Delivery>| {
            seen.note(&delivery);
            async { Consumed::Done }
        }
    };
    let config = Config { tls: Tls::TrustAll, ..fixture.config() };
    let consumer = PushConsumer::start(config, settings(), listener).await.unwrap();
    until("all to be acknowledged", || consumer.metrics().acked == 5).await;
    assert_eq!(seen.ids(), sent);
    consumer.close().await;
}

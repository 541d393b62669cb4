//! A broker that is killed at random moments under load, and the history that its clients saw.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of real processes runs on the real clock"
)]

mod harness;

use bytes::Bytes;
use client::{Config, Endpoint, Filter, Message, Outcome, Producer, Receive, SimpleConsumer};
use harness::Broker;
use harness::history::{Acked, Delivered, History, Place, SendOutcome, Sent};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// One queue each: a delivery does not name its broker, so a queue id alone names a queue only then.
const TOPICS: [&str; 4] = ["crash-a", "crash-b", "crash-c", "crash-d"];
const GROUP: &str = "crash-readers";
const PRODUCERS: usize = 6;
const CONSUMERS: usize = 4;
/// Room for 200 rounds of load: a full journal refuses, and what it refuses proves nothing.
const JOURNAL: &str = "--journal-capacity=8GiB";
/// A bundle each so often at most, so that kills meet them, and a rarer one.
const EAGER: &str = "--bundle-age=50ms";
const PATIENT: &str = "--bundle-age=10s";
/// So many rounds one after the other without an ack are no load.
const IDLE_ROUNDS_MAX: usize = 5;
const INVISIBLE: Duration = Duration::from_secs(10);

#[test]
fn no_acknowledged_message_or_ack_is_lost_when_the_broker_is_killed() {
    let rounds = if harness::long() { 200 } else { 6 };
    let data = harness::folder("crash").join("data");
    std::fs::create_dir_all(&data).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut broker = Broker::start_with(&data, &[JOURNAL, EAGER]);
    let addresses = broker.addresses();
    for topic in TOPICS {
        broker.command(&["topic", "create", topic, "--queues", "1"]);
    }
    let mut history = History::default();
    let mut idle = 0;
    for round in 0..rounds {
        let lifetime = Duration::from_millis(200 + RandomState::new().hash_one(round) % 1_500);
        let stop = Arc::new(AtomicBool::new(false));
        let load = runtime.spawn(load(addresses.grpc, round, Arc::clone(&stop)));
        std::thread::sleep(lifetime);
        broker.kill();
        stop.store(true, Ordering::Relaxed);
        let seen = runtime.block_on(load).unwrap();
        println!(
            "round {round}: killed after {lifetime:?}; {} sent, {} delivered, {} acked",
            seen.sent.len(),
            seen.delivered.len(),
            seen.acked.len()
        );
        idle = if seen.acked.is_empty() { idle + 1 } else { 0 };
        assert!(idle < IDLE_ROUNDS_MAX, "{idle} rounds without load: is the journal full?");
        history.merge(seen);
        // Eager lives are killed in an upload, a commit or a fold; the others with a journal that is all there is.
        let age = if round % 3 == 2 { PATIENT } else { EAGER };
        broker = Broker::start_again(&data, addresses, &[JOURNAL, age]);
    }
    runtime.block_on(drain(addresses.grpc, &mut history));
    let faults = history.faults();
    let acknowledged =
        history.sent.iter().filter(|sent| sent.outcome == SendOutcome::Acknowledged).count();
    println!(
        "{rounds} rounds: {acknowledged} acknowledged of {} sent, {} deliveries, {} acks",
        history.sent.len(),
        history.delivered.len(),
        history.acked.len()
    );
    assert!(acknowledged > rounds && history.acked.len() > rounds, "there was hardly any load");
    assert!(faults.is_empty(), "{} faults, the first:\n{}", faults.len(), show(&faults));
    assert_eq!(broker.stop().1, Some(0), "a stop after all this is still a clean one");
    let store = harness::store_of(&data);
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(["fsck", "--deep", "--proof", "--store", &store, "--data"])
        .arg(&data)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && !told.contains(" 0 objects"), "{told}");
    println!("{told}");
}

fn show(faults: &[String]) -> String {
    faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
}

/// Producers and consumers until the broker is gone.
async fn load(grpc: SocketAddr, round: usize, stop: Arc<AtomicBool>) -> History {
    let mut tasks = JoinSet::new();
    for number in 0..PRODUCERS {
        tasks.spawn(produce(grpc, format!("{round}-{number}"), number, Arc::clone(&stop)));
    }
    for number in 0..CONSUMERS {
        tasks.spawn(consume(grpc, TOPICS[number % TOPICS.len()], Arc::clone(&stop)));
    }
    let mut history = History::default();
    while let Some(seen) = tasks.join_next().await {
        history.merge(seen.unwrap());
    }
    history
}

fn config(grpc: SocketAddr) -> Config {
    Config {
        request_timeout: Duration::from_millis(1_500),
        ..Config::new(grpc.to_string().parse::<Endpoint>().unwrap())
    }
}

async fn produce(grpc: SocketAddr, name: String, number: usize, stop: Arc<AtomicBool>) -> History {
    let mut history = History::default();
    let topic = TOPICS[number % TOPICS.len()];
    let Ok(producer) = Producer::start(config(grpc), [topic]).await else { return history };
    let padding = "x".repeat(number * 700);
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let message = format!("{name}-{count}");
        let body = Bytes::from(format!("{message} {padding}"));
        let outcome = match producer.send(Message::new(topic, body)).await {
            Ok(_) => SendOutcome::Acknowledged,
            Err(error) => match error.outcome() {
                Outcome::NotApplied => SendOutcome::Refused,
                Outcome::Unknown => SendOutcome::Unknown,
            },
        };
        history.sent.push(Sent { message, outcome });
        if outcome != SendOutcome::Acknowledged {
            break;
        }
    }
    history
}

async fn consume(grpc: SocketAddr, topic: &str, stop: Arc<AtomicBool>) -> History {
    let mut history = History::default();
    let filters = [(topic.to_owned(), Filter::all())];
    let Ok(consumer) = SimpleConsumer::start(config(grpc), GROUP, filters).await else {
        return history;
    };
    while !stop.load(Ordering::Relaxed) {
        if receive_and_ack(&consumer, &mut history).await.is_err() {
            break;
        }
    }
    history
}

/// One receive and its acks; how many messages came.
async fn receive_and_ack(
    consumer: &SimpleConsumer,
    history: &mut History,
) -> Result<usize, client::Error> {
    let how = Receive { invisible: INVISIBLE, wait: Duration::from_secs(5), ..Receive::default() };
    let receive_began = Instant::now();
    let deliveries = consumer.receive(how).await?;
    for delivery in &deliveries {
        history.delivered.push(Delivered {
            message: name(&delivery.body),
            place: Place(delivery.topic.clone(), delivery.queue_id, delivery.offset),
            attempt: delivery.attempt.cast_signed(),
            receive_began,
        });
    }
    for (delivery, acked) in deliveries.iter().zip(consumer.ack_all(&deliveries).await) {
        if acked.is_ok() {
            let answered = Instant::now();
            history.acked.push(Acked { message: name(&delivery.body), answered });
        }
    }
    Ok(deliveries.len())
}

fn name(body: &[u8]) -> String {
    String::from_utf8_lossy(body).split(' ').next().unwrap_or_default().to_owned()
}

/// Receives until every acknowledged message has come, and once more past every invisible time.
async fn drain(grpc: SocketAddr, history: &mut History) {
    let began = Instant::now();
    let filters = TOPICS.map(|topic| (topic.to_owned(), Filter::all()));
    let consumer = SimpleConsumer::start(config(grpc), GROUP, filters).await.unwrap();
    loop {
        let came = receive_and_ack(&consumer, history).await.unwrap();
        let delivered: HashSet<_> = history.delivered.iter().map(|seen| &seen.message).collect();
        let missing = history
            .sent
            .iter()
            .filter(|sent| sent.outcome == SendOutcome::Acknowledged)
            .filter(|sent| !delivered.contains(&sent.message))
            .count();
        let settled = came == 0 && missing == 0 && began.elapsed() > INVISIBLE * 2;
        if settled || began.elapsed() > Duration::from_secs(120) {
            return;
        }
    }
}

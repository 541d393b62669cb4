//! The client against Apache's own proxy, or any other server that is there already.
//!
//! `client/tests/apache/run` starts Apache's servers and runs this; against a server that is there:
//! `ROCKETMQ_PROXY=127.0.0.1:8081 cargo test -p stratamq-client --test apache -- --ignored`
//!
//! The topic `ROCKETMQ_TOPIC` (default `stratamq-client`, of type `NORMAL`) must exist, and the
//! group `ROCKETMQ_GROUP` (default `stratamq-client`) unless the server makes groups by itself.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use client::{
    Config, Consumed, Delivery, Error, Filter, Message, Producer, PushConsumer, PushSettings,
    Receive, SimpleConsumer, Tls,
};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);

struct Peer {
    config: Config,
    topic: String,
    group: String,
}

fn peer() -> Peer {
    let word = |name: &str| std::env::var(name).ok();
    let endpoint = word("ROCKETMQ_PROXY").expect("ROCKETMQ_PROXY names the server, HOST:PORT");
    let name = |variable| word(variable).unwrap_or_else(|| "stratamq-client".to_owned());
    Peer {
        config: Config::new(endpoint.parse().unwrap()),
        topic: name("ROCKETMQ_TOPIC"),
        group: name("ROCKETMQ_GROUP"),
    }
}

/// Everything in one go: the other suites know the parts, this is about the other side.
#[tokio::test]
#[ignore = "needs a server: ROCKETMQ_PROXY=HOST:PORT, then -- --ignored"]
async fn what_is_sent_is_consumed_by_a_push_and_by_a_simple_consumer() {
    let Peer { config, topic, group } = peer();
    let pushed = Arc::new(Mutex::new((HashSet::new(), HashSet::new())));
    let listener = {
        let pushed = Arc::clone(&pushed);
        move |delivery: Arc<Delivery>| {
            let mut pushed = pushed.lock().unwrap();
            let (failed, consumed) = &mut *pushed;
            // Every tenth fails at first.
            let tenth = delivery.properties.get("number").is_some_and(|n| n.ends_with('7'));
            let result = if tenth && failed.insert(delivery.id.clone()) {
                Consumed::After(Duration::from_secs(1))
            } else {
                consumed.insert(delivery.id.clone());
                Consumed::Done
            };
            async move { result }
        }
    };
    let settings = PushSettings::new(&group).subscribe(&topic, Filter::Tag("a || b".to_owned()));
    let consumer = PushConsumer::start(config.clone(), settings, listener).await.unwrap();

    let producer = Producer::start(config.clone(), [&topic]).await.unwrap();
    let mut sent = HashSet::new();
    for number in 0..50 {
        let message = Message::new(&topic, format!("message {number}"))
            .tag(["a", "b"][number % 2])
            .property("number", number.to_string());
        sent.insert(producer.send(message).await.unwrap().message_id);
    }
    let batch: Vec<Message> =
        (0..10).map(|n| Message::new(&topic, format!("batch {n}")).tag("b")).collect();
    sent.extend(producer.send_many(&batch).await.unwrap().into_iter().map(|r| r.message_id));
    producer.send_one_way(Message::new(&topic, "nobody wants it").tag("c")).await.unwrap();
    producer.close().await;
    assert_eq!(producer.metrics().sent, 61);

    let began = Instant::now();
    while !sent.is_subset(&pushed.lock().unwrap().1) {
        let consumed = pushed.lock().unwrap().1.len();
        assert!(began.elapsed() < PATIENCE, "{consumed}: {:?}", consumer.metrics());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    consumer.close().await;
    let metrics = consumer.metrics();
    assert!(metrics.consume_failures >= 5, "{metrics:?}");
    assert_eq!(metrics.settle_failures, 0, "{metrics:?}");
    simple(config, &topic, &group).await;
}

/// TLS on the same port, and the calls of a simple consumer.
async fn simple(config: Config, topic: &str, group: &str) {
    let config = Config { tls: Tls::TrustAll, ..config };
    let producer = Producer::start(config.clone(), [topic]).await.unwrap();
    let sent = producer.send(Message::new(topic, "simple").tag("simple")).await.unwrap();
    let filter = Filter::Tag("simple".to_owned());
    let consumer = SimpleConsumer::start(config, group, [(topic, filter)]).await.unwrap();
    let began = Instant::now();
    let found = loop {
        assert!(began.elapsed() < PATIENCE, "the message did not come");
        let mut batch = consumer.receive(Receive::default()).await.unwrap();
        if let Some(at) = batch.iter().position(|delivery| delivery.id == sent.message_id) {
            break batch.swap_remove(at);
        }
    };
    consumer.ack(&found).await.unwrap();
    let unknown = Producer::start(peer().config, ["there-is-no-such-topic"]).await.err();
    assert!(matches!(unknown, Some(Error::Refused { .. })), "{unknown:?}");
    consumer.close().await;
    producer.close().await;
}

/// Order as the server keeps it: `ROCKETMQ_FIFO` (default `stratamq-client-fifo`) names a topic of
/// type `FIFO` and a group that consumes in order.
#[tokio::test]
#[ignore = "needs a server: ROCKETMQ_PROXY=HOST:PORT, then -- --ignored"]
async fn messages_of_a_group_are_consumed_in_their_order() {
    const GROUPS: usize = 4;
    const EACH: usize = 15;
    let config = peer().config;
    let name = std::env::var("ROCKETMQ_FIFO").unwrap_or_else(|_| "stratamq-client-fifo".to_owned());
    let consumed: Arc<Mutex<Vec<String>>> = Arc::default();
    let failed = Arc::new(Mutex::new(HashSet::new()));
    let listener = {
        let consumed = Arc::clone(&consumed);
        move |delivery: Arc<Delivery>| {
            let body = String::from_utf8(delivery.body.to_vec()).unwrap();
            // The fifth of each group fails once; those behind it wait.
            let fails = body.ends_with("-05") && failed.lock().unwrap().insert(body.clone());
            if !fails {
                consumed.lock().unwrap().push(body);
            }
            async move {
                if fails { Consumed::After(Duration::from_millis(50)) } else { Consumed::Done }
            }
        }
    };
    let settings = PushSettings::new(&name).subscribe(&name, Filter::all());
    let consumer = PushConsumer::start(config.clone(), settings, listener).await.unwrap();
    let producer = Producer::start(config, [&name]).await.unwrap();
    let run = Message::new(&name, "").id().to_owned();
    for number in 0..EACH {
        for group in 0..GROUPS {
            let body = format!("{run}-{group}-{number:02}");
            let message = Message::new(&name, body).group(format!("{run}-{group}"));
            producer.send(message).await.unwrap();
        }
    }
    let of_group = |group: usize| {
        let prefix = format!("{run}-{group}-");
        let consumed = consumed.lock().unwrap();
        consumed.iter().filter(|body| body.starts_with(&prefix)).cloned().collect::<Vec<_>>()
    };
    let began = Instant::now();
    while (0..GROUPS).any(|group| of_group(group).len() < EACH) {
        assert!(began.elapsed() < PATIENCE, "{:?}", consumer.metrics());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    consumer.close().await;
    producer.close().await;
    for group in 0..GROUPS {
        let expected: Vec<String> =
            (0..EACH).map(|number| format!("{run}-{group}-{number:02}")).collect();
        assert_eq!(of_group(group), expected);
    }
}

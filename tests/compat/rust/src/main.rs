//! The compatibility scenarios (see ../README.md) with the official Rust client.
//!
//! The scenarios mostly wait, so all of them run at once, each on its own topic and group. This client
//! has no push consumer and cannot change an invisible duration: what needs them is skipped.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocketmq::conf::{ClientOption, ProducerOption, SimpleConsumerOption};
use rocketmq::error::ClientError;
use rocketmq::model::common::{Endpoints, FilterExpression, FilterType};
use rocketmq::model::message::{AckMessageEntry, MessageBuilder, MessageView};
use rocketmq::{Producer, SimpleConsumer};
use tokio::time::sleep;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Scenario = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The shortest invisible duration that ReceiveMessage accepts.
const SHORTEST: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
/// This client gives a receive no more time than the long poll itself, and a server wants 5 s left.
const AWAIT: Duration = Duration::from_secs(7);
/// How long a scenario waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(90);

const SKIPPED: [(&str, &str); 5] = [
    ("nack", "this client cannot change an invisible duration"),
    ("push", "this client has no push consumer"),
    ("push_retry", "this client has no push consumer"),
    ("push_dead_letter", "this client has no push consumer"),
    ("superseded_handle", "this client cannot change an invisible duration"),
];

#[tokio::main]
async fn main() -> ExitCode {
    for (name, why) in SKIPPED {
        println!("skip {name}: {why}");
    }
    let shared = match producer(&topic("basic")).await {
        Ok(producer) => Arc::new(producer),
        Err(e) => {
            println!("FAIL start: {}", one_line(&e));
            return ExitCode::FAILURE;
        }
    };
    let p = || shared.clone();
    let scenarios: [(&str, Scenario); 11] = [
        ("send_and_receive", Box::pin(send_and_receive(p()))),
        ("ack", Box::pin(ack(p()))),
        ("dead_letter", Box::pin(dead_letter(p()))),
        ("tag_filter", Box::pin(tag_filter(p()))),
        ("shared_group", Box::pin(shared_group(p()))),
        ("unknown_topic", Box::pin(unknown_topic())),
        ("illegal_topic", Box::pin(illegal_topic())),
        ("body_too_large", Box::pin(body_too_large())),
        ("second_ack", Box::pin(second_ack(p()))),
        ("expired_handle", Box::pin(expired_handle(p()))),
        ("undecodable_handle", Box::pin(undecodable_handle(p()))),
    ];
    let mut running = Vec::new();
    for (name, scenario) in scenarios {
        running.push(tokio::spawn(async move {
            // A task of its own: this client may panic where it should return an error.
            let outcome = match tokio::spawn(scenario).await {
                Ok(outcome) => outcome,
                Err(panic) => Err(panic.into()),
            };
            match &outcome {
                Ok(()) => println!("ok {name}"),
                Err(e) => println!("FAIL {name}: {}", one_line(e)),
            }
            outcome.is_ok()
        }));
    }
    let mut good = true;
    for scenario in running {
        good &= scenario.await.unwrap_or(false);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn send_and_receive(shared: Arc<Producer>) -> Outcome {
    let consumer = consumer("basic").await?;
    let mut sent = HashMap::new();
    for i in 0..20 {
        let body = if i == 0 { vec![7; 1 << 20] } else { format!("message {i}").into_bytes() };
        let message = MessageBuilder::builder()
            .set_topic(topic("basic"))
            .set_body(body.clone())
            .set_tag("blue")
            .set_keys(vec![format!("key-{i}"), "second".to_owned()])
            .set_properties(HashMap::from([("colour", format!("blüe {i}"))]))
            .build()?;
        sent.insert(shared.send(message).await?.message_id().to_owned(), body);
    }
    check(sent.len() == 20, "message ids repeat")?;
    for view in receive(&consumer, "basic", 20, LONG).await? {
        let body = sent.remove(view.message_id());
        check(
            body.as_deref() == Some(view.body()),
            "another body, or a message id not sent, or twice",
        )?;
        check(view.topic() == topic("basic"), view.topic())?;
        check(view.tag() == Some("blue"), "the tag differs")?;
        check(view.keys().len() == 2 && view.keys()[1] == "second", "the keys differ")?;
        check(view.properties().len() == 1, "the properties differ")?;
        check(view.properties()["colour"].starts_with("blüe "), "the property differs")?;
        check(view.delivery_attempt() == 1, "another attempt than the first")?;
        check(
            !view.born_host().is_empty() && view.born_timestamp() > 0,
            "born host or time missing",
        )?;
        consumer.ack(&view).await?;
    }
    Ok(consumer.shutdown().await?)
}

async fn ack(shared: Arc<Producer>) -> Outcome {
    let consumer = consumer("ack").await?;
    send(&shared, "ack", 10).await?;
    for view in receive(&consumer, "ack", 10, SHORTEST).await? {
        consumer.ack(&view).await?;
    }
    silence(&consumer, &topic("ack"), "*", SHORTEST + AWAIT).await?;
    Ok(consumer.shutdown().await?)
}

async fn dead_letter(shared: Arc<Producer>) -> Outcome {
    let consumer = consumer("dlq").await?;
    let id = send(&shared, "dlq", 1).await?.remove(0);
    for attempt in [1, 2] {
        receive_attempt(&consumer, "dlq", &id, attempt, SHORTEST).await?;
    }
    sleep(SHORTEST).await;
    let letters = format!("%DLQ%{}", group("dlq"));
    let deadline = Instant::now() + PATIENCE;
    let reader = loop {
        check(Instant::now() < deadline, "no dead letter")?;
        silence(&consumer, &topic("dlq"), "*", AWAIT).await?;
        // Apache RocketMQ knows the topic only from its first letter on.
        match subscriber(&letters, &group("dlq-reader")).await {
            Ok(reader) => break reader,
            Err(e) => check(has_code(&e, "TOPIC_NOT_FOUND"), &e.to_string())?,
        }
    };
    let found = receive_from(&reader, &letters, "*", 1, LONG).await?;
    check(found[0].message_id() == id, "another message in the dead-letter topic")?;
    check(found[0].body() == b"message 0", "another body in the dead-letter topic")?;
    reader.ack(&found[0]).await?;
    silence(&reader, &letters, "*", Duration::from_secs(1)).await?;
    silence(&consumer, &topic("dlq"), "*", AWAIT).await?;
    reader.shutdown().await?;
    Ok(consumer.shutdown().await?)
}

/// "Aa" and "BB" have the same Java hash code: the text must be compared too.
async fn tag_filter(shared: Arc<Producer>) -> Outcome {
    const FILTER: &str = "Aa || green";
    let consumer = consumer("tag").await?;
    let mut wanted = HashSet::new();
    for _ in 0..4 {
        for tag in ["Aa", "BB", "green", "red", ""] {
            let mut builder =
                MessageBuilder::builder().set_topic(topic("tag")).set_body(b"x".to_vec());
            if !tag.is_empty() {
                builder = builder.set_tag(tag);
            }
            let receipt = shared.send(builder.build()?).await?;
            if tag == "Aa" || tag == "green" {
                wanted.insert(receipt.message_id().to_owned());
            }
        }
    }
    for view in receive_from(&consumer, &topic("tag"), FILTER, 8, LONG).await? {
        check(wanted.remove(view.message_id()), "not wanted, or twice")?;
        consumer.ack(&view).await?;
    }
    silence(&consumer, &topic("tag"), FILTER, AWAIT).await?;
    Ok(consumer.shutdown().await?)
}

async fn shared_group(shared: Arc<Producer>) -> Outcome {
    const TOTAL: usize = 200;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let total = Arc::new(AtomicUsize::new(0));
    let deadline = Instant::now() + PATIENCE;
    let mut shares = Vec::new();
    for _ in 0..2 {
        let consumer = consumer("shared").await?;
        let (seen, total) = (seen.clone(), total.clone());
        shares.push(tokio::spawn(async move {
            let mut mine = 0;
            while total.load(Ordering::SeqCst) < TOTAL && Instant::now() < deadline {
                for view in receive_once(&consumer, &topic("shared"), "*", 4, LONG).await? {
                    seen.lock().expect("no holder panics").push(view.message_id().to_owned());
                    total.fetch_add(1, Ordering::SeqCst);
                    mine += 1;
                    consumer.ack(&view).await?;
                }
            }
            Ok::<_, ClientError>((mine, consumer))
        }));
    }
    let mut sent = send(&shared, "shared", TOTAL).await?;
    let mut consumers = Vec::new();
    for share in shares {
        let (mine, consumer) = share.await??;
        check(mine > 0, "one consumer got nothing")?;
        consumers.push(consumer);
    }
    let mut seen = std::mem::take(&mut *seen.lock().expect("no holder panics"));
    seen.sort();
    sent.sort();
    check(seen == sent, &format!("received {}, and not the {TOTAL} that were sent", seen.len()))?;
    for consumer in consumers {
        silence(&consumer, &topic("shared"), "*", Duration::from_secs(1)).await?;
        consumer.shutdown().await?;
    }
    Ok(())
}

async fn unknown_topic() -> Outcome {
    refused("TOPIC_NOT_FOUND", producer(&topic("never-created")).await)
}

/// Apache RocketMQ refuses this client's settings, which come before its first route query: on the
/// Telemetry stream, whose errors are gRPC's. A server may also let the route query refuse.
async fn illegal_topic() -> Outcome {
    for name in ["c.with.dots", "TBW102"] {
        match producer(name).await {
            Ok(_) => return Err(format!("not refused: {name}").into()),
            Err(e) if has_code(&e, "ILLEGAL_TOPIC") => {}
            Err(e) => check(e.to_string().contains("InvalidArgument"), &e.to_string())?,
        }
    }
    Ok(())
}

/// This client sends what it is given: the server refuses.
async fn body_too_large() -> Outcome {
    let own = producer(&topic("errors")).await?;
    let message =
        |size| MessageBuilder::builder().set_topic(topic("errors")).set_body(vec![0; size]).build();
    own.send(message(4 << 20)?).await?;
    refused("MESSAGE_BODY_TOO_LARGE", own.send(message((4 << 20) + 1)?).await)?;
    Ok(own.shutdown().await?)
}

async fn second_ack(shared: Arc<Producer>) -> Outcome {
    let consumer = consumer("doubleack").await?;
    let id = send(&shared, "doubleack", 1).await?.remove(0);
    let view = receive_attempt(&consumer, "doubleack", &id, 1, LONG).await?;
    consumer.ack(&view).await?;
    consumer.ack(&view).await?;
    Ok(consumer.shutdown().await?)
}

async fn expired_handle(shared: Arc<Producer>) -> Outcome {
    let consumer = consumer("expired").await?;
    let id = send(&shared, "expired", 1).await?.remove(0);
    let view = receive_attempt(&consumer, "expired", &id, 1, SHORTEST).await?;
    sleep(SHORTEST + Duration::from_secs(1)).await;
    refused("INVALID_RECEIPT_HANDLE", consumer.ack(&view).await)?;
    let again = receive_attempt(&consumer, "expired", &id, 2, LONG).await?;
    consumer.ack(&again).await?;
    Ok(consumer.shutdown().await?)
}

async fn undecodable_handle(shared: Arc<Producer>) -> Outcome {
    struct Junk(MessageView);
    impl AckMessageEntry for Junk {
        fn topic(&self) -> String {
            AckMessageEntry::topic(&self.0)
        }
        fn message_id(&self) -> String {
            AckMessageEntry::message_id(&self.0)
        }
        fn receipt_handle(&self) -> String {
            "junk".to_owned()
        }
        fn endpoints(&self) -> &Endpoints {
            self.0.endpoints()
        }
    }
    let consumer = consumer("junk").await?;
    let id = send(&shared, "junk", 1).await?.remove(0);
    let junk = Junk(receive_attempt(&consumer, "junk", &id, 1, LONG).await?);
    // Apache RocketMQ answers INTERNAL_SERVER_ERROR here, which tells a client to try again for ever.
    let apache = std::env::var("COMPAT_PEER").is_ok_and(|peer| peer == "apache");
    let code = if apache { "INTERNAL_SERVER_ERROR" } else { "INVALID_RECEIPT_HANDLE" };
    refused(code, consumer.ack(&junk).await)?;
    consumer.ack(&junk.0).await?;
    Ok(consumer.shutdown().await?)
}

fn options() -> ClientOption {
    let mut options = ClientOption::default();
    options.set_access_url(std::env::var("COMPAT_ENDPOINT").unwrap_or_default());
    options.set_enable_tls(false);
    options.set_timeout(Duration::from_secs(10));
    options.set_long_polling_timeout(AWAIT);
    options
}

async fn producer(topic: &str) -> Result<Producer, ClientError> {
    let mut own = ProducerOption::default();
    own.set_topics(vec![topic]);
    let mut producer = Producer::new(own, options())?;
    producer.start().await?;
    Ok(producer)
}

async fn consumer(name: &str) -> Result<SimpleConsumer, ClientError> {
    subscriber(&topic(name), &group(name)).await
}

async fn subscriber(topic: &str, group: &str) -> Result<SimpleConsumer, ClientError> {
    let mut own = SimpleConsumerOption::default();
    own.set_topics(vec![topic]);
    own.set_consumer_group(group);
    let mut consumer = SimpleConsumer::new(own, options())?;
    consumer.start().await?;
    Ok(consumer)
}

async fn send(shared: &Producer, name: &str, count: usize) -> Result<Vec<String>, ClientError> {
    let mut ids = Vec::new();
    for i in 0..count {
        let body = format!("message {i}").into_bytes();
        let message = MessageBuilder::builder().set_topic(topic(name)).set_body(body).build()?;
        ids.push(shared.send(message).await?.message_id().to_owned());
    }
    Ok(ids)
}

async fn receive_once(
    consumer: &SimpleConsumer,
    topic: &str,
    filter: &str,
    count: i32,
    invisible: Duration,
) -> Result<Vec<MessageView>, ClientError> {
    let filter = FilterExpression::new(FilterType::Tag, filter);
    consumer.receive_with(topic, &filter, count, invisible).await
}

async fn receive_from(
    consumer: &SimpleConsumer,
    topic: &str,
    filter: &str,
    count: usize,
    invisible: Duration,
) -> Result<Vec<MessageView>, Box<dyn Error + Send + Sync>> {
    let mut views = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while views.len() < count && Instant::now() < deadline {
        views.extend(receive_once(consumer, topic, filter, 16, invisible).await?);
    }
    check(views.len() == count, &format!("received {} instead of {count}", views.len()))?;
    Ok(views)
}

async fn receive(
    consumer: &SimpleConsumer,
    name: &str,
    count: usize,
    invisible: Duration,
) -> Result<Vec<MessageView>, Box<dyn Error + Send + Sync>> {
    receive_from(consumer, &topic(name), "*", count, invisible).await
}

async fn receive_attempt(
    consumer: &SimpleConsumer,
    name: &str,
    id: &str,
    attempt: i32,
    invisible: Duration,
) -> Result<MessageView, Box<dyn Error + Send + Sync>> {
    let view = receive(consumer, name, 1, invisible).await?.remove(0);
    check(view.message_id() == id, "another message")?;
    let actual = view.delivery_attempt();
    check(actual == attempt, &format!("attempt {actual} instead of {attempt}"))?;
    Ok(view)
}

/// Fails if anything is delivered within this time.
async fn silence(consumer: &SimpleConsumer, topic: &str, filter: &str, time: Duration) -> Outcome {
    let end = Instant::now() + time;
    loop {
        if let Some(view) = receive_once(consumer, topic, filter, 16, LONG).await?.first() {
            return Err(format!("delivered again, attempt {}", view.delivery_attempt()).into());
        }
        if Instant::now() >= end {
            return Ok(());
        }
    }
}

fn refused<T>(code: &str, outcome: Result<T, ClientError>) -> Outcome {
    match outcome {
        Ok(_) => Err("not refused".into()),
        Err(e) if has_code(&e, code) => Ok(()),
        Err(e) => Err(format!("refused with {e} instead of {code}").into()),
    }
}

fn has_code(error: &ClientError, code: &str) -> bool {
    error.context().iter().any(|(key, value)| *key == "code" && value == code)
}

fn check(condition: bool, otherwise: &str) -> Outcome {
    if condition { Ok(()) } else { Err(otherwise.into()) }
}

fn one_line(e: &impl ToString) -> String {
    e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn topic(name: &str) -> String {
    format!("{}-{name}", std::env::var("COMPAT_NAMES").unwrap_or_default())
}

fn group(name: &str) -> String {
    format!("{}-g", topic(name))
}

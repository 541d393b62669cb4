//! The client crate against a broker in a process of its own.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use client::{
    Advice, Code, Config, Delivery, Error, Filter, Message, Outcome, Producer, Receive,
    SimpleConsumer, Tls,
};
use harness::Broker;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const JOURNAL: &str = "--journal-capacity=128MiB";

/// A broker with topic `t`.
struct Fixture {
    broker: Broker,
    data: PathBuf,
}

impl Fixture {
    fn open(name: &str) -> Fixture {
        let data = harness::folder(&format!("client-{name}")).join("data");
        std::fs::create_dir_all(&data).unwrap();
        let fixture = Fixture { broker: Broker::start_with(&data, &[JOURNAL]), data };
        fixture.broker.command(&["topic", "create", "t"]);
        fixture
    }

    fn config(&self) -> Config {
        Config::new(self.broker.addresses().grpc.to_string().parse().unwrap())
    }

    async fn producer(&self) -> Producer {
        Producer::start(self.config(), ["t"]).await.unwrap()
    }

    async fn consumer(&self, filter: Filter) -> SimpleConsumer {
        SimpleConsumer::start(self.config(), "g", [("t", filter)]).await.unwrap()
    }
}

/// How many clients of group `g` the broker at `http` knows.
fn members(http: SocketAddr) -> usize {
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(["group", "describe", "g", "--json", "--admin", &http.to_string()])
        .output()
        .unwrap();
    let detail: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    detail["consumers"].as_array().map_or(0, Vec::len)
}

/// Receives until `count` messages are there; the poll that waits for more gives up by itself.
async fn receive(consumer: &SimpleConsumer, count: usize) -> Vec<Delivery> {
    let mut received = Vec::new();
    while received.len() < count {
        let batch = consumer.receive(Receive::default()).await.unwrap();
        assert!(!batch.is_empty(), "{} of {count} messages came", received.len());
        received.extend(batch);
    }
    received
}

#[tokio::test]
async fn what_is_sent_is_received_as_it_was() {
    let fixture = Fixture::open("whole");
    let producer = fixture.producer().await;
    let message = Message::new("t", "body").tag("a").key("k1").key("k2").property("p", "v");
    let receipt = producer.send(message.clone()).await.unwrap();
    assert_eq!(receipt.message_id, message.id());
    let consumer = fixture.consumer(Filter::all()).await;
    let delivery = receive(&consumer, 1).await.remove(0);
    assert_eq!(delivery.id, message.id());
    assert_eq!((delivery.topic.as_str(), delivery.body.as_ref()), ("t", &b"body"[..]));
    assert_eq!(delivery.tag.as_deref(), Some("a"));
    assert_eq!(delivery.keys, ["k1", "k2"]);
    assert_eq!(delivery.properties.get("p").map(String::as_str), Some("v"));
    assert_eq!((delivery.attempt, delivery.offset), (1, receipt.offset));
    assert!(delivery.born_at.is_some() && delivery.stored_at.is_some());
    consumer.ack(&delivery).await.unwrap();
    consumer.ack(&delivery).await.expect("an ack may be repeated");
    producer.close().await;
    consumer.close().await;
    assert!(matches!(producer.send(Message::new("t", "x")).await, Err(Error::Closed)));
    assert!(matches!(consumer.receive(Receive::default()).await, Err(Error::Closed)));
}

#[tokio::test]
async fn many_senders_at_once_lose_nothing_over_several_connections() {
    const COUNT: usize = 500;
    let fixture = Fixture::open("many");
    let config = Config { connections: 3, ..fixture.config() };
    let producer = Producer::start(config, ["t"]).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..COUNT {
        let producer = producer.clone();
        tasks.spawn(async move { producer.send(Message::new("t", number.to_string())).await });
    }
    let sent: HashSet<String> =
        tasks.join_all().await.into_iter().map(|receipt| receipt.unwrap().message_id).collect();
    let consumer = fixture.consumer(Filter::all()).await;
    let mut seen = HashSet::new();
    while seen.len() < COUNT {
        let batch = receive(&consumer, 1).await;
        for acked in consumer.ack_all(&batch).await {
            acked.unwrap();
        }
        seen.extend(batch.into_iter().map(|delivery| delivery.id));
    }
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn messages_of_one_request_stand_side_by_side_in_one_queue() {
    let fixture = Fixture::open("batch");
    let producer = fixture.producer().await;
    let messages: Vec<Message> = (0..5).map(|n| Message::new("t", n.to_string())).collect();
    let receipts = producer.send_many(&messages).await.unwrap();
    let offsets: Vec<i64> = receipts.iter().map(|receipt| receipt.offset).collect();
    assert_eq!(offsets, (offsets[0]..offsets[0] + 5).collect::<Vec<_>>());
    let consumer = fixture.consumer(Filter::all()).await;
    let received = receive(&consumer, 5).await;
    let queues: HashSet<i32> = received.iter().map(|delivery| delivery.queue_id).collect();
    assert_eq!(queues.len(), 1);
    let nothing = producer.send_many(&[]).await.unwrap_err();
    assert!(matches!(nothing, Error::Invalid { .. }), "{nothing:?}");
}

#[tokio::test]
async fn a_message_given_back_comes_again_with_its_attempt_raised() {
    let fixture = Fixture::open("nack");
    fixture.producer().await.send(Message::new("t", "x")).await.unwrap();
    let consumer = fixture.consumer(Filter::all()).await;
    let mut first = receive(&consumer, 1).await.remove(0);
    let before = first.receipt_handle().to_owned();
    consumer.change_invisible(&mut first, Duration::from_millis(10)).await.unwrap();
    assert_ne!(first.receipt_handle(), before);
    let second = receive(&consumer, 1).await.remove(0);
    assert_eq!((second.id.as_str(), second.attempt), (first.id.as_str(), 2));
    let late = consumer.ack(&first).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::InvalidReceiptHandle), "{late:?}");
    assert_eq!(late.outcome(), Outcome::NotApplied);
    consumer.ack(&second).await.unwrap();
}

#[tokio::test]
async fn a_filter_by_tag_lets_only_its_tags_through() {
    let fixture = Fixture::open("filter");
    let producer = fixture.producer().await;
    for tag in ["a", "b", "c"] {
        producer.send(Message::new("t", tag).tag(tag)).await.unwrap();
    }
    let consumer = fixture.consumer(Filter::Tag("a || c".to_owned())).await;
    let received = receive(&consumer, 2).await;
    let tags: HashSet<&str> = received.iter().filter_map(|d| d.tag.as_deref()).collect();
    assert_eq!(tags, HashSet::from(["a", "c"]));
}

#[tokio::test]
async fn a_refusal_carries_the_servers_code_and_what_to_do() {
    let fixture = Fixture::open("refusals");
    let producer = fixture.producer().await;
    let refused = |message: Message| {
        let producer = producer.clone();
        async move {
            let error = producer.send(message).await.unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotApplied, "{error:?}");
            assert_eq!(error.advice(), Advice::Fix, "{error:?}");
            error.code()
        }
    };
    assert_eq!(refused(Message::new("none", "x")).await, Some(Code::TopicNotFound));
    assert_eq!(refused(Message::new("t", "")).await, Some(Code::MessageBodyEmpty));
    let large = vec![0_u8; (4 << 20) + 1];
    assert_eq!(refused(Message::new("t", large)).await, Some(Code::MessageBodyTooLarge));
    assert_eq!(refused(Message::new("t", "x").tag("a|b")).await, Some(Code::IllegalMessageTag));
    let fifo = Message::new("t", "x").group("g");
    assert_eq!(refused(fifo).await, Some(Code::MessagePropertyConflictWithType));
    let unknown = Producer::start(fixture.config(), ["none"]).await.err().unwrap();
    assert_eq!(unknown.code(), Some(Code::TopicNotFound));
    let illegal = SimpleConsumer::start(fixture.config(), "b*d", [("t", Filter::all())]).await;
    let illegal = illegal.err().unwrap();
    assert!(matches!(illegal, Error::Declined { .. }), "{illegal:?}");
}

#[tokio::test]
async fn tls_is_spoken_on_the_same_port() {
    let fixture = Fixture::open("tls");
    let certificate = certificate(&fixture.data);
    let config = |tls| Config { tls, ..fixture.config() };
    for tls in [Tls::TrustAll, Tls::Roots(vec![certificate])] {
        let producer = Producer::start(config(tls), ["t"]).await.unwrap();
        producer.send(Message::new("t", "x")).await.unwrap();
    }
    let stranger = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    let stranger = Tls::Roots(vec![stranger.cert.der().clone()]);
    let error = Producer::start(config(stranger), ["t"]).await.err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

/// The certificate that the broker made for itself.
fn certificate(data: &Path) -> CertificateDer<'static> {
    let files = std::fs::read_dir(data.join("tls")).unwrap();
    let mut found = files.filter_map(|file| CertificateDer::from_pem_file(file.ok()?.path()).ok());
    found.next().unwrap()
}

#[tokio::test]
async fn a_client_goes_on_when_the_broker_comes_back() {
    let fixture = Fixture::open("restart");
    let producer = fixture.producer().await;
    let consumer = fixture.consumer(Filter::all()).await;
    producer.send(Message::new("t", "before")).await.unwrap();
    let (addresses, data) = (fixture.broker.addresses(), fixture.data.clone());
    let handed_out = receive(&consumer, 1).await.remove(0);
    fixture.broker.kill();
    let down = producer.send(Message::new("t", "while down")).await.unwrap_err();
    assert!(matches!(down.advice(), Advice::Retry { .. }), "{down:?}");
    let _broker = Broker::start_again(&data, addresses, &[]);
    consumer.ack(&handed_out).await.expect("a handle outlives the process that gave it");
    producer.send(Message::new("t", "after")).await.unwrap();
    let after = receive(&consumer, 1).await;
    assert!(after.iter().any(|delivery| delivery.body.as_ref() == b"after"), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_knows_its_clients_until_they_say_goodbye_and_again_after_its_return() {
    let fixture = Fixture::open("known");
    let consumer = fixture.consumer(Filter::all()).await;
    let (addresses, data) = (fixture.broker.addresses(), fixture.data.clone());
    assert_eq!(members(addresses.http), 1, "a start returns when the broker knows the client");
    fixture.broker.kill();
    let _broker = Broker::start_again(&data, addresses, &[]);
    harness::wait_for("the client to make itself known again", || {
        (members(addresses.http) == 1).then_some(())
    });
    consumer.close().await;
    assert_eq!(members(addresses.http), 0);
}

#[tokio::test]
async fn a_send_whose_answer_is_lost_is_unknown_and_not_sent_again() {
    let fixture = Fixture::open("unknown");
    let line = Line::to(fixture.broker.addresses().grpc).await;
    let endpoint = line.address.to_string().parse().unwrap();
    let config = Config { request_timeout: Duration::from_secs(1), ..Config::new(endpoint) };
    let producer = Producer::start(config, ["t"]).await.unwrap();
    line.answers_lost.store(true, Ordering::SeqCst);
    let message = Message::new("t", "x");
    let error = producer.send(message.clone()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { rpc: "SendMessage", .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let consumer = fixture.consumer(Filter::all()).await;
    let received = receive(&consumer, 1).await;
    assert_eq!(received.len(), 1, "it was stored, and once");
    assert_eq!(received[0].id, message.id());
}

/// A line to the broker on which answers can get lost. Routes lead back through it: they name the
/// address that the client asked.
struct Line {
    address: SocketAddr,
    answers_lost: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Line {
    async fn to(broker: SocketAddr) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&answers_lost);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let server = TcpStream::connect(broker).await.unwrap();
                let (from_server, to_server) = server.into_split();
                ways.spawn(carry(from_client, to_server, Arc::default()));
                ways.spawn(carry(from_server, to_client, Arc::clone(&lost)));
            }
        });
        Line { address, answers_lost, _tasks: tasks }
    }
}

/// One direction: everything is read, and written unless it gets lost.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: Arc<AtomicBool>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !lost.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

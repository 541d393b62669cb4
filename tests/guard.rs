//! What a message costs, by counts that a busy machine does not move: allocations and copied bytes
//! of a gateway that sends and receives, and processor instructions of a fixed piece of codec work.
//!
//! A bound is a number checked in, a tenth or so above what was counted. A change that passes it
//! costs every message something: find out what, or raise the bound and say why.
//!
//! The gateway runs in this process. The client's threads say of themselves that they are not
//! counted; every other thread is the gateway's.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(unsafe_code, reason = "counting is done inside the allocator and memcpy")]

mod guard_counts;

use client::{Config, Endpoint, Filter, Message, Producer, Receive, SimpleConsumer};
use gateway::Gateway;
use gateway::settings::{Listen, Settings};
use guard_counts::{Counts, not_counted};
use protocol::stored::StoredMessage;
use std::net::SocketAddr;
use std::process::Command;
use storage::env::Env;
use storage::object::{Bucket, StoreUrl};

/// Large enough to be told apart from every struct that is moved, small enough for one frame of
/// HTTP/2.
const BODY_BYTES: usize = 8 << 10;
const WARM: usize = 300;
const MESSAGES: usize = 600;

/// Per message, of one send with its acknowledgement.
const SEND_ALLOCATIONS_MAX: f64 = 76.0;
const SEND_COPIES_MAX: f64 = 3.1;
/// Per message, of a receive of 32 and their acknowledgement in one request.
const RECEIVE_ALLOCATIONS_MAX: f64 = 34.0;
const RECEIVE_COPIES_MAX: f64 = 1.5;

#[test]
fn a_message_costs_no_more_allocations_and_copies_than_it_did() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings {
        listen: Listen { grpc: any, nameserver: any, broker: any, http: any },
        ..Settings::embedded(folder.path().to_path_buf())
    };
    let store = StoreUrl::Folder(folder.path().join("store"));
    let bucket = Bucket::open(&store, None, Env::system()).unwrap();
    let gateway = server.block_on(Gateway::start(settings, bucket, Env::system())).unwrap();
    let (grpc, http) = (gateway.addresses().grpc, gateway.addresses().http.to_string());
    let made = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(["topic", "create", "guarded", "--admin", &http])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");

    not_counted();
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (send, receive) = client.block_on(send_and_receive(grpc));
    server.block_on(gateway.stop());

    // benches/peers reads these lines.
    for (name, cost) in [("send", &send), ("receive_ack", &receive)] {
        eprintln!("counted {name}_allocations {:.1}", cost.allocations);
        eprintln!("counted {name}_body_copies {:.2}", cost.copies);
    }
    assert!(send.allocations <= SEND_ALLOCATIONS_MAX, "allocations of a send: {send:?}");
    assert!(receive.allocations <= RECEIVE_ALLOCATIONS_MAX, "of a receive: {receive:?}");
    if !guard_counts::COPIES_ARE_COUNTED {
        eprintln!("SKIPPED copies: they are counted on x86-64 Linux only");
        return;
    }
    assert!(send.copies <= SEND_COPIES_MAX, "copies of a sent body: {send:?}");
    assert!(receive.copies <= RECEIVE_COPIES_MAX, "copies of a received body: {receive:?}");
}

/// Counts per message.
#[derive(Debug)]
#[expect(dead_code, reason = "bytes are for who reads the failure")]
struct Cost {
    allocations: f64,
    allocated_bytes: f64,
    /// How often the body was copied, in whole.
    copies: f64,
}

fn cost(before: Counts, after: Counts) -> Cost {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = |count: u64| count as f64 / MESSAGES as f64;
    Cost {
        allocations: each(after.allocations - before.allocations),
        allocated_bytes: each(after.allocated_bytes - before.allocated_bytes),
        copies: each(after.copied_bytes - before.copied_bytes) / BODY_BYTES as f64,
    }
}

async fn send_and_receive(grpc: SocketAddr) -> (Cost, Cost) {
    let endpoint: Endpoint = grpc.to_string().parse().unwrap();
    let producer = Producer::start(Config::new(endpoint.clone()), ["guarded"]).await.unwrap();
    send(&producer, WARM).await;
    let before = guard_counts::now();
    send(&producer, MESSAGES).await;
    let sent = cost(before, guard_counts::now());
    let everything = [("guarded", Filter::all())];
    let consumer = SimpleConsumer::start(Config::new(endpoint), "guard", everything).await.unwrap();
    receive(&consumer, WARM).await;
    let before = guard_counts::now();
    receive(&consumer, MESSAGES).await;
    let received = cost(before, guard_counts::now());
    producer.close().await;
    consumer.close().await;
    (sent, received)
}

async fn send(producer: &Producer, count: usize) {
    for _ in 0..count {
        producer.send(Message::new("guarded", vec![7; BODY_BYTES])).await.unwrap();
    }
}

async fn receive(consumer: &SimpleConsumer, count: usize) {
    let mut received = 0;
    while received < count {
        let how = Receive { max: (count - received).min(32), ..Receive::default() };
        let batch = consumer.receive(how).await.unwrap();
        received += batch.len();
        for result in consumer.ack_all(&batch).await {
            result.unwrap();
        }
    }
}

/// Instructions of [`codecs`] as tests are built, without optimisation.
const CODEC_INSTRUCTIONS_MAX: u64 = 55_000_000;
const ROUNDS: u32 = 500;
const CHILD: &str = "STRATAMQ_GUARD_CHILD";

/// Encodes and decodes stored messages; what callgrind counts.
#[test]
fn codecs() {
    let rounds = if std::env::var_os(CHILD).is_some() { ROUNDS } else { 1 };
    let message = sample();
    for _ in 0..rounds {
        let encoded = std::hint::black_box(&message).encode().unwrap();
        let whole = [&encoded.head[..], &encoded.body, &encoded.tail].concat();
        let decoded = protocol::stored::decode(whole.into()).unwrap();
        assert_eq!(decoded.body.len(), message.body.len());
    }
}

#[test]
fn the_codecs_take_no_more_instructions_than_they_did() {
    let valgrind = Command::new("valgrind").arg("--version").output();
    if !valgrind.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED instruction counts: valgrind is missing");
        return;
    }
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // Not what libraries do at the start, some of them by the clock.
        .args(["--collect-atstart=no", "--toggle-collect=guard::codecs"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "codecs", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :")).unwrap().1;
    let instructions: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    eprintln!("{instructions} instructions");
    assert!(
        instructions <= CODEC_INSTRUCTIONS_MAX,
        "{instructions} instructions for {ROUNDS} messages, more than {CODEC_INSTRUCTIONS_MAX}"
    );
}

fn sample() -> StoredMessage {
    use protocol::stored::{Properties, SysFlag, property};
    let mut properties = Properties::default();
    for (name, value) in [
        (property::UNIQ_KEY, "01A2B3C4D5E6F7000000000001"),
        (property::TAGS, "paid"),
        (property::KEYS, "order-17 customer-4"),
        ("shop", "north"),
    ] {
        properties.set(name, value);
    }
    let host = SocketAddr::from(([127, 0, 0, 1], 8081));
    StoredMessage {
        queue_id: 3,
        flag: 0,
        queue_offset: 17,
        physical_offset: 1 << 48,
        sys_flag: SysFlag::default(),
        born_at: 1_700_000_000_000,
        born_host: host,
        stored_at: 1_700_000_000_001,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: vec![7; 1024].into(),
        topic: "orders".to_owned(),
        properties,
    }
}

//! Replays as an operator asks for them, against a broker in a process of its own that is also killed.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use client::{Config, Delivery, Endpoint, Filter, Message, Producer, Receive, SimpleConsumer};
use harness::shell::Shell;
use harness::{Broker, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Half of them before a moment in the middle, half of those with tag `a`.
const MESSAGES: usize = 10_000;
const PRODUCERS: usize = 32;
/// Slow enough to be killed in the middle.
const RATE: &str = "800/s";
/// What may be written between two checkpoints: a second's worth, and one batch.
const TWICE_MAX: usize = 800 + 80;

fn config(grpc: SocketAddr) -> Config {
    Config::new(grpc.to_string().parse::<Endpoint>().unwrap())
}

/// Sends these numbers, the even ones with tag `a`, the others with tag `b`.
async fn send(grpc: SocketAddr, topic: &'static str, numbers: std::ops::Range<usize>) {
    let producer = Producer::start(config(grpc), [topic]).await.unwrap();
    let mut tasks = JoinSet::new();
    for first in 0..PRODUCERS {
        let (producer, numbers) = (producer.clone(), numbers.clone().skip(first));
        tasks.spawn(async move {
            for number in numbers.step_by(PRODUCERS) {
                let tag = if number % 2 == 0 { "a" } else { "b" };
                let message = Message::new(topic, number.to_string()).tag(tag);
                producer.send(message.key(number.to_string())).await.unwrap();
            }
        });
    }
    while let Some(sent) = tasks.join_next().await {
        sent.unwrap();
    }
    producer.close().await;
}

/// Everything that comes to a group, acknowledged, until nothing comes for a while.
async fn receive(grpc: SocketAddr, topic: &str, group: &str) -> Vec<Delivery> {
    let filters = [(topic.to_owned(), Filter::all())];
    let consumer = SimpleConsumer::start(config(grpc), group, filters).await.unwrap();
    let mut all = Vec::new();
    loop {
        let how = Receive { wait: Duration::from_secs(5), ..Receive::default() };
        let got = consumer.receive(how).await.unwrap();
        if got.is_empty() {
            consumer.close().await;
            return all;
        }
        consumer.ack_all(&got).await.into_iter().for_each(|acked| acked.unwrap());
        all.extend(got);
    }
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

fn shown(shell: &Shell, name: &str) -> Value {
    serde_json::from_str(&shell.ok(&["replay", "show", name, "--json"])).unwrap()
}

/// All of the wanted numbers, each once but for some that a crash let come twice under the same name.
fn check(copies: &[Delivery], wanted: &BTreeSet<usize>) {
    let mut by_number: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for copy in copies {
        let number = String::from_utf8(copy.body.to_vec()).unwrap().parse().unwrap();
        let origin = copy.properties.get("STRATAMQ_REPLAY").unwrap();
        by_number.entry(number).or_default().push(origin);
        assert_eq!((copy.tag.as_deref(), &copy.keys[..]), (Some("a"), &[number.to_string()][..]));
    }
    assert!(by_number.keys().eq(wanted.iter()), "{} of {}", by_number.len(), wanted.len());
    for (number, origins) in &by_number {
        assert!(origins.iter().all(|origin| *origin == origins[0]), "{number}: {origins:?}");
        assert!(origins.len() <= 2, "{number}: {origins:?}");
    }
    let twice = copies.len() - wanted.len();
    assert!(twice <= TWICE_MAX, "{twice} came twice");
}

#[test]
fn a_replay_survives_the_death_of_its_broker() {
    let mut shell = Shell::open("replay-killed");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let addresses = shell.broker.addresses();
    shell.ok(&["topic", "create", "orders"]);
    shell.ok(&["topic", "create", "copies", "--queues", "4"]);
    let latest = serde_json::json!({"attributes": {"consume.from": "latest"}});
    for group in ["readers", "others"] {
        shell.ok(&["group", "create", group]);
        put(addresses.http, &format!("/v1/groups/{group}"), &latest.to_string());
    }
    let half = MESSAGES / 2;
    runtime.block_on(send(addresses.grpc, "orders", 0..half));
    let middle = now_ms() + 1;
    std::thread::sleep(Duration::from_millis(5));
    runtime.block_on(send(addresses.grpc, "orders", half..MESSAGES));

    let until = middle.to_string();
    let common = ["replay", "orders", "--to", &until, "--tag", "a", "--rate", RATE, "--detach"];
    for (name, into) in [("j-topic", ["--into", "copies"]), ("j-group", ["--group", "readers"])] {
        let begun = shell.ok(&[&common[..], &["--name", name], &into].concat());
        assert!(begun.starts_with(&format!("began replay {name}: topic orders ")), "{begun}");
    }
    let is_in_the_middle = |name: &str| {
        let shown = shown(&shell, name);
        assert_eq!(shown["state"], "running", "{shown}");
        shown["progress"]["written"].as_u64().unwrap() > 500
    };
    wait_for("the middle", || {
        (is_in_the_middle("j-topic") && is_in_the_middle("j-group")).then_some(())
    });
    shell.broker.kill();
    shell.broker = Broker::start_again(&shell.data, addresses, &["--journal-capacity=128MiB"]);

    for name in ["j-topic", "j-group"] {
        let ended = shell.ok(&["replay", "show", name, "--follow"]);
        assert!(ended.starts_with(&format!("replay {name} is done: ")), "{ended}");
        let progress = &shown(&shell, name)["progress"];
        assert_eq!(progress["passed"], progress["range"], "{progress}");
        assert_eq!((&progress["range"], &progress["written"]), (&half.into(), &(half / 2).into()));
    }
    let wanted: BTreeSet<usize> = (0..half).step_by(2).collect();
    let copies = runtime.block_on(receive(addresses.grpc, "copies", "copy-readers"));
    check(&copies, &wanted);
    let to_group = runtime.block_on(receive(addresses.grpc, "orders", "readers"));
    check(&to_group, &wanted);
    assert!(to_group.iter().all(|copy| copy.topic == "orders"));
    let to_others = runtime.block_on(receive(addresses.grpc, "orders", "others"));
    assert_eq!(to_others.len(), 0, "what is for one group comes to no other");
}

/// What no command does.
fn put(http: SocketAddr, path: &str, body: &str) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(http).unwrap();
    let length = body.len();
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn an_operator_looks_first_then_replays_and_watches() {
    let shell = Shell::open("replay");
    shell.ok(&["topic", "create", "orders", "--queues", "2"]);
    shell.ok(&["topic", "create", "again", "--queues", "2"]);
    shell.ok(&["message", "send", "orders", "one", "two", "--tag", "a", "--key", "k"]);
    shell.ok(&["message", "send", "orders", "three", "--tag", "b"]);
    let none = shell.ok(&["replay", "list"]);
    assert!(none.starts_with("there is no replay yet\n"), "{none}");
    let planned = shell.ok(&["replay", "orders", "--tag", "a", "--into", "again", "--dry-run"]);
    assert!(planned.starts_with("would read 2 messages ("), "{planned}");
    assert!(planned.contains("estimated cost: $0.000005 once"), "{planned}");
    let dear = ["--dry-run", "--price-puts", "2000000", "--json"];
    let planned = shell.ok(&[&["replay", "orders", "--into", "again"][..], &dear].concat());
    let planned: Value = serde_json::from_str(&planned).unwrap();
    assert_eq!(
        (&planned["messages"], &planned["cost_once_micro_usd"]),
        (&3.into(), &2_000_000.into())
    );
    assert!(shell.ok(&["replay", "list"]).starts_with("there is no replay yet\n"));

    let wanted = ["replay", "orders", "--from", "2h ago", "--key", "k", "--into", "again"];
    let done = shell.ok(&[&wanted[..], &["--name", "n"]].concat());
    assert!(done.starts_with("replay n is done: 2 messages ("), "{done}");
    let found = shell.ok(&["message", "tail", "again", "--since", "1h", "--idle", "1s", "--json"]);
    let bodies: BTreeSet<String> = found
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["body"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(bodies, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    let listed = shell.ok(&["replay", "list"]);
    assert!(listed.contains("n       done   orders    into topic again"), "{listed}");
    let shown = shell.ok(&["replay", "show", "n"]);
    assert!(shown.contains("key       k\n") && shown.contains("written   2 ("), "{shown}");
    let over = shell.fails(&["replay", "pause", "n"], 1);
    assert!(over.contains("replay n is done already"), "{over}");
    let other = shell.fails(&["replay", "again", "--into", "orders", "--name", "n"], 1);
    assert!(other.contains("replay n exists already and is for something else"), "{other}");
    let missing = shell.fails(&["replay", "show", "none"], 1);
    assert!(missing.contains("stratamq replay list shows what there is"), "{missing}");
    let nowhere = shell.fails(&["replay", "orders"], 2);
    assert!(nowhere.contains("give --into TOPIC, or --group GROUP"), "{nowhere}");
    let sql = shell.fails(&["replay", "orders", "--into", "again", "--sql", "a = 1"], 1);
    assert!(sql.contains("SQL filters are not served by this version"), "{sql}");
}

#[test]
fn a_slow_replay_is_paused_resumed_and_cancelled() {
    let shell = Shell::open("replay-paused");
    shell.ok(&["topic", "create", "orders", "--queues", "1"]);
    shell.ok(&["topic", "create", "again", "--queues", "1"]);
    shell.ok(&["message", "send", "orders", "one", "two", "three", "four", "five"]);
    let slow = ["replay", "orders", "--into", "again", "--rate", "1/s", "--detach", "--name", "s"];
    shell.ok(&slow);
    assert_eq!(shell.ok(&["replay", "pause", "s"]), "replay s is paused\n");
    assert_eq!(shell.ok(&["replay", "pause", "s"]), "replay s is paused\n");
    assert_eq!(shell.ok(&["replay", "resume", "s"]), "replay s is running\n");
    assert_eq!(shell.ok(&["replay", "cancel", "s"]), "replay s is cancelled\n");
    let ended = shell.ok(&["replay", "show", "s", "--follow"]);
    assert!(ended.starts_with("replay s is cancelled: "), "{ended}");
}

#[test]
fn dead_letters_are_put_back_and_the_next_time_only_new_ones() {
    let shell = Shell::open("redrive");
    shell.ok(&["topic", "create", "orders", "--queues", "1"]);
    shell.ok(&["group", "create", "readers", "--max-attempts", "1"]);
    let receive =
        || shell.ok(&["message", "receive", "orders", "--group", "readers", "--wait", "5s"]);
    let kill = |body: &str| {
        shell.ok(&["message", "send", "orders", body]);
        let hidden = ["--group", "readers", "--wait", "5s", "--invisible", "10s", "--no-ack"];
        shell.ok(&[&["message", "receive", "orders"][..], &hidden].concat());
        // It dies when it is to be delivered a second time.
        wait_for("a dead letter", || {
            let none = receive().starts_with("no message");
            let detail = shell.ok(&["group", "describe", "readers", "--json"]);
            let detail: Value = serde_json::from_str(&detail).unwrap();
            assert!(none);
            (detail["dead_letters"].as_u64().unwrap() > 0).then_some(())
        });
    };
    kill("first");
    let done = shell.ok(&["group", "redrive", "readers"]);
    assert!(done.contains(" is done: 1 message ("), "{done}");
    let got = receive();
    assert!(got.contains("attempt 1\nfirst\n"), "{got}");
    let again = shell.run(&["group", "redrive", "readers"]);
    let noted = again.err.starts_with("goes on where replay redrive-readers-");
    assert!(noted && again.code == Some(0), "{}", again.err);
    assert!(again.out.contains(" is done: 0 messages ("), "put back is put back: {}", again.out);
    let all = shell.ok(&["group", "redrive", "readers", "--from", "1970-01-01", "--into-origin"]);
    assert!(all.contains(" is done: 1 message ("), "{all}");
    assert!(receive().contains("attempt 1\nfirst\n"));
}

//! The admin API over HTTP: what each method answers for what exists, what does not, and what can
//! never be.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod description;
mod harness;

use description::Description;
use harness::Broker;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One request on a connection of its own; the status and the body.
fn call(http: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// A broker, and the description that its API gives of itself. Every answer that a test gets is
/// held against it.
struct Http(Broker, Description);

impl Http {
    fn open(name: &str) -> Http {
        let data = harness::folder(&format!("admin-http-{name}")).join("data");
        std::fs::create_dir_all(&data).unwrap();
        let broker = Broker::start_with(&data, &["--journal-capacity=128MiB"]);
        let (status, text) = call(broker.addresses().http, "GET", "/openapi.json", "", "");
        assert_eq!(status, 200);
        Http(broker, Description(serde_json::from_str(&text).unwrap()))
    }

    fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.call_with(method, path, "", body)
    }

    fn call_with(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let (status, body) = call(self.0.addresses().http, method, path, headers, body);
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
        self.1.check(method, path, status, &body);
        (status, body)
    }

    /// A client that sends `NORMAL` messages and receives them.
    fn command(&self, words: &[&str]) -> String {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stratamq"))
            .args(words)
            .env("STRATAMQ_ENDPOINT", self.0.addresses().grpc.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, "")
    }

    fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call("PUT", path, &body.to_string())
    }

    fn delete(&self, path: &str) -> (u16, Value) {
        self.call("DELETE", path, "")
    }

    /// A refusal says what is wrong.
    fn refused(&self, method: &str, path: &str, body: &str, status: u16) {
        let (got, answer) = self.call(method, path, body);
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert!(answer["error"].is_string() && answer["hint"].is_string(), "{answer}");
    }
}

#[test]
fn health_is_answered_while_the_broker_serves() {
    let http = Http::open("health");
    let address = http.0.addresses().http;
    assert_eq!(call(address, "GET", "/healthz", "", ""), (200, "ok\n".to_owned()));
    assert_eq!(call(address, "GET", "/readyz", "", ""), (200, "ready\n".to_owned()));
    let (status, cluster) = http.get("/v1/cluster");
    assert_eq!((status, &cluster["name"]), (200, &json!("DefaultCluster")));
    assert_eq!(cluster["brokers"].as_array().unwrap().len(), 4);
    assert_eq!(cluster["brokers"][0]["name"], "strata-0000");
    assert_eq!(cluster["journal"]["state"], "open");
}

#[test]
fn putting_a_topic_twice_changes_nothing() {
    let http = Http::open("topic-put");
    let wanted = json!({
        "queues": 3, "kind": "FIFO", "durability": "async", "attributes": {"reserve.time": "7"}
    });
    let (status, made) = http.put("/v1/topics/t", &wanted);
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["kind"], "FIFO");
    assert_eq!(made["attributes"], wanted["attributes"]);
    assert_eq!(http.put("/v1/topics/t", &wanted), (200, made.clone()));
    assert_eq!(http.put("/v1/topics/t", &json!({})), (200, made.clone()));
    let (status, detail) = http.get("/v1/topics/t");
    assert_eq!((status, detail["message_queues"].as_array().unwrap().len()), (200, 3));
    let (status, grown) = http.put("/v1/topics/t", &json!({"queues": 5}));
    assert_eq!((status, &grown["queues"]), (200, &json!(5)));
    assert_eq!(grown["durability"], "async", "what is not named stays");
    assert_eq!(grown["created_ms"], made["created_ms"], "it is the same topic");
}

#[test]
fn what_is_refused_has_the_status_that_says_whose_affair_it_is() {
    let http = Http::open("refusals");
    assert_eq!(http.put("/v1/topics/t", &json!({"queues": 4})).0, 201);
    assert_eq!(http.put("/v1/groups/g", &json!({})).0, 201);
    for (method, path, body, status) in [
        ("GET", "/v1/topics/none", "", 404),
        ("DELETE", "/v1/topics/none", "", 404),
        ("GET", "/v1/groups/none", "", 404),
        ("DELETE", "/v1/groups/none", "", 404),
        ("GET", "/v1/nothing", "", 404),
        ("POST", "/v1/topics", "{}", 405),
        ("POST", "/v1/topics/t", "{}", 405),
        ("PUT", "/v1/topics/t", "{", 400),
        ("GET", "/v1/topics/%FF", "", 400),
        ("PUT", "/v1/topics/t", &" ".repeat(1 << 18 | 1), 413),
        ("PUT", "/v1/topics/t", "{\"queues\":2}", 409),
        ("DELETE", "/v1/topics/%25DLQ%25g", "", 409),
        ("PUT", "/v1/topics/%25RETRY%25g", "", 409),
        ("PUT", "/v1/topics/x", "{\"queues\":0}", 422),
        ("PUT", "/v1/topics/x", "{\"queues\":100000}", 422),
        ("PUT", "/v1/topics/x", "{\"queues\":\"four\"}", 422),
        ("PUT", "/v1/topics/x", "{\"queue\":4}", 422),
        ("PUT", "/v1/topics/x", "{\"kind\":\"ROUND\"}", 422),
        ("PUT", "/v1/topics/x", "{\"durability\":\"safe\"}", 422),
        ("PUT", "/v1/topics/x", "{\"permission\":\"x\"}", 422),
        ("PUT", "/v1/topics/x", "{\"attributes\":{\"colour\":\"red\"}}", 422),
        ("PUT", "/v1/topics/x", "{\"attributes\":{\"message.type\":\"FIFO\"}}", 422),
        ("PUT", "/v1/topics/TBW102", "", 422),
        ("PUT", "/v1/topics/DefaultCluster", "", 422),
        ("PUT", "/v1/topics/a%20b", "", 422),
        ("PUT", "/v1/groups/x", "{\"max_attempts\":0}", 422),
        ("PUT", "/v1/groups/x", "{\"order\":\"random\"}", 422),
        ("PUT", "/v1/groups/x", "{\"retry\":{\"customized\":{\"delays_ms\":[]}}}", 422),
        ("PUT", "/v1/groups/CID_RMQ_SYS_x", "", 422),
    ] {
        http.refused(method, path, body, status);
    }
    let (_, topics) = http.get("/v1/topics");
    assert_eq!(topics["topics"].as_array().unwrap().len(), 1, "nothing came of what was refused");
}

#[test]
fn making_only_what_is_new_is_a_condition_of_the_request() {
    let http = Http::open("only-new");
    for path in ["/v1/topics/t", "/v1/groups/g"] {
        let put = || http.call_with("PUT", path, "If-None-Match: *\r\n", "{}").0;
        assert_eq!((put(), put()), (201, 412), "{path}");
    }
}

#[test]
fn of_many_who_make_the_same_one_succeeds() {
    let http = Http::open("race");
    let address = http.0.addresses().http;
    for path in ["/v1/topics/t", "/v1/groups/g"] {
        let put = || call(address, "PUT", path, "If-None-Match: *\r\n", "{}").0;
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(put)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let made = statuses.iter().filter(|status| **status == 201).count();
        let refused = statuses.iter().filter(|status| **status == 412).count();
        assert_eq!((made, refused), (1, 7), "{path}: {statuses:?}");
    }
}

#[test]
fn a_change_meant_for_another_state_is_refused() {
    let http = Http::open("etag");
    let address = http.0.addresses().http;
    for (path, one, two) in [
        ("/v1/topics/t", r#"{"queues":2}"#, r#"{"queues":3}"#),
        ("/v1/groups/g", r#"{"max_attempts":2}"#, r#"{"max_attempts":3}"#),
    ] {
        let any = "If-Match: *\r\n";
        assert_eq!(http.call_with("PUT", path, any, one).0, 412, "there is none to change");
        assert_eq!(http.call("PUT", path, one).0, 201);
        let tag = tag_of(address, path);
        assert_eq!(tag, tag_of(address, path));
        let same = format!("If-Match: {tag}\r\n");
        assert_eq!(http.call_with("PUT", path, &same, two).0, 200);
        let (status, refused) = http.call_with("PUT", path, &same, one);
        assert_eq!(status, 412, "{refused}");
        assert_ne!(tag, tag_of(address, path));
        assert_eq!(http.call_with("PUT", path, any, "{}").0, 200);
    }
}

fn tag_of(http: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(http).unwrap();
    let lines = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(lines.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: "));
    tag.unwrap().to_owned()
}

#[test]
fn a_page_under_a_foreign_name_is_turned_away() {
    let http = Http::open("host");
    let address = http.0.addresses().http;
    let ask = |host: &str, path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let lines = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(lines.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(ask("localhost:8082", "/v1/topics"), 200);
    assert_eq!(ask("[::1]", "/v1/topics"), 200);
    assert_eq!(ask("evil.example", "/v1/topics"), 421);
    assert_eq!(ask("evil.example", "/v1/nothing"), 421);
    assert_eq!(ask("evil.example", "/healthz"), 200);
}

#[test]
fn a_groups_progress_is_shown_and_moved() {
    let http = Http::open("progress");
    http.put("/v1/topics/t", &json!({"queues": 2}));
    http.command(&["message", "send", "t", "one", "two", "three", "four"]);
    http.command(&["message", "receive", "t", "--group", "g"]);
    let (status, all) = http.get("/v1/groups/g/progress");
    assert_eq!((status, &all["lag"]), (200, &json!(0)), "{all}");
    assert_eq!(all["topics"][0]["topic"], "t");
    let path = "/v1/groups/g/progress/t";
    let (_, planned) = http.put(path, &json!({"to": "earliest", "dry_run": true}));
    assert_eq!(planned["dry_run"], true);
    assert_eq!(http.get(path).1["lag"], 0, "nothing was done");
    let (status, moved) = http.put(path, &json!({"to": "earliest"}));
    assert_eq!((status, moved["queues"].as_array().unwrap().len()), (200, 2), "{moved}");
    assert_eq!(http.get(path).1["lag"], 4);
    assert_eq!(http.put(path, &json!({"to": "latest"})).0, 200);
    assert_eq!(http.get(path).1["lag"], 0);
    assert_eq!(http.put(path, &json!({"to": {"time_ms": 0}})).0, 200);
    assert_eq!(http.get(path).1["lag"], 4);
    let queue = json!({"broker": moved["queues"][0]["broker"], "id": moved["queues"][0]["id"]});
    let (status, one) = http.put(path, &json!({"to": {"offset": 1}, "queue": queue}));
    assert_eq!((status, &one["queues"][0]["after_offset"]), (200, &json!(1)), "{one}");
    assert_eq!(http.get(path).1["lag"], 3);
    for (path, body, status) in [
        (path, "{}", 422),
        (path, "{\"to\":\"soon\"}", 422),
        (path, "{", 400),
        (path, "{\"to\":{\"offset\":1}}", 422),
        (path, "{\"to\":\"latest\",\"queue\":{\"broker\":\"strata-0000\",\"id\":77}}", 404),
        ("/v1/groups/none/progress/t", "{\"to\":\"latest\"}", 404),
        ("/v1/groups/g/progress/none", "{\"to\":\"latest\"}", 404),
    ] {
        http.refused("PUT", path, body, status);
    }
    http.refused("GET", "/v1/groups/none/progress", "", 404);
    http.refused("GET", "/v1/groups/g/progress/none", "", 404);
}

#[test]
fn messages_are_found_by_place_by_id_and_by_key() {
    let http = Http::open("messages");
    http.put("/v1/topics/t", &json!({"queues": 1}));
    let words = ["message", "send", "t", "one", "two", "--key", "k", "--property", "a=b", "--json"];
    let sent = http.command(&words);
    let sent: Value = serde_json::from_str(sent.lines().nth(1).unwrap()).unwrap();
    let (_, detail) = http.get("/v1/topics/t");
    let broker = detail["message_queues"][0]["broker"].as_str().unwrap();
    let (status, two) = http.get(&format!("/v1/topics/t/messages/{broker}/0/1"));
    assert_eq!((status, &two["body"]), (200, &json!("two")));
    assert_eq!((&two["keys"], &two["properties"]), (&json!(["k"]), &json!({"a": "b"})));
    assert_eq!(two["message_id"], sent["message_id"]);
    let id = two["offset_message_id"].as_str().unwrap();
    assert_eq!(http.get(&format!("/v1/messages/{id}")), (200, two.clone()));
    let (_, by_id) =
        http.get(&format!("/v1/topics/t/messages?id={}", sent["message_id"].as_str().unwrap()));
    assert_eq!((&by_id["messages"], &by_id["complete"]), (&json!([two]), &json!(true)));
    let (_, by_key) = http.get("/v1/topics/t/messages?key=k&max=1");
    assert_eq!((&by_key["messages"][0], &by_key["complete"]), (&two, &json!(false)));
    let at = &by_key["stopped_at_ms"];
    let (_, rest) = http.get(&format!("/v1/topics/t/messages?key=k&to_ms={at}"));
    assert!(rest["messages"].as_array().unwrap().iter().any(|one| one["body"] == "one"));
    let (_, none) = http.get("/v1/topics/t/messages?key=k&from_ms=99999999999999");
    assert_eq!((&none["messages"], &none["complete"]), (&json!([]), &json!(true)));
    for (path, status) in [
        (format!("/v1/topics/t/messages/{broker}/0/2"), 404),
        (format!("/v1/topics/t/messages/{broker}/7/0"), 404),
        (format!("/v1/topics/t/messages/{broker}/0/x"), 400),
        ("/v1/topics/none/messages/strata-0000/0/0".into(), 404),
        ("/v1/topics/t/messages".into(), 422),
        ("/v1/topics/t/messages?key=a&id=b".into(), 422),
        ("/v1/topics/t/messages?colour=a".into(), 400),
        ("/v1/topics/none/messages?key=k".into(), 404),
        ("/v1/messages/xyz".into(), 422),
        ("/v1/messages/7F00000100002A9F0000000000FFFFFF".into(), 404),
        ("/v1/topics/none/tail".into(), 404),
        ("/v1/topics/t/tail?after=x".into(), 422),
        ("/v1/topics/t/tail?max=x".into(), 400),
    ] {
        http.refused("GET", &path, "", status);
    }
}

#[test]
fn a_tail_shows_what_comes_and_moves_no_group() {
    let http = Http::open("tail");
    http.put("/v1/topics/t", &json!({"queues": 3}));
    http.command(&["message", "send", "t", "before"]);
    let bodies = |tail: &Value| -> Vec<String> {
        let messages = tail["messages"].as_array().unwrap().iter();
        messages.map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    };
    let (status, begun) = http.get("/v1/topics/t/tail");
    assert_eq!((status, bodies(&begun)), (200, vec![]));
    let (_, all) = http.get("/v1/topics/t/tail?from_ms=0");
    assert_eq!(bodies(&all), ["before"]);
    let after = begun["next"].as_str().unwrap();
    let path = format!("/v1/topics/t/tail?after={after}&wait_ms=20000");
    let (waited, ()) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| http.get(&path).1);
        http.command(&["message", "send", "t", "during"]);
        (waiting.join().unwrap(), ())
    });
    assert_eq!(bodies(&waited), ["during"]);
    let (_, none) =
        http.get(&format!("/v1/topics/t/tail?after={}", waited["next"].as_str().unwrap()));
    assert_eq!(bodies(&none), [""; 0]);
    http.put("/v1/topics/t", &json!({"queues": 9}));
    let (_, grown) = http.get(&format!("/v1/topics/t/tail?after={after}"));
    assert_eq!(bodies(&grown), ["during"], "new queues join in");
    assert_eq!(http.get("/v1/groups").1["groups"], json!([]), "there is no group");
}

#[test]
fn the_settings_are_shown() {
    let http = Http::open("config");
    let (status, config) = http.get("/v1/config");
    assert_eq!((status, &config["journal_capacity_bytes"]), (200, &json!(128 << 20)));
    assert_eq!(config["http"], http.0.addresses().http.to_string());
    http.refused("POST", "/v1/config", "{}", 405);
}

#[test]
fn what_is_deleted_is_gone_and_its_name_is_free() {
    let http = Http::open("delete");
    let (_, first) = http.put("/v1/topics/t", &json!({}));
    assert_eq!(http.delete("/v1/topics/t"), (204, Value::Null));
    assert_eq!(http.get("/v1/topics/t").0, 404);
    assert_eq!(http.delete("/v1/topics/t").0, 404);
    let (status, second) = http.put("/v1/topics/t", &json!({"kind": "DELAY"}));
    assert_eq!((status, &second["kind"]), (201, &json!("DELAY")));
    assert_eq!(first["kind"], "NORMAL");
}

#[test]
fn a_group_brings_its_dead_letter_topic_and_takes_it_along() {
    let http = Http::open("group");
    let wanted = json!({
        "max_attempts": 3,
        "order": "fifo",
        "retry": {"exponential": {"initial_ms": 10, "max_ms": 1000, "multiplier": 2}},
    });
    let (status, made) = http.put("/v1/groups/g", &wanted);
    assert_eq!(status, 201, "{made}");
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&made[field], value);
    }
    assert_eq!(http.put("/v1/groups/g", &json!({})), (200, made));
    let (status, detail) = http.get("/v1/groups/g");
    assert_eq!((status, &detail["dead_letter_topic"]), (200, &json!("%DLQ%g")));
    let (status, dead) = http.get("/v1/topics/%25DLQ%25g");
    assert_eq!((status, dead["message_queues"].as_array().unwrap().len()), (200, 4));
    assert_eq!(http.delete("/v1/groups/g").0, 204);
    assert_eq!(http.get("/v1/topics/%25DLQ%25g").0, 404);
}

#[test]
fn administration_stays_on_loopback_unless_told_otherwise() {
    let start = |name: &str, flags: &[&str]| {
        let data = harness::folder(&format!("admin-http-{name}")).join("data");
        std::fs::create_dir_all(&data).unwrap();
        let flags = [&["--journal-capacity=128MiB", "--listen=0.0.0.0"][..], flags].concat();
        Broker::start_with(&data, &flags).addresses()
    };
    let near = start("listen-near", &[]);
    assert!(near.grpc.ip().is_unspecified());
    assert!(near.http.ip().is_loopback());
    let told = start("listen-told", &["--http-listen=0.0.0.0"]);
    assert!(told.http.ip().is_unspecified());
}

#[test]
fn retention_is_a_field_and_an_attribute() {
    let http = Http::open("retention");
    let (status, made) = http.put("/v1/topics/t", &json!({"retention": "30d"}));
    assert_eq!((status, &made["retention"]), (201, &json!("30d")));
    assert_eq!(made["attributes"], json!({"retention": "30d"}));
    let compacted = json!({"attributes": {"cleanup.policy": "COMPACTION"}});
    assert_eq!(http.put("/v1/topics/t", &compacted).1["retention"], "compacted");
    let both = json!({"attributes": {"retention": "1d"}, "retention": "10GiB"});
    assert_eq!(http.put("/v1/topics/t", &both).1["retention"], "10GiB");
    http.refused("PUT", "/v1/topics/t", r#"{"retention":"soon"}"#, 422);
    let (status, refused) = http.put("/v1/topics/t", &json!({"retention": "locked:1d"}));
    assert_eq!(status, 422);
    assert!(refused["hint"].as_str().unwrap().contains("--object-lock"), "{refused}");
}

#[test]
fn a_topic_is_cloned_once() {
    let http = Http::open("clone");
    http.put("/v1/topics/t", &json!({"queues": 2, "kind": "FIFO", "retention": "3d"}));
    http.put("/v1/topics/other", &json!({}));
    let path = "/v1/topics/copy/clone";
    let plan = json!({"source": "t", "dry_run": true, "with_offsets": true});
    let (status, planned) = http.put(path, &plan);
    assert_eq!((status, &planned["messages"]), (200, &json!(0)));
    assert_eq!(http.get("/v1/topics/copy").0, 404);
    let (status, made) = http.put(path, &json!({"source": "t"}));
    assert_eq!((status, &made["source"]), (201, &json!("t")));
    assert_eq!(made["message_queues"].as_array().unwrap().len(), 2);
    assert_eq!(http.put(path, &json!({"source": "t"})).0, 200);
    let (_, clone) = http.get("/v1/topics/copy");
    assert_eq!(clone["origin"], json!({"source": "t", "at_ms": made["at_ms"]}));
    assert_eq!((&clone["kind"], &clone["retention"]), (&json!("FIFO"), &json!("3d")));
    for (path, body, status) in [
        (path, r#"{"source":"other"}"#, 412),
        (path, r#"{"source":"none"}"#, 404),
        (path, r#"{}"#, 422),
        ("/v1/topics/other/clone", r#"{"source":"t"}"#, 412),
        ("/v1/topics/TBW102/clone", r#"{"source":"t"}"#, 422),
    ] {
        http.refused("PUT", path, body, status);
    }
    let only_new = "If-None-Match: *\r\n";
    assert_eq!(http.call_with("PUT", path, only_new, r#"{"source":"t"}"#).0, 412);
    assert_eq!(http.delete("/v1/topics/t").0, 204);
    assert_eq!(http.get("/v1/topics/copy").0, 200);
}

#[test]
fn a_replay_is_made_once_shown_and_told_what_to_do() {
    let http = Http::open("replays");
    http.put("/v1/topics/from", &json!({"queues": 2}));
    http.put("/v1/topics/to", &json!({"queues": 1}));
    http.put("/v1/groups/g", &json!({}));
    http.command(&["message", "send", "from", "one", "two", "three", "--tag", "a"]);
    let slow = json!({"source": "from", "into": {"topic": "to"}, "messages_per_s": 1});
    let path = "/v1/replays/r";
    let (status, made) = http.put(path, &slow);
    assert_eq!((status, &made["state"]), (201, &json!("running")), "{made}");
    let (status, again) = http.put(path, &slow);
    assert_eq!((status, &again["id"]), (200, &made["id"]));
    assert_eq!(http.put("/v1/replays/r/pause", &json!({})).1["state"], "paused");
    assert_eq!(http.get(path).1["state"], "paused");
    assert_eq!(http.put("/v1/replays/r/resume", &json!({})).1["state"], "running");
    assert_eq!(http.delete(path), (204, Value::Null));
    assert_eq!(http.delete(path).0, 204, "it is over already");
    assert_eq!(http.get(path).1["state"], "cancelled");
    http.refused("PUT", "/v1/replays/r/resume", "{}", 409);
    http.refused("PUT", path, &json!({"source": "from", "into": {"group": "g"}}).to_string(), 409);

    let counted = json!({"source": "from", "into": {"group": "g"}, "dry_run": true});
    let (status, estimate) = http.put("/v1/replays/none", &counted);
    assert_eq!((status, &estimate["messages"]), (200, &json!(3)), "{estimate}");
    assert_eq!(http.get("/v1/replays/none").0, 404, "nothing was done");
    let (_, all) = http.get("/v1/replays");
    assert_eq!(all["replays"].as_array().unwrap().len(), 1);

    for (body, status) in [
        (json!({"source": "none", "into": {"topic": "to"}}), 404),
        (json!({"source": "from", "into": {"topic": "none"}}), 404),
        (json!({"source": "from", "into": {"group": "none"}}), 404),
        (json!({"source": "from", "into": "origin"}), 422),
        (json!({"source": "from", "into": "nowhere"}), 422),
        (json!({"source": "from", "into": {"topic": "to"}, "sql": "a = 1"}), 422),
        (json!({"source": "from", "into": {"topic": "to"}, "tags": "a", "key": "k"}), 422),
        (json!({"source": "from", "into": {"topic": "to"}, "from_ms": 2, "to_ms": 1}), 422),
        (json!({"source": "from", "into": {"topic": "to"}, "messages_per_s": 0}), 422),
        (json!({"source": "from"}), 422),
    ] {
        http.refused("PUT", "/v1/replays/x", &body.to_string(), status);
    }
    http.refused("PUT", "/v1/replays/a%20b", &slow.to_string(), 422);
    http.refused("PUT", path, "{", 400);
    http.refused("GET", "/v1/replays/none", "", 404);
    for verb in ["pause", "resume"] {
        http.refused("PUT", &format!("/v1/replays/none/{verb}"), "{}", 404);
    }
    http.refused("DELETE", "/v1/replays/none", "", 404);
    http.refused("DELETE", "/v1/replays", "", 405);
}

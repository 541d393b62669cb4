//! The admin API over HTTP: what each method answers for what exists, what does not, and what can
//! never be.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

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

struct Http(Broker);

impl Http {
    fn open(name: &str) -> Http {
        let data = harness::folder(&format!("admin-http-{name}")).join("data");
        std::fs::create_dir_all(&data).unwrap();
        Http(Broker::start_with(&data, &["--journal-capacity=128MiB"]))
    }

    fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = call(self.0.addresses().http, method, path, "", body);
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
        (status, body)
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
        ("PUT", "/v1/topics/x", "{\"durability\":\"object\"}", 422),
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
    let address = http.0.addresses().http;
    for path in ["/v1/topics/t", "/v1/groups/g"] {
        let put = || call(address, "PUT", path, "If-None-Match: *\r\n", "{}").0;
        assert_eq!((put(), put()), (201, 412), "{path}");
    }
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

//! `stratamq bench` against a running broker: every mode ends, and its results add up.

#![expect(clippy::unwrap_used, reason = "a broken expectation fails the test")]
#![expect(clippy::disallowed_methods, reason = "the harness waits in real time")]

mod harness;

use harness::{Broker, folder};
use serde_json::Value;
use std::process::Command;

/// Messages of a run: enough for every connection and thread, little enough for a busy machine.
const MESSAGES: u64 = 640;

fn stratamq(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq")).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{complaint}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_mode_measures_what_it_was_asked_for() {
    let broker = Broker::start(&folder("bench-modes"));
    let (grpc, http) = (broker.addresses().grpc.to_string(), broker.addresses().http.to_string());
    stratamq(&["topic", "create", "load", "--json", "--admin", &http]);
    let bench = |arguments: &str| {
        let mut words = vec!["bench"];
        words.extend(arguments.split(' '));
        words.extend(["load", "--json", "--endpoint", &grpc]);
        stratamq(&words)
    };

    let sent = bench("send --messages 640 --batch 4 --connections 3 --threads 2 --keys 9");
    assert_eq!(sent["send"]["messages"], MESSAGES);
    assert_eq!(sent["send"]["requests"], MESSAGES / 4);
    assert_eq!(sent["send"]["bytes"], MESSAGES * 1024);
    assert_eq!(sent["send"]["refused"], serde_json::json!({}));

    // What was sent above is still there for the group.
    let received = bench("receive --messages 640 --ack each --tls --group readers");
    assert!(received["ack"]["messages"].as_u64().unwrap() >= MESSAGES, "{received}");
    assert_eq!(received["redelivered"], 0);

    let through = bench("end-to-end --messages 100 --rate 400 --group readers --size 16-2KiB");
    assert_eq!(through["end_to_end"]["messages"], 100, "{through}");
    assert_eq!((&through["missing"], &through["unserved"]), (&0.into(), &0.into()));
    let latency = |series: &str, at: &str| through[series]["latency_us"][at].as_u64().unwrap();
    assert!(latency("end_to_end", "p50") <= latency("end_to_end", "p999"));
    // Nobody can have a message before it was due.
    assert!(latency("end_to_end", "min") > 0);
}

#[test]
fn an_open_loop_charges_the_broker_for_what_it_did_not_take_in_time() {
    let broker = Broker::start(&folder("bench-overload"));
    let (grpc, http) = (broker.addresses().grpc.to_string(), broker.addresses().http.to_string());
    stratamq(&["topic", "create", "load", "--json", "--admin", &http]);
    // One request in flight cannot keep a rate of a million a second; all of them are due in 1 ms.
    let words = "bench send load --json --rate 1000000 --messages 1000 --in-flight 1 --endpoint";
    let results = stratamq(&words.split(' ').chain([grpc.as_str()]).collect::<Vec<_>>());
    let series = &results["send"];
    let answered = series["requests"].as_u64().unwrap();
    assert_eq!(answered + results["unserved"].as_u64().unwrap(), 1000, "{results}");
    let took_us = series["seconds"].as_f64().unwrap() * 1e6;
    let worst = series["latency_us"]["max"].as_f64().unwrap();
    assert!(worst > 0.9 * took_us, "the last one waited from the beginning: {results}");
}

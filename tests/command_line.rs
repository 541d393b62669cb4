//! The command as an operator types it, against a broker in a process of its own: what it prints,
//! what it says when something is wrong, and how it ends.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use harness::shell::{Ended, Shell};
use serde_json::Value;
use std::process::Command;

#[test]
fn a_newcomer_gets_a_message_through_by_the_printed_commands() {
    let shell = Shell::open("newcomer");
    let listed = shell.ok(&["topic", "list"]);
    assert!(listed.contains("stratamq topic create"), "{listed}");
    let created = shell.ok(&["topic", "create", "hello"]);
    assert!(created.starts_with("created topic hello: 8 queues, NORMAL messages"), "{created}");
    assert!(created.contains("stratamq message send hello \"first message\""), "{created}");
    let sent = shell.ok(&["message", "send", "hello", "first message", "--tag", "a", "--key", "k"]);
    assert!(sent.starts_with("sent to hello: message "), "{sent}");
    assert!(sent.contains("stratamq message receive hello --group readers"), "{sent}");
    let received = shell.ok(&["message", "receive", "hello", "--group", "readers"]);
    assert!(received.contains("  tag a  keys k  attempt 1\nfirst message\n"), "{received}");
    assert!(received.ends_with("1 message received and acknowledged by group readers\n"));
    let again = shell.ok(&["message", "receive", "hello", "--group", "readers", "--wait", "5s"]);
    assert!(again.starts_with("no message for group readers in topic hello\n"), "{again}");
}

#[test]
fn a_topic_with_messages_is_deleted_only_on_purpose() {
    let shell = Shell::open("delete");
    shell.ok(&["topic", "create", "full"]);
    shell.ok(&["message", "send", "full", "one", "two", "three"]);
    let kept = shell.fails(&["topic", "delete", "full"], 2);
    assert!(kept.contains("holds 3 messages"), "{kept}");
    assert!(kept.contains("stratamq topic delete full --yes"), "{kept}");
    assert_eq!(
        shell.ok(&["topic", "delete", "full", "--yes"]),
        "deleted topic full with 3 messages\n"
    );
    shell.fails(&["topic", "delete", "full"], 1);
    shell.fails(&["message", "send", "full", "x"], 1);
}

#[test]
fn scripts_read_json() {
    let shell = Shell::open("json");
    let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let created = read(&shell.ok(&["topic", "create", "data", "--queues", "1", "--json"]));
    assert_eq!((&created["name"], &created["queues"]), (&"data".into(), &1.into()));
    let sent =
        read(&shell.ok(&["message", "send", "data", "ünï", "--property", "a=b=c", "--json"]));
    assert_eq!(sent["offset"], 0);
    let received = shell.ok(&["message", "receive", "data", "--json"]);
    let message = read(&received);
    assert_eq!(message["message_id"], sent["message_id"]);
    assert_eq!(message["body"], "ünï");
    assert_eq!(message["properties"]["a"], "b=c");
    assert_eq!(message["attempt"], 1);
    let described = read(&shell.ok(&["topic", "describe", "data", "--json"]));
    assert_eq!(described["message_queues"][0]["end_offset"], 1);
    let Ended { code, err, out } = shell.run(&["topic", "describe", "none", "--json"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(read(&err)["error"], "topic none does not exist");
}

#[test]
fn groups_are_made_shown_and_deleted() {
    let shell = Shell::open("group");
    assert!(shell.ok(&["group", "list"]).contains("there is no group yet"));
    let created = shell.ok(&["group", "create", "g", "--max-attempts", "3", "--retry", "1s,1m"]);
    assert!(created.starts_with("created group g: concurrent, 3 attempts"), "{created}");
    let described = shell.ok(&["group", "describe", "g"]);
    assert!(described.contains("retry after   1s 1m\n"), "{described}");
    assert!(described.contains("dead letters  0 in %DLQ%g\n"), "{described}");
    shell.fails(&["group", "create", "g"], 1);
    shell.fails(&["group", "create", "h", "--max-attempts", "0"], 2);
    shell.fails(&["topic", "delete", "%DLQ%g"], 1);
    shell.ok(&["topic", "describe", "%DLQ%g"]);
    assert_eq!(shell.ok(&["group", "delete", "g"]), "deleted group g with its progress\n");
    shell.fails(&["group", "describe", "g"], 1);
}

#[test]
fn a_receive_without_ack_leaves_the_message_to_come_again() {
    let shell = Shell::open("no-ack");
    shell.ok(&["topic", "create", "t"]);
    shell.ok(&["message", "send", "t", "again"]);
    let words = ["message", "receive", "t", "--group", "g", "--no-ack", "--invisible", "10s"];
    let first = shell.ok(&words);
    assert!(first.contains("attempt 1\nagain\n"), "{first}");
    assert!(first.ends_with("1 message received, not acknowledged: to come again in 10 s\n"));
    // Parks until the invisible time of the first delivery is over.
    let second = shell.ok(&["message", "receive", "t", "--group", "g"]);
    assert!(second.contains("attempt 2\nagain\n"), "{second}");
}

#[test]
fn a_topic_and_a_group_are_changed_and_the_change_is_shown() {
    let shell = Shell::open("update");
    shell.ok(&["topic", "create", "t", "--queues", "2"]);
    assert_eq!(
        shell.ok(&["topic", "update", "t", "--queues", "4", "--permission", "r"]),
        "changed topic t\n  queues: 2 -> 4\n  permission: rw -> r\n"
    );
    assert_eq!(shell.ok(&["topic", "update", "t", "--queues", "4"]), "topic t is so already\n");
    shell.ok(&["topic", "update", "t", "--attribute", "reserve.time=7"]);
    let described = shell.ok(&["topic", "describe", "t"]);
    assert!(described.contains("reserve.time=7"), "{described}");
    shell.ok(&["topic", "update", "t", "--remove-attribute", "reserve.time"]);
    shell.fails(&["topic", "update", "t", "--remove-attribute", "reserve.time"], 2);
    shell.fails(&["topic", "update", "t"], 2);
    shell.fails(&["topic", "update", "t", "--queues", "1"], 1);
    let unknown = shell.fails(&["topic", "update", "none", "--queues", "1"], 1);
    assert!(unknown.contains("stratamq topic list"), "{unknown}");
    shell.ok(&["group", "create", "g"]);
    assert_eq!(
        shell.ok(&["group", "update", "g", "--max-attempts", "3", "--enabled", "false"]),
        "changed group g\n  attempts: 17 -> 3\n  enabled: true -> false\n"
    );
    shell.fails(&["group", "update", "none", "--max-attempts", "3"], 1);
}

#[test]
fn what_destroys_can_be_tried_first() {
    let shell = Shell::open("dry-run");
    shell.ok(&["topic", "create", "t"]);
    shell.ok(&["message", "send", "t", "one"]);
    shell.ok(&["group", "create", "g"]);
    assert_eq!(
        shell.ok(&["topic", "delete", "t", "--dry-run"]),
        "would delete topic t with 1 message\n"
    );
    let group = shell.ok(&["group", "delete", "g", "--dry-run"]);
    assert!(group.starts_with("would delete group g"), "{group}");
    shell.ok(&["topic", "describe", "t"]);
    shell.ok(&["group", "describe", "g"]);
    shell.fails(&["topic", "delete", "none", "--dry-run"], 1);
}

#[test]
fn a_group_is_moved_back_reads_again_and_old_deliveries_are_void() {
    let shell = Shell::open("reset");
    shell.ok(&["topic", "create", "t", "--queues", "2"]);
    shell.ok(&["message", "send", "t", "one", "two", "three"]);
    shell.ok(&["message", "receive", "t", "--group", "g"]);
    let lag = shell.ok(&["group", "lag", "g"]);
    assert!(lag.ends_with("group g has 0 messages before it\n"), "{lag}");
    let plan = shell.ok(&["group", "reset", "g", "t", "--to", "1h", "--dry-run"]);
    assert!(plan.contains("would move group g in topic t: 3 messages again"), "{plan}");
    let done = shell.ok(&["group", "reset", "g", "t", "--to", "earliest"]);
    assert!(done.contains("moved group g in topic t: 3 messages again"), "{done}");
    let lag: Value =
        serde_json::from_str(&shell.ok(&["group", "lag", "g", "--topic", "t", "--json"])).unwrap();
    assert_eq!(lag["lag"], 3);
    let again = shell.ok(&["message", "receive", "t", "--group", "g", "--no-ack"]);
    assert!(again.contains("3 messages received"), "{again}");
    let kept = shell.fails(&["group", "reset", "g", "t", "--to", "latest"], 2);
    assert!(kept.contains("3 messages"), "{kept}");
    assert!(kept.contains("3 deliveries would be let go"), "{kept}");
    assert!(kept.contains("--dry-run"), "{kept}");
    shell.ok(&["group", "reset", "g", "t", "--to", "latest", "--yes"]);
    shell.ok(&["message", "send", "t", "four"]);
    let next = shell.ok(&["message", "receive", "t", "--group", "g"]);
    assert!(next.contains("\nfour\n1 message received"), "{next}");
    let nowhere = shell.fails(&["group", "reset", "g", "t", "--offset", "strata-0000/77=0"], 1);
    assert!(nowhere.contains("stratamq topic describe"), "{nowhere}");
    shell.fails(&["group", "reset", "none", "t", "--to", "latest"], 1);
    shell.fails(&["group", "reset", "g", "none", "--to", "latest"], 1);
    shell.fails(&["group", "lag", "none"], 1);
}

#[test]
fn messages_are_found_and_followed_without_a_group() {
    let shell = Shell::open("look");
    shell.ok(&["topic", "create", "t", "--queues", "2"]);
    shell.ok(&["message", "send", "t", "one", "two", "--key", "k"]);
    let sent: Value =
        serde_json::from_str(&shell.ok(&["message", "send", "t", "three", "--json"])).unwrap();
    let id = sent["message_id"].as_str().unwrap();
    let found = shell.ok(&["message", "get", id, "--topic", "t"]);
    assert!(found.ends_with("\nthree\n1 message found\n"), "{found}");
    let found = shell.ok(&["message", "get", "--topic", "t", "--key", "k", "--since", "1h"]);
    assert!(found.contains("\ntwo\n") && found.contains("\none\n"), "{found}");
    let found = shell.ok(&["message", "get", "--topic", "t", "--key", "k", "--max", "1"]);
    assert!(found.ends_with("1 message found\n"), "{found}");
    let message: Value =
        serde_json::from_str(&shell.ok(&["message", "get", id, "--topic", "t", "--json"])).unwrap();
    let place = message["offset_message_id"].as_str().unwrap();
    assert!(shell.ok(&["message", "get", place]).contains("\nthree\n"));
    let queue = format!("{}/{}", message["broker"].as_str().unwrap(), message["queue_id"]);
    let offset = message["offset"].to_string();
    let at = ["message", "get", "--topic", "t", "--queue", &queue, "--offset", &offset];
    assert!(shell.ok(&at).contains("\nthree\n"));
    let hint = shell.fails(&["message", "get", id], 1);
    assert!(hint.contains(&format!("stratamq message get {id} --topic TOPIC")), "{hint}");
    shell.fails(&["message", "get", "nothing", "--topic", "t"], 1);
    shell.fails(&["message", "get", "--topic", "none", "--key", "k"], 1);
    shell.fails(&["message", "get"], 2);
    let tail = shell.ok(&["message", "tail", "t", "--since", "1h", "--idle", "100ms", "--json"]);
    let bodies: Vec<Value> = tail
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].clone())
        .collect();
    assert_eq!(bodies, ["one", "two", "three"]);
    let some = shell.ok(&["message", "tail", "t", "--since", "1h", "--max", "2", "--json"]);
    assert_eq!(some.lines().count(), 2);
    shell.fails(&["message", "tail", "none"], 1);
    assert!(shell.ok(&["group", "list"]).contains("there is no group yet"));
}

#[test]
fn a_tail_shows_messages_as_they_come() {
    let shell = Shell::open("tail");
    shell.ok(&["topic", "create", "t"]);
    let ended = std::thread::scope(|scope| {
        let tail = scope.spawn(|| shell.run(&["message", "tail", "t", "--max", "1", "--json"]));
        // Until the tail has begun, what is sent is before it.
        while !tail.is_finished() {
            shell.ok(&["message", "send", "t", "now"]);
        }
        tail.join().unwrap()
    });
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()["body"], "now");
}

#[test]
fn cluster_and_settings_are_shown() {
    let shell = Shell::open("cluster");
    let info = shell.ok(&["cluster", "info"]);
    assert!(info.contains("cluster      DefaultCluster\n"), "{info}");
    assert!(info.contains("strata-0003"), "{info}");
    let config: Value = serde_json::from_str(&shell.ok(&["config", "show", "--json"])).unwrap();
    assert_eq!(config["grpc"], shell.broker.addresses().grpc.to_string());
    let port = shell.broker.addresses().http.port().to_string();
    let free = ["--grpc-port", "0", "--nameserver-port", "0", "--broker-port", "0"];
    let data = shell.config.join("other").display().to_string();
    let taken = [&["config", "check", "--data", &data, "--http-port", &port][..], &free].concat();
    let ended = shell.run(&taken);
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    assert!(ended.out.contains("WRONG  HTTP"), "{}", ended.out);
    assert!(ended.out.contains("is a broker running already?"), "{}", ended.out);
    let good = [&["config", "check", "--data", &data, "--http-port", "0"][..], &free].concat();
    assert!(shell.ok(&good).ends_with("a broker could start with this\n"));
    let small = [&good[..], &["--journal-capacity", "1MiB"]].concat();
    assert!(shell.run(&small).out.contains("WRONG  settings: journal capacity"));
}

#[test]
fn contexts_say_where_commands_go() {
    let shell = Shell::open("context");
    let admin = shell.broker.addresses().http.to_string();
    let grpc = shell.broker.addresses().grpc.to_string();
    // As by a user whose environment knows nothing.
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
            .args(words)
            .env_remove("STRATAMQ_ADMIN")
            .env_remove("STRATAMQ_ENDPOINT")
            .env("XDG_CONFIG_HOME", &shell.config)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert!(run(&["context", "list"]).1.contains("there is no context yet"));
    let add = ["context", "add", "here", "--admin", &admin, "--endpoint", &grpc];
    assert_eq!(run(&add).0, Some(0));
    run(&["context", "add", "half", "--endpoint", &grpc]);
    run(&["context", "add", "gone", "--admin", "127.0.0.1:1"]);
    assert_eq!(run(&["topic", "create", "t", "--context", "here"]).0, Some(0));
    assert_eq!(run(&["context", "use", "gone"]).0, Some(0));
    assert_eq!(run(&["topic", "list"]).0, Some(3));
    assert_eq!(run(&["topic", "list", "--admin", &admin]).0, Some(0), "an option is stronger");
    assert_eq!(run(&["context", "use", "here"]).0, Some(0));
    assert!(run(&["topic", "list"]).1.contains('t'));
    assert_eq!(run(&["message", "send", "t", "x"]).0, Some(0));
    let (code, _, half) = run(&["topic", "list", "--context", "half"]);
    assert_eq!(code, Some(2));
    assert!(half.contains("has no address for this command"), "{half}");
    let (code, _, unknown) = run(&["topic", "list", "--context", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(unknown.contains("stratamq context list"), "{unknown}");
    assert_eq!(run(&["context", "add", "empty"]).0, Some(2));
    let listed = run(&["context", "list"]).1;
    assert!(listed.contains(&format!("*  here     {admin}")), "{listed}");
    assert_eq!(run(&["context", "remove", "here"]).0, Some(0));
    assert_eq!(run(&["context", "remove", "here"]).0, Some(2));
    std::fs::write(shell.config.join("stratamq/contexts.json"), "{").unwrap();
    let (code, _, broken) = run(&["topic", "list"]);
    assert_eq!(code, Some(2));
    assert!(broken.contains("contexts.json cannot be read"), "{broken}");
}

#[test]
fn shells_are_told_how_to_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_stratamq")).args(["completions", shell]).output();
        let script = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(script.contains("reset") && script.contains("dry-run"), "{shell}");
    }
}

#[test]
fn a_topic_is_kept_as_long_as_it_is_told_and_cloned() {
    let shell = Shell::open("retention");
    let created = shell.ok(&["topic", "create", "t", "--retention", "30d"]);
    assert!(created.contains("durability local, retention 30d\n"), "{created}");
    assert!(shell.ok(&["topic", "describe", "t"]).contains("retention   30d\n"));
    let changed = shell.ok(&["topic", "update", "t", "--retention", "10GiB"]);
    assert!(changed.contains("retention") && changed.contains("10GiB"), "{changed}");
    let refused = shell.fails(&["topic", "create", "audit", "--retention", "locked:365d"], 1);
    assert!(refused.contains("stratamq store create --object-lock"), "{refused}");
    shell.fails(&["topic", "update", "t", "--retention", "soon"], 1);

    let planned = shell.ok(&["topic", "clone", "t", "copy", "--dry-run"]);
    assert!(planned.starts_with("would make topic copy: shares 0 messages of topic t as of "));
    let made = shell.ok(&["topic", "clone", "t", "copy", "--with-offsets"]);
    assert!(made.starts_with("made topic copy: shares 0 messages of topic t"), "{made}");
    let again = shell.ok(&["topic", "clone", "t", "copy"]);
    assert!(again.starts_with("there is topic copy"), "{again}");
    let described = shell.ok(&["topic", "describe", "copy"]);
    assert!(described.contains("cloned from  t as of "), "{described}");
    assert!(shell.ok(&["topic", "list"]).contains("10GiB"));
    let taken = shell.fails(&["topic", "clone", "copy", "t"], 1);
    assert!(taken.contains("stratamq topic describe t"), "{taken}");
    shell.fails(&["topic", "clone", "none", "more"], 1);
    shell.fails(&["topic", "clone", "t", "more", "--at", "soon"], 2);
}

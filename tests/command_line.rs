//! The command as an operator types it, against a broker in a process of its own: what it prints,
//! what it says when something is wrong, and how it ends.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use harness::Broker;
use serde_json::Value;
use std::process::Command;

/// Small enough to start at once.
const SMALL_JOURNAL: [&str; 1] = ["--journal-capacity=128MiB"];

/// A broker, and a shell whose environment knows where it is.
struct Shell {
    broker: Broker,
}

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Shell {
    fn open(name: &str) -> Shell {
        let data = harness::folder(&format!("command-line-{name}")).join("data");
        std::fs::create_dir_all(&data).unwrap();
        Shell { broker: Broker::start_with(&data, &SMALL_JOURNAL) }
    }

    fn run(&self, words: &[&str]) -> Ended {
        let addresses = self.broker.addresses();
        let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
            .args(words)
            .env("STRATAMQ_ADMIN", addresses.http.to_string())
            .env("STRATAMQ_ENDPOINT", addresses.grpc.to_string())
            .output()
            .unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that succeeds.
    fn ok(&self, words: &[&str]) -> String {
        let Ended { code, out, err } = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {out}{err}");
        assert_eq!(err, "", "{words:?} has nothing to complain of");
        out
    }

    /// Runs a command that fails with `code`, and says why on standard error.
    fn fails(&self, words: &[&str], code: i32) -> String {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {}{}", ended.out, ended.err);
        assert!(ended.err.starts_with("error: "), "{words:?}: {}", ended.err);
        ended.err
    }
}

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
fn what_goes_wrong_says_what_to_do_and_ends_with_its_code() {
    let shell = Shell::open("wrong");
    let unknown = shell.fails(&["message", "send", "nowhere", "x"], 1);
    assert!(unknown.contains("TOPIC_NOT_FOUND"), "{unknown}");
    assert!(unknown.contains("stratamq topic create nowhere"), "{unknown}");
    let unknown = shell.fails(&["topic", "describe", "nowhere"], 1);
    assert!(unknown.contains("stratamq topic list"), "{unknown}");
    shell.ok(&["topic", "create", "once", "--queues", "2"]);
    let twice = shell.fails(&["topic", "create", "once"], 1);
    assert!(twice.contains("once exists already"), "{twice}");
    assert!(twice.contains("--if-missing"), "{twice}");
    shell.ok(&["topic", "create", "once", "--if-missing"]);
    let described = shell.ok(&["topic", "describe", "once"]);
    assert!(described.contains("queues      2\n"), "what is not named stays: {described}");
    shell.fails(&["topic", "create", "once", "--if-missing", "--queues", "1"], 1);
    shell.fails(&["topic", "create", "bad name"], 1);
    shell.fails(&["topic", "create", "round", "--kind", "round"], 1);
    shell.ok(&["topic", "create", "timers", "--kind", "delay"]);
    let typed = shell.fails(&["message", "send", "timers", "x"], 1);
    assert!(typed.contains("MESSAGE_PROPERTY_CONFLICT_WITH_TYPE"), "{typed}");
    assert!(typed.contains("stratamq topic describe timers"), "{typed}");
    let Ended { code, err, .. } = shell.run(&["topic", "crate", "once"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("create"), "a typing error is shown what was meant: {err}");
    let lost = shell.fails(&["topic", "list", "--admin", "127.0.0.1:1"], 3);
    assert!(lost.contains("stratamq serve"), "{lost}");
    let grpc = shell.broker.addresses().grpc.to_string();
    let lost = shell.fails(&["topic", "list", "--admin", &grpc], 3);
    assert!(lost.contains("HTTP port"), "{lost}");
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
    shell.fails(&["group", "create", "h", "--max-attempts", "0"], 1);
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

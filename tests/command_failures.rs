//! What an operator reads when a command cannot be carried out: what happened, why, and what to do
//! next; and the exit code by which a script knows who is to act.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use harness::shell::{Ended, Shell};
use serde_json::Value;
use std::process::Command;

/// A command without a broker, and without anything that the environment could say.
fn alone(words: &[&str]) -> Ended {
    alone_with(words, &[])
}

fn alone_with(words: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratamq"));
    command.args(words).env_clear().envs(environment.iter().copied());
    Ended::of(&command.output().unwrap())
}

/// Each of `expected` is in what a command says that ends with `code`.
fn says(ended: &Ended, code: i32, expected: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
    for text in expected {
        assert!(ended.err.contains(text), "no {text:?} in: {}", ended.err);
    }
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
fn somebody_else_at_the_address_is_told_apart_from_nobody() {
    let shell = Shell::open("somebody-else");
    let http = shell.broker.addresses().http.to_string();
    let remoting = shell.broker.addresses().nameserver.to_string();
    for words in [
        &["message", "send", "t", "x"][..],
        &["message", "receive", "t"],
        &["bench", "send", "t", "--messages", "1"],
        &["bench", "receive", "t", "--messages", "1"],
    ] {
        for address in [&http, &remoting] {
            let ended = shell.run(&[words, &["--endpoint", address]].concat());
            says(&ended, 3, &["no broker's gRPC port answers at", "nothing was sent", "8081"]);
        }
    }
    let ended = shell.run(&["message", "send", "t", "x", "--tls", "--endpoint", &http]);
    says(&ended, 3, &["nobody speaks TLS there", "--endpoint"]);
    // Another broker's certificate.
    let other = Shell::open("somebody-else-still");
    let authority = other.data.join("tls/certificate.pem").display().to_string();
    let ended = shell.run(&["message", "send", "t", "x", "--tls-ca", &authority]);
    says(&ended, 3, &["peer certificate", "--tls-ca"]);
    let ended = shell.run(&["message", "send", "t", "x", "--tls-ca", "/nonexistent"]);
    says(&ended, 2, &["authorities in /nonexistent", "PEM"]);
}

#[test]
fn who_named_an_address_at_which_nobody_answers_is_said() {
    let nobody = "127.0.0.1:1";
    for (words, variable) in [
        (&["topic", "list"][..], "STRATAMQ_ADMIN"),
        (&["message", "send", "t", "x"], "STRATAMQ_ENDPOINT"),
        (&["bench", "send", "t", "--messages", "1"], "STRATAMQ_ENDPOINT"),
    ] {
        let ended = alone_with(words, &[(variable, nobody)]);
        says(&ended, 3, &["no broker answers at 127.0.0.1:1", "the address is from", variable]);
    }
    let folder = harness::folder("command-failures-context").display().to_string();
    let home = [("XDG_CONFIG_HOME", folder.as_str())];
    assert_eq!(alone_with(&["context", "add", "far", "--admin", nobody], &home).code, Some(0));
    let ended = alone_with(&["topic", "list", "--context", "far"], &home);
    says(&ended, 3, &["the address is from context far"]);
    let ended = alone_with(&["message", "send", "t", "x", "--context", "far"], &home);
    says(&ended, 2, &["context far has no address", "context add far --endpoint HOST:PORT"]);
    assert_eq!(alone_with(&["context", "add", "far", "--endpoint", nobody], &home).code, Some(0));
    let ended = alone_with(&["topic", "list", "--context", "far"], &home);
    says(&ended, 3, &["the address is from context far"]);
    let environment = [home[0], ("STRATAMQ_CONTEXT", "nowhere")];
    let ended = alone_with(&["topic", "list"], &environment);
    says(&ended, 2, &["STRATAMQ_CONTEXT: there is no context nowhere"]);
    for name in ["", "a b"] {
        let ended = alone_with(&["context", "add", name, "--admin", nobody], &home);
        says(&ended, 2, &["letters, digits"]);
    }
}

#[test]
fn a_wrong_value_is_answered_with_the_values_there_are() {
    for (line, expected) in [
        ("topic create t --kind round", "[possible values: normal, fifo"),
        ("topic update t --permission x", "[possible values: rw, r, w, none]"),
        ("topic create t --queues -1", "-1 is not in 1..=65536"),
        ("group create g --order sideways", "[possible values: concurrent, fifo]"),
        ("group create g --retry 5", "\"5\" has no unit; try 5s"),
        ("group reset g t --to yesterday", "earliest, latest, 2h (ago) or 2026-08-05T14:00Z"),
        ("group reset g t", "--to <WHERE>"),
        ("message send t", "<BODIES>..."),
        ("message receive t --wait 1m", "give 5s to 20s"),
        ("message get --topic t --key k --max 0", "0 is not in 1.."),
        ("message tail t --max 0", "0 is not in 1.."),
        ("message tail t --since tomorrow", "try 2h or 2026-08-05T14:00Z"),
        ("bench send t --arrivals never", "[possible values: even, poisson]"),
        ("bench send t --key-spread odd", "[possible values: uniform, zipf]"),
        ("bench send t --group-spread odd", "[possible values: uniform, zipf]"),
        ("bench receive t --ack never", "[possible values: together, each]"),
        ("bench send t --size x", "\"x\" is no size; try 1KiB"),
        ("bench send t --rate -1", "give 0 to 10000000 messages a second"),
        ("bench send t --duration 1s --warm-up 1s", "--duration leaves nothing to measure"),
        ("serve --listen localhost", "127.0.0.1, or 0.0.0.0"),
        ("serve --journal-capacity lots", "try 512MiB or 8GiB"),
        ("serve --advertise-grpc a:b:c", "is no HOST or HOST:PORT"),
        ("completions nosuch", "[possible values: bash, "),
        ("topic list --jsn", "a similar argument exists: '--json'"),
        ("topics list", "a similar subcommand exists: 'topic'"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        says(&alone(&words), 2, &["error: ", expected]);
    }
    for words in [["topic", "create", ""], ["group", "describe", ""], ["message", "tail", ""]] {
        says(&alone(&words), 2, &["the name is empty"]);
    }
}

#[test]
fn an_illegal_name_is_answered_with_the_characters_there_are() {
    let shell = Shell::open("illegal-names");
    shell.ok(&["topic", "create", "t"]);
    for line in [
        "topic create bad.name",
        "group create bad.name",
        "message send bad.name x",
        "message receive t --group bad.name",
        "bench send bad.name --messages 1",
        "bench receive t --group bad.name --messages 1",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        says(&shell.run(&words), 1, &["illegal characters", "use letters, digits, - and _ only"]);
    }
}

#[test]
fn what_is_not_found_is_named_and_so_is_the_way_to_it() {
    let shell = Shell::open("not-found");
    shell.ok(&["topic", "create", "t"]);
    let ended = shell.run(&["message", "get", "--topic", "t", "--key", "k"]);
    says(&ended, 1, &["no message of topic t has key k\n", "stratamq message tail t"]);
    let ended = shell.run(&["message", "get", "X1", "--topic", "t", "--since", "1h"]);
    says(&ended, 1, &["no message of topic t has id X1 in that time"]);
    let ended = shell.run(&[
        "message",
        "get",
        "--topic",
        "t",
        "--queue",
        "strata-0000/77",
        "--offset",
        "0",
    ]);
    says(&ended, 1, &["stratamq topic describe t shows its queues"]);
    let ended = shell.run(&["bench", "send", "none", "--messages", "1"]);
    says(&ended, 1, &["TOPIC_NOT_FOUND", "stratamq topic create none"]);
}

#[test]
fn a_script_reads_every_failure_as_json() {
    let folder = harness::folder("command-failures-json");
    let (home, nowhere) = (folder.display().to_string(), "127.0.0.1:1");
    std::fs::create_dir_all(folder.join("stratamq")).unwrap();
    std::fs::write(folder.join("stratamq/contexts.json"), "{").unwrap();
    for (words, code, what, hint) in [
        (&["topic", "list", "--admin", nowhere][..], 3, "no broker answers", "stratamq serve"),
        (&["topic", "list"], 2, "contexts.json cannot be read", "mend it"),
        (&["topic", "list", "--jsn"], 2, "unexpected argument '--jsn'", "--json"),
        (&["message", "send", "t"], 2, "were not provided: <BODIES>...", "Usage: "),
        (&["topic", "create", "t", "--kind", "x"], 2, "possible values: normal", ""),
    ] {
        let ended = alone_with(&[words, &["--json"]].concat(), &[("XDG_CONFIG_HOME", &home)]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{words:?}");
        let failure: Value = serde_json::from_str(&ended.err).unwrap();
        let told = |name: &str| failure[name].as_str().unwrap().to_owned();
        assert!(told("error").contains(what), "{}", ended.err);
        assert!(!told("error").starts_with("error"), "{}", ended.err);
        assert!(told("hint").contains(hint), "{}", ended.err);
    }
    let help = alone(&["topic", "list", "--json", "--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "help is for people");
    let data = alone(&["message", "send", "t", "--endpoint", nowhere, "--", "--json"]);
    assert!(data.err.starts_with("error: "), "what is behind -- is a body: {}", data.err);
}

#[test]
fn a_folder_or_a_port_in_use_says_so_before_and_at_a_start() {
    let shell = Shell::open("in-use");
    let data = shell.data.display().to_string();
    let http = shell.broker.addresses().http.port().to_string();
    let free = ["--grpc-port=0", "--nameserver-port=0", "--broker-port=0"];
    let folder = [&free[..], &["--http-port=0", "--data", &data]].concat();
    let port = harness::folder("command-failures-port").display().to_string();
    let port = [&free[..], &["--http-port", &http, "--data", &port]].concat();
    says(&alone(&[&["serve"], &folder[..]].concat()), 1, &["in use", "with --data"]);
    let taken = alone(&[&["serve"], &port[..]].concat());
    says(&taken, 1, &["--http-port", "is a broker running already?"]);
    let check = alone(&[&["config", "check"], &folder[..]].concat());
    assert!(check.out.contains("a broker runs on it"), "{}", check.out);
    says(&check, 2, &["1 thing stands in the way"]);
}

#[test]
fn the_first_page_of_help_leads_to_a_first_message() {
    let help = alone(&["--help"]);
    assert_eq!(help.code, Some(0));
    for line in [
        "stratamq serve ",
        "stratamq topic create hello",
        "stratamq message send hello",
        "stratamq message receive hello",
        "Exit codes: 0 done, 1 the broker refused",
        "STRATAMQ_CONTEXT",
    ] {
        assert!(help.out.contains(line), "no {line:?} in {}", help.out);
    }
}

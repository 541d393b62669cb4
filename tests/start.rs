//! A start that must not be: what it says, how it ends, and that it changes nothing.
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod harness;

use harness::Broker;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

const SMALL_JOURNAL: [&str; 1] = ["--journal-capacity=128MiB"];
const FREE_PORTS: [&str; 4] =
    ["--grpc-port=0", "--nameserver-port=0", "--broker-port=0", "--http-port=0"];

/// Starts a broker that must refuse to: one line on standard error, and its exit code.
fn refused(data: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut words = FREE_PORTS.to_vec();
    words.extend(SMALL_JOURNAL);
    words.retain(|word| !flags.iter().any(|flag| flag.split('=').next() == word.split('=').next()));
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(["serve", "--data"])
        .arg(data)
        .args(words)
        .args(flags)
        .env("STRATAMQ_LOG", "error")
        .output()
        .unwrap();
    assert!(output.stdout.is_empty(), "a broker that is not up does not say so");
    let text = String::from_utf8(output.stderr).unwrap();
    let told = text.strip_prefix("stratamq serve: ").unwrap_or_else(|| panic!("{text}"));
    assert_eq!(told.lines().count(), 1, "{told}");
    (output.status.code(), told.trim_end().to_owned())
}

/// A data folder with a topic and a message in it.
fn used(name: &str) -> PathBuf {
    let data = harness::folder(&format!("start-{name}")).join("data");
    fs::create_dir_all(&data).unwrap();
    let broker = Broker::start_with(&data, &SMALL_JOURNAL);
    run(&broker, &["topic", "create", "kept"]);
    run(&broker, &["message", "send", "kept", "first"]);
    assert_eq!(broker.stop().1, Some(0));
    data
}

fn run(broker: &Broker, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(words)
        .env("STRATAMQ_ADMIN", broker.addresses().http.to_string())
        .env("STRATAMQ_ENDPOINT", broker.addresses().grpc.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn still_holds_its_message(data: &Path) {
    let broker = Broker::start_with(data, &SMALL_JOURNAL);
    let received = run(&broker, &["message", "receive", "kept", "--wait", "5s"]);
    assert!(received.contains("\nfirst\n"), "{received}");
}

/// A supervisor starts what ends again and again: no try may come nearer to an empty catalog over a full journal.
#[test]
fn a_journal_whose_metadata_is_gone_is_refused_however_often_and_loses_nothing() {
    let data = used("no-metadata");
    let (metadata, aside) = (data.join("metadata.redb"), data.join("aside"));
    fs::rename(&metadata, &aside).unwrap();
    for _ in 0..6 {
        let (code, told) = refused(&data, &[]);
        assert_eq!(code, Some(1));
        assert!(told.contains("metadata.redb and journal/ belong together"), "{told}");
    }
    fs::rename(&aside, &metadata).unwrap();
    still_holds_its_message(&data);
}

#[test]
fn metadata_whose_journal_is_gone_are_refused_and_no_other_journal_takes_its_place() {
    let data = used("no-journal");
    let (journal, aside) = (data.join("journal"), data.join("aside"));
    fs::rename(&journal, &aside).unwrap();
    let (code, told) = refused(&data, &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("has metadata.redb but no journal/STORE"), "{told}");
    assert!(!journal.exists());
    fs::rename(used("another").join("journal"), &journal).unwrap();
    let (_, told) = refused(&data, &[]);
    assert!(told.contains("names another journal"), "{told}");
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&aside, &journal).unwrap();
    still_holds_its_message(&data);
}

#[test]
fn a_journal_whose_segments_are_gone_is_refused_and_takes_them_back() {
    let data = used("no-segments");
    let (journal, aside) = (data.join("journal"), data.join("aside"));
    fs::create_dir_all(&aside).unwrap();
    let is_segment = |name: &Path| name.extension().is_some_and(|suffix| suffix == "seg");
    let files = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| is_segment(file)) {
        fs::rename(&file, aside.join(file.file_name().unwrap())).unwrap();
    }
    let (code, told) = refused(&data, &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("segments were taken away"), "{told}");
    for entry in fs::read_dir(&aside).unwrap() {
        let file = entry.unwrap().path();
        fs::rename(&file, journal.join(file.file_name().unwrap())).unwrap();
    }
    still_holds_its_message(&data);
}

#[test]
fn a_data_folder_in_use_is_refused_and_its_broker_goes_on() {
    let data = harness::folder("start-in-use").join("data");
    fs::create_dir_all(&data).unwrap();
    let broker = Broker::start_with(&data, &SMALL_JOURNAL);
    let (code, told) = refused(&data, &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("in use by another process"), "{told}");
    run(&broker, &["topic", "create", "more"]);
}

#[test]
fn a_taken_port_is_named_once_with_the_flag_that_chooses_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let data = harness::folder("start-port").join("data");
    for flag in ["--grpc-port", "--nameserver-port", "--broker-port", "--http-port"] {
        let (code, told) = refused(&data, &[&format!("{flag}={port}")]);
        assert_eq!(code, Some(1));
        assert!(told.starts_with(&format!("cannot listen on 127.0.0.1:{port} (")), "{told}");
        assert!(told.contains(flag), "{told}");
        assert_eq!(told.matches("in use").count(), 1, "{told}");
    }
    assert!(!data.join("journal").exists(), "a taken port is found before anything is written");
}

#[test]
fn a_wrong_setting_ends_with_2_and_says_what_may_be() {
    let data = harness::folder("start-setting").join("data");
    let (code, told) = refused(&data, &["--journal-capacity=10MiB"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("give at least 128 MiB"), "{told}");
    let (code, told) = refused(&data, &["--tls-certificate=none.pem", "--tls-key=none.pem"]);
    assert_eq!(code, Some(2));
    assert!(told.starts_with("certificate: none.pem: "), "{told}");
    fs::create_dir_all(&data).unwrap();
    let large = Broker::start_with(&data, &["--journal-capacity=1GiB"]);
    assert_eq!(large.stop().1, Some(0));
    let (code, told) = refused(&data, &[]);
    assert_eq!(code, Some(2));
    assert!(told.contains("segments of 64 MiB: give at least 256 MiB"), "{told}");
    let (code, told) = refused(&data, &["--cluster=Other", "--journal-capacity=1GiB"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("belongs to cluster DefaultCluster"), "{told}");
}

/// Messages and secrets lie in it.
#[test]
fn a_data_folder_that_is_made_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let data = harness::folder("start-mode").join("data");
    let broker = Broker::start_with(&data, &SMALL_JOURNAL);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    drop(broker);
}

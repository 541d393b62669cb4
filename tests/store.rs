//! `stratamq store` as an operator types it: on a folder, and on a real S3-compatible service where
//! `tests/s3/run` started one.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use serde_json::Value;
use std::path::Path;
use std::process::Command;

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the command without any setting of this machine's but those of the test.
fn run(words: &[&str], settings: &[(&str, &str)]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .arg("store")
        .args(words)
        .env_remove("STRATAMQ_STORE")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that ends with 0, and says what it printed.
fn ok(words: &[&str]) -> String {
    let Ended { code, out, err } = run(words, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{words:?}: {out}");
    out
}

fn json(words: &[&str]) -> Vec<Value> {
    let out = ok(&[words, &["--json"]].concat());
    serde_json::from_str(&out).unwrap()
}

/// Of a report's row about `what`, the verdict.
fn verdict(rows: &[Value], what: &str) -> String {
    let row = rows.iter().find(|row| row["what"] == what);
    let row = row.unwrap_or_else(|| panic!("nothing about {what}: {rows:?}"));
    row["verdict"].as_str().unwrap().to_owned()
}

fn store_of(folder: &Path) -> [String; 2] {
    ["--store".to_owned(), folder.display().to_string()]
}

#[test]
fn a_folder_is_made_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    let [flag, url] = &store_of(&folder);
    let missing = run(&["check", flag, url], &[]);
    assert_eq!(missing.code, Some(1), "{}", missing.out);
    assert!(missing.out.contains("WRONG"), "{}", missing.out);
    assert!(missing.err.contains("1 thing wrong"), "{}", missing.err);

    let planned = ok(&["create", flag, url, "--dry-run"]);
    assert!(
        planned.contains("make the folder") && planned.contains("nothing was done"),
        "{planned}"
    );
    assert!(!folder.exists());
    assert!(ok(&["create", flag, url]).contains("done"));
    assert!(ok(&["create", flag, url]).contains("nothing to do"));

    let rows = json(&["check", flag, url]);
    for what in ["folder", "free space", "sync"] {
        assert_ne!(verdict(&rows, what), "wrong");
    }
    assert!(ok(&["check", flag, url]).contains("can be used"));
}

#[test]
fn what_is_no_store_is_wrong_usage() {
    let ended = run(&["check", "--store", "gs://bucket"], &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("s3://bucket/prefix"), "{}", ended.err);
}

#[test]
fn a_service_that_does_not_answer_is_told_apart() {
    // Nobody listens on port 1.
    let settings = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ];
    let ended = run(&["check", "--store", "s3://bucket"], &settings);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("AWS_ENDPOINT_URL"), "{}", ended.err);
}

#[test]
fn a_machine_without_credentials_is_told_how_to_get_some() {
    // A profile of no file: nobody asks the instance either.
    let settings = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    let ended = run(&["check", "--store", "s3://bucket"], &settings);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("AWS_PROFILE"), "{}", ended.err);
    assert!(ended.err.lines().count() <= 3, "{}", ended.err);
}

/// A bucket that no other run uses, on the service that was started for the tests.
fn fresh_bucket() -> Option<String> {
    if std::env::var_os("STRATAMQ_TEST_STORE").is_none() {
        println!("SKIPPED: STRATAMQ_TEST_STORE names no store; see tests/s3/run");
        return None;
    }
    let nonce = storage::env::Env::system().random_u64();
    Some(format!("s3://stratamq-{nonce:016x}/mq/eu"))
}

#[test]
fn a_bucket_is_made_and_checked() {
    let Some(url) = fresh_bucket() else { return };
    let missing = run(&["check", "--store", &url], &[]);
    assert_eq!(missing.code, Some(1), "{}", missing.err);
    assert!(missing.err.contains(&format!("store create --store {url}")), "{}", missing.err);

    let planned = json(&["create", "--store", &url, "--dry-run"]);
    assert!(planned.iter().all(|row| row["outcome"] == "planned"), "{planned:?}");
    let taken = json(&["create", "--store", &url]);
    assert_eq!(planned.len(), taken.len());
    assert_eq!(taken[0]["outcome"], "done", "the bucket itself: {taken:?}");
    println!("{}", ok(&["create", "--store", &url]));

    let said = run(&["check", "--store", &url], &[]);
    println!("{}{}", said.out, said.err);
    let rows: Vec<Value> = {
        let ended = run(&["check", "--store", &url, "--json"], &[]);
        serde_json::from_str(&ended.out).unwrap()
    };
    assert_eq!(verdict(&rows, "data"), "good");
    assert_eq!(verdict(&rows, "PUT that only makes"), "good");
    // What this service took, it shows; what it did not take is not called wrong.
    for (step, what) in [
        ("block public access", "public access"),
        ("encrypt what is stored (AES256)", "encryption"),
    ] {
        let row = taken.iter().find(|row| row["step"] == step).unwrap();
        let expected = if row["outcome"] == "done" { "good" } else { "unanswered" };
        assert_eq!(verdict(&rows, what), expected, "{row}");
    }
}

#[test]
fn a_wrong_key_is_refused_with_what_to_do() {
    let Some(url) = fresh_bucket() else { return };
    let ended = run(&["create", "--store", &url], &[("AWS_SECRET_ACCESS_KEY", "wrong")]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(
        ended.err.contains("SignatureDoesNotMatch") || ended.err.contains("403"),
        "{}",
        ended.err
    );
}

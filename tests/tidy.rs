//! What STYLE asks of the source text and a compiler does not check: which room may know which, a module doc in every
//! file, no leftovers, no file that grew past reason.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Past this many lines a production file has surely found a second subject.
const LINES_MAX: usize = 700;
/// And a file of tests.
const TEST_LINES_MAX: usize = 1_500;
/// Characters in a line of code or prose in code.
const LINE_LENGTH_MAX: usize = 120;

/// Crate folder → the workspace crates it may depend on, tests included. Arrows never turn back.
const CRATE_ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("storage", &[]),
    ("storage/bucket", &["storage"]),
    ("metadata", &["protocol", "storage"]),
    ("gateway", &["protocol", "storage", "metadata", "client"]),
    ("client", &["protocol"]),
];

/// Folder, or file, → words that may not be used in it: rooms that it must not know.
const ROOM_ARROWS: &[(&str, &[&str])] = &[
    // Storage knows no RocketMQ word and no wire.
    ("storage/src", &["protocol::", "tonic::", "prost::"]),
    // Codecs do no IO and wait for nothing.
    (
        "storage/src/format",
        &[
            "std::fs",
            "std::io",
            "tokio",
            "async fn",
            "crate::journal",
            "crate::log",
            "crate::object",
        ],
    ),
    // What is decided about objects is decided without a store, a clock or a journal.
    (
        "storage/src/tier",
        &["std::fs", "std::io", "tokio", "async fn", "crate::journal", "crate::object", "env::Env"],
    ),
    // Who verifies the bucket knows nothing but the bucket.
    ("storage/src/audit", &["std::fs", "std::io", "crate::journal", "crate::log"]),
    // Whoever answers out of the bucket knows no log but that.
    ("storage/src/reader", &["crate::journal", "crate::log"]),
    // What runs against the bucket commits nothing: it knows neither journal nor log.
    ("storage/src/compact", &["std::fs", "std::io", "crate::journal", "crate::log"]),
    ("storage/src/collect", &["std::fs", "std::io", "crate::journal", "crate::log"]),
    // Nor does the store know what is stored in it.
    ("storage/src/object", &["crate::journal", "crate::log", "crate::format"]),
    ("protocol/src", &["tokio::", "std::fs", "std::net::Tcp", "SystemTime", "Instant::now"]),
    // A feature does not know the fronts.
    ("gateway/src/produce", FRONTS),
    ("gateway/src/consume", FRONTS),
    // What is in memory of a queue is nobody's business but its own: no group, no wire.
    (
        "gateway/src/history",
        &[
            "crate::grpc",
            "crate::remoting",
            "crate::admin",
            "crate::consume",
            "crate::produce",
            "protocol::",
        ],
    ),
    // Windows and snapshots are decided without a log, a clock or a wait.
    ("gateway/src/history/window.rs", PURE),
    ("gateway/src/history/snapshot.rs", PURE),
    ("gateway/src/consume/state", &["std::fs", "std::io", "tokio", "async fn", "storage::Log"]),
    // The way to a client is its own Telemetry stream, so the registry knows that wire's commands.
    ("gateway/src/group", &["crate::grpc", "crate::remoting", "crate::admin"]),
    ("gateway/src/query", FRONTS),
    ("gateway/src/ownership", FRONTS),
    ("gateway/src/topic", FRONTS),
    ("gateway/src/replay", FRONTS),
    // What a job does next is decided without waiting for anything.
    ("gateway/src/replay/state.rs", &["async fn", "tokio", "env::Env"]),
    // A listener knows no protocol above TLS.
    ("gateway/src/listen", &["crate::grpc", "crate::remoting", "crate::admin", "protocol::"]),
];
const PURE: &[&str] = &["std::fs", "std::io", "tokio", "async fn", "env::Env", "storage::Log"];
const FRONTS: &[&str] = &["crate::grpc", "crate::remoting", "crate::admin", "protocol::grpc"];

/// Module names that end as everybody's dependency.
const NAMELESS_ROOMS: &[&str] =
    &["common", "util", "utils", "helper", "helpers", "types", "manager", "misc"];

/// Leftovers that no file keeps.
const LEFTOVERS: &[&str] = &["TODO", "FIXME", "XXX:", "todo!(", "unimplemented!(", "dbg!("];

#[test]
fn crates_depend_downwards_only() {
    for (folder, allowed) in CRATE_ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        for (other, _) in CRATE_ARROWS {
            let depends =
                manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(*other));
            assert!(!depends || allowed.contains(other), "{folder} must not depend on {other}");
        }
    }
}

#[test]
fn rooms_know_only_what_they_may() {
    let mut faults = Vec::new();
    for (folder, forbidden) in ROOM_ARROWS {
        for file in rust_files(&root().join(folder)) {
            let text = production_part(&fs::read_to_string(&file).unwrap());
            for (number, line) in code_lines(&text) {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    let file = shown(&file);
                    faults.push(format!("{file}:{number}: {folder} must not know {word}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Features meet in a service or through a handle, never in each other's state.
#[test]
fn features_do_not_import_each_others_state() {
    let features = ["produce", "consume", "group", "ownership", "history", "replay", "tiering"];
    let mut faults = Vec::new();
    for feature in features {
        for file in rust_files(&root().join("gateway/src").join(feature)) {
            for (number, line) in code_lines(&fs::read_to_string(&file).unwrap()) {
                for other in features.iter().filter(|other| **other != feature) {
                    if line.contains(&format!("crate::{other}::state")) {
                        faults.push(format!("{}:{number}: state of {other}", shown(&file)));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    // A module's own `tests.rs` is part of what it tests.
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|file| !file.ends_with("tests.rs"))
        .filter(|file| !fs::read_to_string(file).unwrap().trim_start().starts_with("//!"))
        .map(|file| shown(&file))
        .collect();
    assert!(silent.is_empty(), "no //! doc: {silent:?}");
}

#[test]
fn no_room_is_nameless() {
    for file in sources() {
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        for name in [stem, folder] {
            let nameless = NAMELESS_ROOMS.contains(&name.as_str());
            assert!(!nameless, "{}: put it beside its noun", shown(&file));
        }
    }
}

#[test]
fn no_leftovers() {
    let mut faults = Vec::new();
    let own = root().join("tests/tidy.rs");
    for file in sources().into_iter().filter(|file| *file != own) {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in LEFTOVERS.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{}: {word}", shown(&file), number + 1));
            }
            if line.chars().count() > LINE_LENGTH_MAX && !line.contains("http") {
                faults.push(format!("{}:{}: line too long", shown(&file), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_stay_readable() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let name = shown(&file);
        let of_tests = ["tests", "fuzz", "benches"].iter().any(|part| name.contains(part));
        let (limit, lines) = if of_tests {
            (TEST_LINES_MAX, text.lines().count())
        } else {
            (LINES_MAX, production_part(&text).lines().count())
        };
        assert!(lines <= limit, "{name}: {lines} lines; what is its second subject?");
    }
}

#[test]
fn documents_name_no_machine() {
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", ".ci/run"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        for path in ["/root/", "/home/", "/work/"] {
            assert!(!text.contains(path), "{name} names {path}");
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// Every Rust file that people write: generated code is left out.
fn sources() -> Vec<PathBuf> {
    ["src", "protocol", "storage", "metadata", "gateway", "client", "tests", "benches", "fuzz"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_owned()];
    }
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let skipped = ["target", "generated", "node_modules"].contains(&name.as_str());
        if path.is_dir() && !skipped {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The text before a file's own test module.
fn production_part(text: &str) -> String {
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// Numbered lines that are no comment.
fn code_lines(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

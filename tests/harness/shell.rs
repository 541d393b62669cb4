//! The command as an operator types it, against a broker of its own.

use super::{Broker, folder};
use std::path::PathBuf;
use std::process::{Command, Output};

/// Small enough to start at once.
const SMALL_JOURNAL: [&str; 1] = ["--journal-capacity=128MiB"];

/// A broker, and a shell whose environment knows where it is.
pub(crate) struct Shell {
    pub(crate) broker: Broker,
    pub(crate) data: PathBuf,
    /// Where contexts are kept.
    pub(crate) config: PathBuf,
}

pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Shell {
    pub(crate) fn open(name: &str) -> Shell {
        let folder = folder(&format!("command-line-{name}"));
        let (data, config) = (folder.join("data"), folder.join("config"));
        std::fs::create_dir_all(&data).unwrap();
        Shell { broker: Broker::start_with(&data, &SMALL_JOURNAL), data, config }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        let addresses = self.broker.addresses();
        let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
            .args(words)
            .env("STRATAMQ_ADMIN", addresses.http.to_string())
            .env("STRATAMQ_ENDPOINT", addresses.grpc.to_string())
            .env("XDG_CONFIG_HOME", &self.config)
            .output()
            .unwrap();
        Ended::of(&output)
    }

    /// Runs a command that succeeds.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let Ended { code, out, err } = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {out}{err}");
        assert_eq!(err, "", "{words:?} has nothing to complain of");
        out
    }

    /// Runs a command that fails with `code`, and says why on standard error.
    pub(crate) fn fails(&self, words: &[&str], code: i32) -> String {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {}{}", ended.out, ended.err);
        assert!(ended.err.starts_with("error: "), "{words:?}: {}", ended.err);
        ended.err
    }
}

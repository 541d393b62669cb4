//! How a command fails: for a person in two lines, for a script by its exit code.

use std::io::Write;
use std::process::ExitCode;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The broker answered no.
    Refused = 1,
    /// The command cannot be carried out as it was given.
    Usage = 2,
    /// Nobody answers, or the answer was lost.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// What went wrong, and what to do about it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) what: String,
    /// May be empty.
    pub(super) hint: String,
}

impl Failure {
    pub(super) fn refused(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Refused, what: what.into(), hint: String::new() }
    }

    pub(super) fn usage(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, what: what.into(), hint: String::new() }
    }

    pub(super) fn unreachable(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Unreachable, what: what.into(), hint: String::new() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = hint.into();
        self
    }

    /// The same, with the placeholder in the hint replaced by what the user spoke of.
    pub(super) fn about(mut self, placeholder: &str, name: &str) -> Failure {
        self.hint = self.hint.replace(placeholder, name);
        self
    }

    /// What a person reads: the error, and below it the way out.
    pub(super) fn text(&self) -> String {
        if self.hint.is_empty() {
            format!("error: {}\n", self.what)
        } else {
            format!("error: {}\n  {}\n", self.what, self.hint)
        }
    }

    /// To standard error; one JSON object for a script.
    pub(super) fn print(&self, json: bool) {
        let text = if json {
            format!("{}\n", serde_json::json!({ "error": self.what, "hint": self.hint }))
        } else {
            self.text()
        };
        // Nobody is left to tell when this fails.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Standard output is gone: the reader of a pipe has seen enough.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::usage(format!("the output cannot be written: {error}"))
    }
}

/// What the client library reports.
impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Failure {
        let what = error.to_string();
        match &error {
            client::Error::Unreachable { endpoint, reason } => {
                Failure::unreachable(format!("no broker answers at {endpoint}: {reason}"))
                    .hint(START_ONE)
            }
            client::Error::TimedOut { .. } | client::Error::Broken { .. } => {
                match error.outcome() {
                    client::Outcome::Unknown => Failure::unreachable(what)
                        .hint("whether it was done is not known; look before doing it again"),
                    client::Outcome::NotApplied => Failure::refused(what),
                }
            }
            client::Error::Invalid { .. } => Failure::usage(what),
            client::Error::Refused { .. }
            | client::Error::Declined { .. }
            | client::Error::Partly { .. }
            | client::Error::Malformed { .. }
            | client::Error::Closed => Failure::refused(what).hint(way_out(error.code())),
        }
    }
}

/// The way out when nobody listens.
pub(super) const START_ONE: &str =
    "start one with: stratamq serve   (or say where it is: --endpoint, --admin)";

/// What to do about a code of the broker's; empty where its words say it all.
fn way_out(code: Option<client::Code>) -> &'static str {
    use client::Code;
    match code {
        Some(Code::TopicNotFound) => {
            "make it with: stratamq topic create TOPIC   (stratamq topic list shows what there is)"
        }
        Some(Code::ConsumerGroupNotFound) => "make it with: stratamq group create GROUP",
        Some(Code::MessagePropertyConflictWithType) => {
            "stratamq topic describe TOPIC says what it takes; this command sends NORMAL messages"
        }
        Some(Code::TooManyRequests) => {
            "nothing that was sent is lost, and consumers still receive; send again once there is room"
        }
        Some(Code::InvalidReceiptHandle) => {
            "the message was not acknowledged in time and comes again; --invisible gives more time"
        }
        Some(_) | None => "",
    }
}

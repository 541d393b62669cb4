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

    /// Of the words that clap has for people: the first paragraph says what is wrong, those behind it
    /// say what there is.
    pub(super) fn misused(text: &str) -> Failure {
        let mut paragraphs = text.split("\n\n").map(|paragraph| {
            paragraph
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        });
        let what = paragraphs.next().unwrap_or_default();
        let rest: Vec<String> =
            paragraphs.filter(|text| !text.is_empty() && !text.starts_with("For more")).collect();
        Failure::usage(what.strip_prefix("error: ").unwrap_or(&what)).hint(rest.join("; "))
    }

    /// The same, where nobody answers, with who said that the broker is there; nothing where nobody
    /// did.
    pub(super) fn led_by(mut self, origin: &str) -> Failure {
        if self.exit == Exit::Unreachable && !origin.is_empty() {
            self.hint = format!("{}; the address is from {origin}", self.hint.trim_end());
        }
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
                    .hint(way_in(reason))
            }
            client::Error::TimedOut { rpc, endpoint, .. } if only_asks(rpc) => {
                Failure::unreachable(format!("no broker's gRPC port answers at {endpoint}: {what}"))
                    .hint(GRPC_PORT)
            }
            client::Error::Broken { rpc, endpoint, reason, .. } if only_asks(rpc) => {
                Failure::unreachable(format!(
                    "no broker's gRPC port answers at {endpoint}: {reason}"
                ))
                .hint(GRPC_PORT)
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
            | client::Error::Closed => {
                let hint = if is_illegal_name(&what) { NAMES } else { way_out(error.code()) };
                Failure::refused(what).hint(hint)
            }
        }
    }
}

/// The way out when nobody listens.
pub(super) const START_ONE: &str =
    "start one with: stratamq serve   (or say where it is: --endpoint, --admin)";

/// What to do about a connection that could not be made, by the words of the TLS library: where it
/// has something to say, somebody listens.
fn way_in(reason: &str) -> &'static str {
    if reason.contains("peer certificate") {
        "the server's certificate is not one of these authorities' (--tls-ca); --tls does not check it"
    } else if reason.contains("corrupt message") {
        "nobody speaks TLS there; is this the gRPC port (8081 by default)? see --endpoint"
    } else {
        START_ONE
    }
}

/// The way out when somebody listens who is no broker.
pub(super) const GRPC_PORT: &str =
    "nothing was sent; is this the gRPC port (8081 by default)? see --endpoint, --tls";

/// Calls that come before the work and change nothing.
fn only_asks(rpc: &str) -> bool {
    matches!(rpc, "QueryRoute" | "QueryAssignment" | "Telemetry" | "Heartbeat")
}

/// The way out of [`is_illegal_name`].
pub(super) const NAMES: &str =
    "use letters, digits, - and _ only: at most 127 for a topic, 120 for a group";

/// Whether the broker refused a name for its characters.
pub(super) fn is_illegal_name(what: &str) -> bool {
    what.contains("contains illegal characters")
}

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

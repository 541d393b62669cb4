//! What can go wrong, and for each: did it happen, and what may the caller do.

use crate::config::Endpoint;
use protocol::grpc::v2::{Code, Status};
use std::fmt;
use std::time::Duration;

/// What is known about a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It had no effect, and never will.
    NotApplied,
    /// It may have had its effect, or may still have it.
    Unknown,
}

/// What the caller may do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The same again, after this pause. If the outcome is unknown this may do it twice.
    Retry {
        /// The least pause.
        after: Duration,
    },
    /// Something must be changed first: the request, the configuration, or what exists on the
    /// server.
    Fix,
    /// Nothing that a caller does helps: the client is closed, or the server is broken.
    Stop,
}

/// What the server answered instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number of `apache.rocketmq.v2.Code`; may be one that this client does not know.
    pub code: i32,
    /// The server's words.
    pub message: String,
}

impl Refusal {
    /// The code, if this client knows it.
    pub fn known_code(&self) -> Option<Code> {
        Code::try_from(self.code).ok()
    }

    /// `Ok` for the code OK.
    pub(crate) fn check(status: Option<Status>) -> Result<(), Refusal> {
        match status {
            Some(status) if status.code == Code::Ok as i32 => Ok(()),
            Some(Status { code, message }) => Err(Refusal { code, message }),
            None => Err(Refusal {
                code: Code::InternalServerError as i32,
                message: "the server's answer has no status".to_owned(),
            }),
        }
    }

    /// Codes of a server that may have done it nevertheless; below 50000 it has looked and
    /// declined.
    fn outcome(&self) -> Outcome {
        match self.known_code() {
            Some(Code::RequestTimeout) => Outcome::Unknown,
            Some(Code::NotImplemented | Code::Unsupported | Code::VersionUnsupported) => {
                Outcome::NotApplied
            }
            _ if (40_000..50_000).contains(&self.code) => Outcome::NotApplied,
            _ => Outcome::Unknown,
        }
    }

    fn advice(&self) -> Advice {
        match self.known_code() {
            // The pause that the Java client makes.
            Some(Code::TooManyRequests) => Advice::Retry { after: Duration::from_millis(20) },
            Some(Code::NotImplemented | Code::Unsupported | Code::VersionUnsupported) => {
                Advice::Fix
            }
            Some(Code::RequestTimeout) => Advice::Retry { after: PAUSE },
            _ if (40_000..50_000).contains(&self.code) => Advice::Fix,
            _ => Advice::Retry { after: PAUSE },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_code() {
            Some(code) => write!(f, "{} ({})", code.as_str_name(), self.code)?,
            None => write!(f, "code {}", self.code)?,
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// The pause before asking again a server that did not answer.
const PAUSE: Duration = Duration::from_millis(100);

/// A failed call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server answered, and the answer is no.
    #[error("{rpc} was refused: {refusal}")]
    Refused {
        /// The RPC's name.
        rpc: &'static str,
        /// What the server said.
        refusal: Refusal,
    },
    /// Some messages of one request were taken and some were not. In the order of the messages.
    #[error("{rpc}: {} of {} messages were refused", refusals(.entries), .entries.len())]
    Partly {
        /// The RPC's name.
        rpc: &'static str,
        /// What became of each message.
        entries: Vec<Result<crate::message::Receipt, Refusal>>,
    },
    /// No connection could be made, or it was lost before its turn came; nothing was sent.
    #[error("no connection to {endpoint}: {reason}")]
    Unreachable {
        /// Who does not answer.
        endpoint: Endpoint,
        /// The operating system's or the TLS library's words.
        reason: String,
    },
    /// No answer came in time.
    #[error("{endpoint} did not answer {rpc} within {after:?}")]
    TimedOut {
        /// The RPC's name.
        rpc: &'static str,
        /// Who was asked.
        endpoint: Endpoint,
        /// How long the client waited.
        after: Duration,
    },
    /// The server turned the call away without an answer of its own: an RPC that it does not have,
    /// settings or credentials that it will not take.
    #[error("{rpc} was declined: {reason}")]
    Declined {
        /// The RPC's name.
        rpc: &'static str,
        /// The gRPC status code.
        code: tonic::Code,
        /// The server's words.
        reason: String,
    },
    /// The connection broke before the answer was there, or the transport ended the call.
    #[error("{rpc} to {endpoint} broke off: {reason}")]
    Broken {
        /// The RPC's name.
        rpc: &'static str,
        /// Who was asked.
        endpoint: Endpoint,
        /// The gRPC status code.
        code: tonic::Code,
        /// The transport's words.
        reason: String,
    },
    /// The server's answer says something that it cannot say.
    #[error("the answer of {rpc} makes no sense: {what}")]
    Malformed {
        /// The RPC's name.
        rpc: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The caller's argument cannot be used.
    #[error("{what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// The producer or consumer was closed.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// Did it happen?
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Refused { refusal, .. } => refusal.outcome(),
            Error::Partly { .. }
            | Error::TimedOut { .. }
            | Error::Broken { .. }
            | Error::Malformed { .. } => Outcome::Unknown,
            Error::Declined { .. }
            | Error::Unreachable { .. }
            | Error::Invalid { .. }
            | Error::Closed => Outcome::NotApplied,
        }
    }

    /// What may the caller do?
    pub fn advice(&self) -> Advice {
        match self {
            Error::Refused { refusal, .. } => refusal.advice(),
            Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Broken { .. } => {
                Advice::Retry { after: PAUSE }
            }
            Error::Partly { .. } | Error::Declined { .. } | Error::Invalid { .. } => Advice::Fix,
            Error::Malformed { .. } | Error::Closed => Advice::Stop,
        }
    }

    /// The server's code, if the server refused and the code is known.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused { refusal, .. } => refusal.known_code(),
            Error::Partly { .. }
            | Error::Unreachable { .. }
            | Error::TimedOut { .. }
            | Error::Declined { .. }
            | Error::Broken { .. }
            | Error::Malformed { .. }
            | Error::Invalid { .. }
            | Error::Closed => None,
        }
    }
}

fn refusals(entries: &[Result<crate::message::Receipt, Refusal>]) -> usize {
    entries.iter().filter(|entry| entry.is_err()).count()
}

/// gRPC codes by which a server says that it did not carry the call out. `Unavailable` is not among
/// them: a connection that breaks under a call looks the same.
pub(crate) fn declines(code: tonic::Code) -> bool {
    matches!(
        code,
        tonic::Code::Unimplemented
            | tonic::Code::InvalidArgument
            | tonic::Code::Unauthenticated
            | tonic::Code::PermissionDenied
            | tonic::Code::FailedPrecondition
            | tonic::Code::NotFound
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: Code) -> Error {
        let refusal = Refusal { code: code as i32, message: "words".into() };
        Error::Refused { rpc: "SendMessage", refusal }
    }

    #[test]
    fn a_refusal_names_code_and_words() {
        assert_eq!(
            refused(Code::TopicNotFound).to_string(),
            "SendMessage was refused: TOPIC_NOT_FOUND (40402): words"
        );
        let refusal = Refusal { code: 49_999, message: String::new() };
        assert_eq!(refusal.to_string(), "code 49999");
    }

    #[test]
    fn a_persistence_timeout_is_unknown_and_a_bad_request_is_not_applied() {
        assert_eq!(refused(Code::MasterPersistenceTimeout).outcome(), Outcome::Unknown);
        assert_eq!(refused(Code::InternalServerError).outcome(), Outcome::Unknown);
        assert_eq!(refused(Code::IllegalTopic).outcome(), Outcome::NotApplied);
        assert_eq!(refused(Code::IllegalTopic).advice(), Advice::Fix);
        assert_eq!(refused(Code::TooManyRequests).outcome(), Outcome::NotApplied);
        assert!(matches!(refused(Code::TooManyRequests).advice(), Advice::Retry { .. }));
    }

    #[test]
    fn only_a_connection_that_was_never_made_is_certain_to_have_sent_nothing() {
        let endpoint: Endpoint = "h:1".parse().unwrap();
        let unreachable =
            Error::Unreachable { endpoint: endpoint.clone(), reason: "refused".into() };
        assert_eq!(unreachable.outcome(), Outcome::NotApplied);
        let code = tonic::Code::Unavailable;
        let broken = Error::Broken { rpc: "SendMessage", endpoint, code, reason: "reset".into() };
        assert_eq!(broken.outcome(), Outcome::Unknown);
    }
}

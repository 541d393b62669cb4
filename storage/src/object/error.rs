//! What can go wrong with a bucket, told apart by what to do about it.
use super::Name;
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error as StdError;
use std::fmt::Write;
use std::io;
use std::time::Duration;

/// Why an operation on a bucket failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object. Whoever follows a manifest reads the record again.
    #[error("there is no object {name}")]
    NotFound {
        /// Its name.
        name: Name,
    },
    /// Another object has the name already, and it is not the one to be stored. Nothing was
    /// changed.
    #[error(
        "another object of {found} bytes is already called {name}: names carry a nonce, so two \
         clusters share this bucket and prefix, or the metadata is older than the bucket; give \
         each cluster a prefix of its own"
    )]
    Foreign {
        /// The name.
        name: Name,
        /// The length of what is there.
        found: u64,
    },
    /// The range is not in the object.
    #[error("the range asked for does not lie in object {name}")]
    OutOfRange {
        /// The object.
        name: Name,
    },
    /// More than one answer may hold.
    #[error("{bytes} bytes of {name} are more than one read may bring: ask for ranges")]
    TooMuch {
        /// The object.
        name: Name,
        /// What was asked for.
        bytes: u64,
    },
    /// The store refuses until somebody changes something.
    #[error("the store refuses to {what} {subject}: {refusal}")]
    Refused {
        /// What was tried, as in `put` or `list`.
        what: &'static str,
        /// The object or folder.
        subject: String,
        /// Why, and what to do.
        refusal: Refusal,
    },
    /// The store did not answer in time, or said that it cannot now. Try again later.
    #[error(
        "the store does not {what} {subject}: {attempts} attempts in {} s, the last one: {cause}",
        waited.as_secs()
    )]
    Unavailable {
        /// What was tried.
        what: &'static str,
        /// The object or folder.
        subject: String,
        /// Whether it may have happened nevertheless.
        applied: Applied,
        /// How often it was tried.
        attempts: u32,
        /// How long it was tried.
        waited: Duration,
        /// What the last attempt brought.
        cause: String,
    },
    /// The store has not answered anybody for a while, and this operation did not try.
    #[error("the store is down since {} s: {cause}", since.as_secs())]
    Down {
        /// Since when.
        since: Duration,
        /// When to ask again.
        retry_in: Duration,
        /// What the last attempt brought.
        cause: String,
    },
    /// The folder or the settings cannot be used.
    #[error("the store cannot be opened: {0}")]
    Open(String),
    /// The store did something that no store may do.
    #[error("the store cannot be used: {0}")]
    Broken(String),
}

/// Whether an operation that failed was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was not.
    No,
    /// Nobody knows.
    Unknown,
}

/// What the caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The same again, after this time.
    Retry(Duration),
    /// Look at the record again: what was asked for is not there any more, or never was.
    Refresh,
    /// Change the request, or the settings.
    Fix,
    /// Stop: something is wrong that repeating makes worse.
    Stop,
}

impl Error {
    /// Whether what was asked for may have happened.
    pub fn applied(&self) -> Applied {
        match self {
            Error::Unavailable { applied, .. } => *applied,
            // An attempt before the one that was refused may have got through.
            Error::Refused { .. } => Applied::Unknown,
            Error::NotFound { .. }
            | Error::Foreign { .. }
            | Error::OutOfRange { .. }
            | Error::TooMuch { .. }
            | Error::Down { .. }
            | Error::Open(_)
            | Error::Broken(_) => Applied::No,
        }
    }

    /// What to do now.
    pub fn advice(&self) -> Advice {
        match self {
            Error::Unavailable { .. } => Advice::Retry(Duration::from_secs(1)),
            Error::Down { retry_in, .. } => Advice::Retry(*retry_in),
            Error::NotFound { .. } => Advice::Refresh,
            Error::OutOfRange { .. }
            | Error::TooMuch { .. }
            | Error::Refused { .. }
            | Error::Open(_) => Advice::Fix,
            Error::Foreign { .. } | Error::Broken(_) => Advice::Stop,
        }
    }
}

/// Why a store says no, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such bucket.
    #[error("there is no such bucket; make it with: stratamq store create --store URL")]
    NoBucket,
    /// The machine has no credentials.
    #[error(
        "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, \
         or give this machine a role"
    )]
    NoCredentials,
    /// The key is not known, or the secret does not belong to it.
    #[error("the service does not take this key: check AWS_ACCESS_KEY_ID and its secret ({0})")]
    Key(String),
    /// The session is over.
    #[error("the session token is no longer good: get a new one ({0})")]
    Expired(String),
    /// The credentials may not do this.
    #[error(
        "the credentials may not do this: allow s3:GetObject, s3:PutObject, s3:DeleteObject, \
         s3:ListBucket and s3:AbortMultipartUpload on the bucket and what is in it ({0})"
    )]
    Denied(String),
    /// The bucket is elsewhere.
    #[error("the bucket is in another region: set AWS_REGION to it ({0})")]
    Region(String),
    /// The clocks differ.
    #[error("this machine's clock is wrong by more than the service allows: set it ({0})")]
    Clock(String),
    /// The operating system says no.
    #[error("the folder does not let this user: check its owner and mode ({0})")]
    Folder(String),
    /// The service does not know the request.
    #[error("the service does not do this ({0})")]
    Unsupported(String),
}

/// What one attempt came to, when it came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotFound,
    /// Something is there, or was about to be: read back.
    Exists,
    /// Something else is there, of so many bytes.
    Foreign(u64),
    OutOfRange,
    /// More than one answer may hold, of so many bytes.
    TooMuch(u64),
    Refused(Refusal),
    /// No answer, or one to try again.
    Unavailable {
        applied: Applied,
        cause: String,
    },
}

impl Fault {
    /// A failure about which nothing is known.
    pub(super) fn unknown(cause: impl Into<String>) -> Fault {
        Fault::Unavailable { applied: Applied::Unknown, cause: cause.into() }
    }
}

/// As [`fault_of`].
pub(super) fn fault(error: object_store::Error) -> Fault {
    fault_of(&error)
}

/// Tells failures apart. What is not known counts as a failure that may pass, bounded by the
/// caller's patience.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, which may grow; the rest may pass"
)]
pub(super) fn fault_of(error: &object_store::Error) -> Fault {
    use object_store::Error as Of;
    let text = told(error);
    if let Some(fault) = by_code(&text) {
        return fault;
    }
    match error {
        // A 404 that speaks of something else says nothing about the object.
        Of::NotFound { .. } if text.contains("<Code>") => Fault::unknown(brief(&text)),
        Of::NotFound { .. } => Fault::NotFound,
        Of::AlreadyExists { .. } | Of::Precondition { .. } => Fault::Exists,
        Of::PermissionDenied { .. } | Of::Unauthenticated { .. } => {
            Fault::Refused(Refusal::Denied(brief(&text)))
        }
        Of::NotImplemented { .. } | Of::NotSupported { .. } => {
            Fault::Refused(Refusal::Unsupported(brief(&text)))
        }
        _ => by_cause(error).unwrap_or_else(|| Fault::unknown(brief(&text))),
    }
}

/// S3's error code, which the client library leaves in its text.
fn by_code(text: &str) -> Option<Fault> {
    // The second form is that of a single name in a request that deletes many.
    let code = between(text, "<Code>", "</Code>").or_else(|| between(text, "(code: ", ")"))?;
    let said = || match between(text, "<Message>", "</Message>") {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    let refusal = match code {
        "NoSuchKey" | "NoSuchUpload" | "NotFound" => return Some(Fault::NotFound),
        "InvalidRange" => return Some(Fault::OutOfRange),
        "NoSuchBucket" => Refusal::NoBucket,
        // Said by whoever lends credentials.
        "NoCredentials" => Refusal::NoCredentials,
        // The third is versitygw's.
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "XAdminUserNotFound" => {
            Refusal::Key(said())
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => Refusal::Expired(said()),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Refusal::Denied(said()),
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException" => Refusal::Region(said()),
        "RequestTimeTooSkewed" => Refusal::Clock(said()),
        "NotImplemented" | "MethodNotAllowed" => Refusal::Unsupported(said()),
        _ => return None,
    };
    Some(Fault::Refused(refusal))
}

/// What the operating system or the connection said.
fn by_cause(error: &object_store::Error) -> Option<Fault> {
    let text = told(error);
    if text.contains("169.254.16") || text.contains("169.254.170") {
        return Some(Fault::Refused(Refusal::NoCredentials));
    }
    if text.contains("incorrectly configured region") {
        return Some(Fault::Refused(Refusal::Region("a redirect without a target".into())));
    }
    if text.contains("416 Range Not Satisfiable") || text.contains("Wanted range starting at") {
        return Some(Fault::OutOfRange);
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(http) = at.downcast_ref::<HttpError>()
            && http.kind() == HttpErrorKind::Connect
        {
            return Some(Fault::Unavailable { applied: Applied::No, cause: brief(&text) });
        }
        if let Some(io) = at.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            )
        {
            return Some(Fault::Refused(Refusal::Folder(io.to_string())));
        }
        cause = at.source();
    }
    None
}

/// An error with its causes, each said once.
fn told(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(at) = cause {
        let said = at.to_string();
        if !text.contains(&said) {
            // Writing to a String does not fail.
            let _ = write!(text, ": {said}");
        }
        cause = at.source();
    }
    text
}

/// Longest text of a cause that is passed on, in characters.
const CAUSE_CHARS_MAX: usize = 300;

fn brief(text: &str) -> String {
    let text = match (between(text, "<Code>", "</Code>"), between(text, "<Message>", "</Message>"))
    {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => text.to_owned(),
    };
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_by_s3(status: &str, code: &str) -> Fault {
        let body = format!("<Error><Code>{code}</Code><Message>as told</Message></Error>");
        let source = format!("Server returned non-2xx status code: {status}: {body}");
        fault(object_store::Error::Generic { store: "S3", source: source.into() })
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (status, code, advice) in [
            ("404 Not Found", "NoSuchBucket", "stratamq store create"),
            ("403 Forbidden", "SignatureDoesNotMatch", "AWS_ACCESS_KEY_ID"),
            ("403 Forbidden", "AccessDenied", "s3:PutObject"),
            ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
            ("400 Bad Request", "AuthorizationHeaderMalformed", "AWS_REGION"),
            ("400 Bad Request", "ExpiredToken", "get a new one"),
            ("501 Not Implemented", "NotImplemented", "does not do this"),
        ] {
            let Fault::Refused(refusal) = said_by_s3(status, code) else { panic!("{code}") };
            let text = refusal.to_string();
            assert!(text.contains(advice), "{text}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_may_have_happened() {
        for (status, code) in
            [("503 Slow Down", "SlowDown"), ("500 Internal", "InternalError"), ("504", "Strange")]
        {
            let fault = said_by_s3(status, code);
            assert_eq!(fault, Fault::unknown(format!("{code}: as told")));
        }
    }

    #[test]
    fn only_a_missing_object_is_not_found() {
        let said = |code: &str| {
            let source = format!("404 Not Found: <Error><Code>{code}</Code></Error>").into();
            fault(object_store::Error::NotFound { path: "a".to_owned(), source })
        };
        assert_eq!(said("NoSuchKey"), Fault::NotFound);
        assert_eq!(said("NoSuchBucket"), Fault::Refused(Refusal::NoBucket));
        assert_eq!(said("NoSuchWhatever"), Fault::unknown("NoSuchWhatever"));
    }

    #[test]
    fn the_operating_system_is_understood() {
        let of = |kind: io::ErrorKind| {
            let source = Box::new(io::Error::from(kind));
            fault(object_store::Error::Generic { store: "LocalFileSystem", source })
        };
        let denied = of(io::ErrorKind::PermissionDenied);
        assert!(matches!(denied, Fault::Refused(Refusal::Folder(_))), "{denied:?}");
        let full = of(io::ErrorKind::StorageFull);
        assert!(matches!(full, Fault::Unavailable { .. }), "room may come: {full:?}");
    }

    #[test]
    fn a_connection_that_was_never_made_changed_nothing() {
        let source = HttpError::new(HttpErrorKind::Connect, io::Error::other("refused"));
        let fault = fault(object_store::Error::Generic { store: "S3", source: source.into() });
        assert!(matches!(fault, Fault::Unavailable { applied: Applied::No, .. }), "{fault:?}");
    }
}

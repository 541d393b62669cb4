//! Why a question was not answered, told apart by what to do about it.

use crate::format::FormatError;
use crate::format::object::Span;
use crate::object::{Advice, Error as StoreError, Name};
use crate::tier::manifest::DeltaRefused;
use std::sync::Arc;
use std::time::Duration;

/// Why a question to the bucket was not answered. Cheap to clone: many may have waited.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The view is of the past: what it names was replaced or let go (design/replication.md G4).
    /// Read the record again, make a new view of it, and ask again; the same from a view of the
    /// record as it is now is a loss.
    #[error("{object} is not there: the record that names it is older than the bucket")]
    Stale {
        /// What was looked for.
        object: Name,
    },
    /// The bytes are not those that were written, twice in a row and past every cache. Other
    /// objects, and other parts of this one, are not concerned.
    #[error(
        "{object} is damaged in its {len} bytes from {at} on; restore it from a copy of the bucket",
        len = span.len,
        at = span.at
    )]
    Damaged {
        /// The object.
        object: Name,
        /// Where in it.
        span: Span,
        /// What is wrong.
        source: FormatError,
    },
    /// The record does not say what a record says.
    #[error("the placement group's record names {0} as its manifest's root, which is no root's")]
    NotARoot(String),
    /// A delta of the record is not readable.
    #[error("a delta of the placement group's record is damaged")]
    Delta(#[from] FormatError),
    /// The record's deltas do not follow each other.
    #[error("the deltas of the placement group's record do not follow each other")]
    Deltas(#[from] DeltaRefused),
    /// The store did not give it.
    #[error("the bucket did not answer")]
    Store(#[source] Arc<StoreError>),
    /// The reader ended while it was asked.
    #[error("the reader is closed: the process is stopping")]
    Closed,
}

impl ReadError {
    /// The failure of a request for a span of an object.
    pub(super) fn of(error: StoreError, object: &Name, span: Span) -> ReadError {
        match error {
            StoreError::NotFound { name } => ReadError::Stale { object: name },
            // The manifest knows how long it was.
            StoreError::OutOfRange { .. } => {
                ReadError::damaged(object, span, FormatError::Truncated)
            }
            error @ (StoreError::Foreign { .. }
            | StoreError::TooMuch { .. }
            | StoreError::Refused { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Down { .. }
            | StoreError::Open(_)
            | StoreError::Broken(_)) => ReadError::Store(Arc::new(error)),
        }
    }

    pub(super) fn damaged(object: &Name, span: Span, source: FormatError) -> ReadError {
        ReadError::Damaged { object: object.clone(), span, source }
    }

    /// What to do now.
    pub fn advice(&self) -> Advice {
        match self {
            ReadError::Stale { .. } => Advice::Refresh,
            ReadError::Damaged { .. }
            | ReadError::NotARoot(_)
            | ReadError::Delta(_)
            | ReadError::Deltas(_) => Advice::Stop,
            ReadError::Store(error) => error.advice(),
            ReadError::Closed => Advice::Retry(Duration::from_secs(1)),
        }
    }
}

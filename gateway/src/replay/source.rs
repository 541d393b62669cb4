//! Where a job's messages come from: the one seam behind which logs and the bucket are.

use crate::consume::filter::Filter;
use bytes::Bytes;
use metadata::model::TopicQueue;
use std::ops::Range;
use std::pin::Pin;
use storage::env::Timestamp;
use storage::format::{PgId, QueueOffset};

/// What a source promises.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// What is to be read of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Which queue.
    pub queue: TopicQueue,
    /// From here.
    pub from: QueueOffset,
    /// To here, which is not in it.
    pub end: QueueOffset,
    /// A message that this surely does not admit may be left out.
    pub filter: &'a Filter,
    /// No further message once there are so many bytes; one message may be larger.
    pub bytes_max: u64,
}

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMessage {
    /// Its place in the queue.
    pub offset: QueueOffset,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Its bytes as stored. Memory of its own: it may be held for as long as the job is slow.
    pub record: Bytes,
}

/// What a read gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Ascending by offset; may be empty.
    pub messages: Vec<SourceMessage>,
    /// Nothing below is left to be read: beyond `from`, and `end` where there is no more.
    pub next: QueueOffset,
    /// Requests that it cost at the object store.
    pub gets: u64,
}

/// What reading a range would be, told without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Messages that would be read.
    pub messages: u64,
    /// Their bytes, as they are stored where they lie.
    pub bytes: u64,
    /// Requests to the object store.
    pub gets: u64,
    /// Told is what lies before: the range's end, or beyond `from`, where another measuring goes on.
    pub next: QueueOffset,
}

/// Why a source gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceRefused {
    /// Another gateway owns the placement group, or nobody for the moment. The job waits.
    #[error("placement group {0} is not served here")]
    NotServedHere(PgId),
    /// It may be asked again: the object store does not answer. The job waits.
    #[error("{0}")]
    Unavailable(String),
    /// It will never be read: something is damaged or gone. The job fails.
    #[error("{0}")]
    Broken(String),
}

/// Messages as they lie, by queue and offset.
pub trait Source: Send + Sync {
    /// Where what was stored from `from` on, and before `to`, begins and ends in a queue.
    fn range(
        &self,
        queue: TopicQueue,
        from: Timestamp,
        to: Timestamp,
    ) -> Future<'_, Result<Range<QueueOffset>, SourceRefused>>;

    /// What reading would cost, of as much as is told soon; `bytes_max` says nothing.
    fn measure<'a>(&'a self, what: Reading<'a>) -> Future<'a, Result<Measured, SourceRefused>>;

    /// Reads on.
    fn read<'a>(&'a self, what: Reading<'a>) -> Future<'a, Result<Page, SourceRefused>>;
}

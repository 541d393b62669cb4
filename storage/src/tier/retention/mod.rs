//! What is to be kept of which queue, and what that says of an object: pure.
//!
//! An object is let go as a whole when all its queues are past ([`super::manifest::expired`]). What
//! is past in an object that others still need is first let go in the manifest, by the queue's
//! start, and leaves the bucket with the next merge.
//!
//! INV-RETAIN-1: a merge leaves out no message at or after the start that is committed with it, but
//! for those of queues that are gone, and earlier ones of a key.
//! INV-RETAIN-2: of a key, the newest message stays; a tombstone stays for
//! [`TOMBSTONE_AGE`], and as long as an earlier message of its key may be stored.
mod newest;
mod starts;

pub use newest::{KEYS_BYTES_EACH, Keyed, Newest, TOMBSTONE_AGE};
pub use starts::{Dead, SizeWalk, dead_in, starts_by_age, treatments};

use crate::env::Timestamp;
use crate::format::object::{KeyHash, Record};
use crate::format::{QueueOffset, QueueUid};

/// What is kept of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Everything.
    Forever,
    /// What was stored at this moment or later. Of a locked topic, the moment its lock reaches back
    /// to, also when the topic is gone.
    Since(Timestamp),
    /// The newest messages, of so many bytes in the bucket.
    Bytes(u64),
    /// The newest message of each key.
    NewestOfKey,
    /// Nothing: the queue is gone for ever.
    Nothing,
}

/// What only the owner of the topics knows. The answers must not change while one operation runs.
pub trait TopicRules: Send + Sync {
    /// What is kept of a queue.
    fn keeps(&self, queue: QueueUid) -> Keeps;
    /// The moment since which one of the queues from `first` to `last` keeps its messages; `None`: one
    /// keeps some for ever, or it is not known. A moment beyond all times: all of them are gone.
    fn keeps_since(&self, first: QueueUid, last: QueueUid) -> Option<Timestamp>;
    /// The first offset that the manifest keeps of a queue, as committed.
    fn start_of(&self, queue: QueueUid) -> QueueOffset;
    /// Adds what a message is to be found by, beside its place in the log.
    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>);
    /// The key that a message replaces earlier ones of; `None`: it stays.
    fn key_of(&self, message: &Record) -> Option<Keyed>;
}

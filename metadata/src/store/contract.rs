//! The contract of a metadata store, which [`super::conformance`] checks.
//!
//! - **One revision.** Every transaction that changes something takes the next number of one global sequence, whichever
//!   keys it changes. It never goes back and never restarts: not when the store is opened again, not when a key is
//!   deleted and made again (replication.md §12). What one transaction changes has one revision.
//! - **Linearizable.** A read shows every transaction answered before it was asked for, and so does `txn`.
//! - **Durable.** An answer is given when a crash of the store's host cannot take it back.
//! - **Atomic.** All compares are made against one state, and all changes applied to it, or none.
//! - **Leases** are counted by the store's own monotonic clock. They never enter an argument about safety; they say
//!   when somebody *tries* something. When the store (or its leader) starts again, each lease has its full time
//!   again. When one ends, the keys bound to it are deleted in one transaction of its own.
//! - **Watches** see every change with a revision from the one asked for, in order, once, a transaction never in parts.
//!   Where the store no longer knows the past, the watch says so and ends; the caller lists anew.
//! - **Unknown outcomes** are said to be unknown ([`super::Applied`]). No other error leaves a change behind.

use super::Error;
use bytes::Bytes;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The most entries of each of a transaction's lists (etcd's default `max-txn-ops`).
pub const OPS_MAX: usize = 128;
/// The most bytes of keys and values in a transaction; below etcd's 1.5 MiB for a request.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// A watch hands out at most so many events at a time, unless one transaction alone has more.
pub const EVENTS_BATCH_MAX: usize = 4096;

/// What the trait's methods return: `async fn` in a trait cannot be called through `dyn`.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// A place in the one sequence of changes. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    /// The following one.
    #[must_use]
    pub const fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

/// A lease; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A key that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// Not empty.
    pub key: Arc<str>,
    /// May be empty.
    pub value: Bytes,
    /// When it was last put.
    pub modified: Revision,
    /// The lease with which it ends.
    pub lease: Option<LeaseId>,
}

/// The keys with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// In ascending order of keys.
    pub pairs: Vec<KeyValue>,
    /// The state that this shows: a watch from the next revision misses nothing.
    pub revision: Revision,
}

/// What a key must be for a transaction to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Not there.
    Absent,
    /// There.
    Present,
    /// There, and last put by this revision.
    Modified(Revision),
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: String,
    /// What it must be.
    pub expect: Expect,
}

/// A change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes or replaces a key.
    Put {
        /// The key; not empty.
        key: String,
        /// Its value.
        value: Bytes,
        /// The lease with which it ends; `None` takes it off the lease that it had.
        lease: Option<LeaseId>,
    },
    /// Removes a key; nothing if it is not there.
    Delete {
        /// The key.
        key: String,
    },
}

impl Change {
    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Change::Put { key, .. } | Change::Delete { key } => key,
        }
    }
}

/// If every compare holds, all changes; else some reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// Conditions; without any the changes are made in any case.
    pub compare: Vec<Compare>,
    /// Changes, of different keys.
    pub then: Vec<Change>,
    /// Keys to read when a condition does not hold.
    pub otherwise: Vec<String>,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    /// The changes were made.
    Done {
        /// What they are stored under; the present revision where nothing changed (deletes of absent keys).
        revision: Revision,
    },
    /// A condition did not hold and nothing was changed.
    Refused {
        /// The state that was compared with.
        revision: Revision,
        /// The keys asked for, in the order asked.
        read: Vec<Option<KeyValue>>,
    },
}

/// A change as a watch sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key was put.
    Put(KeyValue),
    /// The key was deleted, by a transaction or because its lease ended.
    Delete {
        /// The key.
        key: Arc<str>,
        /// When.
        revision: Revision,
    },
}

impl Event {
    /// The key.
    pub fn key(&self) -> &str {
        match self {
            Event::Put(pair) => &pair.key,
            Event::Delete { key, .. } => key,
        }
    }

    /// When.
    pub fn revision(&self) -> Revision {
        match self {
            Event::Put(pair) => pair.modified,
            Event::Delete { revision, .. } => *revision,
        }
    }
}

/// What a watch says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem {
    /// Every matching change up to `revision` that was not yet told.
    Batch {
        /// Nothing at or below this will come any more.
        revision: Revision,
        /// In order; whole transactions; not empty.
        events: Vec<Event>,
    },
    /// The changes from where the watch stands are forgotten. Nothing else comes: list again, then watch from there.
    Compacted {
        /// The oldest revision from which a watch can still begin.
        oldest: Revision,
    },
}

/// A watch. Dropping it ends it.
pub trait Watch: Send {
    /// Waits for the next changes. Cancel safe: what was not returned comes with the next call.
    ///
    /// # Errors
    /// When the store cannot be asked; a later call goes on where this one stood, if the error says to retry.
    fn next(&mut self) -> Future<'_, Result<WatchItem, Error>>;
}

/// A store of metadata. The module's documentation is the contract.
///
/// Every method is cancel safe in the sense that a dropped request is one of unknown outcome.
pub trait MetadataStore: Send + Sync + 'static {
    /// One key.
    fn get<'a>(&'a self, key: &'a str) -> Future<'a, Result<Option<KeyValue>, Error>>;

    /// Every key that begins with `prefix`; with the empty prefix, all.
    fn range<'a>(&'a self, prefix: &'a str) -> Future<'a, Result<Range, Error>>;

    /// One transaction.
    ///
    /// # Errors
    /// [`Error::TooManyOps`], [`Error::TooLarge`], [`Error::BadKey`], [`Error::LeaseGone`] for a put with a lease that
    /// has ended: nothing was changed.
    fn txn(&self, txn: Txn) -> Future<'_, Result<TxnOutcome, Error>>;

    /// A new lease that ends when `ttl` has passed without a [`MetadataStore::keepalive`]. A backend may grant more.
    fn grant(&self, ttl: Duration) -> Future<'_, Result<LeaseId, Error>>;

    /// Gives a lease its full time again.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] when it has ended.
    fn keepalive(&self, lease: LeaseId) -> Future<'_, Result<(), Error>>;

    /// Ends a lease at once, and deletes the keys bound to it.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] when it has ended.
    fn revoke(&self, lease: LeaseId) -> Future<'_, Result<(), Error>>;

    /// The changes of keys that begin with `prefix`, from revision `from` on, which may lie ahead.
    fn watch(&self, prefix: &str, from: Revision) -> Box<dyn Watch>;

    /// Answers what was asked before, then lets go of the store: when this returns, another process may open it.
    /// Idempotent.
    fn close(&self) -> Future<'_, ()>;
}

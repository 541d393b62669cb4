//! Objects with messages of locked topics are locked before they are committed.
//!
//! INV-LOCK-1: what a commit references of a locked topic cannot be deleted before its messages' lock ends.

use metadata::Catalog;
use metadata::model::Retention;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::object::Tail;
use storage::object::{Bucket, Name};

/// What [`ObjectLocks::lock_until`] gives.
pub type Locking<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// A store whose objects can be locked against deletion.
pub trait ObjectLocks: Send + Sync {
    /// Locks an object at least until `until`; its error says why not. Idempotent, and never makes a lock shorter.
    fn lock_until<'a>(&'a self, name: &'a Name, until: Timestamp) -> Locking<'a>;
}

/// An object store, as a gateway is given it.
#[derive(Clone)]
pub struct ObjectStore {
    /// Where objects lie.
    pub bucket: Bucket,
    /// What locks them; `None` where nothing can.
    pub locks: Option<Arc<dyn ObjectLocks>>,
}

impl From<Bucket> for ObjectStore {
    fn from(bucket: Bucket) -> ObjectStore {
        ObjectStore { bucket, locks: None }
    }
}

/// Locks what is about to be committed.
#[derive(Clone)]
pub(super) struct Locker {
    pub(super) catalog: Catalog,
    pub(super) locks: Option<Arc<dyn ObjectLocks>>,
}

impl Locker {
    /// Locks an object as long as the messages in it are to be kept.
    ///
    /// # Errors
    /// Why it is not locked: it must not be committed.
    pub(super) async fn lock(&self, name: &Name, tail: &Tail) -> Result<(), String> {
        match (self.until(tail), &self.locks) {
            (None, _) => Ok(()),
            (Some(until), Some(locks)) => locks.lock_until(name, until).await,
            (Some(_), None) => {
                Err("a locked topic's messages lie in a store that cannot lock objects".to_owned())
            }
        }
    }

    /// The latest end of a lock among what the object has.
    fn until(&self, tail: &Tail) -> Option<Timestamp> {
        let entries = tail.directory.entries.iter();
        let blocks = entries.flat_map(|entry| tail.queues.blocks_of(entry.pg));
        let locked = blocks.filter_map(|block| {
            let topic = self.catalog.topic_of(block.queue)?;
            match topic.retention() {
                Retention::Locked(period) => Some(block.max_time.plus(period)),
                Retention::Forever
                | Retention::Age(_)
                | Retention::Size(_)
                | Retention::Compacted => None,
            }
        });
        locked.max()
    }
}

//! The memory that the queue indexes of a store may take, over all its logs. An account and no more:
//! the logs say what they take and give back, and ask before they take messages.
use super::config::IndexFill;
use super::draft::Class;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The account of a store.
#[derive(Debug)]
pub(crate) struct IndexRoom {
    limit: u64,
    used: AtomicU64,
}

impl IndexRoom {
    /// Room for `limit` bytes.
    pub(crate) fn new(limit: u64) -> IndexRoom {
        IndexRoom { limit, used: AtomicU64::new(0) }
    }

    /// Whether messages of this class may be added. As in the journal a tenth is left to
    /// [`Class::Reserve`]. What is added at once is bounded by an atomic group, so the limit is
    /// passed by that at most; and by what is found in the journal at a start.
    pub(crate) fn takes(&self, class: Class) -> bool {
        let limit = match class {
            Class::Message => self.limit / 10 * 9,
            Class::Reserve => self.limit,
        };
        self.used.load(Ordering::Relaxed) < limit
    }

    /// How full it is.
    pub(crate) fn fill(&self) -> IndexFill {
        IndexFill { used: self.used.load(Ordering::Relaxed), limit: self.limit }
    }
}

/// What one log has taken. Given back when it goes.
#[derive(Debug)]
pub(crate) struct IndexTaken {
    room: Arc<IndexRoom>,
    bytes: u64,
}

impl IndexTaken {
    /// Nothing yet.
    pub(crate) fn of(room: Arc<IndexRoom>) -> IndexTaken {
        IndexTaken { room, bytes: 0 }
    }

    pub(crate) fn room(&self) -> &IndexRoom {
        &self.room
    }

    /// Something that took `before` bytes takes `after` now.
    pub(crate) fn change(&mut self, before: u64, after: u64) {
        if after > before {
            self.bytes += after - before;
            self.room.used.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.bytes -= before - after;
            self.room.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

impl Drop for IndexTaken {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

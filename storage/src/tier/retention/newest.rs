//! Which message of each key is the newest, within a bound of memory.

use super::super::merge::Treatment;
use crate::env::Timestamp;
use crate::format::object::{KeyHash, Record};
use crate::format::{QueueOffset, QueueUid};
use std::collections::HashMap;
use std::time::Duration;

/// How long a message stays that only says that its key is gone: consumers that are not further
/// behind learn of it.
pub const TOMBSTONE_AGE: Duration = Duration::from_secs(24 * 3600);
/// Memory of a key that is remembered, in bytes, about.
pub const KEYS_BYTES_EACH: usize = 64;

/// The key of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Tells keys of one queue apart: 128 bits, so that no two ever meet.
    pub key: u128,
    /// The message says that there is nothing of the key any more.
    pub is_tombstone: bool,
}

impl Keyed {
    /// Of a key's bytes.
    pub fn of(key: &[u8], is_tombstone: bool) -> Keyed {
        let (high, low) = (KeyHash::of_key(b"high", key), KeyHash::of_key(b"low", key));
        Keyed { key: u128::from(high.0) << 64 | u128::from(low.0), is_tombstone }
    }
}

#[derive(Clone, Copy, Debug)]
struct Last {
    offset: QueueOffset,
    /// Where it only says that the key is gone: when it was stored.
    tombstone: Option<Timestamp>,
}

/// The newest message of each key that was seen. What it does not know, it keeps.
#[derive(Debug)]
pub struct Newest {
    last: HashMap<(QueueUid, u128), Last>,
    keys_max: usize,
}

impl Newest {
    /// Remembers at most `keys_max` keys, [`KEYS_BYTES_EACH`] each; of others every message stays.
    pub fn new(keys_max: usize) -> Newest {
        Newest { last: HashMap::new(), keys_max }
    }

    /// Takes a message, in any order.
    pub fn see(&mut self, message: &Record, keyed: Keyed) {
        let tombstone = keyed.is_tombstone.then_some(message.time);
        let seen = Last { offset: message.offset, tombstone };
        let key = (message.queue, keyed.key);
        let has_room = self.last.len() < self.keys_max;
        match self.last.get_mut(&key) {
            Some(last) if last.offset < seen.offset => *last = seen,
            Some(_) => {}
            None if has_room => {
                self.last.insert(key, seen);
            }
            None => {}
        }
    }

    /// Whether a message stays. `reaches_start`: no earlier message of its queue is stored where it was
    /// not looked.
    pub fn keeps(
        &self,
        message: &Record,
        keyed: Keyed,
        now: Timestamp,
        reaches_start: bool,
    ) -> bool {
        let Some(last) = self.last.get(&(message.queue, keyed.key)) else { return true };
        if message.offset < last.offset {
            return false;
        }
        let is_over = |stored: Timestamp| now >= stored.plus(TOMBSTONE_AGE);
        message.offset > last.offset || !(reaches_start && last.tombstone.is_some_and(is_over))
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether no key was seen.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }
}

/// What becomes of a queue's messages in a merge; `start`: the first offset to stay.
pub(super) fn treatment(keeps: super::Keeps, start: QueueOffset) -> Treatment {
    match keeps {
        super::Keeps::Forever | super::Keeps::Since(_) | super::Keeps::Bytes(_) => {
            Treatment::Keep(start)
        }
        super::Keeps::NewestOfKey => Treatment::Choose(start),
        super::Keeps::Nothing => Treatment::Drop,
    }
}

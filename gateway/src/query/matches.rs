//! What several places found, put together.

use super::Found;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use storage::env::Timestamp;

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    /// Newest first.
    pub found: Vec<Found>,
    /// The search stopped before `from`, at a message stored then: what is older was not looked at,
    /// nor all that was stored in that very millisecond. Going on means to search again with it as
    /// `to`. `None` where everything was looked at.
    pub stopped_at: Option<Timestamp>,
    /// Objects of the object store that are damaged, and may have more.
    pub damaged: BTreeSet<String>,
}

impl Matches {
    /// Whether there is no other.
    pub fn is_complete(&self) -> bool {
        self.stopped_at.is_none() && self.damaged.is_empty()
    }

    /// Adds what another place found.
    pub(super) fn add(&mut self, other: Matches) {
        self.found.extend(other.found);
        self.stopped_at = self.stopped_at.max(other.stopped_at);
        self.damaged.extend(other.damaged);
    }

    /// Each message once, newest first, at most `max`; and none that is older than where a place stopped: others
    /// may have been stored between.
    pub(super) fn settle(&mut self, max: usize) {
        self.found.sort_by_key(|found| Reverse((found.stored_at(), found.lsn)));
        let mut seen = HashSet::new();
        let stopped_at = self.stopped_at;
        self.found.retain(|found| {
            seen.insert(found.lsn) && stopped_at.is_none_or(|at| at <= found.stored_at())
        });
        if let Some(left) = self.found.get(max) {
            let left = left.stored_at();
            self.found.truncate(max);
            self.stopped_at = self.stopped_at.max(Some(left));
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::stored::{Properties, StoredMessage, SysFlag};
    use storage::format::{Lsn, PgId};

    fn found(lsn: u64, stored_at: u64) -> Found {
        let host = "127.0.0.1:1".parse().unwrap();
        let message = StoredMessage {
            queue_id: 0,
            flag: 0,
            queue_offset: 0,
            physical_offset: 0,
            sys_flag: SysFlag::default(),
            born_at: 0,
            born_host: host,
            stored_at: stored_at.cast_signed(),
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::new(),
            topic: String::new(),
            properties: Properties::new(),
        };
        Found { pg: PgId::new(0).unwrap(), lsn: Lsn(lsn), record: Bytes::new(), message }
    }

    fn of(places: &[(u64, u64)], stopped_at: Option<u64>) -> Matches {
        let found = places.iter().map(|(lsn, at)| found(*lsn, *at)).collect();
        let stopped_at = stopped_at.map(Timestamp);
        Matches { found, stopped_at, ..Matches::default() }
    }

    fn settled(parts: [Matches; 2], max: usize) -> (Vec<u64>, Option<u64>) {
        let [mut matches, other] = parts;
        matches.add(other);
        matches.settle(max);
        let lsns = matches.found.iter().map(|found| found.lsn.0).collect();
        (lsns, matches.stopped_at.map(|at| at.0))
    }

    #[test]
    fn what_two_places_have_is_given_once_and_newest_first() {
        let (log, bucket) = (of(&[(9, 90), (5, 50)], None), of(&[(5, 50), (2, 60)], None));
        assert_eq!(settled([log, bucket], 8), (vec![9, 2, 5], None));
    }

    #[test]
    fn nothing_older_is_given_than_where_a_place_stopped() {
        let (log, bucket) = (of(&[(9, 90), (7, 70)], Some(70)), of(&[(8, 80), (2, 60)], Some(10)));
        assert_eq!(settled([log, bucket], 8), (vec![9, 8, 7], Some(70)));
    }

    #[test]
    fn of_more_than_were_asked_for_it_is_said_where_the_rest_begins() {
        let (log, bucket) = (of(&[(9, 90), (7, 70)], None), of(&[(8, 80)], None));
        assert_eq!(settled([log, bucket], 2), (vec![9, 8], Some(70)));
    }
}

//! When a bundle is due, and of which placement groups. Pure: the caller brings the time.
//!
//! INV-PLAN-1: of a placement group, each position is taken once, in order.
//! INV-PLAN-2: what is committed is taken no later than [`Pace::age`] after it was first seen, as soon as an upload may
//! begin.

use std::collections::BTreeMap;
use std::time::Duration;
use storage::format::{Lsn, PgId};

const MIB: u64 = 1 << 20;

/// How often bundles are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes of logs that make a bundle.
    pub bytes: u64,
    /// How long something waits for more to come along.
    pub age: Duration,
    /// Bundles that are made or uploaded at once.
    pub uploads: usize,
}

impl Pace {
    /// While the journal has room (DESIGN §6).
    pub const CALM: Pace = Pace { bytes: 64 * MIB, age: Duration::from_secs(10), uploads: 2 };

    /// While more than half of the journal is in use (design/storage.md §2a).
    fn pressed(self) -> Pace {
        Pace { age: self.age.min(Duration::from_secs(1)), uploads: 4, ..self }
    }

    /// While somebody waits for what is in the bucket (the level `object`).
    fn awaited(self) -> Pace {
        let age = self.age.min(Duration::from_millis(100));
        Pace { bytes: self.bytes.min(8 * MIB), age, uploads: 4 }
    }
}

/// A placement group's log, as far as bundles go.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// Bundles have everything below.
    taken: Lsn,
    /// Everything below may be taken.
    ready: Lsn,
    /// When something was first seen, or waited for, that is not taken.
    since: Option<Duration>,
    /// Somebody waits, for what lies below this.
    awaited: Lsn,
}

impl Lane {
    fn bytes(&self) -> u64 {
        self.ready.0.saturating_sub(self.taken.0)
    }

    fn is_awaited(&self) -> bool {
        self.bytes() > 0 && self.taken < self.awaited
    }
}

/// What is to be bundled.
#[derive(Debug)]
pub struct Plan {
    calm: Pace,
    lanes: BTreeMap<PgId, Lane>,
    /// Bundles that are being made or uploaded.
    under_way: usize,
}

impl Plan {
    /// Nothing yet. `calm`: the pace while nothing presses.
    pub fn new(calm: Pace) -> Plan {
        Plan { calm, lanes: BTreeMap::new(), under_way: 0 }
    }

    /// A placement group whose log is in the bucket up to `tiered`.
    pub fn add(&mut self, pg: PgId, tiered: Lsn) {
        let lane = Lane { taken: tiered, ready: tiered, since: None, awaited: Lsn(0) };
        self.lanes.insert(pg, lane);
    }

    /// A placement group that is another's now.
    pub fn remove(&mut self, pg: PgId) {
        self.lanes.remove(&pg);
    }

    /// The log is committed up to `ready`.
    pub fn see(&mut self, now: Duration, pg: PgId, ready: Lsn) {
        if let Some(lane) = self.lanes.get_mut(&pg) {
            lane.ready = lane.ready.max(ready);
            if lane.bytes() > 0 {
                lane.since.get_or_insert(now);
            }
        }
    }

    /// Somebody waits until the bucket has everything below `end`, also of what is not ready yet.
    pub fn hurry(&mut self, now: Duration, pg: PgId, end: Lsn) {
        if let Some(lane) = self.lanes.get_mut(&pg) {
            lane.awaited = lane.awaited.max(end);
            if lane.taken < lane.awaited {
                lane.since.get_or_insert(now);
            }
        }
    }

    /// Whether somebody waits for what is in no bundle yet.
    pub fn is_awaited(&self) -> bool {
        self.lanes.values().any(|lane| lane.taken < lane.awaited)
    }

    /// How fast it is to go.
    pub fn pace(&self, is_pressed: bool) -> Pace {
        if self.lanes.values().any(Lane::is_awaited) {
            self.calm.awaited()
        } else if is_pressed {
            self.calm.pressed()
        } else {
            self.calm
        }
    }

    /// When the next bundle is to be begun: in the past or now for at once; `None` while nothing is to be taken, or
    /// enough is under way.
    pub fn due(&self, now: Duration, pace: Pace) -> Option<Duration> {
        if self.under_way >= pace.uploads {
            return None;
        }
        if self.bytes() >= pace.bytes {
            return Some(now);
        }
        let ready = self.lanes.values().filter(|lane| lane.bytes() > 0);
        ready.filter_map(|lane| lane.since).min().map(|since| since + pace.age)
    }

    /// Bytes that wait to be taken.
    pub fn bytes(&self) -> u64 {
        self.lanes.values().map(Lane::bytes).sum()
    }

    /// Begins a bundle: the ranges to take from, those that somebody waits for first, then the
    /// longest waiting. A bundle that becomes full leaves the last ones out, and their age brings
    /// them to the front of the next.
    pub fn begin(&mut self) -> Vec<(PgId, Lsn, Lsn)> {
        self.under_way += 1;
        let mut lanes: Vec<_> = self.lanes.iter().filter(|(_, lane)| lane.bytes() > 0).collect();
        lanes.sort_by_key(|(_, lane)| (!lane.is_awaited(), lane.since));
        lanes.into_iter().map(|(pg, lane)| (*pg, lane.taken, lane.ready)).collect()
    }

    /// The bundle has a placement group's log up to `end`.
    pub fn took(&mut self, now: Duration, pg: PgId, end: Lsn) {
        if let Some(lane) = self.lanes.get_mut(&pg) {
            debug_assert!(lane.taken <= end && end <= lane.ready, "INV-PLAN-1");
            lane.taken = end;
            lane.since = (lane.bytes() > 0).then_some(now);
        }
    }

    /// A bundle is committed, or came to nothing.
    pub fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const CALM: Pace = Pace::CALM;

    fn pg(number: u32) -> PgId {
        PgId::new(number).unwrap()
    }

    fn at(number: u32, bytes: u64) -> Lsn {
        pg(number).first_lsn().plus(bytes)
    }

    fn plan() -> Plan {
        let mut plan = Plan::new(CALM);
        (0..3).for_each(|number| plan.add(pg(number), at(number, 0)));
        plan
    }

    #[test]
    fn an_idle_log_is_never_due() {
        let mut plan = plan();
        plan.see(MS, pg(0), at(0, 0));
        assert_eq!(plan.due(MS * 99_999, CALM), None);
    }

    #[test]
    fn what_is_first_seen_waits_for_its_age_and_a_full_bundle_for_nothing() {
        let mut plan = plan();
        plan.see(MS * 5, pg(1), at(1, 10));
        plan.see(MS * 9, pg(1), at(1, 20));
        assert_eq!(plan.due(MS * 10, plan.pace(false)), Some(MS * 5 + CALM.age));
        assert_eq!(plan.due(MS * 10, plan.pace(true)), Some(MS * 5 + CALM.pressed().age));
        plan.see(MS * 11, pg(2), at(2, CALM.bytes));
        assert_eq!(plan.due(MS * 12, CALM), Some(MS * 12));
    }

    #[test]
    fn somebody_who_waits_makes_it_fast_until_it_is_taken() {
        let mut plan = plan();
        plan.see(MS, pg(0), at(0, 10));
        plan.see(MS, pg(1), at(1, 10));
        plan.hurry(MS, pg(1), at(1, 10));
        assert_eq!(plan.pace(true), CALM.awaited());
        assert_eq!(plan.begin(), [(pg(1), at(1, 0), at(1, 10)), (pg(0), at(0, 0), at(0, 10))]);
        plan.took(MS, pg(1), at(1, 10));
        assert_eq!(plan.pace(false), CALM);
    }

    #[test]
    fn who_waits_for_what_is_not_ready_waits_from_then_on() {
        let mut plan = plan();
        plan.hurry(MS * 5, pg(1), at(1, 10));
        assert!(plan.is_awaited());
        assert_eq!(plan.due(MS * 900, CALM), None, "nothing is ready");
        plan.see(MS * 50, pg(1), at(1, 10));
        assert_eq!(plan.due(MS * 50, plan.pace(false)), Some(MS * 5 + CALM.awaited().age));
        plan.begin();
        plan.took(MS * 120, pg(1), at(1, 10));
        assert!(!plan.is_awaited());
        plan.hurry(MS * 130, pg(1), at(1, 10));
        assert_eq!(plan.due(MS * 130, CALM), None, "it is on its way");
    }

    #[test]
    fn what_a_full_bundle_left_out_comes_first_in_the_next() {
        let mut plan = plan();
        for number in 0..3 {
            plan.see(MS * (number + 1), pg(number), at(number, 10));
        }
        assert_eq!(plan.begin().len(), 3);
        plan.took(MS * 4, pg(0), at(0, 10));
        plan.took(MS * 4, pg(1), at(1, 5));
        plan.see(MS * 5, pg(0), at(0, 11));
        let next = [
            (pg(2), at(2, 0), at(2, 10)),
            (pg(1), at(1, 5), at(1, 10)),
            (pg(0), at(0, 10), at(0, 11)),
        ];
        assert_eq!(plan.begin(), next);
    }

    #[test]
    fn no_more_bundles_are_under_way_than_the_pace_allows() {
        let mut plan = plan();
        for _ in 0..CALM.uploads {
            plan.see(MS, pg(0), at(0, 1 << 40));
            assert_eq!(plan.due(MS, CALM), Some(MS));
            plan.begin();
        }
        assert_eq!(plan.due(MS, CALM), None);
        assert_eq!(plan.due(MS, CALM.pressed()), Some(MS), "more may, under pressure");
        plan.ended();
        assert_eq!(plan.due(MS, CALM), Some(MS));
    }
}

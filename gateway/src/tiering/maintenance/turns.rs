//! When a placement group's turn brings what, and what stays out of it. Pure: the caller brings the time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueUid};
use storage::tier::ObjectId;
use storage::tier::compact::{CompactionSettings, Plan, plan};
use storage::tier::manifest::RunEntry;
use storage::tier::retention::TopicRules;

/// Entries after which merges are planned anew, though time alone would not ask for it.
const PLAN_ENTRIES: u64 = 64;
/// The longest rest after failures.
const REST_MAX: Duration = Duration::from_secs(300);
/// Objects that are set aside at most; behind that the oldest are tried again.
const ASIDE_MAX: usize = 4096;

/// One placement group's turns.
#[derive(Debug)]
pub(super) struct Turns {
    /// When all of it is looked over next.
    pub(super) look_over_at: Duration,
    /// When it is looked next what is kept for nobody.
    pub(super) survey_at: Duration,
    /// Since when queues that go by age kept their messages when it was looked where they begin.
    pub(super) aged: HashMap<QueueUid, Timestamp>,
    /// Runs that were final when summaries were planned.
    pub(super) finals: Option<usize>,
    merges: Merges,
    /// When merges were planned of all entries, and there was none, and up to where the log was sealed by then. What
    /// was older than the settings' horizon never needs to be looked at again; what was sealed later does, however old.
    planned: Option<(Timestamp, Lsn)>,
    failures: u32,
    rests_until: Duration,
    aside: HashSet<ObjectId>,
}

/// When merges are planned.
#[derive(Debug)]
enum Merges {
    /// Now.
    Due,
    /// Not before a moment, or before more is stored than there was.
    Wait { at: Option<Timestamp>, entries: u64 },
}

impl Turns {
    /// Before the first. `survey_at`: when it is looked what is kept for nobody.
    pub(super) fn new(survey_at: Duration) -> Turns {
        Turns {
            look_over_at: Duration::ZERO,
            survey_at,
            aged: HashMap::new(),
            finals: None,
            merges: Merges::Due,
            planned: None,
            failures: 0,
            rests_until: Duration::ZERO,
            aside: HashSet::new(),
        }
    }

    /// Whether it is this placement group's turn at all.
    pub(super) fn may(&self, now: Duration) -> bool {
        self.rests_until <= now
    }

    /// The turn came to its end.
    pub(super) fn done(&mut self) {
        self.failures = 0;
    }

    /// It failed: the next one comes after twice as long as the last time. How long that is.
    pub(super) fn failed(&mut self, now: Duration, least: Duration) -> Duration {
        let rest = least.saturating_mul(1 << self.failures.min(20)).min(REST_MAX);
        self.failures = self.failures.saturating_add(1);
        self.rests_until = now + rest;
        rest
    }

    /// Whether merges are to be planned, with so many entries in the manifest.
    pub(super) fn are_merges_due(&self, now: Timestamp, entries: u64) -> bool {
        match self.merges {
            Merges::Due => true,
            Merges::Wait { at: Some(at), entries: before } => {
                at <= now || entries.abs_diff(before) >= PLAN_ENTRIES
            }
            Merges::Wait { at: None, entries: before } => entries != before,
        }
    }

    /// When there was last nothing to be merged, of what was sealed below; `None`: all entries are to be looked at.
    pub(super) const fn planned(&self) -> Option<(Timestamp, Lsn)> {
        self.planned
    }

    /// Nothing is to be merged now, nor before `at`. `planned`: now, and up to where the log is sealed.
    pub(super) fn wait(&mut self, planned: (Timestamp, Lsn), at: Option<Timestamp>, entries: u64) {
        self.planned = Some(planned);
        self.merges = Merges::Wait { at, entries };
    }

    /// Something was merged: there may be more.
    pub(super) fn merged(&mut self) {
        self.merges = Merges::Due;
    }

    /// These are left alone from now on.
    pub(super) fn set_aside(&mut self, objects: impl IntoIterator<Item = ObjectId>) {
        if self.aside.len() > ASIDE_MAX {
            self.aside.clear();
        }
        self.aside.extend(objects);
        self.merged();
    }

    /// Without what is set aside.
    pub(super) fn sound(&self, mut entries: Vec<RunEntry>) -> Vec<RunEntry> {
        entries.retain(|entry| !self.aside.contains(&entry.object));
        entries
    }

    /// The next merge among `entries`, neighbours to the end of the manifest. None has anything in it that is set
    /// aside, nor goes over a place of the log that was let go of.
    pub(super) fn plan(
        &self,
        entries: &[RunEntry],
        now: Timestamp,
        settings: &CompactionSettings,
        rules: &dyn TopicRules,
    ) -> Plan {
        let keeps_since = |first, last| rules.keeps_since(first, last);
        let mut wait: Option<Timestamp> = None;
        let sound = entries.split(|entry| self.aside.contains(&entry.object));
        for neighbours in sound.flat_map(|sound| sound.chunk_by(|a, b| !is_torn(a, b))) {
            match plan(neighbours, now, settings, &keeps_since) {
                Plan::Merge(merge) => return Plan::Merge(merge),
                Plan::Wait(at) => wait = wait.into_iter().chain(at).min(),
            }
        }
        Plan::Wait(wait)
    }
}

/// Whether something between two bundles was let go of.
fn is_torn(before: &RunEntry, after: &RunEntry) -> bool {
    before.level() == 0 && after.level() == 0 && before.to != after.from
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::format::QueueOffset;
    use storage::tier::manifest::{Origin, QueueSet};
    use storage::tier::retention::{Keeps, Keyed};

    struct Forever;

    impl TopicRules for Forever {
        fn keeps(&self, _: QueueUid) -> Keeps {
            Keeps::Forever
        }
        fn keeps_since(&self, _: QueueUid, _: QueueUid) -> Option<Timestamp> {
            None
        }
        fn start_of(&self, _: QueueUid) -> QueueOffset {
            QueueOffset(0)
        }
        fn keys(
            &self,
            _: &storage::format::object::Record,
            _: &mut Vec<storage::format::object::KeyHash>,
        ) {
        }
        fn key_of(&self, _: &storage::format::object::Record) -> Option<Keyed> {
            None
        }
    }

    fn bundle(at: u64) -> RunEntry {
        RunEntry {
            object: ObjectId { id: at, nonce: 0 },
            origin: Origin::Bundle { session: 1 },
            from: Lsn(at),
            to: Lsn(at + 1),
            object_len: 10,
            bytes: 10,
            messages: 1,
            min_time: Timestamp(1 + at),
            max_time: Timestamp(1 + at),
            queues: QueueSet::One {
                queue: QueueUid(1 << 20),
                first: QueueOffset(at),
                last: QueueOffset(at),
            },
        }
    }

    fn planned(turns: &Turns, entries: &[RunEntry]) -> Vec<u64> {
        let (now, settings) = (Timestamp(1 << 40), CompactionSettings::default());
        match turns.plan(entries, now, &settings, &Forever) {
            Plan::Merge(merge) => merge.inputs.iter().map(|input| input.object.id).collect(),
            Plan::Wait(_) => Vec::new(),
        }
    }

    #[test]
    fn what_is_set_aside_is_in_no_merge_and_what_is_around_it_is() {
        let mut turns = Turns::new(Duration::ZERO);
        let entries: Vec<RunEntry> = (0..7).map(bundle).collect();
        assert_eq!(planned(&turns, &entries), [0, 1, 2, 3, 4, 5, 6]);
        turns.set_aside([entries[1].object]);
        assert_eq!(planned(&turns, &entries), [2, 3, 4, 5, 6]);
    }

    #[test]
    fn no_merge_goes_over_what_was_let_go_of() {
        let entries: Vec<RunEntry> = [0, 2, 3, 4].map(bundle).to_vec();
        assert_eq!(planned(&Turns::new(Duration::ZERO), &entries), [2, 3, 4]);
    }

    #[test]
    fn a_placement_group_that_fails_rests_longer_each_time_and_no_longer_than_it_may() {
        let (mut turns, least) = (Turns::new(Duration::ZERO), Duration::from_secs(5));
        let rests: Vec<u64> =
            (0..40).map(|_| turns.failed(Duration::ZERO, least).as_secs()).collect();
        assert_eq!(rests[..3], [5, 10, 20]);
        assert_eq!(rests[39], REST_MAX.as_secs());
        assert!(!turns.may(Duration::from_secs(299)) && turns.may(REST_MAX));
        turns.done();
        assert_eq!(turns.failed(Duration::ZERO, least), least);
    }

    #[test]
    fn merges_are_planned_when_their_time_comes_or_much_was_stored() {
        let mut turns = Turns::new(Duration::ZERO);
        assert!(turns.are_merges_due(Timestamp(0), 0));
        turns.wait((Timestamp(5), Lsn(7)), Some(Timestamp(9)), 100);
        assert!(!turns.are_merges_due(Timestamp(8), 100 + PLAN_ENTRIES - 1));
        assert!(turns.are_merges_due(Timestamp(8), 100 + PLAN_ENTRIES));
        assert!(turns.are_merges_due(Timestamp(9), 100));
        turns.wait((Timestamp(9), Lsn(8)), None, 100);
        assert!(!turns.are_merges_due(Timestamp(1 << 50), 100));
        assert!(turns.are_merges_due(Timestamp(9), 101));
        assert_eq!(turns.planned(), Some((Timestamp(9), Lsn(8))));
    }
}

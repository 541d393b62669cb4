//! When a placement group's turn brings what, and what stays out of it. Pure: the caller brings the time.

use std::collections::HashSet;
use std::time::Duration;
use storage::env::Timestamp;
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
    /// Runs that were final when summaries were planned.
    pub(super) finals: Option<usize>,
    merges: Merges,
    /// When merges were planned of all entries, and there was none. What was older than the settings' horizon then
    /// never needs to be looked at again.
    planned: Option<Timestamp>,
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

    /// When there was last nothing to be merged; `None`: all entries are to be looked at.
    pub(super) const fn planned(&self) -> Option<Timestamp> {
        self.planned
    }

    /// Nothing is to be merged `now`, nor before `at`.
    pub(super) fn wait(&mut self, now: Timestamp, at: Option<Timestamp>, entries: u64) {
        self.planned = Some(now);
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

    /// The next merge among `entries`, neighbours to the end of the manifest; none has anything in it that is set
    /// aside.
    pub(super) fn plan(
        &self,
        entries: &[RunEntry],
        now: Timestamp,
        settings: &CompactionSettings,
        rules: &dyn TopicRules,
    ) -> Plan {
        let keeps_since = |first, last| rules.keeps_since(first, last);
        let mut wait: Option<Timestamp> = None;
        for neighbours in entries.split(|entry| self.aside.contains(&entry.object)) {
            match plan(neighbours, now, settings, &keeps_since) {
                Plan::Merge(merge) => return Plan::Merge(merge),
                Plan::Wait(at) => wait = wait.into_iter().chain(at).min(),
            }
        }
        Plan::Wait(wait)
    }
}

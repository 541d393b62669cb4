//! The next merge.

use super::super::manifest::{Origin, QueueSet, RunEntry, Window};
use super::super::retention::Dead;
use super::settings::{CompactionSettings, LevelSettings};
use crate::env::Timestamp;
use crate::format::QueueUid;

/// A merge that is worth its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMerge {
    /// Neighbours in the manifest, in order; never empty.
    pub inputs: Vec<RunEntry>,
    /// Of what comes out.
    pub level: LevelSettings,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// This, and then plan again.
    Merge(PlannedMerge),
    /// Nothing is to be gained before this moment; `None`: before more is stored.
    Wait(Option<Timestamp>),
}

/// The next merge among `entries`: neighbours of one placement group's manifest, in order, to its
/// end. Bundles come first, since they hold others' bytes; then what is older.
///
/// `keeps_since(first, last)`: the moment since which one of the queues in this range keeps its
/// messages; `None`: for ever. What is let go soon is not written again.
pub fn plan(
    entries: &[RunEntry],
    now: Timestamp,
    settings: &CompactionSettings,
    keeps_since: &dyn Fn(QueueUid, QueueUid) -> Option<Timestamp>,
) -> Plan {
    let mut next: Option<Timestamp> = None;
    for level in settings.levels {
        for group in Groups::new(entries, level, settings) {
            let due = group.due(now, settings);
            if !due.is_now {
                next = due.at.map_or(next, |at| Some(next.map_or(at, |next| next.min(at))));
                continue;
            }
            if let Some(inputs) = group.worth(now, settings, keeps_since) {
                return Plan::Merge(PlannedMerge { inputs, level });
            }
        }
    }
    Plan::Wait(next)
}

/// The next run of which half is kept for nobody: it is merged alone, to the level above. What is
/// written for it is no more than what it frees, so that this adds at most what was once stored.
///
/// `dead`: what is known of an entry; `None`: nothing. Runs that [`plan`] may still take are left to
/// it.
pub fn plan_reclaim(
    entries: &[RunEntry],
    now: Timestamp,
    settings: &CompactionSettings,
    dead: &dyn Fn(&RunEntry) -> Option<Dead>,
) -> Option<PlannedMerge> {
    let is_final = |entry: &&RunEntry| entry.max_time < settings.horizon(now);
    entries.iter().filter(is_final).find_map(|entry| {
        let Origin::Run { level, window, .. } = entry.origin else { return None };
        let next = level + 1;
        if next > LEVEL_MAX || !dead(entry).is_some_and(|dead| dead.is_half()) {
            return None;
        }
        let shared_bytes = settings.levels.iter().map(|level| level.shared_bytes).max();
        let shared_bytes = shared_bytes.unwrap_or(entry.bytes);
        let level = LevelSettings { level: next, window: window.length, shared_bytes };
        Some(PlannedMerge { inputs: vec![*entry], level })
    })
}

/// The highest level that a run can have.
const LEVEL_MAX: u8 = 9;

/// Neighbours that a merge of one level would take together.
#[derive(Clone, Copy, Debug)]
struct Group<'a> {
    entries: &'a [RunEntry],
    level: LevelSettings,
    /// `None`: no entry has a record.
    window: Option<Window>,
    /// No entry that is stored later can belong to it, or it has as many as a merge takes.
    is_closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    is_now: bool,
    /// When it may be, if nothing comes before.
    at: Option<Timestamp>,
}

impl Group<'_> {
    fn due(&self, now: Timestamp, settings: &CompactionSettings) -> Due {
        let over = self.window.map(|window| window.end().plus(settings.lateness));
        let oldest = self.entries.iter().filter(|entry| entry.level() == 0);
        let oldest = oldest.map(|entry| entry.max_time).min();
        let aged = oldest.map(|time| time.plus(settings.bundle_age_max));
        // Age counts for bundles alone.
        let aged = aged.filter(|_| self.level.level == 1);
        let at = match (over, aged) {
            (Some(over), Some(aged)) => Some(over.min(aged)),
            (over, aged) => over.or(aged),
        };
        Due { is_now: self.is_closed || at.is_some_and(|at| at <= now), at }
    }

    /// What of the group is worth a merge.
    fn worth(
        &self,
        now: Timestamp,
        settings: &CompactionSettings,
        keeps_since: &dyn Fn(QueueUid, QueueUid) -> Option<Timestamp>,
    ) -> Option<Vec<RunEntry>> {
        if self.goes_soon(now, keeps_since) {
            return None;
        }
        if self.level.level == 1 {
            // One bundle alone is read as well as a run, unless it keeps others' bytes.
            let is_shared = |entry: &RunEntry| entry.bytes < entry.object_len / 2;
            let is_worth = self.entries.len() > 1 || self.entries.iter().any(is_shared);
            return is_worth.then(|| self.entries.to_vec());
        }
        let gains = |entries: &[RunEntry]| {
            let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
            let outputs = bytes.div_ceil(self.level.shared_bytes.max(1)).max(1);
            let outputs = usize::try_from(outputs).unwrap_or(usize::MAX);
            entries.len() >= outputs.saturating_mul(settings.fan_in).max(2)
        };
        if gains(self.entries) {
            return Some(self.entries.to_vec());
        }
        let shared = without_large(self.entries, self.level.shared_bytes);
        gains(&shared).then_some(shared)
    }

    /// Whether all of it goes sooner than a window of this level lasts.
    fn goes_soon(
        &self,
        now: Timestamp,
        keeps_since: &dyn Fn(QueueUid, QueueUid) -> Option<Timestamp>,
    ) -> bool {
        let ahead = if self.level.level == 1 { now } else { now.plus(self.level.window) };
        self.entries.iter().all(|entry| {
            let Some((first, last)) = entry.queues.range() else { return false };
            keeps_since(first, last).is_some_and(|since| {
                // In so much time, what is kept begins so much later.
                entry.max_time < since.plus(ahead.since(now))
            })
        })
    }
}

/// Without runs of one large queue that stand alone among the others: they gain nothing, and a
/// manifest allows to leave them out where no other input has the queue.
fn without_large(entries: &[RunEntry], shared_bytes: u64) -> Vec<RunEntry> {
    let large = |entry: &RunEntry| match entry.queues {
        QueueSet::One { queue, .. } if entry.bytes >= shared_bytes / 8 => Some(queue),
        QueueSet::One { .. } | QueueSet::None | QueueSet::Several { .. } => None,
    };
    let stays_out = |entry: &RunEntry| {
        large(entry).is_some_and(|queue| {
            entries.iter().all(|other| large(other) == Some(queue) || !other.queues.has(queue))
        })
    };
    entries.iter().filter(|entry| !stays_out(entry)).copied().collect()
}

/// Cuts a manifest into groups, in order.
struct Groups<'a> {
    left: &'a [RunEntry],
    level: LevelSettings,
    settings: &'a CompactionSettings,
}

impl<'a> Groups<'a> {
    fn new(
        entries: &'a [RunEntry],
        level: LevelSettings,
        settings: &'a CompactionSettings,
    ) -> Groups<'a> {
        Groups { left: entries, level, settings }
    }

    fn is_taken(&self, entry: &RunEntry) -> bool {
        entry.level() < self.level.level
    }
}

impl<'a> Iterator for Groups<'a> {
    type Item = Group<'a>;

    fn next(&mut self) -> Option<Group<'a>> {
        let begin = self.left.iter().position(|entry| self.is_taken(entry))?;
        let all = self.left.get(begin..)?;
        let (mut window, mut bytes, mut len, mut is_closed) = (None::<Window>, 0u64, 0, false);
        for entry in all {
            let has_time = entry.max_time > Timestamp(0);
            let is_later = has_time && window.is_some_and(|window| entry.min_time >= window.end());
            let is_full = len > 0
                && (len >= self.settings.inputs_max
                    || bytes.saturating_add(entry.bytes) > self.settings.bytes_max);
            if !self.is_taken(entry) || is_later || is_full {
                is_closed = true;
                break;
            }
            if has_time && window.is_none() {
                window = Some(Window::of(entry.min_time, self.level.window));
            }
            bytes = bytes.saturating_add(entry.bytes);
            len += 1;
        }
        let (entries, left) = all.split_at_checked(len)?;
        self.left = left;
        Some(Group { entries, level: self.level, window, is_closed })
    }
}

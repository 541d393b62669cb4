//! The next key summary.

use super::super::ObjectId;
use super::super::manifest::RunEntry;
use crate::format::object::SUMMARY_OBJECTS_MAX;
use std::collections::{HashMap, HashSet};

/// Messages of the runs in one summary, at most: their key indexes are read in one go.
const MESSAGES_MAX: u64 = 64 << 20;

/// A summary that the manifest has, and the runs that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summarised {
    /// Its object.
    pub object: ObjectId,
    /// The runs; those that are gone too. Empty where it cannot be read.
    pub runs: Vec<ObjectId>,
}

/// What is to be done about key summaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedSummary {
    /// Runs of which one is to be made, in order of their keys; empty: none.
    pub runs: Vec<RunEntry>,
    /// Summaries that go with the same commit: the new one has their runs, or most of these are gone.
    pub replaced: Vec<ObjectId>,
}

/// What is to be done so that no more than `runs_min` of `finals` are in no summary. `finals`: runs
/// that no compaction takes soon, in order of their keys. `present`: the summaries that there are.
pub fn plan_summaries(
    finals: &[RunEntry],
    present: &[Summarised],
    runs_min: usize,
) -> PlannedSummary {
    let messages: HashMap<ObjectId, u64> =
        finals.iter().map(|run| (run.object, run.messages)).collect();
    let left = |summary: &Summarised| {
        let there = summary.runs.iter().filter_map(|run| messages.get(run));
        there.fold(Size::default(), |size, messages| size.plus(*messages))
    };
    let (mut kept, lost): (Vec<(Size, &Summarised)>, Vec<_>) = present
        .iter()
        .map(|summary| (left(summary), summary))
        .partition(|(left, summary)| left.runs > 0 && left.runs * 2 >= summary.runs.len());
    let mut replaced: Vec<ObjectId> = lost.iter().map(|(_, summary)| summary.object).collect();
    kept.sort_by_key(|(left, summary)| (left.runs, summary.object));
    let mut covered: HashSet<ObjectId> =
        kept.iter().flat_map(|(_, summary)| &summary.runs).copied().collect();
    let open = finals.iter().filter(|run| !covered.contains(&run.object));
    let mut total = open.fold(Size::default(), |size, run| size.plus(run.messages));
    if total.runs < runs_min.max(1) {
        return PlannedSummary { runs: Vec::new(), replaced };
    }
    for (left, summary) in kept {
        let both = Size { runs: total.runs + left.runs, messages: total.messages + left.messages };
        let is_large = both.runs > SUMMARY_OBJECTS_MAX || both.messages > MESSAGES_MAX;
        if left.runs > total.runs * 2 || is_large {
            break;
        }
        total = both;
        summary.runs.iter().for_each(|run| _ = covered.remove(run));
        replaced.push(summary.object);
    }
    let wanted = finals.iter().filter(|run| !covered.contains(&run.object));
    let mut taken = 0u64;
    let fits = |run: &&RunEntry| {
        taken += run.messages;
        taken <= MESSAGES_MAX || taken == run.messages
    };
    let runs: Vec<RunEntry> = wanted.take(SUMMARY_OBJECTS_MAX).take_while(fits).copied().collect();
    PlannedSummary { runs, replaced }
}

/// Of some runs.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    runs: usize,
    messages: u64,
}

impl Size {
    const fn plus(self, messages: u64) -> Size {
        Size { runs: self.runs + 1, messages: self.messages + messages }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::manifest::{Origin, QueueSet, Window};
    use super::*;
    use crate::env::Timestamp;
    use crate::format::{Epoch, Lsn};
    use std::time::Duration;

    fn run(id: u64, messages: u64) -> RunEntry {
        let window = Window::of(Timestamp(0), Duration::from_secs(1));
        RunEntry {
            object: ObjectId { id, nonce: 0 },
            origin: Origin::Run { level: 3, epoch: Epoch(1), window },
            from: Lsn(id),
            to: Lsn(id + 1),
            object_len: 1,
            bytes: 1,
            messages,
            min_time: Timestamp(0),
            max_time: Timestamp(0),
            queues: QueueSet::None,
        }
    }

    fn summary(object: u64, runs: std::ops::Range<u64>) -> Summarised {
        let runs = runs.map(|id| ObjectId { id, nonce: 0 }).collect();
        Summarised { object: ObjectId { id: object, nonce: 0 }, runs }
    }

    #[test]
    fn runs_are_summarised_a_logarithm_of_times_and_summaries_stay_few() {
        let (mut finals, mut present, mut next) = (Vec::new(), Vec::<Summarised>::new(), 1 << 32);
        let mut summarised = 0;
        for id in 0..10_000u64 {
            finals.push(run(id, 1));
            if id % 100 != 0 {
                continue;
            }
            let plan = plan_summaries(&finals, &present, 256);
            present.retain(|summary| !plan.replaced.contains(&summary.object));
            if !plan.runs.is_empty() {
                summarised += plan.runs.len();
                let runs = plan.runs.iter().map(|run| run.object).collect();
                present.push(Summarised { object: ObjectId { id: next, nonce: 0 }, runs });
                next += 1;
            }
            assert!(present.len() <= 9, "{} at {id}", present.len());
        }
        let all: HashSet<ObjectId> = present.iter().flat_map(|s| s.runs.clone()).collect();
        assert_eq!(all.len(), present.iter().map(|s| s.runs.len()).sum::<usize>());
        assert!(finals.len() - all.len() < 356);
        assert!(summarised < 6 * finals.len(), "{summarised}");
    }

    #[test]
    fn a_summary_of_what_is_mostly_gone_goes_and_what_is_left_is_open_again() {
        let finals: Vec<RunEntry> = (90..100).map(|id| run(id, 1)).collect();
        let plan = plan_summaries(&finals, &[summary(1000, 0..100)], 20);
        assert_eq!(
            plan,
            PlannedSummary { runs: vec![], replaced: vec![ObjectId { id: 1000, nonce: 0 }] }
        );
        let plan = plan_summaries(&finals, &[summary(1000, 0..100)], 5);
        assert_eq!(plan.runs, finals);
        assert_eq!(
            plan_summaries(&finals, &[summary(1000, 90..100)], 1),
            PlannedSummary::default()
        );
    }

    #[test]
    fn one_that_cannot_be_read_goes() {
        let plan = plan_summaries(&[], &[summary(1000, 0..0)], 1);
        assert_eq!(plan.replaced.len(), 1);
    }

    #[test]
    fn no_more_is_read_for_one_summary_than_it_may() {
        let finals: Vec<RunEntry> = (0..20).map(|id| run(id, MESSAGES_MAX / 4)).collect();
        assert_eq!(plan_summaries(&finals, &[], 10).runs, finals[..4]);
    }
}

use super::*;
use crate::env::Timestamp;
use crate::format::{PgId, chain_of};
use crate::tier::manifest::{Origin, QueueSet};
use proptest::prelude::*;

const PG: PgId = PgId::FIRST;

/// A range of a history. `chain_end` follows from what is in it.
fn found(id: u64, epoch: u32, (from, to): (u64, u64), (before, end): (u32, u32)) -> Found {
    let (from, to) = (Lsn(from), Lsn(to));
    let entry = PgEntry {
        to,
        chain_before: before,
        chain_end: end,
        ..PgEntry::empty(PG, Epoch(epoch), from)
    };
    let run = RunEntry {
        object: ObjectId { id, nonce: 0 },
        origin: Origin::Bundle { session: 1 },
        from,
        to,
        object_len: 100,
        bytes: 10,
        messages: 0,
        min_time: Timestamp(0),
        max_time: Timestamp(0),
        queues: QueueSet::None,
    };
    Found { entry, run }
}

fn start(epoch: u32, tiered: u64, chain: u32, newest: u32) -> Start {
    let (epoch, newest_epoch) = (Epoch(epoch), Epoch(newest));
    Start { epoch, tiered: Lsn(tiered), chain: Some(chain), newest_epoch }
}

fn ids(extended: &Extended) -> Vec<u64> {
    extended.taken.iter().map(|run| run.object.id).collect()
}

fn reasons(extended: &Extended) -> Vec<(u64, Reason)> {
    extended.left_out.iter().map(|left| (left.object.id, left.reason)).collect()
}

#[test]
fn ranges_that_follow_are_taken_up_to_the_first_hole() {
    let all = [
        found(3, 2, (30, 40), (3, 4)),
        found(1, 2, (10, 20), (1, 2)),
        found(2, 2, (20, 25), (2, 3)),
        found(9, 2, (0, 10), (0, 1)),
    ];
    let extended = extend(&start(2, 10, 1, 2), &all, Doubt::Leave);
    assert_eq!((ids(&extended), extended.tiered, extended.chain), (vec![1, 2], Lsn(25), Some(3)));
    assert_eq!(reasons(&extended), [(3, Reason::Detached)]);
}

#[test]
fn another_history_is_not_taken() {
    let all = [found(1, 2, (10, 20), (7, 8))];
    let extended = extend(&start(2, 10, 1, 2), &all, Doubt::Take);
    assert_eq!((ids(&extended), extended.tiered), (vec![], Lsn(10)));
    assert_eq!(reasons(&extended), [(1, Reason::Detached)]);
}

#[test]
fn where_two_begin_at_one_place_the_later_epoch_wins_though_it_reaches_less_far() {
    let all = [found(1, 2, (10, 90), (1, 9)), found(2, 3, (10, 20), (1, 2))];
    let extended = extend(&start(2, 10, 1, 3), &all, Doubt::Leave);
    assert_eq!((ids(&extended), extended.tiered), (vec![2], Lsn(20)));
    assert_eq!(reasons(&extended), [(1, Reason::Superseded)]);
}

#[test]
fn an_epoch_before_the_copys_is_never_taken() {
    let all = [found(1, 1, (10, 20), (1, 2))];
    assert!(extend(&start(2, 10, 1, 2), &all, Doubt::Take).taken.is_empty());
}

#[test]
fn what_a_later_epoch_goes_on_from_is_confirmed() {
    let all = [
        found(1, 2, (10, 20), (1, 2)),
        found(2, 2, (10, 30), (1, 9)),
        found(3, 3, (20, 25), (2, 3)),
    ];
    let extended = extend(&start(2, 10, 1, 3), &all, Doubt::Leave);
    assert_eq!((ids(&extended), extended.tiered), (vec![1, 3], Lsn(25)));
    assert_eq!(reasons(&extended), [(2, Reason::Superseded)]);
}

#[test]
fn what_only_an_owner_of_the_past_wrote_is_left_out_unless_asked_for() {
    let all = [found(1, 2, (10, 20), (1, 2))];
    let start = start(2, 10, 1, 3);
    let left = extend(&start, &all, Doubt::Leave);
    assert_eq!((left.taken.len(), reasons(&left)), (0, vec![(1, Reason::Doubtful)]));
    assert_eq!(ids(&extend(&start, &all, Doubt::Take)), [1]);
}

#[test]
fn a_copy_without_a_chain_is_gone_on_from_by_position() {
    let start = Start { chain: None, ..start(2, 10, 0, 2) };
    let all = [found(1, 2, (10, 20), (5, 6)), found(2, 2, (20, 30), (7, 8))];
    let extended = extend(&start, &all, Doubt::Leave);
    assert_eq!(ids(&extended), [1], "from there on the chain is known");
}

#[test]
fn no_more_is_taken_than_a_record_can_name() {
    let many: Vec<Found> = (0..8000u32)
        .map(|at| found(at.into(), 2, (at.into(), u64::from(at) + 1), (at, at + 1)))
        .collect();
    let extended = extend(&start(2, 0, 0, 2), &many, Doubt::Leave);
    assert!(extended.delta(Lsn(0)).unwrap().encode().len() <= EXTENSION_BYTES_MAX);
    assert!(extended.taken.len() > 1000);
    assert!(extended.left_out.iter().all(|left| left.reason == Reason::Full));
    assert_eq!(extended.taken.len() + extended.left_out.len(), many.len());
}

/// A history of epochs: each begins at some place of the one before, and its owner writes on.
/// Fenced owners go on writing what the next epoch never had.
#[derive(Clone, Debug)]
struct EpochPlan {
    /// Bytes that the owner of the epoch writes before the next begins.
    writes: Vec<u8>,
    /// Of those, how many bundles are uploaded: some not at all, some twice with other cuts.
    uploaded: Vec<bool>,
    /// Bytes that it writes on after it was fenced, and uploads as one bundle.
    zombie: u8,
    /// The next epoch begins so many writes before the end (what was not acknowledged is cut off).
    cut: u8,
}

fn plans() -> impl Strategy<Value = Vec<EpochPlan>> {
    let plan = (
        proptest::collection::vec(1..50u8, 1..6),
        proptest::collection::vec(proptest::bool::weighted(0.9), 6),
        0..40u8,
        0..3u8,
    );
    let plan = plan.prop_map(|(writes, uploaded, zombie, cut)| EpochPlan {
        writes,
        uploaded,
        zombie,
        cut,
    });
    proptest::collection::vec(plan, 1..5)
}

/// The bundles in the bucket, and of each place of the last epoch's log its chain.
struct World {
    bundles: Vec<Found>,
    truth: BTreeMap<Lsn, u32>,
    /// Where the first epoch's log has its first upload missing, per epoch.
    last_epoch: Epoch,
}

fn world(plans: &[EpochPlan]) -> World {
    let (mut bundles, mut id) = (Vec::new(), 0);
    // The log so far: position and chain after each write.
    let mut log: Vec<(u64, u32)> = vec![(0, 0)];
    for (at, plan) in plans.iter().enumerate() {
        let epoch = at as u32 + 1;
        let mut payload = epoch << 16;
        let mut put = |from: (u64, u32), to: (u64, u32), bundles: &mut Vec<Found>| {
            id += 1;
            bundles.push(found(id, epoch, (from.0, to.0), (from.1, to.1)));
        };
        let first = log.len();
        for (nth, bytes) in plan.writes.iter().enumerate() {
            let before = log[log.len() - 1];
            payload += 1;
            let after = (before.0 + u64::from(*bytes), chain_of(before.1, payload));
            if plan.uploaded[nth] {
                put(before, after, &mut bundles);
            }
            log.push(after);
        }
        let is_last = at + 1 == plans.len();
        if !is_last {
            if plan.zombie > 0 {
                let before = log[log.len() - 1];
                let after = (before.0 + u64::from(plan.zombie), chain_of(before.1, payload + 1));
                put(before, after, &mut bundles);
            }
            let cut = usize::from(plan.cut).min(log.len() - first);
            log.truncate(log.len() - cut);
        }
    }
    let truth = log.into_iter().map(|(at, chain)| (Lsn(at), chain)).collect();
    World { bundles, truth, last_epoch: Epoch(plans.len() as u32) }
}

proptest! {
    /// From any commit of the last epoch's log that a copy may be of.
    #[test]
    fn nothing_of_a_fenced_owner_is_taken_and_nothing_of_the_last_one_is_missed(
        plans in plans(), from: prop::sample::Index, copy_epoch in 1..6u32,
        cut: prop::sample::Index,
    ) {
        let World { mut bundles, truth, last_epoch } = world(&plans);
        let places: Vec<(Lsn, u32)> = truth.iter().map(|(at, chain)| (*at, *chain)).collect();
        let (at, chain) = places[from.index(places.len())];
        let epoch = Epoch(copy_epoch.min(last_epoch.0));
        let rotated = cut.index(bundles.len().max(1));
        bundles.rotate_left(rotated);
        let start = Start { epoch, tiered: at, chain: Some(chain), newest_epoch: last_epoch };
        let extended = extend(&start, &bundles, Doubt::Leave);
        // INV-REBUILD-1.
        let mut end = at;
        for run in &extended.taken {
            prop_assert_eq!(run.from, end);
            end = run.to;
        }
        prop_assert_eq!(extended.tiered, end);
        // What is taken is the last epoch's log, to the byte.
        prop_assert_eq!(truth.get(&end).copied(), extended.chain);
        // Every bundle of the last epoch that what is taken leads to is taken.
        let goes_on = bundles.iter().any(|found| {
            found.entry.epoch == last_epoch
                && found.entry.from == end
                && Some(found.entry.chain_before) == extended.chain
        });
        prop_assert!(!goes_on);
        let named = extended.taken.len() + extended.left_out.len();
        prop_assert_eq!(named, bundles.iter().filter(|found| found.entry.to > at).count());
    }
}

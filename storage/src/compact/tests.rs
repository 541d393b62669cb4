use super::world::World;
use super::*;
use crate::collect::CollectSettings;
use crate::env::Timestamp;
use crate::format::object::mix64;
use crate::format::{FormatError, QueueOffset, QueueUid, RecordKind};
use crate::object::testing::Plan as FaultPlan;
use crate::object::{Kind, Name, Purpose, Span};
use crate::tier::compact::{Plan, plan};
use crate::tier::manifest::{Change, QueueSet};
use crate::tier::retention::TopicRules;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::future::Future;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(work)
}

async fn filled(hours: u32) -> World {
    let mut world = World::new(1, 2);
    for hour in 0..hours {
        for part in 0..6u32 {
            let body = [&[(part % 3) as u8][..], &[7; 50], &(hour * 10 + part).to_le_bytes()];
            world.append(&[1, 2, 3, 4, 5], &body.concat());
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
            world.advance(Duration::from_secs(600));
        }
    }
    world
}

async fn compact_all(world: &mut World) -> usize {
    let mut merges = 0;
    for at in 0..world.groups.len() {
        let pg = world.groups[at].pg;
        while world.merge(pg).await.unwrap() {
            merges += world.commit_merges().await.unwrap();
        }
    }
    merges
}

#[test]
fn bundles_become_runs_and_runs_longer_ones_and_nothing_is_lost() {
    run(async {
        let mut world = filled(30).await;
        world.check().await;
        let merges = compact_all(&mut world).await;
        assert!(merges > 40, "{merges}");
        world.check().await;
        let entries = world.entries(world.groups[0].pg).await.unwrap();
        assert!(entries.iter().any(|entry| entry.level() == 3), "a day");
        assert!(entries.len() < 30, "{} of 180", entries.len());
        assert_eq!(compact_all(&mut world).await, 0);
    });
}

#[test]
fn the_hash_of_a_run_is_that_of_its_bytes() {
    run(async {
        let mut world = filled(3).await;
        let pg = world.groups[0].pg;
        assert!(world.merge(pg).await.unwrap());
        assert!(!world.done[0].merged.runs.is_empty());
        for run in &world.done[0].merged.runs {
            let name = name_of(&run.object).unwrap();
            let bytes = world.bucket.get(&name, Span::All, Purpose::Check).await.unwrap().bytes;
            assert_eq!(<[u8; 32]>::from(Sha256::digest(&bytes)), run.sha256);
            assert_eq!(bytes.len() as u64, run.run.entry.object_len);
        }
    });
}

#[test]
fn inputs_are_read_by_windows_and_not_by_blocks() {
    run(async {
        let mut world = World::new(1, 1);
        let queues: Vec<u64> = (10..110).collect();
        for _ in 0..8 {
            world.append(&queues, &[9; 100]);
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
        }
        world.advance(HOUR * 2);
        let pg = world.groups[0].pg;
        let gets = |world: &World| {
            let usage = world.bucket.usage();
            let row = usage
                .iter()
                .find(|row| (row.purpose, row.kind) == (Purpose::Compaction, Kind::Get));
            row.map_or(0, |row| row.requests)
        };
        let before = gets(&world);
        assert!(world.merge(pg).await.unwrap());
        let (asked, inputs) = (gets(&world) - before, 8);
        assert!(asked <= inputs * 3, "{asked} requests for 800 blocks in {inputs} inputs");
    });
}

/// Any bit of any input: the merge gives up and names the object, or the bit was of no matter.
#[test]
fn a_flipped_bit_in_an_input_is_named_and_nothing_comes_of_the_merge() {
    run(async {
        let mut world = filled(2).await;
        let pg = world.groups[1].pg;
        let entries = world.entries(pg).await.unwrap();
        let victim = name_of(&entries[1].name(pg)).unwrap();
        let whole = world.bucket.get(&victim, Span::All, Purpose::Check).await.unwrap().bytes;
        let mut named = 0;
        for at in (0..whole.len()).step_by(37) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 16;
            replace_object(&world, &victim, bytes).await;
            match world.merge(pg).await {
                Err(CompactError::Damaged { object, .. }) => {
                    assert_eq!(name_of(&object).unwrap(), victim);
                    named += 1;
                }
                Ok(true) => {
                    // A byte of the other placement group, or of the key index, which is made anew.
                    world.done.clear();
                }
                outcome => panic!("{at}: {outcome:?}"),
            }
        }
        assert!(named > 10, "{named}");
        assert_eq!(world.entries(pg).await.unwrap(), entries);
        replace_object(&world, &victim, whole.to_vec()).await;
        world.check().await;
    });
}

async fn replace_object(world: &World, name: &Name, bytes: Vec<u8>) {
    world.bucket.delete(std::slice::from_ref(name), Purpose::Check).await.unwrap();
    world.bucket.create(name, bytes, Purpose::Check).await.unwrap();
}

#[test]
fn a_bit_that_was_lost_on_the_way_is_asked_for_again() {
    run(async {
        let mut world = filled(2).await;
        let pg = world.groups[0].pg;
        let plan = FaultPlan { flipped: 60, ..FaultPlan::default() };
        let mut merged = 0;
        for _ in 0..20 {
            world.faults.set(plan);
            let outcome = world.merge(pg).await;
            world.faults.set(FaultPlan::default());
            if matches!(outcome, Ok(true)) {
                merged += 1;
                world.done.clear();
            }
        }
        assert!(merged > 0);
        world.check().await;
    });
}

#[test]
fn messages_past_their_time_leave_with_a_merge_and_the_queue_begins_later() {
    run(async {
        let mut world = filled(30).await;
        compact_all(&mut world).await;
        world.check().await;
        let pg = world.groups[0].pg;
        let start = world.topics(pg).await.unwrap().start_of(QueueUid(2));
        assert!(start > QueueOffset(100), "{start}");
        let found = world.read(pg).await;
        let of_queue = |queue| found.iter().filter(|m| m.queue == QueueUid(queue)).count();
        assert_eq!(of_queue(1), 180);
        assert!(of_queue(2) < 100, "{}", of_queue(2));
    });
}

#[test]
fn objects_whose_queues_are_all_past_are_let_go_as_a_whole() {
    run(async {
        let mut world = World::new(1, 1);
        for _ in 0..12 {
            world.append(&[2], &[1; 40]);
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
            world.advance(HOUR);
        }
        let pg = world.groups[0].pg;
        world.retain(pg).await.unwrap();
        let entries = world.entries(pg).await.unwrap();
        assert!(entries.len() <= 5, "{}", entries.len());
        assert!(entries.iter().all(|entry| matches!(entry.queues, QueueSet::One { .. })));
        world.check().await;
    });
}

#[test]
fn a_queue_keeps_its_newest_bytes() {
    run(async {
        let mut world = filled(6).await;
        let pg = world.groups[0].pg;
        world.retain(pg).await.unwrap();
        let start = world.topics(pg).await.unwrap().start_of(QueueUid(4));
        assert!(start > QueueOffset(20) && start < QueueOffset(36), "{start}");
        world.check().await;
        compact_all(&mut world).await;
        world.check().await;
        let found = world.read(pg).await;
        let count = found.iter().filter(|message| message.queue == QueueUid(4)).count();
        assert!(count <= 16, "{count}");
    });
}

#[test]
fn of_a_key_the_newest_stays_and_a_tombstone_for_a_day() {
    run(async {
        let mut world = World::new(1, 1);
        let pg = world.groups[0].pg;
        for turn in 0..10u8 {
            world.append(&[3], &[turn % 2, turn]);
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
            world.advance(Duration::from_secs(300));
        }
        // Of key 0 nothing is left.
        world.append(&[3], &[0]);
        world.upload().await.unwrap();
        world.commit_bundles().await.unwrap();
        world.advance(HOUR * 2);
        compact_all(&mut world).await;
        world.check().await;
        let bodies = |found: Vec<crate::format::object::Record>| -> Vec<Vec<u8>> {
            found.iter().map(|message| message.body().to_vec()).collect()
        };
        assert_eq!(bodies(world.read(pg).await), [vec![1, 9], vec![0]]);
        world.advance(HOUR * 48);
        compact_all(&mut world).await;
        // What is left is one run; nothing asks for another merge of it.
        let entries = world.entries(pg).await.unwrap();
        let topics = world.topics(pg).await.unwrap();
        let settings = crate::tier::merge::MergeSettings::new(pg, world.record(pg).epoch, 9);
        let merged = world.merge_of(settings, &entries, &entries, &topics).await.unwrap();
        assert_eq!(merged.totals.messages_out, 1);
    });
}

/// Days after days of the same keys: the runs of all days but the last become small.
#[test]
fn runs_that_keep_half_for_nobody_are_written_again_until_they_do_not() {
    run(async {
        let mut world = World::new(1, 1);
        let pg = world.groups[0].pg;
        for turn in 0..96u8 {
            // Not compressible.
            let noise = (0..300).map(|at| mix64(at << 8 | u64::from(turn)) as u8);
            let body: Vec<u8> = [turn % 5].into_iter().chain(noise).collect();
            world.append(&[3, 99], &body);
            world.append(&[1], &[turn]);
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
            world.advance(HOUR);
            compact_all(&mut world).await;
        }
        world.advance(HOUR * 72);
        compact_all(&mut world).await;
        let of_queue = |found: &[crate::format::object::Record], queue| {
            found.iter().filter(|message| message.queue == QueueUid(queue)).count()
        };
        let found = world.read(pg).await;
        assert!(of_queue(&found, 3) > 15, "{} of some days", of_queue(&found, 3));
        let mut written = 0;
        while let Some(bytes) = world.reclaim(pg).await {
            written += bytes;
            world.commit_merges().await.unwrap();
            world.check().await;
        }
        assert!(written > 0);
        let found = world.read(pg).await;
        assert_eq!((of_queue(&found, 1), of_queue(&found, 99)), (96, 0));
        assert!(of_queue(&found, 3) <= 10, "{} left", of_queue(&found, 3));
    });
}

#[test]
fn a_fold_reads_and_writes_only_the_pages_that_it_touches() {
    run(async {
        let mut world = filled(8).await;
        let pg = world.groups[0].pg;
        let folded = world.fold(pg, None).await.unwrap();
        assert!(folded.root.pages.len() >= 8, "{} pages", folded.root.pages.len());
        assert!(folded.pages_read <= 3, "{}", folded.pages_read);
        assert!(folded.objects_written <= 5, "{}", folded.objects_written);
        world.check().await;
        let again = world.fold(pg, None).await.unwrap();
        assert_eq!((again.pages_read, again.objects_written), (0, 1));
    });
}

#[test]
fn a_clock_that_went_back_is_merged_with_one_long_window() {
    run(async {
        let mut world = World::new(1, 1);
        let pg = world.groups[0].pg;
        for minutes in [59, 2, 58, 3] {
            let now = world.env.now().0;
            let hour = now - now % 3_600_000 + 3_600_000;
            world.set_time(hour + minutes * 60_000);
            world.append(&[1], &[1; 30]);
            world.set_time(hour + 3_600_000 - minutes * 60_000);
            world.append(&[5, 1], &[1; 30]);
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
        }
        world.advance(HOUR * 4);
        compact_all(&mut world).await;
        let entries = world.entries(pg).await.unwrap();
        assert!(entries.iter().all(|entry| entry.level() > 0), "{entries:?}");
        world.check().await;
    });
}

#[test]
fn compaction_waits_for_its_budget() {
    run(async {
        let mut world = filled(2).await;
        let budget = std::sync::Arc::new(ByteBudget::new(Some(1), world.env.clone()));
        world.compactor = Compactor::new(world.bucket.clone(), world.env.clone(), budget);
        let pg = world.groups[0].pg;
        let short = tokio::time::timeout(Duration::from_millis(50), world.merge(pg)).await;
        assert!(short.is_err(), "a byte a second");
        assert!(world.done.is_empty());
        world.check().await;
    });
}

#[test]
fn a_stale_owners_merge_is_refused_and_destroys_nothing() {
    run(async {
        let mut world = filled(3).await;
        let pg = world.groups[0].pg;
        assert!(world.merge(pg).await.unwrap());
        let stale = world.done.remove(0);
        world.take_over();
        compact_all(&mut world).await;
        let entries = world.entries(pg).await.unwrap();
        assert!(stale.merged.changes(&entries, &[]).is_err(), "its inputs are gone");
        world.done.push(stale);
        assert_eq!(world.commit_merges().await.unwrap(), 0);
        assert_eq!(world.entries(pg).await.unwrap(), entries);
        world.check().await;
    });
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u64>, u8),
    Upload,
    CommitBundles,
    Merge(usize),
    CommitMerges,
    Retain(usize),
    Fold(usize),
    Sweep,
    Advance(u64),
    TakeOver,
    /// Of the process, after so many further requests; whatever it does then fails.
    Die(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let queue = prop_oneof![4 => 1..6u64, 1 => Just(99u64)];
    prop_oneof![
        8 => (proptest::collection::vec(queue, 1..6), any::<u8>())
            .prop_map(|(queues, byte)| Step::Append(queues, byte)),
        6 => Just(Step::Upload),
        6 => Just(Step::CommitBundles),
        6 => (0..2usize).prop_map(Step::Merge),
        5 => Just(Step::CommitMerges),
        2 => (0..2usize).prop_map(Step::Retain),
        1 => (0..2usize).prop_map(Step::Fold),
        5 => Just(Step::Sweep),
        8 => (1..400u64).prop_map(Step::Advance),
        1 => Just(Step::TakeOver),
        2 => (0..30u64).prop_map(Step::Die),
    ]
}

async fn take(world: &mut World, step: &Step) -> Result<(), CompactError> {
    let pg = |world: &World, at: &usize| world.groups[*at].pg;
    match step {
        Step::Append(queues, byte) => {
            // What lies in a bundle that is not committed is uploaded again with what comes.
            world.uploaded.clear();
            world.append(queues, &[*byte % 4, 7, *byte][..1 + usize::from(byte % 3)]);
            Ok(())
        }
        Step::Upload => world.upload().await,
        Step::CommitBundles => world.commit_bundles().await,
        Step::Merge(at) => world.merge(pg(world, at)).await.map(|_| ()),
        Step::CommitMerges => world.commit_merges().await.map(|_| ()),
        Step::Retain(at) => world.retain(pg(world, at)).await,
        Step::Fold(at) => world.fold(pg(world, at), None).await.map(|_| ()),
        Step::Sweep => world.sweep().await.map(|_| ()),
        Step::Advance(minutes) => {
            world.advance(Duration::from_secs(minutes * 60));
            Ok(())
        }
        Step::TakeOver => {
            world.take_over();
            Ok(())
        }
        Step::Die(after) => {
            world.faults.die_after(*after);
            Ok(())
        }
    }
}

/// No request meets a fault while a reader looks.
async fn check(world: &World, plan: FaultPlan) {
    world.faults.set(FaultPlan::default());
    let left = world.faults.revive();
    world.check().await;
    world.faults.set(plan);
    left.into_iter().for_each(|left| world.faults.die_after(left));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    /// At every moment a reader finds what the model has; at the end nothing else is left.
    #[test]
    fn whatever_fails_a_reader_finds_every_message_and_in_the_end_nothing_else_is_left(
        seed in any::<u64>(), steps in proptest::collection::vec(step(), 20..120),
    ) {
        run(async {
            let mut world = World::new(seed, 2);
            // Time proves nothing: the rules must do without.
            let (grace, rest) = (Duration::ZERO, Duration::ZERO);
            world.new_collector(CollectSettings { grace, rest });
            let plan = FaultPlan { refused: 40, lost: 40, cut: 20, ..FaultPlan::default() };
            world.faults.set(plan);
            for step in &steps {
                let outcome = take(&mut world, step).await;
                if world.faults.is_dead() {
                    // What it had under way wakes up as that of a stale owner.
                    world.take_over();
                } else if let Err(error) = outcome {
                    panic!("{step:?}: {error:?}");
                }
                check(&world, plan).await;
            }
            world.faults.set(FaultPlan::default());
            world.faults.revive();
            world.commit_bundles().await.unwrap();
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
            world.commit_merges().await.unwrap();
            world.advance(HOUR * 30);
            compact_all(&mut world).await;
            world.check().await;
            for _ in 0..3 {
                world.advance(HOUR * 30);
                world.sweep().await.unwrap();
            }
            world.check().await;
            assert_eq!(world.names().await, world.referenced().await);
        });
    }
}

#[test]
fn nothing_is_planned_for_what_nobody_needs() {
    run(async {
        let mut world = filled(1).await;
        world.advance(HOUR * 3);
        compact_all(&mut world).await;
        let pg = world.groups[0].pg;
        let entries = world.entries(pg).await.unwrap();
        let plan = plan(&entries, world.env.now(), &world.settings, &|_, _| None);
        assert!(matches!(plan, Plan::Wait(_)), "{plan:?}");
        assert!(world.read(pg).await.iter().all(|record| record.kind == RecordKind::Message));
    });
}

#[test]
fn a_missing_input_is_said_to_be_missing() {
    run(async {
        let mut world = filled(2).await;
        let pg = world.groups[0].pg;
        let entries = world.entries(pg).await.unwrap();
        let name = name_of(&entries[2].name(pg)).unwrap();
        world.bucket.delete(&[name], Purpose::Check).await.unwrap();
        let error = world.merge(pg).await.unwrap_err();
        assert!(matches!(&error, CompactError::Store(crate::object::Error::NotFound { .. })));
        assert_eq!(error.advice(), crate::object::Advice::Refresh);
        let damaged =
            CompactError::Damaged { object: entries[0].name(pg), source: FormatError::Checksum };
        assert_eq!(damaged.advice(), crate::object::Advice::Stop);
    });
}

/// Whatever the moment: behind all objects before the first that has something newer.
#[test]
fn a_queue_by_time_begins_behind_the_objects_that_are_past() {
    run(async {
        let world = filled(2).await;
        let pg = world.groups[0].pg;
        let entries = world.entries(pg).await.unwrap();
        let topics = world.topics(pg).await.unwrap();
        let queue = QueueUid(2);
        let gets = || {
            let usage = world.bucket.usage();
            usage.iter().filter(|row| row.kind == Kind::Get).map(|row| row.requests).sum::<u64>()
        };
        let mut seen = Timestamp(0);
        for past in 0..=entries.len() {
            let newest = entries.last().unwrap().max_time.0 + 1;
            let since = Timestamp(entries.get(past).map_or(newest, |entry| entry.max_time.0));
            let starts = async |seen| {
                let aged = Aged { queue, since, seen };
                starts_by_time(&world.bucket, pg, &entries, [aged], &topics).await.unwrap()
            };
            // Each object has one message of the queue.
            let offset = QueueOffset(past as u64);
            let expected: &[Change] =
                if past == 0 { &[] } else { &[Change::Start { queue, offset }] };
            assert_eq!(starts(Timestamp(0)).await, expected, "{past} objects are past");
            let before = gets();
            assert_eq!(starts(seen).await, expected, "also by what is past since the last time");
            assert!(gets() - before <= 1, "{} tails", gets() - before);
            let before = gets();
            assert_eq!(starts(since).await, [], "nothing is past since");
            assert_eq!(gets(), before);
            seen = since;
        }
    });
}

#[test]
fn a_summary_says_which_runs_it_is_about_and_names_the_run_that_is_damaged() {
    run(async {
        let mut world = filled(30).await;
        compact_all(&mut world).await;
        let (pg, epoch) = (world.groups[0].pg, world.record(world.groups[0].pg).epoch);
        let mut runs = world.entries(pg).await.unwrap();
        runs.retain(|entry| entry.level() > 0);
        assert!(runs.len() > 2, "{runs:?}");
        let id = |id| crate::tier::ObjectId { id, nonce: 3 };
        let made = world.compactor.summarise(pg, epoch, id(1 << 40), &runs).await.unwrap();
        let about: Vec<_> =
            runs.iter().map(|run| (run.from, run.object.id, run.object.nonce)).collect();
        assert_eq!(runs_in(&world.bucket, pg, &made).await.unwrap(), about);
        let victim = name_of(&runs[1].name(pg)).unwrap();
        let whole = world.bucket.get(&victim, Span::All, Purpose::Check).await.unwrap().bytes;
        let tail = fetch::tail_of_entry(&world.bucket, pg, &runs[1], Purpose::Check).await.unwrap();
        let mut bytes = whole.to_vec();
        bytes[usize::try_from(tail.keys.all_pages().at).unwrap() + 20] ^= 1;
        replace_object(&world, &victim, bytes).await;
        let object = id((1 << 40) + 1);
        let refused = world.compactor.summarise(pg, epoch, object, &runs).await.unwrap_err();
        let CompactError::Damaged { object: named, .. } = refused else { panic!("{refused}") };
        assert_eq!(name_of(&named).unwrap(), victim);
        let name = name_of(&crate::tier::ObjectName::Keys { pg, epoch, id: object }).unwrap();
        assert!(world.bucket.head(&name, Purpose::Check).await.is_err(), "nothing came of it");
    });
}

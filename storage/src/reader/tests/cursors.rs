//! Cursors: in order, without a gap, within bounds.

use super::super::{Chunk, Course, Cursor, FairKey, Looked, ReadError, Reader, ReaderConfig};
use super::rig::{Group, World, config, noise};
use crate::env::{Env, ManualClock, Timestamp};
use crate::format::object::{Record, tag_bit};
use crate::format::{QueueOffset, QueueUid};
use crate::object::testing::{Faults, Plan, hasty};
use crate::object::{Bucket, Purpose};
use crate::tier::manifest::PageSizes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn course(queue: u64) -> Course {
    let (from, until) = (QueueOffset(0), QueueOffset(u64::MAX));
    Course { queue: QueueUid(queue), from, until, tags: u64::MAX }
}

async fn cursor(reader: &Reader, group: &Group, course: Course) -> Cursor {
    reader.cursor(&group.view(reader).await, course, FairKey(course.queue.0))
}

async fn rest(cursor: &mut Cursor) -> Vec<Record> {
    let mut all = Vec::new();
    while let Some(chunk) = cursor.next().await.unwrap() {
        assert_eq!(chunk.next, cursor.position());
        all.extend(chunk.records);
    }
    all
}

/// Objects with messages of queue 1 that do not compress, and a few of queue 2 between.
async fn filled(mut world: World, objects: u64, messages: u64, len: usize) -> World {
    for object in 0..objects {
        for at in 0..messages {
            world.groups[0].log.message(1, at % 4, &noise(object * 1000 + at, len));
        }
        world.groups[0].log.message(2, 0, b"between");
        world.bundle().await;
    }
    world
}

#[tokio::test]
async fn a_cursor_gives_a_queue_in_order_and_leaves_the_cache_alone() {
    let world = filled(World::in_memory(), 3, 40, 100_000).await;
    let reader = world.reader().await;
    let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
    assert_eq!(rest(&mut cursor).await, world.groups[0].messages(1, QueueOffset(0)));
    assert_eq!(cursor.position(), QueueOffset(120));
    assert_eq!(cursor.next().await.unwrap(), None);
    let counters = reader.counters();
    let of = |kind| counters.iter().find(|(of, _)| *of == kind).unwrap().1;
    assert_eq!(of(Looked::Page).gets, 0);
    // 4 MB an object, by 512 KiB, which is a block of five messages, and by more as it goes on.
    let gets = world.gets(&[Purpose::CatchUp]);
    assert!((3 + 12..=3 + 24).contains(&gets), "{gets}");
    let bytes = of(Looked::CatchUp).bytes;
    assert!(bytes < 12_100_000, "nothing is read twice: {bytes}");
    assert_eq!(reader.catch_up_bytes().0, 0);
}

#[tokio::test]
async fn what_was_given_last_says_that_it_was_the_last() {
    let world = filled(World::in_memory(), 2, 3, 100).await;
    let reader = world.reader().await;
    let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
    let mut last = Chunk::default();
    while let Some(chunk) = cursor.next().await.unwrap() {
        assert!(!last.ended);
        last = chunk;
    }
    assert_eq!(last.next, QueueOffset(6));
}

#[tokio::test]
async fn a_newer_view_goes_on_where_the_old_one_ended() {
    let mut world = filled(World::in_memory(), 2, 3, 100).await;
    let reader = world.reader().await;
    let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
    assert_eq!(rest(&mut cursor).await.len(), 6);
    world = filled(world, 1, 3, 100).await;
    assert_eq!(cursor.next().await.unwrap(), None, "the view is the old one");
    cursor.renew(world.groups[0].view(&reader).await);
    assert_eq!(rest(&mut cursor).await, world.groups[0].messages(1, QueueOffset(6)));
}

#[tokio::test]
async fn a_stale_view_is_said_and_a_newer_one_loses_nothing() {
    let mut world = filled(World::in_memory(), 6, 4, 300_000).await;
    let reader = world.reader_with(ReaderConfig { index_bytes: 1, ..config() }).await;
    let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
    let mut all = cursor.next().await.unwrap().unwrap().records;
    let replaced = world.compact(6).await;
    world.delete(&replaced).await;
    let mut stale = 0;
    loop {
        match cursor.next().await {
            Ok(Some(chunk)) => all.extend(chunk.records),
            Ok(None) => break,
            Err(ReadError::Stale { .. }) => {
                stale += 1;
                cursor.renew(world.groups[0].view(&reader).await);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(all, world.groups[0].messages(1, QueueOffset(0)));
    assert_eq!(stale, 1);
}

#[tokio::test]
async fn a_course_ends_where_it_is_to_and_asks_for_nothing_beyond() {
    let world = filled(World::in_memory(), 3, 40, 100_000).await;
    let reader = world.reader().await;
    let (from, until) = (QueueOffset(3), QueueOffset(8));
    let course = Course { from, until, ..course(1) };
    let mut cursor = cursor(&reader, &world.groups[0], course).await;
    let expected = world.groups[0].messages(1, from);
    assert_eq!(rest(&mut cursor).await, expected[..5]);
    assert_eq!(cursor.position(), until);
    cursor.seek(QueueOffset(7));
    assert_eq!(rest(&mut cursor).await, expected[4..5]);
    let bytes = reader.counters()[Looked::CatchUp as usize].1.bytes;
    assert!(bytes < 4 * 520_000, "{bytes}");
}

#[tokio::test]
async fn blocks_without_a_wanted_tag_are_not_read() {
    let mut world = World::in_memory();
    for at in 0..60 {
        world.groups[0].log.message(1, u64::from(at >= 50), &noise(at, 100_000));
    }
    world.bundle().await;
    let reader = world.reader().await;
    let tags = tag_bit(1);
    let mut cursor = cursor(&reader, &world.groups[0], Course { tags, ..course(1) }).await;
    let found = rest(&mut cursor).await;
    assert!(world.groups[0].messages(1, QueueOffset(50)).iter().all(|r| found.contains(r)));
    assert_eq!(cursor.position(), QueueOffset(60));
    let bytes = reader.counters()[Looked::CatchUp as usize].1.bytes;
    assert!(bytes <= 1_600_000, "{bytes}");
}

#[tokio::test]
async fn many_cursors_stay_within_the_bytes_that_all_may_have() {
    let world = filled(World::in_memory(), 2, 40, 100_000).await;
    for threads in [0, 1] {
        let bytes = 3 << 20;
        let config = ReaderConfig { catch_up_bytes: bytes, threads, ..config() };
        let reader = world.reader_with(config).await;
        let expected = world.groups[0].messages(1, QueueOffset(0));
        let read = |key: u64| {
            let (reader, group, expected) = (&reader, &world.groups[0], &expected);
            async move {
                let view = group.view(reader).await;
                let mut cursor = reader.cursor(&view, course(1), FairKey(key % 3));
                assert!(rest(&mut cursor).await == *expected);
            }
        };
        join_all((0..12).map(read)).await;
        let (now, most) = reader.catch_up_bytes();
        assert_eq!(now, 0);
        assert!(most > bytes / 2 && most <= bytes, "{most}");
    }
}

#[tokio::test]
async fn a_cursor_at_rest_gives_way_and_loses_nothing() {
    let world = filled(World::in_memory(), 2, 40, 100_000).await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let env = Env::with_clock(clock.clone());
    let config = ReaderConfig { catch_up_bytes: 2 << 20, ..config() };
    let reader = Reader::open(&world.bucket, config, &env).await.unwrap();
    let view = world.groups[0].view(&reader).await;
    let expected = world.groups[0].messages(1, QueueOffset(0));
    let mut at_rest = reader.cursor(&view, course(1), FairKey(1));
    let mut first = Vec::new();
    while first.len() < 20 {
        first.extend(at_rest.next().await.unwrap().unwrap().records);
    }
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(reader.catch_up_bytes().0 > 1 << 20, "it has read ahead");
    clock.advance(Duration::from_secs(10));
    let mut other = reader.cursor(&view, course(1), FairKey(2));
    assert!(rest(&mut other).await == expected);
    first.extend(rest(&mut at_rest).await);
    assert!(first == expected);
}

#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_not_lost() {
    let faults = Faults::seeded(3, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system()).with_patience(hasty());
    let world = filled(World::new(bucket), 3, 20, 60_000).await;
    let reader = world.reader().await;
    let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
    faults.set(Plan { slow: Duration::from_millis(2), ..Plan::default() });
    let (mut all, mut given_up) = (Vec::new(), 0);
    loop {
        // Mostly it is dropped before it has anything.
        let tried = cursor.next().now_or_never();
        let chunk = match tried {
            Some(chunk) => chunk,
            None if given_up < 200 => {
                given_up += 1;
                tokio::task::yield_now().await;
                continue;
            }
            None => cursor.next().await,
        };
        match chunk.unwrap() {
            Some(chunk) => all.extend(chunk.records),
            None => break,
        }
    }
    assert_eq!(given_up, 200);
    assert!(all == world.groups[0].messages(1, QueueOffset(0)));
}

#[tokio::test]
async fn a_store_with_faults_is_asked_again_from_where_the_cursor_is() {
    let faults = Faults::seeded(5, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system()).with_patience(hasty());
    let world = filled(World::new(bucket), 3, 20, 60_000).await;
    let reader = world.reader().await;
    let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
    faults.set(Plan { flipped: 500, refused: 100, cut: 100, ..Plan::default() });
    let (mut all, mut errors) = (Vec::new(), 0);
    loop {
        match cursor.next().await {
            Ok(Some(chunk)) => all.extend(chunk.records),
            Ok(None) => break,
            Err(ReadError::Damaged { .. }) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(errors > 0);
    assert!(all == world.groups[0].messages(1, QueueOffset(0)));
}

#[derive(Clone, Debug)]
enum Step {
    Message(u64, usize),
    Bundle,
    Next,
    Compact(usize),
    Fold,
    Trim(u64),
    Seek(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..3u64, 0..3000usize).prop_map(|(queue, len)| Step::Message(queue, len)),
        1 => Just(Step::Message(1, 700_000)),
        3 => Just(Step::Bundle),
        3 => Just(Step::Next),
        1 => (1..5usize).prop_map(Step::Compact),
        1 => Just(Step::Fold),
        1 => (0..3u64).prop_map(Step::Trim),
        1 => (0..20u64).prop_map(Step::Seek),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// While the manifest changes under it, a cursor gives each message that is kept, once, in order.
    #[test]
    fn a_cursor_follows_whatever_happens_to_the_manifest(
        steps in proptest::collection::vec(step(), 1..80), runs in 1..4usize,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::in_memory();
            world.sizes = PageSizes { runs, starts: 2 };
            let reader = world.reader_with(ReaderConfig { index_bytes: 1, ..config() }).await;
            let mut cursor = cursor(&reader, &world.groups[0], course(1)).await;
            for (at, step) in steps.into_iter().chain([Step::Bundle, Step::Next]).enumerate() {
                match step {
                    Step::Message(queue, len) => {
                        world.groups[0].log.message(queue, 0, &noise(at as u64, len));
                    }
                    Step::Bundle => world.bundle().await,
                    Step::Next => next(&mut cursor, &world.groups[0], &reader).await,
                    Step::Compact(count) => {
                        let replaced = world.compact(count).await;
                        world.delete(&replaced).await;
                    }
                    Step::Fold => world.fold().await,
                    Step::Trim(by) => {
                        let start = world.groups[0].starts.get(&QueueUid(1)).map_or(0, |s| s.0);
                        world.trim(1, start + by);
                    }
                    Step::Seek(to) => cursor.seek(QueueOffset(to)),
                }
            }
            let from = cursor.position();
            let mut left = Vec::new();
            loop {
                cursor.renew(world.groups[0].view(&reader).await);
                match cursor.next().await {
                    Ok(Some(chunk)) => left.extend(chunk.records),
                    Ok(None) => break,
                    Err(ReadError::Stale { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let kept = world.groups[0].messages(1, from);
            // What was ahead when it was let go may still be given.
            left.retain(|record| kept.contains(record));
            assert_eq!(offsets(&left), offsets(&kept));
            assert!(left == kept);
        });
    }
}

fn offsets(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.offset.0).collect()
}

async fn next(cursor: &mut Cursor, group: &Group, reader: &Reader) {
    let from = cursor.position();
    match cursor.next().await {
        Ok(Some(chunk)) => {
            let all = group.messages(1, from);
            let is_given = |record: &&Record| record.offset < chunk.next;
            let kept: Vec<Record> = all.iter().filter(is_given).cloned().collect();
            let given = chunk.records.iter().filter(|r| all.contains(r)).cloned();
            assert_eq!(offsets(&given.collect::<Vec<_>>()), offsets(&kept));
        }
        Ok(None) | Err(ReadError::Stale { .. }) => cursor.renew(group.view(reader).await),
        Err(error) => panic!("{error}"),
    }
}

/// Of each object one tail is read, though those of several are on their way at once.
#[tokio::test]
async fn tails_are_read_ahead_once_and_by_whoever_wants_little_not_at_all() {
    const OBJECTS: u64 = 40;
    let mut world = World::in_memory();
    for _ in 0..OBJECTS {
        world.groups[0].log.message(1, 0, &noise(3, 2000));
        world.bundle().await;
    }
    let course = Course {
        queue: QueueUid(1),
        from: QueueOffset(0),
        until: QueueOffset(u64::MAX),
        tags: u64::MAX,
    };
    for (until, tails) in [(1, 1..=2), (OBJECTS, OBJECTS..=OBJECTS)] {
        let reader = world.reader().await;
        let view = world.groups[0].view(&reader).await;
        let mut cursor =
            reader.cursor(&view, Course { until: QueueOffset(until), ..course }, FairKey(1));
        let mut got = 0;
        while let Some(chunk) = cursor.next().await.unwrap() {
            got += chunk.records.len() as u64;
        }
        assert_eq!(got, until);
        drop(cursor);
        let read = reader.counters()[Looked::Tail as usize].1.misses;
        assert!(tails.contains(&read), "{read} tails for {until}");
    }
}

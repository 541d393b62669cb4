//! What is told of a range without reading it, held against what reading it gives.

use super::super::{Course, FairKey, Looked, Measure, Reader};
use super::rig::{Group, World, noise};
use crate::format::object::tag_bit;
use crate::format::{QueueOffset, QueueUid};
use crate::object::Purpose;
use std::ops::Range;

fn range(from: u64, to: u64) -> Range<QueueOffset> {
    QueueOffset(from)..QueueOffset(to)
}

/// All of it, however often one must ask.
async fn measured(reader: &Reader, group: &Group, mut left: Range<QueueOffset>) -> Measure {
    let mut sum = Measure { next: left.start, ..Measure::default() };
    while sum.next < left.end {
        left.start = sum.next;
        let view = group.view(reader).await;
        let part = reader.measure(&view, QueueUid(1), left.clone(), u64::MAX).await.unwrap();
        assert!(part.next > left.start);
        sum.messages += part.messages;
        sum.bytes += part.bytes;
        sum.gets += part.gets;
        sum.next = part.next;
    }
    sum
}

/// Objects with messages of two queues.
async fn filled(objects: u64, messages: u64) -> World {
    let mut world = World::in_memory();
    for object in 0..objects {
        for at in 0..messages {
            let body = noise(object * 1000 + at, 20_000);
            world.groups[0].log.message(1, at / 20 % 2, &body);
            world.groups[0].log.message(2, 0, b"another's");
        }
        world.bundle().await;
    }
    world
}

fn page_gets(reader: &Reader) -> u64 {
    let of = [Looked::Page as usize, Looked::CatchUp as usize];
    of.iter().map(|kind| reader.counters()[*kind].1.gets).sum()
}

#[tokio::test]
async fn a_whole_queue_is_measured_as_a_cursor_reads_it() {
    let world = filled(4, 100).await;
    let reader = world.reader().await;
    let all = measured(&reader, &world.groups[0], range(0, 400)).await;
    assert_eq!(page_gets(&reader), 0);
    assert_eq!(all.messages, 400);
    let course = Course {
        queue: QueueUid(1),
        from: QueueOffset(0),
        until: QueueOffset(400),
        tags: u64::MAX,
    };
    let view = world.groups[0].view(&reader).await;
    let mut cursor = reader.cursor(&view, course, FairKey(1));
    while cursor.next().await.unwrap().is_some() {}
    let read = reader.counters()[Looked::CatchUp as usize].1;
    assert_eq!(read.bytes, all.bytes);
    assert_eq!(cursor.requests(), read.gets);
    // A tail an object; and windows begin narrow.
    assert_eq!(all.gets, 4 + 4);
    assert!(all.gets - 4 <= read.gets && read.gets <= 6 * (all.gets - 4), "{}", read.gets);
}

#[tokio::test]
async fn a_part_counts_what_it_has_and_nothing_outside() {
    let mut world = filled(3, 100).await;
    let reader = world.reader().await;
    let part = measured(&reader, &world.groups[0], range(150, 160)).await;
    assert_eq!(part.messages, 10);
    assert!((10 * 20_000..10 * 22_000).contains(&part.bytes), "{part:?}");
    let view = world.groups[0].view(&reader).await;
    for (outside, queue) in [(range(300, 400), 1), (range(7, 7), 1), (range(0, 9), 5)] {
        let end = outside.end;
        let none = reader.measure(&view, QueueUid(queue), outside, u64::MAX).await.unwrap();
        assert_eq!(none, Measure { next: end, ..Measure::default() });
    }
    world.trim(1, 250);
    let left = measured(&reader, &world.groups[0], range(0, 300)).await;
    assert_eq!(left.messages, 50);
}

#[tokio::test]
async fn blocks_without_a_wanted_tag_are_not_counted() {
    let mut world = World::in_memory();
    for at in 0..60 {
        world.groups[0].log.message(1, u64::from(at >= 50), &noise(at, 100_000));
    }
    world.bundle().await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    let one = reader.measure(&view, QueueUid(1), range(0, 60), tag_bit(1)).await.unwrap();
    assert!((10..20).contains(&one.messages), "{one:?}");
    assert_eq!(one.next, QueueOffset(60));
}

#[tokio::test]
async fn a_queue_with_objects_of_its_own_is_measured_from_the_manifest() {
    let mut world = filled(8, 60).await;
    world.compact(8).await;
    let own = world.entries().await.into_iter().filter(|entry| {
        matches!(entry.queues, crate::tier::manifest::QueueSet::One { queue: QueueUid(1), .. })
    });
    let own = own.count() as u64;
    assert!(own > 1, "the queue has {own} objects of its own");
    let reader = world.reader().await;
    let before = world.gets(&[Purpose::Read]);
    let all = measured(&reader, &world.groups[0], range(0, 480)).await;
    assert_eq!(all.messages, 480);
    let tails = world.gets(&[Purpose::Read]) - before;
    assert!(tails <= 2, "{tails} tails of {own} objects");
    assert!(all.gets >= 2 * own);
}

#[tokio::test]
async fn more_objects_than_one_measuring_looks_into_are_counted_in_several() {
    let mut world = World::in_memory();
    for _ in 0..300 {
        world.groups[0].log.message(1, 0, b"one");
        world.groups[0].log.message(2, 0, b"other");
        world.bundle().await;
    }
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    let first = reader.measure(&view, QueueUid(1), range(0, 300), u64::MAX).await.unwrap();
    assert_eq!((first.messages, first.next), (256, QueueOffset(256)));
    assert_eq!(measured(&reader, &world.groups[0], range(0, 300)).await.messages, 300);
}

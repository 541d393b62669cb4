//! Searching by key where there are many objects.

use super::super::{Found, KeyQuery, Looked, Reader, SEARCH_OBJECTS_MAX};
use super::rig::{World, noise, plain};
use crate::env::{Env, Timestamp};
use crate::format::QueueOffset;
use crate::format::object::KeyHash;
use crate::object::testing::{Faults, Plan, hasty};
use crate::object::{Bucket, Purpose};
use crate::tier::sample::key;
use std::time::Duration;

const OBJECTS: u64 = 10_000;

async fn filled(mut world: World, objects: u64) -> World {
    for object in 0..objects {
        for message in 0..4u64 {
            let body = format!("key {object} {message}");
            let log = &mut world.groups[0].log;
            log.message(1 + object % 50, 0, body.as_bytes());
            log.time += 10;
        }
        world.run().await;
        if object % 2000 == 1999 {
            world.fold().await;
        }
    }
    world
}

async fn search(world: &World, reader: &Reader, hash: KeyHash) -> Found {
    let (since, until) = (Timestamp(0), Timestamp(u64::MAX));
    let query = KeyQuery { hash, queues: None, since, until, max: 64 };
    reader.by_key(&[world.groups[0].view(reader).await], query).await.unwrap()
}

/// Printed: what the issue asks to be known.
#[tokio::test]
async fn a_key_among_ten_thousand_objects_costs_few_requests_from_cold() {
    let faults = Faults::seeded(1, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system()).with_patience(hasty());
    let mut world = filled(World::new(bucket), OBJECTS).await;
    let wanted = key(b"key 1234 2");
    let before = world.reads();
    let found = search(&world, &world.reader().await, wanted).await;
    let asked = world.reads() - before;
    assert!(!found.is_complete() && asked >= SEARCH_OBJECTS_MAX as u64);

    let summaries = world.summarise(4096).await;
    world.fold().await;
    let bytes: u64 = summaries.iter().map(|summary| summary.len).sum();
    faults.set(Plan { slow: Duration::from_millis(20), ..Plan::default() });
    let (env, before) = (Env::system(), world.reads());
    let began = env.monotonic();
    let reader = world.reader().await;
    let found = search(&world, &reader, wanted).await;
    let (took, cold) = (env.monotonic() - began, world.reads() - before);
    assert!(found.is_complete());
    assert_eq!(found.records.len(), 1);
    assert_eq!(found.records[0].body(), "key 1234 2");
    let nothing = search(&world, &reader, key(b"no such key")).await;
    assert!(nothing.is_complete() && nothing.records.is_empty());
    let warm = world.reads() - before - cold;
    println!(
        "{OBJECTS} objects: {cold} GETs from cold, {} ms at 20 ms each; then {warm} GETs; without \
         summaries {asked} GETs for {SEARCH_OBJECTS_MAX} objects; {} summaries of {bytes} bytes",
        took.as_millis(),
        summaries.len(),
    );
    assert!(cold <= 20 && warm <= 3, "{cold} from cold, then {warm}");
}

#[tokio::test]
async fn a_damaged_summary_spares_nothing_and_hides_nothing() {
    let mut world = filled(World::in_memory(), 20).await;
    let summary = world.summarise(4096).await[0];
    let pg = world.groups[0].pg();
    let whole = world.bytes(&summary.name(pg)).await;
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        world.delete(&[summary.name(pg)]).await;
        world.put(&summary.name(pg), bytes).await;
        let before = world.gets(&[Purpose::Search]);
        let found = search(&world, &world.reader().await, key(b"key 7 3")).await;
        assert_eq!((found.records.len(), found.is_complete()), (1, true));
        assert!(world.gets(&[Purpose::Search]) - before > 4, "byte {at}");
    }
    assert_ne!(plain(&summary.name(pg)).as_str(), "");
}

#[tokio::test]
async fn a_key_that_looks_like_a_place_in_the_log_is_searched_in_the_objects() {
    let mut world = filled(World::in_memory(), 5).await;
    world.summarise(4096).await;
    let record = world.groups[0].records[9].clone();
    let found = search(&world, &world.reader().await, KeyHash::of_lsn(record.lsn)).await;
    assert_eq!(found.records, [record]);
}

#[tokio::test]
async fn what_came_after_a_summary_is_found_and_what_was_replaced_is_not_missed() {
    let mut world = filled(World::in_memory(), 6).await;
    world.summarise(3).await;
    world.groups[0].log.message(1, 0, b"key 3 3");
    world.bundle().await;
    let found = search(&world, &world.reader().await, key(b"key 3 3")).await;
    assert_eq!((found.records.len(), found.is_complete()), (2, true));
    let replaced = world.compact(1).await;
    world.delete(&replaced).await;
    let found = search(&world, &world.reader().await, key(b"key 3 3")).await;
    assert_eq!((found.records.len(), found.is_complete()), (2, true));
}

#[tokio::test]
async fn of_a_key_that_many_messages_have_only_the_newest_blocks_are_read() {
    let mut world = World::in_memory();
    let body = noise(7, 100_000);
    for _ in 0..600 {
        world.groups[0].log.message(1, 0, &body);
        world.groups[0].log.time += 10;
    }
    world.bundle().await;
    let reader = world.reader().await;
    let (since, until) = (Timestamp(0), Timestamp(u64::MAX));
    let query = KeyQuery { hash: key(&body), queues: None, since, until, max: 3 };
    let views = [world.groups[0].view(&reader).await];
    let found = reader.by_key(&views, query).await.unwrap();
    let all = world.groups[0].messages(1, QueueOffset(0));
    assert_eq!(found.records, all.iter().rev().take(3).cloned().collect::<Vec<_>>());
    assert!(found.stopped_at.is_some_and(|at| at <= all[597].time));
    let read = reader.counters()[Looked::Page as usize].1.bytes;
    let object = world.entries().await[0].object_len;
    assert!(4 * read < object, "{read} bytes of {object}");
}

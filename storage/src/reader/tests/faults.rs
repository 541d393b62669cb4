//! What is damaged or gone.

use super::super::{KeyQuery, ReadError, Reader, View};
use super::rig::{ALL, World, noise, plain};
use crate::env::{Env, Timestamp};
use crate::format::object::Record;
use crate::format::{Lsn, QueueOffset, QueueUid, RecordKind};
use crate::object::testing::{Faults, Plan, hasty};
use crate::object::{Advice, Bucket, Name, Patience};
use crate::tier::manifest::RunEntry;
use crate::tier::sample::key;
use std::time::Duration;

async fn three_kinds(mut world: World) -> World {
    let log = &mut world.groups[0].log;
    for at in 0..3u8 {
        log.message(1, 0, &[at; 40]);
        log.message(2, 0, b"twice");
        log.operation(1, &[at; 20]);
    }
    world.bundle().await;
    world
}

/// Every way to the content of the first placement group.
async fn ask_all(
    reader: &Reader,
    view: &View,
    records: &[Record],
) -> Vec<Result<Vec<Record>, ReadError>> {
    let mut answers = Vec::new();
    for queue in [1, 2].map(QueueUid) {
        let read = reader.read(view, queue, QueueOffset(0), ALL).await;
        answers.push(read.map(|chunk| chunk.records));
    }
    let mut operations = Vec::new();
    let read = reader.operations(view, Lsn(0), Lsn(u64::MAX), |r| operations.push(r)).await;
    answers.push(read.map(|()| operations));
    for record in records.iter().filter(|record| record.kind == RecordKind::Message) {
        let read = reader.by_lsn(view, record.lsn).await;
        answers.push(read.map(|record| record.into_iter().collect()));
    }
    let (since, until) = (Timestamp(0), Timestamp(u64::MAX));
    let query = KeyQuery { hash: key(b"twice"), queues: None, since, until, max: 64 };
    answers.push(reader.by_key(std::slice::from_ref(view), query).await.and_then(|mut found| {
        match found.damaged.pop() {
            Some(object) => Err(ReadError::Damaged {
                object,
                span: Default::default(),
                source: crate::format::FormatError::Checksum,
            }),
            None => Ok(found.records),
        }
    }));
    answers
}

#[tokio::test]
async fn every_flipped_byte_is_named_or_changes_nothing() {
    let world = three_kinds(World::in_memory()).await;
    let group = &world.groups[0];
    let entry: RunEntry = world.entries().await[0];
    let name = entry.name(group.pg());
    let whole = world.bytes(&name).await;
    let reader = world.reader().await;
    let view = group.view(&reader).await;
    let right = ask_all(&reader, &view, &group.records).await;
    assert!(right.iter().all(Result::is_ok));
    let mut named = 0;
    for at in (0..whole.len()).step_by(5) {
        let other = World::in_memory();
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        other.put(&name, bytes).await;
        let reader = other.reader().await;
        let view = reader.view(group.pg(), None, &group.deltas).await.unwrap();
        let answers = ask_all(&reader, &view, &group.records).await;
        for (answer, right) in answers.iter().zip(&right) {
            match answer {
                Ok(records) => assert_eq!(records, right.as_ref().unwrap(), "byte {at}"),
                Err(ReadError::Damaged { object, .. }) => {
                    named += 1;
                    assert_eq!(*object, plain(&name));
                }
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
    }
    assert!(named > 300, "{named}");
}

#[tokio::test]
async fn a_damaged_object_leaves_others_alone() {
    let mut world = three_kinds(World::in_memory()).await;
    world.groups[0].log.message(1, 0, b"twice");
    world.bundle().await;
    let entries = world.entries().await;
    let name = entries[0].name(world.groups[0].pg());
    let mut bytes = world.bytes(&name).await.to_vec();
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
    world.delete(&[name]).await;
    world.put(&name, bytes).await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    let first = reader.read(&view, QueueUid(1), QueueOffset(0), ALL).await;
    assert!(matches!(first, Err(ReadError::Damaged { object, .. }) if object == plain(&name)));
    let other = reader.read(&view, QueueUid(1), QueueOffset(3), ALL).await.unwrap();
    assert_eq!(other.records.len(), 1);
    let lsn = world.groups[0].records.last().unwrap().lsn;
    assert!(reader.by_lsn(&view, lsn).await.unwrap().is_some());
    let (since, until) = (Timestamp(0), Timestamp(u64::MAX));
    let query = KeyQuery { hash: key(b"twice"), queues: None, since, until, max: 64 };
    let found = reader.by_key(&[view], query).await.unwrap();
    assert_eq!((found.records.len(), found.damaged), (1, vec![plain(&name)]));
}

#[tokio::test]
async fn an_object_that_was_replaced_asks_for_a_newer_view() {
    let mut world = three_kinds(World::in_memory()).await;
    world.groups[0].log.message(1, 0, b"more");
    world.bundle().await;
    world.fold().await;
    let reader = world.reader().await;
    let old = world.groups[0].view(&reader).await;
    let replaced = world.compact(2).await;
    world.fold().await;
    world.delete(&replaced).await;
    let answer = reader.read(&old, QueueUid(1), QueueOffset(0), ALL).await;
    let Err(error @ ReadError::Stale { .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(error.advice(), Advice::Refresh);
    let by_lsn = reader.by_lsn(&old, world.groups[0].records[0].lsn).await;
    assert!(matches!(by_lsn, Err(ReadError::Stale { .. })));
    let new = world.groups[0].view(&reader).await;
    let chunk = reader.read(&new, QueueUid(1), QueueOffset(0), ALL).await.unwrap();
    assert_eq!(chunk.records, world.groups[0].messages(1, QueueOffset(0)));
}

#[tokio::test]
async fn a_root_that_is_gone_or_is_none_is_said() {
    let world = World::in_memory();
    let reader = world.reader().await;
    let pg = world.groups[0].pg();
    let gone = "manifest/0001/00000001/0000000000000001-00000001.root";
    assert!(matches!(reader.view(pg, Some(gone), &[]).await, Err(ReadError::Stale { .. })));
    for none in ["x", "l0/0000000000000005/000000000000001f-00000abc", &gone.replacen('1', "2", 1)]
    {
        let answer = reader.view(pg, Some(none), &[]).await;
        assert!(matches!(answer, Err(ReadError::NotARoot(_))), "{none}");
    }
    let answer = reader.view(pg, None, &[bytes::Bytes::from_static(b"no delta")]).await;
    assert!(matches!(answer, Err(ReadError::Delta(_))));
}

fn failing() -> (std::sync::Arc<Faults>, Bucket) {
    let faults = Faults::seeded(7, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system()).with_patience(hasty());
    (faults, bucket)
}

#[tokio::test]
async fn bits_that_flip_on_the_way_never_reach_an_answer() {
    let (faults, bucket) = failing();
    let world = three_kinds(World::new(bucket)).await;
    let group = &world.groups[0];
    let reader = world.reader().await;
    let view = group.view(&reader).await;
    let right = ask_all(&reader, &view, &group.records).await;
    let mut damaged = 0;
    for _ in 0..100 {
        faults.set(Plan { flipped: 400, cut: 100, refused: 50, ..Plan::default() });
        let reader = world.reader().await;
        for (answer, right) in ask_all(&reader, &view, &group.records).await.iter().zip(&right) {
            match answer {
                Ok(records) => assert_eq!(records, right.as_ref().unwrap()),
                Err(ReadError::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        // What was damaged on the way is kept nowhere.
        faults.set(Plan::default());
        assert!(ask_all(&reader, &view, &group.records).await.iter().all(Result::is_ok));
    }
    assert!(damaged > 0);
    assert!(faults.happened().flipped > 0);
}

#[tokio::test]
async fn a_store_that_is_down_is_an_error_to_try_again_after() {
    let (faults, bucket) = failing();
    let bucket = bucket.with_patience(Patience { attempts_max: 2, ..hasty() });
    let world = three_kinds(World::new(bucket)).await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    faults.set(Plan { down: true, ..Plan::default() });
    let answer = reader.read(&view, QueueUid(1), QueueOffset(0), ALL).await;
    let Err(error @ ReadError::Store(_)) = answer else { panic!("{answer:?}") };
    assert!(matches!(error.advice(), Advice::Retry(after) if after > Duration::ZERO));
}

#[tokio::test]
async fn a_body_that_ends_early_in_a_large_object_is_no_answer() {
    let (faults, bucket) = failing();
    let mut world = World::new(bucket);
    for at in 0..6 {
        world.groups[0].log.message(1, 0, &noise(at, 400_000));
    }
    world.bundle().await;
    let right = world.groups[0].messages(1, QueueOffset(0));
    faults.set(Plan { cut: 300, flipped: 100, ..Plan::default() });
    let mut answered = 0;
    for _ in 0..30 {
        let reader = world.reader().await;
        let view = world.groups[0].view(&reader).await;
        match reader.read(&view, QueueUid(1), QueueOffset(0), ALL).await {
            Ok(chunk) => {
                answered += 1;
                assert_eq!(chunk.records, right);
            }
            Err(ReadError::Damaged { object, .. }) => assert_ne!(object, Name::parse("x").unwrap()),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(answered > 10);
}

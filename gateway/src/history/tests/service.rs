//! A history over a real log and a bucket.

use super::super::load::Flights;
use super::super::testing::{Bucket, Cut};
use super::*;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::env::Env;
use storage::format::{Epoch, PgId};
use storage::{Class, Draft, JoinedBy, Level, Log, Patch, RecordKind, Store, StoreConfig};
use tempfile::TempDir;

struct World {
    _dir: TempDir,
    _store: Store,
    log: Log,
    cut: Cut,
    bucket: Arc<Bucket>,
    history: History,
}

impl World {
    /// A queue of so many messages; those below `tiered` are in the bucket only.
    async fn new(messages: u64, tiered: u64) -> World {
        let (dir, env) = (tempfile::tempdir().unwrap(), Env::system());
        let config = StoreConfig {
            dir: dir.path().to_owned(),
            capacity: 64 << 20,
            segment_bytes: 4 << 20,
            spare_segments: 1,
            index_bytes: 64 << 20,
            gateway: "gateway".to_owned(),
        };
        let store = Store::open(config, env.clone()).unwrap();
        let (pg, epoch) = (PgId::FIRST, Epoch(1));
        let first = pg.first_lsn();
        store.seal(pg, Epoch(0), first).await.unwrap();
        store.join(pg, epoch, first, first, JoinedBy::Owner).await.unwrap();
        let log = store.log(pg, epoch).unwrap();
        log.open_queue(QUEUE, Level::Local);
        let (cut, bucket) = (Cut::of(log.clone()), Bucket::new(10));
        let remote = (Arc::clone(&bucket) as Arc<dyn Loader>, env);
        let local = Box::new(cut.clone());
        let history = History::over(log.clone(), local, BTreeMap::new(), Some(remote));
        let world = World { _dir: dir, _store: store, log, cut, bucket, history };
        world.append(messages).await;
        world.bucket.tier(&world.log, QUEUE);
        world.cut.cut(QUEUE, QueueOffset(tiered));
        world
    }

    async fn append(&self, messages: u64) {
        let draft = |_| Draft {
            kind: RecordKind::Message,
            queue: QUEUE,
            filter: 0,
            head: Vec::new(),
            body: Bytes::from_static(b"body"),
            tail: Bytes::new(),
            patch: Patch::default(),
        };
        let appended = self.log.append((0..messages).map(draft).collect(), Class::Message).unwrap();
        self.log.reached(Level::Local, appended.end).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_is_found_wherever_it_lies_and_read_once() {
    let world = World::new(50, 30).await;
    for offset in [3, 4, 29, 30, 49] {
        let found = world.history.message(QUEUE, QueueOffset(offset)).await.unwrap().unwrap();
        assert_eq!((found.offset, &found.body[..]), (QueueOffset(offset), &b"body"[..]));
    }
    assert_eq!(world.history.message(QUEUE, QueueOffset(50)).await, Ok(None));
    assert_eq!(world.history.message(QueueUid(9), QueueOffset(0)).await, Ok(None));
    assert_eq!(world.bucket.loaded(), 2);
}

#[tokio::test]
async fn entries_are_given_page_by_page_without_a_hole() {
    let world = World::new(50, 30).await;
    let mut seen = Vec::new();
    loop {
        let from = QueueOffset(seen.len() as u64);
        let page = world.history.entries(QUEUE, from, 8).await.unwrap();
        if page.entries.is_empty() {
            break;
        }
        seen.extend(offsets(&page.entries));
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    assert_eq!(world.bucket.loaded(), 3);
}

#[tokio::test]
async fn what_retention_removed_is_gone_and_the_bounds_say_so() {
    let world = World::new(50, 30).await;
    let bounds = |history: &History| {
        let HistoryBounds { first, visible_end, next } = history.bounds(QUEUE);
        (first.0, visible_end.0, next.0)
    };
    assert_eq!(bounds(&world.history), (0, 50, 50));
    world.history.load(QUEUE, QueueOffset(0)).await.unwrap();
    world.history.keep_from(QUEUE, QueueOffset(12));
    world.history.keep_from(QUEUE, QueueOffset(5));
    assert_eq!(bounds(&world.history), (12, 50, 50));
    assert_eq!(world.history.message(QUEUE, QueueOffset(11)).await, Ok(None));
    let page = world.history.entries(QUEUE, QueueOffset(0), 3).await.unwrap();
    assert_eq!(offsets(&page.entries), [12, 13, 14]);
}

#[tokio::test]
async fn a_queue_with_nothing_local_is_all_in_the_bucket() {
    let world = World::new(20, 20).await;
    assert_eq!(world.history.bounds(QUEUE).visible_end, QueueOffset(20));
    let here = world.history.entries_here(QUEUE, QueueOffset(5), 9);
    assert_eq!(here, Entries { entries: Vec::new(), missing: Some(QueueOffset(5)) });
    let page = world.history.entries(QUEUE, QueueOffset(5), 99).await.unwrap();
    assert_eq!((page.entries.len(), page.missing), (10, Some(QueueOffset(15))));
    assert_eq!(world.history.entries_here(QUEUE, QueueOffset(20), 9), Entries::default());
    world.append(1).await;
    let page = world.history.entries(QUEUE, QueueOffset(19), 99).await.unwrap();
    assert_eq!(offsets(&page.entries), [19, 20]);
}

#[tokio::test]
async fn a_load_knows_nothing_of_what_leaves_the_log_while_it_runs() {
    let world = World::new(20, 20).await;
    world.bucket.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    world.history.load_ahead(QUEUE, QueueOffset(15));
    while world.bucket.loaded() == 0 {
        tokio::task::yield_now().await;
    }
    // Its answer is made of what the bucket had before.
    world.append(5).await;
    world.cut.cut(QUEUE, QueueOffset(25));
    world.bucket.gate.add_permits(1);
    world.history.load(QUEUE, QueueOffset(15)).await.unwrap();
    let here = world.history.entries_here(QUEUE, QueueOffset(15), 99);
    assert_eq!((here.entries.len(), here.missing), (5, Some(QueueOffset(20))));
    world.bucket.tier(&world.log, QUEUE);
    world.bucket.gate.add_permits(1);
    let page = world.history.entries(QUEUE, QueueOffset(20), 99).await.unwrap();
    assert_eq!(offsets(&page.entries), [20, 21, 22, 23, 24]);
}

#[tokio::test]
async fn a_time_is_found_wherever_its_first_message_lies() {
    let world = World::new(30, 20).await;
    let stored =
        world.log.read(world.history.entries_here(QUEUE, QueueOffset(20), 1).entries[0].lsn);
    let time = stored.unwrap().time;
    let at = async |time| world.history.offset_at_time(QUEUE, time).await;
    // All of them were stored together.
    assert_eq!(at(time).await, Ok(QueueOffset(0)));
    assert_eq!(at(Timestamp(u64::MAX)).await, Ok(QueueOffset(30)));
    world.history.keep_from(QUEUE, QueueOffset(4));
    assert_eq!(at(Timestamp(0)).await, Ok(QueueOffset(4)));
    world.bucket.is_down.store(true, Ordering::SeqCst);
    assert!(at(time).await.is_err());
    assert_eq!(at(Timestamp(u64::MAX)).await, Ok(QueueOffset(30)), "the log alone tells");
}

#[tokio::test]
async fn a_history_of_the_log_alone_has_nothing_to_load() {
    let world = World::new(5, 0).await;
    let history = History::of_log(world.log.clone());
    assert_eq!(history.bounds(QUEUE).first, QueueOffset(0));
    assert!(history.message(QUEUE, QueueOffset(4)).await.unwrap().is_some());
    assert_eq!(history.message(QUEUE, QueueOffset(5)).await, Ok(None));
    assert!(history.load(QUEUE, QueueOffset(0)).await.is_err());
}

#[tokio::test]
async fn loads_are_few_at_a_time_and_one_that_is_dropped_makes_room() {
    let flights = Arc::new(Flights::default());
    let place = |number| (QUEUE, QueueOffset(number));
    let mut pilots: Vec<_> = (0..LOADS_MAX as u64)
        .map(|number| flights.join(place(number)).unwrap().1.unwrap())
        .collect();
    assert_eq!(flights.join(place(99)).err(), Some(LoadFailed::Busy));
    let (flight, pilot) = flights.join(place(0)).unwrap();
    assert!(pilot.is_none(), "somebody loads it already");
    drop(pilots.remove(0));
    assert!(matches!(flight.end().await, Err(LoadFailed::Store(_))));
    let (flight, pilot) = flights.join(place(99)).unwrap();
    pilot.unwrap().land(Ok(()));
    assert_eq!(flight.end().await, Ok(()));
    assert!(flights.join(place(99)).unwrap().1.is_some(), "the place may be wanted again");
}

#[tokio::test]
async fn a_bucket_that_fails_is_asked_again_by_the_next_who_wants_it() {
    let world = World::new(20, 20).await;
    world.bucket.is_down.store(true, Ordering::SeqCst);
    let asked = world.history.message(QUEUE, QueueOffset(3)).await;
    assert!(matches!(asked, Err(LoadFailed::Store(_))));
    world.bucket.is_down.store(false, Ordering::SeqCst);
    assert!(world.history.message(QUEUE, QueueOffset(3)).await.unwrap().is_some());
}

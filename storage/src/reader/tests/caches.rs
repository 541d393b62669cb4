//! How many requests an answer costs, and what the caches do.

use super::super::{DiskCache, Looked, Reader, ReaderConfig, View, Want};
use super::rig::{ALL, World, config, noise};
use crate::env::Env;
use crate::format::{Lsn, QueueOffset, QueueUid};
use crate::object::testing::{Faults, Plan};
use crate::object::{Bucket, Purpose};
use crate::tier::manifest::Delta;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::path::Path;
use std::time::Duration;

const QUEUE: QueueUid = QueueUid(1);
const LITTLE: Want = Want { messages: 1, bytes: 1, tags: u64::MAX };

/// One object of some mebibytes: eight blocks of the queue, as many of another, operations.
async fn large() -> World {
    let mut world = World::in_memory();
    let log = &mut world.groups[0].log;
    for at in 0..8 {
        log.message(1, 0, &noise(at, 400_000));
        log.message(2, 0, &noise(at, 200_000));
        log.operation(1, b"ack");
    }
    world.bundle().await;
    world
}

/// One object of a few hundred bytes.
async fn small() -> World {
    let mut world = World::in_memory();
    world.groups[0].log.message(1, 0, b"first");
    world.groups[0].log.operation(1, b"ack");
    world.groups[0].log.message(1, 0, b"second");
    world.bundle().await;
    world
}

async fn first(reader: &Reader, view: &View, want: Want) -> usize {
    reader.read(view, QUEUE, QueueOffset(0), want).await.unwrap().records.len()
}

#[tokio::test]
async fn a_message_costs_a_root_a_page_a_tail_and_a_block_and_then_nothing() {
    let mut world = large().await;
    world.fold().await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    assert_eq!(world.reads(), 1, "the root");
    assert_eq!(first(&reader, &view, LITTLE).await, 1);
    assert_eq!(world.reads(), 4, "a page of the manifest, a tail, a page of the object");
    assert_eq!(first(&reader, &view, LITTLE).await, 1);
    world.groups[0].view(&reader).await;
    assert_eq!(world.reads(), 4);
    let counters = reader.counters();
    let (_, pages) = counters.iter().find(|(kind, _)| *kind == Looked::Page).unwrap();
    assert_eq!((pages.hits, pages.misses, pages.gets), (1, 1, 1));
}

#[tokio::test]
async fn an_owner_who_committed_one_more_asks_nobody_for_the_new_view() {
    let mut world = small().await;
    world.fold().await;
    let reader = world.reader().await;
    let old = world.groups[0].view(&reader).await;
    world.groups[0].log.message(1, 0, b"third");
    world.bundle().await;
    let before = world.reads();
    let new = old.with(&Delta::decode(&world.groups[0].deltas[0]).unwrap()).unwrap();
    assert_eq!(world.reads(), before);
    assert_eq!((first(&reader, &old, ALL).await, first(&reader, &new, ALL).await), (2, 3));
    assert!(old.tiered() < new.tiered() && new.pg() == old.pg());
    assert!(new.with(&Delta { from: old.tiered(), to: new.tiered(), changes: vec![] }).is_err());
}

#[tokio::test]
async fn neighbouring_pages_come_by_one_request() {
    let world = large().await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    assert_eq!(first(&reader, &view, ALL).await, 8);
    assert_eq!(world.reads(), 2, "a tail, and 3.2 MB of blocks");
}

#[tokio::test]
async fn a_small_object_is_read_once_whatever_is_asked() {
    let world = small().await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    assert_eq!(first(&reader, &view, ALL).await, 2);
    let lsn = world.groups[0].records[2].lsn;
    assert!(reader.by_lsn(&view, lsn).await.unwrap().is_some());
    let mut operations = 0;
    reader.operations(&view, Lsn(0), Lsn(u64::MAX), |_| operations += 1).await.unwrap();
    assert_eq!(operations, 1);
    assert_eq!(world.reads(), 1);
}

#[tokio::test]
async fn operations_cost_a_tail_and_their_own_bytes() {
    let world = large().await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    let mut operations = 0;
    reader.operations(&view, Lsn(0), Lsn(u64::MAX), |_| operations += 1).await.unwrap();
    assert_eq!((operations, world.gets(&[Purpose::Recovery])), (8, 2));
    let spans = reader.counters().into_iter().find(|(kind, _)| *kind == Looked::Span).unwrap().1;
    assert!(spans.bytes < 2000, "no message was read: {} bytes", spans.bytes);
}

#[tokio::test]
async fn what_many_ask_for_at_once_is_read_once() {
    let mut world = large().await;
    world.fold().await;
    for threads in [0, 1] {
        let before = world.reads();
        let reader = world.reader_with(ReaderConfig { threads, ..config() }).await;
        let ask = || async {
            let view = world.groups[0].view(&reader).await;
            first(&reader, &view, LITTLE).await
        };
        let all = join_all((0..20).map(|_| ask())).await;
        assert_eq!(all, [1; 20]);
        assert_eq!(world.reads() - before, 4);
    }
}

#[tokio::test]
async fn an_asker_who_goes_away_does_not_take_the_answer_from_others() {
    let faults = Faults::seeded(1, Env::system());
    let mut world = World::new(Bucket::faulty(&faults, Env::system()));
    world.groups[0].log.message(1, 0, b"first");
    world.bundle().await;
    let reader = world.reader().await;
    let view = world.groups[0].view(&reader).await;
    faults.set(Plan { slow: Duration::from_millis(100), ..Plan::default() });
    let mut gone = Box::pin(first(&reader, &view, LITTLE));
    let mut other = Box::pin(first(&reader, &view, LITTLE));
    for _ in 0..20 {
        // Both ask, and wait for the one request of the first.
        assert!((&mut gone).now_or_never().is_none());
        tokio::task::yield_now().await;
        assert!((&mut other).now_or_never().is_none());
    }
    drop(gone);
    assert_eq!(other.await, 1);
}

fn on_disk(folder: &Path) -> ReaderConfig {
    let disk = Some(DiskCache { folder: folder.to_owned(), bytes: 64 << 20 });
    ReaderConfig { disk, threads: 1, ..config() }
}

#[tokio::test]
async fn pages_on_the_disk_outlive_the_reader() {
    let (world, folder) = (small().await, tempfile::tempdir().unwrap());
    for _ in 0..3 {
        let reader = world.reader_with(on_disk(folder.path())).await;
        let view = world.groups[0].view(&reader).await;
        assert_eq!(first(&reader, &view, ALL).await, 2);
        reader.close().await;
        assert_eq!(world.reads(), 1);
    }
}

#[tokio::test]
async fn a_damaged_file_of_the_cache_is_a_miss() {
    let (world, folder) = (small().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("pages");
    for at in [0, 300, 5000] {
        let before = world.reads();
        let reader = world.reader_with(on_disk(folder.path())).await;
        let view = world.groups[0].view(&reader).await;
        assert_eq!(first(&reader, &view, ALL).await, 2);
        assert!(world.reads() <= before + 1);
        reader.close().await;
        drop(reader);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[at..at + 200_000].iter_mut().for_each(|byte| *byte ^= 0x55);
        std::fs::write(&file, bytes).unwrap();
    }
    assert_eq!(world.reads(), 3);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_done_without() {
    let (world, folder) = (small().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    let reader = world.reader_with(on_disk(&file)).await;
    let view = world.groups[0].view(&reader).await;
    assert_eq!(first(&reader, &view, ALL).await, 2);
}

#[tokio::test]
async fn a_reader_with_threads_ends_inside_of_a_task() {
    let (world, folder) = (small().await, tempfile::tempdir().unwrap());
    let config = on_disk(folder.path());
    let reader = Reader::open(&world.bucket, config, &Env::system()).await.unwrap();
    let view = world.groups[0].view(&reader).await;
    let asked = reader.clone();
    drop(reader);
    assert_eq!(first(&asked, &view, ALL).await, 2);
    drop(asked);
}

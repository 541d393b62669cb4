//! An append until it is in the mapping, and until it is on disk; the in-memory queue index.

use super::Bench;
use bytes::Bytes;
use std::ops::ControlFlow;
use storage::env::Env;
use storage::{
    Class, Draft, Entry, Epoch, JoinedBy, Level, Log, Patch, PgId, QueueOffset, QueueUid,
    RecordKind, Store, StoreConfig,
};

const PG: PgId = PgId::new(1).unwrap();
/// What is appended to.
const BUSY: QueueUid = QueueUid(10);
/// What is read.
const FULL: QueueUid = QueueUid(11);
const INDEXED: u32 = 10_000;
const GROUP: u32 = 64;
/// Enough for every block at a gibibyte a second.
const CAPACITY: u64 = 4 << 30;

pub(super) fn run(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let config = StoreConfig {
        dir: folder.path().to_owned(),
        capacity: CAPACITY,
        segment_bytes: 64 << 20,
        spare_segments: 2,
        index_bytes: storage::index_bytes_for(CAPACITY),
        gateway: "bench".to_owned(),
    };
    let store = Store::open(config, Env::system()).unwrap();
    let log = runtime.block_on(async {
        let first = PG.first_lsn();
        store.join(PG, Epoch(1), first, first, JoinedBy::Owner).await.unwrap();
        store.log(PG, Epoch(1)).unwrap()
    });
    log.open_queue(BUSY, Level::Async);
    log.open_queue(FULL, Level::Async);
    for (name, level) in [
        ("journal: append 64 x 1 KiB, mapped", Level::Async),
        ("journal: append 64 x 1 KiB, synced", Level::Local),
    ] {
        bench.time(name, GROUP, || runtime.block_on(append(&log, BUSY, level)));
    }
    let before = store.fill().index.used;
    for _ in 0..INDEXED / GROUP {
        runtime.block_on(append(&log, FULL, Level::Async));
    }
    let bytes = (store.fill().index.used - before) as f64;
    bench.tell("queue index: a message", bytes / f64::from(INDEXED / GROUP * GROUP), "bytes");
    bench.time("queue index: scan 32 entries from the middle", 1, || {
        let mut seen = 0;
        log.scan(FULL, QueueOffset(u64::from(INDEXED / 2)), &mut |_| {
            seen += 1;
            if seen < 32 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        seen
    });
    let middle = entry_at(&log, u64::from(INDEXED / 2)).time;
    bench.time("queue index: offset of a time", 1, || log.offset_at_time(FULL, middle));
    bench.time("queue index: bounds", 1, || log.bounds(FULL));
    let lsn = entry_at(&log, 1).lsn;
    bench.time("log: read one record, 1 KiB", 1, || log.read(lsn).unwrap());
    runtime.block_on(store.close());
}

fn entry_at(log: &Log, offset: u64) -> Entry {
    let mut entry = None;
    log.scan(FULL, QueueOffset(offset), &mut |found| {
        entry = Some(found);
        ControlFlow::Break(())
    });
    entry.unwrap()
}

async fn append(log: &Log, queue: QueueUid, level: Level) {
    let draft = || Draft {
        kind: RecordKind::Message,
        queue,
        filter: 7,
        head: vec![1; 100],
        body: Bytes::from_static(&[7; 1024]),
        tail: Bytes::from_static(&[2; 60]),
        patch: Patch::default(),
    };
    let mut end = log.end();
    for _ in 0..GROUP {
        end = log.append(vec![draft()], Class::Message).unwrap().end;
    }
    log.reached(level, end).await.unwrap();
}

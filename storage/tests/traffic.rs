//! Many tasks at once on a real disk: appends of all sizes to several placement groups, reads, and
//! queues that come and go so that segments are recycled all the time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use storage::env::Env;
use storage::{
    Class, Draft, Epoch, JoinedBy, Level, Log, Lsn, Patch, PgId, QueueOffset, QueueUid, RecordKind,
    Refused, Sealed, Store, StoreConfig,
};

const PGS: u32 = 3;
const KEPT: QueueUid = QueueUid(1);
const ROUNDS: u64 = 30;
const KEPT_MAX: u64 = 6;

fn open(dir: &Path) -> Store {
    let config = StoreConfig {
        dir: dir.to_owned(),
        capacity: 40 << 20,
        segment_bytes: 1 << 20,
        spare_segments: 2,
        index_bytes: 64 << 20,
        gateway: "gw".to_owned(),
    };
    Store::open(config, Env::system()).unwrap()
}

async fn own(store: &Store, pg: u32, epoch: u32) -> Log {
    let pg = PgId::new(pg).unwrap();
    let base = pg.first_lsn();
    let end = match store.seal(pg, Epoch(epoch - 1), base).await.unwrap() {
        Sealed::End(end) => end,
        Sealed::Nothing => base,
    };
    store.join(pg, Epoch(epoch), end, base, JoinedBy::Owner).await.unwrap();
    let log = store.log(pg, Epoch(epoch)).unwrap();
    log.open_queue(KEPT, Level::Local);
    log
}

/// A body that tells its queue and number.
fn body(queue: QueueUid, number: u64) -> Bytes {
    let len = 16 + (number * 7919 + queue.0 * 31) % 9000;
    let mut body = [queue.0.to_le_bytes(), number.to_le_bytes()].concat();
    body.resize(len as usize, number as u8);
    body.into()
}

async fn send(log: &Log, queue: QueueUid, number: u64) -> Lsn {
    loop {
        let draft = Draft {
            kind: RecordKind::Message,
            queue,
            filter: number,
            head: Vec::new(),
            body: body(queue, number),
            tail: Bytes::new(),
            patch: Patch::default(),
        };
        match log.append(vec![draft], Class::Message) {
            Ok(appended) => {
                let place = appended.places[0];
                assert_eq!(place.offset, Some(QueueOffset(number)));
                log.reached(Level::Local, appended.end).await.unwrap();
                return place.lsn;
            }
            // Full for as long as what was forgotten is not recycled.
            Err(Refused::Busy | Refused::Full { .. }) => {
                Env::system().sleep(Duration::from_millis(2)).await;
            }
            Err(refused) => panic!("{refused}"),
        }
    }
}

fn check(log: &Log, queue: QueueUid) -> u64 {
    let mut count = 0;
    log.scan(queue, QueueOffset(0), &mut |entry| {
        assert_eq!(entry.offset, QueueOffset(count));
        let view = log.read(entry.lsn).unwrap();
        assert_eq!((view.queue, view.offset, view.filter), (queue, entry.offset, count));
        assert_eq!(view.body, body(queue, count));
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

/// Queues that are filled, read and forgotten, one after the other.
async fn passing_queues(log: Log, first: u64) {
    for round in 0..ROUNDS {
        let queue = QueueUid(first + round);
        log.open_queue(queue, Level::Local);
        for number in 0..60 {
            send(&log, queue, number).await;
        }
        assert_eq!(check(&log, queue), 60);
        log.forget_queues(&[queue]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn traffic_with_recycled_segments_loses_and_mixes_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let env = Env::system();
    let done = Arc::new(AtomicBool::new(false));
    let mut passing = Vec::new();
    let mut steady = Vec::new();
    let mut logs = Vec::new();
    for pg in 0..PGS {
        let log = own(&store, pg, 1).await;
        for task in 0..4 {
            let log = log.clone();
            passing.push(env.spawn("passing", passing_queues(log, 1000 * (task + 1))));
        }
        let sent = Arc::new(AtomicU64::new(0));
        steady.push(env.spawn("steady", {
            let (log, done, sent) = (log.clone(), Arc::clone(&done), Arc::clone(&sent));
            async move {
                // Each keeps the segment that it lies in.
                while !done.load(Ordering::Acquire) && sent.load(Ordering::Acquire) < KEPT_MAX {
                    send(&log, KEPT, sent.load(Ordering::Acquire)).await;
                    sent.fetch_add(1, Ordering::AcqRel);
                    Env::system().sleep(Duration::from_millis(50)).await;
                }
            }
        }));
        logs.push((log, sent));
    }
    for task in passing {
        task.await.unwrap();
    }
    done.store(true, Ordering::Release);
    for task in steady {
        task.await.unwrap();
    }
    let mut sent = Vec::new();
    for (log, count) in &logs {
        assert_eq!(check(log, KEPT), count.load(Ordering::Acquire));
        sent.push(count.load(Ordering::Acquire));
    }
    store.close().await;
    drop((logs, store));

    let store = open(dir.path());
    assert!(!store.is_damaged());
    for (pg, sent) in (0..PGS).zip(sent) {
        let log = own(&store, pg, 2).await;
        assert_eq!(check(&log, KEPT), sent);
        assert_eq!(log.queues().into_iter().collect::<Vec<_>>(), [KEPT]);
    }
    store.close().await;
}

//! The embedded backend against the contract, and what is its own.

use super::{RedbConfig, RedbStore};
use crate::store::conformance::Harness;
use crate::store::{Advice, Applied, Change, Error, Future, MetadataStore, Revision, Txn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::env::{Env, ManualClock, Timestamp};
use tempfile::TempDir;

/// Transactions of history that the stores of these tests keep.
const HISTORY: usize = 150;

struct Embedded {
    clock: Arc<ManualClock>,
    folder: TempDir,
    store: RedbStore,
}

impl Embedded {
    fn new() -> Embedded {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        let store = open(&folder, clock.clone()).unwrap();
        Embedded { clock, folder, store }
    }
}

fn open(folder: &TempDir, clock: Arc<ManualClock>) -> Result<RedbStore, Error> {
    let config = RedbConfig { history: HISTORY, ..RedbConfig::at(folder.path().join("m.redb")) };
    RedbStore::open_with(config, Env::with_clock(clock))
}

impl Harness for Embedded {
    fn store(&self) -> Arc<dyn MetadataStore> {
        Arc::new(self.store.clone())
    }

    fn reopen(&mut self) -> Future<'_, ()> {
        Box::pin(async {
            self.store.close().await;
            self.store = open(&self.folder, self.clock.clone()).unwrap();
        })
    }

    fn forget_history(&mut self) -> Future<'_, ()> {
        Box::pin(async {
            for _ in 0..HISTORY {
                put(&self.store, "forget", "x").await;
            }
        })
    }

    fn pass(&mut self, time: Duration) -> Future<'_, ()> {
        Box::pin(async move {
            self.clock.advance(time);
            // Wakes the thread, whose wait does not see that the clock was moved.
            self.store.get("wake").await.unwrap();
        })
    }
}

async fn put(store: &RedbStore, key: &str, value: &'static str) {
    let change = Change::Put { key: key.into(), value: value.into(), lease: None };
    store.txn(Txn { then: vec![change], ..Txn::default() }).await.unwrap();
}

crate::metadata_conformance!(Embedded::new);

#[tokio::test]
async fn a_store_that_is_open_is_not_opened_again() {
    let harness = Embedded::new();
    let error = open(&harness.folder, harness.clock.clone()).err().unwrap();
    assert!(matches!(error, Error::Locked(_)), "{error:?}");
    assert_eq!((error.applied(), error.advice()), (Applied::No, Advice::Fix));
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let harness = Embedded::new();
    let mut watch = harness.store.watch("", Revision(1));
    harness.store.close().await;
    harness.store.close().await;
    let error = harness.store.get("k").await.unwrap_err();
    assert!(matches!(error, Error::Closed { applied: Applied::No }), "{error:?}");
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn what_was_asked_before_a_close_is_answered() {
    let harness = Embedded::new();
    let puts = async {
        for n in 0..50 {
            put(&harness.store, &format!("k{n}"), "v").await;
        }
    };
    puts.await;
    let last = harness.store.range("k");
    let (range, ()) = tokio::join!(last, harness.store.close());
    assert_eq!(range.unwrap().pairs.len(), 50);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_without_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.redb");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let error = open(&folder, clock).err().unwrap();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    assert_eq!(error.advice(), Advice::Stop);
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8192]);
}

#[tokio::test]
async fn history_is_bounded_in_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let config = RedbConfig { history_bytes: 100, ..RedbConfig::at(folder.path().join("m.redb")) };
    let store = RedbStore::open_with(config, Env::with_clock(clock)).unwrap();
    for _ in 0..20 {
        put(&store, "key", "twenty bytes of text").await;
    }
    let compacted = store.watch("", Revision(1)).next().await.unwrap();
    let crate::store::WatchItem::Compacted { oldest } = compacted else { panic!("{compacted:?}") };
    assert!(oldest > Revision(10) && oldest <= Revision(20), "{oldest}");
    store.watch("", oldest).next().await.unwrap();
}

/// A disk in memory that fails when told to.
#[derive(Debug, Default)]
struct FailingDisk {
    disk: redb::backends::InMemoryBackend,
    fails: Arc<AtomicBool>,
}

impl FailingDisk {
    fn check(&self) -> Result<(), std::io::Error> {
        let failed = self.fails.load(Ordering::SeqCst);
        if failed { Err(std::io::Error::other("the disk failed")) } else { Ok(()) }
    }
}

impl redb::StorageBackend for FailingDisk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.disk.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.disk.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.check()?;
        self.disk.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.check()?;
        self.disk.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.check()?;
        self.disk.write(offset, data)
    }
}

#[tokio::test]
async fn a_failed_commit_is_of_unknown_outcome_and_ends_the_store() {
    let disk = FailingDisk::default();
    let fails = disk.fails.clone();
    let database = redb::Builder::new().create_with_backend(disk).unwrap();
    let store = RedbStore::over(database, &RedbConfig::at("unused"), Env::system()).unwrap();
    put(&store, "before", "v").await;
    let mut watch = store.watch("", Revision(1));
    watch.next().await.unwrap();
    fails.store(true, Ordering::SeqCst);
    let change = Change::Put { key: "lost".into(), value: "v".into(), lease: None };
    let error = store.txn(Txn { then: vec![change], ..Txn::default() }).await.unwrap_err();
    assert_eq!((error.applied(), error.advice()), (Applied::Unknown, Advice::Stop), "{error:?}");
    // Also when the disk is well again: what is in the file is only known after opening it.
    fails.store(false, Ordering::SeqCst);
    let error = store.get("before").await.unwrap_err();
    assert!(matches!(error, Error::Broken { applied: Applied::No, .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("the disk failed"), "{source}");
    // The failed transaction is told to nobody.
    let quiet = tokio::time::timeout(Duration::from_millis(50), watch.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    store.close().await;
}

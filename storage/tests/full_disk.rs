//! A store on a file system that is really full: refusals, no fault, no loss, and going on when there is room.
//!
//! Needs the right to mount a tmpfs; says so and passes where there is none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use storage::env::Env;
use storage::{
    Appended, Class, Draft, Epoch, JoinedBy, Level, Log, Patch, PgId, QueueOffset, QueueUid,
    RecordKind, Refused, Sealed, Store, StoreConfig,
};

const PG: PgId = PgId::new(0).unwrap();
const QUEUE: QueueUid = QueueUid(1);

/// A file system of its own, as long as it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a thread that is about to end may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn open(dir: &Path) -> Store {
    let config = StoreConfig {
        dir: dir.join("journal"),
        capacity: 64 << 20,
        segment_bytes: 1 << 20,
        spare_segments: 2,
        index_bytes: 64 << 20,
        gateway: "gw".to_owned(),
    };
    Store::open(config, Env::system()).unwrap()
}

async fn own(store: &Store, epoch: u32) -> Log {
    let base = PG.first_lsn();
    let end = match store.seal(PG, Epoch(epoch - 1), base).await {
        Ok(Sealed::End(end)) => end,
        Ok(Sealed::Nothing) => base,
        Err(refused) => panic!("{refused}"),
    };
    store.join(PG, Epoch(epoch), end, base, JoinedBy::Owner).await.unwrap();
    let log = store.log(PG, Epoch(epoch)).unwrap();
    log.open_queue(QUEUE, Level::Local);
    log
}

fn append(log: &Log) -> Result<Appended, Refused> {
    let draft = Draft {
        kind: RecordKind::Message,
        queue: QUEUE,
        filter: 0,
        head: Vec::new(),
        body: Bytes::from(vec![7; 50 << 10]),
        tail: Bytes::new(),
        patch: Patch::default(),
    };
    log.append(vec![draft], Class::Message)
}

/// Appends until refused for another reason than haste; how many were acknowledged.
async fn fill(log: &Log) -> (usize, Refused) {
    let mut acknowledged = 0;
    loop {
        match append(log) {
            Ok(appended) => {
                log.reached(Level::Local, appended.end).await.unwrap();
                acknowledged += 1;
            }
            Err(Refused::Busy) => Env::system().sleep(Duration::from_millis(5)).await,
            Err(refused) => return (acknowledged, refused),
        }
    }
}

fn count(log: &Log) -> usize {
    let mut count = 0;
    log.scan(QUEUE, QueueOffset(0), &mut |entry| {
        assert_eq!(log.read(entry.lsn).unwrap().body, vec![7; 50 << 10]);
        count += 1;
        ControlFlow::Continue(())
    });
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_system_refuses_loses_nothing_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        eprintln!("SKIPPED: may not mount a tmpfs here");
        return;
    };
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let (first, refused) = fill(&log).await;
    assert_eq!(refused, Refused::DiskFull);
    assert!(store.fill().disk_full);
    assert!(first > 20, "{first}");

    std::fs::remove_file(&ballast).unwrap();
    let again = async {
        while append(&log).is_err() {
            Env::system().sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    let (second, refused) = fill(&log).await;
    assert_eq!(refused, Refused::DiskFull);
    assert_eq!(count(&log), first + 1 + second);
    store.close().await;
    drop((log, store));

    let store = open(dir.path());
    let log = own(&store, 2).await;
    assert_eq!(count(&log), first + 1 + second);
    store.close().await;
    drop((log, store, disk));
}

//! What of the journal is in the process's memory, as the kernel says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
use bytes::Bytes;
use std::path::Path;
use std::time::Duration;
use storage::env::Env;
use storage::{
    Class, Draft, Epoch, JoinedBy, Level, Log, Lsn, Patch, PgId, QueueUid, RecordKind, Refused,
    Store, StoreConfig,
};

const PG: PgId = PgId::new(1).unwrap();
const QUEUE: QueueUid = QueueUid(10);

fn config(dir: &Path, segment_bytes: u64) -> StoreConfig {
    StoreConfig {
        dir: dir.to_owned(),
        capacity: 16 * segment_bytes,
        segment_bytes,
        spare_segments: 2,
        index_bytes: 64 << 20,
        gateway: "gw-1".to_owned(),
    }
}

async fn own(store: &Store, epoch: u32) -> Log {
    let first = PG.first_lsn();
    let base = if epoch == 1 {
        first
    } else {
        match store.seal(PG, Epoch(epoch - 1), first).await.unwrap() {
            storage::Sealed::End(end) => end,
            storage::Sealed::Nothing => first,
        }
    };
    store.join(PG, Epoch(epoch), base, first, JoinedBy::Owner).await.unwrap();
    let log = store.log(PG, Epoch(epoch)).unwrap();
    log.open_queue(QUEUE, Level::Local);
    log
}

/// The body of the message at a place: something else in each.
fn body(number: u32, bytes: usize) -> Bytes {
    number.to_le_bytes().iter().copied().cycle().take(bytes).collect()
}

/// Writes `count` messages in groups of 16, and says where they are.
async fn write(log: &Log, count: u32, bytes: usize) -> Vec<Lsn> {
    let mut places = Vec::new();
    for group in (0..count).collect::<Vec<_>>().chunks(16) {
        let drafts = || group.iter().map(|number| draft(body(*number, bytes))).collect();
        let appended = loop {
            match log.append(drafts(), Class::Message) {
                Err(Refused::Busy) => Env::system().sleep(Duration::from_millis(5)).await,
                result => break result.unwrap(),
            }
        };
        log.reached(Level::Local, appended.end).await.unwrap();
        places.extend(appended.places.iter().map(|place| place.lsn));
    }
    places
}

fn draft(body: Bytes) -> Draft {
    Draft {
        kind: RecordKind::Message,
        queue: QUEUE,
        filter: 0,
        head: Vec::new(),
        body,
        tail: Bytes::new(),
        patch: Patch::default(),
    }
}

fn assert_reads(log: &Log, places: &[Lsn], bytes: usize) {
    for (number, lsn) in places.iter().enumerate() {
        assert_eq!(log.read(*lsn).unwrap().body, body(number as u32, bytes), "message {number}");
    }
}

/// Bytes of files in `dir` that are mapped and in memory.
fn resident(dir: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut ours, mut kib) = (false, 0);
    for line in maps.lines() {
        if let Some(rss) = line.strip_prefix("Rss:") {
            if ours {
                kib += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        } else if line.split(' ').next().is_some_and(|word| !word.ends_with(':')) {
            ours = line.contains(dir.to_str().unwrap());
        }
    }
    kib << 10
}

async fn until_resident_is_below(dir: &Path, limit: u64, when: &str) {
    let waiting = async {
        while resident(dir) >= limit {
            Env::system().sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "{when}: {} of {limit} bytes are in memory", resident(dir));
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_segments_leave_memory_behind_the_readers_and_read_the_same_after() {
    const SEGMENT: u64 = 1 << 20;
    const BYTES: usize = 4000;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(config(dir.path(), SEGMENT), Env::system()).unwrap();
    let log = own(&store, 1).await;
    // Six segments and a half. What is left at rest: the one that is written, and the headers of
    // the others and of the spares.
    let at_rest = SEGMENT + SEGMENT / 2;
    let places = write(&log, 1700, BYTES).await;
    let slice = log.read(places[100]).unwrap();
    assert_reads(&log, &places, BYTES);
    assert!(resident(dir.path()) > 5 * SEGMENT, "{}", resident(dir.path()));
    until_resident_is_below(dir.path(), at_rest, "after the first readers").await;
    assert_eq!(slice.body, body(100, BYTES), "a slice from before");

    assert_reads(&log, &places, BYTES);
    assert!(resident(dir.path()) > 5 * SEGMENT, "{}", resident(dir.path()));
    until_resident_is_below(dir.path(), at_rest, "after later readers").await;
    store.close().await;
    drop((log, store, slice));

    let store = Store::open(config(dir.path(), SEGMENT), Env::system()).unwrap();
    let log = own(&store, 2).await;
    until_resident_is_below(dir.path(), at_rest, "after a start").await;
    assert_reads(&log, &places, BYTES);
    store.close().await;
}

/// `cargo test --release -p stratamq-storage --test memory -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement of the machine asks its clock")]
async fn catch_up_reads_of_sealed_segments_with_and_without_their_pages() {
    const SEGMENT: u64 = 64 << 20;
    const BYTES: usize = 1024;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Store::open(config(dir.path(), SEGMENT), Env::system()).unwrap();
    let log = own(&store, 1).await;
    let places = write(&log, 300_000, BYTES).await;
    let sealed = &places[..200_000];
    let read_all = || {
        let began = std::time::Instant::now();
        let sum: u64 = sealed
            .iter()
            .map(|lsn| {
                log.read(*lsn).unwrap().body.iter().map(|byte| u64::from(*byte)).sum::<u64>()
            })
            .sum();
        std::hint::black_box(sum);
        began.elapsed().as_nanos() as f64 / sealed.len() as f64
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        until_resident_is_below(dir.path(), 2 * SEGMENT, "before a reader").await;
        without.push(read_all());
        with.push(read_all());
    }
    without.sort_by(f64::total_cmp);
    with.sort_by(f64::total_cmp);
    println!("a message of 1 KiB: {:.0} ns let go, {:.0} ns mapped", without[3], with[3]);
    store.close().await;
}

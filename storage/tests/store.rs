//! The store on a real disk, through its public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;
use storage::env::{Env, Timestamp};
use storage::{
    Appended, Class, Draft, Entry, Epoch, Error, FillState, JoinedBy, Level, Log, Lsn, Patch, PgId,
    QueueOffset, QueueUid, ReadError, RecordKind, Refused, Sealed, Store, StoreConfig,
    StoreRefused,
};

const PG: PgId = PgId::new(1).unwrap();
const QUEUE: QueueUid = QueueUid(10);
const OTHER: QueueUid = QueueUid(11);

fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        dir: dir.to_owned(),
        capacity: 8 << 20,
        segment_bytes: 1 << 20,
        spare_segments: 2,
        index_bytes: 64 << 20,
        gateway: "gw-1".to_owned(),
    }
}

fn open(dir: &Path) -> Store {
    Store::open(config(dir), Env::system()).unwrap()
}

/// Begins `epoch` the way a gateway does at its start.
async fn own(store: &Store, epoch: u32) -> Log {
    let base = match epoch {
        1 => PG.first_lsn(),
        _ => match store.seal(PG, Epoch(epoch - 1), PG.first_lsn()).await.unwrap() {
            Sealed::End(end) => end,
            Sealed::Nothing => PG.first_lsn(),
        },
    };
    store.join(PG, Epoch(epoch), base, PG.first_lsn(), JoinedBy::Owner).await.unwrap();
    let log = store.log(PG, Epoch(epoch)).unwrap();
    log.open_queue(QUEUE, Level::Local);
    log.open_queue(OTHER, Level::Local);
    log
}

fn draft(kind: RecordKind, queue: QueueUid, body: &[u8]) -> Draft {
    Draft {
        kind,
        queue,
        filter: 7,
        head: b"head-".to_vec(),
        body: Bytes::copy_from_slice(body),
        tail: Bytes::from_static(b"-tail"),
        patch: Patch::default(),
    }
}

fn message(queue: QueueUid, body: &[u8]) -> Draft {
    draft(RecordKind::Message, queue, body)
}

async fn send(log: &Log, queue: QueueUid, body: &[u8]) -> Lsn {
    let appended = append(log, queue, body).await.unwrap();
    log.reached(Level::Local, appended.end).await.unwrap();
    appended.places[0].lsn
}

/// Appends a message, again while the journal is only busy.
async fn append(log: &Log, queue: QueueUid, body: &[u8]) -> Result<Appended, Refused> {
    loop {
        let result = log.append(vec![message(queue, body)], Class::Message);
        if result != Err(Refused::Busy) {
            return result;
        }
        Env::system().sleep(Duration::from_millis(5)).await;
    }
}

fn entries(log: &Log, queue: QueueUid) -> Vec<Entry> {
    let mut entries = Vec::new();
    log.scan(queue, QueueOffset(0), &mut |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    });
    entries
}

fn bodies(log: &Log, queue: QueueUid) -> Vec<Bytes> {
    entries(log, queue).iter().map(|entry| log.read(entry.lsn).unwrap().body).collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
            Env::system().sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_read_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.id();
    let log = own(&store, 1).await;
    for n in 0..10u8 {
        send(&log, QUEUE, &[n]).await;
    }
    let group =
        vec![message(OTHER, b"x"), draft(RecordKind::Ack, QUEUE, b"ack"), message(QUEUE, b"y")];
    let appended = log.append(group, Class::Reserve).unwrap();
    assert_eq!(appended.places[0].offset, Some(QueueOffset(0)));
    assert_eq!(appended.places[1].offset, None);
    assert_eq!(appended.places[2].offset, Some(QueueOffset(10)));
    log.reached(Level::Local, appended.end).await.unwrap();
    let before = (entries(&log, QUEUE), bodies(&log, QUEUE), log.end(), log.bounds(QUEUE));
    store.close().await;
    drop((log, store));

    let store = open(dir.path());
    assert_eq!(store.id(), id);
    let log = own(&store, 2).await;
    assert_eq!(before, (entries(&log, QUEUE), bodies(&log, QUEUE), log.end(), log.bounds(QUEUE)));
    assert_eq!(bodies(&log, OTHER), ["head-x-tail"]);
    let mut replayed = Vec::new();
    log.replay(Lsn(0), &mut |view| replayed.push((view.kind, view.lsn, view.time, view.body)));
    let ack = (RecordKind::Ack, appended.places[1].lsn, appended.time, "head-ack-tail".into());
    assert_eq!(replayed, [ack]);
    send(&log, QUEUE, b"z").await;
    assert_eq!(entries(&log, QUEUE).last().unwrap().offset, QueueOffset(11));
    store.close().await;
}

/// Uploads, so to speak, what is committed, and trims as far as that gives segments back.
fn upload_and_trim(store: &Store, log: &Log) {
    let from = log.watermark(Level::Object);
    let pieces = log.committed(from, Lsn(u64::MAX), 1 << 20).unwrap();
    if let Some(last) = pieces.last() {
        log.set_tiered(last.end());
    }
    if let Some(point) = store.trim_points(1 << 20).get(&PG) {
        log.trim(*point);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_journal_takes_without_end_what_is_uploaded_and_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    log.open_queue(OTHER, Level::Object);
    let mut sent = 0;
    let mut refused = 0;
    // Four times its capacity.
    while log.end().since(PG.first_lsn()) < 32 << 20 {
        match log.append(vec![message(OTHER, &[sent as u8; 50_000])], Class::Message) {
            Ok(_) => sent += 1,
            Err(Refused::Busy | Refused::Full { .. }) => {
                refused += 1;
                upload_and_trim(&store, &log);
                Env::system().sleep(Duration::from_millis(1)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    let end = log.end();
    let acknowledged = log.reached(Level::Object, end);
    let upload = async {
        while log.watermark(Level::Object) < end {
            upload_and_trim(&store, &log);
            Env::system().sleep(Duration::from_millis(1)).await;
        }
    };
    let (acknowledged, ()) = tokio::join!(acknowledged, upload);
    acknowledged.unwrap();
    let bounds = log.bounds(OTHER);
    assert_eq!((bounds.visible_end.0, bounds.next.0), (sent, sent));
    let held = entries(&log, OTHER);
    assert!(held.len() < 160, "{}", held.len());
    assert!(held.iter().all(|entry| log.read(entry.lsn).unwrap().body[5] == entry.offset.0 as u8));
    let used = || store.fill().used;
    until("segments are given back", || used() <= 3 << 20).await;
    store.close().await;
    drop((log, store));

    // What is left is found, and goes on where it ended.
    let store = open(dir.path());
    assert!(!store.is_damaged());
    let Ok(Sealed::End(found)) = store.seal(PG, Epoch(1), end).await else { panic!("it is there") };
    assert_eq!(found, end);
    let copy = store.join(PG, Epoch(2), end, end, JoinedBy::Owner).await.unwrap();
    assert!(PG.first_lsn() < copy.from && copy.from <= end);
    let log = store.log(PG, Epoch(2)).unwrap();
    assert_eq!((log.local_from(), log.watermark(Level::Object)), (copy.from, end));
    assert_eq!(entries(&log, OTHER).last().map(|entry| entry.offset.0), Some(sent - 1));
    log.open_queue(OTHER, Level::Object);
    assert_eq!(append(&log, OTHER, b"more").await.unwrap().places[0].offset.unwrap().0, sent);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_not_closed_keeps_what_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    for epoch in 1..12u32 {
        let store = open(dir.path());
        let log = own(&store, epoch).await;
        assert_eq!(bodies(&log, QUEUE).len() as u32, epoch - 1);
        send(&log, QUEUE, &[0; 100]).await;
        drop(log);
        let used = store.fill().used;
        assert!(used < 2 << 20, "a restart uses up no segment: {used}");
        drop(store);
        until("the folder is free", || std::fs::File::open(dir.path()).unwrap().try_lock().is_ok())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(config(dir.path()), Env::system());
    assert!(matches!(second, Err(Error::InUse { .. })));
    store.close().await;
    open(dir.path()).close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_epoch_appends_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    send(&log, QUEUE, b"a").await;
    let end = log.end();
    assert_eq!(store.seal(PG, Epoch(1), PG.first_lsn()).await, Ok(Sealed::End(end)));
    let refused = log.append(vec![message(QUEUE, b"b")], Class::Message);
    assert_eq!(refused, Err(Refused::Fenced));
    assert!(log.reached(Level::Local, end).await.is_ok(), "it was reached before");
    assert!(log.reached(Level::Local, end.plus(1)).await.is_err());
    let joined = store.join(PG, Epoch(1), PG.first_lsn(), PG.first_lsn(), JoinedBy::Owner).await;
    assert_eq!(joined, Err(StoreRefused::Sealed(Epoch(2))));
    assert!(matches!(store.log(PG, Epoch(1)), Err(StoreRefused::Sealed(Epoch(2)))));
    let copy = store.join(PG, Epoch(2), end, PG.first_lsn(), JoinedBy::Owner).await.unwrap();
    assert_eq!((copy.label, copy.end, copy.synced), (Epoch(2), end, end));
    let log = store.log(PG, Epoch(2)).unwrap();
    assert_eq!(bodies(&log, QUEUE), ["head-a-tail"]);
    store.close().await;
}

#[tokio::test]
async fn a_taker_whose_owner_died_before_its_join_finds_all_of_the_empty_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let base = PG.first_lsn();
    assert!(!store.knows(PG));
    assert_eq!(store.seal(PG, Epoch(1), base).await, Ok(Sealed::Nothing));
    assert!(!store.knows(PG), "a seal alone makes no copy");
    let copy = store.join(PG, Epoch(1), base, base, JoinedBy::Taker).await.unwrap();
    assert_eq!((copy.end, copy.synced), (base, base));
    assert!(store.knows(PG));
    store.close().await;
    drop(store);
    assert!(open(dir.path()).knows(PG));
}

#[tokio::test]
async fn a_capacity_below_the_segments_that_are_there_says_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    let config = StoreConfig { capacity: 2 << 20, segment_bytes: 64 << 10, ..config(dir.path()) };
    let refused = Store::open(config, Env::system()).err().unwrap();
    assert!(refused.to_string().ends_with("of 1 MiB: give at least 4 MiB"), "{refused}");
}

#[tokio::test]
async fn the_dispatcher_hears_of_what_became_visible() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let dispatcher = Env::system().spawn("dispatcher", {
        let log = log.clone();
        async move {
            let mut heard = 0;
            while heard < 20 {
                heard += log.next_visible().await.iter().map(|(_, count)| count).sum::<u64>();
            }
            heard
        }
    });
    for _ in 0..10 {
        log.append(vec![message(QUEUE, b"a"), message(OTHER, b"b")], Class::Message).unwrap();
    }
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(20), dispatcher).await.unwrap().unwrap(),
        20
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_refuses_messages_first_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let body = vec![1; 100 << 10];
    let mut sent = 0;
    for size in [100 << 10, 4 << 10, 1] {
        let refused = loop {
            match append(&log, QUEUE, &body[..size]).await {
                Ok(appended) => {
                    log.reached(Level::Local, appended.end).await.unwrap();
                    sent += 1;
                }
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, Refused::Full { .. }), "{refused:?}");
    }
    assert_eq!(store.fill().state, FillState::RefusingMessages);
    let ack = log.append(vec![draft(RecordKind::Ack, QUEUE, b"ack")], Class::Reserve).unwrap();
    log.reached(Level::Local, ack.end).await.unwrap();
    assert_eq!(bodies(&log, QUEUE).len(), sent);

    log.forget_queues(&[QUEUE]);
    until("segments are given back", || store.fill().state == FillState::Open).await;
    assert!(store.fill().used < 2 << 20, "{:?}", store.fill());
    send(&log, OTHER, &body).await;
    store.close().await;
    drop((log, store));
    let store = open(dir.path());
    let log = own(&store, 2).await;
    assert_eq!(bodies(&log, OTHER).len(), 1);
    assert_eq!(log.bounds(QUEUE).next, QueueOffset(0));
    store.close().await;
}

/// Sends until something else than [`Refused::Busy`] says no; what that was, and how many it took.
async fn fill_index(log: &Log, queue: QueueUid, class: Class) -> (usize, Refused) {
    let mut taken = 0;
    loop {
        match log.append(vec![message(queue, b"small"); 50], class) {
            Ok(appended) => {
                log.reached(Level::Local, appended.end).await.unwrap();
                taken += 50;
            }
            Err(Refused::Busy) => Env::system().sleep(Duration::from_millis(5)).await,
            Err(refused) => return (taken, refused),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_index_refuses_messages_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreConfig { index_bytes: 40 << 10, ..config(dir.path()) };
    let store = Store::open(small.clone(), Env::system()).unwrap();
    let log = own(&store, 1).await;
    let (taken, refused) = fill_index(&log, QUEUE, Class::Message).await;
    assert!(
        matches!(refused, Refused::IndexFull { limit, .. } if limit == 40 << 10),
        "{refused:?}"
    );
    assert!(taken > 2000, "a message takes less than 20 bytes: {taken}");
    let fill = store.fill();
    assert_eq!((fill.state, fill.index.limit), (FillState::RefusingMessages, 40 << 10));
    assert!((36 << 10..44 << 10).contains(&fill.index.used), "{fill:?}");

    let ack = || vec![draft(RecordKind::Ack, QUEUE, b"ack")];
    log.append(ack(), Class::Reserve).unwrap();
    let (reserve, refused) = fill_index(&log, QUEUE, Class::Reserve).await;
    assert!(matches!(refused, Refused::IndexFull { .. }), "{refused:?}");
    assert!(reserve > 0, "a tenth is left to what consumers need");
    log.append(ack(), Class::Reserve).unwrap();
    assert_eq!(entries(&log, QUEUE).len(), taken + reserve);

    // More than the index may have is no reason not to start.
    store.close().await;
    drop((log, store));
    let smaller = StoreConfig { index_bytes: 10 << 10, ..small };
    let store = Store::open(smaller, Env::system()).unwrap();
    let log = own(&store, 2).await;
    assert_eq!(bodies(&log, QUEUE).len(), taken + reserve);
    let (none, refused) = fill_index(&log, OTHER, Class::Message).await;
    assert!(matches!(refused, Refused::IndexFull { .. }) && none == 0, "{refused:?}");

    log.forget_queues(&[QUEUE]);
    assert_eq!(store.fill().state, FillState::Open);
    send(&log, OTHER, b"again").await;
    drop(log);
    store.close().await;
    assert_eq!(store.fill().index.used, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_topic_in_the_middle_of_the_log_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let body = vec![1; 100 << 10];
    let first = send(&log, OTHER, b"first").await;
    let mut gone = Lsn(0);
    for _ in 0..30 {
        gone = send(&log, QUEUE, &body).await;
    }
    for _ in 0..12 {
        send(&log, OTHER, &body).await;
    }
    let before = store.fill().used;
    log.forget_queues(&[QUEUE]);
    until("segments are given back", || store.fill().used + (2 << 20) <= before + (64 << 10)).await;
    assert_eq!(log.read(first).unwrap().body, "head-first-tail");
    assert_eq!(entries(&log, OTHER).len(), 13);
    assert_eq!(log.queues().into_iter().collect::<Vec<_>>(), [OTHER]);
    let refused = log.append(vec![message(QUEUE, b"x")], Class::Message);
    assert_eq!(refused, Err(Refused::UnknownQueue(QUEUE)));
    send(&log, OTHER, b"last").await;
    let before = (entries(&log, OTHER), log.end());
    store.close().await;
    drop((log, store));
    let store = open(dir.path());
    assert!(!store.is_damaged());
    let log = own(&store, 2).await;
    assert_eq!(before, (entries(&log, OTHER), log.end()));
    assert!(matches!(log.read(gone), Err(ReadError::Gone(_)) | Ok(_)));
    assert_eq!(log.bounds(QUEUE).next, QueueOffset(0));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_not_recycled_while_a_record_of_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let body = vec![9; 200 << 10];
    let held = log.read(send(&log, QUEUE, &body).await).unwrap().body;
    let copy = held.to_vec();
    for round in 0..12u64 {
        let queue = QueueUid(100 + round);
        log.open_queue(queue, Level::Local);
        for _ in 0..4 {
            send(&log, queue, &body).await;
        }
        log.forget_queues(&[queue, QUEUE]);
    }
    assert_eq!(held, copy);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    send(&log, QUEUE, b"a").await;
    let time = entries(&log, QUEUE)[0].time;
    assert_eq!(log.offset_at_time(QUEUE, time), QueueOffset(0));
    assert_eq!(log.offset_at_time(QUEUE, Timestamp(time.0 + 1)), QueueOffset(1));
    let large = log.append(vec![message(QUEUE, &vec![0; 1 << 20])], Class::Message);
    assert!(matches!(large, Err(Refused::TooLarge { limit: 262_144, .. })), "{large:?}");
    assert!(matches!(log.read(log.end()), Err(ReadError::NotYet(_))));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn async_messages_are_acknowledged_at_their_level() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let queue = QueueUid(50);
    log.open_queue(queue, Level::Async);
    let appended = log.append(vec![message(queue, b"a")], Class::Message).unwrap();
    log.reached(Level::Async, appended.end).await.unwrap();
    assert_eq!(bodies(&log, queue).len(), 1);
    store.close().await;
}

#[tokio::test]
async fn each_sync_is_measured_with_what_it_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let log = own(&store, 1).await;
    let before = store.metrics();
    let (begin, records) = (log.end(), 5);
    for _ in 0..records {
        send(&log, QUEUE, &[0; 100]).await;
    }
    let after = store.metrics();
    let grown = after.group_records.sum - before.group_records.sum;
    assert_eq!(grown, records);
    assert_eq!(after.group_bytes.sum - before.group_bytes.sum, log.end().since(begin));
    // Each was waited for, so each had a sync of its own.
    assert_eq!(after.sync_micros.count() - before.sync_micros.count(), records);
    assert_eq!(after.group_bytes.count(), after.sync_micros.count());
}

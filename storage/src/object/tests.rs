use super::testing::{Faults, Plan, hasty};
use super::*;
use crate::env::Env;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

mod in_memory {
    use super::*;

    async fn open() -> Option<(Bucket, ())> {
        Some((Bucket::in_memory(Env::system()), ()))
    }

    crate::bucket_conformance!(open());
}

mod in_a_folder {
    use super::*;

    async fn open() -> Option<(Bucket, tempfile::TempDir)> {
        let dir = tempfile::tempdir().unwrap();
        let url = StoreUrl::Folder(dir.path().join("made/when/missing"));
        Some((Bucket::open(&url, None, Env::system()).unwrap(), dir))
    }

    crate::bucket_conformance!(open());
}

mod behind_faults {
    use super::*;

    /// Every fourth request fails, one way or another.
    async fn open() -> Option<(Bucket, Arc<Faults>)> {
        let (bucket, faults) = faulty(Plan { refused: 120, lost: 80, cut: 50, ..Plan::default() });
        Some((bucket.with_patience(hasty()), faults))
    }

    crate::bucket_conformance!(open());
}

fn faulty(plan: Plan) -> (Bucket, Arc<Faults>) {
    let faults = Faults::seeded(7, Env::system());
    faults.set(plan);
    (Bucket::faulty(&faults, Env::system()).with_patience(hasty()), faults)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn once() -> Patience {
    Patience { attempts_max: 1, ..hasty() }
}

#[tokio::test]
async fn a_bucket_apart_is_the_same_bucket_with_the_same_counters() {
    let bucket = Bucket::in_memory(Env::system());
    let apart = bucket.apart().unwrap();
    apart.create(&name("a"), Bytes::from_static(b"content"), Purpose::Upload).await.unwrap();
    let read = bucket.get(&name("a"), Span::All, Purpose::Read).await.unwrap();
    assert_eq!(read.bytes, "content");
    assert_eq!(bucket.usage(), apart.usage());
    assert_eq!(bucket.usage().len(), 2);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_recognised() {
    for len in [10, 9 << 20] {
        let (bucket, faults) = faulty(Plan { lost: 300, ..Plan::default() });
        let content = vec![1u8; len];
        for turn in 0..20 {
            let name = name(&format!("object-{turn}"));
            bucket.create(&name, content.clone(), Purpose::Upload).await.unwrap();
            let again = bucket.create(&name, content.clone(), Purpose::Upload).await;
            assert_eq!(again.unwrap(), Created::Before);
        }
        assert!(faults.happened().lost > 10, "{:?}", faults.happened());
    }
}

/// One attempt, its answer lost: a look tells.
#[tokio::test]
async fn an_unknown_outcome_is_looked_up_before_it_is_reported() {
    let (bucket, faults) = faulty(Plan::default());
    let mut before = 0;
    let mut unknown = 0;
    for turn in 0..60 {
        faults.set(Plan { lost: 500, ..Plan::default() });
        let name = name(&format!("object-{turn}"));
        let outcome = bucket.with_patience(once()).create(&name, vec![1], Purpose::Upload).await;
        faults.set(Plan::default());
        match outcome {
            Ok(Created::Now) => {}
            Ok(Created::Before) => before += 1,
            Err(error) => {
                assert_eq!(error.applied(), Applied::Unknown, "{error}");
                unknown += 1;
            }
        }
        bucket.get(&name, Span::All, Purpose::Read).await.expect("stored each time");
    }
    assert!(before > 0 && unknown > 0, "{before} looked up, {unknown} not");
}

#[tokio::test]
async fn a_body_that_ends_early_is_never_taken_for_the_object() {
    let (bucket, faults) = faulty(Plan { cut: 500, ..Plan::default() });
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    bucket.create(&name("object"), content.clone(), Purpose::Upload).await.unwrap();
    for _ in 0..50 {
        let read = bucket.get(&name("object"), Span::All, Purpose::Read).await.unwrap();
        assert!(read.bytes == content);
        let ranges = [0..10, 300_000..300_400];
        let read = bucket.get_ranges(&name("object"), &ranges, Purpose::Read).await.unwrap();
        assert!(read[1] == content[300_000..300_400]);
    }
    assert!(faults.happened().cut > 20, "{:?}", faults.happened());
}

/// The port passes on what it was given: whoever reads checks the checksums of what is inside.
#[tokio::test]
async fn a_flipped_bit_is_one_bit() {
    let (bucket, faults) = faulty(Plan { flipped: 1_000, ..Plan::default() });
    bucket.create(&name("object"), vec![0u8; 1_000], Purpose::Upload).await.unwrap();
    let read = bucket.get(&name("object"), Span::All, Purpose::Read).await.unwrap();
    let ones: u32 = read.bytes.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!((ones, faults.happened().flipped), (1, 1));
}

#[tokio::test]
async fn a_store_that_is_down_is_said_to_be_and_not_hammered() {
    let (bucket, faults) = faulty(Plan { down: true, ..Plan::default() });
    let patient = bucket.with_patience(Patience { attempts_max: 8, ..hasty() });
    let error = patient.create(&name("a"), vec![1], Purpose::Upload).await.unwrap_err();
    assert!(matches!(error.advice(), Advice::Retry(_)), "{error}");
    assert!(matches!(bucket.health(), Health::Down { .. }), "{:?}", bucket.health());
    let asked = faults.happened().requests;
    for _ in 0..100 {
        let error = bucket.get(&name("a"), Span::All, Purpose::Read).await.unwrap_err();
        assert!(matches!(error, Error::Down { .. }), "{error}");
        assert_eq!(error.applied(), Applied::No);
    }
    assert!(faults.happened().requests <= asked + 1, "at most a probe among them");

    faults.set(Plan::default());
    let back = async {
        loop {
            match bucket.create(&name("a"), vec![1], Purpose::Upload).await {
                Ok(_) => break,
                Err(Error::Down { .. }) => Env::system().sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("it is asked again");
    assert_eq!(bucket.health(), Health::Up);
}

#[tokio::test]
async fn an_attempt_ends_at_its_deadline() {
    let (bucket, faults) = faulty(Plan { slow: Duration::from_secs(600), ..Plan::default() });
    let short =
        Patience { attempt_time_max: Duration::from_millis(20), attempts_max: 2, ..hasty() };
    let bucket = bucket.with_patience(short);
    let object = name("object");
    let read = bucket.get(&object, Span::All, Purpose::Read);
    let error = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unavailable { attempts: 2, .. }), "{error}");
    assert!(error.to_string().contains("no answer within"), "{error}");
    let create = bucket.create(&object, vec![1], Purpose::Upload);
    let error = tokio::time::timeout(Duration::from_secs(20), create).await.unwrap().unwrap_err();
    assert_eq!(error.applied(), Applied::Unknown);
    faults.set(Plan::default());
    bucket.create(&object, vec![1], Purpose::Upload).await.unwrap();
}

#[tokio::test]
async fn deletes_that_lag_are_found_out() {
    let (bucket, _faults) = faulty(Plan { delete_lag: 10, ..Plan::default() });
    assert!(!bucket.probe().await.unwrap().deletes_at_once);
    bucket.create(&name("object"), vec![1], Purpose::Upload).await.unwrap();
    bucket.delete(&[name("object")], Purpose::Collection).await.unwrap();
    assert!(bucket.head(&name("object"), Purpose::Read).await.is_ok(), "still to be seen");
    for _ in 0..10 {
        let _ = bucket.head(&name("object"), Purpose::Read).await;
    }
    let error = bucket.head(&name("object"), Purpose::Read).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

/// A store that takes no notice of "make only": a look comes first, once the probe has found out.
#[tokio::test]
async fn a_store_that_replaces_is_found_out_and_looked_at_first() {
    let (bucket, _faults) = faulty(Plan { ignores_create: true, ..Plan::default() });
    assert!(!bucket.probe().await.unwrap().create_only);
    bucket.create(&name("object"), vec![1, 2], Purpose::Upload).await.unwrap();
    let error = bucket.create(&name("object"), vec![3, 4], Purpose::Upload).await.unwrap_err();
    assert!(matches!(error, Error::Foreign { found: 2, .. }), "{error}");
    let stored = bucket.get(&name("object"), Span::All, Purpose::Read).await.unwrap();
    assert_eq!(stored.bytes, vec![1, 2]);
}

#[tokio::test]
async fn attempts_are_counted_each_time() {
    let (bucket, faults) = faulty(Plan { refused: 400, ..Plan::default() });
    for turn in 0..50 {
        let name = name(&format!("object-{turn}"));
        bucket.create(&name, vec![0; 100], Purpose::Snapshot).await.unwrap();
    }
    let usage = bucket.usage();
    let row = usage.iter().find(|row| row.kind == Kind::Put).unwrap();
    let happened = faults.happened();
    assert_eq!((row.requests, row.failures), (happened.requests, happened.refused));
    assert_eq!(row.sent_bytes, row.requests * 100);
    assert!(row.failures > 10);
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = StoreUrl::Folder(file.path().join("below-a-file"));
    let error = Bucket::open(&url, None, Env::system()).unwrap_err();
    assert!(error.to_string().contains("below-a-file cannot be made"), "{error}");
}

#[tokio::test]
async fn an_upload_is_stored_as_it_was_pushed() {
    for len in [0, 10, 8 << 20, 20 << 20] {
        let plan = Plan { refused: 100, lost: 200, ..Plan::default() };
        let (faulty, _faults) = faulty(plan);
        let dir = tempfile::tempdir().unwrap();
        let folder = StoreUrl::Folder(dir.path().to_owned());
        let folder = Bucket::open(&folder, None, Env::system()).unwrap();
        for bucket in [faulty, folder] {
            let content: Vec<u8> = (0..len as u32).map(|at| (at >> 3) as u8).collect();
            let mut upload = bucket.upload(name("object"), Purpose::Compaction);
            for some in content.chunks(3 << 20) {
                upload.push(Bytes::copy_from_slice(some)).await.unwrap();
            }
            let stored = upload.finish().await.unwrap();
            assert_eq!(stored.bytes, len as u64);
            let hash = <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&content));
            assert_eq!(stored.sha256, hash);
            let read = bucket.get(&name("object"), Span::All, Purpose::Read).await.unwrap();
            assert!(read.bytes == content);
            // Each upload is a try of its own, under a name of its own.
            let mut again = bucket.upload(name("object"), Purpose::Compaction);
            let outcome = match again.push(vec![7; 9 << 20].into()).await {
                Ok(()) => again.finish().await.map(|_| ()),
                Err(error) => Err(error),
            };
            assert!(matches!(outcome, Err(Error::Foreign { .. })), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_to_be_read() {
    let (bucket, _faults) = faulty(Plan::default());
    let mut upload = bucket.upload(name("object"), Purpose::Compaction);
    upload.push(vec![1; 20 << 20].into()).await.unwrap();
    upload.abort().await;
    let error = bucket.head(&name("object"), Purpose::Read).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn what_is_locked_stays_and_the_rest_goes() {
    let (bucket, faults) = faulty(Plan { lost: 100, ..Plan::default() });
    let names: Vec<Name> = ["free/a", "locked/b", "free/c"].map(name).to_vec();
    for name in &names {
        bucket.create(name, vec![1], Purpose::Upload).await.unwrap();
    }
    faults.lock(Some("locked"));
    let refused = bucket.delete_some(&names, Purpose::Collection).await.unwrap();
    assert_eq!(refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["locked/b"]);
    assert!(bucket.delete(&names, Purpose::Collection).await.is_err());
    faults.lock(None);
    bucket.delete(&names, Purpose::Collection).await.unwrap();
    assert!(bucket.list(None, None, Purpose::Read).next().await.unwrap().is_none());
}

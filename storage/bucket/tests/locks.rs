//! Locked objects on a real S3-compatible service: `tests/s3/run` starts one.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use bucket::{Locks, Wanted};
use std::time::Duration;
use storage::env::Env;
use storage::object::{Bucket, Name, Purpose, StoreUrl};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A bucket that no other run uses, with or without Object Lock.
async fn fresh(object_lock: bool) -> Option<StoreUrl> {
    if std::env::var_os("STRATAMQ_TEST_STORE").is_none() {
        println!("SKIPPED: STRATAMQ_TEST_STORE names no store; see tests/s3/run");
        return None;
    }
    let env = Env::system();
    let url: StoreUrl = format!("s3://stratamq-{:016x}/mq/eu", env.random_u64()).parse().unwrap();
    bucket::create(&url, Wanted { object_lock }, &env).await.unwrap();
    Some(url)
}

#[tokio::test]
async fn a_bucket_without_object_lock_has_no_locks() {
    let Some(url) = fresh(false).await else { return };
    assert!(Locks::open(&url, &Env::system()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_object_is_locked_longer_and_never_shorter() {
    let Some(url) = fresh(true).await else { return };
    let env = Env::system();
    let Some(locks) = Locks::open(&url, &env).await.unwrap() else {
        println!("SKIPPED: this service has no Object Lock");
        return;
    };
    let data = Bucket::open(&url, None, env.clone()).unwrap();
    let name = Name::parse("run/0001/one").unwrap();
    data.create(&name, b"message".to_vec(), Purpose::Probe).await.unwrap();
    let now = env.now();
    let day = locks.lock_until(&name, now.plus(DAY)).await.unwrap();
    assert!(now.plus(DAY) <= day && day < now.plus(DAY + Duration::from_secs(1)));
    assert_eq!(locks.lock_until(&name, now.plus(DAY)).await.unwrap(), day);
    let week = locks.lock_until(&name, now.plus(7 * DAY)).await.unwrap();
    assert!(week >= now.plus(7 * DAY));
    assert_eq!(locks.lock_until(&name, now.plus(DAY)).await.unwrap(), week);
    // Where versions are kept, a deletion hides it and deletes nothing.
    match data.delete(std::slice::from_ref(&name), Purpose::Probe).await {
        Ok(()) => println!("SKIPPED: this service keeps versions"),
        Err(_) => assert_eq!(data.head(&name, Purpose::Probe).await.unwrap().bytes, 7),
    }
    let missing = Name::parse("run/0001/none").unwrap();
    locks.lock_until(&missing, now.plus(DAY)).await.unwrap_err();
}

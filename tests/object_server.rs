//! The S3-compatible server of the tests: it behaves like a bucket, and fails as it is told.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of a real server runs on the real clock"
)]

mod harness;

use bytes::Bytes;
use harness::s3::faults::{Fault, Rule};
use harness::s3::request::{Asked, Kind, Which};
use harness::s3::server::Server;
use object_store::StaticCredentialProvider;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use storage::env::Env;
use storage::object::testing::hasty;
use storage::object::{
    Applied, AwsCredential, Bucket, Error, Health, Name, Patience, Purpose, S3Access, Span,
};

const FOR: Purpose = Purpose::Check;
const BYTES: usize = 100_000;

fn opened(server: &Server) -> Bucket {
    let (key_id, secret_key) = ("test".to_owned(), "testtest".to_owned());
    let credential = AwsCredential { key_id, secret_key, token: None };
    let access = S3Access {
        credentials: Some(Arc::new(StaticCredentialProvider::new(credential))),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(server.endpoint()),
    };
    Bucket::open(&server.url().parse().unwrap(), Some(access), Env::system()).unwrap()
}

async fn open() -> Option<(Bucket, Server)> {
    let server = Server::start();
    Some((opened(&server), server))
}

async fn open_in_files() -> Option<(Bucket, (Server, tempfile::TempDir))> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path());
    Some((opened(&server), (server, folder)))
}

mod in_memory {
    use super::open;
    storage::bucket_conformance!(open());
}

mod in_files {
    use super::open_in_files;
    storage::bucket_conformance!(open_in_files());
}

mod behind_faults {
    use super::{Bucket, Fault, Rule, Server, Which, hasty, open};

    /// Every fourth request fails in one of four ways.
    async fn shaken() -> Option<(Bucket, Server)> {
        let (bucket, server) = open().await?;
        for fault in [Fault::SlowDown, Fault::Dropped, Fault::ReplyLost, Fault::Truncated] {
            server.add(Rule::new(fault, Which::any()).percent(6));
        }
        Some((bucket.with_patience(hasty()), server))
    }

    storage::bucket_conformance!(shaken());
}

/// One attempt, which does not wait long.
fn once() -> Patience {
    Patience { attempts_max: 1, attempt_time_max: Duration::from_millis(300), ..hasty() }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn content() -> Bytes {
    (0..BYTES).map(|at| at.to_le_bytes()[0]).collect::<Vec<u8>>().into()
}

/// A bucket that is asked once, with one object.
async fn with_object(text: &str) -> (Bucket, Server) {
    let (bucket, server) = open().await.unwrap();
    bucket.create(&name(text), content(), FOR).await.unwrap();
    (bucket.with_patience(once()), server)
}

fn may_have_happened(error: &Error) -> bool {
    matches!(error, Error::Unavailable { applied: Applied::Unknown, .. })
}

#[tokio::test]
async fn a_storm_befalls_what_it_is_for_as_often_as_it_is_told() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::SlowDown, Which::of(&[Kind::Get]).below("l0/")).times(2));
    for _ in 0..2 {
        let error = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap_err();
        assert!(error.to_string().contains("SlowDown"), "{error}");
    }
    assert!(bucket.get(&name("l0/a"), Span::All, FOR).await.is_ok());
    let count = server.count(&Which::of(&[Kind::Get]).below("l0/"));
    assert_eq!((count.requests, count.failed, count.sent_bytes), (3, 2, BYTES as u64));
    assert_eq!(server.count(&Which::any().below("l1/")).requests, 0);
}

#[tokio::test]
async fn a_share_is_about_a_share() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::InternalError, Which::of(&[Kind::Head])).percent(30));
    for _ in 0..300 {
        let _ = bucket.head(&name("l0/a"), FOR).await;
        if matches!(bucket.health(), Health::Down { .. }) {
            break;
        }
    }
    let count = server.count(&Which::of(&[Kind::Head]));
    assert!((count.requests / 5..count.requests / 2).contains(&count.failed), "{count:?}");
}

#[tokio::test]
async fn a_server_that_is_down_refuses_connections_until_it_is_up() {
    let (bucket, server) = with_object("l0/a").await;
    server.down();
    // The client may find that its idle connection was closed before it tries a new one.
    let _ = bucket.head(&name("l0/a"), FOR).await;
    let error = bucket.head(&name("l0/a"), FOR).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { applied: Applied::No, .. }), "{error}");
    server.up();
    let stored = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap();
    assert_eq!(stored.bytes, content());
}

#[tokio::test]
async fn a_reply_is_lost_after_what_was_asked_has_happened() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::ReplyLost, Which::writes()).times(1));
    let outcome = bucket.create(&name("l0/b"), content(), FOR).await;
    assert!(outcome.is_ok() || may_have_happened(&outcome.unwrap_err()));
    assert_eq!(server.object("l0/b").unwrap(), content());
    assert_eq!(server.names("l0/"), ["l0/a", "l0/b"]);
}

#[tokio::test]
async fn a_connection_is_dropped_before_anything_has_happened() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::Dropped, Which::writes()));
    let error = bucket.create(&name("l0/b"), content(), FOR).await.unwrap_err();
    assert!(may_have_happened(&error), "{error}");
    assert_eq!(server.object("l0/b"), None);
}

#[tokio::test]
async fn what_hangs_is_not_answered_until_it_is_lifted() {
    let (bucket, server) = with_object("l0/a").await;
    let rule = server.add(Rule::new(Fault::Hang, Which::of(&[Kind::Get])));
    let error = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    server.lift(rule);
    assert!(bucket.get(&name("l0/a"), Span::All, FOR).await.is_ok());
}

#[tokio::test]
async fn a_slow_body_takes_its_time() {
    let (bucket, server) = with_object("l0/a").await;
    let rule = server.add(Rule::new(Fault::Slow(50_000), Which::any()));
    let error = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    let part = bucket.get(&name("l0/a"), 0..5_000, FOR).await.unwrap();
    assert_eq!(part.bytes, content().slice(..5_000));
    server.lift(rule);
    assert!(bucket.get(&name("l0/a"), Span::All, FOR).await.is_ok());
}

#[tokio::test]
async fn a_truncated_body_is_no_answer() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::Truncated, Which::of(&[Kind::Get])).times(1));
    let error = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap_err();
    assert!(may_have_happened(&error), "{error}");
    assert!(bucket.get(&name("l0/a"), Span::All, FOR).await.is_ok());
}

fn differing(bytes: &[u8]) -> Vec<usize> {
    let whole = content();
    (0..BYTES).filter(|at| bytes[*at] != whole[*at]).collect()
}

#[tokio::test]
async fn a_bit_comes_wrong_once() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::FlippedBit, Which::of(&[Kind::Get])).times(1));
    let spoilt = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap();
    assert_eq!(differing(&spoilt.bytes), [BYTES / 2]);
    let whole = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap();
    assert!(differing(&whole.bytes).is_empty());
}

#[tokio::test]
async fn a_damaged_object_stays_damaged() {
    let (bucket, server) = with_object("l0/a").await;
    server.damage("l0/a", 77 * 8);
    for _ in 0..2 {
        let spoilt = bucket.get(&name("l0/a"), Span::All, FOR).await.unwrap();
        assert_eq!(differing(&spoilt.bytes), [77]);
    }
}

#[tokio::test]
async fn lists_lag_and_deletions_lag() {
    let (bucket, server) = with_object("l0/a").await;
    server.lag_lists(Duration::from_secs(3_600));
    bucket.create(&name("l0/b"), content(), FOR).await.unwrap();
    let mut listing = bucket.list(Some(&name("l0")), None, FOR);
    assert_eq!(listing.next().await.unwrap().unwrap().name, name("l0/a"));
    assert_eq!(listing.next().await.unwrap(), None);
    server.lag_deletes(Duration::from_secs(3_600));
    bucket.delete(&[name("l0/a"), name("l0/b")], FOR).await.unwrap();
    assert!(bucket.head(&name("l0/a"), FOR).await.is_ok());
}

#[tokio::test]
async fn a_hook_is_called_at_its_request_and_no_other() {
    let (bucket, server) = with_object("l0/a").await;
    let server = Arc::new(server);
    let seen = Arc::new(AtomicU32::new(0));
    let puts = || Which::of(&[Kind::Put]).below("manifest/");
    let look = |is_after: bool, bit: u32| {
        let (server, seen) = (Arc::downgrade(&server), Arc::clone(&seen));
        move |asked: &Asked| {
            let stored = server.upgrade().unwrap().object(asked.name()).is_some();
            if asked.name() == "manifest/1" && stored == is_after {
                seen.fetch_add(bit, Ordering::SeqCst);
            }
        }
    };
    server.before(puts(), 2, look(false, 1));
    server.after(puts(), 2, look(true, 10));
    for text in ["manifest/0", "l0/x", "manifest/1", "manifest/2"] {
        bucket.create(&name(text), content(), FOR).await.unwrap();
    }
    assert_eq!(seen.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn an_upload_in_parts_that_fails_is_aborted() {
    let (bucket, server) = with_object("l0/a").await;
    server.add(Rule::new(Fault::InternalError, Which::of(&[Kind::Part])));
    let large = Bytes::from(vec![7; 17 << 20]);
    let patient = Patience { attempt_time_max: Duration::from_secs(10), ..once() };
    let outcome = bucket.with_patience(patient).create(&name("l0/large"), large, FOR).await;
    assert!(outcome.is_err());
    assert_eq!(server.uploads(), 0);
    assert_eq!(server.count(&Which::of(&[Kind::Abort])).requests, 1);
}

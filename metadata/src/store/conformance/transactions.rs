//! Reads and transactions.

use super::Harness;
use super::ask::{change, delete, done, expect, get, list, put, put_leased, text};
use crate::store::{
    Change, Error, Expect, OPS_MAX, REQUEST_BYTES_MAX, Range, Revision, Txn, TxnOutcome,
};
use bytes::Bytes;
use std::time::Duration;

/// Put, get, overwrite, delete, get.
pub async fn a_put_is_read_back(harness: &mut impl Harness) {
    let store = harness.store();
    assert_eq!(get(&*store, "k").await, None);
    let first = put(&*store, "k", "1").await;
    let second = put(&*store, "k", "2").await;
    assert!(second > first, "each change has a later revision");
    let pair = get(&*store, "k").await.expect("it was put");
    assert_eq!((&*pair.key, &*pair.value, pair.modified), ("k", &b"2"[..], second));
    delete(&*store, "k").await;
    assert_eq!(get(&*store, "k").await, None);
    put(&*store, "k", "").await;
    assert_eq!(get(&*store, "k").await.map(|pair| pair.value), Some(Bytes::new()));
}

/// Neighbours of the prefix stay out; the empty prefix has all.
pub async fn a_range_is_sorted_and_ends_with_its_prefix(harness: &mut impl Harness) {
    let store = harness.store();
    for key in ["b/2", "a", "b/", "c", "b0", "b/10", "b/\u{10ffff}"] {
        put(&*store, key, "v").await;
    }
    let last = put(&*store, "b/1", "v").await;
    let keys = |range: &Range| range.pairs.iter().map(|p| p.key.to_string()).collect::<Vec<_>>();
    let range = list(&*store, "b/").await;
    assert_eq!(keys(&range), ["b/", "b/1", "b/10", "b/2", "b/\u{10ffff}"]);
    assert_eq!(range.revision, last);
    assert_eq!(list(&*store, "").await.pairs.len(), 8);
    assert_eq!(list(&*store, "d").await.pairs, []);
}

/// No part of it happens, no revision passes, and the keys asked for are read.
pub async fn a_refused_transaction_changes_nothing_and_reads(harness: &mut impl Harness) {
    let store = harness.store();
    let revision = put(&*store, "there", "1").await;
    let outcome = store.txn(Txn {
        compare: vec![expect("there", Expect::Present), expect("missing", Expect::Present)],
        then: vec![change("there", "2"), change("other", "2")],
        otherwise: vec!["missing".into(), "there".into()],
    });
    let outcome = outcome.await.expect("a transaction");
    let there = get(&*store, "there").await;
    assert_eq!(there.as_ref().map(|pair| &*pair.value), Some(&b"1"[..]));
    assert_eq!(outcome, TxnOutcome::Refused { revision, read: vec![None, there] });
    assert_eq!(list(&*store, "").await.revision, revision);
}

/// Absent, present and modified, alone and together.
pub async fn every_compare_is_against_one_state(harness: &mut impl Harness) {
    let store = harness.store();
    let old = put(&*store, "k", "1").await;
    let now = put(&*store, "k", "2").await;
    for (key, compare, want) in [
        ("k", Expect::Present, true),
        ("k", Expect::Absent, false),
        ("k", Expect::Modified(now), true),
        ("k", Expect::Modified(old), false),
        ("none", Expect::Present, false),
        ("none", Expect::Absent, true),
        ("none", Expect::Modified(now), false),
        ("none", Expect::Modified(Revision(0)), false),
    ] {
        let txn = Txn { compare: vec![expect(key, compare)], ..Txn::default() };
        let done = matches!(store.txn(txn).await, Ok(TxnOutcome::Done { .. }));
        assert_eq!(done, want, "{key} {compare:?}");
    }
    // A transaction's own puts are not compared with.
    let txn = Txn {
        compare: vec![expect("a", Expect::Absent), expect("b", Expect::Absent)],
        then: vec![change("a", "1"), change("b", "1")],
        ..Txn::default()
    };
    let revision = done(store.txn(txn).await.expect("a transaction"));
    for key in ["a", "b"] {
        assert_eq!(get(&*store, key).await.map(|pair| pair.modified), Some(revision), "{key}");
    }
}

/// Many make one absent key: one does.
pub async fn of_racing_transactions_one_wins(harness: &mut impl Harness) {
    let store = harness.store();
    for round in 0..20 {
        let key = format!("race/{round}");
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..8 {
            let (store, key) = (store.clone(), key.clone());
            racers.spawn(async move {
                let txn = Txn {
                    compare: vec![expect(&key, Expect::Absent)],
                    then: vec![change(&key, &format!("{racer}"))],
                    otherwise: vec![],
                };
                let won = matches!(store.txn(txn).await, Ok(TxnOutcome::Done { .. }));
                won.then(|| format!("{racer}"))
            });
        }
        let won: Vec<String> = racers.join_all().await.into_iter().flatten().collect();
        let value = get(&*store, &key).await.expect("one made it").value;
        assert_eq!(won.iter().map(String::as_bytes).collect::<Vec<_>>(), [&*value]);
    }
}

/// Compare-and-swap of one key from many tasks.
pub async fn a_counter_raced_for_loses_no_count(harness: &mut impl Harness) {
    let store = harness.store();
    put(&*store, "count", "0").await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let store = store.clone();
        racers.spawn(async move {
            let mut counted = 0;
            while counted < 10 {
                let pair = get(&*store, "count").await.expect("it is there");
                let count: u32 = text(&pair.value).parse().expect("a number");
                let txn = Txn {
                    compare: vec![expect("count", Expect::Modified(pair.modified))],
                    then: vec![change("count", &(count + 1).to_string())],
                    otherwise: vec![],
                };
                if let Ok(TxnOutcome::Done { .. }) = store.txn(txn).await {
                    counted += 1;
                }
            }
        });
    }
    racers.join_all().await;
    assert_eq!(get(&*store, "count").await.map(|pair| text(&pair.value)), Some("60".into()));
}

/// Over keys, deletes, making again, leases and opening again: revisions only grow.
pub async fn the_revision_is_global_and_never_restarts(harness: &mut impl Harness) {
    let store = harness.store();
    let mut last = Revision(0);
    let mut later = |revision: Revision, what: &str| {
        assert!(revision > last, "{what}: {revision} after {last}");
        last = revision;
    };
    later(put(&*store, "a", "1").await, "first");
    later(put(&*store, "b", "1").await, "another key");
    later(delete(&*store, "a").await, "delete");
    later(put(&*store, "a", "1").await, "made again");
    let lease = store.grant(Duration::from_secs(60)).await.expect("a lease");
    later(put_leased(&*store, "l", lease).await, "leased");
    store.revoke(lease).await.expect("it is there");
    later(list(&*store, "").await.revision, "revoked");
    // The last thing before closing is a delete, whose revision no key shows any more.
    later(delete(&*store, "a").await, "delete before closing");
    harness.reopen().await;
    let store = harness.store();
    let present = list(&*store, "").await.revision;
    later(put(&*store, "a", "1").await, "after opening again");
    assert!(present < last);
}

/// Operations and bytes.
pub async fn a_transaction_over_the_limits_is_refused(harness: &mut impl Harness) {
    let store = harness.store();
    let puts = |n: usize| (0..n).map(|n| change(&format!("k{n}"), "v")).collect::<Vec<_>>();
    let full = Txn { then: puts(OPS_MAX), ..Txn::default() };
    let revision = done(store.txn(full).await.expect("as many as are allowed"));
    let over = OPS_MAX + 1;
    let compare = vec![expect("k0", Expect::Present); over];
    let large = Bytes::from(vec![0; REQUEST_BYTES_MAX]);
    let large = Change::Put { key: "large".into(), value: large, lease: None };
    for txn in [
        Txn { then: puts(over), ..Txn::default() },
        Txn { compare, ..Txn::default() },
        Txn { otherwise: vec!["k0".into(); over], ..Txn::default() },
    ] {
        let error = store.txn(txn).await.expect_err("one more than allowed");
        assert!(matches!(error, Error::TooManyOps { ops } if ops == over), "{error:?}");
    }
    let error = store.txn(Txn { then: vec![large], ..Txn::default() }).await;
    assert!(matches!(error, Err(Error::TooLarge { .. })), "{error:?}");
    assert_eq!(list(&*store, "").await.revision, revision);
}

/// Two puts, or a put and a delete, of one key; and the empty key.
pub async fn a_key_changed_twice_is_refused(harness: &mut impl Harness) {
    let store = harness.store();
    for then in [
        vec![change("k", "1"), change("k", "2")],
        vec![change("k", "1"), Change::Delete { key: "k".into() }],
        vec![change("", "1")],
    ] {
        let error = store.txn(Txn { then, ..Txn::default() }).await;
        assert!(matches!(error, Err(Error::BadKey(_))), "{error:?}");
    }
    assert_eq!(list(&*store, "").await.pairs, []);
}

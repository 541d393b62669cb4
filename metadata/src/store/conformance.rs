//! What every backend must do: the contract of [`MetadataStore`](super::MetadataStore), as checks.
//!
//! A backend says how to make, reopen and age a store ([`Harness`]) and writes
//! [`metadata_conformance!`](crate::metadata_conformance) in its tests. Each check gets a store of its own.

use super::{
    Change, Compare, Error, Event, Expect, Future, KeyValue, LeaseId, MetadataStore, OPS_MAX,
    REQUEST_BYTES_MAX, Range, Revision, Txn, TxnOutcome, Watch, WatchItem,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a check waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for any backend to grant, in [`Harness::pass`]'s time.
const TTL: Duration = Duration::from_secs(4);

/// One store of a backend, to be checked.
pub trait Harness: Send {
    /// The store.
    fn store(&self) -> Arc<dyn MetadataStore>;
    /// Closes the store and opens the same data again.
    fn reopen(&mut self) -> Future<'_, ()>;
    /// Makes the store forget the changes before the present revision; it may add some.
    fn forget_history(&mut self) -> Future<'_, ()>;
    /// Lets time pass for leases.
    fn pass(&mut self, time: Duration) -> Future<'_, ()>;
}

/// Writes one test per check for the backend whose harness `$fresh()` makes.
#[macro_export]
macro_rules! metadata_conformance {
    ($fresh:expr) => {
        $crate::metadata_conformance!(@each $fresh;
            a_put_is_read_back
            a_range_is_sorted_and_ends_with_its_prefix
            a_refused_transaction_changes_nothing_and_reads
            every_compare_is_against_one_state
            of_racing_transactions_one_wins
            a_counter_raced_for_loses_no_count
            the_revision_is_global_and_never_restarts
            a_transaction_over_the_limits_is_refused
            a_key_changed_twice_is_refused
            a_watch_tells_changes_in_order_and_whole
            a_watch_resumes_without_gap_or_repetition
            a_watch_ahead_of_the_present_begins_there
            a_watch_dropped_while_waiting_loses_nothing
            a_list_and_a_watch_make_a_copy
            a_forgotten_past_is_said_to_be
            an_expired_lease_deletes_its_keys
            a_lease_kept_alive_stays
            an_expired_lease_is_not_kept_alive
            a_revoked_lease_deletes_its_keys_at_once
            a_put_without_the_lease_frees_the_key
            a_put_with_a_dead_lease_is_refused
            a_lease_has_its_full_time_again_after_a_restart
        );
    };
    (@each $fresh:expr; $($check:ident)*) => {$(
        #[tokio::test]
        async fn $check() {
            let mut harness = $fresh();
            $crate::store::conformance::$check(&mut harness).await;
        }
    )*};
}

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
    let lease = store.grant(TTL).await.expect("a lease");
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

/// Puts and deletes of a prefix, a transaction in one piece, and nothing else.
pub async fn a_watch_tells_changes_in_order_and_whole(harness: &mut impl Harness) {
    let store = harness.store();
    let mut watch = store.watch("w/", Revision(1));
    put(&*store, "x", "not watched").await;
    let a = put(&*store, "w/a", "1").await;
    let txn = Txn {
        then: vec![
            change("w/b", "2"),
            Change::Delete { key: "w/a".into() },
            Change::Delete { key: "w/never".into() },
            change("y", "not watched"),
        ],
        ..Txn::default()
    };
    let both = done(store.txn(txn).await.expect("a transaction"));
    let seen = watched(&mut *watch, both).await;
    assert_eq!(
        seen,
        [
            (a, "w/a".into(), Some("1".into())),
            (both, "w/b".into(), Some("2".into())),
            (both, "w/a".into(), None),
        ]
    );
}

/// From every revision, before and after opening again, a watch tells exactly what came from there on.
pub async fn a_watch_resumes_without_gap_or_repetition(harness: &mut impl Harness) {
    let store = harness.store();
    let mut revisions = Vec::new();
    for n in 0..10 {
        revisions.push(put(&*store, &format!("k/{}", n % 3), &n.to_string()).await);
    }
    let last = *revisions.last().expect("ten");
    for reopened in [false, true] {
        if reopened {
            harness.reopen().await;
        }
        let store = harness.store();
        for (n, from) in revisions.iter().enumerate() {
            let mut watch = store.watch("k/", *from);
            let seen: Vec<Revision> =
                watched(&mut *watch, last).await.into_iter().map(|(r, _, _)| r).collect();
            assert_eq!(Some(&*seen), revisions.get(n..), "reopened: {reopened}");
        }
    }
    // Writers and a watch that is made anew all the time.
    let store = harness.store();
    let writer = {
        let store = store.clone();
        async move {
            for n in 0..10 {
                put(&*store, "k/w", &n.to_string()).await;
            }
            list(&*store, "k/").await.revision
        }
    };
    let reader = async {
        let (mut from, mut values) = (last.next(), Vec::new());
        while values.len() < 10 {
            let (upto, events) = batch(&mut *store.watch("k/", from)).await;
            values.extend(events.iter().filter_map(value_of));
            from = upto.next();
        }
        values
    };
    let (_, values) = tokio::join!(writer, reader);
    assert_eq!(values, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// What lies between now and there is not told.
pub async fn a_watch_ahead_of_the_present_begins_there(harness: &mut impl Harness) {
    let store = harness.store();
    let now = put(&*store, "k", "0").await;
    let mut watch = store.watch("", Revision(now.0 + 3));
    for n in 1..=4 {
        put(&*store, "k", &n.to_string()).await;
    }
    let seen = watched(&mut *watch, Revision(now.0 + 4)).await;
    let values: Vec<_> = seen.into_iter().filter_map(|(_, _, value)| value).collect();
    assert_eq!(values, ["3", "4"]);
}

/// `next` is cancel safe.
pub async fn a_watch_dropped_while_waiting_loses_nothing(harness: &mut impl Harness) {
    let store = harness.store();
    let mut watch = store.watch("", Revision(1));
    for n in 0..20 {
        // Polled a few times, then dropped, at a different moment each time.
        tokio::select! {
            biased;
            item = watch.next() => panic!("nothing was changed: {item:?}"),
            () = yields(n) => {}
        }
    }
    let mut expected = Vec::new();
    let mut values = Vec::new();
    for n in 0..10 {
        put(&*store, "k", &n.to_string()).await;
        expected.push(n.to_string());
        tokio::select! {
            biased;
            item = watch.next() => values.extend(events(item).iter().filter_map(value_of)),
            () = yields(n) => {}
        }
    }
    while values.len() < expected.len() {
        values.extend(batch(&mut *watch).await.1.iter().filter_map(value_of));
    }
    assert_eq!(values, expected);
}

/// The use of it: list, then watch from the next revision, beside writers.
pub async fn a_list_and_a_watch_make_a_copy(harness: &mut impl Harness) {
    let store = harness.store();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_u32 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..25_u32 {
                let key = format!("k/{}", (writer * 7 + n) % 5);
                if n % 4 == 3 {
                    delete(&*store, &key).await;
                } else {
                    put(&*store, &key, &format!("{writer}-{n}")).await;
                }
            }
        });
    }
    let range = list(&*store, "k/").await;
    let mut copy: BTreeMap<String, KeyValue> =
        range.pairs.into_iter().map(|pair| (pair.key.to_string(), pair)).collect();
    let mut watch = store.watch("k/", range.revision.next());
    writers.join_all().await;
    let end = put(&*store, "k/end", "").await;
    let mut upto = range.revision;
    while upto < end {
        let (revision, events) = batch(&mut *watch).await;
        for event in events {
            assert!(event.revision() > range.revision, "told what was listed");
            match event {
                Event::Put(pair) => drop(copy.insert(pair.key.to_string(), pair)),
                Event::Delete { key, .. } => drop(copy.remove(&*key)),
            }
        }
        upto = revision;
    }
    let now = list(&*store, "k/").await;
    assert_eq!(copy.into_values().collect::<Vec<_>>(), now.pairs);
}

/// Compacted, again and again; list, and watch from there.
pub async fn a_forgotten_past_is_said_to_be(harness: &mut impl Harness) {
    let store = harness.store();
    put(&*store, "k", "1").await;
    let mut begun = store.watch("", Revision(1));
    harness.forget_history().await;
    for mut watch in [store.watch("", Revision(1)), store.watch("k", Revision(1))] {
        for _ in 0..2 {
            let item = patient(watch.next()).await.expect("an answer");
            let WatchItem::Compacted { oldest } = item else { panic!("{item:?}") };
            assert!(oldest > Revision(1));
        }
    }
    // A watch that was told nothing yet has the same gap.
    let item = patient(begun.next()).await.expect("an answer");
    assert!(matches!(item, WatchItem::Compacted { .. }), "{item:?}");
    let range = list(&*store, "").await;
    let mut watch = store.watch("", range.revision.next());
    let next = put(&*store, "k", "2").await;
    assert_eq!(watched(&mut *watch, next).await, [(next, "k".into(), Some("2".into()))]);
}

/// The keys go, in one transaction, and watches are told.
pub async fn an_expired_lease_deletes_its_keys(harness: &mut impl Harness) {
    let store = harness.store();
    let lease = store.grant(TTL).await.expect("a lease");
    put_leased(&*store, "gw/a", lease).await;
    let before = put_leased(&*store, "gw/b", lease).await;
    let bound = get(&*store, "gw/a").await.expect("it was put").lease;
    assert_eq!(bound, Some(lease));
    let mut watch = store.watch("gw/", before.next());
    harness.pass(TTL * 2).await;
    let (upto, mut events) = batch(&mut *watch).await;
    events.sort_by(|a, b| a.key().cmp(b.key()));
    let gone = |key: &str| Event::Delete { key: key.into(), revision: upto };
    assert_eq!(events, [gone("gw/a"), gone("gw/b")]);
    assert_eq!(list(&*store, "gw/").await.pairs, []);
}

/// Beats at a quarter of its time.
pub async fn a_lease_kept_alive_stays(harness: &mut impl Harness) {
    let store = harness.store();
    let lease = store.grant(TTL).await.expect("a lease");
    put_leased(&*store, "gw/a", lease).await;
    for _ in 0..12 {
        harness.pass(TTL / 4).await;
        store.keepalive(lease).await.expect("it is alive");
    }
    assert!(get(&*store, "gw/a").await.is_some());
}

/// Error, not a new life; and a lease that never was.
pub async fn an_expired_lease_is_not_kept_alive(harness: &mut impl Harness) {
    let store = harness.store();
    let lease = store.grant(TTL).await.expect("a lease");
    harness.pass(TTL * 2).await;
    for lease in [lease, LeaseId(i64::MAX)] {
        for error in [store.keepalive(lease).await, store.revoke(lease).await] {
            assert!(matches!(error, Err(Error::LeaseGone(id)) if id == lease), "{error:?}");
        }
    }
    let next = store.grant(TTL).await.expect("a lease");
    assert_ne!(next, lease, "leases are not used again");
}

/// A graceful stop.
pub async fn a_revoked_lease_deletes_its_keys_at_once(harness: &mut impl Harness) {
    let store = harness.store();
    let lease = store.grant(TTL).await.expect("a lease");
    put_leased(&*store, "gw/a", lease).await;
    store.revoke(lease).await.expect("it is alive");
    assert_eq!(get(&*store, "gw/a").await, None);
    let error = store.keepalive(lease).await;
    assert!(matches!(error, Err(Error::LeaseGone(_))), "{error:?}");
}

/// The key outlives a lease that it is no longer bound to; and ends with its new one.
pub async fn a_put_without_the_lease_frees_the_key(harness: &mut impl Harness) {
    let store = harness.store();
    let old = store.grant(TTL).await.expect("a lease");
    let new = store.grant(TTL).await.expect("a lease");
    put_leased(&*store, "free", old).await;
    put(&*store, "free", "v").await;
    put_leased(&*store, "moved", old).await;
    put_leased(&*store, "moved", new).await;
    put_leased(&*store, "again", old).await;
    delete(&*store, "again").await;
    put(&*store, "again", "v").await;
    store.revoke(old).await.expect("it is alive");
    for key in ["free", "moved", "again"] {
        assert!(get(&*store, key).await.is_some(), "{key}");
    }
    store.revoke(new).await.expect("it is alive");
    assert_eq!(get(&*store, "moved").await, None);
}

/// And none of the transaction happens.
pub async fn a_put_with_a_dead_lease_is_refused(harness: &mut impl Harness) {
    let store = harness.store();
    let lease = store.grant(TTL).await.expect("a lease");
    store.revoke(lease).await.expect("it is alive");
    let leased = Change::Put { key: "b".into(), value: Bytes::new(), lease: Some(lease) };
    let txn = Txn { then: vec![change("a", "1"), leased], ..Txn::default() };
    let error = store.txn(txn).await;
    assert!(matches!(error, Err(Error::LeaseGone(id)) if id == lease), "{error:?}");
    assert_eq!(list(&*store, "").await.pairs, []);
}

/// The rule of etcd's leader change: time is counted anew, and then does end.
pub async fn a_lease_has_its_full_time_again_after_a_restart(harness: &mut impl Harness) {
    let lease = harness.store().grant(TTL).await.expect("a lease");
    put_leased(&*harness.store(), "gw/a", lease).await;
    harness.pass(TTL / 2).await;
    harness.reopen().await;
    harness.pass(TTL * 3 / 4).await;
    assert!(get(&*harness.store(), "gw/a").await.is_some(), "its time begins again");
    harness.pass(TTL * 2).await;
    let store = harness.store();
    let from = list(&*store, "gw/").await;
    if !from.pairs.is_empty() {
        batch(&mut *store.watch("gw/", from.revision.next())).await;
    }
    assert_eq!(get(&*store, "gw/a").await, None);
}

async fn get(store: &dyn MetadataStore, key: &str) -> Option<KeyValue> {
    store.get(key).await.expect("get")
}

async fn list(store: &dyn MetadataStore, prefix: &str) -> Range {
    store.range(prefix).await.expect("range")
}

async fn put(store: &dyn MetadataStore, key: &str, value: &str) -> Revision {
    let txn = Txn { then: vec![change(key, value)], ..Txn::default() };
    done(store.txn(txn).await.expect("put"))
}

async fn put_leased(store: &dyn MetadataStore, key: &str, lease: LeaseId) -> Revision {
    let put = Change::Put { key: key.into(), value: Bytes::new(), lease: Some(lease) };
    done(store.txn(Txn { then: vec![put], ..Txn::default() }).await.expect("put"))
}

async fn delete(store: &dyn MetadataStore, key: &str) -> Revision {
    let then = vec![Change::Delete { key: key.into() }];
    done(store.txn(Txn { then, ..Txn::default() }).await.expect("delete"))
}

fn change(key: &str, value: &str) -> Change {
    Change::Put { key: key.into(), value: Bytes::copy_from_slice(value.as_bytes()), lease: None }
}

fn expect(key: &str, expect: Expect) -> Compare {
    Compare { key: key.into(), expect }
}

fn done(outcome: TxnOutcome) -> Revision {
    match outcome {
        TxnOutcome::Done { revision } => revision,
        TxnOutcome::Refused { .. } => panic!("refused: {outcome:?}"),
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn value_of(event: &Event) -> Option<String> {
    match event {
        Event::Put(pair) => Some(text(&pair.value)),
        Event::Delete { .. } => None,
    }
}

fn events(item: Result<WatchItem, Error>) -> Vec<Event> {
    match item.expect("a watch") {
        WatchItem::Batch { revision, events } => {
            assert!(!events.is_empty(), "an empty batch");
            assert!(events.iter().all(|event| event.revision() <= revision));
            events
        }
        WatchItem::Compacted { oldest } => panic!("compacted up to {oldest}"),
    }
}

async fn batch(watch: &mut dyn Watch) -> (Revision, Vec<Event>) {
    let item = patient(watch.next()).await;
    let upto = match &item {
        Ok(WatchItem::Batch { revision, .. }) => *revision,
        Ok(WatchItem::Compacted { .. }) | Err(_) => panic!("{item:?}"),
    };
    (upto, events(item))
}

/// What a watch tells up to `upto`: revision, key, and the value unless deleted. In order of revisions.
async fn watched(watch: &mut dyn Watch, upto: Revision) -> Vec<(Revision, String, Option<String>)> {
    let mut seen = Vec::new();
    let mut told = Revision(0);
    while told < upto {
        let (revision, events) = batch(watch).await;
        assert!(events.iter().all(|event| event.revision() > told), "told twice");
        seen.extend(events.iter().map(|e| (e.revision(), e.key().to_owned(), value_of(e))));
        told = revision;
    }
    assert!(seen.is_sorted_by_key(|(revision, _, _)| *revision), "out of order: {seen:?}");
    seen
}

async fn patient<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes in time")
}

async fn yields(times: u32) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

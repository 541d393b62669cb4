//! Leases.

use super::Harness;
use super::ask::{batch, change, delete, get, list, put, put_leased};
use crate::store::{Change, Error, Event, LeaseId, Txn};
use bytes::Bytes;
use std::time::Duration;

/// Long enough for any backend to grant, in [`Harness::pass`]'s time.
const TTL: Duration = Duration::from_secs(4);

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

//! Asking a store, where every refusal fails the check.

use crate::store::{
    Change, Compare, Error, Event, Expect, KeyValue, LeaseId, MetadataStore, Range, Revision, Txn,
    TxnOutcome, Watch, WatchItem,
};
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;

/// How long a check waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn get(store: &dyn MetadataStore, key: &str) -> Option<KeyValue> {
    store.get(key).await.expect("get")
}

pub(super) async fn list(store: &dyn MetadataStore, prefix: &str) -> Range {
    store.range(prefix).await.expect("range")
}

pub(super) async fn put(store: &dyn MetadataStore, key: &str, value: &str) -> Revision {
    let txn = Txn { then: vec![change(key, value)], ..Txn::default() };
    done(store.txn(txn).await.expect("put"))
}

pub(super) async fn put_leased(store: &dyn MetadataStore, key: &str, lease: LeaseId) -> Revision {
    let put = Change::Put { key: key.into(), value: Bytes::new(), lease: Some(lease) };
    done(store.txn(Txn { then: vec![put], ..Txn::default() }).await.expect("put"))
}

pub(super) async fn delete(store: &dyn MetadataStore, key: &str) -> Revision {
    let then = vec![Change::Delete { key: key.into() }];
    done(store.txn(Txn { then, ..Txn::default() }).await.expect("delete"))
}

pub(super) fn change(key: &str, value: &str) -> Change {
    Change::Put { key: key.into(), value: Bytes::copy_from_slice(value.as_bytes()), lease: None }
}

pub(super) fn expect(key: &str, expect: Expect) -> Compare {
    Compare { key: key.into(), expect }
}

pub(super) fn done(outcome: TxnOutcome) -> Revision {
    match outcome {
        TxnOutcome::Done { revision } => revision,
        TxnOutcome::Refused { .. } => panic!("refused: {outcome:?}"),
    }
}

pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

pub(super) fn value_of(event: &Event) -> Option<String> {
    match event {
        Event::Put(pair) => Some(text(&pair.value)),
        Event::Delete { .. } => None,
    }
}

pub(super) fn events(item: Result<WatchItem, Error>) -> Vec<Event> {
    match item.expect("a watch") {
        WatchItem::Batch { revision, events } => {
            assert!(!events.is_empty(), "an empty batch");
            assert!(events.iter().all(|event| event.revision() <= revision));
            events
        }
        WatchItem::Compacted { oldest } => panic!("compacted up to {oldest}"),
    }
}

pub(super) async fn batch(watch: &mut dyn Watch) -> (Revision, Vec<Event>) {
    let item = patient(watch.next()).await;
    let upto = match &item {
        Ok(WatchItem::Batch { revision, .. }) => *revision,
        Ok(WatchItem::Compacted { .. }) | Err(_) => panic!("{item:?}"),
    };
    (upto, events(item))
}

/// What a watch tells up to `upto`: revision, key, and the value unless deleted. In order of revisions.
pub(super) async fn watched(
    watch: &mut dyn Watch,
    upto: Revision,
) -> Vec<(Revision, String, Option<String>)> {
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

pub(super) async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes in time")
}

pub(super) async fn yields(times: u32) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

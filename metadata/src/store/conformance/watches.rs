//! Watches.

use super::Harness;
use super::ask::{
    batch, change, delete, done, events, list, patient, put, value_of, watched, yields,
};
use crate::store::{Change, EVENTS_BATCH_MAX, Event, KeyValue, OPS_MAX, Revision, Txn, WatchItem};
use std::collections::BTreeMap;

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

/// More than one answer of a watch can hold: all of it, once, and each transaction in one piece.
pub async fn a_long_past_is_told_to_its_end(harness: &mut impl Harness) {
    let store = harness.store();
    let mut last = Revision(0);
    let transactions = EVENTS_BATCH_MAX / OPS_MAX + 3;
    for n in 0..transactions {
        let then = (0..OPS_MAX).map(|op| change(&format!("k/{op}"), &n.to_string())).collect();
        last = done(store.txn(Txn { then, ..Txn::default() }).await.expect("a transaction"));
    }
    let mut watch = store.watch("k/", Revision(1));
    let (mut told, mut upto) = (Vec::new(), Revision(0));
    while upto < last {
        let (revision, events) = batch(&mut *watch).await;
        assert_eq!(events.len() % OPS_MAX, 0, "part of a transaction");
        told.extend(events.iter().filter_map(value_of));
        upto = revision;
    }
    let want = (0..transactions).flat_map(|n| std::iter::repeat_n(n.to_string(), OPS_MAX));
    assert_eq!(told, want.collect::<Vec<_>>());
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

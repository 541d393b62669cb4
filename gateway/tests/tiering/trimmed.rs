//! What the journal let go of comes back from the bucket.

use super::world::{SOON, World};
use std::collections::BTreeSet;
use std::time::Duration;

/// Padding that fills a journal of 128 MiB with 4,000 messages one and a half times.
const PADDING: usize = 48 << 10;

/// `m` and the number, and padding.
pub(super) fn body(number: usize) -> String {
    // Not compressible to nothing: blocks are to be many.
    let mut state = number as u64 + 1;
    let mut text = format!("m{number} ");
    while text.len() < PADDING {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{state:016x}"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_journal_holds_is_sent_and_all_of_it_received() {
    let world = World::start().await;
    let topic = world.topic("orders", |spec| spec.queues = 3).await;
    let mut sent = BTreeSet::new();
    for number in 0..4000 {
        loop {
            match world.try_send(&topic, body(number), None).await {
                Ok(_) => break,
                // The store is slower than the sender, and says so.
                Err(refused) => {
                    assert!(matches!(
                        refused,
                        gateway::produce::SendRefused::Full { .. }
                            | gateway::produce::SendRefused::Busy
                    ));
                    storage::env::Env::system().sleep(Duration::from_millis(10)).await;
                }
            }
        }
        sent.insert(format!("m{number}"));
    }
    world.until_sealed().await;
    world.until("room in the journal", |broker| broker.store.fill().used <= 64 << 20).await;
    let queue = topic.queues()[0];
    let history = &world.broker().owned.get(queue.pg).unwrap().history;
    assert_eq!(history.bounds(queue.uid).first.0, 0);
    assert!(history.log().bounds(queue.uid).first.0 > 0, "nothing was trimmed");
    let group = world.group("readers").await;
    let all = world.drain(&topic, &group).await;
    assert_eq!(all.len(), sent.len());
    assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), sent);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_keeps_its_offsets_when_nothing_of_it_is_in_the_journal() {
    let mut world = World::start().await;
    let topic = world.topic("orders", |spec| spec.queues = 1).await;
    let first = world.send(&topic, "first".to_owned()).await;
    assert_eq!(first.offset.0, 0);
    // Another topic of the same placement group fills the journal.
    let other = world.topic("other", |spec| spec.queues = 4).await;
    for number in 0..3000 {
        while world.try_send(&other, body(number), None).await.is_err() {
            storage::env::Env::system().sleep(Duration::from_millis(10)).await;
        }
    }
    world.until_sealed().await;
    let queue = topic.queues()[0];
    world
        .until("the first message trimmed", |broker| {
            broker.owned.get(queue.pg).unwrap().log.local_from() > first.lsn
        })
        .await;
    for round in 1..3 {
        world = world.killed().await;
        let topic = world.broker().catalog.topic("orders").unwrap();
        let sent = world.send(&topic, format!("again-{round}")).await;
        assert_eq!(sent.offset.0, round);
    }
    let topic = world.broker().catalog.topic("orders").unwrap();
    let group = world.group("readers").await;
    let mut got = Vec::new();
    while got.len() < 3 {
        let more = world.receive(&topic, &group, SOON).await;
        assert!(!more.is_empty());
        got.extend(more.iter().map(super::world::word));
    }
    assert_eq!(got, ["first", "again-1", "again-2"]);
    world.gateway.stop().await;
}

//! What a topic does not keep leaves the bucket, and nothing else does.

use super::inventory::{
    Ahead, entries, quick, stored, trim, until_clean, until_entries, until_merged,
};
use super::world::{SOON, World};
use metadata::model::{Topic, TopicSpec};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use storage::format::QueueOffset;
use storage::object::Bucket;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn keeping(retention: &str) -> impl FnOnce(&mut TopicSpec) + use<'_> {
    move |spec| {
        spec.queues = 1;
        spec.attributes.insert("retention".into(), retention.into());
    }
}

async fn begin(env: Env) -> World {
    World::start_at(Bucket::in_memory(Env::system()), env, |settings| {
        quick(settings);
        settings.placement_groups = 1;
    })
    .await
}

fn first(world: &World, topic: &Topic) -> QueueOffset {
    let queue = topic.queues()[0];
    world.broker().owned.get(queue.pg).unwrap().history.bounds(queue.uid).first
}

async fn send_all(world: &World, topic: &Arc<Topic>, words: impl Iterator<Item = String>) {
    for word in words {
        world.send(topic, format!("{word} {}", "x".repeat(500))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_its_age_goes_and_consumers_behind_begin_at_the_first_kept() {
    let (clock, env) = Ahead::start();
    let world = begin(env).await;
    let topic = world.topic("short", keeping("3d")).await;
    let forever = world.topic("forever", keeping("forever")).await;
    let group = world.group("behind").await;
    send_all(&world, &topic, (0..50).map(|n| format!("old-{n}"))).await;
    until_merged(&world, topic.queues()[0].pg).await;
    send_all(&world, &forever, (0..5).map(|n| format!("kept-{n}"))).await;
    clock.advance(2 * DAY);
    send_all(&world, &topic, (0..5).map(|n| format!("new-{n}"))).await;
    until_merged(&world, topic.queues()[0].pg).await;
    assert_eq!(first(&world, &topic), QueueOffset(0), "two days are not three");
    clock.advance(DAY + Duration::from_secs(3600));
    world.until("a first kept offset", |_| first(&world, &topic) == QueueOffset(50)).await;
    trim(&world);
    assert_eq!(
        world.drain(&topic, &group).await,
        (0..5).map(|n| format!("new-{n}")).collect::<Vec<_>>()
    );
    assert_eq!(
        world.drain(&forever, &group).await,
        (0..5).map(|n| format!("kept-{n}")).collect::<Vec<_>>()
    );
    until_clean(&world).await;
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_by_size_keeps_its_newest_bytes() {
    let world = begin(Env::system()).await;
    let topic = world.topic("small", keeping("16KiB")).await;
    let mut state = 7u64;
    for number in 0..60 {
        // Not to be compressed to nothing.
        let mut noise = String::new();
        for _ in 0..64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.push_str(&format!("{state:016x}"));
        }
        // Queues begin with a block, and each bundle has one.
        world.send_sealed(&topic, format!("m{number} {noise}")).await;
    }
    world.until_sealed().await;
    world.until("a first kept offset", |_| first(&world, &topic) > QueueOffset(20)).await;
    let begins = first(&world, &topic).0;
    assert!(begins < 59, "the newest are kept");
    trim(&world);
    let group = world.group("readers").await;
    let got = world.drain(&topic, &group).await;
    assert_eq!(got.last().unwrap(), "m59");
    // It may have gone on meanwhile.
    let kept = 60 - first(&world, &topic).0..=60 - begins;
    assert!(kept.contains(&(got.len() as u64)), "{} of {kept:?}", got.len());
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_compacted_by_key_keeps_the_newest_of_every_key() {
    let world = begin(Env::system()).await;
    let topic = world.topic("state", keeping("compacted")).await;
    let pg = topic.queues()[0].pg;
    for round in 0..40 {
        for key in 0..10 {
            world.send(&topic, format!("k{key} round-{round}")).await;
        }
        Env::system().sleep(Duration::from_millis(100)).await;
    }
    until_merged(&world, topic.queues()[0].pg).await;
    until_entries(&world, pg, "only the newest", |entries| {
        entries.iter().map(|entry| entry.messages).sum::<u64>() < 200
    })
    .await;
    trim(&world);
    let group = world.group("readers").await;
    let mut newest = std::collections::BTreeMap::new();
    let mut count = 0;
    loop {
        let got = world.receive(&topic, &group, Duration::from_millis(500)).await;
        if got.is_empty() {
            break;
        }
        for delivery in got {
            let body = String::from_utf8(delivery.message.body.to_vec()).unwrap();
            let (key, value) = body.split_once(' ').unwrap();
            newest.insert(key.to_owned(), value.to_owned());
            count += 1;
        }
    }
    assert!(count < 200, "{count} of 400");
    assert_eq!(newest.len(), 10);
    assert!(newest.values().all(|value| value == "round-39"), "{newest:?}");
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_objects_of_a_deleted_topic_vanish() {
    let world = begin(Env::system()).await;
    let (gone, stays) =
        (world.topic("gone", |spec| spec.queues = 2).await, world.topic("stays", |_| {}).await);
    let pg = gone.queues()[0].pg;
    for number in 0..100 {
        send_all(&world, &gone, std::iter::once(format!("g{number}"))).await;
        if number % 10 == 0 {
            world.send_sealed(&gone, "sealed".to_owned()).await;
            send_all(&world, &stays, std::iter::once(format!("s{number}"))).await;
        }
    }
    until_merged(&world, gone.queues()[0].pg).await;
    world.broker().catalog.delete_topic(&gone.name, None).await.unwrap();
    until_entries(&world, pg, "only what stays", |entries| {
        entries.iter().map(|entry| entry.messages).sum::<u64>() == 10
    })
    .await;
    until_clean(&world).await;
    assert!(!stored(&world.bucket).await.is_empty());
    assert!(entries(&world, pg).await.iter().all(|entry| !gone.queues().iter().any(|q| {
        matches!(entry.queues, storage::tier::manifest::QueueSet::One { queue, .. } if queue == q.uid)
    })));
    trim(&world);
    let group = world.group("readers").await;
    let got = tokio::time::timeout(SOON, world.drain(&stays, &group)).await.unwrap();
    assert_eq!(got.len(), 10);
    world.gateway.stop().await;
}

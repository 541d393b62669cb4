//! Small objects become few while messages come and go, and what is asked of them is answered as before.

use super::inventory::{entries, quick, trim, until_clean, until_entries, until_merged};
use super::world::{World, word};
use gateway::tiering::key_hash;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::env::{Env, Timestamp};
use storage::object::{Bucket, Kind, Purpose};
use storage::reader::KeyQuery;

const MESSAGES: usize = 1000;

fn body(number: usize) -> String {
    format!("m{number} {}", "x".repeat(200))
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bundles_become_few_runs_while_messages_come_and_go() {
    let world = World::start_over(Bucket::in_memory(Env::system()), |settings| {
        quick(settings);
        settings.placement_groups = 1;
    })
    .await;
    let topic = world.topic("orders", |spec| spec.queues = 3).await;
    let group = world.group("readers").await;
    let send_all = async {
        for number in 0..MESSAGES {
            if number % 10 == 9 {
                world.send_sealed(&topic, body(number)).await;
            } else {
                world.send(&topic, body(number)).await;
            }
        }
    };
    let mut got: Vec<(u32, usize)> = Vec::new();
    let receive_all = async {
        while got.len() < MESSAGES {
            trim(&world);
            for delivery in world.receive(&topic, &group, Duration::from_secs(20)).await {
                let number = word(&delivery)[1..].parse().unwrap();
                got.push((delivery.message.queue_id as u32, number));
                let handle = &delivery.receipt_handle;
                world.broker().consume.ack(&group, &topic, handle).await.unwrap();
            }
        }
    };
    tokio::join!(send_all, receive_all);
    let mut by_queue: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    got.iter().for_each(|(queue, number)| by_queue.entry(*queue).or_default().push(*number));
    let mut all: Vec<usize> = got.iter().map(|(_, number)| *number).collect();
    all.sort_unstable();
    assert_eq!(all, (0..MESSAGES).collect::<Vec<_>>(), "each once");
    assert!(by_queue.values().all(|numbers| numbers.is_sorted()), "in order");
    world.until_sealed().await;
    let pg = topic.queues()[0].pg;
    let written = world.broker().tiering.usage();
    let bundles = written.iter().filter(|usage| usage.purpose == Purpose::Upload);
    let bundles: Vec<_> = bundles.filter(|usage| usage.kind == Kind::Put).collect();
    let (count, sealed): (u64, u64) = bundles
        .iter()
        .fold((0, 0), |sum, usage| (sum.0 + usage.requests, sum.1 + usage.sent_bytes));
    assert!(count >= MESSAGES as u64 / 10, "{count} bundles");
    until_merged(&world, pg).await;
    until_entries(&world, pg, "few objects", |entries| entries.len() < 30).await;
    until_clean(&world).await;
    let done = world.broker().tiering.maintained();
    println!(
        "{count} bundles of {sealed} bytes became {} objects; merges wrote {} bytes, {:.2} times as many; {done:?}",
        entries(&world, pg).await.len(),
        done.written_bytes,
        done.written_bytes as f64 / sealed as f64,
    );
    // Whoever comes late finds it all in runs.
    trim(&world);
    let late = world.group("late").await;
    let mut words = world.drain(&topic, &late).await;
    words.sort();
    let mut expected: Vec<String> = (0..MESSAGES).map(|number| format!("m{number}")).collect();
    expected.sort();
    assert_eq!(words, expected);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_in_runs_and_through_summaries() {
    let world = World::start_over(Bucket::in_memory(Env::system()), |settings| {
        quick(settings);
        settings.placement_groups = 1;
    })
    .await;
    let topic = world.topic("orders", |spec| spec.queues = 1).await;
    let pg = topic.queues()[0].pg;
    for number in 0..1000 {
        world.send(&topic, body(number)).await;
        if number % 100 == 0 {
            Env::system().sleep(Duration::from_millis(500)).await;
        }
    }
    until_merged(&world, pg).await;
    let summaries = |broker: &gateway::Broker| {
        let view = broker.tiering.view(pg).unwrap();
        view.overlay().all_summaries(view.root()).len()
    };
    world.until("a key summary", |broker| summaries(broker) > 0).await;
    let broker = world.broker();
    for number in (0..1000).step_by(37) {
        for key in [format!("key-m{number}"), format!("id-m{number}")] {
            let query = KeyQuery {
                hash: key_hash("orders", &key),
                queues: None,
                since: Timestamp(0),
                until: Timestamp(u64::MAX),
                max: 5,
            };
            let view = broker.tiering.view(pg).unwrap();
            let found = broker.tiering.reader().by_key(&[view], query).await.unwrap();
            assert!(found.is_complete(), "{key}");
            let offsets: Vec<u64> = found.records.iter().map(|record| record.offset.0).collect();
            assert_eq!(offsets, [number as u64], "{key}");
        }
    }
    until_clean(&world).await;
    world.gateway.stop().await;
}

//! Killed in the middle of merging, folding and deleting, with a store that fails now and then.

use super::inventory::{over_faults, quick, trim, until_clean};
use super::world::{SOON, World};
use std::collections::BTreeSet;
use std::time::Duration;
use storage::env::Env;
use storage::object::Bucket;
use storage::object::testing::{Faults, Plan, Step, Verb};

/// A step of what goes on by itself: what it is called, and the request that is it.
const STEPS: [(&str, Verb, &str); 12] = [
    ("upload of a bundle", Verb::Put, "l0/"),
    ("upload of a snapshot", Verb::Put, "snapshot/"),
    ("fold: a page", Verb::Put, ".page"),
    ("fold: the root", Verb::Put, ".root"),
    ("compaction: a look at a bundle", Verb::Get, "l0/"),
    ("compaction: a run", Verb::Put, "l1/"),
    ("compaction: a run of runs", Verb::Put, "l2/"),
    ("a summary of keys", Verb::Put, ".keys"),
    ("a proof", Verb::Put, "proof/"),
    ("collection: a list", Verb::List, "l0"),
    ("collection: bundles", Verb::Delete, "l0/"),
    ("collection: manifests", Verb::Delete, "manifest/"),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_and_after_each_step_nothing_is_lost_and_nothing_is_left_over() {
    let (faults, mut world) = over_faults(12).await;
    world.topic("orders", |spec| spec.queues = 2).await;
    let mut sent = Vec::new();
    for (number, (name, verb, of)) in STEPS.into_iter().enumerate() {
        for is_done in [false, true] {
            let topic = world.known("orders");
            faults.die_at(Step { verb, of, is_done });
            let env = Env::system();
            let (began, mut count) = (env.monotonic(), 0);
            while !faults.is_dead() {
                assert!(env.monotonic() - began < SOON, "{name} does not come");
                let word = format!("m{number}-{is_done}-{count}");
                world.send(&topic, word.clone()).await;
                sent.push(word);
                count += 1;
                env.sleep(Duration::from_millis(5)).await;
            }
            println!("{name}, {is_done}: {count} messages, {:?}", env.monotonic() - began);
            world = world.killed_and(|| assert!(faults.revive().is_some())).await;
        }
    }
    world.until_sealed().await;
    let topic = world.known("orders");
    until_clean(&world).await;
    trim(&world);
    let group = world.group("readers").await;
    let mut got = world.drain(&topic, &group).await;
    got.sort();
    sent.sort();
    assert_eq!(got, sent);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_is_lost_and_in_the_end_nothing_is_left_over() {
    let faults = Faults::seeded(11, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system());
    let mut world = World::start_over(bucket, |settings| {
        quick(settings);
        settings.placement_groups = 2;
    })
    .await;
    world.topic("orders", |spec| spec.queues = 4).await;
    let mut sent = BTreeSet::new();
    let mut state = 5u64;
    for round in 0..12 {
        let topic = world.broker().catalog.topic("orders").unwrap();
        faults.set(Plan { refused: 10, lost: 10, ..Plan::default() });
        for number in 0..150 {
            let word = format!("m{round}-{number}");
            world.send(&topic, word.clone()).await;
            sent.insert(word);
        }
        // At some request of what goes on by itself, the process is dead to the store.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        faults.die_after(state >> 56);
        world.until("the last request", |_| faults.is_dead()).await;
        faults.set(Plan::default());
        faults.revive();
        world = world.killed().await;
        // Long enough for windows to end, and for merges of what was left.
        Env::system().sleep(Duration::from_millis(state >> 54)).await;
    }
    world.until_sealed().await;
    let topic = world.broker().catalog.topic("orders").unwrap();
    until_clean(&world).await;
    assert!(world.broker().tiering.maintained().sweeps > 0);
    trim(&world);
    let group = world.group("readers").await;
    let got = world.drain(&topic, &group).await;
    assert_eq!(got.len(), sent.len());
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), sent);
    world.gateway.stop().await;
}

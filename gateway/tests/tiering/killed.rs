//! Killed in the middle of merging, folding and deleting, with a store that fails now and then.

use super::inventory::{quick, trim, until_clean};
use super::world::World;
use std::collections::BTreeSet;
use std::time::Duration;
use storage::env::Env;
use storage::object::Bucket;
use storage::object::testing::{Faults, Plan};

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

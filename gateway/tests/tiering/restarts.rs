//! Killed and begun again: what groups did is known, wherever it lies.

use super::world::World;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_stays_so_though_the_journal_let_go_of_it() {
    let mut world = World::start().await;
    let topic = world.topic("orders", |spec| spec.queues = 2).await;
    let group = world.group("readers").await;
    for number in 0..20 {
        world.send(&topic, format!("m{number}")).await;
    }
    let got = world.receive(&topic, &group, Duration::from_secs(10)).await;
    let acked = got.len() / 2;
    for delivery in &got[..acked] {
        world.broker().consume.ack(&group, &topic, &delivery.receipt_handle).await.unwrap();
    }
    world.until_sealed().await;
    for pg in world.broker().owned.all() {
        pg.log.trim(pg.log.end());
    }
    for _ in 0..2 {
        world = world.killed().await;
        let topic = world.broker().catalog.topic("orders").unwrap();
        let group = world.group("readers").await;
        let progress = world.broker().consume.progress(&group, &topic);
        let in_flight: u64 = progress.iter().map(|queue| queue.in_flight).sum();
        assert_eq!(in_flight, (got.len() - acked) as u64);
    }
    let topic = world.broker().catalog.topic("orders").unwrap();
    let group = world.group("readers").await;
    // Handles outlive the restart.
    for delivery in &got[acked..] {
        world.broker().consume.ack(&group, &topic, &delivery.receipt_handle).await.unwrap();
    }
    let mut left = world.drain(&topic, &group).await;
    left.extend(got.iter().map(super::world::word));
    left.sort();
    let mut all: Vec<_> = (0..20).map(|number| format!("m{number}")).collect();
    all.sort();
    assert_eq!(left, all);
    world.gateway.stop().await;
}

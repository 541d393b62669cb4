//! The level `object`: acknowledged and shown when the bundle is committed.

use super::world::{SOON, World};
use metadata::model::Durability;
use std::time::Duration;
use storage::env::Env;
use storage::format::Lsn;
use storage::object::Bucket;
use storage::object::testing::{Faults, Plan};

fn tiered(world: &World, lsn: Lsn) -> Lsn {
    world.broker().tiering.view(lsn.pg().unwrap()).unwrap().tiered()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_at_object_is_acknowledged_when_the_bucket_has_it() {
    let bucket = Bucket::in_memory(Env::system());
    let world = World::start_over(bucket, |settings| {
        settings.tiering.bundle_age = Duration::from_secs(3600);
    })
    .await;
    let topic = world.topic("audit", |spec| spec.durability = Some(Durability::Object)).await;
    let sent = tokio::time::timeout(SOON, world.send(&topic, "one".to_owned())).await.unwrap();
    assert!(tiered(&world, sent.lsn) > sent.lsn);
    let group = world.group("readers").await;
    assert_eq!(world.drain(&topic, &group).await, ["one"]);
    // A message of another topic may ask for it too, and does not wait when it does not.
    let plain = world.topic("plain", |_| {}).await;
    let sent = world.send(&plain, "two".to_owned()).await;
    assert!(tiered(&world, sent.lsn) <= sent.lsn);
    let raised =
        world.try_send(&plain, "three".to_owned(), Some(Durability::Object)).await.unwrap();
    assert!(tiered(&world, raised.lsn) > raised.lsn);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_object_is_shown_while_the_store_is_down_and_local_goes_on() {
    let faults = Faults::seeded(1, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system());
    let world = World::start_over(bucket, |_| {}).await;
    let topic = world.topic("audit", |spec| spec.durability = Some(Durability::Object)).await;
    let plain = world.topic("plain", |_| {}).await;
    let group = world.group("readers").await;
    faults.set(Plan { down: true, ..Plan::default() });
    let waits = world.try_send(&topic, "one".to_owned(), None);
    let waited = tokio::time::timeout(Duration::from_millis(500), waits).await;
    assert!(waited.is_err(), "acknowledged without the store: {waited:?}");
    world.send(&plain, "two".to_owned()).await;
    assert_eq!(world.drain(&plain, &group).await, ["two"]);
    assert_eq!(world.receive(&topic, &group, Duration::from_millis(200)).await, []);
    faults.set(Plan::default());
    let got = world.receive(&topic, &group, SOON).await;
    assert_eq!(got.iter().map(super::world::word).collect::<Vec<_>>(), ["one"]);
    world.gateway.stop().await;
}

//! A store that refuses, loses answers, cuts bodies, is slow, deletes late, or has a bit flipped.

use super::inventory::{over_faults, stored, trim, until_clean, until_merged};
use super::trimmed::body;
use super::world::{SOON, World, word};
use std::time::Duration;
use storage::env::Env;
use storage::object::testing::{Faults, Plan};
use storage::object::{Bucket, Name, Purpose, Span};

const MESSAGES: usize = 600;

/// Sends and receives at the same time, under the plan.
async fn comes_and_goes(faults: &Faults, world: &World, plan: Plan) {
    let topic = world.topic("orders", |spec| spec.queues = 3).await;
    let group = world.group("readers").await;
    faults.set(plan);
    let send = async {
        for number in 0..MESSAGES {
            let body = format!("m{number} {}", "x".repeat(2000));
            if number % 50 == 49 {
                world.send_sealed(&topic, body).await;
            } else {
                world.send(&topic, body).await;
                Env::system().sleep(Duration::from_millis(2)).await;
            }
        }
    };
    let mut got: Vec<String> = Vec::new();
    let receive = async {
        while got.len() < MESSAGES {
            trim(world);
            // Damaged twice in a row is said, and asked for again.
            let received = world.try_receive(&topic, &group, Duration::from_secs(20)).await;
            for delivery in received.unwrap_or_default() {
                got.push(word(&delivery));
                let handle = &delivery.receipt_handle;
                world.broker().consume.ack(&group, &topic, handle).await.unwrap();
            }
        }
    };
    tokio::join!(send, receive);
    got.sort();
    assert_eq!(got, all(), "each once, and none of another");
}

fn all() -> Vec<String> {
    let mut all: Vec<String> = (0..MESSAGES).map(|number| format!("m{number}")).collect();
    all.sort();
    all
}

/// All of it comes out of the bucket once more.
async fn is_read_again(world: &World) {
    trim(world);
    let (topic, late) = (world.known("orders"), world.group("late").await);
    let mut got = world.drain(&topic, &late).await;
    got.sort();
    assert_eq!(got, all());
}

/// Everything is merged, is read again, and nothing is left over.
async fn is_kept(world: &World) {
    until_merged(world, world.known("orders").queues()[0].pg).await;
    is_read_again(world).await;
    until_clean(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_refusals_with_answers_lost_and_bodies_cut_loses_nothing() {
    let (faults, world) = over_faults(21).await;
    let slow = Duration::from_millis(3);
    comes_and_goes(
        &faults,
        &world,
        Plan { refused: 300, lost: 150, cut: 150, slow, ..Plan::default() },
    )
    .await;
    let happened = faults.happened();
    assert!(happened.refused > 50 && happened.lost > 20 && happened.cut > 5, "{happened:?}");
    faults.set(Plan::default());
    is_kept(&world).await;
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bits_that_flip_on_the_way_are_noticed_and_read_again() {
    let (faults, world) = over_faults(22).await;
    comes_and_goes(&faults, &world, Plan { flipped: 100, ..Plan::default() }).await;
    assert!(faults.happened().flipped > 5, "{:?}", faults.happened());
    faults.set(Plan::default());
    is_read_again(&world).await;
    until_clean(&world).await;
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_that_lag_take_nothing_that_is_needed_and_end() {
    let (faults, world) = over_faults(23).await;
    comes_and_goes(&faults, &world, Plan { delete_lag: 60, ..Plan::default() }).await;
    is_kept(&world).await;
    world.gateway.stop().await;
}

/// Replaces an object by one of which a bit is another.
async fn flip(bucket: &Bucket, name: &Name, at: usize) {
    let object = bucket.get(name, Span::All, Purpose::Check).await.unwrap();
    let mut bytes = object.bytes.to_vec();
    bytes[at] ^= 4;
    bucket.delete(std::slice::from_ref(name), Purpose::Check).await.unwrap();
    bucket.create(name, bytes, Purpose::Check).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_an_object_is_named_and_what_is_around_it_is_delivered() {
    let mut world = World::start_over(Bucket::in_memory(Env::system()), |settings| {
        settings.placement_groups = 1;
        // Nothing merges what is damaged, or what is around it.
        settings.tiering.maintenance.look_every = Duration::from_secs(3600);
    })
    .await;
    let orders = world.topic("orders", |spec| spec.queues = 1).await;
    let others = world.topic("others", |spec| spec.queues = 1).await;
    for number in 0..30 {
        world.send(&orders, body(number)).await;
    }
    world.until_sealed().await;
    let before = stored(&world.bucket).await;
    for number in 30..33 {
        world.send(&orders, body(number)).await;
    }
    world.until_sealed().await;
    let after = stored(&world.bucket).await;
    for number in 0..10 {
        world.send(&others, body(number)).await;
    }
    world.until_sealed().await;
    let names = after.keys().filter(|name| !before.contains_key(*name) && name.starts_with("l0/"));
    let name = names.into_iter().next().unwrap();
    let name = Name::parse(name).unwrap();
    // Near the front lie the blocks of messages.
    flip(&world.bucket, &name, 5000).await;
    world = world.begun_again().await;
    let (orders, others, group) =
        (world.known("orders"), world.known("others"), world.group("readers").await);
    let mut got = Vec::new();
    let refused = loop {
        match world.try_receive(&orders, &group, Duration::from_secs(20)).await {
            Ok(deliveries) => {
                assert!(!deliveries.is_empty(), "nothing, and no word why, after {got:?}");
                for delivery in deliveries {
                    got.push(word(&delivery));
                    let handle = &delivery.receipt_handle;
                    world.broker().consume.ack(&group, &orders, handle).await.unwrap();
                }
            }
            Err(refused) => break refused,
        }
    };
    assert!(refused.to_string().contains(name.as_str()), "{refused}: not {name}");
    assert_eq!(got, (0..30).map(|number| format!("m{number}")).collect::<Vec<_>>());
    assert_eq!(world.drain(&others, &group).await.len(), 10, "another queue is not concerned");
    // Its copy is brought back.
    flip(&world.bucket, &name, 5000).await;
    while got.len() < 33 {
        got.extend(world.receive(&orders, &group, SOON).await.iter().map(word));
    }
    assert_eq!(got, (0..33).map(|number| format!("m{number}")).collect::<Vec<_>>());
    world.gateway.stop().await;
}

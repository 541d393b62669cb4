//! Messages that the local log no longer has.

use super::world::Asking;
use super::*;
use crate::history::LoadFailed;
use crate::history::testing::Bucket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

/// A world above a bucket that brings so many messages at a time, with messages in it that were
/// moved there.
async fn tiered(queues: u32, messages: usize, stretch: usize) -> (Arc<World>, Arc<Bucket>) {
    let bucket = Bucket::new(stretch);
    let world = World::new(queues).await;
    world.send("m", messages).await;
    let world = world.above(&bucket);
    world.tier(&bucket);
    (Arc::new(world), bucket)
}

async fn refused(world: &World, ask: &Asking) -> ReceiveRefused {
    world.consume.receive(&ask.0).await.unwrap_err()
}

fn is_down() -> LoadFailed {
    LoadFailed::Store(Arc::from("it is down"))
}

/// Everything, until there is nothing more.
async fn drain(world: &World, ask: &Asking) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let got = world.receive(ask).await;
        if got.is_empty() {
            return all;
        }
        all.extend(got);
    }
}

fn names(count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|number| format!("m-{number}")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiered_messages_and_then_local_ones_are_received_once_in_order() {
    let (world, bucket) = tiered(1, 100, 30).await;
    let got = drain(&world, &world.ask().max(7)).await;
    let offsets: Vec<i64> = got.iter().map(|one| one.message.queue_offset).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    assert!(got.iter().all(|one| one.attempt == 1));
    assert_eq!(bucket.loaded(), 4);
    world.send("local", 3).await;
    assert_eq!(drain(&world, &world.ask()).await.len(), 3);
    for delivery in got {
        world.ack(&delivery).await.unwrap();
    }
    let progress = world.consume.progress(&world.group, &world.topic)[0];
    assert_eq!((progress.committed.0, progress.next.0, progress.end.0), (100, 103, 103));
    assert_eq!(bucket.loaded(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_queues_and_groups_get_all_that_is_tiered() {
    let (world, _bucket) = tiered(8, 200, 10).await;
    let other = World::group("other", 99);
    for ask in [world.ask(), world.ask().group(&other)] {
        assert_eq!(bodies(&drain(&world, &ask).await), names(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_and_is_tiered_meanwhile_is_loaded_and_counts_on() {
    let bucket = Bucket::new(30);
    let world = World::new(1).await.above(&bucket);
    world.send("m", 5).await;
    let ask = world.ask().invisible(Duration::ZERO);
    assert_eq!(world.receive(&ask).await.len(), 5);
    world.tier(&bucket);
    let again = world.receive(&ask).await;
    assert_eq!(bodies(&again), names(5));
    assert!(again.iter().all(|one| one.attempt == 2));
    assert_eq!(bucket.loaded(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_not_kept_back_for_ever_by_what_is_new() {
    let bucket = Bucket::new(30);
    let world = World::new(1).await.above(&bucket);
    world.send("m", 1).await;
    world.receive(&world.ask().invisible(Duration::ZERO)).await;
    world.tier(&bucket);
    let again = within(async {
        loop {
            world.send("new", 1).await;
            let got = world.receive(&world.ask().max(1)).await;
            if got.iter().any(|one| one.attempt == 2) {
                return got;
            }
        }
    })
    .await;
    assert_eq!(bodies(&again), ["m-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_message_that_is_tiered_becomes_a_dead_letter() {
    let (world, bucket) = tiered(1, 1, 30).await;
    let ask = world.ask().invisible(Duration::ZERO);
    for _ in 0..world.group.max_attempts {
        assert_eq!(world.receive(&ask).await.len(), 1);
    }
    // The next gateway has nothing in memory.
    let world = world.above(&bucket);
    world.tier(&bucket);
    bucket.is_down.store(true, Ordering::SeqCst);
    assert_eq!(refused(&world, &ask).await, ReceiveRefused::NotLoaded(is_down()));
    assert_eq!(world.dead_letters(), 0);
    bucket.is_down.store(false, Ordering::SeqCst);
    assert_eq!(world.receive(&ask).await, []);
    assert_eq!(world.dead_letters(), 1);
    assert_eq!(bodies(&world.receive(&world.ask_dead_letters()).await), ["m-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_whose_message_is_tiered_meanwhile_can_be_given_up() {
    let bucket = Bucket::new(30);
    let world = World::new(1).await.above(&bucket);
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await.remove(0);
    world.tier(&bucket);
    bucket.is_down.store(true, Ordering::SeqCst);
    let give_up = || world.consume.dead_letter(&world.group, &world.topic, &got.receipt_handle);
    assert_eq!(give_up().await, Err(AckRefused::NotLoaded(is_down())));
    bucket.is_down.store(false, Ordering::SeqCst);
    give_up().await.unwrap();
    assert_eq!(bodies(&world.receive(&world.ask_dead_letters()).await), ["m-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_down_is_a_refusal_and_nothing_is_lost() {
    let (world, bucket) = tiered(1, 5, 30).await;
    bucket.is_down.store(true, Ordering::SeqCst);
    let long = world.ask().wait(Duration::from_secs(30));
    assert_eq!(refused(&world, &long).await, ReceiveRefused::NotLoaded(is_down()));
    bucket.is_down.store(false, Ordering::SeqCst);
    let got = world.receive(&world.ask()).await;
    assert_eq!(bodies(&got), names(5));
    assert!(got.iter().all(|one| one.attempt == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_leaves_the_log_between_its_hand_out_and_its_reading_is_loaded() {
    let bucket = Bucket::new(30);
    let world = World::new(1).await.above(&bucket);
    world.send("m", 3).await;
    let queue = world.topic.queues()[0];
    // The index still names them.
    world.cuts[&queue.pg].is_unreadable.store(true, Ordering::SeqCst);
    bucket.is_down.store(true, Ordering::SeqCst);
    assert_eq!(refused(&world, &world.ask()).await, ReceiveRefused::NotLoaded(is_down()));
    bucket.is_down.store(false, Ordering::SeqCst);
    world.tier(&bucket);
    // They were taken back at once, and come again after a second as the same attempt.
    let got = world.receive(&world.ask().wait(Duration::from_secs(10))).await;
    assert_eq!(bodies(&got), names(3));
    assert!(got.iter().all(|one| one.attempt == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_that_want_the_same_place_share_one_load() {
    let (world, bucket) = tiered(1, 20, 30).await;
    bucket.gate.forget_permits(Semaphore::MAX_PERMITS);
    let mut polls = Vec::new();
    for _ in 0..4 {
        let poller = Arc::clone(&world);
        polls.push(world.env.spawn("poll", async move {
            poller.receive(&poller.ask().max(5).wait(Duration::from_secs(20))).await
        }));
    }
    until(&world, || bucket.loaded() == 1).await;
    bucket.gate.add_permits(1000);
    let mut all = Vec::new();
    for poll in polls {
        all.extend(within(poll).await.unwrap());
    }
    assert_eq!(bodies(&all), names(20));
    assert_eq!(bucket.loaded(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_takes_too_long_is_a_refusal_and_serves_who_comes_next() {
    let (world, bucket) = tiered(1, 5, 30).await;
    bucket.gate.forget_permits(Semaphore::MAX_PERMITS);
    let refused = refused(&world, &world.ask()).await;
    assert_eq!(refused, ReceiveRefused::NotLoaded(LoadFailed::Slow));
    bucket.gate.add_permits(1);
    assert_eq!(bodies(&world.receive(&world.ask()).await), names(5));
    assert_eq!(bucket.loaded(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_goes_away_while_it_loads_wakes_the_next() {
    let bucket = Bucket::new(30);
    let world = Arc::new(World::new(1).await.above(&bucket));
    world.send("m", 1).await;
    world.receive(&world.ask().invisible(Duration::from_millis(300))).await;
    bucket.gate.forget_permits(Semaphore::MAX_PERMITS);
    world.tier(&bucket);
    let first = world.parked(world.ask().wait(Duration::from_secs(30))).await;
    let second = world.parked(world.ask().wait(Duration::from_secs(30))).await;
    until(&world, || bucket.loaded() == 1).await;
    first.abort();
    bucket.gate.add_permits(1000);
    let got = within(second).await.unwrap();
    assert_eq!((bodies(&got), got[0].attempt), (vec!["m-0".to_owned()], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_passes_over_what_is_tiered_and_the_cursor_with_it() {
    let (world, bucket) = tiered(1, 100, 10).await;
    world.send_tagged("wanted", 1, "b").await;
    let filter = Filter::parse(FilterLanguage::Tag, "b").unwrap();
    let got = world.receive(&world.ask().filter(filter.clone())).await;
    assert_eq!(bodies(&got), ["wanted-0"]);
    assert_eq!(bucket.loaded(), 10);
    assert_eq!(drain(&world, &world.ask().filter(filter)).await, []);
    assert_eq!(bucket.loaded(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_knows_what_a_group_had_of_the_tiered_messages() {
    let (world, bucket) = tiered(2, 40, 10).await;
    let got = world.receive(&world.ask().max(10)).await;
    let world = world.restarted().await.above(&bucket);
    world.tier(&bucket);
    for delivery in &got {
        world.ack(delivery).await.unwrap();
    }
    let rest = drain(&world, &world.ask()).await;
    let mut all = bodies(&got);
    all.extend(bodies(&rest));
    all.sort();
    assert_eq!(all, names(40));
}

async fn until(world: &World, mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            world.env.sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

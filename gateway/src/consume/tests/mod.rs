//! Consumption over a real log: what fronts see of it.

mod chaos;
mod parked;
mod replayed;
mod reset;
mod settled;
mod started;
mod tiered;
mod world;

use super::filter::{Filter, FilterLanguage};
use super::handle::HandleRefused;
use super::state::ClaimRefused;
use super::*;
use crate::group::ClientId;
use protocol::stored::property;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::QueueOffset;
use world::{World, bodies, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_received_once_and_acknowledged() {
    let world = World::new(1).await;
    world.send("m", 3).await;
    let got = world.receive(&world.ask().max(2)).await;
    assert_eq!(bodies(&got), ["m-0", "m-1"]);
    assert!(got.iter().all(|delivery| delivery.attempt == 1));
    assert_eq!(got[1].message.queue_offset, 1);
    for delivery in got {
        world.ack(&delivery).await.unwrap();
    }
    assert_eq!(bodies(&world.receive(&world.ask()).await), ["m-2"]);
    assert_eq!(bodies(&world.receive(&world.ask()).await), [""; 0]);
    let progress = world.consume.progress(&world.group, &world.topic);
    assert_eq!(progress.len(), 1);
    assert_eq!((progress[0].committed.0, progress[0].next.0, progress[0].end.0), (2, 3, 3));
    assert_eq!(world.delivered(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_group_gets_every_message() {
    let world = World::new(2).await;
    world.send("m", 4).await;
    let other = World::group("other", 99);
    assert_eq!(world.receive(&world.ask()).await.len(), 4);
    assert_eq!(world.receive(&world.ask().group(&other)).await.len(), 4);
    let groups = world.consume.groups_of_topic(&world.topic);
    // The other is not in the catalog of this world.
    assert_eq!(groups, [world.group.name.clone()].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_preferred_placement_group_comes_first_and_the_others_follow() {
    let world = World::new(8).await;
    world.send("m", 16).await;
    for (uid, pg) in (100..).zip(world.pgs()) {
        let got = world.receive(&world.ask().group(&World::group("g", uid)).prefer(pg)).await;
        assert_eq!(got.len(), 16);
        assert_eq!(got[0].pg, pg);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successive_receives_begin_at_different_queues() {
    let world = World::new(4).await;
    world.send("m", 40).await;
    let mut queues = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let got = world.receive(&world.ask().max(1)).await;
        queues.insert((got[0].pg, got[0].message.queue_id));
    }
    assert_eq!(queues.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_acknowledged_comes_back_with_the_next_attempt() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    let ask = world.ask().invisible(Duration::from_millis(50));
    world.receive(&ask).await;
    let again = world.receive(&ask.wait(Duration::from_secs(10))).await;
    assert_eq!((bodies(&again), again[0].attempt), (vec!["m-0".to_owned()], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_last_attempt_a_message_is_a_dead_letter_that_says_where_it_came_from() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    let ask = world.ask().invisible(Duration::ZERO);
    let first = world.receive(&ask).await.remove(0);
    for attempt in 2..=world.group.max_attempts {
        assert_eq!(world.receive(&ask).await[0].attempt, attempt);
    }
    assert_eq!(world.receive(&ask).await, []);
    assert_eq!(world.dead_letters(), 1);
    let dead = world.receive(&world.ask_dead_letters()).await.remove(0);
    let properties = &dead.message.properties;
    assert_eq!(dead.message.topic, "%DLQ%group");
    assert_eq!(dead.message.body, first.message.body);
    assert_eq!(dead.message.reconsume_times, 3);
    assert_eq!(dead.attempt, 1);
    assert_eq!(properties.get(property::RETRY_TOPIC), Some("topic"));
    assert_eq!(properties.get(property::TAGS), Some("a"));
    let id = protocol::stored::offset_message_id(
        first.message.store_host,
        first.message.physical_offset,
    );
    assert_eq!(properties.get(property::ORIGIN_MESSAGE_ID), Some(id.as_str()));
    assert_eq!(world.restarted().await.receive(&ask).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_can_give_a_message_up_and_doing_it_twice_is_fine() {
    let world = World::new(8).await;
    world.send("m", 2).await;
    let got = world.receive(&world.ask()).await;
    assert_eq!(got[1].message.queue_id, 1);
    let handle = &got[1].receipt_handle;
    for _ in 0..2 {
        world.consume.dead_letter(&world.group, &world.topic, handle).await.unwrap();
    }
    assert_eq!(world.dead_letters(), 1);
    let dead = world.receive(&world.ask_dead_letters()).await;
    assert_eq!(bodies(&dead), bodies(&got[1..]));
    assert_eq!((dead[0].message.reconsume_times, dead[0].message.queue_id), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_filter_lets_only_its_tags_through_also_where_hashes_collide() {
    let world = World::new(1).await;
    for tag in ["Aa", "BB", "c"] {
        world.send_tagged(tag, 1, tag).await;
    }
    let filter = Filter::parse(FilterLanguage::Tag, "BB || x").unwrap();
    assert_eq!(bodies(&world.receive(&world.ask().filter(filter)).await), ["BB-0"]);
    let progress = world.consume.progress(&world.group, &world.topic)[0];
    assert_eq!((progress.next.0, progress.in_flight), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_passes_over_thousands_finds_the_one() {
    let world = World::new(1).await;
    world.send_tagged("m", 10_000, "b").await;
    world.send_tagged("wanted", 1, "a").await;
    let filter = Filter::parse(FilterLanguage::Tag, "a").unwrap();
    let got = world.receive(&world.ask().filter(filter)).await;
    assert_eq!(bodies(&got), ["wanted-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_forgets_no_ack_no_hand_out_and_no_handle() {
    let world = World::new(2).await;
    world.send("m", 4).await;
    let got = world.receive(&world.ask()).await;
    world.ack(&got[0]).await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.receive(&world.ask()).await, []);
    world.ack(&got[0]).await.unwrap();
    world.ack(&got[1]).await.unwrap();
    let in_flight = |world: &World| -> u64 {
        let progress = world.consume.progress(&world.group, &world.topic);
        progress.iter().map(|queue| queue.in_flight).sum()
    };
    assert_eq!(in_flight(&world), 2);
    assert_eq!(in_flight(&world.restarted().await), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_served_here_is_refused() {
    let world = World::new(1).await;
    let empty = world.elsewhere();
    let refused = empty.consume.receive(&empty.ask().0).await.unwrap_err();
    assert_eq!(refused, ReceiveRefused::NotServedHere);
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await.remove(0);
    let refused = empty.ack(&got).await.unwrap_err();
    assert_eq!(refused, AckRefused::NotServedHere(got.pg));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_places_of_a_deleted_group_are_forgotten() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await.remove(0);
    let group = GroupUid(world.group.uid);
    world.consume.forget(|id| id.group == group);
    assert_eq!(world.consume.progress(&world.group, &world.topic), []);
    let refused = world.ack(&got).await.unwrap_err();
    assert_eq!(refused, AckRefused::Claim(ClaimRefused::Unknown));
    assert_eq!(world.receive(&world.ask()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placement_group_that_moves_on_is_no_longer_consumed_here() {
    let world = World::new(1).await;
    world.consume.release(world.topic.queues()[0].pg);
    let refused = world.consume.receive(&world.ask().0).await.unwrap_err();
    assert_eq!(refused, ReceiveRefused::NotServedHere);
}

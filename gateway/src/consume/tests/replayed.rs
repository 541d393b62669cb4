//! What was replayed to one group comes to that group, on the topic that it is of, and to no other.

use super::*;
use metadata::model::{Group, REPLAY_QUEUE_ID};
use std::sync::Arc;

fn replayed_to(world: &World) -> Arc<Group> {
    Arc::new(world.group.with_replayed(&world.topic, 9000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replayed_to_a_group_comes_beside_the_topics_own_and_to_it_alone() {
    let world = World::new(8).await;
    let group = replayed_to(&world);
    world.send("m", 4).await;
    world.replay(&group, "again", 8).await;
    let other = world.receive(&world.ask().group(&World::group("other", 99))).await;
    assert_eq!(bodies(&other), ["m-0", "m-1", "m-2", "m-3"]);
    for prefer in world.pgs() {
        let got = world.receive(&world.ask().group(&group).prefer(prefer).max(3)).await;
        assert_eq!(got.len(), 3, "of what the preferred placement group and the others have");
        for delivery in got {
            let acked = world.consume.ack(&group, &world.topic, &delivery.receipt_handle).await;
            assert_eq!(acked, Ok(()));
        }
    }
    assert_eq!(world.receive(&world.ask().group(&group)).await, []);
    let progress = world.consume.progress(&group, &world.topic);
    let done: u64 = progress
        .iter()
        .filter(|queue| queue.id == REPLAY_QUEUE_ID)
        .map(|queue| queue.committed.0)
        .sum();
    assert_eq!(done, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_starves_the_other_where_a_poll_prefers_one_placement_group() {
    let world = World::new(1).await;
    let group = replayed_to(&world);
    world.send("m", 20).await;
    world.replay(&group, "again", 20).await;
    let prefer = world.topic.queues()[0].pg;
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(world.receive(&world.ask().group(&group).prefer(prefer).max(2)).await);
    }
    let again = bodies(&got).iter().filter(|body| body.starts_with("again")).count();
    assert_eq!((got.len(), again), (20, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_poll_is_woken_by_what_is_replayed() {
    let world = Arc::new(World::new(2).await);
    let group = replayed_to(&world);
    let poll = world.parked(world.ask().group(&group).wait(Duration::from_secs(30))).await;
    world.replay(&group, "again", 1).await;
    assert_eq!(bodies(&within(poll).await.unwrap()), ["again-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replayed_is_known_after_a_restart_and_dies_like_any_other() {
    let world = World::new(1).await;
    let group = replayed_to(&world);
    world.replay(&group, "again", 2).await;
    let ask = |world: &World| world.ask().group(&group).invisible(Duration::ZERO).max(1);
    for attempt in 1..=3 {
        let got = world.receive(&ask(&world)).await;
        assert_eq!((bodies(&got), got[0].attempt), (vec!["again-0".to_owned()], attempt));
    }
    let world = world.restarted().await;
    let queue = group.replayed(&world.topic)[0];
    assert_eq!(bodies(&world.receive(&ask(&world)).await), ["again-1"], "{queue:?}");
    let dead = world.receive(&world.ask_dead_letters()).await;
    assert_eq!(bodies(&dead), ["again-0"]);
    assert_eq!(dead[0].message.properties.get(property::RETRY_TOPIC), Some("topic"));
}

//! Groups that are moved.

use super::*;
use std::sync::Arc;

fn positions(resets: &[QueueReset]) -> Vec<(Option<u64>, u64, u64)> {
    let of = |reset: &QueueReset| (reset.before.map(|at| at.0), reset.after.0, reset.voided);
    resets.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_was_moved_back_receives_again_also_after_a_restart() {
    let world = World::new(2).await;
    world.send("m", 4).await;
    let got = world.receive(&world.ask()).await;
    world.ack(&got[0]).await.unwrap();
    let queues = world.topic.queues();
    let planned =
        world.consume.would_reset(&world.group, queues, Position::Earliest).await.unwrap();
    let done = world.consume.reset(&world.group, queues, Position::Earliest).await.unwrap();
    assert_eq!(planned, done, "a look moves nothing");
    assert_eq!(positions(&done), [(Some(1), 0, 1), (Some(0), 0, 2)]);
    let refused = AckRefused::Claim(ClaimRefused::Reset);
    for one in &got {
        assert_eq!(world.ack(one).await, Err(refused.clone()));
    }
    let world = world.restarted().await;
    assert_eq!(world.ack(&got[1]).await, Err(refused));
    let again = world.receive(&world.ask()).await;
    assert_eq!(bodies(&again), bodies(&got));
    assert!(again.iter().all(|one| one.attempt == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_that_are_not_there_become_the_nearest() {
    let world = World::new(1).await;
    world.send("m", 3).await;
    let queues = world.topic.queues();
    let after = async |to| {
        let done = world.consume.reset(&world.group, queues, to).await.unwrap();
        done[0].after.0
    };
    assert_eq!(after(Position::Offset(QueueOffset(u64::MAX))).await, 3);
    assert_eq!(after(Position::Offset(QueueOffset(2))).await, 2);
    assert_eq!(bodies(&world.receive(&world.ask()).await), ["m-2"]);
    assert_eq!(after(Position::Time(Timestamp(0))).await, 0);
    assert_eq!(after(Position::Time(Timestamp(u64::MAX))).await, 3);
    assert_eq!(after(Position::Latest).await, 3);
    assert_eq!(world.receive(&world.ask()).await, []);
    world.send("n", 1).await;
    assert_eq!(bodies(&world.receive(&world.ask()).await), ["n-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_gets_what_a_reset_brings_back() {
    let world = Arc::new(World::new(1).await);
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await;
    world.ack(&got[0]).await.unwrap();
    let poll = world.parked(world.ask().wait(Duration::from_secs(30))).await;
    let queues = world.topic.queues();
    world.consume.reset(&world.group, queues, Position::Earliest).await.unwrap();
    assert_eq!(bodies(&within(poll).await.unwrap()), ["m-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_moves_where_a_placement_group_is_elsewhere() {
    let world = World::new(4).await;
    let queues = world.topic.queues().to_vec();
    let (group, elsewhere) = (Arc::clone(&world.group), world.elsewhere());
    let refused = elsewhere.consume.reset(&group, &queues, Position::Latest).await;
    assert_eq!(refused, Err(ResetRefused::NotServedHere(queues[0].pg)));
}

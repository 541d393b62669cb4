//! Polls that wait.

use super::hand_out::Held;
use super::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use world::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_finds_nothing_ends_empty_when_its_time_is_up() {
    let world = World::new(8).await;
    let asked = world.env.monotonic();
    let got = world.receive(&world.ask().wait(Duration::from_millis(100))).await;
    assert_eq!(got, []);
    assert!(world.env.monotonic() - asked >= Duration::from_millis(100));
    assert_eq!(world.consume.polls_waiting(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_poll_gets_the_message_wherever_it_lies() {
    let world = Arc::new(World::new(8).await);
    for _ in 0..8 {
        let poll = world.parked(world.ask().wait(Duration::from_secs(30))).await;
        world.send("m", 1).await;
        assert_eq!(within(poll).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_wakes_one_poll_the_longest_waiting_first() {
    let world = Arc::new(World::new(1).await);
    let ask = || world.ask().max(1).wait(Duration::from_secs(30));
    let first = world.parked(ask()).await;
    let second = world.parked(ask()).await;
    world.send("first", 1).await;
    assert_eq!(bodies(&within(first).await.unwrap()), ["first-0"]);
    assert!(!second.is_finished());
    world.send("second", 1).await;
    assert_eq!(bodies(&within(second).await.unwrap()), ["second-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_shared_by_the_polls_that_wait() {
    let world = Arc::new(World::new(1).await);
    let mut polls = Vec::new();
    for _ in 0..5 {
        polls.push(world.parked(world.ask().max(2).wait(Duration::from_secs(30))).await);
    }
    world.send("m", 10).await;
    for poll in polls {
        assert_eq!(within(poll).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wake_up_of_a_poll_that_vanishes_goes_to_the_next() {
    let world = Arc::new(World::new(1).await);
    let ask = || world.ask().wait(Duration::from_secs(30));
    let gone = world.parked(ask()).await;
    let stays = world.parked(ask()).await;
    gone.abort();
    world.send("m", 1).await;
    assert_eq!(bodies(&within(stays).await.unwrap()), ["m-0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receive_that_vanishes_after_its_hand_out_loses_nothing() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    {
        let ask = world.ask();
        let receive = world.consume.receive(&ask.0);
        tokio::pin!(receive);
        // One poll of the future decides and appends; the answer mostly comes with a later one.
        if let Some(got) = poll_once(&mut receive).await {
            world.consume.nack(&got.unwrap());
        }
    }
    let again = world.receive(&world.ask().wait(Duration::from_secs(10))).await;
    assert_eq!((bodies(&again), again[0].attempt), (vec!["m-0".to_owned()], 1));
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_held_when_a_receive_vanishes_are_taken_back() {
    let world = World::new(2).await;
    world.send("m", 2).await;
    let deliveries = world.receive(&world.ask()).await;
    drop(Held { inner: &world.consume.0, unread: VecDeque::new(), deliveries });
    let again = within(async {
        let mut again = Vec::new();
        while again.len() < 2 {
            again.extend(world.receive(&world.ask().wait(Duration::from_secs(10))).await);
        }
        again
    })
    .await;
    assert_eq!(bodies(&again), ["m-0", "m-1"]);
    assert!(again.iter().all(|delivery| delivery.attempt == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_made_visible_at_once_wakes_a_poll() {
    let world = Arc::new(World::new(1).await);
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await.remove(0);
    let poll = world.parked(world.ask().wait(Duration::from_secs(30))).await;
    world.change(&got, Duration::ZERO, false).await.unwrap();
    assert_eq!(within(poll).await.unwrap()[0].attempt, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_that_makes_room_wakes_a_poll() {
    let world = Arc::new(World::new(1).await);
    world.send("m", state::IN_FLIGHT_MAX + 1).await;
    let mut held = Vec::new();
    while held.len() < state::IN_FLIGHT_MAX {
        held.extend(world.receive(&world.ask().max(u16::MAX)).await);
    }
    let poll = world.parked(world.ask().wait(Duration::from_secs(30))).await;
    world.ack(&held[0]).await.unwrap();
    assert_eq!(within(poll).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_of_the_dead_letter_queue_is_woken_too() {
    let world = Arc::new(World::new(1).await);
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await.remove(0);
    let poll = world.parked(world.ask_dead_letters()).await;
    world.consume.dead_letter(&world.group, &world.topic, &got.receipt_handle).await.unwrap();
    assert_eq!(within(poll).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_of_an_empty_view_just_waits() {
    let world = World::new(1).await;
    let view = metadata::model::Topic::retry(&world.group, &World::cluster());
    let got = world.receive(&world.ask().topic(view).wait(Duration::from_millis(20))).await;
    assert_eq!(got, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_parked_polls_get_a_message_each() {
    const POLLS: usize = 10_000;
    let world = Arc::new(World::new(8).await);
    let mut polls = tokio::task::JoinSet::new();
    for _ in 0..POLLS {
        let world = Arc::clone(&world);
        polls.spawn(async move {
            world.receive(&world.ask().max(1).wait(Duration::from_secs(60))).await
        });
    }
    world.until_parked(POLLS).await;
    world.send("m", POLLS).await;
    let got = within(polls.join_all()).await;
    assert!(got.iter().all(|deliveries| deliveries.len() == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_consumers_share_everything_exactly_once_while_nothing_expires() {
    const MESSAGES: usize = 3_000;
    let world = Arc::new(World::new(8).await);
    let mut consumers = tokio::task::JoinSet::new();
    for consumer in 0..20 {
        let world = Arc::clone(&world);
        consumers.spawn(async move {
            let mut seen = Vec::new();
            loop {
                let ask = world.ask().max(1 + consumer % 7).wait(Duration::from_millis(700));
                let got = world.receive(&ask).await;
                if got.is_empty() {
                    return seen;
                }
                for delivery in got {
                    world.ack(&delivery).await.unwrap();
                    seen.push(delivery.message.body.clone());
                }
            }
        });
    }
    for _ in 0..MESSAGES / 100 {
        world.send("m", 100).await;
        tokio::task::yield_now().await;
    }
    let mut counts = BTreeMap::new();
    for body in within(consumers.join_all()).await.into_iter().flatten() {
        *counts.entry(body).or_insert(0) += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), MESSAGES);
    assert_eq!(counts.len(), 100);
    let progress = world.consume.progress(&world.group, &world.topic);
    assert!(progress.iter().all(|queue| queue.committed == queue.end && queue.in_flight == 0));
}

//! What handles are worth, and what comes back when.

use super::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::env::{ManualClock, Timestamp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_handles_have_an_outcome_each_in_their_order() {
    let world = World::new(8).await;
    world.send("m", 8).await;
    let got = world.receive(&world.ask()).await;
    let other = World::group("other", 99);
    let foreign = world.receive(&world.ask().group(&other)).await.remove(0);
    let mut handles: Vec<&str> = got.iter().map(|one| one.receipt_handle.as_str()).collect();
    handles.push(handles[0]);
    handles.push("nonsense");
    handles.push(&foreign.receipt_handle);
    let outcomes = world.consume.ack_many(&world.group, &world.topic, &handles).await;
    assert_eq!(outcomes.len(), 11);
    assert!(outcomes[..9].iter().all(Result::is_ok));
    assert_eq!(outcomes[9], Err(AckRefused::Handle(HandleRefused::Undecodable)));
    assert_eq!(outcomes[10], Err(AckRefused::Handle(HandleRefused::Foreign)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_settles_nothing_under_another_topic() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    let got = world.receive(&world.ask()).await.remove(0);
    let other = World::topic("other", 1, 5000);
    let refused = world.consume.ack(&world.group, &other, &got.receipt_handle).await;
    assert_eq!(refused, Err(AckRefused::Claim(ClaimRefused::Unknown)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_handle_is_refused_and_an_earlier_one_too() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    let ask = world.ask().invisible(Duration::ZERO);
    let first = world.receive(&ask).await.remove(0);
    let refused = world.ack(&first).await.unwrap_err();
    assert_eq!(refused, AckRefused::Claim(ClaimRefused::Expired));
    world.receive(&ask).await;
    let refused = world.ack(&first).await.unwrap_err();
    assert_eq!(refused, AckRefused::Claim(ClaimRefused::Earlier));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_gives_a_new_handle_and_both_are_good() {
    let world = World::new(1).await;
    world.send("m", 2).await;
    let got = world.receive(&world.ask()).await;
    for (delivery, use_old) in got.iter().zip([true, false]) {
        let new = world.change(delivery, Duration::from_secs(90), false).await.unwrap();
        assert_ne!(new, delivery.receipt_handle);
        let handle = if use_old { &delivery.receipt_handle } else { &new };
        world.consume.ack(&world.group, &world.topic, handle).await.unwrap();
        let late = world.change(delivery, Duration::from_secs(60), false).await.unwrap_err();
        assert_eq!(late, AckRefused::Claim(ClaimRefused::Acknowledged));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nack_comes_back_at_its_time_and_suspension_keeps_the_attempt() {
    let world = World::new(1).await;
    world.send("m", 1).await;
    let mut got = world.receive(&world.ask()).await.remove(0);
    for (suspend, attempt) in [(false, 2), (true, 2), (false, 3)] {
        world.change(&got, Duration::from_millis(30), suspend).await.unwrap();
        assert_eq!(world.receive(&world.ask()).await, []);
        got = world.receive(&world.ask().wait(Duration::from_secs(10))).await.remove(0);
        assert_eq!(got.attempt, attempt);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_could_not_be_passed_on_come_back_as_the_same_attempt() {
    let world = World::new(1).await;
    world.send("m", 2).await;
    let got = world.receive(&world.ask()).await;
    world.consume.nack(&got);
    assert_eq!(world.receive(&world.ask()).await, []);
    let again = world.receive(&world.ask().wait(Duration::from_secs(10))).await;
    assert_eq!(bodies(&again), ["m-0", "m-1"]);
    assert!(again.iter().all(|delivery| delivery.attempt == 1));
    // Taking back what another delivery holds by now does nothing.
    world.consume.nack(&got);
    world.ack(&again[0]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_of_a_client_that_says_goodbye_come_back_after_a_second() {
    let world = World::new(1).await;
    world.send("m", 2).await;
    let client = ClientId::new("client");
    world.receive(&world.ask().max(1).leased("client")).await;
    world.receive(&world.ask().max(1).leased("other")).await;
    world.consume.client_gone(&client);
    let again = world.receive(&world.ask().wait(Duration::from_secs(10))).await;
    assert_eq!((bodies(&again), again[0].attempt), (vec!["m-0".to_owned()], 2));
    assert_eq!(world.receive(&world.ask()).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_goes_on_while_its_client_lives_and_ends_in_the_retry_delay() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let world = World::new(1).await.at_time_of(&clock);
    world.send("m", 1).await;
    let got = world.receive(&world.ask().leased("client")).await.remove(0);
    for _ in 0..4 {
        clock.advance(Duration::from_secs(50));
        world.keep_time(false);
    }
    assert_eq!(world.receive(&world.ask()).await, []);
    // A client that is not known yet counts as one that lives.
    world.alive.store(false, Ordering::Relaxed);
    clock.advance(Duration::from_secs(50));
    world.keep_time(true);
    clock.advance(Duration::from_secs(50));
    world.keep_time(false);
    assert_eq!(world.receive(&world.ask()).await, []);
    clock.advance(world.group.retry.delay(1));
    let again = world.receive(&world.ask()).await.remove(0);
    assert_eq!(again.attempt, 2);
    assert_eq!(world.ack(&got).await, Err(AckRefused::Claim(ClaimRefused::Earlier)));
}

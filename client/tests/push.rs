//! The push consumer's duties that a test's own server shows best: order, what the servers are
//! told, what they may ask for.
#![expect(clippy::disallowed_methods, reason = "a test on real sockets runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod fake;

use client::{Config, Consumed, Delivery, Filter, PushConsumer, PushSettings};
use fake::{Fake, Told, message};
use pb::retry_policy::Strategy;
use pb::telemetry_command::Command;
use protocol::grpc::v2 as pb;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A retry policy of `max_attempts` attempts, `millis` apart.
fn policy(max_attempts: i32, millis: i32) -> pb::RetryPolicy {
    let pause = prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 };
    let ladder = pb::CustomizedBackoff { next: vec![pause] };
    pb::RetryPolicy { max_attempts, strategy: Some(Strategy::CustomizedBackoff(ladder)) }
}

/// Ids and attempts in the order in which the listener saw them.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn of(&self, wanted: &[&str]) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        seen.iter().filter(|id| wanted.contains(&id.as_str())).cloned().collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A consumer whose listener fails the messages of `failures` so many times.
async fn start(fake: &Fake, failures: &[(&str, usize)]) -> (PushConsumer, Seen) {
    let seen = Seen::default();
    let failures: HashMap<String, usize> =
        failures.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
    let failures = Arc::new(Mutex::new(failures));
    let listener = {
        let seen = seen.clone();
        move |delivery: Arc<Delivery>| {
            seen.0.lock().unwrap().push(delivery.id.clone());
            let mut failures = failures.lock().unwrap();
            let left = failures.entry(delivery.id.clone()).or_default();
            let consumed = if *left > 0 { Consumed::Again } else { Consumed::Done };
            *left = left.saturating_sub(1);
            async move { consumed }
        }
    };
    let settings = PushSettings::new("g").subscribe("t", Filter::all());
    let consumer = PushConsumer::start(Config::new(fake.endpoint()), settings, listener).await;
    (consumer.unwrap(), seen)
}

fn acked(handle: &str) -> impl Fn(&Told) -> bool {
    move |told| *told == Told::Acked(handle.to_owned())
}

#[tokio::test]
async fn a_fifo_group_waits_for_its_failed_message_and_others_do_not() {
    let fake = Fake::start();
    fake.script(|script| {
        (script.fifo, script.policy) = (true, Some(policy(5, 30)));
        script.batches.push_back(vec![
            message("a1", Some("a"), 1),
            message("b1", Some("b"), 1),
            message("a2", Some("a"), 1),
            message("b2", Some("b"), 1),
        ]);
    });
    let (consumer, seen) = start(&fake, &[("a1", 2)]).await;
    fake.is_told("ack of a2", acked("a2")).await;
    fake.is_told("ack of b2", acked("b2")).await;
    assert_eq!(seen.of(&["a1", "a2"]), ["a1", "a1", "a1", "a2"]);
    assert_eq!(seen.of(&["b1", "b2"]), ["b1", "b2"]);
    let told = fake.told();
    let place = |handle| told.iter().position(acked(handle)).unwrap();
    assert!(place("b2") < place("a1"), "b waited for a: {told:?}");
    assert!(place("a1") < place("a2"));
    let renewed =
        told.iter().any(|t| matches!(t, Told::Received { auto_renew: true, batch: 16, .. }));
    assert!(renewed, "the server renews, and its batch size counts: {told:?}");
    consumer.close().await;
    assert!(fake.told().contains(&Told::Goodbye));
}

#[tokio::test]
async fn a_fifo_message_that_fails_to_the_last_becomes_a_dead_letter() {
    let fake = Fake::start();
    fake.script(|script| {
        (script.fifo, script.policy) = (true, Some(policy(3, 5)));
        script.batches.push_back(vec![message("a1", Some("a"), 2), message("a2", Some("a"), 1)]);
    });
    let (consumer, seen) = start(&fake, &[("a1", usize::MAX)]).await;
    fake.is_told("ack of a2", acked("a2")).await;
    let told = fake.told();
    let dead = Told::DeadLettered { handle: "a1".into(), attempt: 3, of: 3 };
    assert!(told.contains(&dead), "{told:?}");
    assert_eq!(seen.of(&["a1", "a2"]), ["a1", "a1", "a2"], "its first attempt was the second");
    assert_eq!(consumer.metrics().dead_lettered, 1);
    consumer.close().await;
}

#[tokio::test]
async fn those_behind_a_message_that_is_the_servers_again_are_not_begun() {
    let fake = Fake::start();
    fake.script(|script| {
        (script.fifo, script.policy) = (true, Some(policy(3, 5)));
        script.ack_codes.push_back(pb::Code::InvalidReceiptHandle);
        script.batches.push_back(vec![message("a1", Some("a"), 1), message("a2", Some("a"), 1)]);
        // The server hands them out again.
        script.batches.push_back(vec![message("a1", Some("a"), 2), message("a2", Some("a"), 1)]);
    });
    let (consumer, seen) = start(&fake, &[]).await;
    fake.is_told("ack of a2", acked("a2")).await;
    let seen = seen.of(&["a1", "a2"]);
    // The two batches may run side by side; a2 never runs after a1 was lost, before its return.
    assert_eq!(seen.iter().filter(|id| *id == "a2").count(), 1, "{seen:?}");
    assert_eq!(consumer.metrics().settle_failures, 1);
    consumer.close().await;
}

#[tokio::test]
async fn a_failed_message_is_hidden_for_the_policys_pause() {
    let fake = Fake::start();
    fake.script(|script| {
        script.policy = Some(policy(16, 700));
        script.batches.push_back(vec![message("m", None, 4)]);
    });
    let (consumer, _) = start(&fake, &[("m", 1)]).await;
    let changed = Told::Changed { handle: "m".into(), millis: 700, suspend: false };
    fake.is_told("change", |told| *told == changed).await;
    consumer.close().await;
}

#[tokio::test]
async fn an_acknowledgement_is_repeated_until_it_is_heard() {
    let fake = Fake::start();
    fake.script(|script| {
        script.ack_codes = [pb::Code::InternalServerError, pb::Code::TooManyRequests].into();
        script.batches.push_back(vec![message("m", None, 1)]);
    });
    let (consumer, seen) = start(&fake, &[]).await;
    fake.is_told("ack", acked("m")).await;
    assert_eq!(seen.count(), 1);
    let metrics = consumer.metrics();
    assert_eq!(metrics.settle_failures, 0);
    consumer.close().await;
}

#[tokio::test]
async fn a_fifo_receive_that_failed_is_repeated_under_its_name() {
    let fake = Fake::start();
    fake.script(|script| {
        (script.fifo, script.receive_failures) = (true, 1);
        script.batches.push_back(vec![message("m", None, 1)]);
    });
    let (consumer, _) = start(&fake, &[]).await;
    fake.is_told("ack", acked("m")).await;
    // A third one waits for more by now, or will.
    let mut names: Vec<String> = Vec::new();
    for told in fake.told() {
        if let Told::Received { attempt_id, .. } = told {
            names.push(attempt_id);
        }
    }
    assert!(!names[0].is_empty());
    assert_eq!(names[0], names[1]);
    assert!(names.get(2).is_none_or(|third| *third != names[0]));
    consumer.close().await;
}

#[tokio::test]
async fn servers_may_have_a_message_verified_and_connections_made_anew() {
    let fake = Fake::start();
    let (consumer, seen) = start(&fake, &[("bad", usize::MAX)]).await;
    for (id, code) in [("good", pb::Code::Ok), ("bad", pb::Code::FailedToConsumeMessage)] {
        let nonce = id.to_owned();
        let message = Some(message(id, None, 1));
        fake.command(Command::VerifyMessageCommand(pb::VerifyMessageCommand { nonce, message }))
            .await;
        let result = pb::VerifyMessageResult { nonce: id.to_owned() };
        let reply = Told::Replied(code as i32, Command::VerifyMessageResult(result));
        fake.is_told("result", |told| *told == reply).await;
    }
    assert_eq!(seen.count(), 2);
    let nonce = "1".to_owned();
    fake.command(Command::PrintThreadStackTraceCommand(pb::PrintThreadStackTraceCommand { nonce }))
        .await;
    let is_trace = |told: &Told| matches!(told, Told::Replied(_, Command::ThreadStackTrace(_)));
    fake.is_told("stack trace", is_trace).await;

    let nonce = "2".to_owned();
    fake.command(Command::ReconnectEndpointsCommand(pb::ReconnectEndpointsCommand { nonce })).await;
    let streams = || fake.told().iter().filter(|told| matches!(told, Told::Settings(_))).count();
    let reopened = async {
        while streams() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reopened).await.expect("a new stream");
    // And it consumes over the new connection.
    fake.script(|script| script.batches.push_back(vec![message("later", None, 1)]));
    fake.is_told("ack", acked("later")).await;
    assert!(fake.told().contains(&Told::Settings(pb::ClientType::PushConsumer)));
    consumer.close().await;
}

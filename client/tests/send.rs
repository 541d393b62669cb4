//! A producer's duties: repeat what may be repeated, avoid who does not answer, sign.
#![expect(clippy::disallowed_methods, reason = "a test on real sockets runs on the real clock")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod fake;

use client::{Code, Config, Credentials, Error, Message, Outcome, Producer};
use fake::{Fake, Told, queue};
use std::net::SocketAddr;
use std::time::Duration;

fn config(fake: &Fake) -> Config {
    Config { request_timeout: Duration::from_secs(1), ..Config::new(fake.endpoint()) }
}

fn sends(fake: &Fake) -> usize {
    fake.told().iter().filter(|told| matches!(told, Told::Sent(_))).count()
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_busy_server_is_asked_again_under_the_same_id() {
    let fake = Fake::start();
    fake.script(|script| script.send_codes = [Code::TooManyRequests; 2].into());
    let producer = Producer::start(config(&fake), ["t"]).await.unwrap();
    let message = Message::new("t", "x");
    let id = message.id().to_owned();
    producer.send(message).await.unwrap();
    let sent: Vec<Told> =
        fake.told().into_iter().filter(|told| matches!(told, Told::Sent(_))).collect();
    assert_eq!(sent, vec![Told::Sent(id); 3]);
    let metrics = producer.metrics();
    assert_eq!((metrics.sent, metrics.send_retries, metrics.send_failures), (1, 2, 0));
    producer.close().await;
}

#[tokio::test]
async fn attempts_end_where_the_server_or_the_caller_says() {
    let fake = Fake::start();
    fake.script(|script| script.send_codes = [Code::TooManyRequests; 20].into());
    let producer = Producer::start(config(&fake), ["t"]).await.unwrap();
    let error = producer.send(Message::new("t", "x")).await.unwrap_err();
    assert_eq!((error.code(), sends(&fake)), (Some(Code::TooManyRequests), 3));
    let config = Config { send_attempts: Some(5), ..config(&fake) };
    let patient = Producer::start(config, ["t"]).await.unwrap();
    patient.send(Message::new("t", "x")).await.unwrap_err();
    assert_eq!(sends(&fake), 8);
}

#[tokio::test]
async fn an_unknown_outcome_is_tried_again_only_if_the_caller_wants_it() {
    let fake = Fake::start();
    let timeout = Code::MasterPersistenceTimeout;
    fake.script(|script| script.send_codes = [timeout; 2].into());
    let careful = Producer::start(config(&fake), ["t"]).await.unwrap();
    let error = careful.send(Message::new("t", "x")).await.unwrap_err();
    assert_eq!((error.outcome(), sends(&fake)), (Outcome::Unknown, 1));
    let config = Config { resend_unknown: true, ..config(&fake) };
    let persistent = Producer::start(config, ["t"]).await.unwrap();
    persistent.send(Message::new("t", "x")).await.unwrap();
    assert_eq!(sends(&fake), 3);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_passed_over() {
    let (fake, dead) = (Fake::start(), nobody());
    fake.script(|script| script.queues.push(queue("other", 0, dead)));
    let producer = Producer::start(config(&fake), ["t"]).await.expect("one of two is there");
    for number in 0..10 {
        producer.send(Message::new("t", number.to_string())).await.unwrap();
    }
    let metrics = producer.metrics();
    assert_eq!((metrics.sent, metrics.isolated_endpoints), (10, 1));
    assert_eq!(metrics.send_retries, 0, "nobody was sent to who was known not to answer");
    assert_eq!(sends(&fake), 10);
    producer.close().await;
}

#[tokio::test]
async fn a_send_goes_elsewhere_when_its_endpoint_goes_and_returns_with_it() {
    let (one, other) = (Fake::start(), Fake::start());
    let queues = vec![queue("one", 0, one.address), queue("other", 0, other.address)];
    one.script(|script| script.queues = queues);
    let producer = Producer::start(config(&one), ["t"]).await.unwrap();
    for number in 0..4 {
        producer.send(Message::new("t", number.to_string())).await.unwrap();
    }
    assert_eq!((sends(&one), sends(&other)), (2, 2));
    other.stop();
    for number in 0..6 {
        // One that was on its way when the connection broke may end unknown.
        let sent = producer.send(Message::new("t", number.to_string())).await;
        assert!(sent.is_ok() || sent.is_err_and(|error| error.outcome() == Outcome::Unknown));
    }
    let metrics = producer.metrics();
    assert_eq!(metrics.isolated_endpoints, 1);
    assert!(metrics.sent >= 9, "{metrics:?}");
    other.start_again().await;
    let back = async {
        while producer.metrics().isolated_endpoints > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("a sign of life is noticed");
    let before = sends(&other);
    for number in 0..4 {
        producer.send(Message::new("t", number.to_string())).await.unwrap();
    }
    assert_eq!(sends(&other), before + 2);
    producer.close().await;
}

#[tokio::test]
async fn one_way_messages_are_all_sent_before_the_producer_is_gone() {
    let fake = Fake::start();
    fake.script(|script| script.send_codes = [Code::IllegalMessageTag].into());
    let producer = Producer::start(config(&fake), ["t"]).await.unwrap();
    for number in 0..50 {
        producer.send_one_way(Message::new("t", number.to_string())).await.unwrap();
    }
    producer.close().await;
    let metrics = producer.metrics();
    assert_eq!((metrics.sent, metrics.send_failures, metrics.send_time.count()), (49, 1, 50));
    assert_eq!(fake.told().last(), Some(&Told::Goodbye));
    let late = producer.send_one_way(Message::new("t", "x")).await.unwrap_err();
    assert!(matches!(late, Error::Closed), "{late:?}");
}

#[tokio::test]
async fn requests_are_signed_with_their_time() {
    let fake = Fake::start();
    let credentials = Some(Credentials::new("user", "secret").session_token("token"));
    let signed = Config { credentials, ..config(&fake) };
    let producer = Producer::start(signed, ["t"]).await.unwrap();
    producer.send(Message::new("t", "x")).await.unwrap();
    let headers = fake.headers();
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let time = header("x-mq-date-time");
    assert_eq!((time.len(), &time[8..9], &time[15..]), (16, "T", "Z"), "{time}");
    let authorization = header("authorization");
    let signature = authorization
        .strip_prefix("MQv2-HMAC-SHA1 Credential=user, SignedHeaders=x-mq-date-time, Signature=")
        .unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"secret");
    let signature: Vec<u8> = (0..signature.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap())
        .collect();
    ring::hmac::verify(&key, time.as_bytes(), &signature).expect("the signature of the time");
    assert_eq!(header("x-mq-session-token"), "token");
    let unsigned = Producer::start(config(&fake), ["t"]).await.unwrap();
    unsigned.send(Message::new("t", "x")).await.unwrap();
    assert!(fake.headers().get("authorization").is_none());
}

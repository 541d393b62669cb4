//! Sends messages and consumes them with a push consumer; every seventh fails once and comes again.
//!
//! `cargo run -p stratamq-client --example push_consumer -- 127.0.0.1:8081 TOPIC GROUP 200`,
//! against any RocketMQ 5 server on which the topic exists. `ROCKETMQ_ACCESS_KEY` and
//! `ROCKETMQ_SECRET_KEY` sign the requests; `ROCKETMQ_TLS=trust-all` encrypts them.
#![expect(clippy::print_stdout, reason = "an example talks")]

use client::{
    Config, Consumed, Credentials, Filter, Message, Producer, PushConsumer, PushSettings, Tls,
};
use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = |default: &str| words.next().unwrap_or_else(|| default.to_owned());
    let (endpoint, topic, group) = (word("127.0.0.1:8081"), word("hello"), word("readers"));
    let count: usize = word("200").parse()?;
    let config = config(&endpoint)?;

    let producer = Producer::start(config.clone(), [&topic]).await?;
    let mut expected = HashSet::new();
    for number in 0..count {
        let message = Message::new(&topic, format!("message {number}")).key(number.to_string());
        expected.insert(message.id().to_owned());
        // Does not wait for the answer; `flush` does.
        producer.send_one_way(message).await?;
    }
    producer.flush().await;
    println!("sent {} messages to {topic}", producer.metrics().sent);

    // What is still to come. A group that is older may have other messages to consume as well.
    let missing = Arc::new(Mutex::new(expected));
    let (done, mut all_here) = tokio::sync::watch::channel(false);
    let listener = {
        let missing = Arc::clone(&missing);
        move |delivery: Arc<client::Delivery>| {
            let (missing, done) = (Arc::clone(&missing), done.clone());
            async move {
                if delivery.attempt == 1 && delivery.offset % 7 == 6 {
                    return Consumed::After(Duration::from_millis(100));
                }
                let mut missing = missing.lock().expect("nobody panics with the lock");
                missing.remove(&delivery.id);
                if missing.is_empty() {
                    done.send_replace(true);
                }
                Consumed::Done
            }
        }
    };
    let settings = PushSettings::new(&group).subscribe(&topic, Filter::all()).concurrency(16);
    let consumer = PushConsumer::start(config, settings, listener).await?;
    tokio::time::timeout(Duration::from_secs(60), all_here.wait_for(|all| *all)).await??;
    consumer.close().await;
    producer.close().await;

    let metrics = consumer.metrics();
    println!(
        "consumed {} messages with group {group}, {} of them not at first; half within {:?}",
        metrics.consumed,
        metrics.consume_failures,
        metrics.consume_time.quantile(0.5)
    );
    Ok(())
}

fn config(endpoint: &str) -> Result<Config, Box<dyn Error>> {
    let mut config = Config::new(endpoint.parse()?);
    if let (Ok(key), Ok(secret)) =
        (std::env::var("ROCKETMQ_ACCESS_KEY"), std::env::var("ROCKETMQ_SECRET_KEY"))
    {
        config.credentials = Some(Credentials::new(key, secret));
    }
    if std::env::var("ROCKETMQ_TLS").is_ok_and(|tls| tls == "trust-all") {
        config.tls = Tls::TrustAll;
    }
    Ok(config)
}

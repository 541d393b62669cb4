//! Sends messages from many tasks at once, receives them all, and acknowledges each.
//!
//! `cargo run -p stratamq-client --example round_trip -- 127.0.0.1:8081 TOPIC GROUP 1000`, against
//! any RocketMQ 5 server on which the topic exists.
#![expect(clippy::print_stdout, reason = "an example talks")]

use client::{Config, Error, Filter, Message, Producer, Receive, SimpleConsumer};
use std::collections::HashSet;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = |default: &str| words.next().unwrap_or_else(|| default.to_owned());
    let (endpoint, topic, group) = (word("127.0.0.1:8081"), word("hello"), word("readers"));
    let count: usize = word("1000").parse()?;

    let config = Config::new(endpoint.parse()?);
    let sent = send(&config, &topic, count).await?;
    println!("sent {} messages to {topic}", sent.len());
    let received = receive(&config, &topic, &group, &sent).await?;
    println!("received and acknowledged {received} of them with group {group}");
    Ok(())
}

/// Sends from many tasks; a clone of a producer shares its connections.
async fn send(config: &Config, topic: &str, count: usize) -> Result<HashSet<String>, Error> {
    let producer = Producer::start(config.clone(), [topic]).await?;
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (producer, topic) = (producer.clone(), topic.to_owned());
        tasks.spawn(async move {
            let message = Message::new(topic, format!("message {number}"))
                .tag("round-trip")
                .key(number.to_string())
                .property("number", number.to_string());
            producer.send(message).await
        });
    }
    let receipts = tasks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    producer.close().await;
    Ok(receipts.into_iter().map(|receipt| receipt.message_id).collect())
}

/// Receives until all of `wanted` have come; others are acknowledged as well.
async fn receive(
    config: &Config,
    topic: &str,
    group: &str,
    wanted: &HashSet<String>,
) -> Result<usize, Error> {
    let subscription = (topic, Filter::Tag("round-trip".to_owned()));
    let consumer = SimpleConsumer::start(config.clone(), group, [subscription]).await?;
    let mut seen = HashSet::new();
    while seen.len() < wanted.len() {
        let deliveries = consumer.receive(Receive::default()).await?;
        if deliveries.is_empty() {
            break;
        }
        for result in consumer.ack_all(&deliveries).await {
            result?;
        }
        let ids = deliveries.into_iter().map(|delivery| delivery.id);
        seen.extend(ids.filter(|id| wanted.contains(id)));
    }
    consumer.close().await;
    Ok(seen.len())
}

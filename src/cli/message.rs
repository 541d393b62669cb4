//! `stratamq message`.

use super::connect::{ClientAddress, duration, name};
use super::failure::Failure;
use super::look::{Get, Tail};
use super::meter::Meter;
use super::print::{Printer, count};
use super::topic::key_value;
use clap::{Args, Subcommand};
use client::{Delivery, Filter, Message, Producer, Receipt, Receive, SimpleConsumer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The broker's limit for one receive.
const BATCH_MAX: usize = 32;

#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Send messages to a topic
    #[command(after_help = "Examples:
  stratamq message send hello \"first message\"
  stratamq message send hello one two three --tag numbers
  stratamq message send orders '{\"id\":17}' --key 17 --property by=shop
  stratamq message send hello - < file")]
    Send(Send),
    /// Receive messages of a topic and acknowledge them
    ///
    /// Waits until there is a message, prints what there is, and ends.
    #[command(after_help = "Examples:
  stratamq message receive hello --group readers
  stratamq message receive hello --group readers --max 1000 --json
  stratamq message receive hello --group readers --no-ack     (they come again after --invisible)")]
    Receive(ReceiveArgs),
    /// Follow a topic: show messages as they come, without consuming them
    #[command(after_help = "Examples:
  stratamq message tail hello
  stratamq message tail hello --since 10m
  stratamq message tail hello --since 2026-08-05 --idle 1s --json > messages.jsonl")]
    Tail(Tail),
    /// Find messages, without consuming them
    #[command(after_help = "Examples:
  stratamq message get 01D09B4CFE3F0A0B9C00000000 --topic hello    by the id that a send printed
  stratamq message get --topic orders --key 17 --since 2h
  stratamq message get --topic orders --queue strata-0000/0 --offset 42
  stratamq message get 7F00000100002A9F0000000000000100            by offset message id")]
    Get(Box<Get>),
}

#[derive(Args, Debug)]
pub(crate) struct Send {
    /// The topic; it must exist
    #[arg(value_parser = name)]
    topic: String,
    /// One message each; - reads one from standard input
    #[arg(required = true)]
    bodies: Vec<String>,
    /// Tag, for consumers to filter by
    #[arg(long)]
    tag: Option<String>,
    /// Key, to find the message by; may be repeated
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Property; may be repeated
    #[arg(long = "property", value_parser = key_value, value_name = "NAME=VALUE")]
    properties: Vec<(String, String)>,
    #[command(flatten)]
    address: ClientAddress,
}

#[derive(Args, Debug)]
pub(crate) struct ReceiveArgs {
    /// The topic; it must exist
    #[arg(value_parser = name)]
    topic: String,
    /// Consumer group: each message goes to one member of each group
    #[arg(long, default_value = "stratamq-cli")]
    group: String,
    /// At most so many messages
    #[arg(long, default_value_t = BATCH_MAX, value_name = "N")]
    max: usize,
    /// How long to wait for a first message, 5s to 20s
    #[arg(long, default_value = "20s", value_parser = wait, value_name = "TIME")]
    wait: Duration,
    /// For how long nobody else gets the messages, 10s to 12h
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "TIME")]
    invisible: Duration,
    /// Only messages with such a tag: a, or a || b
    #[arg(long, default_value = "*", value_name = "EXPRESSION")]
    tag: String,
    /// Do not acknowledge: the messages come again
    #[arg(long)]
    no_ack: bool,
    #[command(flatten)]
    address: ClientAddress,
}

impl MessageCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            MessageCommand::Send(Send { address, .. })
            | MessageCommand::Receive(ReceiveArgs { address, .. }) => address.json,
            MessageCommand::Tail(tail) => tail.json(),
            MessageCommand::Get(get) => get.json(),
        }
    }
}

pub(super) async fn execute(command: MessageCommand, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        MessageCommand::Send(send) => {
            let (topic, address) = (send.topic.clone(), send.address.clone());
            let sent = send.execute(printer).await;
            sent.map_err(|failure| address.explain(failure.about("TOPIC", &topic)))
        }
        MessageCommand::Receive(receive) => {
            let (topic, group) = (receive.topic.clone(), receive.group.clone());
            let address = receive.address.clone();
            let received = receive.execute(printer).await;
            received.map_err(|failure| {
                address.explain(failure.about("TOPIC", &topic).about("GROUP", &group))
            })
        }
        MessageCommand::Tail(tail) => tail.execute(printer).await,
        MessageCommand::Get(get) => get.execute(printer).await,
    }
}

impl Send {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let messages = self.messages()?;
        let producer = Producer::start(self.address.config()?, [self.topic.as_str()]).await?;
        let result = self.send_each(&producer, messages, printer).await;
        producer.close().await;
        result
    }

    /// One after the other: what is printed has been stored.
    async fn send_each(
        &self,
        producer: &Producer,
        messages: Vec<Message>,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        let total = u64::try_from(messages.len()).ok();
        let mut meter = Meter::new("sent", total, self.address.json);
        for (done, message) in (1..).zip(messages) {
            let id = message.id().to_owned();
            let receipt = producer.send(message).await.map_err(|error| {
                let failure = Failure::from(error);
                if failure.hint.starts_with("whether") {
                    return failure.hint(format!("message {id} may be stored or not"));
                }
                failure
            })?;
            let value = serde_json::json!({
                "topic": self.topic,
                "message_id": receipt.message_id,
                "offset": receipt.offset,
            });
            printer.show(&value, || sent(&self.topic, &receipt))?;
            meter.at(done);
        }
        drop(meter);
        let topic = &self.topic;
        printer.say(&format!("receive it with: stratamq message receive {topic} --group readers"))
    }

    fn messages(&self) -> Result<Vec<Message>, Failure> {
        let inputs = self.bodies.iter().filter(|body| *body == "-").count();
        if inputs > 1 {
            return Err(Failure::usage("standard input can be sent once: give - once"));
        }
        self.bodies.iter().map(|body| Ok(self.message(body_of(body)?))).collect()
    }

    fn message(&self, body: Vec<u8>) -> Message {
        let mut message = Message::new(self.topic.as_str(), body);
        for key in &self.keys {
            message = message.key(key);
        }
        for (name, value) in &self.properties {
            message = message.property(name, value);
        }
        if let Some(tag) = &self.tag {
            message = message.tag(tag);
        }
        message
    }
}

/// What the broker takes; it would make a longer one 20 s without a word.
fn wait(text: &str) -> Result<Duration, String> {
    let wait = duration(text)?;
    if (Duration::from_secs(5)..=Duration::from_secs(20)).contains(&wait) {
        Ok(wait)
    } else {
        Err("give 5s to 20s".to_owned())
    }
}

fn body_of(argument: &str) -> Result<Vec<u8>, Failure> {
    if argument != "-" {
        return Ok(argument.as_bytes().to_vec());
    }
    let mut body = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut body);
    read.map_err(|error| Failure::usage(format!("standard input: {error}")))?;
    Ok(body)
}

fn sent(topic: &str, receipt: &Receipt) -> String {
    let Receipt { message_id, offset, .. } = receipt;
    format!("sent to {topic}: message {message_id}, offset {offset} in its queue\n")
}

impl ReceiveArgs {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        if self.max == 0 {
            return Err(Failure::usage("--max 0 would receive nothing"));
        }
        let subscription = (self.topic.as_str(), Filter::Tag(self.tag.clone()));
        let config = self.address.config()?;
        let consumer = SimpleConsumer::start(config, self.group.as_str(), [subscription]).await?;
        let received = self.receive_all(&consumer, printer).await;
        consumer.close().await;
        let received = received?;
        printer.say(&self.summary(received))
    }

    /// Until `max`, or until the broker gives less than asked for: it has no more just now.
    async fn receive_all(
        &self,
        consumer: &SimpleConsumer,
        printer: &mut Printer,
    ) -> Result<usize, Failure> {
        let mut received = 0;
        let mut meter = Meter::new("received", u64::try_from(self.max).ok(), self.address.json);
        while received < self.max {
            let max = (self.max - received).min(BATCH_MAX);
            let how = Receive { max, invisible: self.invisible, wait: self.wait };
            let batch = consumer.receive(how).await?;
            for delivery in &batch {
                printer.show(&Shown::from(delivery), || text(delivery))?;
            }
            received += batch.len();
            meter.at(u64::try_from(received).unwrap_or(u64::MAX));
            // Printed first: a message that was not seen must come again.
            if !self.no_ack {
                consumer.ack_all(&batch).await.into_iter().collect::<Result<(), _>>()?;
            }
            if batch.len() < max {
                break;
            }
        }
        Ok(received)
    }

    fn summary(&self, received: usize) -> String {
        let ReceiveArgs { topic, group, .. } = self;
        if received == 0 {
            return format!(
                "no message for group {group} in topic {topic}\n\
                 send one with: stratamq message send {topic} \"hello\""
            );
        }
        let messages = count(u64::try_from(received).unwrap_or(u64::MAX), "message");
        if self.no_ack {
            let seconds = self.invisible.as_secs();
            format!("{messages} received, not acknowledged: to come again in {seconds} s")
        } else {
            format!("{messages} received and acknowledged by group {group}")
        }
    }
}

/// A message as a script reads it.
#[derive(Serialize)]
struct Shown<'a> {
    topic: &'a str,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// In place of `body` where that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_hex: Option<String>,
    tag: Option<&'a str>,
    keys: &'a [String],
    properties: &'a BTreeMap<String, String>,
    message_group: Option<&'a str>,
    attempt: u32,
    queue_id: i32,
    offset: i64,
    born_ms: Option<u64>,
    stored_ms: Option<u64>,
}

impl<'a> From<&'a Delivery> for Shown<'a> {
    fn from(delivery: &'a Delivery) -> Shown<'a> {
        let body = std::str::from_utf8(&delivery.body).ok();
        Shown {
            topic: &delivery.topic,
            message_id: &delivery.id,
            body,
            body_hex: body.is_none().then(|| hex(&delivery.body)),
            tag: delivery.tag.as_deref(),
            keys: &delivery.keys,
            properties: &delivery.properties,
            message_group: delivery.group.as_deref(),
            attempt: delivery.attempt,
            queue_id: delivery.queue_id,
            offset: delivery.offset,
            born_ms: delivery.born_at.and_then(unix_ms),
            stored_ms: delivery.stored_at.and_then(unix_ms),
        }
    }
}

fn unix_ms(at: SystemTime) -> Option<u64> {
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line about the message, then its body.
fn text(delivery: &Delivery) -> String {
    let mut head = format!("message {}", delivery.id);
    if let Some(tag) = &delivery.tag {
        head.push_str(&format!("  tag {tag}"));
    }
    if !delivery.keys.is_empty() {
        head.push_str(&format!("  keys {}", delivery.keys.join(" ")));
    }
    if let Some(group) = &delivery.group {
        head.push_str(&format!("  message group {group}"));
    }
    for (name, value) in &delivery.properties {
        head.push_str(&format!("  {name}={value}"));
    }
    head.push_str(&format!("  attempt {}", delivery.attempt));
    let body = match std::str::from_utf8(&delivery.body) {
        Ok(body) => body.to_owned(),
        Err(_) => format!("({} that are not text; --json has them)", bytes(&delivery.body)),
    };
    format!("{head}\n{body}\n")
}

fn bytes(body: &[u8]) -> String {
    count(u64::try_from(body.len()).unwrap_or(u64::MAX), "byte")
}

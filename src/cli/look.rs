//! `stratamq message get` and `stratamq message tail`: looking at messages without consuming them.

use super::connect::{AdminAddress, duration, moment, name};
use super::failure::Failure;
use super::http::{Admin, WAIT_MS, escaped, path};
use super::meter::Meter;
use super::print::{Printer, count, time};
use super::progress::queue_name;
use super::topic::{shown, unknown};
use clap::Args;
use gateway::admin::api::{Message, MessageSearch, MessageTail, QueueName};
use std::collections::BTreeSet;
use std::time::Duration;
use storage::env::Env;

#[derive(Args, Debug)]
pub(crate) struct Get {
    /// An id: what a send printed (with --topic), or an offset message id
    #[arg(conflicts_with_all = ["key", "queue", "offset"])]
    id: Option<String>,
    /// The topic to look in
    #[arg(long, value_parser = name)]
    topic: Option<String>,
    /// All messages with this key, newest first
    #[arg(long, requires = "topic")]
    key: Option<String>,
    /// The queue of --offset, as stratamq topic describe names it
    #[arg(long, value_parser = queue_name, value_name = "BROKER/QUEUE", requires = "offset")]
    queue: Option<QueueName>,
    /// The message at this offset of --queue
    #[arg(long, value_name = "N", requires = "queue", requires = "topic", conflicts_with = "key")]
    offset: Option<u64>,
    /// Search only what was stored since: 2h (ago), or 2026-08-05T14:00Z
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    since: Option<u64>,
    /// Search only what was stored until then
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    until: Option<u64>,
    /// Stop a search after so many messages
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    max: u32,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The topic
    #[arg(value_parser = name)]
    topic: String,
    /// Begin with what was stored since: 10m (ago), or 2026-08-05T14:00Z; else with what comes
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    since: Option<u64>,
    /// Stop after so many messages
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    max: Option<u64>,
    /// Stop when nothing came for so long
    #[arg(long, value_parser = duration, value_name = "TIME")]
    idle: Option<Duration>,
    #[command(flatten)]
    address: AdminAddress,
}

impl Get {
    pub(super) fn json(&self) -> bool {
        self.address.json
    }

    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let found = self.find(printer).await;
        found.map_err(|failure| match &self.topic {
            Some(topic) => failure.about("TOPIC", topic),
            None => failure,
        })
    }

    async fn find(&self, printer: &mut Printer) -> Result<(), Failure> {
        let admin = self.address.open()?;
        match (&self.topic, &self.id, &self.key, &self.queue, self.offset) {
            (Some(topic), None, None, Some(QueueName { broker, id }), Some(offset)) => {
                let topic = path("topics", topic);
                let at = format!("{topic}/messages/{}/{id}/{offset}", escaped(broker));
                one(printer, &admin.get(&at).await.map_err(unknown)?)
            }
            (Some(topic), None, Some(key), None, None) => {
                self.search(&admin, topic, ("key", key), printer).await
            }
            (Some(topic), Some(id), None, None, None) => {
                self.search(&admin, topic, ("id", id), printer).await
            }
            (None, Some(id), None, None, None) => {
                let found = admin.get(&path("messages", id)).await;
                one(printer, &found.map_err(|failure| elsewhere(failure, id))?)
            }
            _ => Err(Failure::usage("nothing says which message")
                .hint("give an id, or --topic with --key, or --topic with --queue and --offset")),
        }
    }

    /// Goes on where the broker stopped, until there is enough or everything was looked at.
    async fn search(
        &self,
        admin: &Admin,
        topic: &str,
        (what, value): (&str, &str),
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        let newest = self.until.unwrap_or_else(|| Env::system().now().0);
        let oldest = self.since.unwrap_or(0);
        let mut meter = Meter::new("searched back", None, self.address.json).alone(self.json());
        let (wanted, max) = (format!("{what}={}", escaped(value)), usize::try_from(self.max));
        let max = max.unwrap_or(usize::MAX);
        let (mut seen, mut to) = (BTreeSet::new(), self.until);
        let mut damaged = BTreeSet::new();
        while seen.len() < max {
            let mut at = format!("{}/messages?{wanted}&from_ms={oldest}", path("topics", topic));
            if let Some(to) = to {
                at.push_str(&format!("&to_ms={to}"));
            }
            let found: MessageSearch = admin.get(&at).await.map_err(unknown)?;
            for message in &found.messages {
                let place = (message.broker.clone(), message.queue_id, message.offset);
                if seen.len() < max && seen.insert(place) {
                    one(printer, message)?;
                }
            }
            damaged.extend(found.damaged_objects);
            match found.stopped_at_ms {
                None => break,
                Some(at) if to == Some(at) => {
                    return Err(Failure::refused(format!(
                        "too many messages were stored at {} to look at all of them",
                        time(at)
                    ))
                    .hint("what is older can be searched with --until"));
                }
                Some(at) => {
                    meter.at(newest.saturating_sub(at) / 1000);
                    to = Some(at);
                }
            }
        }
        drop(meter);
        if let Some(object) = damaged.first() {
            let others = match damaged.len() {
                1 => String::new(),
                objects => format!(" and {} more", objects - 1),
            };
            return Err(Failure::refused(format!(
                "the object {object}{others} cannot be looked at: it is damaged"
            ))
            .hint("what `stratamq fsck` names is to be restored from a copy of the bucket"));
        }
        if seen.is_empty() {
            let within = self.since.or(self.until).map_or("", |_| " in that time");
            return Err(Failure::refused(format!(
                "no message of topic {topic} has {what} {value}{within}"
            ))
            .hint("see what comes with: stratamq message tail TOPIC --since 1h"));
        }
        printer.say(&format!("{} found", count(as_u64(seen.len()), "message")))
    }
}

/// An id that no place has may be one that its producer gave.
fn elsewhere(failure: Failure, id: &str) -> Failure {
    if failure.what.contains("offset message id") || failure.what.starts_with("there is no message")
    {
        return failure.hint(format!(
            "the id that a send printed is searched in its topic: stratamq message get {id} \
             --topic TOPIC"
        ));
    }
    failure
}

fn one(printer: &mut Printer, message: &Message) -> Result<(), Failure> {
    printer.show(message, || text(message))
}

/// What is known of the message, then its body.
fn text(message: &Message) -> String {
    let Message { broker, queue_id, offset, stored_ms, .. } = message;
    let stored = time(u64::try_from(*stored_ms).unwrap_or(0));
    let mut head =
        format!("message {}  {stored}  {broker}/{queue_id} offset {offset}", message.message_id);
    if let Some(tag) = &message.tag {
        head.push_str(&format!("  tag {tag}"));
    }
    if !message.keys.is_empty() {
        head.push_str(&format!("  keys {}", message.keys.join(" ")));
    }
    if !message.properties.is_empty() {
        head.push_str(&format!("  {}", shown(&message.properties)));
    }
    let body = match (&message.body, &message.body_hex) {
        (Some(body), _) => body.clone(),
        (None, hex) => {
            let bytes = as_u64(hex.as_ref().map_or(0, String::len)) / 2;
            format!("({} that are not text; --json has them)", count(bytes, "byte"))
        }
    };
    format!("{head}\n{body}\n")
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Tail {
    pub(super) fn json(&self) -> bool {
        self.address.json
    }

    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let admin = self.address.open()?;
        let base = format!("{}/tail", path("topics", &self.topic));
        let begin = self.since.map(|ms| format!("from_ms={ms}")).unwrap_or_default();
        let mut page: MessageTail = admin.get(&format!("{base}?{begin}")).await.map_err(unknown)?;
        if page.messages.is_empty() && self.idle.is_none() {
            // Not among the results: a pipe gets messages only.
            let note = format!("waiting for messages of topic {}; end with Ctrl-C", self.topic);
            super::print::aside(&note, self.json());
        }
        let env = Env::system();
        let (mut printed, mut last) = (0, env.monotonic());
        loop {
            for message in &page.messages {
                if self.max.is_some_and(|max| printed >= max) {
                    break;
                }
                one(printer, message)?;
                printed += 1;
                last = env.monotonic();
            }
            if self.max.is_some_and(|max| printed >= max) {
                return Ok(());
            }
            let quiet = env.monotonic().saturating_sub(last);
            let left = self.idle.map(|idle| idle.saturating_sub(quiet));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            let wait = left.map_or(WAIT_MS, |left| {
                u64::try_from(left.as_millis()).unwrap_or(WAIT_MS).clamp(1, WAIT_MS)
            });
            let at = format!("{base}?after={}&wait_ms={wait}", page.next);
            page = admin.get(&at).await.map_err(unknown)?;
        }
    }
}

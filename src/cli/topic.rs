//! `stratamq topic`.

use super::clone::Cloning;
use super::connect::{AdminAddress, name};
use super::failure::Failure;
use super::http::{Admin, Answer, Only, path};
use super::print::{self, Printer, count, fields, table, time};
use clap::{Args, Subcommand};
use gateway::admin::api::{Topic, TopicDetail, TopicList, TopicOrigin, TopicPut};
use std::collections::BTreeMap;

/// As `message.type` has them.
const KINDS: [&str; 8] =
    ["normal", "fifo", "delay", "transaction", "lite", "priority", "mixed", "unspecified"];

fn queues() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=65_536)
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Make a topic
    #[command(after_help = "Examples:
  stratamq topic create hello
  stratamq topic create orders --queues 16
  stratamq topic create clicks --durability async --retention 3d")]
    Create(Create),
    /// List topics
    #[command(after_help = "Examples:
  stratamq topic list
  stratamq topic list --json | jq -r '.topics[].name'")]
    List(List),
    /// Show a topic and its queues
    #[command(after_help = "Examples:
  stratamq topic describe hello
  stratamq topic describe %DLQ%readers               the dead letters of group readers")]
    Describe(Describe),
    /// Change a topic; what is not named stays
    #[command(after_help = "Examples:
  stratamq topic update orders --queues 32            queues are added, never taken away
  stratamq topic update orders --permission r         for now, nobody sends
  stratamq topic update clicks --durability async
  stratamq topic update clicks --retention 30d        older messages go; a lock is only made longer")]
    Update(Update),
    /// Make a topic that shares the messages that another one had at a time
    #[command(after_help = "Examples:
  stratamq topic clone orders orders-test
  stratamq topic clone orders orders-before --at 2026-08-05T14:00Z --dry-run
  stratamq topic clone orders orders-before --at 2h --with-offsets

Nothing is copied, so it takes seconds whatever the size. The clone has the settings of the other
topic, its lock too; each goes on by itself, and either may be deleted.")]
    Clone(Cloning),
    /// Delete a topic and its messages
    #[command(after_help = "Examples:
  stratamq topic delete hello --dry-run
  stratamq topic delete hello --yes")]
    Delete(Delete),
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Letters, digits, - and _, at most 127
    #[arg(value_parser = name)]
    name: String,
    /// Message queues in all, 1 to 65536 [default: 8]
    #[arg(long, allow_negative_numbers = true, value_parser = queues())]
    queues: Option<u32>,
    /// What it takes [default: normal]
    #[arg(long, value_parser = KINDS, ignore_case = true)]
    kind: Option<String>,
    /// When a send is acknowledged: local (on disk) or async (before that: survives the process, not
    /// the machine) [default: local]
    #[arg(long)]
    durability: Option<String>,
    /// How long messages are kept: forever, an age such as 3d, 12h or 90m, a size such as 10GiB,
    /// compacted (of every key the newest), or locked:365d (nobody can delete them before)
    /// [default: forever]
    #[arg(long)]
    retention: Option<String>,
    /// A further attribute; may be repeated
    #[arg(long = "attribute", value_parser = key_value, value_name = "KEY=VALUE")]
    attributes: Vec<(String, String)>,
    /// Succeed when the topic is there already; what it has and is not named here stays
    #[arg(long)]
    if_missing: bool,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Describe {
    /// The topic
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The topic
    #[arg(value_parser = name)]
    name: String,
    /// Message queues in all, 1 to 65536; not fewer than there are
    #[arg(long, allow_negative_numbers = true, value_parser = queues())]
    queues: Option<u32>,
    /// What it takes
    #[arg(long, value_parser = KINDS, ignore_case = true)]
    kind: Option<String>,
    /// When a send is acknowledged: local, async or object
    #[arg(long)]
    durability: Option<String>,
    /// How long messages are kept: forever, an age such as 3d, a size such as 10GiB, compacted, or
    /// locked:365d, which locks what is sealed from then on, and older messages when they are merged
    #[arg(long)]
    retention: Option<String>,
    /// What clients may do: read and write, one of them, or nothing
    #[arg(long, value_parser = ["rw", "r", "w", "none"])]
    permission: Option<String>,
    /// An attribute to set; may be repeated
    #[arg(long = "attribute", value_parser = key_value, value_name = "KEY=VALUE")]
    attributes: Vec<(String, String)>,
    /// An attribute to take away; may be repeated
    #[arg(long = "remove-attribute", value_name = "KEY")]
    removed: Vec<String>,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The topic
    #[arg(value_parser = name)]
    name: String,
    /// Delete it even if it holds messages
    #[arg(long)]
    yes: bool,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    address: AdminAddress,
}

impl TopicCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            TopicCommand::Create(Create { address, .. })
            | TopicCommand::List(List { address })
            | TopicCommand::Describe(Describe { address, .. })
            | TopicCommand::Update(Update { address, .. })
            | TopicCommand::Delete(Delete { address, .. }) => address.json,
            TopicCommand::Clone(clone) => clone.json(),
        }
    }
}

/// `KEY=VALUE`; the value may contain further equals signs.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

pub(super) async fn execute(command: TopicCommand, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        TopicCommand::Create(create) => create.execute(printer).await,
        TopicCommand::List(list) => list.execute(printer).await,
        TopicCommand::Describe(describe) => describe.execute(printer).await,
        TopicCommand::Update(update) => update.execute(printer).await,
        TopicCommand::Clone(clone) => clone.execute(printer).await,
        TopicCommand::Delete(delete) => delete.execute(printer).await,
    }
}

impl Create {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let attributes: BTreeMap<String, String> = self.attributes.into_iter().collect();
        let body = TopicPut {
            queues: self.queues,
            kind: self.kind.map(|kind| kind.to_ascii_uppercase()),
            durability: self.durability,
            permission: None,
            retention: self.retention,
            attributes: Some(attributes).filter(|attributes| !attributes.is_empty()),
        };
        let admin = self.address.open()?;
        let only = if self.if_missing { Only::Anyhow } else { Only::New };
        let answer = admin.put(&path("topics", &self.name), &body, only).await;
        let answer = answer.map_err(|failure| exists(failure, &self.name))?;
        let topic: Topic = answer.read()?;
        printer.show(&topic, || created(&topic, answer.created()))
    }
}

fn exists(failure: Failure, name: &str) -> Failure {
    if failure.what.ends_with("exists already") {
        return failure.hint(format!(
            "see it with: stratamq topic describe {name}   (--if-missing is content with it)"
        ));
    }
    failure
}

fn created(topic: &Topic, new: bool) -> String {
    let Topic { name, kind, durability, retention, .. } = topic;
    let queues = count(topic.queues.into(), "queue");
    let done = if new { "created topic" } else { "there is topic" };
    let next = match kind.as_str() {
        "NORMAL" | "MIXED" | "UNSPECIFIED" => {
            format!("send to it with: stratamq message send {name} \"first message\"")
        }
        _ => format!("{kind} messages are not served by this version yet"),
    };
    format!(
        "{done} {name}: {queues}, {kind} messages, durability {durability}, retention {retention}\n{next}\n"
    )
}

impl List {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let list: TopicList = self.address.open()?.get("/v1/topics").await?;
        printer.show(&list, || listed(&list))
    }
}

fn listed(list: &TopicList) -> String {
    if list.topics.is_empty() {
        return "there is no topic yet\nmake one with: stratamq topic create NAME\n".to_owned();
    }
    let row = |topic: &Topic| {
        let queues = topic.queues.to_string();
        let Topic { name, kind, durability, retention, .. } = topic.clone();
        vec![name, kind, queues, durability, retention]
    };
    let rows: Vec<Vec<String>> = list.topics.iter().map(row).collect();
    table(&["TOPIC", "KIND", "QUEUES", "DURABILITY", "RETENTION"], &rows)
}

impl Describe {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let detail: TopicDetail = fetch(&self.address.open()?, &self.name).await?.read()?;
        printer.show(&detail, || described(&detail))
    }
}

async fn fetch(admin: &Admin, name: &str) -> Result<Answer, Failure> {
    admin.fetch(&path("topics", name)).await.map_err(unknown)
}

/// The API's hint speaks of HTTP; this one of commands.
pub(super) fn unknown(failure: Failure) -> Failure {
    if failure.what.ends_with("does not exist") {
        return failure.hint("stratamq topic list shows what there is");
    }
    if failure.what.contains(" has no queue ") || failure.what == "there is no message there" {
        return failure.hint("stratamq topic describe TOPIC shows its queues and their offsets");
    }
    failure
}

fn described(detail: &TopicDetail) -> String {
    let topic = &detail.topic;
    let mut pairs = vec![
        ("topic", topic.name.clone()),
        ("kind", topic.kind.clone()),
        ("queues", topic.queues.to_string()),
        ("durability", topic.durability.clone()),
        ("permission", topic.permission.clone()),
        ("retention", topic.retention.clone()),
        ("created", time(topic.created_ms)),
        ("messages", messages(detail).to_string()),
    ];
    if let Some(TopicOrigin { source, at_ms }) = &topic.origin {
        pairs.push(("cloned from", format!("{source} as of {}", time(*at_ms))));
    }
    for (key, value) in &further(topic) {
        pairs.push(("attribute", format!("{key}={value}")));
    }
    let rows: Vec<Vec<String>> = detail
        .message_queues
        .iter()
        .map(|queue| {
            let numbers = [u64::from(queue.id), queue.first_offset, queue.end_offset];
            let numbers = numbers.iter().map(ToString::to_string);
            std::iter::once(queue.broker.clone()).chain(numbers).collect()
        })
        .collect();
    format!("{}\n{}", fields(&pairs), table(&["BROKER", "QUEUE", "FIRST", "END"], &rows))
}

fn messages(detail: &TopicDetail) -> u64 {
    let held = detail.message_queues.iter();
    held.map(|queue| queue.end_offset.saturating_sub(queue.first_offset)).sum()
}

impl Delete {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let name = &self.name;
        let admin = self.address.open()?;
        let detail: TopicDetail = fetch(&admin, name).await?.read()?;
        let held = messages(&detail);
        if self.dry_run {
            let plan = serde_json::json!({ "would_delete": name, "messages": held });
            return printer.show(&plan, || {
                format!("would delete topic {name} with {}\n", count(held, "message"))
            });
        }
        if held > 0 && !self.yes {
            return Err(Failure::usage(format!("topic {name} holds {}", count(held, "message")))
                .hint(format!("delete it for good with: stratamq topic delete {name} --yes")));
        }
        admin.delete(&path("topics", name)).await.map_err(|failure| locked(failure, name))?;
        let done = serde_json::json!({ "deleted": name, "messages": held });
        printer.show(&done, || format!("deleted topic {name} with {}\n", count(held, "message")))
    }
}

fn locked(failure: Failure, name: &str) -> Failure {
    if failure.what.contains(" is locked until ") {
        return failure.hint(format!(
            "nobody can delete it before; what is sent makes it longer: stratamq topic update {name} --permission r"
        ));
    }
    unknown(failure)
}

impl Update {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let admin = self.address.open()?;
        let before = fetch(&admin, &self.name).await?;
        let only = Only::If(before.tag());
        let before = before.read::<TopicDetail>()?.topic;
        let body = self.body(&before)?;
        let answer = admin.put(&path("topics", &self.name), &body, only).await;
        let topic: Topic = answer.map_err(raced)?.read()?;
        printer.show(&topic, || changes(&before, &topic))
    }

    fn body(&self, before: &Topic) -> Result<TopicPut, Failure> {
        let mut attributes = before.attributes.clone();
        for key in &self.removed {
            if attributes.remove(key).is_none() {
                return Err(Failure::usage(format!("topic {} has no attribute {key}", self.name))
                    .hint(format!("stratamq topic describe {} shows them", self.name)));
            }
        }
        attributes.extend(self.attributes.iter().cloned());
        let put = TopicPut {
            queues: self.queues,
            kind: self.kind.as_ref().map(|kind| kind.to_ascii_uppercase()),
            durability: self.durability.clone(),
            permission: self.permission.clone(),
            retention: self.retention.clone(),
            attributes: (attributes != before.attributes).then_some(attributes),
        };
        if put == TopicPut::default() && self.attributes.is_empty() {
            return Err(Failure::usage("nothing is said that would be different")
                .hint("stratamq topic update --help shows what can be changed"));
        }
        Ok(put)
    }
}

/// Somebody changed it between the look and the change.
pub(super) fn raced(failure: Failure) -> Failure {
    if failure.what.ends_with("was changed by somebody else") {
        return failure.hint("nothing was changed; run the command again");
    }
    unknown(failure)
}

fn changes(before: &Topic, after: &Topic) -> String {
    let compared = [
        ("queues", before.queues.to_string(), after.queues.to_string()),
        ("kind", before.kind.clone(), after.kind.clone()),
        ("durability", before.durability.clone(), after.durability.clone()),
        ("permission", before.permission.clone(), after.permission.clone()),
        ("retention", before.retention.clone(), after.retention.clone()),
        ("attributes", shown(&further(before)), shown(&further(after))),
    ];
    print::changes("topic", &after.name, compared)
}

/// The attributes without the one that is shown by itself.
fn further(topic: &Topic) -> BTreeMap<String, String> {
    let mut attributes = topic.attributes.clone();
    attributes.remove("retention");
    attributes
}

/// `key=value` for each, or `none`.
pub(super) fn shown(attributes: &BTreeMap<String, String>) -> String {
    if attributes.is_empty() {
        return "none".to_owned();
    }
    let pairs = attributes.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::admin::api::MessageQueue;

    fn topic() -> Topic {
        Topic {
            name: "orders".into(),
            kind: "FIFO".into(),
            queues: 2,
            durability: "local".into(),
            permission: "rw".into(),
            retention: "3d".into(),
            attributes: BTreeMap::from([
                ("retention".into(), "3d".into()),
                ("reserve.time".into(), "7".into()),
            ]),
            created_ms: 1_709_210_096_999,
            origin: Some(TopicOrigin { source: "old".into(), at_ms: 951_782_400_000 }),
        }
    }

    #[test]
    fn a_new_topic_comes_with_the_command_to_send_to_it() {
        let normal = Topic { kind: "NORMAL".into(), ..topic() };
        assert_eq!(
            created(&normal, true),
            "created topic orders: 2 queues, NORMAL messages, durability local, retention 3d\n\
             send to it with: stratamq message send orders \"first message\"\n"
        );
        let text = created(&topic(), false);
        assert!(text.starts_with("there is topic orders: 2 queues, FIFO messages"), "{text}");
        assert!(text.ends_with("FIFO messages are not served by this version yet\n"), "{text}");
    }

    #[test]
    fn an_empty_list_says_how_to_fill_it() {
        let list = TopicList { topics: Vec::new() };
        assert!(listed(&list).contains("stratamq topic create"));
        let list = TopicList { topics: vec![topic()] };
        assert_eq!(
            listed(&list),
            "TOPIC   KIND  QUEUES  DURABILITY  RETENTION\norders  FIFO       2  local       3d\n"
        );
    }

    #[test]
    fn a_description_counts_messages_and_lists_queues() {
        let queue = |id, end_offset| MessageQueue {
            broker: "strata-0001".into(),
            id,
            first_offset: 2,
            end_offset,
        };
        let message_queues = vec![queue(0, 12), queue(1, 2)];
        let text = described(&TopicDetail { topic: topic(), message_queues });
        assert!(text.contains("messages     10\n"), "{text}");
        assert!(text.contains("retention    3d\n"), "{text}");
        assert!(text.contains("cloned from  old as of 2000-02-29 00:00:00 UTC\n"), "{text}");
        assert!(text.contains("attribute    reserve.time=7\n"), "{text}");
        assert!(!text.contains("retention="), "{text}");
        assert!(text.contains("strata-0001      0      2   12\n"), "{text}");
    }

    #[test]
    fn attributes_are_key_and_value() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("a").is_err());
        assert!(key_value("=a").is_err());
    }
}

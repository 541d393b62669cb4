//! `stratamq group`.

use super::connect::{AdminAddress, duration, name};
use super::failure::Failure;
use super::http::{Admin, Answer, Only, path};
use super::print::{self, Printer, count, fields, table, time};
use super::progress::{Lag, Reset};
use super::replay::Redrive;
use clap::{Args, Subcommand};
use gateway::admin::api::{Group, GroupDetail, GroupList, GroupPut, Retry};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a consumer group
    ///
    /// Groups come to be by themselves at first use; making one is for those that are not as the
    /// default.
    #[command(after_help = "Examples:
  stratamq group create readers --max-attempts 5
  stratamq group create readers --order fifo
  stratamq group create readers --retry 1s,10s,1m")]
    Create(Create),
    /// List consumer groups
    #[command(after_help = "Examples:
  stratamq group list
  stratamq group list --json | jq -r '.groups[].name'")]
    List(List),
    /// Show a consumer group and its members
    #[command(after_help = "Examples:
  stratamq group describe readers
  stratamq group lag readers                          how far it is")]
    Describe(Describe),
    /// Change a consumer group; what is not named stays
    #[command(after_help = "Examples:
  stratamq group update readers --max-attempts 5
  stratamq group update readers --enabled false       for now, nobody receives")]
    Update(Update),
    /// Delete a consumer group, its progress and its dead letters
    #[command(after_help = "Examples:
  stratamq group delete readers --dry-run
  stratamq group delete readers --yes")]
    Delete(Delete),
    /// Show how far a consumer group is, and how much it has before it
    #[command(after_help = "Examples:
  stratamq group lag readers
  stratamq group lag readers --topic orders
  stratamq group lag readers --json | jq .lag")]
    Lag(Lag),
    /// Move a consumer group in a topic, forwards or back
    ///
    /// What it holds unacknowledged there is let go: acknowledging it is refused from then on.
    /// Messages from the new place on come as if for the first time.
    #[command(after_help = "Examples:
  stratamq group reset readers orders --to 2h --dry-run       two hours back: what would happen
  stratamq group reset readers orders --to earliest
  stratamq group reset readers orders --to latest --yes       leave out all there is
  stratamq group reset readers orders --to 2026-08-05T14:00Z
  stratamq group reset readers orders --offset strata-0000/0=17")]
    Reset(Reset),
    /// Deliver a group's dead letters again: to it, or into the topics that they were of
    ///
    /// The dead letters stay where they are; the next redrive goes on behind the last. It is a replay:
    /// stratamq replay list shows it.
    #[command(after_help = "Examples:
  stratamq group redrive billing --dry-run
  stratamq group redrive billing --rate 100/s
  stratamq group redrive billing --from 2h --key 17
  stratamq group redrive billing --into-origin        for all groups of their topics")]
    Redrive(Box<Redrive>),
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Letters, digits, - and _, at most 120
    #[arg(value_parser = name)]
    name: String,
    /// Deliveries of a message before it is a dead letter [default: 17]
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,
    /// fifo is one after the other in each message group [default: concurrent]
    #[arg(long, value_parser = ["concurrent", "fifo"])]
    order: Option<String>,
    /// Times until a message that was not acknowledged comes again; the last holds for all further
    /// attempts
    #[arg(long, value_delimiter = ',', value_parser = duration, value_name = "TIME,TIME,...")]
    retry: Vec<Duration>,
    /// Succeed when the group is there already; what it has and is not named here stays
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
    /// The group
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The group
    #[arg(value_parser = name)]
    name: String,
    /// Deliveries of a message before it is a dead letter
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,
    /// fifo is one after the other in each message group
    #[arg(long, value_parser = ["concurrent", "fifo"])]
    order: Option<String>,
    /// Times until a message that was not acknowledged comes again
    #[arg(long, value_delimiter = ',', value_parser = duration, value_name = "TIME,TIME,...")]
    retry: Vec<Duration>,
    /// Whether it may receive
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The group
    #[arg(value_parser = name)]
    name: String,
    /// Delete it even if it has members or dead letters
    #[arg(long)]
    yes: bool,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    address: AdminAddress,
}

impl GroupCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            GroupCommand::Create(Create { address, .. })
            | GroupCommand::List(List { address })
            | GroupCommand::Describe(Describe { address, .. })
            | GroupCommand::Update(Update { address, .. })
            | GroupCommand::Delete(Delete { address, .. }) => address.json,
            GroupCommand::Lag(lag) => lag.json(),
            GroupCommand::Reset(reset) => reset.json(),
            GroupCommand::Redrive(redrive) => redrive.json(),
        }
    }
}

pub(super) async fn execute(command: GroupCommand, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        GroupCommand::Create(create) => create.execute(printer).await,
        GroupCommand::List(list) => list.execute(printer).await,
        GroupCommand::Describe(describe) => describe.execute(printer).await,
        GroupCommand::Update(update) => update.execute(printer).await,
        GroupCommand::Delete(delete) => delete.execute(printer).await,
        GroupCommand::Lag(lag) => lag.execute(printer).await,
        GroupCommand::Reset(reset) => reset.execute(printer).await,
        GroupCommand::Redrive(redrive) => redrive.execute(printer).await,
    }
}

impl Create {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let delays_ms: Vec<u64> = self.retry.iter().map(ms).collect();
        let body = GroupPut {
            max_attempts: self.max_attempts,
            order: self.order,
            retry: (!delays_ms.is_empty()).then_some(Retry::Customized { delays_ms }),
            consume_enabled: None,
            attributes: None,
        };
        let admin = self.address.open()?;
        let only = if self.if_missing { Only::Anyhow } else { Only::New };
        let answer = admin.put(&path("groups", &self.name), &body, only).await;
        let answer = answer.map_err(|failure| exists(failure, &self.name))?;
        let group: Group = answer.read()?;
        printer.show(&group, || created(&group, answer.created()))
    }
}

fn exists(failure: Failure, name: &str) -> Failure {
    if failure.what.ends_with("exists already") {
        return failure.hint(format!(
            "see it with: stratamq group describe {name}   (--if-missing is content with it)"
        ));
    }
    failure
}

fn ms(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn created(group: &Group, new: bool) -> String {
    let Group { name, order, .. } = group;
    let attempts = count(group.max_attempts.into(), "attempt");
    let done = if new { "created group" } else { "there is group" };
    format!(
        "{done} {name}: {order}, {attempts} before a message is a dead letter\n\
         receive with it: stratamq message receive TOPIC --group {name}\n"
    )
}

impl List {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let list: GroupList = self.address.open()?.get("/v1/groups").await?;
        printer.show(&list, || listed(&list))
    }
}

fn listed(list: &GroupList) -> String {
    if list.groups.is_empty() {
        return "there is no group yet\n\
                one comes to be at its first use: stratamq message receive TOPIC --group NAME\n"
            .to_owned();
    }
    let row = |group: &Group| {
        let attempts = group.max_attempts.to_string();
        let enabled = if group.consume_enabled { "yes" } else { "no" };
        vec![group.name.clone(), group.order.clone(), attempts, enabled.to_owned()]
    };
    let rows: Vec<Vec<String>> = list.groups.iter().map(row).collect();
    table(&["GROUP", "ORDER", "ATTEMPTS", "ENABLED"], &rows)
}

impl Describe {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let detail: GroupDetail = fetch(&self.address.open()?, &self.name).await?.read()?;
        printer.show(&detail, || described(&detail))
    }
}

async fn fetch(admin: &Admin, name: &str) -> Result<Answer, Failure> {
    admin.fetch(&path("groups", name)).await.map_err(unknown)
}

/// The API's hint speaks of HTTP; this one of commands.
pub(super) fn unknown(failure: Failure) -> Failure {
    if failure.what.ends_with("does not exist") {
        return failure.hint("stratamq group list shows what there is");
    }
    failure
}

fn described(detail: &GroupDetail) -> String {
    let group = &detail.group;
    let mut pairs = vec![
        ("group", group.name.clone()),
        ("order", group.order.clone()),
        ("attempts", group.max_attempts.to_string()),
        ("retry after", retry(&group.retry)),
        ("enabled", group.consume_enabled.to_string()),
        ("created", time(group.created_ms)),
        ("dead letters", format!("{} in {}", detail.dead_letters, detail.dead_letter_topic)),
    ];
    for (key, value) in &group.attributes {
        pairs.push(("attribute", format!("{key}={value}")));
    }
    let rows: Vec<Vec<String>> = detail
        .consumers
        .iter()
        .map(|consumer| vec![consumer.client_id.clone(), consumer.topics.join(" ")])
        .collect();
    let members = if rows.is_empty() {
        "nobody is connected\n".to_owned()
    } else {
        table(&["CLIENT", "TOPICS"], &rows)
    };
    format!("{}\n{members}", fields(&pairs))
}

fn retry(retry: &Retry) -> String {
    match retry {
        Retry::Customized { delays_ms } => {
            let delays: Vec<String> = delays_ms.iter().map(|&ms| brief(ms)).collect();
            delays.join(" ")
        }
        Retry::Exponential { initial_ms, max_ms, multiplier } => {
            format!("{} x{multiplier} up to {}", brief(*initial_ms), brief(*max_ms))
        }
    }
}

/// In the largest unit that leaves nothing over.
fn brief(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

impl Delete {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let name = &self.name;
        let admin = self.address.open()?;
        let detail: GroupDetail = fetch(&admin, name).await?.read()?;
        let members = u64::try_from(detail.consumers.len()).unwrap_or(u64::MAX);
        let dead = detail.dead_letters;
        let holds = format!("{} and {}", count(members, "member"), count(dead, "dead letter"));
        if self.dry_run {
            let plan = serde_json::json!({
                "would_delete": name, "members": members, "dead_letters": dead
            });
            return printer
                .show(&plan, || format!("would delete group {name} with its progress, {holds}\n"));
        }
        if !self.yes && (members > 0 || dead > 0) {
            return Err(Failure::usage(format!("group {name} has {holds}"))
                .hint(format!("delete it for good with: stratamq group delete {name} --yes")));
        }
        admin.delete(&path("groups", name)).await.map_err(unknown)?;
        let done = serde_json::json!({ "deleted": name, "dead_letters": dead });
        printer.show(&done, || format!("deleted group {name} with its progress\n"))
    }
}

impl Update {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let delays_ms: Vec<u64> = self.retry.iter().map(ms).collect();
        let body = GroupPut {
            max_attempts: self.max_attempts,
            order: self.order,
            retry: (!delays_ms.is_empty()).then_some(Retry::Customized { delays_ms }),
            consume_enabled: self.enabled,
            attributes: None,
        };
        if body == GroupPut::default() {
            return Err(Failure::usage("nothing is said that would be different")
                .hint("stratamq group update --help shows what can be changed"));
        }
        let admin = self.address.open()?;
        let before = fetch(&admin, &self.name).await?;
        let only = Only::If(before.tag());
        let before = before.read::<GroupDetail>()?.group;
        let answer = admin.put(&path("groups", &self.name), &body, only).await;
        let group: Group = answer.map_err(raced)?.read()?;
        printer.show(&group, || changes(&before, &group))
    }
}

/// Somebody changed it between the look and the change.
fn raced(failure: Failure) -> Failure {
    if failure.what.ends_with("was changed by somebody else") {
        return failure.hint("nothing was changed; run the command again");
    }
    unknown(failure)
}

fn changes(before: &Group, after: &Group) -> String {
    let compared = [
        ("attempts", before.max_attempts.to_string(), after.max_attempts.to_string()),
        ("order", before.order.clone(), after.order.clone()),
        ("retry after", retry(&before.retry), retry(&after.retry)),
        ("enabled", before.consume_enabled.to_string(), after.consume_enabled.to_string()),
    ];
    print::changes("group", &after.name, compared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> GroupDetail {
        let group = Group {
            name: "readers".into(),
            max_attempts: 17,
            order: "concurrent".into(),
            retry: Retry::Customized { delays_ms: vec![1000, 90_000, 7_200_000, 5] },
            consume_enabled: true,
            attributes: std::collections::BTreeMap::new(),
            created_ms: 0,
        };
        GroupDetail {
            group,
            dead_letter_topic: "%DLQ%readers".into(),
            dead_letters: 3,
            consumers: Vec::new(),
        }
    }

    #[test]
    fn a_description_speaks_in_units_that_people_use() {
        let text = described(&detail());
        assert!(text.contains("retry after   1s 90s 2h 5ms\n"), "{text}");
        assert!(text.contains("dead letters  3 in %DLQ%readers\n"), "{text}");
        assert!(text.ends_with("\nnobody is connected\n"), "{text}");
    }

    #[test]
    fn a_new_group_comes_with_the_command_to_receive_with_it() {
        let text = created(&detail().group, true);
        assert!(text.starts_with("created group readers: concurrent, 17 attempts"), "{text}");
        assert!(text.contains("--group readers"), "{text}");
    }
}

//! Asking for a replay.

use super::super::connect::{AdminAddress, moment, name};
use super::super::failure::Failure;
use super::super::http::{Admin, Only, path};
use super::super::print::{Printer, aside, time};
use super::jobs::JobCommand;
use super::{follow, text, unknown};
use clap::Args;
use gateway::admin::api::{
    Replay, ReplayEstimate, ReplayInto, ReplayList, ReplayPrices, ReplayPut,
};
use storage::env::Env;

/// Amazon's list for S3 Standard, in millionths of a dollar; see `gateway::replay::Prices`.
const PRICES: gateway::replay::Prices = gateway::replay::Prices::STANDARD;

/// Asks for a replay, or about one.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ReplayCommand {
    #[command(subcommand)]
    job: Option<JobCommand>,
    #[command(flatten)]
    begin: Begin,
}

#[derive(Args, Debug)]
struct Begin {
    /// The topic to read
    #[arg(value_parser = name, required_unless_present = "dlq", conflicts_with = "dlq")]
    topic: Option<String>,
    /// The dead letters of this group, in place of a topic
    #[arg(long, value_name = "GROUP", value_parser = name)]
    dlq: Option<String>,
    /// Into this topic, for all of its groups
    #[arg(long, value_name = "TOPIC", value_parser = name)]
    into: Option<String>,
    /// To this group only, on the topic that the messages are of
    #[arg(long, value_parser = name, conflicts_with = "into")]
    group: Option<String>,
    /// Each dead letter into the topic that it was of, for all of its groups
    #[arg(long, requires = "dlq", conflicts_with_all = ["into", "group"])]
    into_origin: bool,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    address: AdminAddress,
}

/// Puts dead letters back.
#[derive(Args, Debug)]
pub(crate) struct Redrive {
    /// The group whose dead letters are delivered again
    #[arg(value_parser = name)]
    group: String,
    /// Into the topics that they were of, for all groups; else to this group only
    #[arg(long)]
    into_origin: bool,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    address: AdminAddress,
}

/// Which messages.
#[derive(Args, Debug)]
struct Span {
    /// What was stored since: 2h (ago), -2h, 2026-08-05T14:00Z, or milliseconds since 1970
    #[arg(long, value_parser = moment, value_name = "WHEN", allow_hyphen_values = true)]
    from: Option<u64>,
    /// And before then [default: now]
    #[arg(long, value_parser = moment, value_name = "WHEN", allow_hyphen_values = true)]
    to: Option<u64>,
    /// Only messages with such a tag: a, or a || b
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "key")]
    tag: Option<String>,
    /// Only messages with this key
    #[arg(long)]
    key: Option<String>,
    /// Only messages for which this holds; not served yet
    #[arg(long, hide = true, value_name = "CONDITION")]
    sql: Option<String>,
}

/// How.
#[derive(Args, Debug)]
struct Manner {
    /// Messages written in a second at most, such as 5000/s
    #[arg(long, value_parser = text::rate, value_name = "N/s")]
    rate: Option<u64>,
    /// Bytes read in a second at most, and bytes written, such as 20MiB/s
    #[arg(long, value_parser = text::byte_rate, value_name = "SIZE/s")]
    bytes: Option<u64>,
    /// Only say what it would read, and what that costs
    #[arg(long)]
    dry_run: bool,
    /// Dollars for a million GETs, for --dry-run [default: 0.40]
    #[arg(long, value_parser = text::dollars, value_name = "USD", requires = "dry_run")]
    price_gets: Option<u64>,
    /// Dollars for a million PUTs, for --dry-run [default: 5.00]
    #[arg(long, value_parser = text::dollars, value_name = "USD", requires = "dry_run")]
    price_puts: Option<u64>,
    /// Dollars for a GiB and month, for --dry-run [default: 0.0247]
    #[arg(long, value_parser = text::dollars, value_name = "USD", requires = "dry_run")]
    price_storage: Option<u64>,
    /// Do not wait for its end
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
    /// Its name: the same again under the same name is one replay [default: made of topic and time]
    #[arg(long, value_parser = name)]
    name: Option<String>,
}

impl ReplayCommand {
    pub(in crate::cli) fn json(&self) -> bool {
        self.job.as_ref().map_or(self.begin.address.json, JobCommand::json)
    }

    pub(in crate::cli) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        match self.job {
            Some(job) => job.execute(printer).await,
            None => self.begin.execute(printer).await,
        }
    }
}

impl Begin {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let dead = self.dlq.as_deref().map(dead_letters_of);
        let source = self.topic.or(dead).ok_or_else(|| Failure::usage("no topic is named"))?;
        let into = match (self.into, self.group, self.dlq) {
            (Some(topic), _, _) => ReplayInto::Topic(topic),
            (None, Some(group), _) => ReplayInto::Group(group),
            (None, None, Some(_)) if self.into_origin => ReplayInto::Origin,
            (None, None, Some(group)) => ReplayInto::Group(group),
            (None, None, None) => {
                return Err(Failure::usage("nothing says where to")
                    .hint("give --into TOPIC, or --group GROUP for one group only"));
            }
        };
        let admin = self.address.open()?;
        run(&admin, (source, into), self.span, self.manner, printer, self.address.json).await
    }
}

impl Redrive {
    pub(in crate::cli) fn json(&self) -> bool {
        self.address.json
    }

    pub(in crate::cli) async fn execute(mut self, printer: &mut Printer) -> Result<(), Failure> {
        let source = dead_letters_of(&self.group);
        let into = if self.into_origin {
            ReplayInto::Origin
        } else {
            ReplayInto::Group(self.group.clone())
        };
        let (admin, json) = (self.address.open()?, self.address.json);
        if self.span.from.is_none() {
            self.span.from = after_the_last(&admin, &source, json).await?;
        }
        run(&admin, (source, into), self.span, self.manner, printer, json).await
    }
}

fn dead_letters_of(group: &str) -> String {
    format!("%DLQ%{group}")
}

/// Where the last one that put all dead letters back ended: what it put back is still there, and would come twice.
async fn after_the_last(admin: &Admin, source: &str, json: bool) -> Result<Option<u64>, Failure> {
    let list: ReplayList = admin.get("/v1/replays").await?;
    let is_whole = |replay: &&Replay| {
        let everything = replay.tags.is_none() && replay.key.is_none();
        replay.source == source && replay.state == "done" && everything
    };
    let last = list.replays.iter().filter(is_whole).max_by_key(|replay| replay.until_ms);
    if let Some(Replay { name, until_ms, .. }) = last {
        let from = time(*until_ms);
        let note = format!(
            "goes on where replay {name} ended, at {from}; all there are: --from 1970-01-01"
        );
        aside(&note, json);
    }
    Ok(last.map(|replay| replay.until_ms))
}

async fn run(
    admin: &Admin,
    (source, into): (String, ReplayInto),
    span: Span,
    manner: Manner,
    printer: &mut Printer,
    json: bool,
) -> Result<(), Failure> {
    let name = manner.name.clone().unwrap_or_else(|| made_name(&source));
    let (dry_run, detach) = (manner.dry_run, manner.detach);
    let asked = asked(source, into, span, &manner);
    let answer = admin.put(&path("replays", &name), &asked, Only::Anyhow).await.map_err(unknown)?;
    if dry_run {
        let estimate: ReplayEstimate = answer.read()?;
        return printer.show(&estimate, || text::estimated(&asked, &estimate));
    }
    let replay: Replay = answer.read()?;
    if detach {
        return printer.show(&replay, || text::begun(&replay, answer.created()));
    }
    follow::to_the_end(admin, &name, printer, json).await
}

fn asked(source: String, into: ReplayInto, span: Span, manner: &Manner) -> ReplayPut {
    let Span { from, to, tag, key, sql } = span;
    let prices = ReplayPrices {
        gets_million: manner.price_gets.unwrap_or(PRICES.gets_million),
        puts_million: manner.price_puts.unwrap_or(PRICES.puts_million),
        gib_month: manner.price_storage.unwrap_or(PRICES.gib_month),
    };
    ReplayPut {
        source,
        from_ms: from,
        to_ms: to,
        tags: tag,
        key,
        sql,
        into,
        messages_per_s: manner.rate,
        bytes_per_s: manner.bytes,
        dry_run: manner.dry_run,
        prices: manner.dry_run.then_some(prices),
    }
}

/// `orders-20260805-140309-123`: of what, and when it was asked for.
fn made_name(source: &str) -> String {
    const SOURCE_CHARS_MAX: usize = 100;
    let (dead, topic) = match source.strip_prefix("%DLQ%") {
        Some(group) => ("redrive-", group),
        None => ("", source),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let topic: String = topic.chars().take(SOURCE_CHARS_MAX).map(plain).collect();
    let now = Env::system().now().0;
    let when: String = time(now).chars().filter(char::is_ascii_digit).collect();
    let (day, clock) = when.split_at(8.min(when.len()));
    format!("{dead}{topic}-{day}-{clock}-{:03}", now % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_a_name_may_have() {
        for source in ["orders", "%DLQ%readers", "a|b%c", &"x".repeat(300)] {
            let made = made_name(source);
            assert!(metadata::model::JobName::parse(&made).is_some(), "{made}");
        }
        assert!(made_name("%DLQ%readers").starts_with("redrive-readers-2"));
    }
}

//! `stratamq group lag` and `stratamq group reset`.

use super::connect::{AdminAddress, moment, name};
use super::failure::Failure;
use super::http::{Admin, Only, escaped, path};
use super::print::{Printer, count, table};
use super::{group, topic};
use clap::Args;
use gateway::admin::api::{
    GroupProgress, Place, ProgressMoved, ProgressPut, QueueMoved, QueueName, TopicProgress,
};

#[derive(Args, Debug)]
pub(crate) struct Lag {
    /// The group
    #[arg(value_parser = name)]
    name: String,
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(crate) struct Reset {
    /// The group
    #[arg(value_parser = name)]
    name: String,
    /// The topic
    #[arg(value_parser = name)]
    topic: String,
    /// earliest, latest, a time such as 2026-08-05T14:00Z, or how long ago, such as 2h
    #[arg(long, value_parser = place, value_name = "WHERE", required_unless_present = "offsets")]
    to: Option<Place>,
    /// To an offset of one queue; may be repeated
    #[arg(
        long = "offset",
        value_parser = queue_offset,
        value_name = "BROKER/QUEUE=N",
        conflicts_with = "to"
    )]
    offsets: Vec<(QueueName, u64)>,
    /// Move it even if messages are left out or deliveries are let go
    #[arg(long)]
    yes: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    address: AdminAddress,
}

impl Lag {
    pub(super) fn json(&self) -> bool {
        self.address.json
    }

    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let admin = self.address.open()?;
        let progress = match &self.topic {
            None => {
                let path = format!("{}/progress", path("groups", &self.name));
                admin.get(&path).await.map_err(unknown)?
            }
            Some(topic) => {
                let one: TopicProgress =
                    admin.get(&place_of(&self.name, topic)).await.map_err(unknown)?;
                let (group, lag) = (self.name.clone(), one.lag);
                GroupProgress { group, lag, topics: vec![one] }
            }
        };
        printer.show(&progress, || lag(&progress))
    }
}

fn lag(progress: &GroupProgress) -> String {
    let name = &progress.group;
    let mut rows = Vec::new();
    for TopicProgress { topic, queues, .. } in &progress.topics {
        for queue in queues {
            let place = [topic.clone(), queue.broker.clone()];
            let numbers = [
                u64::from(queue.id),
                queue.committed_offset,
                queue.end_offset,
                queue.in_flight,
                queue.lag,
            ];
            rows.push(place.into_iter().chain(numbers.map(|n| n.to_string())).collect());
        }
    }
    if rows.is_empty() {
        return format!("group {name} never received anything\n");
    }
    let table = table(&["TOPIC", "BROKER", "QUEUE", "COMMITTED", "END", "IN FLIGHT", "LAG"], &rows);
    format!("{table}\ngroup {name} has {} before it\n", count(progress.lag, "message"))
}

/// What a reset means for people.
#[derive(Default)]
struct Consequences {
    /// Messages that come again.
    again: u64,
    /// Messages that never come.
    left_out: u64,
    /// Deliveries let go.
    voided: u64,
}

impl Reset {
    pub(super) fn json(&self) -> bool {
        self.address.json
    }

    /// Looks first, so that nothing is left out unseen.
    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let admin = self.address.open()?;
        let plan = self.put(&admin, true).await?;
        if self.dry_run {
            return printer.show(&plan, || moved(&plan));
        }
        let Consequences { left_out, voided, .. } = consequences(&plan.queues);
        if !self.yes && (left_out > 0 || voided > 0) {
            let (left_out, voided) = (count(left_out, "message"), held(voided));
            let ProgressMoved { group, topic, .. } = &plan;
            return Err(Failure::usage(format!(
                "group {group} would never get {left_out} of topic {topic}, and {voided} would be let \
                 go"
            ))
            .hint("see it queue by queue with --dry-run; do it with --yes"));
        }
        let done = self.put(&admin, false).await?;
        printer.show(&done, || moved(&done))
    }

    async fn put(&self, admin: &Admin, dry_run: bool) -> Result<ProgressMoved, Failure> {
        let path = place_of(&self.name, &self.topic);
        let mut all: Option<ProgressMoved> = None;
        for (to, queue) in self.moves() {
            let body = ProgressPut { to, queue, dry_run };
            let answer = admin.put(&path, &body, Only::Anyhow).await;
            let answer = answer.map_err(|failure| unknown(failure).about("TOPIC", &self.topic))?;
            let moved: ProgressMoved = answer.read()?;
            match &mut all {
                None => all = Some(moved),
                Some(all) => all.queues.extend(moved.queues),
            }
        }
        all.ok_or_else(|| Failure::usage("nothing says where to: give --to or --offset"))
    }

    fn moves(&self) -> Vec<(Place, Option<QueueName>)> {
        let offsets = self.offsets.iter();
        let offsets = offsets.map(|(queue, at)| (Place::Offset(*at), Some(queue.clone())));
        self.to.map(|to| (to, None)).into_iter().chain(offsets).collect()
    }
}

fn consequences(queues: &[QueueMoved]) -> Consequences {
    queues.iter().fold(Consequences::default(), |sum, queue| {
        // Of a queue that it never received from, the group would have begun at one end or the
        // other: nobody waits for anything there.
        let before = queue.before_offset.unwrap_or(queue.after_offset);
        Consequences {
            again: sum.again + before.saturating_sub(queue.after_offset),
            left_out: sum.left_out + queue.after_offset.saturating_sub(before),
            voided: sum.voided + queue.voided,
        }
    })
}

fn held(voided: u64) -> String {
    if voided == 1 { "1 delivery".to_owned() } else { format!("{voided} deliveries") }
}

fn moved(moved: &ProgressMoved) -> String {
    let row = |queue: &QueueMoved| {
        let before = queue.before_offset.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let (id, after) = (queue.id.to_string(), queue.after_offset.to_string());
        vec![queue.broker.clone(), id, before, after, queue.voided.to_string()]
    };
    let rows: Vec<Vec<String>> = moved.queues.iter().map(row).collect();
    let table = table(&["BROKER", "QUEUE", "BEFORE", "AFTER", "LET GO"], &rows);
    let Consequences { again, left_out, voided } = consequences(&moved.queues);
    let ProgressMoved { group, topic, dry_run, .. } = moved;
    let verb = if *dry_run { "would move" } else { "moved" };
    format!(
        "{table}\n{verb} group {group} in topic {topic}: {} again, {} left out, {} let go\n",
        count(again, "message"),
        count(left_out, "message"),
        held(voided)
    )
}

fn place_of(group: &str, topic: &str) -> String {
    format!("{}/progress/{}", path("groups", group), escaped(topic))
}

/// The API's hint speaks of HTTP; this one of commands.
fn unknown(failure: Failure) -> Failure {
    if failure.what.starts_with("group ") {
        group::unknown(failure)
    } else {
        topic::unknown(failure)
    }
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "earliest" => Ok(Place::Earliest),
        "latest" => Ok(Place::Latest),
        time => moment(time).map(Place::TimeMs).map_err(|_| {
            format!("{time:?} is no place; try earliest, latest, 2h (ago) or 2026-08-05T14:00Z")
        }),
    }
}

/// `strata-0000/3`.
pub(super) fn queue_name(text: &str) -> Result<QueueName, String> {
    let parts = text.split_once('/').and_then(|(broker, id)| Some((broker, id.parse().ok()?)));
    match parts {
        Some((broker, id)) if !broker.is_empty() => Ok(QueueName { broker: broker.to_owned(), id }),
        Some(_) | None => Err(format!("{text:?} is no queue; try strata-0000/0")),
    }
}

fn queue_offset(text: &str) -> Result<(QueueName, u64), String> {
    let wrong = || format!("{text:?} is not BROKER/QUEUE=N; try strata-0000/0=17");
    let (queue, at) = text.split_once('=').ok_or_else(wrong)?;
    Ok((queue_name(queue)?, at.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(before: Option<u64>, after: u64, voided: u64) -> QueueMoved {
        let (before_offset, after_offset) = (before, after);
        QueueMoved { broker: "strata-0000".into(), id: 0, before_offset, after_offset, voided }
    }

    #[test]
    fn what_a_reset_means_is_said_in_messages() {
        let queues = vec![queue(Some(10), 4, 2), queue(Some(3), 5, 0), queue(None, 9, 0)];
        let (group, topic) = ("g".to_owned(), "t".to_owned());
        let text = moved(&ProgressMoved { group, topic, dry_run: true, queues });
        assert!(text.contains("strata-0000      0       -      9       0\n"), "{text}");
        let last = "would move group g in topic t: 6 messages again, 2 messages left out, \
                    2 deliveries let go\n";
        assert!(text.ends_with(last), "{text}");
    }

    #[test]
    fn places_and_queues_are_read() {
        assert_eq!(place("earliest"), Ok(Place::Earliest));
        assert_eq!(place("1970-01-01T00:00:01Z"), Ok(Place::TimeMs(1000)));
        assert!(place("soon").is_err());
        let queue = QueueName { broker: "strata-0001".into(), id: 3 };
        assert_eq!(queue_offset("strata-0001/3=17"), Ok((queue, 17)));
        for wrong in ["", "strata-0001", "strata-0001/x", "/3", "strata-0001/3=x", "=5"] {
            assert!(queue_offset(wrong).is_err(), "{wrong}");
        }
    }
}

//! `stratamq topic clone`.

use super::connect::{AdminAddress, moment, name};
use super::failure::Failure;
use super::http::{Only, path};
use super::print::{Printer, count, time};
use super::topic::unknown;
use clap::Args;
use gateway::admin::api::{TopicClone, TopicCloned};

#[derive(Args, Debug)]
pub(crate) struct Cloning {
    /// The topic to clone
    #[arg(value_parser = name)]
    source: String,
    /// The new topic
    #[arg(value_parser = name)]
    name: String,
    /// Leave out what was stored after a time such as 2026-08-05T14:00Z, or how long ago, such as 2h
    /// [default: now]
    #[arg(long, value_parser = moment, value_name = "TIME")]
    at: Option<u64>,
    /// Let groups begin in the clone where they are in the source
    #[arg(long)]
    with_offsets: bool,
    /// Only say what would be made
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    address: AdminAddress,
}

impl Cloning {
    pub(super) fn json(&self) -> bool {
        self.address.json
    }

    /// Where the clone is there already the answer is the same, and what was left undone is finished.
    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let body = TopicClone {
            source: self.source.clone(),
            at_ms: self.at,
            with_offsets: self.with_offsets,
            dry_run: self.dry_run,
        };
        let place = format!("{}/clone", path("topics", &self.name));
        let answer = self.address.open()?.put(&place, &body, Only::Anyhow).await;
        let answer = answer.map_err(|failure| refused(failure, &self.name))?;
        let cloned: TopicCloned = answer.read()?;
        printer.show(&cloned, || told(&cloned, answer.created()))
    }
}

fn refused(failure: Failure, name: &str) -> Failure {
    if failure.what.ends_with("exists already") {
        return failure.hint(format!(
            "choose another name; see what it is with: stratamq topic describe {name}"
        ));
    }
    unknown(failure)
}

fn told(cloned: &TopicCloned, new: bool) -> String {
    let TopicCloned { topic, source, at_ms, dry_run, messages, groups, .. } = cloned;
    let done = match (dry_run, new) {
        (true, _) => "would make topic",
        (false, true) => "made topic",
        (false, false) => "there is topic",
    };
    let shares = count(*messages, "message");
    let mut text =
        format!("{done} {topic}: shares {shares} of topic {source} as of {}\n", time(*at_ms));
    if !groups.is_empty() {
        let begins = if *dry_run { "would begin" } else { "begin" };
        text += &format!("where they are in {source} {begins}: {}\n", groups.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_told_with_what_it_shares() {
        let cloned = TopicCloned {
            topic: "copy".into(),
            source: "orders".into(),
            at_ms: 1_709_210_096_999,
            dry_run: false,
            messages: 7,
            message_queues: Vec::new(),
            groups: vec!["billing".into(), "mail".into()],
        };
        assert_eq!(
            told(&cloned, true),
            "made topic copy: shares 7 messages of topic orders as of 2024-02-29 12:34:56 UTC\n\
             where they are in orders begin: billing, mail\n"
        );
        let planned = TopicCloned { dry_run: true, groups: Vec::new(), ..cloned };
        assert!(told(&planned, false).starts_with("would make topic copy"));
    }
}

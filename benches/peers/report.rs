//! The results: JSON with everything, a page and a picture with what matters.

use super::goals::{self, Outcome};
use super::machine::Machine;
use super::plot;
use super::round::Numbers;
use super::unit::shown;
use serde::Serialize;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) began: Machine,
    pub(crate) ended: Machine,
    /// One short round: to try the bench, not to quote.
    pub(crate) quick: bool,
    /// Of the load generator, each once; `--json --timeout=10s --endpoint` are left out.
    pub(crate) commands: Vec<String>,
    pub(crate) medians: Numbers,
    pub(crate) rounds: Vec<Numbers>,
}

impl Results {
    /// Writes results.json, results.md and results.svg.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let outcomes = goals::outcomes(&self.medians);
        let mut value = serde_json::to_value(self)?;
        value["goals"] = serde_json::to_value(&outcomes)?;
        std::fs::write(folder.join("results.json"), format!("{value:#}\n"))?;
        std::fs::write(folder.join("results.md"), self.page(&outcomes))?;
        std::fs::write(folder.join("results.svg"), plot::svg(&outcomes))
    }

    fn page(&self, outcomes: &[Outcome]) -> String {
        let Machine { commit, processor, cores, memory_mib, kernel, java, date, load } =
            &self.began;
        let rounds = self.rounds.len();
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "# StrataMQ and Apache RocketMQ 5.5.0, side by side\n\n\
             Written by `cargo bench --profile dist --bench peers`; medians of {rounds} round(s)\
             {quick}.\n\n\
             - {date} UTC, commit `{commit}`, {cores} cores of {processor}, {memory_mib} MiB\n\
             - Linux {kernel}; {java}\n\
             - load average {load} at the beginning, {after} at the end\n\
             - 1 KiB bodies, 8 queues; the same load generator for both, on the same cores\n\n\
             ![how many times better](results.svg)\n\n",
            quick = if self.quick { ", short: not to be quoted" } else { "" },
            after = self.ended.load,
        );
        page.push_str(
            "| measure | StrataMQ | other | achieved | goal | |\n|---|---:|---:|---:|---:|---|\n",
        );
        for Outcome { measure, unit, ours, other, achieved, goal, met, .. } in outcomes {
            let other = other.map_or_else(|| "-".to_owned(), |other| shown(other, unit));
            let times = |value: f64| match other.as_str() {
                "-" => shown(value, unit),
                _ => format!("{value:.2} x"),
            };
            let (ours, achieved) = (shown(*ours, unit), times(*achieved));
            let (goal, met) = match (*goal > 0.0, met) {
                (false, _) => ("-".to_owned(), "for orientation"),
                (true, true) => (times(*goal), "reached"),
                (true, false) => (times(*goal), "**missed**"),
            };
            let _ =
                writeln!(page, "| {measure} | {ours} | {other} | {achieved} | {goal} | {met} |");
        }
        for missed in outcomes.iter().filter(|outcome| !outcome.in_the_way.is_empty()) {
            let _ = write!(
                page,
                "\n**{}**: what stands in the way. Client and server share the cores, so what one \
                 message costs both bounds what can be moved: {}.\n",
                missed.measure,
                missed.in_the_way.join("; "),
            );
        }
        page.push_str(&self.counted());
        page.push_str("\n## Every number\n\nMedian, and the least and most of the rounds.\n\n");
        page.push_str("| number | median | least | most |\n|---|---:|---:|---:|\n");
        for (name, median) in &self.medians {
            let of_rounds = || self.rounds.iter().filter_map(|round| round.get(name)).copied();
            let least = of_rounds().fold(f64::INFINITY, f64::min);
            let most = of_rounds().fold(f64::NEG_INFINITY, f64::max);
            let _ = writeln!(page, "| {name} | {median:.1} | {least:.1} | {most:.1} |");
        }
        page.push_str("\n## Commands\n\n```text\n");
        for command in &self.commands {
            let _ = writeln!(page, "{command}");
        }
        page.push_str("```\n");
        page
    }

    /// What a message costs ours, by counting.
    fn counted(&self) -> String {
        let number = |name: &str| {
            self.medians.get(name).map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
        };
        let mut page = String::from(
            "\n## What a message costs, counted\n\n\
             Ours; system calls under strace, allocations and copies in memory of a body of 8 KiB \
             by `cargo test --test guard`.\n\n\
             | | wake-ups | system calls | futex | fdatasync | allocations | copies |\n\
             |---|---:|---:|---:|---:|---:|---:|\n",
        );
        for (what, load, guard) in [
            ("send, local", "local.send", "send"),
            ("send, async", "async.send", "send"),
            ("receive + ack", "receive_ack", "receive_ack"),
        ] {
            let numbers = [
                format!("ours.{load}_server_wakeups"),
                format!("ours.{load}_syscalls"),
                format!("ours.{load}_syscalls_futex"),
                format!("ours.{load}_syscalls_fdatasync"),
                format!("ours.{guard}_allocations"),
                format!("ours.{guard}_body_copies"),
            ];
            let numbers = numbers.map(|name| number(&name)).join(" | ");
            let _ = writeln!(page, "| {what} | {numbers} |");
        }
        page.push_str(
            "\nOf the copies of a send, where two were the goal, one is gRPC's, into the buffer that \
             it decodes from, and one is ours, into the group that is written by one call. The \
             third is HTTP/2's, which moves what it has of a frame that does not fit its buffer: a \
             body of 7 KiB is copied 2.0 times. That of a receive is gRPC's encoding.\n",
        );
        page
    }
}

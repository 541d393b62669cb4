//! The results: JSON with everything, a page with what matters.

use super::Numbers;
use super::costs;
use super::limits::{self, Outcome};
use super::machine::Machine;
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
    pub(crate) medians: Numbers,
    pub(crate) rounds: Vec<Numbers>,
    /// A petabyte, as a table; empty where no year was made.
    pub(crate) paper: String,
}

impl Results {
    /// Writes results.json and results.md.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let outcomes = limits::outcomes(&self.rounds);
        let mut value = serde_json::to_value(self)?;
        value["goals"] = serde_json::to_value(&outcomes)?;
        std::fs::write(folder.join("results.json"), format!("{value:#}\n"))?;
        std::fs::write(folder.join("results.md"), self.page(&outcomes))
    }

    fn page(&self, outcomes: &[Outcome]) -> String {
        let Machine { commit, processor, cores, memory_mib, kernel, date, load, .. } = &self.began;
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "# The bucket as an archive\n\n\
             Written by `cargo bench --profile dist --bench archive`; medians of {rounds} \
             round(s){quick}.\n\n\
             - {date} UTC, commit `{commit}`, {cores} cores of {processor}, {memory_mib} MiB\n\
             - Linux {kernel}; load average {load} at the beginning, {after} at the end\n\n\
             | measure | number | limit | achieved | of rounds | goal | |\n|---|---:|---:|---:|---:|---:|---|\n",
            rounds = self.rounds.len(),
            quick = if self.quick { ", short: not to be quoted" } else { "" },
            after = self.ended.load,
        );
        for Outcome { measure, number, by, achieved, spread, goal, is_at_most, met } in outcomes {
            let dash = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
            let met = match (goal, met) {
                (None, _) => "for orientation",
                (Some(_), true) => "reached",
                (Some(_), false) => "**missed**",
            };
            let sign = if *is_at_most { "<=" } else { ">=" };
            let goal =
                goal.map_or_else(|| "-".to_owned(), |goal| format!("{sign} {}", shown(goal)));
            let (number, by, achieved) = (shown(*number), dash(by), shown(*achieved));
            let (least, most) = (shown(spread.0), shown(spread.1));
            let _ = writeln!(
                page,
                "| {measure} | {number} | {by} | {achieved} | {least} to {most} | {goal} | {met} |"
            );
        }
        if self.medians.keys().any(|name| name.starts_with("costs.")) {
            let _ = write!(page, "\n## Cost\n\n{}", costs::page(&self.medians));
        }
        if !self.paper.is_empty() {
            let _ = write!(
                page,
                "\n## On paper\n\n1 PB in objects of 256 MiB, a million queues, 1,024 placement \
             groups, with the bytes per entry that were measured:\n\n{}",
                self.paper
            );
        }
        page.push_str("\n## All medians\n\n| number | | of rounds |\n|---|---:|---:|\n");
        for (name, value) in &self.medians {
            let of_rounds = || self.rounds.iter().filter_map(|round| round.get(name)).copied();
            let least = shown(of_rounds().fold(f64::INFINITY, f64::min));
            let most = shown(of_rounds().fold(f64::NEG_INFINITY, f64::max));
            let _ = writeln!(page, "| {name} | {} | {least} to {most} |", shown(*value));
        }
        page
    }
}

/// Four figures.
fn shown(value: f64) -> String {
    let units = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    match units.iter().find(|(unit, _)| value >= *unit) {
        Some((unit, name)) => format!("{:.2}{name}", value / unit),
        None if value >= 100.0 => format!("{value:.0}"),
        None => format!("{value:.3}"),
    }
}

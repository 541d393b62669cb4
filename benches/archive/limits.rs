//! What the numbers should be, and what they are.

use super::{Numbers, median};
use serde::Serialize;

/// A number that is to be at least, or at most, a part of another one, or something by itself.
struct Goal {
    measure: &'static str,
    number: &'static str,
    /// What it is divided by, in the same round.
    by: Option<&'static str>,
    is_at_most: bool,
    /// `None`: for orientation.
    goal: Option<f64>,
}

/// A goal with what was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) measure: &'static str,
    pub(crate) number: f64,
    pub(crate) by: Option<f64>,
    /// Of both, or the number itself; the median of what rounds achieved.
    pub(crate) achieved: f64,
    /// The least of a round, and the most.
    pub(crate) spread: (f64, f64),
    pub(crate) goal: Option<f64>,
    pub(crate) is_at_most: bool,
    pub(crate) met: bool,
}

const fn look(measure: &'static str, number: &'static str) -> Goal {
    Goal { measure, number, by: None, is_at_most: true, goal: None }
}

const fn at_most(measure: &'static str, number: &'static str, goal: f64) -> Goal {
    Goal { measure, number, by: None, is_at_most: true, goal: Some(goal) }
}

/// At least, if there is a goal.
const fn part(
    measure: &'static str,
    number: &'static str,
    by: &'static str,
    goal: Option<f64>,
) -> Goal {
    Goal { measure, number, by: Some(by), is_at_most: false, goal }
}

const fn at_most_part(
    measure: &'static str,
    number: &'static str,
    by: &'static str,
    goal: Option<f64>,
) -> Goal {
    Goal { measure, number, by: Some(by), is_at_most: true, goal }
}

const GOALS: &[Goal] = &[
    part(
        "catch-up from a folder, 1 thread, by raw GETs",
        "folder.cursor_1_threads_bytes_per_s",
        "folder.raw_get_best_bytes_per_s",
        None,
    ),
    part(
        "catch-up from a folder, 2 threads, by raw GETs",
        "folder.cursor_2_threads_bytes_per_s",
        "folder.raw_get_best_bytes_per_s",
        Some(0.8),
    ),
    part(
        "catch-up from a service, 1 thread, by raw GETs",
        "s3.cursor_1_threads_bytes_per_s",
        "s3.raw_get_best_bytes_per_s",
        None,
    ),
    part(
        "catch-up from a service, 2 threads, by raw GETs",
        "s3.cursor_2_threads_bytes_per_s",
        "s3.raw_get_best_bytes_per_s",
        Some(0.8),
    ),
    part(
        "the same of bodies that do not compress, a folder, 1 thread",
        "folder.noise_cursor_1_threads_bytes_per_s",
        "folder.noise_raw_get_best_bytes_per_s",
        None,
    ),
    part(
        "the same of bodies that do not compress, a folder, 2 threads",
        "folder.noise_cursor_2_threads_bytes_per_s",
        "folder.noise_raw_get_best_bytes_per_s",
        Some(0.8),
    ),
    part(
        "the same of bodies that do not compress, a service, 1 thread",
        "s3.noise_cursor_1_threads_bytes_per_s",
        "s3.noise_raw_get_best_bytes_per_s",
        None,
    ),
    part(
        "the same of bodies that do not compress, a service, 2 threads",
        "s3.noise_cursor_2_threads_bytes_per_s",
        "s3.noise_raw_get_best_bytes_per_s",
        Some(0.8),
    ),
    part(
        "bodies from a folder through gRPC, by the cursor's, 2 threads",
        "folder.grpc_read_bytes_per_s",
        "folder.cursor_2_threads_body_bytes_per_s",
        None,
    ),
    part(
        "bodies from a service through gRPC, by the cursor's, 2 threads",
        "s3.grpc_read_bytes_per_s",
        "s3.cursor_2_threads_body_bytes_per_s",
        None,
    ),
    part(
        "old data through gRPC, by Apache's",
        "ours.old_read_bytes_per_s",
        "apache.old_read_bytes_per_s",
        None,
    ),
    at_most_part(
        "send p99 beside four replays, us, by none",
        "isolation.four_send_p99_us",
        "isolation.none_send_p99_us",
        Some(1.2),
    ),
    at_most_part(
        "end to end p99 beside four replays, us, by none",
        "isolation.four_end_to_end_p99_us",
        "isolation.none_end_to_end_p99_us",
        Some(1.2),
    ),
    at_most_part(
        "send p99 beside four replays, us, by none; all in memory",
        "isolation_memory.four_send_p99_us",
        "isolation_memory.none_send_p99_us",
        Some(1.2),
    ),
    at_most_part(
        "end to end p99 beside four replays, us, by none; all in memory",
        "isolation_memory.four_end_to_end_p99_us",
        "isolation_memory.none_end_to_end_p99_us",
        Some(1.2),
    ),
    at_most_part(
        "broker CPU beside four replays, cores, by none",
        "isolation.four_broker_cpu_share",
        "isolation.none_broker_cpu_share",
        None,
    ),
    at_most_part(
        "bytes/s that four replays read, by their budget",
        "isolation.replays_read_bytes_per_s",
        "isolation.replays_budget_bytes_per_s",
        Some(1.05),
    ),
    at_most("search by key from cold, folder, ms, most", "folder.search_ms_max", 1e3),
    at_most("search by key from cold, service, ms, most", "s3.search_ms_max", 1e3),
    at_most("search by key from cold, 20 ms a GET, ms, most", "slow.search_ms_max", 1e3),
    at_most("GETs of it, folder, most", "folder.search_gets_max", 20.0),
    at_most("GETs of it, service, most", "s3.search_gets_max", 20.0),
    at_most_part(
        "search by key, 20 ms a GET, by one GET, ms",
        "slow.search_ms_p50",
        "slow.search_one_get_ms_p50",
        None,
    ),
    at_most(
        "restart to first send, long history, ms, most",
        "restart.history_first_send_ms_max",
        1e3,
    ),
    at_most_part(
        "restart to first send, by none of history",
        "restart.history_first_send_ms",
        "restart.empty_first_send_ms",
        None,
    ),
    look("bytes that a restart reads from the store", "restart.history_start_received_bytes"),
    look("GETs of a restart", "restart.history_start_gets"),
    look("PUTs per GB, full bundles, text", "costs.full_text_puts_per_gb"),
    look("PUTs per GB, bundles that are due, text", "costs.due_text_puts_per_gb"),
    look("GETs per stored GB read, full bundles, text", "costs.full_text_read_gets_per_stored_gb"),
    look("stored per byte sent, text", "costs.full_text_stored_per_byte"),
    look("stored per byte sent, noise", "costs.full_noise_stored_per_byte"),
    look("written per byte sent, text", "costs.full_text_written_per_byte"),
    look("written per byte sent, noise", "costs.full_noise_written_per_byte"),
    look("written by merges per byte of bodies, a year", "year.merge_written_per_body_byte"),
    look("the same with two levels", "years_end.merge_written_per_body_byte"),
    look("raw ranged GETs of a folder, bytes/s", "folder.raw_get_best_bytes_per_s"),
    look("raw ranged GETs of a service, bytes/s", "s3.raw_get_best_bytes_per_s"),
    look("stored per byte of bodies, bundles", "s3.stored_per_body_byte"),
    look("objects of a year", "year.objects"),
    look("GETs of a start with a year's objects, p50", "year.recovery_gets_p50"),
    look("bytes that it reads, p50", "year.recovery_bytes_p50"),
    look("ms that it reads, p50", "year.recovery_ms_p50"),
    look("GETs of a start after two levels of merges, p50", "years_end.recovery_gets_p50"),
    look("bytes that it reads then, p50", "years_end.recovery_bytes_p50"),
    look("ms that it reads then, p50", "years_end.recovery_ms_p50"),
    look("manifest bytes per object", "year.manifest_bytes_per_entry"),
    look("GETs by offset, nothing cached, p50", "year.cold_offset_gets_p50"),
    look("GETs by place in the log, nothing cached, p50", "year.cold_lsn_gets_p50"),
    at_most(
        "GETs by key within a second, nothing cached, most",
        "year.cold_key_and_second_gets_max",
        20.0,
    ),
];

/// Of all goals whose numbers were measured.
pub(crate) fn outcomes(rounds: &[Numbers]) -> Vec<Outcome> {
    GOALS.iter().filter_map(|goal| outcome(goal, rounds)).collect()
}

fn outcome(goal: &Goal, rounds: &[Numbers]) -> Option<Outcome> {
    let both = |round: &Numbers| {
        let number = *round.get(goal.number)?;
        let by = goal.by.map(|by| round.get(by).copied());
        match by {
            Some(by) => Some((number, Some(by?))),
            None => Some((number, None)),
        }
    };
    let pairs: Vec<(f64, Option<f64>)> = rounds.iter().filter_map(both).collect();
    let achieved: Vec<f64> = pairs.iter().map(|(number, by)| number / by.unwrap_or(1.0)).collect();
    let least = achieved.iter().copied().fold(f64::INFINITY, f64::min);
    let most = achieved.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let number = median(pairs.iter().map(|(number, _)| *number).collect())?;
    let by = median(pairs.iter().filter_map(|(_, by)| *by).collect());
    let achieved = median(achieved)?;
    let is_met = |limit: f64| if goal.is_at_most { achieved <= limit } else { achieved >= limit };
    Some(Outcome {
        measure: goal.measure,
        number,
        by,
        achieved,
        spread: (least, most),
        goal: goal.goal,
        is_at_most: goal.is_at_most,
        met: goal.goal.is_none_or(is_met),
    })
}

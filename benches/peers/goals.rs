//! What the numbers should be, and what they are.

use super::round::Numbers;
use super::unit::shown;
use serde::Serialize;

/// How ours and the other number are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    /// Ours, divided by the other, is at least the goal.
    More,
    /// The other, divided by ours, is at least the goal.
    Less,
    /// Ours is at most the goal.
    AtMost,
}

struct Goal {
    measure: &'static str,
    ours: &'static str,
    other: &'static str,
    better: Better,
    /// 0 for a comparison that is only for orientation.
    goal: f64,
    unit: &'static str,
}

/// A goal with what was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) measure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    /// None for a goal that stands by itself.
    pub(crate) other: Option<f64>,
    /// How many times better than `other`, or the number itself.
    pub(crate) achieved: f64,
    pub(crate) goal: f64,
    pub(crate) met: bool,
    /// Where it was missed: what stands in the way, in words, with its numbers.
    pub(crate) in_the_way: Vec<String>,
}

const fn goal(
    measure: &'static str,
    (ours, other): (&'static str, &'static str),
    better: Better,
    goal: f64,
    unit: &'static str,
) -> Goal {
    Goal { measure, ours, other, better, goal, unit }
}

/// The name that stands for the disk at the group size that the deep queues made.
const DISK_AT_GROUP: &str = "floor.disk_at_deep_group_bytes_per_s";

use Better::{AtMost, Less, More};
const GOALS: [Goal; 18] = [
    goal(
        "acknowledged sends, local / SYNC_FLUSH, 256 in flight",
        ("ours.local.send_per_s", "apache.sync.send_per_s"),
        More,
        5.0,
        "/s",
    ),
    goal(
        "acknowledged sends, async / ASYNC_FLUSH, 256 in flight",
        ("ours.async.send_per_s", "apache.async.send_per_s"),
        More,
        5.0,
        "/s",
    ),
    goal("receive + ack", ("ours.receive_ack_per_s", "apache.receive_ack_per_s"), More, 5.0, "/s"),
    goal(
        "one synchronous sender, p50, local",
        ("ours.one_p50_us", "apache.one_p50_us"),
        Less,
        3.0,
        "us",
    ),
    goal(
        "one synchronous sender, p99, local",
        ("ours.one_p99_us", "apache.one_p99_us"),
        Less,
        4.0,
        "us",
    ),
    goal(
        "end to end at 1,000/s, p99",
        ("ours.end_to_end_p99_us", "apache.end_to_end_p99_us"),
        Less,
        4.0,
        "us",
    ),
    goal(
        "end to end at 1,000/s, p50",
        ("ours.end_to_end_p50_us", "apache.end_to_end_p50_us"),
        Less,
        0.0,
        "us",
    ),
    goal(
        "server CPU per send, local",
        ("ours.local.send_server_cpu_us", "apache.sync.send_server_cpu_us"),
        Less,
        8.0,
        "us",
    ),
    goal(
        "server CPU per send, async",
        ("ours.async.send_server_cpu_us", "apache.async.send_server_cpu_us"),
        Less,
        8.0,
        "us",
    ),
    goal(
        "server CPU per receive + ack",
        ("ours.receive_ack_server_cpu_us", "apache.receive_ack_server_cpu_us"),
        Less,
        8.0,
        "us",
    ),
    goal(
        "resident memory, anonymous",
        ("ours.anonymous_mib", "apache.anonymous_mib"),
        Less,
        10.0,
        "MiB",
    ),
    goal(
        "resident memory with file pages",
        ("ours.resident_mib", "apache.resident_mib"),
        Less,
        4.0,
        "MiB",
    ),
    goal("launch to first acknowledged send", ("ours.launch_ms", ""), AtMost, 1_000.0, "ms"),
    goal("launch, against Apache's", ("ours.launch_ms", "apache.launch_ms"), Less, 1.0, "ms"),
    goal(
        "batched sends, deep queues, of the disk at that group size",
        ("ours.deep_bytes_per_s", DISK_AT_GROUP),
        More,
        0.7,
        "B/s",
    ),
    goal(
        "sends, of an empty tonic echo (async)",
        ("ours.async.send_per_s", "floor.echo.send_per_s"),
        More,
        0.6,
        "/s",
    ),
    goal(
        "sends, of an empty tonic echo (local)",
        ("ours.local.send_per_s", "floor.echo.send_per_s"),
        More,
        0.6,
        "/s",
    ),
    goal(
        "one synchronous sender, p50, of write + fdatasync",
        ("ours.one_p50_us", "floor.disk_sync_p50_us"),
        Less,
        0.0,
        "us",
    ),
];

/// The goals that have their numbers.
pub(crate) fn outcomes(medians: &Numbers) -> Vec<Outcome> {
    let mut numbers = medians.clone();
    if let Some(disk) = disk_at_group(medians) {
        numbers.insert(DISK_AT_GROUP.to_owned(), disk);
    }
    GOALS.iter().filter_map(|goal| outcome(goal, &numbers)).collect()
}

fn outcome(goal: &Goal, numbers: &Numbers) -> Option<Outcome> {
    let ours = *numbers.get(goal.ours)?;
    let other = numbers.get(goal.other).copied();
    let achieved = match goal.better {
        More => ours / other?,
        Less => other? / ours,
        AtMost => ours,
    };
    let met = match goal.better {
        More | Less => achieved >= goal.goal,
        AtMost => achieved <= goal.goal,
    };
    let Goal { measure, unit, goal, .. } = *goal;
    let missed = !met && goal > 0.0;
    let in_the_way = if missed { in_the_way(measure, numbers) } else { Vec::new() };
    Some(Outcome { measure, unit, ours, other, achieved, goal, met, in_the_way })
}

/// What a missed goal is to be read with: words, the number's name, its unit.
fn in_the_way(measure: &str, numbers: &Numbers) -> Vec<String> {
    const DEEP: [(&str, &str, &str); 6] = [
        ("an empty echo of the same requests moves", "floor.echo.deep_bytes_per_s", "B/s"),
        ("of its two cores the echo takes, a message", "floor.echo.deep_server_cpu_us", "us"),
        ("and its client", "floor.echo.deep_client_cpu_us", "us"),
        ("ours takes, a message", "ours.deep_server_cpu_us", "us"),
        ("and its client", "ours.deep_client_cpu_us", "us"),
        ("a group that a sync made durable had", "ours.deep_group_bytes", "bytes"),
    ];
    const SENDS: [(&str, &str, &str); 7] = [
        ("the empty echo takes of the server, a send", "floor.echo.send_server_cpu_us", "us"),
        ("and of the client", "floor.echo.send_client_cpu_us", "us"),
        ("ours takes of the server at local", "ours.local.send_server_cpu_us", "us"),
        ("at async", "ours.async.send_server_cpu_us", "us"),
        ("and of the client", "ours.local.send_client_cpu_us", "us"),
        ("Apache's client takes", "apache.async.send_client_cpu_us", "us"),
        ("one write + fdatasync of 4 KiB takes", "floor.disk_sync_p50_us", "us"),
    ];
    let what: &[_] = if measure.starts_with("batched") { &DEEP } else { &SENDS };
    let line = |(words, name, unit): &(&str, &str, &str)| {
        let value = numbers.get(*name)?;
        Some(format!("{words} {}", shown(*value, unit)))
    };
    what.iter().filter_map(line).collect()
}

/// The disk's rate at the measured group size nearest to the one that was made; at 1 MiB where the
/// broker does not tell.
fn disk_at_group(medians: &Numbers) -> Option<f64> {
    let made = medians.get("ours.deep_group_bytes").copied().unwrap_or(1_048_576.0);
    let sizes = medians.iter().filter_map(|(name, rate)| {
        let kib = name.strip_prefix("floor.disk_")?.strip_suffix("_kib_bytes_per_s")?;
        Some((kib.parse::<f64>().ok()? * 1024.0, *rate))
    });
    let distance = |size: f64| (size / made).ln().abs();
    sizes.min_by(|a, b| distance(a.0).total_cmp(&distance(b.0))).map(|(_, rate)| rate)
}

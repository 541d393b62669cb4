//! What the numbers should be, and what they are.

use super::Numbers;
use serde::Serialize;

/// A number that is to be a part of another one's, or at most something.
struct Goal {
    measure: &'static str,
    number: &'static str,
    /// What it is divided by.
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
    /// Of both, or the number itself.
    pub(crate) achieved: f64,
    pub(crate) goal: Option<f64>,
    pub(crate) met: bool,
}

const fn at_most(measure: &'static str, number: &'static str, goal: Option<f64>) -> Goal {
    Goal { measure, number, by: None, is_at_most: true, goal }
}

const GOALS: [Goal; 9] = [
    Goal {
        measure: "old data through gRPC, by Apache's",
        number: "ours.old_read_bytes_per_s",
        by: Some("apache.old_read_bytes_per_s"),
        is_at_most: false,
        goal: None,
    },
    at_most("raw ranged GETs of a folder, bytes/s", "folder.raw_get_best_bytes_per_s", None),
    at_most("raw ranged GETs of a service, bytes/s", "s3.raw_get_best_bytes_per_s", None),
    at_most("stored per byte of bodies, bundles", "s3.stored_per_body_byte", None),
    at_most("objects of a year", "s3.year_objects", None),
    at_most("manifest bytes per object", "s3.year_manifest_bytes_per_entry", None),
    at_most("GETs by offset, nothing cached, p50", "s3.year_cold_offset_gets_p50", None),
    at_most("GETs by place in the log, nothing cached, p50", "s3.year_cold_lsn_gets_p50", None),
    at_most(
        "GETs by key within a second, nothing cached, most",
        "s3.year_cold_key_and_second_gets_max",
        Some(20.0),
    ),
];

/// Of all goals whose numbers were measured.
pub(crate) fn outcomes(numbers: &Numbers) -> Vec<Outcome> {
    GOALS.iter().filter_map(|goal| outcome(goal, numbers)).collect()
}

fn outcome(goal: &Goal, numbers: &Numbers) -> Option<Outcome> {
    let number = *numbers.get(goal.number)?;
    let by = match goal.by {
        Some(by) => Some(*numbers.get(by)?),
        None => None,
    };
    let achieved = number / by.unwrap_or(1.0);
    let met = goal
        .goal
        .is_none_or(|limit| if goal.is_at_most { achieved <= limit } else { achieved >= limit });
    Some(Outcome { measure: goal.measure, number, by, achieved, goal: goal.goal, met })
}

//! `stratamq replay`, and `stratamq group redrive`: a span of time of a topic, written again elsewhere.
//!
//! The work is the broker's: these commands ask for it, and watch. Who stops watching stops nothing.
mod begin;
mod follow;
mod jobs;
mod text;

pub(crate) use begin::{Redrive, ReplayCommand};

use super::failure::Failure;
use super::{group, topic};

/// The API's hints speak of HTTP; these of commands.
fn unknown(failure: Failure) -> Failure {
    let is_missing = failure.what.ends_with("does not exist");
    match failure.what.split(' ').next() {
        Some("replay") if is_missing => failure.hint("stratamq replay list shows what there is"),
        Some("group") => group::unknown(failure),
        Some("topic") => topic::unknown(failure),
        Some(_) | None => failure,
    }
}

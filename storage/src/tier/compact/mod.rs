//! Which neighbours in a manifest are to be merged next: pure, so that months of it can be tried in
//! a second.
//!
//! ```text
//! bundles of an hour ──► runs of level 1 (1 h) ──► level 2 (6 h) ──► level 3 (1 d)
//!   when the hour is over      where FAN_IN entries at least become one
//! ```
//!
//! INV-COMPACT-1: each output has a level above all its inputs, so a byte is written once as a
//! bundle and at most once a level: [`WRITES_MAX`] times in all.
//! INV-COMPACT-2: above level 1 a merge is planned only where it leaves one entry of
//! [`CompactionSettings::fan_in`] or fewer; else nothing is gained, and nothing is planned.
//! INV-COMPACT-3: a bundle that holds other placement groups' bytes is merged
//! [`CompactionSettings::bundle_age_max`] after its last message at the latest.
//! INV-COMPACT-4: a run is written again for what it keeps for nobody only when that is half of it.
//! So all such merges together write no more than was ever let go.
//! INV-COMPACT-5: a run is summarised a logarithm of times: a summary takes up another only where that
//! is at most twice as large as all it has.
mod plan;
mod settings;
mod summaries;

pub use plan::{Plan, PlannedMerge, plan, plan_reclaim};
pub use settings::{CompactionSettings, LevelSettings, WRITES_MAX};
pub use summaries::{PlannedSummary, Summarised, plan_summaries};

#[cfg(test)]
mod tests;

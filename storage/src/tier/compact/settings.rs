//! How far compaction goes.

use super::super::merge::MergeSettings;
use crate::env::Timestamp;
use crate::format::{Epoch, Lsn, PgId};
use std::time::Duration;

/// How often a byte is written at most: as a bundle, and once a level.
pub const WRITES_MAX: u32 = 1 + LEVELS as u32;

/// Levels of runs that time alone makes.
const LEVELS: usize = 3;

const HOUR: Duration = Duration::from_secs(3600);

/// One level of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSettings {
    /// Of the runs; 1 to 9.
    pub level: u8,
    /// Length of a run's window.
    pub window: Duration,
    /// Bytes that a shared run aims at.
    pub shared_bytes: u64,
}

impl LevelSettings {
    /// What a merge to this level is given.
    pub const fn merge(&self, pg: PgId, epoch: Epoch, operations_from: Lsn) -> MergeSettings {
        MergeSettings {
            window: self.window,
            shared_bytes: self.shared_bytes,
            operations_from,
            ..MergeSettings::new(pg, epoch, self.level)
        }
    }
}

/// When neighbours are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Ascending by level and by window, each window a multiple of the one before.
    pub levels: [LevelSettings; LEVELS],
    /// Above level 1: entries that become one, or the merge is not worth its bytes.
    pub fan_in: usize,
    /// Inputs of one merge: their tails are held in memory.
    pub inputs_max: usize,
    /// Bytes of one merge: what is lost when it fails.
    pub bytes_max: u64,
    /// How long after its end a window is waited for, when nothing later came.
    pub lateness: Duration,
    /// How long a bundle of many placement groups may stay referenced after its last message.
    pub bundle_age_max: Duration,
}

impl Default for CompactionSettings {
    /// Windows of 1 h, 6 h and 1 d; shared runs of 256 MiB, 512 MiB and 1 GiB.
    fn default() -> CompactionSettings {
        let level = |level, hours: u32, mib: u64| LevelSettings {
            level,
            window: HOUR * hours,
            shared_bytes: mib << 20,
        };
        CompactionSettings {
            levels: [level(1, 1, 256), level(2, 6, 512), level(3, 24, 1024)],
            fan_in: 8,
            inputs_max: 512,
            bytes_max: 8 << 30,
            lateness: Duration::from_secs(300),
            bundle_age_max: HOUR * 2,
        }
    }
}

impl CompactionSettings {
    /// What is stored before is not merged for its age any more: a caller that plans often need not
    /// read the manifest's pages before this moment, as long as it reads all of them once a start.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        let [.., last] = self.levels;
        let back = last.window * 2 + self.lateness;
        Timestamp(now.0.saturating_sub(u64::try_from(back.as_millis()).unwrap_or(u64::MAX)))
    }
}

//! What the syncer saw: how much each sync made durable, and how long it took.

use crate::histogram::{Distribution, Histogram};
use std::time::Duration;

/// Bytes of a group: from a single small record to the most that a log may be ahead.
const GROUP_BYTES: &[u64] =
    &[1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 32 << 20];
/// Records of a group.
const GROUP_RECORDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16_384];
/// Microseconds of a sync: from a disk that caches writes to one that is in trouble.
const SYNC_MICROS: &[u64] = &[
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000,
    5_000_000,
];

/// What a store measured since it was opened; see [`super::Store::metrics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Bytes of records in a group, which is what one sync makes durable; without the journal's own
    /// framing and padding.
    pub group_bytes: Distribution,
    /// Records in a group.
    pub group_records: Distribution,
    /// Microseconds that a group's sync took.
    pub sync_micros: Distribution,
}

/// The counters behind [`Metrics`]. The syncer counts, anybody reads.
#[derive(Debug)]
pub(crate) struct Measured {
    group_bytes: Histogram<{ GROUP_BYTES.len() + 1 }>,
    group_records: Histogram<{ GROUP_RECORDS.len() + 1 }>,
    sync_micros: Histogram<{ SYNC_MICROS.len() + 1 }>,
}

impl Default for Measured {
    fn default() -> Measured {
        Measured {
            group_bytes: Histogram::new(GROUP_BYTES),
            group_records: Histogram::new(GROUP_RECORDS),
            sync_micros: Histogram::new(SYNC_MICROS),
        }
    }
}

impl Measured {
    /// A group became durable.
    pub(crate) fn synced(&self, records: u64, bytes: u64, took: Duration) {
        self.group_bytes.count(bytes);
        self.group_records.count(records);
        self.sync_micros.count(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn read(&self) -> Metrics {
        Metrics {
            group_bytes: self.group_bytes.read(),
            group_records: self.group_records.read(),
            sync_micros: self.sync_micros.read(),
        }
    }
}

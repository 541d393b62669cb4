//! What the store is asked and what it moves, by purpose: every request is money.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why the store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Bundles of committed log ranges.
    Upload,
    /// Manifest pages and roots.
    Manifest,
    /// Consumers, and whoever looks at messages.
    Read,
    /// Consumers that are far behind, and replays.
    CatchUp,
    /// Looking for a message by its key.
    Search,
    /// What an owner reads before it begins.
    Recovery,
    /// Merging what is stored.
    Compaction,
    /// Deleting what nothing refers to.
    Collection,
    /// The consumer state's snapshots.
    Snapshot,
    /// Verifying and rebuilding.
    Check,
    /// Whether the store is there and what it can do.
    Probe,
}

impl Purpose {
    /// All of them, in the order of their declaration.
    pub const ALL: [Purpose; 11] = [
        Purpose::Upload,
        Purpose::Manifest,
        Purpose::Read,
        Purpose::CatchUp,
        Purpose::Search,
        Purpose::Recovery,
        Purpose::Compaction,
        Purpose::Collection,
        Purpose::Snapshot,
        Purpose::Check,
        Purpose::Probe,
    ];

    /// The value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Purpose::Upload => "upload",
            Purpose::Manifest => "manifest",
            Purpose::Read => "read",
            Purpose::CatchUp => "catch_up",
            Purpose::Search => "search",
            Purpose::Recovery => "recovery",
            Purpose::Compaction => "compaction",
            Purpose::Collection => "collection",
            Purpose::Snapshot => "snapshot",
            Purpose::Check => "check",
            Purpose::Probe => "probe",
        }
    }
}

/// What is asked of the store, as its operator charges for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Storing; the parts of a large object and its beginning and end are one each.
    Put,
    /// Reading.
    Get,
    /// Asking for length and time.
    Head,
    /// A page of names.
    List,
    /// Deleting up to 1,000 names.
    Delete,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Kind; 5] = [Kind::Put, Kind::Get, Kind::Head, Kind::List, Kind::Delete];

    /// The value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Get => "get",
            Kind::Head => "head",
            Kind::List => "list",
            Kind::Delete => "delete",
        }
    }
}

/// What one kind of request for one purpose came to, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Why.
    pub purpose: Purpose,
    /// What.
    pub kind: Kind,
    /// Requests, repeated ones each time.
    pub requests: u64,
    /// Requests among them that brought no answer, or one to try again.
    pub failures: u64,
    /// Bytes sent in bodies, repeated ones each time.
    pub sent_bytes: u64,
    /// Bytes received in bodies and used.
    pub received_bytes: u64,
}

#[derive(Debug, Default)]
struct Cell {
    requests: AtomicU64,
    failures: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

/// The counters of one bucket.
#[derive(Debug, Default)]
pub(super) struct Meter {
    cells: [[Cell; Kind::ALL.len()]; Purpose::ALL.len()],
}

impl Meter {
    #[expect(clippy::indexing_slicing, reason = "the tables are as large as the enums")]
    fn cell(&self, purpose: Purpose, kind: Kind) -> &Cell {
        &self.cells[purpose as usize][kind as usize]
    }

    pub(super) fn asked(&self, purpose: Purpose, kind: Kind, sent_bytes: u64) {
        let cell = self.cell(purpose, kind);
        cell.requests.fetch_add(1, Relaxed);
        cell.sent_bytes.fetch_add(sent_bytes, Relaxed);
    }

    pub(super) fn failed(&self, purpose: Purpose, kind: Kind) {
        self.cell(purpose, kind).failures.fetch_add(1, Relaxed);
    }

    pub(super) fn received(&self, purpose: Purpose, kind: Kind, bytes: u64) {
        self.cell(purpose, kind).received_bytes.fetch_add(bytes, Relaxed);
    }

    /// A row for each pair that was ever used.
    pub(super) fn snapshot(&self) -> Vec<Usage> {
        let pairs = Purpose::ALL.iter().flat_map(|purpose| Kind::ALL.map(|kind| (*purpose, kind)));
        let row = |(purpose, kind)| {
            let cell = self.cell(purpose, kind);
            Usage {
                purpose,
                kind,
                requests: cell.requests.load(Relaxed),
                failures: cell.failures.load(Relaxed),
                sent_bytes: cell.sent_bytes.load(Relaxed),
                received_bytes: cell.received_bytes.load(Relaxed),
            }
        };
        pairs.map(row).filter(|usage| usage.requests > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_counts_for_itself() {
        for (at, purpose) in Purpose::ALL.iter().enumerate() {
            assert_eq!(*purpose as usize, at);
        }
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at);
        }
        let meter = Meter::default();
        meter.asked(Purpose::Upload, Kind::Put, 10);
        meter.asked(Purpose::Upload, Kind::Put, 10);
        meter.failed(Purpose::Upload, Kind::Put);
        meter.asked(Purpose::Probe, Kind::Delete, 0);
        let rows = meter.snapshot();
        assert_eq!(rows.len(), 2);
        let row = rows.first().unwrap();
        assert_eq!((row.requests, row.failures, row.sent_bytes), (2, 1, 20));
    }
}

//! What was done, for `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use storage::collect::Swept;
use storage::tier::merge::MergeTotals;

/// Since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Merges that were committed.
    pub merges: u64,
    /// Runs that they made.
    pub runs: u64,
    /// Bytes that they read.
    pub read_bytes: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// Objects that were set aside because they are damaged, or do not fit.
    pub set_aside: u64,
    /// Walks of the collector through all names.
    pub sweeps: u64,
    /// Objects that it deleted.
    pub deleted: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
}

/// Counts it. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Counts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    merges: AtomicU64,
    runs: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    set_aside: AtomicU64,
    sweeps: AtomicU64,
    deleted: AtomicU64,
    deleted_bytes: AtomicU64,
}

impl Counts {
    /// As of now.
    pub(in super::super) fn done(&self) -> Done {
        let Shared { merges, runs, read_bytes, written_bytes, .. } = &*self.0;
        let Shared { set_aside, sweeps, deleted, deleted_bytes, .. } = &*self.0;
        Done {
            merges: merges.load(Relaxed),
            runs: runs.load(Relaxed),
            read_bytes: read_bytes.load(Relaxed),
            written_bytes: written_bytes.load(Relaxed),
            set_aside: set_aside.load(Relaxed),
            sweeps: sweeps.load(Relaxed),
            deleted: deleted.load(Relaxed),
            deleted_bytes: deleted_bytes.load(Relaxed),
        }
    }

    pub(super) fn merged(&self, runs: usize, totals: &MergeTotals) {
        self.0.merges.fetch_add(1, Relaxed);
        self.0.runs.fetch_add(runs as u64, Relaxed);
        self.0.read_bytes.fetch_add(totals.bytes_read, Relaxed);
        self.0.written_bytes.fetch_add(totals.bytes_written, Relaxed);
    }

    pub(super) fn set_aside(&self, objects: usize) {
        self.0.set_aside.fetch_add(objects as u64, Relaxed);
    }

    pub(super) fn swept(&self, swept: &Swept) {
        self.0.deleted.fetch_add(swept.deleted, Relaxed);
        self.0.deleted_bytes.fetch_add(swept.deleted_bytes, Relaxed);
    }

    pub(super) fn sweep_ended(&self) {
        self.0.sweeps.fetch_add(1, Relaxed);
    }
}

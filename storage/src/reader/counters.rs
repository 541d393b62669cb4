//! What was asked of the caches and of the bucket, by kind.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Looked {
    /// Roots and pages of manifests.
    Manifest,
    /// Tails of objects.
    Tail,
    /// Parts of key indexes.
    Keys,
    /// Pages of objects, with blocks in them.
    Page,
    /// Blocks and operations that no cache keeps.
    Span,
    /// Blocks for cursors.
    CatchUp,
}

impl Looked {
    /// All of them, in the order of their declaration.
    pub const ALL: [Looked; 6] =
        [Looked::Manifest, Looked::Tail, Looked::Keys, Looked::Page, Looked::Span, Looked::CatchUp];

    /// The value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Looked::Manifest => "manifest",
            Looked::Tail => "tail",
            Looked::Keys => "keys",
            Looked::Page => "page",
            Looked::Span => "span",
            Looked::CatchUp => "catch_up",
        }
    }
}

/// What one kind came to since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Found in a cache.
    pub hits: u64,
    /// Not found there, or found damaged.
    pub misses: u64,
    /// Requests to the bucket; the bucket's own meter counts repeated ones too.
    pub gets: u64,
    /// Bytes that they brought.
    pub bytes: u64,
    /// Times that bytes were not what was written, and were read again.
    pub damaged: u64,
}

#[derive(Debug, Default)]
struct Cell {
    hits: AtomicU64,
    misses: AtomicU64,
    gets: AtomicU64,
    bytes: AtomicU64,
    damaged: AtomicU64,
}

/// The counters of one reader.
#[derive(Debug, Default)]
pub(super) struct Counters([Cell; Looked::ALL.len()]);

impl Counters {
    #[expect(clippy::indexing_slicing, reason = "the table is as large as the enum")]
    fn cell(&self, kind: Looked) -> &Cell {
        &self.0[kind as usize]
    }

    pub(super) fn hit(&self, kind: Looked, count: u64) {
        self.cell(kind).hits.fetch_add(count, Relaxed);
    }

    pub(super) fn missed(&self, kind: Looked, count: u64) {
        self.cell(kind).misses.fetch_add(count, Relaxed);
    }

    pub(super) fn got(&self, kind: Looked, bytes: u64) {
        let cell = self.cell(kind);
        cell.gets.fetch_add(1, Relaxed);
        cell.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn damaged(&self, kind: Looked) {
        self.cell(kind).damaged.fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self) -> Vec<(Looked, Looks)> {
        let row = |kind: Looked| {
            let cell = self.cell(kind);
            let looks = Looks {
                hits: cell.hits.load(Relaxed),
                misses: cell.misses.load(Relaxed),
                gets: cell.gets.load(Relaxed),
                bytes: cell.bytes.load(Relaxed),
                damaged: cell.damaged.load(Relaxed),
            };
            (kind, looks)
        };
        Looked::ALL.map(row).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_counts_for_itself() {
        for (at, kind) in Looked::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at);
        }
        let counters = Counters::default();
        counters.hit(Looked::Tail, 2);
        counters.got(Looked::CatchUp, 7);
        let rows = counters.snapshot();
        assert_eq!(rows[1], (Looked::Tail, Looks { hits: 2, ..Looks::default() }));
        assert_eq!(rows[5].1, Looks { gets: 1, bytes: 7, ..Looks::default() });
    }
}

//! The same with a petabyte, on paper: from bytes per entry and page as they were measured.

use super::Size;
use std::fmt::Write as _;

/// Bytes of an entry of a page of starts: two varints, each the difference to the one before.
const START_BYTES: f64 = 5.0;
/// Bytes in a root of a page, of a page of starts, and of the rest.
const ROOT_PAGE_BYTES: f64 = 116.0;
const ROOT_START_BYTES: f64 = 44.0;
const ROOT_BYTES: f64 = 36.0;
/// Entries of full pages.
const PAGE_ENTRIES: f64 = storage::tier::manifest::PAGE_ENTRIES as f64;
const START_PAGE_ENTRIES: f64 = storage::tier::manifest::START_PAGE_ENTRIES as f64;
/// Deltas that a record has at most.
const DELTAS_MAX: f64 = storage::tier::manifest::DELTAS_MAX as f64;

/// A cluster that nobody has at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) bytes: f64,
    pub(crate) queues: f64,
    pub(crate) groups: f64,
    /// Mean bytes of an object after compaction.
    pub(crate) object_bytes: f64,
}

impl Cluster {
    /// 1 PB, a million queues, 1,024 placement groups, objects of 256 MiB.
    pub(crate) const PETABYTE: Cluster =
        Cluster { bytes: 1e15, queues: 1e6, groups: 1_024.0, object_bytes: 268_435_456.0 };
}

/// A table's rows: what, in all, per placement group.
pub(crate) fn rows(size: &Size, of: Cluster) -> Vec<(&'static str, f64, f64)> {
    let entry = per(size.manifest.pages.1, size.manifest.entries_in_pages);
    let delta = per(size.manifest.deltas.1, size.manifest.deltas.0);
    let objects = of.bytes / of.object_bytes;
    let entries = objects / of.groups;
    let pages = (entries / PAGE_ENTRIES).ceil();
    let start_pages = (of.queues / of.groups / START_PAGE_ENTRIES).ceil();
    let page_bytes = entries * entry;
    let start_bytes = of.queues / of.groups * START_BYTES;
    let root = ROOT_BYTES + pages * ROOT_PAGE_BYTES + start_pages * ROOT_START_BYTES;
    let all = |each: f64| each * of.groups;
    // The root; of each page that halving asks, itself and the tails at its ends; by halves among
    // the entries of the last one; the block.
    let offset = 2.0 + (pages + 1.0).log2().ceil() * 3.0 + PAGE_ENTRIES.log2();
    vec![
        ("objects", objects, entries),
        ("pages of runs", all(pages), pages),
        ("bytes of pages of runs", all(page_bytes), page_bytes),
        ("pages of starts", all(start_pages), start_pages),
        ("bytes of pages of starts", all(start_bytes), start_bytes),
        ("bytes of roots", all(root), root),
        (
            "bytes of the manifest",
            all(page_bytes + start_bytes + root),
            page_bytes + start_bytes + root,
        ),
        (
            "bytes of deltas in the metadata store, at most",
            all(delta * DELTAS_MAX),
            delta * DELTAS_MAX,
        ),
        (
            "GETs by offset where all objects have the queue, nothing cached, at most",
            offset,
            offset,
        ),
        ("GETs by place in the log, nothing cached", 6.0, 6.0),
    ]
}

/// The rows as Markdown.
pub(crate) fn table(size: &Size, of: Cluster) -> String {
    let mut text = "| | in all | per placement group |\n|---|---:|---:|\n".to_owned();
    for (what, all, each) in rows(size, of) {
        let _ = writeln!(text, "| {what} | {} | {} |", shown(all), shown(each));
    }
    text
}

/// Three figures and a unit.
fn shown(number: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", number / unit),
        None => format!("{number:.0}"),
    }
}

/// A mean; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "shown with three figures")]
pub(crate) fn per(sum: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

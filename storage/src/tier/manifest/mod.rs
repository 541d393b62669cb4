//! The manifest: which objects hold a placement group's log below `tiered`.
//!
//! ```text
//! PG record (metadata store):  root name, deltas (up to 128, or 256 KiB)
//!        root ──► run pages    entries by (first lsn, id), some thousand each
//!             ├─► start pages  queue -> first offset that is still kept
//!             └─► summaries    key -> objects that have it
//! ```
//!
//! A commit appends a [`Delta`] to the record. When the deltas have grown ([`must_fold`]), they are
//! folded: the pages that they touch are written anew under new names, a new root names them and all
//! untouched pages, and one commit puts the root in the place of the old root and the deltas. Pages
//! and roots are never changed.
//!
//! Nothing here reads a page. A question first says which pages it needs ([`Root::pages`]), the
//! caller brings them, and so counts what it costs.
//!
//! INV-MAN-1: deltas follow each other: each begins where the one before left `tiered`.
//! INV-MAN-2: an entry is removed only if it is there, and added only if it is not.
//! INV-MAN-3: bundles, runs made of them, and named losses cover the log up to `tiered` without a hole,
//! but for what retention dropped: a [`replace`] takes neighbours only, and brings as many
//! messages as it takes.
//! INV-MAN-4: of one queue, entries in order of their first lsn are in order of offsets. So an offset
//! is found by halves ([`OffsetSearch`]).
mod delta;
mod entry;
mod fold;
mod lookup;
mod operations;
mod page;
mod root;
mod summaries;

pub use delta::{Change, DELTA_BYTES_MAX, DELTAS_MAX, Delta, DeltaRefused, Overlay, must_fold};
pub use entry::{Key, Origin, QueueBloom, QueueSet, RunEntry, Window};
pub use fold::{Brought, FoldRefused, Folded, PageSizes, Touched, fold, touched};
pub use lookup::{OffsetSearch, OffsetStep, PageSearch, Query, select, select_in};
pub use operations::{ReplaceRefused, Replaced, ends_in, expired, replace, start_by_size};
pub use page::{PAGE_ENTRIES, RunPage, START_PAGE_ENTRIES, StartPage};
pub use root::{PageRef, Root, SUMMARIES_MAX, StartRef};
pub use summaries::SummaryRef;

/// Reads `bytes` as each part of a manifest, and what could be read once more from how it is
/// written: for fuzzing.
///
/// # Panics
/// When a part does not read back what it wrote.
pub fn read_everything(bytes: &[u8]) {
    use crate::format::object::sealed;
    for bytes in [bytes.to_vec(), sealed(bytes.to_vec())] {
        if let Ok(read) = Delta::decode(&bytes) {
            assert_eq!(Delta::decode(&read.encode()), Ok(read));
        }
        if let Ok(read) = RunPage::decode(&bytes) {
            assert_eq!(RunPage::decode(&read.encode()), Ok(read));
        }
        if let Ok(read) = StartPage::decode(&bytes) {
            assert_eq!(StartPage::decode(&read.encode()), Ok(read));
        }
        if let Ok(read) = Root::decode(&bytes) {
            assert_eq!(Root::decode(&read.encode()), Ok(read));
        }
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

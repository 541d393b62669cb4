//! Everything that is answered out of the bucket.
//!
//! A [`View`] is a placement group's manifest as its record said at one moment. A [`Reader`] answers
//! questions about it: messages of a queue by offset, time, key or place in the log; operations and
//! ends of queues, for an owner that begins. What it read it keeps for a while: pages of objects in
//! memory and on a disk, decoded indexes in memory. Objects never change, so nothing kept is ever out
//! of date; what a view names may be gone ([`ReadError::Stale`]), and then the record has moved on.
//!
//! ```text
//!   read, at_time   cursor   operations, ends   by_key, by_lsn, measure
//!         └── walk: which objects ──┘           summaries       seek, keys
//!         └── or_again: bytes that decode, or are read again    access
//!   pages (memory, disk)        indexes (memory)                once, however many ask
//!         └──────────── object::Bucket ─────┘
//! ```
//!
//! INV-READ-1: nothing is answered out of bytes whose checksum was not seen to fit, wherever they
//! were kept.
//! INV-READ-2: what cannot be read is an error that names it, never a gap in an answer.
//! INV-READ-3: cursors have no more bytes under way than the process allows, shared fairly, and push
//! nothing out of the caches.
//! INV-READ-4: fetching and decoding are the work of the reader's own threads.
//!
//! Deliberately absent: what is not in the bucket yet, who may read, and what a key of a message is.
mod access;
mod config;
mod counters;
mod cursor;
mod error;
mod fair;
mod handle;
mod indexes;
mod keys;
mod measure;
mod operations;
mod pages;
mod read;
mod seek;
mod shares;
mod view;
mod whole;
mod window;

pub use config::{
    CATCH_UP_BYTES, DISK_BYTES, DiskCache, INDEX_BYTES, MEMORY_BYTES, ReaderConfig, THREADS,
};
pub use counters::{Looked, Looks};
pub use cursor::{Course, Cursor};
pub use error::ReadError;
pub use fair::FairKey;
pub use handle::{OpenRefused, Reader};
pub use keys::{Found, KeyQuery, SEARCH_OBJECTS_MAX};
pub use measure::Measure;
pub use read::{Chunk, Want};
pub use view::View;

#[cfg(test)]
mod tests;

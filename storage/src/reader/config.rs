//! How much a reader may hold and have under way.

use std::path::PathBuf;

/// Bytes of pages in memory.
pub const MEMORY_BYTES: u64 = 256 << 20;
/// Bytes of tails, manifest pages and parts of key indexes in memory.
pub const INDEX_BYTES: u64 = 128 << 20;
/// Bytes that all cursors together may have fetched, or asked for, and not given out.
pub const CATCH_UP_BYTES: u64 = 256 << 20;
/// Bytes of pages on a disk.
pub const DISK_BYTES: u64 = 10 << 30;
/// Threads that fetch and decode. One decodes faster than most networks bring.
pub const THREADS: usize = 1;

/// A folder for pages, which may be lost at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskCache {
    /// Made when it is missing. No two readers may share it.
    pub folder: PathBuf,
    /// What it may take; see [`DISK_BYTES`].
    pub bytes: u64,
}

/// What a reader may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderConfig {
    /// Bytes of pages in memory.
    pub memory_bytes: u64,
    /// Pages on a disk too; `None`: in memory only.
    pub disk: Option<DiskCache>,
    /// Bytes of indexes in memory.
    pub index_bytes: u64,
    /// Bytes that cursors may have under way.
    pub catch_up_bytes: u64,
    /// Threads of its own; 0: it works in the caller's runtime, as a simulation wants it.
    pub threads: usize,
}

impl Default for ReaderConfig {
    fn default() -> ReaderConfig {
        ReaderConfig {
            memory_bytes: MEMORY_BYTES,
            disk: None,
            index_bytes: INDEX_BYTES,
            catch_up_bytes: CATCH_UP_BYTES,
            threads: THREADS,
        }
    }
}

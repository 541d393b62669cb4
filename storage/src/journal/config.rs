//! What a store is opened with, and what it says about its room.
use std::fmt;
use std::path::PathBuf;

/// How a store is laid out.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The store's folder; made if missing. One process at a time.
    pub dir: PathBuf,
    /// Bytes of disk that all segments together may take, spares included. At least four segments.
    pub capacity: u64,
    /// Bytes of a segment: a multiple of 4096, at least 64 KiB. Counts when the store is made, and
    /// is fixed from then on.
    pub segment_bytes: u64,
    /// Segments kept ready ahead of the writer.
    pub spare_segments: u32,
    /// Bytes of memory that the queue indexes of all logs together may take; see
    /// [`index_bytes_for`]. When nine tenths are taken messages are refused, as in a full journal.
    pub index_bytes: u64,
    /// Who the store belongs to; written into its cookie, for people.
    pub gateway: String,
}

/// The least that a store's queue indexes are given: five million messages.
const INDEX_BYTES_MIN: u64 = 64 << 20;

/// Bytes of memory for the queue indexes of a journal of `capacity` bytes: a thirty-second of it.
///
/// A message takes 12 to 20 bytes of index, and in the journal its record, which is its body and
/// some 200 bytes more. So the journal is full before the index unless bodies have less than 200 to
/// 450 bytes on average, and a journal that grows gives its index room with it: one setting for
/// both.
pub const fn index_bytes_for(capacity: u64) -> u64 {
    let share = capacity / 32;
    if share > INDEX_BYTES_MIN { share } else { INDEX_BYTES_MIN }
}

/// A store's identity: random, made with the disk. A wiped or replaced disk is another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// How full a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Bytes of segments that hold something which is still needed.
    pub used: u64,
    /// Bytes that the segments may take.
    pub capacity: u64,
    /// Bytes that may still be appended.
    pub free: u64,
    /// What is refused.
    pub state: FillState,
    /// The disk had no room for the next segment.
    pub disk_full: bool,
    /// The memory of the queue indexes.
    pub index: IndexFill,
}

/// How much memory the queue indexes of a store take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexFill {
    /// Bytes taken, as asked of the allocator. May pass the limit after a start.
    pub used: u64,
    /// Bytes that they may take.
    pub limit: u64,
}

/// What a store refuses for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillState {
    /// Nothing.
    Open,
    /// [`super::Class::Message`].
    RefusingMessages,
    /// Every append.
    RefusingAll,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder, or a file in it, refused.
    #[error("cannot {action} {path}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the store open.
    #[error("the store in {dir} is in use by another process")]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The settings cannot be.
    #[error("{0}")]
    Config(&'static str),
    /// The capacity is too small for the segments that the store was made with.
    #[error(
        "a journal of {} MiB is too small for its segments of {} MiB: give at least {} MiB",
        asked >> 20, segment_bytes >> 20, least >> 20
    )]
    Capacity {
        /// Bytes that were asked for.
        asked: u64,
        /// Bytes that would do.
        least: u64,
        /// Bytes of a segment, fixed when the store was made.
        segment_bytes: u64,
    },
    /// The cookie is damaged or is of another version.
    #[error("the STORE file cannot be read")]
    Cookie(#[from] crate::format::FormatError),
    /// The operating system has no thread left.
    #[error("cannot start the thread {name}")]
    Thread {
        /// Which thread.
        name: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

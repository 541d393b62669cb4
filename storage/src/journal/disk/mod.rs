//! The folder a journal lives in, behind two traits with two implementations: memory-mapped files,
//! and a disk that is simulated in tests and can crash.
//!
//! A file's bytes are written by one owner, through `&mut`, and read by others only below the point
//! that was published; what is published is never written again. That is what makes handing out
//! slices of a shared mapping sound.
mod mapped;
#[cfg(test)]
pub(crate) mod simulated;

pub(crate) use mapped::MappedDisk;

use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// A folder of equally large files. Names are plain file names.
pub(crate) trait Disk: Send + Sync {
    /// Identity of the machine's boot: another one says that the page cache was lost.
    fn boot(&self) -> u64;
    /// All names, in no order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A small file whole; `None` if there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Makes or replaces a small file in one step, durably.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file of `size` zeros that are allocated, written and synced. Leaves nothing behind
    /// when it fails.
    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn JournalFile>>;
    /// An existing file, of which `published` bytes may be read and the rest written.
    fn open(&self, name: &str, published: u64) -> io::Result<Box<dyn JournalFile>>;
    /// Makes sure that what is read next is what the disk holds: unwritten pages are synced, cached
    /// ones dropped.
    fn settle(&self, name: &str) -> io::Result<()>;
    /// Renames; replaces nothing. Durable after [`Disk::sync_names`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes. Durable after [`Disk::sync_names`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file of the journal, held by the one who may write it.
pub(crate) trait JournalFile: Send {
    /// Bytes of the file.
    fn size(&self) -> u64;
    /// Takes `bytes` for `at`. Panics if that is not within the unpublished part.
    fn write_at(&mut self, at: u64, bytes: &[u8]);
    /// CRC-32C of the unpublished bytes `[from, to)`, as the owner wrote them.
    fn checksum(&self, from: u64, to: u64) -> u32;
    /// Puts what was taken into the file, gives up writing below `to`, for ever, and returns the
    /// bytes `[0, to)`. After an error nothing that was taken since the last success can be
    /// believed to be there, or not to be.
    fn publish(&mut self, to: u64) -> io::Result<Bytes>;
    /// What syncs the file from another thread.
    fn syncer(&self) -> Arc<dyn SyncFile>;
}

/// A handle to a file for those who do not write it.
pub(crate) trait SyncFile: Send + Sync {
    /// Waits until all that was written before is on the disk. After an error nothing that was
    /// written since the last success can be believed, whatever a later call says.
    fn sync(&self) -> io::Result<()>;
    /// Whether the owner or a slice of the file is still alive.
    fn is_held(&self) -> bool;
    /// Takes the file's pages out of the process's memory. They stay in the page cache as long as
    /// the kernel likes, and come back when somebody reads them.
    fn let_go(&self);
}

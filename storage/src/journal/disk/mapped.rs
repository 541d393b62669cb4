//! Memory-mapped files on a real disk.
//!
//! A byte is published only after it was allocated and written, so that no read of the mapping can
//! miss its room. Syncs are fdatasync on the file, never msync (design/storage.md
//! §1.2). Should a fault come nevertheless (an I/O error, or somebody cut the file short), the
//! process says so and ends: nothing is acknowledged after it.
#![expect(
    unsafe_code,
    reason = "the mapping; the rules that make it sound are in the parent module"
)]

use super::{Disk, JournalFile, SyncFile};
use crate::format::crc32c;
use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, Weak};

/// Zeros written at a time.
const ZEROS_BYTES: usize = 1 << 20;
/// Memory that is kept for the next group.
const GROUP_BYTES_KEPT: usize = 1 << 20;

/// A folder on a real disk.
pub(crate) struct MappedDisk {
    dir: PathBuf,
}

impl MappedDisk {
    /// The folder, which must exist.
    pub(crate) fn new(dir: &Path) -> MappedDisk {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(end_process_on_bus_error);
        MappedDisk { dir: dir.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Disk for MappedDisk {
    fn boot(&self) -> u64 {
        // Where the kernel does not say, each start counts as a boot: the careful answer.
        let id = std::fs::read("/proc/sys/kernel/random/boot_id")
            .unwrap_or_else(|_| std::process::id().to_le_bytes().to_vec());
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        hasher.finish()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path(&format!("{name}.tmp"));
        let file = File::create(&draft)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        std::fs::rename(&draft, self.path(name))?;
        self.sync_names()
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn JournalFile>> {
        let path = self.path(name);
        let made = zeroed_file(&path, size).and_then(|file| MappedFile::map(file, 0));
        if made.is_err() {
            // The room goes back at once; that it was there is of no interest to the caller.
            let _ = std::fs::remove_file(&path);
        }
        Ok(Box::new(made?))
    }

    fn open(&self, name: &str, published: u64) -> io::Result<Box<dyn JournalFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Box::new(MappedFile::map(file, published)?))
    }

    fn settle(&self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        file.sync_data()?;
        // SAFETY: a valid descriptor and no pointers.
        let code =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Allocates first, so that a full disk is an error and not half a file of zeros; then writes, so
/// that the first sync of a page later has no extent to convert.
fn zeroed_file(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let length = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: a valid descriptor and no pointers.
    let code = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = 0;
    while at < size {
        let part = &zeros[..(size - at).min(ZEROS_BYTES as u64) as usize];
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    file.sync_all()?;
    Ok(file)
}

/// One file, mapped whole. It is read through the mapping and written by one call a group: a store
/// into the mapping would fault once a block, and each sync would have to call the other processors
/// to forget the page.
struct MappedFile {
    mapping: Arc<MmapRaw>,
    file: Arc<File>,
    published: u64,
    /// What was taken since, from `published` on; zeros where nothing was.
    group: Vec<u8>,
}

impl MappedFile {
    fn map(file: File, published: u64) -> io::Result<MappedFile> {
        let mapping = MmapOptions::new().map_raw_read_only(&file)?;
        let (mapping, file) = (Arc::new(mapping), Arc::new(file));
        Ok(MappedFile { mapping, file, published, group: Vec::new() })
    }

    fn assert_unpublished(&self, from: u64, to: u64) {
        assert!(
            self.published <= from && from <= to && to <= self.size(),
            "INV-JOURNAL-1: [{from}, {to}) is not within the unpublished part of the file"
        );
    }
}

impl JournalFile for MappedFile {
    fn size(&self) -> u64 {
        self.mapping.len() as u64
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) {
        self.assert_unpublished(at, at + bytes.len() as u64);
        let from = (at - self.published) as usize;
        let to = from + bytes.len();
        if from == self.group.len() {
            self.group.extend_from_slice(bytes);
            return;
        }
        if self.group.len() < to {
            self.group.resize(to, 0);
        }
        self.group[from..to].copy_from_slice(bytes);
    }

    fn checksum(&self, from: u64, to: u64) -> u32 {
        self.assert_unpublished(from, to);
        let inside = |at: u64| (at - self.published) as usize;
        crc32c(&self.group[inside(from)..inside(to)])
    }

    fn publish(&mut self, to: u64) -> io::Result<Bytes> {
        assert!(
            self.published <= to && to <= self.size(),
            "INV-JOURNAL-1: publishing goes forward"
        );
        if !self.group.is_empty() {
            // Whole blocks: the page cache need not read what it replaces.
            self.group.resize((to - self.published) as usize, 0);
            self.file.write_all_at(&self.group, self.published)?;
            self.group.clear();
            self.group.shrink_to(GROUP_BYTES_KEPT);
        }
        self.published = to;
        let published = Published { mapping: Arc::clone(&self.mapping), len: to as usize };
        Ok(Bytes::from_owner(published))
    }

    fn syncer(&self) -> Arc<dyn SyncFile> {
        Arc::new(MappedSync {
            file: Arc::clone(&self.file),
            mapping: Arc::downgrade(&self.mapping),
        })
    }
}

/// The published part of a mapping.
struct Published {
    mapping: Arc<MmapRaw>,
    len: usize,
}

impl AsRef<[u8]> for Published {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the mapping, which `self` keeps alive; published bytes are never written
        // again.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr(), self.len) }
    }
}

struct MappedSync {
    file: Arc<File>,
    mapping: Weak<MmapRaw>,
}

impl SyncFile for MappedSync {
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_held(&self) -> bool {
        self.mapping.strong_count() > 0
    }

    fn let_go(&self) {
        let Some(mapping) = self.mapping.upgrade() else { return };
        // SAFETY: the mapping is a shared one of a file, so what this drops are page-table entries.
        // The pages belong to the page cache; a dirty one stays there, dirty, until it is written.
        // Who reads a slice of the mapping later finds the same bytes there, or has them read from
        // the file again, where nobody writes them: INV-JOURNAL-1.
        let advised = unsafe { mapping.unchecked_advise(UncheckedAdvice::DontNeed) };
        if let Err(error) = advised {
            // They leave when the kernel is short of memory, as they always did.
            tracing::debug!(%error, "the pages of a journal segment could not be let go");
        }
    }
}

/// A fault in a mapping cannot be answered: what the program believes to have written is not there.
fn end_process_on_bus_error() {
    extern "C" fn on_bus_error(_: libc::c_int) {
        const LINE: &[u8] = b"fatal: SIGBUS: a journal segment could not be read or written\n";
        // SAFETY: write(2) and _exit(2) may be called in a signal handler; the pointer and length
        // are of a constant.
        unsafe {
            libc::write(2, LINE.as_ptr().cast(), LINE.len());
            libc::_exit(134);
        }
    }
    // SAFETY: `action` is fully set before it is passed, and the handler keeps to what is allowed
    // in one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_byte_is_read_back_and_survives_the_mapping() {
        let dir = tempfile::tempdir().unwrap();
        let disk = MappedDisk::new(dir.path());
        let mut file = disk.create("a", 8192).unwrap();
        file.write_at(4096, b"hello");
        assert_eq!(file.checksum(4096, 4101), crc32c(b"hello"));
        let view = file.publish(8192).unwrap();
        let syncer = file.syncer();
        syncer.sync().unwrap();
        drop(file);
        assert_eq!(&view[4096..4101], b"hello");
        assert!(syncer.is_held());
        drop(view);
        assert!(!syncer.is_held());
        assert_eq!(&disk.open("a", 0).unwrap().publish(8192).unwrap()[4096..4101], b"hello");
    }

    #[test]
    #[should_panic(expected = "INV-JOURNAL-1")]
    fn a_published_byte_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = MappedDisk::new(dir.path()).create("a", 8192).unwrap();
        let _view = file.publish(4096).unwrap();
        file.write_at(4095, b"x");
    }
}

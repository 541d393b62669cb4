//! The preparer: keeps segments ready ahead of the writer, from files that are needed no more or by
//! making new ones; and lets the pages of those go that were written and are not read.
//!
//! A file's name says what it is: `{segno}.seg` has a synced header and belongs to the journal,
//! `{n}.free` may hold anything. A segment's header is synced before it takes its name, so a `.seg`
//! without a valid header is damage.

use super::disk::{Disk, JournalFile};
use super::segment::Segment;
use super::shared::Shared;
use super::spare::Spare;
use crate::format::ExtentHeader;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How soon a full disk, or a segment that somebody still reads from, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long nobody must have read a sealed segment for its pages to be let go, at least; at most
/// twice as long. Short, because to get a page back out of the page cache costs little, and a disk
/// that takes 200 MiB in a second leaves half of it in this time.
const LOOK_AT_SEALED: Duration = Duration::from_millis(500);

/// The name of the file that begins with the extent `segno`.
pub(crate) fn segment_name(segno: u64) -> String {
    format!("{segno:016x}.seg")
}

fn free_name(segno: u64) -> String {
    format!("{segno:016x}.free")
}

/// What came of preparing a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    One,
    /// None is wanted, or there is nothing to make it of.
    NotWanted,
    /// The disk is full, or what could be recycled is still read.
    NotNow,
}

/// See the module.
pub(crate) struct Preparer {
    shared: Arc<Shared>,
    /// Not before then sealed segments are looked at again.
    next_look: Duration,
}

impl Preparer {
    pub(crate) fn new(shared: Arc<Shared>) -> Preparer {
        Preparer { shared, next_look: Duration::ZERO }
    }

    /// Prepares all that is wanted and possible. Returns when to look again, if not only when
    /// called.
    pub(crate) fn prepare(&self) -> Option<Duration> {
        loop {
            match self.prepare_one() {
                Made::One => {}
                Made::NotWanted => return None,
                Made::NotNow => return Some(LOOK_AGAIN),
            }
        }
    }

    /// Prepares one segment if one is wanted.
    pub(crate) fn prepare_one(&self) -> Made {
        let (wanted, may_create) = self.shared.space.wants_spare();
        if !wanted {
            return Made::NotWanted;
        }
        let made = match self.take_retired() {
            Some(name) => self.recycle(&name).map(|spare| (spare, false)),
            None if may_create => self.create().map(|spare| (spare, true)),
            None if self.shared.retired.lock().is_empty() => return Made::NotWanted,
            None => return Made::NotNow,
        };
        match made {
            Ok((spare, new)) => {
                self.shared.space.add_spare(spare, new);
                if self.shared.space.set_disk_full(false) {
                    tracing::info!("the disk has room for journal segments again");
                }
                Made::One
            }
            Err(error) => {
                if !self.shared.space.set_disk_full(true) {
                    tracing::warn!(%error, "cannot prepare a journal segment; looking again each second");
                }
                Made::NotNow
            }
        }
    }

    /// Lets the pages go of sealed segments that nobody reads. Returns when to look again; `None`
    /// when nothing is left to let go until somebody reads, or a segment is sealed: both wake the
    /// preparer.
    pub(crate) fn cool(&mut self) -> Option<Duration> {
        let now = self.shared.env.monotonic();
        if now < self.next_look {
            return Some(self.next_look - now);
        }
        self.next_look = now + LOOK_AT_SEALED;
        let segments = self.shared.segments.lock().clone();
        let wanted = segments.iter().filter(|segment| segment.cool()).count();
        (wanted > 0).then_some(LOOK_AT_SEALED)
    }

    /// A file that nobody needs or holds.
    fn take_retired(&self) -> Option<String> {
        let mut retired = self.shared.retired.lock();
        for segment in retired.iter().filter_map(|file| file.segment.as_ref()) {
            // Unmaps it, unless somebody holds a slice: here, where nobody waits for it.
            segment.show(Bytes::new());
        }
        let place = retired
            .iter()
            .position(|file| !file.segment.as_ref().is_some_and(|segment| segment.is_held()))?;
        Some(retired.swap_remove(place).name)
    }

    fn recycle(&self, name: &str) -> io::Result<Spare> {
        let header = self.shared.next_header(0);
        let free = free_name(header.segno);
        let disk = self.shared.disk.as_ref();
        disk.rename(name, &free)?;
        let spare = disk
            .sync_names()
            .and_then(|()| disk.open(&free, 0))
            .and_then(|file| ready(disk, file, header, Some(&free)));
        if spare.is_err() {
            let again = super::shared::Retired { name: free, segment: None };
            self.shared.retired.lock().push(again);
        }
        spare
    }

    fn create(&self) -> io::Result<Spare> {
        let header = self.shared.next_header(0);
        create_segment(self.shared.disk.as_ref(), header)
    }
}

/// Makes a segment that was not there before.
pub(crate) fn create_segment(disk: &dyn Disk, header: ExtentHeader) -> io::Result<Spare> {
    // Should the process end before it is done, nobody takes it for a file of the journal.
    let draft = format!("{:016x}.tmp", header.segno);
    let file = disk.create(&draft, header.size)?;
    let spare = ready(disk, file, header, Some(&draft));
    if spare.is_err() {
        // Its room goes back; if that fails too, the next start removes it.
        let _ = disk.remove(&draft);
    }
    spare
}

/// Gives a file its header, and its name if it has to change; both durably and in this order.
pub(crate) fn ready(
    disk: &dyn Disk,
    mut file: Box<dyn JournalFile>,
    header: ExtentHeader,
    rename_from: Option<&str>,
) -> io::Result<Spare> {
    file.write_at(header.start, &header.encode());
    let view = file.publish(header.first_frame_at())?;
    let syncer = file.syncer();
    syncer.sync()?;
    let name = segment_name(header.segno);
    if let Some(from) = rename_from {
        disk.rename(from, &name)?;
        disk.sync_names()?;
    }
    let segment = Segment::new(name, syncer);
    segment.show(view);
    Ok(Spare { file, segment: Arc::new(segment), header })
}

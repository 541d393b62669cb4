//! A segment: one file of the journal, as everybody but its writer sees it.
use super::disk::SyncFile;
use crate::format::{PgId, QueueUid};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

/// Whether pages of a segment may be in the process's memory without anybody's need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warmth {
    /// It is written, or was not written yet: they are needed.
    Written,
    /// Sealed; read since the last look, or sealed since then.
    Warm,
    /// Sealed, and not read since the last look.
    Cooling,
    /// Sealed, and its pages were let go.
    Cold,
}

/// What is shown of the file.
struct View {
    /// The published part; empty once the segment was given up.
    bytes: Bytes,
    warmth: Warmth,
}

/// A piece of a segment.
pub(crate) struct Slice {
    pub(crate) bytes: Bytes,
    /// Nobody had read the segment for a while: from now on somebody has to look when to let its
    /// pages go again.
    pub(crate) was_cold: bool,
}

/// A file that holds frames, or will.
pub(crate) struct Segment {
    /// Its name in the journal's folder.
    pub(crate) name: String,
    file: Mutex<Arc<dyn SyncFile>>,
    view: Mutex<View>,
    /// Live records by whose they are. A segment without any holds nothing that is needed.
    residents: Mutex<HashMap<(PgId, QueueUid), u64>>,
    /// Forgotten queues that still have records here.
    ghosts: Mutex<BTreeSet<(PgId, QueueUid)>>,
}

impl Segment {
    pub(crate) fn new(name: String, file: Arc<dyn SyncFile>) -> Segment {
        Segment {
            name,
            file: Mutex::new(file),
            view: Mutex::new(View { bytes: Bytes::new(), warmth: Warmth::Written }),
            residents: Mutex::default(),
            ghosts: Mutex::default(),
        }
    }

    /// Shows more of the file, or with an empty view none of it.
    pub(crate) fn show(&self, view: Bytes) {
        let before = std::mem::replace(&mut self.view.lock().bytes, view);
        // Outside the lock: the last holder unmaps.
        drop(before);
    }

    /// The bytes `[from, from + len)`; `None` if they are not published, or no more.
    /// Once the store runs, through [`super::shared::Shared::slice`].
    pub(crate) fn slice(&self, from: u64, len: u64) -> Option<Slice> {
        let (from, to) =
            (usize::try_from(from).ok()?, usize::try_from(from.checked_add(len)?).ok()?);
        let mut view = self.view.lock();
        if to > view.bytes.len() {
            return None;
        }
        let was_cold = view.warmth == Warmth::Cold;
        if view.warmth != Warmth::Written {
            view.warmth = Warmth::Warm;
        }
        Some(Slice { bytes: view.bytes.slice(from..to), was_cold })
    }

    /// Nothing more is written to it.
    pub(crate) fn seal(&self) {
        self.view.lock().warmth = Warmth::Warm;
    }

    /// Whether nothing more is written to it.
    pub(crate) fn is_sealed(&self) -> bool {
        self.view.lock().warmth != Warmth::Written
    }

    /// A look at it, every now and then: lets its pages go when it is sealed and was not read since
    /// the last look. Whether another look is wanted.
    pub(crate) fn cool(&self) -> bool {
        let mut view = self.view.lock();
        match view.warmth {
            Warmth::Written | Warmth::Cold => return false,
            Warmth::Warm => {
                view.warmth = Warmth::Cooling;
                return true;
            }
            Warmth::Cooling => view.warmth = Warmth::Cold,
        }
        drop(view);
        // A read that comes in between asks for another look.
        let file = Arc::clone(&self.file.lock());
        file.let_go();
        false
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file.lock());
        file.sync()
    }

    /// At start, before anybody reads: the file was opened again, to be written further.
    pub(crate) fn reopened(&self, file: Arc<dyn SyncFile>, view: Bytes) {
        *self.file.lock() = file;
        self.view.lock().warmth = Warmth::Written;
        self.show(view);
    }

    /// Whether somebody still holds a slice of it.
    pub(crate) fn is_held(&self) -> bool {
        self.file.lock().is_held()
    }

    /// Counts live records in, run by run of the same owner.
    pub(crate) fn settle_in(&self, pg: PgId, records: impl Iterator<Item = QueueUid>) {
        let mut residents = self.residents.lock();
        let mut run: Option<(QueueUid, u64)> = None;
        for queue in records {
            match &mut run {
                Some((current, count)) if *current == queue => *count += 1,
                Some(_) | None => {
                    if let Some((previous, count)) = run.replace((queue, 1)) {
                        *residents.entry((pg, previous)).or_default() += count;
                    }
                }
            }
        }
        if let Some((last, count)) = run {
            *residents.entry((pg, last)).or_default() += count;
        }
    }

    /// Counts records out that were cut off the log.
    pub(crate) fn move_out(&self, pg: PgId, records: impl Iterator<Item = QueueUid>) {
        let mut residents = self.residents.lock();
        for queue in records {
            if let Some(count) = residents.get_mut(&(pg, queue)) {
                *count -= 1;
                if *count == 0 {
                    residents.remove(&(pg, queue));
                }
            }
        }
    }

    /// Forgets queues.
    pub(crate) fn evict(&self, pg: PgId, queues: &[QueueUid]) {
        let mut residents = self.residents.lock();
        for queue in queues {
            if residents.remove(&(pg, *queue)).is_some() {
                self.ghosts.lock().insert((pg, *queue));
            }
        }
    }

    /// Forgets a whole placement group.
    pub(crate) fn evict_all(&self, pg: PgId) {
        self.residents.lock().retain(|(owner, _), _| *owner != pg);
        self.ghosts.lock().retain(|(owner, _)| *owner != pg);
    }

    /// The forgotten queues of `pg` that still have records here.
    pub(crate) fn ghosts_of(&self, pg: PgId) -> Vec<QueueUid> {
        let ghosts = self.ghosts.lock();
        ghosts.iter().filter(|(owner, _)| *owner == pg).map(|(_, queue)| *queue).collect()
    }

    /// Whether nobody needs it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.residents.lock().is_empty()
    }

    /// The queues of `pg` that have live records here, in no order.
    pub(crate) fn queues_of(&self, pg: PgId) -> Vec<QueueUid> {
        let residents = self.residents.lock();
        residents.keys().filter(|(owner, _)| *owner == pg).map(|(_, queue)| *queue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Counted(AtomicU32);

    impl SyncFile for Counted {
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn is_held(&self) -> bool {
            true
        }

        fn let_go(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn pages_are_let_go_once_nobody_reads_a_sealed_segment_between_two_looks() {
        let file = Arc::new(Counted::default());
        let held: Arc<dyn SyncFile> = Arc::<Counted>::clone(&file);
        let segment = Segment::new("a".to_owned(), held);
        segment.show(Bytes::from_static(b"bytes"));
        let let_go = || file.0.load(Ordering::Relaxed);
        let read = || segment.slice(1, 2).map(|slice| slice.was_cold);

        assert_eq!(read(), Some(false));
        assert!(!segment.cool() && !segment.cool(), "it is still written");
        segment.seal();
        assert!(segment.cool());
        assert_eq!(read(), Some(false));
        assert!(segment.cool(), "somebody read it");
        assert_eq!(let_go(), 0);
        assert!(!segment.cool(), "nobody needs to look again");
        assert!(!segment.cool());
        assert_eq!(let_go(), 1);

        assert_eq!(read(), Some(true));
        assert_eq!(read(), Some(false));
        assert!(segment.cool() && !segment.cool());
        assert_eq!(let_go(), 2);
    }
}

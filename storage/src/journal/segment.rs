//! A segment: one file of the journal, as everybody but its writer sees it.
use super::disk::SyncFile;
use crate::format::{PgId, QueueUid};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

/// A file that holds frames, or will.
pub(crate) struct Segment {
    /// Its name in the journal's folder.
    pub(crate) name: String,
    file: Mutex<Arc<dyn SyncFile>>,
    /// The published part; empty once the segment was given up.
    view: Mutex<Bytes>,
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
            view: Mutex::default(),
            residents: Mutex::default(),
            ghosts: Mutex::default(),
        }
    }

    /// Shows more of the file, or with an empty view none of it.
    pub(crate) fn show(&self, view: Bytes) {
        let before = std::mem::replace(&mut *self.view.lock(), view);
        // Outside the lock: the last holder unmaps.
        drop(before);
    }

    /// The bytes `[from, from + len)`; `None` if they are not published, or no more.
    pub(crate) fn slice(&self, from: u64, len: u64) -> Option<Bytes> {
        let view = self.view.lock();
        let (from, to) =
            (usize::try_from(from).ok()?, usize::try_from(from.checked_add(len)?).ok()?);
        (to <= view.len()).then(|| view.slice(from..to))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file.lock());
        file.sync()
    }

    /// At start, before anybody reads: the file was opened again, to be written further.
    pub(crate) fn reopened(&self, file: Arc<dyn SyncFile>, view: Bytes) {
        *self.file.lock() = file;
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

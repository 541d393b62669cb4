//! Runs a sweep.

use super::sweep::Sweep;
use crate::compact::{CompactError, directory_of, manifest_of, name_of, page_of};
use crate::env::{Env, Timestamp};
use crate::format::{Epoch, PgId};
use crate::object::{Bucket, Entry, Error as StoreError, Name, Purpose};
use crate::tier::collect::{Keep, References, Word, judge_bundle, judge_named};
use crate::tier::{ObjectId, ObjectName};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

/// Names that a step looks at: S3's page, and what one request deletes.
const PAGE_NAMES: usize = 1000;
/// Objects that are remembered as unreferenced or locked; others wait for their turn.
const SEEN_MAX: usize = 1 << 20;
/// How often a record is read again whose manifest was replaced meanwhile.
const READS_MAX: u32 = 5;
/// How long is waited with what the store did not let go: locks last days.
const LOCKED_RETRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// When what is unreferenced goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectSettings {
    /// After it was stored.
    pub grace: Duration,
    /// After this collector saw it unreferenced first: readers go on along the manifest they have.
    pub rest: Duration,
}

impl Default for CollectSettings {
    /// A day, and an hour.
    fn default() -> CollectSettings {
        CollectSettings { grace: Duration::from_secs(24 * 3600), rest: Duration::from_secs(3600) }
    }
}

/// A placement group's record, as one linearizable read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of its manifest.
    pub manifest_root: Option<ObjectName>,
    /// Deltas on top.
    pub deltas: Vec<Bytes>,
    /// The snapshot that recovery begins with.
    pub snapshot: Option<ObjectName>,
}

/// Where records are read.
pub trait Records: Send + Sync {
    /// Every placement group that has a record.
    fn all(&self) -> impl Future<Output = Result<Vec<PgId>, StoreError>> + Send;
    /// A linearizable read of a record; `None`: there is none.
    fn read(&self, pg: PgId)
    -> impl Future<Output = Result<Option<RecordView>, StoreError>> + Send;
    /// What the owner of the placement group in the name says, when it is this process:
    /// [`Word::Settled`] if the object is in no request under way, of unknown outcome or yet to be
    /// made. Asked before the record is read.
    fn word(&self, object: &ObjectName) -> Word;
}

/// What a step or a sweep came to, in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Looked at.
    pub listed: u64,
    /// No name of ours.
    pub foreign: u64,
    /// Stored, or seen unreferenced, too short a while ago.
    pub young: u64,
    /// Referenced.
    pub referenced: u64,
    /// A commit may still come to reference them.
    pub open: u64,
    /// Of placement groups without a record.
    pub no_record: u64,
    /// Cannot be read, and so not be judged.
    pub damaged: u64,
    /// The store did not let them go.
    pub locked: u64,
    /// Deleted.
    pub deleted: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
}

impl Swept {
    /// Adds what another step came to.
    pub fn add(&mut self, other: &Swept) {
        self.listed += other.listed;
        self.foreign += other.foreign;
        self.young += other.young;
        self.referenced += other.referenced;
        self.open += other.open;
        self.no_record += other.no_record;
        self.damaged += other.damaged;
        self.locked += other.locked;
        self.deleted += other.deleted;
        self.deleted_bytes += other.deleted_bytes;
    }

    fn keep(&mut self, why: Keep) {
        match why {
            Keep::Referenced => self.referenced += 1,
            Keep::Open => self.open += 1,
            Keep::NoRecord => self.no_record += 1,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    Unreferenced(Timestamp),
    LockedUntil(Timestamp),
}

/// A record and what it references.
type Known = (Option<RecordView>, Option<References>);

/// Deletes what is unreferenced.
pub struct Collector<R> {
    bucket: Bucket,
    env: Env,
    records: R,
    settings: CollectSettings,
    seen: HashMap<ObjectId, Seen>,
    /// What records reference of bundles, read once a sweep.
    of_bundles: BTreeMap<PgId, References>,
    /// What the record of the placement group references that was looked at last.
    last: Option<(PgId, Known)>,
}

/// An object that may be looked at.
#[derive(Clone, Copy, Debug)]
struct Listed {
    object: ObjectName,
    bytes: u64,
}

impl<R: Records> Collector<R> {
    /// A collector of a bucket.
    pub fn new(bucket: Bucket, env: Env, records: R, settings: CollectSettings) -> Collector<R> {
        Collector {
            bucket,
            env,
            records,
            settings,
            seen: HashMap::new(),
            of_bundles: BTreeMap::new(),
            last: None,
        }
    }

    /// Looks at the next page of names, and deletes what may go. `None`: the sweep is over. Safe to
    /// drop and to repeat.
    ///
    /// # Errors
    /// When the store or the metadata does not answer: the sweep is where it was.
    pub async fn step(&mut self, sweep: &mut Sweep) -> Result<Option<Swept>, CompactError> {
        let Some((folder, after)) = sweep.place() else { return Ok(None) };
        let is_bundles = folder.as_str() == "l0";
        if is_bundles && after.is_none() {
            self.of_bundles.clear();
        }
        let (entries, last) = self.page(folder, after).await?;
        let mut swept = Swept { listed: entries.len() as u64, ..Swept::default() };
        let candidates = self.candidates(&entries, &mut swept);
        let going = if is_bundles {
            self.judge_bundles(&candidates, &mut swept).await?
        } else {
            self.judge_named(&candidates, &mut swept).await?
        };
        self.delete(going, &mut swept).await?;
        if is_bundles && last.is_none() {
            self.of_bundles.clear();
        }
        sweep.seen(last);
        Ok(Some(swept))
    }

    /// The next names of a folder, and the last of them; `None`: there are no more behind.
    async fn page(
        &self,
        folder: &Name,
        after: Option<&Name>,
    ) -> Result<(Vec<Entry>, Option<Name>), CompactError> {
        let mut listing = self.bucket.list(Some(folder), after, Purpose::Collection);
        let mut entries = Vec::new();
        while entries.len() < PAGE_NAMES {
            match listing.next().await? {
                Some(entry) => entries.push(entry),
                None => return Ok((entries, None)),
            }
        }
        let last = entries.last().map(|entry| entry.name.clone());
        Ok((entries, last))
    }

    /// What is ours and old enough to be looked at.
    fn candidates(&self, entries: &[Entry], swept: &mut Swept) -> Vec<Listed> {
        let now = self.env.now();
        let mut candidates = Vec::new();
        for entry in entries {
            let Ok(object) = entry.name.as_str().parse::<ObjectName>() else {
                swept.foreign += 1;
                continue;
            };
            let is_locked = match self.seen.get(&object.id()) {
                Some(Seen::LockedUntil(until)) => *until > now,
                Some(Seen::Unreferenced(_)) | None => false,
            };
            if is_locked {
                swept.locked += 1;
            } else if entry.stored_at.plus(self.settings.grace) > now {
                swept.young += 1;
            } else {
                candidates.push(Listed { object, bytes: entry.bytes });
            }
        }
        candidates
    }

    async fn judge_named(
        &mut self,
        candidates: &[Listed],
        swept: &mut Swept,
    ) -> Result<Vec<Listed>, CompactError> {
        // First the words, then the records.
        let words: Vec<Word> =
            candidates.iter().map(|listed| self.records.word(&listed.object)).collect();
        let mut read = None;
        let mut going = Vec::new();
        for (listed, word) in candidates.iter().zip(words) {
            let Some((pg, epoch)) = listed.object.record() else { continue };
            if read != Some(pg) {
                self.read(pg).await?;
                read = Some(pg);
            }
            let references =
                self.last.as_ref().and_then(|(_, (_, references))| references.as_ref());
            match judge_named(listed.object.id(), epoch, word, references) {
                Ok(()) => going.push(*listed),
                Err(why) => {
                    swept.keep(why);
                    self.seen.remove(&listed.object.id());
                }
            }
        }
        Ok(self.rested(going, swept))
    }

    async fn judge_bundles(
        &mut self,
        candidates: &[Listed],
        swept: &mut Swept,
    ) -> Result<Vec<Listed>, CompactError> {
        if !candidates.is_empty() && self.of_bundles.is_empty() {
            self.read_all().await?;
        }
        let mut going = Vec::new();
        for listed in candidates {
            let id = listed.object.id();
            let outcome = if self.of_bundles.values().any(|references| references.has(id)) {
                Err(Keep::Referenced)
            } else {
                let purpose = Purpose::Collection;
                match directory_of(&self.bucket, &listed.object, listed.bytes, purpose).await {
                    Ok(directory) => judge_bundle(id, &directory, |pg| self.of_bundles.get(&pg)),
                    // Deleted before, and still listed.
                    Err(CompactError::Store(StoreError::NotFound { .. })) => continue,
                    Err(CompactError::Damaged { object, source }) => {
                        tracing::warn!(%object, %source, "a bundle whose directory is damaged stays");
                        swept.damaged += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            };
            match outcome {
                Ok(()) => going.push(*listed),
                Err(why) => {
                    swept.keep(why);
                    self.seen.remove(&id);
                }
            }
        }
        Ok(self.rested(going, swept))
    }

    /// Those that have been unreferenced for long enough; the others' time begins.
    fn rested(&mut self, going: Vec<Listed>, swept: &mut Swept) -> Vec<Listed> {
        let now = self.env.now();
        let rest = self.settings.rest;
        let mut rested = Vec::new();
        for listed in going {
            let id = listed.object.id();
            let since = match self.seen.get(&id) {
                Some(Seen::Unreferenced(since)) => *since,
                Some(Seen::LockedUntil(_)) => Timestamp(0),
                None => {
                    if self.seen.len() < SEEN_MAX {
                        self.seen.insert(id, Seen::Unreferenced(now));
                    }
                    now
                }
            };
            if since.plus(rest) <= now {
                rested.push(listed);
            } else {
                swept.young += 1;
            }
        }
        rested
    }

    async fn delete(&mut self, going: Vec<Listed>, swept: &mut Swept) -> Result<(), CompactError> {
        if going.is_empty() {
            return Ok(());
        }
        let name = |listed: &Listed| name_of(&listed.object);
        let names = going.iter().map(name).collect::<Result<Vec<Name>, _>>()?;
        let refused = self.bucket.delete_some(&names, Purpose::Collection).await?;
        let refused: HashMap<Name, StoreError> = refused.into_iter().collect();
        let until = self.env.now().plus(LOCKED_RETRY);
        for (listed, name) in going.iter().zip(&names) {
            let id = listed.object.id();
            if let Some(error) = refused.get(name) {
                tracing::debug!(object = %name, %error, "the store does not let it go");
                swept.locked += 1;
                self.seen.insert(id, Seen::LockedUntil(until));
            } else {
                swept.deleted += 1;
                swept.deleted_bytes += listed.bytes;
                self.seen.remove(&id);
            }
        }
        Ok(())
    }

    /// Reads every record, and what it references of bundles.
    async fn read_all(&mut self) -> Result<(), CompactError> {
        for pg in self.records.all().await? {
            let (_, references) = self.known(pg, None, true).await?;
            if let Some(references) = references {
                self.of_bundles.insert(pg, references);
            }
        }
        Ok(())
    }

    /// Reads a record, and its manifest if it is another than the last time.
    async fn read(&mut self, pg: PgId) -> Result<(), CompactError> {
        let before = self.last.take().filter(|(known, _)| *known == pg).map(|(_, known)| known);
        self.last = Some((pg, self.known(pg, before, false).await?));
        Ok(())
    }

    /// A record and its references. A manifest that is replaced while it is read has another record
    /// (G4).
    async fn known(
        &self,
        pg: PgId,
        before: Option<Known>,
        only_bundles: bool,
    ) -> Result<Known, CompactError> {
        let mut reads = 0;
        loop {
            let Some(record) = self.records.read(pg).await? else { return Ok((None, None)) };
            reads += 1;
            if let Some(known) = before.clone().filter(|(known, _)| known.as_ref() == Some(&record))
            {
                return Ok(known);
            }
            match self.references(pg, &record, only_bundles).await {
                Ok(references) => return Ok((Some(record), Some(references))),
                Err(CompactError::Store(StoreError::NotFound { .. })) if reads < READS_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn references(
        &self,
        pg: PgId,
        record: &RecordView,
        only_bundles: bool,
    ) -> Result<References, CompactError> {
        let RecordView { epoch, manifest_root, deltas, snapshot, .. } = record;
        let purpose = Purpose::Collection;
        let manifest =
            manifest_of(&self.bucket, pg, manifest_root.as_ref(), deltas, purpose).await?;
        let (root, overlay) = (&manifest.root, &manifest.overlay);
        let mut references = References::new(*epoch, (*manifest_root, root), overlay, *snapshot);
        for at in 0..root.pages.len() {
            let page = page_of(&self.bucket, root, at, purpose).await?;
            references.page(&page, overlay, |entry| !only_bundles || entry.level() == 0);
        }
        Ok(references)
    }
}

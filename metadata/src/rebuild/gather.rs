//! What the bucket has: every name, the newest copies that can be read, and the directories of bundles beyond them.

use super::RebuildError;
use super::keep::stored_name;
use crate::dump::Dump;
use crate::model::{PgRecord, Record};
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use storage::audit::{self, Unreadable};
use storage::format::{Epoch, Lsn, PgId};
use storage::object::{Bucket, Error, Purpose, Span};
use storage::tier::manifest::{Delta, Origin, Overlay, Root, RunEntry};
use storage::tier::rebuild::{CopyName, Found, PgCopy, newest_first, signs_of};
use storage::tier::{ObjectId, ObjectName};

/// Objects that are read at once.
const READS: usize = 8;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Names seen so far.
    Listed(u64),
    /// Bundles looked at, of so many.
    Looked(u64, u64),
}

/// Where a placement group's record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A copy of the record.
    Copy(CopyName),
    /// The root of a manifest: no copy could be read.
    Root(ObjectName),
    /// Neither was there: what there is begins with the log.
    Nothing,
}

/// A copy of a record.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) source: Source,
    pub(super) record: PgRecord,
    /// The log's chain at the record's `tiered`.
    pub(super) chain: Option<u32>,
    pub(super) revision: u64,
}

/// An object that should have been read, and could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// What the bucket has.
#[derive(Debug)]
pub struct Gathered {
    pub(super) dump: (CopyName, Dump),
    pub(super) kept: BTreeMap<PgId, Kept>,
    pub(super) found: BTreeMap<PgId, Vec<Found>>,
    /// The latest epoch with a sign in the bucket.
    pub(super) epochs: BTreeMap<PgId, Epoch>,
    /// The greatest id of an object, and the greatest uid of a queue.
    pub(super) greatest: u64,
    /// The greatest revision of the lost metadata store.
    pub(super) revision: u64,
    /// Objects that could not be read.
    pub unread: Vec<Unread>,
    /// Objects in the bucket.
    pub objects: u64,
}

impl Gathered {
    /// When the copy of the catalog was taken.
    pub fn catalog_taken(&self) -> storage::env::Timestamp {
        self.dump.1.taken
    }
}

/// Every name that says something.
#[derive(Debug, Default)]
struct Names {
    copies: Vec<CopyName>,
    bundles: Vec<(u64, ObjectId)>,
    /// Of each placement group the newest.
    roots: BTreeMap<PgId, (Epoch, ObjectId)>,
    epochs: BTreeMap<PgId, Epoch>,
    greatest: u64,
    objects: u64,
}

impl Names {
    fn note(&mut self, text: &str) {
        self.objects += 1;
        let signs = signs_of(text);
        self.greatest = self.greatest.max(signs.id.unwrap_or(0));
        if let Some((pg, epoch)) = signs.epoch {
            note_epoch(&mut self.epochs, pg, epoch);
        }
        if let Ok(copy) = text.parse() {
            return self.copies.push(copy);
        }
        match text.parse::<ObjectName>() {
            Ok(ObjectName::Bundle { session, id }) => self.bundles.push((session, id)),
            Ok(ObjectName::Root { pg, epoch, id }) => {
                let newest = self.roots.entry(pg).or_insert((epoch, id));
                *newest = (epoch, id).max(*newest);
            }
            Ok(
                ObjectName::Run { .. }
                | ObjectName::Page { .. }
                | ObjectName::Keys { .. }
                | ObjectName::Snapshot { .. },
            )
            | Err(_) => {}
        }
    }
}

fn note_epoch(epochs: &mut BTreeMap<PgId, Epoch>, pg: PgId, epoch: Epoch) {
    let known = epochs.entry(pg).or_default();
    *known = epoch.max(*known);
}

/// Reads all that a rebuild needs: every name once, a few copies, the ends of all bundles.
///
/// # Errors
/// [`RebuildError::NoCatalog`]; what the bucket says. What is damaged is no error: see [`Gathered::unread`].
pub async fn gather(
    bucket: &Bucket,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Gathered, RebuildError> {
    let names = list(bucket, None, on_progress).await?;
    let mut unread = Vec::new();
    let mut copies = newest_first(names.copies.iter().copied());
    let catalogs = copies.remove(&None).unwrap_or_default();
    let dump = newest_dump(bucket, &catalogs, &mut unread).await?;
    let mut kept = read_records(bucket, &copies, &mut unread).await?;
    add_roots(bucket, &names, &mut kept, &mut unread).await?;
    let mut gathered = Gathered {
        revision: dump.1.revision.0.max(0) as u64,
        dump,
        kept,
        found: BTreeMap::new(),
        epochs: names.epochs,
        greatest: names.greatest,
        unread,
        objects: names.objects,
    };
    look_into_roots(bucket, &mut gathered).await?;
    look_into_bundles(bucket, &names.bundles, &mut gathered, on_progress).await?;
    Ok(gathered)
}

/// The newest readable copies of records, for whoever has to do without a metadata store: of all placement groups, or
/// of one.
///
/// # Errors
/// What the bucket says.
pub async fn newest_copies(
    bucket: &Bucket,
    of: Option<PgId>,
) -> Result<BTreeMap<PgId, PgRecord>, Error> {
    let names = match of {
        None => list(bucket, None, &mut |_| ()).await?,
        Some(pg) => list(bucket, Some(&format!("{}/{pg}", CopyName::PGS)), &mut |_| ()).await?,
    };
    let mut copies = newest_first(names.copies.iter().copied());
    copies.remove(&None);
    let mut unread = Vec::new();
    let mut kept = read_records(bucket, &copies, &mut unread).await?;
    add_roots(bucket, &names, &mut kept, &mut unread).await?;
    Ok(kept.into_iter().map(|(pg, kept)| (pg, kept.record)).collect())
}

/// Topics and groups of the newest copy of the catalog that can be read, if there is one.
///
/// # Errors
/// What the bucket says.
pub async fn newest_catalog(bucket: &Bucket) -> Result<Option<Dump>, Error> {
    let names = list(bucket, Some(CopyName::CATALOGS), &mut |_| ()).await?;
    let catalogs = newest_first(names.copies).remove(&None).unwrap_or_default();
    match newest_dump(bucket, &catalogs, &mut Vec::new()).await {
        Ok((_, dump)) => Ok(Some(dump)),
        Err(RebuildError::Bucket(error)) => Err(error),
        Err(
            RebuildError::NoCatalog { .. }
            | RebuildError::Dump(_)
            | RebuildError::Metadata(_)
            | RebuildError::NotEmpty(_)
            | RebuildError::File { .. },
        ) => Ok(None),
    }
}

async fn list(
    bucket: &Bucket,
    folder: Option<&str>,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Names, Error> {
    let folder = folder.map(stored_name);
    let mut listing = bucket.list(folder.as_ref(), None, Purpose::Check);
    let mut names = Names::default();
    while let Some(entry) = listing.next().await? {
        names.note(entry.name.as_str());
        if names.objects.is_multiple_of(1000) {
            on_progress(Progress::Listed(names.objects));
        }
    }
    on_progress(Progress::Listed(names.objects));
    Ok(names)
}

/// The bytes of a small object; `None`, with a note, where it is damaged or gone.
async fn bytes_of(
    bucket: &Bucket,
    name: &str,
    unread: &mut Vec<Unread>,
) -> Result<Option<bytes::Bytes>, Error> {
    match bucket.get(&stored_name(name), Span::All, Purpose::Check).await {
        Ok(fetched) => Ok(Some(fetched.bytes)),
        Err(
            error @ (Error::NotFound { .. } | Error::TooMuch { .. } | Error::OutOfRange { .. }),
        ) => {
            unread.push(Unread { name: name.to_owned(), why: error.to_string() });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn newest_dump(
    bucket: &Bucket,
    catalogs: &[CopyName],
    unread: &mut Vec<Unread>,
) -> Result<(CopyName, Dump), RebuildError> {
    for name in catalogs {
        let text = name.to_string();
        let Some(bytes) = bytes_of(bucket, &text, unread).await? else { continue };
        match Dump::decode(&bytes) {
            Ok(dump) => return Ok((*name, dump)),
            Err(refused) => unread.push(Unread { name: text, why: refused.to_string() }),
        }
    }
    Err(RebuildError::NoCatalog { found: catalogs.len() })
}

/// Of each placement group the newest copy that can be read.
async fn read_records(
    bucket: &Bucket,
    copies: &BTreeMap<Option<PgId>, Vec<CopyName>>,
    unread: &mut Vec<Unread>,
) -> Result<BTreeMap<PgId, Kept>, Error> {
    let of_pgs: Vec<(PgId, Vec<CopyName>)> =
        copies.iter().filter_map(|(pg, copies)| pg.map(|pg| (pg, copies.clone()))).collect();
    let read = |(pg, copies)| read_record(bucket, pg, copies);
    let mut answers = stream::iter(of_pgs).map(read).buffered(READS);
    let mut kept = BTreeMap::new();
    while let Some(answer) = answers.next().await {
        let (pg, record, notes) = answer?;
        unread.extend(notes);
        kept.extend(record.map(|record| (pg, record)));
    }
    Ok(kept)
}

async fn read_record(
    bucket: &Bucket,
    pg: PgId,
    copies: Vec<CopyName>,
) -> Result<(PgId, Option<Kept>, Vec<Unread>), Error> {
    let mut notes = Vec::new();
    for name in copies {
        let text = name.to_string();
        let Some(bytes) = bytes_of(bucket, &text, &mut notes).await? else { continue };
        let read = PgCopy::decode(&bytes).map_err(|refused| refused.to_string()).and_then(|copy| {
            let record = PgRecord::decode(&copy.record).map_err(|refused| refused.to_string())?;
            if copy.pg == pg { Ok((copy, record)) } else { Err("it is another's".to_owned()) }
        });
        match read {
            Ok((copy, record)) => {
                let (chain, revision) = (copy.chain, copy.revision);
                let kept = Kept { source: Source::Copy(name), record, chain, revision };
                return Ok((pg, Some(kept), notes));
            }
            Err(why) => notes.push(Unread { name: text, why }),
        }
    }
    Ok((pg, None, notes))
}

/// Where there is no copy of a record, the newest root of a manifest stands for one.
async fn add_roots(
    bucket: &Bucket,
    names: &Names,
    kept: &mut BTreeMap<PgId, Kept>,
    unread: &mut Vec<Unread>,
) -> Result<(), Error> {
    for (pg, (epoch, id)) in &names.roots {
        if kept.contains_key(pg) {
            continue;
        }
        let name = ObjectName::Root { pg: *pg, epoch: *epoch, id: *id };
        let text = name.to_string();
        let Some(bytes) = bytes_of(bucket, &text, unread).await? else { continue };
        match Root::decode(&bytes).ok().filter(|root| root.pg == *pg) {
            Some(root) => {
                let nobody = super::plan::nobody();
                let record = PgRecord {
                    epoch: *epoch,
                    tiered: root.tiered,
                    manifest_root: Some(text),
                    ..PgRecord::create(*pg, nobody, Vec::new(), 1)
                };
                let source = Source::Root(name);
                kept.insert(*pg, Kept { source, record, chain: None, revision: 0 });
            }
            None => unread.push(Unread { name: text, why: "it is no root of a manifest".into() }),
        }
    }
    Ok(())
}

/// What the roots and deltas say of epochs, ids and queues; and whether each belongs together.
async fn look_into_roots(bucket: &Bucket, gathered: &mut Gathered) -> Result<(), Error> {
    for (pg, kept) in &gathered.kept {
        note_epoch(&mut gathered.epochs, *pg, kept.record.epoch);
        gathered.revision = gathered.revision.max(kept.revision);
        let deltas: Vec<Delta> =
            kept.record.deltas.iter().filter_map(|bytes| Delta::decode(bytes).ok()).collect();
        let root = match &kept.record.manifest_root {
            None => Some(Root::empty(*pg)),
            Some(name) => {
                let bytes = bytes_of(bucket, name, &mut gathered.unread).await?;
                bytes.and_then(|bytes| Root::decode(&bytes).ok())
            }
        };
        let overlay = root.as_ref().and_then(|root| Overlay::of(root, &deltas).ok());
        let fits = overlay.as_ref().is_some_and(|overlay| overlay.tiered == kept.record.tiered);
        if !fits {
            let name = kept.record.manifest_root.clone().unwrap_or_else(|| format!("pg {pg}"));
            let why = "its manifest and its deltas do not belong together; fsck says more".into();
            gathered.unread.push(Unread { name, why });
        }
        let of_pages = root.iter().flat_map(|root| &root.pages).filter_map(|page| page.queues);
        let added = overlay.iter().flat_map(|overlay| overlay.added.values());
        let of_deltas = added.filter_map(|entry| entry.queues.range());
        let greatest = of_pages.chain(of_deltas).map(|(_, last)| last.0).max().unwrap_or(0);
        gathered.greatest = gathered.greatest.max(greatest);
    }
    Ok(())
}

/// What the directories of bundles say beyond the copies.
async fn look_into_bundles(
    bucket: &Bucket,
    bundles: &[(u64, ObjectId)],
    gathered: &mut Gathered,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), Error> {
    let total = bundles.len() as u64;
    let read = |(session, id): &(u64, ObjectId)| {
        let (session, name) = (*session, ObjectName::Bundle { session: *session, id: *id });
        async move { (session, name, audit::tail_of(bucket, &name).await) }
    };
    let mut tails = stream::iter(bundles).map(read).buffer_unordered(READS);
    let mut looked = 0;
    while let Some((session, name, tail)) = tails.next().await {
        looked += 1;
        on_progress(Progress::Looked(looked, total));
        let tail = match tail {
            Ok(tail) => tail,
            Err(Unreadable::Store(error)) => return Err(error),
            Err(Unreadable::Gone) => continue,
            Err(Unreadable::Damaged(damage)) => {
                let why = damage.to_string();
                gathered.unread.push(Unread { name: name.to_string(), why });
                continue;
            }
        };
        for entry in &tail.directory.entries {
            note_epoch(&mut gathered.epochs, entry.pg, entry.epoch);
            let kept = gathered.kept.get(&entry.pg).map(|kept| kept.record.tiered);
            let tiered = kept.unwrap_or(entry.pg.first_lsn());
            let run = RunEntry::of(&tail, entry.pg, Origin::Bundle { session });
            if let Some(run) = run.filter(|_| entry.to > tiered) {
                let last = run.queues.range().map_or(0, |(_, last)| last.0);
                gathered.greatest = gathered.greatest.max(last);
                gathered.found.entry(entry.pg).or_default().push(Found { entry: *entry, run });
            }
        }
    }
    // Tails come as they are read; what follows is not to depend on that.
    let order = |found: &Found| (found.entry.from, found.run.object);
    gathered.found.values_mut().for_each(|found| found.sort_unstable_by_key(order));
    Ok(())
}

impl Kept {
    /// Of a placement group of which the bucket has neither a copy nor a manifest.
    pub(super) fn nothing(pg: PgId) -> Kept {
        let record = PgRecord {
            epoch: Epoch(0),
            ..PgRecord::create(pg, super::plan::nobody(), Vec::new(), 1)
        };
        Kept { source: Source::Nothing, record, chain: Some(0), revision: 0 }
    }

    pub(super) fn tiered(&self) -> Lsn {
        self.record.tiered
    }
}

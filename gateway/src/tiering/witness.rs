//! What the bucket is told beside the data, so that it can be checked and rebuilt without this process: proofs of what
//! was committed, and copies of the records that name it. None of it decides anything.
//!
//! INV-WITNESS-1: a commit never waits for this. What is missed is made up for by naming all that there is.

use super::ids::ObjectIds;
use metadata::model::PgRecord;
use metadata::rebuild::{KeepError, drop_outdated, keep_pg};
use metadata::{Error as MetadataError, Revision};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use storage::env::Env;
use storage::format::{Lsn, PgId};
use storage::object::{Bucket, Error as StoreError, Name, Purpose, Span};
use storage::reader::{ReadError, Reader, View};
use storage::tier::ObjectId;
use storage::tier::manifest::Delta;
use storage::tier::proof::{CatchUp, Checkpoint, Committed, Digest, Mark, ProofName, ProofWriter};
use tokio::sync::mpsc;

/// Commits that wait to be told of.
const NOTES_MAX: usize = 1024;
/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// After this a record that has moved is copied, though nothing was folded.
const COPY_AFTER: Duration = Duration::from_secs(300);
/// Checkpoints that are read to find the one to go on from: owners of the past may have left some beside it.
const NEWEST_READ: usize = 8;

/// What a commit did to one placement group.
pub(super) struct Note {
    pub(super) pg: PgId,
    pub(super) record: PgRecord,
    pub(super) revision: Revision,
    pub(super) view: View,
    pub(super) delta: Option<Delta>,
    /// The log's chain at the record's `tiered`.
    pub(super) chain: u32,
    /// Of objects that the delta adds.
    pub(super) digests: HashMap<ObjectId, Digest>,
}

/// The side of the one who commits.
#[derive(Clone)]
pub(super) struct Notes(mpsc::Sender<Note>);

impl Notes {
    /// Tells of a commit, unless too many wait already.
    pub(super) fn tell(&self, note: Note) {
        let pg = note.pg;
        if self.0.try_send(note).is_err() {
            tracing::warn!(%pg, "a commit goes untold: all of the manifest is named in its place");
        }
    }
}

/// One placement group.
struct Told {
    proof: ProofWriter,
    /// After the last commit that was told of.
    tiered: Lsn,
    newest: Note,
    /// The record in `newest` has no copy.
    is_uncopied: bool,
    copied_at: Duration,
}

pub(super) struct Witness {
    env: Env,
    bucket: Bucket,
    reader: Reader,
    ids: ObjectIds,
    notes: mpsc::Receiver<Note>,
    told: BTreeMap<PgId, Told>,
}

/// Why something was not told. It is tried again.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Ids(#[from] MetadataError),
}

impl Witness {
    pub(super) fn new(
        env: Env,
        bucket: Bucket,
        reader: Reader,
        ids: ObjectIds,
    ) -> (Notes, Witness) {
        let (send, notes) = mpsc::channel(NOTES_MAX);
        (Notes(send), Witness { env, bucket, reader, ids, notes, told: BTreeMap::new() })
    }

    /// Until it is dropped. The first note of a placement group is its record as it was opened.
    pub(super) async fn run(mut self) {
        loop {
            // Both branches are cancel safe.
            tokio::select! {
                note = self.notes.recv() => match note {
                    Some(note) => self.take(note).await,
                    None => return,
                },
                () = self.env.sleep(LOOK_EVERY) => {}
            }
            for pg in self.told.keys().copied().collect::<Vec<_>>() {
                if let Err(untold) = self.tell(pg).await {
                    tracing::warn!(%pg, error = %untold, "the bucket is told later");
                }
            }
        }
    }

    async fn take(&mut self, note: Note) {
        let now = self.env.now();
        let Some(told) = self.told.get_mut(&note.pg) else {
            return self.begin(note).await;
        };
        let is_next = note.delta.as_ref().is_none_or(|delta| delta.from == told.tiered);
        match &note.delta {
            Some(delta) if is_next => {
                let digest = |id: ObjectId| note.digests.get(&id).copied();
                let committed =
                    Committed::of(note.pg, delta, note.chain, |entry| digest(entry.object));
                told.proof.commit(committed, now);
            }
            Some(_) => match self.reader.entries(&note.view).await {
                Ok(entries) => told.proof.whole(note.view.tiered(), &entries, now),
                // The next note does not follow either, and so this is done then.
                Err(error) => return tracing::warn!(pg = %note.pg, %error, "a proof waits"),
            },
            None => {}
        }
        told.tiered = note.view.tiered();
        told.is_uncopied = true;
        told.newest = note;
    }

    /// Goes on where the newest checkpoint ends.
    async fn begin(&mut self, note: Note) {
        let pg = note.pg;
        match self.resume(&note).await {
            Ok(proof) => {
                let (tiered, copied_at) = (note.view.tiered(), self.env.monotonic());
                let told = Told { proof, tiered, newest: note, is_uncopied: false, copied_at };
                self.told.insert(pg, told);
            }
            Err(error) => tracing::warn!(%pg, %error, "no proof before the next commit"),
        }
    }

    async fn resume(&self, note: &Note) -> Result<ProofWriter, Untold> {
        let newest = self.newest_checkpoint(note.pg).await?;
        let deltas: Vec<Delta> =
            note.record.deltas.iter().filter_map(|bytes| Delta::decode(bytes).ok()).collect();
        let manifest = (note.record.manifest_root.as_deref(), &deltas[..]);
        let now = self.env.now();
        let (mut proof, catch_up) =
            ProofWriter::resume(note.pg, note.record.epoch, newest.as_ref(), manifest, now);
        if catch_up == CatchUp::Whole {
            let entries = self.reader.entries(&note.view).await?;
            proof.whole(note.view.tiered(), &entries, now);
        }
        Ok(proof)
    }

    /// The one of the latest epoch that reaches farthest.
    async fn newest_checkpoint(&self, pg: PgId) -> Result<Option<Checkpoint>, Untold> {
        let folder = Name::parse(&ProofName::folder(pg)).expect("our names are names");
        let mut listing = self.bucket.list(Some(&folder), None, Purpose::Check);
        let mut names: Vec<ProofName> = Vec::new();
        while let Some(entry) = listing.next().await? {
            names.extend(entry.name.as_str().parse::<ProofName>());
        }
        names.sort();
        let mut newest: Option<Checkpoint> = None;
        for name in names.iter().rev().take(NEWEST_READ) {
            let name = Name::parse(&name.to_string()).expect("our names are names");
            let bytes = self.bucket.get(&name, Span::All, Purpose::Check).await?.bytes;
            let Ok(read) = Checkpoint::decode(&bytes) else { continue };
            let rank = |one: &Checkpoint| (one.links.last().map(|link| link.epoch), one.seq());
            if read.is_chained() && newest.as_ref().is_none_or(|known| rank(known) < rank(&read)) {
                newest = Some(read);
            }
        }
        Ok(newest)
    }

    /// Stores what is due.
    async fn tell(&mut self, pg: PgId) -> Result<(), Untold> {
        let Some(told) = self.told.get_mut(&pg) else { return Ok(()) };
        let is_folded = told.newest.delta.is_some() && told.newest.record.deltas.is_empty();
        let (now, time) = (self.env.now(), self.env.monotonic());
        if is_folded || told.proof.is_due(now) {
            let record = &told.newest.record;
            let deltas = u32::try_from(record.deltas.len()).unwrap_or(u32::MAX);
            let mark = Mark { root: record.manifest_root.clone(), deltas };
            let nonce = self.env.random_u64() as u32;
            if let Some((name, bytes)) = told.proof.checkpoint(mark, nonce) {
                let key = Name::parse(&name.to_string()).expect("our names are names");
                self.bucket.create(&key, bytes, Purpose::Check).await?;
                told.proof.stored(name.seq, now);
            }
        }
        if told.is_uncopied && (is_folded || time >= told.copied_at + COPY_AFTER) {
            let id = self.ids.one().await?;
            let Note { record, revision, chain, .. } = &told.newest;
            keep_pg(&self.bucket, pg, (record, *revision), Some(*chain), id).await?;
            (told.is_uncopied, told.copied_at) = (false, time);
            drop_outdated(&self.bucket, Some(pg)).await?;
        }
        Ok(())
    }
}

//! The records of the owned placement groups, as their owner knows them. The only place that writes a COMMIT, so this
//! owner never has two minds (design/replication.md §3).
//!
//! INV-LEDGER-1: `tiered` grows only over what was confirmed to be in the bucket (rule O5).
//! INV-LEDGER-2: what is published as a view is what the record says, never ahead of it.

use super::ids::{IdRange, ObjectIds};
use bytes::Bytes;
use metadata::model::{PgRecord, SnapshotRef};
use metadata::{Catalog, Commit, NotCommitted, Revision};
use std::collections::{BTreeMap, HashMap};
use storage::compact::{CompactError, FoldRequest, fold_manifest};
use storage::format::{Lsn, PgId};
use storage::object::Bucket;
use storage::reader::{ReadError, View};
use storage::tier::ObjectId;
use storage::tier::manifest::{Change, Delta, DeltaRefused, PageSizes, must_fold};
use storage::tier::proof::Digest;

/// Ids that a fold may use: each page that deltas touch becomes two at most.
const FOLD_IDS_MAX: u64 = 1024;

/// A change of one placement group's record.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// Whose.
    pub(crate) pg: PgId,
    /// `tiered` afterwards; `None`: as it is.
    pub(crate) to: Option<Lsn>,
    /// Of the manifest.
    pub(crate) changes: Vec<Change>,
    /// A newer snapshot.
    pub(crate) snapshot: Option<SnapshotRef>,
    /// Of objects that are added, where they are known.
    pub(crate) digests: HashMap<ObjectId, Digest>,
}

/// Why a proposal was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerRefused {
    /// Another owner has the placement group.
    #[error("placement group {0} is another gateway's now")]
    NotOwner(PgId),
    /// It does not follow from what the manifest is: whoever proposes it looked at an older one.
    #[error("the change does not fit the manifest")]
    Unfit(#[from] DeltaRefused),
    /// The manifest cannot be folded. Try again later.
    #[error("the manifest cannot be folded")]
    Fold(#[from] CompactError),
    /// The record does not name a root.
    #[error("the manifest cannot be read")]
    Read(#[from] ReadError),
    /// The metadata store.
    #[error(transparent)]
    Store(#[from] NotCommitted),
    /// No ids for objects.
    #[error("no ids for objects")]
    Ids(#[from] metadata::Error),
}

/// What was committed.
pub(super) struct Ledgered {
    pub(super) record: PgRecord,
    pub(super) revision: Revision,
    pub(super) view: View,
    pub(super) delta: Option<Delta>,
    pub(super) digests: HashMap<ObjectId, Digest>,
}

/// What the owner knows of one placement group.
struct Page {
    record: PgRecord,
    revision: Revision,
    view: View,
}

/// All of them.
pub(super) struct Ledger {
    catalog: Catalog,
    bucket: Bucket,
    ids: ObjectIds,
    pages: BTreeMap<PgId, Page>,
}

impl Ledger {
    pub(super) fn new(catalog: Catalog, bucket: Bucket, ids: ObjectIds) -> Ledger {
        Ledger { catalog, bucket, ids, pages: BTreeMap::new() }
    }

    /// Takes up a placement group that this process opened.
    pub(super) fn open(&mut self, pg: PgId, record: PgRecord, revision: Revision, view: View) {
        self.pages.insert(pg, Page { record, revision, view });
    }

    /// Commits, at most one proposal for a placement group; an answer for each, in order.
    pub(super) async fn commit(
        &mut self,
        proposals: Vec<Proposal>,
    ) -> Vec<Result<Ledgered, LedgerRefused>> {
        let mut prepared = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            prepared.push(self.prepare(proposal).await);
        }
        let wanted: Vec<Commit> =
            prepared.iter().filter_map(|next| next.as_ref().ok()).map(Next::commit).collect();
        let mut written = self.catalog.commit(&wanted).await.into_iter();
        let mut answers = Vec::with_capacity(prepared.len());
        for next in prepared {
            answers.push(match next {
                Err(refused) => Err(refused),
                Ok(next) => self.settle(next, written.next()),
            });
        }
        answers
    }

    fn settle(
        &mut self,
        next: Next,
        written: Option<Result<Revision, NotCommitted>>,
    ) -> Result<Ledgered, LedgerRefused> {
        let Next { pg, record, view, delta, digests, .. } = next;
        match written {
            Some(Ok(revision)) => {
                let page = Page { record: record.clone(), revision, view: view.clone() };
                self.pages.insert(pg, page);
                Ok(Ledgered { record, revision, view, delta, digests })
            }
            Some(Err(NotCommitted::Moved(_))) | None => {
                // Nobody else writes in this epoch, so the epoch is over.
                self.pages.remove(&pg);
                Err(LedgerRefused::NotOwner(pg))
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// The record and the view that the proposal leads to.
    async fn prepare(&self, proposal: Proposal) -> Result<Next, LedgerRefused> {
        let Proposal { pg, to, changes, snapshot, digests } = proposal;
        let Page { record, revision, view } =
            self.pages.get(&pg).ok_or(LedgerRefused::NotOwner(pg))?;
        let mut record = record.clone();
        record.snapshot = snapshot.or(record.snapshot);
        let (mut view, mut ids) = (view.clone(), None);
        let mut committed = None;
        if to.is_some() || !changes.is_empty() {
            let delta = Delta { from: record.tiered, to: to.unwrap_or(record.tiered), changes };
            record.tiered = delta.to;
            view = view.with(&delta)?;
            let bytes = Bytes::from(delta.encode());
            if must_fold(&record.deltas, bytes.len()) {
                let (root, folded, of_pages) = self.fold(pg, &record, &delta).await?;
                (record.manifest_root, view, ids) = (Some(root), folded, Some(of_pages));
                record.deltas.clear();
            } else {
                record.deltas.push(bytes);
            }
            committed = Some(delta);
        }
        Ok(Next { pg, seen: *revision, record, view, delta: committed, digests, _ids: ids })
    }

    /// Puts the record's deltas and the next one into pages, and stores them: the new root's name, the view of it, and
    /// what is out until it is committed.
    async fn fold(
        &self,
        pg: PgId,
        record: &PgRecord,
        next: &Delta,
    ) -> Result<(String, View, IdRange), LedgerRefused> {
        let mut ids = self.ids.take(FOLD_IDS_MAX).await?;
        let mut next_id = || ids.next_id();
        let root = record.manifest_root.as_deref();
        let root = root
            .map(str::parse)
            .transpose()
            .map_err(|_| ReadError::NotARoot(root.unwrap_or_default().to_owned()))?;
        let request = FoldRequest {
            pg,
            epoch: record.epoch,
            root,
            deltas: &record.deltas,
            next: Some(next),
            sizes: PageSizes::default(),
            next_id: &mut next_id,
        };
        let folded = fold_manifest(&self.bucket, request).await?;
        Ok((folded.root_name.to_string(), View::folded(folded.root), ids))
    }
}

/// A change that is worked out and not yet written.
struct Next {
    pg: PgId,
    seen: Revision,
    record: PgRecord,
    view: View,
    delta: Option<Delta>,
    digests: HashMap<ObjectId, Digest>,
    /// Of objects that the record names and the one before does not.
    _ids: Option<IdRange>,
}

impl Next {
    fn commit(&self) -> Commit {
        Commit { pg: self.pg, seen: self.seen, record: self.record.clone() }
    }
}

//! COMMIT: an owner's changes of its records (replication.md §3), several placement groups to a transaction.

use super::Catalog;
use super::pgs::WriteOutcome;
use crate::model::{PgRecord, Record, key};
use crate::store::{
    Applied, Change, Compare, Error, Expect, REQUEST_BYTES_MAX, Revision, Txn, TxnOutcome,
};
use storage::format::PgId;

/// Placement groups of one transaction (rule M4): two entries each, of the 128 that etcd takes.
const PACK_MAX: usize = 64;
/// Bytes of records in one transaction; keys and framing take the rest.
const PACK_BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;

/// One owner's change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Whose record.
    pub pg: PgId,
    /// The revision of the record that the owner knows, in which it is the owner.
    pub seen: Revision,
    /// The record afterwards: of the same epoch, `tiered` not less.
    pub record: PgRecord,
}

/// Why a change was not made, and never will be.
#[derive(Debug, thiserror::Error)]
pub enum NotCommitted {
    /// The record had moved: read it. Another epoch has begun, or this owner has two minds.
    #[error("the record of placement group {0} has moved")]
    Moved(PgId),
    /// The store refuses for good.
    #[error("the record of placement group {pg} cannot be written")]
    Store {
        /// Whose record.
        pg: PgId,
        /// The store's words.
        source: Error,
    },
}

impl Catalog {
    /// Commits, each by comparing its record's revision (rule M1); an answer for each, in order. Waits while the store
    /// does not answer, and settles what is unknown by reading (rule M2). When dropped, the outcome is unknown.
    pub async fn commit(&self, commits: &[Commit]) -> Vec<Result<Revision, NotCommitted>> {
        let mut answers = Vec::with_capacity(commits.len());
        for pack in packs(commits) {
            match self.try_pack(pack).await {
                Some(revision) => answers.extend(pack.iter().map(|_| Ok(revision))),
                // One of them moved, or nobody knows: each by itself.
                None => {
                    for commit in pack {
                        answers.push(self.commit_one(commit).await);
                    }
                }
            }
        }
        answers
    }

    /// All of them in one transaction, if that is known to have been done.
    async fn try_pack(&self, pack: &[Commit]) -> Option<Revision> {
        let key = |commit: &Commit| key::pg(commit.pg);
        let compare = |commit| Compare { key: key(commit), expect: Expect::Modified(commit.seen) };
        let put = |commit: &Commit| Change::Put {
            key: key(commit),
            value: commit.record.encode(),
            lease: None,
        };
        let txn = Txn {
            compare: pack.iter().map(compare).collect(),
            then: pack.iter().map(put).collect(),
            otherwise: Vec::new(),
        };
        match self.inner.store.txn(txn).await {
            Ok(TxnOutcome::Done { revision }) => Some(revision),
            Ok(TxnOutcome::Refused { .. }) | Err(_) => None,
        }
    }

    async fn commit_one(&self, commit: &Commit) -> Result<Revision, NotCommitted> {
        let refused = |source| NotCommitted::Store { pg: commit.pg, source };
        loop {
            // Where a request before this one is still under way the record shows `seen`, and this one is the same.
            match self.read_pg(commit.pg).await {
                Ok(Some((record, revision))) if revision == commit.seen => drop(record),
                Ok(Some((record, revision))) if record == commit.record => return Ok(revision),
                Ok(Some(_) | None) => return Err(NotCommitted::Moved(commit.pg)),
                Err(error) => {
                    self.wait_before_retry(error).await.map_err(refused)?;
                    continue;
                }
            }
            match self.open_epoch(commit.pg, Some(commit.seen), &commit.record).await {
                Ok(WriteOutcome::Done(revision)) => return Ok(revision),
                Ok(WriteOutcome::Moved | WriteOutcome::Unknown) => {}
                Err(error) => {
                    debug_assert_eq!(error.applied(), Applied::No);
                    self.wait_before_retry(error).await.map_err(refused)?;
                }
            }
        }
    }
}

/// Neighbours that fit into one transaction.
fn packs(commits: &[Commit]) -> impl Iterator<Item = &[Commit]> {
    let mut left = commits;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |commit: &&Commit| {
            bytes += commit.record.deltas.iter().map(|delta| delta.len() + 8).sum::<usize>() + 1024;
            bytes <= PACK_BYTES_MAX
        };
        let count = left.iter().take(PACK_MAX).take_while(fits).count().max(1);
        let (pack, rest) = left.split_at_checked(count)?;
        left = rest;
        Some(pack)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GatewayId, Incarnation, Owner};
    use bytes::Bytes;

    fn commit(pg: u32, delta_bytes: usize) -> Commit {
        let pg = PgId::new(pg).unwrap();
        let owner = Owner { gateway: GatewayId::parse("a").unwrap(), incarnation: Incarnation(1) };
        let mut record = PgRecord::create(pg, owner, Vec::new(), 1);
        record.deltas = vec![Bytes::from(vec![0; delta_bytes])];
        Commit { pg, seen: Revision(1), record }
    }

    #[test]
    fn a_pack_has_at_most_64_placement_groups_and_half_a_mebibyte() {
        let sizes = |commits: &[Commit]| packs(commits).map(<[Commit]>::len).collect::<Vec<_>>();
        let small: Vec<_> = (0..130).map(|pg| commit(pg, 100)).collect();
        assert_eq!(sizes(&small), [64, 64, 2]);
        let large: Vec<_> = (0..5).map(|pg| commit(pg, 250 << 10)).collect();
        assert_eq!(sizes(&large), [2, 2, 1]);
        assert_eq!(sizes(&[commit(0, 2 << 20)]), [1]);
        assert!(sizes(&[]).is_empty());
    }
}

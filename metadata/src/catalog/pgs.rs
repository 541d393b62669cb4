//! Reading and opening placement groups (replication.md §3; `placement` decides what to write).

use super::Catalog;
use crate::model::{PgRecord, Record, key};
use crate::store::{Applied, Change, Compare, Error, Expect, Revision, Txn, TxnOutcome};
use storage::format::PgId;

/// What came of a CREATE or an OPEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The record is written, under this revision.
    Done(Revision),
    /// The record had moved. Nothing was written, and never will be by this request.
    Moved,
    /// Nobody knows (rule M2): it may be written, or be yet. Only a read that shows another revision tells.
    Unknown,
}

impl Catalog {
    /// A placement group's record and its revision, by a linearizable read.
    ///
    /// # Errors
    /// What the store says; [`Error::Record`] when the record cannot be read.
    pub async fn read_pg(&self, id: PgId) -> Result<Option<(PgRecord, Revision)>, Error> {
        let (record, revision) = self.read(&key::pg(id)).await?;
        Ok(record.map(|record| (record, revision)))
    }

    /// CREATE, where `seen` is `None`; OPEN, on the revision from which `record` was worked out. The comparison is of
    /// the revision, never of a field (rule M1).
    ///
    /// # Errors
    /// What the store says, when it is known that nothing was written.
    pub async fn open_epoch(
        &self,
        id: PgId,
        seen: Option<Revision>,
        record: &PgRecord,
    ) -> Result<WriteOutcome, Error> {
        let key = key::pg(id);
        let expect = seen.map_or(Expect::Absent, Expect::Modified);
        let put = Change::Put { key: key.clone(), value: record.encode(), lease: None };
        let txn =
            Txn { compare: vec![Compare { key, expect }], then: vec![put], otherwise: Vec::new() };
        match self.inner.store.txn(txn).await {
            Ok(TxnOutcome::Done { revision }) => Ok(WriteOutcome::Done(revision)),
            Ok(TxnOutcome::Refused { .. }) => Ok(WriteOutcome::Moved),
            Err(error) if error.applied() == Applied::Unknown => Ok(WriteOutcome::Unknown),
            Err(error) => Err(error),
        }
    }
}

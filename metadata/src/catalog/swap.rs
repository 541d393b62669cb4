//! Changing one record: read, decide, compare-and-swap, and again when somebody was faster.

use super::{Catalog, CatalogError};
use crate::model::Record;
use crate::store::{Advice, Applied, Change, Compare, Error, Expect, Revision, Txn, TxnOutcome};
use std::time::Duration;

/// Attempts to change a record.
pub(super) const ATTEMPTS_MAX: u32 = 32;

/// What is to become of a record.
pub(super) enum Wish<R> {
    /// It is as it should be.
    Keep,
    /// This.
    Put(R),
    /// Nothing.
    Delete,
}

impl Catalog {
    /// Makes of the record under `key` what `decide` says of the present one, and returns when the catalog shows it.
    /// The record as it then is; `None` when there is none.
    pub(super) async fn swap<R: Record + Clone + PartialEq>(
        &self,
        key: String,
        mut decide: impl FnMut(Option<&R>) -> Result<Wish<R>, CatalogError>,
    ) -> Result<Option<R>, CatalogError> {
        // What was asked for with an unknown outcome (rule M2).
        let mut in_doubt: Option<Option<R>> = None;
        for _ in 0..ATTEMPTS_MAX {
            let (found, modified) = match self.read::<R>(&key).await {
                Ok(read) => read,
                Err(error) => {
                    self.wait_before_retry(error).await?;
                    continue;
                }
            };
            if in_doubt.as_ref().is_some_and(|asked| *asked == found) {
                self.shown(modified).await?;
                return Ok(found);
            }
            let wanted = match decide(found.as_ref())? {
                Wish::Keep => {
                    self.shown(modified).await?;
                    return Ok(found);
                }
                Wish::Put(record) => Some(record),
                Wish::Delete => None,
            };
            let expect = if found.is_some() { Expect::Modified(modified) } else { Expect::Absent };
            match self.inner.store.txn(one_change(&key, expect, wanted.as_ref())).await {
                Ok(TxnOutcome::Done { revision }) => {
                    self.shown(revision).await?;
                    return Ok(wanted);
                }
                Ok(TxnOutcome::Refused { .. }) => {}
                Err(error) => {
                    if error.applied() == Applied::Unknown {
                        in_doubt = Some(wanted);
                    }
                    self.wait_before_retry(error).await?;
                }
            }
        }
        Err(CatalogError::Contended(key))
    }

    /// A linearizable read of a record, and its revision; without one, 0.
    pub(super) async fn read<R: Record>(&self, key: &str) -> Result<(Option<R>, Revision), Error> {
        match self.inner.store.get(key).await? {
            None => Ok((None, Revision(0))),
            Some(pair) => match R::decode(&pair.value) {
                Ok(record) => Ok((Some(record), pair.modified)),
                Err(source) => Err(Error::Record { key: key.to_owned(), source }),
            },
        }
    }

    /// Waits until the catalog shows `revision`.
    ///
    /// # Errors
    /// When the catalog no longer follows the store; what was asked for was done.
    pub(super) async fn shown(&self, revision: Revision) -> Result<(), Error> {
        let mut changed = self.changed();
        let shown = changed.wait_for(|shown| *shown >= revision).await;
        shown.map(drop).map_err(|_| Error::Closed { applied: Applied::Unknown })
    }

    /// Waits as the error says, or hands it back where trying again is no use.
    pub(super) async fn wait_before_retry(&self, error: Error) -> Result<(), Error> {
        let after = match error.advice() {
            Advice::Retry { after } => after,
            Advice::Refresh => Duration::ZERO,
            Advice::Fix | Advice::Stop => return Err(error),
        };
        self.inner.env.sleep(after).await;
        Ok(())
    }
}

/// A transaction on one record.
pub(super) fn one_change<R: Record>(key: &str, expect: Expect, wanted: Option<&R>) -> Txn {
    let key = key.to_owned();
    let change = match wanted {
        Some(record) => Change::Put { key: key.clone(), value: record.encode(), lease: None },
        None => Change::Delete { key: key.clone() },
    };
    Txn { compare: vec![Compare { key, expect }], then: vec![change], otherwise: Vec::new() }
}

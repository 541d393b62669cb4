//! Taking uids from the cluster's one sequence, a block at a time.

use super::Catalog;
use super::swap::one_change;
use crate::model::{QUEUES_MAX, UidMark, key};
use crate::store::{Error, Expect, TxnOutcome};
use parking_lot::Mutex;
use std::ops::Range;

/// Uids taken at once: 64 topics' worth. What a process does not use is lost.
const BLOCK: u64 = 64 * QUEUES_MAX as u64;
/// Attempts to take a block.
const ATTEMPTS_MAX: usize = 64;

/// The uids that this process has taken and not yet used.
#[derive(Debug, Default)]
pub(super) struct Uids {
    taken: Mutex<Range<u64>>,
}

impl Catalog {
    /// `count` numbers in a row for objects in the bucket, of which this is the first; at most as
    /// many as there are uids in a block. Nobody else ever gets them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn take_object_ids(&self, count: u64) -> Result<u64, Error> {
        self.take_uids(count).await
    }

    /// `count` uids in a row, of which this is the first; at most [`BLOCK`]. Nobody else ever gets them.
    pub(super) async fn take_uids(&self, count: u64) -> Result<u64, Error> {
        if let Some(first) = cut(&mut self.inner.uids.taken.lock(), count) {
            return Ok(first);
        }
        let mut block = self.take_block().await?;
        let first = cut(&mut block, count).ok_or(Error::UidsExhausted)?;
        let mut taken = self.inner.uids.taken.lock();
        if block.end - block.start > taken.end - taken.start {
            *taken = block;
        }
        Ok(first)
    }

    /// A block of its own. After an unknown outcome it takes another, and the one in doubt is lost: the mark alone does
    /// not tell whose it is.
    async fn take_block(&self) -> Result<Range<u64>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (found, modified) = match self.read::<UidMark>(key::UID).await {
                Ok(read) => read,
                Err(error) => {
                    self.wait_before_retry(error).await?;
                    continue;
                }
            };
            let expect = found.map_or(Expect::Absent, |_| Expect::Modified(modified));
            let mark = found.unwrap_or(UidMark::FIRST);
            let next = mark.taking(BLOCK).ok_or(Error::UidsExhausted)?;
            match self.inner.store.txn(one_change(key::UID, expect, Some(&next))).await {
                Ok(TxnOutcome::Done { .. }) => return Ok(mark.next..next.next),
                Ok(TxnOutcome::Refused { .. }) => {}
                Err(error) => self.wait_before_retry(error).await?,
            }
        }
        Err(Error::Busy { waiting: ATTEMPTS_MAX })
    }
}

fn cut(range: &mut Range<u64>, count: u64) -> Option<u64> {
    let first = range.start;
    let next = first.checked_add(count).filter(|next| *next <= range.end)?;
    range.start = next;
    Some(first)
}

//! Cloning topics.

use super::swap::ATTEMPTS_MAX;
use super::{Catalog, CatalogError};
use crate::model::{
    ORIGIN_BYTES_MAX, ORIGIN_LAYERS_MAX, Origin, QUEUES_MAX, Record, Span, Topic, key,
};
use crate::store::{Change, Compare, Expect, Revision, Txn, TxnOutcome};
use protocol::names::TopicName;
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::QueueUid;

impl Catalog {
    /// Makes `name` a clone of `source`, that shows of each of its queues what `spans` names: messages that were stored
    /// up to `at` and are in the bucket, under the offsets that they have in `source`. Asking again for the same clone
    /// gives the one that there is.
    ///
    /// It is made only while `source` is there: after that its messages would have nobody who holds them.
    ///
    /// # Errors
    /// [`CatalogError::TopicExists`] for another topic of that name, [`CatalogError::TopicNotFound`] when `source` is
    /// not there any more, [`CatalogError::OriginTooLarge`], [`CatalogError::OriginTooDeep`], and names that cannot be.
    pub async fn clone_topic(
        &self,
        source: &Topic,
        name: &TopicName,
        at: Timestamp,
        spans: impl Fn(QueueUid) -> Span,
    ) -> Result<Arc<Topic>, CatalogError> {
        self.check_name(name)?;
        self.check_name(&source.name)?;
        let uids = self.take_uids(u64::from(QUEUES_MAX)).await?;
        let created = self.inner.env.now();
        for _ in 0..ATTEMPTS_MAX {
            let read =
                (self.read(&key::topic(name)).await, self.read(&key::topic(&source.name)).await);
            let ((there, modified), (found, seen)) = match read {
                (Ok(there), Ok(found)) => (there, found),
                (Err(error), _) | (_, Err(error)) => {
                    self.wait_before_retry(error).await?;
                    continue;
                }
            };
            if let Some(there) = there {
                self.shown(modified).await?;
                return is_clone(&there, source, at)
                    .then(|| Arc::new(there))
                    .ok_or_else(|| CatalogError::TopicExists(name.clone()));
            }
            let found = found.filter(|found: &Topic| found.uid_base == source.uid_base);
            let found = found.ok_or_else(|| CatalogError::TopicNotFound(source.name.clone()))?;
            let origin = Origin::of(&found, at, &spans);
            let clone = Topic::cloned(&found, name.clone(), origin, uids, created);
            check(&clone)?;
            match self.inner.store.txn(making(&clone, &found, seen)).await {
                Ok(TxnOutcome::Done { revision }) => {
                    self.shown(revision).await?;
                    return Ok(Arc::new(clone));
                }
                Ok(TxnOutcome::Refused { .. }) => {}
                // The next read tells whether it was made.
                Err(error) => self.wait_before_retry(error).await?,
            }
        }
        Err(CatalogError::Contended(key::topic(name)))
    }
}

/// Whether `there` is what was asked for.
fn is_clone(there: &Topic, source: &Topic, at: Timestamp) -> bool {
    let origin = there.origin.as_ref();
    origin.is_some_and(|origin| origin.uid_base == source.uid_base && origin.at == at)
}

fn check(clone: &Topic) -> Result<(), CatalogError> {
    let (name, bytes) = (clone.name.clone(), clone.origin_bytes());
    if bytes > ORIGIN_BYTES_MAX {
        return Err(CatalogError::OriginTooLarge { name, bytes });
    }
    if clone.origin.as_ref().is_some_and(|origin| origin.layers() > ORIGIN_LAYERS_MAX) {
        return Err(CatalogError::OriginTooDeep(name));
    }
    Ok(())
}

/// Only while the source is as it was read.
fn making(clone: &Topic, source: &Topic, seen: Revision) -> Txn {
    let (own, source) = (key::topic(&clone.name), key::topic(&source.name));
    Txn {
        compare: vec![
            Compare { key: own.clone(), expect: Expect::Absent },
            Compare { key: source, expect: Expect::Modified(seen) },
        ],
        then: vec![Change::Put { key: own, value: clone.encode(), lease: None }],
        otherwise: Vec::new(),
    }
}

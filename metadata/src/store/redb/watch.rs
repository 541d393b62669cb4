//! A watch: asks for what has changed since it last asked, whenever the revision has grown.

use super::RedbStore;
use crate::store::{Applied, Error, Future, Revision, Watch, WatchItem};
use tokio::sync::watch;

pub(super) struct RedbWatch {
    store: RedbStore,
    revision: watch::Receiver<Revision>,
    prefix: String,
    /// Everything below has been told.
    from: Revision,
}

impl RedbWatch {
    pub(super) fn new(
        store: RedbStore,
        revision: watch::Receiver<Revision>,
        prefix: &str,
        from: Revision,
    ) -> RedbWatch {
        RedbWatch { store, revision, prefix: prefix.to_owned(), from: from.max(Revision(1)) }
    }

    /// Cancel safe: where the watch stands moves only when there is an answer to hand out.
    async fn changes(&mut self) -> Result<WatchItem, Error> {
        loop {
            let there = self.revision.wait_for(|revision| *revision >= self.from).await.is_ok();
            if !there {
                return Err(Error::Closed { applied: Applied::No });
            }
            let (prefix, from) = (self.prefix.clone(), self.from);
            let item = self.store.ask(move |batch| batch.since(&prefix, from)).await?;
            match &item {
                WatchItem::Batch { revision, events } => {
                    self.from = revision.next();
                    if !events.is_empty() {
                        return Ok(item);
                    }
                }
                WatchItem::Compacted { .. } => return Ok(item),
            }
        }
    }
}

impl Watch for RedbWatch {
    fn next(&mut self) -> Future<'_, Result<WatchItem, Error>> {
        Box::pin(self.changes())
    }
}

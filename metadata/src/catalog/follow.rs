//! The task that keeps the snapshot up to date.

use super::snapshot::Snapshot;
use crate::store::{Advice, Error, MetadataStore, Revision, Watch, WatchItem};
use arc_swap::ArcSwap;
use std::sync::Arc;
use storage::env::Env;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The snapshot, and the task behind it, which ends with this.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) revision: watch::Receiver<Revision>,
    task: JoinHandle<()>,
}

impl Follower {
    pub(super) fn start(store: Arc<dyn MetadataStore>, env: Env, first: Snapshot) -> Follower {
        let (told, revision) = watch::channel(first.revision);
        let snapshot = Arc::new(ArcSwap::from_pointee(first));
        let following = Following { store, env: env.clone(), snapshot: snapshot.clone(), told };
        let task = env.spawn("catalog", following.run());
        Follower { snapshot, revision, task }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Following {
    store: Arc<dyn MetadataStore>,
    env: Env,
    snapshot: Arc<ArcSwap<Snapshot>>,
    told: watch::Sender<Revision>,
}

impl Following {
    /// Until the store is closed. Readers then go on with what there is.
    async fn run(self) {
        let mut watch = self.watch();
        loop {
            let outcome = match watch.next().await {
                Ok(WatchItem::Batch { revision, events }) => {
                    let mut next = Snapshot::clone(&self.snapshot.load());
                    next.apply(revision, &events);
                    self.publish(next);
                    Ok(())
                }
                Ok(WatchItem::Compacted { oldest }) => {
                    tracing::info!(%oldest, "metadata history was forgotten, listing anew");
                    let listed = self.relist().await;
                    watch = self.watch();
                    listed
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                match error.advice() {
                    Advice::Retry { after } => self.env.sleep(after).await,
                    Advice::Refresh | Advice::Fix | Advice::Stop => return ended(&error),
                }
            }
        }
    }

    fn watch(&self) -> Box<dyn Watch> {
        self.store.watch("", self.snapshot.load().revision.next())
    }

    async fn relist(&self) -> Result<(), Error> {
        let range = self.store.range("").await?;
        self.publish(self.snapshot.load().relisted(range));
        Ok(())
    }

    fn publish(&self, next: Snapshot) {
        let revision = next.revision;
        self.snapshot.store(Arc::new(next));
        self.told.send_replace(revision);
    }
}

fn ended(error: &Error) {
    if matches!(error, Error::Closed { .. }) {
        tracing::debug!("metadata store closed, catalog no longer follows");
    } else {
        tracing::error!(%error, "catalog no longer follows the metadata store");
    }
}

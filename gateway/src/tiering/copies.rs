//! Copies of the catalog in the bucket, from which topics and groups are made again when the metadata are lost.

use metadata::Catalog;
use metadata::model::{Group, Topic};
use metadata::rebuild::{drop_outdated, keep_catalog};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use storage::object::Bucket;

/// What changes together is copied together.
const GATHER: Duration = Duration::from_secs(1);
/// After this a copy that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Keeps the newest copy no older than some seconds, until it is dropped.
pub(super) async fn copy_catalog(env: Env, catalog: Catalog, bucket: Bucket) {
    let mut changed = catalog.changed();
    let mut copied: Option<(Vec<Arc<Topic>>, Vec<Arc<Group>>)> = None;
    loop {
        let now = (catalog.topics(), catalog.groups());
        let is_copied = copied
            .as_ref()
            .is_some_and(|(topics, groups)| is_same(topics, &now.0) && is_same(groups, &now.1));
        if !is_copied {
            let kept = keep_catalog(&catalog, &bucket).await;
            let tidied = match kept {
                Ok(_) => drop_outdated(&bucket, None).await,
                Err(error) => Err(error),
            };
            if let Err(error) = tidied {
                tracing::warn!(%error, "no copy of the catalog");
                env.sleep(AGAIN_AFTER).await;
                continue;
            }
            copied = Some(now);
        }
        if changed.changed().await.is_err() {
            return;
        }
        env.sleep(GATHER).await;
    }
}

/// A change makes another record, and whatever did not change stays the same one.
fn is_same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

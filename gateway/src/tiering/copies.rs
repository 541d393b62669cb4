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
    let mut copied = None;
    loop {
        let now = (catalog.topics(), catalog.groups());
        if !copied.as_ref().is_some_and(|copied| is_same(copied, &now)) {
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

type Names = (Vec<Arc<Topic>>, Vec<Arc<Group>>);

/// A change makes another record, and whatever did not change stays the same one.
fn is_same((topics, groups): &Names, (now_topics, now_groups): &Names) -> bool {
    fn all_same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
    }
    all_same(topics, now_topics) && all_same(groups, now_groups)
}

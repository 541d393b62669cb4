//! Keeping logs and consumers in step with the catalog: queues of new topics are opened, those of deleted ones
//! forgotten. A uid is never used again, so what is forgotten once is forgotten for ever.

use super::Owned;
use crate::consume::Consume;
use metadata::Catalog;
use metadata::model::{Group, Replayed, Topic};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use storage::format::QueueUid;

/// Follows the catalog until dropped.
pub(crate) async fn follow_catalog(catalog: Catalog, owned: Owned, consume: Consume) {
    let mut changed = catalog.changed();
    let mut named = open_all_named(&catalog, &owned);
    while changed.changed().await.is_ok() {
        let now = open_all_named(&catalog, &owned);
        // Only what was named once and is not any more was deleted: what appears beside this is new.
        let gone: Vec<_> = named.difference(&now).copied().collect();
        named = now;
        consume.forget_deleted(&catalog);
        if !gone.is_empty() {
            tracing::info!(queues = gone.len(), "forgetting deleted queues");
            owned.all().for_each(|pg| pg.log.forget_queues(&gone));
        }
    }
}

/// Before anything is served: opens what the catalog names, and forgets what the logs still know of topics that were
/// deleted while no process followed.
pub(crate) fn reconcile(catalog: &Catalog, owned: &Owned) {
    let named = open_all_named(catalog, owned);
    for pg in owned.all() {
        let known = pg.log.queues().into_iter();
        let gone: Vec<_> = known.filter(|queue| !named.contains(queue)).collect();
        if !gone.is_empty() {
            tracing::info!(pg = %pg.id, queues = gone.len(), "forgetting deleted queues");
            pg.log.forget_queues(&gone);
        }
    }
}

/// Opens what the catalog names, and says what that is.
fn open_all_named(catalog: &Catalog, owned: &Owned) -> HashSet<QueueUid> {
    let (topics, groups) = (catalog.topics(), catalog.groups());
    topics.iter().for_each(|topic| owned.open_topic(topic));
    groups.iter().for_each(|group| owned.open_group(group));
    for (topic, replayed) in replayed(&topics, &groups) {
        owned.open_topic(&topic.replayed(&replayed.queues));
    }
    named(&topics, &groups)
}

/// Every queue that the catalog names.
fn named(topics: &[Arc<Topic>], groups: &[Arc<Group>]) -> HashSet<QueueUid> {
    let mut named: HashSet<QueueUid> =
        topics.iter().flat_map(|topic| topic.queues()).map(|queue| queue.uid).collect();
    named.extend(groups.iter().map(|group| group.dead_letter_queue()));
    let queues = replayed(topics, groups).into_iter().flat_map(|(_, replayed)| &replayed.queues);
    named.extend(queues.map(|queue| queue.uid));
    named
}

/// What was replayed to groups, of topics that there are.
fn replayed<'a>(
    topics: &'a [Arc<Topic>],
    groups: &'a [Arc<Group>],
) -> Vec<(&'a Arc<Topic>, &'a Replayed)> {
    if groups.iter().all(|group| group.replayed.is_empty()) {
        return Vec::new();
    }
    let by_uid: HashMap<u64, &Arc<Topic>> =
        topics.iter().map(|topic| (topic.uid_base, topic)).collect();
    let all = groups.iter().flat_map(|group| &group.replayed);
    all.filter_map(|replayed| Some((*by_uid.get(&replayed.topic)?, replayed))).collect()
}

//! Topics and groups, by name and by what the logs call their queues.

use super::names::Names;
use super::numbers::Numbers;
use crate::model::{Group, HeldBy, Holder, QUEUES_MAX, Topic, TopicQueue};
use std::sync::Arc;
use storage::format::QueueUid;

/// Every topic that was made.
#[derive(Clone, Debug)]
pub(super) struct KnownTopics {
    by_name: Names<Topic>,
    by_uid: Numbers<Arc<Topic>>,
    /// By the uids of a topic, there or gone: the clones that show messages of it.
    clones: Numbers<Vec<Arc<Topic>>>,
}

impl Default for KnownTopics {
    fn default() -> KnownTopics {
        KnownTopics {
            by_name: Names::default(),
            by_uid: Numbers::of_blocks(QUEUES_MAX),
            clones: Numbers::of_blocks(QUEUES_MAX),
        }
    }
}

impl KnownTopics {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    pub(super) fn sorted(&self) -> Vec<Arc<Topic>> {
        self.by_name.sorted()
    }

    /// The topic that has the queue.
    pub(super) fn of_queue(&self, queue: QueueUid) -> Option<&Arc<Topic>> {
        self.by_uid.at(queue.0).filter(|topic| topic.index_of(queue).is_some())
    }

    /// Who needs what of a queue, itself first.
    pub(super) fn holders(&self, queue: QueueUid) -> impl Iterator<Item = Holder> + '_ {
        let own = self.of_queue(queue).map(|topic| Holder {
            by: HeldBy::Topic(topic.clone()),
            from: topic.queue_start(queue),
            to: None,
        });
        let clones = self.clones.at(queue.0).into_iter().flatten();
        own.into_iter().chain(clones.filter_map(move |clone| shown_by(clone, queue)))
    }

    pub(super) fn insert(&mut self, name: &str, topic: Arc<Topic>) {
        if let Some(before) = self.by_name.insert(name, topic.clone()) {
            self.unlink(&before);
        }
        for source in uid_bases(&topic) {
            let mut clones = self.clones.get(source).cloned().unwrap_or_default();
            clones.push(topic.clone());
            self.clones.insert(source, clones);
        }
        self.by_uid.insert(topic.uid_base, topic);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(before) = self.by_name.remove(name) {
            self.unlink(&before);
        }
    }

    /// Takes over what `old` has under a name.
    pub(super) fn keep(&mut self, old: &KnownTopics, name: &str) {
        if let Some(topic) = old.get(name) {
            self.insert(name, topic.clone());
        }
    }

    fn unlink(&mut self, topic: &Topic) {
        self.by_uid.remove(topic.uid_base);
        for source in uid_bases(topic) {
            let Some(clones) = self.clones.get(source) else { continue };
            let others = clones.iter().filter(|clone| clone.uid_base != topic.uid_base);
            let others: Vec<_> = others.cloned().collect();
            if others.is_empty() {
                self.clones.remove(source);
            } else {
                self.clones.insert(source, others);
            }
        }
    }
}

fn uid_bases(topic: &Topic) -> impl Iterator<Item = u64> + '_ {
    topic.origin.iter().flat_map(|origin| origin.uid_bases())
}

/// What a clone shows of a queue.
fn shown_by(clone: &Arc<Topic>, source: QueueUid) -> Option<Holder> {
    let origin = clone.origin.as_ref()?;
    let i = origin.index_of(source)?;
    let part = origin.parts(i).find(|part| part.queue == source)?;
    let queue = QueueUid(clone.uid_base + i as u64);
    let by = HeldBy::Clone { topic: clone.clone(), queue };
    Some(Holder { by, from: part.span.from, to: Some(part.span.to) })
}

/// Every group.
#[derive(Clone, Debug)]
pub(super) struct KnownGroups {
    by_name: Names<Group>,
    by_uid: Numbers<Arc<Group>>,
    /// By the uid of each queue for what is replayed to one.
    replayed: Numbers<Arc<Group>>,
}

impl Default for KnownGroups {
    fn default() -> KnownGroups {
        KnownGroups {
            by_name: Names::default(),
            by_uid: Numbers::of_blocks(1),
            replayed: Numbers::of_blocks(1),
        }
    }
}

impl KnownGroups {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Group>> {
        self.by_name.get(name)
    }

    pub(super) fn sorted(&self) -> Vec<Arc<Group>> {
        self.by_name.sorted()
    }

    /// The group with this uid.
    pub(super) fn of_uid(&self, uid: u64) -> Option<&Arc<Group>> {
        self.by_uid.get(uid)
    }

    /// The group that has a queue with this uid for what is replayed to it, and the first uid of the topic that it is
    /// replayed from, there or gone.
    pub(super) fn of_replayed(&self, uid: u64) -> Option<(&Arc<Group>, QueueUid)> {
        let group = self.replayed.get(uid)?;
        let has = |queues: &[TopicQueue]| queues.iter().any(|queue| queue.uid.0 == uid);
        let replayed = group.replayed.iter().find(|replayed| has(&replayed.queues))?;
        Some((group, QueueUid(replayed.topic)))
    }

    pub(super) fn insert(&mut self, name: &str, group: Arc<Group>) {
        if let Some(before) = self.by_name.insert(name, group.clone()) {
            self.unlink(&before);
        }
        for uid in replay_uids(&group) {
            self.replayed.insert(uid, group.clone());
        }
        self.by_uid.insert(group.uid, group);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(before) = self.by_name.remove(name) {
            self.unlink(&before);
        }
    }

    fn unlink(&mut self, group: &Group) {
        self.by_uid.remove(group.uid);
        for uid in replay_uids(group) {
            self.replayed.remove(uid);
        }
    }

    /// Takes over what `old` has under a name.
    pub(super) fn keep(&mut self, old: &KnownGroups, name: &str) {
        if let Some(group) = old.get(name) {
            self.insert(name, group.clone());
        }
    }
}

/// The queues of what was replayed from one topic have one uid.
fn replay_uids(group: &Group) -> impl Iterator<Item = u64> + '_ {
    group.replayed.iter().filter_map(|replayed| Some(replayed.queues.first()?.uid.0))
}

#[cfg(test)]
mod tests;

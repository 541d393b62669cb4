//! Changing topics.

use super::swap::Wish;
use super::{Catalog, CatalogError};
use crate::model::{AttributeChange, Permission, QUEUES_MAX, Retention, Topic, TopicSpec, key};
use protocol::names::TopicName;
use std::sync::Arc;
use storage::env::Timestamp;

/// What is to be different in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// Queues in all; not fewer than there are.
    pub queues: Option<u32>,
    /// What clients may do.
    pub permission: Option<Permission>,
    /// Attributes, `message.type` and `durability` among them.
    pub attributes: Vec<AttributeChange>,
}

impl Catalog {
    /// Makes a topic.
    ///
    /// # Errors
    /// [`CatalogError::TopicExists`], and what [`Catalog::put_topic`] refuses.
    pub async fn create_topic(&self, spec: TopicSpec) -> Result<Arc<Topic>, CatalogError> {
        self.make_topic(spec, |topic, _| Err(CatalogError::TopicExists(topic.name.clone()))).await
    }

    /// Makes a topic, or makes the one that is there as `spec` says: queues are only added, a durability left open
    /// stays. Asking twice for the same changes nothing the second time.
    ///
    /// # Errors
    /// A name that cannot be a topic's, a number of queues that cannot be, [`CatalogError::Shrink`], or a durability
    /// that there is no store for.
    pub async fn put_topic(&self, spec: TopicSpec) -> Result<Arc<Topic>, CatalogError> {
        self.make_topic(spec, |topic, spec| self.turned(topic, spec.clone())).await
    }

    /// Changes a topic.
    ///
    /// # Errors
    /// [`CatalogError::TopicNotFound`], [`CatalogError::Attribute`], and what [`Catalog::put_topic`] refuses.
    pub async fn update_topic(
        &self,
        name: &TopicName,
        change: TopicChange,
    ) -> Result<Arc<Topic>, CatalogError> {
        self.check_name(name)?;
        let topic = self.swap(key::topic(name), |found: Option<&Topic>| {
            let topic = found.ok_or_else(|| CatalogError::TopicNotFound(name.clone()))?;
            let mut spec = topic.spec();
            spec.queues = change.queues.unwrap_or(spec.queues);
            spec.permission = change.permission.unwrap_or(spec.permission);
            change.attributes.iter().try_for_each(|change| spec.change(change))?;
            check(&spec)?;
            self.turned(topic, spec)
        });
        topic.await?.map(Arc::new).ok_or_else(|| CatalogError::TopicNotFound(name.clone()))
    }

    /// Makes or changes a topic as `decide` says of the one that is there, atomically: it is asked again where somebody
    /// was faster. The spec that it gives has this name.
    ///
    /// # Errors
    /// What `decide` refuses, and what [`Catalog::put_topic`] does.
    pub async fn set_topic<E: From<CatalogError>>(
        &self,
        name: &TopicName,
        mut decide: impl FnMut(Option<&Topic>) -> Result<TopicSpec, E>,
    ) -> Result<Arc<Topic>, E> {
        self.check_name(name)?;
        let uids = self.take_uids(u64::from(QUEUES_MAX)).await.map_err(CatalogError::from)?;
        let (cluster, now) = (self.cluster(), self.inner.env.now());
        let mut declined = None;
        let swapped = self.swap(key::topic(name), |found: Option<&Topic>| {
            let spec = decide(found).map_err(|why| {
                declined = Some(why);
                // Stands for `declined`, which the caller gets.
                CatalogError::Contended(key::topic(name))
            })?;
            check(&spec)?;
            match found {
                Some(topic) => self.turned(topic, spec),
                None => self.made(Topic::create(spec, &cluster, uids, now)),
            }
        });
        let topic = match (swapped.await, declined) {
            (_, Some(why)) => return Err(why),
            (swapped, None) => swapped?,
        };
        topic.map(Arc::new).ok_or_else(|| CatalogError::TopicNotFound(name.clone()).into())
    }

    /// Deletes a topic. What only it held is freed by the logs' owners. `newest` is when its newest message was stored;
    /// what is stored while the topic is deleted goes with it.
    ///
    /// # Errors
    /// [`CatalogError::TopicNotFound`], [`CatalogError::ImpliedTopic`], [`CatalogError::LockedUntil`].
    pub async fn delete_topic(
        &self,
        name: &TopicName,
        newest: Option<Timestamp>,
    ) -> Result<(), CatalogError> {
        self.check_name(name)?;
        let deleted = self.swap(key::topic(name), |found: Option<&Topic>| {
            let topic = found.ok_or_else(|| CatalogError::TopicNotFound(name.clone()))?;
            let until = topic.locked_until(newest);
            match until.filter(|until| self.inner.env.now() < *until) {
                Some(until) => Err(CatalogError::LockedUntil { name: name.clone(), until }),
                None => Ok(Wish::Delete),
            }
        });
        deleted.await.map(drop)
    }

    async fn make_topic(
        &self,
        spec: TopicSpec,
        there: impl Fn(&Topic, &TopicSpec) -> Result<Wish<Topic>, CatalogError>,
    ) -> Result<Arc<Topic>, CatalogError> {
        self.check_name(&spec.name)?;
        check(&spec)?;
        let uids = self.take_uids(u64::from(QUEUES_MAX)).await?;
        let new = Topic::create(spec.clone(), &self.cluster(), uids, self.inner.env.now());
        let topic = self.swap(key::topic(&spec.name), |found| match found {
            Some(topic) => there(topic, &spec),
            None => self.made(new.clone()),
        });
        topic.await?.map(Arc::new).ok_or_else(|| CatalogError::TopicNotFound(spec.name.clone()))
    }

    fn made(&self, topic: Topic) -> Result<Wish<Topic>, CatalogError> {
        self.check_locks(&topic)?;
        Ok(Wish::Put(topic))
    }

    fn turned(&self, topic: &Topic, spec: TopicSpec) -> Result<Wish<Topic>, CatalogError> {
        let changed = changed(topic, spec)?;
        if changed == *topic {
            return Ok(Wish::Keep);
        }
        if changed.retention() != topic.retention() {
            self.check_locks(&changed)?;
        }
        Ok(Wish::Put(changed))
    }

    /// A lock that the store does not keep would be a promise that nobody keeps.
    fn check_locks(&self, topic: &Topic) -> Result<(), CatalogError> {
        match topic.retention() {
            Retention::Locked(_) if !self.allows_locks() => {
                Err(CatalogError::NoLocks(topic.name.clone()))
            }
            Retention::Locked(_)
            | Retention::Forever
            | Retention::Age(_)
            | Retention::Size(_)
            | Retention::Compacted => Ok(()),
        }
    }

    pub(super) fn check_name(&self, name: &TopicName) -> Result<(), CatalogError> {
        if name.as_retry().is_some() || name.as_dead_letter().is_some() {
            return Err(CatalogError::ImpliedTopic(name.clone()));
        }
        if name.is_system(&self.cluster().name) {
            return Err(CatalogError::SystemTopic(name.clone()));
        }
        Ok(())
    }
}

fn check(spec: &TopicSpec) -> Result<(), CatalogError> {
    if !(1..=QUEUES_MAX).contains(&spec.queues) {
        return Err(CatalogError::Queues(spec.queues));
    }
    Ok(())
}

fn changed(topic: &Topic, spec: TopicSpec) -> Result<Topic, CatalogError> {
    let queues = topic.spec().queues;
    if spec.queues < queues {
        let (name, asked) = (topic.name.clone(), spec.queues);
        return Err(CatalogError::Shrink { name, queues, asked });
    }
    let changed = topic.changed(spec);
    if let Retention::Locked(period) = topic.retention()
        && !matches!(changed.retention(), Retention::Locked(longer) if longer >= period)
    {
        return Err(CatalogError::Locked {
            name: topic.name.clone(),
            retention: topic.retention(),
        });
    }
    Ok(changed)
}

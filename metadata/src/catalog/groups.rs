//! Changing groups.

use super::swap::Wish;
use super::{Catalog, CatalogError};
use crate::model::{Group, GroupSpec, REPLAYED_MAX, Topic, key};
use protocol::names::GroupName;
use std::collections::HashSet;
use std::sync::Arc;

impl Catalog {
    /// Makes a group, or makes the one that is there as `spec` says.
    ///
    /// # Errors
    /// A name that cannot be a group's; a retry policy or a number of attempts that cannot be.
    pub async fn put_group(&self, spec: GroupSpec) -> Result<Arc<Group>, CatalogError> {
        check(&spec)?;
        self.make_group(&spec, |group| {
            let changed = group.changed(spec.clone());
            if changed == *group { Wish::Keep } else { Wish::Put(changed) }
        })
        .await
    }

    /// Makes or changes a group as `decide` says of the one that is there, atomically: it is asked again where somebody
    /// was faster. The spec that it gives has this name.
    ///
    /// # Errors
    /// What `decide` refuses, and what [`Catalog::put_group`] does.
    pub async fn set_group<E: From<CatalogError>>(
        &self,
        name: &GroupName,
        mut decide: impl FnMut(Option<&Group>) -> Result<GroupSpec, E>,
    ) -> Result<Arc<Group>, E> {
        let uid = self.take_uids(1).await.map_err(CatalogError::from)?;
        let now = self.inner.env.now();
        let mut declined = None;
        let swapped = self.swap(key::group(name), |found: Option<&Group>| {
            let spec = decide(found).map_err(|why| {
                declined = Some(why);
                // Stands for `declined`, which the caller gets.
                CatalogError::Contended(key::group(name))
            })?;
            check(&spec)?;
            let group = match found {
                Some(group) => group.changed(spec),
                None => Group::create(spec, uid, now),
            };
            Ok(if found == Some(&group) { Wish::Keep } else { Wish::Put(group) })
        });
        let group = match (swapped.await, declined) {
            (_, Some(why)) => return Err(why),
            (swapped, None) => swapped?,
        };
        group.map(Arc::new).ok_or_else(|| CatalogError::GroupNotFound(name.clone()).into())
    }

    /// The group of this name, made with defaults if there is none. Costs nothing where the catalog shows it.
    ///
    /// # Errors
    /// As [`Catalog::put_group`].
    pub async fn ensure_group(&self, name: &GroupName) -> Result<Arc<Group>, CatalogError> {
        if let Some(group) = self.group(name.as_str()) {
            return Ok(group);
        }
        let spec = GroupSpec::new(name.clone());
        check(&spec)?;
        self.make_group(&spec, |_| Wish::Keep).await
    }

    /// The group, with queues for what is replayed to it on `topic`. Costs nothing where it has them.
    ///
    /// # Errors
    /// [`CatalogError::GroupNotFound`], [`CatalogError::TooManyReplayed`].
    pub async fn replay_to_group(
        &self,
        name: &GroupName,
        topic: &Topic,
    ) -> Result<Arc<Group>, CatalogError> {
        let shown = self.group(name.as_str()).filter(|group| !group.replayed(topic).is_empty());
        if let Some(group) = shown {
            return Ok(group);
        }
        let uid = self.take_uids(1).await?;
        let there: HashSet<u64> = self.topics().iter().map(|topic| topic.uid_base).collect();
        let group = self.swap(key::group(name), |found: Option<&Group>| {
            let found = found.ok_or_else(|| CatalogError::GroupNotFound(name.clone()))?;
            let mut group = found.with_replayed(topic, uid);
            if group == *found {
                return Ok(Wish::Keep);
            }
            // Of topics that were deleted there is nothing left to receive.
            group.replayed.retain(|one| one.topic == topic.uid_base || there.contains(&one.topic));
            if group.replayed.len() > REPLAYED_MAX {
                return Err(CatalogError::TooManyReplayed(name.clone()));
            }
            Ok(Wish::Put(group))
        });
        group.await?.map(Arc::new).ok_or_else(|| CatalogError::GroupNotFound(name.clone()))
    }

    /// Deletes a group, its offsets and its dead letters with it.
    ///
    /// # Errors
    /// [`CatalogError::GroupNotFound`].
    pub async fn delete_group(&self, name: &GroupName) -> Result<(), CatalogError> {
        let deleted = self.swap(key::group(name), |found: Option<&Group>| match found {
            Some(_) => Ok(Wish::Delete),
            None => Err(CatalogError::GroupNotFound(name.clone())),
        });
        deleted.await.map(drop)
    }

    async fn make_group(
        &self,
        spec: &GroupSpec,
        there: impl Fn(&Group) -> Wish<Group>,
    ) -> Result<Arc<Group>, CatalogError> {
        let uid = self.take_uids(1).await?;
        let new = Group::create(spec.clone(), uid, self.inner.env.now());
        let group = self.swap(key::group(&spec.name), |found| {
            Ok(found.map_or_else(|| Wish::Put(new.clone()), &there))
        });
        group.await?.map(Arc::new).ok_or_else(|| CatalogError::GroupNotFound(spec.name.clone()))
    }
}

fn check(spec: &GroupSpec) -> Result<(), CatalogError> {
    let name = || spec.name.clone();
    if spec.name.is_system() {
        return Err(CatalogError::SystemGroup(name()));
    }
    if !spec.retry.is_valid() {
        return Err(CatalogError::RetryPolicy(name()));
    }
    if spec.max_attempts == 0 {
        return Err(CatalogError::MaxAttempts(name()));
    }
    Ok(())
}

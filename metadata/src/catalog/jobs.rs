//! Making jobs, and changing them.

use super::swap::Wish;
use super::{Catalog, CatalogError};
use crate::model::{Job, JobName, JobSpec, JobState, Owner, Topic, key};
use std::sync::Arc;

/// The most jobs that the catalog remembers: the oldest that is over makes room for a new one.
pub const JOBS_MAX: usize = 1000;
/// The most jobs that are not over. Each changes its record once a second, of the 300 changes a second that a cluster
/// has.
pub const JOBS_RUNNING_MAX: usize = 32;

impl Catalog {
    /// The job of this name.
    pub fn job(&self, name: &str) -> Option<Arc<Job>> {
        self.snapshot().jobs.get(name).cloned()
    }

    /// Every job that is remembered, in the order of their making.
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        let mut jobs = self.snapshot().jobs.sorted();
        jobs.sort_by_key(|job| job.id);
        jobs
    }

    /// Makes a job, or gives the one that is there if it is for the same; whether it was made.
    ///
    /// # Errors
    /// [`CatalogError::JobExists`] where the name stands for something else, [`CatalogError::TooManyJobs`].
    pub async fn create_job(
        &self,
        name: &JobName,
        spec: &JobSpec,
        source: &Topic,
        runner: &Owner,
    ) -> Result<(Arc<Job>, bool), CatalogError> {
        if self.job(name.as_str()).is_none() {
            self.make_room_for_job().await?;
        }
        let (id, now) = (self.take_uids(1).await?, self.inner.env.now());
        let made = Job::create((name.clone(), id), spec.clone(), source, runner.clone(), now);
        let job = self.swap(key::job(name), |found: Option<&Job>| match found {
            Some(job) if job.spec == *spec && job.source_uid == source.uid_base => Ok(Wish::Keep),
            Some(_) => Err(CatalogError::JobExists(name.clone())),
            None => Ok(Wish::Put(made.clone())),
        });
        let job = job.await?.ok_or_else(|| CatalogError::JobNotFound(name.clone()))?;
        let is_new = job.id == id;
        Ok((Arc::new(job), is_new))
    }

    /// Changes a job as `decide` says of it, atomically: it is asked again where somebody was faster. What it leaves as
    /// it is costs no write.
    ///
    /// # Errors
    /// [`CatalogError::JobNotFound`], and what `decide` refuses.
    pub async fn update_job<E: From<CatalogError>>(
        &self,
        name: &JobName,
        mut decide: impl FnMut(&Job) -> Result<Job, E>,
    ) -> Result<Arc<Job>, E> {
        let now = self.inner.env.now();
        let mut declined = None;
        let swapped = self.swap(key::job(name), |found: Option<&Job>| {
            let found = found.ok_or_else(|| CatalogError::JobNotFound(name.clone()))?;
            let job = decide(found).map_err(|why| {
                declined = Some(why);
                // Stands for `declined`, which the caller gets.
                CatalogError::Contended(key::job(name))
            })?;
            if job == *found { Ok(Wish::Keep) } else { Ok(Wish::Put(Job { updated: now, ..job })) }
        });
        let job = match (swapped.await, declined) {
            (_, Some(why)) => return Err(why),
            (swapped, None) => swapped?,
        };
        job.map(Arc::new).ok_or_else(|| CatalogError::JobNotFound(name.clone()).into())
    }

    /// Forgets the oldest job that is over where as many as may be are remembered. The bounds hold for what the catalog
    /// shows: gateways that make jobs in the same moment may go past them by one each.
    async fn make_room_for_job(&self) -> Result<(), CatalogError> {
        let jobs = self.jobs();
        let is_over = |job: &&Arc<Job>| job.state.is_over();
        if jobs.iter().filter(|job| !is_over(job)).count() >= JOBS_RUNNING_MAX {
            return Err(CatalogError::TooManyJobs);
        }
        let too_many = (jobs.len() + 1).saturating_sub(JOBS_MAX);
        for job in jobs.iter().filter(is_over).take(too_many) {
            let forgotten = self.swap(key::job(&job.name), |found: Option<&Job>| {
                let same = |found: &Job| found.id == job.id && found.state.is_over();
                Ok(if found.is_some_and(same) { Wish::Delete } else { Wish::Keep })
            });
            forgotten.await?;
        }
        Ok(())
    }
}

impl Job {
    /// Whether it is at work, and this gateway's process does that.
    pub fn is_run_by(&self, runner: &Owner) -> bool {
        self.state == JobState::Running && self.runner == *runner
    }
}

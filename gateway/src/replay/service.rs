//! Jobs as fronts ask for them, and which of them this gateway runs.

use super::estimate::Estimate;
use super::refused::ReplayRefused;
use super::run;
use super::source::{Reading, Source, SourceRefused};
use crate::consume::Consume;
use crate::consume::filter::{Filter, FilterLanguage};
use crate::ownership::Owned;
use crate::produce::Produce;
use metadata::model::{
    Destination, GatewayRecord, Job, JobFilter, JobName, JobSpec, JobState, NEVER_OPENED, Owner,
    Topic, source_order,
};
use metadata::{Catalog, CatalogError};
use parking_lot::Mutex;
use protocol::names::TopicName;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use storage::env::{Crew, Env};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Dry runs that count at once.
const ESTIMATES_MAX: usize = 2;
/// How long one counts; shorter than clients have patience.
const ESTIMATE_TIME_MAX: Duration = Duration::from_secs(15);

static ESTIMATES: Semaphore = Semaphore::const_new(ESTIMATES_MAX);

/// Replays. Cheap to clone.
#[derive(Clone)]
pub struct Replays(Arc<Inner>);

pub(super) struct Inner {
    pub(super) env: Env,
    crew: Crew,
    /// Who sends: a thread of low priority must not hold a log that others wait for.
    pub(super) senders: Handle,
    pub(super) catalog: Catalog,
    pub(super) owned: Owned,
    pub(super) consume: Consume,
    pub(super) produce: Produce,
    pub(super) source: Arc<dyn Source>,
    pub(super) me: Owner,
    pub(super) stop: CancellationToken,
    /// Jobs at work here, by number.
    at_work: Mutex<HashSet<u64>>,
    /// Jobs that a later process of this gateway took from this one, and keeps.
    taken: Mutex<HashSet<u64>>,
    /// A job is no longer at work here.
    ended: Notify,
}

/// What replays stand on.
pub struct Parts {
    /// Clock and tasks.
    pub env: Env,
    /// Who does the work of jobs.
    pub crew: Crew,
    /// Jobs, topics, groups.
    pub catalog: Catalog,
    /// The logs here.
    pub owned: Owned,
    /// Where groups have their places.
    pub consume: Consume,
    /// The way of the copies.
    pub produce: Produce,
    /// The way of the originals.
    pub source: Arc<dyn Source>,
    /// This process.
    pub me: Owner,
    /// Cancelled when it is to stop.
    pub stop: CancellationToken,
}

impl Replays {
    /// Replays, none of them at work before [`Replays::follow`].
    ///
    /// # Panics
    /// Outside of a runtime, which is to do the sends.
    pub fn new(parts: Parts) -> Replays {
        let Parts { env, crew, catalog, owned, consume, produce, source, me, stop } = parts;
        let (at_work, taken, ended) = (Mutex::default(), Mutex::default(), Notify::new());
        Replays(Arc::new(Inner {
            env,
            crew,
            senders: Handle::current(),
            catalog,
            owned,
            consume,
            produce,
            source,
            me,
            stop,
            at_work,
            taken,
            ended,
        }))
    }

    /// Makes a job, to be run here; or gives the one that is there if it is for the same. Whether it was made.
    ///
    /// # Errors
    /// [`ReplayRefused`].
    pub async fn create(
        &self,
        name: &JobName,
        spec: &JobSpec,
    ) -> Result<(Arc<Job>, bool), ReplayRefused> {
        let (source, _) = self.check(spec)?;
        Ok(self.0.catalog.create_job(name, spec, &source, &self.0.me).await?)
    }

    /// What the job would read; writes nothing.
    ///
    /// # Errors
    /// [`ReplayRefused`].
    pub async fn estimate(&self, spec: &JobSpec) -> Result<Estimate, ReplayRefused> {
        let (source, filter) = self.check(spec)?;
        let _turn = ESTIMATES.try_acquire().map_err(|_| ReplayRefused::Busy)?;
        let Inner { env, source: messages, .. } = &*self.0;
        let (until, stop_at) =
            (spec.to.min(env.now()), env.monotonic().saturating_add(ESTIMATE_TIME_MAX));
        let is_late = || env.monotonic() >= stop_at;
        let slow = |_| SourceRefused::Unavailable("the object store does not answer".to_owned());
        let exact = spec.filter == JobFilter::All;
        let mut estimate = Estimate { exact, complete: true, ..Estimate::default() };
        for queue in source_order(&source).into_iter().filter(|queue| queue.uid != NEVER_OPENED) {
            if is_late() {
                return Ok(Estimate { complete: false, ..estimate });
            }
            let range = messages.range(queue, spec.from, until);
            let range = tokio::time::timeout(ESTIMATE_TIME_MAX, range).await.map_err(slow)??;
            let (mut from, end) = (range.start, range.end);
            while from < end {
                if is_late() {
                    return Ok(Estimate { complete: false, ..estimate });
                }
                let what = Reading { queue, from, end, filter: &filter, bytes_max: u64::MAX };
                let measured =
                    tokio::time::timeout(ESTIMATE_TIME_MAX, messages.measure(what)).await;
                let measured = measured.map_err(slow)??;
                estimate.messages += measured.messages;
                estimate.bytes += measured.bytes;
                estimate.gets += measured.gets;
                from = measured.next;
                // Others run meanwhile.
                tokio::task::yield_now().await;
            }
        }
        Ok(estimate)
    }

    /// Lets a job rest. What rests already does.
    ///
    /// # Errors
    /// [`ReplayRefused::Over`], [`ReplayRefused::Catalog`].
    pub async fn pause(&self, name: &JobName) -> Result<Arc<Job>, ReplayRefused> {
        self.tell(name, JobState::Paused).await
    }

    /// Lets a job go on where it was, here if nobody runs it.
    ///
    /// # Errors
    /// [`ReplayRefused::Over`], [`ReplayRefused::Catalog`].
    pub async fn resume(&self, name: &JobName) -> Result<Arc<Job>, ReplayRefused> {
        self.tell(name, JobState::Running).await
    }

    /// Ends a job. What it wrote stays. Of a job that is over nothing happens.
    ///
    /// # Errors
    /// [`ReplayRefused::Catalog`].
    pub async fn cancel(&self, name: &JobName) -> Result<Arc<Job>, ReplayRefused> {
        let decide = |job: &Job| -> Result<Job, CatalogError> {
            let state = if job.state.is_over() { job.state.clone() } else { JobState::Cancelled };
            Ok(Job { state, ..job.clone() })
        };
        Ok(self.0.catalog.update_job(name, decide).await?)
    }

    async fn tell(&self, name: &JobName, state: JobState) -> Result<Arc<Job>, ReplayRefused> {
        let decide = |job: &Job| {
            if job.state.is_over() {
                let (name, state) = (job.name.clone(), job.state.as_str());
                return Err(ReplayRefused::Over { name, state });
            }
            Ok(Job { state: state.clone(), ..job.clone() })
        };
        self.0.catalog.update_job(name, decide).await
    }

    /// Jobs at work here.
    pub fn at_work(&self) -> usize {
        self.0.at_work.lock().len()
    }

    /// Runs the jobs that are this gateway's until it stops; ends when all of them have recorded how far they are.
    pub async fn follow(self) {
        let inner = &self.0;
        let (mut changed, tracker) = (inner.catalog.changed(), TaskTracker::new());
        loop {
            inner.begin_all(&tracker);
            // All branches are cancel safe.
            let goes_on = tokio::select! {
                () = inner.stop.cancelled() => false,
                changed = changed.changed() => changed.is_ok(),
                () = inner.ended.notified() => true,
            };
            if !goes_on {
                break;
            }
        }
        tracker.close();
        tracker.wait().await;
    }

    /// The source, and its filter read, of a job that can be.
    fn check(&self, spec: &JobSpec) -> Result<(Arc<Topic>, Filter), ReplayRefused> {
        let catalog = &self.0.catalog;
        let resolved = |name: &TopicName, missing: fn(TopicName) -> ReplayRefused| {
            let topic = catalog.resolve(name).ok_or_else(|| missing(name.clone()))?;
            let is_empty = name.as_retry().is_some();
            if is_empty { Err(ReplayRefused::Empty(name.clone())) } else { Ok(topic) }
        };
        let source = resolved(&spec.source, ReplayRefused::NoSource)?;
        match &spec.into {
            Destination::Topic(name) => {
                let topic = resolved(name, ReplayRefused::NoTopic)?;
                if !topic.permission.write {
                    return Err(ReplayRefused::NotWritable(name.clone()));
                }
            }
            Destination::Group(name) => {
                let group = catalog.group(name.as_str());
                group.ok_or_else(|| ReplayRefused::NoGroup(name.clone()))?;
            }
            Destination::Origin if spec.source.as_dead_letter().is_none() => {
                return Err(ReplayRefused::NoOrigin(spec.source.clone()));
            }
            Destination::Origin => {}
        }
        if spec.from >= spec.to {
            let (from_ms, to_ms) = (spec.from.0, spec.to.0);
            return Err(ReplayRefused::EmptyRange { from_ms, to_ms });
        }
        if spec.from > self.0.env.now() {
            return Err(ReplayRefused::Ahead);
        }
        if spec.limits.messages == Some(0) || spec.limits.bytes == Some(0) {
            return Err(ReplayRefused::NoRate);
        }
        let filter = match &spec.filter {
            JobFilter::Tags(expression) => Filter::parse(FilterLanguage::Tag, expression)?,
            JobFilter::Key(key) if key.is_empty() => return Err(ReplayRefused::NoKey),
            JobFilter::All | JobFilter::Key(_) => Filter::All,
        };
        Ok((source, filter))
    }
}

impl Inner {
    /// Begins every job that is to be run here and is not.
    fn begin_all(self: &Arc<Self>, tracker: &TaskTracker) {
        let jobs = self.catalog.jobs();
        // As few as the catalog remembers.
        self.taken.lock().retain(|id| jobs.iter().any(|job| job.id == *id));
        for job in jobs {
            if job.state == JobState::Running
                && self.is_ours(&job)
                && self.at_work.lock().insert(job.id)
            {
                let inner = Arc::clone(self);
                let work = async move {
                    let id = job.id;
                    inner.run(job).await;
                    inner.at_work.lock().remove(&id);
                    inner.ended.notify_one();
                };
                self.crew.handle().spawn(tracker.track_future(work));
            }
        }
    }

    /// Another process has the job now.
    pub(super) fn was_taken(&self, id: u64) {
        self.taken.lock().insert(id);
    }

    /// Whether the job is this gateway's, of this start or one before; or of a gateway that is gone.
    fn is_ours(&self, job: &Job) -> bool {
        if job.runner == self.me {
            return true;
        }
        if job.runner.gateway == self.me.gateway {
            return !self.taken.lock().contains(&job.id);
        }
        let is_runner = |gateway: &Arc<GatewayRecord>| {
            gateway.id == job.runner.gateway && gateway.incarnation == job.runner.incarnation
        };
        !self.catalog.gateways().iter().any(is_runner)
    }

    /// Takes the job over, unless somebody else was faster, and runs it.
    async fn run(self: &Arc<Self>, seen: Arc<Job>) {
        let take = |job: &Job| -> Result<Job, CatalogError> {
            let same = job.id == seen.id && job.runner == seen.runner;
            let runner = if same { self.me.clone() } else { job.runner.clone() };
            Ok(Job { runner, ..job.clone() })
        };
        match self.catalog.update_job(&seen.name, take).await {
            Ok(job) if job.id == seen.id && job.is_run_by(&self.me) => run::run(self, job).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, replay = %seen.name, "replay not taken over");
                self.env.sleep(run::REST).await;
            }
        }
    }
}

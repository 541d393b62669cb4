//! One job at work on this gateway: does what [`Replay`] decides.

use super::copy;
use super::service::Inner;
use super::source::{Page, Reading, SourceRefused};
use super::state::{Bounds, Got, Item, Replay, Step, Wrote};
use super::target::{Gone, NoTarget, Target, is_gone};
use crate::consume::filter::{Filter, FilterLanguage};
use crate::produce::{Outgoing, SendRefused};
use metadata::CatalogError;
use metadata::model::{Job, JobFilter, JobProgress, JobState, Topic, TopicQueue, source_order};
use protocol::stored;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use storage::format::QueueOffset;

/// A job that waits looks this often whether it was told something.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What may be asked again is asked after this long.
pub(super) const REST: Duration = Duration::from_millis(500);

/// Why a job is no longer at work here.
enum Ended {
    /// Everything is written.
    Done,
    /// It cannot go on.
    Failed(String),
    /// It was paused or cancelled, another process has it, or this gateway stops: how far it is gets recorded, where
    /// it is still this one's.
    Told,
    /// Nobody knows what came of the last writes: the record stays.
    Lost,
}

/// A record that is not this process's to change.
enum NotRecorded {
    Taken,
    Catalog(CatalogError),
}

impl From<CatalogError> for NotRecorded {
    fn from(error: CatalogError) -> NotRecorded {
        NotRecorded::Catalog(error)
    }
}

/// The topic that the job reads, in the incarnation that it was made for.
fn source(inner: &Inner, job: &Job) -> Result<Arc<Topic>, String> {
    let source = inner.catalog.resolve(&job.spec.source);
    let source = source.filter(|source| source.uid_base == job.source_uid);
    source.ok_or_else(|| format!("topic {} does not exist any more", job.spec.source))
}

/// What a run looks up once.
struct Run {
    inner: Arc<Inner>,
    job: Arc<Job>,
    queues: Vec<TopicQueue>,
    filter: Filter,
}

/// Runs a job that names this process, until it is over, or was told to end.
pub(super) async fn run(inner: &Arc<Inner>, job: Arc<Job>) {
    let (name, id) = (job.name.clone(), job.id);
    tracing::info!(replay = %name, id, "replay at work");
    let (progress, ended) = match Run::prepare(inner, &job) {
        Ok(run) => run.drive().await,
        Err(why) => (job.progress.clone(), Ended::Failed(why)),
    };
    let state = match ended {
        Ended::Done => Some(JobState::Done),
        Ended::Failed(why) => {
            tracing::warn!(replay = %name, id, why, "replay failed");
            Some(JobState::failed(&why))
        }
        Ended::Told => None,
        Ended::Lost => return inner.env.sleep(REST).await,
    };
    match record(inner, &job, &progress, state).await {
        Ok(()) => tracing::info!(replay = %name, id, "replay no longer at work here"),
        Err(NotRecorded::Taken) => {
            inner.was_taken(id);
            tracing::info!(replay = %name, id, "replay is run elsewhere");
        }
        Err(NotRecorded::Catalog(error)) => {
            tracing::warn!(%error, replay = %name, id, "how far the replay is was not recorded");
        }
    }
}

/// Writes how far the job is, and what becomes of it where it is still at work.
async fn record(
    inner: &Inner,
    job: &Job,
    progress: &JobProgress,
    state: Option<JobState>,
) -> Result<(), NotRecorded> {
    let decide = |found: &Job| {
        if found.id != job.id || found.runner != inner.me {
            return Err(NotRecorded::Taken);
        }
        let mut job = Job { progress: progress.clone(), ..found.clone() };
        if let (JobState::Running, Some(state)) = (&found.state, &state) {
            job.state = state.clone();
        }
        Ok(job)
    };
    inner.catalog.update_job(&job.name, decide).await.map(drop)
}

impl Run {
    /// What the job needs, or why it cannot go on.
    fn prepare(inner: &Arc<Inner>, job: &Arc<Job>) -> Result<Run, String> {
        let source = source(inner, job)?;
        let filter = match &job.spec.filter {
            JobFilter::Tags(expression) => Filter::parse(FilterLanguage::Tag, expression),
            JobFilter::All | JobFilter::Key(_) => Ok(Filter::All),
        };
        let filter = filter.map_err(|refused| refused.to_string())?;
        let (inner, job, queues) = (Arc::clone(inner), Arc::clone(job), source_order(&source));
        Ok(Run { inner, job, queues, filter })
    }

    /// How far it is in the end, and how it ended.
    async fn drive(self) -> (JobProgress, Ended) {
        let Inner { env, catalog, owned, consume, .. } = &*self.inner;
        let (job, limits) = (&self.job, self.job.spec.limits);
        let (progress, now) = (&job.progress, env.monotonic());
        let mut machine = Replay::resume(progress, job.queues, limits, Bounds::STANDARD, now);
        let queues = self.queues.clone();
        let mut target = Target::new((catalog, owned, consume), Arc::clone(job), queues);
        let ended = loop {
            if !self.is_wanted() {
                break Ended::Told;
            }
            // Of a topic that is gone nothing is read, which must not look like its end.
            if let Err(why) = source(&self.inner, job) {
                break Ended::Failed(why);
            }
            let step = machine.next(env.monotonic());
            if step == Step::End {
                break Ended::Done;
            }
            // What a write that did not end leaves in doubt is behind the last checkpoint.
            let recorded = machine.progress(env.monotonic());
            let is_write = matches!(step, Step::Write(_));
            if let Err(ended) = self.take(&mut machine, &mut target, step).await {
                if is_write {
                    return (recorded, ended);
                }
                break ended;
            }
        };
        (machine.progress(env.monotonic()), ended)
    }

    /// Whether the record still says that this process shall run it.
    fn is_wanted(&self) -> bool {
        let shown = self.inner.catalog.job(self.job.name.as_str());
        let same = |job: Arc<Job>| job.id == self.job.id && job.is_run_by(&self.inner.me);
        shown.is_some_and(same) && !self.inner.stop.is_cancelled()
    }

    async fn take(
        &self,
        machine: &mut Replay,
        target: &mut Target,
        step: Step,
    ) -> Result<(), Ended> {
        let env = &self.inner.env;
        match step {
            Step::Range(queue) => {
                let range = self.range(queue).await?;
                machine.ranged(queue, range);
            }
            Step::Read { queue, from, end, bytes_max } => {
                let page = self.read(queue, from..end, bytes_max).await?;
                machine.read(env.monotonic(), queue, self.got(queue, page));
            }
            Step::Write(batch) => machine.written(self.write(target, batch).await?),
            Step::Record => {
                let progress = machine.progress(env.monotonic());
                match record(&self.inner, &self.job, &progress, None).await {
                    Ok(()) => machine.recorded(env.monotonic()),
                    Err(NotRecorded::Taken) => return Err(Ended::Told),
                    Err(NotRecorded::Catalog(error)) => {
                        tracing::warn!(%error, replay = %self.job.name, "not recorded, once more");
                        machine.not_recorded(env.monotonic());
                    }
                }
            }
            Step::Wait(wait) => self.rest(wait).await,
            Step::End => {}
        }
        Ok(())
    }

    async fn rest(&self, wait: Duration) {
        // Both branches are cancel safe.
        tokio::select! {
            () = self.inner.stop.cancelled() => {}
            () = self.inner.env.sleep(wait.min(LOOK_EVERY)) => {}
        }
    }

    fn queue(&self, number: u32) -> Result<TopicQueue, Ended> {
        let queue = usize::try_from(number).ok().and_then(|number| self.queues.get(number));
        queue.copied().ok_or_else(|| Ended::Failed(format!("there is no queue {number}")))
    }

    async fn range(&self, queue: u32) -> Result<Range<QueueOffset>, Ended> {
        let (queue, job) = (self.queue(queue)?, &self.job);
        loop {
            match self.inner.source.range(queue, job.spec.from, job.until).await {
                Ok(range) => return Ok(range),
                Err(refused) => self.wait_for_source(refused).await?,
            }
        }
    }

    async fn read(
        &self,
        queue: u32,
        Range { start: from, end }: Range<QueueOffset>,
        bytes_max: u64,
    ) -> Result<Page, Ended> {
        let queue = self.queue(queue)?;
        loop {
            let what = Reading { queue, from, end, filter: &self.filter, bytes_max };
            match self.inner.source.read(what).await {
                Ok(page) if page.next > from => return Ok(page),
                Ok(_) => {
                    let (pg, id, offset) = (queue.pg, queue.id, from.0);
                    let why =
                        format!("queue {id} of placement group {pg} has no way on at {offset}");
                    return Err(Ended::Failed(why));
                }
                Err(refused) => self.wait_for_source(refused).await?,
            }
        }
    }

    async fn wait_for_source(&self, refused: SourceRefused) -> Result<(), Ended> {
        match refused {
            SourceRefused::Broken(why) => return Err(Ended::Failed(why)),
            SourceRefused::NotServedHere(_) | SourceRefused::Unavailable(_) => {
                tracing::debug!(%refused, replay = %self.job.name, "replay waits for its source");
            }
        }
        self.rest(REST).await;
        if self.is_wanted() { Ok(()) } else { Err(Ended::Told) }
    }

    /// What is wanted of a page.
    fn got(&self, queue: u32, page: Page) -> Got {
        let mut got = Got { next: page.next, gets: page.gets, ..Got::default() };
        for one in page.messages {
            let bytes = one.record.len() as u64;
            (got.messages, got.bytes) = (got.messages + 1, got.bytes + bytes);
            match stored::decode(one.record) {
                Ok(message) if copy::is_wanted(&self.job.spec.filter, &self.filter, &message) => {
                    let (offset, stored_at) = (one.offset, one.stored_at);
                    got.items.push(Item { queue, offset, stored_at, bytes, message });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, offset = one.offset.0, "a stored message cannot be read");
                    got.left_out += 1;
                }
            }
        }
        got
    }

    /// Writes a batch, its queues side by side, and waits until all of it is as durable as its topic.
    async fn write(&self, target: &mut Target, batch: Vec<Item>) -> Result<Wrote, Ended> {
        let (messages, bytes) = (batch.len() as u64, batch.iter().map(|item| item.bytes).sum());
        let (parcels, mut left_out) = loop {
            match target.parcels(batch.clone()).await {
                Ok(parcels) => break parcels,
                Err(
                    refused @ (NoTarget::Place(_)
                    | NoTarget::Catalog(
                        CatalogError::Store(_) | CatalogError::Contended(_),
                    )),
                ) => {
                    tracing::debug!(%refused, replay = %self.job.name, "replay waits for its group");
                    self.rest(REST).await;
                    if !self.is_wanted() {
                        return Err(Ended::Told);
                    }
                }
                Err(no @ (NoTarget::Topic(_) | NoTarget::Catalog(_))) => {
                    return Err(Ended::Failed(no.to_string()));
                }
            }
        };
        // By themselves, so that each waits for its own log.
        let mut sends = tokio::task::JoinSet::new();
        for (topic, messages) in parcels.into_values() {
            let run = Sending { inner: Arc::clone(&self.inner), job: Arc::clone(&self.job) };
            sends.spawn_on(async move { run.send(topic, messages).await }, &self.inner.senders);
        }
        let mut outcome = Ok(());
        while let Some(sent) = sends.join_next().await {
            match sent.unwrap_or_else(|error| Err(Ended::Failed(error.to_string()))) {
                Ok(unsent) => left_out += unsent,
                Err(ended) => outcome = Err(ended),
            }
        }
        outcome.map(|()| Wrote { messages: messages - left_out, bytes, left_out })
    }
}

/// What a send needs.
struct Sending {
    inner: Arc<Inner>,
    job: Arc<Job>,
}

impl Sending {
    /// Until it is sent: what has no room, or is not served for the moment, waits. How many messages nowhere takes.
    async fn send(&self, topic: Arc<Topic>, messages: Vec<Outgoing>) -> Result<u64, Ended> {
        loop {
            let refused = match self.inner.produce.send(&topic, messages.clone()).await {
                Ok(_) => return Ok(0),
                Err(refused) => refused,
            };
            match refused {
                SendRefused::Full { .. }
                | SendRefused::IndexFull { .. }
                | SendRefused::DiskFull
                | SendRefused::Busy
                | SendRefused::NotServedHere(_) => {
                    tracing::debug!(%refused, replay = %self.job.name, "replay waits for room");
                }
                SendRefused::Moved | SendRefused::OutcomeUnknown => return Err(Ended::Lost),
                SendRefused::NoMessage
                | SendRefused::Message(_)
                | SendRefused::Kind(_)
                | SendRefused::NoWritableQueue
                | SendRefused::Unstorable(_)
                | SendRefused::TooLarge { .. } => return Err(Ended::Failed(refused.to_string())),
            }
            match is_gone(&self.inner.catalog, &self.job, &topic) {
                None => {}
                Some(Gone::Topic) => return Ok(messages.len() as u64),
                Some(Gone::All(why)) => return Err(Ended::Failed(why)),
            }
            self.inner.env.sleep(REST).await;
            let shown = self.inner.catalog.job(self.job.name.as_str());
            let goes_on = shown.is_some_and(|job| job.is_run_by(&self.inner.me));
            if !goes_on || self.inner.stop.is_cancelled() {
                return Err(Ended::Told);
            }
        }
    }
}

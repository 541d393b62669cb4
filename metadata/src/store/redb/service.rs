//! The thread that has the file, and the handle to it.

use super::batch::{Batch, HistoryLimit, State};
use super::table::{META, META_REVISION};
use super::watch::RedbWatch;
use crate::store::{
    Applied, Error, Future, KeyValue, LeaseId, MetadataStore, Range, Revision, Txn, TxnOutcome,
    Watch,
};
use redb::{Database, DatabaseError};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use storage::env::Env;
use tokio::sync::{oneshot, watch};

/// Requests that may wait; more are refused as busy.
const WAITING_MAX: usize = 4096;
/// Requests that share one commit.
const BATCH_MAX: usize = 256;

/// Where the file is and how much of the past it keeps.
#[derive(Clone, Debug)]
pub struct RedbConfig {
    /// The file. Its folder exists.
    pub path: PathBuf,
    /// Transactions that a watch can be told after the fact; at least 1 is kept.
    pub history: usize,
    /// Bytes of such transactions.
    pub history_bytes: u64,
}

impl RedbConfig {
    /// 10,000 transactions or 64 MiB of history: hours of metadata changes.
    pub fn at(path: impl Into<PathBuf>) -> RedbConfig {
        RedbConfig { path: path.into(), history: 10_000, history_bytes: 64 << 20 }
    }
}

/// The embedded metadata store. Cheap to clone. It ends with its last handle and watch, or when it is closed.
#[derive(Clone)]
pub struct RedbStore {
    orders: SyncSender<Order>,
    revision: watch::Receiver<Revision>,
}

enum Order {
    Job(Job),
    Close(oneshot::Sender<()>),
}

/// Works in the batch, or is told that the store has failed; hands back how to answer once the commit is through.
type Job = Box<dyn FnOnce(Result<&mut Batch<'_>, &Failure>) -> Done + Send>;

/// Sends the result, or the failure of the commit instead.
type Answer = Box<dyn FnOnce(Option<&Failure>) + Send>;

struct Done {
    answer: Answer,
    /// The file failed; the batch must not be committed.
    failed: Option<Failure>,
}

/// Why nothing more is taken.
#[derive(Clone)]
struct Failure {
    applied: Applied,
    cause: Arc<dyn std::error::Error + Send + Sync>,
}

impl RedbStore {
    /// Opens or makes the store in the file `path`, whose folder exists, and starts its thread. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Locked`] when it is open already, [`Error::Broken`] when the file cannot be read or made.
    pub fn open(path: &Path, env: Env) -> Result<RedbStore, Error> {
        RedbStore::open_with(RedbConfig::at(path), env)
    }

    /// [`RedbStore::open`] with other bounds of history.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_with(config: RedbConfig, env: Env) -> Result<RedbStore, Error> {
        let database = Database::create(&config.path).map_err(|error| {
            if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
                return Error::Locked(config.path.display().to_string());
            }
            not_opened(error.into())
        })?;
        sync_folder(&config.path).map_err(|error| not_opened(error.into()))?;
        RedbStore::over(database, &config, env)
    }

    /// Makes a store in the file `path`, which is not there, whose first change gets a revision after `before`: it
    /// takes the place of one that was lost, and no revision is ever given out twice.
    ///
    /// # Errors
    /// [`Error::Broken`] when the file cannot be made.
    pub fn begin(path: &Path, before: Revision, env: Env) -> Result<RedbStore, Error> {
        let config = RedbConfig::at(path);
        let database = Database::create(path).map_err(|error| not_opened(error.into()))?;
        set_revision(&database, before).map_err(not_opened)?;
        sync_folder(path).map_err(|error| not_opened(error.into()))?;
        RedbStore::over(database, &config, env)
    }

    /// Starts the thread that has `database`.
    pub(super) fn over(
        database: Database,
        config: &RedbConfig,
        env: Env,
    ) -> Result<RedbStore, Error> {
        let state = load(&database, env.monotonic()).map_err(not_opened)?;
        let (orders, inbox) = sync_channel(WAITING_MAX);
        let (revised, revision) = watch::channel(Revision(state.revision));
        let limit = HistoryLimit { transactions: config.history, bytes: config.history_bytes };
        let worker = Worker { database, state, limit, env: env.clone(), revised, failure: None };
        env.thread("metadata", move || worker.run(&inbox))
            .map_err(|error| not_opened(error.into()))?;
        Ok(RedbStore { orders, revision })
    }

    async fn finish(&self) {
        let (closed, done) = oneshot::channel();
        let mut order = Order::Close(closed);
        // A full queue is short: the thread takes hundreds at a time.
        while let Err(TrySendError::Full(back)) = self.orders.try_send(order) {
            order = back;
            tokio::task::yield_now().await;
        }
        // An error says that it is closed already.
        let _ = done.await;
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, answer) = oneshot::channel();
        let job: Job = Box::new(move |batch| match batch {
            Ok(batch) => Done::new(work(batch), sender),
            Err(failure) => Done::new(Err(failure.to_error()), sender),
        });
        match self.orders.try_send(Order::Job(job)) {
            Ok(()) => answer.await.unwrap_or(Err(Error::Closed { applied: Applied::Unknown })),
            Err(TrySendError::Full(_)) => Err(Error::Busy { waiting: WAITING_MAX }),
            Err(TrySendError::Disconnected(_)) => Err(Error::Closed { applied: Applied::No }),
        }
    }
}

impl MetadataStore for RedbStore {
    fn get<'a>(&'a self, key: &'a str) -> Future<'a, Result<Option<KeyValue>, Error>> {
        let key = key.to_owned();
        Box::pin(self.ask(move |batch| batch.get(&key)))
    }

    fn range<'a>(&'a self, prefix: &'a str) -> Future<'a, Result<Range, Error>> {
        let prefix = prefix.to_owned();
        Box::pin(self.ask(move |batch| batch.range(&prefix)))
    }

    fn txn(&self, txn: Txn) -> Future<'_, Result<TxnOutcome, Error>> {
        Box::pin(self.ask(move |batch| batch.txn(txn)))
    }

    fn grant(&self, ttl: Duration) -> Future<'_, Result<LeaseId, Error>> {
        Box::pin(self.ask(move |batch| batch.grant(ttl)))
    }

    fn keepalive(&self, lease: LeaseId) -> Future<'_, Result<(), Error>> {
        Box::pin(self.ask(move |batch| batch.keepalive(lease)))
    }

    fn revoke(&self, lease: LeaseId) -> Future<'_, Result<(), Error>> {
        Box::pin(self.ask(move |batch| batch.revoke(lease)))
    }

    fn watch(&self, prefix: &str, from: Revision) -> Box<dyn Watch> {
        Box::new(RedbWatch::new(self.clone(), self.revision.clone(), prefix, from))
    }

    fn close(&self) -> Future<'_, ()> {
        Box::pin(self.finish())
    }
}

impl Done {
    fn new<T: Send + 'static>(
        result: Result<T, Error>,
        sender: oneshot::Sender<Result<T, Error>>,
    ) -> Done {
        let (result, failed) = match result {
            Err(Error::Broken { applied, source }) => {
                let failure = Failure { applied, cause: source.into() };
                (Err(failure.to_error()), Some(failure))
            }
            Ok(_) | Err(_) => (result, None),
        };
        let answer = move |failure: Option<&Failure>| {
            // Nobody may be waiting any more.
            let _ = sender.send(failure.map_or(result, |failure| Err(failure.to_error())));
        };
        Done { answer: Box::new(answer), failed }
    }
}

impl Failure {
    fn new(applied: Applied, cause: impl Into<redb::Error>) -> Failure {
        Failure { applied, cause: Arc::new(cause.into()) }
    }

    fn of(error: Error) -> Failure {
        let applied = error.applied();
        Failure { applied, cause: Arc::new(error) }
    }

    fn to_error(&self) -> Error {
        Error::Broken { applied: self.applied, source: Box::new(self.cause.clone()) }
    }
}

/// What the thread has.
struct Worker {
    database: Database,
    state: State,
    limit: HistoryLimit,
    env: Env,
    revised: watch::Sender<Revision>,
    failure: Option<Failure>,
}

impl Worker {
    /// Until it is told to close, or nobody has a handle.
    fn run(mut self, inbox: &Receiver<Order>) {
        while let Some((jobs, close)) = self.collect(inbox) {
            self.work(jobs);
            if let Some(closed) = close {
                drop(self);
                // Nobody may be waiting any more.
                let _ = closed.send(());
                return;
            }
        }
    }

    /// Waits for an order or for a lease to end; takes what else is there, up to a close.
    fn collect(&self, inbox: &Receiver<Order>) -> Option<(Vec<Job>, Option<oneshot::Sender<()>>)> {
        let mut jobs = Vec::new();
        let deadline = self.state.next_deadline().filter(|_| self.failure.is_none());
        let first = match deadline {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_sub(self.env.monotonic())),
        };
        let mut next = match first {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        while let Some(order) = next {
            match order {
                Order::Job(job) => jobs.push(job),
                Order::Close(closed) => return Some((jobs, Some(closed))),
            }
            next = if jobs.len() < BATCH_MAX { inbox.try_recv().ok() } else { None };
        }
        Some((jobs, None))
    }

    /// One transaction for all jobs. They are answered when it is durable; watches are told before that.
    fn work(&mut self, jobs: Vec<Job>) {
        let mut done = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        let result = match self.failure.clone() {
            Some(failure) => Err(failure),
            None => self.batch(&mut jobs, &mut done),
        };
        match &result {
            Ok(()) => {
                let revision = Revision(self.state.revision);
                self.revised.send_if_modified(|told| std::mem::replace(told, revision) != revision);
            }
            Err(failure) => {
                done.extend(jobs.map(|job| job(Err(failure))));
                self.fail(failure);
            }
        }
        for done in done {
            (done.answer)(result.as_ref().err());
        }
    }

    fn batch(
        &mut self,
        jobs: &mut std::vec::IntoIter<Job>,
        done: &mut Vec<Done>,
    ) -> Result<(), Failure> {
        let not_applied = |cause: redb::Error| Failure::new(Applied::No, cause);
        let now = self.env.monotonic();
        let txn = self.database.begin_write().map_err(|error| not_applied(error.into()))?;
        let changed = {
            let batch = Batch::open(&txn, &mut self.state, self.limit, now);
            let mut batch = batch.map_err(not_applied)?;
            batch.expire().map_err(Failure::of)?;
            done.extend(jobs.map(|job| job(Ok(&mut batch))));
            match done.iter_mut().find_map(|done| done.failed.take()) {
                Some(failure) => return Err(failure),
                None => batch.finish().map_err(not_applied)?,
            }
        };
        if changed {
            txn.commit().map_err(|error| Failure::new(Applied::Unknown, error))
        } else {
            txn.abort().map_err(|error| not_applied(error.into()))
        }
    }

    /// From now on nothing is taken.
    fn fail(&mut self, failure: &Failure) {
        if self.failure.is_none() {
            tracing::error!(cause = %failure.cause, "metadata store failed");
            self.failure = Some(Failure { applied: Applied::No, ..failure.clone() });
        }
    }
}

fn not_opened(cause: redb::Error) -> Error {
    Failure::new(Applied::No, cause).to_error()
}

fn load(database: &Database, now: Duration) -> Result<State, redb::Error> {
    let txn = database.begin_write()?;
    let state = State::load(&txn, now)?;
    txn.commit()?;
    Ok(state)
}

fn set_revision(database: &Database, revision: Revision) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    txn.open_table(META)?.insert(META_REVISION, revision.0)?;
    Ok(txn.commit()?)
}

/// A new file is durable when its folder says so.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

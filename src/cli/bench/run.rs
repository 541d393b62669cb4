//! A run: threads that share nothing but counts, a pacer that says when requests are due, and one
//! who watches, tells the progress and ends it.
//!
//! ```text
//! pacer ──permits──► senders (in-flight limit) ──► connections ──► broker
//!                                                  receivers   ◄──┘
//! watcher: progress line every second; ends the run in time
//! ```
//!
//! Each thread has a runtime of its own for its share of the connections: no work moves between
//! cores, and a sender that has its answer goes on where the answer arrived.

use super::options::{Common, Receiving, Sending};
use super::schedule::Schedule;
use super::tally::{Running, Series};
use super::workload::Kitchen;
use super::{progress::Progress, receive, send, session};
use crate::cli::failure::Failure;
use client::Config;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use storage::env::Env;
use tokio::sync::{Semaphore, mpsc, watch};

/// How long requests that were due may be answered after the end, and messages that were sent may
/// be received.
const DRAIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A pacer that slept less would cost more than it delivers; what comes due meanwhile goes together,
/// each with its own moment.
const PACER_SLEEP_MIN: Duration = Duration::from_micros(50);
/// Between being ready and the first moment.
const LEAD: Duration = Duration::from_millis(5);

/// A sender's share of the plan.
pub(super) struct SendPlan {
    pub(super) options: Sending,
    /// `None` for a closed loop.
    pub(super) schedule: Option<Schedule>,
    pub(super) kitchen: Kitchen,
}

/// A receiver's share.
pub(super) struct ReceivePlan {
    pub(super) options: Receiving,
    /// End when so many were received.
    pub(super) target: Option<u64>,
}

/// What is to be done.
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) config: Config,
    pub(super) common: Common,
    pub(super) send: Option<SendPlan>,
    pub(super) receive: Option<ReceivePlan>,
    /// Of this run's bodies.
    pub(super) mark: u64,
    pub(super) quiet: bool,
}

/// The measured series; those that have nothing are not reported.
pub(super) struct Record {
    pub(super) send: Series,
    pub(super) receive: Series,
    pub(super) ack: Series,
    pub(super) end_to_end: Series,
    /// Requests that were due and never sent.
    pub(super) unserved: u64,
    /// Messages that came more than once.
    pub(super) redelivered: u64,
}

/// What the threads share.
pub(super) struct Run {
    pub(super) env: Env,
    pub(super) plan: Plan,
    pub(super) sent: Running,
    pub(super) received: Running,
    /// Messages of this run that came for the first time.
    pub(super) arrived: Running,
    pub(super) record: Mutex<Record>,
    pub(super) stop: watch::Sender<bool>,
    start: watch::Sender<Option<Duration>>,
    due: Semaphore,
    schedule: Mutex<Option<std::iter::Take<Schedule>>>,
    claimed: Mutex<u64>,
    senders: AtomicUsize,
}

/// What a thread tells the watcher.
enum News {
    Ready,
    Done(Result<(), Failure>),
}

impl Run {
    fn new(env: Env, plan: Plan) -> Run {
        let schedule = plan.send.as_ref().and_then(|send| send.schedule.clone());
        let batch = plan.send.as_ref().map_or(1, |send| u64::from(send.options.batch));
        let requests = plan.common.messages.map_or(u64::MAX, |messages| messages.div_ceil(batch));
        let requests = usize::try_from(requests).unwrap_or(usize::MAX);
        let senders = plan.send.as_ref().map_or(0, |send| usize::from(send.options.in_flight));
        Run {
            env,
            plan,
            sent: Running::default(),
            received: Running::default(),
            arrived: Running::default(),
            record: Mutex::new(Record {
                send: Series::new(),
                receive: Series::new(),
                ack: Series::new(),
                end_to_end: Series::new(),
                unserved: 0,
                redelivered: 0,
            }),
            stop: watch::Sender::new(false),
            start: watch::Sender::new(None),
            due: Semaphore::new(0),
            schedule: Mutex::new(schedule.map(|schedule| schedule.take(requests))),
            claimed: Mutex::new(0),
            senders: AtomicUsize::new(senders),
        }
    }

    /// Whether what was due at `due` is measured.
    pub(super) fn measured(&self, due: Duration) -> bool {
        due >= self.began() + self.plan.common.warm_up
    }

    pub(super) fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// A sender has nothing more to do.
    pub(super) fn sender_ended(&self) {
        self.senders.fetch_sub(1, Ordering::Relaxed);
    }

    fn began(&self) -> Duration {
        self.start.borrow().unwrap_or_default()
    }

    fn end(&self) -> Duration {
        let unlimited = self.plan.common.messages.is_some()
            || self.plan.receive.as_ref().is_some_and(|receive| receive.target.is_some());
        let default = Duration::from_secs(if unlimited { 86_400 } else { 10 });
        self.began() + self.plan.common.duration.unwrap_or(default)
    }

    /// Waits for the next request and says when it is or was due; `None` at the end.
    pub(super) async fn next_due(&self) -> Option<Duration> {
        if self.stopped() {
            return None;
        }
        if self.plan.send.as_ref().is_some_and(|send| send.schedule.is_some()) {
            // The semaphore is never closed, and the end hands out a permit for each sender.
            self.due.acquire().await.ok()?.forget();
            let due = self.schedule.lock().as_mut()?.next()?;
            return if self.stopped() { None } else { Some(self.began() + due) };
        }
        let now = self.env.monotonic();
        let batch = self.plan.send.as_ref().map_or(1, |send| u64::from(send.options.batch));
        let mut claimed = self.claimed.lock();
        if now >= self.end() || *claimed >= self.plan.common.messages.unwrap_or(u64::MAX) {
            return None;
        }
        *claimed += batch;
        Some(now)
    }

    /// Hands out a permit for each request when it is due.
    #[expect(clippy::disallowed_methods, reason = "a thread of its own that only sleeps")]
    fn pace(&self) {
        let Some(schedule) = self.schedule.lock().clone() else { return };
        let began = self.began();
        let mut ready = 0;
        for due in schedule {
            while self.env.monotonic() < began + due {
                self.due.add_permits(std::mem::take(&mut ready));
                if self.stopped() {
                    return;
                }
                let wait = (began + due).saturating_sub(self.env.monotonic());
                std::thread::sleep(wait.max(PACER_SLEEP_MIN));
            }
            ready += 1;
        }
        self.due.add_permits(ready + self.senders.load(Ordering::Relaxed));
    }

    /// Requests that were due and not sent when the run was ended are as late as now.
    fn charge_unserved(&self) {
        let now = self.env.monotonic();
        let Some(schedule) = self.schedule.lock().take() else { return };
        let mut record = self.record.lock();
        for due in schedule {
            let due = self.began() + due;
            if due > now {
                break;
            }
            if self.measured(due) {
                record.unserved += 1;
                record.send.late(due, now);
            }
        }
    }

    /// Whether nothing is left to wait for.
    fn complete(&self, now: Duration) -> bool {
        let sending = self.plan.send.is_some();
        let sending_over = self.senders.load(Ordering::Relaxed) == 0;
        if now >= self.end() + if sending { DRAIN } else { Duration::ZERO } {
            return true;
        }
        let count = |running: &Running| running.messages.load(Ordering::Relaxed);
        match (&self.plan.receive, sending) {
            (None, _) => sending_over,
            (Some(_), true) => sending_over && count(&self.arrived) >= count(&self.sent),
            (Some(receive), false) => {
                receive.target.is_some_and(|target| count(&self.received) >= target)
            }
        }
    }
}

/// Carries the plan out. Returns what was recorded, and for how long it went.
pub(super) async fn carry_out(env: Env, plan: Plan) -> Result<(Arc<Run>, Duration), Failure> {
    let run = Arc::new(Run::new(env, plan));
    let threads = run.plan.common.threads.min(run.plan.common.connections);
    let (news_of_threads, mut news) = mpsc::channel(usize::from(threads) * 2);
    for index in 0..threads {
        let (run, tell) = (Arc::clone(&run), news_of_threads.clone());
        let env = run.env.clone();
        env.thread("bench", move || {
            let done = on_own_runtime(work(run, index, threads, tell.clone()));
            // The watcher may have gone after the failure of another thread.
            let _ = tell.blocking_send(News::Done(done));
        })?;
    }
    drop(news_of_threads);
    for _ in 0..threads {
        match news.recv().await {
            Some(News::Ready) => {}
            Some(News::Done(Err(failure))) => return Err(failure),
            Some(News::Done(Ok(()))) | None => {
                return Err(Failure::refused("a thread of the bench ended before its work"));
            }
        }
    }
    run.start.send_replace(Some(run.env.monotonic() + LEAD));
    let pacing = Arc::clone(&run);
    run.env.thread("bench-pacer", move || pacing.pace())?;
    watch_over(&run, news, threads).await?;
    run.charge_unserved();
    let took = run.env.monotonic().saturating_sub(run.began());
    Ok((run, took))
}

/// Until every thread is done.
async fn watch_over(
    run: &Arc<Run>,
    mut news: mpsc::Receiver<News>,
    threads: u16,
) -> Result<(), Failure> {
    let mut progress = Progress::new(run.plan.quiet, run.plan.name);
    let mut left = threads;
    let mut failed = Ok(());
    while left > 0 {
        tokio::select! {
            // Cancel safe: a channel's receive.
            told = news.recv() => match told {
                Some(News::Done(Ok(()))) => left -= 1,
                Some(News::Done(Err(failure))) => {
                    failed = Err(failure);
                    left -= 1;
                    run.stop.send_replace(true);
                }
                Some(News::Ready) => {}
                None => break,
            },
            // Cancel safe: a sleep.
            () = run.env.sleep(LOOK_EVERY) => {}
        }
        let now = run.env.monotonic();
        progress.look(now.saturating_sub(run.began()), run);
        if run.complete(now) && !run.stopped() {
            run.stop.send_replace(true);
            // Senders that wait for a moment that will not come.
            run.due.add_permits(run.senders.load(Ordering::Relaxed));
        }
    }
    progress.end();
    failed
}

fn on_own_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("this machine gives no runtime: {error}")))?;
    runtime.block_on(work)
}

/// One thread's share: every `threads`th connection, and the tasks that use them.
async fn work(
    run: Arc<Run>,
    index: u16,
    threads: u16,
    tell: mpsc::Sender<News>,
) -> Result<(), Failure> {
    let connections = run.plan.common.connections;
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for connection in (index..connections).step_by(usize::from(threads)) {
        if let Some(plan) = &run.plan.send {
            let session = start(&run, &session::Role::Producer).await?;
            let lanes = share(plan.options.in_flight, connection, connections);
            senders.extend(lanes.map(|lane| (lane, session.clone())));
        }
        if let Some(plan) = &run.plan.receive {
            let role = session::Role::Consumer { group: plan.options.group.clone() };
            let session = start(&run, &role).await?;
            let lanes = share(plan.options.receivers, connection, connections);
            receivers.extend(lanes.map(|lane| (lane, session.clone())));
        }
    }
    let mut start = run.start.subscribe();
    let _ = tell.send(News::Ready).await;
    // The watcher keeps the sender until every thread is done.
    let _ = start.wait_for(Option::is_some).await;
    run.env.sleep(run.began().saturating_sub(run.env.monotonic())).await;
    let mut lanes = tokio::task::JoinSet::new();
    for (lane, session) in senders {
        lanes.spawn(send::lane(Arc::clone(&run), session, lane));
    }
    for (lane, session) in receivers {
        lanes.spawn(receive::lane(Arc::clone(&run), session, lane));
    }
    while let Some(ended) = lanes.join_next().await {
        ended
            .map_err(|error| Failure::refused(format!("a task of the bench failed: {error}")))??;
    }
    Ok(())
}

async fn start(run: &Run, role: &session::Role) -> Result<session::Session, Failure> {
    session::Session::start(&run.plan.config, &run.plan.common.topic, role, &run.env).await
}

/// The lanes, of `lanes` in all, that fall to the `connection`th of `connections`.
fn share(lanes: u16, connection: u16, connections: u16) -> impl Iterator<Item = u16> {
    (connection..lanes).step_by(usize::from(connections))
}

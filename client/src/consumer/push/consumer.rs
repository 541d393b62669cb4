//! The consumer as its user sees it.

use super::gate::Gate;
use super::scan::scan;
use super::settler::settle_all;
use super::worker::{self, work};
use crate::config::Config;
use crate::consumer::calls::Calls;
use crate::consumer::{Delivery, Filter};
use crate::door;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::session::{ConsumerKind, Role, Session, Verify};
use parking_lot::Mutex;
use protocol::grpc::v2 as pb;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What a listener thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumed {
    /// It is done with, and will not come again.
    Done,
    /// It is to come again, after the pause that the group's retry policy has for its attempt.
    /// After the last attempt the server moves it to the group's dead-letter queue.
    Again,
    /// It is to come again after this pause, at most 12 h. A FIFO group waits for it.
    After(Duration),
}

/// A listener may return a `Result`: an error is logged, and the message comes again.
impl<T, E: Display> From<Result<T, E>> for Consumed {
    fn from(result: Result<T, E>) -> Consumed {
        match result {
            Ok(_) => Consumed::Done,
            Err(error) => {
                tracing::warn!(%error, "listener failed");
                Consumed::Again
            }
        }
    }
}

/// What a push consumer consumes, and how much at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushSettings {
    /// The consumer group.
    pub group: String,
    /// Topics and what is wanted of each; not empty.
    pub subscriptions: Vec<(String, Filter)>,
    /// Listeners that run at once, at least 1. Default: 20.
    pub concurrency: usize,
    /// Messages held at once, those that are asked for included; at least 1. Default: 1024.
    ///
    /// Each queue that is polled needs room for one message: with less room than queues, they take
    /// turns.
    pub cached_messages_max: usize,
    /// Bytes of bodies held at once. What comes next is guessed from what came, so that a sudden
    /// change of size can go beyond by a batch. Default: 64 MiB.
    pub cached_bytes_max: usize,
    /// How long [`PushConsumer::close`] waits for listeners that run. Default: 30 s.
    pub stop_patience: Duration,
}

impl PushSettings {
    /// The defaults for a consumer of this group, without a subscription.
    pub fn new(group: impl Into<String>) -> PushSettings {
        PushSettings {
            group: group.into(),
            subscriptions: Vec::new(),
            concurrency: 20,
            cached_messages_max: 1024,
            cached_bytes_max: 64 << 20,
            stop_patience: Duration::from_secs(30),
        }
    }

    /// Adds a topic.
    #[must_use]
    pub fn subscribe(mut self, topic: impl Into<String>, filter: Filter) -> PushSettings {
        self.subscriptions.push((topic.into(), filter));
        self
    }

    /// Sets [`PushSettings::concurrency`].
    #[must_use]
    pub fn concurrency(mut self, listeners: usize) -> PushSettings {
        self.concurrency = listeners;
        self
    }

    /// Sets [`PushSettings::cached_messages_max`] and [`PushSettings::cached_bytes_max`].
    #[must_use]
    pub fn cache(mut self, messages: usize, bytes: usize) -> PushSettings {
        (self.cached_messages_max, self.cached_bytes_max) = (messages, bytes);
        self
    }

    /// Sets [`PushSettings::stop_patience`].
    #[must_use]
    pub fn stop_patience(mut self, patience: Duration) -> PushSettings {
        self.stop_patience = patience;
        self
    }
}

/// The user's function, its types forgotten.
pub(super) type Listener =
    Arc<dyn Fn(Arc<Delivery>) -> Pin<Box<dyn Future<Output = Consumed> + Send>> + Send + Sync>;

/// What the tasks of a push consumer share.
pub(super) struct Shared {
    pub(super) calls: Calls,
    pub(super) settings: PushSettings,
    pub(super) listener: Listener,
    pub(super) gate: Arc<Gate>,
    /// True from the moment at which the consumer is to stop.
    pub(super) stop: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Ends when the consumer is to stop.
    pub(super) async fn stopping(&self) {
        // The sender is ours, so that the wait ends with a stop only.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

/// A consumer that calls a listener for each message: many at once, or, if the server says that the
/// group is FIFO, one after the other within each message group.
///
/// The server shares a group's messages out among its consumers. While a listener runs, the server
/// keeps the message from the others, as long as this client lives.
///
/// ```no_run
/// # async fn example() -> Result<(), client::Error> {
/// use client::{Config, Consumed, Filter, PushConsumer, PushSettings};
///
/// let config = Config::new("127.0.0.1:8081".parse()?);
/// let settings = PushSettings::new("readers").subscribe("orders", Filter::all()).concurrency(8);
/// let consumer = PushConsumer::start(config, settings, |delivery| async move {
///     println!("{}: {} bytes", delivery.id, delivery.body.len());
///     Consumed::Done
/// })
/// .await?;
/// tokio::signal::ctrl_c().await.ok();
/// consumer.close().await;
/// # Ok(())
/// # }
/// ```
pub struct PushConsumer {
    shared: Arc<Shared>,
    /// Scan, workers and settler; taken by the stop.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl PushConsumer {
    /// Connects, waits until the servers of the topics have confirmed this consumer, and begins to
    /// consume. `listener` is called from many tasks at once; if it panics, the message comes
    /// again.
    ///
    /// # Errors
    /// As [`SimpleConsumer::start`](crate::SimpleConsumer::start).
    pub async fn start<F, Fut, C>(
        config: Config,
        settings: PushSettings,
        listener: F,
    ) -> Result<PushConsumer, Error>
    where
        F: Fn(Arc<Delivery>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = C> + Send + 'static,
        C: Into<Consumed>,
    {
        let listener: Listener = Arc::new(move |delivery| {
            let consumed = listener(delivery);
            Box::pin(async move { consumed.await.into() })
        });
        let role = Role::consumer(ConsumerKind::Push, &settings.group, &settings.subscriptions)?;
        let role = role.verified_by(verify(Arc::clone(&listener)));
        let topics = settings.subscriptions.iter().map(|(topic, _)| topic.clone()).collect();
        let session = Arc::new(Session::start(config, role, topics).await?);
        let group = settings.group.as_str().into();
        let gate = Gate::new(settings.cached_messages_max, settings.cached_bytes_max);
        let shared = Arc::new(Shared {
            calls: Calls::new(session, group),
            settings,
            listener,
            gate,
            stop: watch::Sender::new(false),
        });
        let tasks = Mutex::new(Some(begin(&shared)));
        Ok(PushConsumer { shared, tasks })
    }

    /// What this consumer has done since its start, and what it holds now.
    pub fn metrics(&self) -> Metrics {
        let (messages, bytes) = self.shared.gate.held();
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Metrics {
            cached_messages: wide(messages),
            cached_bytes: wide(bytes),
            ..self.shared.calls.session().metrics()
        }
    }

    /// Stops: fetches no more, waits for the listeners that run and for what is to be told to the
    /// servers about their messages, gives back what no listener has begun with (its attempt is not
    /// raised), and says goodbye. Nothing is lost: a listener that is cut off after
    /// [`PushSettings::stop_patience`] leaves a message that comes again.
    ///
    /// Dropping the consumer instead cuts everything off; then messages come again a little later.
    pub async fn close(&self) {
        let Some(mut tasks) = self.tasks.lock().take() else { return };
        self.shared.stop.send_replace(true);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shared.settings.stop_patience, ended).await.is_err() {
            tracing::warn!(group = self.shared.calls.group(), "listeners were cut off");
        }
        drop(tasks);
        self.shared.calls.session().close().await;
    }
}

/// Starts everything. Jobs go from the scan's pollers to the workers, verdicts from those to the
/// settler; each ends when those before it have.
fn begin(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    // Neither is ever full: the gate lets in no more messages than they hold, a server that sends
    // more than it was asked for apart.
    let capacity = shared.settings.cached_messages_max.max(1);
    let (jobs, todo) = mpsc::channel(capacity);
    let (verdicts, settled) = mpsc::channel(capacity);
    door::spawn(&mut tasks, scan(Arc::clone(shared), jobs));
    let todo = Arc::new(tokio::sync::Mutex::new(todo));
    for _ in 0..shared.settings.concurrency.max(1) {
        let (todo, verdicts) = (Arc::clone(&todo), verdicts.clone());
        door::spawn(&mut tasks, work(Arc::clone(shared), todo, verdicts));
    }
    door::spawn(&mut tasks, settle_all(Arc::clone(shared), settled));
    tasks
}

/// An operator's question: what would the listener do with this message?
fn verify(listener: Listener) -> Verify {
    Arc::new(move |message, endpoint| {
        let listener = Arc::clone(&listener);
        Box::pin(async move {
            let delivery = Arc::new(Delivery::from_wire(message, &endpoint));
            match worker::call(&listener, &delivery).await {
                Consumed::Done => pb::Code::Ok,
                Consumed::Again | Consumed::After(_) => pb::Code::FailedToConsumeMessage,
            }
        })
    })
}

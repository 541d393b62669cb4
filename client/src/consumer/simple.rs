//! Receiving, one call at a time.

use super::calls::{Calls, Hide, Poll};
use super::delivery::Delivery;
use super::filter::Filter;
use crate::config::Config;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::session::{ConsumerKind, Role, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How to receive.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// At most so many messages; servers give no more than 32. Default: 32.
    pub max: usize,
    /// For so long nobody else of the group gets them, 10 s to 12 h. Default: 30 s.
    pub invisible: Duration,
    /// For so long the server waits for a first message, 5 s to 20 s: a shorter or longer wait
    /// becomes that. Default: 20 s.
    pub wait: Duration,
}

impl Default for Receive {
    fn default() -> Receive {
        Receive { max: 32, invisible: Duration::from_secs(30), wait: Duration::from_secs(20) }
    }
}

/// A consumer that asks for messages when it wants some, and says what became of each. Clones share
/// connections. A request that found its connection dead is sent once more, over a new one.
#[derive(Clone)]
pub struct SimpleConsumer {
    calls: Calls,
    filters: Arc<[(String, Filter)]>,
    turn: Arc<AtomicUsize>,
}

impl SimpleConsumer {
    /// Connects, and waits until the servers of the topics have confirmed this consumer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody answers; [`Error::Refused`] with `TOPIC_NOT_FOUND`;
    /// [`Error::Declined`] for a group that the server will not have; [`Error::Invalid`] without a
    /// subscription.
    pub async fn start(
        config: Config,
        group: impl Into<String>,
        subscriptions: impl IntoIterator<Item = (impl Into<String>, Filter)>,
    ) -> Result<SimpleConsumer, Error> {
        let group = group.into();
        let filters: Arc<[(String, Filter)]> =
            subscriptions.into_iter().map(|(topic, filter)| (topic.into(), filter)).collect();
        let role = Role::consumer(ConsumerKind::Simple, &group, &filters)?;
        let topics = filters.iter().map(|(topic, _)| topic.clone()).collect();
        let session = Arc::new(Session::start(config, role, topics).await?);
        Ok(SimpleConsumer {
            calls: Calls::new(session, group.into()),
            filters,
            turn: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// Takes messages of one topic, the next of the subscriptions in turn; none if none came while
    /// the server waited.
    ///
    /// Dropping the future gives up the wait. Messages that were on their way then come again after
    /// their invisible time, or sooner.
    ///
    /// # Errors
    /// After any error nothing is lost: what the server may have handed out comes again.
    pub async fn receive(&self, how: Receive) -> Result<Vec<Delivery>, Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (topic, filter) = &self.filters[turn % self.filters.len()];
        let turn = turn / self.filters.len();
        match self.receive_from(topic, filter, turn, how).await {
            Err(error @ Error::Unreachable { .. }) => {
                self.calls.session().look_again(topic, &error).await;
                self.receive_from(topic, filter, turn + 1, how).await
            }
            received => received,
        }
    }

    async fn receive_from(
        &self,
        topic: &str,
        filter: &Filter,
        turn: usize,
        how: Receive,
    ) -> Result<Vec<Delivery>, Error> {
        let session = self.calls.session();
        let route = session.route(topic).await?;
        let Some(queue) = route.readable(turn, |endpoint| session.trusts(endpoint)) else {
            return Err(Error::Invalid { what: format!("topic {topic} has no readable queue") });
        };
        let poll = Poll {
            queue,
            filter,
            max: how.max,
            hide: Hide::For(how.invisible),
            wait: how.wait,
            attempt_id: None,
        };
        self.calls.receive(poll).await
    }

    /// Says that a message is done with.
    ///
    /// # Errors
    /// [`Error::Refused`] with `INVALID_RECEIPT_HANDLE` when the invisible time is over: the
    /// message will come again, or has. After an unknown outcome it may be acknowledged again,
    /// which does no harm.
    pub async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        let mut results = self.calls.ack_together(&[delivery]).await?;
        results.pop().unwrap_or(Err(Error::Malformed { rpc: "AckMessage", what: "no entry" }))
    }

    /// Says that messages are done with, in as few requests as their topics and servers allow. The
    /// results are in the order of the messages.
    pub async fn ack_all(&self, deliveries: &[Delivery]) -> Vec<Result<(), Error>> {
        let mut results: Vec<Result<(), Error>> = Vec::new();
        let mut rest = deliveries;
        // Neighbours of one topic and server go together; a batch that was received is a run of
        // such.
        while let Some(first) = rest.first() {
            let alike = |other: &&Delivery| other.goes_with(first);
            let run: Vec<&Delivery> = rest.iter().take_while(alike).collect();
            rest = &rest[run.len()..];
            match self.calls.ack_together(&run).await {
                Ok(done) => results.extend(done),
                Err(error) => results.extend(run.iter().map(|_| Err(error.clone()))),
            }
        }
        results
    }

    /// Lets the message stay invisible for this long from now, 0 s to 12 h; a short time makes it
    /// come again soon, with its attempt raised. The delivery gets a new handle.
    ///
    /// # Errors
    /// [`Error::Refused`] with `INVALID_RECEIPT_HANDLE` when the invisible time is over.
    pub async fn change_invisible(
        &self,
        delivery: &mut Delivery,
        invisible: Duration,
    ) -> Result<(), Error> {
        delivery.receipt_handle = self.calls.change(delivery, invisible, false).await?;
        Ok(())
    }

    /// What this consumer has done since its start, clones included.
    pub fn metrics(&self) -> Metrics {
        self.calls.session().metrics()
    }

    /// Tells the servers that this consumer is gone, and ends its tasks.
    pub async fn close(&self) {
        self.calls.session().close().await;
    }
}

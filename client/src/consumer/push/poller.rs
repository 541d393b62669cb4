//! One queue, polled for ever.

use super::consumer::Shared;
use super::gate::Promise;
use super::worker::{Item, Job};
use crate::consumer::Delivery;
use crate::consumer::calls::{Hide, Poll};
use crate::door;
use crate::error::Error;
use crate::route::Queue;
use protocol::grpc::v2 as pb;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// After a failed poll, as the official clients.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// After one that was refused because there are too many.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);
/// An empty answer within this time was no long poll (all was filtered out, or the server stops):
/// the next one waits as long.
const AT_ONCE: Duration = Duration::from_millis(20);

/// A queue of a subscription; known by its broker and number and where that is.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// Its place among the settings' subscriptions.
    pub(super) subscription: usize,
    pub(super) topic: String,
    pub(super) queue: Arc<Queue>,
}

impl Assignment {
    fn key(&self) -> (usize, &str, i32, &crate::config::Endpoint) {
        (self.subscription, self.queue.broker_name(), self.queue.wire.id, &self.queue.endpoint)
    }
}

impl PartialEq for Assignment {
    fn eq(&self, other: &Assignment) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Assignment {}

impl Hash for Assignment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Fetches messages of a queue whenever there is room for some. Ends by being aborted, or when
/// nobody takes what it fetches.
pub(super) async fn poll(
    shared: Arc<Shared>,
    assignment: Assignment,
    jobs: mpsc::Sender<Job>,
    sharers: Arc<AtomicUsize>,
) {
    let session = Arc::clone(shared.calls.session());
    let endpoint = &assignment.queue.endpoint;
    // The attempt whose answer was lost; a FIFO server gives it the same messages again.
    let mut unanswered: Option<String> = None;
    loop {
        if let Err(error) = session.link(endpoint).await {
            tracing::debug!(%endpoint, %error, "server does not know this consumer yet");
            door::sleep(AFTER_FAILURE).await;
            continue;
        }
        let advised = session.inner().advised();
        let sharing = sharers.load(Ordering::Relaxed);
        let promise = shared.gate.promise(advised.receive_batch, sharing).await;
        let attempt = advised.fifo.then(|| unanswered.take().unwrap_or_else(attempt_id));
        let began = door::instant();
        let received = shared
            .calls
            .receive(Poll {
                queue: &assignment.queue,
                filter: &shared.settings.subscriptions[assignment.subscription].1,
                max: promise.messages(),
                hide: Hide::Renewed,
                wait: advised.poll,
                attempt_id: attempt.clone(),
            })
            .await;
        let pause = match received {
            Ok(deliveries) if deliveries.is_empty() => {
                let at_once = began.elapsed() < AT_ONCE;
                if at_once { AT_ONCE } else { Duration::ZERO }
            }
            Ok(deliveries) => {
                for job in jobs_of(deliveries, promise, advised.fifo) {
                    if jobs.send(job).await.is_err() {
                        return;
                    }
                }
                Duration::ZERO
            }
            Err(error) => {
                unanswered = attempt;
                drop(promise);
                tracing::debug!(topic = assignment.topic, %endpoint, %error, "receive failed");
                pause_after(&error)
            }
        };
        if !pause.is_zero() {
            door::sleep(pause).await;
        }
    }
}

fn pause_after(error: &Error) -> Duration {
    if error.code() == Some(pb::Code::TooManyRequests) { AFTER_REFUSAL } else { AFTER_FAILURE }
}

fn attempt_id() -> String {
    format!("{:016x}{:016x}", door::random_u64(), door::random_u64())
}

/// Parts a batch into what may run at once: every message by itself, or in a FIFO group the
/// messages of each message group together, in their order. Those without a group are one.
fn jobs_of(deliveries: Vec<Delivery>, mut promise: Promise, fifo: bool) -> Vec<Job> {
    let arrived = door::instant();
    let mut jobs: Vec<Job> = Vec::with_capacity(deliveries.len());
    let mut job_of_group: HashMap<Option<String>, usize> = HashMap::new();
    for delivery in deliveries {
        let slot = promise.take(delivery.body.len());
        let group = delivery.group.clone();
        let item = Item { delivery: Arc::new(delivery), slot, arrived };
        let next = jobs.len();
        let job = if fifo { *job_of_group.entry(group).or_insert(next) } else { next };
        match jobs.get_mut(job) {
            Some(job) => job.push_back(item),
            None => jobs.push(Job::from([item])),
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::push::gate::Gate;

    fn delivery(id: &str, group: Option<&str>) -> Delivery {
        let system_properties = Some(pb::SystemProperties {
            message_id: id.to_owned(),
            message_group: group.map(str::to_owned),
            ..pb::SystemProperties::default()
        });
        let message = pb::Message { system_properties, ..pb::Message::default() };
        Delivery::from_wire(message, &"h:1".parse().unwrap())
    }

    async fn jobs(fifo: bool) -> Vec<Vec<String>> {
        let batch =
            [("1", Some("a")), ("2", None), ("3", Some("b")), ("4", Some("a")), ("5", None)];
        let deliveries = batch.iter().map(|(id, group)| delivery(id, *group)).collect();
        let promise = Gate::new(10, 1 << 20).promise(5, 1).await;
        let ids = |job: Job| job.iter().map(|item| item.delivery.id.clone()).collect();
        jobs_of(deliveries, promise, fifo).into_iter().map(ids).collect()
    }

    #[tokio::test]
    async fn messages_of_a_fifo_group_stay_in_order_within_their_message_group() {
        assert_eq!(jobs(true).await, [vec!["1", "4"], vec!["2", "5"], vec!["3"]]);
        assert_eq!(jobs(false).await.len(), 5);
    }

    #[test]
    fn an_assignment_is_known_by_broker_number_and_place() {
        let assignment = |name: &str, id, port| {
            let broker = Some(pb::Broker { name: name.into(), ..pb::Broker::default() });
            let wire = pb::MessageQueue { id, broker, ..pb::MessageQueue::default() };
            let queue = Queue::from_wire(wire, &format!("h:{port}").parse().unwrap());
            Assignment { subscription: 0, topic: "t".into(), queue: Arc::new(queue) }
        };
        assert_eq!(assignment("a", -1, 1), assignment("a", -1, 1));
        assert_ne!(assignment("a", -1, 1), assignment("b", -1, 1));
        assert_ne!(assignment("a", 0, 1), assignment("a", 1, 1));
        assert_ne!(assignment("a", 0, 1), assignment("a", 0, 2));
    }
}

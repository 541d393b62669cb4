//! Which queues are polled: asked every few seconds, one poller for each.

use super::consumer::Shared;
use super::poller::{Assignment, poll};
use super::worker::Job;
use crate::door;
use crate::error::Error;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// As the official clients (spec B.22).
const EVERY: Duration = Duration::from_secs(5);
/// As long as a topic's first answer is missing.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts and ends pollers until the consumer stops.
pub(super) async fn scan(shared: Arc<Shared>, jobs: mpsc::Sender<Job>) {
    let mut pollers = JoinSet::new();
    let mut running: HashMap<Assignment, AbortHandle> = HashMap::new();
    // How many share the room; read by pollers while it changes.
    let sharers = Arc::new(AtomicUsize::new(1));
    for turn in 0_usize.. {
        while pollers.try_join_next().is_some() {}
        let mut complete = true;
        for index in 0..shared.settings.subscriptions.len() {
            let (topic, _) = &shared.settings.subscriptions[index];
            let wanted = tokio::select! {
                () = shared.stopping() => return,
                wanted = assignments(&shared, index, turn) => wanted,
            };
            let wanted = match wanted {
                Ok(wanted) => wanted,
                Err(error) => {
                    // What is polled now is polled on.
                    tracing::debug!(topic, %error, "assignments not known");
                    complete &= running.keys().any(|assignment| assignment.topic == *topic);
                    continue;
                }
            };
            let gone = |assignment: &Assignment| {
                assignment.subscription == index && !wanted.contains(assignment)
            };
            running.extract_if(|assignment, _| gone(assignment)).for_each(|(_, poller)| {
                // A poll that is cut off here loses nothing: the server takes its messages back.
                poller.abort();
            });
            for assignment in wanted {
                running.entry(assignment).or_insert_with_key(|assignment| {
                    let poller = poll(
                        Arc::clone(&shared),
                        assignment.clone(),
                        jobs.clone(),
                        Arc::clone(&sharers),
                    );
                    door::spawn(&mut pollers, poller)
                });
            }
            sharers.store(running.len().max(1), Ordering::Relaxed);
        }
        tokio::select! {
            () = shared.stopping() => return,
            () = door::sleep(if complete { EVERY } else { AGAIN }) => {}
        }
    }
}

/// What is to be polled of a subscription's topic.
async fn assignments(
    shared: &Shared,
    subscription: usize,
    turn: usize,
) -> Result<HashSet<Assignment>, Error> {
    let (topic, _) = &shared.settings.subscriptions[subscription];
    let session = shared.calls.session();
    let route = session.route(topic).await?;
    let Some(asked) = route.readable(turn, |endpoint| session.trusts(endpoint)) else {
        return Ok(HashSet::new());
    };
    let found = shared.calls.assignments(topic, &asked.endpoint).await;
    if let Err(error) = &found {
        session.look_again(topic, error).await;
    }
    let found = found?;
    let assignment =
        |queue| Assignment { subscription, topic: topic.clone(), queue: Arc::new(queue) };
    Ok(found.into_iter().map(assignment).collect())
}

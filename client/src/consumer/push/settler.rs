//! Tells the servers what became of the messages.

use super::consumer::Shared;
use super::worker::Item;
use crate::consumer::Delivery;
use crate::door;
use crate::error::{Advice, Error};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Messages that are acknowledged in one request, at most.
const TOGETHER_MAX: usize = 32;
/// Requests in flight; the next batch gathers while it waits for one of them.
const REQUESTS_MAX: usize = 16;
/// Between attempts; doubled from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A server that cannot be told in five minutes is left to find out by itself.
const ATTEMPTS_MAX: u32 = 64;

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Done,
    /// It comes again after this pause.
    Later(Duration),
    /// It was not begun: someone else may have it, as if it had never been here.
    GiveBack,
    /// It was tried often enough.
    DeadLetter { attempts: u32, attempts_max: u32 },
}

/// Settles what the workers send until there is no more to come. Acknowledgements go together: the
/// more there are, the more in a request.
pub(super) async fn settle_all(shared: Arc<Shared>, mut settled: mpsc::Receiver<(Item, Verdict)>) {
    let mut requests = JoinSet::new();
    let mut batch = Vec::with_capacity(TOGETHER_MAX);
    while settled.recv_many(&mut batch, TOGETHER_MAX).await > 0 {
        let mut done: Vec<Vec<Item>> = Vec::new();
        for (item, verdict) in batch.drain(..) {
            if verdict == Verdict::Done {
                let alike = |run: &&mut Vec<Item>| {
                    run.first().is_some_and(|first| first.delivery.goes_with(&item.delivery))
                };
                match done.iter_mut().find(alike) {
                    Some(run) => run.push(item),
                    None => done.push(vec![item]),
                }
            } else {
                make_room(&mut requests).await;
                let shared = Arc::clone(&shared);
                door::spawn(&mut requests, async move {
                    settle(&shared, &item.delivery, verdict).await;
                    drop(item.slot);
                });
            }
        }
        for run in done {
            make_room(&mut requests).await;
            door::spawn(&mut requests, ack_run(Arc::clone(&shared), run));
        }
    }
    while requests.join_next().await.is_some() {}
}

async fn make_room(requests: &mut JoinSet<()>) {
    while requests.try_join_next().is_some() {}
    while requests.len() >= REQUESTS_MAX {
        requests.join_next().await;
    }
}

/// Acknowledges messages of one topic and server, those that fail again and again.
async fn ack_run(shared: Arc<Shared>, mut run: Vec<Item>) {
    for attempt in 1..=ATTEMPTS_MAX {
        let deliveries: Vec<&Delivery> = run.iter().map(|item| &*item.delivery).collect();
        match shared.calls.ack_together(&deliveries).await {
            Ok(results) => {
                let mut results = results.into_iter();
                // A message whose place is freed here is settled.
                run.retain(|item| match results.next() {
                    Some(Err(error)) => {
                        may_try_again(&error) || give_up(&shared, &item.delivery, &error)
                    }
                    Some(Ok(())) | None => false,
                });
            }
            Err(error) if may_try_again(&error) => {
                tracing::debug!(attempt, %error, "not acknowledged yet");
            }
            Err(error) => {
                run.retain(|item| give_up(&shared, &item.delivery, &error));
            }
        }
        if run.is_empty() {
            return;
        }
        door::sleep(pause(attempt)).await;
    }
    shared.calls.session().inner().meters.settle_failures.add(run.len());
}

/// Settles one message, again and again if need be. False if it is the server's again.
pub(super) async fn settle(shared: &Shared, delivery: &Delivery, verdict: Verdict) -> bool {
    for attempt in 1..=ATTEMPTS_MAX {
        let answer = match verdict {
            Verdict::Done => match shared.calls.ack_together(&[delivery]).await {
                Ok(mut results) => results.pop().unwrap_or(Ok(())),
                Err(error) => Err(error),
            },
            Verdict::Later(pause) => shared.calls.change(delivery, pause, false).await.map(drop),
            Verdict::GiveBack => {
                shared.calls.change(delivery, Duration::ZERO, true).await.map(drop)
            }
            Verdict::DeadLetter { attempts, attempts_max } => {
                shared.calls.dead_letter(delivery, attempts, attempts_max).await
            }
        };
        match answer {
            Ok(()) => return true,
            Err(error) if may_try_again(&error) => {
                tracing::debug!(message_id = delivery.id, attempt, %error, "not settled yet");
                door::sleep(pause(attempt)).await;
            }
            Err(error) => return give_up(shared, delivery, &error),
        }
    }
    shared.calls.session().inner().meters.settle_failures.add(1);
    false
}

/// Each of these may be done twice without harm, so that an unknown outcome is no obstacle.
fn may_try_again(error: &Error) -> bool {
    matches!(error.advice(), Advice::Retry { .. })
}

/// Always false: the message is not to be tried again.
fn give_up(shared: &Shared, delivery: &Delivery, error: &Error) -> bool {
    shared.calls.session().inner().meters.settle_failures.add(1);
    tracing::warn!(message_id = delivery.id, %error, "not settled: the message comes again");
    false
}

/// The pause after the nth attempt.
fn pause(attempt: u32) -> Duration {
    let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_maximum() {
        let pauses: Vec<u128> = (1..=8).map(|n| pause(n).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}

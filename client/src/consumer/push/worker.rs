//! The listeners' side: one message after the other, and what it came to.

use super::consumer::{Consumed, Listener, Shared};
use super::gate::Slot;
use super::settler::{Verdict, settle};
use crate::consumer::Delivery;
use crate::door;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tracing::Instrument as _;

/// The longest pause between local attempts of a FIFO message; the server goes on hiding it.
const FIFO_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Messages to be consumed one after the other; not empty. One, unless the group is FIFO.
pub(super) type Job = VecDeque<Item>;

/// A message on its way through the consumer.
pub(super) struct Item {
    pub(super) delivery: Arc<Delivery>,
    pub(super) slot: Slot,
    pub(super) arrived: Instant,
}

/// Takes jobs until there are no more to come. While the consumer stops, what was not begun is
/// given back.
pub(super) async fn work(
    shared: Arc<Shared>,
    todo: Arc<Mutex<mpsc::Receiver<Job>>>,
    verdicts: mpsc::Sender<(Item, Verdict)>,
) {
    loop {
        // Whoever waits for the lock waits for a job as well.
        let job = todo.lock().await.recv().await;
        let Some(mut job) = job else { return };
        if shared.session_is_fifo() {
            in_order(&shared, &mut job).await;
        }
        for item in job {
            let verdict = match shared.is_stopping() {
                true => Verdict::GiveBack,
                false => match consume(&shared, &item).await {
                    Consumed::Done => Verdict::Done,
                    Consumed::Again => Verdict::Later(shared.retry_pause(item.delivery.attempt)),
                    Consumed::After(pause) => Verdict::Later(pause),
                },
            };
            if verdicts.send((item, verdict)).await.is_err() {
                return;
            }
        }
    }
}

impl Shared {
    fn session_is_fifo(&self) -> bool {
        self.calls.session().inner().advised().fifo
    }

    fn retry_pause(&self, attempt: u32) -> Duration {
        self.calls.session().inner().advised().backoff.delay(attempt)
    }
}

/// Consumes messages in their order (spec B.17): a failed one is tried again here, and those behind
/// it wait; after the last attempt it becomes a dead letter. What is left in `job` was not begun,
/// and is given back; if a message could not be settled, the server will send it and those behind
/// it again, and they are dropped.
async fn in_order(shared: &Arc<Shared>, job: &mut Job) {
    let meters = &shared.calls.session().inner().meters;
    while let Some(item) = job.front() {
        let mut attempt = item.delivery.attempt;
        let verdict = loop {
            if shared.is_stopping() {
                return;
            }
            let pause = match consume(shared, item).await {
                Consumed::Done => break Verdict::Done,
                Consumed::Again => shared.retry_pause(attempt),
                Consumed::After(pause) => pause,
            };
            let attempts_max = shared.calls.session().inner().advised().attempts;
            if attempt >= attempts_max {
                break Verdict::DeadLetter { attempts: attempt, attempts_max };
            }
            attempt += 1;
            tokio::select! {
                () = shared.stopping() => {}
                () = door::sleep(pause.min(FIFO_PAUSE_MAX)) => {}
            }
        };
        if !settle(shared, &item.delivery, verdict).await {
            job.clear();
            return;
        }
        if let Verdict::DeadLetter { .. } = verdict {
            meters.dead_lettered.add(1);
        }
        job.pop_front();
    }
}

/// Has the listener consume a message, and counts.
async fn consume(shared: &Shared, item: &Item) -> Consumed {
    let delivery = &item.delivery;
    let meters = &shared.calls.session().inner().meters;
    let span = tracing::info_span!(
        "consume",
        topic = delivery.topic,
        group = shared.calls.group(),
        message_id = delivery.id,
        attempt = delivery.attempt,
        queue = delivery.queue_id,
        offset = delivery.offset
    );
    let began = door::instant();
    meters.await_time.record(began.duration_since(item.arrived));
    let consumed = call(&shared.listener, delivery).instrument(span).await;
    meters.consume_time.record(began.elapsed());
    match consumed {
        Consumed::Done => meters.consumed.add(1),
        Consumed::Again | Consumed::After(_) => meters.consume_failures.add(1),
    }
    consumed
}

/// Calls the listener; a panic is its failure, not the worker's.
pub(super) async fn call(listener: &Listener, delivery: &Arc<Delivery>) -> Consumed {
    let begin = || listener(Arc::clone(delivery));
    let Ok(mut consuming) = catch_unwind(AssertUnwindSafe(begin)) else { return panicked() };
    std::future::poll_fn(|cx| {
        let step = || consuming.as_mut().poll(cx);
        catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Poll::Ready(panicked()))
    })
    .await
}

fn panicked() -> Consumed {
    tracing::error!("listener panicked");
    Consumed::Again
}

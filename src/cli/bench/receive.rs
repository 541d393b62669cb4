//! One receive after another, each followed by its acknowledgements.

use super::options::Acks;
use super::run::Run;
use super::session::{Fault, Received, Session, Take};
use super::workload::due_of;
use crate::cli::failure::Failure;
use protocol::grpc::v2::AckMessageEntry;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// One of the receives that may wait at once, until the run ends.
pub(super) async fn lane(run: Arc<Run>, mut session: Session, lane: u16) -> Result<(), Failure> {
    let Some(plan) = &run.plan.receive else { return Ok(()) };
    let options = &plan.options;
    let take =
        Take { max: options.receive_batch, invisible: options.invisible, wait: options.wait };
    let mut stop = run.stop.subscribe();
    let brokers = session.brokers();
    let mut turn = usize::from(lane) % brokers;
    while !run.stopped() {
        let asked = run.env.monotonic();
        let answer = tokio::select! {
            // What was on its way when the run ended comes again to the next one.
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            answer = session.receive(turn, take) => answer,
        };
        let done = run.env.monotonic();
        turn = (turn + 1) % brokers;
        match answer {
            Ok(received) if received.is_empty() => {}
            Ok(received) => {
                let acks = note(&run, asked, done, received);
                acknowledge(&run, &mut session, options.ack, acks).await?;
            }
            Err(Fault::Refused(what)) => {
                run.received.refuse();
                run.record.lock().receive.refuse(what);
            }
            Err(lost @ Fault::Lost(_)) => return Err(lost.into_failure()),
        }
    }
    Ok(())
}

/// Counts what came; returns what is to be acknowledged.
fn note(
    run: &Run,
    asked: Duration,
    done: Duration,
    received: Vec<Received>,
) -> Vec<AckMessageEntry> {
    let mut record = run.record.lock();
    let bytes = received.iter().map(|message| message.body.len()).sum::<usize>();
    let count = u64::try_from(received.len()).unwrap_or(u64::MAX);
    if run.measured(asked) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        record.receive.record(asked, done, count, bytes);
    }
    for message in received.iter().filter(|message| message.attempt <= 1) {
        let Some(due) = due_of(&message.body, run.plan.mark) else { continue };
        run.arrived.add(1);
        if run.measured(due) {
            let bytes = u64::try_from(message.body.len()).unwrap_or(u64::MAX);
            record.end_to_end.record(due, done, 1, bytes);
        }
    }
    let again = received.iter().filter(|message| message.attempt > 1).count();
    record.redelivered += u64::try_from(again).unwrap_or(u64::MAX);
    received.into_iter().map(|message| message.ack).collect()
}

async fn acknowledge(
    run: &Run,
    session: &mut Session,
    how: Acks,
    entries: Vec<AckMessageEntry>,
) -> Result<(), Failure> {
    let asked = run.env.monotonic();
    let mut answers = JoinSet::new();
    let requests: Vec<Vec<AckMessageEntry>> = match how {
        Acks::Together => vec![entries],
        Acks::Each => entries.into_iter().map(|entry| vec![entry]).collect(),
    };
    for entries in requests {
        let (mut session, env) = (session.clone(), run.env.clone());
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        answers.spawn(async move { (session.ack(entries).await, env.monotonic(), count) });
    }
    while let Some(answer) = answers.join_next().await {
        let ended = |error| Failure::refused(format!("a task of the bench failed: {error}"));
        let (answer, done, count) = answer.map_err(ended)?;
        match answer {
            Ok(()) => {
                run.received.add(count);
                if run.measured(asked) {
                    run.record.lock().ack.record(asked, done, count, 0);
                }
            }
            Err(Fault::Refused(what)) => {
                run.received.refuse();
                run.record.lock().ack.refuse(what);
            }
            Err(lost @ Fault::Lost(_)) => return Err(lost.into_failure()),
        }
    }
    Ok(())
}

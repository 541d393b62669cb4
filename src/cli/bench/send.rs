//! One request in flight after another.

use super::run::Run;
use super::session::{Fault, Session};
use crate::cli::failure::Failure;
use std::sync::Arc;

/// One of the requests that may be in flight at once, until the run ends.
pub(super) async fn lane(run: Arc<Run>, session: Session, lane: u16) -> Result<(), Failure> {
    let sent = send_all(&run, session, lane).await;
    run.sender_ended();
    sent
}

async fn send_all(run: &Run, mut session: Session, lane: u16) -> Result<(), Failure> {
    let Some(plan) = &run.plan.send else { return Ok(()) };
    let mut kitchen = plan.kitchen.apprentice(lane);
    while let Some(due) = run.next_due().await {
        let now = run.env.now();
        let messages: Vec<_> = (0..plan.options.batch).map(|_| kitchen.message(due, now)).collect();
        let bytes = messages.iter().map(|message| message.body.len()).sum::<usize>();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let answer = session.send(messages).await;
        let done = run.env.monotonic();
        match answer {
            Ok(()) => {
                let count = u64::from(plan.options.batch);
                run.sent.add(count);
                if run.measured(due) {
                    run.record.lock().send.record(due, done, count, bytes);
                }
            }
            Err(Fault::Refused(what)) => {
                run.sent.refuse();
                if run.measured(due) {
                    run.record.lock().send.refuse(what);
                }
            }
            Err(lost @ Fault::Lost(_)) => return Err(lost.into_failure()),
        }
    }
    Ok(())
}

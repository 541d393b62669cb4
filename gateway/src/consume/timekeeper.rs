//! Two tasks for each placement group. One follows the log and wakes polls when messages become
//! visible; the other sleeps until something falls due and then prolongs leases and wakes polls for
//! what comes back. Neither wakes up when nothing is new or in flight; both end when the placement
//! group is let go.

use super::pg::Pg;
use super::service::Inner;
use super::state::{Due, Outside};
use std::sync::Arc;
use std::time::Duration;

/// Times that fall due within this are handled together (DESIGN §11); a message comes back at most
/// this much late to a poll that waits.
const TICK: Duration = Duration::from_millis(10);

/// While something is in flight, the clock is looked at again this often: it may step, and a
/// machine that was suspended sleeps on where it was.
const REST_MAX: Duration = Duration::from_secs(30);

/// For so long after a placement group came here its clients count as alive: each needs a heartbeat
/// (10 s apart) to be known here, and its settings again after the first is refused.
const GRACE: Duration = Duration::from_secs(30);

/// Wakes a poll of each group for each queue with newly visible messages.
pub(super) async fn follow_log(inner: Arc<Inner>, pg: Arc<Pg>) {
    loop {
        for (queue, _) in pg.log().next_visible().await {
            inner.lines.wake_queue(queue);
        }
    }
}

/// Handles what falls due.
pub(super) async fn keep(inner: Arc<Inner>, pg: Arc<Pg>) {
    let strangers_until = inner.env.monotonic() + GRACE;
    loop {
        wait_until_due(&inner, &pg).await;
        let strangers_live = inner.env.monotonic() < strangers_until;
        for id in look(&inner, &pg, strangers_live).visible {
            inner.lines.wake(id);
        }
    }
}

async fn wait_until_due(inner: &Inner, pg: &Pg) {
    loop {
        let due = {
            let mut machine = pg.lock();
            machine.asleep_until = machine.state.next_due();
            machine.asleep_until
        };
        let Some(due) = due else {
            pg.sooner.notified().await;
            continue;
        };
        let rest = due.since(inner.env.now()).clamp(TICK, REST_MAX);
        // Both branches are cancel safe: a wake-up not taken here is kept by `sooner`.
        tokio::select! {
            () = inner.env.sleep(rest) => return,
            () = pg.sooner.notified() => {}
        }
    }
}

/// Decides and records what fell due by now.
pub(super) fn look(inner: &Inner, pg: &Pg, strangers_live: bool) -> Due {
    let now = inner.env.now();
    let mut machine = pg.lock();
    let outside = Outside {
        is_alive: &|client| strangers_live || (inner.neighbours.is_alive)(client),
        retry_delay: &|group, attempt| inner.retry_delay(group, attempt),
    };
    let due = machine.state.due(now, &outside);
    if let Err(refused) = inner.write_some(pg, &mut machine, &due.ops) {
        tracing::warn!(%refused, pg = %pg.log().pg(), "leases could not be prolonged");
    }
    due
}

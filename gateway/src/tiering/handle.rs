//! How others ask the tiering task.

use super::lane::Lanes;
use super::ledger::{LedgerRefused, Proposal};
use storage::format::{Lsn, PgId};
use storage::reader::View;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the task.
const ASKS_MAX: usize = 64;

/// What the task is asked.
pub(super) enum Ask {
    /// Change a record.
    Commit { proposal: Proposal, reply: oneshot::Sender<Result<View, LedgerRefused>> },
}

/// The task's side.
pub(super) struct Inbox(mpsc::Receiver<Ask>);

impl Inbox {
    /// Cancel safe. `None` once no handle is left.
    pub(super) async fn next(&mut self) -> Option<Ask> {
        self.0.recv().await
    }
}

/// The others' side. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    lanes: Lanes,
    asks: mpsc::Sender<Ask>,
}

pub(super) fn channel(lanes: Lanes) -> (Handle, Inbox) {
    let (asks, receive) = mpsc::channel(ASKS_MAX);
    (Handle { lanes, asks }, Inbox(receive))
}

impl Handle {
    /// Of a task that is not there: what is asked is never done.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Handle {
        channel(Lanes::default()).0
    }

    /// Asks for a bundle soon: somebody waits until the bucket has everything below `end`.
    pub fn hurry(&self, pg: PgId, end: Lsn) {
        self.lanes.hurry(pg, end);
    }

    /// Changes a record; the manifest afterwards.
    pub(crate) async fn propose(&self, proposal: Proposal) -> Result<View, LedgerRefused> {
        let (reply, answer) = oneshot::channel();
        let pg = proposal.pg;
        let sent = self.asks.send(Ask::Commit { proposal, reply }).await;
        match (sent, answer.await) {
            (Ok(()), Ok(answer)) => answer,
            (_, _) => Err(LedgerRefused::NotOwner(pg)),
        }
    }
}

//! From what a receive took to what it answers: messages read, receipt handles made, the hand-out
//! recorded.

use super::delivery::{Delivery, Place, Receive};
use super::filter::Filter;
use super::handle::Claim;
use super::ops::{Op, Spans, Step};
use super::pg::{Pg, Taken, TakenMessage};
use super::receive::LOADING_MAX;
use super::refused::ReceiveRefused;
use super::service::Inner;
use super::state::CursorId;
use crate::history::{LoadFailed, Look};
use crate::observe::Deliveries;
use protocol::stored::{self, StoredMessage, property};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use storage::RecordView;
use storage::env::Timestamp;
use storage::format::PgId;

impl Inner {
    /// Reads what was taken, makes the handles and waits until the hand-out is recorded. What
    /// cannot be read now is taken back.
    ///
    /// Cancel safe: nothing that was taken is lost.
    pub(super) async fn hand_out(
        &self,
        request: &Receive,
        taken: Vec<(Arc<Pg>, Taken)>,
    ) -> Result<Vec<Delivery>, ReceiveRefused> {
        let mut held = Held::of(self, &taken);
        let until = self.env.monotonic() + LOADING_MAX;
        let mut failed = None;
        for (pg, taken) in &taken {
            if failed.is_none() {
                failed = self.read(pg, request, taken, until, &mut held).await.err();
            }
        }
        for (pg, taken) in taken {
            pg.recorded(taken.end).await?;
        }
        let deliveries = std::mem::take(&mut held.deliveries);
        match failed {
            Some(failed) if deliveries.is_empty() => Err(failed.into()),
            Some(_) | None => Ok(deliveries),
        }
    }

    /// Turns messages into deliveries. Those that cannot be read, or whose tag only hashed like a
    /// wanted one, are done with.
    async fn read(
        &self,
        pg: &Pg,
        request: &Receive,
        taken: &Taken,
        until: Duration,
        held: &mut Held<'_>,
    ) -> Result<(), LoadFailed> {
        let mut counted = Deliveries::default();
        let mut unwanted = Vec::new();
        let mut outcome = Ok(());
        for one in &taken.messages {
            let record = match self.message(pg, one, until).await {
                Ok(record) => record,
                Err(failed) => {
                    outcome = Err(failed);
                    break;
                }
            };
            held.unread.pop_front();
            match record.and_then(|record| decode(record, one)) {
                Some(message) if matches(&request.filter, &message) => {
                    let tally =
                        if one.attempt > 1 { &mut counted.again } else { &mut counted.first };
                    tally.messages += 1;
                    tally.bytes += message.body.len() as u64;
                    held.deliveries.push(self.delivery(pg, one, message, taken.visible_at));
                }
                Some(_) | None => unwanted.push(one.place),
            }
        }
        if !unwanted.is_empty() {
            self.pass_over(pg, &unwanted);
        }
        self.count(pg.log().pg(), &request.topic, &request.group, &counted);
        outcome
    }

    /// A message that was taken, loaded if it left the memory since; `None` where it is gone.
    async fn message(
        &self,
        pg: &Pg,
        taken: &TakenMessage,
        until: Duration,
    ) -> Result<Option<RecordView>, LoadFailed> {
        let Place { id: CursorId { queue, .. }, offset, .. } = taken.place;
        match pg.history.read(queue, offset, taken.lsn) {
            Look::Here(record) => Ok(Some(record)),
            Look::Gone => Ok(None),
            Look::Missing => {
                self.in_time(until, pg.history.message_at(queue, offset, taken.lsn)).await
            }
        }
    }

    fn delivery(
        &self,
        pg: &Pg,
        taken: &TakenMessage,
        message: StoredMessage,
        visible_at: Timestamp,
    ) -> Delivery {
        let Place { id, offset, pop } = taken.place;
        let claim = Claim { queue: id.queue, offset, pop, visible_at };
        let receipt_handle = self.signer.sign(id.group, &claim);
        let (attempt, pg) = (taken.attempt, pg.log().pg());
        Delivery { message, attempt, receipt_handle, pg, place: taken.place }
    }

    fn pass_over(&self, pg: &Pg, places: &[Place]) {
        let mut machine = pg.lock();
        let op = |place: &Place| {
            let CursorId { group, queue } = place.id;
            Op { group, queue, step: Step::Ack(Spans::one(place.offset)) }
        };
        let ops: Vec<Op> = places.iter().map(op).collect();
        if let Err(refused) = self.write_some(pg, &mut machine, &ops) {
            tracing::warn!(%refused, "messages passed over come back");
        }
    }
}

/// What was taken and has not left yet: dropped, it is taken back.
pub(super) struct Held<'a> {
    pub(super) inner: &'a Inner,
    /// In the order in which they are read.
    pub(super) unread: VecDeque<(PgId, Place)>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Held<'_> {
    fn of<'a>(inner: &'a Inner, taken: &[(Arc<Pg>, Taken)]) -> Held<'a> {
        let places = taken.iter().flat_map(|(pg, taken)| {
            let pg = pg.log().pg();
            taken.messages.iter().map(move |one| (pg, one.place))
        });
        Held { inner, unread: places.collect(), deliveries: Vec::new() }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let delivered = self.deliveries.iter().map(|one| (one.pg, one.place));
        self.inner.take_back(self.unread.iter().copied().chain(delivered));
    }
}

fn matches(filter: &Filter, message: &StoredMessage) -> bool {
    filter.matches(message.properties.get(property::TAGS))
}

fn decode(record: RecordView, taken: &TakenMessage) -> Option<StoredMessage> {
    let decoded = stored::decode(record.body);
    let unreadable = |error: &stored::StoredError| {
        tracing::error!(%error, lsn = taken.lsn.0, "a stored message cannot be read");
    };
    decoded.inspect_err(unreadable).ok()
}

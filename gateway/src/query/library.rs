//! Where messages are looked for: in the logs of the placement groups that are owned here, and in the bucket.

use super::{Found, LookRefused};
use crate::broker::Broker;
use crate::history::LoadFailed;
use crate::ownership::{Owned, PlacementGroup};
use crate::tiering::Tiering;
use metadata::Catalog;
use metadata::model::TopicQueue;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use storage::format::object::Record;
use storage::format::{Lsn, PgId};
use storage::reader::{Found as FoundThere, KeyQuery, ReadError};

/// How long a look may wait for the object store: somebody sits before it, or a client with a patience of some seconds.
/// A store that is down is asked again for minutes.
const LOOK_TIME_MAX: Duration = Duration::from_secs(10);

/// A look, as long as anybody waits for it.
pub(super) async fn soon<T>(
    look: impl Future<Output = Result<T, LookRefused>>,
) -> Result<T, LookRefused> {
    let looked = tokio::time::timeout(LOOK_TIME_MAX, look).await;
    looked.unwrap_or(Err(LookRefused::NotLoaded(LoadFailed::Slow)))
}

/// All messages that this gateway may be asked for. Cheap to clone.
#[derive(Clone)]
pub struct Library {
    pub(super) owned: Owned,
    pub(super) catalog: Catalog,
    /// `None`: the logs have everything.
    tiering: Option<Tiering>,
}

impl Library {
    /// What a gateway has.
    pub fn of(broker: &Broker) -> Library {
        let (owned, catalog) = (broker.owned.clone(), broker.catalog.clone());
        Library { owned, catalog, tiering: Some(broker.tiering.clone()) }
    }

    /// Logs that have everything.
    #[cfg(test)]
    pub(super) fn of_logs(owned: Owned, catalog: Catalog) -> Library {
        Library { owned, catalog, tiering: None }
    }

    /// The queue's placement group, if it is here.
    pub(super) fn served(&self, queue: TopicQueue) -> Result<&Arc<PlacementGroup>, LookRefused> {
        self.owned.get(queue.pg).ok_or(LookRefused::NotServedHere(queue.pg))
    }

    /// Everything of a placement group below is in the bucket.
    pub(super) fn tiered(&self, pg: PgId) -> Lsn {
        let view = self.tiering.as_ref().and_then(|tiering| tiering.view(pg));
        view.map_or(pg.first_lsn(), |view| view.tiered())
    }

    /// The message that the bucket has at a place of the log. What a log gave up before this was asked is there.
    pub(super) async fn at(&self, pg: PgId, lsn: Lsn) -> Result<Option<Record>, LookRefused> {
        let Some(tiering) = &self.tiering else { return Ok(None) };
        let look = |views: Vec<_>| async move {
            match views.first() {
                Some(view) => tiering.reader().by_lsn(view, lsn).await,
                None => Ok(None),
            }
        };
        Ok(tiering.ask(&[pg], look).await?)
    }

    /// What the bucket has by a key in these placement groups. What a log gave up before this was asked is there.
    pub(super) async fn by_key(
        &self,
        pgs: &[PgId],
        query: &KeyQuery,
    ) -> Result<FoundThere, LookRefused> {
        let Some(tiering) = &self.tiering else { return Ok(FoundThere::default()) };
        let look =
            |views: Vec<_>| async move { tiering.reader().by_key(&views, query.clone()).await };
        Ok(tiering.ask(pgs, look).await?)
    }
}

impl From<ReadError> for LookRefused {
    fn from(failed: ReadError) -> LookRefused {
        match &failed {
            ReadError::Damaged { .. }
            | ReadError::NotARoot(_)
            | ReadError::Delta(_)
            | ReadError::Deltas(_) => {
                tracing::error!(error = %failed, "what lies in the object store cannot be read");
                LookRefused::Unreadable
            }
            ReadError::Stale { .. } | ReadError::Store(_) | ReadError::Closed => {
                LookRefused::NotLoaded(LoadFailed::Store(Arc::from(failed.to_string())))
            }
        }
    }
}

impl Found {
    /// A message out of the bucket.
    pub(super) fn of_record(pg: PgId, record: &Record) -> Result<Found, LookRefused> {
        Found::read(pg, record.lsn, record.body())
    }
}

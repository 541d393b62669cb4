//! Bringing places of queues into memory: each once at a time, few at the same time.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::object::Record;
use storage::format::{QueueOffset, QueueUid};
use tokio::sync::watch;

/// The most loads of one placement group at once: each is some MiB on its way, and together they
/// stay below what the windows hold.
pub const LOADS_MAX: usize = 8;

/// What a loader brings.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// All messages of the queue from where it was asked on to `next`, ascending by offset. At
    /// least one, unless there is none: whoever looks again must get on.
    pub records: Vec<Record>,
    /// Where to go on; above where it was asked. What lies at or behind the end of the tiered
    /// messages needs no care: [`QueueOffset`]'s largest value says that nothing more is there.
    pub next: QueueOffset,
}

/// Finds and reads messages that the local log no longer has.
#[async_trait]
pub trait Loader: Send + Sync + 'static {
    /// The messages of a queue from an offset on, a stretch of them as long as is good to read at
    /// once. What was below the local log when this was called must be seen.
    ///
    /// # Errors
    /// [`LoadFailed::Store`]; with the loader's own repeats behind it.
    async fn load(&self, queue: QueueUid, from: QueueOffset) -> Result<Loaded, LoadFailed>;

    /// The offset of a queue's first message there that was stored at or after a time; `None` if
    /// there is none. What was below the local log when this was called must be seen.
    ///
    /// # Errors
    /// [`LoadFailed::Store`].
    async fn offset_at_time(
        &self,
        queue: QueueUid,
        at: Timestamp,
    ) -> Result<Option<QueueOffset>, LoadFailed>;
}

/// Why a place is not in memory now. Asking again later is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailed {
    /// [`LOADS_MAX`] are on their way.
    #[error("too many older messages are being read at once")]
    Busy,
    /// The object store.
    #[error("older messages cannot be read from the object store: {0}")]
    Store(Arc<str>),
    /// It takes longer than whoever asked may wait. The load goes on.
    #[error("older messages are still being read from the object store")]
    Slow,
}

/// A queue and an offset.
pub(super) type Place = (QueueUid, QueueOffset);

/// How a load went; `None` before its end.
type Outcome = Option<Result<(), LoadFailed>>;

/// The loads on their way.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<BTreeMap<Place, watch::Receiver<Outcome>>>);

/// A load on its way, or one that ended; whoever holds it can wait for its end.
#[derive(Debug)]
pub(super) struct Flight(watch::Receiver<Outcome>);

/// The one who brings a load to its end. Dropped before, the load failed.
#[derive(Debug)]
pub(super) struct Pilot {
    flights: Arc<Flights>,
    /// `None` once it is no longer under way.
    place: Option<Place>,
    outcome: watch::Sender<Outcome>,
}

impl Flights {
    /// Joins the load of a place, or begins it: then the pilot has to do it.
    ///
    /// # Errors
    /// [`LoadFailed::Busy`].
    pub(super) fn join(
        self: &Arc<Self>,
        place: Place,
    ) -> Result<(Flight, Option<Pilot>), LoadFailed> {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(&place) {
            return Ok((Flight(flight.clone()), None));
        }
        if flights.len() >= LOADS_MAX {
            return Err(LoadFailed::Busy);
        }
        let (outcome, flight) = watch::channel(None);
        flights.insert(place, flight.clone());
        let pilot = Pilot { flights: Arc::clone(self), place: Some(place), outcome };
        Ok((Flight(flight), Some(pilot)))
    }
}

impl Flight {
    /// How it went. Cancel safe: the load goes on.
    pub(super) async fn end(mut self) -> Result<(), LoadFailed> {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(LoadFailed::Store(Arc::from("the read was given up"))),
        }
    }
}

impl Pilot {
    /// Tells everybody how it went. Whoever hears it and asks again begins anew.
    pub(super) fn land(mut self, outcome: Result<(), LoadFailed>) {
        self.leave();
        self.outcome.send_replace(Some(outcome));
    }

    /// Once: the place may have another pilot then.
    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.flights.0.lock().remove(&place);
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        self.leave();
    }
}

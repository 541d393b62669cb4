//! One endpoint: the connections to it, and whether it is trusted.

use crate::config::Endpoint;
use crate::error::Error;
use crate::transport::{Dial, Stub};
use parking_lot::{Mutex, RwLock};
use protocol::grpc::v2 as pb;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{OnceCell, mpsc};
use tokio::task::AbortHandle;

/// One endpoint and the connections to it.
pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    /// Not empty; all replaced at once.
    stubs: RwLock<Vec<Stub>>,
    turn: AtomicUsize,
    /// It failed, and has not answered since: others are preferred (as the official clients do).
    isolated: AtomicBool,
    /// Set once the server has confirmed the settings for the first time.
    pub(crate) linked: OnceCell<()>,
    /// Where commands go while the Telemetry stream is open.
    pub(crate) telemetry: Mutex<Option<mpsc::Sender<pb::TelemetryCommand>>>,
    /// The task that attends the stream.
    pub(crate) attendant: Mutex<Option<AbortHandle>>,
    /// A heartbeat is on its way.
    pub(crate) beating: AtomicBool,
}

impl Peer {
    pub(crate) fn new(dial: &Dial, endpoint: Endpoint, connections: usize) -> Result<Peer, Error> {
        let stubs = dial_all(dial, &endpoint, connections)?;
        Ok(Peer {
            endpoint,
            stubs: RwLock::new(stubs),
            turn: AtomicUsize::new(0),
            isolated: AtomicBool::new(false),
            linked: OnceCell::new(),
            telemetry: Mutex::new(None),
            attendant: Mutex::new(None),
            beating: AtomicBool::new(false),
        })
    }

    /// The connection whose turn it is.
    pub(crate) fn stub(&self) -> Stub {
        let stubs = self.stubs.read();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % stubs.len();
        stubs[turn].clone()
    }

    /// Opens new connections for what comes; calls in progress end on the old ones.
    pub(crate) fn reconnect(&self, dial: &Dial) -> Result<(), Error> {
        let connections = self.stubs.read().len();
        let fresh = dial_all(dial, &self.endpoint, connections)?;
        *self.stubs.write() = fresh;
        Ok(())
    }

    pub(crate) fn is_isolated(&self) -> bool {
        self.isolated.load(Ordering::Relaxed)
    }

    /// Learns from the outcome of a call: who does not answer is isolated until an answer comes,
    /// be it a refusal. A session asks isolated peers for a sign of life every second.
    pub(crate) fn judge<T>(&self, outcome: &Result<T, Error>) {
        let failing = match outcome {
            Err(Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Broken { .. }) => true,
            // Says nothing of the endpoint.
            Err(Error::Closed | Error::Invalid { .. }) => return,
            Ok(_)
            | Err(
                Error::Refused { .. }
                | Error::Partly { .. }
                | Error::Declined { .. }
                | Error::Malformed { .. },
            ) => false,
        };
        // Most calls find it as it is.
        if failing == self.is_isolated()
            || self.isolated.swap(failing, Ordering::Relaxed) == failing
        {
            return;
        }
        match outcome {
            Err(error) if failing => {
                tracing::warn!(endpoint = %self.endpoint, %error, "endpoint isolated");
            }
            Ok(_) | Err(_) => tracing::info!(endpoint = %self.endpoint, "endpoint is back"),
        }
    }
}

fn dial_all(dial: &Dial, endpoint: &Endpoint, connections: usize) -> Result<Vec<Stub>, Error> {
    (0..connections.max(1)).map(|_| dial.stub(endpoint)).collect()
}

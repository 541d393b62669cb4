//! What fronts and features share.

use crate::settings::Settings;
use crate::{consume, group, observe, ownership, produce, replay, tiering};
use metadata::Catalog;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use storage::Store;
use storage::env::Env;
use tokio_util::sync::CancellationToken;

/// Where a gateway listens, ports chosen.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Addresses {
    /// gRPC clients.
    pub grpc: SocketAddr,
    /// The NameServer role.
    pub nameserver: SocketAddr,
    /// The broker role.
    pub broker: SocketAddr,
    /// Health and administration.
    pub http: SocketAddr,
}

/// One gateway's parts, assembled once at its start.
pub struct Broker {
    /// What the operator chose.
    pub settings: Settings,
    /// Where it listens.
    pub addresses: Addresses,
    /// Clock, randomness, tasks.
    pub env: Env,
    /// Topics, groups, placement groups, as last seen.
    pub catalog: Catalog,
    /// The journal.
    pub store: Store,
    /// The placement groups owned.
    pub owned: ownership::Owned,
    /// The clients connected.
    pub clients: group::Clients,
    /// Sending.
    pub produce: produce::Produce,
    /// Consuming.
    pub consume: consume::Consume,
    /// The way into the object store, and out of it.
    pub tiering: tiering::Tiering,
    /// Writing ranges of topics again elsewhere.
    pub replays: replay::Replays,
    /// Counts and rates.
    pub stats: observe::Stats,
    /// Cancelled when the process is to stop: parked polls and streams end.
    pub stop: CancellationToken,
    /// Whether clients are served: set after the start, cleared by the stop.
    pub ready: AtomicBool,
}

//! A gateway's life: start in dependency order, serve, drain, sync.

use crate::broker::Broker;
use crate::listen::{Connection, Listener, TlsIdentity};
use crate::settings::Settings;
use crate::{admin, consume, group, grpc, observe, ownership, produce, remoting};
use metadata::Catalog;
use metadata::model::{GatewayId, Incarnation, Owner};
use metadata::store::redb::RedbStore;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use storage::{Store, StoreConfig};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// HTTP/2 bytes in flight on one stream; a 4 MiB message does not stall in its middle.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// HTTP/2 bytes in flight on one connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Calls open at once on one connection, parked polls and Telemetry streams included.
const STREAMS_MAX: u32 = 10_000;
/// Calls that a client may have given up before we looked at them; past that HTTP/2 takes it for an attack and closes
/// the connection. A burst of time-outs of one client is as large as what it has in flight.
const GIVEN_UP_MAX: usize = STREAMS_MAX as usize;
/// How often a silent connection is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long calls in progress may take to end after the stop was asked for.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting, or what stands in its way; the text says what to do.
    #[error("{0}")]
    Settings(String),
    /// A file or a port.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The metadata store.
    #[error("metadata")]
    Metadata(#[from] metadata::Error),
    /// The journal.
    #[error("journal")]
    Storage(#[from] storage::Error),
    /// A placement group.
    #[error(transparent)]
    Open(#[from] ownership::OpenError),
    /// What groups did, as the logs tell it.
    #[error("replay")]
    Replay(#[from] consume::ops::OpMalformed),
    /// The TLS library.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
}

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

/// A running gateway.
pub struct Gateway {
    broker: Arc<Broker>,
    /// Servers and connections; they end by themselves once told to stop.
    fronts: TaskTracker,
    /// What runs beside the requests; aborted at the end.
    upkeep: Vec<tokio::task::JoinHandle<()>>,
}

struct Listeners {
    grpc: Listener,
    nameserver: Listener,
    broker: Listener,
    http: tokio::net::TcpListener,
}

impl Gateway {
    /// Starts and returns when clients can connect.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(settings: Settings, env: Env) -> Result<Gateway, StartError> {
        settings.check().map_err(StartError::Settings)?;
        make_folder(&settings.data)?;
        let tls = match &settings.tls {
            Some(files) => TlsIdentity::load(files.clone()),
            None => TlsIdentity::self_signed(&settings.data.join("tls")),
        }
        .map_err(|source| StartError::Io { what: "certificate".to_owned(), source })?;
        // Ports first: the commonest fault is found before anything is written.
        let listeners = Listeners::bind(&settings, &tls, &env).await?;
        let (broker, mut upkeep) = assemble(settings, listeners.addresses()?, &env).await?;
        upkeep.push(env.spawn("follow certificate", tls.follow(env.clone())));
        let fronts = TaskTracker::new();
        listeners.serve(&broker, &fronts);
        write_addresses(&broker)?;
        broker.ready.store(true, std::sync::atomic::Ordering::Release);
        Ok(Gateway { broker, fronts, upkeep })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.broker.addresses
    }

    /// What fronts and features share.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Takes no more work, lets the calls in progress end, syncs. A call that does not end in time is cut off.
    pub async fn stop(self) {
        self.broker.ready.store(false, std::sync::atomic::Ordering::Release);
        self.broker.stop.cancel();
        self.fronts.close();
        if tokio::time::timeout(DRAIN_TIME_MAX, self.fronts.wait()).await.is_err() {
            tracing::warn!("calls were still in progress and are cut off");
        }
        for task in &self.upkeep {
            task.abort();
        }
        self.broker.store.close().await;
        self.broker.catalog.close().await;
        tracing::info!("stopped");
    }
}

/// Everything behind the fronts, in dependency order.
async fn assemble(
    settings: Settings,
    addresses: Addresses,
    env: &Env,
) -> Result<(Arc<Broker>, Vec<tokio::task::JoinHandle<()>>), StartError> {
    let store = open_store(&settings, env)?;
    let metadata = Arc::new(RedbStore::open(&settings.data.join("metadata.redb"), env.clone())?);
    let cluster =
        metadata::ClusterSpec { name: settings.cluster.clone(), pgs: settings.placement_groups };
    let catalog = Catalog::start(metadata, env.clone(), cluster).await?;
    let gateway = GatewayId::parse(&settings.gateway)
        .ok_or_else(|| StartError::Settings("gateway name".to_owned()))?;
    let me = Owner { gateway, incarnation: Incarnation(env.random_u64()) };
    let owned = ownership::open_all(&catalog, &store, &me).await?;
    let stats = observe::Stats::new(owned.all().map(|pg| pg.id), env.clone());
    let clients = group::Clients::new(env.clone());
    let produce = produce::Produce::new(owned.clone(), stats.clone());
    ownership::reconcile(&catalog, &owned);
    let consume =
        consume::Consume::start(env.clone(), &catalog, &owned, clients.clone(), stats.clone())?;
    let mut upkeep = vec![env.spawn("sample rates", stats.clone().follow())];
    upkeep.push(env.spawn(
        "follow catalog",
        ownership::follow_catalog(catalog.clone(), owned.clone(), consume.clone()),
    ));
    let broker = Broker {
        settings,
        addresses,
        env: env.clone(),
        catalog,
        store,
        owned,
        clients,
        produce,
        consume,
        stats,
        stop: CancellationToken::new(),
        ready: false.into(),
    };
    Ok((Arc::new(broker), upkeep))
}

fn open_store(settings: &Settings, env: &Env) -> Result<Store, StartError> {
    let journal = settings.journal;
    let config = StoreConfig {
        dir: settings.data.join("journal"),
        capacity: journal.capacity,
        segment_bytes: journal.segment_bytes,
        spare_segments: journal.spare_segments,
        gateway: settings.gateway.clone(),
    };
    // Recovery reads and checksums whole segments; nothing else runs on the runtime yet.
    Ok(tokio::task::block_in_place(|| Store::open(config, env.clone()))?)
}

impl Listeners {
    async fn bind(
        settings: &Settings,
        tls: &TlsIdentity,
        env: &Env,
    ) -> Result<Listeners, StartError> {
        let http2 = tls.server_config(&[b"h2"])?;
        let remoting = tls.server_config(&[])?;
        let bind = |address, tls| Listener::bind(address, tls, env.clone());
        let fault = |source: std::io::Error| StartError::Io { what: source.to_string(), source };
        let listen = settings.listen;
        Ok(Listeners {
            grpc: bind(listen.grpc, http2).await.map_err(fault)?,
            nameserver: bind(listen.nameserver, Arc::clone(&remoting)).await.map_err(fault)?,
            broker: bind(listen.broker, remoting).await.map_err(fault)?,
            http: tokio::net::TcpListener::bind(listen.http).await.map_err(|source| {
                StartError::Io { what: format!("cannot listen on {}", listen.http), source }
            })?,
        })
    }

    fn addresses(&self) -> Result<Addresses, StartError> {
        let http = self.http.local_addr();
        let http =
            http.map_err(|source| StartError::Io { what: "HTTP port".to_owned(), source })?;
        Ok(Addresses {
            grpc: self.grpc.local(),
            nameserver: self.nameserver.local(),
            broker: self.broker.local(),
            http,
        })
    }

    fn serve(self, broker: &Arc<Broker>, fronts: &TaskTracker) {
        let Listeners { grpc, nameserver, broker: broker_port, http } = self;
        let spawn = |name, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            broker.env.spawn(name, fronts.track_future(task));
        };
        spawn("grpc", Box::pin(serve_grpc(grpc.connections(), Arc::clone(broker))));
        for (listener, role) in
            [(nameserver, remoting::Role::NameServer), (broker_port, remoting::Role::Broker)]
        {
            let serving =
                serve_remoting(listener.connections(), role, Arc::clone(broker), fronts.clone());
            spawn("remoting", Box::pin(serving));
        }
        spawn("http", Box::pin(serve_http(http, Arc::clone(broker))));
    }
}

async fn serve_grpc(connections: mpsc::Receiver<Connection>, broker: Arc<Broker>) {
    let incoming = ReceiverStream::new(connections);
    let incoming = tokio_stream::StreamExt::map(incoming, Ok::<_, std::io::Error>);
    let served = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_pending_accept_reset_streams(Some(GIVEN_UP_MAX))
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_ANSWER_MAX))
        .add_routes(grpc::service(Arc::clone(&broker)))
        .serve_with_incoming_shutdown(incoming, broker.stop.clone().cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the gRPC server ended");
    }
}

async fn serve_remoting(
    mut connections: mpsc::Receiver<Connection>,
    role: remoting::Role,
    broker: Arc<Broker>,
    fronts: TaskTracker,
) {
    loop {
        let connection = tokio::select! {
            () = broker.stop.cancelled() => return,
            connection = connections.recv() => connection,
        };
        let Some(connection) = connection else { return };
        let serving = remoting::serve_connection(connection, role, Arc::clone(&broker));
        broker.env.spawn("remoting connection", fronts.track_future(serving));
    }
}

async fn serve_http(listener: tokio::net::TcpListener, broker: Arc<Broker>) {
    let router = admin::router(Arc::clone(&broker));
    let stop = broker.stop.clone().cancelled_owned();
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(path).map_err(|source| StartError::Io {
        what: format!("cannot make the data folder {}", path.display()),
        source,
    })
}

/// Writes `addresses.json`, so that a script that asked for free ports learns them.
fn write_addresses(broker: &Broker) -> Result<(), StartError> {
    let fault =
        |source: std::io::Error| StartError::Io { what: "addresses.json".to_owned(), source };
    let text = serde_json::to_vec_pretty(&broker.addresses).map_err(|error| fault(error.into()))?;
    let path = broker.settings.data.join("addresses.json");
    let fresh = path.with_extension("json.new");
    std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &path)).map_err(fault)
}

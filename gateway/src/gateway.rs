//! A gateway's life: start in dependency order, serve, drain, sync.

use crate::broker::{Addresses, Broker};
use crate::consume::Consume;
use crate::listen::{Connection, Listener, TlsIdentity};
use crate::ownership::{Owned, PlacementGroup};
use crate::settings::{Listen, Settings};
use crate::tiering::{ObjectStore, Ready};
use crate::{admin, consume, group, grpc, observe, ownership, produce, remoting, replay, tiering};
use metadata::Catalog;
use metadata::model::{GatewayId, Incarnation, Owner, PgRecord, Record, key};
use metadata::store::redb::RedbStore;
use metadata::store::{KeyValue, MetadataStore};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::env::{Env, Priority};
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
    /// An address that cannot be listened on.
    #[error("cannot listen on {address} ({flags})")]
    Port {
        /// Which one.
        address: SocketAddr,
        /// The settings that choose another.
        flags: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// One of the two that belong together is there, the other is not.
    #[error(
        "{} has metadata.redb but no journal/STORE; they belong together: bring back the journal, or start with an \
         empty data folder", .0.display()
    )]
    NoJournal(PathBuf),
    /// A file.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The metadata store.
    #[error("{}", path.display())]
    Metadata {
        /// Its file.
        path: PathBuf,
        /// Its words.
        source: metadata::Error,
    },
    /// The journal.
    #[error("{}", dir.display())]
    Journal {
        /// Its folder.
        dir: PathBuf,
        /// Its words.
        source: storage::Error,
    },
    /// A placement group.
    #[error(transparent)]
    Open(#[from] ownership::OpenError),
    /// What groups did, as the logs tell it.
    #[error("replay")]
    Replay(#[from] consume::ops::OpMalformed),
    /// The object store.
    #[error("object store {address}")]
    Store {
        /// Where it is.
        address: String,
        /// Its words.
        source: storage::object::Error,
    },
    /// What lies in the object store, or the way to it.
    #[error(transparent)]
    Tiering(#[from] tiering::TieringRefused),
    /// The TLS library.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
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
    /// Starts over this object store and returns when clients can connect.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(
        settings: Settings,
        store: impl Into<ObjectStore>,
        env: Env,
    ) -> Result<Gateway, StartError> {
        settings.check().map_err(StartError::Settings)?;
        make_folder(&settings.data)?;
        let tls = identity(&settings)?;
        // Ports first: the commonest fault is found before anything is written.
        let listeners = Listeners::bind(&settings, &tls, &env).await?;
        let bucket = tiering::Open::new(store.into(), &settings, &env).await?;
        let (broker, mut upkeep) = assemble(settings, bucket, listeners.addresses()?, &env).await?;
        upkeep.push(env.spawn("follow certificate", tls.follow(env.clone())));
        let fronts = TaskTracker::new();
        listeners.serve(&broker, &fronts);
        // Among the fronts: it ends by itself once told to stop, and is given the time.
        env.spawn("replays", fronts.track_future(broker.replays.clone().follow()));
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
        self.broker.tiering.close().await;
        self.broker.store.close().await;
        self.broker.catalog.close().await;
        tracing::info!("stopped");
    }
}

/// Everything behind the fronts, in dependency order.
async fn assemble(
    settings: Settings,
    bucket: tiering::Open,
    addresses: Addresses,
    env: &Env,
) -> Result<(Arc<Broker>, Vec<tokio::task::JoinHandle<()>>), StartError> {
    let path = settings.data.join("metadata.redb");
    let fault = |source| metadata_fault(&path, source);
    let is_first = !path.exists() || awaits_journal(&settings, env).await.map_err(fault)?;
    let store = open_store(&settings, is_first, env)?;
    let metadata = Arc::new(RedbStore::open(&path, env.clone()).map_err(fault)?);
    let cluster =
        metadata::ClusterSpec { name: settings.cluster.clone(), pgs: settings.placement_groups };
    let catalog = Catalog::start(metadata, env.clone(), cluster).await.map_err(fault)?;
    let gateway = GatewayId::parse(&settings.gateway)
        .ok_or_else(|| StartError::Settings("gateway name".to_owned()))?;
    let me = Owner { gateway, incarnation: Incarnation(env.random_u64()) };
    let opened = ownership::open_all(&catalog, &store, &me).await?;
    let (ready, tiering) = bucket.recover(opened, &catalog).await?;
    let (mut groups, mut replays) = (Vec::new(), BTreeMap::new());
    for Ready { pg, history, replay } in ready {
        groups.push(PlacementGroup::new(history));
        replays.insert(pg, replay);
    }
    let owned = Owned::new(groups);
    let stats = observe::Stats::new(owned.all().map(|pg| pg.id), env.clone());
    let clients = group::Clients::new(env.clone());
    ownership::reconcile(&catalog, &owned);
    let (of_clients, of_stats) = (clients.clone(), stats.clone());
    let consume = Consume::start(env.clone(), &catalog, &owned, of_clients, of_stats, replays)?;
    let (tiering, mut upkeep) = tiering.begin(&settings, &me, &catalog, &store, &consume);
    let produce = produce::Produce::new(owned.clone(), tiering.handle().clone(), stats.clone());
    upkeep.push(env.spawn("sample rates", stats.clone().follow()));
    upkeep.push(env.spawn(
        "follow catalog",
        ownership::follow_catalog(catalog.clone(), owned.clone(), consume.clone()),
    ));
    let stop = CancellationToken::new();
    // Reading and deciding take one core at most, and that only as far as the tail leaves it.
    let crew = env.crew("replays", 1, Priority::Low).map_err(tiering::TieringRefused::Threads)?;
    let replays = replay::Replays::new(replay::Parts {
        env: env.clone(),
        crew,
        catalog: catalog.clone(),
        owned: owned.clone(),
        consume: consume.clone(),
        produce: produce.clone(),
        source: Arc::new(replay::Archive::new(owned.clone(), catalog.clone(), tiering.clone())),
        me,
        stop: stop.clone(),
    });
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
        tiering,
        replays,
        stats,
        stop,
        ready: false.into(),
    };
    Ok((Arc::new(broker), upkeep))
}

/// A certificate that was named and cannot be used is a wrong setting; the made one is a file among others.
fn identity(settings: &Settings) -> Result<TlsIdentity, StartError> {
    match &settings.tls {
        Some(files) => TlsIdentity::load(files.clone())
            .map_err(|error| StartError::Settings(format!("certificate: {error}"))),
        None => TlsIdentity::self_signed(&settings.data.join("tls"))
            .map_err(|source| StartError::Io { what: "certificate".to_owned(), source }),
    }
}

fn metadata_fault(path: &Path, source: metadata::Error) -> StartError {
    if matches!(source, metadata::Error::OtherCluster { .. }) {
        return StartError::Settings(format!("{}: {source}", path.display()));
    }
    StartError::Metadata { path: path.to_owned(), source }
}

/// Whether there is no journal, and the metadata name none: they were rebuilt from the bucket.
async fn awaits_journal(settings: &Settings, env: &Env) -> Result<bool, metadata::Error> {
    if Store::is_made(&settings.data.join("journal")) {
        return Ok(false);
    }
    let store = RedbStore::open(&settings.data.join("metadata.redb"), env.clone())?;
    let records = store.range(key::PGS).await;
    store.close().await;
    let records = records?.pairs;
    let names_none = |pair: &KeyValue| {
        PgRecord::decode(&pair.value).is_ok_and(|record| record.stores.is_empty())
    };
    Ok(!records.is_empty() && records.iter().all(names_none))
}

/// `is_first`: there is no metadata yet, or it awaits its journal. The journal is made before the metadata, so other
/// metadata without a journal mean that the journal was taken away; making an empty one in its place would hide that.
fn open_store(settings: &Settings, is_first: bool, env: &Env) -> Result<Store, StartError> {
    let journal = settings.journal;
    let dir = settings.data.join("journal");
    if !is_first && !Store::is_made(&dir) {
        return Err(StartError::NoJournal(settings.data.clone()));
    }
    let config = StoreConfig {
        dir: dir.clone(),
        capacity: journal.capacity,
        segment_bytes: journal.segment_bytes,
        spare_segments: journal.spare_segments,
        index_bytes: journal.index_bytes,
        gateway: settings.gateway.clone(),
    };
    // Recovery reads and checksums whole segments; nothing else runs on the runtime yet.
    let opened = tokio::task::block_in_place(|| Store::open(config, env.clone()));
    opened.map_err(|source| {
        if matches!(source, storage::Error::Capacity { .. }) {
            return StartError::Settings(format!("{}: {source}", dir.display()));
        }
        StartError::Journal { dir, source }
    })
}

impl Listeners {
    async fn bind(
        settings: &Settings,
        tls: &TlsIdentity,
        env: &Env,
    ) -> Result<Listeners, StartError> {
        let http2 = tls.server_config(&[b"h2"])?;
        let remoting = tls.server_config(&[])?;
        let bind = async |address, tls, flags| {
            let bound = Listener::bind(address, tls, env.clone()).await;
            bound.map_err(|source| StartError::Port { address, flags, source })
        };
        let Listen { grpc, nameserver, broker, http } = settings.listen;
        Ok(Listeners {
            grpc: bind(grpc, http2, "--listen, --grpc-port").await?,
            nameserver: bind(nameserver, Arc::clone(&remoting), "--listen, --nameserver-port")
                .await?,
            broker: bind(broker, remoting, "--listen, --broker-port").await?,
            http: tokio::net::TcpListener::bind(http).await.map_err(|source| StartError::Port {
                address: http,
                flags: "--http-listen, --http-port",
                source,
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

/// For its owner alone: messages and secrets lie in it.
fn make_folder(path: &Path) -> Result<(), StartError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::Io {
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

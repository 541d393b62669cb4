//! What a producer and a consumer have in common: a name, routes, peers, heartbeats and an end.
//!
//! Two kinds of tasks run for a session: one keeper (heartbeats, route refresh, settings), and for
//! each endpoint of the routes one that attends the Telemetry stream. They end when the session is
//! dropped.

use crate::config::{Config, Endpoint};
use crate::error::{Error, Refusal};
use crate::message::resource;
use crate::route::Route;
use crate::rpc::{Call, Headers};
use crate::transport::{Dial, Stub};
use crate::{door, identity, telemetry};
use parking_lot::{Mutex, RwLock};
use protocol::grpc::v2 as pb;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;

/// Spec B.22: heartbeats every 10 s, the first after 1 s; routes every 30 s, first after 10;
/// settings every 5 min.
const FIRST_BEAT_AFTER: Duration = Duration::from_secs(1);
const BEAT_EVERY: Duration = Duration::from_secs(10);
const BEATS_PER_ROUTE_REFRESH: u64 = 3;
const BEATS_PER_SETTINGS: u64 = 30;
/// What the servers say; until one has spoken.
const DEFAULT_ATTEMPTS: u32 = 3;

/// What kind of client it is.
pub(crate) enum Role {
    Producer,
    SimpleConsumer { group: String, subscriptions: Vec<(String, pb::FilterExpression)> },
}

/// One endpoint and the connections to it.
pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    stubs: Vec<Stub>,
    turn: AtomicUsize,
    /// Set once the server has confirmed the settings for the first time.
    linked: OnceCell<()>,
    /// Where commands go while the Telemetry stream is open.
    pub(crate) telemetry: Mutex<Option<mpsc::Sender<pb::TelemetryCommand>>>,
}

impl Peer {
    fn new(dial: &Dial, endpoint: Endpoint, connections: usize) -> Result<Peer, Error> {
        let stubs =
            (0..connections.max(1)).map(|_| dial.stub(&endpoint)).collect::<Result<_, _>>()?;
        Ok(Peer {
            endpoint,
            stubs,
            turn: AtomicUsize::new(0),
            linked: OnceCell::new(),
            telemetry: Mutex::new(None),
        })
    }

    /// The connection whose turn it is.
    pub(crate) fn stub(&self) -> Stub {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.stubs.len();
        self.stubs[turn].clone()
    }
}

/// What the session's tasks share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) role: Role,
    pub(crate) headers: Headers,
    /// Attempts that the server allows for one send, at least 1.
    pub(crate) attempts: AtomicU32,
    /// Every topic that this client has named; grows with what a producer sends to.
    pub(crate) topics: Mutex<BTreeSet<String>>,
    dial: Dial,
    routes: RwLock<HashMap<String, Arc<Route>>>,
    peers: RwLock<HashMap<Endpoint, Arc<Peer>>>,
    closed: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

/// A started client. Dropping it ends its tasks; only [`Session::close`] says goodbye to the
/// servers.
pub(crate) struct Session(Arc<Inner>);

impl Drop for Session {
    fn drop(&mut self) {
        // The tasks hold what holds them.
        self.0.tasks.lock().abort_all();
    }
}

impl Session {
    /// Fetches the routes of `topics`, and has every endpoint in them confirm the settings.
    pub(crate) async fn start(
        config: Config,
        role: Role,
        topics: BTreeSet<String>,
    ) -> Result<Session, Error> {
        let headers = Headers::new(&identity::client_id(), &config.namespace)?;
        let dial = Dial::new(&config)?;
        let session = Session(Arc::new(Inner {
            config,
            role,
            headers,
            attempts: AtomicU32::new(DEFAULT_ATTEMPTS),
            topics: Mutex::new(topics.clone()),
            dial,
            routes: RwLock::default(),
            peers: RwLock::default(),
            closed: AtomicBool::new(false),
            tasks: Mutex::new(JoinSet::new()),
        }));
        for topic in &topics {
            session.0.learn_route(topic).await?;
        }
        if topics.is_empty() {
            let access_point = session.0.config.access_point.clone();
            session.0.link(&access_point).await?;
        }
        door::spawn(&mut session.0.tasks.lock(), keep(Arc::clone(&session.0)));
        Ok(session)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// The route of `topic`, from memory or from the server.
    pub(crate) async fn route(&self, topic: &str) -> Result<Arc<Route>, Error> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let known = self.0.routes.read().get(topic).cloned();
        match known {
            Some(route) => Ok(route),
            None => self.0.learn_route(topic).await,
        }
    }

    /// Makes the next [`Session::route`] ask the server: what this client knows led nowhere.
    pub(crate) fn forget_route(&self, topic: &str) {
        self.0.routes.write().remove(topic);
    }

    /// The peer at `endpoint`.
    pub(crate) fn peer(&self, endpoint: &Endpoint) -> Result<Arc<Peer>, Error> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        self.0.peer(endpoint)
    }

    /// Tells every server that this client is gone. What is in flight goes on; new calls fail.
    /// Waits at most one request timeout.
    pub(crate) async fn close(&self) {
        if self.0.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        self.0.tasks.lock().abort_all();
        let mut goodbyes = JoinSet::new();
        for peer in self.0.linked_peers() {
            let inner = Arc::clone(&self.0);
            door::spawn(&mut goodbyes, async move {
                if let Err(error) = inner.say_goodbye(&peer).await {
                    tracing::debug!(endpoint = %peer.endpoint, %error, "termination not notified");
                }
                *peer.telemetry.lock() = None;
            });
        }
        goodbyes.join_all().await;
    }
}

impl Inner {
    fn group(&self) -> Option<pb::Resource> {
        match &self.role {
            Role::Producer => None,
            Role::SimpleConsumer { group, .. } => Some(resource(&self.config.namespace, group)),
        }
    }

    fn client_type(&self) -> pb::ClientType {
        match self.role {
            Role::Producer => pb::ClientType::Producer,
            Role::SimpleConsumer { .. } => pb::ClientType::SimpleConsumer,
        }
    }

    fn peer(&self, endpoint: &Endpoint) -> Result<Arc<Peer>, Error> {
        let known = self.peers.read().get(endpoint).cloned();
        if let Some(peer) = known {
            return Ok(peer);
        }
        let peer = Arc::new(Peer::new(&self.dial, endpoint.clone(), self.config.connections)?);
        Ok(Arc::clone(self.peers.write().entry(endpoint.clone()).or_insert(peer)))
    }

    fn linked_peers(&self) -> Vec<Arc<Peer>> {
        self.peers.read().values().filter(|peer| peer.linked.initialized()).cloned().collect()
    }

    /// Asks for the route of `topic`, makes sure that everyone in it knows this client, and
    /// remembers it.
    async fn learn_route(self: &Arc<Self>, topic: &str) -> Result<Arc<Route>, Error> {
        let route = Arc::new(self.query_route(topic).await?);
        let news = self.topics.lock().insert(topic.to_owned());
        for endpoint in route.endpoints() {
            self.link(endpoint).await?;
        }
        if news {
            for peer in self.linked_peers() {
                telemetry::sync(self, &peer);
            }
        }
        self.routes.write().insert(topic.to_owned(), Arc::clone(&route));
        Ok(route)
    }

    async fn query_route(&self, topic: &str) -> Result<Route, Error> {
        const RPC: &str = "QueryRoute";
        let access_point = &self.config.access_point;
        let patience = self.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: access_point, patience };
        let body = pb::QueryRouteRequest {
            topic: Some(resource(&self.config.namespace, topic)),
            endpoints: Some(telemetry::endpoints(access_point)),
        };
        let mut stub = self.peer(access_point)?.stub();
        let request = self.headers.request(body, Some(patience));
        let answer = call.answer(stub.query_route(request)).await?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
        Ok(Route::from_wire(answer.message_queues, access_point))
    }

    /// Makes sure that the server at `endpoint` has this client's settings, once.
    async fn link(self: &Arc<Self>, endpoint: &Endpoint) -> Result<(), Error> {
        let peer = self.peer(endpoint)?;
        let attended = Arc::clone(&peer);
        peer.linked
            .get_or_try_init(|| async {
                let link = telemetry::link(self, &attended).await?;
                let task = telemetry::attend(Arc::clone(self), Arc::clone(&attended), link);
                door::spawn(&mut self.tasks.lock(), task);
                Ok(())
            })
            .await
            .copied()
    }

    async fn heartbeat(&self, peer: &Peer) -> Result<(), Error> {
        const RPC: &str = "Heartbeat";
        let patience = self.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &peer.endpoint, patience };
        let body =
            pb::HeartbeatRequest { group: self.group(), client_type: self.client_type() as i32 };
        let request = self.headers.request(body, Some(patience));
        let answer = call.answer(peer.stub().heartbeat(request)).await?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })
    }

    async fn say_goodbye(&self, peer: &Peer) -> Result<(), Error> {
        const RPC: &str = "NotifyClientTermination";
        let patience = self.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &peer.endpoint, patience };
        let body = pb::NotifyClientTerminationRequest { group: self.group() };
        let request = self.headers.request(body, Some(patience));
        let answer = call.answer(peer.stub().notify_client_termination(request)).await?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })
    }
}

/// Keeps the servers' memory of this client fresh, and this client's of the routes.
async fn keep(inner: Arc<Inner>) {
    door::sleep(FIRST_BEAT_AFTER).await;
    for beat in 0_u64.. {
        for peer in inner.linked_peers() {
            beat_once(&inner, &peer, beat).await;
        }
        if beat % BEATS_PER_ROUTE_REFRESH == 1 {
            refresh_routes(&inner).await;
        }
        door::sleep(BEAT_EVERY).await;
    }
}

async fn beat_once(inner: &Inner, peer: &Peer, beat: u64) {
    match inner.heartbeat(peer).await {
        Ok(()) if beat % BEATS_PER_SETTINGS == BEATS_PER_SETTINGS - 1 => {
            telemetry::sync(inner, peer)
        }
        Ok(()) => {}
        Err(error) => {
            // A server that was restarted asks for the settings in this way.
            if error.code() == Some(pb::Code::UnrecognizedClientType) {
                telemetry::sync(inner, peer);
            }
            tracing::debug!(endpoint = %peer.endpoint, %error, "heartbeat failed");
        }
    }
}

async fn refresh_routes(inner: &Arc<Inner>) {
    let topics: Vec<String> = inner.routes.read().keys().cloned().collect();
    for topic in topics {
        if let Err(error) = inner.learn_route(&topic).await {
            // The old route serves on; whoever uses it will be told what is wrong with the topic.
            tracing::debug!(topic, %error, "route not refreshed");
        }
    }
}

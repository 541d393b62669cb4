//! What a producer and a consumer have in common: a name, routes, peers, heartbeats and an end.
//!
//! Two kinds of tasks run for a session: one keeper (heartbeats, route refresh, settings, a look
//! every second at who is isolated), and for each endpoint of the routes one that attends the
//! Telemetry stream. They end when the session is dropped.

use crate::advised::Advised;
use crate::config::{Config, Endpoint};
use crate::consumer::Filter;
use crate::error::{Advice, Error, Refusal};
use crate::message::resource;
use crate::metrics::{Meters, Metrics};
use crate::peer::Peer;
use crate::route::Route;
use crate::rpc::{Call, Headers};
use crate::transport::Dial;
use crate::{door, identity, telemetry};
use parking_lot::{Mutex, RwLock};
use protocol::grpc::v2 as pb;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// How often peers that do not answer are asked for a sign of life.
const TICK: Duration = Duration::from_secs(1);
/// Spec B.22: heartbeats every 10 s, the first after 1 s; settings every 5 min; routes every 30 s,
/// first after 10.
const TICKS_PER_BEAT: u64 = 10;
const TICKS_PER_SETTINGS: u64 = 300;
const TICKS_PER_ROUTE_REFRESH: u64 = 30;
const FIRST_ROUTE_REFRESH: u64 = 9;

/// What kind of client it is.
pub(crate) enum Role {
    Producer,
    Consumer {
        kind: ConsumerKind,
        group: String,
        subscriptions: Vec<(String, pb::FilterExpression)>,
        /// Does with a message what the consumer would, when an operator asks for it.
        verify: Option<Verify>,
    },
}

/// Who decides when messages are fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerKind {
    Simple,
    Push,
}

/// Consumes a message without acknowledging it, and answers with the code of the result.
pub(crate) type Verify = Arc<
    dyn Fn(pb::Message, Endpoint) -> Pin<Box<dyn Future<Output = pb::Code> + Send>> + Send + Sync,
>;

impl Role {
    /// # Errors
    /// [`Error::Invalid`] without a subscription.
    pub(crate) fn consumer(
        kind: ConsumerKind,
        group: &str,
        filters: &[(String, Filter)],
    ) -> Result<Role, Error> {
        if filters.is_empty() {
            return Err(Error::Invalid { what: "a consumer subscribes to a topic".to_owned() });
        }
        let wire = |(topic, filter): &(String, Filter)| (topic.clone(), filter.to_wire());
        let subscriptions = filters.iter().map(wire).collect();
        Ok(Role::Consumer { kind, group: group.to_owned(), subscriptions, verify: None })
    }

    #[must_use]
    pub(crate) fn verified_by(mut self, by: Verify) -> Role {
        if let Role::Consumer { verify, .. } = &mut self {
            *verify = Some(by);
        }
        self
    }

    pub(crate) fn client_type(&self) -> pb::ClientType {
        match self {
            Role::Producer => pb::ClientType::Producer,
            Role::Consumer { kind: ConsumerKind::Simple, .. } => pb::ClientType::SimpleConsumer,
            Role::Consumer { kind: ConsumerKind::Push, .. } => pb::ClientType::PushConsumer,
        }
    }
}

/// What the session's tasks share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) role: Role,
    pub(crate) headers: Headers,
    pub(crate) meters: Meters,
    /// What the servers said last.
    advised: RwLock<Arc<Advised>>,
    /// Every topic that this client has named; grows with what a producer sends to.
    pub(crate) topics: Mutex<BTreeSet<String>>,
    pub(crate) dial: Dial,
    routes: RwLock<HashMap<String, Arc<Route>>>,
    peers: RwLock<HashMap<Endpoint, Arc<Peer>>>,
    closed: AtomicBool,
    pub(crate) tasks: Mutex<JoinSet<()>>,
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
        let credentials = config.credentials.clone();
        let headers = Headers::new(&identity::client_id(), &config.namespace, credentials)?;
        let dial = Dial::new(&config)?;
        let session = Session(Arc::new(Inner {
            config,
            role,
            headers,
            meters: Meters::default(),
            advised: RwLock::default(),
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

    /// Thinks about the route after a failure. True if someone else is there to ask at once.
    ///
    /// A topic that is gone is asked for at its next use. A server that cannot be reached may have
    /// moved: if nobody else is left, the route is asked for now; if that fails, the old one stays.
    pub(crate) async fn look_again(&self, topic: &str, error: &Error) -> bool {
        if error.code() == Some(pb::Code::TopicNotFound) {
            self.0.routes.write().remove(topic);
            return false;
        }
        if !matches!(error, Error::Unreachable { .. }) {
            return false;
        }
        let route = self.0.routes.read().get(topic).cloned();
        let elsewhere =
            route.is_some_and(|route| route.endpoints().any(|endpoint| self.trusts(endpoint)));
        if !elsewhere && let Err(error) = self.0.learn_route(topic).await {
            tracing::debug!(topic, %error, "route not refreshed");
        }
        elsewhere
    }

    /// Whether the endpoint has not failed lately.
    pub(crate) fn trusts(&self, endpoint: &Endpoint) -> bool {
        self.0.peers.read().get(endpoint).is_none_or(|peer| !peer.is_isolated())
    }

    /// Makes sure that the server at `endpoint` knows this client.
    pub(crate) async fn link(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.0.link(endpoint).await
    }

    /// The counters, and how many endpoints are isolated.
    pub(crate) fn metrics(&self) -> Metrics {
        let isolated = self.0.peers.read().values().filter(|peer| peer.is_isolated()).count();
        let isolated_endpoints = u64::try_from(isolated).unwrap_or(u64::MAX);
        Metrics { isolated_endpoints, ..self.0.meters.snapshot() }
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
    pub(crate) fn advised(&self) -> Arc<Advised> {
        Arc::clone(&self.advised.read())
    }

    /// Takes what a server says.
    pub(crate) fn adopt(&self, settings: &pb::Settings) {
        let mut advised = self.advised.write();
        *advised = Arc::new(advised.with(settings));
    }

    fn group(&self) -> Option<pb::Resource> {
        match &self.role {
            Role::Producer => None,
            Role::Consumer { group, .. } => Some(resource(&self.config.namespace, group)),
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

    /// Forgets peers that no route names any more.
    fn retire_peers(&self) -> Vec<Arc<Peer>> {
        let routes = self.routes.read();
        let named: HashSet<&Endpoint> =
            routes.values().flat_map(|route| route.endpoints()).collect();
        let gone = |endpoint: &Endpoint| {
            *endpoint != self.config.access_point && !named.contains(endpoint)
        };
        let mut peers = self.peers.write();
        let retired = peers.extract_if(|endpoint, _| gone(endpoint));
        let retired: Vec<Arc<Peer>> = retired.map(|(_, peer)| peer).collect();
        for attendant in retired.iter().filter_map(|peer| peer.attendant.lock().take()) {
            attendant.abort();
        }
        retired
    }

    /// Asks for the route of `topic`, makes sure that those in it know this client, and
    /// remembers it.
    async fn learn_route(self: &Arc<Self>, topic: &str) -> Result<Arc<Route>, Error> {
        let route = Arc::new(self.query_route(topic).await?);
        let news = self.topics.lock().insert(topic.to_owned());
        self.link_all(route.endpoints().cloned().collect()).await?;
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
        let peer = self.peer(access_point)?;
        let mut stub = peer.stub();
        let request = self.headers.request(body, Some(patience));
        let answer = call.answer(stub.query_route(request)).await;
        peer.judge(&answer);
        let answer = answer?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
        Ok(Route::from_wire(answer.message_queues, access_point))
    }

    /// Makes sure that those who can be reached know this client; one is enough to go on with.
    async fn link_all(self: &Arc<Self>, endpoints: HashSet<Endpoint>) -> Result<(), Error> {
        let mut links = JoinSet::new();
        for endpoint in endpoints {
            let inner = Arc::clone(self);
            door::spawn(&mut links, async move { inner.link(&endpoint).await });
        }
        let outcomes = links.join_all().await;
        let one_is_linked = outcomes.iter().any(Result::is_ok);
        let mut unreached = None;
        for error in outcomes.into_iter().filter_map(Result::err) {
            // What one server will not have, for a reason of the client's, none will.
            if !matches!(error.advice(), Advice::Retry { .. }) {
                return Err(error);
            }
            unreached.get_or_insert(error);
        }
        match unreached {
            Some(error) if !one_is_linked => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes sure that the server at `endpoint` has this client's settings, once.
    async fn link(self: &Arc<Self>, endpoint: &Endpoint) -> Result<(), Error> {
        let peer = self.peer(endpoint)?;
        let attended = Arc::clone(&peer);
        let init = || async {
            let linked = telemetry::link(self, &attended).await;
            attended.judge(&linked);
            let task = telemetry::attend(Arc::clone(self), Arc::clone(&attended), linked?);
            let handle = door::spawn(&mut self.tasks.lock(), task);
            *attended.attendant.lock() = Some(handle);
            Ok(())
        };
        peer.linked.get_or_try_init(init).await.copied()
    }

    async fn heartbeat(&self, peer: &Peer) -> Result<(), Error> {
        const RPC: &str = "Heartbeat";
        let patience = self.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &peer.endpoint, patience };
        let body = pb::HeartbeatRequest {
            group: self.group(),
            client_type: self.role.client_type() as i32,
        };
        let request = self.headers.request(body, Some(patience));
        let answer = call.answer(peer.stub().heartbeat(request)).await;
        peer.judge(&answer);
        let answer = answer?;
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
    let mut beats = JoinSet::new();
    let mut refresh = JoinSet::new();
    for tick in 0_u64.. {
        door::sleep(TICK).await;
        while beats.try_join_next().is_some() {}
        let settings_due = tick % TICKS_PER_SETTINGS == TICKS_PER_SETTINGS - 1;
        let everyone = tick % TICKS_PER_BEAT == 0 || settings_due;
        let peers: Vec<Arc<Peer>> = inner.peers.read().values().cloned().collect();
        for peer in peers.into_iter().filter(|peer| everyone || peer.is_isolated()) {
            // Who takes long to answer is not asked twice at once.
            if !peer.beating.swap(true, Ordering::Relaxed) {
                door::spawn(&mut beats, beat(Arc::clone(&inner), peer, settings_due));
            }
        }
        let refresh_due = tick % TICKS_PER_ROUTE_REFRESH == FIRST_ROUTE_REFRESH;
        while refresh.try_join_next().is_some() {}
        if refresh_due && refresh.is_empty() {
            door::spawn(&mut refresh, refresh_routes(Arc::clone(&inner)));
        }
    }
}

/// Tells a peer that this client lives, and learns whether the peer does.
async fn beat(inner: Arc<Inner>, peer: Arc<Peer>, settings_due: bool) {
    let outcome = if peer.linked.initialized() {
        inner.heartbeat(&peer).await
    } else if peer.is_isolated() {
        // It could not be reached when its route was learnt.
        inner.link(&peer.endpoint).await
    } else {
        Ok(())
    };
    // A server that was restarted asks for the settings in this way.
    let forgotten = |error: &Error| error.code() == Some(pb::Code::UnrecognizedClientType);
    if settings_due || outcome.as_ref().is_err_and(forgotten) {
        telemetry::sync(&inner, &peer);
    }
    if let Err(error) = outcome {
        tracing::debug!(endpoint = %peer.endpoint, %error, "heartbeat failed");
    }
    peer.beating.store(false, Ordering::Relaxed);
}

async fn refresh_routes(inner: Arc<Inner>) {
    let topics: Vec<String> = inner.routes.read().keys().cloned().collect();
    let mut complete = true;
    for topic in topics {
        if let Err(error) = inner.learn_route(&topic).await {
            // The old route serves on; whoever uses it will be told what is wrong with the topic.
            tracing::debug!(topic, %error, "route not refreshed");
            complete = false;
        }
    }
    if complete {
        let retired = inner.retire_peers();
        for peer in retired {
            tracing::debug!(endpoint = %peer.endpoint, "no route leads there any more");
        }
    }
}

//! What a RocketMQ client must say before and besides its work, and the requests themselves.
//!
//! One session is one connection and one client: it asks for the route, tells its settings over the
//! Telemetry stream, and sends heartbeats. Requests go to the endpoint that was given, whatever
//! other addresses the route names: it is that endpoint which is measured.

use super::connection::{Stub, connect};
use super::workload::resource;
use crate::cli::failure::{Failure, GRPC_PORT, NAMES, is_illegal_name};
use client::Config;
use pb::receive_message_response::Content;
use pb::settings::PubSub;
use pb::telemetry_command::Command;
use protocol::grpc::v2 as pb;
use std::time::Duration;
use storage::env::Env;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code::{PermissionDenied, Unauthenticated};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status, Streaming};

const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// What servers compare to tell what a client understands; the client crate says the same.
const CLIENT_VERSION: &str = "5.2.0";

/// What a session is for.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Producer,
    Consumer { group: String },
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no, in a word; the run goes on and counts it.
    Refused(String),
    /// The connection is gone; so is the run.
    Lost(String),
}

/// A received message, as far as a bench looks.
pub(super) struct Received {
    pub(super) body: bytes::Bytes,
    pub(super) attempt: i32,
    pub(super) ack: pb::AckMessageEntry,
}

/// How to receive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Take {
    pub(super) max: u16,
    pub(super) invisible: Duration,
    pub(super) wait: Duration,
}

/// A connected client. Clones share the connection.
#[derive(Clone)]
pub(super) struct Session {
    stub: Stub,
    headers: MetadataMap,
    group: Option<pb::Resource>,
    topic: pb::Resource,
    /// One readable queue for each broker of the route.
    queues: Vec<pb::MessageQueue>,
    patience: Duration,
}

impl Session {
    /// Connects; `topic` must exist.
    pub(super) async fn start(
        config: &Config,
        topic: &str,
        role: &Role,
        env: &Env,
    ) -> Result<Session, Failure> {
        let stub = connect(config, env).await?;
        let group = match role {
            Role::Producer => None,
            Role::Consumer { group } => Some(resource(group)),
        };
        let mut session = Session {
            stub,
            headers: headers(env)?,
            group,
            topic: resource(topic),
            queues: Vec::new(),
            patience: config.request_timeout,
        };
        session.queues = session.route(config).await?;
        let link = session.introduce(config, role).await?;
        let keeper = session.clone();
        let client_type = client_type(role);
        let beating = env.clone();
        // Ends with the connection, which ends with the run.
        env.spawn("bench keeper", async move { keeper.keep(link, client_type, beating).await });
        Ok(session)
    }

    /// Brokers that can be received from.
    pub(super) fn brokers(&self) -> usize {
        self.queues.len()
    }

    async fn route(&self, config: &Config) -> Result<Vec<pb::MessageQueue>, Failure> {
        let body = pb::QueryRouteRequest {
            topic: Some(self.topic.clone()),
            endpoints: Some(endpoints(config)),
        };
        let mut stub = self.stub.clone();
        let asked = tokio::time::timeout(self.patience, stub.query_route(self.request(body))).await;
        // The first request: what is no broker gives itself away here.
        let no_broker = |reason: &str| {
            let at = &config.access_point;
            Failure::unreachable(format!("no broker's gRPC port answers at {at}: {reason}"))
                .hint(GRPC_PORT)
        };
        let answer = match asked {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) if matches!(status.code(), Unauthenticated | PermissionDenied) => {
                return Err(fault(&status).into_failure());
            }
            Ok(Err(status)) => return Err(no_broker(status.message())),
            Err(_) => return Err(no_broker("it is silent")),
        };
        check(answer.status).map_err(|fault| {
            let failure = fault.into_failure();
            let hint = if is_illegal_name(&failure.what) {
                NAMES
            } else {
                "make it with: stratamq topic create TOPIC"
            };
            failure.hint(hint)
        })?;
        let mut brokers: Vec<pb::MessageQueue> = Vec::new();
        for queue in answer.message_queues {
            let name = |queue: &pb::MessageQueue| queue.broker.as_ref().map(|b| b.name.clone());
            if !brokers.iter().any(|known| name(known) == name(&queue)) {
                brokers.push(queue);
            }
        }
        if brokers.is_empty() {
            return Err(Failure::refused(format!("topic {} has no queue", self.topic.name)));
        }
        Ok(brokers)
    }

    /// Opens the Telemetry stream and waits for the server's settings.
    async fn introduce(&self, config: &Config, role: &Role) -> Result<Link, Failure> {
        let (outgoing, commands) = mpsc::channel(8);
        let settings = self.settings(config, role);
        let first =
            pb::TelemetryCommand { status: None, command: Some(Command::Settings(settings)) };
        let closed = |_| Failure::unreachable("the Telemetry stream was closed");
        outgoing.send(first).await.map_err(closed)?;
        let mut request = Request::new(ReceiverStream::new(commands));
        *request.metadata_mut() = self.headers.clone();
        let mut stub = self.stub.clone();
        let handshake = async {
            let mut incoming = stub.telemetry(request).await?.into_inner();
            while let Some(command) = incoming.next().await.transpose()? {
                if let Err(fault) = command.status.map_or(Ok(()), |status| check(Some(status))) {
                    return Ok(Err(fault));
                }
                if matches!(command.command, Some(Command::Settings(_))) {
                    return Ok(Ok(Link { incoming, _outgoing: outgoing }));
                }
            }
            Ok(Err(Fault::Lost("the Telemetry stream ended before the settings".to_owned())))
        };
        let link = self.within(handshake).await.map_err(Fault::into_failure)?;
        link.map_err(Fault::into_failure)
    }

    fn settings(&self, config: &Config, role: &Role) -> pb::Settings {
        let pub_sub = match role {
            Role::Producer => PubSub::Publishing(pb::Publishing {
                topics: vec![self.topic.clone()],
                ..pb::Publishing::default()
            }),
            Role::Consumer { .. } => PubSub::Subscription(pb::Subscription {
                group: self.group.clone(),
                subscriptions: vec![pb::SubscriptionEntry {
                    topic: Some(self.topic.clone()),
                    expression: Some(everything()),
                }],
                ..pb::Subscription::default()
            }),
        };
        pb::Settings {
            client_type: Some(client_type(role) as i32),
            access_point: Some(endpoints(config)),
            request_timeout: prost_types::Duration::try_from(config.request_timeout).ok(),
            user_agent: Some(pb::Ua {
                language: pb::Language::Rust as i32,
                version: CLIENT_VERSION.to_owned(),
                platform: std::env::consts::OS.to_owned(),
                hostname: "bench".to_owned(),
            }),
            pub_sub: Some(pub_sub),
            ..pb::Settings::default()
        }
    }

    /// Heartbeats, and a Telemetry stream that stays open, until the connection is gone.
    async fn keep(self, mut link: Link, client_type: pb::ClientType, env: Env) {
        loop {
            tokio::select! {
                // Cancel safe: a stream's next.
                command = link.incoming.next() => {
                    if !matches!(command, Some(Ok(_))) { return; }
                }
                // Cancel safe: a sleep.
                () = env.sleep(HEARTBEAT_EVERY) => {
                    let body = pb::HeartbeatRequest {
                        group: self.group.clone(),
                        client_type: client_type as i32,
                    };
                    let mut stub = self.stub.clone();
                    if self.within(stub.heartbeat(self.request(body))).await.is_err() { return; }
                }
            }
        }
    }

    /// Sends messages of one request.
    pub(super) async fn send(&mut self, messages: Vec<pb::Message>) -> Result<(), Fault> {
        let request = self.request(pb::SendMessageRequest { messages });
        let mut stub = self.stub.clone();
        check(self.within(stub.send_message(request)).await?.into_inner().status)
    }

    /// Receives from the `turn`th broker in turn; none when the server had none while it waited.
    pub(super) async fn receive(
        &mut self,
        turn: usize,
        take: Take,
    ) -> Result<Vec<Received>, Fault> {
        let wire = |duration: Duration| prost_types::Duration::try_from(duration).ok();
        let body = pb::ReceiveMessageRequest {
            group: self.group.clone(),
            message_queue: Some(self.queues[turn % self.queues.len()].clone()),
            filter_expression: Some(everything()),
            batch_size: take.max.into(),
            invisible_duration: wire(take.invisible),
            long_polling_timeout: wire(take.wait),
            ..pb::ReceiveMessageRequest::default()
        };
        let mut request = Request::new(body);
        *request.metadata_mut() = self.headers.clone();
        let patience = take.wait + self.patience;
        request.set_timeout(patience);
        let mut stub = self.stub.clone();
        let receiving = async {
            let stream = stub.receive_message(request).await?.into_inner();
            collect(stream).await
        };
        match tokio::time::timeout(patience, receiving).await {
            Ok(answer) => answer.map_err(|status| fault(&status))?,
            Err(_) => Err(Fault::Refused("timed out".to_owned())),
        }
    }

    /// Acknowledges; all or nothing counts as done.
    pub(super) async fn ack(&mut self, entries: Vec<pb::AckMessageEntry>) -> Result<(), Fault> {
        let request = self.request(pb::AckMessageRequest {
            group: self.group.clone(),
            topic: Some(self.topic.clone()),
            entries,
        });
        let mut stub = self.stub.clone();
        check(self.within(stub.ack_message(request)).await?.into_inner().status)
    }

    fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        *request.metadata_mut() = self.headers.clone();
        request.set_timeout(self.patience);
        request
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Fault> {
        match tokio::time::timeout(self.patience, call).await {
            Ok(answer) => answer.map_err(|status| fault(&status)),
            Err(_) => Err(Fault::Refused("timed out".to_owned())),
        }
    }
}

/// An open Telemetry stream; the server forgets the client when it ends.
struct Link {
    incoming: Streaming<pb::TelemetryCommand>,
    _outgoing: mpsc::Sender<pb::TelemetryCommand>,
}

impl Fault {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Fault::Refused(what) => {
                let hint = if is_illegal_name(&what) { NAMES } else { "" };
                Failure::refused(format!("the broker refused: {what}")).hint(hint)
            }
            Fault::Lost(what) => Failure::unreachable(format!("the connection was lost: {what}")),
        }
    }
}

/// Reads status, messages and delivery time (spec B.9).
async fn collect(
    mut stream: Streaming<pb::ReceiveMessageResponse>,
) -> Result<Result<Vec<Received>, Fault>, Status> {
    let mut found = Vec::new();
    while let Some(response) = stream.message().await? {
        match response.content {
            Some(Content::Status(status)) if status.code == pb::Code::MessageNotFound as i32 => {}
            Some(Content::Status(status)) => {
                if let Err(fault) = check(Some(status)) {
                    return Ok(Err(fault));
                }
            }
            Some(Content::Message(message)) => {
                let system = message.system_properties.unwrap_or_default();
                found.push(Received {
                    body: message.body,
                    attempt: system.delivery_attempt.unwrap_or(1),
                    ack: pb::AckMessageEntry {
                        message_id: system.message_id,
                        receipt_handle: system.receipt_handle.unwrap_or_default(),
                        lite_topic: None,
                    },
                });
            }
            Some(Content::DeliveryTimestamp(_)) | None => {}
        }
    }
    Ok(Ok(found))
}

fn check(status: Option<pb::Status>) -> Result<(), Fault> {
    let status = status.unwrap_or_default();
    if status.code == pb::Code::Ok as i32 {
        return Ok(());
    }
    let code = pb::Code::try_from(status.code)
        .map_or_else(|_| status.code.to_string(), |code| code.as_str_name().to_owned());
    // Without numbers, so that one kind of refusal is one line of the results.
    let words: String = status.message.chars().filter(|c| !c.is_ascii_digit()).take(80).collect();
    Err(Fault::Refused(format!("{code} {words}").trim_end().to_owned()))
}

fn fault(status: &Status) -> Fault {
    let what = format!("{:?}: {}", status.code(), status.message());
    match std::error::Error::source(status) {
        Some(source) if source.is::<hyper::Error>() => Fault::Lost(format!("{what}: {source}")),
        Some(_) | None => Fault::Refused(what),
    }
}

fn headers(env: &Env) -> Result<MetadataMap, Failure> {
    let id = format!("bench@{}@{:x}", std::process::id(), env.random_u64());
    let id = AsciiMetadataValue::try_from(id)
        .map_err(|error| Failure::usage(format!("client id: {error}")))?;
    let mut headers = MetadataMap::new();
    headers.insert("x-mq-client-id", id);
    headers.insert("x-mq-language", AsciiMetadataValue::from_static("RUST"));
    headers.insert("x-mq-protocol", AsciiMetadataValue::from_static("v2"));
    headers.insert("x-mq-client-version", AsciiMetadataValue::from_static(CLIENT_VERSION));
    Ok(headers)
}

fn client_type(role: &Role) -> pb::ClientType {
    match role {
        Role::Producer => pb::ClientType::Producer,
        Role::Consumer { .. } => pb::ClientType::SimpleConsumer,
    }
}

fn everything() -> pb::FilterExpression {
    pb::FilterExpression { r#type: pb::FilterType::Tag as i32, expression: "*".to_owned() }
}

fn endpoints(config: &Config) -> pb::Endpoints {
    let at = &config.access_point;
    let scheme = match at.host.parse() {
        Ok(std::net::IpAddr::V4(_)) => pb::AddressScheme::IPv4,
        Ok(std::net::IpAddr::V6(_)) => pb::AddressScheme::IPv6,
        Err(_) => pb::AddressScheme::DomainName,
    };
    let address = pb::Address { host: at.host.clone(), port: i32::from(at.port) };
    pb::Endpoints { scheme: scheme as i32, addresses: vec![address] }
}

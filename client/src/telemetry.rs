//! The Telemetry stream (spec B.3): the client says what it is, the server answers with the
//! settings that hold.
//!
//! ```text
//! link():   open stream ─► settings ─► wait for the server's settings   (a start waits for it)
//! attend(): ┌─► read commands until the stream ends ─► 1 s ─► link() ─┐   (until the end)
//!           └──────────────────────────────────────────────────────────┘
//! ```

use crate::config::Endpoint;
use crate::door;
use crate::error::{Error, Refusal};
use crate::message::resource;
use crate::peer::Peer;
use crate::rpc::{self, Call};
use crate::session::{Inner, Role};
use pb::settings::PubSub;
use pb::telemetry_command::Command;
use protocol::grpc::v2 as pb;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const RPC: &str = "Telemetry";
/// Pause before a stream is opened again, as the Java client.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Commands waiting to be written; settings are sent every few minutes, answers at the server's
/// pace.
const OUTGOING_MAX: usize = 8;

/// An open stream over which the server has confirmed the settings.
pub(crate) struct Link {
    incoming: Streaming<pb::TelemetryCommand>,
    outgoing: mpsc::Sender<pb::TelemetryCommand>,
}

/// Opens the stream and waits until the server has answered with settings.
pub(crate) async fn link(inner: &Arc<Inner>, peer: &Peer) -> Result<Link, Error> {
    let patience = inner.config.request_timeout;
    let call = Call { rpc: RPC, endpoint: &peer.endpoint, patience };
    call.within(handshake(inner, peer, call)).await?
}

async fn handshake(inner: &Arc<Inner>, peer: &Peer, call: Call<'_>) -> Result<Link, Error> {
    let (outgoing, commands) = mpsc::channel(OUTGOING_MAX);
    // The first command waits in the channel before the stream is opened: some servers answer only
    // after reading it.
    let first = command(Command::Settings(settings(inner)));
    outgoing.try_send(first).map_err(|_| Error::Closed)?;
    let request = inner.headers.request(ReceiverStream::new(commands), None);
    let answer = peer.stub().telemetry(request).await;
    let mut incoming = answer.map_err(|status| call.failure(&status))?.into_inner();
    loop {
        let next = incoming.next().await.transpose().map_err(|status| call.failure(&status))?;
        let Some(answer) = next else {
            return Err(Error::Malformed { rpc: RPC, what: "the stream ended before settings" });
        };
        if take(inner, peer, &outgoing, answer)? == Taken::Settings {
            *peer.telemetry.lock() = Some(outgoing.clone());
            return Ok(Link { incoming, outgoing });
        }
    }
}

/// Serves `link`, and whatever stream follows it, for ever.
pub(crate) async fn attend(inner: Arc<Inner>, peer: Arc<Peer>, first: Link) {
    let mut current = Some(first);
    loop {
        if let Some(mut link) = current.take() {
            while let Some(Ok(answer)) = link.incoming.next().await {
                match take(&inner, &peer, &link.outgoing, answer) {
                    Ok(Taken::Settings | Taken::Command) => {}
                    Ok(Taken::Reconnect) => break,
                    Err(error) => {
                        tracing::warn!(endpoint = %peer.endpoint, %error, "settings refused");
                    }
                }
            }
            *peer.telemetry.lock() = None;
        }
        door::sleep(REOPEN_AFTER).await;
        let again = link(&inner, &peer).await;
        peer.judge(&again);
        match again {
            Ok(link) => {
                tracing::debug!(endpoint = %peer.endpoint, "telemetry reopened");
                current = Some(link);
            }
            Err(error) => {
                tracing::debug!(endpoint = %peer.endpoint, %error, "telemetry not reopened");
            }
        }
    }
}

/// Tells the server the settings as they are now, if a stream is open; if not, its opening will.
pub(crate) fn sync(inner: &Inner, peer: &Peer) {
    let outgoing = peer.telemetry.lock().clone();
    if let Some(outgoing) = outgoing {
        // A full channel holds settings already.
        let _ = outgoing.try_send(command(Command::Settings(settings(inner))));
    }
}

/// What a command was.
#[derive(PartialEq, Eq)]
enum Taken {
    Settings,
    /// One that asks for an answer, or none that concerns this client.
    Command,
    /// The stream is to be opened again, over a new connection.
    Reconnect,
}

/// Takes a command of the server's.
fn take(
    inner: &Arc<Inner>,
    peer: &Peer,
    outgoing: &mpsc::Sender<pb::TelemetryCommand>,
    answer: pb::TelemetryCommand,
) -> Result<Taken, Error> {
    if answer.status.is_some() {
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
    }
    match answer.command {
        Some(Command::Settings(settings)) => {
            inner.adopt(&settings);
            return Ok(Taken::Settings);
        }
        Some(Command::ReconnectEndpointsCommand(_)) => {
            // What is in progress ends over the old connection.
            peer.reconnect(&inner.dial)?;
            return Ok(Taken::Reconnect);
        }
        Some(Command::PrintThreadStackTraceCommand(asked)) => {
            let text = "a task has no stack that could be shown".to_owned();
            let trace = pb::ThreadStackTrace { nonce: asked.nonce, thread_stack_trace: Some(text) };
            reply(outgoing, pb::Code::Ok, Command::ThreadStackTrace(trace));
        }
        Some(Command::VerifyMessageCommand(asked)) => verify(inner, peer, outgoing, asked),
        // Transactions and lite topics are not spoken here.
        Some(
            Command::RecoverOrphanedTransactionCommand(_)
            | Command::NotifyUnsubscribeLiteCommand(_)
            | Command::ThreadStackTrace(_)
            | Command::VerifyMessageResult(_),
        )
        | None => {}
    }
    Ok(Taken::Command)
}

/// Has the consumer consume a message, and tells the server how that went.
fn verify(
    inner: &Arc<Inner>,
    peer: &Peer,
    outgoing: &mpsc::Sender<pb::TelemetryCommand>,
    asked: pb::VerifyMessageCommand,
) {
    let result = Command::VerifyMessageResult(pb::VerifyMessageResult { nonce: asked.nonce });
    let verify = match &inner.role {
        Role::Consumer { verify: Some(verify), .. } => verify,
        Role::Consumer { verify: None, .. } | Role::Producer => {
            return reply(outgoing, pb::Code::NotImplemented, result);
        }
    };
    if inner.advised().fifo {
        return reply(outgoing, pb::Code::VerifyFifoMessageUnsupported, result);
    }
    let Some(message) = asked.message else {
        return reply(outgoing, pb::Code::MessageCorrupted, result);
    };
    let (verdict, outgoing) = (verify(message, peer.endpoint.clone()), outgoing.clone());
    let mut tasks = inner.tasks.lock();
    while tasks.try_join_next().is_some() {}
    door::spawn(&mut tasks, async move { reply(&outgoing, verdict.await, result) });
}

fn reply(outgoing: &mpsc::Sender<pb::TelemetryCommand>, code: pb::Code, command: Command) {
    let status = Some(pb::Status { code: code as i32, message: String::new() });
    // A server that asks faster than it reads goes without an answer.
    let _ = outgoing.try_send(pb::TelemetryCommand { status, command: Some(command) });
}

/// What this client says of itself.
fn settings(inner: &Inner) -> pb::Settings {
    let namespace = &inner.config.namespace;
    let pub_sub = match &inner.role {
        Role::Producer => {
            let topics = inner.topics.lock();
            let topics = topics.iter().map(|topic| resource(namespace, topic)).collect();
            PubSub::Publishing(pb::Publishing { topics, ..pb::Publishing::default() })
        }
        Role::Consumer { group, subscriptions, .. } => {
            let entry = |(topic, filter): &(String, pb::FilterExpression)| pb::SubscriptionEntry {
                topic: Some(resource(namespace, topic)),
                expression: Some(filter.clone()),
            };
            PubSub::Subscription(pb::Subscription {
                group: Some(resource(namespace, group)),
                subscriptions: subscriptions.iter().map(entry).collect(),
                ..pb::Subscription::default()
            })
        }
    };
    pb::Settings {
        client_type: Some(inner.role.client_type() as i32),
        access_point: Some(endpoints(&inner.config.access_point)),
        request_timeout: prost_types::Duration::try_from(inner.config.request_timeout).ok(),
        user_agent: Some(rpc::user_agent()),
        pub_sub: Some(pub_sub),
        ..pb::Settings::default()
    }
}

fn command(command: Command) -> pb::TelemetryCommand {
    pb::TelemetryCommand { status: None, command: Some(command) }
}

/// An endpoint as the wire has it.
pub(crate) fn endpoints(endpoint: &Endpoint) -> pb::Endpoints {
    let scheme = match endpoint.host.parse() {
        Ok(std::net::IpAddr::V4(_)) => pb::AddressScheme::IPv4,
        Ok(std::net::IpAddr::V6(_)) => pb::AddressScheme::IPv6,
        Err(_) => pb::AddressScheme::DomainName,
    };
    let address = pb::Address { host: endpoint.host.clone(), port: i32::from(endpoint.port) };
    pb::Endpoints { scheme: scheme as i32, addresses: vec![address] }
}

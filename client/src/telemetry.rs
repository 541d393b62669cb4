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
use crate::rpc::{self, Call};
use crate::session::{Inner, Peer, Role};
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
/// More attempts than this are not made for one send, whatever a server says.
const ATTEMPTS_MAX: u32 = 16;

/// An open stream over which the server has confirmed the settings.
pub(crate) struct Link {
    incoming: Streaming<pb::TelemetryCommand>,
    outgoing: mpsc::Sender<pb::TelemetryCommand>,
}

/// Opens the stream and waits until the server has answered with settings.
pub(crate) async fn link(inner: &Inner, peer: &Peer) -> Result<Link, Error> {
    let patience = inner.config.request_timeout;
    let call = Call { rpc: RPC, endpoint: &peer.endpoint, patience };
    call.within(handshake(inner, peer, call)).await?
}

async fn handshake(inner: &Inner, peer: &Peer, call: Call<'_>) -> Result<Link, Error> {
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
        if take(inner, &outgoing, answer)? {
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
                if let Err(error) = take(&inner, &link.outgoing, answer) {
                    tracing::warn!(endpoint = %peer.endpoint, %error, "server refused settings");
                }
            }
            *peer.telemetry.lock() = None;
        }
        door::sleep(REOPEN_AFTER).await;
        match link_again(&inner, &peer).await {
            Ok(link) => current = Some(link),
            Err(error) => {
                tracing::debug!(endpoint = %peer.endpoint, %error, "telemetry not reopened");
            }
        }
    }
}

async fn link_again(inner: &Inner, peer: &Peer) -> Result<Link, Error> {
    let again = link(inner, peer).await?;
    tracing::debug!(endpoint = %peer.endpoint, "telemetry reopened");
    Ok(again)
}

/// Tells the server the settings as they are now, if a stream is open; if not, its opening will.
pub(crate) fn sync(inner: &Inner, peer: &Peer) {
    let outgoing = peer.telemetry.lock().clone();
    if let Some(outgoing) = outgoing {
        // A full channel holds settings already.
        let _ = outgoing.try_send(command(Command::Settings(settings(inner))));
    }
}

/// Takes a command of the server's; true if it brought settings.
fn take(
    inner: &Inner,
    outgoing: &mpsc::Sender<pb::TelemetryCommand>,
    answer: pb::TelemetryCommand,
) -> Result<bool, Error> {
    if answer.status.is_some() {
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
    }
    let reply = match answer.command {
        Some(Command::Settings(settings)) => {
            adopt(inner, &settings);
            return Ok(true);
        }
        Some(Command::PrintThreadStackTraceCommand(asked)) => {
            Command::ThreadStackTrace(pb::ThreadStackTrace {
                nonce: asked.nonce,
                thread_stack_trace: Some("not available in this client".to_owned()),
            })
        }
        Some(Command::VerifyMessageCommand(asked)) => {
            Command::VerifyMessageResult(pb::VerifyMessageResult { nonce: asked.nonce })
        }
        // Transactions and lite topics are not spoken here; the transport reconnects by itself when
        // it must.
        Some(
            Command::RecoverOrphanedTransactionCommand(_)
            | Command::ReconnectEndpointsCommand(_)
            | Command::NotifyUnsubscribeLiteCommand(_)
            | Command::ThreadStackTrace(_)
            | Command::VerifyMessageResult(_),
        )
        | None => return Ok(false),
    };
    let verified = matches!(reply, Command::VerifyMessageResult(_));
    let code = if verified { pb::Code::NotImplemented } else { pb::Code::Ok };
    let status = Some(pb::Status { code: code as i32, message: String::new() });
    // A server that asks faster than it reads goes without an answer.
    let _ = outgoing.try_send(pb::TelemetryCommand { status, command: Some(reply) });
    Ok(false)
}

/// What the server's settings change here.
fn adopt(inner: &Inner, settings: &pb::Settings) {
    if let Some(policy) = &settings.backoff_policy
        && let Ok(attempts) = u32::try_from(policy.max_attempts)
    {
        inner.attempts.store(attempts.clamp(1, ATTEMPTS_MAX), std::sync::atomic::Ordering::Relaxed);
    }
}

/// What this client says of itself.
fn settings(inner: &Inner) -> pb::Settings {
    let namespace = &inner.config.namespace;
    let (client_type, pub_sub) = match &inner.role {
        Role::Producer => {
            let topics = inner.topics.lock();
            let topics = topics.iter().map(|topic| resource(namespace, topic)).collect();
            let publishing = pb::Publishing { topics, ..pb::Publishing::default() };
            (pb::ClientType::Producer, PubSub::Publishing(publishing))
        }
        Role::SimpleConsumer { group, subscriptions } => {
            let entry = |(topic, filter): &(String, pb::FilterExpression)| pb::SubscriptionEntry {
                topic: Some(resource(namespace, topic)),
                expression: Some(filter.clone()),
            };
            let subscription = pb::Subscription {
                group: Some(resource(namespace, group)),
                subscriptions: subscriptions.iter().map(entry).collect(),
                ..pb::Subscription::default()
            };
            (pb::ClientType::SimpleConsumer, PubSub::Subscription(subscription))
        }
    };
    pb::Settings {
        client_type: Some(client_type as i32),
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

//! Telemetry: a client's settings, and the way back to it (spec B.3).
//!
//! A stream is the body of its own response and needs no task: reading the client's commands,
//! working on its settings and writing answers all happen when the connection asks for the next
//! piece. It ends when the client half-closes, when settings are refused, or when the gateway
//! stops. Its end does not unregister the client.

use super::refused::{Refused, code, ok};
use super::settings::{check_lite, check_properties, group_of, merged, registration, role};
use crate::broker::Broker;
use crate::group::{CLIENT_OUTBOX_COMMANDS_MAX, ClientId, Kind, Role};
use metadata::model::Group;
use protocol::grpc::v2::telemetry_command::Command;
use protocol::grpc::v2::{Settings, TelemetryCommand};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, Streaming};

/// Who speaks on a stream.
pub(super) struct Speaker {
    pub(super) client: ClientId,
    pub(super) address: SocketAddr,
    pub(super) language: String,
    pub(super) version: String,
}

/// What comes out of working on a client's settings.
type Negotiation = Pin<Box<dyn Future<Output = Result<TelemetryCommand, Status>> + Send>>;

/// One Telemetry stream.
pub(super) struct TelemetryStream {
    session: Option<Session>,
    /// The last word, after which the stream ends.
    farewell: Option<Result<TelemetryCommand, Status>>,
}

struct Session {
    broker: Arc<Broker>,
    speaker: Arc<Speaker>,
    inbound: Streaming<TelemetryCommand>,
    commands: mpsc::Receiver<TelemetryCommand>,
    outbox: mpsc::Sender<TelemetryCommand>,
    negotiation: Option<Negotiation>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl TelemetryStream {
    /// The stream of a client that said who it is.
    pub(super) fn open(
        broker: Arc<Broker>,
        speaker: Speaker,
        inbound: Streaming<TelemetryCommand>,
    ) -> TelemetryStream {
        let (outbox, commands) = mpsc::channel(CLIENT_OUTBOX_COMMANDS_MAX);
        let stop = Box::pin(broker.stop.clone().cancelled_owned());
        let speaker = Arc::new(speaker);
        let session =
            Session { broker, speaker, inbound, commands, outbox, negotiation: None, stop };
        TelemetryStream { session: Some(session), farewell: None }
    }

    /// The stream of a client that may not speak: one command with only a status, then the end
    /// (spec B.2).
    pub(super) fn refused(refused: &Refused) -> TelemetryStream {
        let command = TelemetryCommand { status: Some(refused.status()), command: None };
        TelemetryStream { session: None, farewell: Some(Ok(command)) }
    }
}

impl Stream for TelemetryStream {
    type Item = Result<TelemetryCommand, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(session) = &mut self.session else {
            return Poll::Ready(self.farewell.take());
        };
        let seen = session.look(cx);
        if matches!(seen, Poll::Ready(None | Some(Err(_)))) {
            self.session = None;
        }
        seen
    }
}

/// What a look at the session shows: something to say, the end (with a status when it is not the
/// client's wish), or nothing yet.
type Seen = Poll<Option<Result<TelemetryCommand, Status>>>;

impl Session {
    fn look(&mut self, cx: &mut Context<'_>) -> Seen {
        // Each source registers the task before `Pending` is said.
        if let Poll::Ready(seen) = self.listen(cx) {
            return Poll::Ready(seen);
        }
        // The session holds a sender itself, so the outbox never closes.
        if let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            return Poll::Ready(Some(Ok(command)));
        }
        self.stop.as_mut().poll(cx).map(|()| None)
    }

    /// What the client says; while its settings are worked on, it is not listened to.
    fn listen(&mut self, cx: &mut Context<'_>) -> Seen {
        loop {
            if let Some(negotiation) = &mut self.negotiation {
                let outcome = std::task::ready!(negotiation.as_mut().poll(cx));
                self.negotiation = None;
                return Poll::Ready(Some(outcome));
            }
            match std::task::ready!(Pin::new(&mut self.inbound).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                Some(Ok(said)) => self.hear(said),
            }
        }
    }

    fn hear(&mut self, said: TelemetryCommand) {
        match said.command {
            Some(Command::Settings(settings)) => {
                let (broker, speaker) = (Arc::clone(&self.broker), Arc::clone(&self.speaker));
                self.negotiation =
                    Some(Box::pin(answer(broker, speaker, settings, self.outbox.clone())));
            }
            // Answers to commands that this gateway does not send yet, and words of newer clients.
            Some(
                Command::ThreadStackTrace(_)
                | Command::VerifyMessageResult(_)
                | Command::RecoverOrphanedTransactionCommand(_)
                | Command::PrintThreadStackTraceCommand(_)
                | Command::VerifyMessageCommand(_)
                | Command::ReconnectEndpointsCommand(_)
                | Command::NotifyUnsubscribeLiteCommand(_),
            )
            | None => {
                tracing::debug!(client = %self.speaker.client, "telemetry command without effect");
            }
        }
    }
}

async fn answer(
    broker: Arc<Broker>,
    speaker: Arc<Speaker>,
    settings: Settings,
    outbox: mpsc::Sender<TelemetryCommand>,
) -> Result<TelemetryCommand, Status> {
    match negotiate(&broker, &speaker, settings).await {
        Ok(settings) => {
            broker.clients.attach(&speaker.client, outbox);
            Ok(TelemetryCommand { status: Some(ok()), command: Some(Command::Settings(settings)) })
        }
        Err(refused) => {
            tracing::debug!(client = %speaker.client, %refused, "settings refused");
            Err(ending(&refused))
        }
    }
}

/// Registers the client and says what it is told.
async fn negotiate(
    broker: &Broker,
    speaker: &Speaker,
    settings: Settings,
) -> Result<Settings, Refused> {
    let role = role(&settings, &broker.settings.cluster)?;
    check_properties(&settings)?;
    let kind = super::settings::kind(settings.client_type);
    let group = consumer_group(broker, kind, &role).await?;
    let said = (speaker.language.clone(), speaker.version.clone());
    let registration = registration(&settings, role, speaker.address, said);
    broker.clients.put_settings(&speaker.client, registration)?;
    Ok(merged(settings, group.as_deref()))
}

/// The group that the settings put the client in, made where it may be.
async fn consumer_group(
    broker: &Broker,
    kind: Kind,
    role: &Role,
) -> Result<Option<Arc<Group>>, Refused> {
    let (Role::Consumer(consumer), Some(name)) = (role, group_of(role)) else { return Ok(None) };
    let lite = matches!(kind, Kind::LitePushConsumer | Kind::LiteSimpleConsumer);
    let group = match broker.catalog.group(name.as_str()) {
        Some(group) => group,
        // A lite group is bound to a topic, which only its maker knows.
        None if broker.settings.auto_create_groups && !lite => {
            broker.catalog.ensure_group(name).await?
        }
        None => return Err(Refused::GroupUnknownInSettings(name.clone())),
    };
    check_lite(kind, consumer, &group)?;
    Ok(Some(group))
}

/// The gRPC status that ends a stream whose settings were refused: the client's fault, or ours
/// (spec B.3).
fn ending(refused: &Refused) -> Status {
    if matches!(refused, Refused::NothingInSettings) {
        return Status::invalid_argument(refused.to_string());
    }
    let text = format!("process client telemetryCommand failed. {refused}");
    if (40_000..50_000).contains(&i32::from(code(refused))) {
        Status::invalid_argument(text)
    } else {
        Status::internal(text)
    }
}

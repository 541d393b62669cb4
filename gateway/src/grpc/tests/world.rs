//! A gateway for one test, and the words of a client.

use crate::gateway::Gateway;
use crate::settings::{JournalSettings, Settings};

use bytes::Bytes;
use metadata::model::{Permission, TopicKind, TopicSpec};
use protocol::grpc::v2::messaging_service_client::MessagingServiceClient;
use protocol::grpc::v2::receive_message_response::Content;
use protocol::grpc::v2::telemetry_command::Command;
use protocol::grpc::v2::{
    self, ClientType, Code, Message, MessageQueue, ReceiveMessageRequest, Resource,
    SendMessageRequest, SendMessageResponse, Settings as ClientSettings, SystemProperties,
    TelemetryCommand, settings::PubSub,
};
use protocol::names::TopicName;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use storage::env::Env;
use storage::object::Bucket;
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::{Request, Status};

pub(super) type Client = MessagingServiceClient<Routes>;

pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) client: Client,
    _dir: TempDir,
}

/// A gateway with the topics that the tests send to: `normal` of eight queues, and one of each
/// other kind.
pub(super) async fn world() -> World {
    world_with(|_| {}).await
}

pub(super) async fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::embedded(dir.path().to_owned());
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = &mut settings.listen;
    (listen.grpc, listen.nameserver, listen.broker, listen.http) = (free, free, free, free);
    settings.journal = JournalSettings::of_capacity(128 << 20);
    change(&mut settings);
    let bucket = Bucket::in_memory(Env::system());
    let gateway = Gateway::start(settings, bucket, Env::system()).await.unwrap();
    let routes = crate::grpc::service(gateway.broker().clone());
    let limit = 64 << 20;
    let client = MessagingServiceClient::new(routes)
        .max_encoding_message_size(limit)
        .max_decoding_message_size(limit);
    let world = World { gateway, client, _dir: dir };
    for (name, kind) in [
        ("normal", TopicKind::Normal),
        ("fifo", TopicKind::Fifo),
        ("delay", TopicKind::Delay),
        ("transaction", TopicKind::Transaction),
        ("lite", TopicKind::Lite),
        ("priority", TopicKind::Priority),
        ("mixed", TopicKind::Mixed),
        ("unspecified", TopicKind::Unspecified),
    ] {
        world.topic(name, |spec| spec.kind = kind).await;
    }
    world
}

impl World {
    pub(super) async fn topic(&self, name: &str, change: impl FnOnce(&mut TopicSpec)) {
        let mut spec = TopicSpec::new(TopicName::parse(name).unwrap());
        change(&mut spec);
        let broker = self.gateway.broker();
        let topic = broker.catalog.create_topic(spec).await.unwrap();
        broker.owned.open_topic(&topic);
    }

    pub(super) async fn topic_with_permission(&self, name: &str, read: bool, write: bool) {
        self.topic(name, |spec| spec.permission = Permission { read, write }).await;
    }

    pub(super) async fn send(&mut self, messages: Vec<Message>) -> SendMessageResponse {
        self.client.send_message(call(SendMessageRequest { messages })).await.unwrap().into_inner()
    }

    /// The status of sending one message.
    pub(super) async fn send_code(&mut self, message: Message) -> Code {
        self.send(vec![message]).await.status.unwrap().code()
    }

    pub(super) async fn receive(&mut self, request: ReceiveMessageRequest) -> Received {
        self.receive_by(request, Duration::from_secs(30)).await
    }

    pub(super) async fn receive_by(
        &mut self,
        request: ReceiveMessageRequest,
        deadline: Duration,
    ) -> Received {
        let mut request = call(request);
        request.set_timeout(deadline);
        let mut stream = self.client.receive_message(request).await.unwrap().into_inner();
        let mut contents = Vec::new();
        while let Some(next) = stream.next().await {
            contents.push(next.unwrap().content.unwrap());
        }
        Received::take_apart(contents)
    }

    /// Opens a Telemetry stream, says `commands`, half-closes, and hears all that is answered.
    pub(super) async fn tell(
        &mut self,
        client: &str,
        commands: Vec<Command>,
    ) -> Vec<Result<TelemetryCommand, Status>> {
        let said = commands
            .into_iter()
            .map(|command| TelemetryCommand { status: None, command: Some(command) });
        let request = call_as(client, tokio_stream::iter(said.collect::<Vec<_>>()));
        let mut stream = self.client.telemetry(request).await.unwrap().into_inner();
        let mut heard = Vec::new();
        while let Some(next) = stream.next().await {
            let ended = next.is_err();
            heard.push(next);
            if ended {
                break;
            }
        }
        heard
    }
}

/// An answer to a receive, its shape checked: status, messages, delivery time, in this order and
/// nothing else.
pub(super) struct Received {
    pub(super) code: Code,
    pub(super) text: String,
    pub(super) messages: Vec<Message>,
}

impl Received {
    fn take_apart(contents: Vec<Content>) -> Received {
        let mut contents = contents.into_iter();
        let Some(Content::Status(status)) = contents.next() else { panic!("a status comes first") };
        let mut rest: Vec<Content> = contents.collect();
        let last = rest.pop();
        assert!(
            matches!(last, Some(Content::DeliveryTimestamp(_))),
            "the delivery time comes last"
        );
        let message = |content| match content {
            Content::Message(message) => message,
            other @ (Content::Status(_) | Content::DeliveryTimestamp(_)) => {
                panic!("out of place: {other:?}")
            }
        };
        let messages = rest.into_iter().map(message).collect();
        Received { code: status.code(), text: status.message, messages }
    }

    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.messages.iter().map(|message| message.body.clone()).collect()
    }
}

/// A call of the usual client.
pub(super) fn call<T>(message: T) -> Request<T> {
    call_as("host@1@0@x", message)
}

/// A call of some client.
pub(super) fn call_as<T>(client: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("x-mq-client-id", client.parse().unwrap());
    metadata.insert("x-mq-client-version", "5.2.0".parse().unwrap());
    metadata.insert("x-mq-language", "JAVA".parse().unwrap());
    request
}

pub(super) fn resource(name: &str) -> Option<Resource> {
    Some(Resource { resource_namespace: "ns".into(), name: name.into() })
}

/// An acceptable message.
pub(super) fn message(topic: &str, id: &str) -> Message {
    Message {
        topic: resource(topic),
        system_properties: Some(SystemProperties {
            message_id: id.into(),
            ..SystemProperties::default()
        }),
        body: Bytes::copy_from_slice(id.as_bytes()),
        ..Message::default()
    }
}

pub(super) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// A receive of one message of any queue, hidden for 30 s, with the shortest poll.
pub(super) fn receive(group: &str, topic: &str) -> ReceiveMessageRequest {
    ReceiveMessageRequest {
        group: resource(group),
        message_queue: Some(MessageQueue {
            topic: resource(topic),
            id: -1,
            ..MessageQueue::default()
        }),
        batch_size: 32,
        invisible_duration: Some(seconds(30)),
        long_polling_timeout: Some(seconds(5)),
        ..ReceiveMessageRequest::default()
    }
}

pub(super) fn producer_settings(topics: &[&str]) -> ClientSettings {
    let topics = topics.iter().filter_map(|name| resource(name)).collect();
    let publishing = v2::Publishing { topics, ..v2::Publishing::default() };
    ClientSettings {
        client_type: Some(ClientType::Producer.into()),
        pub_sub: Some(PubSub::Publishing(publishing)),
        ..ClientSettings::default()
    }
}

pub(super) fn consumer_settings(kind: ClientType, group: &str) -> ClientSettings {
    let subscription = v2::Subscription { group: resource(group), ..v2::Subscription::default() };
    ClientSettings {
        client_type: Some(kind.into()),
        pub_sub: Some(PubSub::Subscription(subscription)),
        ..ClientSettings::default()
    }
}

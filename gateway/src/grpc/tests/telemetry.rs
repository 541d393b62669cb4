//! Telemetry, Heartbeat, NotifyClientTermination: spec B.0, B.3, B.4; and RPCs of later versions.

use super::world::{call_as, consumer_settings, producer_settings, resource, world, world_with};
use crate::group::NotReached;
use protocol::grpc::v2::telemetry_command::Command;
use protocol::grpc::v2::{
    ClientType, Code, HeartbeatRequest, NotifyClientTerminationRequest,
    PrintThreadStackTraceCommand, QueryRouteRequest, SendMessageRequest, Settings,
    TelemetryCommand, ThreadStackTrace, settings::PubSub,
};
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::Request;

/// Spec B.0: the first check of every RPC.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_an_id_is_refused_by_every_rpc() {
    let mut world = world().await;
    let mut codes = Vec::new();
    let client = &mut world.client;
    macro_rules! ask {
        ($($rpc:ident),*) => {$(
            let answer = client.$rpc(Request::new(Default::default())).await.unwrap().into_inner();
            codes.push((stringify!($rpc), answer.status.unwrap()));
        )*};
    }
    ask!(
        query_route,
        query_assignment,
        heartbeat,
        send_message,
        ack_message,
        change_invisible_duration
    );
    ask!(forward_message_to_dead_letter_queue, notify_client_termination);
    for (rpc, status) in codes {
        assert_eq!(status.code(), Code::ClientIdRequired, "{rpc}");
        assert_eq!(status.message, "client id cannot be empty");
    }
    let received =
        client.receive_message(Request::new(Default::default())).await.unwrap().into_inner();
    let contents: Vec<_> = received.collect().await;
    assert_eq!(contents.len(), 2, "status and delivery time");
    let blank = client.query_route(call_as(" ", QueryRouteRequest::default())).await.unwrap();
    assert_eq!(blank.into_inner().status.unwrap().code(), Code::ClientIdRequired);

    let said = tokio_stream::pending::<TelemetryCommand>();
    let mut stream = client.telemetry(Request::new(said)).await.unwrap().into_inner();
    let refusal = stream.next().await.unwrap().unwrap();
    assert_eq!((refusal.status.unwrap().code(), refusal.command), (Code::ClientIdRequired, None));
    assert!(stream.next().await.is_none(), "the gateway ends the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_answered_merged_and_the_stream_ends_with_the_clients_half() {
    let mut world = world().await;
    let again = Command::Settings(producer_settings(&[]));
    let trace = Command::ThreadStackTrace(ThreadStackTrace::default());
    let first = Command::Settings(producer_settings(&["normal", "unknown"]));
    let heard = world.tell("p", vec![first, trace, again]).await;
    assert_eq!(heard.len(), 2, "one answer to each settings, none to other commands");
    let answer = heard[0].as_ref().unwrap();
    assert_eq!(answer.status.as_ref().unwrap().code(), Code::Ok);
    let Some(Command::Settings(Settings { pub_sub: Some(PubSub::Publishing(publishing)), .. })) =
        &answer.command
    else {
        panic!("publishing settings: {answer:?}")
    };
    assert_eq!(publishing.max_body_size, 4_194_304);

    let settings = consumer_settings(ClientType::PushConsumer, "made-here");
    let heard = world.tell("c", vec![Command::Settings(settings)]).await;
    assert!(heard[0].is_ok(), "{heard:?}");
    assert!(world.gateway.broker().catalog.group("made-here").is_some(), "made on first use");
}

/// Spec B.3: what ends a stream with a gRPC status.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_end_the_stream_with_invalid_argument() {
    let mut world = world_with(|settings| settings.auto_create_groups = false).await;
    let nothing = "there is no publishing or subscription data in settings";
    let failed = "process client telemetryCommand failed. ";
    for (settings, text) in [
        (Settings::default(), nothing),
        (producer_settings(&["normal", "a b"]), failed),
        (producer_settings(&["TBW102"]), failed),
        (consumer_settings(ClientType::SimpleConsumer, " "), failed),
        (consumer_settings(ClientType::SimpleConsumer, "unknown"), "group not found: unknown"),
        (consumer_settings(ClientType::LitePushConsumer, "unknown"), "group not found: unknown"),
    ] {
        let heard = world.tell("c", vec![Command::Settings(settings.clone())]).await;
        let [Err(status)] = &heard[..] else { panic!("{settings:?} -> {heard:?}") };
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
    assert!(world.gateway.broker().catalog.group("unknown").is_none(), "the switch is off");
}

/// Spec B.4.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_lives_from_its_settings_to_its_goodbye() {
    let mut world = world().await;
    let beat = async |world: &mut super::world::World, client: &str, group: Option<&str>| {
        let request = HeartbeatRequest { group: group.and_then(resource), client_type: 0 };
        world
            .client
            .heartbeat(call_as(client, request))
            .await
            .unwrap()
            .into_inner()
            .status
            .unwrap()
            .code()
    };
    let goodbye = async |world: &mut super::world::World, client: &str, group: Option<&str>| {
        let request = NotifyClientTerminationRequest { group: group.and_then(resource) };
        let answer =
            world.client.notify_client_termination(call_as(client, request)).await.unwrap();
        answer.into_inner().status.unwrap().code()
    };
    let unknown = Code::UnrecognizedClientType;
    assert_eq!(beat(&mut world, "p", None).await, unknown);
    assert_eq!(goodbye(&mut world, "p", None).await, unknown);

    world.tell("p", vec![Command::Settings(producer_settings(&["normal"]))]).await;
    let push = consumer_settings(ClientType::PushConsumer, "g");
    world.tell("c", vec![Command::Settings(push)]).await;
    let strange = Settings { client_type: Some(99), ..producer_settings(&["normal"]) };
    world.tell("s", vec![Command::Settings(strange)]).await;

    assert_eq!(beat(&mut world, "p", None).await, Code::Ok);
    assert_eq!(beat(&mut world, "c", None).await, Code::IllegalConsumerGroup);
    assert_eq!(beat(&mut world, "c", Some("a b")).await, Code::IllegalConsumerGroup);
    assert_eq!(beat(&mut world, "c", Some("g")).await, Code::Ok);
    assert_eq!(beat(&mut world, "s", None).await, unknown);
    assert_eq!(goodbye(&mut world, "c", None).await, Code::IllegalConsumerGroup);
    assert_eq!(goodbye(&mut world, "c", Some("g")).await, Code::Ok);
    assert_eq!(beat(&mut world, "c", Some("g")).await, unknown);
    assert_eq!(goodbye(&mut world, "p", None).await, Code::Ok);
    assert_eq!(beat(&mut world, "p", None).await, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_consumers_settings_are_accepted() {
    let mut world = world().await;
    for kind in [ClientType::PullConsumer, ClientType::SimpleConsumer, ClientType::PushConsumer] {
        let settings = Command::Settings(consumer_settings(kind, "g"));
        let heard = world.tell("c", vec![settings]).await;
        assert!(matches!(&heard[..], [Ok(_)]), "{kind:?}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_when_the_gateway_stops() {
    let mut world = world().await;
    let settings = Command::Settings(producer_settings(&["normal"]));
    let first = TelemetryCommand { status: None, command: Some(settings) };
    let said = tokio_stream::once(first).chain(tokio_stream::pending());
    let mut stream = world.client.telemetry(call_as("p", said)).await.unwrap().into_inner();
    assert!(stream.next().await.unwrap().is_ok());
    world.gateway.stop().await;
    let end = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
    assert!(matches!(end, Ok(None)), "{end:?}");
}

/// Spec A.1 and the issue: what later issues serve.
#[tokio::test(flavor = "multi_thread")]
async fn rpcs_of_later_versions_are_unimplemented() {
    let mut world = world().await;
    let client = &mut world.client;
    macro_rules! ask {
        ($($rpc:ident),*) => {$(
            let status = client.$rpc(call_as("c", Default::default())).await.map(drop).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unimplemented, stringify!($rpc));
        )*};
    }
    ask!(pull_message, update_offset, get_offset, query_offset);
    ask!(end_transaction, recall_message, sync_lite_subscription);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_the_transports_limit_is_refused_by_the_transport() {
    let mut world = world().await;
    let mut large = super::world::message("normal", "id");
    large.body = vec![0; crate::grpc::REQUEST_BYTES_MAX + 1].into();
    let request = call_as("p", SendMessageRequest { messages: vec![large] });
    let status = world.client.send_message(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_client_through_its_stream_and_only_while_there_is_one() {
    let mut world = world().await;
    let clients = world.gateway.broker().clients.clone();
    let id = crate::group::ClientId::new("p");
    let command = || {
        let print = PrintThreadStackTraceCommand { nonce: "1".into() };
        TelemetryCommand {
            status: None,
            command: Some(Command::PrintThreadStackTraceCommand(print)),
        }
    };
    assert_eq!(clients.command(&id, command()), Err(NotReached::NoStream));
    let settings = Command::Settings(producer_settings(&["normal"]));
    let first = TelemetryCommand { status: None, command: Some(settings) };
    let said = tokio_stream::once(first).chain(tokio_stream::pending());
    let mut stream = world.client.telemetry(call_as("p", said)).await.unwrap().into_inner();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(clients.command(&id, command()), Ok(()));
    assert_eq!(stream.next().await.unwrap().unwrap(), command());
    for _ in 0..crate::group::CLIENT_OUTBOX_COMMANDS_MAX {
        assert_eq!(clients.command(&id, command()), Ok(()));
    }
    assert_eq!(clients.command(&id, command()), Err(NotReached::Full), "it is not waited for");
    drop(stream);
    assert!(clients.is_alive(&id), "losing a stream does not end a client");
}

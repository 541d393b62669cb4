//! A gRPC server that does nothing: it answers what a producer needs to begin, and every send with
//! OK. `stratamq bench send` against it is what transport and load generator cost by themselves.

use protocol::grpc::v2::messaging_service_server::{MessagingService, MessagingServiceServer};
use protocol::grpc::v2::telemetry_command::Command;
use protocol::grpc::v2::{self as pb};
use std::io::{self, Write as _};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

/// As the gateway's.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Serves on a free port of the loopback address, which it prints, until the process is ended; with
/// the gateway's windows, or those that HTTP/2 begins with.
pub(crate) fn serve_until_killed(gateways_windows: bool) -> io::Result<()> {
    let window = |bytes: u32| gateways_windows.then_some(bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut out = io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let nodelay = |socket: io::Result<tokio::net::TcpStream>| {
            socket.and_then(|socket| socket.set_nodelay(true).map(|()| socket))
        };
        tonic::transport::Server::builder()
            .initial_stream_window_size(window(STREAM_WINDOW_BYTES))
            .initial_connection_window_size(window(CONNECTION_WINDOW_BYTES))
            .add_service(MessagingServiceServer::new(Echo))
            .serve_with_incoming(TcpListenerStream::new(listener).map(nodelay))
            .await
            .map_err(io::Error::other)
    })
}

struct Echo;

#[tonic::async_trait]
impl MessagingService for Echo {
    async fn query_route(
        &self,
        request: Request<pb::QueryRouteRequest>,
    ) -> Answer<pb::QueryRouteResponse> {
        let request = request.into_inner();
        let broker = pb::Broker { name: "echo".to_owned(), id: 0, endpoints: request.endpoints };
        let queue = pb::MessageQueue {
            topic: request.topic,
            permission: pb::Permission::ReadWrite as i32,
            broker: Some(broker),
            ..pb::MessageQueue::default()
        };
        let message_queues = vec![queue];
        Ok(Response::new(pb::QueryRouteResponse { status: ok(), message_queues }))
    }

    async fn heartbeat(&self, _: Request<pb::HeartbeatRequest>) -> Answer<pb::HeartbeatResponse> {
        Ok(Response::new(pb::HeartbeatResponse { status: ok() }))
    }

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<pb::SendMessageResponse> {
        let entry = |message: pb::Message| pb::SendResultEntry {
            status: ok(),
            message_id: message.system_properties.unwrap_or_default().message_id,
            ..pb::SendResultEntry::default()
        };
        let entries = request.into_inner().messages.into_iter().map(entry).collect();
        Ok(Response::new(pb::SendMessageResponse { status: ok(), entries }))
    }

    type TelemetryStream = Stream<pb::TelemetryCommand>;

    /// Gives every client its settings back.
    async fn telemetry(
        &self,
        request: Request<Streaming<pb::TelemetryCommand>>,
    ) -> Answer<Self::TelemetryStream> {
        let back = |command: Result<pb::TelemetryCommand, Status>| match command {
            Ok(pb::TelemetryCommand { command: Some(Command::Settings(settings)), .. }) => {
                let command = Some(Command::Settings(settings));
                Some(Ok(pb::TelemetryCommand { status: ok(), command }))
            }
            Ok(_) => None,
            Err(status) => Some(Err(status)),
        };
        Ok(Response::new(Box::pin(request.into_inner().filter_map(back))))
    }

    async fn notify_client_termination(
        &self,
        _: Request<pb::NotifyClientTerminationRequest>,
    ) -> Answer<pb::NotifyClientTerminationResponse> {
        Ok(Response::new(pb::NotifyClientTerminationResponse { status: ok() }))
    }

    type ReceiveMessageStream = Stream<pb::ReceiveMessageResponse>;
    type PullMessageStream = Stream<pb::PullMessageResponse>;

    async fn receive_message(
        &self,
        _: Request<pb::ReceiveMessageRequest>,
    ) -> Answer<Self::ReceiveMessageStream> {
        Err(absent())
    }

    async fn pull_message(
        &self,
        _: Request<pb::PullMessageRequest>,
    ) -> Answer<Self::PullMessageStream> {
        Err(absent())
    }

    async fn query_assignment(
        &self,
        _: Request<pb::QueryAssignmentRequest>,
    ) -> Answer<pb::QueryAssignmentResponse> {
        Err(absent())
    }

    async fn ack_message(
        &self,
        _: Request<pb::AckMessageRequest>,
    ) -> Answer<pb::AckMessageResponse> {
        Err(absent())
    }

    async fn forward_message_to_dead_letter_queue(
        &self,
        _: Request<pb::ForwardMessageToDeadLetterQueueRequest>,
    ) -> Answer<pb::ForwardMessageToDeadLetterQueueResponse> {
        Err(absent())
    }

    async fn update_offset(
        &self,
        _: Request<pb::UpdateOffsetRequest>,
    ) -> Answer<pb::UpdateOffsetResponse> {
        Err(absent())
    }

    async fn get_offset(&self, _: Request<pb::GetOffsetRequest>) -> Answer<pb::GetOffsetResponse> {
        Err(absent())
    }

    async fn query_offset(
        &self,
        _: Request<pb::QueryOffsetRequest>,
    ) -> Answer<pb::QueryOffsetResponse> {
        Err(absent())
    }

    async fn end_transaction(
        &self,
        _: Request<pb::EndTransactionRequest>,
    ) -> Answer<pb::EndTransactionResponse> {
        Err(absent())
    }

    async fn change_invisible_duration(
        &self,
        _: Request<pb::ChangeInvisibleDurationRequest>,
    ) -> Answer<pb::ChangeInvisibleDurationResponse> {
        Err(absent())
    }

    async fn recall_message(
        &self,
        _: Request<pb::RecallMessageRequest>,
    ) -> Answer<pb::RecallMessageResponse> {
        Err(absent())
    }

    async fn sync_lite_subscription(
        &self,
        _: Request<pb::SyncLiteSubscriptionRequest>,
    ) -> Answer<pb::SyncLiteSubscriptionResponse> {
        Err(absent())
    }
}

fn ok() -> Option<pb::Status> {
    Some(pb::Status { code: pb::Code::Ok as i32, message: String::new() })
}

fn absent() -> Status {
    Status::unimplemented("the echo only takes sends")
}

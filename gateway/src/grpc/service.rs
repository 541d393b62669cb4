//! The service: what is served on the gRPC port, and the wire shape of each answer.

use super::call;
use super::front::Front;
use super::health::Health;
use super::receive_stream::ReceiveStream;
use super::refused::ok;
use super::telemetry::{Speaker, TelemetryStream};
use super::{ack, rpc, send};
use crate::broker::Broker;
use protocol::grpc::FILE_DESCRIPTOR_SET;
use protocol::grpc::v2::messaging_service_server::{MessagingService, MessagingServiceServer};
use protocol::grpc::v2::{
    AckMessageRequest, AckMessageResponse, ChangeInvisibleDurationRequest,
    ChangeInvisibleDurationResponse, EndTransactionRequest, EndTransactionResponse,
    ForwardMessageToDeadLetterQueueRequest, ForwardMessageToDeadLetterQueueResponse,
    GetOffsetRequest, GetOffsetResponse, HeartbeatRequest, HeartbeatResponse,
    NotifyClientTerminationRequest, NotifyClientTerminationResponse, PullMessageRequest,
    PullMessageResponse, QueryAssignmentRequest, QueryAssignmentResponse, QueryOffsetRequest,
    QueryOffsetResponse, QueryRouteRequest, QueryRouteResponse, RecallMessageRequest,
    RecallMessageResponse, ReceiveMessageRequest, SendMessageRequest, SendMessageResponse,
    SyncLiteSubscriptionRequest, SyncLiteSubscriptionResponse, TelemetryCommand,
    UpdateOffsetRequest, UpdateOffsetResponse,
};
use std::sync::Arc;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_health::pb::health_server::HealthServer;

/// The largest request, in bytes. One atomic group is 8 MiB at most, so no larger request can
/// succeed; twice that, as much as a Remoting frame, lets a client that sends too much see why in
/// the API's own codes. Apache takes 130 MiB, which would let every connection hold that much of
/// this process's memory for nothing.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Everything that is served on the gRPC port: messaging, health, and reflection in both its
/// versions (Apache's proxy has v1alpha, newer tools ask for v1).
pub fn service(broker: Arc<Broker>) -> Routes {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let why = "the descriptors are compiled in and were read by the tests";
    let messaging = MessagingServiceServer::new(Front::new(Arc::clone(&broker)))
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        // 32 messages of 4 MiB are one answer each; none comes near.
        .max_encoding_message_size(REQUEST_BYTES_MAX);
    Routes::new(messaging)
        .add_service(HealthServer::new(Health { broker }))
        .add_service(reflection().build_v1().expect(why))
        .add_service(reflection().build_v1alpha().expect(why))
}

/// RPCs of later versions. Clients take UNIMPLEMENTED for "this server does not have it" (spec
/// A.1).
fn unimplemented<T>(rpc: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!("{rpc} is not served by this version")))
}

#[tonic::async_trait]
impl MessagingService for Front {
    async fn query_route(
        &self,
        request: Request<QueryRouteRequest>,
    ) -> Result<Response<QueryRouteResponse>, Status> {
        let outcome = async { self.route(&request) };
        self.answer(rpc::QUERY_ROUTE, outcome, |refused| QueryRouteResponse {
            status: Some(refused.status()),
            message_queues: Vec::new(),
        })
        .await
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let outcome = async {
            self.heartbeat(&request)?;
            Ok(HeartbeatResponse { status: Some(ok()) })
        };
        self.answer(rpc::HEARTBEAT, outcome, |refused| HeartbeatResponse {
            status: Some(refused.status()),
        })
        .await
    }

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        self.answer(rpc::SEND_MESSAGE, self.send(request), send::refusal).await
    }

    async fn query_assignment(
        &self,
        request: Request<QueryAssignmentRequest>,
    ) -> Result<Response<QueryAssignmentResponse>, Status> {
        let outcome = async { self.assignment(&request) };
        self.answer(rpc::QUERY_ASSIGNMENT, outcome, |refused| QueryAssignmentResponse {
            status: Some(refused.status()),
            assignments: Vec::new(),
        })
        .await
    }

    type ReceiveMessageStream = ReceiveStream;

    async fn receive_message(
        &self,
        request: Request<ReceiveMessageRequest>,
    ) -> Result<Response<ReceiveStream>, Status> {
        self.answer(rpc::RECEIVE_MESSAGE, self.receive(&request), |refused| {
            ReceiveStream::refused(self.broker.env.clone(), refused)
        })
        .await
    }

    async fn ack_message(
        &self,
        request: Request<AckMessageRequest>,
    ) -> Result<Response<AckMessageResponse>, Status> {
        self.answer(rpc::ACK_MESSAGE, self.ack(request), ack::refusal).await
    }

    async fn forward_message_to_dead_letter_queue(
        &self,
        request: Request<ForwardMessageToDeadLetterQueueRequest>,
    ) -> Result<Response<ForwardMessageToDeadLetterQueueResponse>, Status> {
        let outcome = async {
            self.dead_letter(request).await?;
            Ok(ForwardMessageToDeadLetterQueueResponse { status: Some(ok()) })
        };
        self.answer(rpc::FORWARD_TO_DEAD_LETTER_QUEUE, outcome, |refused| {
            ForwardMessageToDeadLetterQueueResponse { status: Some(refused.status()) }
        })
        .await
    }

    type PullMessageStream = tokio_stream::Empty<Result<PullMessageResponse, Status>>;

    async fn pull_message(
        &self,
        _: Request<PullMessageRequest>,
    ) -> Result<Response<Self::PullMessageStream>, Status> {
        unimplemented("PullMessage")
    }

    async fn update_offset(
        &self,
        _: Request<UpdateOffsetRequest>,
    ) -> Result<Response<UpdateOffsetResponse>, Status> {
        unimplemented("UpdateOffset")
    }

    async fn get_offset(
        &self,
        _: Request<GetOffsetRequest>,
    ) -> Result<Response<GetOffsetResponse>, Status> {
        unimplemented("GetOffset")
    }

    async fn query_offset(
        &self,
        _: Request<QueryOffsetRequest>,
    ) -> Result<Response<QueryOffsetResponse>, Status> {
        unimplemented("QueryOffset")
    }

    async fn end_transaction(
        &self,
        _: Request<EndTransactionRequest>,
    ) -> Result<Response<EndTransactionResponse>, Status> {
        unimplemented("EndTransaction")
    }

    type TelemetryStream = TelemetryStream;

    async fn telemetry(
        &self,
        request: Request<Streaming<TelemetryCommand>>,
    ) -> Result<Response<TelemetryStream>, Status> {
        let stream = match call::client(&request) {
            Err(refused) => TelemetryStream::refused(&refused),
            Ok(client) => {
                let speaker = Speaker {
                    client,
                    address: call::connection(&request).peer,
                    language: call::language(&request),
                    version: call::version(&request),
                };
                TelemetryStream::open(Arc::clone(&self.broker), speaker, request.into_inner())
            }
        };
        Ok(Response::new(stream))
    }

    async fn notify_client_termination(
        &self,
        request: Request<NotifyClientTerminationRequest>,
    ) -> Result<Response<NotifyClientTerminationResponse>, Status> {
        let outcome = async {
            self.goodbye(&request)?;
            Ok(NotifyClientTerminationResponse { status: Some(ok()) })
        };
        self.answer(rpc::NOTIFY_CLIENT_TERMINATION, outcome, |refused| {
            NotifyClientTerminationResponse { status: Some(refused.status()) }
        })
        .await
    }

    async fn change_invisible_duration(
        &self,
        request: Request<ChangeInvisibleDurationRequest>,
    ) -> Result<Response<ChangeInvisibleDurationResponse>, Status> {
        let outcome = async {
            let receipt_handle = self.change(request).await?;
            Ok(ChangeInvisibleDurationResponse { status: Some(ok()), receipt_handle })
        };
        self.answer(rpc::CHANGE_INVISIBLE_DURATION, outcome, |refused| {
            ChangeInvisibleDurationResponse {
                status: Some(refused.status()),
                receipt_handle: String::new(),
            }
        })
        .await
    }

    async fn recall_message(
        &self,
        _: Request<RecallMessageRequest>,
    ) -> Result<Response<RecallMessageResponse>, Status> {
        unimplemented("RecallMessage")
    }

    async fn sync_lite_subscription(
        &self,
        _: Request<SyncLiteSubscriptionRequest>,
    ) -> Result<Response<SyncLiteSubscriptionResponse>, Status> {
        unimplemented("SyncLiteSubscription")
    }
}

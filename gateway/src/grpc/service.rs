//! The service: what is served on the gRPC port, and the wire shape of each answer.

use super::call;
use super::front::Front;
use super::health::Health;
use super::receive_stream::ReceiveStream;
use super::refused::{Refused, ok};
use super::telemetry::{Speaker, TelemetryStream};
use super::{ack, send};
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

/// The answer, or its shape with the refusal's status and nothing else.
fn answer<T>(
    rpc: &'static str,
    outcome: Result<T, Refused>,
    refusal: impl FnOnce(&Refused) -> T,
) -> Result<Response<T>, Status> {
    Ok(Response::new(outcome.unwrap_or_else(|refused| {
        tracing::debug!(rpc, %refused, "request refused");
        refusal(&refused)
    })))
}

#[tonic::async_trait]
impl MessagingService for Front {
    async fn query_route(
        &self,
        request: Request<QueryRouteRequest>,
    ) -> Result<Response<QueryRouteResponse>, Status> {
        answer("QueryRoute", self.route(&request), |refused| QueryRouteResponse {
            status: Some(refused.status()),
            message_queues: Vec::new(),
        })
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let outcome = self.heartbeat(&request).map(|()| HeartbeatResponse { status: Some(ok()) });
        answer("Heartbeat", outcome, |refused| HeartbeatResponse { status: Some(refused.status()) })
    }

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        answer("SendMessage", self.send(request).await, send::refusal)
    }

    async fn query_assignment(
        &self,
        request: Request<QueryAssignmentRequest>,
    ) -> Result<Response<QueryAssignmentResponse>, Status> {
        answer("QueryAssignment", self.assignment(&request), |refused| QueryAssignmentResponse {
            status: Some(refused.status()),
            assignments: Vec::new(),
        })
    }

    type ReceiveMessageStream = ReceiveStream;

    async fn receive_message(
        &self,
        request: Request<ReceiveMessageRequest>,
    ) -> Result<Response<ReceiveStream>, Status> {
        let outcome = self.receive(&request).await;
        answer("ReceiveMessage", outcome, |refused| {
            ReceiveStream::refused(self.broker.env.clone(), refused)
        })
    }

    async fn ack_message(
        &self,
        request: Request<AckMessageRequest>,
    ) -> Result<Response<AckMessageResponse>, Status> {
        answer("AckMessage", self.ack(request).await, ack::refusal)
    }

    async fn forward_message_to_dead_letter_queue(
        &self,
        request: Request<ForwardMessageToDeadLetterQueueRequest>,
    ) -> Result<Response<ForwardMessageToDeadLetterQueueResponse>, Status> {
        let outcome = self.dead_letter(request).await;
        let outcome =
            outcome.map(|()| ForwardMessageToDeadLetterQueueResponse { status: Some(ok()) });
        answer("ForwardMessageToDeadLetterQueue", outcome, |refused| {
            ForwardMessageToDeadLetterQueueResponse { status: Some(refused.status()) }
        })
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
        let outcome = self.goodbye(&request);
        let outcome = outcome.map(|()| NotifyClientTerminationResponse { status: Some(ok()) });
        answer("NotifyClientTermination", outcome, |refused| NotifyClientTerminationResponse {
            status: Some(refused.status()),
        })
    }

    async fn change_invisible_duration(
        &self,
        request: Request<ChangeInvisibleDurationRequest>,
    ) -> Result<Response<ChangeInvisibleDurationResponse>, Status> {
        let outcome = self.change(request).await;
        let outcome = outcome.map(|receipt_handle| ChangeInvisibleDurationResponse {
            status: Some(ok()),
            receipt_handle,
        });
        answer("ChangeInvisibleDuration", outcome, |refused| ChangeInvisibleDurationResponse {
            status: Some(refused.status()),
            receipt_handle: String::new(),
        })
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

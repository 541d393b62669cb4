//! gRPC health (`grpc.health.v1`): whether this gateway serves clients. Load balancers and
//! orchestrators ask it.

use crate::broker::Broker;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio_stream::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The services that can be asked about; empty is the whole gateway.
const SERVICES: [&str; 2] = ["", "apache.rocketmq.v2.MessagingService"];

/// Answers from the gateway's own state, so that there is nothing to keep up to date.
pub(super) struct Health {
    pub(super) broker: Arc<Broker>,
}

impl Health {
    fn status(&self) -> ServingStatus {
        if self.broker.ready.load(Ordering::Acquire) {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

#[tonic::async_trait]
impl tonic_health::pb::health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !SERVICES.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("service not known"));
        }
        Ok(Response::new(response(self.status())))
    }

    type WatchStream = Watch;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        let known = SERVICES.contains(&request.get_ref().service.as_str());
        let status = if known { self.status() } else { ServingStatus::ServiceUnknown };
        let stop = Box::pin(self.broker.stop.clone().cancelled_owned());
        Ok(Response::new(Watch { next: Some(status), known, stop: Some(stop) }))
    }
}

/// The status now, and the one change that can come: the gateway stops.
pub(super) struct Watch {
    next: Option<ServingStatus>,
    known: bool,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(status) = self.next.take() {
            return Poll::Ready(Some(Ok(response(status))));
        }
        let Some(stop) = &mut self.stop else { return Poll::Ready(None) };
        if stop.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.stop = None;
        Poll::Ready(self.known.then(|| Ok(response(ServingStatus::NotServing))))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

//! The RPCs by name, and what every call has in common: its time is taken, its outcome counted, its
//! span open while it is answered.

use super::front::Front;
use super::receive_stream::ReceiveStream;
use super::refused::Refused;
use crate::observe::{Request, spans};
use protocol::grpc::v2::{
    AckMessageResponse, ChangeInvisibleDurationResponse, Code,
    ForwardMessageToDeadLetterQueueResponse, HeartbeatResponse, NotifyClientTerminationResponse,
    QueryAssignmentResponse, QueryRouteResponse, SendMessageResponse, Status,
};
use std::future::Future;
use tonic::Response;
use tracing::Instrument;

pub(super) const QUERY_ROUTE: Request = Request::grpc("QueryRoute");
pub(super) const HEARTBEAT: Request = Request::grpc("Heartbeat");
pub(super) const SEND_MESSAGE: Request = Request::grpc("SendMessage");
pub(super) const QUERY_ASSIGNMENT: Request = Request::grpc("QueryAssignment");
pub(super) const RECEIVE_MESSAGE: Request = Request::grpc("ReceiveMessage").long_polling();
pub(super) const ACK_MESSAGE: Request = Request::grpc("AckMessage");
pub(super) const FORWARD_TO_DEAD_LETTER_QUEUE: Request =
    Request::grpc("ForwardMessageToDeadLetterQueue");
pub(super) const NOTIFY_CLIENT_TERMINATION: Request = Request::grpc("NotifyClientTermination");
pub(super) const CHANGE_INVISIBLE_DURATION: Request = Request::grpc("ChangeInvisibleDuration");

impl Front {
    /// The answer, or its shape with the refusal's status and nothing else.
    pub(super) async fn answer<T: Answer>(
        &self,
        request: Request,
        outcome: impl Future<Output = Result<T, Refused>>,
        refusal: impl FnOnce(&Refused) -> T,
    ) -> Result<Response<T>, tonic::Status> {
        let begin = self.broker.env.monotonic();
        let span = spans::request(&request);
        let answer = outcome.instrument(span.clone()).await.unwrap_or_else(|refused| {
            tracing::debug!(parent: &span, rpc = request.code, %refused, "request refused");
            refusal(&refused)
        });
        let code = answer.code().as_str_name();
        spans::answered(&span, code);
        let took = self.broker.env.monotonic().saturating_sub(begin);
        self.broker.stats.count_request(&request, code, took);
        Ok(Response::new(answer))
    }
}

/// What a call is answered with.
pub(super) trait Answer {
    /// The status that it carries.
    fn status(&self) -> Option<&Status>;

    /// The status' code.
    fn code(&self) -> Code {
        let code = self.status().map(|status| Code::try_from(status.code));
        code.and_then(Result::ok).unwrap_or(Code::Unspecified)
    }
}

impl Answer for ReceiveStream {
    fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }
}

macro_rules! answers {
    ($($response:ident)*) => {
        $(impl Answer for $response {
            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        })*
    };
}

answers! {
    QueryRouteResponse
    HeartbeatResponse
    SendMessageResponse
    QueryAssignmentResponse
    AckMessageResponse
    ForwardMessageToDeadLetterQueueResponse
    NotifyClientTerminationResponse
    ChangeInvisibleDurationResponse
}

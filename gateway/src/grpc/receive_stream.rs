//! The answer to a receive, in the one shape that clients know (spec B.9): a status, then the
//! messages, then the time of delivery. Errors have the same shape without messages.
//!
//! INV-RECEIVE-1: a message that was popped for this answer is either handed to the connection or
//! made visible again.

use super::convert::wire_timestamp;
use super::delivery::{Receipt, message};
use super::refused::{Refused, ok, status};
use crate::consume::{Consume, Delivery};
use protocol::grpc::v2::receive_message_response::Content;
use protocol::grpc::v2::{Code, ReceiveMessageResponse, Status};
use std::pin::Pin;
use std::task::{Context, Poll};
use storage::env::Env;
use tokio_stream::Stream;

/// The stream of one answer. It needs no task: the connection takes from it as it can write.
pub(super) struct ReceiveStream {
    env: Env,
    /// Until it is sent.
    pub(super) status: Option<Status>,
    deliveries: std::vec::IntoIter<Delivery>,
    /// The client's own, echoed.
    namespace: String,
    /// Where to give back what was not written; none when nothing was popped.
    consume: Option<Consume>,
    ended: bool,
}

impl ReceiveStream {
    /// What was found; "no new message" where that is nothing.
    pub(super) fn found(
        env: Env,
        deliveries: Vec<Delivery>,
        namespace: String,
        consume: Consume,
    ) -> ReceiveStream {
        let status = if deliveries.is_empty() {
            status(Code::MessageNotFound, "no new message")
        } else {
            ok()
        };
        let deliveries = deliveries.into_iter();
        let (status, consume) = (Some(status), Some(consume));
        ReceiveStream { env, status, deliveries, namespace, consume, ended: false }
    }

    /// A refusal.
    pub(super) fn refused(env: Env, refused: &Refused) -> ReceiveStream {
        let (status, deliveries) = (Some(refused.status()), Vec::new().into_iter());
        ReceiveStream {
            env,
            status,
            deliveries,
            namespace: String::new(),
            consume: None,
            ended: false,
        }
    }

    fn content(&mut self) -> Option<Content> {
        if let Some(status) = self.status.take() {
            return Some(Content::Status(status));
        }
        if let Some(delivery) = self.deliveries.next() {
            let receipt = Receipt { handle: delivery.receipt_handle, attempt: delivery.attempt };
            return Some(Content::Message(message(delivery.message, receipt, &self.namespace)));
        }
        if self.ended {
            return None;
        }
        self.ended = true;
        Some(Content::DeliveryTimestamp(wire_timestamp(self.env.now())))
    }
}

impl Stream for ReceiveStream {
    type Item = Result<ReceiveMessageResponse, tonic::Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(
            self.content().map(|content| Ok(ReceiveMessageResponse { content: Some(content) })),
        )
    }
}

impl Drop for ReceiveStream {
    /// The client went away before it took everything.
    fn drop(&mut self) {
        let left = self.deliveries.as_slice();
        if let Some(consume) = self.consume.as_ref().filter(|_| !left.is_empty()) {
            consume.nack(left);
        }
    }
}

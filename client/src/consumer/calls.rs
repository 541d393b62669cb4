//! The RPCs of a consumer, one function each: a call, its answer, nothing remembered.

use super::delivery::Delivery;
use super::filter::Filter;
use crate::config::Endpoint;
use crate::error::{Error, Refusal};
use crate::message::resource;
use crate::route::Queue;
use crate::rpc::Call;
use crate::session::Session;
use crate::telemetry;
use pb::receive_message_response::Content;
use protocol::grpc::v2 as pb;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

/// The shortest wait of a server (spec B.9): a shorter one is raised to it.
const WAIT_MIN: Duration = Duration::from_secs(5);

/// Who keeps a message from the others of the group, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hide {
    /// The client, for this long.
    For(Duration),
    /// The server, for as long as the client lives.
    Renewed,
}

/// One ReceiveMessage.
pub(super) struct Poll<'a> {
    pub(super) queue: &'a Queue,
    pub(super) filter: &'a Filter,
    pub(super) max: usize,
    pub(super) hide: Hide,
    pub(super) wait: Duration,
    /// Names a FIFO receive, so that its repetition gets the same messages.
    pub(super) attempt_id: Option<String>,
}

/// A session that consumes for a group.
#[derive(Clone)]
pub(super) struct Calls {
    session: Arc<Session>,
    group: Arc<str>,
}

impl Calls {
    pub(super) fn new(session: Arc<Session>, group: Arc<str>) -> Calls {
        Calls { session, group }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    fn resource(&self, name: &str) -> Option<pb::Resource> {
        Some(resource(&self.session.inner().config.namespace, name))
    }

    /// Waits for messages; none if none came in time.
    pub(super) async fn receive(&self, poll: Poll<'_>) -> Result<Vec<Delivery>, Error> {
        let topic = poll.queue.wire.topic.as_ref().map_or("", |topic| topic.name.as_str());
        let endpoint = &poll.queue.endpoint;
        let span = tracing::debug_span!("receive", topic, group = &*self.group, %endpoint);
        let received = self.receive_once(&poll).instrument(span).await;
        let meters = &self.session.inner().meters;
        match &received {
            Ok(deliveries) => meters.received.add(deliveries.len()),
            Err(_) => meters.receive_failures.add(1),
        }
        received
    }

    async fn receive_once(&self, poll: &Poll<'_>) -> Result<Vec<Delivery>, Error> {
        let inner = self.session.inner();
        let endpoint = &poll.queue.endpoint;
        let (invisible_duration, auto_renew) = match poll.hide {
            Hide::For(duration) => (wire_duration(duration)?, false),
            Hide::Renewed => (None, true),
        };
        let body = pb::ReceiveMessageRequest {
            group: self.resource(&self.group),
            message_queue: Some(poll.queue.wire.clone()),
            filter_expression: Some(poll.filter.to_wire()),
            batch_size: i32::try_from(poll.max).unwrap_or(i32::MAX),
            invisible_duration,
            auto_renew,
            long_polling_timeout: wire_duration(poll.wait)?,
            attempt_id: poll.attempt_id.clone(),
        };
        let patience = poll.wait.max(WAIT_MIN) + inner.config.request_timeout;
        let call = Call { rpc: "ReceiveMessage", endpoint, patience };
        let peer = self.session.peer(endpoint)?;
        let mut stub = peer.stub();
        let request = inner.headers.request(body, Some(patience));
        let received = call
            .within(async {
                let stream = stub.receive_message(request).await;
                let stream = stream.map_err(|status| call.failure(&status))?.into_inner();
                collect(call, stream).await
            })
            .await
            .and_then(|received| received);
        peer.judge(&received);
        received
    }

    /// Acknowledges deliveries of one topic and server; not none.
    pub(super) async fn ack_together(
        &self,
        run: &[&Delivery],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let answer = match self.ack_once(run).await {
            Err(Error::Unreachable { .. }) => self.ack_once(run).await,
            answer => answer,
        };
        if let Ok(results) = &answer {
            let acked = results.iter().filter(|result| result.is_ok()).count();
            self.session.inner().meters.acked.add(acked);
        }
        answer
    }

    async fn ack_once(&self, run: &[&Delivery]) -> Result<Vec<Result<(), Error>>, Error> {
        const RPC: &str = "AckMessage";
        let inner = self.session.inner();
        let Some(first) = run.first() else { return Ok(Vec::new()) };
        let entry = |delivery: &&Delivery| pb::AckMessageEntry {
            message_id: delivery.id.clone(),
            receipt_handle: delivery.receipt_handle.clone(),
            lite_topic: None,
        };
        let body = pb::AckMessageRequest {
            group: self.resource(&self.group),
            topic: self.resource(&first.topic),
            entries: run.iter().map(entry).collect(),
        };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &first.endpoint, patience };
        let peer = self.session.peer(&first.endpoint)?;
        let mut stub = peer.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.ack_message(request)).await;
        peer.judge(&answer);
        let answer = answer?;
        if answer.entries.len() != run.len() {
            // A request that was refused as a whole has no entries.
            return match Refusal::check(answer.status) {
                Err(refusal) => Err(Error::Refused { rpc: RPC, refusal }),
                Ok(()) => Err(Error::Malformed { rpc: RPC, what: "not one entry for each ack" }),
            };
        }
        let refused = |refusal| Error::Refused { rpc: RPC, refusal };
        Ok(answer.entries.into_iter().map(|e| Refusal::check(e.status).map_err(refused)).collect())
    }

    /// Sets the time for which the message stays invisible from now on, and returns its new handle.
    /// `suspend` leaves the attempt as it is.
    pub(super) async fn change(
        &self,
        delivery: &Delivery,
        invisible: Duration,
        suspend: bool,
    ) -> Result<String, Error> {
        match self.change_once(delivery, invisible, suspend).await {
            Err(Error::Unreachable { .. }) => self.change_once(delivery, invisible, suspend).await,
            answer => answer,
        }
    }

    async fn change_once(
        &self,
        delivery: &Delivery,
        invisible: Duration,
        suspend: bool,
    ) -> Result<String, Error> {
        const RPC: &str = "ChangeInvisibleDuration";
        let inner = self.session.inner();
        let body = pb::ChangeInvisibleDurationRequest {
            group: self.resource(&self.group),
            topic: self.resource(&delivery.topic),
            receipt_handle: delivery.receipt_handle.clone(),
            invisible_duration: wire_duration(invisible)?,
            message_id: delivery.id.clone(),
            suspend: suspend.then_some(true),
            ..pb::ChangeInvisibleDurationRequest::default()
        };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &delivery.endpoint, patience };
        let peer = self.session.peer(&delivery.endpoint)?;
        let mut stub = peer.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.change_invisible_duration(request)).await;
        peer.judge(&answer);
        let answer = answer?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
        Ok(answer.receipt_handle)
    }

    /// Moves the message to the group's dead-letter queue, after `attempts` of `attempts_max`.
    pub(super) async fn dead_letter(
        &self,
        delivery: &Delivery,
        attempts: u32,
        attempts_max: u32,
    ) -> Result<(), Error> {
        const RPC: &str = "ForwardMessageToDeadLetterQueue";
        let inner = self.session.inner();
        let count = |count| i32::try_from(count).unwrap_or(i32::MAX);
        let body = pb::ForwardMessageToDeadLetterQueueRequest {
            group: self.resource(&self.group),
            topic: self.resource(&delivery.topic),
            receipt_handle: delivery.receipt_handle.clone(),
            message_id: delivery.id.clone(),
            delivery_attempt: count(attempts),
            max_delivery_attempts: count(attempts_max),
            lite_topic: None,
        };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &delivery.endpoint, patience };
        let peer = self.session.peer(&delivery.endpoint)?;
        let mut stub = peer.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.forward_message_to_dead_letter_queue(request)).await;
        peer.judge(&answer);
        Refusal::check(answer?.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })
    }

    /// What the group may poll of `topic`, asked at `endpoint`. A queue without an address is
    /// reached there too.
    pub(super) async fn assignments(
        &self,
        topic: &str,
        endpoint: &Endpoint,
    ) -> Result<Vec<Queue>, Error> {
        const RPC: &str = "QueryAssignment";
        let inner = self.session.inner();
        let body = pb::QueryAssignmentRequest {
            topic: self.resource(topic),
            group: self.resource(&self.group),
            endpoints: Some(telemetry::endpoints(&inner.config.access_point)),
        };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint, patience };
        let peer = self.session.peer(endpoint)?;
        let mut stub = peer.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.query_assignment(request)).await;
        peer.judge(&answer);
        let answer = answer?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
        let queues = answer.assignments.into_iter().filter_map(|entry| entry.message_queue);
        Ok(queues.map(|wire| Queue::from_wire(wire, endpoint)).collect())
    }
}

/// Reads a stream of ReceiveMessage to its end (spec B.9): status, messages, delivery time.
async fn collect(
    call: Call<'_>,
    mut stream: tonic::Streaming<pb::ReceiveMessageResponse>,
) -> Result<Vec<Delivery>, Error> {
    let mut deliveries = Vec::new();
    let mut seen = None;
    loop {
        let content = match stream.message().await {
            Ok(Some(response)) => response.content,
            Ok(None) => break,
            // What has arrived was handed out, and is the caller's.
            Err(_) if !deliveries.is_empty() => break,
            Err(status) => return Err(call.failure(&status)),
        };
        match content {
            Some(Content::Status(status)) => seen = Some(status),
            Some(Content::Message(message)) => {
                deliveries.push(Delivery::from_wire(message, call.endpoint));
            }
            Some(Content::DeliveryTimestamp(_)) | None => {}
        }
    }
    match Refusal::check(seen) {
        Ok(()) => Ok(deliveries),
        Err(_) if !deliveries.is_empty() => Ok(deliveries),
        Err(refusal) if refusal.code == pb::Code::MessageNotFound as i32 => Ok(deliveries),
        Err(refusal) => Err(Error::Refused { rpc: call.rpc, refusal }),
    }
}

fn wire_duration(duration: Duration) -> Result<Option<prost_types::Duration>, Error> {
    prost_types::Duration::try_from(duration)
        .map(Some)
        .map_err(|_| Error::Invalid { what: format!("{duration:?} is too long") })
}

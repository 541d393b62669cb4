//! Receiving, one call at a time.

use crate::config::{Config, Endpoint};
use crate::error::{Error, Refusal};
use crate::message::{BodyEncoding, resource};
use crate::route::Queue;
use crate::rpc::Call;
use crate::session::{Role, Session};
use bytes::Bytes;
use pb::receive_message_response::Content;
use protocol::grpc::v2 as pb;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// The shortest wait of a server (spec B.9): a shorter one is raised to it.
const WAIT_MIN: Duration = Duration::from_secs(5);

/// Which messages of a topic a consumer group takes. All consumers of a group should say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// By tag: `a`, `a || b`, or `*` for all.
    Tag(String),
    /// By an SQL92 condition on the properties.
    Sql(String),
}

impl Filter {
    /// Every message.
    pub fn all() -> Filter {
        Filter::Tag("*".to_owned())
    }

    fn to_wire(&self) -> pb::FilterExpression {
        let (kind, expression) = match self {
            Filter::Tag(expression) => (pb::FilterType::Tag, expression),
            Filter::Sql(expression) => (pb::FilterType::Sql, expression),
        };
        pb::FilterExpression { r#type: kind as i32, expression: expression.clone() }
    }
}

/// How to receive.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// At most so many messages; servers give no more than 32. Default: 32.
    pub max: usize,
    /// For so long nobody else of the group gets them, 10 s to 12 h. Default: 30 s.
    pub invisible: Duration,
    /// For so long the server waits for a first message, 5 s to 20 s: a shorter or longer wait
    /// becomes that. Default: 20 s.
    pub wait: Duration,
}

impl Default for Receive {
    fn default() -> Receive {
        Receive { max: 32, invisible: Duration::from_secs(30), wait: Duration::from_secs(20) }
    }
}

/// A message that was received, and is to be acknowledged before its invisible time is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Where it was sent to.
    pub topic: String,
    /// Its body, as [`Delivery::encoding`] says.
    pub body: Bytes,
    /// Whether the body is compressed.
    pub encoding: BodyEncoding,
    /// The id that the sender gave it.
    pub id: String,
    /// Its tag.
    pub tag: Option<String>,
    /// Its keys; may be empty.
    pub keys: Vec<String>,
    /// What the sender put on it.
    pub properties: BTreeMap<String, String>,
    /// Its message group, if it is a FIFO message.
    pub group: Option<String>,
    /// 1 for the first delivery.
    pub attempt: u32,
    /// The queue within its broker.
    pub queue_id: i32,
    /// Its offset in that queue.
    pub offset: i64,
    /// When the sender made it.
    pub born_at: Option<SystemTime>,
    /// When the server stored it.
    pub stored_at: Option<SystemTime>,
    /// Who delivered it, and is told what becomes of it.
    endpoint: Endpoint,
    receipt_handle: String,
}

impl Delivery {
    /// The server's name for this delivery. Opaque; changes with
    /// [`SimpleConsumer::change_invisible`].
    pub fn receipt_handle(&self) -> &str {
        &self.receipt_handle
    }

    fn from_wire(message: pb::Message, endpoint: &Endpoint) -> Delivery {
        let system = message.system_properties.unwrap_or_default();
        let time = |at: Option<prost_types::Timestamp>| SystemTime::try_from(at?).ok();
        Delivery {
            topic: message.topic.unwrap_or_default().name,
            body: message.body,
            encoding: match pb::Encoding::try_from(system.body_encoding) {
                Ok(pb::Encoding::Gzip) => BodyEncoding::Gzip,
                Ok(pb::Encoding::Identity | pb::Encoding::Unspecified) | Err(_) => {
                    BodyEncoding::Identity
                }
            },
            id: system.message_id,
            tag: system.tag,
            keys: system.keys,
            properties: message.user_properties,
            group: system.message_group,
            attempt: system.delivery_attempt.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            queue_id: system.queue_id,
            offset: system.queue_offset.unwrap_or_default(),
            born_at: time(system.born_timestamp),
            stored_at: time(system.store_timestamp),
            endpoint: endpoint.clone(),
            receipt_handle: system.receipt_handle.unwrap_or_default(),
        }
    }
}

/// A consumer that asks for messages when it wants some, and says what became of each. Clones share
/// connections. A request that found its connection dead is sent once more, over a new one.
#[derive(Clone)]
pub struct SimpleConsumer {
    session: Arc<Session>,
    group: Arc<str>,
    filters: Arc<[(String, Filter)]>,
    turn: Arc<AtomicUsize>,
}

impl SimpleConsumer {
    /// Connects, and waits until the servers of the topics have confirmed this consumer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody answers; [`Error::Refused`] with `TOPIC_NOT_FOUND`;
    /// [`Error::Declined`] for a group that the server will not have; [`Error::Invalid`] without a
    /// subscription.
    pub async fn start(
        config: Config,
        group: impl Into<String>,
        subscriptions: impl IntoIterator<Item = (impl Into<String>, Filter)>,
    ) -> Result<SimpleConsumer, Error> {
        let group = group.into();
        let filters: Arc<[(String, Filter)]> =
            subscriptions.into_iter().map(|(topic, filter)| (topic.into(), filter)).collect();
        if filters.is_empty() {
            return Err(Error::Invalid { what: "a consumer subscribes to a topic".to_owned() });
        }
        let topics = filters.iter().map(|(topic, _)| topic.clone()).collect();
        let subscriptions =
            filters.iter().map(|(topic, filter)| (topic.clone(), filter.to_wire())).collect();
        let role = Role::SimpleConsumer { group: group.clone(), subscriptions };
        let session = Arc::new(Session::start(config, role, topics).await?);
        Ok(SimpleConsumer {
            session,
            group: group.into(),
            filters,
            turn: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// Takes messages of one topic, the next of the subscriptions in turn; none if none came while
    /// the server waited.
    ///
    /// Dropping the future gives up the wait. Messages that were on their way then come again after
    /// their invisible time, or sooner.
    ///
    /// # Errors
    /// After any error nothing is lost: what the server may have handed out comes again.
    pub async fn receive(&self, how: Receive) -> Result<Vec<Delivery>, Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (topic, filter) = &self.filters[turn % self.filters.len()];
        let turn = turn / self.filters.len();
        match self.receive_from(topic, filter, turn, how).await {
            Err(Error::Unreachable { .. }) => {
                self.session.forget_route(topic);
                self.receive_from(topic, filter, turn, how).await
            }
            received => received,
        }
    }

    async fn receive_from(
        &self,
        topic: &str,
        filter: &Filter,
        turn: usize,
        how: Receive,
    ) -> Result<Vec<Delivery>, Error> {
        let inner = self.session.inner();
        let route = self.session.route(topic).await?;
        let Some(Queue { wire, endpoint }) = route.readable(turn) else {
            return Err(Error::Invalid { what: format!("topic {topic} has no readable queue") });
        };
        let body = pb::ReceiveMessageRequest {
            group: Some(resource(&inner.config.namespace, &self.group)),
            message_queue: Some(wire.clone()),
            filter_expression: Some(filter.to_wire()),
            batch_size: i32::try_from(how.max).unwrap_or(i32::MAX),
            invisible_duration: wire_duration(how.invisible)?,
            auto_renew: false,
            long_polling_timeout: wire_duration(how.wait)?,
            attempt_id: None,
        };
        let patience = how.wait.max(WAIT_MIN) + inner.config.request_timeout;
        let call = Call { rpc: "ReceiveMessage", endpoint, patience };
        let mut stub = self.session.peer(endpoint)?.stub();
        let request = inner.headers.request(body, Some(patience));
        call.within(async {
            let stream = stub.receive_message(request).await;
            let stream = stream.map_err(|status| call.failure(&status))?.into_inner();
            collect(call, stream).await
        })
        .await?
    }

    /// Says that a message is done with.
    ///
    /// # Errors
    /// [`Error::Refused`] with `INVALID_RECEIPT_HANDLE` when the invisible time is over: the
    /// message will come again, or has. After an unknown outcome it may be acknowledged again,
    /// which does no harm.
    pub async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        let mut results = self.ack_together(&[delivery]).await?;
        results.pop().unwrap_or(Err(Error::Malformed { rpc: "AckMessage", what: "no entry" }))
    }

    /// Says that messages are done with, in as few requests as their topics and servers allow. The
    /// results are in the order of the messages.
    pub async fn ack_all(&self, deliveries: &[Delivery]) -> Vec<Result<(), Error>> {
        let mut results: Vec<Result<(), Error>> = Vec::new();
        let mut rest = deliveries;
        // Neighbours of one topic and server go together; a batch that was received is a run of
        // such.
        while let Some(first) = rest.first() {
            let alike =
                |other: &&Delivery| other.endpoint == first.endpoint && other.topic == first.topic;
            let run: Vec<&Delivery> = rest.iter().take_while(alike).collect();
            rest = &rest[run.len()..];
            match self.ack_together(&run).await {
                Ok(done) => results.extend(done),
                Err(error) => results.extend(run.iter().map(|_| Err(error.clone()))),
            }
        }
        results
    }

    /// Acknowledges deliveries of one topic and server; not none.
    async fn ack_together(&self, run: &[&Delivery]) -> Result<Vec<Result<(), Error>>, Error> {
        match self.ack_once(run).await {
            Err(Error::Unreachable { .. }) => self.ack_once(run).await,
            answer => answer,
        }
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
            group: Some(resource(&inner.config.namespace, &self.group)),
            topic: Some(resource(&inner.config.namespace, &first.topic)),
            entries: run.iter().map(entry).collect(),
        };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &first.endpoint, patience };
        let mut stub = self.session.peer(&first.endpoint)?.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.ack_message(request)).await?;
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

    /// Lets the message stay invisible for this long from now, 0 s to 12 h; a short time makes it
    /// come again soon, with its attempt raised. The delivery gets a new handle.
    ///
    /// # Errors
    /// [`Error::Refused`] with `INVALID_RECEIPT_HANDLE` when the invisible time is over.
    pub async fn change_invisible(
        &self,
        delivery: &mut Delivery,
        invisible: Duration,
    ) -> Result<(), Error> {
        match self.change_once(delivery, invisible).await {
            Err(Error::Unreachable { .. }) => self.change_once(delivery, invisible).await,
            answer => answer,
        }
    }

    async fn change_once(&self, delivery: &mut Delivery, invisible: Duration) -> Result<(), Error> {
        const RPC: &str = "ChangeInvisibleDuration";
        let inner = self.session.inner();
        let body = pb::ChangeInvisibleDurationRequest {
            group: Some(resource(&inner.config.namespace, &self.group)),
            topic: Some(resource(&inner.config.namespace, &delivery.topic)),
            receipt_handle: delivery.receipt_handle.clone(),
            invisible_duration: wire_duration(invisible)?,
            message_id: delivery.id.clone(),
            ..pb::ChangeInvisibleDurationRequest::default()
        };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint: &delivery.endpoint, patience };
        let mut stub = self.session.peer(&delivery.endpoint)?.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.change_invisible_duration(request)).await?;
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
        delivery.receipt_handle = answer.receipt_handle;
        Ok(())
    }

    /// Tells the servers that this consumer is gone, and ends its tasks.
    pub async fn close(&self) {
        self.session.close().await;
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

//! A server that says what a test wants it to say, and notes what it is told.
#![expect(dead_code, reason = "each suite takes the part that it needs")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use protocol::grpc::v2 as pb;
use protocol::grpc::v2::messaging_service_server::{MessagingService, MessagingServiceServer};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;

/// What the server was told, in the order in which it was.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a few of them in a test")]
pub(crate) enum Told {
    Settings(pb::ClientType),
    Sent(String),
    Received { attempt_id: String, auto_renew: bool, batch: i32 },
    Acked(String),
    Changed { handle: String, millis: i64, suspend: bool },
    DeadLettered { handle: String, attempt: i32, of: i32 },
    Replied(i32, pb::telemetry_command::Command),
    Goodbye,
}

/// What a test may set before or while a client talks to it.
#[derive(Default)]
pub(crate) struct Script {
    /// The route of every topic; one queue here if empty.
    pub(crate) queues: Vec<pb::MessageQueue>,
    /// What the settings say about a consumer's group.
    pub(crate) fifo: bool,
    pub(crate) policy: Option<pb::RetryPolicy>,
    /// Answers to the next sends; OK when there are no more.
    pub(crate) send_codes: VecDeque<pb::Code>,
    /// Answers to the next acks; OK when there are no more.
    pub(crate) ack_codes: VecDeque<pb::Code>,
    /// Receives that end with an error before anything is handed out.
    pub(crate) receive_failures: usize,
    /// Messages to hand out, a batch a receive.
    pub(crate) batches: VecDeque<Vec<pb::Message>>,
    told: Vec<Told>,
    headers: Option<MetadataMap>,
    commands: Option<mpsc::Sender<Result<pb::TelemetryCommand, Status>>>,
}

/// A running server. Its connections end with it.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    /// Ends with its sockets when it is shut down, as a process would.
    runtime: Mutex<Option<Runtime>>,
}

struct State {
    itself: Weak<State>,
    script: Mutex<Script>,
    changed: Notify,
    reading: Mutex<JoinSet<()>>,
}

impl Fake {
    pub(crate) fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new_cyclic(|itself| State {
            itself: Weak::clone(itself),
            script: Mutex::default(),
            changed: Notify::new(),
            reading: Mutex::default(),
        });
        state.script.lock().unwrap().queues = vec![queue("broker", 0, address)];
        let fake = Fake { address, state, runtime: Mutex::new(None) };
        fake.serve(listener);
        fake
    }

    fn serve(&self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let service = MessagingServiceServer::from_arc(Arc::clone(&self.state));
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        *self.runtime.lock().unwrap() = Some(runtime);
    }

    /// Ends, connections and all.
    pub(crate) fn stop(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }

    /// Serves again where it did.
    pub(crate) async fn start_again(&self) {
        let began = Instant::now();
        // The old listener goes with the last task of its runtime.
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        self.serve(listener);
    }

    pub(crate) fn endpoint(&self) -> client::Endpoint {
        self.address.to_string().parse().unwrap()
    }

    pub(crate) fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        let done = change(&mut self.state.script.lock().unwrap());
        self.state.changed.notify_waiters();
        done
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.script(|script| script.told.clone())
    }

    /// The headers of the last request.
    pub(crate) fn headers(&self) -> MetadataMap {
        self.script(|script| script.headers.clone()).unwrap_or_default()
    }

    /// Waits until the server was told something that `is` knows.
    pub(crate) async fn is_told(&self, what: &str, is: impl Fn(&Told) -> bool) -> Told {
        let began = Instant::now();
        loop {
            let found = self.told().into_iter().find(|told| is(told));
            if let Some(found) = found {
                return found;
            }
            let told = self.told();
            assert!(began.elapsed() < Duration::from_secs(20), "no {what} among {told:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends a command over the Telemetry stream.
    pub(crate) async fn command(&self, command: pb::telemetry_command::Command) {
        let commands = self.script(|script| script.commands.clone()).expect("a stream is open");
        let command = pb::TelemetryCommand { status: None, command: Some(command) };
        commands.send(Ok(command)).await.unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A queue of a broker at `address`.
pub(crate) fn queue(broker: &str, id: i32, address: SocketAddr) -> pb::MessageQueue {
    let host = pb::Address { host: address.ip().to_string(), port: i32::from(address.port()) };
    let endpoints = pb::Endpoints { scheme: pb::AddressScheme::IPv4 as i32, addresses: vec![host] };
    pb::MessageQueue {
        topic: Some(pb::Resource { name: "t".into(), ..pb::Resource::default() }),
        id,
        permission: pb::Permission::ReadWrite as i32,
        broker: Some(pb::Broker { name: broker.into(), id: 0, endpoints: Some(endpoints) }),
        ..pb::MessageQueue::default()
    }
}

/// A message on its way out; its receipt handle is its id.
pub(crate) fn message(id: &str, group: Option<&str>, attempt: i32) -> pb::Message {
    pb::Message {
        topic: Some(pb::Resource { name: "t".into(), ..pb::Resource::default() }),
        body: id.to_owned().into(),
        system_properties: Some(pb::SystemProperties {
            message_id: id.to_owned(),
            receipt_handle: Some(id.to_owned()),
            message_group: group.map(str::to_owned),
            delivery_attempt: Some(attempt),
            ..pb::SystemProperties::default()
        }),
        ..pb::Message::default()
    }
}

fn status(code: pb::Code) -> Option<pb::Status> {
    Some(pb::Status { code: code as i32, message: String::new() })
}

fn no_such_rpc() -> Status {
    Status::unimplemented("the client has no use for it")
}

fn ok() -> Option<pb::Status> {
    status(pb::Code::Ok)
}

impl State {
    fn shared(&self) -> Arc<State> {
        self.itself.upgrade().expect("whoever is asked is there")
    }

    fn note(&self, told: Told) {
        self.script.lock().unwrap().told.push(told);
    }

    fn answer_to_settings(&self, mut settings: pb::Settings) -> pb::TelemetryCommand {
        use pb::settings::PubSub;
        let script = self.script.lock().unwrap();
        settings.backoff_policy = script.policy.clone();
        if let Some(PubSub::Subscription(subscription)) = &mut settings.pub_sub {
            subscription.fifo = Some(script.fifo);
            subscription.receive_batch_size = Some(16);
        }
        let command = Some(pb::telemetry_command::Command::Settings(settings));
        pb::TelemetryCommand { status: ok(), command }
    }

    /// The next batch, as soon as there is one.
    async fn next_batch(&self) -> Vec<pb::Message> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(batch) = self.script.lock().unwrap().batches.pop_front() {
                return batch;
            }
            changed.await;
        }
    }
}

#[tonic::async_trait]
impl MessagingService for State {
    async fn query_route(
        &self,
        _: Request<pb::QueryRouteRequest>,
    ) -> Answer<pb::QueryRouteResponse> {
        let message_queues = self.script.lock().unwrap().queues.clone();
        Ok(Response::new(pb::QueryRouteResponse { status: ok(), message_queues }))
    }

    async fn heartbeat(&self, _: Request<pb::HeartbeatRequest>) -> Answer<pb::HeartbeatResponse> {
        Ok(Response::new(pb::HeartbeatResponse { status: ok() }))
    }

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<pb::SendMessageResponse> {
        let mut script = self.script.lock().unwrap();
        script.headers = Some(request.metadata().clone());
        let code = script.send_codes.pop_front().unwrap_or(pb::Code::Ok);
        let mut entries = Vec::new();
        for message in request.into_inner().messages {
            let message_id = message.system_properties.unwrap_or_default().message_id;
            script.told.push(Told::Sent(message_id.clone()));
            let status = status(code);
            entries.push(pb::SendResultEntry { status, message_id, ..Default::default() });
        }
        Ok(Response::new(pb::SendMessageResponse { status: status(code), entries }))
    }

    async fn query_assignment(
        &self,
        _: Request<pb::QueryAssignmentRequest>,
    ) -> Answer<pb::QueryAssignmentResponse> {
        let queues = self.script.lock().unwrap().queues.clone();
        let assignment = |queue| pb::Assignment { message_queue: Some(queue) };
        let assignments = queues.into_iter().map(assignment).collect();
        Ok(Response::new(pb::QueryAssignmentResponse { status: ok(), assignments }))
    }

    type ReceiveMessageStream = ReceiverStream<Result<pb::ReceiveMessageResponse, Status>>;

    async fn receive_message(
        &self,
        request: Request<pb::ReceiveMessageRequest>,
    ) -> Answer<Self::ReceiveMessageStream> {
        use pb::receive_message_response::Content;
        let request = request.into_inner();
        self.note(Told::Received {
            attempt_id: request.attempt_id.unwrap_or_default(),
            auto_renew: request.auto_renew,
            batch: request.batch_size,
        });
        let refused = {
            let mut script = self.script.lock().unwrap();
            let failing = script.receive_failures > 0;
            script.receive_failures -= usize::from(failing);
            failing
        };
        let (content, stream) = mpsc::channel(64);
        let contents = if refused {
            vec![Content::Status(status(pb::Code::InternalServerError).unwrap())]
        } else {
            let batch = self.next_batch().await.into_iter().map(Content::Message);
            [Content::Status(ok().unwrap())].into_iter().chain(batch).collect()
        };
        for part in contents {
            let part = pb::ReceiveMessageResponse { content: Some(part) };
            content.try_send(Ok(part)).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn ack_message(
        &self,
        request: Request<pb::AckMessageRequest>,
    ) -> Answer<pb::AckMessageResponse> {
        let mut script = self.script.lock().unwrap();
        let code = script.ack_codes.pop_front().unwrap_or(pb::Code::Ok);
        let mut entries = Vec::new();
        for entry in request.into_inner().entries {
            if code == pb::Code::Ok {
                script.told.push(Told::Acked(entry.receipt_handle.clone()));
            }
            entries.push(pb::AckMessageResultEntry {
                message_id: entry.message_id,
                receipt_handle: entry.receipt_handle,
                status: status(code),
            });
        }
        Ok(Response::new(pb::AckMessageResponse { status: status(code), entries }))
    }

    async fn forward_message_to_dead_letter_queue(
        &self,
        request: Request<pb::ForwardMessageToDeadLetterQueueRequest>,
    ) -> Answer<pb::ForwardMessageToDeadLetterQueueResponse> {
        let request = request.into_inner();
        self.note(Told::DeadLettered {
            handle: request.receipt_handle,
            attempt: request.delivery_attempt,
            of: request.max_delivery_attempts,
        });
        Ok(Response::new(pb::ForwardMessageToDeadLetterQueueResponse { status: ok() }))
    }

    type TelemetryStream = ReceiverStream<Result<pb::TelemetryCommand, Status>>;

    async fn telemetry(
        &self,
        request: Request<Streaming<pb::TelemetryCommand>>,
    ) -> Answer<Self::TelemetryStream> {
        use pb::telemetry_command::Command;
        let mut incoming = request.into_inner();
        let (commands, outgoing) = mpsc::channel(16);
        let first = incoming.message().await?.and_then(|command| command.command);
        let Some(Command::Settings(settings)) = first else {
            return Err(Status::invalid_argument("settings come first"));
        };
        self.note(Told::Settings(settings.client_type()));
        let _ = commands.try_send(Ok(self.answer_to_settings(settings)));
        self.script.lock().unwrap().commands = Some(commands.clone());
        let state = self.shared();
        // Reads until the client closes its half or the server ends.
        self.reading.lock().unwrap().spawn(async move {
            while let Ok(Some(command)) = incoming.message().await {
                let code = command.status.map_or(0, |status| status.code);
                match command.command {
                    Some(Command::Settings(settings)) => {
                        state.note(Told::Settings(settings.client_type()));
                        let _ = commands.try_send(Ok(state.answer_to_settings(settings)));
                    }
                    Some(reply) => state.note(Told::Replied(code, reply)),
                    None => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn notify_client_termination(
        &self,
        _: Request<pb::NotifyClientTerminationRequest>,
    ) -> Answer<pb::NotifyClientTerminationResponse> {
        self.note(Told::Goodbye);
        Ok(Response::new(pb::NotifyClientTerminationResponse { status: ok() }))
    }

    async fn change_invisible_duration(
        &self,
        request: Request<pb::ChangeInvisibleDurationRequest>,
    ) -> Answer<pb::ChangeInvisibleDurationResponse> {
        let request = request.into_inner();
        let asked = request.invisible_duration.unwrap_or_default();
        let millis = asked.seconds * 1_000 + i64::from(asked.nanos) / 1_000_000;
        let (suspend, handle) = (request.suspend(), request.receipt_handle);
        self.note(Told::Changed { handle: handle.clone(), millis, suspend });
        let receipt_handle = format!("{handle}+");
        Ok(Response::new(pb::ChangeInvisibleDurationResponse { status: ok(), receipt_handle }))
    }

    async fn update_offset(
        &self,
        _: Request<pb::UpdateOffsetRequest>,
    ) -> Answer<pb::UpdateOffsetResponse> {
        Err(no_such_rpc())
    }

    async fn get_offset(&self, _: Request<pb::GetOffsetRequest>) -> Answer<pb::GetOffsetResponse> {
        Err(no_such_rpc())
    }

    async fn query_offset(
        &self,
        _: Request<pb::QueryOffsetRequest>,
    ) -> Answer<pb::QueryOffsetResponse> {
        Err(no_such_rpc())
    }

    async fn end_transaction(
        &self,
        _: Request<pb::EndTransactionRequest>,
    ) -> Answer<pb::EndTransactionResponse> {
        Err(no_such_rpc())
    }

    async fn recall_message(
        &self,
        _: Request<pb::RecallMessageRequest>,
    ) -> Answer<pb::RecallMessageResponse> {
        Err(no_such_rpc())
    }

    async fn sync_lite_subscription(
        &self,
        _: Request<pb::SyncLiteSubscriptionRequest>,
    ) -> Answer<pb::SyncLiteSubscriptionResponse> {
        Err(no_such_rpc())
    }

    type PullMessageStream = ReceiverStream<Result<pb::PullMessageResponse, Status>>;

    async fn pull_message(
        &self,
        _: Request<pb::PullMessageRequest>,
    ) -> Answer<Self::PullMessageStream> {
        Err(no_such_rpc())
    }
}

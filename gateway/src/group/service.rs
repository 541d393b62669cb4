//! The handle to the registry of clients, and the way to reach a client.

use super::client::{Registration, Subscription};
use super::client_id::ClientId;
use super::state::{CLIENTS_MAX, RegisterRefused, Registry};
use parking_lot::Mutex;
use protocol::grpc::v2::TelemetryCommand;
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::env::Env;
use tokio::sync::mpsc;

/// Commands on their way to one client. A client that does not read its stream is not waited for.
pub const CLIENT_OUTBOX_COMMANDS_MAX: usize = 16;

/// Why a command did not go to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReached {
    /// It is not registered here, or has no open stream.
    #[error("the client has no telemetry stream to this gateway")]
    NoStream,
    /// It does not read what it is sent.
    #[error("the client does not read its telemetry stream")]
    Full,
}

/// The clients of this gateway. Cheap to clone; every method is immediate.
#[derive(Clone)]
pub struct Clients {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    registry: Mutex<Registry<Option<mpsc::Sender<TelemetryCommand>>>>,
}

impl Clients {
    /// No client yet.
    pub fn new(env: Env) -> Clients {
        let registry = Mutex::new(Registry::new(CLIENTS_MAX));
        Clients { inner: Arc::new(Inner { env, registry }) }
    }

    /// Takes in what a client says about itself, in place of what it said before. A stream that was
    /// attached stays.
    ///
    /// # Errors
    /// See [`RegisterRefused`].
    pub fn put_settings(
        &self,
        id: &ClientId,
        registration: Registration,
    ) -> Result<(), RegisterRefused> {
        let now = self.inner.env.monotonic();
        self.inner.registry.lock().register(now, id.clone(), registration)
    }

    /// A sign of life; false when the client must first say who it is.
    pub fn heartbeat(&self, id: &ClientId) -> bool {
        self.inner.registry.lock().heard(self.inner.env.monotonic(), id)
    }

    /// The client says goodbye: forgets it and ends its stream. What it said, if it was known. The
    /// caller tells `consume` that the client is gone.
    pub fn terminate(&self, id: &ClientId) -> Option<Arc<Registration>> {
        self.inner.registry.lock().remove(id).map(|client| client.registration)
    }

    /// Whether it was heard of within [`super::LIVENESS`].
    pub fn is_alive(&self, id: &ClientId) -> bool {
        self.inner.registry.lock().get(self.inner.env.monotonic(), id).is_some()
    }

    /// What a living client said.
    pub fn get(&self, id: &ClientId) -> Option<Arc<Registration>> {
        let registry = self.inner.registry.lock();
        registry.get(self.inner.env.monotonic(), id).map(|client| client.registration.clone())
    }

    /// The living members of a group, sorted by id.
    pub fn consumers(&self, group: &GroupName) -> Vec<(ClientId, Arc<Registration>)> {
        let registry = self.inner.registry.lock();
        let members = registry.consumers(self.inner.env.monotonic(), group);
        members.map(|(id, client)| (id.clone(), client.registration.clone())).collect()
    }

    /// The living clients that declared `topic` as one they send to, sorted by id.
    pub fn producers(&self, topic: &TopicName) -> Vec<(ClientId, Arc<Registration>)> {
        let registry = self.inner.registry.lock();
        let senders = registry.producers(self.inner.env.monotonic(), topic);
        senders.map(|(id, client)| (id.clone(), client.registration.clone())).collect()
    }

    /// The living producers of a group, sorted by id: Remoting clients that named it, and gRPC
    /// clients, which have no producer group, under the names of the topics that they send to, as
    /// Apache's proxy counts them. Looks at every client.
    pub fn producers_of_group(&self, name: &str) -> Vec<(ClientId, Arc<Registration>)> {
        let registry = self.inner.registry.lock();
        registry.sorted(self.inner.env.monotonic(), |client| client.produces_in(name))
    }

    /// What the living members of a group subscribe to together, by topic. Where they differ, the
    /// member whose id is the last by name is believed.
    pub fn subscriptions(&self, group: &GroupName) -> BTreeMap<TopicName, Subscription> {
        let members = self.consumers(group);
        let consumers = members.iter().flat_map(|(_, client)| client.consumers());
        let of_group = consumers.filter(|consumer| consumer.group == *group);
        let all = of_group.flat_map(|consumer| &consumer.subscriptions);
        all.map(|subscription| (subscription.topic.clone(), subscription.clone())).collect()
    }

    /// All living clients, in no order.
    pub fn all(&self) -> Vec<Arc<Registration>> {
        let registry = self.inner.registry.lock();
        let living = registry.all(self.inner.env.monotonic());
        living.map(|client| Arc::clone(&client.registration)).collect()
    }

    /// The groups of which a living member subscribes to `topic`, sorted.
    pub fn groups_of_topic(&self, topic: &TopicName) -> Vec<GroupName> {
        let registry = self.inner.registry.lock();
        registry.groups_of_topic(self.inner.env.monotonic(), topic).into_iter().collect()
    }

    /// Makes `outbox` the way to a registered client; an earlier stream of it ends. False when it
    /// is not registered.
    pub fn attach(&self, id: &ClientId, outbox: mpsc::Sender<TelemetryCommand>) -> bool {
        let mut registry = self.inner.registry.lock();
        match registry.extra(self.inner.env.monotonic(), id) {
            Some(place) => {
                *place = Some(outbox);
                true
            }
            None => false,
        }
    }

    /// Sends a command down a client's stream, without waiting.
    ///
    /// # Errors
    /// See [`NotReached`].
    pub fn command(&self, id: &ClientId, command: TelemetryCommand) -> Result<(), NotReached> {
        let outbox = {
            let mut registry = self.inner.registry.lock();
            let place = registry.extra(self.inner.env.monotonic(), id);
            place.and_then(|outbox| outbox.clone()).ok_or(NotReached::NoStream)?
        };
        outbox.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => NotReached::Full,
            mpsc::error::TrySendError::Closed(_) => NotReached::NoStream,
        })
    }
}

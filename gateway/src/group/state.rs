//! The registry of clients as a pure state: who is registered, when each was last heard of, who is
//! in which group.
//!
//! INV-CLIENT-1: the indexes by group and by topic hold exactly the roles of the registered
//! clients.

use super::client::Registration;
use super::client_id::ClientId;
use protocol::names::{GroupName, TopicName};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// How long after its last sign of life a client counts as alive (Apache's channel expiry, spec
/// B.3).
pub const LIVENESS: Duration = Duration::from_secs(120);
/// Clients that one gateway keeps. Ten times the ten thousand parked consumers that it is built
/// for.
pub const CLIENTS_MAX: usize = 100_000;
/// Topics that one client may name, published and subscribed together.
pub const SUBSCRIPTIONS_MAX: usize = 4_096;
/// How often the dead are looked for; twice per heartbeat period of a client would be needless.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);

/// Why a client was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRefused {
    /// [`CLIENTS_MAX`] are registered and alive. Another gateway may have room.
    #[error("this gateway serves {CLIENTS_MAX} clients already")]
    Full,
    /// It names more than [`SUBSCRIPTIONS_MAX`] topics.
    #[error("a client may name at most {SUBSCRIPTIONS_MAX} topics, this one names {0}")]
    TooManyTopics(usize),
}

/// A registered client. `X` is what the service keeps with it.
#[derive(Debug)]
pub(super) struct Client<X> {
    pub(super) registration: std::sync::Arc<Registration>,
    pub(super) extra: X,
    heard: Duration,
}

/// All registered clients. Times are monotonic: a step of the wall clock kills nobody.
#[derive(Debug)]
pub(super) struct Registry<X> {
    clients: HashMap<ClientId, Client<X>>,
    groups: HashMap<GroupName, BTreeSet<ClientId>>,
    producers: HashMap<TopicName, BTreeSet<ClientId>>,
    limit: usize,
    swept: Duration,
}

impl<X: Default> Registry<X> {
    pub(super) fn new(limit: usize) -> Registry<X> {
        Registry {
            clients: HashMap::new(),
            groups: HashMap::new(),
            producers: HashMap::new(),
            limit,
            swept: Duration::ZERO,
        }
    }

    /// Takes in what a client says about itself, keeping what the service keeps with it.
    pub(super) fn register(
        &mut self,
        now: Duration,
        id: ClientId,
        registration: Registration,
    ) -> Result<(), RegisterRefused> {
        let named = registration.publishes().count()
            + registration.consumers().map(|consumer| consumer.subscriptions.len()).sum::<usize>();
        if named > SUBSCRIPTIONS_MAX {
            return Err(RegisterRefused::TooManyTopics(named));
        }
        self.sweep(now);
        if !self.clients.contains_key(&id) && self.clients.len() >= self.limit {
            return Err(RegisterRefused::Full);
        }
        let extra = self.remove(&id).map(|client| client.extra).unwrap_or_default();
        for consumer in registration.consumers() {
            self.groups.entry(consumer.group.clone()).or_default().insert(id.clone());
        }
        for topic in registration.publishes() {
            self.producers.entry(topic.clone()).or_default().insert(id.clone());
        }
        let registration = std::sync::Arc::new(registration);
        self.clients.insert(id, Client { registration, extra, heard: now });
        Ok(())
    }

    /// A sign of life; false when the client is not known, or no longer.
    pub(super) fn heard(&mut self, now: Duration, id: &ClientId) -> bool {
        self.sweep(now);
        match self.clients.get_mut(id) {
            Some(client) if alive(now, client.heard) => {
                client.heard = now;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Forgets a client and gives back what was known of it.
    pub(super) fn remove(&mut self, id: &ClientId) -> Option<Client<X>> {
        let client = self.clients.remove(id)?;
        for consumer in client.registration.consumers() {
            unlink(&mut self.groups, &consumer.group, id);
        }
        for topic in client.registration.publishes() {
            unlink(&mut self.producers, topic, id);
        }
        Some(client)
    }

    /// The client, if it is alive.
    pub(super) fn get(&self, now: Duration, id: &ClientId) -> Option<&Client<X>> {
        self.clients.get(id).filter(|client| alive(now, client.heard))
    }

    /// The client, if it is alive, to change what the service keeps with it.
    pub(super) fn extra(&mut self, now: Duration, id: &ClientId) -> Option<&mut X> {
        let client = self.clients.get_mut(id)?;
        alive(now, client.heard).then_some(&mut client.extra)
    }

    /// All living clients, in no order.
    pub(super) fn all(&self, now: Duration) -> impl Iterator<Item = &Client<X>> {
        self.clients.values().filter(move |client| alive(now, client.heard))
    }

    /// The living clients that `is_meant`, by id.
    pub(super) fn sorted(
        &self,
        now: Duration,
        is_meant: impl Fn(&Registration) -> bool,
    ) -> Vec<(ClientId, std::sync::Arc<Registration>)> {
        let living = self.clients.iter().filter(|(_, client)| alive(now, client.heard));
        let meant = living.filter(|(_, client)| is_meant(&client.registration));
        let mut found: Vec<_> =
            meant.map(|(id, client)| (id.clone(), client.registration.clone())).collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// The living members of a group, by id.
    pub(super) fn consumers<'a>(
        &'a self,
        now: Duration,
        group: &GroupName,
    ) -> impl Iterator<Item = (&'a ClientId, &'a Client<X>)> + use<'a, X> {
        self.living(now, self.groups.get(group))
    }

    /// The living clients that said they send to a topic, by id.
    pub(super) fn producers<'a>(
        &'a self,
        now: Duration,
        topic: &TopicName,
    ) -> impl Iterator<Item = (&'a ClientId, &'a Client<X>)> + use<'a, X> {
        self.living(now, self.producers.get(topic))
    }

    /// The groups with a living member that subscribes to `topic`.
    pub(super) fn groups_of_topic(&self, now: Duration, topic: &TopicName) -> BTreeSet<GroupName> {
        let subscribed = |id: &ClientId, group: &GroupName| {
            self.get(now, id).is_some_and(|client| {
                client.registration.consumers().any(|consumer| {
                    consumer.group == *group
                        && consumer.subscriptions.iter().any(|s| s.topic == *topic)
                })
            })
        };
        let groups = self.groups.iter();
        groups
            .filter(|(group, members)| members.iter().any(|id| subscribed(id, group)))
            .map(|(group, _)| group.clone())
            .collect()
    }

    fn living<'a>(
        &'a self,
        now: Duration,
        ids: Option<&'a BTreeSet<ClientId>>,
    ) -> impl Iterator<Item = (&'a ClientId, &'a Client<X>)> + use<'a, X> {
        ids.into_iter().flatten().filter_map(move |id| Some((id, self.get(now, id)?)))
    }

    /// Forgets the dead, at most once per [`SWEEP_PERIOD`]: on the way of a request, so that no
    /// task is needed.
    fn sweep(&mut self, now: Duration) {
        if now < self.swept + SWEEP_PERIOD {
            return;
        }
        self.swept = now;
        let dead: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| !alive(now, client.heard))
            .map(|(id, _)| id.clone())
            .collect();
        for id in dead {
            self.remove(&id);
        }
    }
}

fn alive(now: Duration, heard: Duration) -> bool {
    now.saturating_sub(heard) <= LIVENESS
}

fn unlink<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, BTreeSet<ClientId>>,
    key: &K,
    id: &ClientId,
) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;

//! Classic clients: they say every 30 s what they produce and consume, and that they leave.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use crate::group::{ClientId, Consumer, Front, Kind, Registration, Role, Subscription};
use protocol::names::{GroupName, TopicName};
use protocol::remoting::Frame;
use protocol::remoting::body::{ConsumeType, ConsumerData, ExpressionType, HeartbeatData};
use std::collections::BTreeSet;
use std::time::Duration;

/// Clients that may speak through one connection; a process has a few, a proxy more.
const CLIENTS_PER_CONNECTION_MAX: usize = 256;
/// Groups that one client may belong to.
const GROUPS_PER_CLIENT_MAX: usize = 1024;
/// What classic clients wait for an answer (`ClientConfig.mqClientApiTimeout`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// HEART_BEAT (34): what the client is from now on. Consumer groups come to be where the operator
/// allows it; a group that does not exist is passed over, as Apache does. The reply does not offer
/// heartbeats without subscriptions (`IS_SUPPORT_HEART_BEAT_V2`), so that each one is complete.
pub(super) async fn heartbeat(session: &mut Session<'_>, request: &Frame) -> Answer {
    let data: HeartbeatData =
        serde_json::from_slice(&request.body).map_err(|error| Refusal::Body(error.to_string()))?;
    let id = client_id(&data.client_id)?;
    let memberships = data.producer_data_set.len() + data.consumer_data_set.len();
    if memberships > GROUPS_PER_CLIENT_MAX {
        return Err(Refusal::Parameter(format!(
            "a client belongs to at most {GROUPS_PER_CLIENT_MAX} groups, this one to {memberships}"
        )));
    }
    if session.clients.len() >= CLIENTS_PER_CONNECTION_MAX && !session.clients.contains(&id) {
        return Err(Refusal::Busy(format!(
            "a connection carries at most {CLIENTS_PER_CONNECTION_MAX} clients"
        )));
    }
    let registration = Registration {
        front: Front::Remoting,
        kind: kind(&data),
        roles: roles(session, &data).await?,
        address: session.peer,
        language: request.language.to_string(),
        version: request.version.to_string(),
        request_timeout: REQUEST_TIMEOUT,
    };
    let clients = &session.broker.clients;
    clients.put_settings(&id, registration).map_err(|full| Refusal::Busy(full.to_string()))?;
    session.clients.insert(id);
    Ok(Reply::done())
}

/// UNREGISTER_CLIENT (35): the client leaves a producer group, a consumer group, or both; with the
/// last one it is gone.
pub(super) fn unregister(session: &mut Session<'_>, header: Header<'_>) -> Answer {
    let id = client_id(header.text("clientID")?)?;
    let leaves = [header.optional("producerGroup"), header.optional("consumerGroup")];
    let known = session.broker.clients.get(&id);
    // A gRPC client leaves through its own door.
    let Some(current) = known.filter(|client| client.front == Front::Remoting) else {
        return Ok(Reply::done());
    };
    let mut registration = (*current).clone();
    registration.roles.retain(|role| match role {
        Role::Producer { group, .. } => group.as_ref().map(GroupName::as_str) != leaves[0],
        Role::Consumer(consumer) => Some(consumer.group.as_str()) != leaves[1],
    });
    if registration.roles.is_empty() {
        leave(session, &id);
        session.clients.remove(&id);
    } else if registration.roles.len() < current.roles.len() {
        let clients = &session.broker.clients;
        clients.put_settings(&id, registration).map_err(|full| Refusal::Busy(full.to_string()))?;
    }
    Ok(Reply::done())
}

/// The connection is gone, and with it the clients that spoke through it, but for those that have
/// since been heard of through another.
pub(super) fn disconnected(session: &Session<'_>) {
    for id in &session.clients {
        let spoke_here = |at: &Registration| at.address == session.peer;
        if session.broker.clients.get(id).is_some_and(|current| spoke_here(&current)) {
            leave(session, id);
        }
    }
}

fn leave(session: &Session<'_>, id: &ClientId) {
    session.broker.clients.terminate(id);
    session.broker.consume.client_gone(id);
}

fn client_id(text: &str) -> Result<ClientId, Refusal> {
    ClientId::parse(text).ok_or(Refusal::FieldMissing("clientID"))
}

/// A client may do several things; it is named by the one that holds messages.
fn kind(data: &HeartbeatData) -> Kind {
    let pushed = |consumer: &ConsumerData| consumer.consume_type != ConsumeType::Actively;
    match data.consumer_data_set.as_slice() {
        [] => Kind::Producer,
        consumers if consumers.iter().any(pushed) => Kind::PushConsumer,
        _ => Kind::PullConsumer,
    }
}

async fn roles(session: &Session<'_>, data: &HeartbeatData) -> Result<Vec<Role>, Refusal> {
    let mut roles = Vec::new();
    for producer in &data.producer_data_set {
        let group = Some(GroupName::parse(&producer.group_name)?);
        roles.push(Role::Producer { group, topics: BTreeSet::new() });
    }
    for consumer in &data.consumer_data_set {
        let group = GroupName::parse(&consumer.group_name)?;
        if exists(session, &group).await? {
            roles.push(Role::Consumer(membership(group, consumer)));
        }
    }
    Ok(roles)
}

/// Whether the group is there, after creating it where that is allowed.
async fn exists(session: &Session<'_>, group: &GroupName) -> Result<bool, Refusal> {
    let broker = session.broker;
    if broker.catalog.group(group.as_str()).is_some() {
        return Ok(true);
    }
    if !broker.settings.auto_create_groups || group.is_system() {
        return Ok(false);
    }
    let made = broker.catalog.ensure_group(group).await?;
    broker.owned.open_group(&made);
    tracing::info!(%group, peer = %session.peer, "group created by a heartbeat");
    Ok(true)
}

/// Subscriptions to what cannot be a topic are passed over: nothing could ever come of them.
fn membership(group: GroupName, consumer: &ConsumerData) -> Consumer {
    let subscriptions = consumer.subscription_data_set.iter().filter_map(|subscription| {
        Some(Subscription {
            topic: TopicName::parse_stored(&subscription.topic).ok()?,
            expression: subscription.sub_string.clone(),
            sql: subscription.expression_type == ExpressionType::Sql92,
        })
    });
    Consumer { group, subscriptions: subscriptions.collect() }
}

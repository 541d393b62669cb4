//! Each RPC as its checks, in their order, and the one feature that it asks.

use super::assignment::assignments;
use super::call;
use super::convert;
use super::receive;
use super::receive_stream::ReceiveStream;
use super::refused::{Refused, ok};
use super::{ack, heartbeat, route, send, settings};
use crate::broker::Broker;
use crate::consume::filter::Filter;
use crate::consume::{Delivery, Invisible, Receive};
use crate::group::ClientId;
use crate::observe::spans;
use crate::produce;
use crate::settings::HostPort;
use metadata::model::{Group, Topic, parse_broker_name};
use protocol::grpc::v2::{
    AckMessageRequest, AckMessageResponse, ChangeInvisibleDurationRequest, Endpoints,
    ForwardMessageToDeadLetterQueueRequest, HeartbeatRequest, NotifyClientTerminationRequest,
    QueryAssignmentRequest, QueryAssignmentResponse, QueryRouteRequest, QueryRouteResponse,
    ReceiveMessageRequest, Resource, SendMessageRequest, SendMessageResponse,
};
use protocol::names::{GroupName, TopicName};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tonic::Request;

/// The messaging service.
pub(super) struct Front {
    pub(super) broker: Arc<Broker>,
    /// The address that stored messages name as their store.
    store_host: SocketAddr,
}

impl Front {
    pub(super) fn new(broker: Arc<Broker>) -> Front {
        let advertised = broker.settings.advertise.remoting.as_ref();
        let store_host = store_host(advertised, broker.addresses.broker);
        Front { broker, store_host }
    }

    fn cluster(&self) -> &str {
        &self.broker.settings.cluster
    }

    fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, Refused> {
        self.broker.catalog.resolve(name).ok_or_else(|| Refused::TopicNotFound(name.clone()))
    }

    /// The group, made where it may be.
    async fn group(&self, name: &GroupName) -> Result<Arc<Group>, Refused> {
        match self.broker.catalog.group(name.as_str()) {
            Some(group) => Ok(group),
            None if self.broker.settings.auto_create_groups => {
                Ok(self.broker.catalog.ensure_group(name).await?)
            }
            None => Err(Refused::GroupNotFound(name.clone())),
        }
    }

    fn endpoints<T>(&self, request: &Request<T>, asked: Option<&Endpoints>) -> Endpoints {
        let advertise = self.broker.settings.advertise.grpc.as_ref();
        let listening = self.broker.addresses.grpc.port();
        route::endpoints(advertise, listening, asked, call::connection(request).local)
    }

    pub(super) fn route(
        &self,
        request: &Request<QueryRouteRequest>,
    ) -> Result<QueryRouteResponse, Refused> {
        call::client(request)?;
        let asked = request.get_ref();
        let name = convert::topic(asked.topic.as_ref(), self.cluster())?;
        let topic = self.topic(&name)?;
        let endpoints = self.endpoints(request, asked.endpoints.as_ref());
        let resource = asked.topic.clone().unwrap_or_default();
        let message_queues = route::queues(&topic, &resource, &endpoints);
        Ok(QueryRouteResponse { status: Some(ok()), message_queues })
    }

    pub(super) fn assignment(
        &self,
        request: &Request<QueryAssignmentRequest>,
    ) -> Result<QueryAssignmentResponse, Refused> {
        call::client(request)?;
        let asked = request.get_ref();
        let name = convert::topic(asked.topic.as_ref(), self.cluster())?;
        let group = convert::group(asked.group.as_ref())?;
        let topic = self.topic(&name)?;
        let group = self.broker.catalog.group(group.as_str());
        let endpoints = self.endpoints(request, asked.endpoints.as_ref());
        let resource = asked.topic.clone().unwrap_or_default();
        let assignments = assignments(&topic, group.as_deref(), &resource, &endpoints)?;
        Ok(QueryAssignmentResponse { status: Some(ok()), assignments })
    }

    pub(super) async fn send(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<SendMessageResponse, Refused> {
        call::client(&request)?;
        let peer = call::connection(&request).peer;
        let messages = request.into_inner().messages;
        let name = send::topic(&messages, self.cluster())?;
        spans::about(name.as_str(), None);
        let ids = send::ids(&messages);
        let now = self.broker.env.now();
        let origin = produce::Origin { topic: &name, peer, store_host: self.store_host, now };
        let outgoing = send::outgoing(messages, &origin)?;
        let topic = self.topic(&name)?;
        let sent = self.broker.produce.send(&topic, outgoing).await?;
        Ok(send::answer(ids, &sent))
    }

    pub(super) async fn receive(
        &self,
        request: &Request<ReceiveMessageRequest>,
    ) -> Result<ReceiveStream, Refused> {
        let client = call::client(request)?;
        let (receive, namespace) = self.receive_request(request, client).await?;
        let consume = &self.broker.consume;
        let deliveries: Vec<Delivery> = tokio::select! {
            // A stopping gateway sends its parked polls home empty; dropping the future loses
            // nothing.
            biased;
            found = consume.receive(&receive) => found?,
            () = self.broker.stop.cancelled() => Vec::new(),
        };
        Ok(ReceiveStream::found(self.broker.env.clone(), deliveries, namespace, consume.clone()))
    }

    /// The checks of a receive, in Apache's order (spec B.9), and the client's namespace.
    async fn receive_request(
        &self,
        request: &Request<ReceiveMessageRequest>,
        client: ClientId,
    ) -> Result<(Receive, String), Refused> {
        let asked = request.get_ref();
        let known = self.broker.clients.get(&client);
        let timeout = known.map_or(settings::REQUEST_TIMEOUT, |known| known.request_timeout);
        let poll = asked.long_polling_timeout.as_ref().and_then(convert::duration);
        let wait = receive::wait(poll, call::deadline(request), timeout, call::is_old(request))?;
        let queue = asked.message_queue.as_ref();
        let resource = queue.and_then(|queue| queue.topic.as_ref());
        let name = convert::topic(resource, self.cluster())?;
        let group = convert::group(asked.group.as_ref())?;
        let invisible = match receive::invisible(asked)? {
            Some(fixed) => Invisible::Fixed(fixed),
            None => Invisible::AutoRenew(client),
        };
        let (language, expression) = settings::expression(asked.filter_expression.as_ref());
        let filter = Filter::parse(language, expression)?;
        spans::about(name.as_str(), Some(group.as_str()));
        let topic = self.topic(&name)?;
        let group = self.group(&group).await?;
        if !topic.permission.read {
            return Err(Refused::NoReadableQueue);
        }
        if !group.consume_enabled {
            return Err(Refused::ConsumeDisabled(group.name.clone()));
        }
        let broker = queue.and_then(|queue| queue.broker.as_ref());
        let prefer = broker.and_then(|broker| parse_broker_name(&broker.name));
        let max = receive::batch(asked.batch_size);
        let namespace = resource.map(|resource| resource.resource_namespace.clone());
        let receive = Receive { topic, group, prefer, filter, max, invisible, wait };
        Ok((receive, namespace.unwrap_or_default()))
    }

    /// The topic and the group that a receipt handle is said to be of.
    fn receipt(
        &self,
        topic: Option<&Resource>,
        group: Option<&Resource>,
    ) -> Result<(Arc<Topic>, Arc<Group>), Refused> {
        let (name, group) = (convert::topic(topic, self.cluster())?, convert::group(group)?);
        spans::about(name.as_str(), Some(group.as_str()));
        let topic = self.topic(&name)?;
        let known = self.broker.catalog.group(group.as_str());
        Ok((topic, known.ok_or(Refused::GroupNotFound(group))?))
    }

    pub(super) async fn ack(
        &self,
        request: Request<AckMessageRequest>,
    ) -> Result<AckMessageResponse, Refused> {
        call::client(&request)?;
        let asked = request.into_inner();
        let (topic, group) = self.receipt(asked.topic.as_ref(), asked.group.as_ref())?;
        if asked.entries.is_empty() {
            return Err(Refused::NoEntries);
        }
        let handles: Vec<&str> =
            asked.entries.iter().map(|entry| entry.receipt_handle.as_str()).collect();
        let outcomes = self.broker.consume.ack_many(&group, &topic, &handles).await;
        Ok(ack::acked(asked.entries, outcomes))
    }

    pub(super) async fn change(
        &self,
        request: Request<ChangeInvisibleDurationRequest>,
    ) -> Result<String, Refused> {
        call::client(&request)?;
        let asked = request.into_inner();
        let (topic, group) = self.receipt(asked.topic.as_ref(), asked.group.as_ref())?;
        let invisible = ack::changed(asked.invisible_duration.as_ref())?;
        let suspend = asked.suspend.unwrap_or_default();
        let changed =
            self.broker.consume.change(&group, &topic, &asked.receipt_handle, invisible, suspend);
        Ok(changed.await?)
    }

    pub(super) async fn dead_letter(
        &self,
        request: Request<ForwardMessageToDeadLetterQueueRequest>,
    ) -> Result<(), Refused> {
        call::client(&request)?;
        let asked = request.into_inner();
        let (topic, group) = self.receipt(asked.topic.as_ref(), asked.group.as_ref())?;
        Ok(self.broker.consume.dead_letter(&group, &topic, &asked.receipt_handle).await?)
    }

    pub(super) fn heartbeat(&self, request: &Request<HeartbeatRequest>) -> Result<(), Refused> {
        let client = call::client(request)?;
        heartbeat::heartbeat(&self.broker.clients, &client, request.get_ref().group.as_ref())
    }

    pub(super) fn goodbye(
        &self,
        request: &Request<NotifyClientTerminationRequest>,
    ) -> Result<(), Refused> {
        let client = call::client(request)?;
        heartbeat::goodbye(&self.broker.clients, &client, request.get_ref().group.as_ref())?;
        self.broker.consume.client_gone(&client);
        Ok(())
    }
}

/// The broker port's address, as far as it can be told: stored messages carry it, and clients make
/// message ids of it. A name has no place in those, so an advertised name gives way to the address
/// that is listened on.
fn store_host(advertised: Option<&HostPort>, listening: SocketAddr) -> SocketAddr {
    let ip = advertised.and_then(|named| named.host.parse().ok()).unwrap_or(listening.ip());
    let port = advertised.and_then(|named| named.port).unwrap_or(listening.port());
    let reachable = if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip };
    SocketAddr::new(reachable, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_messages_name_an_address_that_a_client_could_reach() {
        for (advertised, listening, expected) in [
            (None, "127.0.0.1:10911", "127.0.0.1:10911"),
            (None, "192.0.2.1:10911", "192.0.2.1:10911"),
            (None, "0.0.0.0:10911", "127.0.0.1:10911"),
            (None, "[::]:10911", "127.0.0.1:10911"),
            (Some("198.51.100.1"), "0.0.0.0:10911", "198.51.100.1:10911"),
            (Some("198.51.100.1:80"), "192.0.2.1:10911", "198.51.100.1:80"),
            (Some("mq.example.org"), "192.0.2.1:10911", "192.0.2.1:10911"),
        ] {
            let advertised = advertised.map(|text| text.parse::<HostPort>().unwrap());
            let found = store_host(advertised.as_ref(), listening.parse().unwrap());
            assert_eq!(found, expected.parse().unwrap(), "{advertised:?} {listening}");
        }
    }
}

//! Where a topic lives, and which of its queues the next request goes to. Pure.

use crate::config::Endpoint;
use protocol::grpc::v2 as pb;
use protocol::stored::ordered_queue;
use std::num::NonZeroUsize;

/// The `broker.id` of the replica that takes requests.
const MASTER: i32 = 0;

/// A queue as a request names it.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) wire: pb::MessageQueue,
    pub(crate) endpoint: Endpoint,
}

/// A topic's queues, in the server's order.
#[derive(Debug, Default)]
pub(crate) struct Route {
    writable: Vec<Queue>,
    /// One queue for each readable broker: a receive takes from every queue of the broker that it
    /// names.
    readable: Vec<Queue>,
}

impl Route {
    /// Reads an answer to QueryRoute. A broker without an address answers where the route came
    /// from.
    pub(crate) fn from_wire(queues: Vec<pb::MessageQueue>, access_point: &Endpoint) -> Route {
        let mut route = Route::default();
        for wire in queues {
            let Some(broker) = wire.broker.as_ref().filter(|broker| broker.id == MASTER) else {
                continue;
            };
            let endpoint = endpoint_of(broker).unwrap_or_else(|| access_point.clone());
            let (reads, writes) = match pb::Permission::try_from(wire.permission) {
                Ok(pb::Permission::Read) => (true, false),
                Ok(pb::Permission::Write) => (false, true),
                Ok(pb::Permission::ReadWrite) => (true, true),
                Ok(pb::Permission::None | pb::Permission::Unspecified) | Err(_) => continue,
            };
            let queue = Queue { wire, endpoint };
            if reads && !route.readable.iter().any(|other| same_broker(other, &queue)) {
                route.readable.push(queue.clone());
            }
            if writes {
                route.writable.push(queue);
            }
        }
        route
    }

    /// The queue for the `n`th message; `None` if nothing can be written.
    pub(crate) fn writable(&self, n: usize) -> Option<&Queue> {
        self.writable.get(n.checked_rem(self.writable.len())?)
    }

    /// The queue of a message group: the one that the server and the official Java and Go clients
    /// choose (spec B.6).
    pub(crate) fn for_group(&self, message_group: &str) -> Option<&Queue> {
        let count = NonZeroUsize::new(self.writable.len())?;
        self.writable.get(ordered_queue(message_group, count))
    }

    /// The queue for the `n`th receive; `None` if nothing can be read.
    pub(crate) fn readable(&self, n: usize) -> Option<&Queue> {
        self.readable.get(n.checked_rem(self.readable.len())?)
    }

    /// Everyone whom the route names; may repeat.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.writable.iter().chain(&self.readable).map(|queue| &queue.endpoint)
    }
}

fn same_broker(a: &Queue, b: &Queue) -> bool {
    let name = |queue: &Queue| queue.wire.broker.as_ref().map(|broker| broker.name.clone());
    name(a) == name(b)
}

/// The first address: a broker with several is reachable at each of them.
fn endpoint_of(broker: &pb::Broker) -> Option<Endpoint> {
    let address = broker.endpoints.as_ref()?.addresses.first()?;
    let port = u16::try_from(address.port).ok().filter(|port| *port > 0)?;
    Some(Endpoint { host: address.host.clone(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(broker: &str, id: i32, permission: pb::Permission, port: i32) -> pb::MessageQueue {
        let addresses = vec![pb::Address { host: "h".into(), port }];
        let endpoints = Some(pb::Endpoints { scheme: 1, addresses });
        pb::MessageQueue {
            id,
            permission: permission as i32,
            broker: Some(pb::Broker { name: broker.into(), id: 0, endpoints }),
            ..pb::MessageQueue::default()
        }
    }

    fn access_point() -> Endpoint {
        "access:1".parse().unwrap()
    }

    #[test]
    fn writes_go_round_every_queue_and_reads_round_every_broker() {
        let queues = vec![
            queue("a", 0, pb::Permission::ReadWrite, 1),
            queue("a", 1, pb::Permission::ReadWrite, 1),
            queue("b", 0, pb::Permission::Read, 2),
            queue("c", 0, pb::Permission::None, 3),
        ];
        let route = Route::from_wire(queues, &access_point());
        let writes: Vec<i32> = (0..3).map(|n| route.writable(n).unwrap().wire.id).collect();
        assert_eq!(writes, [0, 1, 0]);
        let reads: Vec<u16> = (0..3).map(|n| route.readable(n).unwrap().endpoint.port).collect();
        assert_eq!(reads, [1, 2, 1]);
    }

    #[test]
    fn a_replica_is_not_asked_and_an_empty_route_has_no_queue() {
        let mut replica = queue("a", 0, pb::Permission::ReadWrite, 1);
        replica.broker.as_mut().unwrap().id = 1;
        let route = Route::from_wire(vec![replica], &access_point());
        assert!(route.writable(5).is_none());
        assert!(route.readable(5).is_none());
        assert!(route.for_group("g").is_none());
    }

    #[test]
    fn a_broker_without_address_is_reached_at_the_access_point() {
        let mut nameless = queue("a", 0, pb::Permission::ReadWrite, 1);
        nameless.broker.as_mut().unwrap().endpoints = None;
        let route = Route::from_wire(vec![nameless], &access_point());
        assert_eq!(route.writable(0).unwrap().endpoint, access_point());
    }

    #[test]
    fn a_message_group_keeps_its_queue() {
        let queues = (0..8).map(|id| queue("a", id, pb::Permission::ReadWrite, 1)).collect();
        let route = Route::from_wire(queues, &access_point());
        let first = route.for_group("order-17").unwrap().wire.id;
        assert_eq!(route.for_group("order-17").unwrap().wire.id, first);
        let distinct: std::collections::HashSet<i32> =
            (0..100).map(|n| route.for_group(&format!("g{n}")).unwrap().wire.id).collect();
        assert_eq!(distinct.len(), 8);
    }
}

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

impl Queue {
    /// A broker without an address answers where the queue was heard of.
    pub(crate) fn from_wire(wire: pb::MessageQueue, heard_of_at: &Endpoint) -> Queue {
        let endpoint = wire.broker.as_ref().and_then(endpoint_of);
        Queue { wire, endpoint: endpoint.unwrap_or_else(|| heard_of_at.clone()) }
    }

    /// The name of the broker that it is on; may be empty.
    pub(crate) fn broker_name(&self) -> &str {
        self.wire.broker.as_ref().map_or("", |broker| broker.name.as_str())
    }
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
    /// Reads an answer to QueryRoute.
    pub(crate) fn from_wire(queues: Vec<pb::MessageQueue>, access_point: &Endpoint) -> Route {
        let mut route = Route::default();
        for wire in queues {
            if wire.broker.as_ref().is_none_or(|broker| broker.id != MASTER) {
                continue;
            }
            let (reads, writes) = match pb::Permission::try_from(wire.permission) {
                Ok(pb::Permission::Read) => (true, false),
                Ok(pb::Permission::Write) => (false, true),
                Ok(pb::Permission::ReadWrite) => (true, true),
                Ok(pb::Permission::None | pb::Permission::Unspecified) | Err(_) => continue,
            };
            let queue = Queue::from_wire(wire, access_point);
            if reads
                && !route.readable.iter().any(|other| other.broker_name() == queue.broker_name())
            {
                route.readable.push(queue.clone());
            }
            if writes {
                route.writable.push(queue);
            }
        }
        route
    }

    /// The queue for the `n`th message: the next from there whose endpoint is trusted, or the `n`th
    /// if none is. `None` if nothing can be written.
    pub(crate) fn writable(&self, n: usize, trusted: impl Fn(&Endpoint) -> bool) -> Option<&Queue> {
        pick(&self.writable, n, trusted)
    }

    /// The queue of a message group: the one that the server and the official Java and Go clients
    /// choose (spec B.6).
    pub(crate) fn for_group(&self, message_group: &str) -> Option<&Queue> {
        let count = NonZeroUsize::new(self.writable.len())?;
        self.writable.get(ordered_queue(message_group, count))
    }

    /// The queue for the `n`th receive, chosen as [`Route::writable`] does; `None` if nothing can
    /// be read.
    pub(crate) fn readable(&self, n: usize, trusted: impl Fn(&Endpoint) -> bool) -> Option<&Queue> {
        pick(&self.readable, n, trusted)
    }

    /// Everyone whom the route names; may repeat.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.writable.iter().chain(&self.readable).map(|queue| &queue.endpoint)
    }
}

fn pick(queues: &[Queue], n: usize, trusted: impl Fn(&Endpoint) -> bool) -> Option<&Queue> {
    let start = n.checked_rem(queues.len())?;
    let mut in_turn = queues[start..].iter().chain(&queues[..start]);
    in_turn.find(|queue| trusted(&queue.endpoint)).or(queues.get(start))
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
        let writes: Vec<i32> =
            (0..3).map(|n| route.writable(n, |_| true).unwrap().wire.id).collect();
        assert_eq!(writes, [0, 1, 0]);
        let reads: Vec<u16> =
            (0..3).map(|n| route.readable(n, |_| true).unwrap().endpoint.port).collect();
        assert_eq!(reads, [1, 2, 1]);
    }

    #[test]
    fn an_endpoint_that_is_not_trusted_is_passed_over_while_there_is_another() {
        let queues = (1..=3).map(|n| queue("a", n, pb::Permission::ReadWrite, n)).collect();
        let route = Route::from_wire(queues, &access_point());
        let ids = |trusted: &dyn Fn(&Endpoint) -> bool| -> Vec<i32> {
            (0..4).map(|n| route.writable(n, trusted).unwrap().wire.id).collect()
        };
        assert_eq!(ids(&|endpoint| endpoint.port != 2), [1, 3, 3, 1]);
        assert_eq!(ids(&|_| false), [1, 2, 3, 1]);
    }

    #[test]
    fn a_replica_is_not_asked_and_an_empty_route_has_no_queue() {
        let mut replica = queue("a", 0, pb::Permission::ReadWrite, 1);
        replica.broker.as_mut().unwrap().id = 1;
        let route = Route::from_wire(vec![replica], &access_point());
        assert!(route.writable(5, |_| true).is_none());
        assert!(route.readable(5, |_| true).is_none());
        assert!(route.for_group("g").is_none());
    }

    #[test]
    fn a_broker_without_address_is_reached_at_the_access_point() {
        let mut nameless = queue("a", 0, pb::Permission::ReadWrite, 1);
        nameless.broker.as_mut().unwrap().endpoints = None;
        let route = Route::from_wire(vec![nameless], &access_point());
        assert_eq!(route.writable(0, |_| true).unwrap().endpoint, access_point());
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

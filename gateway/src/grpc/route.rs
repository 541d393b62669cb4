//! QueryRoute: a topic's queues, and where they are (spec B.6, DESIGN §2).

use super::convert::reachable;
use crate::settings::HostPort;
use metadata::model::{Permission, Topic, TopicKind, broker_name};
use protocol::grpc::v2::{
    Address, AddressScheme, Broker, Endpoints, MessageQueue, MessageType,
    Permission as WirePermission, Resource,
};
use std::net::{IpAddr, SocketAddr};

/// Where clients reach the gateway: what the operator advertises; else what the client asked for,
/// unchanged, so that NAT and port maps work; else the address that it reached, as it is our end of
/// its connection. Never an unspecified address.
pub(super) fn endpoints(
    advertise: Option<&HostPort>,
    listening: u16,
    asked: Option<&Endpoints>,
    reached: SocketAddr,
) -> Endpoints {
    match (advertise, asked) {
        (Some(advertised), _) => one(advertised.host.clone(), advertised.port.unwrap_or(listening)),
        (None, Some(asked)) if reachable(asked) => asked.clone(),
        (None, Some(_) | None) => one(reached.ip().to_canonical().to_string(), reached.port()),
    }
}

fn one(host: String, port: u16) -> Endpoints {
    let scheme = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => AddressScheme::IPv4,
        Ok(IpAddr::V6(_)) => AddressScheme::IPv6,
        Err(_) => AddressScheme::DomainName,
    };
    Endpoints { scheme: scheme.into(), addresses: vec![Address { host, port: port.into() }] }
}

/// One entry for each queue, sorted by placement group and id. `asked` is the topic in the client's
/// words.
pub(super) fn queues(topic: &Topic, asked: &Resource, endpoints: &Endpoints) -> Vec<MessageQueue> {
    let types = accepted(topic.kind);
    let permission = permission(topic.permission);
    let queues = topic.queues().iter();
    queues
        .map(|queue| MessageQueue {
            topic: Some(asked.clone()),
            id: queue.id.cast_signed(),
            permission: permission.into(),
            broker: Some(broker(broker_name(queue.pg), endpoints)),
            accept_message_types: types.iter().map(|&kind| kind.into()).collect(),
        })
        .collect()
}

/// A placement group as clients see it. Id 0 is a master, the only kind that clients use.
pub(super) fn broker(name: String, endpoints: &Endpoints) -> Broker {
    Broker { name, id: 0, endpoints: Some(endpoints.clone()) }
}

/// A permission on the wire.
pub(super) fn permission(permission: Permission) -> WirePermission {
    match (permission.read, permission.write) {
        (true, true) => WirePermission::ReadWrite,
        (true, false) => WirePermission::Read,
        (false, true) => WirePermission::Write,
        (false, false) => WirePermission::None,
    }
}

/// The types that a topic takes, as Apache lists them: MIXED without LITE and PRIORITY (spec B.6,
/// trap 12).
fn accepted(kind: TopicKind) -> &'static [MessageType] {
    match kind {
        TopicKind::Normal => &[MessageType::Normal],
        TopicKind::Fifo => &[MessageType::Fifo],
        TopicKind::Delay => &[MessageType::Delay],
        TopicKind::Transaction => &[MessageType::Transaction],
        TopicKind::Lite => &[MessageType::Lite],
        TopicKind::Priority => &[MessageType::Priority],
        TopicKind::Mixed => {
            &[MessageType::Normal, MessageType::Fifo, MessageType::Delay, MessageType::Transaction]
        }
        TopicKind::Unspecified => &[MessageType::Unspecified],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(scheme: AddressScheme, addresses: &[(&str, i32)]) -> Endpoints {
        let address = |&(host, port): &(&str, i32)| Address { host: host.to_owned(), port };
        Endpoints { scheme: scheme.into(), addresses: addresses.iter().map(address).collect() }
    }

    fn reached() -> SocketAddr {
        "192.0.2.7:8081".parse().unwrap()
    }

    #[test]
    fn routes_point_at_what_the_client_asked_for_unchanged() {
        for endpoints_asked in [
            asked(AddressScheme::DomainName, &[("mq.example.org", 30_081)]),
            asked(AddressScheme::IPv4, &[("198.51.100.1", 8081), ("198.51.100.2", 8082)]),
            asked(AddressScheme::Unspecified, &[("localhost", 1)]),
        ] {
            assert_eq!(endpoints(None, 8081, Some(&endpoints_asked), reached()), endpoints_asked);
        }
    }

    #[test]
    fn routes_point_at_the_address_reached_when_the_client_asked_for_none_that_can_be_used() {
        let reached_endpoints = asked(AddressScheme::IPv4, &[("192.0.2.7", 8081)]);
        for unusable in [
            None,
            Some(asked(AddressScheme::IPv4, &[])),
            Some(asked(AddressScheme::IPv4, &[("0.0.0.0", 8081)])),
            Some(asked(AddressScheme::IPv6, &[("::", 8081)])),
            Some(asked(AddressScheme::DomainName, &[("", 8081)])),
            Some(asked(AddressScheme::DomainName, &[("mq.example.org", 0)])),
            Some(asked(AddressScheme::DomainName, &[("mq.example.org", 65_536)])),
        ] {
            assert_eq!(
                endpoints(None, 8081, unusable.as_ref(), reached()),
                reached_endpoints,
                "{unusable:?}"
            );
        }
        let mapped = "[::ffff:192.0.2.7]:8081".parse().unwrap();
        assert_eq!(endpoints(None, 8081, None, mapped), reached_endpoints, "IPv4 in IPv6 is IPv4");
    }

    #[test]
    fn routes_point_at_what_the_operator_advertises_with_the_listening_port_by_default() {
        let client = asked(AddressScheme::IPv4, &[("198.51.100.1", 1)]);
        for (advertise, host, port, scheme) in [
            ("mq.example.org", "mq.example.org", 8081, AddressScheme::DomainName),
            ("mq.example.org:443", "mq.example.org", 443, AddressScheme::DomainName),
            ("203.0.113.9:443", "203.0.113.9", 443, AddressScheme::IPv4),
            ("[2001:db8::1]:443", "2001:db8::1", 443, AddressScheme::IPv6),
        ] {
            let advertise = advertise.parse().unwrap();
            let found = endpoints(Some(&advertise), 8081, Some(&client), reached());
            assert_eq!(found, asked(scheme, &[(host, port)]));
        }
    }

    #[test]
    fn each_kind_of_topic_lists_the_types_that_apache_lists() {
        use MessageType::{Delay, Fifo, Lite, Normal, Priority, Transaction, Unspecified};
        for (kind, types) in [
            (TopicKind::Normal, vec![Normal]),
            (TopicKind::Fifo, vec![Fifo]),
            (TopicKind::Delay, vec![Delay]),
            (TopicKind::Transaction, vec![Transaction]),
            (TopicKind::Lite, vec![Lite]),
            (TopicKind::Priority, vec![Priority]),
            (TopicKind::Mixed, vec![Normal, Fifo, Delay, Transaction]),
            (TopicKind::Unspecified, vec![Unspecified]),
        ] {
            assert_eq!(accepted(kind), types, "{kind:?}");
        }
    }

    #[test]
    fn permissions_are_those_of_the_topic() {
        let wire = |read, write| permission(Permission { read, write });
        assert_eq!(wire(true, true), WirePermission::ReadWrite);
        assert_eq!(wire(true, false), WirePermission::Read);
        assert_eq!(wire(false, true), WirePermission::Write);
        assert_eq!(wire(false, false), WirePermission::None);
    }
}

//! Who is connected. A client's version and id are its own words, and are left out.

use crate::Broker;
use crate::group::{Front, Kind, Role};
use crate::observe::Exposition;
use crate::observe::names::{self, Protocol, consume_mode, yes_or_no};
use protocol::names::GroupName;
use std::collections::BTreeMap;

pub(super) fn write(to: &mut Exposition, broker: &Broker) {
    let mut consumers: BTreeMap<(GroupName, &str, &str), u64> = BTreeMap::new();
    let mut producers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for client in broker.clients.all() {
        let language = names::language(&client.language);
        for role in &client.roles {
            match role {
                Role::Consumer(consumer) => {
                    let key = (consumer.group.clone(), language, mode(client.kind));
                    *consumers.entry(key).or_default() += 1;
                }
                Role::Producer { .. } => {
                    let front = front(client.front).as_str();
                    *producers.entry((language, front)).or_default() += 1;
                }
            }
        }
    }
    let mut family = to.family(&names::CONSUMER_CONNECTIONS);
    for ((group, language, mode), count) in &consumers {
        family.value(&[group.as_str(), language, mode, yes_or_no(group.is_system())], count);
    }
    let mut family = to.family(&names::PRODUCER_CONNECTIONS);
    for ((language, front), count) in &producers {
        family.value(&[language, front], count);
    }
}

fn mode(kind: Kind) -> &'static str {
    match kind {
        Kind::PushConsumer | Kind::LitePushConsumer => consume_mode::PUSH,
        Kind::SimpleConsumer | Kind::LiteSimpleConsumer => consume_mode::POP,
        Kind::PullConsumer => consume_mode::PULL,
        Kind::Producer | Kind::Unknown => names::OTHER,
    }
}

fn front(front: Front) -> Protocol {
    match front {
        Front::Grpc => Protocol::Grpc,
        Front::Remoting => Protocol::Remoting,
    }
}

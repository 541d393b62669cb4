//! The route of a topic.

use crate::Catalog;
use crate::model::{Permission, Topic, broker_name};
use protocol::names::TopicName;
use std::sync::Arc;
use storage::format::PgId;

/// A topic, and the brokers it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The topic.
    pub topic: Arc<Topic>,
    /// Its brokers, in ascending order of placement groups; not empty. The same on every gateway.
    pub brokers: Vec<BrokerRoute>,
}

/// A topic's part on one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRoute {
    /// The placement group.
    pub pg: PgId,
    /// Its name, as clients know it.
    pub name: String,
    /// The ids of the topic's queues there: 0, 1, ...
    pub queues: Vec<u32>,
    /// What clients may do with them.
    pub permission: Permission,
}

/// The route of a topic that was made, or that a group implies: `%DLQ%` and `%RETRY%` have queue 0 on every broker
/// (DESIGN §2).
pub fn route(catalog: &Catalog, name: &TopicName) -> Option<Route> {
    let topic = catalog.resolve(name)?;
    let brokers = brokers(&topic);
    Some(Route { topic, brokers })
}

fn brokers(topic: &Topic) -> Vec<BrokerRoute> {
    topic
        .queues()
        .chunk_by(|a, b| a.pg == b.pg)
        .filter_map(|queues| {
            let pg = queues.first()?.pg;
            Some(BrokerRoute {
                pg,
                name: broker_name(pg),
                queues: queues.iter().map(|queue| queue.id).collect(),
                permission: topic.permission,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cluster, TopicSpec};
    use storage::env::Timestamp;

    #[test]
    fn a_route_lists_brokers_in_order_with_their_queues() {
        let cluster = Cluster { name: "C".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
        let mut spec = TopicSpec::new(TopicName::parse("orders").unwrap());
        spec.queues = 6;
        spec.permission = Permission { read: true, write: false };
        let topic = Topic::create(spec, &cluster, 1 << 16, Timestamp(0));
        let brokers = brokers(&topic);
        let names: Vec<&str> = brokers.iter().map(|broker| &*broker.name).collect();
        assert_eq!(names, ["strata-0000", "strata-0001", "strata-0002", "strata-0003"]);
        let first = topic.spread[0].pg;
        for broker in &brokers {
            let ahead = (broker.pg.get() + 4 - first.get()) % 4;
            assert_eq!(broker.queues, if ahead < 2 { vec![0, 1] } else { vec![0] });
            assert_eq!(broker.permission, topic.permission);
        }
    }
}

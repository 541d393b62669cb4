//! A topic as a Remoting client sees it: so many queues on each broker, and a permission.

use super::system;
use crate::broker::Broker;
use metadata::model::{Topic, broker_name};
use metadata::nameserver;
use protocol::names::TopicName;
use std::sync::Arc;
use storage::format::PgId;

/// What routes, configs and stats say of a topic, whether created, implied by a group, or the
/// system's.
pub(super) struct View {
    pub(super) name: String,
    /// Sorted by broker; not empty.
    pub(super) brokers: Vec<BrokerView>,
    /// `PermName`: 4 read, 2 write, 1 inherit.
    pub(super) permission_bits: u32,
    /// `None` for system topics: there are no queues behind them.
    pub(super) topic: Option<Arc<Topic>>,
}

/// A topic's queues on one broker: ids from 0.
pub(super) struct BrokerView {
    pub(super) pg: PgId,
    pub(super) name: String,
    pub(super) queues: u32,
}

impl View {
    /// The topic of this name, if there is one.
    pub(super) fn find(broker: &Broker, name: &str) -> Option<View> {
        View::of_system(broker, name).or_else(|| View::of_topic(broker, name))
    }

    fn of_system(broker: &Broker, name: &str) -> Option<View> {
        let cluster = broker.catalog.cluster();
        let system = system::find(name, &cluster)?;
        let has = |pg: &PgId| system.only.is_none_or(|only| only == *pg);
        let brokers = cluster.pgs().filter(has).map(|pg| BrokerView {
            pg,
            name: broker_name(pg),
            queues: system.queues_per_broker,
        });
        Some(View {
            name: name.to_owned(),
            brokers: brokers.collect(),
            permission_bits: system.permission_bits,
            topic: None,
        })
    }

    fn of_topic(broker: &Broker, name: &str) -> Option<View> {
        let name = TopicName::parse_stored(name).ok()?;
        let route = nameserver::route(&broker.catalog, &name)?;
        let brokers = route.brokers.into_iter().map(|at| BrokerView {
            pg: at.pg,
            name: at.name,
            queues: u32::try_from(at.queues.len()).unwrap_or(u32::MAX),
        });
        let topic = route.topic;
        Some(View {
            name: name.as_str().to_owned(),
            brokers: brokers.collect(),
            permission_bits: topic.permission.bits(),
            topic: Some(topic),
        })
    }

    /// Queues on all brokers together.
    pub(super) fn queues(&self) -> u32 {
        self.brokers.iter().map(|broker| broker.queues).sum()
    }
}

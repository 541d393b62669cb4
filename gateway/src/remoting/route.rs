//! What the name server tells: where a topic is, and who is in the cluster.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use super::view::View;
use metadata::model::broker_name;
use protocol::remoting::body::{BrokerData, ClusterInfo, QueueData, TopicRouteData};
use std::collections::BTreeMap;

/// The broker id of a master, and here of every broker.
const MASTER: &str = "0";

/// GET_ROUTEINFO_BY_TOPIC (105).
pub(super) fn of_topic(session: &Session<'_>, header: Header<'_>) -> Answer {
    let name = header.text("topic")?;
    let view = View::find(session.broker, name).ok_or_else(|| Refusal::NoRoute(name.to_owned()))?;
    let queues = view.brokers.iter().map(|broker| QueueData {
        broker_name: broker.name.clone(),
        read_queue_nums: broker.queues,
        write_queue_nums: broker.queues,
        perm: view.permission_bits,
        topic_sys_flag: 0,
    });
    let brokers = view.brokers.iter().map(|broker| broker_data(session, broker.name.clone()));
    Ok(Reply::json(TopicRouteData {
        queue_datas: queues.collect(),
        broker_datas: brokers.collect(),
        ..TopicRouteData::default()
    }))
}

/// GET_BROKER_CLUSTER_INFO (106): every placement group is a broker, and each is at the address
/// that this client can reach.
pub(super) fn cluster_info(session: &Session<'_>) -> Answer {
    let cluster = session.broker.catalog.cluster();
    let names: Vec<String> = cluster.pgs().map(broker_name).collect();
    let brokers = names.iter().map(|name| (name.clone(), broker_data(session, name.clone())));
    Ok(Reply::json(ClusterInfo {
        broker_addr_table: brokers.collect(),
        cluster_addr_table: BTreeMap::from([(cluster.name.clone(), names)]),
    }))
}

fn broker_data(session: &Session<'_>, broker_name: String) -> BrokerData {
    BrokerData {
        cluster: session.broker.catalog.cluster().name.clone(),
        broker_name,
        broker_addrs: BTreeMap::from([(MASTER.to_owned(), session.address.clone())]),
        ..BrokerData::default()
    }
}

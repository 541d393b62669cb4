//! Where topics and brokers are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Answer to 105: the brokers of a topic and their queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicRouteData {
    /// Brokers by address.
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers, which 5.x has no more: empty.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// `broker:queues;…` for topics in a global order, set by operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// Queues by broker.
    pub queue_datas: Vec<QueueData>,
}

/// One broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerData {
    /// `host:port` by broker id: `0` is the master. The ids are quoted, which every client reads; Java
    /// itself writes them bare.
    pub broker_addrs: BTreeMap<String, String>,
    /// Its name.
    pub broker_name: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Whether a replica may act as master.
    pub enable_acting_master: bool,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

/// The queues of a topic on one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueueData {
    /// The broker.
    pub broker_name: String,
    /// 4 read, 2 write.
    pub perm: u32,
    /// Queues 0 to this one can be read.
    pub read_queue_nums: u32,
    /// 0.
    pub topic_sys_flag: u32,
    /// Queues 0 to this one can be written.
    pub write_queue_nums: u32,
}

/// Answer to 106: all brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterInfo {
    /// Brokers by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Names of brokers by cluster.
    pub cluster_addr_table: BTreeMap<String, Vec<String>>,
}

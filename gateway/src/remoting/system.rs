//! Topics that every RocketMQ cluster has without anybody creating them. Tools ask for their
//! routes: `createTopic` for the cluster's and a broker's name, producers for `TBW102`. They hold
//! no messages here.

use metadata::model::{Cluster, broker_name, parse_broker_name};
use storage::format::PgId;

/// May be read (4) and written (2), as `PermName` has it.
const READ_WRITE: u32 = 6;
/// The same, and topics made after its likeness inherit its permission (1).
const INHERITED: u32 = 7;

/// Apache's own topics (`TopicConfigManager.init`): name, queues on each broker, permission bits.
const EVERYWHERE: [(&str, u32, u32); 7] = [
    ("TBW102", 8, INHERITED),
    ("SELF_TEST_TOPIC", 1, READ_WRITE),
    ("BenchmarkTest", 1024, READ_WRITE),
    ("OFFSET_MOVED_EVENT", 1, READ_WRITE),
    ("SCHEDULE_TOPIC_XXXX", 18, READ_WRITE),
    ("RMQ_SYS_TRACE_TOPIC", 1, READ_WRITE),
    ("RMQ_SYS_TRANS_HALF_TOPIC", 1, READ_WRITE),
];
/// Queues on each broker of the topic that has the cluster's name (`TopicConfig`'s default).
const CLUSTER_QUEUES: u32 = 16;

/// A system topic as routes show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SystemTopic {
    pub(super) queues_per_broker: u32,
    pub(super) permission_bits: u32,
    /// The only broker that has it; every broker when `None`.
    pub(super) only: Option<PgId>,
}

/// The system topic of this name.
pub(super) fn find(name: &str, cluster: &Cluster) -> Option<SystemTopic> {
    let everywhere = |queues_per_broker, permission_bits| {
        Some(SystemTopic { queues_per_broker, permission_bits, only: None })
    };
    if name == cluster.name {
        return everywhere(CLUSTER_QUEUES, INHERITED);
    }
    if name.strip_suffix("_REPLY_TOPIC") == Some(&cluster.name) {
        return everywhere(1, READ_WRITE);
    }
    if let Some(&(_, queues, bits)) = EVERYWHERE.iter().find(|(system, _, _)| *system == name) {
        return everywhere(queues, bits);
    }
    let only = parse_broker_name(name).filter(|pg| cluster.pgs().any(|known| known == *pg))?;
    Some(SystemTopic { queues_per_broker: 1, permission_bits: INHERITED, only: Some(only) })
}

/// The names of all of them.
pub(super) fn names(cluster: &Cluster) -> impl Iterator<Item = String> {
    let apache = EVERYWHERE.iter().map(|(name, _, _)| (*name).to_owned());
    let own = [cluster.name.clone(), format!("{}_REPLY_TOPIC", cluster.name)];
    apache.chain(own).chain(cluster.pgs().map(broker_name))
}

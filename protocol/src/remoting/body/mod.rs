//! Bodies that are JSON, in the shapes that Apache 5.5.0's tools and clients read and write (classes of the
//! same names in `org.apache.rocketmq.remoting.protocol` and `common`).
//!
//! All but the tables that are keyed by message queues implement serde's traits. What a client may send is
//! read leniently: any key may be missing or `null`, unknown keys and words are passed over. Collections are
//! ordered, so that a body is written to the same bytes every time.

mod client;
mod group;
mod keyed;
mod progress;
mod route;
mod topic;

pub use client::{
    Connection, ConsumeType, ConsumerConnection, ConsumerData, ExpressionType, HeartbeatData,
    MessageModel, ProducerConnection, ProducerData, SubscriptionData,
};
pub use group::{
    CustomizedRetryPolicy, ExponentialRetryPolicy, GroupList, GroupRetryPolicy,
    GroupRetryPolicyType, SimpleSubscriptionData, SubscriptionGroupConfig, SubscriptionGroupTable,
};
pub use progress::{ConsumeStats, OffsetWrapper, ResetOffset};
pub use route::{BrokerData, ClusterInfo, QueueData, TopicRouteData};
pub use topic::{
    DataVersion, KvTable, MessageQueue, TopicConfig, TopicConfigTable, TopicFilterType, TopicList,
    TopicOffset, TopicStatsTable,
};

#[cfg(test)]
mod tests;

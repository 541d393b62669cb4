//! The nouns kept in the metadata store: pure values, their rules and their bytes. A noun per file.
//!
//! Every value is one schema byte and a protobuf message ([`Record`]). Keys are in [`key`].
mod attribute;
mod cluster;
mod codec;
mod gateway;
mod group;
mod holders;
mod job;
pub mod key;
mod origin;
mod pg;
mod retention;
mod retry;
mod spread;
#[cfg(test)]
mod tests;
mod topic;
mod uid;

pub use attribute::{
    AttributeChange, AttributeRefused, GROUP_CONSUME_FROM, TOPIC_CLEANUP, TOPIC_DURABILITY,
    TOPIC_MESSAGE_TYPE, TOPIC_RETENTION,
};
pub use cluster::{Cluster, PGS_MAX};
pub use codec::{Record, RecordError};
pub use gateway::{GatewayId, GatewayRecord, Incarnation};
pub use group::{
    ConsumeFrom, Group, GroupSpec, MAX_ATTEMPTS_DEFAULT, Order, REPLAYED_MAX, Replayed,
};
pub use holders::{HeldBy, Holder, Needed, needed, sole_holder};
pub use job::{
    Destination, Job, JobFilter, JobLane, JobName, JobProgress, JobSpec, JobState, LANES_MAX,
    Limits, source_order,
};
pub use origin::{ORIGIN_BYTES_MAX, ORIGIN_LAYERS_MAX, Origin, Part, Span};
pub use pg::{Member, Owner, PgRecord, SnapshotRef, broker_name, parse_broker_name};
pub use retention::Retention;
pub use retry::RetryPolicy;
pub use spread::{Share, TOPIC_PGS_MAX};
pub use storage::StoreId;
pub use topic::{
    Durability, NEVER_OPENED, Permission, QUEUES_DEFAULT, QUEUES_MAX, REPLAY_QUEUE_ID, Topic,
    TopicKind, TopicQueue, TopicSpec,
};
pub use uid::UidMark;

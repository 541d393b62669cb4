//! Durable logs over a local journal. Knows placement groups, queues and opaque records, and no RocketMQ word.
pub mod env;
pub mod format;

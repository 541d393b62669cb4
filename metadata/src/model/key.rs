//! The keys of the metadata store.
//!
//! | key | value |
//! |---|---|
//! | `cluster` | [`super::Cluster`] |
//! | `topic/<name>` | [`super::Topic`] |
//! | `group/<name>` | [`super::Group`] |
//! | `gw/<id>` | [`super::GatewayRecord`], bound to the gateway's lease |
//! | `pg/<number>` | [`super::PgRecord`], not bound to a lease: the epoch must outlive its owner |
//! | `job/<name>` | [`super::Job`] |
//! | `id/uid` | [`super::UidMark`] |

use super::{GatewayId, JobName};
use protocol::names::{GroupName, TopicName};
use storage::format::PgId;

/// The key of the one cluster record.
pub const CLUSTER: &str = "cluster";
/// The key of the first uid not given out.
pub const UID: &str = "id/uid";
/// What every topic's key begins with.
pub const TOPICS: &str = "topic/";
/// What every group's key begins with.
pub const GROUPS: &str = "group/";
/// What every gateway's key begins with.
pub const GATEWAYS: &str = "gw/";
/// What every placement group's key begins with.
pub const PGS: &str = "pg/";
/// What every job's key begins with.
pub const JOBS: &str = "job/";

/// A topic's key.
pub fn topic(name: &TopicName) -> String {
    format!("{TOPICS}{name}")
}

/// A group's key.
pub fn group(name: &GroupName) -> String {
    format!("{GROUPS}{name}")
}

/// A gateway's key.
pub fn gateway(id: &GatewayId) -> String {
    format!("{GATEWAYS}{id}")
}

/// A job's key.
pub fn job(name: &JobName) -> String {
    format!("{JOBS}{name}")
}

/// A placement group's key. Numbers have leading zeros, so that keys sort as numbers do.
pub fn pg(id: PgId) -> String {
    format!("{PGS}{:05}", id.get())
}

/// The placement group that a key belongs to.
pub fn parse_pg(key: &str) -> Option<PgId> {
    key.strip_prefix(PGS)?.parse().ok().and_then(PgId::new)
}

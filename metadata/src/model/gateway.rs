//! Gateways: who is here, bound to a lease.

use super::codec::{Record, RecordError, opened, sealed};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use storage::env::Timestamp;

/// A gateway's name: what stays when its process starts again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(Arc<str>);

impl GatewayId {
    /// The longest id, bytes.
    pub const BYTES_MAX: usize = 128;

    /// `None` unless it is 1 to [`GatewayId::BYTES_MAX`] letters, digits, `.`, `_` or `-`: it is part of a key.
    pub fn parse(id: &str) -> Option<GatewayId> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=GatewayId::BYTES_MAX)
            .contains(&id.len())
            .then(|| id.bytes().all(fits).then(|| GatewayId(id.into())))
            .flatten()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One start of a gateway's process: drawn anew each time and never used again (replication.md §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// A gateway that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRecord {
    /// Its name.
    pub id: GatewayId,
    /// This start of its process.
    pub incarnation: Incarnation,
    /// Its failure zone; empty where there are none.
    pub zone: String,
    /// Where it listens: protocol (`grpc`, `remoting`, ...) to `host:port`.
    pub addresses: BTreeMap<String, String>,
    /// When the process started.
    pub started: Timestamp,
}

const SCHEMA: u8 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct GatewayV1 {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(fixed64, tag = "2")]
    incarnation: u64,
    #[prost(string, tag = "3")]
    zone: String,
    #[prost(btree_map = "string, string", tag = "4")]
    addresses: BTreeMap<String, String>,
    #[prost(uint64, tag = "5")]
    started_ms: u64,
}

impl Record for GatewayRecord {
    fn encode(&self) -> Bytes {
        let message = GatewayV1 {
            id: self.id.as_str().to_owned(),
            incarnation: self.incarnation.0,
            zone: self.zone.clone(),
            addresses: self.addresses.clone(),
            started_ms: self.started.0,
        };
        sealed(SCHEMA, &message)
    }

    fn decode(value: &[u8]) -> Result<GatewayRecord, RecordError> {
        let GatewayV1 { id, incarnation, zone, addresses, started_ms } = opened(SCHEMA, value)?;
        Ok(GatewayRecord {
            id: GatewayId::parse(&id).ok_or(RecordError::Field("id"))?,
            incarnation: Incarnation(incarnation),
            zone,
            addresses,
            started: Timestamp(started_ms),
        })
    }
}

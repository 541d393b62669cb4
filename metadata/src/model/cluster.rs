//! What is decided once, when the metadata store is first used.

use super::codec::{Record, RecordError, opened, sealed};
use bytes::Bytes;
use std::fmt;
use storage::env::Timestamp;
use storage::format::PgId;

/// The most placement groups of a cluster (DESIGN §2).
pub const PGS_MAX: u32 = 4096;

/// The cluster record. It never changes.
#[derive(Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The name that `mqadmin -c` takes.
    pub name: String,
    /// How many placement groups there are, 1 to [`PGS_MAX`]; they are numbered from 0.
    pub pgs: u32,
    /// The key of the MAC in receipt handles.
    pub secret: [u8; 32],
    /// When the record was made.
    pub created: Timestamp,
}

impl Cluster {
    const SCHEMA: u8 = 1;

    /// Every placement group, in ascending order.
    pub fn pgs(&self) -> impl ExactSizeIterator<Item = PgId> + Clone + use<> {
        (0..self.pgs).map(|id| PgId::new(id).expect("decode and create refuse more than PGS_MAX"))
    }
}

/// Without the secret.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .field("pgs", &self.pgs)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// The record for a place that others may read: without the secret.
    pub fn encode_public(&self) -> Bytes {
        self.message(Vec::new())
    }

    /// The record out of what [`Cluster::encode_public`] gave, with a new secret.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub fn decode_public(value: &[u8], secret: [u8; 32]) -> Result<Cluster, RecordError> {
        let message: ClusterV1 = opened(Cluster::SCHEMA, value)?;
        Cluster::of(ClusterV1 { secret: secret.to_vec(), ..message })
    }

    fn message(&self, secret: Vec<u8>) -> Bytes {
        let Cluster { name, pgs, created, .. } = self;
        let message = ClusterV1 { name: name.clone(), pgs: *pgs, secret, created_ms: created.0 };
        sealed(Cluster::SCHEMA, &message)
    }

    fn of(message: ClusterV1) -> Result<Cluster, RecordError> {
        let ClusterV1 { name, pgs, secret, created_ms } = message;
        if !(1..=PGS_MAX).contains(&pgs) {
            return Err(RecordError::Field("pgs"));
        }
        let secret = secret.try_into().map_err(|_| RecordError::Field("secret"))?;
        Ok(Cluster { name, pgs, secret, created: Timestamp(created_ms) })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct ClusterV1 {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    pgs: u32,
    #[prost(bytes = "vec", tag = "3")]
    secret: Vec<u8>,
    #[prost(uint64, tag = "4")]
    created_ms: u64,
}

impl Record for Cluster {
    fn encode(&self) -> Bytes {
        self.message(self.secret.to_vec())
    }

    fn decode(value: &[u8]) -> Result<Cluster, RecordError> {
        Cluster::of(opened(Cluster::SCHEMA, value)?)
    }
}

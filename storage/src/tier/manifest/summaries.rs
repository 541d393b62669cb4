//! References to key summaries ([`crate::format::object::SummaryTable`]): which a manifest has, and
//! of what time.
//!
//! | off | field of a reference | |
//! |---|---|---|
//! | 0 | id u64, nonce u32, epoch u32 | the object |
//! | 16 | len u64, objects u32, 0 u32 | its bytes, and how many objects it is about |
//! | 32 | min_time u64, max_time u64 | over those objects |
//!
//! A summary helps a search, and nothing else depends on it. Objects that it is about may be gone or
//! replaced; it says nothing of what came for them.

use crate::env::Timestamp;
use crate::format::take::Take;
use crate::format::{Epoch, FormatError, PgId};
use crate::tier::{ObjectId, ObjectName};

/// Bytes of a reference.
pub(super) const SUMMARY_BYTES: usize = 48;

/// A key summary, as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryRef {
    /// What makes its name its own.
    pub object: ObjectId,
    /// In its name.
    pub epoch: Epoch,
    /// Its bytes.
    pub len: u64,
    /// Objects that it is about.
    pub objects: u32,
    /// Their least store time.
    pub min_time: Timestamp,
    /// Their greatest store time.
    pub max_time: Timestamp,
}

impl SummaryRef {
    /// Its name.
    pub const fn name(&self, pg: PgId) -> ObjectName {
        ObjectName::Keys { pg, epoch: self.epoch, id: self.object }
    }

    /// Whether it is about objects with something of a range of time, its end left out.
    pub fn may_have(&self, since: Timestamp, until: Timestamp) -> bool {
        since <= self.max_time && self.min_time < until
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.object.id.to_le_bytes());
        out.extend_from_slice(&self.object.nonce.to_le_bytes());
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&u64::from(self.objects).to_le_bytes());
        out.extend_from_slice(&self.min_time.0.to_le_bytes());
        out.extend_from_slice(&self.max_time.0.to_le_bytes());
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<SummaryRef, FormatError> {
        let object = ObjectId { id: take.u64()?, nonce: take.u32()? };
        let (epoch, len) = (Epoch(take.u32()?), take.u64()?);
        let objects = u32::try_from(take.u64()?).map_err(|_| FormatError::Length)?;
        let (min_time, max_time) = (Timestamp(take.u64()?), Timestamp(take.u64()?));
        Ok(SummaryRef { object, epoch, len, objects, min_time, max_time })
    }
}

//! Uids: what queues of topics and dead-letter queues of groups are called in the logs.
//!
//! They come from one space and are never used again, so that no record of an old incarnation of a topic is ever taken
//! for one of the new. Ranges are taken in blocks; what a process took and did not use is lost, of which 2^63 allow
//! much.

use super::codec::{Record, RecordError, opened, sealed};
use bytes::Bytes;

/// The first uid that nobody has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidMark {
    /// The uid.
    pub next: u64,
}

impl UidMark {
    /// Where a new cluster begins. What lies below is kept for queues that are no topic's and no group's.
    pub const FIRST: UidMark = UidMark { next: 1 << 16 };
    const SCHEMA: u8 = 1;

    /// The mark after `count` more uids were taken; `None` when the space is exhausted.
    pub fn taking(self, count: u64) -> Option<UidMark> {
        let next = self.next.checked_add(count)?;
        i64::try_from(next).is_ok().then_some(UidMark { next })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct UidMarkV1 {
    #[prost(uint64, tag = "1")]
    next: u64,
}

impl Record for UidMark {
    fn encode(&self) -> Bytes {
        sealed(UidMark::SCHEMA, &UidMarkV1 { next: self.next })
    }

    fn decode(value: &[u8]) -> Result<UidMark, RecordError> {
        let UidMarkV1 { next } = opened(UidMark::SCHEMA, value)?;
        Ok(UidMark { next })
    }
}

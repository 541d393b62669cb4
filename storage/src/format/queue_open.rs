//! The body of a Q_OPEN record: where a queue's offsets go on (design/replication.md §8, L3).
//!
//! | off | field |
//! |---|---|
//! | 0 | next u64 |
//! | 8 | crashes u32 |

use super::take::Take;
use super::{FormatError, QueueOffset};

/// The decoded body. Of two records of a queue the later has the greater `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueOpenRecord {
    /// The next offset to be given out.
    pub next: QueueOffset,
    /// The store's count of lost page caches when this was written. A later count says that offsets
    /// after this record may have been seen and lost.
    pub crashes: u32,
}

impl QueueOpenRecord {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        out.extend_from_slice(&self.next.0.to_le_bytes());
        out.extend_from_slice(&self.crashes.to_le_bytes());
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When these are not bytes of this kind.
    pub fn decode(body: &[u8]) -> Result<QueueOpenRecord, FormatError> {
        let mut take = Take(body);
        Ok(QueueOpenRecord { next: QueueOffset(take.u64()?), crashes: take.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let record = QueueOpenRecord { next: QueueOffset(5), crashes: 1 };
        assert_eq!(record.encode(), [5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn round_trip(next: u64, crashes: u32) {
            let record = QueueOpenRecord { next: QueueOffset(next), crashes };
            prop_assert_eq!(QueueOpenRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = QueueOpenRecord::decode(&bytes);
        }
    }
}

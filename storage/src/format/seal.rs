//! The body of a SEAL record (design/replication.md §4, S4).
//!
//! | off | field |
//! |---|---|
//! | 0 | fence u32 |

use super::take::Take;
use super::{Epoch, FormatError};

/// The decoded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealRecord {
    /// No append of an earlier epoch is accepted from here on.
    pub(crate) fence: Epoch,
}

impl SealRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.fence.0.to_le_bytes().to_vec()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<SealRecord, FormatError> {
        Ok(SealRecord { fence: Epoch(Take(body).u32()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(SealRecord { fence: Epoch(0x0102_0304) }.encode(), [4, 3, 2, 1]);
    }

    proptest! {
        #[test]
        fn round_trip(fence: u32) {
            let record = SealRecord { fence: Epoch(fence) };
            prop_assert_eq!(SealRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let _ = SealRecord::decode(&bytes);
        }
    }
}

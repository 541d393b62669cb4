//! The body of a JOIN record: the copy as it stands from here on (design/replication.md §4, S1).
//!
//! | off | field |
//! |---|---|
//! | 0 | label u32, chain u32 |
//! | 8 | from u64 |
//! | 16 | end u64 |
//!
//! What the copy holds outside `[from, end)` is forgotten.

use super::take::Take;
use super::{Epoch, FormatError, Lsn};

/// The decoded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JoinRecord {
    pub(crate) label: Epoch,
    pub(crate) chain: u32,
    pub(crate) from: Lsn,
    pub(crate) end: Lsn,
}

impl JoinRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.extend_from_slice(&self.label.0.to_le_bytes());
        out.extend_from_slice(&self.chain.to_le_bytes());
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.end.0.to_le_bytes());
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<JoinRecord, FormatError> {
        let mut take = Take(body);
        Ok(JoinRecord {
            label: Epoch(take.u32()?),
            chain: take.u32()?,
            from: Lsn(take.u64()?),
            end: Lsn(take.u64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let record = JoinRecord { label: Epoch(1), chain: 2, from: Lsn(3), end: Lsn(4) };
        assert_eq!(
            record.encode(),
            [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn round_trip(label: u32, chain: u32, from: u64, end: u64) {
            let record = JoinRecord { label: Epoch(label), chain, from: Lsn(from), end: Lsn(end) };
            prop_assert_eq!(JoinRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = JoinRecord::decode(&bytes);
        }
    }
}

//! The body of a FORGET record: queues whose records count no more.
//!
//! | off | field |
//! |---|---|
//! | 0 | count u32 |
//! | 4 | queue_uid u64, count times |

use super::take::Take;
use super::{FormatError, QueueUid};

/// The decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForgetRecord {
    pub(crate) queues: Vec<QueueUid>,
}

impl ForgetRecord {
    /// Queues that one record may name.
    pub(crate) const QUEUES_MAX: usize = 4096;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.queues.len() * 8);
        encode_queues(&self.queues, &mut out);
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<ForgetRecord, FormatError> {
        Ok(ForgetRecord { queues: decode_queues(&mut Take(body))? })
    }
}

pub(super) fn encode_queues(queues: &[QueueUid], out: &mut Vec<u8>) {
    out.extend_from_slice(&(queues.len() as u32).to_le_bytes());
    for queue in queues {
        out.extend_from_slice(&queue.0.to_le_bytes());
    }
}

pub(super) fn decode_queues(take: &mut Take<'_>) -> Result<Vec<QueueUid>, FormatError> {
    let count = take.u32()? as usize;
    if take.0.len() / 8 < count {
        return Err(FormatError::Truncated);
    }
    (0..count).map(|_| take.u64().map(QueueUid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let record = ForgetRecord { queues: vec![QueueUid(7), QueueUid(8)] };
        assert_eq!(record.encode(), [2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn round_trip(queues in proptest::collection::vec(any::<u64>(), 0..9)) {
            let record = ForgetRecord { queues: queues.into_iter().map(QueueUid).collect() };
            prop_assert_eq!(ForgetRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = ForgetRecord::decode(&bytes);
        }
    }
}

//! The body of a RESTATE record: a copy's whole state at its place in the journal, so that segments
//! with older JOIN, SEAL, FORGET and RESTATE records, and with records of forgotten queues, may be
//! recycled.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | label u32, fence u32, chain u32 | chain at `end` |
//! | 12 | lost u8, doubt u8, 0 u16 | 1: the copy cannot prove its content; 1: nor can copies that are not there |
//! | 16 | from u64, end u64 | |
//! | 32 | holes u32 | |
//! | 36 | hole: from u64, to u64, chain u32 | ascending; lsn ranges whose frames are gone; chain at `to` |
//! | … | forgotten: count u32, queue_uid u64 each | queues that still have records somewhere |
//! | … | chain_from u32 | chain at `from`; where it is missing, 0 |

use super::forget::{decode_queues, encode_queues};
use super::take::Take;
use super::{Epoch, FormatError, Lsn, QueueUid};

/// A range of a log whose frames were given up, since only forgotten queues had records there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) from: Lsn,
    pub(crate) to: Lsn,
    /// Chain at `to`: what the frame that begins there builds on.
    pub(crate) chain: u32,
}

/// The decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestateRecord {
    pub(crate) label: Epoch,
    pub(crate) fence: Epoch,
    pub(crate) chain: u32,
    pub(crate) lost: bool,
    /// The store was damaged once: a placement group without a copy may have had one.
    pub(crate) doubt: bool,
    pub(crate) from: Lsn,
    pub(crate) end: Lsn,
    pub(crate) holes: Vec<Hole>,
    pub(crate) forgotten: Vec<QueueUid>,
    /// Chain at `from`. Before copies were trimmed it was always 0, and not written.
    pub(crate) chain_from: u32,
}

const HOLE_BYTES: usize = 20;

impl RestateRecord {
    /// Bytes of the encoding.
    pub(crate) fn encoded_len(&self) -> usize {
        44 + self.holes.len() * HOLE_BYTES + self.forgotten.len() * 8
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(&self.label.0.to_le_bytes());
        out.extend_from_slice(&self.fence.0.to_le_bytes());
        out.extend_from_slice(&self.chain.to_le_bytes());
        out.extend_from_slice(&[u8::from(self.lost), u8::from(self.doubt), 0, 0]);
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.end.0.to_le_bytes());
        out.extend_from_slice(&(self.holes.len() as u32).to_le_bytes());
        for hole in &self.holes {
            out.extend_from_slice(&hole.from.0.to_le_bytes());
            out.extend_from_slice(&hole.to.0.to_le_bytes());
            out.extend_from_slice(&hole.chain.to_le_bytes());
        }
        encode_queues(&self.forgotten, &mut out);
        out.extend_from_slice(&self.chain_from.to_le_bytes());
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<RestateRecord, FormatError> {
        let mut take = Take(body);
        let label = Epoch(take.u32()?);
        let fence = Epoch(take.u32()?);
        let chain = take.u32()?;
        let lost = take.u8()? != 0;
        let doubt = take.u8()? != 0;
        take.u16()?;
        let from = Lsn(take.u64()?);
        let end = Lsn(take.u64()?);
        let count = take.u32()? as usize;
        if take.0.len() / HOLE_BYTES < count {
            return Err(FormatError::Truncated);
        }
        let mut holes = Vec::with_capacity(count);
        for _ in 0..count {
            let (from, to, chain) = (Lsn(take.u64()?), Lsn(take.u64()?), take.u32()?);
            holes.push(Hole { from, to, chain });
        }
        let forgotten = decode_queues(&mut take)?;
        let chain_from = if take.0.is_empty() { 0 } else { take.u32()? };
        Ok(RestateRecord {
            label,
            fence,
            chain,
            lost,
            doubt,
            from,
            end,
            holes,
            forgotten,
            chain_from,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let record = RestateRecord {
            label: Epoch(1),
            fence: Epoch(2),
            chain: 3,
            lost: true,
            doubt: false,
            from: Lsn(4),
            end: Lsn(5),
            holes: vec![Hole { from: Lsn(6), to: Lsn(7), chain: 8 }],
            forgotten: vec![QueueUid(9)],
            chain_from: 10,
        };
        let hex: String = record.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "01000000020000000300000001000000040000000000000005000000000000000100000006000000\
             000000000700000000000000080000000100000009000000000000000a000000"
        );
        assert_eq!(record.encode().len(), record.encoded_len());
        let mut before_trims = record.encode();
        before_trims.truncate(record.encoded_len() - 4);
        let chain_from = 0;
        assert_eq!(
            RestateRecord::decode(&before_trims),
            Ok(RestateRecord { chain_from, ..record })
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            label: u32, fence: u32, chain: u32, lost: bool, doubt: bool, from: u64, end: u64,
            holes in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u32>()), 0..5),
            forgotten in proptest::collection::vec(any::<u64>(), 0..5), chain_from: u32,
        ) {
            let holes = holes.into_iter()
                .map(|(from, to, chain)| Hole { from: Lsn(from), to: Lsn(to), chain }).collect();
            let record = RestateRecord {
                label: Epoch(label), fence: Epoch(fence), chain, lost, doubt, from: Lsn(from), end: Lsn(end),
                holes, forgotten: forgotten.into_iter().map(QueueUid).collect(), chain_from,
            };
            prop_assert_eq!(record.encode().len(), record.encoded_len());
            prop_assert_eq!(RestateRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = RestateRecord::decode(&bytes);
        }
    }
}

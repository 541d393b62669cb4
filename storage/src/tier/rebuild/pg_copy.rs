//! A copy of a placement group's record, as of one commit.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, version u16, flags u16 | bit 1: the chain is known |
//! | 8 | pg u32, chain u32 | the log's chain at the record's `tiered` |
//! | 16 | revision u64 | of the record in the metadata store |
//! | 24 | record_len u32, record | as the metadata store has it |
//! | end - 4 | crc u32 | crc32c of all before it |

use crate::format::object::{sealed, unsealed};
use crate::format::take::Take;
use crate::format::{FormatError, PgId};
use bytes::Bytes;

/// Bytes that a record may have: what a metadata store takes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
const MAGIC: u32 = 0x5943_4753; // "SGCY"
const VERSION: u16 = 1;
const CHAIN_KNOWN: u16 = 1;
const HEAD_BYTES: usize = 28;

/// The copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgCopy {
    /// Whose record.
    pub pg: PgId,
    /// Of the record in the metadata store.
    pub revision: u64,
    /// The log's chain at the record's `tiered`, where the writer knew it: it tells what follows in
    /// the log from what an owner of the past made up.
    pub chain: Option<u32>,
    /// The record as the metadata store has it; opaque here.
    pub record: Bytes,
}

impl PgCopy {
    /// The copy's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.record.len() + 4);
        let flags = if self.chain.is_some() { CHAIN_KNOWN } else { 0 };
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.pg.get().to_le_bytes());
        out.extend_from_slice(&self.chain.unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&self.revision.to_le_bytes());
        out.extend_from_slice(&(self.record.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.record);
        sealed(out)
    }

    /// Reads a copy.
    ///
    /// # Errors
    /// When these are not its bytes.
    pub fn decode(bytes: &[u8]) -> Result<PgCopy, FormatError> {
        if bytes.len() > HEAD_BYTES + RECORD_BYTES_MAX + 4 {
            return Err(FormatError::Length);
        }
        let mut take = Take(unsealed(bytes)?);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let (version, flags) = (take.u16()?, take.u16()?);
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let pg = PgId::new(take.u32()?).ok_or(FormatError::Length)?;
        let (chain, revision) = (take.u32()?, take.u64()?);
        let chain = match flags {
            0 if chain == 0 => None,
            CHAIN_KNOWN => Some(chain),
            _ => return Err(FormatError::Contradiction),
        };
        if take.u32()? as usize != take.0.len() {
            return Err(FormatError::Length);
        }
        Ok(PgCopy { pg, revision, chain, record: Bytes::copy_from_slice(take.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn copy(chain: Option<u32>) -> PgCopy {
        let record = Bytes::from_static(b"abc");
        PgCopy { pg: PgId::new(2).unwrap(), revision: 5, chain, record }
    }

    #[test]
    fn golden_bytes() {
        let bytes = copy(Some(7)).encode();
        let hex: String = bytes[..31].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "53474359010001000200000007000000050000000000000003000000616263");
        for chain in [None, Some(0), Some(7)] {
            assert_eq!(PgCopy::decode(&copy(chain).encode()), Ok(copy(chain)));
        }
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(bit in 0..35 * 8usize) {
            let mut bytes = copy(Some(7)).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(PgCopy::decode(&bytes).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for bytes in [bytes.clone(), sealed(bytes)] {
                if let Ok(read) = PgCopy::decode(&bytes) {
                    prop_assert_eq!(PgCopy::decode(&read.encode()), Ok(read));
                }
            }
        }
    }
}

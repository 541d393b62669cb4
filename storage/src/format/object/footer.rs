//! The footer: the last 64 bytes of an object.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | tail_at u64, object_len u64 | where the queue index begins; all bytes |
//! | 16 | queue_index u32, partition_table u32, directory u32, properties u32 | lengths, in this order from tail_at |
//! | 32 | tail_crc u32 | crc32c of them together: they belong to each other |
//! | 36 | version u16, 0 u16 | |
//! | 40 | id u64, nonce u32 | of the object's name: it cannot be taken for another |
//! | 52 | 0 u32 | |
//! | 56 | crc u32 | crc32c of the 56 bytes before |
//! | 60 | magic u32 | |

use super::Span;
use crate::format::take::Take;
use crate::format::{FormatError, crc32c};

/// Bytes of a footer.
pub const FOOTER_BYTES: usize = 64;
const MAGIC: u32 = 0x4a42_4f53; // "SOBJ"
const VERSION: u16 = 1;
const CRC_AT: usize = 56;

/// The decoded last 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where the tail begins.
    pub tail_at: u64,
    /// Bytes of the object.
    pub object_len: u64,
    /// Bytes of the queue index.
    pub queue_index: u32,
    /// Bytes of the partition table.
    pub partition_table: u32,
    /// Bytes of the directory.
    pub directory: u32,
    /// Bytes of the properties.
    pub properties: u32,
    /// Checksum of these four together.
    pub tail_crc: u32,
    /// The object's id.
    pub id: u64,
    /// The nonce in the object's name.
    pub nonce: u32,
}

impl Footer {
    /// The bytes to write.
    pub fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut out = [0; FOOTER_BYTES];
        out[0..8].copy_from_slice(&self.tail_at.to_le_bytes());
        out[8..16].copy_from_slice(&self.object_len.to_le_bytes());
        out[16..20].copy_from_slice(&self.queue_index.to_le_bytes());
        out[20..24].copy_from_slice(&self.partition_table.to_le_bytes());
        out[24..28].copy_from_slice(&self.directory.to_le_bytes());
        out[28..32].copy_from_slice(&self.properties.to_le_bytes());
        out[32..36].copy_from_slice(&self.tail_crc.to_le_bytes());
        out[36..38].copy_from_slice(&VERSION.to_le_bytes());
        out[40..48].copy_from_slice(&self.id.to_le_bytes());
        out[48..52].copy_from_slice(&self.nonce.to_le_bytes());
        let crc = crc32c(&out[..CRC_AT]);
        out[CRC_AT..60].copy_from_slice(&crc.to_le_bytes());
        out[60..].copy_from_slice(&MAGIC.to_le_bytes());
        out
    }

    /// Reads the footer at the end of `bytes`.
    ///
    /// # Errors
    /// When these are not the last bytes of an object.
    pub fn decode(bytes: &[u8]) -> Result<Footer, FormatError> {
        let bytes = bytes.last_chunk::<FOOTER_BYTES>().ok_or(FormatError::Truncated)?;
        if Take(&bytes[60..]).u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        if Take(&bytes[CRC_AT..]).u32()? != crc32c(&bytes[..CRC_AT]) {
            return Err(FormatError::Checksum);
        }
        let mut take = Take(bytes);
        let (tail_at, object_len) = (take.u64()?, take.u64()?);
        let (queue_index, partition_table) = (take.u32()?, take.u32()?);
        let (directory, properties) = (take.u32()?, take.u32()?);
        let tail_crc = take.u32()?;
        let version = take.u16()?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        take.u16()?;
        let (id, nonce) = (take.u64()?, take.u32()?);
        let lens = [queue_index, partition_table, directory, properties].map(u64::from);
        let len = lens.iter().sum::<u64>() + FOOTER_BYTES as u64;
        if tail_at.checked_add(len) != Some(object_len) {
            return Err(FormatError::Length);
        }
        Ok(Footer {
            tail_at,
            object_len,
            queue_index,
            partition_table,
            directory,
            properties,
            tail_crc,
            id,
            nonce,
        })
    }

    /// Where queue index, partition table, directory and properties lie.
    pub fn parts(&self) -> [Span; 4] {
        let mut at = self.tail_at;
        [self.queue_index, self.partition_table, self.directory, self.properties].map(|len| {
            let span = Span { at, len: len.into() };
            at += span.len;
            span
        })
    }
}

pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(read) = Footer::decode(bytes) {
        assert_eq!(Footer::decode(&read.encode()), Ok(read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn footer() -> Footer {
        Footer {
            tail_at: 1000,
            object_len: 1000 + 1 + 2 + 3 + 4 + 64,
            queue_index: 1,
            partition_table: 2,
            directory: 3,
            properties: 4,
            tail_crc: 5,
            id: 6,
            nonce: 7,
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = footer().encode();
        let hex: String = bytes[..56].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "e80300000000000032040000000000000100000002000000030000000400000005000000010000000600000000000000\
             0700000000000000"
        );
        assert_eq!(&bytes[60..], b"SOBJ");
        assert_eq!(Footer::decode(&bytes), Ok(footer()));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(bit in 0..512usize) {
            let mut bytes = footer().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Footer::decode(&bytes).is_err());
        }
    }
}

//! The header of an extent: a run of frames in one segment file, written by one life of the store
//! under one salt.
//!
//! A segment begins with one. A restart never appends to frames that went through recovery: it
//! begins a new extent with a new salt, in what is left of the last file or in another. The header
//! is synced before the extent's first frame.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32 "RSEG", version u16, 0 u16 | |
//! | 8 | store u128 | the cookie's store id |
//! | 24 | segno u64 | grows for ever; journal position = `segno * segment size + place in file` |
//! | 32 | salt u32, alignment u32 | random; 4096 |
//! | 40 | size u64, start u64 | bytes of the file; where in it this header lies |
//! | 56 | created_ms u64 | |
//! | 64 | life u32, crashes u32 | process starts of this store; how many came after a lost page cache |
//! | 72 | life_cut u64 | journal position where the previous life was found to end: nothing at or after it counts |
//! | 80 | journal_synced u64 | journal position known synced when this was written |
//! | 88 | boot u64 | identity of the machine's boot |
//! | 96 | crc u32 | crc32c of all before |
//!
//! The rest of the 4 KiB is zero.

use super::take::Take;
use super::{BLOCK_BYTES, FormatError, FrameSeal, crc32c};
use crate::env::Timestamp;

/// Bytes of the header.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = BLOCK_BYTES;

const MAGIC: u32 = u32::from_le_bytes(*b"RSEG");
const VERSION: u16 = 1;
const CRC_AT: usize = 96;

/// The decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtentHeader {
    pub(crate) store: u128,
    pub(crate) segno: u64,
    pub(crate) salt: u32,
    pub(crate) size: u64,
    pub(crate) start: u64,
    pub(crate) created: Timestamp,
    pub(crate) life: u32,
    pub(crate) crashes: u32,
    pub(crate) life_cut: u64,
    pub(crate) journal_synced: u64,
    pub(crate) boot: u64,
}

impl ExtentHeader {
    /// The bytes to write.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut out = [0; SEGMENT_HEADER_BYTES as usize];
        out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[8..24].copy_from_slice(&self.store.to_le_bytes());
        out[24..32].copy_from_slice(&self.segno.to_le_bytes());
        out[32..36].copy_from_slice(&self.salt.to_le_bytes());
        out[36..40].copy_from_slice(&(BLOCK_BYTES as u32).to_le_bytes());
        out[40..48].copy_from_slice(&self.size.to_le_bytes());
        out[48..56].copy_from_slice(&self.start.to_le_bytes());
        out[56..64].copy_from_slice(&self.created.0.to_le_bytes());
        out[64..68].copy_from_slice(&self.life.to_le_bytes());
        out[68..72].copy_from_slice(&self.crashes.to_le_bytes());
        out[72..80].copy_from_slice(&self.life_cut.to_le_bytes());
        out[80..88].copy_from_slice(&self.journal_synced.to_le_bytes());
        out[88..96].copy_from_slice(&self.boot.to_le_bytes());
        let crc = crc32c(&out[..CRC_AT]);
        out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads and verifies a header.
    ///
    /// # Errors
    /// When these are not the bytes of a header.
    pub(crate) fn decode(bytes: &[u8]) -> Result<ExtentHeader, FormatError> {
        let fields = bytes.get(..CRC_AT + 4).ok_or(FormatError::Truncated)?;
        let mut take = Take(fields);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        if crc32c(&fields[..CRC_AT]) != Take(&fields[CRC_AT..]).u32()? {
            return Err(FormatError::Checksum);
        }
        let version = take.u16()?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        take.u16()?;
        let store = take.u128()?;
        let segno = take.u64()?;
        let salt = take.u32()?;
        if take.u32()? != BLOCK_BYTES as u32 {
            return Err(FormatError::Length);
        }
        Ok(ExtentHeader {
            store,
            segno,
            salt,
            size: take.u64()?,
            start: take.u64()?,
            created: Timestamp(take.u64()?),
            life: take.u32()?,
            crashes: take.u32()?,
            life_cut: take.u64()?,
            journal_synced: take.u64()?,
            boot: take.u64()?,
        })
    }

    /// What salts the frames of this extent.
    pub(crate) const fn seal(&self) -> FrameSeal {
        FrameSeal { salt: self.salt, segno: self.segno }
    }

    /// Journal position of the byte at `at` in the file.
    pub(crate) const fn position(&self, at: u64) -> u64 {
        self.segno * self.size + at
    }

    /// Where in the file the first frame lies.
    pub(crate) const fn first_frame_at(&self) -> u64 {
        self.start + SEGMENT_HEADER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> ExtentHeader {
        ExtentHeader {
            store: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
            segno: 5,
            salt: 0xa1b2_c3d4,
            size: 64 << 20,
            start: 8192,
            created: Timestamp(1_700_000_000_000),
            life: 3,
            crashes: 1,
            life_cut: 0x1234,
            journal_synced: 0x5678,
            boot: 0x1122_3344_5566_7788,
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = header().encode();
        let hex: String = bytes[..96].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "5253454701000000100f0e0d0c0b0a0908070605040302010500000000000000d4c3b2a100100000\
             000000040000000000200000000000000068e5cf8b01000003000000010000003412000000000000\
             78560000000000008877665544332211"
        );
        assert_eq!(bytes[96..100], crc32c(&bytes[..96]).to_le_bytes());
        assert!(bytes[100..].iter().all(|byte| *byte == 0));
    }

    proptest! {
        #[test]
        fn round_trip(
            store: u128, segno: u64, salt: u32, size: u64, start: u64, created: u64, life: u32,
            crashes: u32, life_cut: u64, journal_synced: u64, boot: u64,
        ) {
            let header = ExtentHeader {
                store, segno, salt, size, start, created: Timestamp(created), life, crashes,
                life_cut, journal_synced, boot,
            };
            prop_assert_eq!(ExtentHeader::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn any_flipped_bit_is_refused(bit in 0..100 * 8usize) {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ExtentHeader::decode(&bytes).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = ExtentHeader::decode(&bytes);
        }
    }
}

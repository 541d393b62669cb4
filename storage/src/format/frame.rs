//! The frame: one or more records of one placement group's log, valid whole or not at all.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u16, version u8, flags u8 | [`FrameFlags`] |
//! | 4 | frame_len u32 | header and payload, without padding |
//! | 8 | header_crc u32 | crc32c(salt ‖ segno ‖ header with 0 here): recycled bytes cannot validate |
//! | 12 | payload_crc u32 | crc32c, unsalted: verifiable in every copy |
//! | 16 | pg u32, epoch u32 | of the owner that wrote it |
//! | 24 | lsn u64 | position of the payload's first byte in the log |
//! | 32 | chain u32, count u16, codec u16 | chain after this frame; records (65535: or more); 0 = raw |
//! | 40 | commit_lsn u64 | known durable when written |
//! | 48 | journal_synced u64 | journal position known synced when written: tells a torn tail from rot |
//! | 56 | ts_ms u64 | store time of the newest record |
//!
//! Frames are 8-byte aligned. After a frame with [`FrameFlags::GROUP_END`] the next begins at a
//! multiple of 4 KiB.

use super::take::Take;
use super::{Epoch, FormatError, Lsn, PgId, crc32c};
use crate::env::Timestamp;

/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER_BYTES: u64 = 64;

const MAGIC: u16 = 0x4653; // "SF"
const VERSION: u8 = 1;
const CODEC_RAW: u16 = 0;
const CRC_AT: usize = 8;
const PAYLOAD_CRC_AT: usize = 12;

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameFlags(pub(crate) u8);

impl FrameFlags {
    /// Written for a peer that owns the placement group.
    #[cfg(test)]
    pub(crate) const MIRROR: FrameFlags = FrameFlags(1);
    /// The last frame of what the writer drained at once.
    pub(crate) const GROUP_END: FrameFlags = FrameFlags(2);
    /// The payload is for the store itself and takes no room in the log.
    pub(crate) const JOURNAL: FrameFlags = FrameFlags(4);

    pub(crate) const fn with(self, other: FrameFlags) -> FrameFlags {
        FrameFlags(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: FrameFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What salts a header's checksum: the identity of the extent it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameSeal {
    pub(crate) salt: u32,
    pub(crate) segno: u64,
}

/// The decoded first 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) flags: FrameFlags,
    pub(crate) payload_len: u32,
    pub(crate) payload_crc: u32,
    pub(crate) pg: PgId,
    pub(crate) epoch: Epoch,
    pub(crate) lsn: Lsn,
    pub(crate) chain: u32,
    pub(crate) count: u16,
    pub(crate) commit_lsn: Lsn,
    pub(crate) journal_synced: u64,
    pub(crate) time: Timestamp,
}

impl FrameHeader {
    /// The bytes to write. The payload must fit in `u32` together with the header, which the group
    /// limit sees to.
    pub(crate) fn encode(&self, seal: FrameSeal) -> [u8; FRAME_HEADER_BYTES as usize] {
        let mut out = [0; FRAME_HEADER_BYTES as usize];
        let frame_len = self.payload_len + FRAME_HEADER_BYTES as u32;
        out[0..2].copy_from_slice(&MAGIC.to_le_bytes());
        out[2] = VERSION;
        out[3] = self.flags.0;
        out[4..8].copy_from_slice(&frame_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[16..20].copy_from_slice(&self.pg.get().to_le_bytes());
        out[20..24].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.lsn.0.to_le_bytes());
        out[32..36].copy_from_slice(&self.chain.to_le_bytes());
        out[36..38].copy_from_slice(&self.count.to_le_bytes());
        out[38..40].copy_from_slice(&CODEC_RAW.to_le_bytes());
        out[40..48].copy_from_slice(&self.commit_lsn.0.to_le_bytes());
        out[48..56].copy_from_slice(&self.journal_synced.to_le_bytes());
        out[56..64].copy_from_slice(&self.time.0.to_le_bytes());
        let crc = header_crc(&out, seal);
        out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// What the header in `bytes` says of its payload's checksum. For whoever knows that a header
    /// is there, and will hold the payload against it: nothing is verified.
    pub(crate) fn payload_crc_in(bytes: &[u8]) -> Option<u32> {
        Take(bytes.get(PAYLOAD_CRC_AT..)?).u32().ok()
    }

    /// Reads and verifies a header; the payload is not looked at.
    ///
    /// # Errors
    /// When these are not bytes that were written under `seal`.
    pub(crate) fn decode(bytes: &[u8], seal: FrameSeal) -> Result<FrameHeader, FormatError> {
        let mut header = *bytes
            .first_chunk::<{ FRAME_HEADER_BYTES as usize }>()
            .ok_or(FormatError::Truncated)?;
        if header[..2] != MAGIC.to_le_bytes() {
            return Err(FormatError::Magic);
        }
        let stored = Take(&header[CRC_AT..]).u32()?;
        header[CRC_AT..CRC_AT + 4].fill(0);
        if header_crc(&header, seal) != stored {
            return Err(FormatError::Checksum);
        }
        let mut take = Take(&header[2..]);
        let version = take.u8()?;
        if version != VERSION {
            return Err(FormatError::Version(version.into()));
        }
        let flags = FrameFlags(take.u8()?);
        let payload_len =
            take.u32()?.checked_sub(FRAME_HEADER_BYTES as u32).ok_or(FormatError::Length)?;
        take.u32()?;
        let payload_crc = take.u32()?;
        let pg = PgId::new(take.u32()?).ok_or(FormatError::Length)?;
        let epoch = Epoch(take.u32()?);
        let lsn = Lsn(take.u64()?);
        let chain = take.u32()?;
        let count = take.u16()?;
        let codec = take.u16()?;
        if codec != CODEC_RAW {
            return Err(FormatError::Version(codec));
        }
        let commit_lsn = Lsn(take.u64()?);
        let journal_synced = take.u64()?;
        let time = Timestamp(take.u64()?);
        Ok(FrameHeader {
            flags,
            payload_len,
            payload_crc,
            pg,
            epoch,
            lsn,
            chain,
            count,
            commit_lsn,
            journal_synced,
            time,
        })
    }

    /// Where the next frame begins, when this one begins at `at`.
    pub(crate) fn next_at(&self, at: u64) -> u64 {
        let end = at + FRAME_HEADER_BYTES + u64::from(self.payload_len);
        if self.flags.has(FrameFlags::GROUP_END) {
            super::block_up(end)
        } else {
            end.next_multiple_of(8)
        }
    }

    /// Whether `payload` is what was written under this header.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == u64::from(self.payload_len) && crc32c(payload) == self.payload_crc
    }
}

fn header_crc(header: &[u8; FRAME_HEADER_BYTES as usize], seal: FrameSeal) -> u32 {
    let mut salted = [0; FRAME_HEADER_BYTES as usize + 12];
    salted[..4].copy_from_slice(&seal.salt.to_le_bytes());
    salted[4..12].copy_from_slice(&seal.segno.to_le_bytes());
    salted[12..].copy_from_slice(header);
    crc32c(&salted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEAL: FrameSeal = FrameSeal { salt: 0xdead_beef, segno: 7 };

    fn header() -> FrameHeader {
        FrameHeader {
            flags: FrameFlags::GROUP_END.with(FrameFlags::MIRROR),
            payload_len: 100,
            payload_crc: 0x0102_0304,
            pg: PgId::new(3).unwrap(),
            epoch: Epoch(9),
            lsn: Lsn((3 << 48) + 17),
            chain: 0x0506_0708,
            count: 2,
            commit_lsn: Lsn((3 << 48) + 5),
            journal_synced: 0x1122_3344,
            time: Timestamp(1_700_000_000_000),
        }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = header().encode(SEAL).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "53460103a4000000CRCCRCCR04030201030000000900000011000000000003000807060502000000\
             050000000000030044332211000000000068e5cf8b010000"
                .replace("CRCCRCCR", &hex[16..24])
        );
    }

    #[test]
    fn next_frame_follows_at_eight_bytes_or_at_the_next_block() {
        let last = header();
        let inner = FrameHeader { flags: FrameFlags::default(), ..last };
        assert_eq!(inner.next_at(4096), 4096 + 168);
        assert_eq!(last.next_at(4096), 8192);
    }

    proptest! {
        #[test]
        fn round_trip(
            flags in 0..8u8, payload_len in 0..u32::MAX - 64, payload_crc: u32,
            pg in 0..PgId::LIMIT, epoch: u32, lsn: u64, chain: u32, count: u16,
            commit: u64, journal_synced: u64, ts: u64, salt: u32, segno: u64,
        ) {
            let header = FrameHeader {
                flags: FrameFlags(flags), payload_len, payload_crc,
                pg: PgId::new(pg).unwrap(), epoch: Epoch(epoch), lsn: Lsn(lsn), chain, count,
                commit_lsn: Lsn(commit), journal_synced, time: Timestamp(ts),
            };
            let seal = FrameSeal { salt, segno };
            prop_assert_eq!(FrameHeader::decode(&header.encode(seal), seal), Ok(header));
        }

        #[test]
        fn any_flipped_bit_is_refused(bit in 0..512usize) {
            let mut bytes = header().encode(SEAL);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(FrameHeader::decode(&bytes, SEAL).is_err());
        }

        #[test]
        fn another_extent_refuses_it(salt: u32, segno: u64) {
            prop_assume!((FrameSeal { salt, segno }) != SEAL);
            let other = FrameSeal { salt, segno };
            // One in 2^32 passes by chance; a salt that differs in the last place never does.
            prop_assume!(crc32c(&salt.to_le_bytes()) != crc32c(&SEAL.salt.to_le_bytes()));
            prop_assert!(FrameHeader::decode(&header().encode(SEAL), other).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = FrameHeader::decode(&bytes, SEAL);
        }
    }
}

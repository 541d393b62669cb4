//! The object: what a placement group's log becomes in the bucket. A bundle (L0) holds what several
//! placement groups committed in a short while; a run (L1 and above) holds one placement group's
//! messages of one time window. Both are the same bytes:
//!
//! ```text
//! per placement group, ascending:
//!   [block of messages]*     sorted by (queue, offset); one queue a block
//!   [block of operations]*   in lsn order: replay reads no message
//! [key page 4 KiB]*          hash -> (queue number, offset), sorted by hash
//! [key partition]*           bloom filter and first hash of each page, for one prefix of hashes
//! [queue index] [partition table] [directory] [properties] [footer 64 B]     the tail
//! ```
//!
//! The tail is what a reader needs first; of most objects one read of the last
//! [`TAIL_READ_BYTES`] has all of it. Finding a key then costs a partition, a page and a block.
//!
//! INV-OBJ-1: each byte of an object is under a checksum, and no length is believed before its
//! checksum has been seen to fit.
//! INV-OBJ-2: of each placement group, the bytes of the records in its blocks, and those left out
//! by name, add up to its lsn range ([`PgEntry::accounts_for_range`]).
//! INV-OBJ-3: records keep their bytes and their lsn, whatever block they move to;
//! [`Record::check`] and the sums made of it stay what they were.
mod block;
mod bloom;
mod directory;
mod footer;
mod key_index;
mod key_page;
mod properties;
mod queue_index;
mod record;
mod summary;
mod tail;

pub use block::{
    BLOCK_HEADER_BYTES, BLOCK_RAW_BYTES_MAX, Block, BlockBuilder, BlockHeader, BlockRefused,
    Contents,
};
pub use directory::{Directory, PgEntry};
pub use footer::{FOOTER_BYTES, Footer};
pub use key_index::{KEYS_MAX, KeyIndex, KeyIndexBuilder, KeyTable, PARTITION_BYTES, Partition};
pub use key_page::{KEY_PAGE_BYTES, KeyPlace, entries_in_page, hashes_in_page, places_in_page};
pub use properties::Properties;
pub use queue_index::{BlockRef, QueueIndex, QueueIndexBuilder, QueueNumber};
pub use record::{KeyHash, Record, tag_bit};
pub use summary::{
    SUMMARY_OBJECTS_MAX, SUMMARY_READ_BYTES, SummaryBuilder, SummaryKey, SummaryRead, SummaryTable,
    objects_with,
};
pub use tail::{TAIL_READ_BYTES, Tail, TailRead};

/// Bytes of an object, by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub at: u64,
    /// How many.
    pub len: u64,
}

impl Span {
    /// After the last byte.
    pub const fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }

    /// The part of `bytes`, which begin at `from` in the object.
    pub(crate) fn of<'a>(&self, bytes: &'a [u8], from: u64) -> Option<&'a [u8]> {
        let at = usize::try_from(self.at.checked_sub(from)?).ok()?;
        bytes.get(at..at.checked_add(usize::try_from(self.len).ok()?)?)
    }
}

/// Spreads a number over 64 bits (the finisher of SplitMix64).
pub(crate) const fn mix64(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The number that [`mix64`] made this one of.
pub(crate) const fn unmix64(number: u64) -> u64 {
    let number = number ^ (number >> 31) ^ (number >> 62);
    let number = number.wrapping_mul(0x3196_42b2_d24d_8ec3);
    let number = number ^ (number >> 27) ^ (number >> 54);
    let number = number.wrapping_mul(0x96de_1b17_3f11_9089);
    number ^ (number >> 30) ^ (number >> 60)
}

/// Checks what [`sealed`] wrote, and gives what is before the checksum.
///
/// # Errors
/// When the bytes are not those that were sealed.
pub fn unsealed(bytes: &[u8]) -> Result<&[u8], super::FormatError> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(super::FormatError::Truncated)?;
    if super::crc32c(body) != u32::from_le_bytes(*crc) {
        return Err(super::FormatError::Checksum);
    }
    Ok(body)
}

/// Puts a checksum (crc32c) behind `bytes`.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = super::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads `bytes` as each part of an object, and what could be read once more from how it is
/// written: for fuzzing.
///
/// # Panics
/// When a part does not read back what it wrote.
pub fn read_everything(bytes: &[u8]) {
    block::fuzz(bytes);
    queue_index::fuzz(bytes);
    key_index::fuzz(bytes);
    directory::fuzz(bytes);
    properties::fuzz(bytes);
    footer::fuzz(bytes);
    summary::fuzz(bytes);
    tail::fuzz(bytes);
}

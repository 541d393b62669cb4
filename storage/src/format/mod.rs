//! Pure codecs of every persisted byte, and the identities they carry. All numbers are
//! little-endian; each kind of bytes has a file of its own with its byte table. Nothing here reads
//! a clock or a disk, and no decoder trusts a length before a checksum has vouched for it.
mod cookie;
mod crc;
mod forget;
mod frame;
mod ident;
mod join;
pub mod object;
mod queue_open;
mod record;
mod restate;
mod seal;
mod segment;
pub(crate) mod take;

pub(crate) use cookie::Cookie;
pub(crate) use crc::{chain_of, crc32c};
pub(crate) use forget::ForgetRecord;
pub(crate) use frame::{FRAME_HEADER_BYTES, FrameFlags, FrameHeader, FrameSeal};
pub use ident::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
pub(crate) use join::JoinRecord;
pub use queue_open::QueueOpenRecord;
pub use record::RecordKind;
pub(crate) use record::{
    Attributes, Envelope, JournalKind, Kind, MESSAGE_OVERHEAD, OPERATION_OVERHEAD,
};
pub(crate) use restate::{Hole, RestateRecord};
pub(crate) use seal::SealRecord;
pub(crate) use segment::{ExtentHeader, SEGMENT_HEADER_BYTES};

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Fewer bytes than the kind has, or than a length inside announces.
    #[error("the bytes end too early")]
    Truncated,
    /// Not bytes of this kind.
    #[error("the magic number is another's")]
    Magic,
    /// A version that this program does not know.
    #[error("format version {0} is not known here")]
    Version(u16),
    /// The bytes are not those that were written.
    #[error("the checksum does not fit")]
    Checksum,
    /// A record kind that this program does not know.
    #[error("record kind {0} is not known here")]
    Kind(u8),
    /// A length or count that cannot be.
    #[error("a length inside cannot be")]
    Length,
    /// Parts that were written together and do not fit each other: the writer was wrong.
    #[error("what is inside contradicts what is said about it")]
    Contradiction,
}

/// Reads `bytes` as each kind of what is persisted, and what could be read once more from how it
/// is written: for fuzzing.
///
/// # Panics
/// When a kind does not read back what it wrote.
pub fn read_everything(bytes: &[u8]) {
    let seal = FrameSeal { salt: 0, segno: 0 };
    if let Ok(read) = Cookie::decode(bytes) {
        assert_eq!(Cookie::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = ExtentHeader::decode(bytes) {
        assert_eq!(ExtentHeader::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = FrameHeader::decode(bytes, seal) {
        assert_eq!(FrameHeader::decode(&read.encode(seal), seal), Ok(read));
    }
    if let Ok(read) = JoinRecord::decode(bytes) {
        assert_eq!(JoinRecord::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = SealRecord::decode(bytes) {
        assert_eq!(SealRecord::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = ForgetRecord::decode(bytes) {
        assert_eq!(ForgetRecord::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = RestateRecord::decode(bytes) {
        assert_eq!(RestateRecord::decode(&read.encode()), Ok(read));
    }
    if let Ok(read) = QueueOpenRecord::decode(bytes) {
        assert_eq!(QueueOpenRecord::decode(&read.encode()), Ok(read));
    }
    let mut rest = bytes;
    while let Ok(read) = Envelope::decode(rest) {
        let mut again = read.encode().to_vec();
        again.truncate(read.head_len() as usize);
        again.extend_from_slice(&rest[read.head_len() as usize..read.record_len() as usize]);
        assert_eq!(Envelope::decode(&again), Ok(read));
        rest = &rest[read.record_len() as usize..];
    }
}

/// Every synced group of frames, and every extent, begins at a multiple of this: the largest block
/// that a disk may write in part.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// The next multiple of [`BLOCK_BYTES`] at or after `at`.
pub(crate) const fn block_up(at: u64) -> u64 {
    at.next_multiple_of(BLOCK_BYTES)
}

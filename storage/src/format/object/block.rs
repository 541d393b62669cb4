//! The block: records of one queue, or operations of one placement group, compressed together and
//! read together.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, version u8, codec u8 | codec 0 raw, 1 lz4; 2 is kept for zstd |
//! | 6 | kind u8, flags u8 | 1 messages, 2 operations; bit 1 after a gap, 2 sparse |
//! | 8 | raw_len u32, stored_len u32 | payload as records, and as it lies here |
//! | 16 | pg u32, count u32 | records |
//! | 24 | queue_uid u64 | 0 for operations |
//! | 32 | first u64, last u64 | queue offsets; 0 for operations |
//! | 48 | first_lsn u64 | of the first record |
//! | 56 | min_time u64, max_time u64 | store times, ms |
//! | 72 | tags u64 | a bit per [`tag_bit`] of a record's filter |
//! | 80 | sum u64 | of [`Record::check`], wrapping |
//! | 88 | payload_crc u32 | crc32c of the stored payload |
//! | 92 | header_crc u32 | crc32c of the 92 bytes before |
//!
//! The raw payload is, per record: the bytes of other records that lay between it and the one before
//! it in the log, as a varint, and the record's own bytes. So each record's lsn is kept.

use super::record::{Record, tag_bit};
use crate::env::Timestamp;
use crate::format::take::{Take, put_varint};
use crate::format::{FormatError, Lsn, PgId, QueueOffset, QueueUid, RecordKind, crc32c};
use bytes::Bytes;
use lz4_flex::block::{compress_into, decompress, get_maximum_output_size};

/// Bytes of a block before its payload.
pub const BLOCK_HEADER_BYTES: usize = 96;
/// Bytes of records that a block may have at most. One record may be larger than what a block aims
/// at; the largest atomic group has 8 MiB.
pub const BLOCK_RAW_BYTES_MAX: u32 = 16 << 20;

const MAGIC: u32 = 0x4b4c_4253; // "SBLK"
const VERSION: u8 = 1;
const CODEC_RAW: u8 = 0;
const CODEC_LZ4: u8 = 1;
const KIND_MESSAGES: u8 = 1;
const KIND_OPERATIONS: u8 = 2;
const AFTER_GAP: u8 = 1;
const SPARSE: u8 = 2;
const CRC_AT: usize = 92;
/// Bytes that are compressed to see whether the rest is worth it.
const SNIFF_BYTES: usize = 4096;

/// What a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Messages of one queue, in order of their offsets.
    Messages {
        /// The queue.
        queue: QueueUid,
        /// Offset of the first.
        first: QueueOffset,
        /// Offset of the last.
        last: QueueOffset,
        /// The offsets before `first` were given to no message: they may have been seen and lost
        /// (design/replication.md §8, L3).
        after_gap: bool,
        /// Offsets within may be missing: messages were taken out of it.
        sparse: bool,
    },
    /// Any other records, in order of their lsn.
    Operations,
}

/// The decoded first 96 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    codec: u8,
    /// What is in it.
    pub contents: Contents,
    /// Bytes of the payload when decompressed.
    pub raw_len: u32,
    /// Bytes of the payload as it lies behind the header.
    pub stored_len: u32,
    /// Whose records they are.
    pub pg: PgId,
    /// How many; at least 1.
    pub count: u32,
    /// Place of the first record in the log.
    pub first_lsn: Lsn,
    /// Least store time.
    pub min_time: Timestamp,
    /// Greatest store time.
    pub max_time: Timestamp,
    /// Bits of the records' filters ([`tag_bit`]).
    pub tags: u64,
    /// Sum of [`Record::check`].
    pub sum: u64,
    payload_crc: u32,
}

impl BlockHeader {
    fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let (kind, flags, queue, first, last) = match self.contents {
            Contents::Messages { queue, first, last, after_gap, sparse } => {
                let flags = u8::from(after_gap) * AFTER_GAP + u8::from(sparse) * SPARSE;
                (KIND_MESSAGES, flags, queue.0, first.0, last.0)
            }
            Contents::Operations => (KIND_OPERATIONS, 0, 0, 0, 0),
        };
        let mut out = [0; BLOCK_HEADER_BYTES];
        out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&[VERSION, self.codec, kind, flags]);
        out[8..12].copy_from_slice(&self.raw_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.stored_len.to_le_bytes());
        out[16..20].copy_from_slice(&self.pg.get().to_le_bytes());
        out[20..24].copy_from_slice(&self.count.to_le_bytes());
        out[24..32].copy_from_slice(&queue.to_le_bytes());
        out[32..40].copy_from_slice(&first.to_le_bytes());
        out[40..48].copy_from_slice(&last.to_le_bytes());
        out[48..56].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.min_time.0.to_le_bytes());
        out[64..72].copy_from_slice(&self.max_time.0.to_le_bytes());
        out[72..80].copy_from_slice(&self.tags.to_le_bytes());
        out[80..88].copy_from_slice(&self.sum.to_le_bytes());
        out[88..92].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads and verifies a header; the payload is not looked at.
    ///
    /// # Errors
    /// When these are not the first bytes of a block.
    pub fn decode(bytes: &[u8]) -> Result<BlockHeader, FormatError> {
        let header = bytes.get(..BLOCK_HEADER_BYTES).ok_or(FormatError::Truncated)?;
        let mut take = Take(header);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        if crc32c(&header[..CRC_AT]) != Take(&header[CRC_AT..]).u32()? {
            return Err(FormatError::Checksum);
        }
        let version = take.u8()?;
        if version != VERSION {
            return Err(FormatError::Version(version.into()));
        }
        let (codec, kind, flags) = (take.u8()?, take.u8()?, take.u8()?);
        if codec != CODEC_RAW && codec != CODEC_LZ4 {
            return Err(FormatError::Version(codec.into()));
        }
        let (raw_len, stored_len) = (take.u32()?, take.u32()?);
        if raw_len > BLOCK_RAW_BYTES_MAX || stored_len > raw_len {
            return Err(FormatError::Length);
        }
        let pg = PgId::new(take.u32()?).ok_or(FormatError::Length)?;
        let count = take.u32()?;
        let queue = QueueUid(take.u64()?);
        let (first, last) = (QueueOffset(take.u64()?), QueueOffset(take.u64()?));
        let contents = match (kind, flags) {
            (KIND_MESSAGES, 0..=3) => Contents::Messages {
                queue,
                first,
                last,
                after_gap: flags & AFTER_GAP != 0,
                sparse: flags & SPARSE != 0,
            },
            (KIND_OPERATIONS, 0) => Contents::Operations,
            _ => return Err(FormatError::Kind(kind)),
        };
        Ok(BlockHeader {
            codec,
            contents,
            raw_len,
            stored_len,
            pg,
            count,
            first_lsn: Lsn(take.u64()?),
            min_time: Timestamp(take.u64()?),
            max_time: Timestamp(take.u64()?),
            tags: take.u64()?,
            sum: take.u64()?,
            payload_crc: take.u32()?,
        })
    }

    /// Bytes of the whole block.
    pub const fn block_len(&self) -> u64 {
        BLOCK_HEADER_BYTES as u64 + self.stored_len as u64
    }
}

/// Why a record does not belong into the block that is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockRefused {
    /// It is an operation among messages, or a message among operations, or of another queue.
    #[error("the record at {0} is of another kind or queue: begin another block")]
    Foreign(Lsn),
    /// Its offset or lsn is not after the one before.
    #[error("the record at {lsn}, offset {offset}, is not after the one before it")]
    Order {
        /// Its lsn.
        lsn: Lsn,
        /// Its offset.
        offset: QueueOffset,
    },
    /// Its offset does not follow the one before, and the block is not sparse.
    #[error("offsets are missing before {0}: begin another block, after a gap")]
    Gap(QueueOffset),
    /// The block would have more than [`BLOCK_RAW_BYTES_MAX`].
    #[error("the block would be larger than {BLOCK_RAW_BYTES_MAX} bytes: begin another")]
    Full,
}

/// Gathers records for a block.
#[derive(Debug)]
pub struct BlockBuilder {
    header: BlockHeader,
    end: Lsn,
    raw: Vec<u8>,
}

impl BlockBuilder {
    /// A block for messages of one queue. `after_gap`: no message ever had the offset before the
    /// first; `sparse`: offsets within may be missing.
    pub fn messages(pg: PgId, queue: QueueUid, after_gap: bool, sparse: bool) -> BlockBuilder {
        let none = QueueOffset(0);
        let contents = Contents::Messages { queue, first: none, last: none, after_gap, sparse };
        BlockBuilder::of(pg, contents)
    }

    /// A block for operations.
    pub fn operations(pg: PgId) -> BlockBuilder {
        BlockBuilder::of(pg, Contents::Operations)
    }

    fn of(pg: PgId, contents: Contents) -> BlockBuilder {
        let header = BlockHeader {
            codec: CODEC_RAW,
            contents,
            raw_len: 0,
            stored_len: 0,
            pg,
            count: 0,
            first_lsn: Lsn(0),
            min_time: Timestamp(u64::MAX),
            max_time: Timestamp(0),
            tags: 0,
            sum: 0,
            payload_crc: 0,
        };
        BlockBuilder { header, end: Lsn(0), raw: Vec::new() }
    }

    /// Adds a record behind the others.
    ///
    /// # Errors
    /// When it does not belong there; the block is as before.
    pub fn push(&mut self, record: &Record) -> Result<(), BlockRefused> {
        // The varint before it has 10 bytes at most.
        if self.raw.len() + 10 + record.bytes().len() > BLOCK_RAW_BYTES_MAX as usize {
            return Err(BlockRefused::Full);
        }
        let gap = self.note(record)?;
        put_varint(&mut self.raw, gap);
        self.raw.extend_from_slice(record.bytes());
        Ok(())
    }

    /// Takes a record into the header; the bytes of the log between it and the one before.
    fn note(&mut self, record: &Record) -> Result<u64, BlockRefused> {
        let gap = self.note_unsummed(record)?;
        self.header.sum = self.header.sum.wrapping_add(record.check());
        Ok(gap)
    }

    fn note_unsummed(&mut self, record: &Record) -> Result<u64, BlockRefused> {
        let is_first = self.header.count == 0;
        if !is_first && record.lsn < self.end {
            return Err(BlockRefused::Order { lsn: record.lsn, offset: record.offset });
        }
        self.header.contents = self.extended(record)?;
        let gap = if is_first { 0 } else { record.lsn.since(self.end) };
        if is_first {
            self.header.first_lsn = record.lsn;
        }
        self.header.count += 1;
        self.header.min_time = self.header.min_time.min(record.time);
        self.header.max_time = self.header.max_time.max(record.time);
        self.header.tags |= tag_bit(record.filter);
        self.end = record.end();
        Ok(gap)
    }

    /// The contents with `record` behind them.
    fn extended(&self, record: &Record) -> Result<Contents, BlockRefused> {
        let is_message = record.kind == RecordKind::Message;
        match self.header.contents {
            Contents::Operations if !is_message => Ok(Contents::Operations),
            Contents::Messages { queue, first, last, after_gap, sparse }
                if is_message && record.queue == queue =>
            {
                let offset = record.offset;
                let is_first = self.header.count == 0;
                if !is_first && offset <= last {
                    return Err(BlockRefused::Order { lsn: record.lsn, offset });
                }
                if !is_first && !sparse && offset.since(last) != 1 {
                    return Err(BlockRefused::Gap(offset));
                }
                let first = if is_first { offset } else { first };
                Ok(Contents::Messages { queue, first, last: offset, after_gap, sparse })
            }
            Contents::Operations | Contents::Messages { .. } => {
                Err(BlockRefused::Foreign(record.lsn))
            }
        }
    }

    /// Bytes of its records so far.
    pub const fn raw_len(&self) -> usize {
        self.raw.len()
    }

    /// Whether it has no record.
    pub const fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// The block's bytes, and what its header says. It must not be empty.
    pub fn finish(mut self) -> (BlockHeader, Vec<u8>) {
        let mut out = vec![0; BLOCK_HEADER_BYTES];
        self.header.raw_len = self.raw.len() as u32;
        if compress(&self.raw, &mut out) {
            self.header.codec = CODEC_LZ4;
        } else {
            out.extend_from_slice(&self.raw);
        }
        self.header.stored_len = (out.len() - BLOCK_HEADER_BYTES) as u32;
        self.header.payload_crc = crc32c(&out[BLOCK_HEADER_BYTES..]);
        out[..BLOCK_HEADER_BYTES].copy_from_slice(&self.header.encode());
        (self.header, out)
    }
}

/// Appends `raw` to `out`, compressed; `false`, with `out` as before, where that saves less than a
/// sixteenth. Clients often compress bodies themselves: a sample of the middle says so cheaply.
fn compress(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let from = raw.len().saturating_sub(SNIFF_BYTES) / 2;
    let sample = &raw[from..raw.len().min(from + SNIFF_BYTES)];
    if raw.len() > 4 * SNIFF_BYTES
        && lz4_flex::block::compress(sample).len() > sample.len() / 20 * 19
    {
        return false;
    }
    let before = out.len();
    out.resize(before + get_maximum_output_size(raw.len()), 0);
    let stored = compress_into(raw, &mut out[before..]).unwrap_or(usize::MAX);
    let pays = stored <= raw.len() - raw.len() / 16;
    out.truncate(if pays { before + stored } else { before });
    pays
}

/// A decoded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What its header says.
    pub header: BlockHeader,
    /// Its records in order; slices of one buffer.
    pub records: Vec<Record>,
}

impl Block {
    /// Reads the block at the front of `bytes`, and holds its records against its header.
    ///
    /// # Errors
    /// When this is not a block as it was written.
    pub fn decode(bytes: &Bytes) -> Result<Block, FormatError> {
        Block::read(bytes, true)
    }

    /// The same for whoever only reads: that the sum of the records' checks fits is left to merges,
    /// who rely on it. The bytes are under the payload's checksum all the same, and the sum costs
    /// as much as that once more.
    ///
    /// # Errors
    /// When this is not a block as it was written.
    pub fn decode_unsummed(bytes: &Bytes) -> Result<Block, FormatError> {
        Block::read(bytes, false)
    }

    fn read(bytes: &Bytes, sums: bool) -> Result<Block, FormatError> {
        let header = BlockHeader::decode(bytes)?;
        let end = BLOCK_HEADER_BYTES + header.stored_len as usize;
        if bytes.len() < end {
            return Err(FormatError::Truncated);
        }
        let stored = bytes.slice(BLOCK_HEADER_BYTES..end);
        if crc32c(&stored) != header.payload_crc {
            return Err(FormatError::Checksum);
        }
        let raw = if header.codec == CODEC_LZ4 {
            let raw = decompress(&stored, header.raw_len as usize);
            Bytes::from(raw.map_err(|_| FormatError::Contradiction)?)
        } else {
            stored
        };
        if raw.len() != header.raw_len as usize {
            return Err(FormatError::Contradiction);
        }
        let records = records_of(&header, &raw, sums)?;
        Ok(Block { header, records })
    }
}

fn records_of(header: &BlockHeader, raw: &Bytes, sums: bool) -> Result<Vec<Record>, FormatError> {
    let mut again = match header.contents {
        Contents::Messages { queue, after_gap, sparse, .. } => {
            BlockBuilder::messages(header.pg, queue, after_gap, sparse)
        }
        Contents::Operations => BlockBuilder::operations(header.pg),
    };
    // No more than the bytes have room for, whatever the header says.
    let room = (header.count as usize).min(raw.len() / 32);
    let (mut records, mut at, mut lsn) = (Vec::with_capacity(room), 0, header.first_lsn);
    while at < raw.len() {
        let mut take = Take(&raw[at..]);
        let gap = take.varint()?;
        at = raw.len() - take.0.len();
        lsn = Lsn(lsn.0.checked_add(gap).ok_or(FormatError::Contradiction)?);
        let record = Record::first_of(lsn, &raw.slice(at..))?;
        at += record.bytes().len();
        let noted = if sums { again.note(&record) } else { again.note_unsummed(&record) };
        noted.map_err(|_| FormatError::Contradiction)?;
        lsn = Lsn(lsn
            .0
            .checked_add(record.bytes().len() as u64)
            .ok_or(FormatError::Contradiction)?);
        records.push(record);
    }
    if !sums {
        again.header.sum = header.sum;
    }
    let said = BlockHeader { codec: 0, raw_len: 0, stored_len: 0, payload_crc: 0, ..*header };
    if records.is_empty() || again.header != said {
        return Err(FormatError::Contradiction);
    }
    Ok(records)
}

pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(header) = BlockHeader::decode(bytes) {
        assert_eq!(BlockHeader::decode(&header.encode()), Ok(header));
    }
    if let Ok(block) = Block::decode(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(block.records.len(), block.header.count as usize);
    }
    // What has no checksum before it would hide from the fuzzer behind it.
    let raw = Bytes::copy_from_slice(bytes);
    let _ = decompress(bytes, 4096);
    let header = BlockBuilder::operations(PgId::FIRST).header;
    let _ = records_of(&header, &raw, true);
}

#[cfg(test)]
mod tests;

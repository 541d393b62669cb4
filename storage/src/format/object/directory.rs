//! The directory: whose records an object has.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, level u8, 0 u8, count u16 | level 0: a bundle |
//! | 8 | entries, 128 bytes each | ascending by pg |
//! | end - 4 | crc u32 | |
//!
//! | off | field of an entry | |
//! |---|---|---|
//! | 0 | pg u32, epoch u32 | the only epoch of the record that may come to reference it |
//! | 8 | lsn_from u64, lsn_to u64 | bundle: all of the log between; run: of the first record, after the last |
//! | 24 | chain_before u32, chain_end u32 | bundle: the log's chain at both ends; run: 0 |
//! | 32 | first_block u32, blocks u32 | its blocks in the queue index |
//! | 40 | operations_at u64, operations_len u64 | its blocks of operations |
//! | 56 | messages u64, operations u64 | records |
//! | 72 | message_bytes u64, operation_bytes u64 | of their records |
//! | 88 | dropped_bytes u64 | of records left out: of queues that are gone |
//! | 96 | message_sum u64, operation_sum u64 | of [`super::Record::check`] |
//! | 112 | min_time u64, max_time u64 | store times of all records |

use super::{Span, sealed, unsealed};
use crate::env::Timestamp;
use crate::format::take::Take;
use crate::format::{Epoch, FormatError, Lsn, PgId};

const MAGIC: u32 = 0x5249_4453; // "SDIR"
const ENTRY_BYTES: usize = 128;

/// What an object has of one placement group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgEntry {
    /// Whose.
    pub pg: PgId,
    /// The epoch of the record that may come to reference the object (replication.md G1).
    pub epoch: Epoch,
    /// First position.
    pub from: Lsn,
    /// After the last.
    pub to: Lsn,
    /// The log's chain at `from`; 0 in a run.
    pub chain_before: u32,
    /// The log's chain at `to`; 0 in a run.
    pub chain_end: u32,
    /// Place of its first block in the queue index.
    pub first_block: u32,
    /// Blocks of messages.
    pub blocks: u32,
    /// Where its blocks of operations lie.
    pub operations_at: Span,
    /// Messages.
    pub messages: u64,
    /// Other records.
    pub operations: u64,
    /// Bytes of the messages' records.
    pub message_bytes: u64,
    /// Bytes of the other records.
    pub operation_bytes: u64,
    /// Bytes of records left out: those of queues that are gone.
    pub dropped_bytes: u64,
    /// Sum of the messages' checks.
    pub message_sum: u64,
    /// Sum of the other records' checks.
    pub operation_sum: u64,
    /// Least store time; the end of time where there is no record.
    pub min_time: Timestamp,
    /// Greatest store time; 0 where there is no record.
    pub max_time: Timestamp,
}

impl PgEntry {
    /// An entry without records, whose range begins at `from`.
    pub const fn empty(pg: PgId, epoch: Epoch, from: Lsn) -> PgEntry {
        PgEntry {
            pg,
            epoch,
            from,
            to: from,
            chain_before: 0,
            chain_end: 0,
            first_block: 0,
            blocks: 0,
            operations_at: Span { at: 0, len: 0 },
            messages: 0,
            operations: 0,
            message_bytes: 0,
            operation_bytes: 0,
            dropped_bytes: 0,
            message_sum: 0,
            operation_sum: 0,
            min_time: Timestamp(u64::MAX),
            max_time: Timestamp(0),
        }
    }

    /// INV-OBJ-2, for a bundle: nothing of the range is missing.
    pub fn accounts_for_range(&self) -> bool {
        let kept = self.message_bytes.checked_add(self.operation_bytes);
        let all = kept.and_then(|kept| kept.checked_add(self.dropped_bytes));
        self.from <= self.to && all == Some(self.to.since(self.from))
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        for number in [self.pg.get(), self.epoch.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.from.0, self.to.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.chain_before, self.chain_end, self.first_block, self.blocks] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [
            self.operations_at.at,
            self.operations_at.len,
            self.messages,
            self.operations,
            self.message_bytes,
            self.operation_bytes,
            self.dropped_bytes,
            self.message_sum,
            self.operation_sum,
            self.min_time.0,
            self.max_time.0,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn take(take: &mut Take<'_>) -> Result<PgEntry, FormatError> {
        Ok(PgEntry {
            pg: PgId::new(take.u32()?).ok_or(FormatError::Length)?,
            epoch: Epoch(take.u32()?),
            from: Lsn(take.u64()?),
            to: Lsn(take.u64()?),
            chain_before: take.u32()?,
            chain_end: take.u32()?,
            first_block: take.u32()?,
            blocks: take.u32()?,
            operations_at: Span { at: take.u64()?, len: take.u64()? },
            messages: take.u64()?,
            operations: take.u64()?,
            message_bytes: take.u64()?,
            operation_bytes: take.u64()?,
            dropped_bytes: take.u64()?,
            message_sum: take.u64()?,
            operation_sum: take.u64()?,
            min_time: Timestamp(take.u64()?),
            max_time: Timestamp(take.u64()?),
        })
    }
}

/// All entries of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// 0: a bundle; above: a run.
    pub level: u8,
    /// Ascending by placement group; of a run exactly one.
    pub entries: Vec<PgEntry>,
}

impl Directory {
    /// The entry of a placement group.
    pub fn of(&self, pg: PgId) -> Option<&PgEntry> {
        let at = self.entries.binary_search_by_key(&pg, |entry| entry.pg).ok()?;
        self.entries.get(at)
    }

    /// The directory's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_le_bytes().to_vec();
        out.extend_from_slice(&[self.level, 0]);
        out.extend_from_slice(&(self.entries.len() as u16).to_le_bytes());
        self.entries.iter().for_each(|entry| entry.encode_into(&mut out));
        sealed(out)
    }

    /// Reads a directory.
    ///
    /// # Errors
    /// When these are not its bytes, or a bundle does not account for a range.
    pub fn decode(bytes: &[u8]) -> Result<Directory, FormatError> {
        let mut take = Take(unsealed(bytes)?);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let level = take.u8()?;
        take.u8()?;
        let count = usize::from(take.u16()?);
        if take.0.len() != count * ENTRY_BYTES {
            return Err(FormatError::Length);
        }
        let entries =
            (0..count).map(|_| PgEntry::take(&mut take)).collect::<Result<Vec<_>, _>>()?;
        let ascends = entries.windows(2).all(|pair| pair[0].pg < pair[1].pg);
        let whole = entries.iter().all(|entry| level > 0 || entry.accounts_for_range());
        if !ascends || !whole || (level > 0 && count != 1) {
            return Err(FormatError::Contradiction);
        }
        Ok(Directory { level, entries })
    }
}

pub(super) fn fuzz(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), sealed(bytes.to_vec())] {
        if let Ok(read) = Directory::decode(&bytes) {
            assert_eq!(Directory::decode(&read.encode()), Ok(read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(pg: u32) -> PgEntry {
        let pg = PgId::new(pg).unwrap();
        PgEntry {
            to: pg.first_lsn().plus(60),
            chain_before: 1,
            chain_end: 2,
            first_block: 3,
            blocks: 4,
            operations_at: Span { at: 5, len: 6 },
            messages: 7,
            operations: 8,
            message_bytes: 10,
            operation_bytes: 20,
            dropped_bytes: 30,
            message_sum: 12,
            operation_sum: 13,
            min_time: Timestamp(14),
            max_time: Timestamp(15),
            ..PgEntry::empty(pg, Epoch(9), pg.first_lsn())
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = Directory { level: 1, entries: vec![entry(2)] }.encode();
        let hex: String = bytes[..72].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "534449520100010002000000090000000000000000000200\
             3c0000000000020001000000020000000300000004000000\
             050000000000000006000000000000000700000000000000"
        );
        assert_eq!(bytes.len(), 8 + ENTRY_BYTES + 4);
    }

    #[test]
    fn a_bundle_that_lacks_bytes_of_its_range_is_refused() {
        let whole = Directory { level: 0, entries: vec![entry(1), entry(2)] };
        assert_eq!(Directory::decode(&whole.encode()), Ok(whole.clone()));
        let mut lacking = whole;
        lacking.entries[1].message_bytes -= 1;
        assert_eq!(Directory::decode(&lacking.encode()), Err(FormatError::Contradiction));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(bit in 0..8 * 140usize) {
            let mut bytes = Directory { level: 1, entries: vec![entry(2)] }.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Directory::decode(&bytes).is_err());
        }
    }
}

//! The key summary: which of many objects have a key, so that a search need not ask each of them.
//! It is an object of its own, beside those that it is about.
//!
//! ```text
//! [partition]*  [table]  [footer 32 B]
//! ```
//!
//! | off | field of a partition | |
//! |---|---|---|
//! | 0 | count u32 | |
//! | 4 | entries | ascending; varints: upper 48 bits of the hash less those before, object |
//! | end - 4 | crc u32 | |
//!
//! | off | field of the table | |
//! |---|---|---|
//! | 0 | pg u32, bits u32, objects u32 | upper bits of a hash that choose the partition |
//! | 12 | lsn u64, id u64, nonce u32 | keys of the objects; an entry names one by its place here |
//! | … | len u32 of each partition | 2^bits of them, from the front; 0: it has no key |
//! | end - 4 | crc u32 | |
//!
//! | off | field of the footer | |
//! |---|---|---|
//! | 0 | id u64, nonce u32 | of its own name |
//! | 12 | table u32, len u64 | bytes of the table, and of all |
//! | 24 | crc u32, magic u32 | crc32c of the 24 bytes before; version in the magic |
//!
//! Places in logs are left out: they are found by the manifest. So whoever looks for a hash that is
//! also that of a place in the log must ask the objects ([`KeyHash::lsn`]).

use super::{KeyHash, Span, sealed, unsealed};
use crate::format::take::{Take, put_varint};
use crate::format::{FormatError, Lsn, PgId, crc32c};
use bytes::Bytes;

/// Bytes to read from a summary's end at first.
pub const SUMMARY_READ_BYTES: u64 = 256 << 10;
/// Objects that one summary is about at most.
pub const SUMMARY_OBJECTS_MAX: usize = 4096;

const FOOTER_BYTES: usize = 32;
const MAGIC: u32 = 0x314b_4d53; // "SMK1"
const BITS_MAX: u32 = 16;
/// Entries that a partition aims at: some 24 KiB.
const PARTITION_ENTRIES: u64 = 6000;
/// Lower bits of a hash that are not kept: two keys among a billion share the rest.
const CUT_BITS: u32 = 16;

/// An object that a summary is about, as a manifest orders them.
pub type SummaryKey = (Lsn, u64, u32);

/// Writes a summary, hash by hash.
#[derive(Debug)]
pub struct SummaryBuilder {
    table: SummaryTable,
    part: u64,
    entries: Vec<u8>,
    count: u32,
    before: u64,
    at: u64,
}

/// What says where a summary's partitions lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryTable {
    /// Whose.
    pub pg: PgId,
    /// The objects, ascending.
    pub objects: Vec<SummaryKey>,
    bits: u32,
    partitions: Vec<Span>,
}

/// What the last bytes of a summary gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SummaryRead {
    /// All of the table.
    Whole(SummaryTable),
    /// The table is longer: read this, to the end.
    Longer(Span),
}

impl SummaryBuilder {
    /// A summary of these objects, with about so many entries.
    pub fn new(pg: PgId, objects: Vec<SummaryKey>, entries: u64) -> SummaryBuilder {
        let parts = (entries / PARTITION_ENTRIES).next_power_of_two();
        let bits = parts.trailing_zeros().min(BITS_MAX);
        let table = SummaryTable { pg, objects, bits, partitions: Vec::new() };
        SummaryBuilder { table, part: 0, entries: Vec::new(), count: 0, before: 0, at: 0 }
    }

    /// Adds that an object, by its place, has a hash; ascending by hash. What is ready to be
    /// uploaded is put into `out`.
    pub fn push(&mut self, hash: KeyHash, object: u32, out: &mut Vec<u8>) {
        let part = part_of(hash, self.table.bits);
        while self.part < part {
            self.close(out);
        }
        let cut = hash.0 >> CUT_BITS;
        put_varint(&mut self.entries, cut - self.before);
        put_varint(&mut self.entries, object.into());
        (self.before, self.count) = (cut, self.count + 1);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let mut len = 0;
        if self.count > 0 {
            let count = self.count.to_le_bytes().to_vec();
            let bytes = sealed([count, std::mem::take(&mut self.entries)].concat());
            len = bytes.len() as u64;
            out.extend_from_slice(&bytes);
        }
        self.table.partitions.push(Span { at: self.at, len });
        (self.at, self.count, self.before) = (self.at + len, 0, 0);
        self.part += 1;
    }

    /// The last bytes, behind what was given before; and the length of all.
    pub fn finish(mut self, (id, nonce): (u64, u32), out: &mut Vec<u8>) -> u64 {
        while self.part < 1 << self.table.bits {
            self.close(out);
        }
        let table = self.table.encode();
        let len = self.at + (table.len() + FOOTER_BYTES) as u64;
        let mut footer = id.to_le_bytes().to_vec();
        footer.extend_from_slice(&nonce.to_le_bytes());
        footer.extend_from_slice(&(table.len() as u32).to_le_bytes());
        footer.extend_from_slice(&len.to_le_bytes());
        let crc = crc32c(&footer);
        out.extend_from_slice(&table);
        out.extend_from_slice(&footer);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        len
    }
}

impl SummaryTable {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.pg.get(), self.bits, self.objects.len() as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for (lsn, id, nonce) in &self.objects {
            out.extend_from_slice(&lsn.0.to_le_bytes());
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&nonce.to_le_bytes());
        }
        let lens = self.partitions.iter().map(|span| span.len as u32);
        lens.for_each(|len| out.extend_from_slice(&len.to_le_bytes()));
        sealed(out)
    }

    /// Reads the table from the last bytes of a summary of `len` bytes with this id and nonce.
    ///
    /// # Errors
    /// When these are not its last bytes.
    pub fn read(bytes: &[u8], len: u64, id: (u64, u32)) -> Result<SummaryRead, FormatError> {
        let (rest, footer) =
            bytes.split_last_chunk::<FOOTER_BYTES>().ok_or(FormatError::Truncated)?;
        let (said, mut checks) = (&footer[..FOOTER_BYTES - 8], Take(&footer[FOOTER_BYTES - 8..]));
        let crc = checks.u32()?;
        if checks.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        if crc32c(said) != crc {
            return Err(FormatError::Checksum);
        }
        let mut take = Take(said);
        let found = (take.u64()?, take.u32()?);
        let (table, whole) = (take.u32()? as usize, take.u64()?);
        if found != id || whole != len || (table + FOOTER_BYTES) as u64 > len {
            return Err(FormatError::Contradiction);
        }
        match rest.len().checked_sub(table) {
            Some(at) => {
                let end = len - (table + FOOTER_BYTES) as u64;
                SummaryTable::decode(&rest[at..], end).map(SummaryRead::Whole)
            }
            None => {
                let bytes = (table + FOOTER_BYTES) as u64;
                Ok(SummaryRead::Longer(Span { at: len - bytes, len: bytes }))
            }
        }
    }

    /// Reads a table; the partitions end at `end`.
    fn decode(bytes: &[u8], end: u64) -> Result<SummaryTable, FormatError> {
        let mut take = Take(unsealed(bytes)?);
        let pg = PgId::new(take.u32()?).ok_or(FormatError::Length)?;
        let (bits, count) = (take.u32()?, take.u32()? as usize);
        if bits > BITS_MAX
            || count > SUMMARY_OBJECTS_MAX
            || take.0.len() != 20 * count + (4 << bits)
        {
            return Err(FormatError::Length);
        }
        let mut objects = Vec::with_capacity(count);
        for _ in 0..count {
            objects.push((Lsn(take.u64()?), take.u64()?, take.u32()?));
        }
        let mut partitions = Vec::with_capacity(1 << bits);
        let mut at = 0;
        for _ in 0..1u64 << bits {
            let len = u64::from(take.u32()?);
            partitions.push(Span { at, len });
            at += len;
        }
        if at != end || !objects.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(FormatError::Contradiction);
        }
        Ok(SummaryTable { pg, objects, bits, partitions })
    }

    /// The partition to fetch for a hash; `None`: no object has it.
    pub fn partition(&self, hash: KeyHash) -> Option<Span> {
        let at = usize::try_from(part_of(hash, self.bits)).ok()?;
        self.partitions.get(at).copied().filter(|span| span.len > 0)
    }

    /// Memory that it takes, about.
    pub const fn bytes(&self) -> usize {
        self.objects.len() * 24 + self.partitions.len() * 16
    }
}

/// The places of the objects that may have a hash, from its partition's bytes; ascending.
///
/// # Errors
/// When these are not a partition's bytes.
pub fn objects_with(partition: &Bytes, hash: KeyHash) -> Result<Vec<u32>, FormatError> {
    let mut take = Take(unsealed(partition)?);
    let (mut at, mut found) = (0u64, Vec::new());
    for _ in 0..take.u32()? {
        at = at.checked_add(take.varint()?).ok_or(FormatError::Contradiction)?;
        let object = take.varint_u32()?;
        if at == hash.0 >> CUT_BITS {
            found.push(object);
        }
    }
    found.sort_unstable();
    found.dedup();
    if take.0.is_empty() { Ok(found) } else { Err(FormatError::Length) }
}

const fn part_of(hash: KeyHash, bits: u32) -> u64 {
    if bits == 0 { 0 } else { hash.0 >> (64 - bits) }
}

pub(super) fn fuzz(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), sealed(bytes.to_vec())] {
        let _ = objects_with(&Bytes::from(bytes.clone()), KeyHash(0));
        let _ = SummaryTable::decode(&bytes, 0);
    }
    let _ = SummaryTable::read(bytes, bytes.len() as u64, (0, 0));
}

#[cfg(test)]
mod tests {
    use super::super::mix64;
    use super::*;
    use proptest::prelude::*;

    fn built(entries: &[(u64, u32)], objects: u32) -> Vec<u8> {
        let objects = (0..objects).map(|at| (Lsn(at.into()), 7, 1)).collect();
        let mut out = Vec::new();
        let pg = PgId::new(3).unwrap();
        let mut builder = SummaryBuilder::new(pg, objects, entries.len() as u64);
        entries.iter().for_each(|(hash, at)| builder.push(KeyHash(*hash), *at, &mut out));
        let len = builder.finish((9, 8), &mut out);
        assert_eq!(len, out.len() as u64);
        out
    }

    fn table(bytes: &[u8]) -> SummaryTable {
        match SummaryTable::read(bytes, bytes.len() as u64, (9, 8)).unwrap() {
            SummaryRead::Whole(table) => table,
            SummaryRead::Longer(span) => panic!("{span:?}"),
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = built(&[(0x1_0000, 1), (0x3_0000, 0)], 2);
        let hex: String = bytes[..8].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0200000001010200");
        assert_eq!(&bytes[bytes.len() - 4..], b"SMK1");
    }

    #[test]
    fn a_hash_is_found_in_the_objects_that_have_it_and_in_hardly_any_other() {
        let mut all: Vec<(u64, u32)> =
            (0..40_000u64).map(|key| (mix64(key / 2), (key % 50) as u32)).collect();
        all.sort_unstable();
        let bytes = Bytes::from(built(&all, 50));
        let table = table(&bytes);
        assert!(table.partitions.len() > 4 && bytes.len() < 40_000 * 8);
        let find = |hash| {
            let span = table.partition(hash)?;
            let part = bytes.slice(span.at as usize..span.end() as usize);
            Some(objects_with(&part, hash).unwrap())
        };
        for key in (0..20_000u64).step_by(97) {
            let expected = [2 * key % 50, (2 * key + 1) % 50].map(|at| at as u32);
            assert_eq!(find(KeyHash(mix64(key))), Some(expected.to_vec()));
        }
        let others = (20_000..40_000u64).step_by(97).filter_map(|key| find(KeyHash(mix64(key))));
        assert_eq!(others.flatten().count(), 0);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let whole = built(&[(5 << 20, 0), (u64::MAX, 1)], 2);
        let reads = |bytes: &[u8]| -> Result<Vec<u32>, FormatError> {
            let len = bytes.len() as u64;
            let SummaryRead::Whole(table) = SummaryTable::read(bytes, len, (9, 8))? else {
                return Err(FormatError::Length);
            };
            let span = table.partition(KeyHash(5 << 20)).ok_or(FormatError::Length)?;
            let part = span.of(bytes, 0).ok_or(FormatError::Length)?;
            objects_with(&Bytes::copy_from_slice(part), KeyHash(5 << 20))
        };
        assert_eq!(reads(&whole), Ok(vec![0]));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(reads(&bytes).is_err(), "bit {bit}");
        }
        assert!((0..whole.len()).all(|len| reads(&whole[..len]).is_err()));
        assert!(SummaryTable::read(&whole, whole.len() as u64, (9, 9)).is_err());
    }

    #[test]
    fn a_long_table_is_asked_for() {
        let whole = built(&[(1, 0)], 100);
        let len = whole.len() as u64;
        let read = SummaryTable::read(&whole[whole.len() - 100..], len, (9, 8)).unwrap();
        let SummaryRead::Longer(span) = read else { panic!("{read:?}") };
        let rest = &whole[span.at as usize..];
        assert!(matches!(SummaryTable::read(rest, len, (9, 8)), Ok(SummaryRead::Whole(_))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&bytes);
        }
    }
}

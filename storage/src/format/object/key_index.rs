//! The key index: every key, message id and lsn of an object, by its hash.
//!
//! Pages of 4 KiB hold the entries ([`super::key_page`]). They are cut into partitions by the upper
//! bits of the hash; each partition begins a page of its own, and what says whether and in which of
//! its pages a hash is lies together, so that one read answers it:
//!
//! | off | field of a partition | |
//! |---|---|---|
//! | 0 | first_page u32, pages u32 | its pages, counted over the object |
//! | 8 | first hash u64 of each page | |
//! | … | bloom | [`super::bloom`]; ten bits for each different hash |
//! | end - 4 | crc u32 | |
//!
//! The partition table is part of the tail:
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | pages_at u64 | place of the first page; the partitions follow the last |
//! | 8 | pages u32, bits u32 | upper bits of a hash that choose the partition |
//! | 16 | len u32 of each partition | 2^bits of them; 0: it has no key |
//! | end - 4 | crc u32 | |

use super::bloom::{BLOOM_BLOCK_BYTES, bloom_add, bloom_bytes, bloom_has};
use super::key_page::{KEY_PAGE_BYTES, KeyPlace, PageBuilder};
use super::record::KeyHash;
use super::{Span, sealed, unsealed};
use crate::format::FormatError;
use crate::format::take::Take;
use bytes::Bytes;
use std::ops::Range;

/// Bytes that a partition aims to stay below. Only the page list of a key that half the messages
/// share can exceed it.
pub const PARTITION_BYTES: usize = 64 << 10;
/// Entries that one object may have: what its writer holds in memory (24 bytes each).
pub const KEYS_MAX: usize = 2 << 20;
const BITS_MAX: u32 = 12;

/// Gathers the entries of a key index, in any order.
#[derive(Debug, Default)]
pub struct KeyIndexBuilder {
    entries: Vec<(KeyHash, KeyPlace)>,
}

/// The parts of a finished key index.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyIndex {
    /// All pages, then all partitions.
    pub body: Vec<u8>,
    /// The partition table.
    pub table: Vec<u8>,
}

impl KeyIndexBuilder {
    /// Adds an entry.
    pub fn push(&mut self, hash: KeyHash, place: KeyPlace) {
        self.entries.push((hash, place));
    }

    /// Entries so far.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The index's bytes; its body is to lie at `at`.
    pub fn finish(mut self, at: u64) -> KeyIndex {
        self.entries.sort_unstable();
        self.entries.dedup();
        // A guess from the mean, then doubled until the fullest fits.
        let mut bits = (bloom_bytes(self.entries.len()) / PARTITION_BYTES)
            .next_power_of_two()
            .trailing_zeros()
            .min(BITS_MAX);
        while bits < BITS_MAX && self.is_too_full(bits) {
            bits += 1;
        }
        self.write(at, bits)
    }

    fn parts(&self, bits: u32) -> impl Iterator<Item = &[(KeyHash, KeyPlace)]> {
        let mut rest = self.entries.as_slice();
        (0..1u64 << bits).map(move |part| {
            let len = rest.partition_point(|(hash, _)| partition_of(*hash, bits) <= part);
            let (this, others) = rest.split_at(len);
            rest = others;
            this
        })
    }

    fn is_too_full(&self, bits: u32) -> bool {
        // An entry takes at least 9 bytes of a page, mostly.
        self.parts(bits).any(|part| {
            let pages = part.len() * 14 / KEY_PAGE_BYTES + 1;
            bloom_bytes(different(part)) + 8 * pages + 12 > PARTITION_BYTES
        })
    }

    fn write(&self, at: u64, bits: u32) -> KeyIndex {
        let mut body = Vec::new();
        let mut partitions = Vec::new();
        let mut lens: Vec<u32> = Vec::new();
        for part in self.parts(bits) {
            if part.is_empty() {
                lens.push(0);
                continue;
            }
            let first_page = body.len() / KEY_PAGE_BYTES;
            let fences = write_pages(part, &mut body);
            let bytes = partition_bytes(first_page as u32, &fences, part);
            lens.push(bytes.len() as u32);
            partitions.extend_from_slice(&bytes);
        }
        let pages = (body.len() / KEY_PAGE_BYTES) as u32;
        body.extend_from_slice(&partitions);
        let mut table = at.to_le_bytes().to_vec();
        table.extend_from_slice(&pages.to_le_bytes());
        table.extend_from_slice(&bits.to_le_bytes());
        lens.iter().for_each(|len| table.extend_from_slice(&len.to_le_bytes()));
        KeyIndex { body, table: sealed(table) }
    }
}

/// Appends pages with the entries, and gives the first hash of each.
fn write_pages(part: &[(KeyHash, KeyPlace)], out: &mut Vec<u8>) -> Vec<KeyHash> {
    let mut fences = Vec::new();
    let mut page: Option<PageBuilder> = None;
    for (hash, place) in part {
        if page.as_mut().is_some_and(|page| page.push(*hash, *place)) {
            continue;
        }
        if let Some(full) = page.take() {
            full.finish_into(out);
        }
        let mut next = PageBuilder::new();
        // An entry of 25 bytes at most always fits in an empty page.
        next.push(*hash, *place);
        fences.push(*hash);
        page = Some(next);
    }
    if let Some(last) = page {
        last.finish_into(out);
    }
    fences
}

fn partition_bytes(first_page: u32, fences: &[KeyHash], part: &[(KeyHash, KeyPlace)]) -> Vec<u8> {
    let mut bytes = first_page.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(fences.len() as u32).to_le_bytes());
    fences.iter().for_each(|fence| bytes.extend_from_slice(&fence.0.to_le_bytes()));
    let mut bloom = vec![0; bloom_bytes(different(part))];
    part.iter().for_each(|(hash, _)| bloom_add(&mut bloom, hash.0));
    bytes.extend_from_slice(&bloom);
    sealed(bytes)
}

fn different(part: &[(KeyHash, KeyPlace)]) -> usize {
    part.chunk_by(|a, b| a.0 == b.0).count()
}

const fn partition_of(hash: KeyHash, bits: u32) -> u64 {
    if bits == 0 { 0 } else { hash.0 >> (64 - bits) }
}

/// Where partitions and pages lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTable {
    pages_at: u64,
    pages: u32,
    bits: u32,
    partitions: Vec<Span>,
}

impl KeyTable {
    /// Reads a partition table.
    ///
    /// # Errors
    /// When these are not its bytes.
    pub fn decode(bytes: &[u8]) -> Result<KeyTable, FormatError> {
        let mut take = Take(unsealed(bytes)?);
        let (pages_at, pages, bits) = (take.u64()?, take.u32()?, take.u32()?);
        if bits > BITS_MAX || take.0.len() != 4 << bits {
            return Err(FormatError::Length);
        }
        let body = u64::from(pages) * KEY_PAGE_BYTES as u64;
        let mut at = pages_at.checked_add(body).ok_or(FormatError::Length)?;
        let mut partitions = Vec::with_capacity(1 << bits);
        for _ in 0..1u64 << bits {
            let len = u64::from(take.u32()?);
            partitions.push(Span { at, len });
            at = at.checked_add(len).ok_or(FormatError::Length)?;
        }
        Ok(KeyTable { pages_at, pages, bits, partitions })
    }

    /// The partition to fetch for a hash; `None`: no message has it.
    pub fn partition(&self, hash: KeyHash) -> Option<Span> {
        let at = usize::try_from(partition_of(hash, self.bits)).ok()?;
        self.partitions.get(at).copied().filter(|span| span.len > 0)
    }

    /// Where the pages are that [`Partition::pages`] named.
    pub fn pages(&self, pages: &Range<u32>) -> Span {
        let at = self.pages_at + u64::from(pages.start) * KEY_PAGE_BYTES as u64;
        Span { at, len: u64::from(pages.end.saturating_sub(pages.start)) * KEY_PAGE_BYTES as u64 }
    }

    /// All pages: every entry of the object, ascending by hash.
    pub const fn all_pages(&self) -> Span {
        Span { at: self.pages_at, len: self.pages as u64 * KEY_PAGE_BYTES as u64 }
    }

    /// All bytes of pages and partitions.
    pub fn body(&self) -> Span {
        let end = self.partitions.last().map_or(self.pages_at, Span::end);
        Span { at: self.pages_at, len: end - self.pages_at }
    }

    /// Partitions, and how many bytes the largest has.
    pub fn partitions(&self) -> (usize, u64) {
        (self.partitions.len(), self.partitions.iter().map(|span| span.len).max().unwrap_or(0))
    }

    /// Where each partition lies, in order of hashes; those without a key are left out.
    pub fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.partitions.iter().copied().filter(|span| span.len > 0)
    }

    /// Pages.
    pub const fn page_count(&self) -> u32 {
        self.pages
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    first_page: u32,
    /// First hash of each page.
    fences: Vec<KeyHash>,
    bloom: Bytes,
}

impl Partition {
    /// Reads a partition.
    ///
    /// # Errors
    /// When these are not its bytes.
    pub fn decode(bytes: &Bytes) -> Result<Partition, FormatError> {
        let body = unsealed(bytes)?;
        let mut take = Take(body);
        let (first_page, pages) = (take.u32()?, take.u32()?);
        first_page.checked_add(pages).ok_or(FormatError::Length)?;
        if take.0.len() / 8 < pages as usize {
            return Err(FormatError::Truncated);
        }
        let fences = (0..pages).map(|_| take.u64().map(KeyHash)).collect::<Result<Vec<_>, _>>()?;
        if take.0.is_empty() || !take.0.len().is_multiple_of(BLOOM_BLOCK_BYTES) {
            return Err(FormatError::Length);
        }
        if !fences.is_sorted() {
            return Err(FormatError::Contradiction);
        }
        let bloom = bytes.slice(body.len() - take.0.len()..body.len());
        Ok(Partition { first_page, fences, bloom })
    }

    /// The pages that have every entry of `hash`; `None`: no message has it.
    pub fn pages(&self, hash: KeyHash) -> Option<Range<u32>> {
        if !bloom_has(&self.bloom, hash.0) {
            return None;
        }
        // A page that begins with the hash may be preceded by one that ends with it.
        let from = self.fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        let to = self.fences.partition_point(|fence| *fence <= hash);
        (from < to).then(|| self.first_page + from as u32..self.first_page + to as u32)
    }
}

pub(super) fn fuzz(bytes: &[u8]) {
    let sealed = sealed(bytes.to_vec());
    for bytes in [bytes, &sealed] {
        if let Ok(table) = KeyTable::decode(bytes) {
            let _ = (table.partition(KeyHash(1 << 63)), table.body(), table.pages(&(0..1)));
        }
        if let Ok(partition) = Partition::decode(&Bytes::copy_from_slice(bytes)) {
            let _ = partition.pages(KeyHash(1 << 63));
        }
    }
    let mut page = bytes.to_vec();
    page.resize(KEY_PAGE_BYTES - 4, 0);
    let _ = super::places_in_page(&super::sealed(page), KeyHash(1), &mut Vec::new(), 64);
}

#[cfg(test)]
mod tests;

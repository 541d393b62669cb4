//! A page of the key index: hashes in order, and where a message with that hash is.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | count u16 | entries |
//! | 2 | entries | see below |
//! | … | zeros | |
//! | 4092 | crc u32 | crc32c of all before it |
//!
//! An entry is three varints: the difference to the hash before (to 0 in the first), the queue's
//! number, and the offset less the queue's first offset in the object. Entries are in order of (hash,
//! queue number, offset), in a page and from page to page.

use super::queue_index::QueueNumber;
use super::record::KeyHash;
use super::unsealed;
use crate::format::take::{Take, put_varint};
use crate::format::{FormatError, crc32c};
use std::collections::VecDeque;

/// Bytes of a page.
pub const KEY_PAGE_BYTES: usize = 4096;
const ENTRIES_END: usize = KEY_PAGE_BYTES - 4;

/// Where a message is that may have the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPlace {
    /// The queue's number in the object.
    pub queue: QueueNumber,
    /// The message's offset less the offset of the queue's first message in the object.
    pub delta: u64,
}

/// A page that is being filled.
pub(super) struct PageBuilder {
    bytes: Vec<u8>,
    count: u16,
    hash: u64,
    scratch: Vec<u8>,
}

impl PageBuilder {
    pub(super) fn new() -> PageBuilder {
        PageBuilder { bytes: vec![0, 0], count: 0, hash: 0, scratch: Vec::new() }
    }

    /// Adds an entry behind the others; `false` when the page is full.
    pub(super) fn push(&mut self, hash: KeyHash, place: KeyPlace) -> bool {
        self.scratch.clear();
        put_varint(&mut self.scratch, hash.0.wrapping_sub(self.hash));
        put_varint(&mut self.scratch, place.queue.0.into());
        put_varint(&mut self.scratch, place.delta);
        if self.bytes.len() + self.scratch.len() > ENTRIES_END {
            return false;
        }
        self.bytes.extend_from_slice(&self.scratch);
        self.count += 1;
        self.hash = hash.0;
        true
    }

    pub(super) fn finish_into(mut self, out: &mut Vec<u8>) {
        self.bytes[..2].copy_from_slice(&self.count.to_le_bytes());
        self.bytes.resize(ENTRIES_END, 0);
        let crc = crc32c(&self.bytes);
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(&crc.to_le_bytes());
    }
}

/// Adds to `into` where the page says that messages with `hash` are; at most `limit` places in
/// `into`.
///
/// # Errors
/// When `page` is not a whole page as it was written.
pub fn places_in_page(
    page: &[u8],
    hash: KeyHash,
    into: &mut Vec<KeyPlace>,
    limit: usize,
) -> Result<(), FormatError> {
    for entry in entries_in_page(page)? {
        let (found, place) = entry?;
        if found > hash || into.len() >= limit {
            break;
        }
        if found == hash {
            into.push(place);
        }
    }
    Ok(())
}

/// Adds the hashes that a page has, ascending.
///
/// # Errors
/// When `page` is not a whole page as it was written.
pub fn hashes_in_page(page: &[u8], into: &mut VecDeque<KeyHash>) -> Result<(), FormatError> {
    for entry in entries_in_page(page)? {
        let (hash, _) = entry?;
        if into.back() != Some(&hash) {
            into.push_back(hash);
        }
    }
    Ok(())
}

/// All entries of a page, in order.
///
/// # Errors
/// When `page` is not a whole page as it was written; also where an entry is not.
pub fn entries_in_page(
    page: &[u8],
) -> Result<impl Iterator<Item = Result<(KeyHash, KeyPlace), FormatError>>, FormatError> {
    if page.len() != KEY_PAGE_BYTES {
        return Err(FormatError::Truncated);
    }
    let mut take = Take(unsealed(page)?);
    let mut left = take.u16()?;
    let mut hash = 0u64;
    Ok(std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        Some(take_entry(&mut take, &mut hash))
    }))
}

fn take_entry(take: &mut Take<'_>, hash: &mut u64) -> Result<(KeyHash, KeyPlace), FormatError> {
    *hash = hash.checked_add(take.varint()?).ok_or(FormatError::Contradiction)?;
    let queue = QueueNumber(take.varint_u32()?);
    Ok((KeyHash(*hash), KeyPlace { queue, delta: take.varint()? }))
}

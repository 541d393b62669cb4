//! The two kinds of pages. Both are objects of their own, and never change.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, version u16, 0 u16, count u32 | "SMPG" entries of runs, "SMST" starts of queues |
//! | 12 | entries | ascending; each as the difference to the one before |
//! | end - 4 | crc u32 | |
//!
//! A start is two varints: queue less the queue before, and the first offset kept.

use super::entry::{RunEntry, put_difference, take_difference};
use crate::format::object::{sealed, unsealed};
use crate::format::take::{Take, put_varint};
use crate::format::{FormatError, QueueOffset, QueueUid};

/// Entries that a page of runs aims at: about 160 KiB. A search over ten thousand objects reads five
/// pages, and a fold writes one or two of them again.
pub const PAGE_ENTRIES: usize = 2048;
/// Starts that a page of starts aims at: about 20 KiB.
pub const START_PAGE_ENTRIES: usize = 4096;

const RUNS: u32 = 0x4750_4d53; // "SMPG"
const STARTS: u32 = 0x5453_4d53; // "SMST"
const VERSION: u16 = 1;

/// Entries, ascending by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunPage(pub Vec<RunEntry>);

impl RunPage {
    /// The page's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = head(RUNS, self.0.len());
        let mut before = RunEntry::nothing();
        for entry in &self.0 {
            entry.put(&before, &mut out);
            before = *entry;
        }
        sealed(out)
    }

    /// Reads a page.
    ///
    /// # Errors
    /// When these are not its bytes, or its entries are out of order.
    pub fn decode(bytes: &[u8]) -> Result<RunPage, FormatError> {
        let (mut take, count) = opened(bytes, RUNS)?;
        let mut before = RunEntry::nothing();
        let mut entries: Vec<RunEntry> = Vec::with_capacity(count.min(take.0.len() / 16));
        for _ in 0..count {
            let entry = RunEntry::take(&mut take, &before)?;
            if entries.last().is_some_and(|last| last.key() >= entry.key()) {
                return Err(FormatError::Contradiction);
            }
            before = entry;
            entries.push(entry);
        }
        if take.0.is_empty() { Ok(RunPage(entries)) } else { Err(FormatError::Length) }
    }
}

/// First offsets that are kept, ascending by queue. A queue without one is kept from its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartPage(pub Vec<(QueueUid, QueueOffset)>);

impl StartPage {
    /// The page's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = head(STARTS, self.0.len());
        let mut before = 0;
        for (queue, offset) in &self.0 {
            put_difference(&mut out, queue.0, before);
            put_varint(&mut out, offset.0);
            before = queue.0;
        }
        sealed(out)
    }

    /// Reads a page.
    ///
    /// # Errors
    /// When these are not its bytes, or its queues are out of order.
    pub fn decode(bytes: &[u8]) -> Result<StartPage, FormatError> {
        let (mut take, count) = opened(bytes, STARTS)?;
        let mut starts: Vec<(QueueUid, QueueOffset)> =
            Vec::with_capacity(count.min(take.0.len() / 2));
        for _ in 0..count {
            let before = starts.last().map_or(0, |(queue, _)| queue.0);
            let queue = QueueUid(take_difference(&mut take, before)?);
            if !starts.is_empty() && queue.0 <= before {
                return Err(FormatError::Contradiction);
            }
            starts.push((queue, QueueOffset(take.varint()?)));
        }
        if take.0.is_empty() { Ok(StartPage(starts)) } else { Err(FormatError::Length) }
    }

    /// A queue's start, if the page has it.
    pub fn start_of(&self, queue: QueueUid) -> Option<QueueOffset> {
        let at = self.0.binary_search_by_key(&queue, |(known, _)| *known).ok()?;
        self.0.get(at).map(|(_, offset)| *offset)
    }
}

fn head(magic: u32, count: usize) -> Vec<u8> {
    let mut out = magic.to_le_bytes().to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(count as u32).to_le_bytes());
    out
}

fn opened(bytes: &[u8], magic: u32) -> Result<(Take<'_>, usize), FormatError> {
    let mut take = Take(unsealed(bytes)?);
    if take.u32()? != magic {
        return Err(FormatError::Magic);
    }
    let version = take.u16()?;
    if version != VERSION {
        return Err(FormatError::Version(version));
    }
    take.u16()?;
    let count = take.u32()? as usize;
    Ok((take, count))
}

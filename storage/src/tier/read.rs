//! From a question to the spans of an object that answer it, one request at a time.

use crate::format::object::{
    Block, BlockRef, Contents, KeyHash, KeyPlace, Partition, Record, Span, Tail, places_in_page,
};
use crate::format::{FormatError, PgId, QueueOffset, QueueUid};
use bytes::Bytes;

/// Bytes between two wanted blocks that are fetched along rather than in a request of their own.
const ALONG_BYTES: u64 = 64 << 10;
/// Places that one key may have in an object before the search says that it is not complete: a MiB
/// of them.
pub const PLACES_MAX: usize = 1 << 16;

/// One request, and the blocks that it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What to get.
    pub span: Span,
    /// The wanted blocks in it, in order; never empty.
    pub blocks: Vec<BlockRef>,
}

/// The requests for a queue's messages from an offset on: blocks next to each other in one, each
/// request at most `bytes_max` (or one block), all together at most `total_max` (or one block).
/// Blocks without a message of the wanted tags are left out; `tags` is of bits
/// ([`crate::format::object::tag_bit`]), `u64::MAX` wants all.
pub fn fetches(
    tail: &Tail,
    (pg, queue): (PgId, QueueUid),
    from: QueueOffset,
    tags: u64,
    (bytes_max, total_max): (u64, u64),
) -> Vec<Fetch> {
    let mut all: Vec<Fetch> = Vec::new();
    let mut total = 0;
    for block in tail.queues.blocks(pg, queue, from).filter(|block| block.tags & tags != 0) {
        if total > 0 && total + block.span.len > total_max {
            break;
        }
        total += block.span.len;
        if let Some(last) = all.last_mut()
            && block.span.at.saturating_sub(last.span.end()) <= ALONG_BYTES
            && block.span.end() - last.span.at <= bytes_max
        {
            last.span.len = block.span.end() - last.span.at;
            last.blocks.push(block);
        } else {
            all.push(Fetch { span: block.span, blocks: vec![block] });
        }
    }
    all
}

impl Fetch {
    /// The blocks, from the bytes of [`Fetch::span`].
    ///
    /// # Errors
    /// When one is not what was written, or not the one that the index means.
    pub fn decode(&self, bytes: &Bytes) -> Result<Vec<Block>, FormatError> {
        let one = |wanted: &BlockRef| {
            let part = wanted.span.of(bytes, self.span.at).ok_or(FormatError::Truncated)?;
            let block = Block::decode_unsummed(&bytes.slice_ref(part))?;
            if wanted.is_of(&block.header) { Ok(block) } else { Err(FormatError::Contradiction) }
        };
        self.blocks.iter().map(one).collect()
    }
}

/// The records of a placement group's operations, in order, from the bytes of the entry's
/// `operations_at`.
///
/// # Errors
/// When they are not what was written, or fewer or more than the directory counts.
pub fn operations_in(tail: &Tail, pg: PgId, bytes: &Bytes) -> Result<Vec<Record>, FormatError> {
    let entry = tail.directory.of(pg).ok_or(FormatError::Contradiction)?;
    if bytes.len() as u64 != entry.operations_at.len {
        return Err(FormatError::Truncated);
    }
    let (mut records, mut at, mut sum) = (Vec::new(), 0, 0u64);
    while at < bytes.len() {
        let block = Block::decode(&bytes.slice(at..))?;
        if block.header.contents != Contents::Operations || block.header.pg != pg {
            return Err(FormatError::Contradiction);
        }
        at += block.header.block_len() as usize;
        sum = sum.wrapping_add(block.header.sum);
        records.extend(block.records);
    }
    let ascends = records.windows(2).all(|pair| pair[0].end() <= pair[1].lsn);
    if !ascends || sum != entry.operation_sum || records.len() as u64 != entry.operations {
        return Err(FormatError::Contradiction);
    }
    Ok(records)
}

/// Where a message may be that has a key: fetch the block and look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The block.
    pub block: BlockRef,
    /// The message in it.
    pub offset: QueueOffset,
}

/// What a search for a key wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// Get this, and give it to [`KeySearch::feed`].
    Get(Span),
    /// The search is over.
    Done {
        /// By queue and offset; may be empty, and may name messages with another key.
        found: Vec<Candidate>,
        /// Whether there may be more than [`PLACES_MAX`].
        is_cut: bool,
    },
}

#[derive(Clone, Debug)]
enum KeyState {
    Partition(Span),
    Pages(Span),
    Done(Vec<KeyPlace>),
}

/// A search for one key in one object: at most two requests before the blocks themselves.
#[derive(Clone, Debug)]
pub struct KeySearch<'a> {
    tail: &'a Tail,
    hash: KeyHash,
    state: KeyState,
}

impl<'a> KeySearch<'a> {
    /// A search in the object with this tail.
    pub fn new(tail: &'a Tail, hash: KeyHash) -> KeySearch<'a> {
        let state = match tail.keys.partition(hash) {
            Some(span) => KeyState::Partition(span),
            None => KeyState::Done(Vec::new()),
        };
        KeySearch { tail, hash, state }
    }

    /// What comes next.
    pub fn step(&self) -> KeyStep {
        match &self.state {
            KeyState::Partition(span) | KeyState::Pages(span) => KeyStep::Get(*span),
            KeyState::Done(places) => {
                let found = places.iter().filter_map(|place| self.tail.block_at(*place));
                let found = found.map(|(block, offset)| Candidate { block, offset }).collect();
                KeyStep::Done { found, is_cut: places.len() >= PLACES_MAX }
            }
        }
    }

    /// Takes the bytes that [`KeySearch::step`] asked for.
    ///
    /// # Errors
    /// When they are not what was written; the search is as before.
    pub fn feed(&mut self, bytes: &Bytes) -> Result<(), FormatError> {
        self.state = match &self.state {
            KeyState::Partition(_) => match Partition::decode(bytes)?.pages(self.hash) {
                Some(pages) => KeyState::Pages(self.tail.keys.pages(&pages)),
                None => KeyState::Done(Vec::new()),
            },
            KeyState::Pages(_) => {
                let mut places = Vec::new();
                for page in bytes.chunks(crate::format::object::KEY_PAGE_BYTES) {
                    places_in_page(page, self.hash, &mut places, PLACES_MAX)?;
                }
                KeyState::Done(places)
            }
            KeyState::Done(places) => KeyState::Done(places.clone()),
        };
        Ok(())
    }
}

//! The tail of an object: all that says where something is in it.

use super::Span;
use super::directory::Directory;
use super::footer::{FOOTER_BYTES, Footer};
use super::key_index::KeyTable;
use super::key_page::KeyPlace;
use super::properties::Properties;
use super::queue_index::{BlockRef, QueueIndex};
use crate::format::{FormatError, QueueOffset, crc32c};
use bytes::Bytes;

/// Bytes to read from an object's end at first.
pub const TAIL_READ_BYTES: u64 = 256 << 10;

/// What the last bytes of an object gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailRead {
    /// All of it.
    Whole(Box<Tail>),
    /// The tail is longer: read this, to the object's end.
    Longer(Span),
}

/// An object's tail, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The footer.
    pub footer: Footer,
    /// Where the blocks of messages are.
    pub queues: QueueIndex,
    /// Where the parts of the key index are.
    pub keys: KeyTable,
    /// Whose records.
    pub directory: Directory,
    /// Words.
    pub properties: Properties,
}

impl Tail {
    /// What to read first of an object with so many bytes.
    pub fn first_read(object_len: u64) -> Span {
        let len = object_len.min(TAIL_READ_BYTES);
        Span { at: object_len - len, len }
    }

    /// Reads the last bytes of an object.
    ///
    /// # Errors
    /// When these are not the last bytes of an object, or its parts contradict each other.
    pub fn read(bytes: &Bytes) -> Result<TailRead, FormatError> {
        let footer = Footer::decode(bytes)?;
        let from = match footer.object_len.checked_sub(bytes.len() as u64) {
            Some(from) if from <= footer.tail_at => from,
            Some(_) => {
                let at = footer.tail_at;
                return Ok(TailRead::Longer(Span { at, len: footer.object_len - at }));
            }
            // More bytes than the object has: what is in front is not of it.
            None => return Err(FormatError::Length),
        };
        let tail_len = footer.object_len - footer.tail_at - FOOTER_BYTES as u64;
        let tail = Span { at: footer.tail_at, len: tail_len };
        if crc32c(tail.of(bytes, from).ok_or(FormatError::Truncated)?) != footer.tail_crc {
            return Err(FormatError::Checksum);
        }
        let [queues, keys, directory, properties] = footer.parts();
        let part = |span: Span| {
            span.of(bytes, from).map(|part| bytes.slice_ref(part)).ok_or(FormatError::Truncated)
        };
        let tail = Tail {
            footer,
            queues: QueueIndex::decode(&part(queues)?)?,
            keys: KeyTable::decode(&part(keys)?)?,
            directory: Directory::decode(&part(directory)?)?,
            properties: Properties::decode(&part(properties)?)?,
        };
        if tail.fits() {
            Ok(TailRead::Whole(Box::new(tail)))
        } else {
            Err(FormatError::Contradiction)
        }
    }

    /// Blocks, operations and key index lie one after the other and fill all before the tail; the
    /// directory counts what the index has.
    fn fits(&self) -> bool {
        let (mut at, mut block, mut blocks) = (0, 0, self.queues.iter().peekable());
        for entry in &self.directory.entries {
            let (mut count, mut messages) = (0, 0u64);
            while let Some(next) = blocks.next_if(|next| next.pg == entry.pg) {
                if next.span.at != at {
                    return false;
                }
                at = next.span.end();
                count += 1;
                messages += u64::from(next.count);
            }
            if (entry.first_block, entry.blocks, entry.messages) != (block, count, messages) {
                return false;
            }
            block += count;
            if entry.operations_at.at != at {
                return false;
            }
            at = entry.operations_at.end();
        }
        let keys = self.keys.body();
        blocks.peek().is_none() && keys.at == at && keys.end() == self.footer.tail_at
    }

    /// The block that may have the message at `place`, and its offset.
    pub fn block_at(&self, place: KeyPlace) -> Option<(BlockRef, QueueOffset)> {
        let first = self.queues.queue(place.queue)?;
        let offset = QueueOffset(first.first.0.checked_add(place.delta)?);
        let block = self.queues.blocks(first.pg, first.queue, offset).next()?;
        (block.first <= offset).then_some((block, offset))
    }
}

pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(TailRead::Whole(tail)) = Tail::read(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(tail.footer.object_len - tail.footer.tail_at, {
            let parts = tail.footer.parts();
            parts.iter().map(|span| span.len).sum::<u64>() + FOOTER_BYTES as u64
        });
    }
}

//! Writes an object front to back: records in order in, parts to upload out. Holds a block, the
//! indexes and nothing else, however large the object gets.

use super::name::ObjectId;
use crate::format::object::{
    BlockBuilder, BlockRefused, Directory, FOOTER_BYTES, Footer, KEYS_MAX, KeyHash,
    KeyIndexBuilder, KeyPlace, PgEntry, Properties, QueueIndexBuilder, Record, Span, Tail,
    TailRead,
};
use crate::format::{Epoch, FormatError, Lsn, PgId, QueueOffset, QueueUid, RecordKind, crc32c};
use bytes::Bytes;

/// Bytes of records that a block aims at: a reader of one message fetches as many, and lz4 gains
/// nothing from more.
pub const BLOCK_RAW_BYTES: usize = 512 << 10;

/// How a message follows the one before it in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Its offset is one more, or it is the queue's first in the object.
    Directly,
    /// The offsets between were given to no message.
    AfterGap,
    /// Messages between may have been taken out.
    Sparse,
}

/// Why an object cannot be written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// A record out of place: what feeds the writer is wrong.
    #[error("a record is out of place")]
    Block(#[from] BlockRefused),
    /// What was written is not what a reader would accept: stop, and do not upload it.
    #[error("the object contradicts itself")]
    Format(#[from] FormatError),
    /// A placement group was not begun, or is not after the one before.
    #[error("placement group {0} is out of order")]
    Order(PgId),
}

/// A written object, beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its own.
    pub id: ObjectId,
    /// Bytes.
    pub len: u64,
    /// Its tail, read back from the bytes.
    pub tail: Tail,
}

#[derive(Debug)]
struct Open {
    builder: BlockBuilder,
    /// `None`: operations.
    queue: Option<QueueUid>,
    sparse: bool,
    /// Of the messages in it.
    keys: Vec<(KeyHash, QueueOffset)>,
}

/// An object that is being written.
#[derive(Debug)]
pub struct ObjectWriter {
    id: ObjectId,
    level: u8,
    at: u64,
    ready: Vec<Bytes>,
    block: Option<Open>,
    /// The queue of the last message, and the offset of its first in the object.
    queue_first: Option<(QueueUid, QueueOffset)>,
    queues: QueueIndexBuilder,
    keys: KeyIndexBuilder,
    entry: Option<PgEntry>,
    entries: Vec<PgEntry>,
}

impl ObjectWriter {
    /// An object of this level; 0: a bundle.
    pub fn new(id: ObjectId, level: u8) -> ObjectWriter {
        ObjectWriter {
            id,
            level,
            at: 0,
            ready: Vec::new(),
            block: None,
            queue_first: None,
            queues: QueueIndexBuilder::default(),
            keys: KeyIndexBuilder::default(),
            entry: None,
            entries: Vec::new(),
        }
    }

    /// Goes on to the next placement group; `from` is its first position.
    ///
    /// # Errors
    /// When it is not after the one before.
    pub fn begin(&mut self, pg: PgId, epoch: Epoch, from: Lsn) -> Result<(), WriteRefused> {
        self.close_entry()?;
        let is_next = self.entries.last().is_none_or(|last| last.pg < pg);
        if !is_next || (self.level > 0 && !self.entries.is_empty()) {
            return Err(WriteRefused::Order(pg));
        }
        let entry = PgEntry { first_block: self.queues.len(), ..PgEntry::empty(pg, epoch, from) };
        self.entry = Some(entry);
        self.queue_first = None;
        Ok(())
    }

    /// What a bundle knows of the placement group beside its records: where its range ends, the
    /// chain at both ends, and the bytes left out.
    pub fn range(&mut self, to: Lsn, chain_before: u32, chain_end: u32, dropped_bytes: u64) {
        if let Some(entry) = &mut self.entry {
            *entry = PgEntry { to, chain_before, chain_end, dropped_bytes, ..*entry };
        }
    }

    /// Adds a message, in order of (queue, offset), and what it is to be found by; its lsn is always
    /// among that.
    ///
    /// # Errors
    /// When it is out of order, or is no message.
    pub fn message(
        &mut self,
        record: &Record,
        follows: Follows,
        keys: &[KeyHash],
    ) -> Result<(), WriteRefused> {
        if record.kind != RecordKind::Message {
            return Err(BlockRefused::Foreign(record.lsn).into());
        }
        let sparse = follows == Follows::Sparse;
        let stays = follows != Follows::AfterGap
            && self.block.as_ref().is_some_and(|open| {
                open.queue == Some(record.queue) && open.sparse == sparse && has_room(open, record)
            });
        if !stays {
            self.close_block()?;
        }
        let pg = self.entry.ok_or(WriteRefused::Order(pg_of(record)))?.pg;
        let open = self.block.get_or_insert_with(|| Open {
            builder: BlockBuilder::messages(pg, record.queue, follows == Follows::AfterGap, sparse),
            queue: Some(record.queue),
            sparse,
            keys: Vec::new(),
        });
        open.builder.push(record)?;
        open.keys.push((KeyHash::of_lsn(record.lsn), record.offset));
        open.keys.extend(keys.iter().map(|key| (*key, record.offset)));
        self.count(record);
        Ok(())
    }

    /// Adds any other record, in order of lsn, after all messages of its placement group.
    ///
    /// # Errors
    /// When it is out of order, or is a message.
    pub fn operation(&mut self, record: &Record) -> Result<(), WriteRefused> {
        let stays =
            self.block.as_ref().is_some_and(|open| open.queue.is_none() && has_room(open, record));
        if !stays {
            self.close_block()?;
        }
        let entry = self.entry.as_mut().ok_or(WriteRefused::Order(pg_of(record)))?;
        if entry.operations == 0 {
            entry.operations_at = Span { at: self.at, len: 0 };
        }
        let pg = entry.pg;
        let open = self.block.get_or_insert_with(|| Open {
            builder: BlockBuilder::operations(pg),
            queue: None,
            sparse: false,
            keys: Vec::new(),
        });
        open.builder.push(record)?;
        self.count(record);
        Ok(())
    }

    /// Takes a record into the placement group's entry.
    fn count(&mut self, record: &Record) {
        let is_run = self.level > 0;
        let Some(entry) = &mut self.entry else { return };
        let (len, check) = (record.bytes().len() as u64, record.check());
        if record.kind == RecordKind::Message {
            entry.messages += 1;
            entry.message_bytes += len;
            entry.message_sum = entry.message_sum.wrapping_add(check);
        } else {
            entry.operations += 1;
            entry.operation_bytes += len;
            entry.operation_sum = entry.operation_sum.wrapping_add(check);
        }
        if is_run {
            let is_first = entry.messages + entry.operations == 1;
            entry.from = if is_first { record.lsn } else { entry.from.min(record.lsn) };
            entry.to = if is_first { record.end() } else { entry.to.max(record.end()) };
        }
        entry.min_time = entry.min_time.min(record.time);
        entry.max_time = entry.max_time.max(record.time);
    }

    fn close_block(&mut self) -> Result<(), WriteRefused> {
        let Some(open) = self.block.take() else { return Ok(()) };
        let (header, bytes) = open.builder.finish();
        let len = bytes.len() as u64;
        if let Some(queue) = open.queue {
            let number = self.queues.push(&header, self.at)?;
            let offset = open.keys.first().map_or(QueueOffset(0), |(_, offset)| *offset);
            let first = match self.queue_first {
                Some((known, first)) if known == queue => first,
                Some(_) | None => offset,
            };
            self.queue_first = Some((queue, first));
            for (hash, offset) in open.keys {
                self.keys.push(hash, KeyPlace { queue: number, delta: offset.since(first) });
            }
            if let Some(entry) = &mut self.entry {
                entry.blocks += 1;
            }
        } else if let Some(entry) = &mut self.entry {
            entry.operations_at.len += len;
        }
        self.put(bytes);
        Ok(())
    }

    fn close_entry(&mut self) -> Result<(), WriteRefused> {
        self.close_block()?;
        if let Some(mut entry) = self.entry.take() {
            if entry.operations == 0 {
                entry.operations_at = Span { at: self.at, len: 0 };
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    fn put(&mut self, bytes: Vec<u8>) {
        self.at += bytes.len() as u64;
        if !bytes.is_empty() {
            self.ready.push(Bytes::from(bytes));
        }
    }

    /// What is ready to be uploaded, in order; each byte is given once.
    pub fn take_parts(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.ready)
    }

    /// Bytes of finished blocks so far.
    pub const fn len(&self) -> u64 {
        self.at
    }

    /// Whether nothing was added.
    pub const fn is_empty(&self) -> bool {
        self.at == 0 && self.block.is_none()
    }

    /// The indexes have as many entries as one object may have: finish it and begin another.
    pub fn is_full(&self) -> bool {
        let pending = self.block.as_ref().map_or(0, |open| open.keys.len());
        self.keys.len() + pending >= KEYS_MAX
    }

    /// Writes indexes and footer. The last parts are to be taken from what is returned.
    ///
    /// # Errors
    /// When the tail does not read back.
    pub fn finish(
        mut self,
        properties: &Properties,
    ) -> Result<(Finished, Vec<Bytes>), WriteRefused> {
        self.close_entry()?;
        let keys = std::mem::take(&mut self.keys).finish(self.at);
        self.put(keys.body);
        let queues = std::mem::take(&mut self.queues).finish();
        let directory = Directory { level: self.level, entries: self.entries.clone() }.encode();
        let words = properties.encode();
        let tail = [queues.as_slice(), &keys.table, &directory, &words].concat();
        let footer = Footer {
            tail_at: self.at,
            object_len: self.at + (tail.len() + FOOTER_BYTES) as u64,
            queue_index: queues.len() as u32,
            partition_table: keys.table.len() as u32,
            directory: directory.len() as u32,
            properties: words.len() as u32,
            tail_crc: crc32c(&tail),
            id: self.id.id,
            nonce: self.id.nonce,
        };
        let mut bytes = tail;
        bytes.extend_from_slice(&footer.encode());
        let bytes = Bytes::from(bytes);
        let TailRead::Whole(tail) = Tail::read(&bytes)? else {
            return Err(FormatError::Contradiction.into());
        };
        self.ready.push(bytes);
        let finished = Finished { id: self.id, len: footer.object_len, tail: *tail };
        Ok((finished, self.ready))
    }
}

fn has_room(open: &Open, record: &Record) -> bool {
    open.builder.raw_len() + record.bytes().len() <= BLOCK_RAW_BYTES
}

/// For an answer only: where the record says it is from.
fn pg_of(record: &Record) -> PgId {
    record.lsn.pg().unwrap_or(PgId::FIRST)
}

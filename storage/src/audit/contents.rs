//! All bytes of an object: every block is decoded, counted, and held against the directory.

use super::finding::{Affected, Fault};
use super::front::Front;
use super::keys::Keys;
use super::tail::{Damage, Part, Unreadable};
use crate::env::Timestamp;
use crate::format::object::{
    BLOCK_HEADER_BYTES, Block, BlockHeader, BlockRef, Contents as Kind, KeyPlace, PgEntry, Record,
    Span, Tail,
};
use crate::format::{FormatError, Lsn, QueueOffset};
use crate::object::Bucket;
use crate::tier::ObjectName;
use crate::tier::proof::Digest;

/// How an object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// The digest of all bytes.
    pub(super) digest: bool,
    /// Every message is looked for in the key index, not some.
    pub(super) every_key: bool,
}

/// What was found in an object.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) faults: Vec<(Fault, Vec<Affected>)>,
    pub(super) messages: u64,
    pub(super) operations: u64,
    pub(super) digest: Option<Digest>,
}

/// Reads an object whose tail is sound.
pub(super) async fn read(
    bucket: &Bucket,
    name: &ObjectName,
    tail: &Tail,
    want: Want,
) -> Result<Contents, Unreadable> {
    let mut front = Front::of(bucket, name, tail.footer.object_len, want.digest);
    let (mut contents, mut keys) = (Contents::default(), Keys::new(want.every_key));
    for entry in &tail.directory.entries {
        let mut counted = Counted::new(entry);
        // Where the queue's first message in the object is: what the key index counts from.
        let mut first: Option<BlockRef> = None;
        for block in tail.queues.blocks_of(entry.pg) {
            let of_queue = *first.get_or_insert(block);
            let of_queue = if of_queue.queue == block.queue { of_queue } else { block };
            first = Some(of_queue);
            let bytes = front.take(block.span.len).await?;
            match decode(&bytes, &block) {
                Ok(read) => {
                    for record in &read.records {
                        let delta = record.offset.since(of_queue.first);
                        keys.message(record, KeyPlace { queue: block.number, delta });
                        counted.take(record);
                    }
                    contents.messages += read.records.len() as u64;
                }
                Err(source) => {
                    counted.whole = false;
                    let damage = Damage { part: Part::Messages, at: block.span, source };
                    contents.faults.push((Fault::Damaged(damage), vec![messages(&block)]));
                }
            }
        }
        operations(&mut front, entry, &mut counted, &mut contents).await?;
        if !counted.fits() {
            contents.faults.push((Fault::Sums, vec![all(entry)]));
        }
    }
    keys.check(&mut front, tail, &mut contents).await?;
    contents.digest = front.finish().await?;
    Ok(contents)
}

fn messages(block: &BlockRef) -> Affected {
    let BlockRef { pg, queue, first, last, .. } = *block;
    Affected::Messages { pg, queue, first, last }
}

pub(super) fn all(entry: &PgEntry) -> Affected {
    Affected::All { pg: entry.pg, from: entry.from, to: entry.to }
}

fn decode(bytes: &bytes::Bytes, wanted: &BlockRef) -> Result<Block, FormatError> {
    let block = Block::decode(bytes)?;
    let times = (block.header.min_time, block.header.max_time, block.header.tags);
    let is_meant =
        wanted.is_of(&block.header) && times == (wanted.min_time, wanted.max_time, wanted.tags);
    if is_meant { Ok(block) } else { Err(FormatError::Contradiction) }
}

/// The blocks of operations, of which only the first one's place is known. Behind a damaged header
/// nobody knows where the next begins.
async fn operations(
    front: &mut Front<'_>,
    entry: &PgEntry,
    counted: &mut Counted<'_>,
    contents: &mut Contents,
) -> Result<(), Unreadable> {
    let region = entry.operations_at;
    let mut from = entry.from;
    while front.at() < region.end() {
        let left = region.end() - front.at();
        let head = front.peek(left.min(BLOCK_HEADER_BYTES as u64)).await?;
        let header = BlockHeader::decode(&head).and_then(|header| match header.contents {
            Kind::Operations if header.pg == entry.pg && header.block_len() <= left => Ok(header),
            Kind::Operations | Kind::Messages { .. } => Err(FormatError::Contradiction),
        });
        let at = Span { at: front.at(), len: header.as_ref().map_or(left, BlockHeader::block_len) };
        let read = match header {
            Ok(_) => Block::decode(&front.take(at.len).await?),
            Err(source) => {
                front.skip_to(region.end()).await?;
                Err(source)
            }
        };
        match read {
            Ok(block) => {
                block.records.iter().for_each(|record| counted.take(record));
                contents.operations += block.records.len() as u64;
                from = block.records.last().map_or(from, Record::end);
            }
            Err(source) => {
                counted.whole = false;
                let damage = Damage { part: Part::Operations, at, source };
                let affected = Affected::Operations { pg: entry.pg, from, to: entry.to };
                contents.faults.push((Fault::Damaged(damage), vec![affected]));
            }
        }
    }
    Ok(())
}

/// What was decoded of one placement group, against its entry.
struct Counted<'a> {
    said: &'a PgEntry,
    is: PgEntry,
    /// Positions and offsets are where they may be.
    sound: bool,
    /// Nothing was damaged.
    whole: bool,
    last_operation: Lsn,
    last_message: Option<(u64, QueueOffset)>,
}

impl Counted<'_> {
    fn new(said: &PgEntry) -> Counted<'_> {
        let is = PgEntry::empty(said.pg, said.epoch, said.from);
        let is = PgEntry { min_time: Timestamp(u64::MAX), max_time: Timestamp(0), ..is };
        let last_operation = Lsn(0);
        Counted { said, is, sound: true, whole: true, last_operation, last_message: None }
    }

    fn take(&mut self, record: &Record) {
        let (said, is) = (self.said, &mut self.is);
        let (len, check) = (record.bytes().len() as u64, record.check());
        self.sound &= said.from <= record.lsn && record.end() <= said.to;
        if record.kind == crate::format::RecordKind::Message {
            let place = (record.queue.0, record.offset);
            self.sound &= self.last_message.is_none_or(|last| last < place);
            self.last_message = Some(place);
            is.messages += 1;
            is.message_bytes += len;
            is.message_sum = is.message_sum.wrapping_add(check);
        } else {
            self.sound &= self.last_operation <= record.lsn;
            self.last_operation = record.end();
            is.operations += 1;
            is.operation_bytes += len;
            is.operation_sum = is.operation_sum.wrapping_add(check);
        }
        is.min_time = is.min_time.min(record.time);
        is.max_time = is.max_time.max(record.time);
    }

    /// INV-OBJ-2, over what is really there. What is damaged is told elsewhere.
    fn fits(&self) -> bool {
        let sums = |entry: &PgEntry| {
            let PgEntry { messages, operations, message_bytes, operation_bytes, .. } = *entry;
            let PgEntry { message_sum, operation_sum, min_time, max_time, .. } = *entry;
            let counts = [messages, operations, message_bytes, operation_bytes];
            (counts, [message_sum, operation_sum], min_time, max_time)
        };
        !self.whole || self.sound && sums(&self.is) == sums(self.said)
    }
}

//! Logs to make objects of, for tests: what an owner would have written, and a reader of all that
//! an object has.

use super::{BundleBuilder, Frame, KeySearch, KeyStep, Knowledge, fetches, operations_in};
use crate::env::Timestamp;
use crate::format::object::{BlockRef, KeyHash, Record, Span, Tail, TailRead};
use crate::format::{
    Attributes, Envelope, Epoch, FormatError, Kind, Lsn, PgId, QueueOffset, QueueOpenRecord,
    QueueUid, RecordKind, chain_of, crc32c,
};
use bytes::Bytes;
use std::collections::HashMap;

/// A log that grows frame by frame.
pub struct SampleLog {
    /// Whose.
    pub pg: PgId,
    /// Of the record that bundles of it are for.
    pub epoch: Epoch,
    /// Where its frames begin.
    pub from: Lsn,
    /// The chain there.
    pub chain_before: u32,
    /// Where they end.
    pub end: Lsn,
    /// The chain at the end.
    pub chain: u32,
    /// Finished frames.
    pub frames: Vec<Frame>,
    /// What is in them.
    pub records: Vec<Record>,
    /// Store time of the next record.
    pub time: u64,
    next: HashMap<QueueUid, u64>,
    payload: Vec<u8>,
}

impl SampleLog {
    /// An empty log.
    pub fn new(pg: u32) -> SampleLog {
        let pg = PgId::new(pg).expect("a small number");
        let from = pg.first_lsn();
        SampleLog {
            pg,
            epoch: Epoch(3),
            from,
            chain_before: 0,
            end: from,
            chain: 0,
            frames: Vec::new(),
            records: Vec::new(),
            time: 1_000_000,
            next: HashMap::new(),
            payload: Vec::new(),
        }
    }

    /// The same log from its end on.
    pub fn go_on(&mut self) {
        self.cut();
        (self.from, self.chain_before) = (self.end, self.chain);
        self.frames.clear();
        self.records.clear();
    }

    fn put(&mut self, kind: RecordKind, queue: u64, offset: u64, filter: u64, body: &[u8]) {
        let envelope = Envelope {
            kind: Kind::Record(kind),
            queue: QueueUid(queue),
            offset: QueueOffset(offset),
            attributes: Attributes { time: Timestamp(self.time), filter },
            body_len: body.len() as u32,
        };
        let mut bytes = envelope.encode()[..envelope.head_len() as usize].to_vec();
        bytes.extend_from_slice(body);
        self.payload.extend_from_slice(&bytes);
        let lsn = self.end.plus((self.payload.len() - bytes.len()) as u64);
        self.records.push(Record::first_of(lsn, &Bytes::from(bytes)).expect("just written"));
    }

    /// Adds a message.
    pub fn message(&mut self, queue: u64, filter: u64, body: &[u8]) {
        let next = self.next.entry(QueueUid(queue)).or_default();
        let offset = *next;
        *next += 1;
        self.put(RecordKind::Message, queue, offset, filter, body);
    }

    /// Adds an operation.
    pub fn operation(&mut self, queue: u64, body: &[u8]) {
        self.put(RecordKind::Ack, queue, 0, 0, body);
    }

    /// The queue's offsets jump, and a record says so.
    pub fn open(&mut self, queue: u64, by: u64) {
        let next = self.next.entry(QueueUid(queue)).or_default();
        *next += by;
        let body = QueueOpenRecord { next: QueueOffset(*next), crashes: 1 }.encode();
        self.put(RecordKind::QueueOpen, queue, 0, 0, &body);
    }

    /// The queue's offsets jump, and nothing says so.
    pub fn jump(&mut self, queue: u64, by: u64) {
        *self.next.entry(QueueUid(queue)).or_default() += by;
    }

    /// Ends the frame.
    pub fn cut(&mut self) {
        if self.payload.is_empty() {
            return;
        }
        let payload = Bytes::from(std::mem::take(&mut self.payload));
        let payload_crc = crc32c(&payload);
        self.chain = chain_of(self.chain, payload_crc);
        let len = payload.len() as u64;
        self.frames.push(Frame { lsn: self.end, payload_crc, chain: self.chain, payload });
        self.end = self.end.plus(len);
    }

    /// Puts the frames into a bundle.
    pub fn put_into(&mut self, builder: &mut BundleBuilder) {
        self.cut();
        builder.begin(self.pg, self.epoch, self.from, self.chain_before).expect("not begun");
        for frame in &self.frames {
            builder.frame(self.pg, frame).expect("it follows");
        }
    }
}

/// A message's body is its key.
pub struct BodyIsKey;

impl Knowledge for BodyIsKey {
    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        into.push(key(&message.body()));
    }

    fn is_gone(&self, _: PgId, queue: QueueUid) -> bool {
        queue == GONE
    }

    fn opened_at(&self, _: PgId, _: QueueUid) -> Option<QueueOffset> {
        None
    }
}

/// The queue that [`BodyIsKey`] calls gone.
pub const GONE: QueueUid = QueueUid(99);

/// What [`BodyIsKey`] has messages found by.
pub fn key(body: &[u8]) -> KeyHash {
    KeyHash::of_key(b"topic", body)
}

/// An object's bytes, and how many requests were made of it.
pub struct Object {
    /// All of them.
    pub bytes: Bytes,
    /// Requests so far.
    pub gets: std::cell::Cell<u32>,
}

impl Object {
    /// Of its parts.
    pub fn of(parts: &[Bytes]) -> Object {
        Object { bytes: Bytes::from(parts.concat()), gets: std::cell::Cell::new(0) }
    }

    /// What a store answers.
    pub fn get(&self, span: Span) -> Bytes {
        self.gets.set(self.gets.get() + 1);
        // A store answers with fewer bytes where the object ends.
        let end = (span.end() as usize).min(self.bytes.len());
        self.bytes.slice((span.at as usize).min(end)..end)
    }

    /// Its tail.
    ///
    /// # Errors
    /// When it is damaged; here and below.
    pub fn tail(&self) -> Result<Tail, FormatError> {
        let mut span = Tail::first_read(self.bytes.len() as u64);
        loop {
            match Tail::read(&self.get(span))? {
                TailRead::Whole(tail) => return Ok(*tail),
                TailRead::Longer(more) => span = more,
            }
        }
    }

    /// A queue's messages.
    ///
    /// # Errors
    /// See [`Object::tail`].
    pub fn queue(
        &self,
        tail: &Tail,
        pg: PgId,
        queue: QueueUid,
        from: QueueOffset,
    ) -> Result<Vec<Record>, FormatError> {
        let mut records = Vec::new();
        for fetch in fetches(tail, (pg, queue), from, u64::MAX, (1 << 20, u64::MAX)) {
            for block in fetch.decode(&self.get(fetch.span))? {
                records.extend(block.records.into_iter().filter(|record| record.offset >= from));
            }
        }
        Ok(records)
    }

    /// A placement group's operations.
    ///
    /// # Errors
    /// See [`Object::tail`].
    pub fn operations(&self, tail: &Tail, pg: PgId) -> Result<Vec<Record>, FormatError> {
        let span = tail.directory.of(pg).map_or(Span::default(), |entry| entry.operations_at);
        operations_in(tail, pg, &self.get(span))
    }

    /// The messages that have a key, found through the index alone.
    ///
    /// # Errors
    /// See [`Object::tail`].
    pub fn search(&self, tail: &Tail, hash: KeyHash) -> Result<Vec<Record>, FormatError> {
        let mut search = KeySearch::new(tail, hash);
        loop {
            match search.step() {
                KeyStep::Get(span) => search.feed(&self.get(span))?,
                KeyStep::Done { found, .. } => {
                    let mut records = Vec::new();
                    for candidate in found {
                        records.extend(self.at(candidate.block, candidate.offset)?);
                    }
                    return Ok(records);
                }
            }
        }
    }

    fn at(&self, block: BlockRef, offset: QueueOffset) -> Result<Option<Record>, FormatError> {
        let fetch = super::Fetch { span: block.span, blocks: vec![block] };
        let blocks = fetch.decode(&self.get(block.span))?;
        Ok(blocks.into_iter().flat_map(|b| b.records).find(|record| record.offset == offset))
    }

    /// Everything that can be read out of it, through every way there is.
    ///
    /// # Errors
    /// See [`Object::tail`].
    pub fn everything(&self) -> Result<Vec<(PgId, Vec<Record>)>, FormatError> {
        let tail = self.tail()?;
        let mut all = Vec::new();
        for entry in &tail.directory.entries {
            let mut records = self.operations(&tail, entry.pg)?;
            let mut queues: Vec<QueueUid> =
                tail.queues.blocks_of(entry.pg).map(|block| block.queue).collect();
            queues.dedup();
            for queue in queues {
                records.extend(self.queue(&tail, entry.pg, queue, QueueOffset(0))?);
            }
            for record in &records {
                let hashes = [KeyHash::of_lsn(record.lsn), key(&record.body())];
                for hash in hashes.iter().filter(|_| record.kind == RecordKind::Message) {
                    if !self.search(&tail, *hash)?.contains(record) {
                        return Err(FormatError::Contradiction);
                    }
                }
            }
            records.sort_by_key(|record| record.lsn);
            all.push((entry.pg, records));
        }
        Ok(all)
    }
}

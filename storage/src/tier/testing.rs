//! A log for tests and measurements of other crates: what an owner would have committed, as frames
//! that a bundle takes.

use super::{BundleBuilder, BundleRefused, Frame};
use crate::env::Timestamp;
use crate::format::{
    Attributes, Envelope, Epoch, Kind, Lsn, PgId, QueueOffset, QueueUid, RecordKind, chain_of,
    crc32c,
};
use bytes::Bytes;
use std::collections::HashMap;

/// Bytes of records that end a frame.
const FRAME_BYTES: usize = 256 << 10;

/// A log that grows. It holds what no bundle has taken yet.
#[derive(Debug)]
pub struct Log {
    pg: PgId,
    from: Lsn,
    chain_before: u32,
    end: Lsn,
    chain: u32,
    frames: Vec<Frame>,
    payload: Vec<u8>,
    next: HashMap<QueueUid, QueueOffset>,
}

impl Log {
    /// An empty one.
    pub fn new(pg: PgId) -> Log {
        let (from, end) = (pg.first_lsn(), pg.first_lsn());
        Log {
            pg,
            from,
            chain_before: 0,
            end,
            chain: 0,
            frames: Vec::new(),
            payload: Vec::new(),
            next: HashMap::new(),
        }
    }

    /// Whose.
    pub const fn pg(&self) -> PgId {
        self.pg
    }

    /// Where it ends.
    pub fn end(&self) -> Lsn {
        self.end.plus(self.payload.len() as u64)
    }

    /// Adds a message, and says where it lies in the log and in its queue.
    pub fn message(
        &mut self,
        queue: QueueUid,
        time: Timestamp,
        filter: u64,
        body: &[u8],
    ) -> (Lsn, QueueOffset) {
        let next = self.next.entry(queue).or_default();
        let offset = *next;
        *next = offset.plus(1);
        let lsn = self.put(RecordKind::Message, (queue, offset), Attributes { time, filter }, body);
        (lsn, offset)
    }

    /// Adds any other record.
    pub fn operation(&mut self, kind: RecordKind, queue: QueueUid, time: Timestamp, body: &[u8]) {
        self.put(kind, (queue, QueueOffset(0)), Attributes { time, filter: 0 }, body);
    }

    fn put(
        &mut self,
        kind: RecordKind,
        (queue, offset): (QueueUid, QueueOffset),
        attributes: Attributes,
        body: &[u8],
    ) -> Lsn {
        let kind = Kind::Record(kind);
        let body_len = u32::try_from(body.len()).expect("a body of a few mebibytes");
        let envelope = Envelope { kind, queue, offset, attributes, body_len };
        let head = envelope.encode();
        let lsn = self.end();
        self.payload.extend_from_slice(&head[..envelope.head_len() as usize]);
        self.payload.extend_from_slice(body);
        if self.payload.len() >= FRAME_BYTES {
            self.cut();
        }
        lsn
    }

    fn cut(&mut self) {
        if self.payload.is_empty() {
            return;
        }
        let payload = Bytes::from(std::mem::take(&mut self.payload));
        let payload_crc = crc32c(&payload);
        self.chain = chain_of(self.chain, payload_crc);
        let (lsn, chain) = (self.end, self.chain);
        self.end = lsn.plus(payload.len() as u64);
        self.frames.push(Frame { lsn, payload_crc, chain, payload });
    }

    /// Gives a bundle all that none has yet.
    ///
    /// # Errors
    /// When the bundle does not take it; it has a part of it then.
    pub fn seal_into(
        &mut self,
        builder: &mut BundleBuilder,
        epoch: Epoch,
    ) -> Result<(), BundleRefused> {
        self.cut();
        builder.begin(self.pg, epoch, self.from, self.chain_before)?;
        for frame in self.frames.drain(..) {
            builder.frame(self.pg, &frame)?;
        }
        (self.from, self.chain_before) = (self.end, self.chain);
        Ok(())
    }
}

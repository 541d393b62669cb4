//! Framing within the segment that is being written.
use super::disk::JournalFile;
use super::segment::Segment;
use super::spare::Spare;
use crate::env::Timestamp;
use crate::format::{
    Attributes, Envelope, Epoch, ExtentHeader, FRAME_HEADER_BYTES, FrameFlags, FrameHeader,
    JournalKind, Kind, Lsn, PgId, QueueOffset, QueueUid, block_up,
};
use std::io;
use std::sync::Arc;

/// Whose frame of the store's own records it is, and when it is written.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) pg: PgId,
    pub(crate) epoch: Epoch,
    pub(crate) lsn: Lsn,
    pub(crate) chain: u32,
    pub(crate) journal_synced: u64,
    pub(crate) time: Timestamp,
}

/// The envelope of a record of the store.
pub(crate) fn own_envelope(kind: JournalKind, time: Timestamp, body: &[u8]) -> Envelope {
    Envelope {
        kind: Kind::Journal(kind),
        queue: QueueUid(0),
        offset: QueueOffset(0),
        attributes: Attributes { time, filter: 0 },
        body_len: body.len() as u32,
    }
}

/// The segment, and where in it the writer stands.
pub(crate) struct Active {
    pub(crate) file: Box<dyn JournalFile>,
    pub(crate) segment: Arc<Segment>,
    header: ExtentHeader,
    at: u64,
    /// The last frame's header: it is written when it is known whether another frame follows in the
    /// group.
    pending: Option<(u64, FrameHeader)>,
}

impl Active {
    /// Stands behind the extent's header.
    pub(crate) fn begin(spare: Spare) -> Active {
        let at = spare.header.first_frame_at();
        let Spare { file, segment, header } = spare;
        Active { file, segment, header, at, pending: None }
    }

    /// Where the next byte goes.
    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    /// The same as a journal position.
    pub(crate) const fn position(&self) -> u64 {
        self.header.position(self.at)
    }

    /// Whether a frame with a payload of `bytes` fits.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        self.at + (FRAME_HEADER_BYTES + bytes).next_multiple_of(8) <= self.file.size()
    }

    /// Where the payload of the next frame goes. The caller writes it and calls
    /// [`Active::end_frame`].
    pub(crate) fn begin_frame(&mut self) -> u64 {
        self.write_pending(FrameFlags::default());
        self.at + FRAME_HEADER_BYTES
    }

    /// Completes the frame that was begun.
    pub(crate) fn end_frame(&mut self, header: FrameHeader) {
        self.pending = Some((self.at, header));
        self.at =
            (self.at + FRAME_HEADER_BYTES + u64::from(header.payload_len)).next_multiple_of(8);
    }

    /// Writes a frame with one record of the store.
    pub(crate) fn put_own(&mut self, kind: JournalKind, stamp: Stamp, body: &[u8]) {
        let envelope = own_envelope(kind, stamp.time, body);
        let payload_at = self.begin_frame();
        let head = envelope.encode();
        let head = head.get(..envelope.head_len() as usize).unwrap_or_default();
        self.file.write_at(payload_at, head);
        self.file.write_at(payload_at + head.len() as u64, body);
        let payload_len = envelope.record_len();
        self.end_frame(FrameHeader {
            flags: FrameFlags::JOURNAL,
            payload_len,
            payload_crc: self.file.checksum(payload_at, payload_at + u64::from(payload_len)),
            pg: stamp.pg,
            epoch: stamp.epoch,
            lsn: stamp.lsn,
            chain: stamp.chain,
            count: 1,
            commit_lsn: Lsn(0),
            journal_synced: stamp.journal_synced,
            time: stamp.time,
        });
    }

    /// Pads to the next block and shows everything up to there. False when nothing was written
    /// since the last time.
    pub(crate) fn end_group(&mut self) -> io::Result<bool> {
        if !self.write_pending(FrameFlags::GROUP_END) {
            return Ok(false);
        }
        self.at = block_up(self.at);
        self.segment.show(self.file.publish(self.at)?);
        Ok(true)
    }

    fn write_pending(&mut self, flags: FrameFlags) -> bool {
        let Some((at, mut header)) = self.pending.take() else { return false };
        header.flags = header.flags.with(flags);
        self.file.write_at(at, &header.encode(self.header.seal()));
        true
    }
}

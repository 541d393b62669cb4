//! What a log knows of one queue.

use super::answer::{Bounds, Entry, QueueEnd};
use super::index::{Chunk, Index};
use super::state::GAP;
use crate::format::{Lsn, MESSAGE_OVERHEAD, QueueOffset, QueueOpenRecord, QueueUid};
use crate::journal::Level;

/// Bytes that a queue takes without messages: itself, and its place in a map that is never fuller
/// than seven eighths and soon after it grew half that.
pub(super) const QUEUE_BYTES: u64 =
    (size_of::<Queue>() + 2 * size_of::<(QueueUid, Box<Queue>)>()) as u64;
const _: () = assert!(QUEUE_BYTES <= 160, "there are ten thousands of idle queues");

/// One queue. Its index has what is local; where the queue goes on is known without it.
pub(crate) struct Queue {
    pub(super) level: Level,
    pub(super) index: Index,
    pub(super) next: QueueOffset,
    bytes: u64,
    /// The newest Q_OPEN record.
    opened: Option<QueueOpenRecord>,
    /// A Q_OPEN record must be written before the next message.
    must_open: bool,
    /// Opened in this process.
    pub(super) is_open: bool,
    /// Up to here the dispatcher was told.
    pub(super) told: QueueOffset,
    /// In the list of queues to tell of.
    pub(super) listed: bool,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            level: Level::Local,
            index: Index::default(),
            next: QueueOffset(0),
            bytes: 0,
            opened: None,
            must_open: false,
            is_open: false,
            told: QueueOffset(0),
            listed: false,
        }
    }
}

impl Queue {
    /// A message found in the log.
    pub(super) fn found(&mut self, entry: &Entry, record_len: u64) {
        self.push(entry, record_len);
        self.told = self.next;
    }

    /// A Q_OPEN record found in the log.
    pub(super) fn found_open(&mut self, record: QueueOpenRecord) {
        self.opened = Some(record);
        self.next = self.next.max(record.next);
        self.told = self.next;
    }

    /// What was found elsewhere, of what may be here no more.
    pub(super) fn restore(&mut self, end: &QueueEnd) {
        self.opened = self.opened.max(end.opened);
        let opened = end.opened.map_or(QueueOffset(0), |record| record.next);
        self.next = self.next.max(end.next).max(opened);
        self.told = self.next;
    }

    /// Opens it, or changes its level. `crashes` counts the times that a page cache was lost,
    /// `watermark` is that of `level`.
    pub(super) fn open(&mut self, level: Level, crashes: u32, watermark: Lsn) {
        if level == Level::Object && !self.is_open {
            // What was found and is not in the bucket yet becomes visible as if it had just come.
            self.told = self.told.min(self.visible_end(watermark));
        }
        self.level = level;
        self.is_open = true;
        match &self.opened {
            Some(record) if record.crashes < crashes && !self.must_open => {
                self.next = self.next.plus(GAP);
                self.must_open = true;
            }
            Some(_) => {}
            None => self.must_open |= level == Level::Async,
        }
    }

    /// The Q_OPEN record that must be written before the next message.
    pub(super) fn open_record(&self, crashes: u32) -> Option<QueueOpenRecord> {
        self.must_open.then_some(QueueOpenRecord { next: self.next, crashes })
    }

    /// The record was handed to the writer.
    pub(super) fn opened(&mut self, record: QueueOpenRecord) {
        self.opened = Some(record);
        self.must_open = false;
    }

    pub(super) fn push(&mut self, entry: &Entry, record_len: u64) {
        self.index.push(entry);
        self.next = entry.offset.plus(1);
        self.bytes += record_len;
    }

    /// Takes out what lies below `to`, at most about `chunks_max` chunks of the index, which go to
    /// `gone`; whether there may be more.
    pub(super) fn trim(&mut self, to: Lsn, chunks_max: usize, gone: &mut Vec<Chunk>) -> bool {
        let trimmed = self.index.trim(to, chunks_max);
        self.bytes -= trimmed.body_bytes + trimmed.entries * MESSAGE_OVERHEAD as u64;
        gone.extend(trimmed.chunks);
        trimmed.more
    }

    /// After the newest message below `watermark`. What is trimmed is below every watermark, so
    /// without a message here it is all that there is.
    pub(super) fn visible_end(&self, watermark: Lsn) -> QueueOffset {
        self.index.end_below(watermark).unwrap_or_else(|| self.index.first().unwrap_or(self.next))
    }

    pub(super) fn bounds(&self, watermark: Lsn) -> Bounds {
        Bounds {
            first: self.index.first().unwrap_or(self.next),
            visible_end: self.visible_end(watermark),
            next: self.next,
            bytes: self.bytes,
        }
    }

    /// Whether there is a message that the dispatcher was not told of.
    pub(super) fn has_news(&self) -> bool {
        self.index.end_below(Lsn(u64::MAX)).is_some_and(|end| self.told < end)
    }

    /// Messages that became visible since it was last asked; `None` if there are none.
    pub(super) fn tell(&mut self, watermark: Lsn) -> Option<u64> {
        let end = self.visible_end(watermark);
        let mut count = None;
        if self.told < end {
            // A gap in the offsets is not messages.
            let told = self.index.from(self.told).take_while(|entry| entry.lsn < watermark);
            count = Some(told.count() as u64);
            self.told = end;
        }
        self.listed = end < self.next;
        count
    }
}

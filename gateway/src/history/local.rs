//! What history asks of a placement group's local log.

use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset, QueueUid};
use storage::{Bounds, Entry, Log, ReadError, RecordView};

/// The local log, as far as looking goes. [`Log`] is one; what tests want to see cut off at any
/// moment is another.
pub trait Local: Send + Sync + 'static {
    /// How far a queue goes locally; see [`Log::bounds`].
    fn bounds(&self, queue: QueueUid) -> Bounds;

    /// Visible messages from an offset on, until told to stop; see [`Log::scan`].
    fn scan(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    );

    /// The first visible message stored at or after a time; see [`Log::offset_at_time`].
    fn offset_at_time(&self, queue: QueueUid, at: Timestamp) -> QueueOffset;

    /// The record at a position.
    ///
    /// # Errors
    /// See [`Log::read`].
    fn read(&self, lsn: Lsn) -> Result<RecordView, ReadError>;
}

impl Local for Log {
    fn bounds(&self, queue: QueueUid) -> Bounds {
        Log::bounds(self, queue)
    }

    fn scan(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) {
        Log::scan(self, queue, from, each);
    }

    fn offset_at_time(&self, queue: QueueUid, at: Timestamp) -> QueueOffset {
        Log::offset_at_time(self, queue, at)
    }

    fn read(&self, lsn: Lsn) -> Result<RecordView, ReadError> {
        Log::read(self, lsn)
    }
}

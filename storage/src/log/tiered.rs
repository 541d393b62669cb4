//! What a log and the bucket have to do with each other: the log gives its committed range to be
//! uploaded, is told how far the bucket has it, and then lets go of it.
//!
//! ```text
//!  committed(tiered, ..) ─► upload, commit ─► set_tiered ─► trim
//! ```

use super::answer::{Piece, QueueEnd, ReadError};
use super::handle::Log;
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, Lsn};
use crate::journal::{Ahead, Control, Item, Level};
use crate::tier::Frame;
use std::sync::Arc;

/// Frames looked up at a time, so that the writer does not wait while a bundle is gathered.
const FRAMES_AT_ONCE: usize = 256;

/// Where a range has come to.
struct Range {
    at: Lsn,
    /// No piece ends behind it.
    limit: Lsn,
    bytes: u64,
    bytes_max: u64,
    pieces: Vec<Piece>,
}

impl Log {
    /// What is committed of `[from, to)` and may go to the bucket: frames without a gap from
    /// `from` on, and in their place holes where only forgotten queues had records. At most
    /// `bytes_max` bytes of payload, but one frame is always given; empty when nothing whole is
    /// committed yet. Committed is what [`Level::Local`] reached, so that
    /// `watermark(Level::Local).since(from)` says how many bytes there are.
    ///
    /// `from` is where a frame begins, or a position in a hole: what ended there may have been
    /// forgotten since it was uploaded.
    ///
    /// # Errors
    /// [`ReadError::Gone`] when the log begins after `from`: what is missing must be in the bucket,
    /// or it is lost. [`ReadError::NotYet`] from beyond the committed end, [`ReadError::NotARecord`]
    /// from within a frame.
    pub fn committed(&self, from: Lsn, to: Lsn, bytes_max: u64) -> Result<Vec<Piece>, ReadError> {
        let local = self.watermark(Level::Local);
        if from > local {
            return Err(ReadError::NotYet(from));
        }
        let mut range =
            Range { at: from, limit: to.min(local), bytes: 0, bytes_max, pieces: Vec::new() };
        while range.at < range.limit {
            let begun = range.at;
            if begun < self.inner.copy.state.lock().from {
                return Err(ReadError::Gone(begun));
            }
            let ahead = self.inner.copy.frames.read().from(begun, FRAMES_AT_ONCE);
            if ahead.is_empty() {
                self.take_rest(&mut range);
                break;
            }
            if !self.take(&mut range, ahead)? || range.at == begun {
                break;
            }
        }
        Ok(range.pieces)
    }

    /// Goes on with what lies ahead; false where the range is full.
    fn take(&self, range: &mut Range, ahead: Vec<Ahead>) -> Result<bool, ReadError> {
        for Ahead { segment, frame, chain_before } in ahead {
            if frame.lsn < range.at {
                return Err(ReadError::NotARecord(range.at));
            }
            if frame.lsn > range.at {
                let Some(chain) = chain_before.filter(|_| frame.lsn <= range.limit) else {
                    return Ok(false);
                };
                range.pieces.push(Piece::Hole { to: frame.lsn, chain });
                range.at = frame.lsn;
            }
            let len = u64::from(frame.len);
            let fits = range.bytes == 0 || range.bytes + len <= range.bytes_max;
            if frame.end() > range.limit || !fits {
                return Ok(false);
            }
            let at = u64::from(frame.at) - FRAME_HEADER_BYTES;
            let shared = &self.inner.handle.shared;
            let Some(bytes) = shared.slice(&segment, at, FRAME_HEADER_BYTES + len) else {
                // Given up since it was looked up: another look says what is there instead.
                return Ok(true);
            };
            let payload_crc =
                FrameHeader::payload_crc_in(&bytes).ok_or(ReadError::NotARecord(frame.lsn))?;
            let payload = bytes.slice(FRAME_HEADER_BYTES as usize..);
            range.pieces.push(Piece::Frame(Frame {
                lsn: frame.lsn,
                payload_crc,
                chain: frame.chain,
                payload,
            }));
            range.bytes += len;
            range.at = frame.end();
        }
        Ok(true)
    }

    /// Where no frame is left, the rest is a hole. Its chain is known when the log ends at the
    /// committed end; else another call finds the frame that follows.
    fn take_rest(&self, range: &mut Range) {
        let state = self.inner.copy.state.lock();
        if range.limit == state.end {
            range.at = state.end;
            range.pieces.push(Piece::Hole { to: state.end, chain: state.chain });
        }
    }

    /// The log's chain at `lsn`, if it begins or ends there, or a frame of it does. What was
    /// uploaded up to a place says the chain there too, and for ever.
    pub fn chain_at(&self, lsn: Lsn) -> Option<u32> {
        let state = self.inner.copy.state.lock();
        state.chain_at(&self.inner.copy.frames.read(), lsn)
    }

    /// What lies below `to` is in the bucket, and the placement group's record says so: the
    /// watermark of [`Level::Object`]. Of a lower `to` than before nothing comes, nor of one that
    /// another epoch committed.
    pub fn set_tiered(&self, to: Lsn) {
        let mut called = Vec::new();
        self.inner.copy.set_tiered(self.inner.epoch, to, &mut called);
        for waker in called {
            waker.wake();
        }
    }

    /// Where what is held here begins: everything before is in the bucket alone, or is about to be.
    pub fn local_from(&self) -> Lsn {
        self.inner.state.lock().from
    }

    /// S6 of design/replication.md §4, for the owner: lets go of what lies below `to`, which is
    /// rounded down to where a frame begins and to the watermark of [`Level::Object`]. Messages
    /// below are not in the queues' indexes any more, [`Log::read`] says that they are gone, and
    /// segments that nobody needs are given back soon after; how far to go for that says
    /// [`crate::Store::trim_points`]. Nothing of it is recorded: after a crash more may be there.
    ///
    /// Takes some microseconds for a thousand messages, and as much for a thousand queues; appends
    /// wait for a part of it only.
    pub fn trim(&self, to: Lsn) {
        let inner = &self.inner;
        let to = {
            let state = inner.copy.state.lock();
            let to = to.min(inner.copy.watermark(Level::Object));
            state.boundary(&inner.copy.frames.read(), to)
        };
        let begun = inner.state.lock().begin_trim(to, self.watermarks());
        let Some(mut queues) = begun else { return };
        // Whoever was waiting for news finds it.
        inner.copy.moved.notify_one();
        while !queues.is_empty() {
            let gone = inner.state.lock().trim(&mut queues);
            drop(gone);
        }
        let control = Control::Trim { epoch: inner.epoch, to };
        // A store that stops keeps it all.
        let _ = inner.handle.shared.hand_over(Item::Control(Arc::clone(&inner.copy), control));
    }

    /// Says where queues go on that may have nothing here any more, as what lies in the bucket says.
    /// For the owner, once it has the log and before it opens or serves anything: a queue that is
    /// not restored would give out its offsets again. What the log itself knows counts where it is
    /// further on. Queues that are gone are not to be restored.
    pub fn restore(&self, ends: &[QueueEnd]) {
        let mut state = self.inner.state.lock();
        for end in ends {
            state.restore(end);
        }
    }
}

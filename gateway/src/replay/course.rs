//! Ways through queues in the bucket, kept between the reads of jobs with what they gave beyond what was asked.

use super::source::{Page, Reading, SourceMessage};
use crate::consume::filter::Filter;
use bytes::Bytes;
use metadata::model::{LANES_MAX, Part};
use parking_lot::Mutex;
use std::collections::VecDeque;
use storage::format::{QueueOffset, QueueUid};
use storage::reader::{Course, Cursor, ReadError, View};

/// Ways that are kept: as many as two jobs go at once. The one that was gone longest ago begins anew.
const KEPT_MAX: usize = 2 * LANES_MAX;
/// Bytes that all of them together hold for later reads. Beside these, cursors have what all cursors may have
/// ([`storage::reader::ReaderConfig::catch_up_bytes`]).
const AHEAD_BYTES_MAX: u64 = 64 << 20;

/// The ways.
#[derive(Default)]
pub(super) struct Courses(Mutex<VecDeque<Kept>>);

/// One of them.
pub(super) struct Kept {
    /// Whose reads it serves; not always the queue that it goes through.
    queue: QueueUid,
    course: Course,
    cursor: Cursor,
    /// Everything wanted before was given.
    at: QueueOffset,
    /// What is wanted of what follows, up to where the cursor is.
    ahead: VecDeque<SourceMessage>,
    ahead_bytes: u64,
    /// Everything before is ahead, or was given.
    next: QueueOffset,
    /// Requests of the cursor that were told.
    told: u64,
}

impl Courses {
    /// The way that stands where a read goes on.
    pub(super) fn take(&self, what: &Reading<'_>, part: Part) -> Option<Kept> {
        let mut kept = self.0.lock();
        let stands = |one: &Kept| {
            let Course { queue, until, tags, .. } = one.course;
            one.queue == what.queue.uid
                && one.at == what.from
                && (queue, tags) == (part.queue, super::archive::tags(what.filter))
                // The part may have grown since, by what the log gave up.
                && until <= part.span.to
        };
        let at = kept.iter().position(stands);
        at.and_then(|at| kept.remove(at))
    }

    pub(super) fn keep(&self, kept: Kept) {
        if kept.is_done() {
            return;
        }
        let mut oldest = Vec::new();
        {
            let mut all = self.0.lock();
            all.push_back(kept);
            let mut bytes: u64 = all.iter().map(|kept| kept.ahead_bytes).sum();
            while all.len() > KEPT_MAX || bytes > AHEAD_BYTES_MAX {
                let Some(one) = all.pop_front() else { break };
                bytes -= one.ahead_bytes;
                oldest.push(one);
            }
        }
        // Outside the lock: what they have read ahead goes with them.
        drop(oldest);
    }
}

impl Kept {
    pub(super) fn new(what: &Reading<'_>, course: Course, cursor: Cursor) -> Kept {
        let (queue, at) = (what.queue.uid, what.from);
        let ahead = VecDeque::new();
        Kept { queue, course, cursor, at, ahead, ahead_bytes: 0, next: at, told: 0 }
    }

    /// Whether there is nothing to give, not even that nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.next == self.at
    }

    fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.at >= self.course.until
    }

    /// Takes what the cursor gives next of what the filter may want; whether it gave something.
    pub(super) async fn fill(&mut self, filter: &Filter) -> Result<bool, ReadError> {
        let Some(chunk) = self.cursor.next().await? else { return Ok(false) };
        for record in chunk.records.iter().filter(|record| filter.admits(record.filter)) {
            let (offset, stored_at, body) = (record.offset, record.time, record.body());
            self.ahead_bytes += body.len() as u64;
            let record = Bytes::copy_from_slice(&body);
            self.ahead.push_back(SourceMessage { offset, stored_at, record });
        }
        self.next = self.next.max(chunk.next);
        Ok(true)
    }

    /// Nothing more is on its way.
    pub(super) fn pass_to_end(&mut self) {
        self.next = self.next.max(self.course.until);
    }

    pub(super) fn renew(&mut self, view: View) {
        self.cursor.renew(view);
    }

    /// Gives what is ahead: no further message once there are so many bytes.
    pub(super) fn give(&mut self, bytes_max: u64) -> Page {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(message) = self.ahead.pop_front()
        {
            bytes += message.record.len() as u64;
            messages.push(message);
        }
        self.ahead_bytes -= bytes;
        let last = messages.last().filter(|_| !self.ahead.is_empty());
        self.at = last.map_or(self.next, |last| last.offset.plus(1));
        let requests = self.cursor.requests();
        let gets = requests - std::mem::replace(&mut self.told, requests);
        Page { messages, next: self.at, gets }
    }
}

//! What a running job does next, decided purely.
//!
//! The runner asks [`Replay::next`] for one step, does it, tells what came of it, and asks again. Queues are read side
//! by side, up to `lanes` of them, and what is read is written in the order of store times; a queue of which nothing
//! is in memory is read before anything later is written, while memory allows.
//!
//! A checkpoint ([`Replay::progress`]) names, of each queue, the first offset that is not written for sure. Between two
//! of them at most `unrecorded` messages are written, which is what a crash may write twice.

use super::pace::Pace;
use metadata::model::{JobLane, JobProgress, LANES_MAX, Limits};
use protocol::stored::StoredMessage;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::QueueOffset;

/// How often a job's record is written, at most: a cluster has 300 changes of records a second.
pub(super) const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// What a running job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Queues read at the same time.
    pub(super) lanes: usize,
    /// Bytes of one read; a message may be larger.
    pub(super) read_bytes: u64,
    /// Bytes held in memory, past which nothing more is read.
    pub(super) held_bytes: u64,
    /// Messages written in one go.
    pub(super) batch_messages: u64,
    /// Their bytes; a message may be larger.
    pub(super) batch_bytes: u64,
    /// Messages written between two checkpoints.
    pub(super) unrecorded: u64,
}

impl Bounds {
    /// What a gateway gives a job: some tens of MiB, where messages are not very large.
    pub(super) const STANDARD: Bounds = Bounds {
        lanes: LANES_MAX,
        read_bytes: 256 << 10,
        held_bytes: 32 << 20,
        batch_messages: 1024,
        batch_bytes: 1 << 20,
        unrecorded: 100_000,
    };

    /// With pieces so small that a limit is kept to evenly: a tenth of a second each.
    fn within(self, limits: &Limits) -> Bounds {
        let part = |limit: Option<u64>, least: u64| limit.map_or(u64::MAX, |n| (n / 10).max(least));
        Bounds {
            read_bytes: self.read_bytes.min(part(limits.bytes, 1 << 10)),
            batch_messages: self.batch_messages.min(part(limits.messages, 1)),
            batch_bytes: self.batch_bytes.min(part(limits.bytes, 1 << 10)),
            ..self
        }
    }
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its queue's number in the source's order.
    pub(super) queue: u32,
    /// Its place there.
    pub(super) offset: QueueOffset,
    /// When it was stored there.
    pub(super) stored_at: Timestamp,
    /// Its bytes there.
    pub(super) bytes: u64,
    /// What it says.
    pub(super) message: StoredMessage,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Find where the range begins and ends in this queue, for [`Replay::ranged`].
    Range(u32),
    /// Read this queue, for [`Replay::read`].
    Read { queue: u32, from: QueueOffset, end: QueueOffset, bytes_max: u64 },
    /// Write these, in this order where they are of one queue, for [`Replay::written`].
    Write(Vec<Item>),
    /// Record [`Replay::progress`], for [`Replay::recorded`] or [`Replay::not_recorded`].
    Record,
    /// Ask again then.
    Wait(Duration),
    /// Everything is written.
    End,
}

/// What a read gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Got {
    /// What is wanted of it, ascending by offset.
    pub(super) items: Vec<Item>,
    /// Where to go on.
    pub(super) next: QueueOffset,
    /// Messages read.
    pub(super) messages: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Requests to the object store.
    pub(super) gets: u64,
    /// Messages that are no messages.
    pub(super) left_out: u64,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrote {
    /// Messages written.
    pub(super) messages: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Messages that nowhere takes.
    pub(super) left_out: u64,
}

/// A queue that is being read.
#[derive(Clone, Debug)]
struct Lane {
    queue: u32,
    next: QueueOffset,
    end: QueueOffset,
    held: VecDeque<Item>,
}

impl Lane {
    /// Everything wanted below is written, when nothing is on its way.
    fn written(&self) -> QueueOffset {
        self.held.front().map_or(self.next, |item| item.offset)
    }

    fn is_dry(&self) -> bool {
        self.held.is_empty() && self.next < self.end
    }
}

/// A job at work.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    queues: u32,
    limits: Limits,
    bounds: Bounds,
    /// Ascending by queue.
    lanes: Vec<Lane>,
    /// Counts so far; its lanes and what is behind it are worked out when asked for.
    counts: JobProgress,
    held_bytes: u64,
    reads: Pace,
    writes: Pace,
    /// Messages written since the last checkpoint.
    unrecorded: u64,
    /// Something is different from the last checkpoint.
    changed: bool,
    recorded_at: Duration,
    began: Duration,
}

impl Replay {
    /// Goes on from `progress`, of a source of so many queues.
    pub(super) fn resume(
        progress: &JobProgress,
        queues: u32,
        limits: Limits,
        bounds: Bounds,
        now: Duration,
    ) -> Replay {
        let lane = |lane: &JobLane| Lane {
            queue: lane.queue,
            next: lane.next,
            end: lane.end,
            held: VecDeque::new(),
        };
        Replay {
            queues,
            limits,
            bounds: bounds.within(&limits),
            lanes: progress.lanes.iter().map(lane).filter(Lane::is_dry).collect(),
            counts: JobProgress { lanes: Vec::new(), ..progress.clone() },
            held_bytes: 0,
            reads: Pace::default(),
            writes: Pace::default(),
            unrecorded: 0,
            changed: false,
            recorded_at: now,
            began: now,
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Duration) -> Step {
        let record_at = self.recorded_at.saturating_add(CHECKPOINT_EVERY);
        if self.changed && now >= record_at {
            return Step::Record;
        }
        if self.lanes.len() < self.bounds.lanes && self.counts.opened < self.queues {
            return Step::Range(self.counts.opened);
        }
        if self.lanes.is_empty() {
            return Step::End;
        }
        let dry = self.lanes.iter().find(|lane| lane.is_dry());
        if let Some(lane) = dry.filter(|_| self.held_bytes < self.bounds.held_bytes) {
            let Lane { queue, next: from, end, .. } = *lane;
            let read = Step::Read { queue, from, end, bytes_max: self.bounds.read_bytes };
            return self.reads.wait(now).map_or(read, Step::Wait);
        }
        if self.unrecorded >= self.bounds.unrecorded {
            return Step::Wait(record_at.saturating_sub(now));
        }
        if let Some(wait) = self.writes.wait(now) {
            return Step::Wait(wait);
        }
        self.batch(now)
    }

    /// The oldest messages in memory, up to where another queue must be read first.
    fn batch(&mut self, now: Duration) -> Step {
        let room = self.bounds.unrecorded.saturating_sub(self.unrecorded);
        let messages_max = self.bounds.batch_messages.min(room);
        let (mut batch, mut messages, mut bytes) = (Vec::new(), 0, 0);
        while messages < messages_max {
            let oldest = |lane: &&mut Lane| lane.held.front().map(|item| item.stored_at);
            let held = self.lanes.iter_mut().filter(|lane| !lane.held.is_empty());
            let Some(lane) = held.min_by_key(oldest) else { break };
            let fits =
                |item: &mut Item| messages == 0 || bytes + item.bytes <= self.bounds.batch_bytes;
            let Some(item) = lane.held.pop_front_if(fits) else { break };
            (messages, bytes) = (messages + 1, bytes + item.bytes);
            batch.push(item);
            if lane.is_dry() {
                break;
            }
        }
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        self.writes.charge(now, &self.limits, messages, bytes);
        Step::Write(batch)
    }

    /// The range in the queue that [`Step::Range`] named.
    pub(super) fn ranged(&mut self, queue: u32, range: Range<QueueOffset>) {
        let Range { start: next, end } = range;
        self.counts.opened = queue + 1;
        self.counts.range += end.since(next);
        self.changed = true;
        let lane = Lane { queue, next, end, held: VecDeque::new() };
        if lane.is_dry() {
            self.lanes.push(lane);
        }
    }

    /// What a read gave.
    pub(super) fn read(&mut self, now: Duration, queue: u32, got: Got) {
        self.reads.charge(now, &Limits { messages: None, ..self.limits }, 0, got.bytes);
        self.counts.read += got.messages;
        self.counts.read_bytes += got.bytes;
        self.counts.gets += got.gets;
        self.counts.left_out += got.left_out;
        self.held_bytes += got.items.iter().map(|item| item.bytes).sum::<u64>();
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.queue == queue) {
            lane.next = got.next.min(lane.end);
            lane.held.extend(got.items);
        }
        self.moved();
    }

    /// What [`Step::Write`] named is written.
    pub(super) fn written(&mut self, wrote: Wrote) {
        self.counts.written += wrote.messages;
        self.counts.written_bytes += wrote.bytes;
        self.counts.left_out += wrote.left_out;
        self.unrecorded += wrote.messages;
        self.moved();
    }

    fn moved(&mut self) {
        self.changed = true;
        self.lanes.retain(|lane| lane.is_dry() || !lane.held.is_empty());
    }

    /// The record says what [`Replay::progress`] said.
    pub(super) fn recorded(&mut self, now: Duration) {
        (self.unrecorded, self.changed, self.recorded_at) = (0, false, now);
    }

    /// It does not, perhaps. It is tried again, no sooner.
    pub(super) fn not_recorded(&mut self, now: Duration) {
        self.recorded_at = now;
    }

    /// How far it is. Not to be asked between [`Step::Write`] and [`Replay::written`].
    pub(super) fn progress(&self, now: Duration) -> JobProgress {
        let lane = |lane: &Lane| JobLane { queue: lane.queue, next: lane.written(), end: lane.end };
        let lanes: Vec<JobLane> = self.lanes.iter().map(lane).collect();
        let left: u64 = lanes.iter().map(|lane| lane.end.since(lane.next)).sum();
        JobProgress {
            lanes,
            passed: self.counts.range.saturating_sub(left),
            active: self.counts.active.saturating_add(now.saturating_sub(self.began)),
            ..self.counts.clone()
        }
    }
}

#[cfg(test)]
mod tests;

//! One placement group: its machine, its log, and the rule that binds them.
//!
//! A decision, its append and its application happen under one lock, without waiting: the log gives
//! positions at once, so the order of decisions is the order of the log, and an answer waits for
//! the watermark afterwards, outside. What a decision needs and is not in memory is named instead,
//! and loaded outside as well.

use super::GroupUid;
use super::dead_letter::{self, NotCopied};
use super::delivery::Place;
use super::ops::{Op, OpKind, OpMalformed, Spans, Step};
use super::refused::{AckRefused, WriteRefused};
use super::replay::Replay;
use super::state::{Ask, Candidate, CursorId, Exhausted, Pick, QueueIndex, State};
use crate::history::{History, Index, Look, Scan};
use metadata::model::{Group, TopicQueue};
use parking_lot::{Mutex, MutexGuard};
use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset, QueueUid, RecordKind};
use storage::{Class, Draft, Entry, Level, Log, Patch, Refused};
use tokio::sync::Notify;

/// A placement group that is consumed here.
pub(super) struct Pg {
    pub(super) history: History,
    machine: Mutex<Machine>,
    /// Something falls due earlier than the timekeeper thinks.
    pub(super) sooner: Notify,
}

/// What the lock holds.
pub(super) struct Machine {
    pub(super) state: State,
    /// Until when the timekeeper sleeps.
    pub(super) asleep_until: Option<Timestamp>,
}

/// What a receive took from one placement group.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) messages: Vec<TakenMessage>,
    /// When they may be handed out again.
    pub(super) visible_at: Timestamp,
    /// Where the log ended behind the hand-out.
    pub(super) end: Lsn,
    /// Messages given up on the way, with a copy in the dead-letter queue.
    pub(super) dead_letters: u64,
    /// Asking again may give more.
    pub(super) more: bool,
    /// Asking again may give more once this place is in memory; the first of those named.
    pub(super) missing: Option<(QueueUid, QueueOffset)>,
}

/// What became of exhausted messages.
#[derive(Default)]
struct GivenUp {
    /// So many have a copy in the dead-letter queue.
    copied: u64,
    /// One could not be written: it and those behind it are for the next receive.
    stopped: bool,
    /// The first that is not in memory; it is for the next receive too.
    missing: Option<QueueOffset>,
}

/// Why a message was not moved to the dead-letter queue.
pub(super) enum NotMoved {
    /// It is not in memory.
    Missing(QueueOffset),
    /// It cannot be, or not now.
    Refused(AckRefused),
}

/// A message handed out, not yet read.
#[derive(Clone, Copy)]
pub(super) struct TakenMessage {
    pub(super) place: Place,
    pub(super) lsn: Lsn,
    pub(super) attempt: u32,
}

impl Pg {
    /// The machine of what was replayed, and what the local log adds to it, but for places that
    /// `keep` does not want.
    ///
    /// # Errors
    /// [`OpMalformed`]: a newer version wrote the log.
    pub(super) fn open(
        history: History,
        mut replay: Replay,
        keep: impl Fn(CursorId) -> bool,
    ) -> Result<Pg, OpMalformed> {
        let mut outcome = Ok(());
        let from = replay.applied();
        history.log().replay(from, &mut |record| {
            if outcome.is_ok() {
                outcome = replay.apply(record.lsn, record.kind, record.queue, &record.body);
            }
        });
        outcome?;
        let mut state = replay.into_state();
        state.retain(keep);
        let machine = Mutex::new(Machine { state, asleep_until: None });
        Ok(Pg { history, machine, sooner: Notify::new() })
    }

    pub(super) fn log(&self) -> &Log {
        self.history.log()
    }

    /// The machine as bytes, and the position below which every operation is in it. Holds the lock
    /// as long as that takes.
    pub(super) fn snapshot(&self) -> (Lsn, Vec<u8>) {
        let machine = self.lock();
        // Operations are appended under this lock, and applied before it is let go.
        (self.log().end(), machine.state.snapshot())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock()
    }

    /// Records and applies operations, in one frame. Gives the end of the log behind them and, for
    /// each, its position.
    pub(super) fn write(
        &self,
        machine: &mut Machine,
        ops: &[Op],
    ) -> Result<(Lsn, Vec<Lsn>), WriteRefused> {
        let drafts = ops.iter().map(draft).collect();
        self.write_drafts(machine, ops, drafts)
    }

    /// The drafts begin with those of the operations.
    fn write_drafts(
        &self,
        machine: &mut Machine,
        ops: &[Op],
        drafts: Vec<Draft>,
    ) -> Result<(Lsn, Vec<Lsn>), WriteRefused> {
        let appended = self.log().append(drafts, Class::Reserve).map_err(refused)?;
        let lsns: Vec<Lsn> = appended.places.iter().map(|place| place.lsn).collect();
        for (op, lsn) in ops.iter().zip(&lsns) {
            machine.state.apply(*lsn, op);
        }
        let due = machine.state.next_due();
        if due.is_some_and(|due| machine.asleep_until.is_none_or(|until| due < until)) {
            machine.asleep_until = due;
            self.sooner.notify_one();
        }
        Ok((appended.end, lsns))
    }

    /// Waits until what ends at `end` is in the journal.
    pub(super) async fn recorded(&self, end: Lsn) -> Result<(), WriteRefused> {
        let reached = self.log().reached(Level::Async, end).await;
        reached.map_err(|_| WriteRefused::OutcomeUnknown)
    }

    /// Takes up to `ask.max` messages from `queues`, in their order; `ask.id.queue` is set here.
    pub(super) fn take<'a>(
        &self,
        now: Timestamp,
        mut ask: Ask<'_>,
        group: &Group,
        queues: impl Iterator<Item = &'a TopicQueue>,
    ) -> Result<Taken, WriteRefused> {
        let mut machine = self.lock();
        let mut taken = Taken { visible_at: ask.visible_at, ..Taken::default() };
        let (mut ops, mut found) = (Vec::new(), Vec::new());
        for queue in queues {
            ask.id.queue = queue.uid;
            let picked = machine.state.receive(now, &ask, &self.index(queue.uid));
            let given_up = self.give_up(&mut machine, ask.id, group, &picked.exhausted);
            taken.dead_letters += given_up.copied;
            taken.more |= picked.more && !given_up.stopped;
            let missing = picked.missing.or(given_up.missing);
            if let Some(offset) = missing {
                taken.missing.get_or_insert((queue.uid, offset));
            }
            ask.max -= picked.picks.len();
            let pop_at = ops.len() + picked.ops.len();
            ops.extend(picked.ops);
            // The pop, where there is one, is the last of its queue's operations.
            found.extend(picked.picks.into_iter().map(|pick| (pop_at - 1, ask.id, pick)));
            if ask.max == 0 {
                break;
            }
        }
        if ops.is_empty() {
            return Ok(taken);
        }
        let (end, lsns) = self.write(&mut machine, &ops)?;
        taken.end = end;
        taken.messages = found
            .into_iter()
            .filter_map(|(op, id, pick)| {
                let Pick { offset, lsn, attempt } = pick;
                let place = Place { id, offset, pop: *lsns.get(op)? };
                Some(TakenMessage { place, lsn, attempt })
            })
            .collect();
        Ok(taken)
    }

    /// Whether a receive would look at anything in one of the queues.
    pub(super) fn has_more(&self, now: Timestamp, group: GroupUid, queues: &[TopicQueue]) -> bool {
        let machine = self.lock();
        queues.iter().any(|queue| {
            let id = CursorId { group, queue: queue.uid };
            machine.state.has_more(now, id, &self.index(queue.uid))
        })
    }

    /// Moves exhausted messages to the dead-letter queue, each in a frame of its own. What cannot
    /// be written, or is not in memory, stays in flight and is tried again by the next receive.
    fn give_up(
        &self,
        machine: &mut Machine,
        id: CursorId,
        group: &Group,
        exhausted: &[Exhausted],
    ) -> GivenUp {
        let mut given_up = GivenUp::default();
        for lost in exhausted {
            let step = Step::DeadLetter { offset: lost.offset, attempt: lost.attempt };
            let op = Op { group: id.group, queue: id.queue, step };
            let moved = self.dead_letter(machine, group, &op, lost);
            let refused = match moved {
                Ok(_end) => {
                    given_up.copied += 1;
                    continue;
                }
                Err(NotMoved::Missing(offset)) => {
                    given_up.missing.get_or_insert(offset);
                    continue;
                }
                Err(NotMoved::Refused(AckRefused::Unreadable)) => {
                    // It can be neither delivered nor copied; the original stays in its queue.
                    let step = Step::Ack(Spans::one(lost.offset));
                    let done = Op { group: id.group, queue: id.queue, step };
                    match self.write(machine, &[done]) {
                        Ok(_) => continue,
                        Err(refused) => AckRefused::Write(refused),
                    }
                }
                Err(NotMoved::Refused(refused)) => refused,
            };
            let (offset, queue) = (lost.offset.0, id.queue.0);
            tracing::warn!(%refused, group = %group.name, queue, offset, "no dead letter");
            given_up.stopped = true;
            break;
        }
        given_up
    }

    /// Records a giving up and the copy in one frame.
    pub(super) fn dead_letter(
        &self,
        machine: &mut Machine,
        group: &Group,
        op: &Op,
        lost: &Exhausted,
    ) -> Result<Lsn, NotMoved> {
        let Exhausted { offset, lsn, attempt } = *lost;
        let record = match self.history.read(op.queue, offset, lsn) {
            Look::Here(record) => record,
            Look::Gone => {
                tracing::error!(lsn = lsn.0, "a message to be given up is gone");
                return Err(NotMoved::Refused(AckRefused::Unreadable));
            }
            Look::Missing => return Err(NotMoved::Missing(offset)),
        };
        let copy = dead_letter::copy(record.body, group, attempt).map_err(|error: NotCopied| {
            tracing::error!(%error, lsn = lsn.0, "a message to be given up has no copy");
            NotMoved::Refused(AckRefused::Unreadable)
        })?;
        self.log().open_queue(group.dead_letter_queue(), Level::Local);
        let drafts = vec![draft(op), copy];
        let written = self.write_drafts(machine, std::slice::from_ref(op), drafts);
        written.map(|(end, _)| end).map_err(|refused| NotMoved::Refused(refused.into()))
    }

    /// The queue as the machine sees it.
    pub(super) fn index(&self, queue: QueueUid) -> PgQueue<'_> {
        PgQueue { log: self.log(), index: self.history.index(queue) }
    }
}

/// A queue of the placement group.
pub(super) struct PgQueue<'a> {
    log: &'a Log,
    index: Index<'a>,
}

impl QueueIndex for PgQueue<'_> {
    fn first(&self) -> QueueOffset {
        self.index.first()
    }

    fn end(&self) -> QueueOffset {
        self.index.end()
    }

    fn bytes_behind(&self, lsn: Lsn) -> u64 {
        self.log.end().since(lsn)
    }

    fn scan(&self, from: QueueOffset, each: &mut dyn FnMut(Candidate) -> ControlFlow<()>) -> Scan {
        self.index.scan(from, &mut |entry| each(candidate(&entry)))
    }

    fn find(&self, offset: QueueOffset) -> Look<Candidate> {
        match self.index.find(offset) {
            Look::Here(entry) => Look::Here(candidate(&entry)),
            Look::Gone => Look::Gone,
            Look::Missing => Look::Missing,
        }
    }
}

fn candidate(entry: &Entry) -> Candidate {
    Candidate { offset: entry.offset, lsn: entry.lsn, hash: entry.filter }
}

fn draft(op: &Op) -> Draft {
    let kind = match op.kind() {
        OpKind::Pop => RecordKind::Pop,
        OpKind::Ack => RecordKind::Ack,
        OpKind::Change => RecordKind::ChangeInvisible,
        OpKind::Offset => RecordKind::Offset,
        OpKind::DeadLetter => RecordKind::DeadLetter,
    };
    Draft {
        kind,
        queue: op.queue,
        filter: 0,
        head: op.encode(),
        body: bytes::Bytes::new(),
        tail: bytes::Bytes::new(),
        patch: Patch::default(),
    }
}

fn refused(refused: Refused) -> WriteRefused {
    match refused {
        Refused::Full { used, capacity } => WriteRefused::Full { used, capacity },
        Refused::IndexFull { used, limit } => WriteRefused::IndexFull { used, limit },
        Refused::DiskFull => WriteRefused::DiskFull,
        Refused::Busy => WriteRefused::Busy,
        Refused::Closed | Refused::Fenced => WriteRefused::Moved,
        // Bounds on what one decision names keep it far below the limit, the dead-letter queue is
        // opened before it is written to, and no operation is of a reserved kind.
        Refused::TooLarge { .. } | Refused::UnknownQueue(_) | Refused::ReservedKind(_) => {
            tracing::error!(%refused, "an operation was refused that cannot be");
            WriteRefused::Moved
        }
    }
}

//! What a receive hands out: first what comes back, then what is new.
//!
//! Of a queue only a part may be in memory. A decision is made over that part alone: what is not
//! there is neither handed out nor done with, the cursor stops before it, and the first such place
//! is named, so that it can be loaded and the decision asked for again.

use super::cursor::{Cursor, InFlight};
use super::{CursorId, State};
use crate::consume::filter::Filter;
use crate::consume::ops::{Lease, OFFSETS_PER_OP_MAX, Op, Pop, Run, Span, Spans, Step};
use crate::history::{Look, Scan};
use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset};

/// The most messages of one queue that a group holds in flight; new ones wait beyond it
/// (design/storage.md §2f says 10 to 20 thousand, and one operation can name them all).
pub const IN_FLIGHT_MAX: usize = OFFSETS_PER_OP_MAX as usize;

/// A new group starts at a queue's first message while fewer bytes than this of the log lie behind
/// it (DESIGN §7).
pub const FIRST_POSITION_BYTES_MAX: u64 = 8 << 30;

/// The most index entries that one decision looks at for messages that the filter wants; about 0.1
/// ms.
const SCAN_MAX: u32 = 4096;

/// The most messages that one decision gives up to the dead-letter queue: each is copied.
const EXHAUSTED_MAX: usize = 32;

/// The most messages not in memory that one decision passes over on its way through what comes
/// back: the first is loaded next, and neighbours come with it.
const ABSENT_MAX: usize = 64;

/// A message as the queue's index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the queue.
    pub offset: QueueOffset,
    /// Its place in the log.
    pub lsn: Lsn,
    /// The hash of its tag.
    pub hash: u64,
}

/// What a queue holds that consumers may see.
pub trait QueueIndex {
    /// The lowest offset that is kept, in memory or not.
    fn first(&self) -> QueueOffset;
    /// The offset behind the last visible message.
    fn end(&self) -> QueueOffset;
    /// Bytes of the log from a position on.
    fn bytes_behind(&self, lsn: Lsn) -> u64;
    /// Visible messages from an offset on, ascending, until told to stop; no further than the
    /// first place that is not in memory.
    fn scan(&self, from: QueueOffset, each: &mut dyn FnMut(Candidate) -> ControlFlow<()>) -> Scan;
    /// What there is at an offset below the end.
    fn find(&self, offset: QueueOffset) -> Look<Candidate>;
}

/// Where a group that was never seen on a queue begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first message, or at the last where too much lies behind
    /// ([`FIRST_POSITION_BYTES_MAX`]).
    #[default]
    Auto,
    /// At the first message.
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
}

/// What a receive wants of one queue.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Who asks, and where.
    pub id: CursorId,
    /// Which messages.
    pub filter: &'a Filter,
    /// How many at most.
    pub max: usize,
    /// When what is handed out may be handed out again.
    pub visible_at: Timestamp,
    /// Whether the gateway prolongs.
    pub lease: Option<Lease>,
    /// Deliveries after which a message is given up; from 1.
    pub max_attempts: u32,
    /// Where a new group begins.
    pub start: Start,
}

/// A message handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its place in the queue.
    pub offset: QueueOffset,
    /// Its place in the log.
    pub lsn: Lsn,
    /// 1 at first delivery.
    pub attempt: u32,
}

/// A message that was delivered as often as its group allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Its place in the queue.
    pub offset: QueueOffset,
    /// Its place in the log.
    pub lsn: Lsn,
    /// How often it was delivered.
    pub attempt: u32,
}

/// What a receive decided for one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picked {
    /// To be written in one frame and applied; none where nothing changes.
    pub ops: Vec<Op>,
    /// Handed out by the OP_POP among `ops`, ascending by offset.
    pub picks: Vec<Pick>,
    /// To be given up, each by a [`Step::DeadLetter`] and its copy in one frame; not in `ops`.
    pub exhausted: Vec<Exhausted>,
    /// The decision stopped at a bound of its own: asking again gives more.
    pub more: bool,
    /// The first place that was to be looked at and is not in memory: asking again once it is gives
    /// more.
    pub missing: Option<QueueOffset>,
}

impl State {
    /// Decides what to hand out of one queue.
    pub fn receive(&self, now: Timestamp, ask: &Ask<'_>, index: &dyn QueueIndex) -> Picked {
        let mut picked = Picked::default();
        let mut done = Vec::new();
        let known = self.cursors.get(&ask.id);
        if let Some(cursor) = known {
            pick_returning(cursor, now, ask, index, &mut picked, &mut done);
        }
        let held = known.map_or(0, |cursor| cursor.in_flight.len());
        let room = IN_FLIGHT_MAX.saturating_sub(held).min(ask.max - picked.picks.len());
        let begin = match known {
            Some(cursor) => cursor.next,
            None => match first_position(ask.start, index) {
                Ok(first) => first,
                Err(missing) => return Picked { missing: Some(missing), ..picked },
            },
        };
        let next = pick_new(begin, room, ask.filter, index, &mut picked);
        write_down(ask, known, next, done, &mut picked);
        picked
    }
}

impl State {
    /// Whether a receive would look at anything in a queue. It may say yes in vain, for messages
    /// that a filter does not want, a lease is about to keep or a load has to bring first.
    pub fn has_more(&self, now: Timestamp, id: CursorId, index: &dyn QueueIndex) -> bool {
        let Some(cursor) = self.cursors.get(&id) else { return index.first() < index.end() };
        let comes_back = cursor.deadlines.first().is_some_and(|(deadline, _)| *deadline <= now);
        comes_back || (cursor.next < index.end() && !self.is_full(id))
    }
}

/// Messages in flight whose visible time passed, the longest passed first.
fn pick_returning(
    cursor: &Cursor,
    now: Timestamp,
    ask: &Ask<'_>,
    index: &dyn QueueIndex,
    picked: &mut Picked,
    done: &mut Vec<QueueOffset>,
) {
    let due = cursor.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
    let mut absent = 0;
    for (_, offset) in due {
        if picked.picks.len() == ask.max || absent == ABSENT_MAX {
            break;
        }
        let Some(entry) = cursor.in_flight.get(offset).filter(|entry| entry.visible_at <= now)
        else {
            continue;
        };
        match index.find(*offset) {
            Look::Here(found) if ask.filter.admits(found.hash) => {
                if is_exhausted(entry, ask.max_attempts) {
                    if picked.exhausted.len() == EXHAUSTED_MAX {
                        picked.more = true;
                        continue;
                    }
                    let (lsn, attempt) = (found.lsn, entry.attempt);
                    picked.exhausted.push(Exhausted { offset: *offset, lsn, attempt });
                } else {
                    let attempt = entry.next_attempt();
                    picked.picks.push(Pick { offset: *offset, lsn: found.lsn, attempt });
                }
            }
            // Unwanted since the group changed its filter, or removed by retention: done with.
            Look::Here(_) | Look::Gone => done.push(*offset),
            Look::Missing => {
                absent += 1;
                picked.missing.get_or_insert(*offset);
            }
        }
    }
    picked.picks.sort_by_key(|pick| pick.offset);
    done.sort();
}

fn is_exhausted(entry: &InFlight, max_attempts: u32) -> bool {
    entry.next_attempt() > max_attempts.max(1)
}

/// Where a new group begins; else the place that must be in memory to say so.
fn first_position(start: Start, index: &dyn QueueIndex) -> Result<QueueOffset, QueueOffset> {
    match start {
        Start::Earliest => Ok(index.first()),
        Start::Latest => Ok(index.end()),
        Start::Auto => {
            let mut oldest = None;
            let scan = index.scan(index.first(), &mut |candidate| {
                oldest = Some(candidate.lsn);
                ControlFlow::Break(())
            });
            match (oldest, scan) {
                (None, Scan::Missing(at)) => Err(at),
                (Some(oldest), _) if index.bytes_behind(oldest) >= FIRST_POSITION_BYTES_MAX => {
                    Ok(QueueOffset(index.end().0.saturating_sub(1)).max(index.first()))
                }
                (Some(_), _) | (None, Scan::End) => Ok(index.first()),
            }
        }
    }
}

/// Messages never looked at; gives the cursor afterwards, which is not beyond what was seen.
fn pick_new(
    begin: QueueOffset,
    room: usize,
    filter: &Filter,
    index: &dyn QueueIndex,
    picked: &mut Picked,
) -> QueueOffset {
    let mut next = begin;
    if room == 0 || begin >= index.end() {
        return next;
    }
    let (mut left, mut looked_at) = (room, 0);
    let scan = index.scan(begin, &mut |candidate| {
        if looked_at == SCAN_MAX {
            picked.more = true;
            return ControlFlow::Break(());
        }
        looked_at += 1;
        next = candidate.offset.plus(1);
        if filter.admits(candidate.hash) {
            let Candidate { offset, lsn, .. } = candidate;
            picked.picks.push(Pick { offset, lsn, attempt: 1 });
            left -= 1;
        }
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Scan::Missing(at) = scan {
        // Everything below was looked at, gaps too: they need not be in memory again.
        next = at;
        picked.missing.get_or_insert(at);
    }
    next
}

fn write_down(
    ask: &Ask<'_>,
    known: Option<&Cursor>,
    next: QueueOffset,
    done: Vec<QueueOffset>,
    picked: &mut Picked,
) {
    let CursorId { group, queue } = ask.id;
    let op = |step| Op { group, queue, step };
    if !done.is_empty() {
        picked.ops.push(op(Step::Ack(Spans::from_iter(done))));
    }
    if !picked.picks.is_empty() {
        let (visible_at, lease) = (ask.visible_at, ask.lease.clone());
        let runs = runs(&picked.picks);
        picked.ops.push(op(Step::Pop(Pop { next, visible_at, lease, runs })));
    } else if known.is_none_or(|cursor| cursor.next != next) {
        picked.ops.push(op(Step::Offset(next)));
    }
}

fn runs(picks: &[Pick]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for pick in picks {
        match runs.last_mut() {
            Some(run) if run.attempt == pick.attempt && run.span.end() == pick.offset => {
                run.span.count += 1;
            }
            Some(_) | None => {
                let span = Span { first: pick.offset, count: 1 };
                runs.push(Run { span, attempt: pick.attempt });
            }
        }
    }
    runs
}

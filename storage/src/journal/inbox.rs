//! What waits for the writer: a lane per placement group, taken from in turn by a quantum of bytes,
//! so that one busy placement group cannot starve the others. How much may wait is bounded by the
//! room that appends reserve and by the lead that a log may have over its synced end.
use super::answer::{Copy, JoinedBy, Sealed, StoreRefused};
use super::copy::PgCopy;
use super::draft::Draft;
use crate::env::Timestamp;
use crate::format::{Epoch, Lsn, QueueOffset, QueueUid};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes that a lane may give in one turn.
const QUANTUM_BYTES: u64 = 1 << 20;
/// Bytes that one batch may have: a sync's worth, so that async watermarks move in small steps.
const BATCH_BYTES: u64 = 8 << 20;
/// From so many bytes on, what waits to be synced is copied while the sync before it still runs.
const AHEAD_BYTES: u64 = 64 << 10;

/// What somebody waits for once a group was handed over. It decides which thread is woken: one that
/// nobody needs sleeps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// That it is in the journal. The writer is woken; it is synced soon, but nobody waits for it.
    Written,
    /// That it is synced. The syncer is woken, and does the writing before it syncs.
    Synced,
    /// By one that it is in the journal, by another that it is synced.
    Both,
}

impl Wanted {
    /// Whether somebody waits for the sync.
    pub(crate) fn is_synced(self) -> bool {
        self != Wanted::Written
    }
}

/// Records that are one atomic group, with their places.
pub(crate) struct Group {
    pub(crate) copy: Arc<PgCopy>,
    pub(crate) epoch: Epoch,
    pub(crate) first: Lsn,
    /// Bytes in the log.
    pub(crate) bytes: u64,
    /// Bytes reserved in the journal.
    pub(crate) reserved: u64,
    pub(crate) time: Timestamp,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) offsets: Offsets,
    pub(crate) wanted: Wanted,
}

/// Queue offsets of a group's drafts, 0 where one has none.
pub(crate) enum Offsets {
    One(QueueOffset),
    Many(Vec<QueueOffset>),
}

impl Offsets {
    pub(crate) fn get(&self, index: usize) -> QueueOffset {
        match self {
            Offsets::One(offset) => *offset,
            Offsets::Many(offsets) => offsets.get(index).copied().unwrap_or_default(),
        }
    }
}

/// What the writer does for a copy, in order with its groups.
pub(crate) enum Control {
    Seal {
        epoch: Epoch,
        base: Lsn,
        reply: oneshot::Sender<Result<Sealed, StoreRefused>>,
    },
    Join {
        epoch: Epoch,
        base: Lsn,
        tiered: Lsn,
        by: JoinedBy,
        reply: oneshot::Sender<Result<Copy, StoreRefused>>,
    },
    Forget {
        queues: Vec<QueueUid>,
    },
    Trim {
        epoch: Epoch,
        to: Lsn,
    },
}

/// One thing to write.
pub(crate) enum Item {
    Group(Group),
    Control(Arc<PgCopy>, Control),
}

impl Item {
    fn lane(&self) -> usize {
        match self {
            Item::Group(group) => group.copy.lane,
            Item::Control(copy, _) => copy.lane,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Item::Group(group) => group.bytes,
            Item::Control(..) => 0,
        }
    }

    fn wanted(&self) -> Wanted {
        match self {
            Item::Group(group) => group.wanted,
            Item::Control(..) => Wanted::Written,
        }
    }
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more comes in; what is there is written.
    Closing,
    /// Nothing more is written.
    Stopped,
}

/// Why the writer was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There is something to write.
    Items,
    /// Nothing came for as long as it was ready to wait.
    Idle,
    /// The syncer wrote: there may be something to do when nothing comes.
    Reminded,
    /// All is written and nothing more will come.
    Drained,
    /// Stop at once.
    Stopped,
}

struct State {
    lanes: Vec<VecDeque<Item>>,
    /// Lanes with items, in turn.
    turn: VecDeque<usize>,
    phase: Phase,
    /// Somebody waits for something in the lanes to be written.
    wanted_written: bool,
    /// The syncer was told that something in the lanes is to be synced.
    told_syncer: bool,
    /// Bytes in the lanes that wait to be synced.
    unsynced: u64,
    reminded: bool,
    writer_waits: bool,
}

/// The writer's queue.
pub(crate) struct Inbox {
    state: Mutex<State>,
    came: Condvar,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox {
            state: Mutex::new(State {
                lanes: Vec::new(),
                turn: VecDeque::new(),
                phase: Phase::Open,
                wanted_written: false,
                told_syncer: false,
                unsynced: 0,
                reminded: false,
                writer_waits: false,
            }),
            came: Condvar::new(),
        }
    }

    /// A lane for one more placement group.
    pub(crate) fn add_lane(&self) -> usize {
        let mut state = self.state.lock();
        state.lanes.push(VecDeque::new());
        state.lanes.len() - 1
    }

    /// Hands an item over; gives it back when nothing more is taken. True when the syncer is to be
    /// told: something waits to be synced, and it was not told since the last batch was taken.
    pub(crate) fn push(&self, item: Item) -> Result<bool, Item> {
        let mut state = self.state.lock();
        let lane = item.lane();
        if state.phase != Phase::Open {
            return Err(item);
        }
        let (bytes, wanted) = (item.bytes(), item.wanted());
        let Some(items) = state.lanes.get_mut(lane) else { return Err(item) };
        items.push_back(item);
        if items.len() == 1 {
            state.turn.push_back(lane);
        }
        let tell_syncer = match wanted {
            Wanted::Written => {
                state.wanted_written = true;
                false
            }
            Wanted::Synced | Wanted::Both => {
                state.wanted_written |= wanted == Wanted::Both;
                state.unsynced += bytes;
                let told = std::mem::replace(&mut state.told_syncer, true);
                // What the syncer was not told of before, it may be about to write.
                state.wanted_written |= told && state.unsynced >= AHEAD_BYTES;
                !told
            }
        };
        if state.wanted_written {
            self.wake(&mut state);
        }
        Ok(tell_syncer)
    }

    /// Tells the writer to look whether it has something to do when nothing comes.
    pub(crate) fn remind(&self) {
        let mut state = self.state.lock();
        state.reminded = true;
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.writer_waits) {
            self.came.notify_one();
        }
    }

    /// Takes a batch, each lane's items in order.
    pub(crate) fn drain(&self, batch: &mut Vec<Item>) {
        let mut state = self.state.lock();
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some(lane) = state.turn.pop_front()
            && let Some(items) = state.lanes.get_mut(lane)
        {
            let mut quantum = 0;
            while quantum < QUANTUM_BYTES
                && let Some(item) = items.pop_front()
            {
                quantum += item.bytes();
                batch.push(item);
            }
            bytes += quantum;
            if !items.is_empty() {
                state.turn.push_back(lane);
            }
        }
        state.told_syncer = false;
        state.unsynced = 0;
        // What is left is the writer's in any case.
        state.wanted_written = !state.turn.is_empty();
        if state.wanted_written {
            self.wake(&mut state);
        }
    }

    /// The writer's rest. `limit` bounds it.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Wake {
        let mut state = self.state.lock();
        loop {
            match state.phase {
                Phase::Stopped => return Wake::Stopped,
                Phase::Open if state.wanted_written => return Wake::Items,
                Phase::Closing if !state.turn.is_empty() => return Wake::Items,
                Phase::Closing => return Wake::Drained,
                Phase::Open => {}
            }
            if limit.is_none() && std::mem::take(&mut state.reminded) {
                return Wake::Reminded;
            }
            state.writer_waits = true;
            let timed_out = match limit {
                Some(limit) => self.came.wait_for(&mut state, limit).timed_out(),
                None => {
                    self.came.wait(&mut state);
                    false
                }
            };
            state.writer_waits = false;
            if timed_out && state.phase == Phase::Open && !state.wanted_written {
                state.reminded = false;
                return Wake::Idle;
            }
        }
    }

    /// Whether nothing more is written.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().phase == Phase::Stopped
    }

    /// Takes nothing more; what is there will be written.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        self.came.notify_one();
    }

    /// Takes and writes nothing more.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Stopped;
        // Replies that wait in it are dropped, which their callers see.
        let lanes = std::mem::take(&mut state.lanes);
        state.turn.clear();
        self.came.notify_one();
        drop(state);
        drop(lanes);
    }
}

//! The machine as bytes: all that the log says, in the order of groups, queues and offsets.
//!
//! Numbers are LEB128 (`n`); a step (`s`) is the difference, of either sign, from the same number
//! of the run before:
//!
//! | part | bytes, version 1 |
//! |---|---|
//! | head | `1u8` |
//! | clients that hold leases | `count n`, then for each `text` |
//! | cursors | `count n`, then for each `group n, queue n, next n, reset_at n, count n, runs` |
//! | run | `gap n, count n, pop s, visible_at s, attempt n, flags u8 [client n, until n]` |
//! | crc | `u32`: CRC-32C of all before |
//!
//! A run is neighbouring messages that one delivery has in flight alike; `gap` counts from the end
//! of the run before. Flags: 1 the next delivery is the same attempt, 2 leased by that client of
//! the list. What follows from the cursors (timers, who holds leases where) is made anew.

use super::cursor::{Cursor, InFlight};
use super::{CursorId, State};
use crate::consume::GroupUid;
use crate::consume::ops::{Lease, OFFSETS_PER_OP_MAX};
use crate::group::ClientId;
use crate::history::snapshot::{Malformed, SnapshotMalformed};
use crate::varint::{Reader, put, put_step, put_text, sealed, unsealed};
use std::collections::HashMap;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset, QueueUid};

const VERSION: u8 = 1;
const SUSPENDED: u8 = 1;
const LEASED: u8 = 2;

/// A cursor has five numbers, a run five and flags.
const CURSOR_BYTES_MIN: usize = 5;
const RUN_BYTES_MIN: usize = 6;
/// Of a run of one message with a lease; whoever is wrong here only costs a copy.
const RUN_BYTES_USUAL: usize = 16;

impl State {
    /// The machine as bytes, for [`State::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let held: usize = self.cursors.values().map(|cursor| cursor.in_flight.len()).sum();
        writer.out.reserve(held * RUN_BYTES_USUAL + self.cursors.len() * 32);
        put(&mut writer.out, self.cursors.len() as u64);
        for (id, cursor) in &self.cursors {
            writer.cursor(*id, cursor);
        }
        let mut out = Vec::with_capacity(writer.out.len() + 64);
        out.push(VERSION);
        put(&mut out, writer.clients.len() as u64);
        writer.clients.iter().for_each(|client| put_text(&mut out, client.as_str()));
        out.append(&mut writer.out);
        sealed(out)
    }

    /// The machine that [`State::snapshot`] wrote.
    ///
    /// # Errors
    /// [`SnapshotMalformed`].
    pub fn restore(bytes: &[u8]) -> Result<State, SnapshotMalformed> {
        let mut input = Reader(unsealed(bytes).ok_or(SnapshotMalformed::Checksum)?);
        match input.byte()? {
            VERSION => {}
            other => return Err(SnapshotMalformed::Version(other.into())),
        }
        let mut clients = Vec::new();
        for _ in 0..input.count(1)? {
            clients.push(ClientId::new(input.text()?));
        }
        let mut read = Read { clients, before: Before::default() };
        let mut state = State::default();
        for _ in 0..input.count(CURSOR_BYTES_MIN)? {
            let group = GroupUid(input.number()?);
            let id = CursorId { group, queue: QueueUid(input.number()?) };
            if state.cursors.last_key_value().is_some_and(|(last, _)| *last >= id) {
                return Err(Malformed::Number.into());
            }
            let cursor = read.cursor(&mut input)?;
            state.take_in(id, cursor);
        }
        input.end()?;
        Ok(state)
    }

    /// A cursor, and what follows from it.
    fn take_in(&mut self, id: CursorId, mut cursor: Cursor) {
        if let Some((due, _)) = cursor.deadlines.first() {
            let due = *due;
            self.timers.arm(id, &mut cursor, due);
        }
        let mut last = None;
        for lease in cursor.in_flight.values().filter_map(|entry| entry.lease.as_ref()) {
            if last != Some(&lease.client) {
                self.leases.entry(lease.client.clone()).or_default().insert(id);
            }
            last = Some(&lease.client);
        }
        self.cursors.insert(id, cursor);
    }
}

/// What steps are counted from.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    pop: u64,
    visible_at: u64,
}

#[derive(Default)]
struct Writer<'a> {
    out: Vec<u8>,
    /// In the order in which they were met.
    clients: Vec<&'a ClientId>,
    numbers: HashMap<&'a ClientId, u64>,
    before: Before,
}

impl<'a> Writer<'a> {
    fn cursor(&mut self, id: CursorId, cursor: &'a Cursor) {
        debug_assert!(cursor.in_flight.len() as u64 <= OFFSETS_PER_OP_MAX, "bounded by decisions");
        let runs = runs(cursor);
        for number in [id.group.0, id.queue.0, cursor.next.0, cursor.reset_at.0] {
            put(&mut self.out, number);
        }
        put(&mut self.out, runs.len() as u64);
        let mut end = 0;
        for run in runs {
            put(&mut self.out, run.first - end);
            put(&mut self.out, run.count);
            end = run.first + run.count;
            self.entry(run.entry);
        }
    }

    fn entry(&mut self, entry: &'a InFlight) {
        put_step(&mut self.out, entry.pop.0, self.before.pop);
        put_step(&mut self.out, entry.visible_at.0, self.before.visible_at);
        self.before = Before { pop: entry.pop.0, visible_at: entry.visible_at.0 };
        put(&mut self.out, entry.attempt.into());
        let suspended = if entry.suspended { SUSPENDED } else { 0 };
        let Some(lease) = &entry.lease else {
            self.out.push(suspended);
            return;
        };
        self.out.push(suspended | LEASED);
        let next = self.clients.len() as u64;
        let number = *self.numbers.entry(&lease.client).or_insert(next);
        if number == next {
            self.clients.push(&lease.client);
        }
        put(&mut self.out, number);
        put(&mut self.out, lease.until.0);
    }
}

/// Neighbours in flight alike.
struct Alike<'a> {
    first: u64,
    count: u64,
    entry: &'a InFlight,
}

fn runs(cursor: &Cursor) -> Vec<Alike<'_>> {
    let mut runs: Vec<Alike<'_>> = Vec::new();
    for (offset, entry) in &cursor.in_flight {
        match runs.last_mut() {
            Some(run) if run.first + run.count == offset.0 && run.entry == entry => run.count += 1,
            Some(_) | None => runs.push(Alike { first: offset.0, count: 1, entry }),
        }
    }
    runs
}

struct Read {
    clients: Vec<ClientId>,
    before: Before,
}

impl Read {
    fn cursor(&mut self, input: &mut Reader<'_>) -> Result<Cursor, Malformed> {
        let next = QueueOffset(input.number()?);
        let mut cursor = Cursor { next, reset_at: Lsn(input.number()?), ..Cursor::default() };
        let (mut end, mut held) = (0u64, 0);
        for _ in 0..input.count(RUN_BYTES_MIN)? {
            let first = end.checked_add(input.number()?).ok_or(Malformed::Number)?;
            let count = input.number()?;
            end = first.checked_add(count).ok_or(Malformed::Number)?;
            held = count.saturating_add(held);
            // INV-POP-1, read back.
            if count == 0 || held > OFFSETS_PER_OP_MAX || end > next.0 {
                return Err(Malformed::Number);
            }
            let entry = self.entry(input)?;
            for offset in first..end {
                cursor.insert(QueueOffset(offset), entry.clone());
            }
        }
        Ok(cursor)
    }

    fn entry(&mut self, input: &mut Reader<'_>) -> Result<InFlight, Malformed> {
        let pop = input.step(self.before.pop)?;
        let visible_at = input.step(self.before.visible_at)?;
        self.before = Before { pop, visible_at };
        let attempt = input.small()?;
        let flags = input.byte()?;
        if flags & !(SUSPENDED | LEASED) != 0 {
            return Err(Malformed::Number);
        }
        let lease = if flags & LEASED == 0 {
            None
        } else {
            let number = usize::try_from(input.number()?).map_err(|_| Malformed::Number)?;
            let client = self.clients.get(number).ok_or(Malformed::Number)?.clone();
            Some(Lease { client, until: Timestamp(input.number()?) })
        };
        Ok(InFlight {
            pop: Lsn(pop),
            visible_at: Timestamp(visible_at),
            attempt,
            suspended: flags & SUSPENDED != 0,
            lease,
        })
    }
}

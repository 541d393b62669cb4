//! Windows and index against lists; a log that is trimmed under a scan.

use super::index::Index;
use super::local::Local;
use super::testing::{message, record};
use super::window::Windows;
use super::*;
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::format::object::Record;
use storage::format::{Lsn, QueueOffset, QueueUid};
use storage::{Bounds, Entry, ReadError, RecordView};

mod service;

const QUEUE: QueueUid = QueueUid(6);
/// Offsets of the tests' queue.
const OFFSETS: u64 = 120;

/// Whether an offset has a message: there are gaps, one of them long.
fn is_message(offset: u64) -> bool {
    offset % 7 != 3 && !(50..70).contains(&offset)
}

fn messages(from: u64, next: u64) -> Vec<Record> {
    (from..next).filter(|at| is_message(*at)).map(|at| message(QUEUE, at, 100)).collect()
}

fn insert(windows: &mut Windows, from: u64, next: u64) {
    windows.insert(QUEUE, QueueOffset(from), QueueOffset(next), messages(from, next));
}

fn offsets(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.offset.0).collect()
}

/// Stretches, and offsets to ask for.
fn stretches() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let one = (0..OFFSETS, 1..30u64).prop_map(|(from, len)| (from, (from + len).min(OFFSETS)));
    vec(one, 0..12)
}

proptest! {
    #[test]
    fn windows_know_what_was_inserted_and_nothing_else(
        stretches in stretches(),
        below in 0..=OFFSETS,
        limit in 1..40usize,
    ) {
        let mut windows = Windows::new(usize::MAX);
        let mut known = BTreeSet::new();
        for (from, next) in stretches {
            insert(&mut windows, from, next);
            known.extend(from..next);
        }
        for from in 0..OFFSETS {
            let behind = (from..OFFSETS).find(|at| !known.contains(at)).unwrap_or(OFFSETS);
            let there: Vec<u64> =
                (from..behind.min(below)).filter(|at| is_message(*at)).collect();
            let mut entries = Vec::new();
            let (at, end) = (QueueOffset(from), QueueOffset(below));
            let to = windows.entries(QUEUE, at, end, limit, &mut entries).0;
            prop_assert_eq!(offsets(&entries), &there[..there.len().min(limit)]);
            if there.len() < limit {
                prop_assert_eq!(to, behind.min(below).max(from));
            } else {
                prop_assert_eq!(to, there[limit - 1] + 1);
            }
            let expected = known.contains(&from).then(|| is_message(from));
            prop_assert_eq!(windows.find(QUEUE, at).map(|found| found.is_some()), expected);
        }
        prop_assert_eq!(windows.find(QueueUid(7), QueueOffset(0)), None);
    }

    #[test]
    fn windows_that_are_bounded_forget_and_never_err(stretches in stretches()) {
        let mut windows = Windows::new(4000);
        for (from, next) in stretches {
            insert(&mut windows, from, next);
            let most = windows.bytes();
            // One stretch of thirty messages is larger than all may be.
            prop_assert!(most <= 4000 || most < 30 * 300);
            let asked = windows.find(QUEUE, QueueOffset(from));
            prop_assert_eq!(asked.map(|found| found.is_some()), Some(is_message(from)));
            for at in 0..OFFSETS {
                let found = windows.record(QUEUE, QueueOffset(at));
                if let Some(found) = found {
                    prop_assert_eq!(found, is_message(at).then(|| message(QUEUE, at, 100)));
                }
            }
        }
    }
}

#[test]
fn the_stretch_that_was_used_least_lately_goes_first() {
    let mut windows = Windows::new(7000);
    for from in [0, 20, 80] {
        insert(&mut windows, from, from + 10);
    }
    assert!(windows.find(QUEUE, QueueOffset(0)).is_some());
    insert(&mut windows, 100, 110);
    assert_eq!(windows.find(QUEUE, QueueOffset(20)), None);
    for kept in [0, 80, 100] {
        assert!(windows.find(QUEUE, QueueOffset(kept)).is_some(), "{kept}");
    }
}

#[test]
fn what_a_queue_took_over_from_another_is_its_own() {
    let (source, mut windows) = (QueueUid(7), Windows::new(usize::MAX));
    let records: Vec<_> = (0..4).map(|offset| message(source, offset, 10)).collect();
    windows.insert(QUEUE, QueueOffset(0), QueueOffset(4), records);
    assert!(windows.find(QUEUE, QueueOffset(3)).unwrap().is_some());
    assert_eq!(windows.find(source, QueueOffset(3)), None);
}

#[test]
fn what_a_queue_no_longer_keeps_is_let_go() {
    let mut windows = Windows::new(usize::MAX);
    insert(&mut windows, 0, 10);
    insert(&mut windows, 10, 20);
    windows.forget_below(QUEUE, QueueOffset(10));
    assert_eq!(windows.find(QUEUE, QueueOffset(9)), None);
    assert!(windows.find(QUEUE, QueueOffset(10)).is_some());
    windows.forget_below(QUEUE, QueueOffset(20));
    assert_eq!(windows.bytes(), 0);
}

/// A log that gives up messages whenever somebody looks at it.
struct Shrinking {
    next: u64,
    visible: u64,
    first: Mutex<u64>,
    /// How many offsets it gives up at each of the next looks.
    script: Mutex<VecDeque<u64>>,
}

impl Shrinking {
    fn entry(offset: u64) -> Entry {
        let record = message(QUEUE, offset, 0);
        let (offset, lsn, time) = (record.offset, record.lsn, record.time);
        Entry { offset, lsn, len: 0, filter: record.filter, time }
    }

    /// Up to the next message, or the end; only what is visible can be given up.
    fn shrink(&self) {
        let by = self.script.lock().pop_front().unwrap_or(0);
        let mut first = self.first.lock();
        let at = (*first + by).min(self.visible);
        let message = (at..self.next).find(|at| is_message(*at));
        *first = (*first).max(message.unwrap_or(self.next));
    }
}

impl Local for Shrinking {
    fn bounds(&self, _: QueueUid) -> Bounds {
        self.shrink();
        let first = QueueOffset(*self.first.lock());
        let visible_end = QueueOffset(self.visible).max(first);
        Bounds { first, visible_end, next: QueueOffset(self.next), bytes: 0 }
    }

    fn scan(&self, _: QueueUid, from: QueueOffset, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) {
        let mut at = from.0;
        loop {
            let first = *self.first.lock();
            let there = (at.max(first)..self.visible).filter(|at| is_message(*at));
            let batch: Vec<u64> = there.take(4).collect();
            self.shrink();
            for offset in &batch {
                if each(Shrinking::entry(*offset)).is_break() {
                    return;
                }
                at = offset + 1;
            }
            if batch.len() < 4 {
                return;
            }
            self.shrink();
        }
    }

    fn offset_at_time(&self, _: QueueUid, at: Timestamp) -> QueueOffset {
        QueueOffset(at.0)
    }

    fn read(&self, lsn: Lsn) -> Result<RecordView, ReadError> {
        Err(ReadError::Gone(lsn))
    }
}

fn index<'a>(
    local: &'a Shrinking,
    windows: &'a Mutex<Windows>,
    kept_from: Option<QueueOffset>,
) -> Index<'a> {
    Index { local, windows, queue: QUEUE, kept_from, bounds: local.bounds(QUEUE) }
}

/// What a loader would bring: a message at least, but only what the log gave up already.
fn load(local: &Shrinking, windows: &Mutex<Windows>, at: QueueOffset, len: u64) {
    let message = (at.0..OFFSETS).find(|at| is_message(*at)).unwrap_or(OFFSETS);
    let next = (at.0 + len).max(message + 1).min(*local.first.lock()).max(at.0 + 1);
    let records = messages(at.0, next);
    windows.lock().insert(QUEUE, at, QueueOffset(next), records);
}

proptest! {
    #[test]
    fn a_scan_over_a_log_that_is_trimmed_meanwhile_shows_every_message_once(
        first in 0..OFFSETS,
        visible in 0..=OFFSETS,
        kept in 0..30u64,
        script in vec(prop_oneof![3 => Just(0), 1 => 0..40u64], 0..40),
        (len, memory) in (1..20u64, prop_oneof![Just(usize::MAX), Just(2000)]),
    ) {
        let visible = visible.max(first);
        let local = Shrinking {
            next: OFFSETS, visible, first: Mutex::new(0), script: Mutex::new([first].into()),
        };
        local.shrink();
        local.script.lock().extend(script);
        let windows = Mutex::new(Windows::new(memory));
        let (mut at, mut seen) = (QueueOffset(0), Vec::new());
        loop {
            let scan = index(&local, &windows, Some(QueueOffset(kept))).scan(at, &mut |entry| {
                seen.push(entry.offset.0);
                at = entry.offset.plus(1);
                ControlFlow::Continue(())
            });
            match scan {
                Scan::End => break,
                Scan::Missing(place) => {
                    prop_assert!(place >= at && place.0 < *local.first.lock());
                    load(&local, &windows, place, len);
                    at = place;
                }
            }
        }
        let expected: Vec<u64> = (kept..visible).filter(|at| is_message(*at)).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn a_look_tells_the_message_from_none_wherever_it_lies(
        first in 0..OFFSETS,
        kept in 0..30u64,
        script in vec(0..20u64, 0..300),
        asked in vec(0..OFFSETS, 1..60),
    ) {
        let local = Shrinking {
            next: OFFSETS, visible: OFFSETS, first: Mutex::new(0),
            script: Mutex::new([first].into()),
        };
        local.shrink();
        local.script.lock().extend(script);
        let windows = Mutex::new(Windows::new(usize::MAX));
        for offset in asked {
            let look = || index(&local, &windows, Some(QueueOffset(kept))).find(QueueOffset(offset));
            let mut found = look();
            if found == Look::Missing {
                load(&local, &windows, QueueOffset(offset), 5);
                found = look();
            }
            let there = offset >= kept && is_message(offset);
            let expected =
                if there { Look::Here(offset) } else { Look::Gone };
            let found = match found {
                Look::Here(entry) => Look::Here(entry.offset.0),
                Look::Gone => Look::Gone,
                Look::Missing => Look::Missing,
            };
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_log_that_has_everything_is_all_there_is() {
    let local =
        Shrinking { next: 40, visible: 40, first: Mutex::new(20), script: Mutex::default() };
    let windows = Mutex::new(Windows::new(usize::MAX));
    let index = index(&local, &windows, None);
    assert_eq!(index.first(), QueueOffset(20));
    assert_eq!(index.find(QueueOffset(5)), Look::Gone);
    let mut seen = Vec::new();
    let scan = index.scan(QueueOffset(0), &mut |entry| {
        seen.push(entry.offset.0);
        ControlFlow::Continue(())
    });
    assert_eq!((scan, seen.len()), (Scan::End, 17));
}

#[test]
fn a_record_of_an_object_says_what_that_of_the_log_said() {
    let view = RecordView {
        kind: storage::RecordKind::Message,
        queue: QUEUE,
        offset: QueueOffset(3),
        lsn: Lsn(99),
        time: Timestamp(5),
        filter: 7,
        body: bytes::Bytes::from_static(b"body"),
    };
    let record = record(&view);
    assert_eq!((record.lsn, record.filter, record.body()), (view.lsn, 7, view.body));
}

//! Logs whose beginning is in the bucket: crashes at every boundary of lives that upload and trim,
//! and what a trim is good for.
use super::bucket::Bucket;
use super::rig::{PG, Rig, SEGMENT, draft, entries, first_tiered_life, live};
use super::room::{begin, fill};
use crate::format::{Epoch, Lsn, QueueOffset, QueueUid, RecordKind};
use crate::journal::simulated::{Crash, Dice, SimulatedDisk};
use crate::journal::{Class, FillState, Level};
use crate::log::{Log, Piece, ReadError, Refused};

const QUEUE: QueueUid = QueueUid(1);
const OTHER: QueueUid = QueueUid(2);

#[test]
fn every_boundary_of_a_life_that_is_trimmed() {
    let mut recycled = 0;
    for seed in 0..4 {
        let mut dice = Dice(9000 + seed);
        let (rig, _log, history) = first_tiered_life(&mut dice, 120, 6);
        recycled += rig.disk.given_up();
        for done in 0..=rig.disk.done() {
            let process = rig.disk.crashed(done, Crash::Process, &mut dice);
            history.check(&process, done, 6);
            let host = rig.disk.crashed(done, Crash::Host, &mut dice);
            history.check(&host, done, 6);
        }
    }
    assert!(recycled > 0, "segments were recycled on the way");
}

#[test]
fn somewhere_in_each_of_many_lives_that_are_trimmed() {
    let mut recycled = 0;
    // More of them by night: STRATAMQ_SEEDS=10000.
    let seeds = std::env::var("STRATAMQ_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(20) {
        let mut dice = Dice(20_000 + seed);
        let (mut rig, _log, mut history) = first_tiered_life(&mut dice, 250, 10);
        for life in 1..6 {
            let last = rig.disk.done() as u64;
            let done = (last - dice.below(last + 1).min(dice.below(last + 1))) as usize;
            let crash = if dice.below(2) == 0 { Crash::Process } else { Crash::Host };
            let disk = rig.disk.crashed(done, crash, &mut dice);
            eprintln!("seed {seed}, life {life}: {crash:?} after {done} of {last}");
            let (next, mut log) = history.check(&disk, done, 10);
            history = history.survived(&next, &log, done);
            rig = next;
            live(&mut rig, &mut log, &mut history, &mut dice, 250);
        }
        recycled += rig.disk.given_up();
    }
    assert!(recycled > 0, "segments were recycled on the way");
}

/// Appends and syncs `count` messages, each in a frame of its own.
fn send(rig: &mut Rig, log: &Log, queue: QueueUid, count: u64, len: usize) {
    for id in 0..count {
        log.append(vec![draft(RecordKind::Message, queue, id, len)], Class::Message).unwrap();
        rig.step();
    }
}

/// Uploads everything, and trims to what frees all sealed segments.
fn upload_and_trim(rig: &mut Rig, log: &Log, bucket: &mut Bucket) {
    bucket.upload(rig, log, u64::MAX);
    if let Some(point) = rig.store.trim_points(0).get(&PG) {
        log.trim(*point);
    }
}

#[test]
fn a_full_journal_that_is_trimmed_takes_messages_again() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let mut bucket = Bucket::default();
    let mut next = 0;
    for round in 0..5 {
        let (taken, refused) = fill(&mut rig, &log, Class::Message);
        assert!(matches!(refused, Refused::Full { .. }), "{refused:?}");
        assert!(taken > 50, "round {round}: {taken}");
        next += taken;
        upload_and_trim(&mut rig, &log, &mut bucket);
        rig.step();
        rig.step();
        assert_eq!(rig.store.fill().state, FillState::Open);
        assert!(rig.store.fill().used <= 2 * SEGMENT, "{:?}", rig.store.fill());
        let bounds = log.bounds(QUEUE);
        assert_eq!((bounds.next.0, bounds.visible_end.0), (next, next));
        assert!(bounds.first > QueueOffset(0));
        let held = entries(&log, QUEUE);
        assert!(held.iter().all(|entry| log.read(entry.lsn).is_ok()));
        let found = bucket.records(usize::MAX).count() as u64;
        assert_eq!(found, next, "the bucket has every one of them");
    }
    // Of a queue without messages next to nothing stays in memory.
    log.trim(log.end());
    rig.step();
    assert_eq!(log.bounds(QUEUE).first.0, next);
    assert!(rig.store.fill().index.used <= 160, "{:?}", rig.store.fill().index);
}

#[test]
fn a_trim_that_no_restate_tells_of_is_told_by_the_next_join() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let mut bucket = Bucket::default();
    // A message in each of several segments, and one that keeps them from being given back.
    log.open_queue(OTHER, Level::Local);
    send(&mut rig, &log, OTHER, 40, 3000);
    bucket.upload(&mut rig, &log, 100_000);
    send(&mut rig, &log, QUEUE, 3, 100);
    let before = rig.disk.given_up();
    log.trim(Lsn(PG.first_lsn().0 + 20_000));
    rig.write();
    let from = rig.parts.shared.copy(PG).state.lock().from;
    assert!(PG.first_lsn() < from && from < rig.tiered);
    assert_eq!(rig.disk.given_up(), before);
    let log = rig.take_over();
    let (end, chain) = (log.end(), log.chain_at(from));
    for seed in 0..8 {
        let after = rig.disk.crashed(rig.disk.done(), Crash::Host, &mut Dice(seed));
        let mut next = Rig::open(&after, 8);
        assert!(!next.store.is_damaged());
        {
            let copy = next.parts.shared.copy(PG);
            let state = copy.state.lock();
            assert_eq!((state.label, state.from, state.end), (Epoch(2), from, end));
            let first = copy.frames.read().iter().next().map(|(_, frame)| frame.lsn);
            assert_eq!(first, Some(from), "what was before is not held any more");
        }
        next.tiered = rig.tiered;
        let log = next.take_over();
        assert_eq!((log.local_from(), log.chain_at(from)), (from, chain));
        // What follows still fits what was uploaded.
        bucket.survived(usize::MAX).upload(&mut next, &log, u64::MAX);
    }
}

#[test]
fn a_trimmed_segment_is_recycled_only_when_its_absence_is_durable() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let mut bucket = Bucket::default();
    fill(&mut rig, &log, Class::Message);
    let (end, before) = (log.end(), rig.disk.done());
    upload_and_trim(&mut rig, &log, &mut bucket);
    let tiered = rig.tiered;
    // The preparer is quick and the syncer slow.
    for _ in 0..3 {
        rig.write();
        rig.prepare();
    }
    assert_eq!(rig.disk.given_up(), 0);
    rig.sync();
    rig.prepare();
    assert!(rig.disk.given_up() > 0);
    for done in before..=rig.disk.done() {
        for seed in 0..8 {
            let after = rig.disk.crashed(done, Crash::Host, &mut Dice(seed));
            let mut next = Rig::open(&after, 8);
            assert!(!next.store.is_damaged());
            next.tiered = tiered;
            let log = next.take_over();
            assert_eq!(log.end(), end);
            assert!(log.local_from() <= tiered);
            let held: u64 = entries(&log, QUEUE).len() as u64;
            let bounds = log.bounds(QUEUE);
            assert_eq!(bounds.next.since(bounds.first), held, "without a gap");
        }
    }
}

#[test]
fn a_trimmed_segment_that_somebody_reads_is_not_used_again() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let mut bucket = Bucket::default();
    fill(&mut rig, &log, Class::Message);
    let pieces = log.committed(PG.first_lsn(), log.end(), 1 << 20).unwrap();
    let Some(Piece::Frame(frame)) = pieces.first() else { panic!("a frame") };
    let before = frame.payload.to_vec();
    for _ in 0..4 {
        upload_and_trim(&mut rig, &log, &mut bucket);
        rig.step();
        rig.step();
        fill(&mut rig, &log, Class::Message);
    }
    assert_eq!(frame.payload, before);
    assert_eq!(log.read(PG.first_lsn()), Err(ReadError::Gone(PG.first_lsn())));
}

#[test]
fn trim_points_are_where_sealed_segments_end() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 12);
    assert_eq!(rig.store.trim_points(0), [].into());
    send(&mut rig, &log, QUEUE, 60, 3000);
    let points: Vec<_> =
        (0..6).map(|kept| rig.store.trim_points(kept * SEGMENT).get(&PG).copied()).collect();
    assert!(points.is_sorted_by(|a, b| a > b || b.is_none()), "{points:?}");
    let sealed = rig.parts.shared.segments.lock().len() as u64 - 1;
    assert_eq!(rig.store.trim_points(sealed * SEGMENT), [].into());
    assert_eq!(rig.store.trim_points(u64::MAX), [].into());
    let mut bucket = Bucket::default();
    bucket.upload(&mut rig, &log, u64::MAX);
    log.trim(points[1].unwrap());
    rig.step();
    rig.step();
    assert_eq!(rig.parts.shared.segments.lock().len(), 2, "the one that is kept, and the active");
    assert_eq!(log.local_from(), points[1].unwrap());
}

#[test]
fn a_range_is_given_from_frame_to_frame() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 60);
    send(&mut rig, &log, QUEUE, 600, 10);
    let first = PG.first_lsn();
    let all = log.committed(first, Lsn(u64::MAX), u64::MAX).unwrap();
    assert_eq!(all.len(), 600);
    assert_eq!(all.last().map(Piece::end), Some(log.end()));
    let second = all[0].end();
    let ends = |from, to, bytes| {
        log.committed(from, to, bytes).map(|pieces| (pieces.len(), pieces.last().map(Piece::end)))
    };
    assert_eq!(ends(first, log.end(), 1), Ok((1, Some(second))), "one is always given");
    assert_eq!(ends(first, Lsn(second.0 + 1), u64::MAX), Ok((1, Some(second))), "no half frames");
    assert_eq!(ends(second, second, u64::MAX), Ok((0, None)));
    assert_eq!(ends(log.end(), Lsn(u64::MAX), 9), Ok((0, None)));
    let inside = first.plus(1);
    assert_eq!(ends(inside, log.end(), 9), Err(ReadError::NotARecord(inside)));
    let beyond = log.end().plus(1);
    assert_eq!(ends(beyond, beyond, 9), Err(ReadError::NotYet(beyond)));
    // What is not synced is not committed.
    let end = log.end();
    log.append(vec![draft(RecordKind::Message, QUEUE, 1, 10)], Class::Message).unwrap();
    rig.write();
    assert_eq!(ends(end, Lsn(u64::MAX), 9), Ok((0, None)));
    rig.sync();
    assert_eq!(ends(end, Lsn(u64::MAX), 9), Ok((1, Some(log.end()))));
    let mut bucket = Bucket::default();
    bucket.upload(&mut rig, &log, u64::MAX);
    log.trim(Lsn(second.0 + 1));
    rig.step();
    assert_eq!(log.local_from(), second, "rounded down");
    assert_eq!(ends(first, log.end(), 9), Err(ReadError::Gone(first)));
    assert_eq!(log.chain_at(first), None);
}

#[test]
fn a_hole_is_uploaded_as_one_also_from_within() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 12);
    log.open_queue(OTHER, Level::Local);
    send(&mut rig, &log, QUEUE, 1, 10);
    send(&mut rig, &log, OTHER, 60, 3000);
    send(&mut rig, &log, QUEUE, 1, 10);
    let mut bucket = Bucket::default();
    // Ends within what becomes the hole.
    bucket.upload(&mut rig, &log, 100_000);
    let tiered = rig.tiered;
    log.forget_queues(&[OTHER]);
    rig.step();
    rig.step();
    let pieces = log.committed(tiered, log.end(), u64::MAX).unwrap();
    assert!(matches!(pieces[0], Piece::Hole { .. }), "{:?}", pieces[0]);
    assert_eq!(log.chain_at(tiered), None, "only what was uploaded tells it");
    bucket.upload(&mut rig, &log, u64::MAX);
    log.trim(tiered);
    rig.step();
    assert!(log.local_from() < tiered, "a copy does not begin within a hole");
    let after = rig.disk.crashed(rig.disk.done(), Crash::Host, &mut Dice(1));
    let mut next = Rig::open(&after, 12);
    next.tiered = rig.tiered;
    let log = next.take_over();
    bucket.survived(usize::MAX).upload(&mut next, &log, u64::MAX);
    assert_eq!(entries(&log, QUEUE).last().map(|entry| entry.offset), Some(QueueOffset(1)));
}

#[test]
fn a_queue_goes_on_where_the_bucket_says_when_nothing_of_it_is_left() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let mut bucket = Bucket::default();
    log.open_queue(OTHER, Level::Async);
    send(&mut rig, &log, QUEUE, 5, 3000);
    send(&mut rig, &log, OTHER, 7, 3000);
    let filler = QueueUid(3);
    log.open_queue(filler, Level::Local);
    send(&mut rig, &log, filler, 30, 3000);
    upload_and_trim(&mut rig, &log, &mut bucket);
    rig.step();
    rig.step();
    let held = log.bounds(QUEUE);
    assert_eq!((held.first.0, held.visible_end.0, held.next.0, held.bytes), (5, 5, 5, 0));

    let after = rig.disk.crashed(rig.disk.done(), Crash::Host, &mut Dice(1));
    let mut next = Rig::open(&after, 8);
    next.tiered = rig.tiered;
    let log = next.take_over();
    assert_eq!(log.bounds(QUEUE).next.0, 0, "nothing tells it here");
    let ends = bucket.ends(usize::MAX);
    log.restore(&ends);
    log.restore(&ends);
    log.open_queue(QUEUE, Level::Local);
    log.open_queue(OTHER, Level::Async);
    next.step();
    let held = log.bounds(QUEUE);
    assert_eq!((held.first.0, held.visible_end.0, held.next.0), (5, 5, 5));
    let offset = |queue, log: &Log| {
        let drafts = vec![draft(RecordKind::Message, queue, 1, 1)];
        log.append(drafts, Class::Message).unwrap().places[0].offset.unwrap().0
    };
    assert_eq!(offset(QUEUE, &log), 5);
    // Its offsets may have been seen and lost with the page cache: as if its record were here.
    assert_eq!(offset(OTHER, &log), 7 + (1 << 20));
    // Found here by now, and further on than what is restored.
    log.restore(&ends);
    assert_eq!(offset(QUEUE, &log), 6);
}

#[test]
fn a_queue_of_the_bucket_is_shown_and_told_of_when_a_range_is_committed() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let mut bucket = Bucket::default();
    log.open_queue(QUEUE, Level::Object);
    send(&mut rig, &log, QUEUE, 3, 10);
    assert_eq!(log.bounds(QUEUE).visible_end.0, 0);
    assert!(entries(&log, QUEUE).is_empty());
    bucket.upload(&mut rig, &log, 1);
    assert_eq!(entries(&log, QUEUE).len(), 1);
    assert_eq!(rig.run(log.next_visible()), [(QUEUE, 1)]);
    let end = log.end();
    let mut waits = Box::pin(log.reached(Level::Object, end));
    assert!(pending(&mut waits));
    bucket.upload(&mut rig, &log, u64::MAX);
    assert!(!pending(&mut waits));
    // Trimmed before anybody asked.
    log.trim(end);
    assert_eq!(rig.run(log.next_visible()), [(QUEUE, 2)]);

    // What a restart finds and the bucket has not is news when the bucket has it.
    send(&mut rig, &log, QUEUE, 4, 10);
    let log = rig.take_over();
    log.restore(&bucket.ends(usize::MAX));
    log.open_queue(QUEUE, Level::Object);
    assert_eq!((log.bounds(QUEUE).visible_end.0, log.bounds(QUEUE).next.0), (3, 7));
    let waits = log.reached(Level::Object, log.end());
    bucket.upload(&mut rig, &log, u64::MAX);
    rig.run(waits).unwrap();
    assert_eq!(rig.run(log.next_visible()), [(QUEUE, 4)]);
    // What waits for the bucket in an epoch that ends is unknown.
    let appended = log.append(vec![draft(RecordKind::Message, QUEUE, 1, 1)], Class::Message);
    let waits = log.reached(Level::Object, appended.unwrap().end);
    rig.take_over();
    assert!(rig.run(waits).is_err());
}

fn pending(future: &mut std::pin::Pin<Box<impl Future>>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    future.as_mut().poll(&mut context).is_pending()
}

#[test]
fn a_replay_begins_where_it_is_asked_to() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    for id in 0..3 {
        let drafts = [id * 2, id * 2 + 1].map(|id| draft(RecordKind::Ack, QUEUE, id, 1)).to_vec();
        log.append(drafts, Class::Reserve).unwrap();
        rig.step();
    }
    let seen = |from| {
        let mut seen = Vec::new();
        log.replay(from, &mut |view| seen.push(view.lsn));
        seen
    };
    let all = seen(Lsn(0));
    assert_eq!(all.len(), 6);
    for (count, lsn) in all.iter().enumerate() {
        assert_eq!(seen(*lsn), all[count..], "also from within a frame");
    }
    assert!(seen(log.end()).is_empty());
}

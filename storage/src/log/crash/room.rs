//! Full disks, broken disks, full journals, and how often the disk is synced.
use super::rig::{PG, Rig, SEGMENT, draft, entries, id_of};
use crate::format::{BLOCK_BYTES, Epoch, Lsn, QueueUid, RecordKind};
use crate::journal::simulated::{Crash, Dice, SimulatedDisk};
use crate::journal::{Class, FillState, Level};
use crate::log::{Log, Refused};

const QUEUE: QueueUid = QueueUid(1);

pub(super) fn begin(disk: &SimulatedDisk, segments: u64) -> (Rig, Log) {
    let mut rig = Rig::open(disk, segments);
    rig.join(Epoch(1), PG.first_lsn()).unwrap();
    let log = rig.store.log(PG, Epoch(1)).unwrap();
    log.open_queue(QUEUE, Level::Local);
    rig.prepare();
    (rig, log)
}

/// Appends and syncs until nothing more is taken; how many were, and the last refusal.
pub(super) fn fill(rig: &mut Rig, log: &Log, class: Class) -> (u64, Refused) {
    let mut taken = 0;
    let mut last = Refused::Closed;
    for len in [3000, 100, 0] {
        let mut busy = 0;
        loop {
            match log.append(vec![draft(RecordKind::Message, QUEUE, taken, len)], class) {
                Ok(_) => taken += 1,
                Err(Refused::Busy) if busy < 3 => busy += 1,
                Err(refused) => {
                    last = refused;
                    break;
                }
            }
            rig.step();
        }
    }
    (taken, last)
}

#[test]
fn many_appends_share_a_sync() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    rig.prepare();
    let before = rig.disk.syncs();
    let mut last = PG.first_lsn();
    for id in 0..10 {
        let drafts = vec![draft(RecordKind::Message, QUEUE, id, 10)];
        last = log.append(drafts, Class::Message).unwrap().end;
    }
    rig.write();
    rig.sync();
    assert_eq!(log.watermark(Level::Local), last);
    assert_eq!(rig.disk.syncs() - before, 1);
    assert_eq!(entries(&log, QUEUE).len(), 10);
}

#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let disk = SimulatedDisk::default();
    disk.set_room(Some(2));
    let (mut rig, log) = begin(&disk, 16);
    let (taken, refused) = fill(&mut rig, &log, Class::Message);
    assert_eq!(refused, Refused::DiskFull);
    let fill_now = rig.store.fill();
    assert!(fill_now.disk_full);
    assert_eq!(fill_now.state, FillState::RefusingMessages);
    let (reserve, refused) = fill(&mut rig, &log, Class::Reserve);
    assert_eq!(refused, Refused::DiskFull);
    assert!(reserve > 0, "acks go on for a while");
    assert_eq!(rig.store.fill().state, FillState::RefusingAll);
    disk.set_room(None);
    rig.prepare();
    assert_eq!(rig.store.fill().state, FillState::Open);
    assert!(!rig.store.fill().disk_full);
    let drafts = vec![draft(RecordKind::Message, QUEUE, 1, 10)];
    let appended = log.append(drafts, Class::Message).unwrap();
    rig.step();
    assert_eq!(log.watermark(Level::Local), appended.end);
    assert_eq!(entries(&log, QUEUE).len() as u64, taken + reserve + 1);
}

#[test]
fn a_store_opens_on_a_full_disk_and_serves_what_it_has() {
    let disk = SimulatedDisk::default();
    disk.set_room(Some(1));
    let (mut rig, log) = begin(&disk, 16);
    let (taken, _) = fill(&mut rig, &log, Class::Message);
    let after = disk.crashed(disk.done(), Crash::Host, &mut Dice(1));
    after.set_room(Some(0));
    let mut rig = Rig::open(&after, 16);
    let log = rig.take_over();
    assert_eq!(entries(&log, QUEUE).len() as u64, taken);
}

#[test]
fn a_store_that_never_had_room_refuses_until_there_is_some() {
    let disk = SimulatedDisk::default();
    disk.set_room(Some(0));
    let mut rig = Rig::open(&disk, 16);
    assert!(rig.join(Epoch(1), PG.first_lsn()).is_err());
    disk.set_room(None);
    rig.prepare();
    rig.join(Epoch(1), PG.first_lsn()).unwrap();
}

#[test]
fn the_last_part_of_a_full_journal_is_kept_for_acks_and_then_for_the_store() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let (messages, refused) = fill(&mut rig, &log, Class::Message);
    assert!(matches!(refused, Refused::Full { .. }), "{refused:?}");
    let (acks, refused) = fill(&mut rig, &log, Class::Reserve);
    assert!(matches!(refused, Refused::Full { .. }), "{refused:?}");
    assert!(acks > 0);
    assert_eq!(entries(&log, QUEUE).len() as u64, messages + acks);
    // A seal, a join and a restart are still possible, and forgetting makes room.
    let after = rig.disk.crashed(rig.disk.done(), Crash::Host, &mut Dice(1));
    let mut rig = Rig::open(&after, 8);
    let log = rig.take_over();
    assert_eq!(entries(&log, QUEUE).len() as u64, messages + acks);
    log.forget_queues(&[QUEUE]);
    rig.step();
    rig.step();
    assert_eq!(rig.store.fill().state, FillState::Open);
    assert!(rig.store.fill().used <= 2 * SEGMENT);
}

#[test]
fn a_failed_sync_acknowledges_nothing_more() {
    let (mut rig, log, end) = appended();
    rig.disk.break_syncs();
    nothing_follows(&mut rig, &log, end, Level::Local);
}

#[test]
fn a_failed_write_acknowledges_nothing_more_at_any_level() {
    let (mut rig, log, end) = appended();
    rig.disk.break_writes();
    nothing_follows(&mut rig, &log, end, Level::Async);
    assert!(log.watermark(Level::Local) < end);
}

fn appended() -> (Rig, Log, Lsn) {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    rig.step();
    let drafts = vec![draft(RecordKind::Message, QUEUE, 1, 10)];
    let end = log.append(drafts, Class::Message).unwrap().end;
    (rig, log, end)
}

fn nothing_follows(rig: &mut Rig, log: &Log, end: Lsn, level: Level) {
    rig.step();
    assert!(log.watermark(level) < end);
    assert!(rig.run(log.reached(level, end)).is_err());
    let again = log.append(vec![draft(RecordKind::Message, QUEUE, 2, 10)], Class::Message);
    assert_eq!(again, Err(Refused::Closed));
}

#[test]
fn a_recycled_segment_shows_nothing_of_its_past() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let other = QueueUid(2);
    log.open_queue(other, Level::Local);
    for round in 0..20 {
        let queue = QueueUid(100 + round);
        log.open_queue(queue, Level::Local);
        for id in 0..10 {
            let drafts = vec![draft(RecordKind::Message, queue, id, 3000)];
            log.append(drafts, Class::Message).unwrap();
            rig.step();
        }
        if round % 5 == 0 {
            log.append(vec![draft(RecordKind::Message, other, round, 10)], Class::Message).unwrap();
        }
        log.forget_queues(&[queue]);
        rig.step();
        // What the newest segments held before looks like frames, but for the salt.
        let after = rig.disk.crashed(rig.disk.done(), Crash::Process, &mut Dice(round));
        let mut next = Rig::open(&after, 8);
        assert!(!next.store.is_damaged());
        let log = next.take_over();
        let ids: Vec<u64> =
            entries(&log, other).iter().map(|entry| id_of(&log.read(entry.lsn).unwrap())).collect();
        assert_eq!(ids, (0..=round).step_by(5).collect::<Vec<_>>());
    }
}

/// Appends small records until the writer stands before the last block of a segment.
fn stand_before_the_last_block(rig: &mut Rig, log: &Log, queue: QueueUid) {
    for id in 0..200 {
        if id > 20 && rig.store.fill().used % SEGMENT == SEGMENT - BLOCK_BYTES {
            return;
        }
        log.append(vec![draft(RecordKind::Message, queue, id, 0)], Class::Message).unwrap();
        rig.step();
    }
    panic!("no segment has a last block");
}

#[test]
fn a_segment_begun_while_others_are_given_back_is_given_back_too() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    for round in 0..6 {
        let queue = QueueUid(100 + round);
        log.open_queue(queue, Level::Local);
        stand_before_the_last_block(&mut rig, &log, queue);
        // The FORGET takes the last block, so the RESTATE begins a segment. Nothing comes after.
        log.forget_queues(&[queue]);
        rig.step();
        rig.parts.writer.idle();
        rig.sync();
        assert!(rig.store.fill().used < SEGMENT, "round {round}: {:?}", rig.store.fill());
    }
    assert_eq!(log.queues().into_iter().collect::<Vec<_>>(), [QUEUE]);
}

#[test]
fn offsets_shown_by_a_life_that_left_no_frame_are_not_given_again() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    log.open_queue(QUEUE, Level::Async);
    rig.step();
    rig.parts.writer.close();
    rig.sync();
    let closed = rig.disk.crashed(rig.disk.done(), Crash::Process, &mut Dice(1));
    let mut rig = Rig::open(&closed, 8);
    let log = rig.store.log(PG, Epoch(1)).unwrap();
    log.open_queue(QUEUE, Level::Async);
    log.append(vec![draft(RecordKind::Message, QUEUE, 1, 10)], Class::Message).unwrap();
    rig.write();
    let shown = log.bounds(QUEUE).visible_end;
    assert_eq!(shown.0, 1);
    for seed in 0..8 {
        let after = rig.disk.crashed(rig.disk.done(), Crash::Host, &mut Dice(seed));
        let mut next = Rig::open(&after, 8);
        let log = next.store.log(PG, Epoch(1)).unwrap();
        log.open_queue(QUEUE, Level::Async);
        next.step();
        assert!(log.bounds(QUEUE).next >= shown, "seed {seed}");
    }
}

#[test]
fn a_segment_is_recycled_only_when_its_absence_is_durable() {
    let (mut rig, log) = begin(&SimulatedDisk::default(), 8);
    let kept = QueueUid(2);
    log.open_queue(kept, Level::Local);
    log.append(vec![draft(RecordKind::Message, kept, 1, 10)], Class::Message).unwrap();
    fill(&mut rig, &log, Class::Message);
    let end = log.end();
    let before = rig.disk.done();
    log.forget_queues(&[QUEUE]);
    // The preparer is quick and the syncer slow.
    for _ in 0..3 {
        rig.write();
        rig.prepare();
    }
    rig.sync();
    rig.prepare();
    assert!(rig.disk.given_up() > 0);
    for done in before..=rig.disk.done() {
        for seed in 0..8 {
            let after = rig.disk.crashed(done, Crash::Host, &mut Dice(seed));
            let mut next = Rig::open(&after, 8);
            assert!(!next.store.is_damaged());
            let log = next.take_over();
            assert_eq!(log.end(), end);
            assert_eq!(entries(&log, kept).len(), 1);
        }
    }
}

//! Bytes that were synced and then changed by themselves.
use super::rig::{History, PG, Rig, first_life, live};
use crate::format::PgId;
use crate::journal::simulated::{Crash, Dice, SimulatedDisk};

/// A damaged journal either shows that it is, or the damage is where nothing counts.
fn check_flips(history: &History, rig: &Rig, dice: &mut Dice, flips: u32) -> u32 {
    let done = rig.disk.done();
    let mut noticed = 0;
    for _ in 0..flips {
        let disk = rig.disk.crashed(done, Crash::Process, dice);
        let names = disk.segment_names();
        let name = &names[dice.below(names.len() as u64) as usize];
        let size = disk.bytes(name).len() as u64;
        // Half of the flips where headers are.
        let at = if dice.below(2) == 0 {
            dice.below(size)
        } else {
            dice.below(size / 4096) * 4096 + dice.below(64)
        };
        disk.flip(name, at as usize, dice.below(8) as u8);
        noticed += u32::from(history.check_damaged(&disk, done, 12));
    }
    noticed
}

#[test]
fn every_flipped_bit_before_the_last_recorded_sync_is_noticed_or_irrelevant() {
    let mut noticed = 0;
    for seed in 0..12 {
        let mut dice = Dice(5000 + seed);
        let (mut rig, mut log, mut history) = first_life(&mut dice, 150, 12);
        live(&mut rig, &mut log, &mut history, &mut dice, 10);
        rig.step();
        history.note_end(rig.disk.done(), &log);
        rig.parts.writer.note_synced();
        rig.sync();
        noticed += check_flips(&history, &rig, &mut dice, 60);
    }
    assert!(noticed > 50, "{noticed} flips hit something");
}

#[test]
fn what_is_left_of_a_lost_copy_is_kept_until_another_epoch_begins_anew() {
    let mut dice = Dice(77);
    let (mut rig, log, _history) = first_life(&mut dice, 150, 12);
    rig.step();
    rig.parts.writer.note_synced();
    rig.sync();
    assert!(log.end() > PG.first_lsn());
    let disk = rig.disk.crashed(rig.disk.done(), Crash::Process, &mut dice);
    let first = disk.segment_names()[0].clone();
    // A bit of the first frame, which is the first join.
    disk.flip(&first, 4096 + 70, 0);
    let mut rig = Rig::open(&disk, 12);
    let held: Vec<String> =
        rig.parts.shared.segments.lock().iter().map(|segment| segment.name.clone()).collect();
    let are_there = |disk: &SimulatedDisk| {
        let names = disk.segment_names();
        held.iter().filter(|name| names.contains(name)).count()
    };
    assert!(held.len() > 2, "{held:?}");
    for _ in 0..3 {
        rig.step();
    }
    let state = rig.parts.shared.copy(PG).state.lock().clone();
    assert!(state.lost);
    assert_eq!(are_there(&disk), held.len());
    // It heals when it begins anew from the bucket.
    let healed = rig.join(state.label.max(state.fence).next(), PG.first_lsn()).unwrap();
    assert_eq!((healed.from, healed.end), (PG.first_lsn(), PG.first_lsn()));
    rig.step();
    rig.step();
    assert!(rig.parts.shared.segments.lock().len() < held.len());
    let disk = rig.disk.crashed(rig.disk.done(), Crash::Host, &mut dice);
    let rig = Rig::open(&disk, 12);
    assert!(!rig.parts.shared.copy(PG).state.lock().lost);
    // What else there was nobody knows.
    assert!(rig.store.is_damaged());
    let other = PgId::new(9).unwrap();
    assert!(rig.parts.shared.copy(other).state.lock().lost);
}

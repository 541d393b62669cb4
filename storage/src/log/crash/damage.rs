//! Bytes that were synced and then changed by themselves.
use super::rig::{History, Rig, first_life, live};
use crate::journal::simulated::{Crash, Dice};

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

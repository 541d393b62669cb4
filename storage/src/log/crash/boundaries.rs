//! Crashes at every boundary of a short life, and somewhere in each of a row of long lives.
use super::rig::{first_life, live};
use crate::journal::simulated::{Crash, Dice};

#[test]
fn every_boundary_of_a_short_life() {
    for seed in 0..4 {
        let mut dice = Dice(seed);
        let (rig, _log, history) = first_life(&mut dice, 60, 8);
        for done in 0..=rig.disk.done() {
            let process = rig.disk.crashed(done, Crash::Process, &mut dice);
            history.check(&process, done, 8);
            for _ in 0..2 {
                let host = rig.disk.crashed(done, Crash::Host, &mut dice);
                history.check(&host, done, 8);
            }
        }
    }
}

#[test]
fn somewhere_in_each_of_many_lives() {
    let mut recycled = 0;
    // More of them by night: STRATAMQ_SEEDS=10000.
    let seeds = std::env::var("STRATAMQ_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(20) {
        let mut dice = Dice(1000 + seed);
        let (mut rig, _log, mut history) = first_life(&mut dice, 250, 24);
        for life in 1..6 {
            let last = rig.disk.done() as u64;
            let done = (last - dice.below(last + 1).min(dice.below(last + 1))) as usize;
            let crash = if dice.below(2) == 0 { Crash::Process } else { Crash::Host };
            let disk = rig.disk.crashed(done, crash, &mut dice);
            eprintln!("seed {seed}, life {life}: {crash:?} after {done} of {last}");
            let (next, mut log) = history.check(&disk, done, 24);
            history = history.survived(&next, &log, done);
            rig = next;
            live(&mut rig, &mut log, &mut history, &mut dice, 250);
        }
        recycled += rig.disk.given_up();
    }
    assert!(recycled > 0, "segments were recycled on the way");
}

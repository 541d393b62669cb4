//! Single steps, timed by themselves: `cargo bench --bench micro [-- FILTER]`.
//!
//! Each is repeated in blocks; a line gives the nanoseconds of one step in the median block, and
//! the best. On a busy machine the best is the better guide. `tests/guard.rs` counts what must not
//! grow; this is for who looks where time goes.
#![expect(clippy::disallowed_methods, reason = "a measurement of the machine asks its clock")]
#![expect(clippy::print_stdout, reason = "the lines are what it is for")]
#![expect(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

mod codecs;
mod consume;
mod journal;

use std::hint::black_box;
use std::time::{Duration, Instant};

const BLOCKS: usize = 31;
const BLOCK_TIME: Duration = Duration::from_millis(10);

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // cargo test runs it to see that it runs; cargo bench says so.
        return;
    }
    arguments.retain(|argument| argument != "--bench");
    let bench = Bench { filter: arguments.pop().unwrap_or_default() };
    codecs::run(&bench);
    journal::run(&bench);
    consume::run(&bench);
}

/// Times steps, and says numbers, whose names contain a word.
struct Bench {
    filter: String,
}

impl Bench {
    /// A number that is not a time.
    fn tell(&self, name: &str, value: f64, unit: &str) {
        if name.contains(&self.filter) {
            println!("{name:<52} {value:>10.1} {unit}");
        }
    }

    /// `step` does `each` of what `name` says.
    fn time<T>(&self, name: &str, each: u32, mut step: impl FnMut() -> T) {
        if !name.contains(&self.filter) {
            return;
        }
        let mut steps = 1;
        // As many as fill a block; this warms, too.
        while time_of(steps, &mut step) < BLOCK_TIME && steps < 1 << 24 {
            steps *= 2;
        }
        let mut blocks: Vec<f64> = (0..BLOCKS)
            .map(|_| time_of(steps, &mut step).as_secs_f64() * 1e9 / f64::from(steps * each))
            .collect();
        blocks.sort_by(f64::total_cmp);
        let (median, best) = (blocks[BLOCKS / 2], blocks[0]);
        println!("{name:<52} {median:>10.0} ns   best {best:>8.0} ns");
    }
}

fn time_of<T>(steps: u32, step: &mut impl FnMut() -> T) -> Duration {
    let began = Instant::now();
    for _ in 0..steps {
        black_box(step());
    }
    began.elapsed()
}

//! StrataMQ and Apache RocketMQ 5.5.0 side by side, in one run on the same cores:
//!
//! ```text
//! cargo bench --profile dist --bench peers              five rounds, results into benches/peers
//! cargo bench --bench peers -- --quick                  one short round, results into target/tmp
//! cargo bench --bench peers -- --rounds 9 --ours-only
//! ```
//!
//! Every round starts each system on a fresh folder, warms it, measures it with the same load
//! generator (`stratamq bench`, a client of the gRPC protocol), and stops it before the next one
//! starts: they never share the machine. Rounds alternate who is first. Medians are of the rounds.
//! It needs `java` and `mvn` for Apache, which is fetched into `.tools/`.
#![expect(clippy::disallowed_methods, reason = "a measurement of processes uses the real clock")]

mod counts;
#[path = "../floor/mod.rs"]
mod floor;
mod goals;
mod machine;
mod plot;
mod process;
mod report;
mod round;
mod scale;
mod system;
mod unit;

use round::{Amount, Numbers, Round};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use system::Kit;

/// What was asked for.
struct Asked {
    rounds: usize,
    quick: bool,
    ours_only: bool,
    out: PathBuf,
}

fn main() -> io::Result<()> {
    let first = std::env::args().nth(1);
    match first.as_deref() {
        Some(system::ECHO) => return floor::echo::serve_until_killed(true),
        Some(system::ECHO_SMALL_WINDOWS) => return floor::echo::serve_until_killed(false),
        _ => {}
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(asked) = read_arguments(root) else {
        return writeln!(
            io::stderr(),
            "usage: cargo bench --bench peers -- [--rounds N] [--quick] [--ours-only] [--out DIR]"
        );
    };
    let began = machine::Machine::look(root);
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let kit = Kit {
        // The build folder may be built into while this runs; what is measured may not change.
        stratamq: own_copy(Path::new(env!("CARGO_BIN_EXE_stratamq")), &work)?,
        echo: own_copy(&std::env::current_exe()?, &work)?,
        jars: if asked.ours_only { None } else { Some(fetched(root)?) },
        work,
    };
    let amount = amount(asked.quick);
    let mut commands = Vec::new();
    let mut rounds = Vec::new();
    for number in 0..asked.rounds {
        writeln!(io::stderr(), "round {} of {}", number + 1, asked.rounds)?;
        let numbers = Numbers::new();
        let mut round = Round { kit: &kit, amount: &amount, numbers, commands: &mut commands };
        if number % 2 == 0 {
            round.ours()?;
            round.apache()?;
        } else {
            round.apache()?;
            round.ours()?;
        }
        round.floor()?;
        if number == 0 {
            scale::measure(&kit, &mut round.numbers)?;
            counts::measure(&kit, &mut round.numbers)?;
        }
        rounds.push(round.numbers);
    }
    let medians = medians(&rounds);
    let ended = machine::Machine::look(root);
    let results = report::Results { began, ended, commands, rounds, medians, quick: asked.quick };
    results.write(&asked.out)?;
    writeln!(io::stderr(), "written to {}", asked.out.display())
}

/// `None` where cargo test runs it, or for what is not understood.
fn read_arguments(root: &Path) -> Option<Asked> {
    let mut asked =
        Asked { rounds: 5, quick: false, ours_only: false, out: root.join("benches/peers") };
    let mut arguments = std::env::args().skip(1);
    let mut as_bench = false;
    let mut out = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo bench adds, and cargo test does not.
            "--bench" => as_bench = true,
            "--quick" => (asked.quick, asked.rounds) = (true, 1),
            "--ours-only" => asked.ours_only = true,
            "--rounds" => asked.rounds = arguments.next()?.parse().ok().filter(|n| *n > 0)?,
            "--out" => out = Some(PathBuf::from(arguments.next()?)),
            _ => return None,
        }
    }
    // A try does not overwrite what is checked in.
    if asked.quick || asked.ours_only {
        asked.out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-results");
    }
    asked.out = out.unwrap_or(asked.out);
    as_bench.then_some(asked)
}

/// About 140 s a round at length, most of it Apache's starts and warm-up; about 90 s in short.
fn amount(quick: bool) -> Amount {
    if quick {
        let floor = Duration::from_millis(200);
        Amount { seconds: 3, warm_messages: 3_000, warm_fill: 2_000, fill: 10_000, floor }
    } else {
        let floor = Duration::from_millis(500);
        Amount { seconds: 5, warm_messages: 15_000, warm_fill: 8_000, fill: 100_000, floor }
    }
}

fn fetched(root: &Path) -> io::Result<PathBuf> {
    for (tool, flag) in [("java", "-version"), ("mvn", "-version")] {
        let runs =
            Command::new(tool).arg(flag).output().is_ok_and(|output| output.status.success());
        if !runs {
            let what = format!("{tool} is missing: Apache RocketMQ needs it (or --ours-only)");
            return Err(io::Error::other(what));
        }
    }
    system::fetch_apache(root)
}

fn own_copy(binary: &Path, work: &Path) -> io::Result<PathBuf> {
    let folder = work.join("bin");
    std::fs::create_dir_all(&folder)?;
    let name = binary.file_name().ok_or_else(|| io::Error::other("a binary without name"))?;
    let copy = folder.join(name);
    // A running copy cannot be written to, but removed.
    let _ = std::fs::remove_file(&copy);
    std::fs::copy(binary, &copy)?;
    Ok(copy)
}

/// Of each number over the rounds that have it; the lower one of two middle ones.
fn medians(rounds: &[Numbers]) -> Numbers {
    let names: BTreeSet<&String> = rounds.iter().flat_map(Numbers::keys).collect();
    let median = |name: &String| {
        let mut values: Vec<f64> =
            rounds.iter().filter_map(|round| round.get(name)).copied().collect();
        values.sort_by(f64::total_cmp);
        values[(values.len() - 1) / 2]
    };
    names.into_iter().map(|name| (name.clone(), median(name))).collect()
}

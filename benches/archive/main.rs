//! The bucket as an archive: what it costs to read, search and keep, each next to its limit in the
//! same run.
//!
//! ```text
//! cargo bench --profile dist --bench archive              five rounds, results into benches/archive
//! cargo bench --bench archive -- --quick                  one short round, results into target/tmp
//! cargo bench --bench archive -- --rounds 9 --ours-only
//! ```
//!
//! Measurements of a round follow each other on a machine that nobody else uses; a number's median
//! is over rounds, so that what changes slowly meets all of them alike. The store is a folder, and an
//! S3-compatible service in a process of its own: versitygw where `tests/s3/run` built it, else the
//! one of the tests. Apache RocketMQ needs `java` and `mvn`.
#![expect(clippy::disallowed_methods, reason = "a measurement of processes uses the real clock")]

mod broker;
mod catalogue;
mod generate;
mod limits;
mod load;
#[path = "../peers/machine.rs"]
mod machine;
mod old_data;
#[expect(dead_code, reason = "shared with the measurements side by side")]
#[path = "../peers/process.rs"]
mod process;
mod raw;
mod report;
#[expect(clippy::unwrap_used, dead_code, reason = "the server of the tests")]
#[path = "../../tests/harness/s3/mod.rs"]
mod s3;
mod stores;
#[expect(dead_code, reason = "shared with the measurements side by side")]
#[path = "../peers/system.rs"]
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use system::Kit;

/// Numbers by name: `what.measure_unit`.
pub(crate) type Numbers = BTreeMap<String, f64>;

struct Asked {
    rounds: usize,
    amount: Amount,
    ours_only: bool,
    out: PathBuf,
}

/// How much is done of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) quick: bool,
    /// Bodies that are read from front to back.
    pub(crate) read_bytes: u64,
    /// Messages of 4 KiB that are read when they are old.
    pub(crate) old_messages: u64,
    /// Lookups of each kind.
    pub(crate) lookups: usize,
}

impl Amount {
    const FULL: Amount =
        Amount { quick: false, read_bytes: 1 << 30, old_messages: 256 << 10, lookups: 100 };
    const QUICK: Amount =
        Amount { quick: true, read_bytes: 128 << 20, old_messages: 16 << 10, lookups: 10 };
}

fn main() -> io::Result<()> {
    if let Some(folder) = stores::asked_to_serve() {
        return stores::serve_until_killed(&folder);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(asked) = read_arguments(root) else {
        return writeln!(
            io::stderr(),
            "usage: cargo bench --bench archive -- [--rounds N] [--quick] [--ours-only] [--out DIR]"
        );
    };
    let began = machine::Machine::look(root);
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("archive");
    let kit = Kit {
        stratamq: own_copy(Path::new(env!("CARGO_BIN_EXE_stratamq")), &work)?,
        echo: own_copy(&std::env::current_exe()?, &work)?,
        jars: if asked.ours_only { None } else { Some(system::fetch_apache(root)?) },
        work,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rounds = Vec::new();
    let mut paper = String::new();
    for number in 0..asked.rounds {
        writeln!(io::stderr(), "round {} of {}", number + 1, asked.rounds)?;
        let mut numbers = Numbers::new();
        for store in stores::all(root, &kit, &asked.amount)? {
            runtime.block_on(raw::measure(&store, &asked.amount, &mut numbers))?;
            paper = runtime.block_on(catalogue::measure(&store, &asked.amount, &mut numbers))?;
        }
        // Who is first alternates.
        let mut who: Vec<old_data::Who> = old_data::Who::all(&kit);
        if number % 2 == 1 {
            who.reverse();
        }
        for who in who {
            old_data::measure(&kit, who, &asked.amount, &mut numbers)?;
        }
        rounds.push(numbers);
    }
    let results = report::Results {
        began,
        ended: machine::Machine::look(root),
        quick: asked.amount.quick,
        medians: medians(&rounds),
        rounds,
        paper,
    };
    results.write(&asked.out)?;
    writeln!(io::stderr(), "written to {}", asked.out.display())
}

/// `None` where cargo test runs it, or for what is not understood.
fn read_arguments(root: &Path) -> Option<Asked> {
    let (mut rounds, mut amount) = (5, Amount::FULL);
    let (mut ours_only, mut as_bench, mut out) = (false, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo bench adds, and cargo test does not.
            "--bench" => as_bench = true,
            "--quick" => (amount, rounds) = (Amount::QUICK, 1),
            "--ours-only" => ours_only = true,
            "--rounds" => rounds = arguments.next()?.parse().ok().filter(|n| *n > 0)?,
            "--out" => out = Some(PathBuf::from(arguments.next()?)),
            _ => return None,
        }
    }
    // A try does not overwrite what is checked in.
    let usual = if amount.quick || ours_only {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("archive-results")
    } else {
        root.join("benches/archive")
    };
    as_bench.then(|| Asked { rounds, amount, ours_only, out: out.unwrap_or(usual) })
}

/// The build folder may be built into while this runs; what is measured may not change.
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

/// An empty folder.
pub(crate) fn fresh(work: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = work.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
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

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

//! The bucket as an archive: what it costs to read, search and keep, each next to its limit in the
//! same run.
//!
//! ```text
//! cargo bench --profile dist --bench archive              three rounds, results into benches/archive
//! cargo bench --bench archive -- --quick                  one short round, results into target/tmp
//! cargo bench --bench archive -- --rounds 9 --ours-only
//! cargo bench --bench archive -- --only reader,isolation
//! ```
//!
//! The parts: `reader` (catching up), `grpc` (the same through the broker), `isolation` (the tail
//! beside replays) and `old` (beside Apache RocketMQ) in every round; `catalogue` (a year in ten
//! thousand objects, searches), `costs` and `restart` once, in the first.
//!
//! Measurements of a round follow each other on a machine that nobody else uses; a number's median
//! is over rounds, so that what changes slowly meets all of them alike. The store is a folder, and an
//! S3-compatible service in a process of its own: versitygw where `tests/s3/run` built it, else the
//! one of the tests. Apache RocketMQ needs `java` and `mvn`.
#![expect(clippy::disallowed_methods, reason = "a measurement of processes uses the real clock")]

mod broker;
mod catalogue;
mod costs;
mod generate;
mod isolation;
mod limits;
mod load;
#[path = "../peers/machine.rs"]
mod machine;
mod metrics;
mod old_data;
#[expect(dead_code, reason = "shared with the measurements side by side")]
#[path = "../peers/process.rs"]
mod process;
mod raw;
mod reader;
mod recovery;
mod report;
mod restart;
#[expect(clippy::unwrap_used, dead_code, reason = "the server of the tests")]
#[path = "../../tests/harness/s3/mod.rs"]
mod s3;
mod search;
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
    only: Option<Vec<String>>,
    out: PathBuf,
}

impl Asked {
    /// Parts that can be asked for.
    const PARTS: [&str; 7] =
        ["reader", "grpc", "isolation", "old", "catalogue", "costs", "restart"];

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|asked| asked == part))
    }
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
    /// Bodies that are read through gRPC when they are in the store only.
    pub(crate) grpc_bytes: u64,
    /// How long the tail is watched, with and without replays.
    pub(crate) tail_seconds: u64,
    /// Bodies whose costs are counted.
    pub(crate) cost_bytes: u64,
    /// Age at which bundles are made that are not full.
    pub(crate) bundle_seconds: u64,
    /// Bodies that a broker has when it is killed, and how often it is.
    pub(crate) history_bytes: u64,
    pub(crate) restarts: usize,
}

impl Amount {
    const FULL: Amount = Amount {
        quick: false,
        read_bytes: 1 << 30,
        grpc_bytes: 512 << 20,
        old_messages: 256 << 10,
        lookups: 50,
        tail_seconds: 20,
        cost_bytes: 1 << 30,
        bundle_seconds: 10,
        history_bytes: 10_000_000_000,
        restarts: 5,
    };
    const QUICK: Amount = Amount {
        quick: true,
        read_bytes: 128 << 20,
        grpc_bytes: 128 << 20,
        old_messages: 32 << 10,
        lookups: 10,
        tail_seconds: 5,
        cost_bytes: 160 << 20,
        bundle_seconds: 2,
        history_bytes: 256 << 20,
        restarts: 3,
    };
}

fn main() -> io::Result<()> {
    if let Some(folder) = stores::asked_to_serve() {
        return stores::serve_until_killed(&folder);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(asked) = read_arguments(root) else {
        return writeln!(
            io::stderr(),
            "usage: cargo bench --bench archive -- [--rounds N] [--quick] [--ours-only] \
             [--only {}] [--out DIR]",
            Asked::PARTS.join(",")
        );
    };
    let began = machine::Machine::look(root);
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("archive");
    let kit = Kit {
        stratamq: own_copy(Path::new(env!("CARGO_BIN_EXE_stratamq")), &work)?,
        echo: own_copy(&std::env::current_exe()?, &work)?,
        jars: if asked.ours_only || !asked.wants("old") {
            None
        } else {
            Some(system::fetch_apache(root)?)
        },
        work,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (rounds, paper) = runtime.block_on(measure(root, &kit, &asked))?;
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

/// All rounds, and what a petabyte would be.
async fn measure(root: &Path, kit: &Kit, asked: &Asked) -> io::Result<(Vec<Numbers>, String)> {
    let (mut rounds, mut paper) = (Vec::new(), String::new());
    let amount = &asked.amount;
    let stores = stores::all(root, kit)?;
    let mut large = Vec::new();
    for store in stores.iter().filter(|_| asked.wants("reader")) {
        for body in raw::BODIES {
            large.push((store, raw::large(store, amount, body).await?));
        }
    }
    for round in 0..asked.rounds {
        let mut numbers = Numbers::new();
        let tell = |part: &str| {
            let begins = asked.wants(part);
            if begins {
                // Nobody waits for it.
                let _ = writeln!(io::stderr(), "round {} of {}: {part}", round + 1, asked.rounds);
            }
            begins
        };
        if tell("reader") {
            for (store, large) in &large {
                raw::measure(store, large, &mut numbers).await?;
                reader::measure(large, &mut numbers).await?;
            }
        }
        if tell("grpc") {
            for store in &stores {
                reader::through_grpc(kit, store, amount, round, &mut numbers).await?;
            }
        }
        if tell("isolation") {
            isolation::measure(kit, amount, round, &mut numbers).await?;
        }
        if tell("old") {
            // Who is first alternates.
            let mut who: Vec<old_data::Who> = old_data::Who::all(kit);
            if round % 2 == 1 {
                who.reverse();
            }
            for who in who {
                old_data::measure(kit, who, amount, &mut numbers).await?;
            }
        }
        if round == 0 {
            if tell("catalogue") {
                paper = catalogue::measure(kit, &stores, amount, &mut numbers).await?;
            }
            if tell("costs") {
                costs::measure(kit, amount, &mut numbers).await?;
            }
            if tell("restart") {
                restart::measure(kit, amount, &mut numbers).await?;
            }
        }
        rounds.push(numbers);
    }
    Ok((rounds, paper))
}

/// `None` where cargo test runs it, or for what is not understood.
fn read_arguments(root: &Path) -> Option<Asked> {
    let (mut rounds, mut amount) = (3, Amount::FULL);
    let (mut ours_only, mut as_bench) = (false, false);
    let (mut only, mut out) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo bench adds, and cargo test does not.
            "--bench" => as_bench = true,
            "--quick" => (amount, rounds) = (Amount::QUICK, 1),
            "--ours-only" => ours_only = true,
            "--rounds" => rounds = arguments.next()?.parse().ok().filter(|n| *n > 0)?,
            "--only" => {
                let parts: Vec<String> = arguments.next()?.split(',').map(str::to_owned).collect();
                if parts.iter().any(|part| !Asked::PARTS.contains(&part.as_str())) {
                    return None;
                }
                only = Some(parts);
            }
            "--out" => out = Some(PathBuf::from(arguments.next()?)),
            _ => return None,
        }
    }
    // A try does not overwrite what is checked in.
    let usual = if amount.quick || ours_only || only.is_some() {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("archive-results")
    } else {
        root.join("benches/archive")
    };
    as_bench.then(|| Asked { rounds, amount, ours_only, only, out: out.unwrap_or(usual) })
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

/// Of each number over the rounds that have it.
fn medians(rounds: &[Numbers]) -> Numbers {
    let names: BTreeSet<&String> = rounds.iter().flat_map(Numbers::keys).collect();
    let of_rounds =
        |name: &String| rounds.iter().filter_map(|round| round.get(name)).copied().collect();
    let median = |name: &String| Some((name.clone(), median(of_rounds(name))?));
    names.into_iter().filter_map(median).collect()
}

/// The lower one of two middle ones; none of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

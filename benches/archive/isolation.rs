//! What replays do to those at the tail: sends and end to end at a fixed rate, whatever the broker
//! does, with none and with four that read old data and write it again. On the disk, and, where there
//! is a folder in memory, with journal and store there: what is left is the broker's own.

use super::broker::Broker;
use super::load::{Body, Load, bench, fill, latency};
use super::stores::Place;
use super::system::Kit;
use super::{Amount, Numbers, as_f64};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

const OLD: &str = "old";
const TAIL: &str = "tail";
const REPLAYS: [(&str, &str); 4] =
    [("r1", "into-1"), ("r2", "into-2"), ("r3", "into-3"), ("r4", "into-4")];
/// Of each replay, as it is asked for and in bytes.
const BUDGET: (&str, u64) = ("8MiB", 8 << 20);
const RATE: &str = "--rate=1000";
const WARM_UP_S: u64 = 2;
/// Until replays are at their rate.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// A folder in memory, of Linux.
const MEMORY: &str = "/dev/shm";

/// On the disk, and in memory.
pub(crate) async fn measure(
    kit: &Kit,
    amount: &Amount,
    round: usize,
    numbers: &mut Numbers,
) -> io::Result<()> {
    both(kit, amount, round, "isolation", numbers).await?;
    if !Path::new(MEMORY).is_dir() {
        return Ok(());
    }
    let work = Path::new(MEMORY).join(format!("stratamq-archive-{}", std::process::id()));
    let (stratamq, echo) = (kit.stratamq.clone(), kit.echo.clone());
    let there = Kit { stratamq, echo, jars: None, work: work.clone() };
    let measured = both(&there, amount, round, "isolation_memory", numbers).await;
    // It may never have been made.
    let _ = std::fs::remove_dir_all(work);
    measured
}

/// With none and with four, in an order that alternates with rounds.
async fn both(
    kit: &Kit,
    amount: &Amount,
    round: usize,
    name: &'static str,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let (place, folder) = Place::folder(kit, "isolation-store")?;
    let flags = ["--journal-capacity=512MiB", "--bundle-age=2s"];
    let mut broker = Broker::start(kit, "isolation", &place, &flags)?;
    for topic in REPLAYS.map(|(_, into)| into).into_iter().chain([OLD, TAIL]) {
        broker.create_topic(kit, topic)?;
    }
    // All four read it to its end.
    let seconds = amount.tail_seconds + WARM_UP_S + UNDER_WAY.as_secs() * 2;
    let bytes = seconds * BUDGET.1 * 3 / 2;
    let load = Load { topic: OLD, bytes, size: 4 << 10, body: Body::Half, bytes_per_s: None };
    fill(&broker.endpoint, load).await?;
    broker.wait_until_tiered()?;
    let rig = Rig { name, kit, broker: &broker, seconds: amount.tail_seconds };
    // Once for nothing: connections, topics and groups come to be.
    bench(kit, &broker.endpoint, &["end-to-end", TAIL, RATE, "--duration=2s"])?;
    if round.is_multiple_of(2) {
        rig.tail("none", numbers)?;
        rig.with_replays(numbers)?;
    } else {
        rig.with_replays(numbers)?;
        rig.tail("none", numbers)?;
    }
    drop(broker);
    std::fs::remove_dir_all(folder)
}

struct Rig<'a> {
    /// What numbers begin with.
    name: &'static str,
    kit: &'a Kit,
    broker: &'a Broker,
    seconds: u64,
}

impl Rig<'_> {
    /// Open loop: a request that is late counts from when it was due.
    fn tail(&self, name: &str, numbers: &mut Numbers) -> io::Result<()> {
        let duration = format!("--duration={}s", self.seconds + WARM_UP_S);
        let warm_up = format!("--warm-up={WARM_UP_S}s");
        let (before, began) = (self.broker.cpu()?, Instant::now());
        let words = ["end-to-end", TAIL, RATE, "--size=1KiB", "--arrivals=poisson"];
        let words = [&words[..], &[&duration, &warm_up]].concat();
        let result = bench(self.kit, &self.broker.endpoint, &words)?;
        let took = began.elapsed().as_secs_f64();
        let mut note = |what: &str, value: f64| {
            numbers.insert(format!("{}.{name}_{what}", self.name), value);
        };
        for quantile in ["p50", "p99", "p999"] {
            note(&format!("send_{quantile}_us"), latency(&result, "send", quantile));
            note(&format!("end_to_end_{quantile}_us"), latency(&result, "end_to_end", quantile));
        }
        note("unserved", result["unserved"].as_f64().unwrap_or(f64::NAN));
        note("missing", result["missing"].as_f64().unwrap_or(f64::NAN));
        // Of one core.
        note("broker_cpu_share", (self.broker.cpu()? - before) / took);
        note("client_cpu_share", result["client_cpu_seconds"].as_f64().unwrap_or(0.0) / took);
        Ok(())
    }

    fn with_replays(&self, numbers: &mut Numbers) -> io::Result<()> {
        for (name, into) in REPLAYS {
            let words = ["replay", OLD, "--into", into, "--bytes", BUDGET.0, "--name", name];
            self.broker.admin(self.kit, &[&words[..], &["--detach"]].concat())?;
        }
        std::thread::sleep(UNDER_WAY);
        let (before, began) = (self.progress()?, Instant::now());
        self.tail("four", numbers)?;
        let (after, took) = (self.progress()?, began.elapsed().as_secs_f64());
        let mut note = |what: &str, value: f64| {
            numbers.insert(format!("{}.replays_{what}", self.name), value);
        };
        note("read_bytes_per_s", (after.read - before.read) / took);
        note("written_bytes_per_s", (after.written - before.written) / took);
        note("budget_bytes_per_s", as_f64(BUDGET.1 * REPLAYS.len() as u64));
        note("running_at_the_end", after.running);
        for (name, _) in REPLAYS {
            // One that is done needs none.
            let _ = self.broker.admin(self.kit, &["replay", "cancel", name]);
        }
        Ok(())
    }

    /// Of all four together.
    fn progress(&self) -> io::Result<Progress> {
        let mut all = Progress::default();
        for (name, _) in REPLAYS {
            let shown = self.broker.admin(self.kit, &["replay", "show", name])?;
            let of = |what: &str| shown["progress"][what].as_f64().unwrap_or(f64::NAN);
            all.read += of("read_bytes");
            all.written += of("written_bytes");
            all.running += f64::from(u8::from(shown["state"] == "running"));
        }
        Ok(all)
    }
}

#[derive(Default)]
struct Progress {
    read: f64,
    written: f64,
    running: f64,
}

//! What clients and queues cost that do nothing: memory and CPU, each by itself, and whether they
//! grow with time.

use super::process::Usage;
use super::round::Numbers;
use super::system::{Kit, System};
use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PARKED: &str = "10000";
const CONNECTIONS: &str = "1000";
/// Descriptors that as many connections need at one end, and some.
const DESCRIPTORS_MIN: u64 = 1_100;
const IDLE_TOPICS: u32 = 10;
const QUEUES_EACH: &str = "1000";
/// Until everything is connected, then twice for the measured time.
const SETTLE: Duration = Duration::from_secs(4);
const WATCH: Duration = Duration::from_secs(3);

/// Ours only, once for a run; a fresh start for each, because freed memory stays with a process.
pub(crate) fn measure(kit: &Kit, numbers: &mut Numbers) -> io::Result<()> {
    let system = kit.ours()?;
    note(numbers, "scale.idle", &system, Usage::default())?;
    let idle = system.processes.usage()?;
    let http = system.http.clone().unwrap_or_default();
    for number in 0..IDLE_TOPICS {
        let topic = format!("idle-{number}");
        let arguments = ["topic", "create", &topic, "--queues", QUEUES_EACH, "--admin", &http];
        kit.stratamq(&arguments)?;
    }
    note(numbers, "scale.idle_queues_10000", &system, idle)?;
    drop(system);
    waiting(kit, numbers, "scale.parked_polls_10000", (PARKED, "100"))?;
    if descriptors() < DESCRIPTORS_MIN {
        return writeln!(io::stderr(), "SKIPPED 1,000 connections: ulimit -n is {}", descriptors());
    }
    waiting(kit, numbers, "scale.connections_1000", (CONNECTIONS, CONNECTIONS))
}

/// So many receives without a message, over so many connections.
fn waiting(
    kit: &Kit,
    numbers: &mut Numbers,
    name: &str,
    (polls, connections): (&str, &str),
) -> io::Result<()> {
    let system = kit.ours()?;
    let idle = system.processes.usage()?;
    let mut parked = receivers(kit, &system, polls, connections)?;
    let noted = note(numbers, name, &system, idle);
    end(&mut parked)?;
    noted
}

/// Two looks: what it costs beyond `idle`, and what the second one adds.
fn note(numbers: &mut Numbers, name: &str, system: &System, idle: Usage) -> io::Result<()> {
    std::thread::sleep(SETTLE);
    let first = system.processes.usage()?;
    std::thread::sleep(WATCH);
    let second = system.processes.usage()?;
    let cpu = (second.cpu - first.cpu).as_secs_f64() / WATCH.as_secs_f64();
    let mut insert = |what: &str, value| numbers.insert(format!("{name}_{what}"), value);
    insert("anonymous_mib", second.anonymous - idle.anonymous);
    insert("growth_mib", second.anonymous - first.anonymous);
    insert("cpu_percent", 100.0 * cpu);
    Ok(())
}

fn receivers(kit: &Kit, system: &System, receivers: &str, connections: &str) -> io::Result<Child> {
    Command::new(&kit.stratamq)
        .args(["bench", "receive", "through", "--duration=60s", "--wait=20s", "--json"])
        .args(["--receivers", receivers, "--connections", connections])
        .args(["--timeout=10s", "--endpoint", &system.endpoint])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

/// It must still have been there.
fn end(child: &mut Child) -> io::Result<()> {
    if let Some(status) = child.try_wait()? {
        return Err(io::Error::other(format!("the receivers ended early: {status}")));
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// The soft limit, which children inherit.
fn descriptors() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(0)
}

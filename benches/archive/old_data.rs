//! Reading through gRPC what was sent long ago: more than is kept in memory, on the same disk, ours
//! beside Apache RocketMQ. The page cache is dropped first, where this user may.

use super::broker::Broker;
use super::load::{bench, number};
use super::process::Processes;
use super::system::Kit;
use super::{Amount, Numbers, as_f64};
use std::io;

/// Both systems have it, with eight queues.
const TOPIC: &str = "deep";
const GROUP: &str = "--group=readers-of-old";
const BODY_BYTES: u64 = 4 << 10;

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Ours,
    Apache,
}

impl Who {
    /// Those that this run compares.
    pub(crate) fn all(kit: &Kit) -> Vec<Who> {
        let apache = kit.jars.is_some().then_some(Who::Apache);
        [Who::Ours].into_iter().chain(apache).collect()
    }

    const fn name(self) -> &'static str {
        match self {
            Who::Ours => "ours",
            Who::Apache => "apache",
        }
    }
}

/// One system: filled, its caches dropped, read once from front to back.
pub(crate) fn measure(
    kit: &Kit,
    who: Who,
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let (processes, endpoint) = match who {
        Who::Ours => {
            let broker = Broker::start(kit, "old-ours", &["--journal-capacity", "8GiB"])?;
            broker.create_topic(kit, TOPIC)?;
            (broker.processes, broker.endpoint)
        }
        Who::Apache => {
            let jars = kit.jars.as_deref().ok_or_else(|| io::Error::other("no jars"))?;
            let system = kit.apache(jars, "ASYNC_FLUSH")?;
            (system.processes, system.endpoint)
        }
    };
    // A group that is new to Apache begins at the end: this one knows the beginning.
    bench(kit, &endpoint, &["receive", TOPIC, GROUP, "--fill=64", "--duration=20s"])?;
    let messages = format!("--messages={}", amount.old_messages);
    let shape = ["--size=4KiB", "--batch=32", "--in-flight=16"];
    let sent = bench(kit, &endpoint, &[&["send", TOPIC, &messages], &shape[..]].concat())?;
    let name = |what: &str| format!("{}.old_{what}", who.name());
    numbers.insert(name("sent_bytes_per_s"), number(&sent, "send", "bytes_per_second"));
    numbers.insert(name("cache_dropped"), f64::from(u8::from(drop_page_cache())));
    let before = usage(&processes)?;
    let words = ["receive", TOPIC, GROUP, &messages, "--receivers=16", "--connections=4"];
    let read = bench(kit, &endpoint, &[&words[..], &["--duration=300s"]].concat())?;
    let rate = number(&read, "receive", "messages_per_second");
    numbers.insert(name("read_bytes_per_s"), rate * as_f64(BODY_BYTES));
    let messages = number(&read, "receive", "messages");
    numbers.insert(name("read_messages"), messages);
    numbers.insert(name("read_server_cpu_us"), (usage(&processes)? - before) * 1e6 / messages);
    Ok(())
}

/// CPU seconds so far.
fn usage(processes: &Processes) -> io::Result<f64> {
    Ok(processes.usage()?.cpu.as_secs_f64())
}

/// Whether it was allowed.
fn drop_page_cache() -> bool {
    // What is dirty is not dropped.
    let _ = std::process::Command::new("sync").status();
    std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

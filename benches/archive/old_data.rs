//! Reading through gRPC what was sent long ago: more than is kept in memory, on the same disk, ours
//! beside Apache RocketMQ. The page cache is dropped first, where this user may.

use super::broker::Broker;
use super::load::{Body, Load, NOISE_4_KIB, bench, fill, number};
use super::process::Processes;
use super::stores::Place;
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
pub(crate) async fn measure(
    kit: &Kit,
    who: Who,
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let name = |what: &str| format!("{}.old_{what}", who.name());
    let messages = format!("--messages={}", amount.old_messages);
    // A group that is new to Apache begins at the end: this one knows the beginning.
    let begin = ["receive", TOPIC, GROUP, "--fill=64", "--duration=20s"];
    let (processes, endpoint, rate, store) = match who {
        Who::Ours => {
            let (place, store) = Place::folder(kit, "old-store")?;
            // An eighth of a GiB, and a quarter of that is kept: what is read is in the store.
            let flags = ["--journal-capacity=128MiB", "--bundle-age=1s"];
            let mut broker = Broker::start(kit, "old-ours", &place, &flags)?;
            broker.create_topic(kit, TOPIC)?;
            bench(kit, &broker.endpoint, &begin)?;
            let bytes = amount.old_messages * BODY_BYTES;
            let (size, body) = (BODY_BYTES, Body::Noise);
            let load = Load { topic: TOPIC, bytes, size, body, bytes_per_s: None };
            // It waits where the small journal is full.
            let rate = fill(&broker.endpoint, load).await?;
            broker.wait_until_tiered()?;
            (broker.processes, broker.endpoint, rate, Some(store))
        }
        Who::Apache => {
            let jars = kit.jars.as_deref().ok_or_else(|| io::Error::other("no jars"))?;
            let system = kit.apache(jars, "ASYNC_FLUSH")?;
            bench(kit, &system.endpoint, &begin)?;
            let words = ["send", TOPIC, &messages, NOISE_4_KIB, "--batch=32", "--in-flight=16"];
            let sent = bench(kit, &system.endpoint, &words)?;
            let rate = number(&sent, "send", "bytes_per_second");
            (system.processes, system.endpoint, rate, None)
        }
    };
    numbers.insert(name("sent_bytes_per_s"), rate);
    numbers.insert(name("cache_dropped"), f64::from(u8::from(drop_page_cache())));
    let before = usage(&processes)?;
    let words = ["receive", TOPIC, GROUP, &messages, "--receivers=16", "--connections=4"];
    let read = bench(kit, &endpoint, &[&words[..], &["--duration=300s"]].concat())?;
    let rate = number(&read, "receive", "messages_per_second");
    numbers.insert(name("read_bytes_per_s"), rate * as_f64(BODY_BYTES));
    let messages = number(&read, "receive", "messages");
    numbers.insert(name("read_messages"), messages);
    numbers.insert(name("read_server_cpu_us"), (usage(&processes)? - before) * 1e6 / messages);
    drop(processes);
    store.map_or(Ok(()), std::fs::remove_dir_all)
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

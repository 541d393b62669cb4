//! Catching up beside raw ranged GETs of the same objects: the storage reader's cursors, and all the
//! way through gRPC.

use super::broker::Broker;
use super::load::{Body, Load, bench, fill, number};
use super::raw::Large;
use super::stores::Store;
use super::system::Kit;
use super::{Amount, Numbers, as_f64};
use std::io;
use std::time::Instant;
use storage::env::Env;
use storage::reader::{Course, FairKey, Looked, Reader, ReaderConfig};
use storage::{QueueOffset, QueueUid};

/// The raw way has four, and its best counts.
const TRIES: usize = 2;
const TOPIC: &str = "long";
/// So small that what is read is in the store: an eighth of it is kept in the journal at most.
const FLAGS: [&str; 3] = ["--journal-capacity=128MiB", "--bundle-age=1s", "--cache-disk=0"];

/// All queues from front to back, by cursors with one thread and with two.
pub(crate) async fn measure(large: &Large, numbers: &mut Numbers) -> io::Result<()> {
    for threads in [1, 2] {
        let (mut stored, mut bodies) = (0f64, 0f64);
        for _ in 0..TRIES {
            let (bytes, seconds) = cursors(large, threads).await?;
            stored = stored.max(bytes / seconds);
            bodies = bodies.max(as_f64(large.archive.size.body_bytes) / seconds);
        }
        let name = |what: &str| format!("{}cursor_{threads}_threads_{what}", large.name);
        numbers.insert(name("bytes_per_s"), stored);
        numbers.insert(name("body_bytes_per_s"), bodies);
    }
    Ok(())
}

/// Bytes that were fetched, and seconds.
async fn cursors(large: &Large, threads: usize) -> io::Result<(f64, f64)> {
    let config = ReaderConfig { threads, ..ReaderConfig::default() };
    let reader =
        Reader::open(&large.bucket, config, &Env::system()).await.map_err(io::Error::other)?;
    let began = Instant::now();
    let mut messages = 0;
    for group in &large.archive.groups {
        let root = group.root.map(|name| name.to_string());
        let view = reader.view(group.pg, root.as_deref(), &group.deltas).await;
        let view = view.map_err(io::Error::other)?;
        for queue in (1..=large.queues).map(QueueUid) {
            let (from, until) = (QueueOffset(0), QueueOffset(u64::MAX));
            let course = Course { queue, from, until, tags: u64::MAX };
            let mut cursor = reader.cursor(&view, course, FairKey(queue.0));
            while let Some(chunk) = cursor.next().await.map_err(io::Error::other)? {
                messages += chunk.records.len() as u64;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    if messages != large.archive.size.messages {
        return Err(io::Error::other(format!("{messages} messages were read")));
    }
    let looks = reader.counters();
    let of_cursors = looks.iter().filter(|(looked, _)| *looked == Looked::CatchUp);
    let bytes = of_cursors.map(|(_, looks)| looks.bytes).sum();
    reader.close().await;
    Ok((as_f64(bytes), seconds))
}

/// A new group of a broker whose journal let go of nearly everything.
pub(crate) async fn through_grpc(
    kit: &Kit,
    store: &Store,
    amount: &Amount,
    round: usize,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let place = store.place(&format!("grpc-{round}"));
    let mut broker = Broker::start(kit, "grpc", &place, &FLAGS)?;
    broker.create_topic(kit, TOPIC)?;
    let bytes = amount.grpc_bytes;
    let load = Load { topic: TOPIC, bytes, size: 1 << 10, body: Body::Half, bytes_per_s: None };
    let rate = fill(&broker.endpoint, load).await?;
    let metrics = broker.wait_until_tiered()?;
    let mut note = |what: &str, value: f64| {
        numbers.insert(format!("{}.grpc_{what}", store.name), value);
    };
    note("sent_bytes_per_s", rate);
    note("journal_used_bytes", metrics.sum("stratamq_journal_used_bytes", &[]));
    let before = broker.cpu()?;
    let messages = format!("--messages={}", load.messages());
    let words = ["receive", TOPIC, "--group=late", &messages, "--receivers=16", "--duration=120s"];
    let read = bench(kit, &broker.endpoint, &[&words[..], &["--connections=4"]].concat())?;
    let received = number(&read, "receive", "messages");
    if received < as_f64(load.messages()) {
        return Err(io::Error::other(format!("{received} of {} were received", load.messages())));
    }
    note("read_bytes_per_s", number(&read, "receive", "bytes_per_second"));
    note("read_broker_cpu_us", (broker.cpu()? - before) * 1e6 / received);
    note("read_client_cpu_us", read["client_cpu_seconds"].as_f64().unwrap_or(0.0) * 1e6 / received);
    Ok(())
}

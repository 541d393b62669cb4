//! Load: `stratamq bench` in a process of its own, and a sender here whose bodies are as said and
//! which waits where a full journal refuses.

use super::as_f64;
use super::system::Kit;
use bytes::Bytes;
use client::{Config, Endpoint, Message, Producer};
use serde_json::Value;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Sizes for `stratamq bench`: messages of 4 KiB whose bodies lie in a block without a
/// repetition. It cuts bodies out of noise twice as long as the longest, which never is drawn.
pub(crate) const NOISE_4_KIB: &str = "--size=4KiB=1000000000,4MiB=1";

const SENDERS: u64 = 8;
const BATCH: u64 = 32;
/// What is refused is sent again.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);

/// What bodies are like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// Nothing can be made smaller.
    Noise,
    /// Half of it can.
    Half,
    /// What services say of themselves, in JSON.
    Text,
}

/// What is sent, as fast as it is taken unless there is a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) topic: &'a str,
    /// Of all bodies.
    pub(crate) bytes: u64,
    /// Of one body.
    pub(crate) size: u64,
    pub(crate) body: Body,
    pub(crate) bytes_per_s: Option<f64>,
}

impl Load<'_> {
    /// Whole batches.
    pub(crate) fn messages(&self) -> u64 {
        (self.bytes / self.size).div_ceil(BATCH) * BATCH
    }

    /// Bytes of the bodies of all of them.
    pub(crate) fn body_bytes(&self) -> f64 {
        as_f64(self.messages() * self.size)
    }
}

/// Runs it, and says what it printed.
///
/// # Errors
/// When it fails; with its complaint.
pub(crate) fn bench(kit: &Kit, endpoint: &str, words: &[&str]) -> io::Result<Value> {
    let common = ["--json", "--timeout=10s", "--endpoint", endpoint];
    said(kit, &[&["bench"], words, &common].concat())
}

/// Runs our binary, and says what it printed.
///
/// # Errors
/// When it fails; with its complaint.
pub(crate) fn said(kit: &Kit, words: &[&str]) -> io::Result<Value> {
    let output = Command::new(&kit.stratamq).args(words).output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("stratamq {}: {complaint}", words.join(" "))));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A number of a series.
pub(crate) fn number(result: &Value, series: &str, name: &str) -> f64 {
    result[series][name].as_f64().unwrap_or(f64::NAN)
}

/// A quantile of a series, in microseconds.
pub(crate) fn latency(result: &Value, series: &str, quantile: &str) -> f64 {
    result[series]["latency_us"][quantile].as_f64().unwrap_or(f64::NAN)
}

/// Sends all of it; bytes of bodies a second.
///
/// # Errors
/// When nothing is taken for long.
pub(crate) async fn fill(endpoint: &str, load: Load<'_>) -> io::Result<f64> {
    let producer = producer(endpoint, load.topic).await?;
    let next = Arc::new(AtomicU64::new(0));
    let (began, mut senders) = (Instant::now(), JoinSet::<io::Result<()>>::new());
    for _ in 0..SENDERS {
        let (producer, next, topic) = (producer.clone(), Arc::clone(&next), load.topic.to_owned());
        let (messages, size, kind) = (load.messages(), load.size, load.body);
        let gap = load.bytes_per_s.map(|rate| Duration::from_secs_f64(as_f64(size) / rate));
        senders.spawn(async move {
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= messages {
                    return Ok(());
                }
                if let Some(gap) = gap {
                    let due = gap * u32::try_from(first).unwrap_or(u32::MAX);
                    tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                }
                let batch: Vec<Message> = (first..first + BATCH)
                    .map(|at| Message::new(topic.as_str(), body(kind, at, size)))
                    .collect();
                send(&producer, &batch).await?;
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    let took = began.elapsed().as_secs_f64();
    producer.close().await;
    Ok(load.body_bytes() / took)
}

/// One message, as soon as it is taken.
///
/// # Errors
/// When it is not for long.
pub(crate) async fn send_one(endpoint: &str, topic: &str) -> io::Result<()> {
    let producer = producer(endpoint, topic).await?;
    send(&producer, &[Message::new(topic, "first")]).await
}

async fn producer(endpoint: &str, topic: &str) -> io::Result<Producer> {
    let endpoint: Endpoint = endpoint.parse().map_err(io::Error::other)?;
    Producer::start(Config::new(endpoint), [topic]).await.map_err(io::Error::other)
}

async fn send(producer: &Producer, batch: &[Message]) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match producer.send_many(batch).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > PATIENCE => return Err(io::Error::other(error)),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn body(kind: Body, number: u64, size: u64) -> Bytes {
    let size = usize::try_from(size).unwrap_or(0);
    let mut body = Vec::with_capacity(size + 64);
    match kind {
        Body::Noise => noise(number, size, &mut body),
        Body::Half => {
            noise(number, size / 2, &mut body);
            body.resize(size, b'.');
        }
        Body::Text => {
            use std::io::Write as _;
            let mut step = 0;
            while body.len() < size {
                step += 1;
                let order = mixed(number * 100 + step);
                // Writing to a vector cannot fail.
                let _ = write!(
                    body,
                    "{{\"order\":{order},\"state\":\"paid {}\",\"amount\":{},\"step\":{step}}},",
                    order % 7,
                    order % 100_000,
                );
            }
        }
    }
    body.truncate(size);
    Bytes::from(body)
}

fn noise(seed: u64, size: usize, into: &mut Vec<u8>) {
    let seed = mixed(seed);
    for at in (0..).take(size / 8) {
        into.extend_from_slice(&mixed(seed ^ at).to_le_bytes());
    }
    into.resize(size, 0);
}

/// The finisher of SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

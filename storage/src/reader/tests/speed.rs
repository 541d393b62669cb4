//! How fast a cursor is beside plain requests for the same bytes. A measurement:
//! `cargo test --release -p stratamq-storage reader::tests::speed -- --ignored --nocapture`.

use super::super::{Course, FairKey, ReaderConfig};
use super::rig::{World, config, noise, plain};
use crate::env::Env;
use crate::format::object::mix64;
use crate::format::{QueueOffset, QueueUid};
use crate::object::{Bucket, Purpose, StoreUrl};
use crate::tier::ObjectName;
use futures_util::{StreamExt, stream};
use std::time::Duration;

const OBJECTS: u64 = 8;
const OBJECT_BYTES: u64 = 64 << 20;
const MESSAGE_BYTES: u64 = 1 << 10;
const REQUEST_BYTES: u64 = 4 << 20;
const ROUNDS: usize = 7;

async fn world(folder: &std::path::Path, compresses: bool, queues: u64) -> World {
    let url = StoreUrl::Folder(folder.to_owned());
    let mut world = World::new(Bucket::open(&url, None, Env::system()).unwrap());
    let mut at = 0;
    for _ in 0..OBJECTS {
        for message in 0..OBJECT_BYTES / MESSAGE_BYTES {
            at += 1;
            let mut body = noise(at, MESSAGE_BYTES as usize);
            if compresses {
                text(at, &mut body[256..]);
            }
            let log = &mut world.groups[0].log;
            log.message(1 + message % queues, 0, &body);
            // Frames as an owner writes them.
            if message % 1000 == 0 {
                log.cut();
            }
        }
        world.bundle().await;
        // The model is not needed.
        world.groups[0].records.clear();
    }
    world
}

/// What services say of themselves: lz4 takes it to about a third.
fn text(seed: u64, out: &mut [u8]) {
    let mut line = 0;
    let lines = std::iter::repeat_with(|| {
        line += 1;
        let number = mix64(seed * 100 + line);
        format!("{{\"order\":{number},\"state\":\"{}\",\"step\":{line}}},", number % 7)
    });
    out.iter_mut().zip(lines.flat_map(String::into_bytes)).for_each(|(to, from)| *to = from);
}

/// All bytes by plain requests, eight at once; MB/s.
async fn raw(world: &World, names: &[(ObjectName, u64)]) -> f64 {
    let env = Env::system();
    let begin = env.monotonic();
    let requests = names.iter().flat_map(|(name, len)| {
        let name = plain(name);
        (0..*len)
            .step_by(REQUEST_BYTES as usize)
            .map(move |at| (name.clone(), at..(at + REQUEST_BYTES).min(*len)))
    });
    let bytes = stream::iter(requests)
        .map(|(name, range)| {
            let bucket = world.bucket.clone();
            async move { bucket.get(&name, range, Purpose::Check).await.unwrap().bytes.len() }
        })
        .buffered(8)
        .fold(0, |sum, len| async move { sum + len })
        .await;
    speed(bytes as u64, env.monotonic() - begin)
}

/// A queue by a cursor; messages, and MB/s of its blocks.
async fn by_cursor(world: &World, queues: u64, threads: usize) -> (u64, f64) {
    let reader = world.reader_with(ReaderConfig { threads, ..config() }).await;
    let view = world.groups[0].view(&reader).await;
    let env = Env::system();
    let begin = env.monotonic();
    let mut messages = 0;
    for queue in 1..=queues {
        let (from, until) = (QueueOffset(0), QueueOffset(u64::MAX));
        let course = Course { queue: QueueUid(queue), from, until, tags: u64::MAX };
        let mut cursor = reader.cursor(&view, course, FairKey(queue));
        while let Some(chunk) = cursor.next().await.unwrap() {
            messages += chunk.records.len() as u64;
        }
    }
    let took = env.monotonic() - begin;
    let bytes = reader.counters().iter().map(|(_, looks)| looks.bytes).sum();
    (messages, speed(bytes, took))
}

fn speed(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64() / 1e6
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_beside_plain_requests() {
    for (compresses, queues) in [(false, 1), (true, 1), (false, 16)] {
        let folder = tempfile::tempdir().unwrap();
        let world = world(folder.path(), compresses, queues).await;
        let pg = world.groups[0].pg();
        let entries = world.entries().await;
        let names: Vec<_> = entries.iter().map(|e| (e.name(pg), e.object_len)).collect();
        for threads in [1, 2] {
            let (mut plain, mut cursor) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                plain.push(raw(&world, &names).await);
                let (messages, speed) = by_cursor(&world, queues, threads).await;
                assert_eq!(messages, OBJECTS * OBJECT_BYTES / MESSAGE_BYTES);
                cursor.push(speed);
            }
            let (plain, cursor) = (median(plain), median(cursor));
            println!(
                "compresses {compresses}, {queues} queues, {threads} threads: \
                 plain {plain:.0} MB/s, cursor {cursor:.0} MB/s of stored bytes: {:.2}",
                cursor / plain
            );
        }
    }
}

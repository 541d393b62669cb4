//! A disk that fills up under the broker: refusals, no SIGBUS, nothing lost, and recovery when space returns.
//! It needs the right to mount a small tmpfs, and says so where it has none.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of a real process runs on the real clock"
)]

mod harness;

use bytes::Bytes;
use client::{Config, Endpoint, Filter, Message, Outcome, Producer, Receive, SimpleConsumer};
use harness::{Broker, wait_for};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TOPIC: &str = "full-disk";
const BODY_BYTES: usize = 256 << 10;

#[test]
fn a_full_disk_refuses_and_recovers_and_loses_nothing() {
    let folder = harness::folder("full-disk");
    let Some(disk) = SmallDisk::mount(&folder.join("disk"), "100m") else {
        println!("SKIPPED: mounting a tmpfs needs root");
        return;
    };
    let data = disk.path.join("data");
    std::fs::create_dir_all(&data).unwrap();
    // Segments of 32 MiB, so the capacity is never the limit: the disk is.
    let mut broker = Broker::start_with(
        &data,
        &[
            "--journal-capacity=256MiB",
            "--grpc-port=0",
            "--nameserver-port=0",
            "--broker-port=0",
            "--http-port=0",
        ],
    );
    let addresses = broker.addresses();
    broker.command(&["topic", "create", TOPIC, "--queues", "1"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut acknowledged = HashSet::new();

    runtime.block_on(async {
        let producer = Producer::start(config(addresses.grpc), [TOPIC]).await.unwrap();
        let refused = send_until_refused(&producer, &mut acknowledged).await;
        assert_eq!(refused.outcome(), Outcome::NotApplied, "{refused}");
        producer.close().await;
    });
    assert!(broker.is_running(), "a full disk must not end the broker");
    assert!(acknowledged.len() > 20, "only {} messages fitted", acknowledged.len());

    // Consumers can drain although nothing can be sent.
    let delivered = runtime.block_on(receive_all(addresses.grpc, acknowledged.len()));
    assert!(acknowledged.is_subset(&delivered), "something acknowledged did not come");

    disk.grow("300m");
    runtime.block_on(async {
        let producer = Producer::start(config(addresses.grpc), [TOPIC]).await.unwrap();
        let mut tries = 0;
        while let Err(error) = producer.send(message("after-0")).await {
            tries += 1;
            assert!(tries < 100, "still refused after the disk has grown: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        producer.close().await;
    });
    assert_eq!(broker.stop().1, Some(0));
}

fn config(grpc: SocketAddr) -> Config {
    Config::new(grpc.to_string().parse::<Endpoint>().unwrap())
}

fn message(name: &str) -> Message {
    Message::new(TOPIC, Bytes::from(format!("{name} {}", "x".repeat(BODY_BYTES))))
}

async fn send_until_refused(
    producer: &Producer,
    acknowledged: &mut HashSet<String>,
) -> client::Error {
    for count in 0.. {
        let name = format!("before-{count}");
        match producer.send(message(&name)).await {
            Ok(_) => acknowledged.insert(name),
            Err(error) => return error,
        };
    }
    unreachable!("the disk is finite")
}

async fn receive_all(grpc: SocketAddr, expected: usize) -> HashSet<String> {
    let filters = [(TOPIC.to_owned(), Filter::all())];
    let consumer = SimpleConsumer::start(config(grpc), "full-disk-readers", filters).await.unwrap();
    let mut delivered = HashSet::new();
    let how = Receive { max: 8, wait: Duration::from_secs(5), ..Receive::default() };
    while delivered.len() < expected {
        let came = consumer.receive(how).await.unwrap();
        assert!(!came.is_empty(), "{} of {expected} came", delivered.len());
        for acked in consumer.ack_all(&came).await {
            acked.expect("an ack has room kept for it");
        }
        let name = |body: &[u8]| {
            String::from_utf8_lossy(body).split(' ').next().unwrap_or_default().to_owned()
        };
        delivered.extend(came.iter().map(|delivery| name(&delivery.body)));
    }
    consumer.close().await;
    delivered
}

/// A tmpfs, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<SmallDisk> {
        // An earlier run that was killed may have left its own.
        let _ = Command::new("umount").arg(path).output();
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "stratamq-test"])
            .arg(path)
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then(|| SmallDisk { path: path.to_owned() })
    }

    fn grow(&self, size: &str) {
        let grown = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.path)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        wait_for("the disk to be free", || {
            let done = Command::new("umount").arg(&self.path).output().ok()?;
            done.status.success().then_some(())
        });
    }
}

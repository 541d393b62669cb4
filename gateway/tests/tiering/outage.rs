//! Ten minutes without a store, under load, in the time of a simulation.

use super::trimmed::body;
use super::world::{World, word};
use gateway::produce::SendRefused;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::env::{Clock, Env, SystemClock, Timestamp};
use storage::object::Bucket;
use storage::object::testing::{Faults, Plan};

/// How many times faster than the machine's its time goes; what the journal does on its disk seems
/// that much slower.
const SPEED: u32 = 15;

struct Fast(SystemClock, Timestamp);

impl Clock for Fast {
    fn now(&self) -> Timestamp {
        self.1.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic() * SPEED
    }

    fn wait(&self, duration: Duration) -> Duration {
        duration / SPEED
    }
}

const OUTAGE: Duration = Duration::from_secs(600);
/// Between two sends. Within an outage a journal of 128 MiB is full of them several times.
const SEND_EVERY: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_for_ten_minutes_costs_time_and_nothing_else() {
    let clock = Fast(SystemClock::start(), Env::system().now());
    let env = Env::with_clock(Arc::new(clock) as Arc<dyn Clock>);
    let faults = Faults::seeded(31, env.clone());
    let bucket = Bucket::faulty(&faults, env.clone());
    let world = World::start_at(bucket, env.clone(), |settings| {
        settings.placement_groups = 2;
    })
    .await;
    let topic = world.topic("orders", |spec| spec.queues = 4).await;
    let group = world.group("readers").await;
    let is_over = AtomicBool::new(false);
    let used_percent = || {
        let fill = world.broker().store.fill();
        fill.used * 100 / fill.capacity
    };
    // Refused sends: when, and how full the journal was.
    let (mut sent, mut refusals) = (Vec::new(), Vec::new());
    let send = async {
        let mut number = 0;
        while !is_over.load(Ordering::SeqCst) {
            match world.try_send(&topic, body(number), None).await {
                Ok(_) => sent.push(format!("m{number}")),
                Err(SendRefused::Full { .. }) => refusals.push((env.monotonic(), used_percent())),
                Err(SendRefused::Busy) => {}
                Err(refused) => panic!("{refused}"),
            }
            number += 1;
            env.sleep(SEND_EVERY).await;
        }
    };
    let mut got = Vec::new();
    let receive = async {
        while !is_over.load(Ordering::SeqCst) {
            for delivery in world.receive(&topic, &group, Duration::from_secs(1)).await {
                got.push((env.monotonic(), word(&delivery)));
                let handle = &delivery.receipt_handle;
                world.broker().consume.ack(&group, &topic, handle).await.unwrap();
            }
        }
    };
    let sealed = || {
        world
            .broker()
            .owned
            .all()
            .all(|pg| pg.log.watermark(storage::Level::Object) == pg.log.end())
    };
    let story = async {
        env.sleep(Duration::from_secs(30)).await;
        faults.set(Plan { down: true, ..Plan::default() });
        let (down_at, asked) = (env.monotonic(), faults.happened().requests);
        env.sleep(OUTAGE).await;
        let asked = faults.happened().requests - asked;
        let is_behind = !sealed();
        faults.set(Plan::default());
        let up_at = env.monotonic();
        env.sleep(Duration::from_secs(60)).await;
        is_over.store(true, Ordering::SeqCst);
        (down_at, up_at, asked, is_behind)
    };
    let (_, _, (down_at, up_at, asked, is_behind)) = tokio::join!(send, receive, story);
    assert!(is_behind, "the store was down and has everything");
    assert!(refusals.iter().all(|(at, _)| *at > down_at), "refused before the store was down");
    let first = refusals.first().expect("the journal was never full: the sends are too slow");
    let last = refusals.last().expect("as many as the first");
    println!(
        "{} sent, {} refused, from {:?} to {:?} of the outage, at {} % of the journal; {asked} requests meanwhile",
        sent.len(),
        refusals.len(),
        first.0 - down_at,
        last.0 - down_at,
        first.1,
    );
    // It took what fits, then refused, and took again soon after the store was back.
    assert!(first.1 >= 85, "refused at {} % of the journal", first.1);
    assert!(first.0 > down_at + Duration::from_secs(60), "refused at {:?}", first.0 - down_at);
    assert!(last.0 < up_at + Duration::from_secs(30), "refused {:?} after", last.0 - up_at);
    // INV-CIRCUIT-1, and what was under way at the beginning.
    assert!(asked < 2 * OUTAGE.as_secs() + 50, "{asked} requests");
    // Whoever reads the tail did not wait for the store.
    let meanwhile = got.iter().filter(|(at, _)| *at > down_at && *at < up_at).count();
    assert!(meanwhile > 1000, "{meanwhile} received while the store was down");
    let end = env.monotonic() + Duration::from_secs(120);
    while !sealed() {
        assert!(env.monotonic() < end, "it does not catch up");
        env.sleep(Duration::from_millis(100)).await;
    }
    let mut got: Vec<String> = got.into_iter().map(|(_, word)| word).collect();
    got.extend(world.drain(&topic, &group).await);
    sent.sort();
    got.sort();
    assert!(got == sent, "{} received of {}", got.len(), sent.len());
    // And the bucket has it all.
    for pg in world.broker().owned.all() {
        pg.log.trim(pg.log.end());
    }
    let late = world.group("late").await;
    let mut all = world.drain(&topic, &late).await;
    all.sort();
    assert!(all == sent, "{} of {} in the bucket", all.len(), sent.len());
    world.gateway.stop().await;
}

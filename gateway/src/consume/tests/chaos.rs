//! Consumers that vanish, refuse, hold on and come back under a gateway that restarts: nothing sent
//! is lost.

use super::*;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use world::within;

const MESSAGES: usize = 400;

/// A sequence of numbers that a seed fixes (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Receives and does this or that with it; gives what it acknowledged.
async fn live(world: Arc<World>, mut dice: Dice, rounds: u32) -> Vec<Bytes> {
    let mut acknowledged = Vec::new();
    for _ in 0..rounds {
        let max = 1 + u16::try_from(dice.below(6)).unwrap();
        let ask = world.ask().group(&world.patient).max(max).wait(Duration::from_millis(50));
        let patience = Duration::from_micros(dice.below(3000));
        // Gives up at any point: in line, before the hand-out is recorded, or after.
        let got = tokio::time::timeout(patience, world.receive(&ask)).await.unwrap_or_default();
        for delivery in got {
            let handle = &delivery.receipt_handle;
            let (group, topic) = (&world.patient, &world.topic);
            match dice.below(6) {
                0 => world.consume.nack(&[delivery]),
                1 => {
                    let rest = Duration::from_millis(dice.below(20));
                    world.consume.change(group, topic, handle, rest, false).await.unwrap();
                }
                2 => {}
                _ => {
                    world.consume.ack(group, topic, handle).await.unwrap();
                    acknowledged.push(delivery.message.body);
                }
            }
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_consumers_do_every_message_is_acknowledged_in_the_end() {
    let mut world = Arc::new(World::new(8).await);
    let mut acknowledged = BTreeSet::new();
    world.send("m", MESSAGES).await;
    for incarnation in 0..3 {
        let mut consumers = tokio::task::JoinSet::new();
        for consumer in 0..8 {
            consumers.spawn(live(Arc::clone(&world), Dice(incarnation * 100 + consumer), 12));
        }
        acknowledged.extend(within(consumers.join_all()).await.into_iter().flatten());
        world = Arc::new(world.restarted().await);
    }
    let held = {
        let progress = world.consume.progress(&world.patient, &world.topic);
        progress.iter().map(|queue| queue.in_flight).sum::<u64>()
    };
    assert!(held > 0, "the consumers were too good");
    // What nobody answered for comes back after a minute: these are from a clock that is ahead.
    let world = world.in_an_hour();
    loop {
        let got = world.receive(&world.ask().group(&world.patient)).await;
        if got.is_empty() {
            break;
        }
        for delivery in got {
            let handle = &delivery.receipt_handle;
            world.consume.ack(&world.patient, &world.topic, handle).await.unwrap();
            let again = !acknowledged.insert(delivery.message.body);
            assert!(!again, "an acknowledged message came back");
        }
    }
    assert_eq!(acknowledged.len(), MESSAGES);
}

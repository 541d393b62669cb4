//! The machine against a model: queues in memory, a destination that notes what is written, a record, and crashes at
//! any step.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use protocol::stored::{Properties, SysFlag};
use std::collections::BTreeMap;

const TINY: Bounds = Bounds {
    lanes: 3,
    read_bytes: 30,
    held_bytes: 100,
    batch_messages: 4,
    batch_bytes: 40,
    unrecorded: 9,
};

/// One message of the source.
#[derive(Clone, Debug)]
struct Original {
    after_ms: u64,
    bytes: u64,
    wanted: bool,
}

/// A copy: of what, when it was written, and in which life of the runner.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Copy {
    queue: u32,
    offset: u64,
    stored_at: u64,
    bytes: u64,
    at: Duration,
    life: u32,
}

struct World {
    queues: Vec<Vec<Original>>,
    limits: Limits,
    now: Duration,
    record: JobProgress,
    records: Vec<Duration>,
    copies: Vec<Copy>,
    life: u32,
    machine: Replay,
}

fn message() -> StoredMessage {
    let host = "127.0.0.1:1".parse().unwrap();
    StoredMessage {
        queue_id: 0,
        flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag: SysFlag(0),
        born_at: 0,
        born_host: host,
        stored_at: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::new(),
        topic: "t".to_owned(),
        properties: Properties::new(),
    }
}

impl World {
    fn new(queues: Vec<Vec<Original>>, limits: Limits) -> World {
        let record = JobProgress::default();
        let machine = machine(&queues, &record, limits, Duration::ZERO);
        World {
            queues,
            limits,
            now: Duration::ZERO,
            record,
            records: Vec::new(),
            copies: Vec::new(),
            life: 0,
            machine,
        }
    }

    fn crash(&mut self) {
        self.life += 1;
        self.machine = machine(&self.queues, &self.record, self.limits, self.now);
    }

    fn stored_at(&self, queue: u32, offset: u64) -> u64 {
        let before = &self.queues[queue as usize][..=offset as usize];
        before.iter().map(|one| one.after_ms).sum()
    }

    fn got(&self, queue: u32, from: QueueOffset, end: QueueOffset, bytes_max: u64) -> Got {
        let mut got = Got { next: end, ..Got::default() };
        for offset in from.0..end.0 {
            let one = &self.queues[queue as usize][offset as usize];
            (got.messages, got.bytes) = (got.messages + 1, got.bytes + one.bytes);
            if one.wanted {
                got.items.push(Item {
                    queue,
                    offset: QueueOffset(offset),
                    stored_at: Timestamp(self.stored_at(queue, offset)),
                    bytes: one.bytes,
                    message: message(),
                });
            }
            if got.bytes >= bytes_max {
                got.next = QueueOffset(offset + 1);
                break;
            }
        }
        got
    }

    /// One step; `dies` is where in it the runner does. Whether there is more to do.
    fn step(&mut self, dies: Option<bool>) -> bool {
        let before = dies == Some(true);
        match self.machine.next(self.now) {
            Step::End => return false,
            Step::Wait(wait) => self.now += wait.max(Duration::from_millis(1)),
            Step::Range(queue) => {
                let len = self.queues[queue as usize].len() as u64;
                self.machine.ranged(queue, QueueOffset(0)..QueueOffset(len));
            }
            Step::Read { queue, from, end, bytes_max } => {
                let got = self.got(queue, from, end, bytes_max);
                self.machine.read(self.now, queue, got);
            }
            Step::Write(batch) => {
                assert!(!batch.is_empty());
                if !before {
                    self.note(&batch);
                }
                let bytes = batch.iter().map(|item| item.bytes).sum();
                let messages = batch.len() as u64;
                self.machine.written(Wrote { messages, bytes, left_out: 0 });
            }
            Step::Record => {
                if !before {
                    self.record = self.machine.progress(self.now);
                    self.records.push(self.now);
                }
                self.machine.recorded(self.now);
            }
        }
        self.now += Duration::from_millis(3);
        if dies.is_some() {
            self.crash();
        }
        true
    }

    fn note(&mut self, batch: &[Item]) {
        for item in batch {
            self.copies.push(Copy {
                queue: item.queue,
                offset: item.offset.0,
                stored_at: item.stored_at.0,
                bytes: item.bytes,
                at: self.now,
                life: self.life,
            });
        }
    }

    fn finish(&mut self) {
        for _ in 0..100_000 {
            if !self.step(None) {
                return;
            }
        }
        panic!("it never ends");
    }

    fn wanted(&self, queue: u32) -> Vec<u64> {
        let numbered = (0..).zip(&self.queues[queue as usize]);
        numbered.filter(|(_, one)| one.wanted).map(|(offset, _)| offset).collect()
    }
}

fn machine(
    queues: &[Vec<Original>],
    record: &JobProgress,
    limits: Limits,
    now: Duration,
) -> Replay {
    Replay::resume(record, queues.len() as u32, limits, TINY, now)
}

fn original() -> impl Strategy<Value = Original> {
    (0_u64..5, 1_u64..50, prop::bool::weighted(0.7))
        .prop_map(|(after_ms, bytes, wanted)| Original { after_ms, bytes, wanted })
}

fn queues() -> impl Strategy<Value = Vec<Vec<Original>>> {
    prop::collection::vec(prop::collection::vec(original(), 0..25), 0..7)
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = |from: u64, to: u64| prop::option::of(from..to);
    (rate(20, 300), rate(300, 5000)).prop_map(|(messages, bytes)| Limits { messages, bytes })
}

/// Of each queue: everything wanted, in order in each life; what comes twice comes after a crash, and no more than was
/// written since the record before it.
fn check_copies(world: &World) -> Result<(), TestCaseError> {
    for queue in 0..world.queues.len() as u32 {
        let mut by_life: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for copy in world.copies.iter().filter(|copy| copy.queue == queue) {
            by_life.entry(copy.life).or_default().push(copy.offset);
        }
        let wanted = world.wanted(queue);
        let mut done = 0;
        for offsets in by_life.values() {
            let begins = wanted.iter().position(|offset| *offset == offsets[0]);
            let begins = begins.expect("nothing that is not wanted");
            prop_assert!(begins <= done, "something is missing before {begins}");
            prop_assert_eq!(offsets, &wanted[begins..begins + offsets.len()]);
            done = done.max(begins + offsets.len());
        }
        prop_assert_eq!(done, wanted.len());
    }
    let wanted: usize = (0..world.queues.len()).map(|queue| world.wanted(queue as u32).len()).sum();
    let twice = world.copies.len() - wanted;
    prop_assert!(twice as u64 <= u64::from(world.life) * TINY.unrecorded);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_is_missing_and_what_comes_twice_is_bounded_wherever_it_crashes(
        queues in queues(),
        limits in limits(),
        crashes in prop::collection::vec((0_usize..60, any::<bool>()), 0..6),
    ) {
        let mut world = World::new(queues, limits);
        'lives: for (steps, before) in crashes {
            for _ in 0..steps {
                if !world.step(None) {
                    break 'lives;
                }
            }
            if !world.step(Some(before)) {
                break;
            }
        }
        world.finish();
        check_copies(&world)?;
    }

    #[test]
    fn without_a_crash_each_message_is_written_once_and_counted(queues in queues()) {
        let mut world = World::new(queues, Limits::default());
        world.finish();
        check_copies(&world)?;
        let progress = world.machine.progress(world.now);
        let all: u64 = world.queues.iter().map(|queue| queue.len() as u64).sum();
        prop_assert_eq!((progress.range, progress.passed, progress.read), (all, all, all));
        prop_assert_eq!(progress.written, world.copies.len() as u64);
        prop_assert_eq!(progress.opened as usize, world.queues.len());
        prop_assert!(progress.lanes.is_empty());
    }

    #[test]
    fn no_second_has_more_than_the_limit_and_one_batch(queues in queues(), limits in limits()) {
        let mut world = World::new(queues, limits);
        world.finish();
        let second = Duration::from_secs(1);
        for first in &world.copies {
            let within = |copy: &&Copy| copy.at >= first.at && copy.at - first.at < second;
            let within: Vec<_> = world.copies.iter().filter(within).collect();
            let (messages, bytes) =
                (within.len() as u64, within.iter().map(|copy| copy.bytes).sum::<u64>());
            let largest = TINY.batch_bytes.max(50);
            prop_assert!(limits.messages.is_none_or(|n| messages <= n + TINY.batch_messages));
            prop_assert!(limits.bytes.is_none_or(|n| bytes <= n + largest));
        }
    }

    #[test]
    fn records_are_a_second_apart(queues in queues(), limits in limits()) {
        let mut world = World::new(queues, limits);
        world.finish();
        let apart = world.records.windows(2).all(|two| two[1] - two[0] >= CHECKPOINT_EVERY);
        prop_assert!(apart, "{:?}", world.records);
    }

    #[test]
    fn queues_that_fit_beside_each_other_are_merged_by_store_time(
        queues in prop::collection::vec(prop::collection::vec(original(), 0..25), 0..=3),
    ) {
        let mut world = World::new(queues, Limits::default());
        world.machine.bounds.held_bytes = u64::MAX;
        world.finish();
        prop_assert!(world.copies.is_sorted_by_key(|copy| copy.stored_at), "{:?}", world.copies);
    }

    #[test]
    fn memory_is_bounded(queues in queues()) {
        let mut world = World::new(queues, Limits::default());
        while world.step(None) {
            let most = TINY.held_bytes + TINY.read_bytes + 50;
            prop_assert!(world.machine.held_bytes <= most);
            prop_assert!(world.machine.lanes.len() <= TINY.lanes);
        }
    }
}

#[test]
fn what_cannot_be_recorded_stops_the_writing_and_is_tried_again_a_second_later() {
    let one = Original { after_ms: 1, bytes: 1, wanted: true };
    let mut world = World::new(vec![vec![one; 40]], Limits::default());
    let mut tries = 0;
    while tries < 3 {
        if world.machine.changed && world.now >= world.machine.recorded_at + CHECKPOINT_EVERY {
            assert_eq!(world.machine.next(world.now), Step::Record);
            world.machine.not_recorded(world.now);
            tries += 1;
        } else {
            world.step(None);
        }
    }
    assert_eq!(world.copies.len() as u64, TINY.unrecorded);
    world.finish();
    assert_eq!(world.copies.len(), 40);
}

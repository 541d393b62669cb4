use super::*;
use crate::env::Timestamp;
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
use crate::tier::ObjectId;
use crate::tier::manifest::{Origin, QueueBloom, QueueSet, Replaced, RunEntry, Window, replace};
use proptest::prelude::*;
use std::time::Duration;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const BEGIN: u64 = 1_700_006_400_000 / DAY_MS * DAY_MS;

/// Several queues, so many that the bloom says nothing.
fn many() -> QueueSet {
    let queues = (1..=300).map(QueueUid);
    QueueSet::Several { first: QueueUid(1), last: QueueUid(300), bloom: QueueBloom::of(queues) }
}

/// A placement group that is written to and compacted, as its manifest sees it.
struct World {
    settings: CompactionSettings,
    entries: Vec<RunEntry>,
    now: u64,
    next_id: u64,
    end: Lsn,
    /// Bytes of bundles, and of runs by level.
    written: [u64; 10],
    merges: u64,
    requests: u64,
    most_entries: usize,
    oldest_bundle: Duration,
    keeps: Option<Duration>,
    looks_at_all: bool,
}

impl World {
    fn new() -> World {
        World {
            settings: CompactionSettings::default(),
            entries: Vec::new(),
            now: BEGIN,
            next_id: 0,
            end: PgId::FIRST.first_lsn(),
            written: [0; 10],
            merges: 0,
            requests: 0,
            most_entries: 0,
            oldest_bundle: Duration::ZERO,
            keeps: None,
            looks_at_all: false,
        }
    }

    fn entry(&mut self, origin: Origin, from: Lsn, to: Lsn, times: (u64, u64)) -> RunEntry {
        self.next_id += 1;
        let bytes = to.since(from);
        RunEntry {
            object: ObjectId { id: self.next_id, nonce: 1 },
            origin,
            from,
            to,
            object_len: bytes * 64,
            bytes,
            messages: bytes,
            min_time: Timestamp(times.0),
            max_time: Timestamp(times.1),
            queues: many(),
        }
    }

    /// A bundle with so many of the placement group's bytes, stored over so long.
    fn bundle(&mut self, bytes: u64, ms: u64) {
        let (from, to) = (self.end, self.end.plus(bytes.max(1)));
        self.end = to;
        let times = (self.now, self.now + ms - 1);
        self.now += ms;
        let entry = self.entry(Origin::Bundle { session: 1 }, from, to, times);
        self.written[0] += entry.bytes;
        self.entries.push(entry);
    }

    fn keeps_since(&self) -> Option<Timestamp> {
        self.keeps.map(|keeps| Timestamp(self.now - keeps.as_millis() as u64))
    }

    fn compact(&mut self) -> Option<Timestamp> {
        if let Some(since) = self.keeps_since() {
            self.entries.retain(|entry| entry.max_time >= since);
        }
        self.most_entries = self.most_entries.max(self.entries.len());
        for _ in 0..10_000 {
            let horizon = self.settings.horizon(Timestamp(self.now));
            let known = self.entries.partition_point(|entry| entry.max_time < horizon);
            let known = if self.looks_at_all { 0 } else { known };
            let since = self.keeps_since();
            let keeps = |_, _| since;
            let entries = &self.entries[known..];
            match plan(entries, Timestamp(self.now), &self.settings, &keeps) {
                Plan::Wait(next) => {
                    self.note_bundles();
                    return next;
                }
                Plan::Merge(merge) => self.merge(&merge),
            }
        }
        panic!("it never rests");
    }

    fn note_bundles(&mut self) {
        for entry in self.entries.iter().rev().take_while(|entry| entry.level() == 0) {
            let age = Timestamp(self.now).since(entry.max_time);
            self.oldest_bundle = self.oldest_bundle.max(age);
        }
    }

    /// What a merge does to the manifest: a shared run a window, cut at its size, evenly.
    fn merge(&mut self, merge: &PlannedMerge) {
        self.merges += 1;
        let level = merge.level;
        let (first, last) = (&merge.inputs[0], &merge.inputs[merge.inputs.len() - 1]);
        let (from, to) = (first.from, last.to);
        let times = (first.min_time.0, last.max_time.0);
        let bytes: u64 = merge.inputs.iter().map(|entry| entry.bytes).sum();
        // Not over windows: a bundle that lies across an edge counts to its first.
        let count = bytes.div_ceil(level.shared_bytes).max(1);
        let window = Window::of(first.min_time, level.window);
        let origin = Origin::Run { level: level.level, epoch: Epoch(1), window };
        let mut outputs = Vec::new();
        for at in 0..count {
            let cut = |at: u64| from.plus(to.since(from) * at / count);
            outputs.push(self.entry(origin, cut(at), cut(at + 1), times));
        }
        let total: u64 = outputs.iter().map(|entry| entry.messages).sum();
        assert_eq!(total, bytes);
        let replaced = Replaced { inputs: &merge.inputs, outputs: &outputs, dropped_messages: 0 };
        let (low, high) = (first.key(), last.key());
        let at = self.entries.partition_point(|entry| entry.key() < low);
        let end = self.entries.partition_point(|entry| entry.key() <= high);
        replace(replaced, &self.entries[at..end], &[]).expect("the manifest takes it");
        self.written[usize::from(level.level)] += bytes;
        self.requests += merge.inputs.len() as u64 * 2 + count;
        self.entries.splice(at..end, outputs);
    }

    /// Bytes written in all for each byte of a bundle.
    fn amplification(&self) -> f64 {
        self.written.iter().sum::<u64>() as f64 / self.written[0] as f64
    }

    fn days(&mut self, days: u64, bundle_s: u64, bytes: u64) {
        let ms = bundle_s * 1000;
        let end = self.now + days * DAY_MS;
        let mut next = None;
        while self.now < end {
            self.bundle(bytes, ms);
            if next.is_none_or(|next: Timestamp| next.0 <= self.now) {
                next = self.compact();
            }
        }
    }
}

#[test]
fn half_a_year_of_a_small_placement_group_is_a_few_objects_a_day() {
    let mut world = World::new();
    world.days(180, 300, 2 << 20);
    let per_day = world.entries.len() as f64 / 180.0;
    assert!(world.amplification() <= f64::from(WRITES_MAX), "{}", world.amplification());
    assert!(per_day < 4.0, "{per_day} entries a day");
    assert!(world.oldest_bundle <= Duration::from_secs(7200), "{:?}", world.oldest_bundle);
    let small = world.entries.iter().filter(|entry| entry.level() == 0).count();
    assert!(small <= 14, "{small} bundles of the last hour");
}

#[test]
fn a_large_placement_group_is_not_rewritten_where_nothing_is_gained() {
    let mut world = World::new();
    // 5 GiB an hour.
    world.days(5, 10, 15 << 20);
    assert!(world.amplification() < 2.1, "{}", world.amplification());
    assert_eq!((world.written[2], world.written[3]), (0, 0));
    let stored = world.written[0] / (200 << 20);
    assert!((world.entries.len() as u64) < stored, "{} entries", world.entries.len());
}

#[test]
fn a_trickle_leaves_no_bundle_that_pins_others_bytes() {
    let mut world = World::new();
    for _ in 0..24 * 30 {
        world.bundle(300, 1000);
        world.now += HOUR_MS - 1000;
        world.compact();
    }
    assert!(world.oldest_bundle <= Duration::from_secs(7200), "{:?}", world.oldest_bundle);
    assert!(world.entries.len() < 70, "{} entries of 720 bundles", world.entries.len());
    assert!(world.amplification() <= f64::from(WRITES_MAX));
}

#[test]
fn what_goes_within_a_window_is_not_written_for_it() {
    let mut world = World::new();
    world.keeps = Some(Duration::from_secs(12 * 3600));
    world.days(10, 60, 400 << 10);
    assert_eq!(world.written[3], 0, "no runs of a day");
    assert!(world.amplification() < 3.0, "{}", world.amplification());
}

#[test]
fn a_backlog_is_merged_by_windows_and_then_rests() {
    let mut world = World::new();
    for _ in 0..3 * 24 * 60 {
        world.bundle(400 << 10, 60_000);
    }
    world.looks_at_all = true;
    world.compact();
    let merges = world.merges;
    assert!(merges >= 72, "an hour each: {merges}");
    assert!(world.entries.len() < 100, "{}", world.entries.len());
    world.compact();
    assert_eq!(world.merges, merges, "nothing more is gained");
}

#[test]
fn an_open_window_is_left_alone_and_its_end_is_told() {
    let mut world = World::new();
    for _ in 0..50 {
        world.bundle(1 << 20, 60_000);
    }
    let next = world.compact();
    assert_eq!(world.merges, 0);
    assert_eq!(next, Some(Timestamp(BEGIN + HOUR_MS + 300_000)));
    world.now = BEGIN + HOUR_MS + 300_000;
    world.compact();
    assert_eq!((world.merges, world.entries.len()), (1, 1));
}

#[test]
fn a_run_of_one_large_queue_stands_alone() {
    let few = |queues: [u64; 2]| QueueSet::Several {
        first: QueueUid(queues[0]),
        last: QueueUid(queues[1]),
        bloom: QueueBloom::of(queues.into_iter().map(QueueUid)),
    };
    let mut world = World::new();
    let mut entries = Vec::new();
    for hour in 0..24u64 {
        let window = Window::of(Timestamp(BEGIN + hour * HOUR_MS), Duration::from_secs(3600));
        let origin = Origin::Run { level: 1, epoch: Epoch(1), window };
        let at = |part: u64| Lsn((hour * 10 + part) << 30);
        let times = (window.start.0, window.end().0 - 1);
        let small = world.entry(origin, at(0), Lsn(at(0).0 + 1000), times);
        entries.push(RunEntry { queues: few([1, 9]), ..small });
        let large = world.entry(origin, at(1), at(1).plus(300 << 20), times);
        let (first, last) = (QueueOffset(hour * 10), QueueOffset(hour * 10 + 9));
        entries
            .push(RunEntry { queues: QueueSet::One { queue: QueueUid(5), first, last }, ..large });
    }
    assert!(!entries[0].queues.has(QueueUid(5)));
    let now = Timestamp(BEGIN + 2 * DAY_MS);
    let Plan::Merge(merge) = plan(&entries, now, &world.settings, &|_, _| None) else {
        panic!("small runs are merged");
    };
    assert_eq!((merge.inputs.len(), merge.level.level), (24, 3));
    let outputs = [RunEntry {
        messages: 24_000,
        origin: Origin::Run { level: 3, epoch: Epoch(1), window: Window::of(now, Duration::MAX) },
        to: merge.inputs[23].to,
        ..merge.inputs[0]
    }];
    let replaced = Replaced { inputs: &merge.inputs, outputs: &outputs, dropped_messages: 0 };
    let present = &entries[..entries.len() - 1];
    replace(replaced, present, &[]).expect("the manifest takes it");
}

/// 1 PB, 4096 placement groups, 1 M queues, over a year: one placement group stands for all.
#[test]
fn a_petabyte_is_some_million_objects_and_a_small_manifest_each() {
    let mut world = World::new();
    let per_hour = 1_000_000_000_000_000 / 4096 / (365 * 24);
    world.days(90, 300, per_hour / 12);
    let entries = world.entries.len() as u64 * 365 / 90;
    let (objects, bytes) = (entries * 4096, entries * 80);
    assert!(objects < 8_000_000, "{objects} objects");
    assert!(bytes < 160 << 10, "{bytes} bytes of manifest a placement group");
    assert!(world.amplification() <= f64::from(WRITES_MAX), "{}", world.amplification());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any ingest, with pauses of the broker and of compaction, comes to rest within the bound.
    #[test]
    fn any_ingest_is_written_a_bounded_number_of_times(
        turns in proptest::collection::vec(
            (1..40u64 << 20, 1_000..7_200_000u64, any::<bool>()), 1..400),
    ) {
        let mut world = World::new();
        for (bytes, ms, compacts) in turns {
            world.bundle(bytes, ms);
            if compacts {
                world.compact();
            }
        }
        world.now += 3 * DAY_MS;
        // As after a start: the whole manifest is looked at.
        world.looks_at_all = true;
        world.compact();
        prop_assert!(world.amplification() <= f64::from(WRITES_MAX));
        let merges = world.merges;
        world.compact();
        prop_assert_eq!(world.merges, merges);
        let pins = world.entries.iter().filter(|entry| entry.level() == 0).count();
        prop_assert_eq!(pins, 0);
    }
}

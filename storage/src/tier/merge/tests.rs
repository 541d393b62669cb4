use super::super::manifest::{Query, QueueSet, Replaced, RunEntry, replace, select};
use super::super::sample::{BodyIsKey, Object, SampleLog, key};
use super::super::{BundleBuilder, Knowledge, ObjectId};
use super::*;
use crate::format::object::{KeyHash, Properties, Record, Tail};
use crate::format::{Epoch, FormatError, Lsn, PgId, QueueOffset, QueueUid, RecordKind};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Rules as tables.
#[derive(Default)]
struct Rules {
    treatments: HashMap<QueueUid, Treatment>,
    /// The last offset of each body, in queues that are compacted by key.
    last_of: HashMap<(QueueUid, Bytes), QueueOffset>,
    ids: u64,
}

impl MergeRules for Rules {
    fn treatment(&self, queue: QueueUid) -> Treatment {
        self.treatments.get(&queue).copied().unwrap_or(Treatment::Keep(QueueOffset(0)))
    }

    fn keeps(&self, message: &Record) -> bool {
        self.last_of.get(&(message.queue, message.body())) == Some(&message.offset)
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        BodyIsKey.keys(message, into);
    }

    fn next_id(&mut self) -> ObjectId {
        self.ids += 1;
        ObjectId { id: 1000 + self.ids, nonce: 7 }
    }
}

struct Made {
    tails: Vec<Tail>,
    objects: Vec<Object>,
    entries: Vec<RunEntry>,
}

fn settings() -> MergeSettings {
    MergeSettings {
        window: Duration::from_secs(100),
        own_bytes: 100_000,
        own_bytes_max: 300_000,
        shared_bytes: 150_000,
        ..MergeSettings::new(PgId::new(1).unwrap(), Epoch(4), 1)
    }
}

/// Bundles of one log, cut where the pieces end.
fn bundles(pieces: &mut dyn FnMut(&mut SampleLog) -> bool) -> (Made, Vec<Record>) {
    let mut log = SampleLog::new(1);
    let mut made = Made { tails: Vec::new(), objects: Vec::new(), entries: Vec::new() };
    let mut records = Vec::new();
    while pieces(&mut log) {
        let mut builder = BundleBuilder::new(64 << 20);
        log.put_into(&mut builder);
        if log.frames.is_empty() {
            continue;
        }
        let id = ObjectId { id: made.tails.len() as u64, nonce: 1 };
        let bundle = builder.finish(id, &Properties::default(), &BodyIsKey).unwrap();
        let origin = super::super::manifest::Origin::Bundle { session: 1 };
        made.entries.push(RunEntry::of(&bundle.finished.tail, log.pg, origin).unwrap());
        made.tails.push(bundle.finished.tail);
        made.objects.push(Object::of(&bundle.parts));
        records.append(&mut log.records.clone());
        log.go_on();
    }
    (made, records)
}

/// Runs a merge to its end.
fn run(
    settings: MergeSettings,
    inputs: &Made,
    rules: &mut Rules,
) -> Result<(Made, MergeTotals), MergeRefused> {
    let mut merge = Merge::new(settings, inputs.tails.clone(), rules)?;
    let mut parts: BTreeMap<usize, Vec<Bytes>> = BTreeMap::new();
    let mut made = Made { tails: Vec::new(), objects: Vec::new(), entries: Vec::new() };
    let mut finished = BTreeMap::new();
    loop {
        match merge.step(rules)? {
            MergeStep::Read { input, span } => merge.feed(&inputs.objects[input].get(span))?,
            MergeStep::Write { output, bytes } => parts.entry(output).or_default().push(bytes),
            MergeStep::Finished { output, run } => {
                assert!(finished.insert(output, *run).is_none());
            }
            MergeStep::Done(totals) => {
                assert_eq!(merge.step(rules), Ok(MergeStep::Done(totals)));
                assert_eq!(parts.len(), finished.len());
                let mut runs: Vec<(Output, Object)> = finished
                    .into_iter()
                    .map(|(output, run)| (run, Object::of(&parts[&output])))
                    .collect();
                runs.sort_by_key(|(run, _)| run.entry.key());
                for (run, object) in runs {
                    assert_eq!(object.bytes.len() as u64, run.finished.len);
                    made.tails.push(run.finished.tail);
                    made.entries.push(run.entry);
                    made.objects.push(object);
                }
                return Ok((made, totals));
            }
        }
    }
}

fn all_records(made: &Made) -> Vec<Record> {
    let mut all: Vec<Record> = made
        .objects
        .iter()
        .flat_map(|object| object.everything().unwrap())
        .flat_map(|(_, records)| records)
        .collect();
    all.sort_by_key(|record| record.lsn);
    all
}

fn two_bundles() -> (Made, Vec<Record>) {
    let mut at = 0;
    bundles(&mut |log| {
        at += 1;
        log.message(1, 0, b"one");
        log.message(2, 0, &[at; 1000]);
        log.operation(1, b"ack");
        log.time += 60_000;
        log.message(1, 0, b"two");
        at < 3
    })
}

#[test]
fn bundles_become_runs_of_windows_with_every_record_at_its_lsn() {
    let (inputs, records) = two_bundles();
    let (made, totals) = run(settings(), &inputs, &mut Rules::default()).unwrap();
    assert_eq!(all_records(&made), records);
    assert_eq!(totals.messages_in, 6);
    assert_eq!((totals.messages_out, totals.messages_left_out), (6, 0));
    assert_eq!((totals.operations_in, totals.operations_out), (2, 2));
    // Two windows, and the operations.
    assert_eq!(made.entries.len(), 3);
    for (entry, tail) in made.entries.iter().zip(&made.tails) {
        let super::super::manifest::Origin::Run { level: 1, epoch, window } = entry.origin else {
            panic!("a run: {entry:?}");
        };
        assert_eq!(epoch, Epoch(4));
        assert!(entry.queues == QueueSet::None || window.has(entry.min_time));
        assert_eq!(tail.directory.level, 1);
    }
    let replaced =
        Replaced { inputs: &inputs.entries, outputs: &made.entries, dropped_messages: 0 };
    assert!(replace(replaced, &inputs.entries, &[]).is_ok());
}

#[test]
fn runs_are_merged_again() {
    let (inputs, records) = two_bundles();
    let (first, _) = run(settings(), &inputs, &mut Rules::default()).unwrap();
    let long = MergeSettings { level: 2, window: Duration::from_secs(1 << 20), ..settings() };
    let (second, totals) = run(long, &first, &mut Rules { ids: 50, ..Rules::default() }).unwrap();
    assert_eq!(all_records(&second), records);
    assert_eq!(second.entries.len(), 2, "one window, and the operations");
    assert_eq!(totals.messages_out, 6);
    let same_level = run(settings(), &first, &mut Rules::default());
    assert_eq!(same_level.err(), Some(MergeRefused::Input(0)));
}

#[test]
fn a_large_queue_gets_runs_of_its_own() {
    let mut at = 0;
    let (inputs, records) = bundles(&mut |log| {
        at += 1;
        for number in 0..60u32 {
            // Not compressible, or the queue would not be large.
            let body: Vec<u8> = (0..1500u32)
                .flat_map(|n| {
                    super::super::super::format::object::mix64(u64::from(
                        n * 100_000 + number * 10 + at,
                    ))
                    .to_le_bytes()
                })
                .collect();
            log.message(5, 0, &body);
            log.message(u64::from(number % 4), 0, b"small");
        }
        at < 3
    });
    let (made, _) = run(settings(), &inputs, &mut Rules::default()).unwrap();
    assert_eq!(all_records(&made), records);
    let own: Vec<&RunEntry> = made
        .entries
        .iter()
        .filter(|entry| matches!(entry.queues, QueueSet::One { queue: QueueUid(5), .. }))
        .collect();
    assert!(own.len() > 1, "cut at the size of a run");
    let has_no_other = made.entries.iter().filter(|entry| entry.queues.has(QueueUid(1))).count();
    assert_eq!(has_no_other, 1);
    assert_eq!(made.entries.len(), own.len() + 1);
    let mut next = QueueOffset(0);
    for entry in own {
        let QueueSet::One { first, last, .. } = entry.queues else { panic!("one queue") };
        assert_eq!(first, next);
        next = last.plus(1);
    }
}

#[test]
fn an_input_that_is_missing_is_noticed() {
    let mut at = 0;
    let (mut inputs, _) = bundles(&mut |log| {
        at += 1;
        log.message(1, 0, b"x");
        at < 4
    });
    inputs.tails.remove(1);
    inputs.objects.remove(1);
    let refused = run(settings(), &inputs, &mut Rules::default()).err();
    let (expected, found) = (QueueOffset(1), QueueOffset(2));
    assert_eq!(refused, Some(MergeRefused::Continuity { queue: QueueUid(1), expected, found }));
    inputs.tails.swap(0, 1);
    let refused = Merge::new(settings(), inputs.tails, &Rules::default()).err();
    assert_eq!(refused, Some(MergeRefused::Input(1)));
}

#[test]
fn an_input_that_comes_twice_is_noticed() {
    let (inputs, _) = two_bundles();
    let twice = Made {
        tails: vec![inputs.tails[0].clone(), inputs.tails[0].clone()],
        objects: vec![Object::of(&[inputs.objects[0].bytes.clone()]), {
            Object::of(&[inputs.objects[0].bytes.clone()])
        }],
        entries: Vec::new(),
    };
    let refused = run(settings(), &twice, &mut Rules::default()).err();
    assert!(matches!(refused, Some(MergeRefused::Continuity { .. })), "{refused:?}");
}

#[test]
fn a_damaged_input_is_named_and_nothing_comes_of_it() {
    let (inputs, _) = two_bundles();
    let end = inputs.tails[1].directory.entries[0].operations_at.end() as usize;
    for at in (0..end).step_by(3) {
        let mut bytes = inputs.objects[1].bytes.to_vec();
        bytes[at] ^= 4;
        let damaged = Made {
            tails: inputs.tails.clone(),
            objects: vec![
                Object::of(&[inputs.objects[0].bytes.clone()]),
                Object::of(&[Bytes::from(bytes)]),
            ],
            entries: Vec::new(),
        };
        let refused = run(settings(), &damaged, &mut Rules::default()).err();
        assert!(
            matches!(refused, Some(MergeRefused::Damaged { input: 1, .. })),
            "{at}: {refused:?}"
        );
    }
    let cut = Made {
        tails: inputs.tails.clone(),
        objects: vec![Object::of(&[]), Object::of(&[])],
        entries: Vec::new(),
    };
    let refused = run(settings(), &cut, &mut Rules::default()).err();
    let source = FormatError::Truncated;
    assert_eq!(refused, Some(MergeRefused::Damaged { input: 0, source }));
}

#[test]
fn a_clock_that_went_back_is_noticed_where_windows_would_tear_the_log_apart() {
    let mut at = 0;
    let (inputs, records) = bundles(&mut |log| {
        at += 1;
        log.time = 1_200_000;
        log.message(1, 0, b"later");
        log.time = 1_000_000;
        log.message(2, 0, b"earlier");
        log.time = 1_200_000;
        log.message(2, 0, b"later");
        at < 2
    });
    let refused = run(settings(), &inputs, &mut Rules::default()).err();
    assert_eq!(refused, Some(MergeRefused::Clock(records[0].lsn)));
    let long = MergeSettings { window: Duration::from_secs(1 << 30), ..settings() };
    let (made, _) = run(long, &inputs, &mut Rules::default()).unwrap();
    assert_eq!(all_records(&made), records);
}

#[test]
fn a_merge_is_not_fed_what_it_did_not_ask_for() {
    let (inputs, _) = two_bundles();
    let mut merge = Merge::new(settings(), inputs.tails, &Rules::default()).unwrap();
    assert_eq!(merge.feed(&Bytes::new()), Err(MergeRefused::NotAsked));
}

#[test]
fn only_the_last_message_of_a_key_stays_where_a_topic_asks_for_it() {
    let mut at = 0;
    let (inputs, records) = bundles(&mut |log| {
        at += 1;
        for number in 0..10u8 {
            log.message(1, 0, &[number % 3]);
            log.message(2, 0, b"all stay");
        }
        at < 3
    });
    let mut rules = Rules::default();
    rules.treatments.insert(QueueUid(1), Treatment::Choose(QueueOffset(0)));
    for record in records.iter().filter(|record| record.queue == QueueUid(1)) {
        rules.last_of.insert((record.queue, record.body()), record.offset);
    }
    let (made, totals) = run(settings(), &inputs, &mut rules).unwrap();
    assert_eq!((totals.messages_out, totals.messages_left_out), (23, 17));
    let of_queue = |queue: u64| {
        all_records(&made)
            .iter()
            .filter(|r| r.queue == QueueUid(queue))
            .map(|r| r.offset.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(of_queue(1), [17, 18, 19]);
    assert_eq!(of_queue(2).len(), 20);
    let block =
        made.tails[0].queues.blocks(PgId::new(1).unwrap(), QueueUid(1), QueueOffset(0)).next();
    assert!(block.unwrap().sparse);
    let found = made.objects[0].search(&made.tails[0], key(&[1])).unwrap();
    assert_eq!(found.iter().map(|record| record.offset.0).collect::<Vec<_>>(), [17]);
    // Compacted once more, with nothing left to take out.
    let again = MergeSettings { level: 2, ..settings() };
    let (made, totals) = run(again, &made, &mut rules).unwrap();
    assert_eq!((totals.messages_out, totals.messages_left_out), (23, 0));
    assert_eq!(all_records(&made).len(), 23);
}

#[test]
fn queues_that_are_gone_or_begin_later_are_not_read() {
    let mut at = 0;
    let (inputs, _) = bundles(&mut |log| {
        at += 1;
        (0..5).for_each(|_| log.message(1, 0, b"gone"));
        (0..5).for_each(|_| log.message(2, 0, b"begins later"));
        log.message(3, 0, b"stays");
        at < 4
    });
    let mut rules = Rules::default();
    rules.treatments.insert(QueueUid(1), Treatment::Drop);
    rules.treatments.insert(QueueUid(2), Treatment::Keep(QueueOffset(7)));
    inputs.objects.iter().for_each(|object| object.gets.set(0));
    let (made, totals) = run(settings(), &inputs, &mut rules).unwrap();
    assert_eq!((totals.messages_out, totals.messages_left_out), (3 + 8, 15 + 7));
    let reads: u32 = inputs.objects.iter().map(|object| object.gets.get()).sum();
    assert_eq!(reads, 2 + 3, "two blocks of queue 2, three of queue 3");
    let first =
        made.tails[0].queues.blocks(PgId::new(1).unwrap(), QueueUid(2), QueueOffset(0)).next();
    assert_eq!(first.unwrap().first, QueueOffset(7));
}

#[test]
fn what_a_merge_of_a_part_left_out_before_the_start_is_not_missing() {
    let mut at = 0;
    let (inputs, _) = bundles(&mut |log| {
        at += 1;
        log.message(1, 0, b"x");
        log.message(2, 0, b"y");
        at < 4
    });
    let mut rules = Rules::default();
    rules.treatments.insert(QueueUid(1), Treatment::Keep(QueueOffset(2)));
    let part = |range: std::ops::Range<usize>| Made {
        tails: inputs.tails[range.clone()].to_vec(),
        objects: inputs.objects[range.clone()]
            .iter()
            .map(|object| Object::of(std::slice::from_ref(&object.bytes)))
            .collect(),
        entries: inputs.entries[range].to_vec(),
    };
    // Offset 1 leaves, offset 0 is in the bundle before.
    let (mut later, _) = run(settings(), &part(1..3), &mut rules).unwrap();
    let mut all = part(0..1);
    all.tails.append(&mut later.tails);
    all.objects.append(&mut later.objects);
    let again = MergeSettings { level: 2, ..settings() };
    let (made, _) = run(again, &all, &mut rules).unwrap();
    let kept = all_records(&made).iter().filter(|r| r.queue == QueueUid(1)).count();
    assert_eq!(kept, 1);
    // Without that start it is.
    let refused = run(again, &all, &mut Rules::default()).err();
    assert!(matches!(refused, Some(MergeRefused::Continuity { .. })), "{refused:?}");
}

#[test]
fn operations_before_the_snapshot_are_left_behind() {
    let (inputs, records) = two_bundles();
    let acks: Vec<&Record> = records.iter().filter(|r| r.kind == RecordKind::Ack).collect();
    let late = MergeSettings { operations_from: acks[1].lsn, ..settings() };
    let (made, totals) = run(late, &inputs, &mut Rules::default()).unwrap();
    assert_eq!((totals.operations_in, totals.operations_out), (2, 1));
    assert!(all_records(&made).contains(acks[1]));
    let none = MergeSettings { operations_from: Lsn(u64::MAX), ..settings() };
    let (made, totals) = run(none, &inputs, &mut Rules::default()).unwrap();
    assert_eq!(totals.operations_out, 0);
    assert!(made.entries.iter().all(|entry| entry.messages > 0));
}

#[test]
fn many_operations_are_read_in_pieces() {
    let mut at = 0u32;
    let (inputs, records) = bundles(&mut |log| {
        at += 1;
        for number in 0..1500u64 {
            let body: Vec<u8> = (0..200u64)
                .flat_map(|n| {
                    crate::format::object::mix64(n * 7919 + number * 31 + u64::from(at))
                        .to_le_bytes()
                })
                .collect();
            log.operation(1, &body);
        }
        at < 3
    });
    inputs.objects.iter().for_each(|object| object.gets.set(0));
    let (made, totals) = run(settings(), &inputs, &mut Rules::default()).unwrap();
    assert_eq!(totals.operations_out, 3000);
    let stored: u64 = inputs.tails.iter().map(|t| t.directory.entries[0].operations_at.len).sum();
    assert!(totals.bytes_read < 2 * stored, "{} of {stored}", totals.bytes_read);
    assert_eq!(all_records(&made), records);
}

#[derive(Clone, Debug)]
enum Piece {
    Message { queue: u64, len: usize },
    Operation,
    Open { queue: u64, by: u64 },
    Time(i64),
    Bundle,
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        8 => (0..5u64, 0..9000usize).prop_map(|(queue, len)| Piece::Message { queue, len }),
        1 => Just(Piece::Operation),
        1 => (0..5u64, 0..9u64).prop_map(|(queue, by)| Piece::Open { queue, by }),
        2 => (-60_000..100_000i64).prop_map(Piece::Time),
        1 => Just(Piece::Bundle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_bundles_come_back_out_of_their_runs(
        pieces in proptest::collection::vec(piece(), 1..120), from in 0..8u64,
    ) {
        let mut left = pieces.iter();
        let mut is_over = false;
        let (inputs, records) = bundles(&mut |log| {
            if is_over {
                return false;
            }
            loop {
                match left.next() {
                    None => {
                        is_over = true;
                        return true;
                    }
                    Some(Piece::Bundle) => return true,
                    Some(Piece::Message { queue, len }) => {
                        let seed = *len as u64;
                        let body = (0..*len as u64).map(|n| {
                            crate::format::object::mix64(n ^ seed) as u8
                        });
                        log.message(*queue, 0, &body.collect::<Vec<_>>());
                    }
                    Some(Piece::Operation) => log.operation(0, b"ack"),
                    // A gap and its message in one bundle, as the log appends them.
                    Some(Piece::Open { queue, by }) => {
                        log.open(*queue, *by);
                        log.message(*queue, 0, b"after");
                    }
                    // Clocks go back, too.
                    Some(Piece::Time(by)) => log.time = log.time.saturating_add_signed(*by),
                }
            }
        });
        prop_assume!(!inputs.tails.is_empty());
        let mut rules = Rules::default();
        rules.treatments.insert(QueueUid(3), Treatment::Keep(QueueOffset(from)));
        let small = MergeSettings { own_bytes: 20_000, own_bytes_max: 30_000, ..settings() };
        let (made, totals) = match run(small, &inputs, &mut rules) {
            Err(MergeRefused::Clock(_)) => {
                let long = MergeSettings { window: Duration::from_secs(1 << 30), ..small };
                run(long, &inputs, &mut rules).unwrap()
            }
            made => made.unwrap(),
        };
        let kept: Vec<Record> = records
            .iter()
            .filter(|r| r.queue != QueueUid(3) || r.kind != RecordKind::Message || r.offset.0 >= from)
            .cloned()
            .collect();
        prop_assert_eq!(totals.messages_left_out as usize, records.len() - kept.len());
        prop_assert_eq!(all_records(&made), kept.clone());
        // INV-MAN-4, and the replacement is one that a manifest takes.
        let dropped_messages = totals.messages_left_out;
        let replaced = Replaced { inputs: &inputs.entries, outputs: &made.entries, dropped_messages };
        prop_assert!(replace(replaced, &inputs.entries, &[]).is_ok());
        for queue in (0..5).map(QueueUid) {
            let mut last = None;
            let page = super::super::manifest::RunPage(made.entries.clone());
            for entry in select(&Query::queue(queue), [&page], &Default::default()) {
                let at = made.entries.iter().position(|other| *other == entry).unwrap();
                let pg = PgId::new(1).unwrap();
                for block in made.tails[at].queues.blocks(pg, queue, QueueOffset(0)) {
                    prop_assert!(last < Some(block.first), "{:?} after {:?}", block, last);
                    last = Some(block.last);
                }
            }
        }
        // And once more, into one long window.
        let long = MergeSettings { level: 2, window: Duration::from_secs(1 << 30), ..small };
        let (again, _) = run(long, &made, &mut rules).unwrap();
        prop_assert_eq!(all_records(&again), kept);
    }
}

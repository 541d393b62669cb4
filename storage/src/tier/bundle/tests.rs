use super::super::sample::{BodyIsKey, GONE, Object, SampleLog, key};
use super::*;
use crate::format::object::tag_bit;
use crate::tier::{KeySearch, KeyStep, fetches};
use proptest::prelude::*;

const ID: ObjectId = ObjectId { id: 7, nonce: 9 };

fn bundle(logs: &mut [SampleLog]) -> Bundle {
    let mut builder = BundleBuilder::new(64 << 20);
    logs.iter_mut().for_each(|log| log.put_into(&mut builder));
    builder.finish(ID, &Properties::default(), &BodyIsKey).unwrap()
}

fn expected(logs: &[SampleLog]) -> Vec<(PgId, Vec<Record>)> {
    let kept = |log: &SampleLog| {
        log.records.iter().filter(|record| record.queue != GONE).cloned().collect()
    };
    logs.iter().map(|log| (log.pg, kept(log))).collect()
}

fn small_logs() -> Vec<SampleLog> {
    let mut logs = vec![SampleLog::new(1), SampleLog::new(4)];
    for (at, log) in logs.iter_mut().enumerate() {
        log.message(5, 1, b"first");
        log.message(6, 2, &b"abcdefgh".repeat(20 + at));
        log.operation(5, b"ack");
        log.cut();
        log.time += 5;
        log.message(GONE.0, 1, b"nobody wants this");
        log.open(5, 10);
        log.message(5, 1, b"after the gap");
        log.cut();
    }
    logs
}

#[test]
fn a_bundle_gives_back_every_record_at_its_lsn() {
    let mut logs = small_logs();
    let made = bundle(&mut logs);
    let object = Object::of(&made.parts);
    assert_eq!(object.bytes.len() as u64, made.finished.len);
    assert_eq!(object.everything(), Ok(expected(&logs)));
    let tail = object.tail().unwrap();
    assert_eq!(tail, made.finished.tail);
    for (log, entry) in logs.iter().zip(&tail.directory.entries) {
        assert_eq!((entry.from, entry.to), (log.from, log.end));
        assert_eq!((entry.chain_before, entry.chain_end), (0, log.chain));
        assert_eq!((entry.messages, entry.operations, entry.epoch), (3, 2, Epoch(3)));
        assert!(entry.dropped_bytes > 0 && entry.accounts_for_range());
    }
    let gap = tail.queues.blocks(logs[0].pg, QueueUid(5), QueueOffset(1)).next().unwrap();
    assert!(gap.after_gap);
    assert_eq!(gap.first, QueueOffset(11));
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let first = bundle(&mut small_logs());
    let second = bundle(&mut small_logs());
    assert_eq!(first.parts, second.parts);
}

#[test]
fn an_object_of_version_1_is_read() {
    let object = Object::of(&[Bytes::from_static(include_bytes!("version-1.object"))]);
    assert_eq!(
        object.everything(),
        Ok(expected(&{
            let mut logs = small_logs();
            logs.iter_mut().for_each(SampleLog::cut);
            logs
        }))
    );
    assert_eq!(object.tail().unwrap().footer.id, ID.id);
}

#[test]
fn every_flipped_bit_is_detected() {
    let mut logs = vec![SampleLog::new(1)];
    logs[0].message(5, 1, b"body");
    logs[0].message(5, 1, &[7; 200]);
    logs[0].operation(5, b"ack");
    let made = bundle(&mut logs);
    let whole = made.parts.concat();
    assert_eq!(Object::of(&made.parts).everything(), Ok(expected(&logs)));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = Object::of(&[Bytes::from(bytes)]).everything();
        assert!(read.is_err(), "bit {bit} of {}", whole.len() * 8);
    }
}

#[test]
fn a_cut_object_is_refused() {
    let made = bundle(&mut small_logs());
    let whole = made.parts.concat();
    for len in (0..whole.len()).step_by(7) {
        let cut = Object::of(&[Bytes::copy_from_slice(&whole[..len])]);
        assert!(cut.everything().is_err(), "{len} bytes");
    }
}

#[test]
fn a_search_takes_a_partition_a_page_and_a_block() {
    let mut log = SampleLog::new(2);
    for number in 0..30_000u32 {
        log.message(u64::from(number % 50), 0, format!("order-{number}").as_bytes());
        if number % 1000 == 0 {
            log.cut();
        }
    }
    let mut logs = [log];
    let made = bundle(&mut logs);
    let object = Object::of(&made.parts);
    let tail = object.tail().unwrap();
    assert_eq!(object.gets.take(), 1);
    let (partitions, largest) = tail.keys.partitions();
    assert!(partitions > 1 && largest <= 64 << 10, "{partitions} of up to {largest}");
    for number in [0, 1234, 29_999] {
        let found = object.search(&tail, key(format!("order-{number}").as_bytes())).unwrap();
        assert_eq!(found, [logs[0].records[number].clone()]);
        assert_eq!(object.gets.take(), 3);
        let lsn = logs[0].records[number].lsn;
        assert_eq!(object.search(&tail, KeyHash::of_lsn(lsn)).unwrap()[0].lsn, lsn);
        object.gets.take();
    }
    let misses: u32 = (0..1000)
        .map(|number| {
            let found = object.search(&tail, key(format!("other-{number}").as_bytes())).unwrap();
            assert_eq!(found, []);
            object.gets.take()
        })
        .sum();
    assert!(misses < 1030, "a bloom filter spares the page: {misses} requests for 1000 misses");
}

#[test]
fn a_key_of_every_message_is_found_to_a_limit() {
    let mut log = SampleLog::new(2);
    (0..70_000).for_each(|_| log.message(1, 0, b"same"));
    let made = bundle(&mut [log]);
    let object = Object::of(&made.parts);
    let tail = object.tail().unwrap();
    let mut search = KeySearch::new(&tail, key(b"same"));
    while let KeyStep::Get(span) = search.step() {
        search.feed(&object.get(span)).unwrap();
    }
    let KeyStep::Done { found, is_cut } = search.step() else { panic!("over") };
    assert!(is_cut);
    assert_eq!(found.len(), crate::tier::PLACES_MAX);
    assert_eq!(found[0].offset, QueueOffset(0));
}

#[test]
fn unwanted_tags_are_not_fetched() {
    let mut log = SampleLog::new(2);
    for number in 0..40u64 {
        log.message(1, number / 20, &vec![0; 100_000]);
        log.cut();
    }
    let made = bundle(&mut [log]);
    let tail = &made.finished.tail;
    let pg = PgId::new(2).unwrap();
    let at = (pg, QueueUid(1));
    let bounds = (1 << 20, u64::MAX);
    let count = |fetches: Vec<crate::tier::Fetch>| {
        fetches.iter().map(|fetch| fetch.blocks.len()).sum::<usize>()
    };
    let all = count(fetches(tail, at, QueueOffset(0), u64::MAX, bounds));
    let one = count(fetches(tail, at, QueueOffset(0), tag_bit(1), bounds));
    assert!(one < all && one > 0, "{one} of {all}");
    assert_ne!(tag_bit(0), tag_bit(1));
}

#[test]
fn what_does_not_follow_is_refused() {
    let mut log = SampleLog::new(1);
    log.message(1, 0, b"a");
    log.cut();
    log.message(1, 0, b"b");
    log.cut();
    let mut builder = BundleBuilder::new(1 << 20);
    builder.begin(log.pg, Epoch(1), log.from, 0).unwrap();
    assert_eq!(
        builder.frame(log.pg, &log.frames[1]).unwrap_err(),
        BundleRefused::Position { expected: log.from, found: log.frames[1].lsn }
    );
    let other = Frame { payload: Bytes::from_static(b"other"), ..log.frames[0].clone() };
    assert_eq!(builder.frame(log.pg, &other), Err(BundleRefused::Damaged(log.from)));
    let other = Frame { chain: 1, ..log.frames[0].clone() };
    assert_eq!(builder.frame(log.pg, &other), Err(BundleRefused::Chain(log.from)));
    builder.frame(log.pg, &log.frames[0]).unwrap();
    builder.frame(log.pg, &log.frames[1]).unwrap();
    assert_eq!(builder.hole(log.pg, log.from, 5).unwrap_err(), {
        BundleRefused::Position { expected: log.end, found: log.from }
    });
    let mut small = BundleBuilder::new(1);
    small.begin(log.pg, Epoch(1), log.from, 0).unwrap();
    small.frame(log.pg, &log.frames[0]).unwrap();
    assert_eq!(small.frame(log.pg, &log.frames[1]), Err(BundleRefused::Full));
}

#[test]
fn a_hole_is_counted_and_the_chain_goes_on_behind_it() {
    let mut log = SampleLog::new(1);
    log.message(1, 0, b"a");
    log.cut();
    log.message(GONE.0, 0, b"gone");
    log.cut();
    log.message(1, 0, b"b");
    log.cut();
    let mut builder = BundleBuilder::new(1 << 20);
    builder.begin(log.pg, Epoch(1), log.from, 0).unwrap();
    builder.frame(log.pg, &log.frames[0]).unwrap();
    builder.hole(log.pg, log.frames[2].lsn, log.frames[1].chain).unwrap();
    builder.frame(log.pg, &log.frames[2]).unwrap();
    let made = builder.finish(ID, &Properties::default(), &BodyIsKey).unwrap();
    let entry = made.finished.tail.directory.of(log.pg).unwrap();
    assert_eq!(entry.dropped_bytes, log.frames[1].payload.len() as u64);
    assert_eq!(entry.chain_end, log.chain);
    let read = Object::of(&made.parts).everything().unwrap();
    assert_eq!(read[0].1, [log.records[0].clone(), log.records[2].clone()]);
}

#[test]
fn the_next_bundle_begins_where_the_last_ended() {
    let mut logs = small_logs();
    let first = bundle(&mut logs);
    for log in &mut logs {
        log.go_on();
        log.message(5, 1, b"later");
    }
    let second = bundle(&mut logs);
    let ends = first.finished.tail.directory.entries;
    for (end, start) in ends.iter().zip(&second.finished.tail.directory.entries) {
        assert_eq!((end.to, end.chain_end), (start.from, start.chain_before));
    }
    let pg = ends[0].pg;
    let index = &second.finished.tail.queues;
    let block = index.blocks(pg, QueueUid(5), QueueOffset(0)).next().unwrap();
    assert_eq!((block.first, block.after_gap), (QueueOffset(12), false));
}

#[test]
fn an_unexplained_jump_of_offsets_stops_the_bundle() {
    let mut log = SampleLog::new(1);
    log.message(1, 0, b"a");
    log.jump(1, 5);
    log.message(1, 0, b"b");
    let mut builder = BundleBuilder::new(1 << 20);
    log.put_into(&mut builder);
    let refused = builder.finish(ID, &Properties::default(), &BodyIsKey).unwrap_err();
    assert_eq!(refused, BundleRefused::Gap { queue: QueueUid(1), offset: QueueOffset(6) });
}

#[test]
fn an_incompressible_body_costs_no_more_than_its_bytes() {
    let mut random = 1u64;
    let mut body = Vec::new();
    for _ in 0..20_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        body.extend_from_slice(&random.to_be_bytes()[..5]);
    }
    let size = |body: &[u8]| {
        let mut log = SampleLog::new(1);
        (0..5).for_each(|_| log.message(1, 0, body));
        bundle(&mut [log]).finished.tail.queues.iter().map(|block| block.span.len).sum::<u64>()
    };
    let raw = size(&body);
    assert!((500_000..501_000).contains(&raw), "{raw}");
    assert!(size(&b"compressible".repeat(8000)) < 50_000);
}

#[derive(Clone, Debug)]
enum Step {
    Message { queue: u64, filter: u64, len: usize },
    Operation(usize),
    Open { queue: u64, by: u64 },
    Cut,
    Time(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..5u64, 0..3u64, 0..90_000usize)
            .prop_map(|(queue, filter, len)| Step::Message { queue, filter, len }),
        2 => (0..500usize).prop_map(Step::Operation),
        1 => (0..5u64, 0..50u64).prop_map(|(queue, by)| Step::Open { queue, by }),
        2 => Just(Step::Cut),
        1 => (0..100_000u64).prop_map(Step::Time),
    ];
    proptest::collection::vec(step, 1..40)
}

fn log_of(pg: u32, steps: &[Step]) -> SampleLog {
    let mut log = SampleLog::new(pg);
    for step in steps {
        match step {
            // One queue is gone.
            Step::Message { queue, filter, len } => {
                let queue = if *queue == 4 { GONE.0 } else { *queue };
                log.message(queue, *filter, &vec![*len as u8; *len]);
            }
            Step::Operation(len) => log.operation(1, &vec![1; *len]),
            Step::Open { queue, by } => log.open(*queue, *by),
            Step::Cut => log.cut(),
            Step::Time(by) => log.time += by,
        }
    }
    log.cut();
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_logs_come_back_out_of_their_bundle(all in proptest::collection::vec(steps(), 1..4)) {
        let mut logs: Vec<SampleLog> = (0u32..)
            .zip(&all)
            .map(|(pg, steps)| log_of(pg, steps))
            .filter(|log| !log.frames.is_empty())
            .collect();
        prop_assume!(!logs.is_empty());
        let made = bundle(&mut logs);
        prop_assert_eq!(Object::of(&made.parts).everything(), Ok(expected(&logs)));
    }
}

/// What a message costs beside its record, and how much must be read before the first block. Bodies
/// that do not compress, so that what is counted is ours.
#[test]
fn a_message_costs_little_beside_its_record_and_one_read_has_the_tail() {
    for (queues, messages, reads, bytes_max) in [(8, 8000, 1, 40.0), (4000, 4000, 1, 180.0)] {
        let mut log = SampleLog::new(1);
        let mut records = 0;
        for number in 0..messages {
            let word = |n| crate::format::object::mix64(number * 64 + n).to_le_bytes();
            log.message(number % queues, 0, &(0..64).flat_map(word).collect::<Vec<u8>>());
            if number % 100 == 99 {
                log.cut();
            }
            records += 512 + 40;
        }
        let made = bundle(&mut [log]);
        let object = Object::of(&made.parts);
        let tail = object.tail().unwrap();
        let beside = (made.finished.len - records) as f64 / messages as f64;
        let tail_len = made.finished.len - tail.footer.tail_at;
        println!(
            "{messages} messages in {queues} queues: {beside:.1} bytes each beside the record, \
             {} blocks, a tail of {tail_len} bytes",
            tail.queues.len()
        );
        assert_eq!(object.gets.take(), reads);
        assert!(beside < bytes_max, "{beside} bytes a message");
    }
}

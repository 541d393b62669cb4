use super::sample::{Group, Message, WINDOW};
use super::*;
use crate::env::Timestamp;
use crate::format::{Epoch, FormatError, Lsn, PgId, QueueOffset, QueueUid};
use crate::tier::ObjectId;
use proptest::prelude::*;
use std::time::Duration;

fn run(id: u64, from: u64, to: u64) -> RunEntry {
    let window = Window::of(Timestamp(7_300_000), WINDOW);
    RunEntry {
        object: ObjectId { id, nonce: 0x0403_0201 },
        origin: Origin::Run { level: 1, epoch: Epoch(2), window },
        from: Lsn(from),
        to: Lsn(to),
        object_len: 300,
        bytes: 200,
        messages: 10,
        min_time: Timestamp(7_300_000),
        max_time: Timestamp(7_300_100),
        queues: QueueSet::One { queue: QueueUid(5), first: QueueOffset(0), last: QueueOffset(9) },
    }
}

fn summary(id: u64) -> SummaryRef {
    SummaryRef {
        object: ObjectId { id, nonce: 1 },
        epoch: Epoch(2),
        len: 300,
        objects: 40,
        min_time: Timestamp(5),
        max_time: Timestamp(6),
    }
}

#[test]
fn summaries_are_folded_into_the_root_and_removed_from_it() {
    let mut group = Group::new();
    let (first, second) = (summary(1), summary(2));
    group.commit(group.tiered, vec![Change::Summary(first), Change::Summary(second)]);
    assert_eq!(group.overlay().all_summaries(&group.root), [first, second]);
    group.fold();
    assert_eq!(group.root.summaries, [first, second]);
    group.commit(group.tiered, vec![Change::NoSummary(first.object)]);
    assert_eq!(group.overlay().all_summaries(&group.root), [second]);
    group.fold();
    assert_eq!(group.root.summaries, [second]);
    assert!(second.may_have(Timestamp(6), Timestamp(7)));
    assert!(!second.may_have(Timestamp(7), Timestamp(8)));
    assert!(!second.may_have(Timestamp(0), Timestamp(5)));
}

fn bundle(id: u64, from: u64, to: u64) -> RunEntry {
    let queues = QueueSet::Several {
        first: QueueUid(1),
        last: QueueUid(9),
        bloom: QueueBloom::of([1, 5, 9].into_iter().map(QueueUid)),
    };
    RunEntry { origin: Origin::Bundle { session: 3 }, queues, ..run(id, from, to) }
}

#[test]
fn golden_bytes_of_a_delta() {
    let changes = vec![
        Change::Add(run(1, 2, 3)),
        Change::Remove(bundle(4, 5, 6).key()),
        Change::Start { queue: QueueUid(7), offset: QueueOffset(8) },
        Change::Forget(QueueUid(9)),
        Change::Lost { from: Lsn(10), to: Lsn(12) },
        Change::Summary(summary(3)),
        Change::NoSummary(ObjectId { id: 5, nonce: 6 }),
    ];
    let delta = Delta { from: Lsn(2), to: Lsn(3), changes };
    let bytes = delta.encode();
    let hex: String = bytes[..bytes.len() - 4].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "4d440100020000000000000003000000000000000700000001010304010201020304\
         0480f4ee0680dddb01ac02c8010a8890fb06640a0009020504010203040307080409050a02\
         06030000000000000001000000020000002c010000000000002800000000000000\
         05000000000000000600000000000000070506000000"
    );
    assert_eq!(Delta::decode(&bytes), Ok(delta));
}

#[test]
fn every_flipped_bit_of_delta_page_and_root_is_refused() {
    let entries = [bundle(1, 0, 50), run(2, 50, 60), bundle(3, 60, 90)];
    let changes = entries.iter().copied().map(Change::Add).collect();
    let mut group = Group::new();
    group.bundle(&[1, 2, 3], 10);
    group.expire(Timestamp(0));
    group.bundle(&[4], 10);
    group.fold();
    type Refuses = fn(&[u8]) -> bool;
    let all: [(Vec<u8>, Refuses); 4] = [
        (Delta { from: Lsn(0), to: Lsn(90), changes }.encode(), |b| Delta::decode(b).is_err()),
        (RunPage(entries.to_vec()).encode(), |b| RunPage::decode(b).is_err()),
        (StartPage(vec![(QueueUid(1), QueueOffset(2))]).encode(), |b| {
            StartPage::decode(b).is_err()
        }),
        (group.root.encode(), |b| Root::decode(b).is_err()),
    ];
    for (whole, is_refused) in all {
        assert!(!is_refused(&whole));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(is_refused(&bytes), "bit {bit}");
        }
        assert!((0..whole.len()).all(|len| is_refused(&whole[..len])));
    }
}

#[test]
fn a_page_that_the_root_does_not_mean_is_refused() {
    let mut group = Group::new();
    group.bundle(&[1, 2], 10);
    group.fold();
    let (root, store) = (group.root.clone(), group.store.clone());
    group.bundle(&[1, 2], 10);
    group.fold();
    let newer = group.store.values().next().unwrap();
    assert_eq!(root.pages[0].open(newer), Err(FormatError::Checksum));
    assert!(root.pages[0].open(store.values().next().unwrap()).is_ok());
}

#[test]
fn deltas_that_do_not_follow_are_refused() {
    let root = Root::empty(PgId::new(0).unwrap());
    let delta = |from, to, changes| Delta { from: Lsn(from), to: Lsn(to), changes };
    let add = |id, from, to| vec![Change::Add(bundle(id, from, to))];
    let hole = [delta(0, 10, add(1, 0, 10)), delta(11, 20, add(2, 11, 20))];
    let expected = DeltaRefused::Position { expected: Lsn(10), found: Lsn(11) };
    assert_eq!(Overlay::of(&root, &hole), Err(expected));
    let twice = [delta(0, 10, add(1, 0, 10)), delta(10, 10, add(1, 0, 10))];
    assert!(matches!(Overlay::of(&root, &twice), Err(DeltaRefused::Twice(_))));
    let key = bundle(1, 0, 10).key();
    let remove = || vec![Change::Remove(key)];
    let removed = [delta(0, 0, remove()), delta(0, 0, remove())];
    assert!(matches!(Overlay::of(&root, &removed), Err(DeltaRefused::Twice(_))));
    let overlay = Overlay::of(&root, &removed[..1]).unwrap();
    let mut id = || ObjectId { id: 1, nonce: 1 };
    let folded =
        fold(&root, &overlay, PageSizes::default(), &Brought::default(), Epoch(1), &mut id);
    assert_eq!(folded.unwrap_err(), FoldRefused::NotThere(key.object));
}

#[test]
fn a_compaction_that_is_not_of_neighbours_or_loses_messages_is_refused() {
    let inputs = [bundle(1, 0, 10), bundle(2, 10, 20), bundle(3, 20, 30)];
    let output = RunEntry { messages: 30, ..run(9, 0, 30) };
    let check = |inputs: &[RunEntry], output: RunEntry, present: &[RunEntry], dropped| {
        let replaced = Replaced { inputs, outputs: &[output], dropped_messages: dropped };
        replace(replaced, present, &[]).map(|changes| changes.len())
    };
    assert_eq!(check(&inputs, output, &inputs, 0), Ok(4));
    assert_eq!(check(&[], output, &inputs, 0), Err(ReplaceRefused::Empty));
    let gone = check(&inputs, output, &inputs[1..], 0);
    assert_eq!(gone, Err(ReplaceRefused::NotThere(inputs[0].object)));
    let skipping = [inputs[0], inputs[2]];
    let fewer = RunEntry { messages: 20, ..output };
    let skipped = check(&skipping, fewer, &inputs, 0);
    assert_eq!(skipped, Err(ReplaceRefused::NotNeighbours(Lsn(10))));
    let hole = check(&skipping, fewer, &skipping, 0);
    assert_eq!(hole, Err(ReplaceRefused::NotNeighbours(Lsn(20))));
    let named = Replaced { inputs: &skipping, outputs: &[fewer], dropped_messages: 0 };
    assert!(replace(named, &skipping, &[(Lsn(10), Lsn(20))]).is_ok());
    let lost = ReplaceRefused::Count { inputs: 30, outputs: 20, dropped: 9 };
    assert_eq!(check(&inputs, fewer, &inputs, 9), Err(lost));
    assert_eq!(check(&inputs, fewer, &inputs, 10), Ok(4));
    let outside = RunEntry { to: Lsn(31), ..output };
    assert_eq!(check(&inputs, outside, &inputs, 0), Err(ReplaceRefused::Foreign(output.object)));
    let low = RunEntry { messages: 30, ..bundle(9, 0, 30) };
    assert_eq!(check(&inputs, low, &inputs, 0), Err(ReplaceRefused::Foreign(low.object)));
}

#[test]
fn a_queue_is_cut_by_size_at_a_block() {
    let block = |first: u64| crate::format::object::BlockRef {
        pg: PgId::new(0).unwrap(),
        queue: QueueUid(1),
        number: crate::format::object::QueueNumber(0),
        first: QueueOffset(first),
        last: QueueOffset(first + 9),
        count: 10,
        span: crate::format::object::Span { at: 0, len: 100 },
        min_time: Timestamp(0),
        max_time: Timestamp(0),
        tags: 1,
        after_gap: false,
        sparse: false,
    };
    let newest_first = || [30, 20, 10, 0].map(block);
    assert_eq!(start_by_size(newest_first(), 400), None);
    assert_eq!(start_by_size(newest_first(), 399), Some(QueueOffset(10)));
    assert_eq!(start_by_size(newest_first(), 200), Some(QueueOffset(20)));
    assert_eq!(start_by_size(newest_first(), 0), Some(QueueOffset(30)));
    assert_eq!(start_by_size([], 0), None);
}

/// The manifest of a busy placement group: bundles every ten seconds over weeks, compacted by the
/// hour but for the last day. Printed: what DESIGN asks to be known on paper.
#[test]
fn tens_of_thousands_of_entries_stay_small_and_are_found_with_few_reads() {
    let mut group = Group::new();
    let (mut folds, mut read, mut written, mut delta_bytes) = (0u32, 0, 0, 0);
    for at in 0..20_000u64 {
        if must_fold(&group.deltas, 4096) {
            delta_bytes += group.deltas.iter().map(bytes::Bytes::len).sum::<usize>();
            let (touched, objects) = group.fold();
            folds += 1;
            read += touched;
            written += objects;
        }
        // Forty queues take turns, so that the bloom has something to say.
        let queues: Vec<u64> = (0..8).map(|n| 1000 + (at * 3 + n * 5) % 40).collect();
        group.bundle(&queues, 10);
        if at % 40 == 39 && at > 12_000 {
            group.compact(8, 1005);
        }
    }
    group.fold();
    let root = &group.root;
    let entries = root.entries() as usize;
    assert_eq!(entries, group.model.len());
    assert_eq!(group.select(&Query::default()), group.model);
    let pages: usize = root.pages.iter().map(|page| page.page.len as usize).sum();
    println!(
        "{entries} entries: {} pages, {pages} bytes, {:.1} an entry; root {} bytes",
        root.pages.len(),
        pages as f64 / entries as f64,
        root.encode().len(),
    );
    println!(
        "{folds} folds of up to {DELTAS_MAX} deltas ({:.0} bytes each): \
         {:.2} pages read, {:.2} objects written a fold",
        delta_bytes as f64 / (f64::from(folds) * DELTAS_MAX as f64),
        read as f64 / f64::from(folds),
        written as f64 / f64::from(folds),
    );
    assert!(pages / entries < 96, "{} bytes an entry", pages / entries);
    assert!(written as f64 / f64::from(folds) < 6.0, "a fold writes what it touches");

    group.page_reads.set(0);
    let middle = group.model[entries / 2];
    let found = group.select(&Query::lsn(middle.from));
    assert_eq!(found, [middle]);
    let by_lsn = group.page_reads.take();
    let since = middle.min_time;
    let hour = Query::time(since, since.plus(Duration::from_secs(3600)));
    let of_hour = group.select(&hour).len();
    let by_time = group.page_reads.take();
    let warm = group.find(QueueUid(1020), QueueOffset(2000));
    group.page_reads.take();
    let (found, probes) = group.find_cold(QueueUid(1020), QueueOffset(2000));
    assert_eq!(found, warm.0);
    let has =
        |message: &Message| message.queue == QueueUid(1020) && message.offset == QueueOffset(2000);
    assert!(group.contents[&found.unwrap().object].iter().any(has));
    let by_offset = group.page_reads.take();
    println!(
        "page reads from cold: {by_lsn} by position, {by_time} for an hour ({of_hour} entries), \
         {by_offset} by offset with {probes} objects asked"
    );
    assert!(by_lsn <= 2 && by_time <= 3 && by_offset <= 7 && probes <= 20);
}

#[derive(Clone, Debug)]
enum Step {
    Bundle(Vec<u64>, u64),
    Compact(usize, u64),
    Expire(u64),
    Forget(u64),
    Fold,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (proptest::collection::vec(0..12u64, 1..8), 0..900u64)
            .prop_map(|(queues, seconds)| Step::Bundle(queues, seconds)),
        2 => (1..9usize, 0..4u64).prop_map(|(count, large)| Step::Compact(count, large)),
        1 => (0..20_000u64).prop_map(Step::Expire),
        1 => (0..12u64).prop_map(Step::Forget),
        2 => Just(Step::Fold),
    ]
}

fn check(group: &Group) -> Result<(), TestCaseError> {
    prop_assert_eq!(group.select(&Query::default()), group.model.clone());
    for queue in (0..12).map(QueueUid) {
        prop_assert_eq!(group.start_of(queue), group.starts.get(&queue).copied());
        let mut of_queue: Vec<(Message, RunEntry)> = Vec::new();
        for entry in &group.model {
            let messages = group.contents[&entry.object].iter();
            of_queue.extend(messages.filter(|m| m.queue == queue).map(|m| (*m, *entry)));
        }
        of_queue.sort_by_key(|(message, _)| message.offset);
        // INV-MAN-4, and with it the search.
        prop_assert!(of_queue.windows(2).all(|pair| pair[0].1.key() <= pair[1].1.key()));
        for wanted in (0..20).map(QueueOffset) {
            let next = of_queue.iter().find(|(message, _)| message.offset >= wanted);
            let (found, _) = group.find(queue, wanted);
            prop_assert_eq!(found, next.map(|(_, entry)| *entry), "queue {} at {}", queue, wanted);
            prop_assert_eq!(group.find_cold(queue, wanted).0, found, "{} at {}", queue, wanted);
        }
        for (message, entry) in of_queue {
            prop_assert!(group.select(&Query::lsn(message.lsn)).contains(&entry));
            let moment = Query::time(message.time, message.time.plus(Duration::from_millis(1)));
            prop_assert!(group.select(&moment).contains(&entry));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn it_says_what_a_plain_list_would(
        steps in proptest::collection::vec(step(), 1..60), runs in 1..12usize, starts in 1..5usize,
    ) {
        let mut group = Group::new();
        group.sizes = PageSizes { runs, starts };
        for step in steps {
            match step {
                Step::Bundle(queues, seconds) => group.bundle(&queues, seconds),
                Step::Compact(count, large) => group.compact(count, large),
                Step::Expire(seconds) => {
                    group.expire(Timestamp(group.time.saturating_sub(seconds * 1000)));
                }
                Step::Forget(queue) => group.forget(queue),
                Step::Fold => { group.fold(); }
            }
        }
        check(&group)?;
        group.fold();
        check(&group)?;
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }
}

//! Every answer against what a plain list says.

use super::super::{KeyQuery, Reader, Want};
use super::rig::{ALL, Group, World, noise};
use crate::env::Timestamp;
use crate::format::object::{KeyHash, Record, tag_bit};
use crate::format::{Lsn, QueueOffset, QueueUid, RecordKind};
use crate::tier::manifest::PageSizes;
use crate::tier::sample::key;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Message { queue: u64, len: usize },
    Other,
    Operation,
    Open { queue: u64, by: u64 },
    Time(i64),
    Bundle,
    Compact(usize),
    Fold,
    Summarise(usize),
    Trim { queue: u64, by: u64 },
}

const QUEUES: u64 = 4;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..QUEUES, 0..3000usize).prop_map(|(queue, len)| Step::Message { queue, len }),
        1 => (0..QUEUES).prop_map(|queue| Step::Message { queue, len: 400_000 }),
        1 => Just(Step::Other),
        2 => Just(Step::Operation),
        1 => (0..QUEUES, 0..9u64).prop_map(|(queue, by)| Step::Open { queue, by }),
        3 => (-20_000..60_000i64).prop_map(Step::Time),
        4 => Just(Step::Bundle),
        1 => (1..5usize).prop_map(Step::Compact),
        1 => Just(Step::Fold),
        1 => (1..5usize).prop_map(Step::Summarise),
        1 => (0..QUEUES, 0..4u64).prop_map(|(queue, by)| Step::Trim { queue, by }),
    ]
}

async fn run(world: &mut World, steps: Vec<Step>) {
    for (at, step) in steps.into_iter().enumerate() {
        let log = &mut world.groups[0].log;
        match step {
            // Few different bodies, so that keys are found more than once.
            Step::Message { queue, len } => {
                log.message(queue, at as u64 % 3, &noise(len as u64 % 5, len));
            }
            Step::Other => world.groups[1].log.message(1, 0, b"another's"),
            Step::Operation => log.operation(0, b"ack"),
            Step::Open { queue, by } => {
                log.open(queue, by);
                log.message(queue, 0, b"after");
            }
            Step::Time(by) => log.time = log.time.saturating_add_signed(by),
            Step::Bundle => world.bundle().await,
            Step::Compact(count) => drop(world.compact(count).await),
            Step::Fold => world.fold().await,
            Step::Summarise(objects) => drop(world.summarise(objects).await),
            Step::Trim { queue, by } => {
                let start = world.groups[0].starts.get(&QueueUid(queue)).map_or(0, |at| at.0);
                world.trim(queue, start + by);
            }
        }
    }
    world.bundle().await;
}

async fn check(group: &Group, reader: &Reader) {
    let view = group.view(reader).await;
    for queue in 0..QUEUES + 1 {
        check_queue(group, reader, queue).await;
    }
    let starts: Vec<_> = group.starts.iter().map(|(queue, start)| (*queue, *start)).collect();
    assert_eq!(reader.starts(&view).await.unwrap(), starts);
    let all = || group.records.iter();
    let lsns: Vec<Lsn> = all().map(|record| record.lsn).step_by(5).collect();
    for (from, to) in lsns.iter().zip(lsns.iter().skip(2)).chain([(&Lsn(0), &Lsn(u64::MAX))]) {
        let mut found = Vec::new();
        reader.operations(&view, *from, *to, |record| found.push(record)).await.unwrap();
        let is_meant = |r: &&Record| r.kind != RecordKind::Message && *from <= r.lsn && r.lsn < *to;
        assert_eq!(found, all().filter(is_meant).cloned().collect::<Vec<_>>());
        let ends = reader.queue_ends(&view, *from).await.unwrap();
        for queue in 0..QUEUES {
            let end = ends.iter().find(|(of, _)| *of == QueueUid(queue)).map(|(_, end)| *end);
            let messages = group.records.iter().filter(|r| r.queue == QueueUid(queue));
            let messages = messages.filter(|r| r.kind == RecordKind::Message);
            let last = messages.clone().map(|r| r.offset.plus(1)).max();
            // It may say more than was asked, but nothing else than what is.
            assert!(end.is_none() || end == last);
            assert!(end == last || !messages.clone().any(|r| *from <= r.lsn));
        }
    }
    for record in all() {
        let by_lsn = reader.by_lsn(&view, record.lsn).await.unwrap();
        let kept = group.messages(record.queue.0, record.offset).first() == Some(record);
        assert_eq!(by_lsn.as_ref(), Some(record).filter(|_| kept), "{}", record.lsn);
    }
}

async fn check_queue(group: &Group, reader: &Reader, queue: u64) {
    let view = group.view(reader).await;
    let (uid, all) = (QueueUid(queue), group.messages(queue, QueueOffset(0)));
    let start = group.starts.get(&uid).copied().unwrap_or_default();
    assert_eq!(reader.start_of(&view, uid).await.unwrap(), start);
    let last = all.last().map_or(QueueOffset(3), |record| record.offset);
    for from in (0..=last.0 + 1).step_by(1 + last.0 as usize / 7).map(QueueOffset) {
        for want in [ALL, Want { messages: 3, bytes: 1000, tags: u64::MAX }] {
            let (mut at, mut found) = (from, Vec::new());
            loop {
                let chunk = reader.read(&view, uid, at, want).await.unwrap();
                found.extend(chunk.records);
                at = chunk.next;
                if chunk.ended {
                    break;
                }
            }
            assert_eq!(found, group.messages(queue, from), "queue {queue} from {from}");
            assert!(at >= from && all.last().is_none_or(|last| at > last.offset));
        }
    }
    let tags = tag_bit(2);
    let chunk = reader.read(&view, uid, start, Want { tags, ..ALL }).await.unwrap();
    let tagged = |r: &&Record| r.filter == 2;
    let found: Vec<&Record> = chunk.records.iter().filter(tagged).collect();
    assert_eq!(found, all.iter().filter(tagged).collect::<Vec<_>>());
    for record in &all {
        for at in [record.time, Timestamp(record.time.0 + 1)] {
            let expected = all.iter().find(|r| at <= r.time).map(|r| r.offset);
            assert_eq!(reader.offset_at_time(&view, uid, at).await.unwrap(), expected);
        }
    }
}

async fn check_keys(group: &Group, reader: &Reader) {
    let views = [group.view(reader).await];
    let times: Vec<Timestamp> = group.records.iter().map(|record| record.time).collect();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let bodies = group.records.iter().map(|record| key(&record.body()));
    let mut hashes: Vec<KeyHash> = bodies.take(12).collect();
    hashes.sort_unstable();
    hashes.dedup();
    for hash in hashes {
        for (queues, since, max) in [
            (None, Timestamp(0), usize::MAX),
            (Some(vec![QueueUid(1), QueueUid(2)]), middle, usize::MAX),
            (None, Timestamp(0), 2),
        ] {
            let until = Timestamp(u64::MAX);
            let query = KeyQuery { hash, queues: queues.clone(), since, until, max };
            let found = reader.by_key(&views, query).await.unwrap();
            let mut all: Vec<Record> = (0..QUEUES)
                .filter(|q| queues.as_ref().is_none_or(|all| all.contains(&QueueUid(*q))))
                .flat_map(|queue| group.messages(queue, QueueOffset(0)))
                .filter(|r| key(&r.body()) == hash && since <= r.time)
                .collect();
            all.sort_by_key(|r| std::cmp::Reverse((r.time, r.lsn)));
            let count = all.len();
            all.truncate(max);
            assert_eq!(found.records, all);
            assert!(!found.is_complete() || count <= max);
            assert!(found.is_complete() || count >= max);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn everything_is_answered_as_a_plain_list_would(
        steps in proptest::collection::vec(step(), 1..90), runs in 1..5usize,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::in_memory();
            world.sizes = PageSizes { runs, starts: 2 };
            run(&mut world, steps).await;
            let reader = world.reader().await;
            for group in &world.groups {
                check(group, &reader).await;
            }
            check_keys(&world.groups[0], &reader).await;
        });
    }
}

use super::super::block::BlockBuilder;
use super::super::record::Record;
use super::*;
use crate::format::{Attributes, Envelope, Kind, Lsn, RecordKind};
use proptest::prelude::*;

fn header(pg: u32, queue: u64, first: u64, count: u64, time: u64) -> BlockHeader {
    let pg = PgId::new(pg).unwrap();
    let mut builder = BlockBuilder::messages(pg, QueueUid(queue), first % 2 == 1, false);
    for offset in first..first + count {
        let envelope = Envelope {
            kind: Kind::Record(RecordKind::Message),
            queue: QueueUid(queue),
            offset: QueueOffset(offset),
            attributes: Attributes { time: Timestamp(time), filter: offset },
            body_len: 0,
        };
        let bytes = Bytes::copy_from_slice(&envelope.encode());
        builder.push(&Record::first_of(Lsn(offset * 40), &bytes).unwrap()).unwrap();
    }
    builder.finish().0
}

fn model(steps: &[(u32, u64, u64, u64, u64)]) -> (Vec<BlockRef>, QueueIndex, usize) {
    let mut builder = QueueIndexBuilder::default();
    let (mut pg, mut queue, mut next, mut at, mut blocks) = (0, 0, 0, 0, Vec::new());
    for (pg_step, queue_step, gap, count, time) in steps {
        if *pg_step > 0 {
            (pg, queue, next) = (pg + pg_step, 0, 0);
        }
        if *queue_step > 0 {
            (queue, next) = (queue + queue_step, 0);
        }
        let header = header(pg, queue, next + gap, *count, *time);
        next += gap + count;
        let number = builder.push(&header, at).unwrap();
        blocks.push(BlockRef {
            pg: header.pg,
            queue: QueueUid(queue),
            number,
            first: QueueOffset(next - count),
            last: QueueOffset(next - 1),
            count: *count as u32,
            span: Span { at, len: header.block_len() },
            min_time: header.min_time,
            max_time: header.max_time,
            tags: header.tags,
            after_gap: (next - count) % 2 == 1,
            sparse: false,
        });
        at += header.block_len() + gap;
    }
    let bytes = Bytes::from(builder.finish());
    (blocks, QueueIndex::decode(&bytes).unwrap(), bytes.len())
}

#[test]
fn golden_bytes() {
    let mut builder = QueueIndexBuilder::default();
    let first = header(1, 300, 0, 2, 1000);
    builder.push(&first, 0).unwrap();
    builder.push(&header(1, 300, 2, 2, 1001), first.block_len()).unwrap();
    let bytes = builder.finish();
    // The second entry is its differences only: most are 0.
    assert_eq!(bytes[..3], [1, 0xac, 2]);
    assert_eq!(bytes[bytes.len() - 24..bytes.len() - 4], {
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]
    });
    assert_eq!(bytes.len() - 24, 36);
}

#[test]
fn what_is_out_of_order_is_refused() {
    let mut builder = QueueIndexBuilder::default();
    builder.push(&header(1, 5, 4, 2, 0), 0).unwrap();
    for bad in [header(1, 5, 5, 1, 0), header(1, 4, 9, 1, 0), header(0, 9, 9, 1, 0)] {
        assert_eq!(builder.push(&bad, 500), Err(FormatError::Contradiction));
    }
    assert_eq!(builder.push(&header(1, 5, 6, 1, 0), 500), Ok(QueueNumber(0)));
    assert_eq!(builder.push(&header(2, 1, 6, 1, 0), 900), Ok(QueueNumber(1)));
}

#[test]
fn an_empty_index_has_nothing() {
    let bytes = Bytes::from(QueueIndexBuilder::default().finish());
    let index = QueueIndex::decode(&bytes).unwrap();
    assert!(index.is_empty() && index.iter().next().is_none());
    assert_eq!(index.queue(QueueNumber(0)), None);
    assert_eq!(index.blocks(PgId::FIRST, QueueUid(0), QueueOffset(0)).next(), None);
}

proptest! {
    #[test]
    fn it_answers_as_a_list_would(
        steps in proptest::collection::vec(
            (prop_oneof![9 => Just(0u32), 1 => 1..3u32], 0..3u64, 0..3u64, 1..4u64, 0..1u64 << 45),
            0..120,
        ),
        pg in 0..4u32, queue in 0..60u64, from in 0..40u64, number in 0..80u32,
    ) {
        let (blocks, index, _) = model(&steps);
        prop_assert_eq!(index.iter().collect::<Vec<_>>(), blocks.clone());
        prop_assert_eq!(index.len() as usize, blocks.len());
        let (pg, queue, from) = (PgId::new(pg).unwrap(), QueueUid(queue), QueueOffset(from));
        let wanted: Vec<BlockRef> = blocks.iter().copied()
            .filter(|b| b.pg == pg && b.queue == queue && b.last >= from).collect();
        prop_assert_eq!(index.blocks(pg, queue, from).collect::<Vec<_>>(), wanted);
        let of_pg: Vec<BlockRef> = blocks.iter().copied().filter(|b| b.pg == pg).collect();
        prop_assert_eq!(index.blocks_of(pg).collect::<Vec<_>>(), of_pg);
        let mut queues: Vec<QueueUid> =
            blocks.iter().filter(|b| b.pg == pg).map(|b| b.queue).collect();
        queues.dedup();
        let mut walked = Vec::new();
        while let Some(next) = index.next_queue(pg, walked.last().copied()) {
            walked.push(next);
        }
        prop_assert_eq!(walked, queues);
        let number = QueueNumber(number);
        let first = blocks.iter().copied().find(|b| b.number == number);
        prop_assert_eq!(index.queue(number), first);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }
}

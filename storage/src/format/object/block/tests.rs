use super::*;
use crate::format::{Attributes, Envelope, Kind};
use proptest::prelude::*;

fn record(lsn: u64, kind: RecordKind, queue: u64, offset: u64, body: &[u8]) -> Record {
    let envelope = Envelope {
        kind: Kind::Record(kind),
        queue: QueueUid(queue),
        offset: QueueOffset(offset),
        attributes: Attributes { time: Timestamp(lsn + 1000), filter: 0 },
        body_len: body.len() as u32,
    };
    let mut bytes = envelope.encode()[..envelope.head_len() as usize].to_vec();
    bytes.extend_from_slice(body);
    Record::first_of(Lsn(lsn), &Bytes::from(bytes)).unwrap()
}

fn message(lsn: u64, offset: u64, body: &[u8]) -> Record {
    record(lsn, RecordKind::Message, 7, offset, body)
}

fn builder() -> BlockBuilder {
    BlockBuilder::messages(PgId::FIRST, QueueUid(7), true, false)
}

#[test]
fn golden_bytes() {
    let mut builder = builder();
    builder.push(&message(0x10, 3, b"a")).unwrap();
    builder.push(&message(0x40, 4, b"b")).unwrap();
    let (header, bytes) = builder.finish();
    let hex: String = bytes[..88].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        format!(
            "53424c4b01{:02x}0101{:02x}000000{:02x}000000000000000200000007000000000000000300000000000000\
             040000000000000010000000000000\
             00f8030000000000002804000000000000{:016x}{:016x}",
            header.codec,
            header.raw_len,
            header.stored_len,
            tag_bit(0).swap_bytes(),
            header.sum.swap_bytes()
        )
    );
    // Between the two records of 41 bytes lie 7 bytes of the log; the varint before each has 1.
    assert_eq!(header.raw_len, 2 * 42);
    let block = Block::decode(&Bytes::from(bytes)).unwrap();
    assert_eq!(block.header, header);
    assert_eq!(block.records[1], message(0x40, 4, b"b"));
    assert_eq!(block.records[1].body(), &b"b"[..]);
}

#[test]
fn records_out_of_place_are_refused() {
    let mut builder = builder();
    builder.push(&message(100, 3, b"a")).unwrap();
    let foreign = record(200, RecordKind::Ack, 7, 0, b"");
    assert_eq!(builder.push(&foreign), Err(BlockRefused::Foreign(Lsn(200))));
    let foreign = record(200, RecordKind::Message, 8, 4, b"");
    assert_eq!(builder.push(&foreign), Err(BlockRefused::Foreign(Lsn(200))));
    let early = BlockRefused::Order { lsn: Lsn(100), offset: QueueOffset(4) };
    assert_eq!(builder.push(&message(100, 4, b"")), Err(early));
    let same = BlockRefused::Order { lsn: Lsn(200), offset: QueueOffset(3) };
    assert_eq!(builder.push(&message(200, 3, b"")), Err(same));
    let gap = BlockRefused::Gap(QueueOffset(5));
    assert_eq!(builder.push(&message(200, 5, b"")), Err(gap));
    builder.push(&message(200, 4, b"")).unwrap();
    assert_eq!(builder.finish().0.count, 2);
}

#[test]
fn a_block_is_never_larger_than_a_reader_takes() {
    let mut builder = builder();
    builder.push(&message(0, 0, &vec![1; 12 << 20])).unwrap();
    assert_eq!(builder.push(&message(20 << 20, 1, &vec![1; 5 << 20])), Err(BlockRefused::Full));
    assert_eq!(Block::decode(&Bytes::from(builder.finish().1)).unwrap().records.len(), 1);
}

proptest! {
    #[test]
    fn round_trip(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20),
        gaps in proptest::collection::vec((0..1000u64, 1..4u64), 20), sparse: bool,
    ) {
        let mut builder = BlockBuilder::messages(PgId::FIRST, QueueUid(7), false, sparse);
        let (mut lsn, mut offset, mut records) = (5, 9, Vec::new());
        for (body, (gap, step)) in bodies.iter().zip(gaps) {
            lsn += gap;
            let next = message(lsn, offset, body);
            offset += if sparse { step } else { 1 };
            lsn = next.end().0;
            builder.push(&next).unwrap();
            records.push(next);
        }
        let (header, bytes) = builder.finish();
        prop_assert_eq!(header.block_len(), bytes.len() as u64);
        prop_assert_eq!(Block::decode(&Bytes::from(bytes)), Ok(Block { header, records }));
    }

    #[test]
    fn any_flipped_bit_is_refused(bit in 0..8 * 190usize) {
        let mut builder = builder();
        builder.push(&message(0, 0, b"body")).unwrap();
        builder.push(&message(50, 1, b"body")).unwrap();
        let (_, mut bytes) = builder.finish();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Block::decode(&Bytes::from(bytes)).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }
}

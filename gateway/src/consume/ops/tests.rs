//! Golden bytes, round trips, and decoders against anything.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn op(step: Step) -> Op {
    Op { group: GroupUid(300), queue: QueueUid(9), step }
}

fn spans(offsets: &[u64]) -> Spans {
    offsets.iter().copied().map(QueueOffset).collect()
}

fn golden(op: &Op, bytes: &[u8]) {
    assert_eq!(op.encode(), bytes);
    assert_eq!(Op::decode(op.kind(), op.queue, bytes).unwrap(), *op);
}

#[test]
fn a_pop_has_these_bytes() {
    let run =
        |first, count, attempt| Run { span: Span { first: QueueOffset(first), count }, attempt };
    let pop = Pop {
        next: QueueOffset(8),
        visible_at: Timestamp(1000),
        lease: None,
        runs: vec![run(2, 1, 3), run(5, 3, 1)],
    };
    golden(&op(Step::Pop(pop.clone())), &[1, 0xac, 2, 8, 0xe8, 7, 0, 2, 2, 1, 3, 2, 3, 1]);
    let lease = Some(Lease { client: ClientId::new("c@1"), until: Timestamp(5) });
    golden(
        &op(Step::Pop(Pop { lease, ..pop })),
        &[1, 0xac, 2, 8, 0xe8, 7, 1, 5, 3, b'c', b'@', b'1', 2, 2, 1, 3, 2, 3, 1],
    );
}

#[test]
fn an_ack_a_change_an_offset_and_a_dead_letter_have_these_bytes() {
    golden(&op(Step::Ack(spans(&[1, 2, 4]))), &[1, 0xac, 2, 2, 1, 2, 1, 1]);
    for (mode, byte) in
        [(ChangeMode::Counts, 0), (ChangeMode::Suspends, 1), (ChangeMode::Renews, 2)]
    {
        let change = Change { visible_at: Timestamp(128), mode, spans: spans(&[7]) };
        golden(&op(Step::Change(change)), &[1, 0xac, 2, 0x80, 1, byte, 1, 7, 1]);
    }
    golden(&op(Step::Offset(QueueOffset(0))), &[1, 0xac, 2, 0]);
    golden(&op(Step::Reset(QueueOffset(7))), &[1, 0xac, 2, 7, 1]);
    let step = Step::DeadLetter { offset: QueueOffset(127), attempt: 17 };
    golden(&op(step), &[1, 0xac, 2, 127, 17]);
}

#[test]
fn another_version_long_numbers_and_too_many_offsets_are_refused() {
    let decode = |kind, bytes: &[u8]| Op::decode(kind, QueueUid(1), bytes).unwrap_err();
    assert_eq!(decode(OpKind::Offset, &[2, 1, 1]), OpMalformed::Version(2));
    assert_eq!(decode(OpKind::Offset, &[]), OpMalformed::Short);
    assert_eq!(decode(OpKind::Offset, &[1, 1, 0x80, 0]), OpMalformed::Number);
    assert_eq!(decode(OpKind::Offset, &[1, 1, 1, 2]), OpMalformed::Number);
    assert_eq!(decode(OpKind::Offset, &[1, 1, 1, 1, 1]), OpMalformed::Long);
    let mut eleven = vec![1, 1];
    eleven.extend([0xff; 10]);
    assert_eq!(decode(OpKind::Offset, &eleven), OpMalformed::Number);
    // A hand-out of what lies behind the cursor that it leaves.
    assert_eq!(decode(OpKind::Pop, &[1, 1, 4, 9, 0, 1, 4, 1, 1]), OpMalformed::Number);
    assert!(Op::decode(OpKind::Pop, QueueUid(1), &[1, 1, 5, 9, 0, 1, 4, 1, 1]).is_ok());
    // One span of 10 001 offsets.
    assert_eq!(decode(OpKind::Ack, &[1, 1, 1, 0, 0x91, 0x4e]), OpMalformed::Number);
    assert!(Op::decode(OpKind::Ack, QueueUid(1), &[1, 1, 1, 0, 0x90, 0x4e]).is_ok());
}

fn some_spans() -> impl Strategy<Value = Spans> {
    vec((1u64..1 << 40, 1u32..20), 0..20).prop_map(|parts| {
        let mut at = 0;
        let mut spans = Vec::new();
        for (gap, count) in parts {
            let first = QueueOffset(at + gap);
            at = first.0 + u64::from(count);
            spans.push(Span { first, count });
        }
        Spans::from_sorted(spans)
    })
}

fn some_step() -> impl Strategy<Value = Step> {
    let lease = proptest::option::of((any::<u64>(), "\\PC{0,20}")).prop_map(|lease| {
        lease
            .map(|(until, client)| Lease { client: ClientId::new(client), until: Timestamp(until) })
    });
    let pop = (any::<u64>(), any::<u64>(), lease, some_spans(), any::<u32>()).prop_map(
        |(next, visible_at, lease, spans, attempt)| {
            let runs = spans.spans().iter().map(|span| Run { span: *span, attempt }).collect();
            let end = spans.spans().last().map_or(0, |span| span.end().0);
            let (next, visible_at) = (QueueOffset(next.max(end)), Timestamp(visible_at));
            Step::Pop(Pop { next, visible_at, lease, runs })
        },
    );
    let mode =
        prop_oneof![Just(ChangeMode::Counts), Just(ChangeMode::Suspends), Just(ChangeMode::Renews)];
    let change = (any::<u64>(), mode, some_spans()).prop_map(|(at, mode, spans)| {
        Step::Change(Change { visible_at: Timestamp(at), mode, spans })
    });
    prop_oneof![
        pop,
        some_spans().prop_map(Step::Ack),
        change,
        any::<u64>().prop_map(|next| Step::Offset(QueueOffset(next))),
        any::<u64>().prop_map(|next| Step::Reset(QueueOffset(next))),
        (any::<u64>(), any::<u32>()).prop_map(|(offset, attempt)| Step::DeadLetter {
            offset: QueueOffset(offset),
            attempt
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(group in any::<u64>(), queue in any::<u64>(), step in some_step()) {
        let op = Op { group: GroupUid(group), queue: QueueUid(queue), step };
        prop_assert_eq!(Op::decode(op.kind(), op.queue, &op.encode()).unwrap(), op);
    }

    #[test]
    fn any_bytes_are_an_operation_in_its_one_form_or_refused(mut bytes in vec(any::<u8>(), 0..64)) {
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        for kind in [OpKind::Pop, OpKind::Ack, OpKind::Change, OpKind::Offset, OpKind::DeadLetter] {
            if let Ok(op) = Op::decode(kind, QueueUid(1), &bytes) {
                prop_assert_eq!(op.encode(), bytes.clone());
            }
        }
    }
}

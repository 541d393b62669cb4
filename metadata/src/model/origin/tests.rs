//! Clones of clones against a model that keeps, for every offset, where its message lies.

use super::*;
use crate::model::{Cluster, Record, Topic, TopicSpec};
use proptest::prelude::*;
use std::collections::BTreeMap;

const QUEUES: u64 = 3;

fn topic() -> Topic {
    let mut spec = TopicSpec::new(TopicName::parse("orders").unwrap());
    spec.queues = QUEUES as u32;
    let cluster = Cluster { name: "C".into(), pgs: 2, secret: [0; 32], created: Timestamp(0) };
    Topic::create(spec, &cluster, base(0), Timestamp(0))
}

fn base(generation: u64) -> u64 {
    (generation + 1) << 16
}

fn name(generation: u64) -> TopicName {
    TopicName::parse(&format!("clone-{generation}")).unwrap()
}

fn span(from: u64, to: u64) -> Span {
    Span { from: QueueOffset(from), to: QueueOffset(to) }
}

fn cloned(source: &Topic, generation: u64, spans: &[Span]) -> Topic {
    let of = |queue: QueueUid| spans[source.index_of(queue).unwrap()];
    let origin = Origin::of(source, Timestamp(generation), of);
    Topic::cloned(source, name(generation), origin, base(generation), Timestamp(generation))
}

/// One generation: what is sent to each queue before the clone, and what of it is shown.
#[derive(Clone, Debug)]
struct Round {
    sent: Vec<u64>,
    spans: Vec<(u64, u64)>,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let queue = || (0..8_u64, (0..30_u64, 0..40_u64));
    let round = proptest::collection::vec(queue(), QUEUES as usize).prop_map(|queues| {
        let (sent, spans) = queues.into_iter().unzip();
        Round { sent, spans }
    });
    proptest::collection::vec(round, 1..6)
}

proptest! {
    #[test]
    fn a_clone_shows_what_its_source_showed_of_the_span_and_goes_on_behind(rounds in rounds()) {
        let mut source = topic();
        // Of each queue: by offset, the queue in which the message lies; and the next offset.
        let mut shown = vec![(BTreeMap::<u64, u64>::new(), 0_u64); QUEUES as usize];
        for (generation, round) in (1..).zip(rounds) {
            let mut spans = Vec::new();
            for (i, (messages, next)) in shown.iter_mut().enumerate() {
                for _ in 0..round.sent[i] {
                    messages.insert(*next, source.uid_base + i as u64);
                    *next += 1;
                }
                let first = messages.keys().next().copied().unwrap_or(*next);
                let to = round.spans[i].1.clamp(first, *next);
                let from = round.spans[i].0.clamp(first, to);
                spans.push(span(from, to));
            }
            let clone = cloned(&source, generation, &spans);
            prop_assert_eq!(Topic::decode(&clone.encode()), Ok(clone.clone()));
            for (i, (messages, next)) in shown.iter_mut().enumerate() {
                let queue = QueueUid(clone.uid_base + i as u64);
                let span = spans[i];
                *messages = messages.range(span.from.0..span.to.0).map(|(o, q)| (*o, *q)).collect();
                *next = span.to.0;
                prop_assert_eq!(clone.queue_start(queue), span.to);
                let mut got = BTreeMap::new();
                let mut end = None;
                for part in clone.inherited(queue) {
                    prop_assert!(part.span.from < part.span.to);
                    prop_assert!(end.is_none_or(|end| end == part.span.from), "INV-CLONE-1");
                    end = Some(part.span.to);
                    for offset in part.span.from.0..part.span.to.0 {
                        prop_assert_eq!(got.insert(offset, part.queue.0), None);
                    }
                }
                prop_assert_eq!(&got, messages);
            }
            source = clone;
        }
    }
}

#[test]
fn a_span_is_cut_to_what_the_source_shows() {
    let first = cloned(&topic(), 1, &[span(5, 10), span(0, 0), span(7, 3)]);
    let queue = |topic: &Topic, i: u64| QueueUid(topic.uid_base + i);
    assert_eq!(first.queue_start(queue(&first, 2)), QueueOffset(3));
    let second = cloned(&first, 2, &[span(0, 12), span(0, 4), span(0, 3)]);
    let part = |queue, from, to| Part { queue, span: span(from, to) };
    assert_eq!(
        second.inherited(queue(&second, 0)),
        [part(queue(&topic(), 0), 5, 10), part(queue(&first, 0), 10, 12)]
    );
    assert_eq!(second.inherited(queue(&second, 1)), [part(queue(&first, 1), 0, 4)]);
    assert_eq!(second.inherited(queue(&second, 2)), []);
}

#[test]
fn what_shows_nothing_of_a_topic_does_not_refer_to_it() {
    let first = cloned(&topic(), 1, &[span(0, 5), span(0, 5), span(0, 5)]);
    let second = cloned(&first, 2, &[span(5, 5), span(5, 5), span(2, 5)]);
    let origin = second.origin.unwrap();
    assert_eq!(origin.uid_bases().collect::<Vec<_>>(), [base(0)]);
    assert_eq!((origin.topic.as_str(), origin.uid_base), ("clone-1", base(1)));
}

#[test]
fn queues_that_a_clone_gets_later_begin_empty() {
    let clone = cloned(&topic(), 1, &[span(0, 5), span(0, 5), span(0, 5)]);
    let grown = clone.changed(TopicSpec { queues: 5, ..clone.spec() });
    let last = QueueUid(grown.uid_base + 4);
    assert_eq!((grown.queue_start(last), grown.inherited(last)), (QueueOffset(0), Vec::new()));
    assert_eq!(grown.origin, clone.origin);
    // And a clone of that shows what was sent to them.
    let of = |_| span(0, 7);
    let again = Origin::of(&grown, Timestamp(2), of);
    assert_eq!(again.parts(4).map(|part| part.queue).collect::<Vec<_>>(), [last]);
    assert_eq!(again.end(0), QueueOffset(7));
}

#[test]
fn the_largest_topic_fits_into_a_value() {
    let mut spec = TopicSpec::new(TopicName::parse("orders").unwrap());
    spec.queues = QUEUES_MAX;
    let cluster = Cluster { name: "C".into(), pgs: 8, secret: [0; 32], created: Timestamp(0) };
    let source = Topic::create(spec, &cluster, base(0), Timestamp(0));
    let origin = Origin::of(&source, Timestamp(1), |_| span(1 << 34, (1 << 35) - 1));
    let clone = Topic::cloned(&source, name(1), origin, base(1), Timestamp(1));
    assert!(clone.origin_bytes() <= ORIGIN_BYTES_MAX);
    assert_eq!(Topic::decode(&clone.encode()), Ok(clone));
}

#[test]
fn an_origin_that_cannot_be_is_refused() {
    let clone = cloned(&topic(), 1, &[span(0, 5), span(0, 5), span(0, 5)]);
    let good = OriginV1::from(&**clone.origin.as_ref().unwrap());
    let refused = |change: fn(&mut OriginV1)| {
        let mut message = good.clone();
        change(&mut message);
        message.read(base(1), QUEUES as usize).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|it| it.starts.extend([0; 9])));
    assert!(refused(|it| it.layers[0].counts.truncate(1)));
    assert!(refused(|it| {
        it.starts[0] = 1;
        it.layers[0].counts[0] = u64::MAX;
    }));
    assert!(refused(|it| it.layers[0].uid_base = u64::MAX));
    assert!(refused(|it| it.layers[0].uid_base = base(1)));
    assert!(refused(|it| it.layers.push(it.layers[0].clone())));
    assert!(refused(|it| it.topic = String::new()));
}

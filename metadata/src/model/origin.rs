//! What a cloned topic shows of the topic that it was cloned from.
//!
//! ```text
//!   queue i of the clone   [ uid A+i: from..to ][ uid B+i: to.. ) its own
//!                            layer 0             layer 1         uid_base+i
//! ```
//!
//! A clone copies nothing: queue i shows messages of queue i of other topics as its own, under the offsets that they
//! have there, and its own messages go on where those end. What is shown was in the bucket at cloning, and is in the
//! same placement group. A clone of a clone refers to where the messages lie, never to the clone in between: its layers
//! are that one's, cut, and one more for what that one took itself. So a topic in between may be deleted.
//!
//! - INV-CLONE-1: a queue's parts are ascending and leave nothing out: each begins where the one before ends.
//! - INV-CLONE-2: no part is the clone's own queue, and no two parts of a queue are of one queue.

use super::codec::RecordError;
use super::{QUEUES_MAX, Topic};
use protocol::names::TopicName;
use std::collections::HashSet;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// Topics whose messages one clone shows, at most: what a chain of clones of clones comes to.
pub const ORIGIN_LAYERS_MAX: usize = 64;
/// Bytes of an origin in the metadata store, at most: three quarters of a value. 65,536 queues of one layer fit
/// while their offsets are below 2^35.
pub const ORIGIN_BYTES_MAX: usize = 768 << 10;

/// Offsets of a queue, `to` excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: QueueOffset,
    /// Behind the last; not below `from`.
    pub to: QueueOffset,
}

/// Messages that a queue of a clone shows as its own, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The queue that they were sent to, in the placement group of the clone's queue.
    pub queue: QueueUid,
    /// Their offsets there, and in the clone. Not empty.
    pub span: Span,
}

/// Where a clone's first messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The topic that was cloned; it may be gone, or made anew.
    pub topic: TopicName,
    /// Of which incarnation: its first queue's uid.
    pub uid_base: u64,
    /// What was stored later is not shown.
    pub at: Timestamp,
    /// By queue: the first offset shown.
    starts: Vec<u64>,
    /// By age: the oldest messages first.
    layers: Vec<Layer>,
}

/// Messages that lie in the queues of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    uid_base: u64,
    /// By queue: how many; as long as `starts`.
    counts: Vec<u64>,
}

impl Origin {
    /// Of `source`, which has the clone's queues, what `spans` names of each.
    pub fn of(source: &Topic, at: Timestamp, spans: impl Fn(QueueUid) -> Span) -> Origin {
        let uids = (0..source.queues().len() as u64).map(|i| QueueUid(source.uid_base + i));
        let spans: Vec<Span> = uids.map(spans).collect();
        let mut layers: Vec<Layer> = Vec::new();
        let mut bounds: Vec<u64> = match &source.origin {
            Some(origin) => (0..spans.len()).map(|i| origin.start(i)).collect(),
            None => vec![0; spans.len()],
        };
        for layer in source.origin.iter().flat_map(|origin| &origin.layers) {
            layers.extend(layer.cut(&mut bounds, &spans));
        }
        let own = Layer { uid_base: source.uid_base, counts: vec![u64::MAX; spans.len()] };
        layers.extend(own.cut(&mut bounds, &spans));
        // A span that begins before the source does shows what there is.
        let first = |(i, span): (usize, &Span)| {
            let least = source.origin.as_ref().map_or(0, |origin| origin.start(i));
            span.from.0.max(least).min(span.to.0.max(least))
        };
        let starts = spans.iter().enumerate().map(first).collect();
        Origin { topic: source.name.clone(), uid_base: source.uid_base, at, starts, layers }
    }

    /// Queues at cloning. Those that were added later begin empty, at 0.
    pub fn queues(&self) -> usize {
        self.starts.len()
    }

    /// What the `i`-th queue shows of others, in ascending order; may be empty.
    pub fn parts(&self, i: usize) -> impl Iterator<Item = Part> + '_ {
        let mut from = self.start(i);
        self.layers.iter().filter_map(move |layer| {
            let to = from + layer.counts.get(i)?;
            let span = Span { from: QueueOffset(from), to: QueueOffset(to) };
            from = to;
            let queue = QueueUid(layer.uid_base + i as u64);
            (span.from < span.to).then_some(Part { queue, span })
        })
    }

    /// Where the `i`-th queue's own messages begin.
    pub fn end(&self, i: usize) -> QueueOffset {
        let counts = self.layers.iter().filter_map(|layer| layer.counts.get(i));
        QueueOffset(self.start(i) + counts.sum::<u64>())
    }

    /// The first queues' uids of the topics whose messages are shown.
    pub fn uid_bases(&self) -> impl Iterator<Item = u64> + '_ {
        self.layers.iter().map(|layer| layer.uid_base)
    }

    /// Topics whose messages it shows.
    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Of the topics whose messages are shown, the place of this queue among their queues.
    pub(crate) fn index_of(&self, queue: QueueUid) -> Option<usize> {
        self.layers.iter().find_map(|layer| {
            let i = usize::try_from(queue.0.checked_sub(layer.uid_base)?).ok()?;
            (i < self.starts.len()).then_some(i)
        })
    }

    /// Whether it shows any message.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    fn start(&self, i: usize) -> u64 {
        self.starts.get(i).copied().unwrap_or_default()
    }
}

impl Layer {
    /// What `spans` leave of it, and moves `bounds` from where its messages begin to where they end. `None` when it is
    /// nothing.
    fn cut(&self, bounds: &mut [u64], spans: &[Span]) -> Option<Layer> {
        let mut counts = Vec::with_capacity(spans.len());
        for (i, (bound, span)) in bounds.iter_mut().zip(spans).enumerate() {
            let count = self.counts.get(i).copied().unwrap_or_default();
            let end = bound.saturating_add(count);
            let (from, to) = ((*bound).max(span.from.0), end.min(span.to.0));
            counts.push(to.saturating_sub(from));
            *bound = end;
        }
        counts.iter().any(|count| *count > 0).then_some(Layer { uid_base: self.uid_base, counts })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OriginV1 {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(uint64, tag = "2")]
    uid_base: u64,
    #[prost(uint64, tag = "3")]
    at_ms: u64,
    #[prost(uint64, repeated, tag = "4")]
    starts: Vec<u64>,
    #[prost(message, repeated, tag = "5")]
    layers: Vec<LayerV1>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LayerV1 {
    #[prost(uint64, tag = "1")]
    uid_base: u64,
    #[prost(uint64, repeated, tag = "2")]
    counts: Vec<u64>,
}

impl From<&Origin> for OriginV1 {
    fn from(origin: &Origin) -> OriginV1 {
        let layer =
            |layer: &Layer| LayerV1 { uid_base: layer.uid_base, counts: layer.counts.clone() };
        OriginV1 {
            topic: origin.topic.as_str().to_owned(),
            uid_base: origin.uid_base,
            at_ms: origin.at.0,
            starts: origin.starts.clone(),
            layers: origin.layers.iter().map(layer).collect(),
        }
    }
}

impl OriginV1 {
    /// The origin of a topic of `queues` queues from `own` on.
    pub(super) fn read(self, own: u64, queues: usize) -> Result<Origin, RecordError> {
        let OriginV1 { topic, uid_base, at_ms, starts, layers } = self;
        if starts.len() > queues || layers.len() > ORIGIN_LAYERS_MAX {
            return Err(RecordError::Field("origin"));
        }
        let mut ends: Vec<Option<u64>> = starts.iter().copied().map(Some).collect();
        let mut bases = HashSet::from([own]);
        for layer in &layers {
            let in_range = layer.uid_base.checked_add(u64::from(QUEUES_MAX)).is_some();
            if !in_range || layer.counts.len() != starts.len() || !bases.insert(layer.uid_base) {
                return Err(RecordError::Field("origin.layers"));
            }
            for (end, count) in ends.iter_mut().zip(&layer.counts) {
                *end = end.and_then(|end| end.checked_add(*count));
            }
        }
        if ends.contains(&None) {
            return Err(RecordError::Field("origin.layers.counts"));
        }
        let layer = |layer: LayerV1| Layer { uid_base: layer.uid_base, counts: layer.counts };
        Ok(Origin {
            topic: TopicName::parse_stored(&topic)
                .map_err(|_| RecordError::Field("origin.topic"))?,
            uid_base,
            at: Timestamp(at_ms),
            starts,
            layers: layers.into_iter().map(layer).collect(),
        })
    }
}

#[cfg(test)]
mod tests;

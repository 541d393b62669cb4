//! Sorted lists of offsets, kept as runs of neighbours.

use storage::format::QueueOffset;

/// Neighbouring offsets; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lowest.
    pub first: QueueOffset,
    /// How many, from 1.
    pub count: u32,
}

/// Offsets as spans: ascending, apart, any number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Span>);

impl Span {
    /// The offset behind the last.
    pub fn end(self) -> QueueOffset {
        self.first.plus(u64::from(self.count))
    }

    /// The offsets, ascending.
    pub fn offsets(self) -> impl Iterator<Item = QueueOffset> {
        (self.first.0..self.end().0).map(QueueOffset)
    }
}

impl Spans {
    /// One offset.
    pub fn one(offset: QueueOffset) -> Spans {
        Spans(vec![Span { first: offset, count: 1 }])
    }

    /// Takes spans that ascend and do not touch.
    pub(super) fn from_sorted(spans: Vec<Span>) -> Spans {
        Spans(spans)
    }

    /// Adds an offset above all others.
    pub fn push(&mut self, offset: QueueOffset) {
        match self.0.last_mut() {
            Some(last) if last.end() == offset => last.count += 1,
            Some(_) | None => self.0.push(Span { first: offset, count: 1 }),
        }
    }

    /// The spans, ascending.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// The offsets, ascending.
    pub fn offsets(&self) -> impl Iterator<Item = QueueOffset> {
        self.0.iter().flat_map(|span| span.offsets())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Collects offsets that ascend.
impl FromIterator<QueueOffset> for Spans {
    fn from_iter<I: IntoIterator<Item = QueueOffset>>(offsets: I) -> Spans {
        let mut spans = Spans::default();
        offsets.into_iter().for_each(|offset| spans.push(offset));
        spans
    }
}

//! Reads the blocks of a merge's inputs ahead, since a merge takes each input's from front to back:
//! requests cost by the window, not by the block.

use super::budget::ByteBudget;
use super::error::CompactError;
use super::fetch::span_of;
use crate::format::PgId;
use crate::format::object::{Span, Tail};
use crate::object::{Bucket, Purpose};
use crate::tier::ObjectName;
use bytes::Bytes;

/// The least that is read ahead of one input.
const WINDOW_MIN: u64 = 64 << 10;
/// The most.
const WINDOW_MAX: u64 = 4 << 20;

/// The inputs of a merge, each with what was read ahead of it.
pub(super) struct Reader<'a> {
    bucket: &'a Bucket,
    budget: &'a ByteBudget,
    inputs: Vec<Input>,
    window: u64,
}

struct Input {
    object: ObjectName,
    /// Where the placement group's blocks end.
    end: u64,
    from: u64,
    held: Bytes,
}

impl<'a> Reader<'a> {
    /// Holds at most `bytes` of all inputs, or a block of each.
    pub(super) fn new(
        bucket: &'a Bucket,
        budget: &'a ByteBudget,
        pg: PgId,
        inputs: impl IntoIterator<Item = (ObjectName, &'a Tail)>,
        bytes: u64,
    ) -> Reader<'a> {
        let input = |(object, tail): (ObjectName, &Tail)| {
            let end = tail.directory.of(pg).map_or(0, |entry| entry.operations_at.end());
            Input { object, end, from: 0, held: Bytes::new() }
        };
        let inputs: Vec<Input> = inputs.into_iter().map(input).collect();
        let window = (bytes / inputs.len().max(1) as u64).clamp(WINDOW_MIN, WINDOW_MAX);
        Reader { bucket, budget, inputs, window }
    }

    /// The object of an input.
    pub(super) fn object(&self, input: usize) -> Option<ObjectName> {
        self.inputs.get(input).map(|input| input.object)
    }

    /// The bytes of a span, out of what was read ahead where it is.
    pub(super) async fn get(&mut self, input: usize, span: Span) -> Result<Bytes, CompactError> {
        let window = self.window;
        let Some(input) = self.inputs.get_mut(input) else { return Ok(Bytes::new()) };
        if let Some(part) = span.of(&input.held, input.from) {
            return Ok(input.held.slice_ref(part));
        }
        let ahead = span.at.saturating_add(window).min(input.end).max(span.end());
        let wanted = Span { at: span.at, len: ahead - span.at };
        self.budget.take(wanted.len).await;
        input.held = span_of(self.bucket, &input.object, wanted, Purpose::Compaction).await?;
        input.from = wanted.at;
        let part = span.of(&input.held, input.from).unwrap_or_default();
        Ok(input.held.slice_ref(part))
    }

    /// The bytes of a span, asked for once more: a bit may have been lost on the way.
    pub(super) async fn again(&mut self, input: usize, span: Span) -> Result<Bytes, CompactError> {
        let Some(input) = self.inputs.get_mut(input) else { return Ok(Bytes::new()) };
        input.held = Bytes::new();
        self.budget.take(span.len).await;
        span_of(self.bucket, &input.object, span, Purpose::Compaction).await
    }
}

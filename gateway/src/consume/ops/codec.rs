//! Bytes of the operations; the table is in the parent's documentation.

use super::{
    Change, ChangeMode, Lease, OFFSETS_PER_OP_MAX, Op, OpKind, Pop, Run, Span, Spans, Step,
};
use crate::consume::GroupUid;
use crate::group::ClientId;
use crate::varint::{Malformed, Reader, put, put_text};
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

const VERSION: u8 = 1;
/// Behind an offset: it is a reset.
const RESET: u8 = 1;

/// Why bytes are no operation. Bytes with a good checksum that are none were written by a newer
/// version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpMalformed {
    /// Bytes are missing.
    #[error("the operation ends early")]
    Short,
    /// Bytes are left over.
    #[error("bytes follow the operation")]
    Long,
    /// Another version than this program writes.
    #[error("the operation's version {0} is not known")]
    Version(u8),
    /// A number too large, not in its shortest form, or outside its range.
    #[error("a number of the operation is not in its range")]
    Number,
    /// A name that is not UTF-8.
    #[error("a name of the operation is not text")]
    Text,
}

impl From<Malformed> for OpMalformed {
    fn from(malformed: Malformed) -> OpMalformed {
        match malformed {
            Malformed::Short => OpMalformed::Short,
            Malformed::Long => OpMalformed::Long,
            Malformed::Number => OpMalformed::Number,
            Malformed::Text => OpMalformed::Text,
        }
    }
}

impl Op {
    /// The record's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(VERSION);
        put(&mut out, self.group.0);
        match &self.step {
            Step::Pop(pop) => put_pop(&mut out, pop),
            Step::Ack(spans) => put_spans(&mut out, spans),
            Step::Change(change) => put_change(&mut out, change),
            Step::Offset(next) => put(&mut out, next.0),
            Step::Reset(next) => {
                put(&mut out, next.0);
                out.push(RESET);
            }
            Step::DeadLetter { offset, attempt } => {
                put(&mut out, offset.0);
                put(&mut out, u64::from(*attempt));
            }
        }
        out
    }

    /// Reads a record's payload.
    ///
    /// # Errors
    /// [`OpMalformed`]; the log must not be served on, since the progress it records is not
    /// understood.
    pub fn decode(kind: OpKind, queue: QueueUid, payload: &[u8]) -> Result<Op, OpMalformed> {
        let mut input = Reader(payload);
        match input.byte()? {
            VERSION => {}
            other => return Err(OpMalformed::Version(other)),
        }
        let group = GroupUid(input.number()?);
        let step = match kind {
            OpKind::Pop => Step::Pop(read_pop(&mut input)?),
            OpKind::Ack => Step::Ack(read_spans(&mut input)?),
            OpKind::Change => Step::Change(read_change(&mut input)?),
            OpKind::Offset => read_offset(&mut input)?,
            OpKind::DeadLetter => {
                Step::DeadLetter { offset: QueueOffset(input.number()?), attempt: input.small()? }
            }
        };
        input.end()?;
        Ok(Op { group, queue, step })
    }
}

fn read_offset(input: &mut Reader<'_>) -> Result<Step, OpMalformed> {
    let next = QueueOffset(input.number()?);
    if input.0.is_empty() {
        return Ok(Step::Offset(next));
    }
    match input.byte()? {
        RESET => Ok(Step::Reset(next)),
        _ => Err(OpMalformed::Number),
    }
}

fn put_pop(out: &mut Vec<u8>, pop: &Pop) {
    put(out, pop.next.0);
    put(out, pop.visible_at.0);
    match &pop.lease {
        None => out.push(0),
        Some(lease) => {
            out.push(1);
            put(out, lease.until.0);
            put_text(out, lease.client.as_str());
        }
    }
    put(out, pop.runs.len() as u64);
    let mut end = QueueOffset(0);
    for run in &pop.runs {
        put_span(out, run.span, end);
        put(out, u64::from(run.attempt));
        end = run.span.end();
    }
}

fn read_pop(input: &mut Reader<'_>) -> Result<Pop, OpMalformed> {
    let next = QueueOffset(input.number()?);
    let visible_at = Timestamp(input.number()?);
    let lease = match input.byte()? {
        0 => None,
        1 => {
            let until = Timestamp(input.number()?);
            Some(Lease { client: ClientId::new(input.text()?), until })
        }
        _ => return Err(OpMalformed::Number),
    };
    let mut offsets = Offsets::default();
    let count = input.number()?;
    let mut runs = Vec::new();
    for _ in 0..count {
        let span = offsets.read(input)?;
        runs.push(Run { span, attempt: input.small()? });
    }
    // INV-POP-1, read back.
    if offsets.end > next.0 {
        return Err(OpMalformed::Number);
    }
    Ok(Pop { next, visible_at, lease, runs })
}

fn put_change(out: &mut Vec<u8>, change: &Change) {
    put(out, change.visible_at.0);
    out.push(match change.mode {
        ChangeMode::Counts => 0,
        ChangeMode::Suspends => 1,
        ChangeMode::Renews => 2,
    });
    put_spans(out, &change.spans);
}

fn read_change(input: &mut Reader<'_>) -> Result<Change, OpMalformed> {
    let visible_at = Timestamp(input.number()?);
    let mode = match input.byte()? {
        0 => ChangeMode::Counts,
        1 => ChangeMode::Suspends,
        2 => ChangeMode::Renews,
        _ => return Err(OpMalformed::Number),
    };
    Ok(Change { visible_at, mode, spans: read_spans(input)? })
}

fn put_spans(out: &mut Vec<u8>, spans: &Spans) {
    put(out, spans.spans().len() as u64);
    let mut end = QueueOffset(0);
    for span in spans.spans() {
        put_span(out, *span, end);
        end = span.end();
    }
}

fn read_spans(input: &mut Reader<'_>) -> Result<Spans, OpMalformed> {
    let mut offsets = Offsets::default();
    let count = input.number()?;
    let mut spans: Vec<Span> = Vec::new();
    for _ in 0..count {
        let span = offsets.read(input)?;
        if spans.last().is_some_and(|last| last.end() == span.first) {
            return Err(OpMalformed::Number);
        }
        spans.push(span);
    }
    Ok(Spans::from_sorted(spans))
}

fn put_span(out: &mut Vec<u8>, span: Span, after: QueueOffset) {
    put(out, span.first.since(after));
    put(out, u64::from(span.count));
}

/// Where a list of spans has got to, and how many offsets it named.
#[derive(Default)]
struct Offsets {
    end: u64,
    named: u64,
}

impl Offsets {
    fn read(&mut self, input: &mut Reader<'_>) -> Result<Span, OpMalformed> {
        let first = self.end.checked_add(input.number()?).ok_or(OpMalformed::Number)?;
        let count = input.small()?;
        self.named += u64::from(count);
        self.end = first.checked_add(u64::from(count)).ok_or(OpMalformed::Number)?;
        if count == 0 || self.named > OFFSETS_PER_OP_MAX {
            return Err(OpMalformed::Number);
        }
        Ok(Span { first: QueueOffset(first), count })
    }
}

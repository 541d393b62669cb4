//! What an owner reads before it begins: every record that is no message, and where queues end.

use super::access::{AT_ONCE, Access};
use super::counters::Looked;
use super::error::ReadError;
use super::pages::Source;
use super::view::View;
use crate::format::object::{
    BLOCK_HEADER_BYTES, Block, BlockHeader, Contents, PgEntry, Record, Span,
};
use crate::format::{FormatError, Lsn, PgId, QueueOffset, QueueUid};
use crate::object::Purpose;
use crate::tier::manifest::{Query, QueueSet, RunEntry, ends_in};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use tokio::sync::mpsc::Sender;

/// Bytes of operations that one request brings, where no block is larger.
const PIECE_BYTES: u64 = 8 << 20;

/// How operations are asked for.
const HOW: (Looked, Purpose) = (Looked::Span, Purpose::Recovery);

impl Access {
    /// Gives the operations at or after `from` and before `to`, in order of their lsn.
    pub(super) async fn operations(
        &self,
        view: &View,
        (from, to): (Lsn, Lsn),
        give: &Sender<Vec<Record>>,
    ) -> Result<(), ReadError> {
        let entries = self.select(view, &Query::lsns(from, to)).await?;
        // An operation is given when no later entry can have an earlier one.
        let mut held: BTreeMap<Lsn, Record> = BTreeMap::new();
        let begin = entries.clone().into_iter().map(|entry| self.first_operations(view, entry));
        let mut begun = stream::iter(begin).buffered(AT_ONCE);
        for (at, entry) in entries.iter().enumerate() {
            let Some(first) = begun.next().await else { break };
            let mut piece = first?;
            let bound = entries.get(at + 1).map_or(Lsn(u64::MAX), |next| next.from);
            loop {
                let is_last = piece.rest.is_none();
                let records = piece.records.drain(..);
                held.extend(records.filter(|r| from <= r.lsn && r.lsn < to).map(|r| (r.lsn, r)));
                let later = held.split_off(&bound);
                let ready = std::mem::replace(&mut held, later);
                send(give, ready).await?;
                if is_last {
                    break;
                }
                piece = self.more_operations(view, entry, piece).await?;
            }
        }
        send(give, held).await
    }

    /// The first piece of what an object has.
    async fn first_operations(&self, view: &View, entry: RunEntry) -> Result<Piece, ReadError> {
        let tail = self.tail(view.pg(), &entry, Purpose::Recovery).await?;
        let source = Source::of(view.pg(), &entry);
        let Some(of_pg) = tail.directory.of(view.pg()).copied() else {
            return Err(ReadError::damaged(
                &source.name,
                Span::default(),
                FormatError::Contradiction,
            ));
        };
        let rest = Some(of_pg.operations_at).filter(|span| span.len > 0);
        let piece = Piece { of_pg, records: Vec::new(), rest, sum: 0, count: 0 };
        match rest {
            Some(_) => self.more_operations(view, &entry, piece).await,
            None => Ok(piece),
        }
    }

    /// The piece that follows.
    async fn more_operations(
        &self,
        view: &View,
        entry: &RunEntry,
        before: Piece,
    ) -> Result<Piece, ReadError> {
        let Some(rest) = before.rest else { return Ok(before) };
        let source = Source::of(view.pg(), entry);
        let pg = view.pg();
        let mut wanted = Span { at: rest.at, len: rest.len.min(PIECE_BYTES) };
        let first = |bytes: &Bytes| whole_blocks(pg, bytes, rest.len);
        let mut read = self.checked(&source, wanted, HOW, first).await?;
        if let Pieces::Longer(len) = read {
            wanted.len = len.min(rest.len);
            read = self.checked(&source, wanted, HOW, first).await?;
        }
        let damaged = |error| ReadError::damaged(&source.name, rest, error);
        let Pieces::Blocks { blocks, bytes } = read else {
            return Err(damaged(FormatError::Length));
        };
        let left = Span { at: rest.at + bytes, len: rest.len - bytes };
        let mut piece = Piece { rest: Some(left).filter(|left| left.len > 0), ..before };
        for block in blocks {
            piece.sum = piece.sum.wrapping_add(block.header.sum);
            piece.count += u64::from(block.header.count);
            piece.records.extend(block.records);
        }
        let said = (piece.of_pg.operation_sum, piece.of_pg.operations);
        if piece.rest.is_none() && said != (piece.sum, piece.count) {
            return Err(damaged(FormatError::Contradiction));
        }
        tokio::task::yield_now().await;
        Ok(piece)
    }

    /// Where queues go on after what the bucket has, of those with messages at or after `from`;
    /// ascending.
    pub(super) async fn queue_ends(
        &self,
        view: &View,
        from: Lsn,
    ) -> Result<Vec<(QueueUid, QueueOffset)>, ReadError> {
        let entries = self.select(view, &Query::lsns(from, Lsn(u64::MAX))).await?;
        let with_messages = entries.into_iter().filter(|entry| entry.queues != QueueSet::None);
        let tails = with_messages
            .map(|entry| async move { self.tail(view.pg(), &entry, Purpose::Recovery).await });
        let tails: Vec<_> = stream::iter(tails).buffered(AT_ONCE).try_collect().await?;
        let mut ends: BTreeMap<QueueUid, QueueOffset> = BTreeMap::new();
        for (queue, end) in tails.iter().flat_map(|tail| ends_in(tail, view.pg())) {
            let known = ends.entry(queue).or_default();
            *known = end.max(*known);
        }
        Ok(ends.into_iter().collect())
    }
}

async fn send(give: &Sender<Vec<Record>>, records: BTreeMap<Lsn, Record>) -> Result<(), ReadError> {
    if records.is_empty() {
        return Ok(());
    }
    // Nobody takes them any more: whoever asked is gone.
    give.send(records.into_values().collect()).await.map_err(|_| ReadError::Closed)
}

/// Operations of one object, as far as they were read.
struct Piece {
    of_pg: PgEntry,
    /// Of the last piece.
    records: Vec<Record>,
    /// What is not read yet.
    rest: Option<Span>,
    /// Over all pieces.
    sum: u64,
    count: u64,
}

/// What bytes from within the operations give.
enum Pieces {
    Blocks {
        blocks: Vec<Block>,
        bytes: u64,
    },
    /// Not even one block: so many bytes are needed.
    Longer(u64),
}

/// The whole blocks at the front of `bytes`, which are the first of `left` that there are.
fn whole_blocks(pg: PgId, bytes: &Bytes, left: u64) -> Result<Pieces, FormatError> {
    let (mut blocks, mut at) = (Vec::new(), 0);
    while bytes.len() - at >= BLOCK_HEADER_BYTES {
        let header = BlockHeader::decode(bytes.get(at..).unwrap_or(&[]))?;
        if header.contents != Contents::Operations || header.pg != pg {
            return Err(FormatError::Contradiction);
        }
        let len = header.block_len();
        if len > (bytes.len() - at) as u64 {
            if len > left - at as u64 {
                return Err(FormatError::Length);
            }
            if blocks.is_empty() {
                return Ok(Pieces::Longer(len));
            }
            break;
        }
        blocks.push(Block::decode(&bytes.slice(at..))?);
        at += usize::try_from(len).unwrap_or(usize::MAX);
    }
    if blocks.is_empty() || (bytes.len() as u64 == left && at != bytes.len()) {
        return Err(FormatError::Truncated);
    }
    Ok(Pieces::Blocks { blocks, bytes: at as u64 })
}

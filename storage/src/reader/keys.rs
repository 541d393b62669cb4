//! Looking for a message by its key, or by its place in the log.

use super::access::{AT_ONCE, Access};
use super::counters::Looked;
use super::error::ReadError;
use super::pages::Source;
use super::view::View;
use crate::env::Timestamp;
use crate::format::object::{BlockRef, KeyHash, Record, SummaryKey, objects_with};
use crate::format::{Lsn, PgId, QueueOffset, QueueUid};
use crate::object::{Name, Purpose};
use crate::tier::manifest::{Query, QueueSet, RunEntry, SummaryRef};
use crate::tier::{Candidate, Fetch, KeySearch, KeyStep, ObjectId};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Objects that one search looks into at most, beside those of which a summary says that they have
/// nothing.
pub const SEARCH_OBJECTS_MAX: usize = 1024;
/// Objects that one search looks into at once: mostly a bloom filter says no, and time is all that
/// it costs.
const SEARCHES_AT_ONCE: usize = 4 * AT_ONCE;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyQuery {
    /// The key.
    pub hash: KeyHash,
    /// In these queues, ascending; `None`: in all.
    pub queues: Option<Vec<QueueUid>>,
    /// Stored at this moment or later.
    pub since: Timestamp,
    /// Stored before this moment.
    pub until: Timestamp,
    /// So many messages are enough.
    pub max: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest first. Keys may share a hash: look at each.
    pub records: Vec<Record>,
    /// `None`: there is no other. Else what was stored at this moment or before was not looked
    /// through: ask for the time until then.
    pub stopped_at: Option<Timestamp>,
    /// Objects that could not be looked into.
    pub damaged: Vec<Name>,
}

impl Found {
    /// Whether there is no other.
    pub const fn is_complete(&self) -> bool {
        self.stopped_at.is_none() && self.damaged.is_empty()
    }
}

impl KeyQuery {
    /// All that are at a place of a log, of which there is one.
    fn any(hash: KeyHash) -> KeyQuery {
        let (since, until) = (Timestamp(0), Timestamp(u64::MAX));
        KeyQuery { hash, queues: None, since, until, max: usize::MAX }
    }

    fn wants_queue(&self, queue: QueueUid) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.binary_search(&queue).is_ok())
    }

    fn wants(&self, record: &Record) -> bool {
        self.wants_queue(record.queue) && self.since <= record.time && record.time < self.until
    }

    fn may_be_in_block(&self, block: &BlockRef) -> bool {
        self.wants_queue(block.queue) && self.since <= block.max_time && block.min_time < self.until
    }

    fn may_be_in(&self, entry: &RunEntry) -> bool {
        let in_queues = |queues: &Vec<QueueUid>| queues.iter().any(|q| entry.queues.has(*q));
        entry.queues != QueueSet::None && self.queues.as_ref().is_none_or(in_queues)
    }
}

/// What one object has.
struct Inside {
    /// Newest first.
    records: Vec<Record>,
    /// What was stored then or before was not looked through: there were enough.
    left: Option<Timestamp>,
    /// Nor was something else.
    is_cut: bool,
}

impl Found {
    /// Newest first.
    fn order(&mut self) {
        self.records.sort_by_key(|record| Reverse((record.time, record.lsn)));
    }

    /// Whether nothing that is stored at `left` or before would be among those wanted.
    fn has_enough(&self, max: usize, left: Timestamp) -> bool {
        max.checked_sub(1).is_none_or(|at| self.records.get(at).is_some_and(|r| left < r.time))
    }

    /// No more than are wanted; of what is left out it is said.
    fn limit(&mut self, max: usize) {
        if self.records.len() > max {
            self.records.truncate(max);
            let last = self.records.last().map_or(Timestamp(u64::MAX), |record| record.time);
            self.stopped_at = Some(self.stopped_at.map_or(last, |at| at.max(last)));
        }
    }
}

impl Access {
    pub(super) async fn by_key(
        &self,
        views: &[View],
        query: &KeyQuery,
    ) -> Result<Found, ReadError> {
        let mut places: Vec<(View, RunEntry)> = Vec::new();
        for view in views {
            let entries = self.select(view, &Query::time(query.since, query.until)).await?;
            let said = self.summarised(view, query).await?;
            let entries = entries.into_iter().filter(|entry| {
                query.may_be_in(entry) && said.get(&entry.object).is_none_or(|has| *has)
            });
            places.extend(entries.map(|entry| (view.clone(), entry)));
        }
        places.sort_by_key(|(_, entry)| Reverse((entry.max_time, entry.key())));
        let search = |(view, entry): (View, RunEntry)| async move {
            self.in_object(&view, &entry, query).await
        };
        let searches = places.clone().into_iter().map(search);
        let mut searches = stream::iter(searches).buffered(SEARCHES_AT_ONCE);
        let mut found = Found::default();
        for (at, (_, entry)) in places.iter().enumerate() {
            if found.has_enough(query.max, entry.max_time) || at == SEARCH_OBJECTS_MAX {
                found.stopped_at = found.stopped_at.max(Some(entry.max_time));
                break;
            }
            match searches.next().await {
                Some(Ok(Inside { records, left, is_cut })) => {
                    found.records.extend(records);
                    found.order();
                    found.stopped_at = found.stopped_at.max(left);
                    if is_cut {
                        found.stopped_at = Some(entry.max_time);
                        break;
                    }
                }
                Some(Err(ReadError::Damaged { object, .. })) => found.damaged.push(object),
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        found.limit(query.max);
        Ok(found)
    }

    /// What summaries say of a key: of each object that one is about, whether it may have it.
    async fn summarised(
        &self,
        view: &View,
        query: &KeyQuery,
    ) -> Result<HashMap<ObjectId, bool>, ReadError> {
        let (pg, lsn) = (view.pg(), query.hash.lsn());
        // Places in the log are in no summary.
        if pg.first_lsn() <= lsn && lsn < view.tiered() {
            return Ok(HashMap::new());
        }
        let mut summaries = view.overlay().all_summaries(view.root());
        summaries.retain(|summary| summary.may_have(query.since, query.until));
        let asked = summaries
            .into_iter()
            .map(|summary| async move { self.ask_summary(pg, &summary, query.hash).await });
        let mut asked = stream::iter(asked).buffered(AT_ONCE);
        let mut said = HashMap::new();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(answer) => said.extend(answer),
                // It only spares requests.
                Err(ReadError::Damaged { object, .. }) => {
                    tracing::warn!(%object, "a key summary is damaged: its objects are asked");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(said)
    }

    async fn ask_summary(
        &self,
        pg: PgId,
        summary: &SummaryRef,
        hash: KeyHash,
    ) -> Result<Vec<(ObjectId, bool)>, ReadError> {
        let (source, table) = self.summary(pg, summary).await?;
        let mut found = Vec::new();
        if let Some(span) = table.partition(hash) {
            let check = |bytes: &Bytes| objects_with(bytes, hash).map(|_| ());
            let bytes = self.keys(&source, span, check).await?;
            let damaged = |error| ReadError::damaged(&source.name, span, error);
            found = objects_with(&bytes, hash).map_err(damaged)?;
        }
        let objects = table.objects.iter().zip(0..);
        let say = |((_, id, nonce), at): (&SummaryKey, u32)| {
            (ObjectId { id: *id, nonce: *nonce }, found.binary_search(&at).is_ok())
        };
        Ok(objects.map(say).collect())
    }

    pub(super) async fn by_lsn(&self, view: &View, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        let query = KeyQuery::any(KeyHash::of_lsn(lsn));
        for entry in self.select(view, &Query::lsn(lsn)).await? {
            if entry.queues == QueueSet::None {
                continue;
            }
            let inside = self.in_object(view, &entry, &query).await?;
            if let Some(record) = inside.records.into_iter().find(|record| record.lsn == lsn) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The newest messages of an object with a key.
    async fn in_object(
        &self,
        view: &View,
        entry: &RunEntry,
        query: &KeyQuery,
    ) -> Result<Inside, ReadError> {
        let tail = self.tail(view.pg(), entry, Purpose::Search).await?;
        let source = Source::of(view.pg(), entry);
        let mut search = KeySearch::new(&tail, query.hash);
        let (mut candidates, is_cut) = loop {
            match search.step() {
                KeyStep::Get(span) => {
                    let check = |bytes: &Bytes| search.clone().feed(bytes);
                    let bytes = self.keys(&source, span, check).await?;
                    let fed = search.feed(&bytes);
                    fed.map_err(|error| ReadError::damaged(&source.name, span, error))?;
                }
                KeyStep::Done { found, is_cut } => break (found, is_cut),
            }
        };
        candidates
            .retain(|found| found.block.pg == view.pg() && query.may_be_in_block(&found.block));
        let (records, left) = self.newest(view, &source, &candidates, query).await?;
        Ok(Inside { records, left, is_cut })
    }

    /// The messages that a search named and that are still kept, the newest blocks first, and no
    /// further once there are enough; then also when the newest was stored that was left.
    /// Candidates are in the order of their blocks.
    async fn newest(
        &self,
        view: &View,
        source: &Source,
        candidates: &[Candidate],
        query: &KeyQuery,
    ) -> Result<(Vec<Record>, Option<Timestamp>), ReadError> {
        let of_blocks = candidates.chunk_by(|a, b| a.block.span == b.block.span);
        let mut blocks: Vec<(BlockRef, Vec<QueueOffset>)> = of_blocks
            .filter_map(|all| {
                Some((all.first()?.block, all.iter().map(|one| one.offset).collect()))
            })
            .collect();
        blocks.sort_by_key(|(block, _)| Reverse(block.max_time));
        let times: Vec<Timestamp> = blocks.iter().map(|(block, _)| block.max_time).collect();
        let read = |(block, offsets): (BlockRef, Vec<QueueOffset>)| async move {
            self.in_block(view, source, block, &offsets).await
        };
        let mut reads = stream::iter(blocks.into_iter().map(read)).buffered(AT_ONCE);
        let mut found = Found::default();
        for left in times {
            if found.has_enough(query.max, left) {
                return Ok((found.records, Some(left)));
            }
            let Some(records) = reads.next().await else { break };
            found.records.extend(records?.into_iter().filter(|record| query.wants(record)));
            found.order();
        }
        Ok((found.records, None))
    }

    /// The messages of one block that are meant and still kept.
    async fn in_block(
        &self,
        view: &View,
        source: &Source,
        block: BlockRef,
        offsets: &[QueueOffset],
    ) -> Result<Vec<Record>, ReadError> {
        let start = self.start_of(view, block.queue).await?;
        if block.last < start {
            return Ok(Vec::new());
        }
        let fetch = Fetch { span: block.span, blocks: vec![block] };
        let mut records = self.blocks(source, &fetch, Looked::Page, Purpose::Search).await?;
        // The index has them in order.
        let is_meant = |record: &Record| offsets.binary_search(&record.offset).is_ok();
        records.retain(|record| start <= record.offset && is_meant(record));
        Ok(records)
    }
}

//! From a queue's offset to the objects that have it and what follows.

use super::access::{AT_ONCE, Access};
use super::error::ReadError;
use super::view::View;
use crate::env::Task;
use crate::format::object::Tail;
use crate::format::{QueueOffset, QueueUid};
use crate::object::Purpose;
use crate::tier::manifest::{
    Key, OffsetSearch, OffsetStep, PageSearch, Query, RunEntry, select, select_in,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// An object with messages of a queue.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) entry: RunEntry,
    pub(super) tail: Arc<Tail>,
}

/// Goes through the objects that have a queue's messages, from an offset on.
pub(super) struct Walk {
    view: View,
    queue: QueueUid,
    from: QueueOffset,
    /// Nothing before is kept; known once an object was asked for.
    start: QueueOffset,
    purpose: Purpose,
    /// The last that was given; `None`: the walk begins.
    at: Option<Key>,
    /// Objects that were given.
    given: usize,
    /// What comes after, whose tails are on their way.
    ahead: VecDeque<Coming>,
}

/// Tails that a walk has on their way at most.
const TAILS_AHEAD_MAX: usize = 8;

struct Coming {
    entry: RunEntry,
    /// Ends with the walk. What it brings is found among the indexes.
    _load: Task<()>,
}

impl Walk {
    pub(super) fn new(view: View, queue: QueueUid, from: QueueOffset, purpose: Purpose) -> Walk {
        let (start, ahead) = (QueueOffset(0), VecDeque::new());
        Walk { view, queue, from, start, purpose, at: None, given: 0, ahead }
    }

    /// The first offset that is kept; 0 before the first object was asked for.
    pub(super) const fn start(&self) -> QueueOffset {
        self.start
    }

    /// The next object with a message of the queue at or after where the walk begins. Cancel safe.
    pub(super) async fn next(&mut self, access: &Access) -> Result<Option<Place>, ReadError> {
        if self.at.is_none() {
            self.start = access.start_of(&self.view, self.queue).await?;
            self.from = self.from.max(self.start);
        }
        loop {
            let found = match self.at {
                None => access.find(&self.view, self.queue, self.from, self.purpose).await?,
                Some(key) => match self.ahead.front() {
                    Some(coming) => Some(coming.entry),
                    None => access.after(&self.view, self.queue, key).await?,
                },
            };
            let Some(entry) = found else { return Ok(None) };
            let pg = self.view.pg();
            let tail = access.tail(pg, &entry, self.purpose).await?;
            self.at = Some(entry.key());
            self.ahead.pop_front();
            self.given += 1;
            if tail.queues.blocks(pg, self.queue, self.from).next().is_some() {
                return Ok(Some(Place { entry, tail }));
            }
        }
    }

    /// Begins to load the tails of what comes after: as many as were given but one, so that whoever
    /// wants little has little read in vain.
    pub(super) async fn look_ahead(&mut self, access: &Arc<Access>) -> Result<(), ReadError> {
        while self.ahead.len() < TAILS_AHEAD_MAX.min(self.given.saturating_sub(1)) {
            let last = self.ahead.back().map(|coming| coming.entry.key()).or(self.at);
            let Some(last) = last else { break };
            let Some(entry) = access.after(&self.view, self.queue, last).await? else { break };
            let (pg, purpose, loader) = (self.view.pg(), self.purpose, Arc::clone(access));
            let load = access.crew.begin(async move {
                // Whoever comes to it meets the failure.
                let _ = loader.tail(pg, &entry, purpose).await;
            });
            self.ahead.push_back(Coming { entry, _load: load });
        }
        Ok(())
    }
}

impl Access {
    /// The first offset that is kept of a queue.
    pub(super) async fn start_of(
        &self,
        view: &View,
        queue: QueueUid,
    ) -> Result<QueueOffset, ReadError> {
        let of_deltas = view.overlay().starts.get(&queue);
        if let Some(None) = of_deltas {
            return Ok(QueueOffset(0));
        }
        let of_page = match view.root().start_page(queue) {
            Some(at) => self.starts_page(view, at).await?.start_of(queue),
            None => None,
        };
        // A start only grows.
        Ok(of_deltas.copied().flatten().unwrap_or_default().max(of_page.unwrap_or_default()))
    }

    /// The first offset that is kept, of every queue that has one; ascending.
    pub(super) async fn starts(
        &self,
        view: &View,
    ) -> Result<Vec<(QueueUid, QueueOffset)>, ReadError> {
        let pages = (0..view.root().starts.len()).map(|at| self.starts_page(view, at));
        let pages: Vec<_> = stream::iter(pages).buffered(AT_ONCE).try_collect().await?;
        let mut starts: BTreeMap<QueueUid, QueueOffset> =
            pages.iter().flat_map(|page| page.0.iter().copied()).collect();
        for (queue, start) in &view.overlay().starts {
            match start {
                // A start only grows.
                Some(start) => {
                    let known = starts.entry(*queue).or_default();
                    *known = (*start).max(*known);
                }
                None => {
                    starts.remove(queue);
                }
            }
        }
        Ok(starts.into_iter().collect())
    }

    /// The object that has a queue's offset, or the next message after it.
    async fn find(
        &self,
        view: &View,
        queue: QueueUid,
        from: QueueOffset,
        purpose: Purpose,
    ) -> Result<Option<RunEntry>, ReadError> {
        let (query, overlay) = (Query::queue(queue), view.overlay());
        let mut added = OffsetSearch::new(queue, from, select(&query, [], overlay));
        self.answer(view, &mut added, purpose).await?;
        let mut search = PageSearch::new(view.root(), &added);
        while let Some(at) = search.page() {
            let entries = select_in(&query, &*self.runs(view, at).await?, overlay);
            let mut in_page = OffsetSearch::in_page(queue, from, entries);
            self.answer(view, &mut in_page, purpose).await?;
            search.feed(&in_page);
        }
        Ok(search.found())
    }

    /// Tells a search what the objects have that it asks for.
    async fn answer(
        &self,
        view: &View,
        search: &mut OffsetSearch,
        purpose: Purpose,
    ) -> Result<(), ReadError> {
        while let OffsetStep::Probe(entry) = search.step() {
            let tail = self.tail(view.pg(), &entry, purpose).await?;
            search.feed(offsets_in(&tail, view, search.queue()));
        }
        Ok(())
    }

    /// The next entry after this key that may have messages of a queue.
    async fn after(
        &self,
        view: &View,
        queue: QueueUid,
        key: Key,
    ) -> Result<Option<RunEntry>, ReadError> {
        let (query, overlay) = (Query::queue(queue), view.overlay());
        let behind = (Bound::Excluded(key), Bound::Unbounded);
        let mut added = overlay.added.range(behind).map(|(_, entry)| *entry);
        let added = added.find(|entry| query.is_met_by(entry));
        for at in view.root().pages(&query) {
            let Some(page) = view.root().pages.get(at) else { continue };
            if page.last <= key {
                continue;
            }
            if added.is_some_and(|added| added.key() < page.first) {
                break;
            }
            let page = self.runs(view, at).await?;
            let from = page.0.partition_point(|entry| entry.key() <= key);
            let is_next = |entry: &&RunEntry| {
                query.is_met_by(entry) && !overlay.removed.contains(&entry.key())
            };
            if let Some(next) = page.0.iter().skip(from).find(is_next).copied() {
                let added = added.filter(|added| added.key() < next.key());
                return Ok(Some(added.unwrap_or(next)));
            }
        }
        Ok(added)
    }
}

/// The first and the last offset that an object has of a queue.
fn offsets_in(tail: &Tail, view: &View, queue: QueueUid) -> Option<(QueueOffset, QueueOffset)> {
    let blocks = || tail.queues.blocks(view.pg(), queue, QueueOffset(0));
    Some((blocks().next()?.first, blocks().last()?.last))
}

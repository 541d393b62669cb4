//! Ids of objects: taken from the metadata store in ranges, given out once.
//!
//! INV-IDS-1: an id is out from before its object is made until its [`IdRange`] is dropped. Whoever has the range drops
//! it when it is known whether a record refers to the object, and that nobody will make one that does.

use metadata::{Catalog, Error};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use storage::env::Env;
use storage::tier::ObjectId;

/// Ids that are taken from the metadata store at a time.
const STOCK: u64 = 4096;

/// Where ids come from. Cheap to clone; clones share the stock.
#[derive(Clone)]
pub(crate) struct ObjectIds {
    catalog: Catalog,
    env: Env,
    stock: Arc<Mutex<Range<u64>>>,
    out: Out,
}

/// What is out: the ends of ranges by their beginnings.
type Out = Arc<Mutex<BTreeMap<u64, u64>>>;

/// Ids for one piece of work. What it does not use is lost.
pub(crate) struct IdRange {
    all: Range<u64>,
    left: Range<u64>,
    env: Env,
    out: Out,
}

impl ObjectIds {
    pub(super) fn new(catalog: Catalog, env: Env) -> ObjectIds {
        ObjectIds { catalog, env, stock: Arc::default(), out: Arc::default() }
    }

    /// `count` ids.
    ///
    /// # Errors
    /// What the metadata store says.
    pub(crate) async fn take(&self, count: u64) -> Result<IdRange, Error> {
        if let Some(left) = cut(&mut self.stock.lock(), count) {
            return Ok(self.give(left));
        }
        let more = count.max(STOCK);
        let first = self.catalog.take_object_ids(more).await?;
        let mut fresh = first..first + more;
        let left = cut(&mut fresh, count).unwrap_or(0..0);
        *self.stock.lock() = fresh;
        Ok(self.give(left))
    }

    fn give(&self, all: Range<u64>) -> IdRange {
        self.out.lock().insert(all.start, all.end);
        IdRange { left: all.clone(), all, env: self.env.clone(), out: Arc::clone(&self.out) }
    }

    /// One for a bundle, which is judged by the ranges that it has and never by whether its id is out.
    ///
    /// # Errors
    /// What the metadata store says.
    pub(crate) async fn one(&self) -> Result<ObjectId, Error> {
        Ok(self.take(1).await?.next_id())
    }

    /// Whether it is not settled yet what becomes of an object with this id.
    pub(super) fn is_out(&self, object: ObjectId) -> bool {
        let out = self.out.lock();
        out.range(..=object.id).next_back().is_some_and(|(_, end)| object.id < *end)
    }
}

impl IdRange {
    /// The next one. When all are used, the last one with another nonce: it is a name of its own too.
    pub(crate) fn next_id(&mut self) -> ObjectId {
        let last = self.all.end.saturating_sub(1);
        self.next().unwrap_or_else(|| ObjectId { id: last, nonce: self.env.random_u64() as u32 })
    }
}

impl Drop for IdRange {
    fn drop(&mut self) {
        self.out.lock().remove(&self.all.start);
    }
}

impl Iterator for IdRange {
    type Item = ObjectId;

    fn next(&mut self) -> Option<ObjectId> {
        let nonce = self.env.random_u64() as u32;
        self.left.next().map(|id| ObjectId { id, nonce })
    }
}

fn cut(range: &mut Range<u64>, count: u64) -> Option<Range<u64>> {
    let end = range.start.checked_add(count).filter(|end| *end <= range.end)?;
    let cut = range.start..end;
    range.start = end;
    Some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(out: &Out, all: Range<u64>) -> IdRange {
        out.lock().insert(all.start, all.end);
        IdRange { left: all.clone(), all, env: Env::system(), out: Arc::clone(out) }
    }

    #[test]
    fn an_id_is_its_own_also_when_more_are_asked_for_than_were_taken() {
        let mut ids = range(&Out::default(), 5..8);
        let given: std::collections::BTreeSet<ObjectId> = (0..6).map(|_| ids.next_id()).collect();
        assert_eq!(given.len(), 6);
        assert!(given.iter().all(|id| (5..8).contains(&id.id)));
    }

    #[test]
    fn ids_are_out_as_long_as_somebody_has_their_range() {
        let out = Out::default();
        let (early, late) = (range(&out, 5..8), range(&out, 20..21));
        drop(early);
        assert_eq!(out.lock().keys().copied().collect::<Vec<_>>(), [20]);
        drop(late);
        assert!(out.lock().is_empty());
    }
}

//! Ids of objects: taken from the metadata store in ranges, given out once.

use metadata::{Catalog, Error};
use parking_lot::Mutex;
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
}

/// Ids for one piece of work. What it does not use is lost.
pub(crate) struct IdRange {
    left: Range<u64>,
    env: Env,
}

impl ObjectIds {
    pub(super) fn new(catalog: Catalog, env: Env) -> ObjectIds {
        ObjectIds { catalog, env, stock: Arc::default() }
    }

    /// `count` ids.
    ///
    /// # Errors
    /// What the metadata store says.
    pub(crate) async fn take(&self, count: u64) -> Result<IdRange, Error> {
        if let Some(left) = cut(&mut self.stock.lock(), count) {
            return Ok(IdRange { left, env: self.env.clone() });
        }
        let more = count.max(STOCK);
        let first = self.catalog.take_object_ids(more).await?;
        let mut fresh = first..first + more;
        let left = cut(&mut fresh, count).unwrap_or(0..0);
        *self.stock.lock() = fresh;
        Ok(IdRange { left, env: self.env.clone() })
    }

    /// One.
    ///
    /// # Errors
    /// What the metadata store says.
    pub(crate) async fn one(&self) -> Result<ObjectId, Error> {
        let mut range = self.take(1).await?;
        Ok(range.next().expect("one was taken"))
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

//! A placement group's manifest at one version.

use crate::env::Timestamp;
use crate::format::{Lsn, PgId};
use crate::tier::manifest::{Delta, DeltaRefused, Overlay, Root};
use std::sync::Arc;

/// What a placement group's record said at one moment: a root and the deltas on top of it. Never
/// changes; cheap to clone. Whoever has one may ask for as long as its objects are there.
#[derive(Clone, Debug)]
pub struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: Arc<Root>,
    overlay: Overlay,
}

impl View {
    /// Of a placement group that has nothing in the bucket.
    pub fn empty(pg: PgId) -> View {
        let overlay = Overlay { tiered: pg.first_lsn(), ..Overlay::default() };
        View::of(Arc::new(Root::empty(pg)), overlay)
    }

    pub(super) fn of(root: Arc<Root>, overlay: Overlay) -> View {
        View(Arc::new(Inner { root, overlay }))
    }

    /// After one commit more, for the owner who made it.
    ///
    /// # Errors
    /// When the delta does not follow.
    pub fn with(&self, delta: &Delta) -> Result<View, DeltaRefused> {
        let mut overlay = self.0.overlay.clone();
        overlay.push(delta)?;
        Ok(View::of(Arc::clone(&self.0.root), overlay))
    }

    /// After a fold: the root has everything.
    pub fn folded(root: Root) -> View {
        let overlay = Overlay { tiered: root.tiered, ..Overlay::default() };
        View::of(Arc::new(root), overlay)
    }

    /// Objects that it names.
    pub fn entries(&self) -> u64 {
        let Overlay { added, removed, .. } = &self.0.overlay;
        (self.0.root.entries() + added.len() as u64).saturating_sub(removed.len() as u64)
    }

    /// Bytes of what it names. Until the next fold those count too that were let go since the last.
    pub fn bytes(&self) -> u64 {
        let added = self.0.overlay.added.values().map(|entry| entry.bytes).sum::<u64>();
        self.0.root.bytes() + added
    }

    /// When the oldest message was stored that it names; `None` where it names none.
    pub fn earliest(&self) -> Option<Timestamp> {
        let pages = self.0.root.pages.iter().filter(|page| page.queues.is_some());
        let added = self.0.overlay.added.values().filter(|entry| entry.messages > 0);
        let times = pages.map(|page| page.min_time).chain(added.map(|entry| entry.min_time));
        times.min()
    }

    /// Whose.
    pub fn pg(&self) -> PgId {
        self.0.root.pg
    }

    /// Everything below is in the bucket, or was let go.
    pub fn tiered(&self) -> Lsn {
        self.0.overlay.tiered
    }

    /// The root, for a fold.
    pub fn root(&self) -> &Arc<Root> {
        &self.0.root
    }

    /// What the deltas say.
    pub fn overlay(&self) -> &Overlay {
        &self.0.overlay
    }
}

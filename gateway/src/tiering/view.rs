//! A placement group's manifest as its owner last committed it, for all who read.

use arc_swap::ArcSwap;
use std::sync::Arc;
use storage::reader::View;

/// The newest view. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Published(Arc<ArcSwap<View>>);

impl Published {
    pub(crate) fn new(view: View) -> Published {
        Published(Arc::new(ArcSwap::from_pointee(view)))
    }

    /// As it is now.
    pub(crate) fn load(&self) -> View {
        View::clone(&self.0.load())
    }

    pub(super) fn store(&self, view: View) {
        self.0.store(Arc::new(view));
    }
}

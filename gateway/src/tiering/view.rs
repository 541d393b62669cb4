//! A placement group's manifest as its owner last committed it, for all who read.

use arc_swap::ArcSwap;
use std::future::Future;
use std::sync::Arc;
use storage::reader::{ReadError, View};

/// How often a manifest that was replaced meanwhile is looked up anew.
pub(super) const RENEWALS_MAX: usize = 4;

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

/// Asks until what is asked of is not a replaced manifest; the newest is looked up by `newest`.
///
/// # Errors
/// The question's. [`ReadError::Stale`] where it is replaced over and over.
pub(super) async fn ask<V, T, F>(
    newest: impl Fn() -> V,
    mut question: impl FnMut(V) -> F,
) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut renewals = 0;
    loop {
        match question(newest()).await {
            Err(ReadError::Stale { .. }) if renewals < RENEWALS_MAX => renewals += 1,
            answer => return answer,
        }
    }
}

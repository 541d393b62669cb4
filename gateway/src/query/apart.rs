//! Searches beside the runtime: each may keep a core busy for some tenths of a second.

use super::{LookRefused, Matches, Search, search};
use crate::ownership::Owned;
use tokio::sync::Semaphore;

/// Searches of the gateway that run at once. One more is refused, not queued: whoever asks knows
/// best whether to wait.
pub const SEARCHES_MAX: usize = 2;

static SEARCHES: Semaphore = Semaphore::const_new(SEARCHES_MAX);

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchRefused {
    /// [`SEARCHES_MAX`] run already. Ask again soon.
    #[error("too many searches run already; ask again soon")]
    Busy,
    /// What is searched cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookRefused),
    /// A fault of ours.
    #[error("the search broke: {0}")]
    Broke(String),
}

/// [`search`], where it is in nobody's way. A search that nobody waits for any longer goes on to
/// its end.
///
/// # Errors
/// [`SearchRefused`].
pub async fn search_apart(owned: &Owned, what: Search) -> Result<Matches, SearchRefused> {
    let turn = SEARCHES.try_acquire().map_err(|_| SearchRefused::Busy)?;
    let owned = owned.clone();
    let searching = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        search(&owned, &what)
    });
    let matches = searching.await.map_err(|error| SearchRefused::Broke(error.to_string()))?;
    Ok(matches?)
}

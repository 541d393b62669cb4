//! The client's only door to clock, tasks and randomness: it runs in a user's process, on the
//! user's runtime.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::{AbortHandle, JoinSet};

#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970; 0 for a clock before that.
pub(crate) fn unix_seconds() -> u64 {
    now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A point in time to measure from.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs `task` beside the caller until it ends or `tasks` is dropped.
pub(crate) fn spawn<T, F>(tasks: &mut JoinSet<T>, task: F) -> AbortHandle
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    tasks.spawn(task)
}

/// 64 bits that nobody can foretell: each `RandomState` is keyed anew from the operating system's
/// entropy.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(now())
}

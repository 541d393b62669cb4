//! The only door to clock, randomness, tasks and threads. Everything else asks an [`Env`], so that
//! a simulation can answer.
mod calendar;
mod clock;
mod crew;

pub use calendar::civil;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use crew::{Crew, Priority, Task};

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What a process gets from outside. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

impl Env {
    /// The machine's clock and randomness.
    pub fn system() -> Env {
        Env { clock: Arc::new(SystemClock::start()) }
    }

    /// An environment whose time the caller moves.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Env {
        Env { clock }
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time since some fixed moment; never goes back.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// 64 bits that nobody can foretell.
    pub fn random_u64(&self) -> u64 {
        // Each `RandomState` is keyed anew from the operating system's entropy.
        RandomState::new().hash_one(self.monotonic())
    }

    /// Waits. Cancel safe.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.clock.wait(duration)).await;
    }

    /// Runs `task` beside the caller. `name` says in a diagnosis who it is; the caller keeps the
    /// handle or is sure that the task ends by itself.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn spawn<F>(&self, _name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(task)
    }

    /// Runs `body` on a thread of its own.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn thread(
        &self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(body)
    }
}

//! Threads of their own for work that must not hold up the caller's tasks.

use super::Env;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// What a crew's threads give way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Nothing.
    Usual,
    /// What serves the tail: nice 5, a third of a usual thread's share.
    Low,
    /// Everything: nice 10, a tenth of it. Not less, or it would stand still for as long as the
    /// others keep all cores busy.
    Lowest,
}

impl Priority {
    /// Of the calling thread, from here on. Where a system has no priorities of threads it stays.
    fn take(self) {
        let nice = match self {
            Priority::Usual => return,
            Priority::Low => 5,
            Priority::Lowest => 10,
        };
        // The process on Linux is the calling thread. Lower priority needs no privilege.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, nice) {
            tracing::warn!(%error, nice, "a thread keeps its priority");
        }
    }
}

/// Where work is handed to: threads of its own, or whoever runs the caller's tasks. Clones are the
/// same crew; its threads end with the last of them, wherever that is dropped.
#[derive(Clone)]
pub struct Crew {
    handle: Handle,
    /// `None`: the caller's.
    _threads: Option<Arc<Threads>>,
}

struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime may not wait for its threads inside of another.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Crew")
    }
}

impl Env {
    /// A crew of so many threads; 0: the caller's runtime does the work, as a simulation wants it.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    ///
    /// # Panics
    /// With 0, outside of a runtime.
    pub fn crew(&self, name: &str, threads: usize, priority: Priority) -> std::io::Result<Crew> {
        if threads == 0 {
            return Ok(Crew { handle: Handle::current(), _threads: None });
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .on_thread_start(move || priority.take())
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Crew { handle, _threads: Some(Arc::new(Threads(Some(runtime)))) })
    }
}

impl Crew {
    /// Begins work, which ends when what is returned is dropped.
    pub fn begin<F>(&self, work: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task(self.handle.spawn(work))
    }

    /// For libraries that start tasks themselves.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Work that a crew does. Gives what came of it; `None` when the crew is no more. A panic of the
/// work goes on in whoever waits for it. Cancel safe.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(|done| match done.map_err(|e| e.try_into_panic()) {
            Ok(value) => Some(value),
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => None,
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crew_works_beside_the_caller_and_ends_inside_of_a_task() {
        let crew = Env::system().crew("test-crew", 1, Priority::Lowest).unwrap();
        let named = crew.begin(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(named.await.flatten().as_deref(), Some("test-crew"));
        #[cfg(target_os = "linux")]
        {
            let nice = || rustix::process::getpriority_process(None).unwrap();
            let here = nice();
            assert_eq!(crew.begin(async move { nice() }).await, Some(10));
            assert_eq!(nice(), here);
        }
        drop(crew);
    }

    #[tokio::test]
    async fn a_crew_without_threads_is_the_caller() {
        let crew = Env::system().crew("none", 0, Priority::Usual).unwrap();
        let here = std::thread::current().id();
        assert_eq!(crew.begin(async { std::thread::current().id() }).await, Some(here));
    }
}

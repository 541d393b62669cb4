//! The bucket, and how one request is made: admitted, counted, bounded in time, understood.
use super::circuit::{Circuit, Health};
use super::error::{Applied, Error, Fault, fault};
use super::meter::Meter;
use super::patience::Budget;
use super::{Kind, Name, Patience, Purpose, S3Access, StoreUrl, Usage, s3};
use crate::env::Env;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use parking_lot::Mutex;
use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The slowest sending that is waited for, in bytes per millisecond: 4 MB/s.
const BYTES_PER_MS_MIN: u64 = 4_096;

/// When to ask again a store that is down.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A place for immutable objects: a folder, or a bucket of an S3-compatible service with a prefix.
///
/// Cheap to clone; clones share counters and what is known of the store's health. Every operation
/// is safe to drop; what it was doing may still happen.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(super) shared: Arc<Shared>,
    pub(super) patience: Patience,
}

pub(super) struct Shared {
    pub(super) env: Env,
    address: String,
    prefix: Option<Name>,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Where a large object can be stored in parts; a folder needs none.
    pub(super) parts: Option<Arc<dyn MultipartStore>>,
    /// Whether pages of names come sorted.
    pub(super) sorted: bool,
    /// What a client of its own is made of; `None` where there are no connections.
    service: Option<(String, S3Access)>,
    pub(super) known: Arc<Known>,
}

/// What is known of a bucket, however it is reached.
pub(super) struct Known {
    /// Whether a PUT may be told to make, never to replace. Until the probe has shown otherwise.
    pub(super) create_only: AtomicBool,
    meter: Meter,
    circuit: Mutex<Circuit>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a bucket stands on.
pub(super) struct Backend {
    pub(super) address: String,
    pub(super) prefix: Option<Name>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) parts: Option<Arc<dyn MultipartStore>>,
    pub(super) sorted: bool,
    pub(super) service: Option<(String, S3Access)>,
}

impl Bucket {
    /// Opens the bucket at `url`. A folder is made when it is missing; a service is not asked yet:
    /// [`Bucket::probe`] does. `access` comes before the environment's variables.
    ///
    /// # Errors
    /// [`Error::Open`] when the folder cannot be made, or the environment's settings contradict
    /// each other.
    pub fn open(url: &StoreUrl, access: Option<S3Access>, env: Env) -> Result<Bucket, Error> {
        let backend = match url {
            StoreUrl::Folder(folder) => open_folder(folder)?,
            StoreUrl::S3 { bucket, prefix } => {
                let service = (bucket.clone(), access.unwrap_or_default());
                let store = Arc::new(s3::open(bucket, service.1.clone())?);
                Backend {
                    address: url.to_string(),
                    prefix: prefix.clone(),
                    store: Arc::clone(&store) as Arc<dyn ObjectStore>,
                    parts: Some(store),
                    sorted: true,
                    service: Some(service),
                }
            }
        };
        Ok(Bucket::over(backend, env))
    }

    pub(super) fn over(backend: Backend, env: Env) -> Bucket {
        let Backend { address, prefix, store, parts, sorted, service } = backend;
        let known = Arc::new(Known {
            create_only: AtomicBool::new(true),
            meter: Meter::default(),
            circuit: Mutex::default(),
        });
        let shared = Shared { env, address, prefix, store, parts, sorted, service, known };
        Bucket { shared: Arc::new(shared), patience: Patience::default() }
    }

    /// The same bucket over connections of its own, for work that is not to take those of others:
    /// they are driven by the runtime that first asks. Counters and health are shared.
    ///
    /// # Errors
    /// As [`Bucket::open`].
    pub fn apart(&self) -> Result<Bucket, Error> {
        let shared = &self.shared;
        let (store, parts) = match &shared.service {
            Some((bucket, access)) => {
                let store = Arc::new(s3::open(bucket, access.clone())?);
                (Arc::clone(&store) as Arc<dyn ObjectStore>, Some(store as Arc<dyn MultipartStore>))
            }
            None => (Arc::clone(&shared.store), shared.parts.clone()),
        };
        let apart = Shared {
            env: shared.env.clone(),
            address: shared.address.clone(),
            prefix: shared.prefix.clone(),
            store,
            parts,
            sorted: shared.sorted,
            service: shared.service.clone(),
            known: Arc::clone(&shared.known),
        };
        Ok(Bucket { shared: Arc::new(apart), patience: self.patience })
    }

    /// The same bucket for a caller with other patience.
    #[must_use]
    pub fn with_patience(&self, patience: Patience) -> Bucket {
        Bucket { shared: Arc::clone(&self.shared), patience }
    }

    /// Where it is, as `--store` takes it.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Requests and bytes since the start, a row for each pair of purpose and kind that was used.
    pub fn usage(&self) -> Vec<Usage> {
        self.shared.known.meter.snapshot()
    }

    /// Whether the store answers, and since when it does not.
    pub fn health(&self) -> Health {
        self.shared.known.circuit.lock().health(self.shared.env.monotonic())
    }

    pub(super) fn creates_only(&self) -> bool {
        self.shared.known.create_only.load(Ordering::Relaxed)
    }

    /// The key of a name in the store.
    pub(super) fn path(&self, name: &Name) -> Path {
        match &self.shared.prefix {
            // Both are checked; nothing in them is escaped.
            Some(prefix) => Path::from(format!("{prefix}/{name}")),
            None => Path::from(name.as_str()),
        }
    }

    /// The key of a folder; of the whole bucket without one.
    pub(super) fn folder(&self, folder: Option<&Name>) -> Option<Path> {
        match folder {
            Some(folder) => Some(self.path(folder)),
            None => self.shared.prefix.as_ref().map(|prefix| Path::from(prefix.as_str())),
        }
    }

    /// The name of a key; `None` for what is not ours.
    pub(super) fn name(&self, path: &Path) -> Option<Name> {
        let text = match &self.shared.prefix {
            Some(prefix) => path.as_ref().strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            None => path.as_ref(),
        };
        Name::parse(text).ok()
    }

    pub(super) fn budget(&self) -> Budget {
        Budget::new(self.patience, self.shared.env.monotonic())
    }

    /// Makes one attempt at a request: counted, no longer than `time_max`, its failure understood.
    pub(super) async fn attempt<T>(
        &self,
        ask: Ask,
        time_max: Duration,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Fault> {
        let (env, Known { meter, circuit, .. }) = (&self.shared.env, &*self.shared.known);
        meter.asked(ask.purpose, ask.kind, ask.sent_bytes);
        let time_max = time_max + Duration::from_millis(ask.sent_bytes / BYTES_PER_MS_MIN);
        let outcome = tokio::select! {
            outcome = request => outcome.map_err(fault),
            () = env.sleep(time_max) => {
                Err(Fault::unknown(format!("no answer within {} s", time_max.as_secs())))
            }
        };
        match &outcome {
            Err(Fault::Unavailable { cause, .. }) => {
                meter.failed(ask.purpose, ask.kind);
                circuit.lock().failed(env.monotonic(), env.random_u64(), cause);
            }
            Err(Fault::Refused(_)) => {
                meter.failed(ask.purpose, ask.kind);
                circuit.lock().answered();
            }
            Ok(_)
            | Err(
                Fault::NotFound
                | Fault::Exists
                | Fault::Foreign(_)
                | Fault::OutOfRange
                | Fault::TooMuch(_),
            ) => circuit.lock().answered(),
        }
        outcome
    }

    pub(super) fn received(&self, ask: Ask, bytes: u64) {
        self.shared.known.meter.received(ask.purpose, ask.kind, bytes);
    }

    /// Tries a request that may be repeated until it is answered or patience ends.
    pub(super) async fn persist<T, F>(
        &self,
        ask: Ask,
        name: &Name,
        budget: &mut Budget,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        loop {
            self.admitted(budget).await?;
            let time_max = budget.attempt();
            let failure = match self.attempt(ask, time_max, request()).await {
                Err(failure @ Fault::Unavailable { .. }) => failure,
                answered => return answered,
            };
            tracing::debug!(kind = ask.kind.label(), %name, ?failure, "store: another attempt");
            if !self.pause(budget).await {
                return Err(failure);
            }
        }
    }

    /// Waits until an attempt may be made: at once, unless the store is down. The first attempt of
    /// an operation does not wait.
    pub(super) async fn admitted(&self, budget: &mut Budget) -> Result<(), Fault> {
        loop {
            let (env, circuit) = (&self.shared.env, &self.shared.known.circuit);
            let (now, chance) = (env.monotonic(), env.random_u64());
            let refused = circuit.lock().admit(now, chance);
            let Err(retry_in) = refused else { return Ok(()) };
            let in_time = budget.waited(now) + retry_in < self.patience.time_max;
            if budget.attempts() == 0 || !in_time {
                let cause =
                    format!("the store is down, to be asked in {} ms", retry_in.as_millis());
                return Err(Fault::Unavailable { applied: Applied::No, cause });
            }
            env.sleep(retry_in).await;
        }
    }

    /// Waits before the next attempt; `false` when there is to be none.
    pub(super) async fn pause(&self, budget: &mut Budget) -> bool {
        let env = &self.shared.env;
        match budget.pause(env.monotonic(), env.random_u64()) {
            Some(pause) => {
                env.sleep(pause).await;
                true
            }
            None => false,
        }
    }

    /// The error of an operation on one object that ends with `fault`.
    pub(super) fn error(&self, fault: Fault, kind: Kind, name: &Name, budget: &Budget) -> Error {
        let name = name.clone();
        match fault {
            Fault::NotFound => Error::NotFound { name },
            Fault::Foreign(found) => Error::Foreign { name, found },
            Fault::OutOfRange => Error::OutOfRange { name },
            Fault::TooMuch(bytes) => Error::TooMuch { name, bytes },
            Fault::Exists | Fault::Refused(_) | Fault::Unavailable { .. } => {
                self.error_about(fault, kind, name.as_str(), budget)
            }
        }
    }

    /// The error of an operation on `subject`, which is no single object.
    pub(super) fn error_about(
        &self,
        fault: Fault,
        kind: Kind,
        subject: &str,
        budget: &Budget,
    ) -> Error {
        let (what, subject) = (kind.label(), subject.to_owned());
        match (fault, self.health()) {
            (Fault::Refused(refusal), _) => Error::Refused { what, subject, refusal },
            // Nothing was tried.
            (Fault::Unavailable { .. }, Health::Down { since, cause })
                if budget.attempts() == 0 =>
            {
                Error::Down { since, retry_in: ASK_AGAIN, cause }
            }
            (Fault::Unavailable { applied, cause }, _) => Error::Unavailable {
                what,
                subject,
                // The last attempt does not speak for those before it.
                applied: if budget.attempts() > 1 { Applied::Unknown } else { applied },
                attempts: budget.attempts(),
                waited: budget.waited(self.shared.env.monotonic()),
                cause,
            },
            (strange, _) => {
                Error::Broken(format!("it answers a {what} of {subject} with {strange:?}"))
            }
        }
    }
}

/// One request, as the meter knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    pub(super) purpose: Purpose,
    pub(super) sent_bytes: u64,
}

impl Ask {
    pub(super) fn new(kind: Kind, purpose: Purpose) -> Ask {
        Ask { kind, purpose, sent_bytes: 0 }
    }
}

/// A folder whose objects are on the disk when a PUT returns.
fn open_folder(folder: &FilePath) -> Result<Backend, Error> {
    let refused = |what: &str, error: &dyn std::fmt::Display| {
        Error::Open(format!("the folder {} {what}: {error}", folder.display()))
    };
    // For its owner alone: messages lie in it.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| refused("cannot be made", &error))?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| refused("cannot be used", &error))?
        .with_fsync(true);
    Ok(Backend {
        address: folder.display().to_string(),
        prefix: None,
        store: Arc::new(store),
        parts: None,
        sorted: false,
        service: None,
    })
}

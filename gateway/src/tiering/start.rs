//! Tiering put together: the bucket looked at, the placement groups recovered, the tasks begun.

use super::copies::copy_catalog;
use super::handle::{Handle, channel};
use super::ids::ObjectIds;
use super::lane::Lanes;
use super::ledger::Ledger;
use super::lock::{Locker, ObjectLocks, ObjectStore};
use super::maintenance::{self, Counts, Done};
use super::plan::Pace;
use super::recover::{RecoverFailed, Recovered, recover};
use super::service::{Parts, Service};
use super::snapshots::Snapshots;
use super::witness::{Note, Witness};
use crate::consume::{Consume, Replay};
use crate::history::History;
use crate::ownership::Opened;
use crate::settings::Settings;
use futures_util::{StreamExt, TryStreamExt, stream};
use metadata::Catalog;
use metadata::model::Owner;
use metadata::rebuild::{KeepError, keep_pg};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use storage::Store;
use storage::env::{Crew, Env, Priority};
use storage::format::object::Properties;
use storage::format::{Lsn, PgId};
use storage::object::{Bucket, Capabilities, Error, Health, Usage};
use storage::reader::{
    DiskCache, Looked, Looks, OpenRefused, ReadError, Reader, ReaderConfig, View,
};
use tokio::task::JoinHandle;

/// Placement groups that are recovered at once.
const RECOVERED_AT_ONCE: usize = 16;
/// The folder of the disk cache, below the data folder.
const CACHE: &str = "cache";

/// Why there is no way into the bucket, or out of it.
#[derive(Debug, thiserror::Error)]
pub enum TieringRefused {
    /// The bucket does not do what it must.
    #[error("the object store {address}")]
    Probe {
        /// Where it is.
        address: String,
        /// What is wrong, and what to do.
        source: Error,
    },
    /// No reader.
    #[error("the object store {address}")]
    Reader {
        /// Where it is.
        address: String,
        /// Why.
        source: OpenRefused,
    },
    /// No way of its own for keeping the bucket in shape.
    #[error("no way of its own to the object store {address}")]
    Apart {
        /// Where it is.
        address: String,
        /// Why.
        source: Error,
    },
    /// The operating system has no thread left.
    #[error("no thread can be had for what fills the object store: allow the process more threads")]
    Threads(#[source] std::io::Error),
    /// A placement group.
    #[error(transparent)]
    Recover(#[from] RecoverFailed),
    /// The metadata store gives no numbers.
    #[error("no ids for objects")]
    Ids {
        /// Its words.
        source: metadata::Error,
    },
    /// The bucket does not take the sign of a new epoch.
    #[error("the object store {address}")]
    Keep {
        /// Where it is.
        address: String,
        /// Why.
        source: KeepError,
    },
}

/// The bucket, opened and found to be of use.
pub(crate) struct Open {
    bucket: Bucket,
    locks: Option<Arc<dyn ObjectLocks>>,
    reader: Reader,
    /// Who keeps the bucket in shape, and with which connections.
    upkeep: (Crew, Bucket),
    /// Who makes bundles that nothing presses for.
    builder: Crew,
    env: Env,
}

/// What is ready to be served of a placement group.
pub(crate) struct Ready {
    pub(crate) pg: PgId,
    pub(crate) history: History,
    pub(crate) replay: Replay,
}

/// What runs once consumption does.
pub(crate) struct Prepared {
    open: Open,
    lanes: Lanes,
    ledger: Ledger,
    ids: ObjectIds,
    applied: BTreeMap<PgId, Lsn>,
    /// Each placement group as it was opened.
    notes: Vec<Note>,
}

impl Open {
    /// Looks whether the bucket is there and does what is needed of it.
    pub(crate) async fn new(
        store: ObjectStore,
        settings: &Settings,
        env: &Env,
    ) -> Result<Open, TieringRefused> {
        let ObjectStore { bucket, locks } = store;
        let address = || bucket.address().to_owned();
        let probed = bucket.probe().await;
        let can = probed.map_err(|source| TieringRefused::Probe { address: address(), source })?;
        let Capabilities { create_only, lists_at_once, put_time, .. } = can;
        let put_ms = put_time.as_millis() as u64;
        tracing::info!(store = address(), create_only, lists_at_once, put_ms, "object store");
        let tiering = settings.tiering;
        let disk = DiskCache { folder: settings.data.join(CACHE), bytes: tiering.cache_disk };
        let config = ReaderConfig {
            memory_bytes: tiering.cache_memory,
            disk: (tiering.cache_disk > 0).then_some(disk),
            catch_up_bytes: tiering.catch_up_memory,
            threads: tiering.read_threads,
            ..ReaderConfig::default()
        };
        let reader = Reader::open(&bucket, config, env).await;
        let reader =
            reader.map_err(|source| TieringRefused::Reader { address: address(), source })?;
        let apart = bucket.apart();
        let apart = apart.map_err(|source| TieringRefused::Apart { address: address(), source })?;
        let crew = env.crew("maintenance", 1, Priority::Lowest);
        let crew = crew.map_err(TieringRefused::Threads)?;
        let builder = env.crew("bundles", 1, Priority::Low).map_err(TieringRefused::Threads)?;
        Ok(Open { bucket, locks, reader, upkeep: (crew, apart), builder, env: env.clone() })
    }

    fn address(&self) -> String {
        self.bucket.address().to_owned()
    }

    /// Recovers every placement group that was opened.
    pub(crate) async fn recover(
        self,
        opened: Vec<Opened>,
        catalog: &Catalog,
    ) -> Result<(Vec<Ready>, Prepared), TieringRefused> {
        let one = |opened| recover(opened, &self.reader, &self.bucket, catalog, &self.env);
        let recovered: Vec<Recovered> =
            stream::iter(opened).map(one).buffered(RECOVERED_AT_ONCE).try_collect().await?;
        if self.locks.is_some() {
            catalog.allow_locks();
        }
        let ids = ObjectIds::new(catalog.clone(), self.env.clone());
        let mut ledger = Ledger::new(catalog.clone(), self.bucket.clone(), ids.clone());
        let (lanes, mut applied) = (Lanes::default(), BTreeMap::new());
        let (mut ready, mut notes) = (Vec::new(), Vec::new());
        for Recovered { history, replay, lane, record, revision, view } in recovered {
            let pg = lane.pg();
            // Before anything is acknowledged in it, the epoch leaves a sign.
            let id = ids.one().await.map_err(|source| TieringRefused::Ids { source })?;
            let chain = lane.committed_chain();
            let kept = keep_pg(&self.bucket, pg, (&record, revision), Some(chain), id).await;
            kept.map_err(|source| TieringRefused::Keep { address: self.address(), source })?;
            let (digests, delta) = (HashMap::new(), None);
            let first = record.clone();
            notes.push(Note {
                pg,
                record: first,
                revision,
                view: view.clone(),
                delta,
                chain,
                digests,
            });
            let snapshot = record.snapshot.as_ref();
            applied.insert(pg, snapshot.map_or(pg.first_lsn(), |snapshot| snapshot.applied));
            lanes.add(lane);
            ledger.open(pg, record, revision, view);
            ready.push(Ready { pg, history, replay });
        }
        Ok((ready, Prepared { open: self, lanes, ledger, ids, applied, notes }))
    }
}

/// Tiering, as others see it. Cheap to clone.
#[derive(Clone)]
pub struct Tiering {
    handle: Handle,
    lanes: Lanes,
    bucket: Bucket,
    reader: Reader,
    counts: Counts,
}

impl Prepared {
    /// How others ask; before anything runs.
    pub(crate) fn begin(
        self,
        settings: &Settings,
        me: &Owner,
        catalog: &Catalog,
        store: &Store,
        consume: &Consume,
    ) -> (Tiering, Vec<JoinHandle<()>>) {
        let Prepared { open, lanes, ledger, ids, applied, notes: opened } = self;
        let Open { bucket, locks, reader, upkeep: (crew, apart), builder, env } = open;
        let locker = Locker { catalog: catalog.clone(), locks };
        let (notes, witness) =
            Witness::new(env.clone(), bucket.clone(), reader.clone(), ids.clone());
        opened.into_iter().for_each(|note| notes.tell(note));
        let (handle, inbox) = channel(lanes.clone());
        let (bytes, age) = (settings.tiering.bundle_bytes, settings.tiering.bundle_age);
        let words =
            [("gateway", settings.gateway.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
        let words = words.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parts = Parts {
            env: env.clone(),
            catalog: catalog.clone(),
            store: store.clone(),
            bucket: bucket.clone(),
            ids: ids.clone(),
            ledger,
            lanes: lanes.clone(),
            notes,
            locker: locker.clone(),
            session: me.incarnation.0,
            pace: Pace { bytes, age, ..Pace::CALM },
            keep_bytes: settings.tiering.keep_bytes,
            properties: Properties(words.into()),
            builder,
        };
        let mut tasks = vec![env.spawn("tiering", Service::new(parts, inbox).run())];
        tasks.push(env.spawn("witness", witness.run()));
        let copying = copy_catalog(env.clone(), catalog.clone(), bucket.clone());
        tasks.push(env.spawn("copy catalog", copying));
        let counts = Counts::default();
        let upkeep = maintenance::Parts {
            env: env.clone(),
            catalog: catalog.clone(),
            bucket: apart,
            lanes: lanes.clone(),
            ids: ids.clone(),
            handle: handle.clone(),
            locker,
            settings: settings.tiering.maintenance,
            counts: counts.clone(),
        };
        tasks.push(maintenance::begin(upkeep, crew));
        let snapshots = Snapshots {
            env: env.clone(),
            consume: consume.clone(),
            bucket: bucket.clone(),
            ids,
            handle: handle.clone(),
            every: settings.tiering.maintenance.snapshot_every,
        };
        for lane in lanes.all() {
            let applied = applied.get(&lane.pg()).copied().unwrap_or_default();
            tasks.push(env.spawn("snapshots", snapshots.clone().keep(lane, applied)));
        }
        (Tiering { handle, lanes, bucket, reader, counts }, tasks)
    }
}

impl Tiering {
    /// How to ask for a bundle, or a commit.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What reads the bucket.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// A placement group's manifest as it was last committed here; `None` where it is not owned.
    pub fn view(&self, pg: PgId) -> Option<View> {
        self.lanes.get(pg).map(|lane| lane.view())
    }

    /// Asks the newest manifests of placement groups, in their order, and again where one was replaced meanwhile.
    /// Nothing is asked of one that is not owned: it has no view.
    ///
    /// # Errors
    /// The question's.
    pub async fn ask<T, F>(
        &self,
        pgs: &[PgId],
        question: impl FnMut(Vec<View>) -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, ReadError>>,
    {
        let newest = || pgs.iter().filter_map(|pg| self.view(*pg)).collect();
        super::view::ask(newest, question).await
    }

    /// What the bucket was asked, a row for each pair of purpose and kind that was used.
    pub fn usage(&self) -> Vec<Usage> {
        self.bucket.usage()
    }

    /// What was done to keep the bucket in shape.
    pub fn maintained(&self) -> Done {
        self.counts.done()
    }

    /// Whether the bucket answers.
    pub fn health(&self) -> Health {
        self.bucket.health()
    }

    /// What the caches were asked.
    pub fn looks(&self) -> Vec<(Looked, Looks)> {
        self.reader.counters()
    }

    /// Writes what is to stay of the cache.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
    }
}

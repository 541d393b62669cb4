//! The store: a folder, its journal, and the three threads that run it.
use super::active::Active;
use super::answer::{Copy, JoinedBy, Sealed, StoreRefused};
use super::config::{Error, Fill, StoreConfig, StoreId};
use super::disk::{Disk, MappedDisk};
use super::inbox::{Control, Item};
use super::index_room::IndexRoom;
use super::metrics::Metrics;
use super::preparer::{Preparer, ready};
use super::recovery::{Recovered, recover};
use super::shared::{Beginning, OnFailure, Shared};
use super::space::Space;
use super::spare::Spare;
use super::syncer::Syncer;
use super::threads;
use super::writer::Writer;
use crate::env::Env;
use crate::format::{BLOCK_BYTES, Cookie, Epoch, Lsn, PgId, SEGMENT_HEADER_BYTES};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const COOKIE: &str = "STORE";
/// How soon a rule that found no room is tried again while the next segment is prepared.
const UNTIL_PREPARED: Duration = Duration::from_millis(10);
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENTS_MIN: u64 = 4;

/// The journal and its threads. Clones are handles to the same store; when the last one goes, the
/// threads end without writing what waits, as in a crash: call [`Store::close`] to end well.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

/// Ends the threads when nobody is left to hand them work.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end_all();
    }
}

impl Store {
    /// Opens the store in `config.dir`, which is made if missing, and recovers what it holds.
    /// Blocks: reads the whole journal.
    ///
    /// # Errors
    /// See [`Error`]. A disk without room for the first segment is not one of them: appends are
    /// refused until there is.
    pub fn open(config: StoreConfig, env: Env) -> Result<Store, Error> {
        let dir = config.dir.as_path();
        std::fs::create_dir_all(dir).map_err(|source| disk_error("make", dir, source))?;
        let lock = lock(dir)?;
        let disk = Arc::new(MappedDisk::new(dir));
        let parts = Parts::open(&config, env, disk, Some(lock), OnFailure::Abort)?;
        parts.run()
    }

    /// The store's identity.
    pub fn id(&self) -> StoreId {
        self.shared().id
    }

    /// Whether a store was made in `dir`, of whatever version.
    pub fn is_made(dir: &Path) -> bool {
        dir.join(COOKIE).exists()
    }

    /// Whether the store has a copy of `pg`, of whatever epoch, or lost one.
    pub fn knows(&self, pg: PgId) -> bool {
        self.shared().copies().iter().any(|copy| copy.pg == pg && copy.state.lock().is_begun())
    }

    /// The epoch of the store's copy of `pg`; `None`: there is no copy, or it was lost.
    pub fn label(&self, pg: PgId) -> Option<Epoch> {
        let copy = self.shared().copies().into_iter().find(|copy| copy.pg == pg)?;
        let label = copy.state.lock().label;
        (label > Epoch(0)).then_some(label)
    }

    /// Whether recovery found that something synced was damaged. The copies concerned answer
    /// [`StoreRefused::Unknown`].
    pub fn is_damaged(&self) -> bool {
        self.shared().doubt
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        self.shared().space.fill(&self.shared().index_room)
    }

    /// What was measured since it was opened, for operators. Cheap, and takes no lock.
    pub fn metrics(&self) -> Metrics {
        self.shared().measured.read()
    }

    /// S4 of design/replication.md §4: from here on the store accepts nothing of `epoch` or earlier
    /// for `pg`. Durable before the answer, and for ever. Runs to its end also when the future is
    /// dropped.
    ///
    /// # Errors
    /// See [`StoreRefused`].
    pub async fn seal(&self, pg: PgId, epoch: Epoch, base: Lsn) -> Result<Sealed, StoreRefused> {
        self.control(pg, |reply| Control::Seal { epoch, base, reply }).await
    }

    /// S1 of design/replication.md §4: from here on the store's copy is of `epoch`. Durable before
    /// the answer. Runs to its end also when the future is dropped.
    ///
    /// # Errors
    /// See [`StoreRefused`].
    pub async fn join(
        &self,
        pg: PgId,
        epoch: Epoch,
        base: Lsn,
        tiered: Lsn,
        by: JoinedBy,
    ) -> Result<Copy, StoreRefused> {
        self.control(pg, |reply| Control::Join { epoch, base, tiered, by, reply }).await
    }

    async fn control<T>(
        &self,
        pg: PgId,
        control: impl Fn(oneshot::Sender<Result<T, StoreRefused>>) -> Control,
    ) -> Result<T, StoreRefused> {
        let shared = self.shared();
        loop {
            let (reply, answer) = oneshot::channel();
            let item = Item::Control(shared.copy(pg), control(reply));
            if shared.hand_over(item).is_err() {
                return Err(StoreRefused::Closed);
            }
            match answer.await.unwrap_or(Err(StoreRefused::Closed)) {
                // Nothing was done, and the next segment is about to be ready.
                Err(StoreRefused::Full) if shared.space.is_behind() => {
                    shared.env.sleep(UNTIL_PREPARED).await;
                }
                answer => return answer,
            }
        }
    }

    /// Refuses what is new, writes and syncs what is there, and ends the threads. Afterwards the
    /// folder may be opened again.
    pub async fn close(&self) {
        self.shared().inbox.close();
        self.shared().threads_ended().await;
    }

    /// Ends the threads without writing what waits, as the end of the process would. Afterwards the
    /// folder may be opened again. For tests of restarts.
    #[cfg(any(test, feature = "testing"))]
    pub async fn abandon(&self) {
        self.shared().end_all();
        self.shared().threads_ended().await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

/// A store whose threads do not run yet. A test may run their steps itself.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Writer,
    pub(crate) syncer: Syncer,
    pub(crate) preparer: Preparer,
}

impl Parts {
    /// Recovers what `disk` holds, and gets ready to write behind it.
    pub(crate) fn open(
        config: &StoreConfig,
        env: Env,
        disk: Arc<dyn Disk>,
        lock: Option<File>,
        on_failure: OnFailure,
    ) -> Result<Parts, Error> {
        let dir = config.dir.as_path();
        let cookie = cookie(config, &env, disk.as_ref())?;
        let size = cookie.segment_bytes;
        if config.capacity / size < SEGMENTS_MIN {
            let least = SEGMENTS_MIN * size;
            return Err(Error::Capacity { asked: config.capacity, least, segment_bytes: size });
        }
        let recovered = recover(disk.as_ref(), cookie.store, size)
            .map_err(|source| disk_error("recover", dir, source))?;
        if recovered.damaged {
            tracing::error!("the journal is damaged: copies that cannot be shown whole are lost");
        }
        let Recovered { life, segments, retired, copies, position, next_segno, resume, damaged } =
            recovered;
        let space = Space::new(config.capacity, size, config.spare_segments);
        space.start_with(segments.len() as u64, (segments.len() + retired.len()) as u64);
        let shared = Arc::new(Shared::new(Beginning {
            id: StoreId(cookie.store),
            env,
            disk,
            life,
            space,
            index_room: IndexRoom::new(config.index_bytes),
            segments,
            retired,
            position,
            next_segno,
            copies,
            doubt: damaged,
            on_failure,
            lock,
        }));
        let active = begin(&shared, resume)
            .map_err(|source| disk_error("begin a segment in", dir, source))?;
        let preparer = Preparer::new(Arc::clone(&shared));
        if shared.space.is_short() {
            // The seals and joins of a start do not wait for the preparer.
            preparer.prepare_one();
        }
        Ok(Parts {
            writer: Writer::new(Arc::clone(&shared), active),
            syncer: Syncer::new(Arc::clone(&shared)),
            preparer,
            shared,
        })
    }

    /// The store, whose steps the test runs.
    #[cfg(test)]
    pub(crate) fn store(&self) -> Store {
        Store { handle: Arc::new(Handle { shared: Arc::clone(&self.shared) }) }
    }

    /// Starts the threads.
    fn run(self) -> Result<Store, Error> {
        let Parts { shared, writer, syncer, preparer } = self;
        let store = Store { handle: Arc::new(Handle { shared: Arc::clone(&shared) }) };
        // Nobody is told of an end before all have begun.
        shared.thread_begins();
        threads::start(&shared, writer, syncer, preparer)?;
        shared.thread_ends();
        Ok(store)
    }
}

/// The place for this life's first frame: behind what was recovered if there is room, or in a fresh
/// segment. `None` when the disk has no room for one.
fn begin(shared: &Arc<Shared>, resume: Option<(String, u64)>) -> std::io::Result<Option<Active>> {
    if let Some((name, at)) = resume
        && shared.space.is_worth_resuming(at + SEGMENT_HEADER_BYTES)
    {
        let mut file = shared.disk.open(&name, 0)?;
        let view = file.publish(at)?;
        let Spare { file, header, .. } =
            ready(shared.disk.as_ref(), file, shared.next_header(at), None)?;
        let segments = shared.segments.lock();
        let Some(segment) = segments.iter().find(|segment| segment.name == name) else {
            return Ok(None);
        };
        segment.reopened(file.syncer(), view);
        let active = Active::begin(Spare { file, segment: Arc::clone(segment), header });
        shared.space.resume_at(active.at());
        return Ok(Some(active));
    }
    let preparer = Preparer::new(Arc::clone(shared));
    preparer.prepare_one();
    let spare = shared.space.take_spare(false);
    Ok(spare.map(|spare| {
        shared.segments.lock().push(Arc::clone(&spare.segment));
        Active::begin(spare)
    }))
}

/// The folder is locked, not a file in it: files are replaced.
fn lock(dir: &Path) -> Result<File, Error> {
    let file = File::open(dir).map_err(|source| disk_error("open", dir, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(disk_error("lock", dir, source)),
    }
}

/// Who the store is: as its cookie says, or made now where nothing was.
fn cookie(config: &StoreConfig, env: &Env, disk: &dyn Disk) -> Result<Cookie, Error> {
    let path = config.dir.join(COOKIE);
    let read = disk.read(COOKIE).map_err(|source| disk_error("read", &path, source))?;
    if let Some(bytes) = read {
        return Ok(Cookie::decode(&bytes)?);
    }
    if config.segment_bytes < SEGMENT_BYTES_MIN
        || !config.segment_bytes.is_multiple_of(BLOCK_BYTES)
        || config.segment_bytes > u64::from(u32::MAX)
    {
        return Err(Error::Config("a segment has 64 KiB to 4 GiB, a multiple of 4096 bytes"));
    }
    let names = disk.names().map_err(|source| disk_error("list", &config.dir, source))?;
    if names.iter().any(|name| name.ends_with(".seg")) {
        return Err(Error::Config(
            "the folder has journal segments but no STORE file: restore it, or empty the folder",
        ));
    }
    let store = u128::from(env.random_u64()) << 64 | u128::from(env.random_u64());
    let gateway = config.gateway.clone();
    let cookie = Cookie { store, segment_bytes: config.segment_bytes, gateway };
    disk.replace(COOKIE, &cookie.encode()).map_err(|source| disk_error("write", &path, source))?;
    Ok(cookie)
}

fn disk_error(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Disk { action, path: path.to_owned(), source }
}

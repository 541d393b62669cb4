//! The reader that others hold: each question is handed to its crew, and ends when the asker goes.

use super::access::Access;
use super::config::ReaderConfig;
use super::counters::{Counters, Looked, Looks};
use super::cursor::{Course, Cursor};
use super::error::ReadError;
use super::fair::FairKey;
use super::indexes::Indexes;
use super::keys::{Found, KeyQuery};
use super::measure::Measure;
use super::pages::Pages;
use super::read::{Chunk, Want};
use super::shares::Shares;
use super::view::View;
use crate::env::{Env, Priority, Timestamp};
use crate::format::object::Record;
use crate::format::{Lsn, PgId, QueueOffset, QueueUid};
use crate::object::{Bucket, Error as StoreError};
use crate::tier::ObjectName;
use crate::tier::manifest::{Delta, Overlay};
use bytes::Bytes;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

/// Why a reader was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRefused {
    /// The operating system has no thread left.
    #[error("no thread can be had for reading from the bucket: allow the process more threads")]
    Threads(#[source] std::io::Error),
    /// There is no client of the store to be had.
    #[error("the bucket cannot be opened for reading")]
    Store(#[source] StoreError),
    /// The cache refuses even to be in memory.
    #[error("the cache of pages cannot be made")]
    Cache(#[source] foyer::Error),
}

/// Answers questions about what is in the bucket. Cheap to clone; clones share caches and threads,
/// which end with the last of them.
///
/// Every method may be dropped at any time, and then has no effect.
#[derive(Clone)]
pub struct Reader {
    access: Arc<Access>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Opens a reader over a bucket, with connections of its own, so that catching up takes none from
    /// the uploads. A folder for pages that cannot be used is warned of and done without.
    ///
    /// # Errors
    /// When there is no thread to be had, or no client of the store.
    pub async fn open(
        bucket: &Bucket,
        config: ReaderConfig,
        env: &Env,
    ) -> Result<Reader, OpenRefused> {
        let bucket = bucket.apart().map_err(OpenRefused::Store)?;
        let crew = env.crew("reader", config.threads, Priority::Low);
        let crew = crew.map_err(OpenRefused::Threads)?;
        let counters = Arc::new(Counters::default());
        let pages = Pages::open(&config, bucket.clone(), Arc::clone(&counters), &crew).await;
        let pages = pages.map_err(OpenRefused::Cache)?;
        let indexes = Indexes::new(&config, Arc::clone(&counters));
        let (shares, env) = (Shares::new(config.catch_up_bytes, env.clone()), env.clone());
        let threads = config.threads.max(1);
        let access = Access { bucket, pages, indexes, counters, crew, threads, shares, env };
        Ok(Reader { access: Arc::new(access) })
    }

    /// Waits until the pages that are to be on the disk are there. Without it some are read again
    /// after the next start.
    pub async fn close(&self) {
        self.access.pages.close().await;
    }

    /// What was asked of the caches and the bucket, a row for each kind.
    pub fn counters(&self) -> Vec<(Looked, Looks)> {
        self.access.counters.snapshot()
    }

    /// The manifest that a placement group's record names: its root's object name, if there is a
    /// root, and its deltas, oldest first.
    ///
    /// # Errors
    /// [`ReadError::Stale`] when the root is gone: the record is an old one.
    pub async fn view(
        &self,
        pg: PgId,
        root: Option<&str>,
        deltas: &[Bytes],
    ) -> Result<View, ReadError> {
        let deltas: Vec<Delta> =
            deltas.iter().map(|bytes| Delta::decode(bytes)).collect::<Result<_, _>>()?;
        let root = match root {
            None => Arc::clone(View::empty(pg).root()),
            Some(text) => {
                let not_a_root = || ReadError::NotARoot(text.to_owned());
                let name: ObjectName = text.parse().map_err(|_| not_a_root())?;
                match name {
                    ObjectName::Root { pg: of, .. } if of == pg => {}
                    ObjectName::Root { .. }
                    | ObjectName::Page { .. }
                    | ObjectName::Keys { .. }
                    | ObjectName::Bundle { .. }
                    | ObjectName::Run { .. }
                    | ObjectName::Snapshot { .. } => return Err(not_a_root()),
                }
                self.ask(move |access| async move { access.root(&name, pg).await }).await?
            }
        };
        let overlay = Overlay::of(&root, &deltas)?;
        Ok(View::of(root, overlay))
    }

    /// The first offset that is kept of a queue; 0 where nothing was let go.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn start_of(&self, view: &View, queue: QueueUid) -> Result<QueueOffset, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.start_of(&view, queue).await }).await
    }

    /// The first offset that is kept, of every queue of which something was let go; ascending.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn starts(&self, view: &View) -> Result<Vec<(QueueUid, QueueOffset)>, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.starts(&view).await }).await
    }

    /// Messages of a queue from an offset on: whole blocks. Where `from` is before what is kept, it
    /// begins there.
    ///
    /// # Errors
    /// When the bucket does not give it.
    pub async fn read(
        &self,
        view: &View,
        queue: QueueUid,
        from: QueueOffset,
        want: Want,
    ) -> Result<Chunk, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.read(&view, queue, from, want).await }).await
    }

    /// The first offset of a queue whose message was stored at a moment or later; `None`:
    /// everything in the bucket is older.
    ///
    /// # Errors
    /// When the bucket does not give it.
    pub async fn offset_at_time(
        &self,
        view: &View,
        queue: QueueUid,
        at: Timestamp,
    ) -> Result<Option<QueueOffset>, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.offset_at_time(&view, queue, at).await }).await
    }

    /// Every record that is no message, at or after `from` and before `to`, in order of lsn. Reads
    /// no message. Memory holds what is not taken yet of some mebibytes.
    ///
    /// # Errors
    /// When the bucket does not give it; `each` may have been called.
    pub async fn operations(
        &self,
        view: &View,
        from: Lsn,
        to: Lsn,
        mut each: impl FnMut(Record),
    ) -> Result<(), ReadError> {
        let view = view.clone();
        let (give, mut take) = tokio::sync::mpsc::channel(OPERATIONS_AHEAD);
        let read = self
            .ask(move |access| async move { access.operations(&view, (from, to), &give).await });
        let take_all = async {
            while let Some(records) = take.recv().await {
                Vec::into_iter(records).for_each(&mut each);
            }
        };
        tokio::join!(read, take_all).0
    }

    /// Where queues go on after what the bucket has, of those with messages at or after `from`;
    /// ascending.
    ///
    /// # Errors
    /// When the bucket does not give it.
    pub async fn queue_ends(
        &self,
        view: &View,
        from: Lsn,
    ) -> Result<Vec<(QueueUid, QueueOffset)>, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.queue_ends(&view, from).await }).await
    }

    /// The message at a place of the log, if the bucket has one there.
    ///
    /// # Errors
    /// When the bucket does not give it.
    pub async fn by_lsn(&self, view: &View, lsn: Lsn) -> Result<Option<Record>, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.by_lsn(&view, lsn).await }).await
    }

    /// The newest messages with a key, in one or several placement groups.
    ///
    /// # Errors
    /// When the bucket does not give it. An object that is damaged is named among what was found.
    pub async fn by_key(&self, views: &[View], query: KeyQuery) -> Result<Found, ReadError> {
        let views = views.to_vec();
        self.ask(move |access| async move { access.by_key(&views, &query).await }).await
    }

    /// What a cursor would read of a queue; `tags` as [`Want::tags`]. Reads no message, and looks
    /// into so many objects only that it ends soon: see [`Measure::next`].
    ///
    /// # Errors
    /// When the bucket does not give it.
    pub async fn measure(
        &self,
        view: &View,
        queue: QueueUid,
        range: Range<QueueOffset>,
        tags: u64,
    ) -> Result<Measure, ReadError> {
        let view = view.clone();
        self.ask(move |access| async move { access.measure(&view, queue, range, tags).await }).await
    }

    /// A way through a queue from front to back, which reads ahead. `key`: what the process is fair
    /// between, a topic mostly.
    pub fn cursor(&self, view: &View, course: Course, key: FairKey) -> Cursor {
        Cursor::new(Arc::clone(&self.access), view.clone(), course, key)
    }

    /// Bytes that cursors have under way or have not given out, and the most that there ever were.
    pub fn catch_up_bytes(&self) -> (u64, u64) {
        self.access.shares.under_way()
    }

    /// Hands a question to the crew.
    pub(super) async fn ask<T, F>(
        &self,
        question: impl FnOnce(Arc<Access>) -> F,
    ) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        let asked = self.access.crew.begin(question(Arc::clone(&self.access)));
        asked.await.unwrap_or(Err(ReadError::Closed))
    }
}

/// Batches of operations that are read before they are taken.
const OPERATIONS_AHEAD: usize = 2;

//! What a start needs from the bucket before it serves: the manifest, the newest snapshot, and what
//! the log says between the snapshot and the local copy. None of it grows with history.

use super::lane::Lane;
use super::load::BucketLoader;
use super::view::Published;
use crate::consume::Replay;
use crate::consume::ops::OpMalformed;
use crate::history::History;
use crate::history::snapshot::{SectionKind, SnapshotFile, SnapshotMalformed, decode_queue_ends};
use crate::ownership::Opened;
use metadata::model::{PgRecord, SnapshotRef};
use metadata::{Catalog, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::env::Env;
use storage::format::object::Record;
use storage::format::{Lsn, PgId, QueueOpenRecord, QueueUid};
use storage::object::{Bucket, Name, Purpose, Span};
use storage::reader::{ReadError, Reader, View};
use storage::{QueueEnd, RecordKind};

/// Why a placement group cannot be served now. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverFailed {
    /// The bucket does not answer, or has not what the record names.
    #[error("placement group {pg}: what lies in the object store cannot be read")]
    Read {
        /// Which one.
        pg: PgId,
        /// Why.
        source: ReadError,
    },
    /// The snapshot's object.
    #[error("placement group {pg}: its snapshot cannot be read")]
    Snapshot {
        /// Which one.
        pg: PgId,
        /// Why.
        source: storage::object::Error,
    },
    /// The snapshot's content: it is damaged, or a newer version wrote it.
    #[error("placement group {pg}: its snapshot means nothing")]
    Content {
        /// Which one.
        pg: PgId,
        /// What is wrong.
        source: SnapshotMalformed,
    },
    /// An operation: a newer version wrote it.
    #[error("placement group {pg}: an operation in the object store means nothing")]
    Operation {
        /// Which one.
        pg: PgId,
        /// What is wrong.
        source: OpMalformed,
    },
    /// The journal begins behind what is in the bucket.
    #[error(
        "placement group {pg}: the journal begins at {from}, the object store ends at {tiered}; \
         what lies between is gone"
    )]
    Hole {
        /// Which one.
        pg: PgId,
        /// Where the journal begins.
        from: Lsn,
        /// Where the bucket ends.
        tiered: Lsn,
    },
}

/// A placement group that is ready to be served.
pub(crate) struct Recovered {
    pub(crate) history: History,
    pub(crate) replay: Replay,
    pub(super) lane: Lane,
    pub(super) record: PgRecord,
    pub(super) revision: Revision,
    pub(super) view: View,
}

/// Recovers what [`Opened`] gave.
///
/// # Errors
/// [`RecoverFailed`].
pub(crate) async fn recover(
    opened: Opened,
    reader: &Reader,
    bucket: &Bucket,
    catalog: &Catalog,
    env: &Env,
) -> Result<Recovered, RecoverFailed> {
    let Opened { log, record, revision } = opened;
    let pg = log.pg();
    let failed = |source| RecoverFailed::Read { pg, source };
    let root = record.manifest_root.as_deref();
    let view = reader.view(pg, root, &record.deltas).await.map_err(failed)?;
    let file = match &record.snapshot {
        Some(snapshot) => Some(read_snapshot(pg, snapshot, bucket).await?),
        None => None,
    };
    let (mut replay, mut ends) = begin(pg, file)?;
    let from = record.snapshot.as_ref().map_or(pg.first_lsn(), |snapshot| snapshot.applied);
    let mut malformed = Ok(());
    let each = |found: Record| {
        if found.kind == RecordKind::QueueOpen {
            ends.opened(&found);
        } else if malformed.is_ok() {
            malformed = replay.record(&found);
        }
    };
    reader.operations(&view, from, view.tiered(), each).await.map_err(failed)?;
    malformed.map_err(|source| RecoverFailed::Operation { pg, source })?;
    for (queue, next) in reader.queue_ends(&view, ends.from).await.map_err(failed)? {
        let end = ends.of(queue);
        end.next = end.next.max(next);
    }
    let ends: Vec<QueueEnd> = ends.queues.into_values().collect();
    log.restore(&ends);
    let tiered = view.tiered();
    let hole = || RecoverFailed::Hole { pg, from: log.local_from(), tiered };
    let chain = log.chain_at(tiered).ok_or_else(hole)?;
    log.set_tiered(tiered);
    let starts = reader.starts(&view).await.map_err(failed)?.into_iter().collect();
    let published = Published::new(view.clone());
    let loader = BucketLoader::new(reader.clone(), catalog.clone(), published.clone());
    let history = History::new(log.clone(), Arc::new(loader), starts, env.clone());
    let lane = Lane::new(log, published, history.clone(), chain, &ends);
    lane.set_applied(from);
    Ok(Recovered { history, replay, lane, record, revision, view })
}

/// Where the snapshot leaves the replay and the queues.
fn begin(pg: PgId, file: Option<SnapshotFile>) -> Result<(Replay, Ends), RecoverFailed> {
    let Some(file) = file else {
        let ends = Ends { from: pg.first_lsn(), queues: BTreeMap::new() };
        return Ok((Replay::default(), ends));
    };
    let content = |source| RecoverFailed::Content { pg, source };
    let section = |kind| file.sections.get(&kind).map(Vec::as_slice);
    let replay = match section(SectionKind::Consumption) {
        Some(bytes) => Replay::restore(file.applied, bytes).map_err(content)?,
        None => Replay::default(),
    };
    let ends = match section(SectionKind::QueueEnds) {
        Some(bytes) => decode_queue_ends(bytes).map_err(content)?,
        None => Vec::new(),
    };
    let queues = ends.into_iter().map(|end| (end.queue, end)).collect();
    Ok((replay, Ends { from: file.ends_at, queues }))
}

async fn read_snapshot(
    pg: PgId,
    snapshot: &SnapshotRef,
    bucket: &Bucket,
) -> Result<SnapshotFile, RecoverFailed> {
    let refused = |source| RecoverFailed::Snapshot { pg, source };
    let name = Name::parse(&snapshot.object)
        .map_err(|refused| storage::object::Error::Broken(refused.to_string()));
    let name = name.map_err(refused)?;
    let fetched = bucket.get(&name, Span::All, Purpose::Snapshot).await.map_err(refused)?;
    SnapshotFile::decode(&fetched.bytes).map_err(|source| RecoverFailed::Content { pg, source })
}

/// Where queues go on, as far as it is known.
struct Ends {
    /// As of here.
    from: Lsn,
    queues: BTreeMap<QueueUid, QueueEnd>,
}

impl Ends {
    fn of(&mut self, queue: QueueUid) -> &mut QueueEnd {
        self.queues.entry(queue).or_insert(QueueEnd {
            queue,
            next: Default::default(),
            opened: None,
        })
    }

    /// A Q_OPEN record.
    fn opened(&mut self, found: &Record) {
        if found.lsn >= self.from
            && let Ok(record) = QueueOpenRecord::decode(&found.body())
        {
            let end = self.of(found.queue);
            end.next = end.next.max(record.next);
            end.opened = Some(record);
        }
    }
}

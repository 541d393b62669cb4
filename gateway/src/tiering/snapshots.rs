//! Snapshots of the consumption of a placement group, so that a start replays little.
//!
//! INV-SNAP-1: a snapshot is committed only when everything that it contains is in the bucket; so whoever opens a later
//! epoch, with whatever copy, finds no less than what it contains.

use super::handle::Handle;
use super::ids::ObjectIds;
use super::lane::Lane;
use super::ledger::Proposal;
use crate::consume::Consume;
use crate::history::snapshot::{SectionKind, SnapshotFile, encode_queue_ends};
use bytes::Bytes;
use metadata::model::SnapshotRef;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use storage::Level;
use storage::env::Env;
use storage::format::{Lsn, PgId};
use storage::object::{Bucket, Name, Purpose};
use storage::tier::ObjectName;

/// Bytes of the log after which a new snapshot is made (DESIGN §11): what a start replays at most, about.
const EVERY_BYTES: u64 = 64 << 20;
/// How often a log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What it works with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Snapshots {
    pub(super) env: Env,
    pub(super) consume: Consume,
    pub(super) bucket: Bucket,
    pub(super) ids: ObjectIds,
    pub(super) handle: Handle,
    /// The time after which one is made, if there is anything new.
    pub(super) every: Duration,
}

/// Why there is no newer snapshot. The old one does, with a longer replay.
#[derive(Debug, thiserror::Error)]
enum NoSnapshot {
    #[error("no id for an object")]
    Id(#[from] metadata::Error),
    #[error("the object store does not take it")]
    Store(#[from] storage::object::Error),
    #[error("it cannot be committed")]
    Commit(#[from] super::ledger::LedgerRefused),
    #[error("the placement group is another gateway's now")]
    NotOwner,
}

impl Snapshots {
    /// Makes snapshots of one placement group, until it is another's. `applied`: what the newest has.
    pub(super) async fn keep(self, lane: Arc<Lane>, applied: Lsn) {
        let (mut applied, mut made_at) = (applied, self.env.monotonic());
        loop {
            self.env.sleep(LOOK_EVERY.min(self.every)).await;
            let now = self.env.monotonic();
            let bytes = lane.log.end().0.saturating_sub(applied.0);
            if bytes == 0 || (bytes < EVERY_BYTES && now < made_at + self.every) {
                continue;
            }
            match self.make(&lane).await {
                Ok(at) => (applied, made_at) = (at, now),
                Err(NoSnapshot::NotOwner) => return,
                Err(error) => {
                    let pg = lane.pg();
                    tracing::warn!(%pg, %error, "no snapshot; a start would replay more");
                }
            }
        }
    }

    async fn make(&self, lane: &Lane) -> Result<Lsn, NoSnapshot> {
        let pg: PgId = lane.pg();
        let (applied, consumption) = self.consume.snapshot(pg).ok_or(NoSnapshot::NotOwner)?;
        let reached = lane.log.reached(Level::Object, applied).await;
        reached.map_err(|_| NoSnapshot::NotOwner)?;
        let (ends_at, ends) = lane.ends();
        let ends = encode_queue_ends(&ends);
        let sections =
            [(SectionKind::Consumption, consumption), (SectionKind::QueueEnds, ends)].into();
        let file = SnapshotFile { applied, ends_at, sections };
        // Out until it is known whether the record names it.
        let mut ids = self.ids.take(1).await?;
        let name = ObjectName::Snapshot { pg, epoch: lane.log.epoch(), id: ids.next_id() };
        let object = name.to_string();
        let key = Name::parse(&object).expect("our names are names");
        self.bucket.create(&key, Bytes::from(file.encode()), Purpose::Snapshot).await?;
        let snapshot = Some(SnapshotRef { object, applied });
        let proposal =
            Proposal { pg, to: None, changes: Vec::new(), snapshot, digests: HashMap::new() };
        self.handle.propose(proposal).await?;
        lane.set_applied(applied);
        Ok(applied)
    }
}

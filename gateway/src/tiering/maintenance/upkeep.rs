//! The task that goes round the placement groups.

use super::super::handle::Handle;
use super::super::ids::ObjectIds;
use super::super::lane::{Lane, Lanes};
use super::super::ledger::LedgerRefused;
use super::super::lock::Locker;
use super::super::service::Causes;
use super::collection;
use super::counts::Counts;
use super::error::Failed;
use super::turn::Turn;
use super::turns::Turns;
use crate::settings::MaintenanceSettings;
use metadata::Catalog;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::compact::{ByteBudget, CompactError, Compactor};
use storage::env::{Crew, Env};
use storage::format::PgId;
use storage::object::Bucket;
use storage::tier::manifest::ReplaceRefused;
use tokio::task::JoinHandle;

/// The part of the time between two surveys after which the first one comes: a start has other things to do.
const FIRST_SURVEY_PART: u32 = 24;

/// What keeping in shape works with.
#[derive(Clone)]
pub(in super::super) struct Parts {
    pub(in super::super) env: Env,
    pub(in super::super) catalog: Catalog,
    /// With connections of its own.
    pub(in super::super) bucket: Bucket,
    pub(in super::super) lanes: Lanes,
    pub(in super::super) ids: ObjectIds,
    pub(in super::super) handle: Handle,
    pub(in super::super) locker: Locker,
    pub(in super::super) settings: MaintenanceSettings,
    pub(in super::super) counts: Counts,
}

/// Begins, on a crew of its own; ends when the task is aborted.
pub(in super::super) fn begin(parts: Parts, crew: Crew) -> JoinHandle<()> {
    let env = parts.env.clone();
    env.spawn("maintenance", async move {
        let collection = crew.begin(collection::run(parts.clone()));
        let upkeep = crew.begin(Upkeep::new(parts).run());
        // Neither comes to an end by itself.
        tokio::join!(collection, upkeep);
    })
}

struct Upkeep {
    parts: Parts,
    compactor: Compactor,
    turns: BTreeMap<PgId, Turns>,
}

impl Upkeep {
    fn new(parts: Parts) -> Upkeep {
        let Parts { env, bucket, settings, .. } = &parts;
        let budget = ByteBudget::new(settings.bytes_per_second, env.clone());
        let compactor = Compactor::new(bucket.clone(), env.clone(), Arc::new(budget));
        Upkeep { parts, compactor, turns: BTreeMap::new() }
    }

    async fn run(mut self) {
        loop {
            for lane in self.parts.lanes.all() {
                self.tend(&lane).await;
            }
            self.parts.env.sleep(self.parts.settings.look_every).await;
        }
    }

    /// One placement group's turn. What fails there is said, and waits; the others go on.
    async fn tend(&mut self, lane: &Lane) {
        let Upkeep { parts, compactor, turns } = self;
        let now = parts.env.monotonic();
        let first = || Turns::new(now + parts.settings.survey_every / FIRST_SURVEY_PART);
        let turns = turns.entry(lane.pg()).or_insert_with(first);
        if !turns.may(now) {
            return;
        }
        let failed = match (Turn { parts, compactor, lane }).take(turns).await {
            Ok(()) => return turns.done(),
            Err(failed) => failed,
        };
        let rest = turns.failed(parts.env.monotonic(), parts.settings.look_every);
        let (pg, error, rest) = (lane.pg(), Causes(&failed), rest.as_secs());
        match &failed {
            // The tiering task says it.
            Failed::Commit(LedgerRefused::NotOwner(_)) => {}
            Failed::Bucket(CompactError::Damaged { object, .. }) => {
                tracing::error!(%pg, %object, %error, "a damaged object is left as it is: see stratamq fsck");
                turns.set_aside([object.id()]);
                parts.counts.set_aside(1);
            }
            Failed::Unfit(ReplaceRefused::NotThere(_)) => {
                tracing::debug!(%pg, %error, "a merge was overtaken");
            }
            Failed::Bucket(CompactError::Merge(_)) | Failed::Unfit(_) => {
                tracing::error!(%pg, %error, "objects that do not fit each other are left as they are");
            }
            Failed::Bucket(_) | Failed::Commit(_) | Failed::Lock(_) | Failed::Ids(_) => {
                tracing::warn!(%pg, %error, rest, "keeping the bucket in shape waits");
            }
        }
    }
}

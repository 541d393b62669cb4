//! Deleting what no record references: what is known here beside the rules of [`storage::collect`].

use super::super::ids::ObjectIds;
use super::super::lane::Lanes;
use super::super::service::Causes;
use super::upkeep::Parts;
use metadata::Catalog;
use metadata::model::PgRecord;
use std::time::Duration;
use storage::collect::{Collector, RecordView, Records, Sweep, Swept};
use storage::format::PgId;
use storage::object::{Applied, Error};
use storage::tier::ObjectName;
use storage::tier::collect::Word;

/// The longest wait after a failure.
const REST_MAX: Duration = Duration::from_secs(300);

/// Sweeps again and again, until it is dropped.
pub(super) async fn run(parts: Parts) {
    let Parts { env, catalog, bucket, lanes, ids, settings, counts, .. } = parts;
    let records = Known { catalog, lanes, ids };
    let mut collector = Collector::new(bucket, env.clone(), records, settings.collect);
    loop {
        let mut sweep = Sweep::all().expect("our folders' names are names");
        let (mut swept, mut rest) = (Swept::default(), settings.look_every);
        loop {
            match collector.step(&mut sweep).await {
                Ok(Some(step)) => {
                    counts.swept(&step);
                    swept.add(&step);
                    rest = settings.look_every;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "deleting what nothing refers to waits");
                    env.sleep(rest).await;
                    rest = rest.saturating_mul(2).min(REST_MAX);
                }
            }
        }
        counts.sweep_ended();
        let Swept { listed, referenced, deleted, deleted_bytes, damaged, .. } = swept;
        tracing::debug!(listed, referenced, deleted, deleted_bytes, damaged, "swept the bucket");
        env.sleep(settings.sweep_every).await;
    }
}

/// The records of the metadata store, and what this process is about to refer to.
struct Known {
    catalog: Catalog,
    lanes: Lanes,
    ids: ObjectIds,
}

impl Records for Known {
    async fn all(&self) -> Result<Vec<PgId>, Error> {
        Ok(self.catalog.cluster().pgs().collect())
    }

    async fn read(&self, pg: PgId) -> Result<Option<RecordView>, Error> {
        let read = self.catalog.read_pg(pg).await.map_err(|error| unread(pg, &error))?;
        read.map(|(record, _)| shown(&record)).transpose()
    }

    fn word(&self, object: &ObjectName) -> Word {
        let is_ours = object.record().is_some_and(|(pg, _)| self.lanes.get(pg).is_some());
        let is_settled = is_ours && !self.ids.is_out(object.id());
        if is_settled { Word::Settled } else { Word::Unknown }
    }
}

fn shown(record: &PgRecord) -> Result<RecordView, Error> {
    let name = |text: &String| {
        let refused = || Error::Broken(format!("a record names {text}, which is no object's name"));
        text.parse::<ObjectName>().map_err(|_| refused())
    };
    Ok(RecordView {
        epoch: record.epoch,
        manifest_root: record.manifest_root.as_ref().map(name).transpose()?,
        deltas: record.deltas.clone(),
        snapshot: record.snapshot.as_ref().map(|snapshot| name(&snapshot.object)).transpose()?,
    })
}

fn unread(pg: PgId, error: &metadata::Error) -> Error {
    Error::Unavailable {
        what: "read",
        subject: format!("the record of placement group {pg}"),
        applied: Applied::No,
        attempts: 1,
        waited: Duration::ZERO,
        cause: Causes(error).to_string(),
    }
}

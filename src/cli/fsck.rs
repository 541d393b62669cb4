//! `stratamq fsck`: whether the object store has all that records refer to, byte for byte.

use super::failure::{Exit, Failure};
use super::print::{Printer, aside, bytes, count};
use super::store::{opened, unusable};
use super::waiting::Waiting;
use clap::Args;
use gateway::history::snapshot::SnapshotFile;
use metadata::dump::Dump;
use metadata::model::{PgRecord, Record, SnapshotRef, key};
use metadata::rebuild::{newest_catalog, newest_copies};
use metadata::store::redb::RedbStore;
use metadata::{Advice, MetadataStore};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use storage::audit::{
    AuditSettings, Fault, Finding, Progress, Read, Records, Report, Severity, Subject, audit,
};
use storage::env::Env;
use storage::format::{PgId, QueueUid};
use storage::object::{Bucket, Error, Name, Purpose, Span, StoreUrl};

/// Uids below belong to no topic and no group, and are never gone.
const OWN_UIDS: u64 = metadata::model::UidMark::FIRST.next;
/// Findings that a person is shown.
const SHOWN: usize = 100;

/// Verify every object: checksums, continuity, and with --proof that no byte was changed
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stratamq fsck                                      of a stopped broker's folder
  stratamq fsck --store s3://mq-prod/eu --from-bucket    beside a running broker
  stratamq fsck --quick                              all there? a request or two per object
  stratamq fsck --proof --json                       and unchanged since it was committed?

What objects there must be say the metadata of --data, or, with --from-bucket, their newest copies in
the store: what was committed after those is not looked at. It reads, and changes nothing.

With --proof note the heads that it prints, and keep them where nobody who may write to the store can
write: next year they show that the chain is still the same.

It ends with 0 when all is well, 1 when something is wrong, 2 when it cannot be said, 3 when the store
cannot be reached.")]
pub(crate) struct Fsck {
    /// A folder, or s3://bucket/prefix
    #[arg(long, env = "STRATAMQ_STORE", default_value = "stratamq-data/store", value_name = "URL")]
    store: StoreUrl,
    /// Folder of the metadata, of a broker that is not running
    #[arg(long, env = "STRATAMQ_DATA", default_value = "stratamq-data", value_name = "DIR")]
    data: PathBuf,
    /// Take the newest copies of the metadata in the store instead
    #[arg(long)]
    from_bucket: bool,
    /// Read the ends of objects only: is everything there, and does it go on?
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Look for every message in the key index, not for one of 64
    #[arg(long)]
    deep: bool,
    /// Hold every byte against the SHA-256 of what was committed
    #[arg(long)]
    proof: bool,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

impl Fsck {
    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let env = Env::system();
        let bucket = opened(&self.store, &env).await?;
        let known = if self.from_bucket {
            Known::copies(&bucket).await?
        } else {
            Known::metadata(&self.data, &env).await?
        };
        let settings = AuditSettings { quick: self.quick, deep: self.deep, proof: self.proof };
        let mut waiting = Waiting::new(self.json, env);
        let report = audit(&bucket, &known, settings, &mut |progress| {
            waiting.say(|| line(progress));
        })
        .await;
        waiting.end();
        let mut report = report.map_err(|error| unusable(&error))?;
        report.findings.extend(snapshots(&bucket, &known).await?);
        report.findings.extend(known.unread.into_inner());
        if self.from_bucket {
            aside(
                "by the newest copies of the metadata: what was committed since was not looked at",
                self.json,
            );
        }
        printer.show(&Shown::of(&report), || described(&report))?;
        let wrong = report.findings.iter().filter(|finding| is_wrong(finding)).count() as u64;
        let wrong = wrong + report.omitted;
        if wrong == 0 {
            return printer.say(&format!("\n{} is sound", self.store));
        }
        let what = format!("{} wrong with {}", count(wrong, "thing"), self.store);
        Err(Failure::refused(what).hint("what to do stands beside each"))
    }
}

/// Whether the snapshots that recoveries begin at are what was written.
async fn snapshots(bucket: &Bucket, known: &Known) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for pg in &known.pgs {
        let Some((object, why)) = wrong_snapshot(bucket, known, *pg).await? else { continue };
        // A newer one may have taken its place, and the collector the old one.
        if let Some(again) = wrong_snapshot(bucket, known, *pg).await?
            && again.0 == object
        {
            let fault = Fault::Snapshot(why);
            let object = Some(object);
            findings.push(Finding { pg: Some(*pg), object, fault, affects: Vec::new() });
        }
    }
    Ok(findings)
}

/// The snapshot of the placement group and why it cannot be used; `None` when it can, or there is
/// none, or the record could not be read, which is told already.
async fn wrong_snapshot(
    bucket: &Bucket,
    known: &Known,
    pg: PgId,
) -> Result<Option<(String, String)>, Failure> {
    let Ok(Some(PgRecord { snapshot: Some(snapshot), .. })) = known.record(pg).await else {
        return Ok(None);
    };
    let SnapshotRef { object, applied } = snapshot;
    let name = match Name::parse(&object) {
        Ok(name) => name,
        Err(refused) => return Ok(Some((object, refused.to_string()))),
    };
    let why = match bucket.get(&name, Span::All, Purpose::Check).await {
        Ok(got) => match SnapshotFile::decode(&got.bytes) {
            Ok(file) if file.applied == applied => return Ok(None),
            Ok(file) => format!("it ends at {}, the record says at {applied}", file.applied),
            Err(malformed) => malformed.to_string(),
        },
        Err(Error::NotFound { .. }) => "it is missing".to_owned(),
        Err(error) => return Err(unusable(&error)),
    };
    Ok(Some((object, why)))
}

fn is_wrong(finding: &Finding) -> bool {
    finding.severity() > Severity::Note
}

/// Where records are from.
enum From {
    Metadata(RedbStore),
    Copies(Bucket),
}

/// The records.
struct Known {
    from: From,
    pgs: Vec<PgId>,
    /// Queues of topics and groups; `None`: nobody knows.
    queues: Option<BTreeSet<QueueUid>>,
    /// Records that could not be read.
    unread: Mutex<Vec<Finding>>,
}

impl Known {
    async fn metadata(data: &Path, env: &Env) -> Result<Known, Failure> {
        let path = data.join("metadata.redb");
        if !path.exists() {
            return Err(Failure::usage(format!("there are no metadata in {}", data.display()))
                .hint("say where they are with --data, or take the copies in the store with --from-bucket"));
        }
        let store = RedbStore::open(&path, env.clone());
        let store = store.map_err(|error| not_read(&path, &error))?;
        let range = store.range("").await.map_err(|error| not_read(&path, &error))?;
        let pgs = range.pairs.iter().filter_map(|pair| key::parse_pg(&pair.key)).collect();
        let queues = Dump::of(&range, env.now()).ok().map(|dump| dump.queues());
        Ok(Known { from: From::Metadata(store), pgs, queues, unread: Mutex::default() })
    }

    async fn copies(bucket: &Bucket) -> Result<Known, Failure> {
        let copies = newest_copies(bucket, None).await.map_err(|error| unusable(&error))?;
        if copies.is_empty() {
            return Err(Failure::usage(format!("{} has no copy of a record", bucket.address()))
                .hint("is this the right prefix? else say where the metadata are with --data"));
        }
        let dump = newest_catalog(bucket).await.map_err(|error| unusable(&error))?;
        Ok(Known {
            from: From::Copies(bucket.clone()),
            pgs: copies.into_keys().collect(),
            queues: dump.map(|dump| dump.queues()),
            unread: Mutex::default(),
        })
    }

    async fn record(&self, pg: PgId) -> Result<Option<PgRecord>, String> {
        match &self.from {
            From::Metadata(store) => {
                let pair = store.get(&key::pg(pg)).await.map_err(|error| error.to_string())?;
                let record = pair.map(|pair| PgRecord::decode(&pair.value)).transpose();
                record.map_err(|error| error.to_string())
            }
            From::Copies(bucket) => {
                let copies = newest_copies(bucket, Some(pg)).await;
                Ok(copies.map_err(|error| error.to_string())?.remove(&pg))
            }
        }
    }
}

fn not_read(path: &Path, error: &metadata::Error) -> Failure {
    let hint = if matches!(error, metadata::Error::Locked(_)) {
        "a broker is running there; --from-bucket takes the copies in the store instead"
    } else if matches!(error.advice(), Advice::Retry { .. }) {
        "try again"
    } else {
        "--from-bucket takes the copies in the store instead"
    };
    Failure { exit: Exit::Usage, what: format!("{}: {error}", path.display()), hint: hint.into() }
}

impl Records for Known {
    fn pgs(&self) -> Vec<PgId> {
        self.pgs.clone()
    }

    fn read(&self, pg: PgId) -> Read<'_> {
        Box::pin(async move {
            match self.record(pg).await {
                Ok(record) => record.map(|record| Subject {
                    pg,
                    epoch: record.epoch,
                    tiered: record.tiered,
                    root: record.manifest_root,
                    deltas: record.deltas,
                }),
                Err(why) => {
                    let fault = Fault::Record(why);
                    let finding =
                        Finding { pg: Some(pg), object: None, fault, affects: Vec::new() };
                    self.unread.lock().push(finding);
                    None
                }
            }
        })
    }

    fn is_gone(&self, queue: QueueUid) -> bool {
        let is_unknown = |known: &BTreeSet<QueueUid>| !known.contains(&queue);
        queue.0 >= OWN_UIDS && self.queues.as_ref().is_some_and(is_unknown)
    }
}

fn line(progress: Progress) -> String {
    let Progress { pgs, pgs_in_all, objects, bytes: read } = progress;
    format!(
        "{pgs} of {pgs_in_all} placement groups, {}, {} read",
        count(objects, "object"),
        bytes(read)
    )
}

/// The report, for a script.
#[derive(Serialize)]
struct Shown<'a> {
    clean: bool,
    findings: Vec<Row<'a>>,
    omitted: u64,
    pgs: u64,
    objects: u64,
    bytes_read: u64,
    messages: u64,
    operations: u64,
    proven: u64,
    heads: Vec<Head>,
}

#[derive(Serialize)]
struct Row<'a> {
    severity: &'static str,
    pg: Option<String>,
    object: Option<&'a str>,
    at: Option<u64>,
    len: Option<u64>,
    what: String,
    affects: Vec<String>,
    advice: &'static str,
}

#[derive(Serialize)]
struct Head {
    pg: String,
    link: u64,
    sha256: String,
}

impl<'a> Row<'a> {
    fn of(finding: &'a Finding) -> Row<'a> {
        let at = finding.at();
        Row {
            severity: finding.severity().label(),
            pg: finding.pg.map(|pg| pg.to_string()),
            object: finding.object.as_deref(),
            at: at.map(|at| at.at),
            len: at.map(|at| at.len),
            what: finding.fault.to_string(),
            affects: finding.affects.iter().map(ToString::to_string).collect(),
            advice: finding.advice(),
        }
    }

    fn lines(&self) -> String {
        let whose = self.pg.as_ref().map_or(String::new(), |pg| format!("  pg {pg}"));
        let object = self.object.map_or(String::new(), |object| format!("  {object}"));
        let mut text = format!("{:<7}{whose}{object}: {}\n", self.severity, self.what);
        for affected in &self.affects {
            text.push_str(&format!("         affects {affected}\n"));
        }
        text.push_str(&format!("         {}\n", self.advice));
        text
    }
}

impl<'a> Shown<'a> {
    fn of(report: &'a Report) -> Shown<'a> {
        let head = |(pg, link, digest): &(PgId, u64, _)| Head {
            pg: pg.to_string(),
            link: *link,
            sha256: format!("{digest}"),
        };
        let totals = &report.totals;
        Shown {
            clean: report.is_clean(),
            findings: report.findings.iter().map(Row::of).collect(),
            omitted: report.omitted,
            pgs: totals.pgs,
            objects: totals.objects,
            bytes_read: totals.bytes,
            messages: totals.messages,
            operations: totals.operations,
            proven: totals.proven,
            heads: report.heads.iter().map(head).collect(),
        }
    }
}

fn described(report: &Report) -> String {
    let shown = Shown::of(report);
    let mut text: String = shown.findings.iter().take(SHOWN).map(Row::lines).collect();
    let more = shown.findings.len().saturating_sub(SHOWN) as u64 + shown.omitted;
    if more > 0 {
        text.push_str(&format!(
            "and {more} more; --json shows up to {}\n",
            storage::audit::FINDINGS_MAX
        ));
    }
    for Head { pg, link, sha256 } in &shown.heads {
        text.push_str(&format!("head    pg {pg} link {link} {sha256}\n"));
    }
    let Shown { pgs, objects, bytes_read, messages, proven, .. } = shown;
    text.push_str(&format!(
        "looked at {}, {}, {} with {}",
        count(pgs, "placement group"),
        count(objects, "object"),
        bytes(bytes_read),
        count(messages, "message"),
    ));
    if proven > 0 {
        text.push_str(&format!("; {} held against the proof", count(proven, "digest")));
    }
    text.push('\n');
    text
}

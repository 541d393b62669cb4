//! `stratamq admin`: what an operator does to a cluster that is not running.

use super::failure::{Exit, Failure};
use super::print::{Printer, bytes, count, fields, table, time};
use super::store::{opened, unusable};
use super::waiting::Waiting;
use clap::{Args, Subcommand};
use metadata::rebuild::{
    Gathered, Plan, Progress, RebuildError, RebuiltPg, Source, Unread, gather, plan, rebuild_at,
};
use serde::Serialize;
use std::path::PathBuf;
use storage::Store;
use storage::env::Env;
use storage::object::StoreUrl;
use storage::tier::rebuild::{Doubt, Reason};

/// Rows of what was not taken that a person is shown.
const LEFT_OUT_SHOWN: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make the metadata anew from the object store, when they are lost
    #[command(after_help = "Examples:
  stratamq admin rebuild-metadata --store s3://mq-prod/eu --data /var/lib/stratamq --dry-run
  stratamq admin rebuild-metadata --store s3://mq-prod/eu --data /var/lib/stratamq
  stratamq serve --data /var/lib/stratamq
  stratamq fsck --store s3://mq-prod/eu --data /var/lib/stratamq

Topics and groups come back as of the newest copy in the store; messages as far as they were
uploaded. What was in a journal alone does not, nor does the secret of receipt handles: messages that
were out are delivered again. No broker of the old cluster may run any more.

It ends with 0 when the metadata are made (or could be, with --dry-run), 2 when they cannot be, 3 when
the store cannot be reached.")]
    RebuildMetadata(RebuildMetadata),
}

#[derive(Args, Debug)]
pub(crate) struct RebuildMetadata {
    /// A folder, or s3://bucket/prefix
    #[arg(long, env = "STRATAMQ_STORE", default_value = "stratamq-data/store", value_name = "URL")]
    store: StoreUrl,
    /// The folder that gets the metadata; it has none, and no journal
    #[arg(long, env = "STRATAMQ_DATA", default_value = "stratamq-data", value_name = "DIR")]
    data: PathBuf,
    /// Say what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// Also take what an owner wrote that had perhaps been replaced: nothing committed is missed then, and
    /// messages may come back that were never to be seen
    #[arg(long)]
    take_doubtful: bool,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl AdminCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            AdminCommand::RebuildMetadata(rebuild) => rebuild.json,
        }
    }
}

pub(super) async fn execute(command: AdminCommand, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        AdminCommand::RebuildMetadata(rebuild) => rebuild.execute(printer).await,
    }
}

impl RebuildMetadata {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let env = Env::system();
        let file = self.data.join("metadata.redb");
        self.refuse_what_is_there(&file)?;
        let bucket = opened(&self.store, &env).await?;
        let mut waiting = Waiting::new(self.json, env.clone());
        let gathered = gather(&bucket, &mut |progress| waiting.say(|| line(progress))).await;
        waiting.end();
        let gathered = gathered.map_err(|error| self.failure(error))?;
        let doubt = if self.take_doubtful { Doubt::Take } else { Doubt::Leave };
        let planned = plan(&gathered, doubt, secret(&env)).map_err(|error| self.failure(error))?;
        printer.show(&Shown::of(&planned, &gathered), || described(&planned, &gathered))?;
        if self.dry_run {
            return printer.say("\nnothing was made; without --dry-run it is");
        }
        std::fs::create_dir_all(&self.data)
            .map_err(|error| Failure::usage(format!("{}: {error}", self.data.display())))?;
        rebuild_at(&file, &planned, env).await.map_err(|error| self.failure(error))?;
        let (data, store) = (self.data.display(), &self.store);
        printer.say(&format!(
            "\nmade {}\nstart with: stratamq serve --data {data}\nverify with: stratamq fsck --store {store} --data \
             {data}",
            file.display()
        ))
    }

    /// A journal would be taken for that of the new metadata, and what only it has would be dropped.
    fn refuse_what_is_there(&self, file: &std::path::Path) -> Result<(), Failure> {
        if file.exists() {
            let what = format!(
                "{} is there: metadata are rebuilt into an empty place only",
                file.display()
            );
            return Err(
                Failure::usage(what).hint("move it away, or say another folder with --data")
            );
        }
        if Store::is_made(&self.data.join("journal")) {
            let what = format!("{} has a journal of before", self.data.display());
            return Err(Failure::usage(what)
                .hint("it may hold what is not in the store: move it away and keep it, or say another --data"));
        }
        Ok(())
    }

    fn failure(&self, error: RebuildError) -> Failure {
        if let RebuildError::Bucket(error) = &error {
            return unusable(error);
        }
        let hint = if matches!(error, RebuildError::NoCatalog { .. }) {
            format!("look with: stratamq store check --store {}", self.store)
        } else {
            String::new()
        };
        let what =
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect::<Vec<_>>();
        Failure { exit: Exit::Usage, what: what.join(": "), hint }
    }
}

fn secret(env: &Env) -> [u8; 32] {
    let mut secret = [0; 32];
    for part in secret.chunks_exact_mut(8) {
        part.copy_from_slice(&env.random_u64().to_be_bytes());
    }
    secret
}

fn line(progress: Progress) -> String {
    match progress {
        Progress::Listed(names) => format!("{} listed", count(names, "object")),
        Progress::Looked(looked, all) => format!("{looked} of {} looked at", count(all, "bundle")),
    }
}

/// The plan, for a script.
#[derive(Serialize)]
struct Shown<'a> {
    cluster: &'a str,
    catalog: String,
    catalog_taken_ms: u64,
    topics: usize,
    groups: usize,
    unknown_queues: usize,
    objects: u64,
    pgs: Vec<PgRow>,
    unread: Vec<UnreadRow<'a>>,
}

#[derive(Serialize)]
struct PgRow {
    pg: String,
    epoch: u32,
    from: String,
    copied: u64,
    tiered: u64,
    bundles_taken: usize,
    left_out: Vec<LeftRow>,
}

#[derive(Serialize)]
struct LeftRow {
    object: String,
    epoch: u32,
    from: u64,
    to: u64,
    why: &'static str,
}

#[derive(Serialize)]
struct UnreadRow<'a> {
    object: &'a str,
    why: &'a str,
}

impl PgRow {
    fn of(rebuilt: &RebuiltPg) -> PgRow {
        let left_out = rebuilt.left_out.iter().map(|left| LeftRow {
            object: left.object.to_string(),
            epoch: left.epoch.0,
            from: left.from.0,
            to: left.to.0,
            why: why(left.reason),
        });
        PgRow {
            pg: rebuilt.pg.to_string(),
            epoch: rebuilt.record.epoch.0,
            from: source(&rebuilt.source),
            copied: rebuilt.copied.0,
            tiered: rebuilt.record.tiered.0,
            bundles_taken: rebuilt.taken,
            left_out: left_out.collect(),
        }
    }
}

impl<'a> Shown<'a> {
    fn of(plan: &'a Plan, gathered: &'a Gathered) -> Shown<'a> {
        let starting =
            |with: &str| plan.named.iter().filter(|(key, _)| key.starts_with(with)).count();
        let unread = |Unread { name, why }: &'a Unread| UnreadRow { object: name, why };
        Shown {
            cluster: &plan.cluster.name,
            catalog: plan.catalog.to_string(),
            catalog_taken_ms: gathered.catalog_taken().0,
            topics: starting("topic/"),
            groups: starting("group/"),
            unknown_queues: plan.unknown_queues.len(),
            objects: gathered.objects,
            pgs: plan.pgs.iter().map(PgRow::of).collect(),
            unread: gathered.unread.iter().map(unread).collect(),
        }
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Copy(name) => name.to_string(),
        Source::Root(name) => name.to_string(),
        Source::Nothing => "nothing".to_owned(),
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Superseded => "another has its place",
        Reason::Detached => "nothing leads to it",
        Reason::Doubtful => "only a replaced owner wrote it; --take-doubtful takes it",
        Reason::Full => "the record cannot name more",
    }
}

fn described(plan: &Plan, gathered: &Gathered) -> String {
    let shown = Shown::of(plan, gathered);
    let mut text = fields(&[
        ("cluster", shown.cluster.to_owned()),
        ("topics", shown.topics.to_string()),
        ("groups", shown.groups.to_string()),
        ("as of", time(shown.catalog_taken_ms)),
        ("objects seen", shown.objects.to_string()),
    ]);
    if shown.unknown_queues > 0 {
        let queues = count(shown.unknown_queues as u64, "queue");
        text.push_str(&format!(
            "\n{queues} with messages belong to no topic of then: deleted, or made later; nobody sees those\n"
        ));
    }
    let rows: Vec<Vec<String>> = shown
        .pgs
        .iter()
        .zip(&plan.pgs)
        .filter(|(_, rebuilt)| rebuilt.source != Source::Nothing || rebuilt.taken > 0)
        .map(|(row, rebuilt)| {
            let log = rebuilt.record.tiered.since(rebuilt.pg.first_lsn());
            let beyond = rebuilt.record.tiered.since(rebuilt.copied);
            vec![row.pg.clone(), row.epoch.to_string(), bytes(log), bytes(beyond), row.from.clone()]
        })
        .collect();
    text.push('\n');
    text.push_str(&table(&["PG", "EPOCH", "LOG", "BEYOND COPY", "FROM"], &rows));
    let left =
        shown.pgs.iter().flat_map(|row| row.left_out.iter().map(move |left| (&row.pg, left)));
    let all = left.clone().count();
    for (pg, LeftRow { object, from, to, why, .. }) in left.take(LEFT_OUT_SHOWN) {
        text.push_str(&format!("not taken: pg {pg} {from}..{to} of bundle {object}: {why}\n"));
    }
    if all > LEFT_OUT_SHOWN {
        text.push_str(&format!("and {} more; --json shows all\n", all - LEFT_OUT_SHOWN));
    }
    for UnreadRow { object, why } in &shown.unread {
        text.push_str(&format!("not readable: {object}: {why}\n"));
    }
    text
}

//! `stratamq store`: whether the object store is as it should be, and making it so.
//!
//! The other commands ask a broker; this one asks the store itself, with this machine's credentials,
//! so it can be used before there is a broker.

use super::failure::{Exit, Failure};
use super::print::{Printer, count};
use bucket::{Access, Error, Finding, Outcome, Step, Taken, Verdict, Wanted};
use clap::{Args, Subcommand};
use serde::Serialize;
use storage::env::Env;
use storage::object::{Advice, Bucket, StoreUrl};

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Check the object store: settings, permissions, and that it returns what it is given
    #[command(after_help = "Examples:
  stratamq store check
  stratamq store check --store s3://mq-prod/eu
  AWS_ENDPOINT_URL=http://127.0.0.1:7070 stratamq store check --store s3://mq --json

Endpoint, region and credentials are found as the AWS tools find them: AWS_ variables, profiles,
web identity, container, instance. It ends with 0 when nothing is wrong, 1 when something is, 3 when
the store cannot be reached.")]
    Check(Check),
    /// Make the object store, or set what is not as it should be
    #[command(after_help = "Examples:
  stratamq store create --store s3://mq-prod/eu --dry-run
  stratamq store create --store s3://mq-prod/eu
  stratamq store create --store s3://mq-audit --object-lock

It makes the bucket when it is missing, blocks public access, encrypts, keeps versions for a while,
and clears away unfinished uploads. Rules that others made stay.")]
    Create(Create),
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    store: Store,
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    store: Store,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct Store {
    /// A folder, or s3://bucket/prefix
    #[arg(long, env = "STRATAMQ_STORE", default_value = "stratamq-data/store", value_name = "URL")]
    store: StoreUrl,
    /// Topics are to be locked against deletion (S3 Object Lock)
    #[arg(long)]
    object_lock: bool,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Store {
    fn wanted(&self) -> Wanted {
        Wanted { object_lock: self.object_lock }
    }
}

impl StoreCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            StoreCommand::Check(check) => check.store.json,
            StoreCommand::Create(create) => create.store.json,
        }
    }
}

pub(super) async fn execute(command: StoreCommand, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        StoreCommand::Check(check) => check.execute(printer).await,
        StoreCommand::Create(create) => create.execute(printer).await,
    }
}

/// A finding, for a script.
#[derive(Serialize)]
struct FindingRow<'a> {
    what: &'a str,
    is: &'a str,
    verdict: &'static str,
    advice: &'a str,
}

impl<'a> FindingRow<'a> {
    fn of(finding: &'a Finding) -> FindingRow<'a> {
        let Finding { what, is, verdict, advice } = finding;
        FindingRow { what, is, verdict: verdict.label(), advice }
    }
}

impl Check {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let url = &self.store.store;
        let findings = bucket::check(url, self.store.wanted(), &Env::system()).await;
        let findings = findings.map_err(|error| failure(error, url))?;
        let rows: Vec<FindingRow<'_>> = findings.iter().map(FindingRow::of).collect();
        printer.show(&rows, || described(&findings))?;
        let is_wrong = |finding: &&Finding| finding.verdict == Verdict::Wrong;
        match findings.iter().filter(is_wrong).count() as u64 {
            0 => printer.say(&format!("\nthe store {url} can be used")),
            wrong => Err(Failure::refused(format!("{} wrong with {url}", count(wrong, "thing")))
                .hint("what to do stands beside each; check again afterwards")),
        }
    }
}

fn described(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let word = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Better => "hint",
            Verdict::Wrong => "WRONG",
            Verdict::Unanswered => "?",
        };
        let Finding { what, is, advice, .. } = finding;
        let advice = if advice.is_empty() { String::new() } else { format!(": {advice}") };
        format!("{word:<5}  {what:<width$}  {is}{advice}\n")
    };
    findings.iter().map(line).collect()
}

/// A step and how it went, for a script.
#[derive(Serialize)]
struct StepRow {
    step: String,
    /// `planned`, `done`, `unsupported` or `denied`.
    outcome: &'static str,
    /// What the service said, and what to do.
    advice: String,
}

impl StepRow {
    fn planned(step: &Step) -> StepRow {
        StepRow { step: step.to_string(), outcome: "planned", advice: String::new() }
    }

    fn taken(taken: &Taken) -> StepRow {
        let (outcome, advice) = match &taken.outcome {
            Outcome::Done => ("done", String::new()),
            Outcome::Unsupported(said) => {
                ("unsupported", format!("this service does not do it ({said})"))
            }
            Outcome::Denied { permission, said } => {
                ("denied", format!("the credentials may not: allow {permission} ({said})"))
            }
        };
        StepRow { step: taken.step.to_string(), outcome, advice }
    }

    fn line(&self) -> String {
        let advice =
            if self.advice.is_empty() { String::new() } else { format!(": {}", self.advice) };
        format!("{:<11}  {}{advice}\n", self.outcome, self.step)
    }
}

impl Create {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let (url, wanted, env) = (&self.store.store, self.store.wanted(), Env::system());
        let rows: Vec<StepRow> = if self.dry_run {
            let steps = bucket::plan(url, wanted, &env).await;
            steps.map_err(|error| failure(error, url))?.iter().map(StepRow::planned).collect()
        } else {
            let taken = bucket::create(url, wanted, &env).await;
            taken.map_err(|error| failure(error, url))?.iter().map(StepRow::taken).collect()
        };
        printer.show(&rows, || rows.iter().map(StepRow::line).collect())?;
        let denied = rows.iter().filter(|row| row.outcome == "denied").count() as u64;
        if denied > 0 {
            let what = format!("{} of {url} could not be taken", count(denied, "step"));
            return Err(Failure::refused(what).hint("the same again with credentials that may"));
        }
        match (rows.is_empty(), self.dry_run) {
            (true, _) => printer.say(&format!("{url} is as it should be: nothing to do")),
            (false, true) => printer.say("nothing was done; without --dry-run it is"),
            (false, false) => {
                printer.say(&format!("look with: stratamq store check --store {url}"))
            }
        }
    }
}

/// Who has to act: 3 where nobody answers, 1 where the store says no.
fn failure(error: Error, url: &StoreUrl) -> Failure {
    let (exit, hint) = match &error {
        Error::Missing { .. } => {
            (Exit::Refused, format!("make it with: stratamq store create --store {url}"))
        }
        Error::NoCredentials => (Exit::Refused, CREDENTIALS.to_owned()),
        Error::Failed { reached: false, .. } | Error::FailedObject { reached: false, .. } => {
            (Exit::Unreachable, REACH.to_owned())
        }
        Error::Store(store) => match store.advice() {
            Advice::Retry(_) => (Exit::Unreachable, REACH.to_owned()),
            Advice::Refresh | Advice::Fix | Advice::Stop => (Exit::Refused, String::new()),
        },
        Error::Failed { reached: true, .. }
        | Error::FailedObject { reached: true, .. }
        | Error::Denied { .. }
        | Error::DeniedObject { .. }
        | Error::Taken { .. } => (Exit::Refused, String::new()),
    };
    Failure { exit, what: error.to_string(), hint }
}

/// The bucket at `url`, to read what is in it. A folder that is missing is not made.
pub(super) async fn opened(url: &StoreUrl, env: &Env) -> Result<Bucket, Failure> {
    let access = match url {
        StoreUrl::Folder(folder) if !folder.is_dir() => {
            return Err(Failure::usage(format!("there is no folder {}", folder.display()))
                .hint("say where the store is with --store"));
        }
        StoreUrl::Folder(_) => None,
        StoreUrl::S3 { .. } => Some(Access::of_environment(env.clone()).await.for_data()),
    };
    Bucket::open(url, access, env.clone()).map_err(|error| unusable(&error))
}

/// Who has to act when the bucket cannot be read.
pub(super) fn unusable(error: &storage::object::Error) -> Failure {
    let (exit, hint) = match error.advice() {
        Advice::Retry(_) => (Exit::Unreachable, REACH),
        Advice::Refresh | Advice::Fix | Advice::Stop => (Exit::Usage, ""),
    };
    Failure { exit, what: error.to_string(), hint: hint.to_owned() }
}

/// The way out when nobody is asking.
const CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this \
                           machine a role";

/// The way out when nobody answers.
const REACH: &str = "AWS_ENDPOINT_URL says where a service is that is not Amazon's, AWS_REGION where the \
                     bucket is, AWS_PROFILE who asks";

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict, what: &'static str, advice: &str) -> Finding {
        Finding { what, is: "off".to_owned(), verdict, advice: advice.to_owned() }
    }

    #[test]
    fn findings_stand_below_each_other_with_what_to_do() {
        let text = described(&[
            finding(Verdict::Good, "region", ""),
            finding(Verdict::Wrong, "encryption", "set it"),
            finding(Verdict::Unanswered, "versions", "not told"),
        ]);
        let lines = "ok     region      off\nWRONG  encryption  off: set it\n?      versions    off: not told\n";
        assert_eq!(text, lines);
    }

    #[test]
    fn exit_codes_say_who_has_to_act() {
        let url: StoreUrl = "s3://bucket".parse().unwrap();
        let failed = |reached| Error::Failed {
            what: "make",
            bucket: "bucket".to_owned(),
            said: "no".to_owned(),
            reached,
        };
        assert_eq!(failure(failed(false), &url).exit, Exit::Unreachable);
        assert_eq!(failure(failed(true), &url).exit, Exit::Refused);
        let missing = failure(Error::Missing { bucket: "bucket".to_owned() }, &url);
        assert!(missing.hint.contains("store create --store s3://bucket"), "{}", missing.hint);
    }
}

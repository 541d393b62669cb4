//! `stratamq config`: what a broker would run with, and what one runs with.

use super::connect::AdminAddress;
use super::failure::Failure;
use super::print::{Printer, bytes, fields};
use crate::serve::Serve;
use clap::{Args, Subcommand};
use gateway::admin::api::Config;
use gateway::listen::TlsFiles;
use gateway::settings::Settings;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check whether a broker could start with these options, without starting one
    #[command(after_help = "Examples:
  stratamq config check --data /var/lib/stratamq --journal-capacity 64GiB
  stratamq config check --listen 0.0.0.0 --http-listen 0.0.0.0 && echo good")]
    Check(Box<Check>),
    /// Show what a running broker runs with
    #[command(after_help = "Examples:
  stratamq config show
  stratamq config show --json | jq .journal_capacity_bytes")]
    Show(Show),
}

/// As for `stratamq serve`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    serve: Serve,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    #[command(flatten)]
    address: AdminAddress,
}

impl ConfigCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            ConfigCommand::Check(check) => check.json,
            ConfigCommand::Show(show) => show.address.json,
        }
    }
}

pub(super) async fn execute(command: ConfigCommand, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(check) => check.execute(printer),
        ConfigCommand::Show(show) => {
            let config: Config = show.address.open()?.get("/v1/config").await?;
            printer.show(&config, || described(&config))
        }
    }
}

fn described(config: &Config) -> String {
    let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let segment = bytes(config.journal_segment_bytes);
    let names = match config.http_names.as_slice() {
        [] => "addresses and localhost".to_owned(),
        names => format!("addresses, localhost, {}", names.join(", ")),
    };
    fields(&[
        ("version", config.version.clone()),
        ("cluster", config.cluster.clone()),
        ("gateway", config.gateway.clone()),
        ("data", config.data.clone()),
        ("gRPC", config.grpc.clone()),
        ("name server", config.nameserver.clone()),
        ("broker", config.broker.clone()),
        ("HTTP", format!("{}, asked for by {names}", config.http)),
        ("gRPC routes say", or(&config.advertise_grpc, "the address that a client used")),
        ("Remoting routes say", or(&config.advertise_remoting, "the address that a client used")),
        ("certificate", or(&config.tls_certificate, "self-signed")),
        ("placement groups", config.placement_groups.to_string()),
        ("journal", format!("{} in segments of {segment}", bytes(config.journal_capacity_bytes))),
        ("groups made at first use", if config.auto_create_groups { "yes" } else { "no" }.into()),
    ])
}

/// One thing that a start needs.
#[derive(Serialize)]
struct Finding {
    what: String,
    /// What stands in its way.
    error: Option<String>,
}

impl Check {
    fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let findings = look(&self.serve.settings());
        let wrong = findings.iter().filter(|finding| finding.error.is_some()).count();
        let line = |finding: &Finding| match &finding.error {
            None => format!("ok     {}\n", finding.what),
            Some(error) => format!("WRONG  {}: {error}\n", finding.what),
        };
        printer.show(&findings, || findings.iter().map(line).collect())?;
        if wrong == 0 {
            return printer.say("a broker could start with this");
        }
        let things = if wrong == 1 { "1 thing stands" } else { &format!("{wrong} things stand") };
        Err(Failure::usage(format!("{things} in the way of a start"))
            .hint("stratamq serve --help says what each option takes"))
    }
}

fn look(settings: &Settings) -> Vec<Finding> {
    let finding =
        |what: String, outcome: Result<(), String>| Finding { what, error: outcome.err() };
    let listen = &settings.listen;
    let mut findings = vec![
        finding("settings".to_owned(), settings.check()),
        finding(format!("data in {}", settings.data.display()), folder(&settings.data)),
    ];
    for (name, address) in [
        ("gRPC", listen.grpc),
        ("name server", listen.nameserver),
        ("broker", listen.broker),
        ("HTTP", listen.http),
    ] {
        findings.push(finding(format!("{name} on {address}"), free(address)));
    }
    if let Some(tls) = &settings.tls {
        findings.push(finding(format!("certificate {}", tls.certificate.display()), readable(tls)));
    }
    findings
}

fn folder(data: &Path) -> Result<(), String> {
    writable(data)?;
    // A broker holds this lock while it runs.
    match File::open(data.join("journal")).map(|journal| journal.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => {
            Err("a broker runs on it; stop that one, or give another --data".to_owned())
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The folder, or the nearest one above it that exists, takes files.
fn writable(data: &Path) -> Result<(), String> {
    let data = std::path::absolute(data).map_err(|error| error.to_string())?;
    let Some(there) = data.ancestors().find(|folder| folder.exists()) else {
        return Err("there is no such place".to_owned());
    };
    let probe = there.join(format!(".stratamq-check-{}", std::process::id()));
    let made = std::fs::create_dir(&probe);
    made.map_err(|error| format!("{}: {error}", there.display()))?;
    // An empty folder that stays behind is no harm.
    let _ = std::fs::remove_dir(&probe);
    Ok(())
}

fn free(address: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err("the port is taken; is a broker running already?".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn readable(tls: &TlsFiles) -> Result<(), String> {
    let chain = CertificateDer::pem_file_iter(&tls.certificate);
    let chain = chain.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key);
    key.map(drop).map_err(|error| format!("{}: {error}", tls.key.display()))
}

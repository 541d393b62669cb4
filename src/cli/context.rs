//! `stratamq context`: names for clusters, kept in a file, so that no address has to be typed.
//!
//! Where a command goes is said, strongest first, by its own `--admin` or `--endpoint`, by
//! `--context`, by STRATAMQ_ADMIN or STRATAMQ_ENDPOINT, by STRATAMQ_CONTEXT, by the context in use,
//! and else it is this machine.

use super::connect::{grpc_address, http_address};
use super::failure::Failure;
use super::print::{Printer, table};
use clap::{Args, Subcommand};
use client::Endpoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names a context where the command line does not.
const NAMED_BY: &str = "STRATAMQ_CONTEXT";

/// A cluster, as this user reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    /// Known where it was looked up.
    #[serde(skip)]
    pub(super) name: String,
    /// HTTP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) admin: Option<String>,
    /// gRPC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<String>,
    /// Encrypt, without checking the certificate.
    #[serde(default)]
    pub(super) tls: bool,
    /// Encrypt, and check against the authorities in this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tls_ca: Option<PathBuf>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contexts {
    #[serde(default)]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the clusters that have a name here; * marks the one in use
    #[command(after_help = "Examples:
  stratamq context list
  stratamq context list --json | jq -r .current")]
    List(List),
    /// Make a name for a cluster, or change what it stands for; what is not named stays
    #[command(after_help = "Examples:
  stratamq context add prod --admin 10.0.0.7:8082 --endpoint mq.example.org:8081 --tls
  stratamq context use prod
  stratamq topic list --context prod")]
    Add(Add),
    /// Send all further commands to a cluster
    #[command(after_help = "Examples:
  stratamq context use prod
  stratamq cluster info                               of prod, from now on
  stratamq cluster info --context test                of another, once")]
    Use(Named),
    /// Forget a name; nothing happens to the cluster
    #[command(after_help = "Examples:
  stratamq context remove prod")]
    Remove(Named),
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Add {
    /// The name: letters, digits, - _ and .
    #[arg(value_parser = context_name)]
    name: String,
    /// HTTP address of the cluster, for administration
    #[arg(long, value_parser = http_address, value_name = "HOST:PORT")]
    admin: Option<Endpoint>,
    /// gRPC address of the cluster, for messages
    #[arg(long, value_parser = grpc_address, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,
    /// Encrypt messages, without checking the certificate
    #[arg(long)]
    tls: bool,
    /// Encrypt messages, and check the certificate against these authorities (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    tls_ca: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The name
    name: String,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl ContextCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            ContextCommand::List(List { json })
            | ContextCommand::Add(Add { json, .. })
            | ContextCommand::Use(Named { json, .. })
            | ContextCommand::Remove(Named { json, .. }) => *json,
        }
    }
}

pub(super) fn execute(command: ContextCommand, printer: &mut Printer) -> Result<(), Failure> {
    let file = file()?;
    let mut contexts = Contexts::load(&file)?;
    match command {
        ContextCommand::List(_) => printer.show(&contexts, || contexts.listed()),
        ContextCommand::Add(add) => {
            let name = add.name.clone();
            contexts.add(add)?;
            contexts.save(&file)?;
            printer.show(&contexts, || {
                format!(
                    "there is context {name} now\n\
                     use it with: stratamq context use {name}   (or once: --context {name})\n"
                )
            })
        }
        ContextCommand::Use(Named { name, .. }) => {
            contexts.get(&name)?;
            contexts.current = Some(name.clone());
            contexts.save(&file)?;
            printer.show(&contexts, || format!("commands go to {name} from now on\n"))
        }
        ContextCommand::Remove(Named { name, .. }) => {
            contexts.get(&name)?;
            contexts.contexts.remove(&name);
            let used = contexts.current.as_deref() == Some(name.as_str());
            if used {
                contexts.current = None;
            }
            contexts.save(&file)?;
            let next = if used { "; commands go to this machine again" } else { "" };
            printer.show(&contexts, || format!("forgot context {name}{next}\n"))
        }
    }
}

/// One that a shell takes as it is.
fn context_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return Err("a name has letters, digits, - _ and .".to_owned());
    }
    Ok(text.to_owned())
}

/// The context that `--context` names; an error where there is none of that name.
pub(super) fn named(name: &str) -> Result<Context, Failure> {
    Contexts::load(&file()?)?.look_up(name)
}

/// The context that counts where the command line says nothing, if any.
pub(super) fn current() -> Result<Option<Context>, Failure> {
    if let Ok(name) = std::env::var(NAMED_BY)
        && !name.is_empty()
    {
        return match named(&name) {
            Ok(context) => Ok(Some(context)),
            Err(failure) => {
                Err(Failure { what: format!("{NAMED_BY}: {}", failure.what), ..failure })
            }
        };
    }
    // Nobody has to have a home to talk to this machine.
    let Ok(file) = file() else { return Ok(None) };
    let contexts = Contexts::load(&file)?;
    contexts.current.as_ref().map(|name| contexts.look_up(name)).transpose()
}

fn file() -> Result<PathBuf, Failure> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".config")))
        .ok_or_else(|| {
            Failure::usage(
                "there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set",
            )
        })?;
    Ok(config.join("stratamq").join("contexts.json"))
}

impl Contexts {
    fn load(file: &Path) -> Result<Contexts, Failure> {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            Err(error) => return Err(Failure::usage(format!("{}: {error}", file.display()))),
        };
        serde_json::from_slice(&text).map_err(|error| {
            Failure::usage(format!("{} cannot be read: {error}", file.display()))
                .hint("mend it, or delete it and make contexts anew")
        })
    }

    /// Whole or not at all: a command that reads at the same time sees the old or the new.
    fn save(&self, file: &Path) -> Result<(), Failure> {
        let write = || {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let fresh = file.with_extension(format!("json.{}", std::process::id()));
            std::fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
            std::fs::rename(&fresh, file)
        };
        write().map_err(|error: std::io::Error| {
            Failure::usage(format!("{} cannot be written: {error}", file.display()))
        })
    }

    fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            Failure::usage(format!("there is no context {name}"))
                .hint("stratamq context list shows what there is; context add makes one")
        })
    }

    fn look_up(&self, name: &str) -> Result<Context, Failure> {
        Ok(Context { name: name.to_owned(), ..self.get(name)?.clone() })
    }

    fn add(&mut self, add: Add) -> Result<(), Failure> {
        let Add { name, admin, endpoint, tls, tls_ca, .. } = add;
        let before = self.contexts.remove(&name).unwrap_or_default();
        let text = |address: Option<Endpoint>| address.map(|address| address.to_string());
        let (admin, endpoint) = (text(admin).or(before.admin), text(endpoint).or(before.endpoint));
        if admin.is_none() && endpoint.is_none() {
            return Err(Failure::usage("a context without an address leads nowhere")
                .hint("give --admin HOST:PORT, --endpoint HOST:PORT, or both"));
        }
        // A relative path would mean another file in another folder.
        let tls_ca = tls_ca.map(|path| std::path::absolute(&path).unwrap_or(path));
        let (tls, tls_ca) =
            if tls || tls_ca.is_some() { (tls, tls_ca) } else { (before.tls, before.tls_ca) };
        let context = Context { name: name.clone(), admin, endpoint, tls, tls_ca };
        self.contexts.insert(name, context);
        Ok(())
    }

    fn listed(&self) -> String {
        if self.contexts.is_empty() {
            return "there is no context yet: commands go to this machine\n\
                    make one with: stratamq context add NAME --admin HOST:PORT --endpoint \
                    HOST:PORT\n"
                .to_owned();
        }
        let row = |(name, context): (&String, &Context)| {
            let mark = if self.current.as_ref() == Some(name) { "*" } else { "" };
            let address = |address: &Option<String>| address.clone().unwrap_or_else(|| "-".into());
            let tls = match (&context.tls_ca, context.tls) {
                (Some(file), _) => file.display().to_string(),
                (None, true) => "unchecked".to_owned(),
                (None, false) => "off".to_owned(),
            };
            let (admin, endpoint) = (address(&context.admin), address(&context.endpoint));
            vec![mark.to_owned(), name.clone(), admin, endpoint, tls]
        };
        let rows: Vec<Vec<String>> = self.contexts.iter().map(row).collect();
        table(&["", "CONTEXT", "ADMIN", "ENDPOINT", "TLS"], &rows)
    }
}

//! Replays that there are: looking at them, and telling them what to do.

use super::super::connect::{AdminAddress, name};
use super::super::failure::Failure;
use super::super::http::{Only, path};
use super::super::print::Printer;
use super::{follow, text, unknown};
use clap::{Args, Subcommand};
use gateway::admin::api::{Replay, ReplayList};

#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List replays: those at work, and the last thousand
    #[command(after_help = "Examples:
  stratamq replay list
  stratamq replay list --json | jq -r '.replays[] | select(.state == \"running\") | .name'")]
    List(List),
    /// Show a replay, and how far it is
    #[command(after_help = "Examples:
  stratamq replay show orders-20260805-140309-123
  stratamq replay show again --follow                 to its end")]
    Show(Show),
    /// Let a replay rest
    Pause(Named),
    /// Let a replay go on where it was
    Resume(Named),
    /// End a replay; what it wrote stays
    Cancel(Named),
}

#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// The replay
    #[arg(value_parser = name)]
    name: String,
    /// Watch it to its end
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    address: AdminAddress,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// The replay
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    address: AdminAddress,
}

impl JobCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            JobCommand::List(List { address }) | JobCommand::Show(Show { address, .. }) => {
                address.json
            }
            JobCommand::Pause(named) | JobCommand::Resume(named) | JobCommand::Cancel(named) => {
                named.address.json
            }
        }
    }

    pub(super) async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            JobCommand::List(list) => {
                let list: ReplayList = list.address.open()?.get("/v1/replays").await?;
                printer.show(&list, || text::listed(&list))
            }
            JobCommand::Show(show) => show.execute(printer).await,
            JobCommand::Pause(named) => named.tell("pause", printer).await,
            JobCommand::Resume(named) => named.tell("resume", printer).await,
            JobCommand::Cancel(named) => named.cancel(printer).await,
        }
    }
}

impl Show {
    async fn execute(self, printer: &mut Printer) -> Result<(), Failure> {
        let admin = self.address.open()?;
        if self.follow {
            return follow::to_the_end(&admin, &self.name, printer, self.address.json).await;
        }
        let replay: Replay = admin.get(&path("replays", &self.name)).await.map_err(unknown)?;
        printer.show(&replay, || text::described(&replay))
    }
}

impl Named {
    async fn tell(self, verb: &str, printer: &mut Printer) -> Result<(), Failure> {
        let path = format!("{}/{verb}", path("replays", &self.name));
        let nothing = serde_json::json!({});
        let answer = self.address.open()?.put(&path, &nothing, Only::Anyhow).await;
        let replay: Replay = answer.map_err(unknown)?.read()?;
        printer.show(&replay, || format!("replay {} is {}\n", replay.name, replay.state))
    }

    async fn cancel(self, printer: &mut Printer) -> Result<(), Failure> {
        let (admin, path) = (self.address.open()?, path("replays", &self.name));
        admin.delete(&path).await.map_err(unknown)?;
        let replay: Replay = admin.get(&path).await.map_err(unknown)?;
        printer.show(&replay, || format!("replay {} is {}\n", replay.name, replay.state))
    }
}

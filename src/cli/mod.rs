//! The operator's commands: `stratamq topic | group | message | replay | cluster | store | config |
//! context | bench | fsck | admin`.
//!
//! Administration goes through the gateway's HTTP API, messages through gRPC, as a client's would.
//! A command prints what it did and what to try next; with `--json` it prints only data. What fails
//! says why and what to do on standard error, and by its exit code who is to act: 1 the broker
//! refused, 2 the command was used wrongly, 3 nobody answers.
mod admin;
mod bench;
mod clone;
mod cluster;
mod config;
mod connect;
mod context;
mod failure;
mod fsck;
mod group;
mod http;
mod look;
mod message;
mod meter;
mod print;
mod progress;
mod replay;
mod store;
mod topic;
mod waiting;

use clap::Subcommand;
use failure::Failure;
use print::Printer;
use std::ffi::OsString;
use std::process::ExitCode;

/// What an operator can ask for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, list, describe, change and delete topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Make, list, describe, change, move and delete consumer groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Send, receive, follow and find messages
    #[command(subcommand)]
    Message(message::MessageCommand),
    /// Write a span of time of a topic again, into another topic or to one group
    ///
    /// The broker does the work; Ctrl-C ends only the watching. Copies keep keys, tag, properties and
    /// id. After a crash it goes on where it was, and may write what it wrote last a second time: the
    /// property STRATAMQ_REPLAY names what a copy is a copy of.
    #[command(after_help = "Examples:
  stratamq replay orders --from 2h --into orders-again --dry-run
  stratamq replay orders --from 2h --to 1h --tag 'paid || sent' --into orders-again
  stratamq replay orders --from 2026-08-05T14:00Z --group billing --rate 5000/s --detach
  stratamq replay --dlq billing                       its dead letters, to it again
  stratamq replay list
  stratamq replay show NAME --follow")]
    Replay(Box<replay::ReplayCommand>),
    /// Show the cluster
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Check and make the object store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Check settings before a start, show those of a running broker
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Give clusters names, and choose which one commands go to
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Put load on a broker, this one or any other that speaks RocketMQ 5, and measure it
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    Fsck(fsck::Fsck),
    /// Help a cluster that cannot start
    #[command(subcommand)]
    Admin(admin::AdminCommand),
}

/// Says what is wrong with a command line, or what was asked of it with `--help`: to a script as any
/// other failure, to a person in clap's words.
pub(crate) fn misused(error: &clap::Error, words: impl Iterator<Item = OsString>) -> ExitCode {
    let json = words.take_while(|word| word != "--").any(|word| word == "--json");
    if json && error.use_stderr() {
        Failure::misused(&error.render().to_string()).print(true);
    } else {
        // Nobody is left to tell when this fails.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Runs a command to its end and says how it went.
pub(crate) fn run(command: Command) -> ExitCode {
    let json = match &command {
        Command::Topic(command) => command.json(),
        Command::Group(command) => command.json(),
        Command::Message(command) => command.json(),
        Command::Replay(command) => command.json(),
        Command::Cluster(command) => command.json(),
        Command::Store(command) => command.json(),
        Command::Config(command) => command.json(),
        Command::Context(command) => command.json(),
        Command::Bench(command) => command.json(),
        Command::Fsck(fsck) => fsck.json,
        Command::Admin(command) => command.json(),
    };
    let mut printer = Printer::new(json, std::io::stdout());
    match block_on(execute(command, &mut printer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}

/// One thread is enough for one command.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("this machine gives no runtime: {error}")))?;
    runtime.block_on(work)
}

async fn execute(command: Command, printer: &mut Printer) -> Result<(), Failure> {
    match command {
        Command::Topic(command) => topic::execute(command, printer).await,
        Command::Group(command) => group::execute(command, printer).await,
        Command::Message(command) => message::execute(command, printer).await,
        Command::Replay(command) => command.execute(printer).await,
        Command::Cluster(command) => cluster::execute(command, printer).await,
        Command::Store(command) => store::execute(command, printer).await,
        Command::Config(command) => config::execute(command, printer).await,
        Command::Context(command) => context::execute(command, printer),
        Command::Bench(command) => bench::execute(command, printer).await,
        Command::Fsck(fsck) => fsck.execute(printer).await,
        Command::Admin(command) => admin::execute(command, printer).await,
    }
}

#[cfg(test)]
mod tests;

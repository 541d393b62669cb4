//! The `stratamq` command: `serve` starts a broker, the other commands talk to one.
mod cli;
mod serve;
#[cfg(feature = "otel")]
mod traces;

use clap::Parser;
use std::process::ExitCode;

/// Requests allocate and free on different threads, which the system's allocator serves with a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A message broker for RocketMQ clients.
#[derive(Parser, Debug)]
#[command(name = "stratamq", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Serve(serve::Serve),
    #[command(flatten)]
    Cli(cli::Command),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(serve) => serve::run(serve),
        Command::Cli(command) => cli::run(command),
    }
}

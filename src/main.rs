//! The `stratamq` command: `serve` starts a broker, the other commands talk to one.
mod cli;
mod log;
mod serve;
#[cfg(feature = "otel")]
mod traces;

use clap::{CommandFactory, Parser};
use std::io::Write;
use std::process::ExitCode;

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
    /// Print what a shell needs to complete these commands
    #[command(after_help = "Examples:
  stratamq completions bash > ~/.local/share/bash-completion/completions/stratamq
  stratamq completions zsh > ~/.zfunc/_stratamq
  stratamq completions fish > ~/.config/fish/completions/stratamq.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(serve) => serve::run(serve),
        Command::Cli(command) => cli::run(command),
        Command::Completions { shell } => complete(shell),
    }
}

fn complete(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "stratamq", &mut script);
    match std::io::stdout().lock().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

//! The `stratamq` command: `serve` starts a broker, the other commands talk to one.
mod cli;
mod log;
mod serve;
#[cfg(feature = "otel")]
mod traces;

use clap::{CommandFactory, Parser};
use std::io::Write;
use std::process::ExitCode;

/// What is below the list of commands.
const FIRST_STEPS: &str = "First steps:
  stratamq serve                                     a broker on this machine; in another terminal:
  stratamq topic create hello
  stratamq message send hello \"first message\"
  stratamq message receive hello --group readers

The --help of each command has examples, as in: stratamq group reset --help

Where commands go, the first that is said: --admin and --endpoint; --context; STRATAMQ_ADMIN and
STRATAMQ_ENDPOINT; STRATAMQ_CONTEXT; stratamq context use; else this machine.

Exit codes: 0 done, 1 the broker refused, 2 the command cannot be carried out as it was given,
3 nobody answers or the answer was lost. With --json what fails is one JSON object on standard
error, {\"error\": ..., \"hint\": ...}.";

/// A message broker for RocketMQ clients.
#[derive(Parser, Debug)]
#[command(name = "stratamq", version, arg_required_else_help = true, after_help = FIRST_STEPS)]
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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::misused(&error, std::env::args_os()),
    };
    match arguments.command {
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

//! What can be said to a bench.

use super::schedule::Arrivals;
use super::workload::{Sizes, Spread};
use crate::cli::connect::{ClientAddress, duration};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Send messages, at a rate or as fast as they are acknowledged
    #[command(after_help = "Examples:
  stratamq bench send orders                                as fast as it goes, 256 in flight
  stratamq bench send orders --rate 1000 --duration 1m      1,000/s whatever the broker does
  stratamq bench send orders --in-flight 1                  one synchronous sender
  stratamq bench send orders --batch 32 --in-flight 512 --connections 4 --threads 2
  stratamq bench send orders --size 100-4KiB --keys 1000 --key-spread zipf --json")]
    Send(SendBench),
    /// Receive and acknowledge messages as fast as it goes
    #[command(after_help = "Examples:
  stratamq bench receive orders --fill 100000               sends them first, then receives them
  stratamq bench receive orders --group g --ack each --receivers 16")]
    Receive(ReceiveBench),
    /// Send at a rate and receive: how long a message takes from when it was due to its receiver
    #[command(after_help = "Examples:
  stratamq bench end-to-end orders                          1,000/s for 10 s
  stratamq bench end-to-end orders --rate 5000 --arrivals poisson --duration 30s --json")]
    EndToEnd(EndToEndBench),
}

#[derive(Args, Debug)]
pub(crate) struct SendBench {
    #[command(flatten)]
    pub(super) common: Common,
    /// Requests a second times batch: messages a second. 0: as fast as answers come (a closed loop)
    #[arg(long, default_value_t = 0.0, value_parser = rate, allow_negative_numbers = true,
        value_name = "PER_SECOND")]
    pub(super) rate: f64,
    #[command(flatten)]
    pub(super) sending: Sending,
}

#[derive(Args, Debug)]
pub(crate) struct ReceiveBench {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) receiving: Receiving,
    /// Send so many messages first, and end when they are received
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) fill: u64,
    /// Body size of those: 1KiB, 100-4KiB, or by weight 1KiB=90,64KiB=10
    #[arg(long, default_value = "1KiB", value_name = "SIZES")]
    pub(super) size: Sizes,
}

#[derive(Args, Debug)]
pub(crate) struct EndToEndBench {
    #[command(flatten)]
    pub(super) common: Common,
    /// Messages a second. 0: as fast as answers come
    #[arg(long, default_value_t = 1000.0, value_parser = rate, allow_negative_numbers = true,
        value_name = "PER_SECOND")]
    pub(super) rate: f64,
    #[command(flatten)]
    pub(super) sending: Sending,
    #[command(flatten)]
    pub(super) receiving: Receiving,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    /// The topic; it must exist
    pub(super) topic: String,
    /// Connections to the broker, each a client of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000),
        value_name = "N")]
    pub(super) connections: u16,
    /// Threads of this program; connections are dealt out to them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256),
        value_name = "N")]
    pub(super) threads: u16,
    /// How long, warm-up included; 10s, or without end where --messages or --fill ends it
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(super) duration: Option<Duration>,
    /// The first part of the run, which is not measured
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub(super) warm_up: Duration,
    /// End after so many messages, warm-up included
    #[arg(long, value_name = "N")]
    pub(super) messages: Option<u64>,
    /// Two runs with one seed draw the same sizes, keys, groups and gaps
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) address: ClientAddress,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Sending {
    /// How the gaps between requests are
    #[arg(long, value_enum, default_value_t = Arrivals::Even)]
    pub(super) arrivals: Arrivals,
    /// Requests that may wait for their answers at once, over all connections
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..),
        value_name = "N")]
    pub(super) in_flight: u16,
    /// Messages of one request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096),
        value_name = "N")]
    pub(super) batch: u16,
    /// Body sizes: 1KiB, 100-4KiB, or by weight 1KiB=90,64KiB=10
    #[arg(long, default_value = "1KiB", value_name = "SIZES")]
    pub(super) size: Sizes,
    /// Different keys; 0 for none
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) keys: u32,
    /// How often each key is taken
    #[arg(long, value_enum, default_value_t = Spread::Uniform)]
    pub(super) key_spread: Spread,
    /// Different message groups, for a FIFO topic; 0 for none
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) groups: u32,
    /// How often each message group is taken
    #[arg(long, value_enum, default_value_t = Spread::Uniform)]
    pub(super) group_spread: Spread,
    /// Tag of the messages
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Receiving {
    /// Consumer group
    #[arg(long, default_value = "stratamq-bench", value_name = "NAME")]
    pub(super) group: String,
    /// Receive requests that wait at once, over all connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..),
        value_name = "N")]
    pub(super) receivers: u16,
    /// Messages that one receive asks for
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024),
        value_name = "N")]
    pub(super) receive_batch: u16,
    /// How what was received is acknowledged
    #[arg(long, value_enum, default_value_t = Acks::Together)]
    pub(super) ack: Acks,
    /// For how long nobody else gets the messages
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
    pub(super) invisible: Duration,
    /// How long a receive waits for a first message
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub(super) wait: Duration,
}

/// Requests for the acknowledgements of one receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Acks {
    /// One request for all.
    Together,
    /// A request for each message, at once, as the official clients do.
    Each,
}

impl BenchCommand {
    pub(crate) fn json(&self) -> bool {
        self.common().address.json
    }

    pub(super) fn common(&self) -> &Common {
        match self {
            BenchCommand::Send(bench) => &bench.common,
            BenchCommand::Receive(bench) => &bench.common,
            BenchCommand::EndToEnd(bench) => &bench.common,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.0..=10_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("give 0 to 10000000 messages a second".to_owned())
    }
}

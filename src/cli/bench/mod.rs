//! `stratamq bench`: load on any RocketMQ 5 endpoint, and what became of it.
//!
//! It speaks only the gRPC protocol of clients, so that another broker is measured by the same
//! program on the same work. Latency counts from the moment at which a request was due (see
//! [`schedule`]); with `--rate 0` a request is due when the one before it was answered, and the
//! result is a throughput, not a latency under load.
//!
//! It does not make topics, and it does not retry: a refusal is counted and shown.
mod connection;
mod options;
mod progress;
mod random;
mod receive;
mod report;
mod run;
mod schedule;
mod send;
mod session;
mod tally;
mod workload;

pub(crate) use options::BenchCommand;

use super::failure::Failure;
use super::print::Printer;
use options::{Common, Sending};
use report::Report;
use run::{Plan, ReceivePlan, SendPlan, carry_out};
use schedule::{Arrivals, Schedule};
use std::time::Duration;
use storage::env::Env;
use workload::{Kitchen, Recipe, Sizes, Spread};

/// Requests in flight and messages of each while a topic is filled.
const FILL_IN_FLIGHT: u16 = 32;
const FILL_BATCH: u16 = 32;

pub(super) async fn execute(command: BenchCommand, printer: &mut Printer) -> Result<(), Failure> {
    let common = command.common().clone();
    if common.duration.is_some_and(|duration| duration <= common.warm_up) {
        return Err(Failure::usage("--duration leaves nothing to measure")
            .hint("it has the --warm-up in it, and must be longer"));
    }
    let report = run_bench(command).await;
    let report =
        report.map_err(|failure| common.address.explain(failure.about("TOPIC", &common.topic)))?;
    printer.show(&report, || report.text())
}

async fn run_bench(command: BenchCommand) -> Result<Report, Failure> {
    let env = Env::system();
    let common = command.common().clone();
    let config = common.address.config()?;
    let mark = env.random_u64();
    let quiet = command.json();
    let base = Plan { name: "", config, common, send: None, receive: None, mark, quiet };
    let plan = match command {
        BenchCommand::Send(bench) => {
            let send = Some(send_plan(&env, &base, bench.sending, bench.rate, false)?);
            Plan { name: "send", send, ..base }
        }
        BenchCommand::Receive(bench) => {
            if bench.fill > 0 {
                fill(&env, &base, bench.fill, bench.size).await?;
            }
            let target = base.common.messages.or((bench.fill > 0).then_some(bench.fill));
            let receive = Some(ReceivePlan { options: bench.receiving, target });
            Plan { name: "receive", receive, ..base }
        }
        BenchCommand::EndToEnd(bench) => {
            let send = Some(send_plan(&env, &base, bench.sending, bench.rate, true)?);
            let receive = Some(ReceivePlan { options: bench.receiving, target: None });
            Plan { name: "end-to-end", send, receive, ..base }
        }
    };
    let cpu_before = tally::own_cpu();
    let (run, took) = carry_out(env, plan).await?;
    let cpu = tally::own_cpu().zip(cpu_before).map(|(after, before)| after - before);
    Ok(Report::of(&run, took, cpu))
}

fn send_plan(
    env: &Env,
    base: &Plan,
    options: Sending,
    rate: f64,
    stamped: bool,
) -> Result<SendPlan, Failure> {
    let Common { topic, seed, duration, messages, .. } = &base.common;
    let end = duration.unwrap_or(Duration::from_secs(if messages.is_some() { 86_400 } else { 10 }));
    let requests = rate / f64::from(options.batch);
    let schedule = (rate > 0.0).then(|| Schedule::new(requests, options.arrivals, *seed, end));
    let recipe = Recipe {
        topic: topic.clone(),
        sizes: options.size.clone(),
        keys: options.keys,
        key_spread: options.key_spread,
        groups: options.groups,
        group_spread: options.group_spread,
        tag: options.tag.clone(),
        seed: *seed,
        stamped,
    };
    let kitchen = Kitchen::new(recipe, base.mark, env.now()).map_err(Failure::usage)?;
    Ok(SendPlan { options, schedule, kitchen })
}

/// Sends what is to be received; nothing of it is measured.
async fn fill(env: &Env, base: &Plan, messages: u64, size: Sizes) -> Result<(), Failure> {
    let options = Sending {
        arrivals: Arrivals::Even,
        in_flight: FILL_IN_FLIGHT,
        batch: FILL_BATCH,
        size,
        keys: 0,
        key_spread: Spread::Uniform,
        groups: 0,
        group_spread: Spread::Uniform,
        tag: None,
    };
    let common = Common {
        messages: Some(messages),
        duration: None,
        warm_up: Duration::ZERO,
        ..base.common.clone()
    };
    let (config, quiet) = (base.config.clone(), base.quiet);
    let plan =
        Plan { name: "fill", config, common, send: None, receive: None, mark: base.mark, quiet };
    let send = Some(send_plan(env, &plan, options, 0.0, false)?);
    let (run, _) = carry_out(env.clone(), Plan { send, ..plan }).await?;
    let sent = run.record.lock().send.messages();
    if sent < messages {
        let refusals = run.record.lock().send.summary().map(|summary| summary.refused);
        let why = refusals.and_then(|refused| refused.into_keys().next()).unwrap_or_default();
        return Err(Failure::refused(format!("{sent} of {messages} messages were taken: {why}")));
    }
    Ok(())
}

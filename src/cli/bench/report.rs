//! The results, for people and for scripts.

use super::run::Run;
use super::tally::{Latency, Summary, as_f64};
use crate::cli::print::table;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a run gave.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mode: &'static str,
    endpoint: String,
    topic: String,
    settings: Settings,
    /// Warm-up and drain included.
    seconds: f64,
    /// User and system time of this program; none where the system does not tell.
    client_cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_to_end: Option<Summary>,
    /// Requests that were due and could not be sent until long after the end; their wait up to then
    /// is in the latencies of `send`.
    unserved: u64,
    redelivered: u64,
    /// For `end-to-end`: sent, acknowledged, and not received.
    missing: u64,
}

/// What was asked for.
#[derive(Debug, Serialize)]
struct Settings {
    connections: u16,
    threads: u16,
    tls: bool,
    warm_up_ms: u128,
    seed: u64,
    in_flight: Option<u16>,
    batch: Option<u16>,
    open_loop: Option<bool>,
    receivers: Option<u16>,
    receive_batch: Option<u16>,
    ack: Option<super::options::Acks>,
}

impl Report {
    pub(super) fn of(run: &Run, took: Duration, cpu: Option<Duration>) -> Report {
        let plan = &run.plan;
        let record = run.record.lock();
        let both = plan.send.is_some() && plan.receive.is_some();
        let sent = run.sent.messages.load(Ordering::Relaxed);
        let arrived = run.arrived.messages.load(Ordering::Relaxed);
        let sending = plan.send.as_ref().map(|send| &send.options);
        let receiving = plan.receive.as_ref().map(|receive| &receive.options);
        Report {
            mode: plan.name,
            endpoint: plan.config.access_point.to_string(),
            topic: plan.common.topic.clone(),
            settings: Settings {
                connections: plan.common.connections,
                threads: plan.common.threads,
                tls: !matches!(plan.config.tls, client::Tls::Off),
                warm_up_ms: plan.common.warm_up.as_millis(),
                seed: plan.common.seed,
                in_flight: sending.map(|options| options.in_flight),
                batch: sending.map(|options| options.batch),
                open_loop: plan.send.as_ref().map(|send| send.schedule.is_some()),
                receivers: receiving.map(|options| options.receivers),
                receive_batch: receiving.map(|options| options.receive_batch),
                ack: receiving.map(|options| options.ack),
            },
            seconds: took.as_secs_f64(),
            client_cpu_seconds: cpu.map(|cpu| cpu.as_secs_f64()),
            send: record.send.summary(),
            receive: record.receive.summary(),
            ack: record.ack.summary(),
            end_to_end: record.end_to_end.summary(),
            unserved: record.unserved,
            redelivered: record.redelivered,
            missing: if both { sent.saturating_sub(arrived) } else { 0 },
        }
    }

    /// A table of rates and latencies, and below it what went wrong.
    pub(super) fn text(&self) -> String {
        let series = [
            ("send", &self.send),
            ("receive", &self.receive),
            ("ack", &self.ack),
            ("end to end", &self.end_to_end),
        ];
        let head = ["", "MESSAGES/S", "MiB/S", "P50", "P90", "P99", "P99.9", "MAX"];
        let rows: Vec<Vec<String>> = series
            .iter()
            .filter_map(|(name, summary)| Some(row(name, summary.as_ref()?)))
            .collect();
        let mut text = table(&head, &rows);
        for (name, summary) in series {
            for (what, count) in summary.iter().flat_map(|summary| &summary.refused) {
                text.push_str(&format!("{name} refused {count} times: {what}\n"));
            }
        }
        for (count, what) in [
            (self.unserved, "requests were due and never sent: the broker does not keep up"),
            (self.redelivered, "messages came more than once"),
            (self.missing, "messages were acknowledged to the sender and not received"),
        ] {
            if count > 0 {
                text.push_str(&format!("{count} {what}\n"));
            }
        }
        text
    }
}

fn row(name: &str, summary: &Summary) -> Vec<String> {
    let Latency { p50, p90, p99, p999, max, .. } = summary.latency_us;
    let mib = summary.bytes_per_second / f64::from(1 << 20);
    let mut row =
        vec![name.to_owned(), format!("{:.0}", summary.messages_per_second), format!("{mib:.1}")];
    row.extend([p50, p90, p99, p999, max].map(time));
    row
}

/// Three digits and a unit.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.2} ms", as_f64(us) / 1e3),
        _ => format!("{:.2} s", as_f64(us) / 1e6),
    }
}

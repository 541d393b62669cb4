//! What happened: counts for the progress line, histograms for the results.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Latencies are kept from a microsecond to an hour, to three digits.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;
/// Different refusals that are told apart.
const REFUSALS_MAX: usize = 32;

/// Running counts, warm-up included.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) messages: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Running {
    pub(super) fn add(&self, messages: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// One kind of request in the measured part of the run.
pub(super) struct Series {
    latency: Histogram<u64>,
    requests: u64,
    messages: u64,
    bytes: u64,
    refused: BTreeMap<String, u64>,
    first: Option<Duration>,
    last: Duration,
}

impl Series {
    pub(super) fn new() -> Series {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS);
        Series {
            latency: latency.expect("the bounds are in order and the digits at most five"),
            requests: 0,
            messages: 0,
            bytes: 0,
            refused: BTreeMap::new(),
            first: None,
            last: Duration::ZERO,
        }
    }

    /// A request that was due at `due` and answered at `done`.
    pub(super) fn record(&mut self, due: Duration, done: Duration, messages: u64, bytes: u64) {
        self.late(due, done);
        self.requests += 1;
        self.messages += messages;
        self.bytes += bytes;
        self.first = Some(self.first.map_or(due, |first| first.min(due)));
        self.last = self.last.max(done);
    }

    /// A request that was due at `due` and at `now` had no answer: at least so late.
    pub(super) fn late(&mut self, due: Duration, now: Duration) {
        let us = u64::try_from(now.saturating_sub(due).as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(us.max(1));
    }

    pub(super) fn refuse(&mut self, what: String) {
        if self.refused.len() < REFUSALS_MAX || self.refused.contains_key(&what) {
            *self.refused.entry(what).or_default() += 1;
        }
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// `None` when nothing was asked.
    pub(super) fn summary(&self) -> Option<Summary> {
        if self.latency.is_empty() && self.refused.is_empty() {
            return None;
        }
        let seconds = self.last.saturating_sub(self.first.unwrap_or_default()).as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { as_f64(count) / seconds } else { 0.0 };
        Some(Summary {
            requests: self.requests,
            messages: self.messages,
            bytes: self.bytes,
            seconds,
            requests_per_second: per_second(self.requests),
            messages_per_second: per_second(self.messages),
            bytes_per_second: per_second(self.bytes),
            latency_us: Latency::of(&self.latency),
            refused: self.refused.clone(),
        })
    }
}

/// A series as it is printed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) requests: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// From the first request's due time to the last answer.
    pub(super) seconds: f64,
    pub(super) requests_per_second: f64,
    pub(super) messages_per_second: f64,
    pub(super) bytes_per_second: f64,
    pub(super) latency_us: Latency,
    /// Refusals by their words.
    pub(super) refused: BTreeMap<String, u64>,
}

/// Microseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) min: u64,
    pub(super) mean: f64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let (min, max) = (histogram.min(), histogram.max());
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        Latency { min, mean: histogram.mean(), p50, p90, p99, p999, max }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// CPU time that this process has used, from /proc/self/stat: `None` where there is none.
pub(super) fn own_cpu() -> Option<Duration> {
    /// USER_HZ is 100 on every architecture that Rust supports on Linux.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in the second field may hold spaces; it ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * (user.saturating_add(system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_charged_to_every_request_that_it_kept_waiting() {
        let mut series = Series::new();
        // Ten requests, due a millisecond apart, all answered when the stall ended at 100 ms.
        for due in 0..10 {
            series.record(Duration::from_millis(due), Duration::from_millis(100), 1, 10);
        }
        let summary = series.summary().unwrap();
        assert!((90_900..=91_100).contains(&summary.latency_us.min), "{summary:?}");
        assert!(summary.latency_us.p50 > 94_000);
        assert_eq!((summary.messages, summary.bytes), (10, 100));
        assert!((summary.seconds - 0.1).abs() < 1e-9);
    }

    #[test]
    fn refusals_are_counted_by_their_words_and_bounded() {
        let mut series = Series::new();
        for n in 0..100 {
            series.refuse(format!("refusal {}", n % 50));
        }
        assert_eq!(series.summary().unwrap().refused.len(), REFUSALS_MAX);
    }

    #[test]
    fn a_process_knows_its_own_cpu_time() {
        assert!(!cfg!(target_os = "linux") || own_cpu().is_some());
    }
}

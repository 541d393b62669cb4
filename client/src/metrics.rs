//! What a client counts of itself. No registry and no exporter: a snapshot that a caller can turn
//! into the metrics of its own system.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a producer or consumer has done since its start. What does not concern its kind stays 0.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Messages that the server confirmed.
    pub sent: u64,
    /// Messages whose send ended with an error, after all attempts.
    pub send_failures: u64,
    /// Requests that were sent again.
    pub send_retries: u64,
    /// How long sends took, all attempts and pauses included.
    pub send_time: Histogram,
    /// Messages that came.
    pub received: u64,
    /// Receives that ended with an error.
    pub receive_failures: u64,
    /// Messages that the server confirmed as done with.
    pub acked: u64,
    /// Acknowledgements, changes of the invisible time and dead letters that the server refused
    /// for good; such a message comes again.
    pub settle_failures: u64,
    /// Messages that a push consumer's listener was done with.
    pub consumed: u64,
    /// Messages that a push consumer's listener wants to see again, or did not survive.
    pub consume_failures: u64,
    /// Messages that a FIFO push consumer gave up and moved to the dead-letter queue.
    pub dead_lettered: u64,
    /// How long messages waited in a push consumer for their turn.
    pub await_time: Histogram,
    /// How long a push consumer's listener took.
    pub consume_time: Histogram,
    /// Messages that a push consumer holds now: waiting, with the listener, or being acknowledged.
    pub cached_messages: u64,
    /// The bytes of their bodies.
    pub cached_bytes: u64,
    /// Endpoints that failed and are avoided now, where there is another.
    pub isolated_endpoints: u64,
}

/// Durations, counted in buckets that are at most a quarter of their value wide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: Vec<u64>,
    sum_us: u64,
}

impl Histogram {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// At most how long the given part of them took: `quantile(0.99)` is the 99th percentile,
    /// rounded up by at most a quarter. Zero if nothing was counted.
    pub fn quantile(&self, part: f64) -> Duration {
        let count = self.count();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank within a count, off by one at worst"
        )]
        let rank = (count as f64 * part.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if *bucket > 0 && seen >= rank {
                return Duration::from_micros(upper_us(index));
            }
        }
        Duration::ZERO
    }

    /// The buckets with something in them, shortest first: the longest duration that belongs to
    /// each, and how many were counted.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counted = self.buckets.iter().copied().enumerate().filter(|(_, count)| *count > 0);
        counted.map(|(index, count)| (Duration::from_micros(upper_us(index)), count))
    }
}

/// Four buckets to each power of two.
const STEPS: u32 = 4;
/// Microseconds up to 2^36, nineteen hours; what is longer goes into the last.
const POWERS: u32 = 36;
const BUCKETS: usize = (POWERS * STEPS) as usize;

/// The bucket of a duration in microseconds.
fn bucket_of(us: u64) -> usize {
    let us = us.max(1);
    let power = us.ilog2();
    let step = if power >= 2 { (us >> (power - 2)) & 3 } else { (us << (2 - power)) & 3 };
    let index = u64::from(power * STEPS) + step;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The longest duration of a bucket, in microseconds.
fn upper_us(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let (power, step) = (index / u64::from(STEPS), index % u64::from(STEPS));
    // One below the next bucket's beginning.
    ((5 + step) << power).div_ceil(4) - 1
}

/// A histogram that is being filled.
pub(crate) struct Recorder {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_us: AtomicU64::new(0) }
    }
}

impl Recorder {
    pub(crate) fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Histogram {
        Histogram {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the parts of a client count. Each field is the one of [`Metrics`].
#[derive(Default)]
pub(crate) struct Meters {
    pub(crate) sent: Counter,
    pub(crate) send_failures: Counter,
    pub(crate) send_retries: Counter,
    pub(crate) send_time: Recorder,
    pub(crate) received: Counter,
    pub(crate) receive_failures: Counter,
    pub(crate) acked: Counter,
    pub(crate) settle_failures: Counter,
    pub(crate) consumed: Counter,
    pub(crate) consume_failures: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) await_time: Recorder,
    pub(crate) consume_time: Recorder,
}

impl Meters {
    /// The counters; the gauges are their owners' to fill in.
    pub(crate) fn snapshot(&self) -> Metrics {
        Metrics {
            sent: self.sent.get(),
            send_failures: self.send_failures.get(),
            send_retries: self.send_retries.get(),
            send_time: self.send_time.snapshot(),
            received: self.received.get(),
            receive_failures: self.receive_failures.get(),
            acked: self.acked.get(),
            settle_failures: self.settle_failures.get(),
            consumed: self.consumed.get(),
            consume_failures: self.consume_failures.get(),
            dead_lettered: self.dead_lettered.get(),
            await_time: self.await_time.snapshot(),
            consume_time: self.consume_time.snapshot(),
            ..Metrics::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_within_its_bucket_and_no_more_than_a_quarter_below_its_end() {
        for us in (1..5_000).chain([1 << 20, (1 << 30) + 12_345, (1 << 36) - 1]) {
            let upper = upper_us(bucket_of(us));
            assert!(us <= upper, "{us} is above {upper}");
            assert!(upper - us <= us / 4, "{us} is far below {upper}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_count_from_the_shortest() {
        let recorder = Recorder::default();
        for ms in 1..=100 {
            recorder.record(Duration::from_millis(ms));
        }
        let histogram = recorder.snapshot();
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.sum(), Duration::from_millis(5050));
        let median = histogram.quantile(0.5);
        assert!((Duration::from_millis(50)..Duration::from_millis(63)).contains(&median));
        assert!(histogram.quantile(1.0) >= Duration::from_millis(100));
        assert_eq!(histogram.buckets().map(|(_, count)| count).sum::<u64>(), 100);
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}

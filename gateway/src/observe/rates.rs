//! Rates over the last 10 seconds, minute and 10 minutes, from samples of a growing counter. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// The time between two samples.
pub(super) const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);
/// Samples of the longest window, and the one it is measured from.
pub(super) const SAMPLES_MAX: usize = 61;
/// The same where nobody asks for more than the last minute.
pub(super) const MINUTE_SAMPLES_MAX: usize = 7;

/// Events a second over three windows, as RocketMQ's runtime info shows them (`putTps`, `getTransferredTps`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// The last 10 seconds.
    pub ten_seconds: f64,
    /// The last minute.
    pub minute: f64,
    /// The last 10 minutes.
    pub ten_minutes: f64,
}

/// The samples of one counter, newest last; `MAX` at most.
#[derive(Debug, Default)]
pub(super) struct Samples<const MAX: usize>(VecDeque<(Duration, u64)>);

impl<const MAX: usize> Samples<MAX> {
    /// Adds what the counter showed at `at`, a monotonic time.
    pub(super) fn add(&mut self, at: Duration, count: u64) {
        if self.0.len() == MAX {
            self.0.pop_front();
        }
        self.0.push_back((at, count));
    }

    /// The rates up to now, when the counter shows `count`.
    pub(super) fn rates(&self, now: Duration, count: u64) -> Rates {
        let over = |window: Duration| {
            let begin = now.saturating_sub(window);
            // The newest sample that is at least as old as the window; a young process takes its oldest.
            let from = self.0.iter().rev().find(|(at, _)| *at <= begin).or(self.0.front());
            let Some((at, then)) = from else { return 0.0 };
            let seconds = now.saturating_sub(*at).as_secs_f64();
            if seconds <= 0.0 { 0.0 } else { (count - then) as f64 / seconds }
        };
        Rates {
            ten_seconds: over(Duration::from_secs(10)),
            minute: over(Duration::from_secs(60)),
            ten_minutes: over(Duration::from_secs(600)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_sees_its_own_part() {
        let mut samples = Samples::<SAMPLES_MAX>::default();
        for tenth in 0..=60 {
            // 1 a second for nine minutes, then 10 a second.
            let seconds: u64 = tenth * 10;
            let count = seconds + seconds.saturating_sub(540) * 9;
            samples.add(Duration::from_secs(seconds), count);
        }
        let rates = samples.rates(Duration::from_secs(600), 600 + 60 * 9);
        assert_eq!(rates.ten_seconds, 10.0);
        assert_eq!(rates.minute, 10.0);
        assert_eq!(rates.ten_minutes, 1140.0 / 600.0);
    }

    #[test]
    fn a_young_counter_is_measured_from_its_first_sample() {
        let mut samples = Samples::<SAMPLES_MAX>::default();
        assert_eq!(samples.rates(Duration::ZERO, 0), Rates::default());
        samples.add(Duration::ZERO, 0);
        assert_eq!(samples.rates(Duration::from_secs(2), 10).minute, 5.0);
    }
}

//! When requests are due: decided before the run, whatever the server does (an open loop).
//!
//! A latency is counted from the moment at which its request was due, not from the moment at which
//! it could be sent. A server that stalls is charged for every request that it kept from being
//! sent, which a loop of calls would have forgotten (Gil Tene's coordinated omission).

use super::random::Random;
use clap::ValueEnum;
use std::time::Duration;

/// How the gaps between requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arrivals {
    /// All alike.
    Even,
    /// Exponential, as of many independent senders.
    Poisson,
}

/// The moments, counted from the start of the run. Clones give the same moments.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    arrivals: Arrivals,
    random: Random,
    gap_ns: f64,
    next_ns: f64,
    end: Duration,
}

impl Schedule {
    /// `rate` requests a second, above 0, until `end`.
    pub(super) fn new(rate: f64, arrivals: Arrivals, seed: u64, end: Duration) -> Schedule {
        let random = Random::seeded(seed);
        Schedule { arrivals, random, gap_ns: 1e9 / rate, next_ns: 0.0, end }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Kept as nanoseconds in a double: exact to a microsecond for a century of run.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "moments of a run are small and positive"
        )]
        let due = Duration::from_nanos(self.next_ns as u64);
        self.next_ns += match self.arrivals {
            Arrivals::Even => self.gap_ns,
            Arrivals::Poisson => -self.random.unit().ln() * self.gap_ns,
        };
        (due < self.end).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_are_a_gap_apart() {
        let schedule = Schedule::new(1000.0, Arrivals::Even, 1, Duration::from_millis(5));
        let moments: Vec<u128> = schedule.map(|due| due.as_micros()).collect();
        assert_eq!(moments, [0, 1000, 2000, 3000, 4000]);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_repeat_with_their_seed() {
        let schedule = Schedule::new(10_000.0, Arrivals::Poisson, 7, Duration::from_secs(10));
        let moments: Vec<Duration> = schedule.clone().collect();
        assert!((99_000..101_000).contains(&moments.len()), "{}", moments.len());
        assert!(moments.is_sorted());
        assert_eq!(moments, schedule.collect::<Vec<_>>());
    }
}

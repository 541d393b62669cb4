//! How fast: each piece of work puts off the next by what it costs.
//!
//! There is no credit for time in which nothing was done, so that in any second no more is done than the limit and one
//! piece more.

use metadata::model::Limits;
use std::time::Duration;

const SECOND_NS: u128 = 1_000_000_000;

/// When the next piece may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    free_at: Duration,
}

impl Pace {
    /// How long to wait; `None` when it may begin.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let left = self.free_at.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// A piece of so much begins now.
    pub(super) fn charge(&mut self, now: Duration, limits: &Limits, messages: u64, bytes: u64) {
        let cost = cost(messages, limits.messages).max(cost(bytes, limits.bytes));
        self.free_at = self.free_at.max(now).saturating_add(cost);
    }
}

/// How long so much takes at a rate, rounded up.
fn cost(amount: u64, per_second: Option<u64>) -> Duration {
    let Some(rate) = per_second else { return Duration::ZERO };
    let ns = (u128::from(amount) * SECOND_NS).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearer_of_the_two_counts_and_rest_earns_nothing() {
        let limits = Limits { messages: Some(10), bytes: Some(1000) };
        let mut pace = Pace::default();
        let at = Duration::from_millis;
        pace.charge(at(0), &limits, 1, 500);
        assert_eq!((pace.wait(at(100)), pace.wait(at(500))), (Some(at(400)), None));
        pace.charge(at(9000), &limits, 5, 1);
        assert_eq!((pace.wait(at(9400)), pace.wait(at(9500))), (Some(at(100)), None));
        pace.charge(at(9500), &Limits::default(), u64::MAX, u64::MAX);
        assert_eq!(pace.wait(at(9500)), None, "without limits there is no waiting");
    }
}

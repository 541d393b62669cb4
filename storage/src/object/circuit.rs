//! When a store that does not answer is asked again. Pure: the caller brings the time.
//!
//! INV-CIRCUIT-1: a store that is down is asked at most once in [`PROBE_EVERY`], whoever asks.
use std::time::Duration;

/// Attempts in a row without an answer, after which the store counts as down.
const FAILURES_TO_OPEN: u32 = 8;
/// Time between attempts at a store that is down; each is between half and one and a half of it.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Whether the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does, or has not been asked yet.
    Up,
    /// It has not for some time, and is asked seldom until it does.
    Down {
        /// Since the first attempt of those that brought no answer.
        since: Duration,
        /// What the last one brought.
        cause: String,
    },
}

/// What is known of the store from attempts at it.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// In a row.
    failures: u32,
    first_failure: Duration,
    cause: String,
    next_probe: Duration,
}

impl Circuit {
    /// Whether an attempt may be made now; else after how long to ask again. `chance` is random.
    pub(super) fn admit(&mut self, now: Duration, chance: u64) -> Result<(), Duration> {
        if !self.is_open() {
            return Ok(());
        }
        if now < self.next_probe {
            return Err(self.next_probe - now);
        }
        self.next_probe = now + jittered(PROBE_EVERY, chance);
        Ok(())
    }

    /// The store answered, be it with a refusal.
    pub(super) fn answered(&mut self) {
        *self = Circuit::default();
    }

    /// The store did not answer, or said that it cannot now.
    pub(super) fn failed(&mut self, now: Duration, chance: u64, cause: &str) {
        if self.failures == 0 {
            self.first_failure = now;
        }
        self.failures = self.failures.saturating_add(1);
        cause.clone_into(&mut self.cause);
        if self.failures == FAILURES_TO_OPEN {
            self.next_probe = now + jittered(PROBE_EVERY, chance);
        }
    }

    pub(super) fn health(&self, now: Duration) -> Health {
        if !self.is_open() {
            return Health::Up;
        }
        let since = now.saturating_sub(self.first_failure);
        Health::Down { since, cause: self.cause.clone() }
    }

    fn is_open(&self) -> bool {
        self.failures >= FAILURES_TO_OPEN
    }
}

/// Between half and one and a half of `time`, by `chance`.
pub(super) fn jittered(time: Duration, chance: u64) -> Duration {
    let thousandths = u32::try_from(chance % 1_000).unwrap_or(0);
    time / 2 + time * thousandths / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    fn broken() -> Circuit {
        let mut circuit = Circuit::default();
        for turn in 1..=FAILURES_TO_OPEN {
            assert_eq!(circuit.health(STEP * turn), Health::Up);
            circuit.failed(STEP * turn, 500, "503");
        }
        circuit
    }

    #[test]
    fn a_store_that_is_down_is_asked_seldom_and_says_since_when() {
        let mut circuit = broken();
        let now = STEP * FAILURES_TO_OPEN;
        assert_eq!(circuit.admit(now, 500), Err(PROBE_EVERY));
        let later = now + PROBE_EVERY;
        let cause = "503".to_owned();
        assert_eq!(circuit.health(later), Health::Down { since: later - STEP, cause });
        assert_eq!(circuit.admit(later, 0), Ok(()));
        assert_eq!(circuit.admit(later, 0), Err(PROBE_EVERY / 2), "one at a time");
    }

    #[test]
    fn one_answer_closes_the_circuit() {
        let mut circuit = broken();
        circuit.answered();
        assert_eq!(circuit.admit(STEP, 0), Ok(()));
        assert_eq!(circuit.health(STEP), Health::Up);
    }

    #[test]
    fn failures_that_are_not_in_a_row_do_not_open_it() {
        let mut circuit = Circuit::default();
        for _ in 0..100 {
            circuit.failed(STEP, 0, "503");
            circuit.answered();
        }
        assert_eq!(circuit.health(STEP), Health::Up);
    }
}

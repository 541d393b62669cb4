//! How often and how long a request is tried. Pure: the caller brings time and chance.
use super::circuit::jittered;
use std::time::Duration;

/// The limits of one operation's attempts. Both bound it: attempts keep a refusing store from being
/// hammered, time keeps a silent one from holding its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all, the first one too; at least 1.
    pub attempts_max: u32,
    /// Time in all, pauses too, after which no further attempt begins.
    pub time_max: Duration,
    /// Time of one attempt: a request with its answer's body.
    pub attempt_time_max: Duration,
    /// Pause after the first failure; doubles each time, and varies by half to either side.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Default for Patience {
    /// Twelve attempts within two minutes, 30 s each, with pauses from 100 ms to 5 s.
    fn default() -> Patience {
        Patience {
            attempts_max: 12,
            time_max: Duration::from_secs(120),
            attempt_time_max: Duration::from_secs(30),
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
        }
    }
}

/// What is left of an operation's patience.
#[derive(Debug)]
pub(super) struct Budget {
    patience: Patience,
    began: Duration,
    attempts: u32,
    pauses: u32,
}

impl Budget {
    pub(super) fn new(patience: Patience, now: Duration) -> Budget {
        Budget { patience, began: now, attempts: 0, pauses: 0 }
    }

    /// An attempt begins. Says how long it may take.
    pub(super) fn attempt(&mut self) -> Duration {
        self.attempts += 1;
        self.patience.attempt_time_max
    }

    /// How long to wait before the next attempt; `None` when there is to be none.
    pub(super) fn pause(&mut self, now: Duration, chance: u64) -> Option<Duration> {
        let doubled = self.patience.pause * (1 << self.pauses.min(16));
        let pause = jittered(doubled.min(self.patience.pause_max), chance);
        self.pauses += 1;
        let in_time = (now + pause).saturating_sub(self.began) < self.patience.time_max;
        (self.attempts < self.patience.attempts_max && in_time).then_some(pause)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_end_with_the_attempts() {
        let ms = Duration::from_millis;
        let patience = Patience { attempts_max: 5, pause_max: ms(300), ..Patience::default() };
        let mut budget = Budget::new(patience, Duration::ZERO);
        let mut pauses = Vec::new();
        loop {
            budget.attempt();
            match budget.pause(Duration::ZERO, 500) {
                Some(pause) => pauses.push(pause),
                None => break,
            }
        }
        assert_eq!(pauses, [ms(100), ms(200), ms(300), ms(300)]);
        assert_eq!(budget.attempts(), 5);
    }

    #[test]
    fn no_attempt_begins_after_the_time_is_up() {
        let patience = Patience::default();
        let mut budget = Budget::new(patience, Duration::from_secs(7));
        budget.attempt();
        let end = Duration::from_secs(7) + patience.time_max;
        assert!(budget.pause(end - Duration::from_secs(1), 500).is_some());
        assert_eq!(budget.pause(end, 500), None);
    }
}

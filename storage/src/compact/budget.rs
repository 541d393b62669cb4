//! Bytes per second for everything that is not urgent, over the whole process.

use crate::env::Env;
use parking_lot::Mutex;
use std::time::Duration;

/// What may be moved at once after a pause, as time at full rate.
const BURST: Duration = Duration::from_millis(250);

/// A bucket of tokens, one a byte. Whoever comes waits for those before him.
#[derive(Debug)]
pub struct ByteBudget {
    env: Env,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes_per_second: Option<u64>,
    /// When all that was taken so far will have been paid.
    paid_at: Duration,
}

impl ByteBudget {
    /// So many bytes a second; `None`: as many as come.
    pub fn new(bytes_per_second: Option<u64>, env: Env) -> ByteBudget {
        ByteBudget { env, state: Mutex::new(State { bytes_per_second, paid_at: Duration::ZERO }) }
    }

    /// Changes the rate for what is taken from now on.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        self.state.lock().bytes_per_second = bytes_per_second;
    }

    /// Waits until so many bytes may be moved. Dropped while it waits, it has taken them.
    pub async fn take(&self, bytes: u64) {
        let wait = self.state.lock().take(bytes, self.env.monotonic());
        if wait > Duration::ZERO {
            self.env.sleep(wait).await;
        }
    }
}

impl State {
    fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let begin = self.paid_at.max(now.saturating_sub(BURST));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_at = begin.saturating_add(price);
        begin.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_paid_for_in_time() {
        let mut state = State { bytes_per_second: Some(1000), paid_at: Duration::ZERO };
        let mut now = Duration::from_secs(10);
        let began = now;
        for _ in 0..100 {
            now += state.take(100, now);
        }
        let took = now - began;
        // 10,000 bytes, the last 100 not waited for, and a burst.
        assert_eq!(took, Duration::from_millis(9_900) - BURST);
        state.bytes_per_second = None;
        assert_eq!(state.take(1 << 40, now), Duration::ZERO);
    }

    #[test]
    fn what_is_larger_than_a_second_is_taken_and_the_next_waits() {
        let mut state = State { bytes_per_second: Some(1000), paid_at: Duration::ZERO };
        let now = Duration::from_secs(10);
        assert_eq!(state.take(5000, now), Duration::ZERO);
        assert_eq!(state.take(1, now), Duration::from_secs(5) - BURST);
    }
}

//! When a message that was not acknowledged comes again.

use super::codec::RecordError;
use std::time::Duration;

/// A group's answer to a failed delivery. It says the same to clients (spec A.3 `RetryPolicy`) and to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryPolicy {
    /// A ladder, not empty; beyond its end the last rung holds.
    Customized(Vec<Duration>),
    /// `initial`, then `multiplier` times as long each time, up to `max`.
    Exponential {
        /// After the first delivery.
        initial: Duration,
        /// The longest.
        max: Duration,
        /// At least 1.
        multiplier: u32,
    },
}

impl RetryPolicy {
    /// The ladder of Apache RocketMQ's `CustomizedRetryPolicy`, seconds.
    const LADDER_S: [u64; 18] =
        [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
    /// More rungs than this are refused.
    pub const RUNGS_MAX: usize = 64;

    /// Time from a failure of delivery `attempt` (1 is the first) to the next delivery (spec B.18).
    pub fn delay(&self, attempt: u32) -> Duration {
        let failures = attempt.max(1) - 1;
        match self {
            RetryPolicy::Customized(ladder) => {
                let rung = usize::try_from(failures).unwrap_or(usize::MAX);
                let last = ladder.last().copied().unwrap_or_default();
                ladder.get(rung).copied().unwrap_or(last)
            }
            RetryPolicy::Exponential { initial, max, multiplier } => multiplier
                .checked_pow(failures)
                .and_then(|times| initial.checked_mul(times))
                .map_or(*max, |delay| delay.min(*max)),
        }
    }

    /// Whether the values make a policy.
    pub fn is_valid(&self) -> bool {
        match self {
            RetryPolicy::Customized(ladder) => {
                !ladder.is_empty() && ladder.len() <= RetryPolicy::RUNGS_MAX
            }
            RetryPolicy::Exponential { initial, max, multiplier } => {
                *multiplier >= 1 && initial <= max
            }
        }
    }
}

/// Apache's default, `CUSTOMIZED`.
impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy::Customized(RetryPolicy::LADDER_S.map(Duration::from_secs).to_vec())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RetryV1 {
    #[prost(uint64, repeated, tag = "1")]
    ladder_ms: Vec<u64>,
    #[prost(message, optional, tag = "2")]
    exponential: Option<ExponentialV1>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ExponentialV1 {
    #[prost(uint64, tag = "1")]
    initial_ms: u64,
    #[prost(uint64, tag = "2")]
    max_ms: u64,
    #[prost(uint32, tag = "3")]
    multiplier: u32,
}

impl From<&RetryPolicy> for RetryV1 {
    fn from(policy: &RetryPolicy) -> RetryV1 {
        match policy {
            RetryPolicy::Customized(ladder) => {
                RetryV1 { ladder_ms: ladder.iter().map(|&d| ms(d)).collect(), exponential: None }
            }
            RetryPolicy::Exponential { initial, max, multiplier } => RetryV1 {
                ladder_ms: Vec::new(),
                exponential: Some(ExponentialV1 {
                    initial_ms: ms(*initial),
                    max_ms: ms(*max),
                    multiplier: *multiplier,
                }),
            },
        }
    }
}

impl TryFrom<RetryV1> for RetryPolicy {
    type Error = RecordError;

    fn try_from(message: RetryV1) -> Result<RetryPolicy, RecordError> {
        let policy = match message.exponential {
            None => RetryPolicy::Customized(
                message.ladder_ms.into_iter().map(Duration::from_millis).collect(),
            ),
            Some(ExponentialV1 { initial_ms, max_ms, multiplier }) => RetryPolicy::Exponential {
                initial: Duration::from_millis(initial_ms),
                max: Duration::from_millis(max_ms),
                multiplier,
            },
        };
        if policy.is_valid() { Ok(policy) } else { Err(RecordError::Field("retry")) }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_ends_on_its_last_rung() {
        let policy = RetryPolicy::default();
        for (attempt, seconds) in [(0, 1), (1, 1), (2, 5), (3, 10), (18, 7200), (19, 7200)] {
            assert_eq!(policy.delay(attempt), Duration::from_secs(seconds), "attempt {attempt}");
        }
        assert_eq!(policy.delay(u32::MAX), Duration::from_secs(7200));
    }

    #[test]
    fn exponential_grows_up_to_its_limit_and_never_overflows() {
        let policy = RetryPolicy::Exponential {
            initial: Duration::from_secs(5),
            max: Duration::from_secs(7200),
            multiplier: 2,
        };
        for (attempt, seconds) in [(1, 5), (2, 10), (3, 20), (11, 5120), (12, 7200), (60, 7200)] {
            assert_eq!(policy.delay(attempt), Duration::from_secs(seconds), "attempt {attempt}");
        }
    }
}

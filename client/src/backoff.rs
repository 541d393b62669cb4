//! The pauses between attempts, as the server's settings say (spec B.3, B.18). Pure.

use protocol::grpc::v2 as pb;
use std::time::Duration;

/// The longest pause that a server can ask for, as long as the longest invisible time.
const PAUSE_MAX: Duration = Duration::from_secs(12 * 3_600);

/// How long to wait after the nth attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Backoff {
    /// A pause for each attempt; the last for all that follow. Not empty.
    Ladder(Vec<Duration>),
    /// `initial` times `multiplier` to the power of the attempts before.
    Exponential { initial: Duration, max: Duration, multiplier: f32 },
}

impl Backoff {
    /// What a producer does until the server has spoken: as Apache's proxy advises.
    pub(crate) fn of_sends() -> Backoff {
        Backoff::Exponential {
            initial: Duration::from_millis(10),
            max: Duration::from_secs(1),
            multiplier: 2.0,
        }
    }

    /// What the server advises; `None` if it says nothing that can be followed.
    pub(crate) fn from_wire(policy: &pb::RetryPolicy) -> Option<Backoff> {
        use pb::retry_policy::Strategy;
        match policy.strategy.as_ref()? {
            Strategy::CustomizedBackoff(ladder) => {
                let pauses = ladder.next.iter().map(|rung| Duration::try_from(*rung));
                let pauses: Vec<Duration> = pauses.collect::<Result<_, _>>().ok()?;
                (!pauses.is_empty()).then_some(Backoff::Ladder(pauses))
            }
            Strategy::ExponentialBackoff(wire) => Some(Backoff::Exponential {
                initial: Duration::try_from(wire.initial?).ok()?,
                max: Duration::try_from(wire.max?).ok()?,
                multiplier: if wire.multiplier.is_finite() {
                    wire.multiplier.max(1.0)
                } else {
                    1.0
                },
            }),
        }
    }

    /// The pause after attempt `attempt`, which counts from 1.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        let before = attempt.saturating_sub(1);
        let pause = match self {
            Backoff::Ladder(pauses) => {
                let rung = usize::try_from(before).unwrap_or(usize::MAX).min(pauses.len() - 1);
                pauses[rung]
            }
            Backoff::Exponential { initial, max, multiplier } => {
                let power = multiplier.powi(i32::try_from(before).unwrap_or(i32::MAX));
                let seconds = initial.as_secs_f64() * f64::from(power);
                Duration::try_from_secs_f64(seconds).map_or(*max, |pause| pause.min(*max))
            }
        };
        pause.min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_ladder_is_climbed_and_its_last_rung_stays() {
        let ladder = Backoff::Ladder([1, 5, 10].map(seconds).to_vec());
        let pauses: Vec<Duration> = (0..6).map(|attempt| ladder.delay(attempt)).collect();
        assert_eq!(pauses, [1, 1, 5, 10, 10, 10].map(seconds));
    }

    #[test]
    fn an_exponential_pause_grows_to_its_maximum_for_ever() {
        let backoff =
            Backoff::Exponential { initial: seconds(5), max: seconds(60), multiplier: 2.0 };
        let pauses: Vec<Duration> = (1..=6).map(|attempt| backoff.delay(attempt)).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60].map(seconds));
        assert_eq!(backoff.delay(u32::MAX), seconds(60));
    }

    #[test]
    fn what_cannot_be_followed_is_not_followed() {
        use pb::retry_policy::Strategy;
        let policy = |strategy| pb::RetryPolicy { max_attempts: 3, strategy };
        let wire = |seconds| prost_types::Duration { seconds, nanos: 0 };
        let ladder = |next| Some(Strategy::CustomizedBackoff(pb::CustomizedBackoff { next }));
        assert_eq!(Backoff::from_wire(&policy(None)), None);
        assert_eq!(Backoff::from_wire(&policy(ladder(vec![]))), None);
        assert_eq!(Backoff::from_wire(&policy(ladder(vec![wire(-1)]))), None);
        let followed = Backoff::from_wire(&policy(ladder(vec![wire(3)])));
        assert_eq!(followed, Some(Backoff::Ladder(vec![seconds(3)])));
        let steep = Some(Strategy::ExponentialBackoff(pb::ExponentialBackoff {
            initial: Some(wire(1)),
            max: Some(wire(2)),
            multiplier: f32::NAN,
        }));
        let followed = Backoff::from_wire(&policy(steep)).unwrap();
        assert_eq!(followed.delay(9), seconds(1));
    }
}

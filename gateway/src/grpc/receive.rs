//! ReceiveMessage's request rules (spec B.9): how long to wait, how long to hide, how many.

use super::convert::duration;
use super::refused::Refused;
use super::settings::{LONG_POLLING, RECEIVE_BATCH_MAX};
use protocol::grpc::v2::ReceiveMessageRequest;
use std::time::Duration;

/// The shortest poll that a client may ask for.
pub(super) const POLL_MIN: Duration = Duration::from_secs(5);
/// The longest poll; longer wishes are cut.
pub(super) const POLL_MAX: Duration = LONG_POLLING;
/// The shortest time that a received message may be hidden for.
pub(super) const INVISIBLE_MIN: Duration = Duration::from_secs(10);
/// The longest.
pub(super) const INVISIBLE_MAX: Duration = Duration::from_secs(12 * 3_600);
/// The answer leaves this long before the deadline, so that the client sees it.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// How long to wait for messages: what the client asks for, or what its deadline leaves, in
/// [`POLL_MIN`] to [`POLL_MAX`]; what its deadline leaves where that is less.
///
/// # Errors
/// When the deadline leaves less than [`POLL_MIN`].
pub(super) fn wait(
    asked: Option<Duration>,
    deadline: Option<Duration>,
    request_timeout: Duration,
    old_client: bool,
) -> Result<Duration, Refused> {
    let left = |deadline: Duration| deadline.saturating_sub(request_timeout / 2);
    let poll = asked.or(deadline.map(left)).unwrap_or(POLL_MAX).clamp(POLL_MIN, POLL_MAX);
    let Some(deadline) = deadline else { return Ok(poll) };
    if deadline < poll && deadline < POLL_MIN {
        return Err(Refused::PollingTime { least: POLL_MIN, old_client });
    }
    Ok(poll.min(deadline.saturating_sub(ANSWER_TIME)))
}

/// How long to hide what is received: `None` when the gateway renews by itself.
///
/// # Errors
/// When the client's own choice is outside [`INVISIBLE_MIN`] to [`INVISIBLE_MAX`], or absent.
pub(super) fn invisible(request: &ReceiveMessageRequest) -> Result<Option<Duration>, Refused> {
    if request.auto_renew {
        return Ok(None);
    }
    let asked = request.invisible_duration.unwrap_or_default();
    let asked = duration(&asked).ok_or(Refused::InvisibleTimeNegative)?;
    let (least, most) = (INVISIBLE_MIN, INVISIBLE_MAX);
    if (least..=most).contains(&asked) {
        Ok(Some(asked))
    } else {
        Err(Refused::InvisibleTime { least, most, asked })
    }
}

/// How many messages at most: what the client asks for, in 1 to [`RECEIVE_BATCH_MAX`].
pub(super) fn batch(asked: i32) -> u16 {
    u16::try_from(asked.clamp(1, RECEIVE_BATCH_MAX.into())).unwrap_or(RECEIVE_BATCH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::refused::code;
    use protocol::grpc::v2::Code;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn the_poll_is_what_was_asked_for_within_its_limits_and_the_deadline() {
        let timeout = seconds(3.0);
        for (asked, deadline, expected) in [
            (Some(20.0), Some(23.0), 20.0),
            (Some(30.0), Some(33.0), 20.0),
            (Some(1.0), Some(30.0), 5.0),
            (Some(10.0), None, 10.0),
            (None, None, 20.0),
            (None, Some(15.0), 13.5),
            (None, Some(60.0), 20.0),
            (None, Some(5.5), 5.0),
            (Some(20.0), Some(12.0), 11.9),
            (Some(5.0), Some(5.0), 4.9),
            (Some(20.0), Some(5.0), 4.9),
        ] {
            let found = wait(asked.map(seconds), deadline.map(seconds), timeout, false).unwrap();
            assert_eq!(found, seconds(expected), "asked {asked:?}, deadline {deadline:?}");
        }
    }

    #[test]
    fn a_deadline_too_near_is_refused_in_a_code_that_the_client_knows() {
        for (old_client, expected) in [(false, Code::IllegalPollingTime), (true, Code::BadRequest)]
        {
            for asked in [None, Some(seconds(1.0)), Some(seconds(20.0))] {
                let refused =
                    wait(asked, Some(seconds(4.999)), seconds(3.0), old_client).unwrap_err();
                assert_eq!(code(&refused), expected);
            }
        }
    }

    #[test]
    fn the_invisible_time_is_ten_seconds_to_twelve_hours_unless_it_is_renewed() {
        let request = |seconds, auto_renew| ReceiveMessageRequest {
            invisible_duration: Some(prost_types::Duration { seconds, nanos: 0 }),
            auto_renew,
            ..Default::default()
        };
        for seconds in [10, 43_200] {
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(invisible(&request(seconds as i64, false)).unwrap(), expected);
        }
        for seconds in [-1, 0, 9, 43_201] {
            let refused = invisible(&request(seconds, false)).unwrap_err();
            assert_eq!(code(&refused), Code::IllegalInvisibleTime, "{seconds} s");
            assert_eq!(invisible(&request(seconds, true)).unwrap(), None);
        }
        let absent = invisible(&ReceiveMessageRequest::default()).unwrap_err();
        assert_eq!(code(&absent), Code::IllegalInvisibleTime);
    }

    #[test]
    fn a_batch_is_one_to_thirty_two() {
        for (asked, expected) in [(i32::MIN, 1), (0, 1), (1, 1), (32, 32), (33, 32), (i32::MAX, 32)]
        {
            assert_eq!(batch(asked), expected);
        }
    }
}

//! AckMessage, ChangeInvisibleDuration and ForwardMessageToDeadLetterQueue (spec B.11 to B.13).

use super::convert::duration;
use super::receive::INVISIBLE_MAX;
use super::refused::{Refused, ok, status};
use crate::consume::AckRefused;
use protocol::grpc::v2::{
    AckMessageEntry, AckMessageResponse, AckMessageResultEntry, Code, Status,
};
use std::time::Duration;

/// The answer to an ack: one entry for each of the request's, in order.
pub(super) fn acked(
    entries: Vec<AckMessageEntry>,
    outcomes: Vec<Result<(), AckRefused>>,
) -> AckMessageResponse {
    let entry =
        |(asked, outcome): (AckMessageEntry, Result<(), AckRefused>)| AckMessageResultEntry {
            message_id: asked.message_id,
            receipt_handle: asked.receipt_handle,
            status: Some(outcome.map_or_else(|refused| Refused::from(refused).status(), |()| ok())),
        };
    let entries: Vec<_> = entries.into_iter().zip(outcomes).map(entry).collect();
    AckMessageResponse { status: Some(overall(&entries)), entries }
}

/// The answer to an ack that was refused as a whole.
pub(super) fn refusal(refused: &Refused) -> AckMessageResponse {
    AckMessageResponse { status: Some(refused.status()), entries: Vec::new() }
}

/// The entries' common status, else MULTIPLE_RESULTS.
fn overall(entries: &[AckMessageResultEntry]) -> Status {
    let mut statuses = entries.iter().filter_map(|entry| entry.status.as_ref());
    match statuses.next() {
        Some(first) if statuses.all(|other| other.code == first.code) => first.clone(),
        Some(_) => status(Code::MultipleResults, "the entries have different results"),
        None => Refused::NoEntries.status(),
    }
}

/// The new invisible time: 0 to [`INVISIBLE_MAX`], without the floor that a receive has.
///
/// # Errors
/// When it is outside.
pub(super) fn changed(wire: Option<&prost_types::Duration>) -> Result<Duration, Refused> {
    let asked =
        duration(&wire.copied().unwrap_or_default()).ok_or(Refused::InvisibleTimeNegative)?;
    if asked > INVISIBLE_MAX {
        return Err(Refused::InvisibleTime { least: Duration::ZERO, most: INVISIBLE_MAX, asked });
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consume::state::ClaimRefused;
    use crate::grpc::refused::code;

    fn entries(count: usize) -> Vec<AckMessageEntry> {
        let entry = |n| AckMessageEntry {
            message_id: format!("id-{n}"),
            receipt_handle: format!("handle-{n}"),
            lite_topic: None,
        };
        (0..count).map(entry).collect()
    }

    fn codes(outcomes: Vec<Result<(), AckRefused>>) -> (Code, Vec<Code>) {
        let response = acked(entries(outcomes.len()), outcomes);
        for (n, entry) in response.entries.iter().enumerate() {
            assert_eq!(
                (&entry.message_id, &entry.receipt_handle),
                (&format!("id-{n}"), &format!("handle-{n}"))
            );
        }
        let each =
            response.entries.iter().map(|entry| entry.status.as_ref().unwrap().code()).collect();
        (response.status.unwrap().code(), each)
    }

    #[test]
    fn the_overall_status_is_the_common_one_or_multiple_results() {
        let expired = || Err(AckRefused::Claim(ClaimRefused::Expired));
        let (good, bad) = (Code::Ok, Code::InvalidReceiptHandle);
        assert_eq!(codes(vec![Ok(()), Ok(())]), (good, vec![good, good]));
        assert_eq!(codes(vec![expired(), expired()]), (bad, vec![bad, bad]));
        assert_eq!(codes(vec![Ok(()), expired()]), (Code::MultipleResults, vec![good, bad]));
    }

    #[test]
    fn a_changed_invisible_time_is_zero_to_twelve_hours() {
        let asked = |seconds, nanos| changed(Some(&prost_types::Duration { seconds, nanos }));
        assert_eq!(changed(None).unwrap(), Duration::ZERO);
        assert_eq!(asked(0, 0).unwrap(), Duration::ZERO);
        assert_eq!(asked(43_200, 0).unwrap(), Duration::from_secs(43_200));
        for (seconds, nanos) in [(43_200, 1), (i64::MAX, 0), (-1, 0), (0, -1)] {
            let refused = asked(seconds, nanos).unwrap_err();
            assert_eq!(code(&refused), Code::IllegalInvisibleTime, "{seconds} s {nanos} ns");
        }
    }
}

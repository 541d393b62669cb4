//! Questions that a tool asks once per broker, all of which are at this address.
//!
//! Where carrying one out again would do harm or count twice, the first of a round is carried out
//! for all brokers, and the others, which are word for word the same, get an answer that was kept
//! for them. A round ends with the last broker of the route, with another question of the kind, or
//! after a pause of [`TURN_PAUSE`]; the next question begins anew. A tool that asks once is thus
//! answered in full.

use super::reply::{Answer, Refusal, Reply};
use super::runtime::TURN_PAUSE;
use protocol::remoting::{ExtFields, Frame};
use std::time::Duration;

/// The round that a connection is in, if any.
#[derive(Debug, Default)]
pub(super) struct Round(Option<Begun>);

/// What the others of a round are answered.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// The same as the first: it names its brokers, and tools merge by name.
    Same(Reply),
    /// That nothing was found: the first had all, and tools add up.
    NothingFound,
}

impl From<Kept> for Answer {
    fn from(kept: Kept) -> Answer {
        match kept {
            Kept::Same(reply) => Ok(reply),
            Kept::NothingFound => Err(Refusal::NothingFound),
        }
    }
}

#[derive(Debug)]
struct Begun {
    code: i32,
    question: ExtFields,
    answer: Kept,
    /// How often it will be asked yet.
    left: usize,
    asked: Duration,
}

impl Round {
    /// The answer that was kept for `request`, which came at `now` (monotonic).
    pub(super) fn kept(&mut self, request: &Frame, now: Duration) -> Option<Kept> {
        let round = self.0.as_mut()?;
        let is_next = round.left > 0
            && round.code == request.code
            && round.question == request.ext
            && now.saturating_sub(round.asked) < TURN_PAUSE;
        if !is_next {
            self.0 = None;
            return None;
        }
        round.left -= 1;
        round.asked = now;
        Some(round.answer.clone())
    }

    /// `request` was carried out for all of `brokers`; the others are to get `answer`.
    pub(super) fn begin(&mut self, request: &Frame, brokers: usize, answer: Kept, now: Duration) {
        self.0 = Some(Begun {
            code: request.code,
            question: request.ext.clone(),
            answer,
            left: brokers.saturating_sub(1),
            asked: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::remoting::RequestCode;

    fn question(topic: &str) -> Frame {
        let mut request = Frame::request(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, 1);
        request.ext.set("topic", topic);
        request
    }

    fn begun(brokers: usize) -> Round {
        let mut round = Round::default();
        assert!(round.kept(&question("a"), Duration::ZERO).is_none());
        round.begin(&question("a"), brokers, Kept::NothingFound, Duration::ZERO);
        round
    }

    #[test]
    fn a_question_is_carried_out_once_a_round() {
        let mut round = begun(4);
        for second in 1..4 {
            let kept = round.kept(&question("a"), Duration::from_secs(second));
            assert!(matches!(kept, Some(Kept::NothingFound)), "{kept:?}");
        }
        assert!(round.kept(&question("a"), Duration::from_secs(4)).is_none());
        assert!(begun(1).kept(&question("a"), Duration::ZERO).is_none());
    }

    #[test]
    fn another_question_and_a_pause_begin_anew() {
        let mut round = begun(4);
        assert!(round.kept(&question("b"), Duration::ZERO).is_none());
        assert!(round.kept(&question("a"), Duration::ZERO).is_none());
        assert!(begun(4).kept(&question("a"), TURN_PAUSE).is_none());
        let mut other = question("a");
        other.code = RequestCode::QUERY_MESSAGE;
        assert!(begun(4).kept(&other, Duration::ZERO).is_none());
    }
}

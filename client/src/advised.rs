//! What the servers' settings tell this client to do (spec B.3).

use crate::backoff::Backoff;
use protocol::grpc::v2 as pb;
use std::time::Duration;

/// More attempts than this are not made for one send, whatever a server says.
const SEND_ATTEMPTS_MAX: u32 = 16;
/// What Apache's proxy says, until a server has spoken.
const SEND_ATTEMPTS: u32 = 3;
const RECEIVE_BATCH: usize = 32;
const POLL: Duration = Duration::from_secs(20);
/// A poll beyond this is none that a server means.
const POLL_MAX: Duration = Duration::from_secs(120);

/// The settings that hold.
#[derive(Clone, Debug)]
pub(crate) struct Advised {
    /// Attempts for a send, or deliveries of a message; at least 1.
    pub(crate) attempts: u32,
    /// The pauses between them.
    pub(crate) backoff: Backoff,
    /// Whether the group consumes in order.
    pub(crate) fifo: bool,
    /// Messages to ask for at once, at least 1.
    pub(crate) receive_batch: usize,
    /// How long to wait for them.
    pub(crate) poll: Duration,
}

impl Default for Advised {
    fn default() -> Advised {
        Advised {
            attempts: SEND_ATTEMPTS,
            backoff: Backoff::of_sends(),
            fifo: false,
            receive_batch: RECEIVE_BATCH,
            poll: POLL,
        }
    }
}

impl Advised {
    /// What changes with these settings; what they do not say stays.
    #[must_use]
    pub(crate) fn with(&self, settings: &pb::Settings) -> Advised {
        let mut advised = self.clone();
        if let Some(policy) = &settings.backoff_policy {
            if let Ok(attempts) = u32::try_from(policy.max_attempts) {
                advised.attempts = attempts.max(1);
            }
            if let Some(backoff) = Backoff::from_wire(policy) {
                advised.backoff = backoff;
            }
        }
        match &settings.pub_sub {
            Some(pb::settings::PubSub::Subscription(subscription)) => {
                advised.fifo = subscription.fifo.unwrap_or(advised.fifo);
                let batch = subscription.receive_batch_size.and_then(|n| usize::try_from(n).ok());
                advised.receive_batch = batch.filter(|n| *n > 0).unwrap_or(advised.receive_batch);
                let poll = subscription.long_polling_timeout;
                let poll = poll.and_then(|poll| Duration::try_from(poll).ok());
                let poll = poll.filter(|poll| !poll.is_zero());
                advised.poll = poll.map_or(advised.poll, |poll| poll.min(POLL_MAX));
            }
            Some(pb::settings::PubSub::Publishing(_)) => {
                advised.attempts = advised.attempts.min(SEND_ATTEMPTS_MAX);
            }
            None => {}
        }
        advised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(fifo: Option<bool>, batch: i32) -> pb::Settings {
        pb::Settings {
            pub_sub: Some(pb::settings::PubSub::Subscription(pb::Subscription {
                fifo,
                receive_batch_size: Some(batch),
                ..pb::Subscription::default()
            })),
            ..pb::Settings::default()
        }
    }

    #[test]
    fn what_the_settings_say_is_taken_and_what_they_do_not_say_stays() {
        let advised = Advised::default().with(&subscription(Some(true), 8));
        assert_eq!((advised.fifo, advised.receive_batch, advised.poll), (true, 8, POLL));
        let next = advised.with(&subscription(None, 0));
        assert_eq!((next.fifo, next.receive_batch), (true, 8));
    }

    #[test]
    fn attempts_are_one_at_least_and_for_sends_bounded() {
        let settings = |max_attempts, pub_sub| pb::Settings {
            backoff_policy: Some(pb::RetryPolicy { max_attempts, strategy: None }),
            pub_sub,
            ..pb::Settings::default()
        };
        let publishing = || Some(pb::settings::PubSub::Publishing(pb::Publishing::default()));
        let attempts = |settings| Advised::default().with(&settings).attempts;
        assert_eq!(attempts(settings(0, publishing())), 1);
        assert_eq!(attempts(settings(i32::MAX, publishing())), SEND_ATTEMPTS_MAX);
        assert_eq!(attempts(settings(17, None)), 17);
        assert_eq!(attempts(settings(-1, None)), SEND_ATTEMPTS);
    }
}

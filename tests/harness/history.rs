//! What clients saw, and whether a broker may show that.
//!
//! Each client writes down what it did and what it was answered; the checker then asks of the whole history:
//! - every message whose send was acknowledged was delivered at least once;
//! - nothing was delivered that nobody sent;
//! - a (queue, offset) names one message for ever;
//! - a message whose acknowledgement was answered is not delivered by a receive that began after that answer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

/// One client's or all clients' notes.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) sent: Vec<Sent>,
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) acked: Vec<Acked>,
}

pub(crate) struct Sent {
    pub(crate) message: String,
    pub(crate) outcome: SendOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    Acknowledged,
    Refused,
    Unknown,
}

pub(crate) struct Delivered {
    pub(crate) message: String,
    pub(crate) place: Place,
    pub(crate) attempt: i32,
    pub(crate) receive_began: Instant,
}

pub(crate) struct Acked {
    pub(crate) message: String,
    pub(crate) answered: Instant,
}

/// Broker name, queue id, queue offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) String, pub(crate) i32, pub(crate) i64);

impl History {
    pub(crate) fn merge(&mut self, other: History) {
        self.sent.extend(other.sent);
        self.delivered.extend(other.delivered);
        self.acked.extend(other.acked);
    }

    /// Everything that should not be; empty when all is well.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let delivered: HashSet<_> = self.delivered.iter().map(|seen| &seen.message).collect();
        let sent: HashMap<_, _> =
            self.sent.iter().map(|sent| (&sent.message, sent.outcome)).collect();
        for (message, outcome) in &sent {
            if *outcome == SendOutcome::Acknowledged && !delivered.contains(message) {
                faults.push(format!("{message} was acknowledged and never delivered"));
            }
        }
        let mut places: BTreeMap<&Place, &str> = BTreeMap::new();
        for seen in &self.delivered {
            match sent.get(&seen.message) {
                None => faults.push(format!("{} was never sent", seen.message)),
                Some(SendOutcome::Refused) => {
                    faults.push(format!("{} was refused and delivered", seen.message));
                }
                Some(SendOutcome::Acknowledged | SendOutcome::Unknown) => {}
            }
            let first = places.entry(&seen.place).or_insert(&seen.message);
            if *first != seen.message {
                let (place, message) = (&seen.place, &seen.message);
                faults.push(format!("{place:?} named {first} and then {message}"));
            }
        }
        let acked: HashMap<_, _> =
            self.acked.iter().map(|acked| (&acked.message, acked.answered)).collect();
        for seen in &self.delivered {
            if acked.get(&seen.message).is_some_and(|answered| *answered < seen.receive_began) {
                let (message, attempt) = (&seen.message, seen.attempt);
                faults.push(format!("{message} came again (attempt {attempt}) after its ack"));
            }
        }
        faults
    }
}

/// The checker must see what it is there to see.
#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> Place {
        Place("strata-0000".to_owned(), 0, offset)
    }

    fn history(
        sent: &[(&str, SendOutcome)],
        delivered: &[(&str, i64, Instant)],
        acked: &[(&str, Instant)],
    ) -> History {
        History {
            sent: sent
                .iter()
                .map(|(message, outcome)| Sent {
                    message: (*message).to_owned(),
                    outcome: *outcome,
                })
                .collect(),
            delivered: delivered
                .iter()
                .map(|(message, offset, receive_began)| Delivered {
                    message: (*message).to_owned(),
                    place: place(*offset),
                    attempt: 1,
                    receive_began: *receive_began,
                })
                .collect(),
            acked: acked
                .iter()
                .map(|(message, answered)| Acked {
                    message: (*message).to_owned(),
                    answered: *answered,
                })
                .collect(),
        }
    }

    #[test]
    fn a_good_history_has_no_faults() {
        let (early, late) = (Instant::now(), Instant::now());
        let good = history(
            &[("a", SendOutcome::Acknowledged), ("b", SendOutcome::Unknown)],
            &[("a", 0, early), ("a", 0, early)],
            &[("a", late)],
        );
        assert_eq!(good.faults(), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_fault_is_found() {
        let began = Instant::now();
        let later = began + std::time::Duration::from_millis(1);
        let ok = SendOutcome::Acknowledged;
        let found = |history: History| history.faults().join("; ");
        assert!(found(history(&[("a", ok)], &[], &[])).contains("never delivered"));
        assert!(found(history(&[], &[("a", 0, began)], &[])).contains("never sent"));
        let two = history(&[("a", ok), ("b", ok)], &[("a", 0, began), ("b", 0, began)], &[]);
        assert!(found(two).contains("and then b"));
        let again = history(&[("a", ok)], &[("a", 0, later)], &[("a", began)]);
        assert!(found(again).contains("after its ack"));
        let refused = history(&[("a", SendOutcome::Refused)], &[("a", 0, began)], &[]);
        assert!(found(refused).contains("was refused"));
    }
}

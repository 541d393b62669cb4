//! Tasks that wait for a watermark, in the order in which it will reach them, so that one sync
//! wakes a prefix.
use crate::format::Lsn;
use std::collections::VecDeque;
use std::task::Waker;

/// A place in the line; given back when the task no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    end: Lsn,
    id: u64,
}

/// Those who wait for one watermark.
#[derive(Default)]
pub(crate) struct Waiters {
    next_id: u64,
    line: VecDeque<(Ticket, Waker)>,
}

impl Waiters {
    /// Lines up behind all who wait for as much or less.
    pub(crate) fn join(&mut self, end: Lsn, waker: Waker) -> Ticket {
        let ticket = Ticket { end, id: self.next_id };
        self.next_id += 1;
        // Appends wait in about the order of their ends: the place is found at the back.
        let mut place = self.line.len();
        while place > 0 && self.line.get(place - 1).is_some_and(|(other, _)| other.end > end) {
            place -= 1;
        }
        self.line.insert(place, (ticket, waker));
        ticket
    }

    /// Replaces the waker of someone in the line; false when it was already called.
    pub(crate) fn renew(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        let found = self.find(ticket).and_then(|place| self.line.get_mut(place));
        match found {
            Some((_, old)) => {
                old.clone_from(waker);
                true
            }
            None => false,
        }
    }

    /// Leaves the line.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Some(place) = self.find(ticket) {
            self.line.remove(place);
        }
    }

    /// Takes out all who wait for `reached` or less.
    pub(crate) fn call(&mut self, reached: Lsn, called: &mut Vec<Waker>) {
        while self.line.front().is_some_and(|(ticket, _)| ticket.end <= reached) {
            called.extend(self.line.pop_front().map(|(_, waker)| waker));
        }
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        let from = self.line.partition_point(|(other, _)| other.end < ticket.end);
        (from..self.line.len())
            .take_while(|place| self.line.get(*place).is_some_and(|(t, _)| t.end == ticket.end))
            .find(|place| self.line.get(*place).is_some_and(|(t, _)| t.id == ticket.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_calls_exactly_those_it_reached() {
        let mut waiters = Waiters::default();
        let noop = Waker::noop();
        let tickets: Vec<_> =
            [30, 10, 20, 20].map(|end| waiters.join(Lsn(end), noop.clone())).to_vec();
        waiters.leave(tickets[2]);
        let mut called = Vec::new();
        waiters.call(Lsn(20), &mut called);
        assert_eq!(called.len(), 2);
        assert!(!waiters.renew(tickets[1], noop));
        assert!(waiters.renew(tickets[0], noop));
        waiters.call(Lsn(u64::MAX), &mut called);
        assert_eq!(called.len(), 3);
    }
}

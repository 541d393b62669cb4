//! Who may fetch next, when there is only so much room: decided without waiting.
//!
//! INV-FAIR-1: granted bytes never exceed the capacity; who asks for more than there is gets all of it.
//! INV-FAIR-2: of those who wait, a topic with the fewest granted bytes comes first, and within a
//! topic whoever asked first; nobody is passed over because what they ask for does not fit yet.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// What shares are fair between: a topic, mostly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FairKey(pub u64);

/// Names one ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

#[derive(Debug, Default)]
struct Lane {
    granted: u64,
    waiting: VecDeque<Ticket>,
    /// When it was last granted something, counted in grants.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    key: FairKey,
    bytes: u64,
    is_granted: bool,
}

/// The room, and who has and wants it.
#[derive(Debug)]
pub(super) struct Fair {
    capacity: u64,
    granted: u64,
    lanes: BTreeMap<FairKey, Lane>,
    asks: HashMap<Ticket, Ask>,
    tickets: u64,
    grants: u64,
}

impl Fair {
    pub(super) fn new(capacity: u64) -> Fair {
        let (lanes, asks) = (BTreeMap::new(), HashMap::new());
        Fair { capacity, granted: 0, lanes, asks, tickets: 0, grants: 0 }
    }

    /// Asks for room. It is granted by one of the next [`Fair::grant`].
    pub(super) fn ask(&mut self, key: FairKey, bytes: u64) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let bytes = bytes.min(self.capacity);
        self.asks.insert(ticket, Ask { key, bytes, is_granted: false });
        self.lanes.entry(key).or_default().waiting.push_back(ticket);
        ticket
    }

    /// Gives back what was granted, or takes back what was asked.
    pub(super) fn give_back(&mut self, ticket: Ticket) {
        let Some(ask) = self.asks.remove(&ticket) else { return };
        let Some(lane) = self.lanes.get_mut(&ask.key) else { return };
        if ask.is_granted {
            lane.granted -= ask.bytes;
            self.granted -= ask.bytes;
        } else {
            lane.waiting.retain(|waiting| *waiting != ticket);
        }
        if lane.granted == 0 && lane.waiting.is_empty() {
            self.lanes.remove(&ask.key);
        }
    }

    /// Grants what there is room for.
    pub(super) fn grant(&mut self) -> Vec<Ticket> {
        let mut all = Vec::new();
        loop {
            let waiting = self.lanes.values_mut().filter(|lane| !lane.waiting.is_empty());
            let Some(lane) = waiting.min_by_key(|lane| (lane.granted, lane.last)) else { break };
            let first = lane.waiting.front().copied();
            let Some((ticket, ask)) = first.and_then(|t| Some((t, self.asks.get_mut(&t)?))) else {
                break;
            };
            if self.granted + ask.bytes > self.capacity {
                break;
            }
            ask.is_granted = true;
            lane.waiting.pop_front();
            lane.granted += ask.bytes;
            self.granted += ask.bytes;
            self.grants += 1;
            lane.last = self.grants;
            all.push(ticket);
        }
        all
    }

    /// Bytes that are granted.
    pub(super) const fn granted(&self) -> u64 {
        self.granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_topic_with_least_comes_first_and_many_of_one_topic_gain_nothing() {
        let mut fair = Fair::new(100);
        let greedy: Vec<Ticket> = (0..20).map(|_| fair.ask(FairKey(1), 10)).collect();
        assert_eq!(fair.grant(), greedy[..10]);
        let modest = fair.ask(FairKey(2), 10);
        assert_eq!(fair.grant(), []);
        fair.give_back(greedy[0]);
        assert_eq!(fair.grant(), [modest]);
        let more: Vec<Ticket> = (0..20).map(|_| fair.ask(FairKey(2), 10)).collect();
        let (mut of_one, mut of_two) = (greedy[1..10].to_vec(), vec![modest]);
        for _ in 0..8 {
            fair.give_back(of_one.remove(0));
            of_two.extend(fair.grant());
        }
        // Five to five, whatever the order in which they asked.
        assert!(more[..3].iter().all(|ticket| of_two.contains(ticket)), "{of_two:?}");
    }

    #[test]
    fn a_large_ask_is_not_passed_over() {
        let mut fair = Fair::new(100);
        let first = fair.ask(FairKey(1), 60);
        let large = fair.ask(FairKey(2), 70);
        let small = fair.ask(FairKey(3), 10);
        assert_eq!(fair.grant(), [first]);
        fair.give_back(first);
        assert_eq!(fair.grant(), [large, small]);
        fair.give_back(large);
        fair.give_back(small);
        let all = fair.ask(FairKey(1), 1000);
        assert_eq!(fair.grant(), [all]);
        assert_eq!(fair.granted(), 100);
    }

    proptest! {
        #[test]
        fn room_is_never_exceeded_and_all_is_granted_in_the_end(
            asks in proptest::collection::vec((0..4u64, 1..150u64, any::<bool>()), 1..60),
        ) {
            let mut fair = Fair::new(100);
            let mut granted = VecDeque::new();
            for (key, bytes, gives_back) in asks {
                fair.ask(FairKey(key), bytes);
                granted.extend(fair.grant());
                prop_assert!(fair.granted() <= 100);
                if gives_back {
                    granted.pop_front().into_iter().for_each(|ticket| fair.give_back(ticket));
                }
            }
            granted.extend(fair.grant());
            while let Some(ticket) = granted.pop_front() {
                fair.give_back(ticket);
                granted.extend(fair.grant());
                prop_assert!(fair.granted() <= 100);
            }
            prop_assert!(fair.asks.is_empty() && fair.lanes.is_empty());
            prop_assert_eq!(fair.granted(), 0);
        }
    }
}

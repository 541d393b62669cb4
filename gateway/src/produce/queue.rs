//! Which queue of a topic takes a message.

use metadata::model::TopicQueue;
use protocol::stored::ordered_queue;
use std::num::NonZeroUsize;
use storage::format::PgId;

/// What decides on the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueKey {
    /// Nothing: the next one in turn.
    RoundRobin,
    /// This text (a message group, or a lite topic): equal texts go to one queue, as long as the
    /// topic has as many queues.
    Hash(String),
    /// This number, counted round: what is of one number goes to one queue, as long as the topic has
    /// as many queues.
    Nth(usize),
}

/// The index, in route order, of the queue that takes a message, of a topic's writable queues.
/// `turn` counts the sends to the topic. `None` when there is no queue.
///
/// In turn it is one that this gateway owns, while it owns one: the message then needs no hop. By
/// hash it is the one that Java and Go clients compute (spec B.6), whoever owns it.
pub fn choose(
    queues: &[TopicQueue],
    key: &QueueKey,
    turn: usize,
    owned: impl Fn(PgId) -> bool,
) -> Option<usize> {
    let count = NonZeroUsize::new(queues.len())?;
    match key {
        QueueKey::Hash(text) => return Some(ordered_queue(text, count)),
        QueueKey::Nth(number) => return Some(number % count.get()),
        QueueKey::RoundRobin => {}
    }
    let ours = || (0..queues.len()).filter(|&index| owned(queues[index].pg));
    match ours().count() {
        0 => Some(turn % queues.len()),
        count => ours().nth(turn % count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::format::QueueUid;

    fn pgs(ids: &[u32]) -> Vec<TopicQueue> {
        let queue = |&pg: &u32| TopicQueue { pg: PgId::new(pg).unwrap(), id: 0, uid: QueueUid(1) };
        ids.iter().map(queue).collect()
    }

    #[test]
    fn round_robin_visits_every_owned_queue_and_no_other() {
        let queues = pgs(&[0, 0, 1, 1, 2]);
        let owned = |pg: PgId| pg.get() != 1;
        let chosen: Vec<_> = (0..6)
            .map(|turn| choose(&queues, &QueueKey::RoundRobin, turn, owned).unwrap())
            .collect();
        assert_eq!(chosen, [0, 1, 4, 0, 1, 4]);
    }

    #[test]
    fn round_robin_visits_all_queues_when_none_is_owned() {
        let queues = pgs(&[0, 1, 2]);
        let chosen: Vec<_> = (0..4)
            .map(|turn| choose(&queues, &QueueKey::RoundRobin, turn, |_| false).unwrap())
            .collect();
        assert_eq!(chosen, [0, 1, 2, 0]);
    }

    #[test]
    fn a_topic_without_writable_queues_has_no_choice() {
        assert_eq!(choose(&[], &QueueKey::RoundRobin, 0, |_| true), None);
        assert_eq!(choose(&[], &QueueKey::Hash("g".into()), 0, |_| true), None);
    }

    #[test]
    fn a_number_goes_to_its_queue_wherever_the_turn_stands() {
        let queues = pgs(&[0, 1, 2]);
        let chosen = |number| choose(&queues, &QueueKey::Nth(number), 7, |_| false);
        assert_eq!([chosen(0), chosen(2), chosen(4)], [Some(0), Some(2), Some(1)]);
    }

    #[test]
    fn equal_texts_go_to_one_queue_wherever_the_turn_stands_and_whoever_owns_it() {
        let queues = pgs(&[0, 1, 2, 3]);
        let key = QueueKey::Hash("orders-17".into());
        let first = choose(&queues, &key, 0, |_| true);
        assert_eq!(choose(&queues, &key, 3, |_| false), first);
        assert_eq!(first, Some(ordered_queue("orders-17", NonZeroUsize::new(4).unwrap())));
    }
}

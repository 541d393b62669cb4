//! A checked message on its way to a queue.

use super::kind::MessageKind;
use super::queue::QueueKey;
use metadata::model::Durability;
use protocol::stored::StoredMessage;

/// A message on its way to a queue; checked.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What is stored: queue id, offsets and store time are filled in on the way.
    pub message: StoredMessage,
    /// What it asks of the broker.
    pub kind: MessageKind,
    /// Its tag's hash, which the queue's index keeps; 0 for no tag.
    pub filter: u64,
    /// The level that it asks for, if it does. It may raise the topic's, never lower it.
    pub durability: Option<Durability>,
    /// What decides on the queue.
    pub queue_key: QueueKey,
}

//! The kind of a message, told by what it carries, and whether a topic takes it.

use crate::observe::names::MessageType;
use metadata::model::TopicKind;
use protocol::stored::{Properties, property};
use std::fmt;

/// What a message asks of the broker beyond being kept (proto `MessageType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Nothing.
    Normal,
    /// Order within its message group.
    Fifo,
    /// Delivery at a time.
    Delay,
    /// Invisibility until decided.
    Transaction,
    /// A lite topic of its own.
    Lite,
    /// To be delivered before others.
    Priority,
}

impl MessageKind {
    /// What metrics call it.
    pub const fn counted_as(self) -> MessageType {
        match self {
            MessageKind::Normal => MessageType::Normal,
            MessageKind::Fifo => MessageType::Fifo,
            MessageKind::Delay => MessageType::Delay,
            MessageKind::Transaction => MessageType::Transaction,
            MessageKind::Lite => MessageType::Lite,
            MessageKind::Priority => MessageType::Priority,
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MessageKind::Normal => "NORMAL",
            MessageKind::Fifo => "FIFO",
            MessageKind::Delay => "DELAY",
            MessageKind::Transaction => "TRANSACTION",
            MessageKind::Lite => "LITE",
            MessageKind::Priority => "PRIORITY",
        })
    }
}

/// Why a topic does not take a message of some kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindRefused {
    /// The topic is for another kind. The sender chose the wrong topic, or the topic was created
    /// with the wrong `message.type`.
    #[error(
        "TopicMessageType validate failed, the expected type is {}, but actual type is {actual}",
        .expected.as_str()
    )]
    Conflict {
        /// What the topic takes.
        expected: TopicKind,
        /// What the message is.
        actual: MessageKind,
    },
    /// Topic and message agree, but this version does not serve the kind.
    #[error(
        "{0} messages are not served by this version yet: send NORMAL messages to a topic of \
         message.type NORMAL (stratamq topic create NAME), without delivery time, message group, \
         priority, lite topic or transaction"
    )]
    NotServed(MessageKind),
}

/// The kind that stored properties amount to, in Apache's order of precedence (spec B.8).
pub fn kind_of(properties: &Properties) -> MessageKind {
    let has = |name| properties.get(name).is_some();
    if properties.get(property::TRANSACTION_PREPARED) == Some("true") {
        MessageKind::Transaction
    } else if [
        property::DELAY,
        property::TIMER_DELIVER_MS,
        property::TIMER_DELAY_SEC,
        property::TIMER_DELAY_MS,
    ]
    .into_iter()
    .any(has)
    {
        MessageKind::Delay
    } else if has(property::SHARDING_KEY) {
        MessageKind::Fifo
    } else if has(property::PRIORITY) {
        MessageKind::Priority
    } else if has(property::LITE_TOPIC) {
        MessageKind::Lite
    } else {
        MessageKind::Normal
    }
}

/// Whether a topic takes a message. `implied` is a topic that a group implies (`%RETRY%`, `%DLQ%`),
/// whose kind is not asked.
///
/// # Errors
/// Apache's type check first, then what this version does not serve.
pub fn admit(topic: TopicKind, implied: bool, message: MessageKind) -> Result<(), KindRefused> {
    if !implied && topic != TopicKind::Mixed && takes(topic) != Some(message) {
        return Err(KindRefused::Conflict { expected: topic, actual: message });
    }
    match message {
        MessageKind::Normal => Ok(()),
        MessageKind::Fifo
        | MessageKind::Delay
        | MessageKind::Transaction
        | MessageKind::Lite
        | MessageKind::Priority => Err(KindRefused::NotServed(message)),
    }
}

/// The one kind that a topic takes; `None` when it is not one.
fn takes(topic: TopicKind) -> Option<MessageKind> {
    match topic {
        TopicKind::Normal => Some(MessageKind::Normal),
        TopicKind::Fifo => Some(MessageKind::Fifo),
        TopicKind::Delay => Some(MessageKind::Delay),
        TopicKind::Transaction => Some(MessageKind::Transaction),
        TopicKind::Lite => Some(MessageKind::Lite),
        TopicKind::Priority => Some(MessageKind::Priority),
        TopicKind::Mixed | TopicKind::Unspecified => None,
    }
}

#[cfg(test)]
mod tests;

//! Everything that this front refuses, and the one place where codes are chosen.

use crate::consume::filter::FilterRefused;
use crate::consume::{AckRefused, ReceiveRefused, WriteRefused};
use crate::group::RegisterRefused;
use crate::produce::{KindRefused, MessageRefused, SendRefused};
use metadata::CatalogError;
use protocol::grpc::v2::{self, Code};
use protocol::names::{GroupName, NameRefused, Noun, TopicName};
use std::time::Duration;

/// Why a request is refused. Its `Display` is the status message that the client sees.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// No `x-mq-client-id`, or a blank one.
    #[error("client id cannot be empty")]
    ClientIdRequired,
    /// The client never said who it is, or this gateway no longer knows. It resends its settings.
    #[error("cannot find client settings for this client")]
    UnknownClient,
    /// Its settings name a client type that does not do this.
    #[error("the client type {0} cannot do this")]
    ClientType(String),
    /// Settings that neither publish nor subscribe.
    #[error("there is no publishing or subscription data in settings")]
    NothingInSettings,
    /// More, longer or otherwise named client properties than the API allows.
    #[error(
        "client properties: at most 32, names of 1 to 64 letters, digits, '_', '.' and '-' \
         beginning with a letter, values of at most 256 bytes, 4 KiB together"
    )]
    ClientProperties,
    /// A name.
    #[error(transparent)]
    Name(#[from] NameRefused),
    /// No such topic.
    #[error("topic not found: {0}")]
    TopicNotFound(TopicName),
    /// No such group, where a receive needs one and may not make it.
    #[error("consumer group not found: {0}")]
    GroupNotFound(GroupName),
    /// No such group, where settings name one.
    #[error("group not found: {0}")]
    GroupUnknownInSettings(GroupName),
    /// A lite consumer of a group that is none, or the other way round.
    #[error("group {0} and the client's type do not go together: one is lite, the other is not")]
    LiteMismatch(GroupName),
    /// A lite consumer of a topic that its group is not bound to.
    #[error("group is bound to topic {bound}, not to {asked}")]
    LiteTopicNotBound {
        /// The topic that the group is for.
        bound: String,
        /// The topic that the client named.
        asked: TopicName,
    },
    /// The group may not receive.
    #[error("consumption is disabled for group {0}")]
    ConsumeDisabled(GroupName),
    /// Nothing to receive from.
    #[error("no readable queue")]
    NoReadableQueue,
    /// Messages of two topics in one request.
    #[error("the messages of one request must have the same topic")]
    MixedTopics,
    /// Sending.
    #[error(transparent)]
    Send(#[from] SendRefused),
    /// The time left is too short for a poll. `old_client` chooses the code.
    #[error(
        "the deadline is too near for a poll, it must be at least {} s ahead",
        .least.as_secs()
    )]
    PollingTime {
        /// The shortest poll.
        least: Duration,
        /// Whether the client is from before ILLEGAL_POLLING_TIME.
        old_client: bool,
    },
    /// An invisible duration outside its limits.
    #[error(
        "the invisible time must be {} s to {} s, it is {} s",
        .least.as_secs(),
        .most.as_secs(),
        .asked.as_secs_f64()
    )]
    InvisibleTime {
        /// The shortest allowed.
        least: Duration,
        /// The longest allowed.
        most: Duration,
        /// What was asked for.
        asked: Duration,
    },
    /// An invisible duration below zero, or none where one is needed.
    #[error("the invisible time must not be negative")]
    InvisibleTimeNegative,
    /// A filter.
    #[error(transparent)]
    Filter(#[from] FilterRefused),
    /// Receiving.
    #[error(transparent)]
    Receive(#[from] ReceiveRefused),
    /// An ack without entries.
    #[error("no receipt handle to acknowledge")]
    NoEntries,
    /// Ack, change of the invisible time, dead letter.
    #[error(transparent)]
    Ack(#[from] AckRefused),
    /// Too many clients, or too many topics of one.
    #[error(transparent)]
    Register(#[from] RegisterRefused),
    /// The metadata store, where a group is made on first use.
    #[error("the group cannot be made now: {0}")]
    Catalog(#[from] CatalogError),
}

impl Refused {
    /// The status that says so.
    pub(super) fn status(&self) -> v2::Status {
        status(code(self), self.to_string())
    }
}

/// A status.
pub(super) fn status(code: Code, message: impl Into<String>) -> v2::Status {
    v2::Status { code: code.into(), message: message.into() }
}

/// The status of success, with Apache's message.
pub(super) fn ok() -> v2::Status {
    status(Code::Ok, "OK")
}

/// The code of each refusal. Sources: spec B.5 (names), B.4 (client types), B.3 (settings), B.6 and
/// B.7 (routes), B.8 (sending), B.9 (receiving), B.11 to B.13 (receipts), B.23 (where ours
/// differs).
pub(super) fn code(refused: &Refused) -> Code {
    match refused {
        Refused::ClientIdRequired => Code::ClientIdRequired,
        Refused::UnknownClient | Refused::ClientType(_) => Code::UnrecognizedClientType,
        Refused::NothingInSettings | Refused::NoEntries => Code::BadRequest,
        Refused::ClientProperties => Code::InvalidClientProperties,
        Refused::Name(name) => name_code(name),
        Refused::TopicNotFound(_) => Code::TopicNotFound,
        Refused::GroupNotFound(_) => Code::ConsumerGroupNotFound,
        Refused::GroupUnknownInSettings(_) | Refused::LiteMismatch(_) => Code::IllegalConsumerGroup,
        Refused::LiteTopicNotBound { .. } => Code::IllegalTopic,
        Refused::ConsumeDisabled(_) | Refused::NoReadableQueue => Code::Forbidden,
        Refused::MixedTopics => Code::MessageCorrupted,
        Refused::Send(send) => send_code(send),
        Refused::PollingTime { old_client: true, .. } => Code::BadRequest,
        Refused::PollingTime { old_client: false, .. } => Code::IllegalPollingTime,
        Refused::InvisibleTime { .. } | Refused::InvisibleTimeNegative => {
            Code::IllegalInvisibleTime
        }
        Refused::Filter(_) => Code::IllegalFilterExpression,
        Refused::Receive(receive) => receive_code(receive),
        Refused::Ack(ack) => ack_code(ack),
        // Another gateway may have room; Apache has no such limit.
        Refused::Register(RegisterRefused::Full) => Code::TooManyRequests,
        Refused::Register(RegisterRefused::TooManyTopics(_)) => Code::BadRequest,
        Refused::Catalog(_) => Code::InternalServerError,
    }
}

fn name_code(name: &NameRefused) -> Code {
    match name.noun() {
        Noun::Topic => Code::IllegalTopic,
        Noun::Group => Code::IllegalConsumerGroup,
        Noun::Tag => Code::IllegalMessageTag,
        Noun::Key => Code::IllegalMessageKey,
        Noun::MessageGroup => Code::IllegalMessageGroup,
        Noun::LiteTopic => Code::IllegalLiteTopic,
        Noun::Property => Code::IllegalMessagePropertyKey,
    }
}

fn send_code(refused: &SendRefused) -> Code {
    match refused {
        SendRefused::NoMessage => Code::MessageCorrupted,
        SendRefused::Message(message) => message_code(message),
        SendRefused::Kind(KindRefused::Conflict { .. }) => Code::MessagePropertyConflictWithType,
        SendRefused::Kind(KindRefused::NotServed(_)) => Code::NotImplemented,
        SendRefused::NoWritableQueue => Code::Forbidden,
        // Broker busy (spec B.8): clients back off and come again.
        SendRefused::Full { .. }
        | SendRefused::IndexFull { .. }
        | SendRefused::DiskFull
        | SendRefused::Busy => Code::TooManyRequests,
        SendRefused::TooLarge { .. } | SendRefused::Unstorable(_) => Code::PayloadTooLarge,
        // The queue's owner is not at hand: clients try another queue.
        SendRefused::NotServedHere(_) | SendRefused::Moved => Code::HaNotAvailable,
        // Apache's FLUSH_DISK_TIMEOUT: stored perhaps, and not known to be durable.
        SendRefused::OutcomeUnknown => Code::MasterPersistenceTimeout,
    }
}

fn message_code(refused: &MessageRefused) -> Code {
    match refused {
        MessageRefused::BodyEmpty => Code::MessageBodyEmpty,
        MessageRefused::BodyTooLarge(_) => Code::MessageBodyTooLarge,
        MessageRefused::TooManyProperties(_) | MessageRefused::PropertiesTooLarge { .. } => {
            Code::MessagePropertiesTooLarge
        }
        MessageRefused::Name(name) => name_code(name),
        MessageRefused::MessageId => Code::IllegalMessageId,
        MessageRefused::DeliveryTime => Code::IllegalDeliveryTime,
        MessageRefused::Durability | MessageRefused::TraceContext => {
            Code::IllegalMessagePropertyKey
        }
        MessageRefused::RecoveryTooLong | MessageRefused::Priority(_) => Code::BadRequest,
    }
}

fn receive_code(refused: &ReceiveRefused) -> Code {
    match refused {
        ReceiveRefused::NotServedHere => Code::HaNotAvailable,
        // As a busy journal: clients back off and come again.
        ReceiveRefused::PollingFull | ReceiveRefused::NotLoaded(_) => Code::TooManyRequests,
        ReceiveRefused::Write(write) => write_code(write),
    }
}

/// A handle that decides nothing any more is INVALID_RECEIPT_HANDLE, whatever the reason: it is the
/// one code on which push consumers give up, where they would retry any other for ever (spec B.10,
/// B.11, B.23).
fn ack_code(refused: &AckRefused) -> Code {
    match refused {
        AckRefused::Handle(_) | AckRefused::Claim(_) => Code::InvalidReceiptHandle,
        AckRefused::NotServedHere(_) => Code::HaNotAvailable,
        AckRefused::Unreadable => Code::InternalServerError,
        AckRefused::NotLoaded(_) => Code::TooManyRequests,
        AckRefused::Write(write) => write_code(write),
    }
}

/// As [`send_code`] has it.
fn write_code(refused: &WriteRefused) -> Code {
    match refused {
        WriteRefused::Full { .. }
        | WriteRefused::IndexFull { .. }
        | WriteRefused::DiskFull
        | WriteRefused::Busy => Code::TooManyRequests,
        WriteRefused::Moved => Code::HaNotAvailable,
        WriteRefused::OutcomeUnknown => Code::MasterPersistenceTimeout,
    }
}

#[cfg(test)]
mod tests;

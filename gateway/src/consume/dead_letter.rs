//! The copy of a message for its group's dead-letter queue.

use crate::record;
use bytes::Bytes;
use metadata::model::Group;
use protocol::names::TopicName;
use protocol::stored::{self, StoredMessage, offset_message_id, property, tag_hash};
use storage::Draft;

/// Why a message has no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCopied {
    /// The record's bytes are no message.
    #[error("the record is no stored message")]
    Unreadable(#[source] stored::StoredError),
    /// With what it gets besides, the copy would be longer than a message may be.
    #[error("the copy is too long")]
    TooLong(#[source] stored::StoredError),
}

/// The record that puts a copy of `record`, a stored message, into the dead-letter queue of
/// `group`, where it is queue 0 of `%DLQ%group`. It keeps its properties and says where it came
/// from (spec B.13); `attempt` is how often it was delivered.
pub(super) fn copy(record: Bytes, group: &Group, attempt: u32) -> Result<Draft, NotCopied> {
    let mut message = stored::decode(record).map_err(NotCopied::Unreadable)?;
    say_origin(&mut message);
    message.topic = TopicName::dead_letter_of(&group.name).as_str().to_owned();
    message.queue_id = 0;
    message.reconsume_times = i32::try_from(attempt).unwrap_or(i32::MAX);
    (message.queue_offset, message.physical_offset, message.stored_at) = (0, 0, 0);
    let filter = message.properties.get(property::TAGS).map_or(0, tag_hash);
    let encoded = message.encode().map_err(NotCopied::TooLong)?;
    Ok(record::of_message(group.dead_letter_queue(), filter, encoded))
}

fn say_origin(message: &mut StoredMessage) {
    if message.properties.get(property::RETRY_TOPIC).is_none() {
        message.properties.set(property::RETRY_TOPIC, message.topic.as_str());
    }
    if message.properties.get(property::ORIGIN_MESSAGE_ID).is_none() {
        let id = offset_message_id(message.store_host, message.physical_offset);
        message.properties.set(property::ORIGIN_MESSAGE_ID, id);
    }
}

//! SendMessage (spec B.8): from the wire to `produce`, and back.

use super::convert::{self, duration, millis};
use super::refused::{Refused, ok};
use crate::produce::{Incoming, Origin, Outgoing, SendRefused, Sent, accept};
use protocol::grpc::v2::{
    Encoding, Message, MessageType, Resource, SendMessageResponse, SendResultEntry,
};
use protocol::names::TopicName;

/// The topic that a request sends to: its first message's.
///
/// # Errors
/// No message, or an illegal topic.
pub(super) fn topic(messages: &[Message], cluster: &str) -> Result<TopicName, Refused> {
    let first = messages.first().ok_or(SendRefused::NoMessage)?;
    convert::topic(first.topic.as_ref(), cluster)
}

/// The messages of a request, checked one after the other.
///
/// # Errors
/// What is wrong with the first that is not acceptable.
pub(super) fn outgoing(
    messages: Vec<Message>,
    origin: &Origin<'_>,
) -> Result<Vec<Outgoing>, Refused> {
    let named =
        |topic: &Option<Resource>| topic.as_ref().is_some_and(|t| t.name == origin.topic.as_str());
    let mut checked = Vec::with_capacity(messages.len());
    for message in messages {
        if !named(&message.topic) {
            return Err(Refused::MixedTopics);
        }
        let outgoing = accept(incoming(message), origin).map_err(SendRefused::from)?;
        checked.push(outgoing);
    }
    Ok(checked)
}

fn incoming(message: Message) -> Incoming {
    let system = message.system_properties.unwrap_or_default();
    Incoming {
        message_id: system.message_id,
        tag: system.tag.unwrap_or_default(),
        keys: system.keys,
        user_properties: message.user_properties,
        body: message.body,
        compressed: system.body_encoding == i32::from(Encoding::Gzip),
        half: system.message_type == i32::from(MessageType::Transaction),
        born_at_ms: system.born_timestamp.as_ref().map(millis),
        born_host: system.born_host,
        delivery_attempt: system.delivery_attempt.unwrap_or_default(),
        deliver_at_ms: system.delivery_timestamp.as_ref().map(millis),
        message_group: system.message_group,
        trace_context: system.trace_context,
        recovery: system.orphaned_transaction_recovery_duration.as_ref().and_then(duration),
        lite_topic: system.lite_topic,
        priority: system.priority,
    }
}

/// The answer to a send: one entry for each message, in order. The transaction id is the message
/// id, as Apache's broker sets it for all sends.
pub(super) fn answer(ids: Vec<String>, sent: &[Sent]) -> SendMessageResponse {
    let entry = |(message_id, sent): (String, &Sent)| SendResultEntry {
        status: Some(ok()),
        transaction_id: message_id.clone(),
        message_id,
        offset: i64::try_from(sent.offset.0).unwrap_or(i64::MAX),
        recall_handle: String::new(),
    };
    SendMessageResponse {
        status: Some(ok()),
        entries: ids.into_iter().zip(sent).map(entry).collect(),
    }
}

/// The answer to a send that was refused as a whole.
pub(super) fn refusal(refused: &Refused) -> SendMessageResponse {
    SendMessageResponse { status: Some(refused.status()), entries: Vec::new() }
}

/// The clients' ids of the messages.
pub(super) fn ids(messages: &[Message]) -> Vec<String> {
    let id = |message: &Message| {
        let system = message.system_properties.as_ref();
        system.map(|system| system.message_id.clone()).unwrap_or_default()
    };
    messages.iter().map(id).collect()
}

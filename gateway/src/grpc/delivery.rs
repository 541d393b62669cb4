//! A stored message as a consumer sees it (spec B.9, "Message on delivery").

use super::convert::wire_millis;
use crate::produce::{MessageKind, kind_of};
use md5::{Digest as _, Md5};
use protocol::grpc::v2::{
    DeadLetterQueue, Digest, DigestType, Encoding, Message, MessageType, Resource, SystemProperties,
};
use protocol::stored::{Properties, StoredMessage, SysFlag, property};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tokio::runtime::{Handle, RuntimeFlavor};

/// A body of which MD5 takes about half a millisecond; it holds up no other task on its thread for
/// longer.
const INLINE_DIGEST_BYTES_MAX: usize = 256 << 10;

/// What the delivery itself adds to the message.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    /// What the consumer acknowledges with.
    pub(super) handle: String,
    /// 1 is the first.
    pub(super) attempt: u32,
}

/// The message on the wire. `namespace` is the client's own.
pub(super) fn message(stored: StoredMessage, receipt: Receipt, namespace: &str) -> Message {
    let properties = &stored.properties;
    let system = SystemProperties {
        tag: owned(properties, property::TAGS),
        keys: keys(properties),
        message_id: properties.get(property::UNIQ_KEY).unwrap_or_default().to_owned(),
        body_digest: Some(digest(&stored.body)),
        body_encoding: encoding(stored.sys_flag).into(),
        message_type: message_type(kind_of(properties)).into(),
        born_timestamp: Some(wire_millis(stored.born_at)),
        born_host: owned(properties, property::BORN_HOST)
            .unwrap_or_else(|| stored.born_host.ip().to_canonical().to_string()),
        store_timestamp: Some(wire_millis(stored.stored_at)),
        store_host: stored.store_host.to_string(),
        delivery_timestamp: number(properties, property::TIMER_DELIVER_MS).map(wire_millis),
        receipt_handle: Some(receipt.handle),
        queue_id: stored.queue_id,
        queue_offset: Some(stored.queue_offset),
        invisible_duration: None,
        delivery_attempt: Some(i32::try_from(receipt.attempt).unwrap_or(i32::MAX)),
        message_group: owned(properties, property::SHARDING_KEY),
        trace_context: owned(properties, property::TRACE_CONTEXT),
        orphaned_transaction_recovery_duration: None,
        dead_letter_queue: dead_letter_queue(properties),
        lite_topic: owned(properties, property::LITE_TOPIC),
        priority: number(properties, property::PRIORITY).and_then(|n| i32::try_from(n).ok()),
    };
    let user_properties = user_properties(properties);
    let topic = Resource { resource_namespace: namespace.to_owned(), name: topic(&stored) };
    Message {
        topic: Some(topic),
        user_properties,
        system_properties: Some(system),
        body: stored.body,
    }
}

/// The topic that the message was sent to: a message out of a retry topic shows its original one.
fn topic(stored: &StoredMessage) -> String {
    let original = stored.properties.get(property::RETRY_TOPIC);
    match original {
        Some(original) if stored.topic.starts_with("%RETRY%") => original.to_owned(),
        Some(_) | None => stored.topic.clone(),
    }
}

fn owned(properties: &Properties, name: &str) -> Option<String> {
    properties.get(name).map(str::to_owned)
}

fn number(properties: &Properties, name: &str) -> Option<i64> {
    properties.get(name)?.parse().ok()
}

fn keys(properties: &Properties) -> Vec<String> {
    let keys = properties.get(property::KEYS).unwrap_or_default();
    keys.split(property::KEY_SEPARATOR).filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

fn user_properties(properties: &Properties) -> BTreeMap<String, String> {
    let shown = properties.iter().filter(|(name, _)| !property::RESERVED.contains(name));
    shown.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// MD5 of the body as stored, in upper-case hex: what Apache's proxy sends and every client checks.
fn digest(body: &[u8]) -> Digest {
    let hash = if body.len() > INLINE_DIGEST_BYTES_MAX && may_block() {
        tokio::task::block_in_place(|| Md5::digest(body))
    } else {
        Md5::digest(body)
    };
    let mut checksum = String::with_capacity(2 * hash.len());
    for byte in hash {
        // Writing to a string cannot fail.
        let _ = write!(checksum, "{byte:02X}");
    }
    Digest { r#type: DigestType::Md5.into(), checksum }
}

/// Whether this thread may hand its other tasks to another one.
fn may_block() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// GZIP stands for compressed in whatever way; clients look at the body's first bytes (spec B.9,
/// "GZIP trap").
fn encoding(flag: SysFlag) -> Encoding {
    if flag.contains(SysFlag::COMPRESSED) { Encoding::Gzip } else { Encoding::Identity }
}

fn message_type(kind: MessageKind) -> MessageType {
    match kind {
        MessageKind::Normal => MessageType::Normal,
        MessageKind::Fifo => MessageType::Fifo,
        MessageKind::Delay => MessageType::Delay,
        MessageKind::Transaction => MessageType::Transaction,
        MessageKind::Lite => MessageType::Lite,
        MessageKind::Priority => MessageType::Priority,
    }
}

fn dead_letter_queue(properties: &Properties) -> Option<DeadLetterQueue> {
    Some(DeadLetterQueue {
        topic: owned(properties, property::DLQ_ORIGIN_TOPIC)?,
        message_id: owned(properties, property::DLQ_ORIGIN_MESSAGE_ID)?,
    })
}

#[cfg(test)]
mod tests;

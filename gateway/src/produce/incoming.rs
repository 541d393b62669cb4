//! What makes a message acceptable, in the order in which Apache's proxy looks (spec B.8), and what
//! is stored of it.

use super::kind::{MessageKind, kind_of};
use super::outgoing::Outgoing;
use super::queue::QueueKey;
use bytes::Bytes;
use metadata::model::Durability;
use protocol::names::{
    BODY_BYTES_MAX, LiteTopic, MessageGroup, MessageKey, NameRefused, PROPERTIES_BYTES_MAX, Tag,
    TopicName, USER_PROPERTIES_MAX, check_user_property,
};
use protocol::stored::{
    PROPERTIES_BYTES_MAX as STORED_BYTES_MAX, Properties, StoredMessage, SysFlag, property,
    tag_hash,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use storage::env::Timestamp;

/// How far ahead a delivery may be asked for: ten years, where Apache's proxy stops at a day (spec
/// B.23).
pub const DELAY_MAX: Duration = Duration::from_secs(3_653 * 24 * 3_600);
/// The longest wait before an undecided transaction is asked about (spec B.8).
pub const RECOVERY_MAX: Duration = Duration::from_secs(3_600);
/// A message as a front took it off the wire; nothing is checked yet.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// The client's name for the message.
    pub message_id: String,
    /// Empty for none.
    pub tag: String,
    /// In the sender's order.
    pub keys: Vec<String>,
    /// Sorted by name.
    pub user_properties: BTreeMap<String, String>,
    /// As sent, perhaps compressed.
    pub body: Bytes,
    /// Whether the sender compressed the body.
    pub compressed: bool,
    /// Whether it is the first half of a transaction.
    pub half: bool,
    /// When the sender made it, ms since 1970; `None` when it did not say.
    pub born_at_ms: Option<i64>,
    /// Where the sender made it, in its own words; empty when it did not say.
    pub born_host: String,
    /// The sender's count of attempts, which Apache stores.
    pub delivery_attempt: i32,
    /// When to deliver it, ms since 1970; the past means at once.
    pub deliver_at_ms: Option<i64>,
    /// The order that it belongs to.
    pub message_group: Option<String>,
    /// The sender's trace, opaque.
    pub trace_context: Option<String>,
    /// How long an undecided transaction is left alone.
    pub recovery: Option<Duration>,
    /// The lite topic under the topic.
    pub lite_topic: Option<String>,
    /// Larger is sooner.
    pub priority: Option<i32>,
}

/// Where a message comes from and where it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The topic of the request.
    pub topic: &'a TopicName,
    /// The sender's address.
    pub peer: SocketAddr,
    /// The address that stored messages name as their store.
    pub store_host: SocketAddr,
    /// The time of the request.
    pub now: Timestamp,
}

/// Why a message is not acceptable. The sender's to fix, every one of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefused {
    /// The body is empty.
    #[error("message body cannot be empty")]
    BodyEmpty,
    /// The body is larger than [`BODY_BYTES_MAX`].
    #[error("message body cannot exceed {BODY_BYTES_MAX} bytes, it has {0}")]
    BodyTooLarge(usize),
    /// More user properties than [`USER_PROPERTIES_MAX`].
    #[error("a message may have at most {USER_PROPERTIES_MAX} properties, it has {0}")]
    TooManyProperties(usize),
    /// A property, the tag, a key, the message group or the lite topic is not one; the noun tells
    /// which.
    #[error(transparent)]
    Name(#[from] NameRefused),
    /// Properties, tag and keys are larger than [`PROPERTIES_BYTES_MAX`], or with the broker's own
    /// too large to store.
    #[error("properties, tag and keys have {bytes} bytes, more than {limit}")]
    PropertiesTooLarge {
        /// What they have.
        bytes: usize,
        /// What they may have.
        limit: usize,
    },
    /// No id, or one with control characters.
    #[error("message id cannot be empty or hold a control character")]
    MessageId,
    /// Longer than [`RECOVERY_MAX`].
    #[error("the transaction's recovery duration cannot exceed {} s", RECOVERY_MAX.as_secs())]
    RecoveryTooLong,
    /// Further ahead than [`DELAY_MAX`].
    #[error("a delivery cannot be more than {} days ahead", DELAY_MAX.as_secs() / 86_400)]
    DeliveryTime,
    /// A negative priority.
    #[error("the priority cannot be negative, it is {0}")]
    Priority(i32),
    /// The property that raises the durability level says something else.
    #[error("property {}: say async, local, mirrored or object", property::STRATAMQ_DURABILITY)]
    Durability,
    /// The trace context holds a control character, which the stored encoding cannot.
    #[error("the trace context contains a control character")]
    TraceContext,
}

/// Checks a message and says what is to be stored of it.
///
/// # Errors
/// The first thing wrong, in Apache's order.
pub fn accept(incoming: Incoming, origin: &Origin<'_>) -> Result<Outgoing, MessageRefused> {
    check_body(&incoming.body)?;
    check_properties(&incoming)?;
    if incoming.message_id.trim().is_empty() || incoming.message_id.chars().any(is_control) {
        return Err(MessageRefused::MessageId);
    }
    if incoming.recovery.is_some_and(|recovery| recovery > RECOVERY_MAX) {
        return Err(MessageRefused::RecoveryTooLong);
    }
    if incoming.deliver_at_ms.is_some_and(|at| too_far_ahead(at, origin.now)) {
        return Err(MessageRefused::DeliveryTime);
    }
    if let Some(group) = given(&incoming.message_group) {
        MessageGroup::parse(group)?;
    }
    if let Some(priority) = incoming.priority.filter(|&priority| priority < 0) {
        return Err(MessageRefused::Priority(priority));
    }
    if let Some(lite) = &incoming.lite_topic {
        LiteTopic::parse(lite)?;
    }
    let durability = durability(&incoming)?;
    build(incoming, origin, durability)
}

fn check_body(body: &Bytes) -> Result<(), MessageRefused> {
    match body.len() {
        0 => Err(MessageRefused::BodyEmpty),
        bytes if bytes > BODY_BYTES_MAX => Err(MessageRefused::BodyTooLarge(bytes)),
        _ => Ok(()),
    }
}

fn check_properties(incoming: &Incoming) -> Result<(), MessageRefused> {
    let user = &incoming.user_properties;
    if user.len() > USER_PROPERTIES_MAX {
        return Err(MessageRefused::TooManyProperties(user.len()));
    }
    let mut bytes = incoming.tag.len();
    for (name, value) in user {
        check_user_property(name, value)?;
        bytes += name.len() + value.len();
    }
    if !incoming.tag.is_empty() {
        Tag::parse(&incoming.tag)?;
    }
    for key in incoming.keys.iter().filter(|key| !key.is_empty()) {
        MessageKey::parse(key)?;
        bytes += key.len();
    }
    if bytes > PROPERTIES_BYTES_MAX {
        return Err(MessageRefused::PropertiesTooLarge { bytes, limit: PROPERTIES_BYTES_MAX });
    }
    Ok(())
}

fn too_far_ahead(deliver_at_ms: i64, now: Timestamp) -> bool {
    u64::try_from(deliver_at_ms).is_ok_and(|at| at > now.plus(DELAY_MAX).0)
}

/// The level that the message asks for, if it does.
fn durability(incoming: &Incoming) -> Result<Option<Durability>, MessageRefused> {
    match incoming.user_properties.get(property::STRATAMQ_DURABILITY) {
        None => Ok(None),
        Some(text) => Durability::parse(text).map(Some).ok_or(MessageRefused::Durability),
    }
}

/// Java's ISO control characters (spec B.8).
fn is_control(c: char) -> bool {
    c.is_control()
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn build(
    mut incoming: Incoming,
    origin: &Origin<'_>,
    durability: Option<Durability>,
) -> Result<Outgoing, MessageRefused> {
    let born_at = incoming.born_at_ms.unwrap_or_else(|| now_ms(origin.now));
    let sys_flag = sys_flag(&incoming);
    let filter = if incoming.tag.is_empty() { 0 } else { tag_hash(&incoming.tag) };
    let body = std::mem::take(&mut incoming.body);
    let properties = properties(incoming, origin, born_at)?;
    let kind = kind_of(&properties);
    let queue_key = match kind {
        MessageKind::Fifo => hash_of(&properties, property::SHARDING_KEY),
        MessageKind::Lite => hash_of(&properties, property::LITE_TOPIC),
        MessageKind::Normal
        | MessageKind::Delay
        | MessageKind::Transaction
        | MessageKind::Priority => QueueKey::RoundRobin,
    };
    let message = StoredMessage {
        queue_id: 0,
        flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag,
        born_at,
        born_host: origin.peer,
        stored_at: 0,
        store_host: origin.store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        topic: origin.topic.as_str().to_owned(),
        properties,
    };
    Ok(Outgoing { message, kind, filter, durability, queue_key })
}

fn sys_flag(incoming: &Incoming) -> SysFlag {
    let mut flag = SysFlag::default();
    if incoming.compressed {
        flag = flag.with(SysFlag::COMPRESSED);
    }
    if incoming.half {
        flag = flag.with(SysFlag::PREPARED);
    }
    flag
}

/// The stored properties: the user's, and over them what the message's own fields say (spec B.8,
/// "property mapping").
fn properties(
    incoming: Incoming,
    origin: &Origin<'_>,
    born_at: i64,
) -> Result<Properties, MessageRefused> {
    let mut properties: Properties = incoming.user_properties.into_iter().collect();
    properties.set(property::UNIQ_KEY, incoming.message_id);
    if !incoming.tag.is_empty() {
        properties.set(property::TAGS, incoming.tag);
    }
    if let Some(keys) = joined(&incoming.keys) {
        properties.set(property::KEYS, keys);
    }
    if incoming.half {
        properties.set(property::TRANSACTION_PREPARED, "true");
        if let Some(recovery) = incoming.recovery {
            let seconds = recovery.as_secs().to_string();
            properties.set(property::CHECK_IMMUNITY_TIME_IN_SECONDS, seconds);
        }
    }
    if let Some(at) = incoming.deliver_at_ms {
        properties.set(property::TIMER_DELIVER_MS, at.to_string());
    }
    properties.set(property::RECONSUME_TIME, incoming.delivery_attempt.to_string());
    properties.set(property::PRODUCER_GROUP, origin.topic.as_str());
    if let Some(group) = incoming.message_group.filter(|group| !group.is_empty()) {
        properties.set(property::SHARDING_KEY, group);
    }
    if let Some(trace) = incoming.trace_context.filter(|trace| !trace.is_empty()) {
        if trace.chars().any(is_control) {
            return Err(MessageRefused::TraceContext);
        }
        properties.set(property::TRACE_CONTEXT, trace);
    }
    // A host with control characters would break the stored encoding; the peer's address is true in
    // any case.
    let host = incoming.born_host;
    let usable = !host.is_empty() && !host.chars().any(is_control);
    let host = if usable { host } else { origin.peer.ip().to_canonical().to_string() };
    properties.set(property::BORN_HOST, host);
    properties.set(property::BORN_TIMESTAMP, born_at.to_string());
    if let Some(priority) = incoming.priority {
        properties.set(property::PRIORITY, priority.to_string());
    }
    if let Some(lite) = incoming.lite_topic {
        properties.set(property::LITE_TOPIC, lite);
    }
    let bytes = properties.encoded_len();
    if bytes > STORED_BYTES_MAX {
        return Err(MessageRefused::PropertiesTooLarge { bytes, limit: STORED_BYTES_MAX });
    }
    Ok(properties)
}

/// The keys as one text; `None` where there is none.
fn joined(keys: &[String]) -> Option<String> {
    let given: Vec<&str> = keys.iter().map(String::as_str).filter(|key| !key.is_empty()).collect();
    (!given.is_empty()).then(|| given.join(property::KEY_SEPARATOR))
}

fn hash_of(properties: &Properties, name: &str) -> QueueKey {
    properties.get(name).map_or(QueueKey::RoundRobin, |text| QueueKey::Hash(text.to_owned()))
}

fn now_ms(now: Timestamp) -> i64 {
    i64::try_from(now.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

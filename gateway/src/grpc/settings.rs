//! Settings negotiation: what a client says it is, and what it is told (spec B.3).

use super::convert::{self, duration, wire_duration};
use super::refused::Refused;
use crate::consume::filter::{Filter, FilterLanguage};
use crate::group::{Consumer, Front, Kind, Registration, Role, Subscription};
use metadata::model::{Group, Order, RetryPolicy};
use protocol::grpc::v2::{
    self, ClientType, ExponentialBackoff, FilterType, Metric, Settings, retry_policy::Strategy,
    settings::PubSub,
};
use protocol::names::{BODY_BYTES_MAX, GroupName, TopicName};
use std::net::SocketAddr;
use std::time::Duration;

/// Messages that one receive may ask for (Apache's `receive_batch_size`).
pub(super) const RECEIVE_BATCH_MAX: u16 = 32;
/// The poll that consumers are told to make.
pub(super) const LONG_POLLING: Duration = Duration::from_secs(20);
/// How long a client waits for an answer when it does not say; the official clients' default.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Lite topics that one client may subscribe to (Apache's `lite.sub.client.quota`).
const LITE_SUBSCRIPTION_QUOTA: i32 = 2_000;
/// The longest lite topic, in bytes.
const LITE_TOPIC_BYTES_MAX: i32 = 64;
/// Producers try thrice, 10 ms to 1 s apart (Apache's proxy defaults).
const PRODUCER_ATTEMPTS: i32 = 3;
const PRODUCER_BACKOFF: (Duration, Duration, f32) =
    (Duration::from_millis(10), Duration::from_secs(1), 2.0);
/// A client's own properties: how many, the longest name and value, and all together, in bytes
/// (spec B.4).
const CLIENT_PROPERTIES_MAX: usize = 32;
const CLIENT_PROPERTY_NAME_MAX: usize = 64;
const CLIENT_PROPERTY_BYTES_MAX: usize = 256;
const CLIENT_PROPERTIES_BYTES_MAX: usize = 4 << 10;
/// The group attribute that names the parent topic of a lite group (Apache's `lite.bind.topic`).
const LITE_BIND_TOPIC: &str = "lite.bind.topic";

/// The kind of client that a number means; unknown numbers mean one that may do nothing.
pub(super) fn kind(client_type: Option<i32>) -> Kind {
    match ClientType::try_from(client_type.unwrap_or_default()) {
        Ok(ClientType::Producer) => Kind::Producer,
        Ok(ClientType::PushConsumer) => Kind::PushConsumer,
        Ok(ClientType::SimpleConsumer) => Kind::SimpleConsumer,
        Ok(ClientType::PullConsumer) => Kind::PullConsumer,
        Ok(ClientType::LitePushConsumer) => Kind::LitePushConsumer,
        Ok(ClientType::LiteSimpleConsumer) => Kind::LiteSimpleConsumer,
        Ok(ClientType::Unspecified) | Err(_) => Kind::Unknown,
    }
}

/// What the settings say that the client does.
///
/// # Errors
/// The first illegal topic, group or filter; [`Refused::NothingInSettings`].
pub(super) fn role(settings: &Settings, cluster: &str) -> Result<Role, Refused> {
    match &settings.pub_sub {
        Some(PubSub::Publishing(publishing)) => {
            let topics = publishing.topics.iter().map(|topic| convert::topic(Some(topic), cluster));
            Ok(Role::Producer { group: None, topics: topics.collect::<Result<_, _>>()? })
        }
        Some(PubSub::Subscription(subscription)) => {
            let group = convert::group(subscription.group.as_ref())?;
            let entries = subscription.subscriptions.iter();
            let subscriptions = entries.map(subscribed).collect::<Result<_, _>>()?;
            Ok(Role::Consumer(Consumer { group, subscriptions }))
        }
        None => Err(Refused::NothingInSettings),
    }
}

fn subscribed(entry: &v2::SubscriptionEntry) -> Result<Subscription, Refused> {
    let topic = TopicName::parse(entry.topic.as_ref().map_or("", |topic| topic.name.as_str()))?;
    let (language, expression) = expression(entry.expression.as_ref());
    Filter::parse(language, expression)?;
    Ok(Subscription {
        topic,
        expression: if expression.is_empty() { "*".to_owned() } else { expression.to_owned() },
        sql: language == FilterLanguage::Sql92,
    })
}

/// A filter expression's language and text. Anything but SQL counts as tags; absent is everything.
pub(super) fn expression(wire: Option<&v2::FilterExpression>) -> (FilterLanguage, &str) {
    match wire {
        Some(filter) if filter.r#type == i32::from(FilterType::Sql) => {
            (FilterLanguage::Sql92, &filter.expression)
        }
        Some(filter) => (FilterLanguage::Tag, &filter.expression),
        None => (FilterLanguage::Tag, ""),
    }
}

/// Whether a client of `kind` may be in `group`: lite goes with lite, on the topic that the group
/// is bound to (spec B.3, LITE).
pub(super) fn check_lite(kind: Kind, consumer: &Consumer, group: &Group) -> Result<(), Refused> {
    let lite_client = match kind {
        Kind::LitePushConsumer | Kind::LiteSimpleConsumer => true,
        Kind::Producer
        | Kind::PushConsumer
        | Kind::SimpleConsumer
        | Kind::PullConsumer
        | Kind::Unknown => false,
    };
    match (lite_client, group.attributes.get(LITE_BIND_TOPIC)) {
        (false, None) => Ok(()),
        (true, None) | (false, Some(_)) => Err(Refused::LiteMismatch(group.name.clone())),
        (true, Some(bound)) => {
            let other = consumer.subscriptions.iter().find(|s| s.topic.as_str() != bound);
            other.map_or(Ok(()), |s| {
                Err(Refused::LiteTopicNotBound { bound: bound.clone(), asked: s.topic.clone() })
            })
        }
    }
}

/// Whether the client's own properties are within the API's limits (spec B.4). Nothing is done with
/// them but to echo them.
pub(super) fn check_properties(settings: &Settings) -> Result<(), Refused> {
    let properties = &settings.client_properties;
    let named = |name: &str| {
        (1..=CLIENT_PROPERTY_NAME_MAX).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    let bytes: usize = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
    let legal = properties.len() <= CLIENT_PROPERTIES_MAX
        && bytes <= CLIENT_PROPERTIES_BYTES_MAX
        && properties
            .iter()
            .all(|(name, value)| named(name) && value.len() <= CLIENT_PROPERTY_BYTES_MAX);
    if legal { Ok(()) } else { Err(Refused::ClientProperties) }
}

/// How the settings register their client.
pub(super) fn registration(
    settings: &Settings,
    role: Role,
    address: SocketAddr,
    (language, version): (String, String),
) -> Registration {
    let timeout = settings.request_timeout.as_ref().and_then(duration);
    Registration {
        front: Front::Grpc,
        kind: kind(settings.client_type),
        roles: vec![role],
        address,
        language,
        version,
        request_timeout: timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(REQUEST_TIMEOUT),
    }
}

/// The client's settings with what it is told written over them. `group` is the consumer's, if it
/// exists; defaults where it does not.
pub(super) fn merged(mut settings: Settings, group: Option<&Group>) -> Settings {
    match &mut settings.pub_sub {
        Some(PubSub::Publishing(publishing)) => {
            publishing.validate_message_type = true;
            publishing.max_body_size = i32::try_from(BODY_BYTES_MAX).unwrap_or(i32::MAX);
            settings.backoff_policy = Some(producer_backoff());
        }
        Some(PubSub::Subscription(subscription)) => {
            subscription.fifo = Some(group.is_some_and(|group| group.order == Order::Fifo));
            subscription.receive_batch_size = Some(RECEIVE_BATCH_MAX.into());
            subscription.long_polling_timeout = Some(wire_duration(LONG_POLLING));
            subscription.lite_subscription_quota = Some(LITE_SUBSCRIPTION_QUOTA);
            subscription.max_lite_topic_size = Some(LITE_TOPIC_BYTES_MAX);
            settings.backoff_policy = Some(consumer_backoff(group));
        }
        None => {}
    }
    settings.metric = Some(Metric { on: false, endpoints: None });
    settings
}

fn producer_backoff() -> v2::RetryPolicy {
    let (initial, max, multiplier) = PRODUCER_BACKOFF;
    let strategy = exponential(initial, max, multiplier);
    v2::RetryPolicy { max_attempts: PRODUCER_ATTEMPTS, strategy: Some(strategy) }
}

fn consumer_backoff(group: Option<&Group>) -> v2::RetryPolicy {
    let attempts = group.map_or(metadata::model::MAX_ATTEMPTS_DEFAULT, |group| group.max_attempts);
    let default = RetryPolicy::default();
    let strategy = match group.map_or(&default, |group| &group.retry) {
        RetryPolicy::Customized(ladder) => {
            let next = ladder.iter().map(|&rung| wire_duration(rung)).collect();
            Strategy::CustomizedBackoff(v2::CustomizedBackoff { next })
        }
        RetryPolicy::Exponential { initial, max, multiplier } => {
            // A multiplier is a small number; a float holds it exactly.
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            exponential(*initial, *max, *multiplier as f32)
        }
    };
    v2::RetryPolicy {
        max_attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
        strategy: Some(strategy),
    }
}

fn exponential(initial: Duration, max: Duration, multiplier: f32) -> Strategy {
    Strategy::ExponentialBackoff(ExponentialBackoff {
        initial: Some(wire_duration(initial)),
        max: Some(wire_duration(max)),
        multiplier,
    })
}

/// The group that the settings put the client in.
pub(super) fn group_of(role: &Role) -> Option<&GroupName> {
    match role {
        Role::Consumer(consumer) => Some(&consumer.group),
        Role::Producer { .. } => None,
    }
}

#[cfg(test)]
mod tests;

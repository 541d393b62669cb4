//! Consumer groups: create and change them.

use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use metadata::model::{AttributeChange, GroupSpec, Order, RetryPolicy};
use protocol::names::GroupName;
use protocol::remoting::body::{GroupRetryPolicy, GroupRetryPolicyType, SubscriptionGroupConfig};
use std::time::Duration;

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP (200): the group in the whole cluster, as the body says; its
/// attributes are changes to those that it has. What the body says of retry queues, slaves and
/// broadcasting has no meaning here and is not kept.
pub(super) async fn put(session: &Session<'_>, body: &[u8]) -> Answer {
    let config: SubscriptionGroupConfig =
        serde_json::from_slice(body).map_err(|error| Refusal::Body(error.to_string()))?;
    let broker = session.broker;
    let name = GroupName::parse(&config.group_name)?;
    name.refuse_system()?;
    let existing = broker.catalog.group(name.as_str());
    let spec = existing.map_or_else(|| GroupSpec::new(name), |group| group.spec());
    let group = broker.catalog.put_group(changed(spec, &config)?).await?;
    broker.owned.open_group(&group);
    tracing::info!(group = %group.name, peer = %session.peer, "group put");
    Ok(Reply::done())
}

fn changed(mut spec: GroupSpec, config: &SubscriptionGroupConfig) -> Result<GroupSpec, Refusal> {
    spec.order = if config.consume_message_orderly { Order::Fifo } else { Order::Concurrent };
    spec.consume_enabled = config.consume_enable;
    // A delivery and its retries; a negative number means no retries.
    spec.max_attempts = u32::try_from(config.retry_max_times).unwrap_or(0).saturating_add(1);
    spec.retry = retry_policy(&config.group_retry_policy);
    for (key, value) in &config.attributes {
        spec.change(&attribute_change(key, value)?)?;
    }
    Ok(spec)
}

/// A policy whose details are absent is the default one (`GroupRetryPolicy.getRetryPolicy`).
fn retry_policy(policy: &GroupRetryPolicy) -> RetryPolicy {
    let step = Duration::from_millis;
    match policy.kind {
        GroupRetryPolicyType::Exponential => {
            policy.exponential_retry_policy.as_ref().map(|it| RetryPolicy::Exponential {
                initial: step(it.initial),
                max: step(it.max),
                multiplier: it.multiplier,
            })
        }
        GroupRetryPolicyType::Customized => {
            let ladder = policy.customized_retry_policy.as_ref().filter(|it| !it.next.is_empty());
            ladder.map(|it| RetryPolicy::Customized(it.next.iter().copied().map(step).collect()))
        }
    }
    .unwrap_or_default()
}

/// `+key` with a value, or `-key`: what `mqadmin` makes of `--attributes`.
fn attribute_change(key: &str, value: &str) -> Result<AttributeChange, Refusal> {
    match (key.strip_prefix('+'), key.strip_prefix('-')) {
        (Some(key), _) => Ok(AttributeChange::Set { key: key.into(), value: value.into() }),
        (_, Some(key)) => Ok(AttributeChange::Remove { key: key.into() }),
        (None, None) => Err(Refusal::Parameter(format!("wrong format key: {key}"))),
    }
}

//! Consumer groups: create, change and delete them, and how they are set.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use metadata::CatalogError;
use metadata::model::{AttributeChange, Group, GroupSpec, Order, RetryPolicy};
use protocol::names::GroupName;
use protocol::remoting::body::{
    CustomizedRetryPolicy, ExponentialRetryPolicy, GroupRetryPolicy, GroupRetryPolicyType,
    SubscriptionGroupConfig,
};
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

/// DELETE_SUBSCRIPTIONGROUP (207): the group in the whole cluster, with its progress and its dead
/// letters; `cleanOffset` or not, since a group made anew begins anew. One that is not there is
/// deleted already.
pub(super) async fn delete(session: &Session<'_>, header: Header<'_>) -> Answer {
    let name = GroupName::parse(header.text("groupName")?)?;
    match session.broker.catalog.delete_group(&name).await {
        Ok(()) => tracing::info!(group = %name, peer = %session.peer, "group deleted"),
        Err(CatalogError::GroupNotFound(_)) => {}
        Err(refused) => return Err(refused.into()),
    }
    Ok(Reply::done())
}

/// GET_SUBSCRIPTIONGROUP_CONFIG (352).
pub(super) fn config(session: &Session<'_>, header: Header<'_>) -> Answer {
    let group = session.broker.catalog.group(header.text("group")?).ok_or(Refusal::NoGroup)?;
    Ok(Reply::json(config_of(&group)))
}

/// A group's settings such that [`put`] would make it again. Attributes have no sign: they are not
/// changes but what there is.
pub(super) fn config_of(group: &Group) -> SubscriptionGroupConfig {
    let retries = i32::try_from(group.max_attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    SubscriptionGroupConfig {
        group_name: group.name.to_string(),
        consume_enable: group.consume_enabled,
        consume_message_orderly: group.order == Order::Fifo,
        retry_max_times: retries,
        group_retry_policy: shown_policy(&group.retry),
        attributes: group.attributes.clone(),
        ..SubscriptionGroupConfig::default()
    }
}

fn shown_policy(policy: &RetryPolicy) -> GroupRetryPolicy {
    let ms = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match policy {
        RetryPolicy::Customized(ladder) => GroupRetryPolicy {
            kind: GroupRetryPolicyType::Customized,
            customized_retry_policy: Some(CustomizedRetryPolicy {
                next: ladder.iter().map(ms).collect(),
            }),
            exponential_retry_policy: None,
        },
        RetryPolicy::Exponential { initial, max, multiplier } => GroupRetryPolicy {
            kind: GroupRetryPolicyType::Exponential,
            customized_retry_policy: None,
            exponential_retry_policy: Some(ExponentialRetryPolicy {
                initial: ms(initial),
                max: ms(max),
                multiplier: *multiplier,
            }),
        },
    }
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

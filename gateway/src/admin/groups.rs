//! Consumer groups over HTTP.

use super::api;
use super::condition::{Condition, tag};
use super::problem::{Body, Name, Problem};
use crate::broker::Broker;
use crate::history::HistoryBounds;
use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use metadata::model::{AttributeChange, Group, GroupSpec, Order, RetryPolicy};
use protocol::names::{GroupName, TopicName};
use std::sync::Arc;
use std::time::Duration;

type Answer<T> = Result<T, Problem>;
/// The header that names the state of the settings.
type Tag = [(HeaderName, String); 1];

pub(super) async fn list(State(broker): State<Arc<Broker>>) -> Json<api::GroupList> {
    let mut groups: Vec<api::Group> =
        broker.catalog.groups().iter().map(|group| view(group)).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Json(api::GroupList { groups })
}

pub(super) async fn describe(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<(Tag, Json<api::GroupDetail>)> {
    let group = find(&broker, &name)?;
    let dead = group.dead_letter_queue();
    let dead_letters = |bounds: HistoryBounds| bounds.visible_end.0 - bounds.first.0;
    let detail = api::GroupDetail {
        dead_letter_topic: TopicName::dead_letter_of(&group.name).to_string(),
        dead_letters: broker.owned.all().map(|pg| dead_letters(pg.history.bounds(dead))).sum(),
        consumers: consumers(&broker, &group.name),
        group: view(&group),
    };
    Ok(([(ETAG, tag(&detail.group))], Json(detail)))
}

pub(super) async fn put(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
    headers: HeaderMap,
    Body(wanted): Body<api::GroupPut>,
) -> Answer<(StatusCode, Tag, Json<api::Group>)> {
    let name = GroupName::parse(&name).map_err(|refused| Problem::invalid(refused.to_string()))?;
    let condition = Condition::read(&headers);
    let mut status = StatusCode::OK;
    let decide = |before: Option<&Group>| -> Answer<GroupSpec> {
        condition.check(before.map(view).as_ref(), &format!("group {name}"))?;
        status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        spec(name.clone(), before, wanted.clone())
    };
    let group = broker.catalog.set_group(&name, decide).await?;
    broker.owned.open_group(&group);
    let group = view(&group);
    Ok((status, [(ETAG, tag(&group))], Json(group)))
}

pub(super) async fn delete(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<StatusCode> {
    let group = find(&broker, &name)?;
    broker.catalog.delete_group(&group.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The group's living members, by client id.
fn consumers(broker: &Broker, group: &GroupName) -> Vec<api::Consumer> {
    let members = broker.clients.consumers(group).into_iter();
    members
        .map(|(id, registration)| {
            let of_group = registration.consumers().filter(|consumer| consumer.group == *group);
            let subscriptions = of_group.flat_map(|consumer| &consumer.subscriptions);
            api::Consumer {
                client_id: id.to_string(),
                topics: subscriptions.map(|subscription| subscription.topic.to_string()).collect(),
            }
        })
        .collect()
}

pub(super) fn find(broker: &Broker, name: &str) -> Answer<Arc<Group>> {
    broker.catalog.group(name).ok_or_else(|| {
        Problem::missing(format!("group {name} does not exist"))
            .hint("GET /v1/groups lists groups; PUT /v1/groups/NAME makes one")
    })
}

/// What the group shall be: what there is or the default, changed as asked.
fn spec(name: GroupName, before: Option<&Group>, wanted: api::GroupPut) -> Answer<GroupSpec> {
    let mut spec = before.map_or_else(|| GroupSpec::new(name), Group::spec);
    spec.max_attempts = wanted.max_attempts.unwrap_or(spec.max_attempts);
    if let Some(order) = wanted.order {
        spec.order = match order.as_str() {
            "concurrent" => Order::Concurrent,
            "fifo" => Order::Fifo,
            other => {
                return Err(Problem::invalid(format!("there is no order {other}"))
                    .hint("orders are concurrent and fifo"));
            }
        };
    }
    if let Some(retry) = wanted.retry {
        spec.retry = read_retry(retry);
    }
    if let Some(enabled) = wanted.consume_enabled {
        spec.consume_enabled = enabled;
    }
    if let Some(attributes) = wanted.attributes {
        spec.attributes.clear();
        for (key, value) in attributes {
            let change = AttributeChange::Set { key, value };
            spec.change(&change)?;
        }
    }
    Ok(spec)
}

fn read_retry(retry: api::Retry) -> RetryPolicy {
    match retry {
        api::Retry::Customized { delays_ms } => {
            RetryPolicy::Customized(delays_ms.into_iter().map(Duration::from_millis).collect())
        }
        api::Retry::Exponential { initial_ms, max_ms, multiplier } => RetryPolicy::Exponential {
            initial: Duration::from_millis(initial_ms),
            max: Duration::from_millis(max_ms),
            multiplier,
        },
    }
}

fn view(group: &Group) -> api::Group {
    let ms = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let order = match group.order {
        Order::Concurrent => "concurrent",
        Order::Fifo => "fifo",
    };
    let retry = match &group.retry {
        RetryPolicy::Customized(ladder) => {
            api::Retry::Customized { delays_ms: ladder.iter().map(ms).collect() }
        }
        RetryPolicy::Exponential { initial, max, multiplier } => api::Retry::Exponential {
            initial_ms: ms(initial),
            max_ms: ms(max),
            multiplier: *multiplier,
        },
    };
    let Group { name, max_attempts, consume_enabled, attributes, created, .. } = group;
    api::Group {
        name: name.to_string(),
        max_attempts: *max_attempts,
        order: order.to_owned(),
        retry,
        consume_enabled: *consume_enabled,
        attributes: attributes.clone(),
        created_ms: created.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::env::Timestamp;

    fn name() -> GroupName {
        GroupName::parse("readers").unwrap()
    }

    fn wanted(json: &str) -> api::GroupPut {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_said_is_default_or_stays() {
        let put = wanted(r#"{"max_attempts":3,"retry":{"customized":{"delays_ms":[10,20]}}}"#);
        let group = Group::create(spec(name(), None, put).unwrap(), 9, Timestamp(5));
        assert_eq!((group.max_attempts, group.order), (3, Order::Concurrent));
        assert_eq!(spec(name(), Some(&group), wanted("{}")).unwrap(), group.spec());
        let fifo = spec(name(), Some(&group), wanted(r#"{"order":"fifo"}"#)).unwrap();
        assert_eq!((fifo.order, fifo.max_attempts), (Order::Fifo, 3));
        assert_eq!(view(&group).retry, api::Retry::Customized { delays_ms: vec![10, 20] });
    }

    #[test]
    fn what_can_never_be_is_refused() {
        for put in [r#"{"order":"random"}"#, r#"{"attributes":{"colour":"red"}}"#] {
            let problem = spec(name(), None, wanted(put)).unwrap_err();
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{put}");
        }
    }
}

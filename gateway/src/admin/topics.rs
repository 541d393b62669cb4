//! Topics over HTTP.

use super::api;
use super::condition::{Condition, tag};
use super::problem::{Body, Name, Problem};
use crate::broker::Broker;
use crate::topic;
use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use metadata::model::{
    AttributeChange, Durability, Permission, TOPIC_DURABILITY, TOPIC_MESSAGE_TYPE, TOPIC_RETENTION,
    Topic, TopicSpec, broker_name,
};
use protocol::names::TopicName;
use std::collections::BTreeMap;
use std::sync::Arc;

type Answer<T> = Result<T, Problem>;
/// The header that names the state of the settings.
type Tag = [(HeaderName, String); 1];

pub(super) async fn list(State(broker): State<Arc<Broker>>) -> Json<api::TopicList> {
    let mut topics: Vec<api::Topic> =
        broker.catalog.topics().iter().map(|topic| view(topic)).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Json(api::TopicList { topics })
}

pub(super) async fn describe(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<(Tag, Json<api::TopicDetail>)> {
    let topic = find(&broker, &name)?;
    let message_queues = topic.queues().iter().map(|queue| {
        let bounds = broker.owned.get(queue.pg).map(|pg| pg.history.bounds(queue.uid));
        let bounds = bounds.unwrap_or_default();
        api::MessageQueue {
            broker: broker_name(queue.pg),
            id: queue.id,
            first_offset: bounds.first.0,
            end_offset: bounds.visible_end.0,
        }
    });
    let (message_queues, topic) = (message_queues.collect(), view(&topic));
    Ok(([(ETAG, tag(&topic))], Json(api::TopicDetail { topic, message_queues })))
}

pub(super) async fn put(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
    headers: HeaderMap,
    Body(wanted): Body<api::TopicPut>,
) -> Answer<(StatusCode, Tag, Json<api::Topic>)> {
    let name = TopicName::parse(&name).map_err(|refused| Problem::invalid(refused.to_string()))?;
    let condition = Condition::read(&headers);
    let mut status = StatusCode::OK;
    let decide = |before: Option<&Topic>| -> Answer<TopicSpec> {
        condition.check(before.map(view).as_ref(), &format!("topic {name}"))?;
        status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        spec(name.clone(), before, wanted.clone())
    };
    let topic = broker.catalog.set_topic(&name, decide).await?;
    broker.owned.open_topic(&topic);
    let topic = view(&topic);
    Ok((status, [(ETAG, tag(&topic))], Json(topic)))
}

pub(super) async fn delete(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<StatusCode> {
    let found = find(&broker, &name)?;
    topic::delete_topic(&broker, &found.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A topic that was made, or one that a group implies.
pub(super) fn find(broker: &Broker, name: &str) -> Answer<Arc<Topic>> {
    let topic = TopicName::parse_stored(name).ok().and_then(|name| broker.catalog.resolve(&name));
    topic.ok_or_else(|| {
        Problem::missing(format!("topic {name} does not exist"))
            .hint("GET /v1/topics lists topics; PUT /v1/topics/NAME makes one")
    })
}

/// What the topic shall be: what there is or the default, changed as asked.
fn spec(name: TopicName, before: Option<&Topic>, wanted: api::TopicPut) -> Answer<TopicSpec> {
    let mut spec = before.map_or_else(|| TopicSpec::new(name), Topic::spec);
    spec.queues = wanted.queues.unwrap_or(spec.queues);
    if let Some(kind) = wanted.kind {
        set(&mut spec, TOPIC_MESSAGE_TYPE, kind)?;
    }
    if let Some(level) = wanted.durability {
        set(&mut spec, TOPIC_DURABILITY, level)?;
    }
    if let Some(permission) = wanted.permission {
        spec.permission = read_permission(&permission)?;
    }
    if let Some(attributes) = wanted.attributes {
        replace_attributes(&mut spec, attributes)?;
    }
    if let Some(retention) = wanted.retention {
        set(&mut spec, TOPIC_RETENTION, retention)?;
    }
    Ok(spec)
}

fn replace_attributes(spec: &mut TopicSpec, attributes: BTreeMap<String, String>) -> Answer<()> {
    spec.attributes.clear();
    for (key, value) in attributes {
        let field = match key.as_str() {
            TOPIC_MESSAGE_TYPE => Some("kind"),
            TOPIC_DURABILITY => Some("durability"),
            _ => None,
        };
        if let Some(field) = field {
            return Err(Problem::invalid(format!("attribute {key} has a field of its own"))
                .hint(format!("say it in `{field}`")));
        }
        set(spec, &key, value)?;
    }
    Ok(())
}

fn set(spec: &mut TopicSpec, key: &str, value: String) -> Answer<()> {
    let change = AttributeChange::Set { key: key.to_owned(), value };
    Ok(spec.change(&change)?)
}

fn read_permission(text: &str) -> Answer<Permission> {
    match text {
        "rw" => Ok(Permission { read: true, write: true }),
        "r" => Ok(Permission { read: true, write: false }),
        "w" => Ok(Permission { read: false, write: true }),
        "none" => Ok(Permission { read: false, write: false }),
        other => Err(Problem::invalid(format!("there is no permission {other}"))
            .hint("permissions are rw, r, w and none")),
    }
}

pub(super) fn view(topic: &Topic) -> api::Topic {
    let permission = match topic.permission {
        Permission { read: true, write: true } => "rw",
        Permission { read: true, write: false } => "r",
        Permission { read: false, write: true } => "w",
        Permission { read: false, write: false } => "none",
    };
    let Topic { name, kind, durability, attributes, created, .. } = topic;
    api::Topic {
        name: name.to_string(),
        kind: kind.as_str().to_owned(),
        queues: u32::try_from(topic.queues().len()).unwrap_or(u32::MAX),
        durability: Durability::as_str(*durability).to_owned(),
        permission: permission.to_owned(),
        retention: topic.retention().to_string(),
        attributes: attributes.clone(),
        created_ms: created.0,
        origin: topic.origin.as_ref().map(|origin| api::TopicOrigin {
            source: origin.topic.to_string(),
            at_ms: origin.at.0,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::model::{Cluster, TopicKind};
    use storage::env::Timestamp;

    fn name() -> TopicName {
        TopicName::parse("orders").unwrap()
    }

    fn existing(put: api::TopicPut) -> Topic {
        let cluster = Cluster { name: "C".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
        Topic::create(spec(name(), None, put).unwrap(), &cluster, 1 << 16, Timestamp(5))
    }

    fn wanted(json: &str) -> api::TopicPut {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_new_topic_takes_the_defaults_where_nothing_is_said() {
        let spec = spec(name(), None, wanted(r#"{"kind":"fifo"}"#)).unwrap();
        assert_eq!((spec.queues, spec.kind), (8, TopicKind::Fifo));
    }

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let put = r#"{"queues":3,"durability":"async","attributes":{"reserve.time":"7"}}"#;
        let topic = existing(wanted(put));
        let same = spec(name(), Some(&topic), wanted("{}")).unwrap();
        assert_eq!(same, topic.spec());
        let grown = spec(name(), Some(&topic), wanted(r#"{"queues":5}"#)).unwrap();
        assert_eq!((grown.queues, grown.durability), (5, Some(Durability::Async)));
        let bare = spec(name(), Some(&topic), wanted(r#"{"attributes":{}}"#)).unwrap();
        assert!(bare.attributes.is_empty());
    }

    #[test]
    fn what_can_never_be_is_refused_with_its_reason() {
        for (put, reason) in [
            (r#"{"kind":"ROUND"}"#, "ROUND"),
            (r#"{"durability":"forever"}"#, "forever"),
            (r#"{"permission":"x"}"#, "x"),
            (r#"{"attributes":{"colour":"red"}}"#, "colour"),
            (r#"{"attributes":{"message.type":"FIFO"}}"#, "message.type"),
        ] {
            let problem = spec(name(), None, wanted(put)).unwrap_err();
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{put}");
            assert!(problem.body.error.contains(reason), "{put}: {}", problem.body.error);
        }
    }

    #[test]
    fn a_view_says_what_was_put() {
        let put = wanted(r#"{"queues":6,"kind":"FIFO","durability":"local","permission":"r"}"#);
        let view = view(&existing(put));
        assert_eq!((view.queues, view.kind.as_str()), (6, "FIFO"));
        assert_eq!((view.durability.as_str(), view.permission.as_str()), ("local", "r"));
        assert_eq!(view.created_ms, 5);
    }
}

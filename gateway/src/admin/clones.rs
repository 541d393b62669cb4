//! Clones of topics over HTTP.

use super::api;
use super::condition::Condition;
use super::problem::{Body, Name, Problem};
use super::topics::view;
use crate::broker::Broker;
use crate::topic::{CloneOrder, CloneRefused, clone_topic};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use metadata::model::broker_name;
use protocol::names::TopicName;
use std::sync::Arc;
use storage::env::Timestamp;

type Answer<T> = Result<T, Problem>;

pub(super) async fn put(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
    headers: HeaderMap,
    Body(wanted): Body<api::TopicClone>,
) -> Answer<(StatusCode, Json<api::TopicCloned>)> {
    let parsed = |name: &str| {
        TopicName::parse(name).map_err(|refused| Problem::invalid(refused.to_string()))
    };
    let (name, source) = (parsed(&name)?, parsed(&wanted.source)?);
    let there = broker.catalog.topic(name.as_str()).map(|topic| view(&topic));
    Condition::read(&headers).check(there.as_ref(), &format!("topic {name}"))?;
    let order = CloneOrder {
        source: source.clone(),
        name: name.clone(),
        at: wanted.at_ms.map(Timestamp),
        with_offsets: wanted.with_offsets,
        dry_run: wanted.dry_run,
    };
    let cloned = clone_topic(&broker, order).await?;
    let is_new = !cloned.existed && !wanted.dry_run;
    let queues = cloned.queues.iter().map(|(queue, first, end)| api::MessageQueue {
        broker: broker_name(queue.pg),
        id: queue.id,
        first_offset: first.0,
        end_offset: end.0,
    });
    let answer = api::TopicCloned {
        topic: name.to_string(),
        source: source.to_string(),
        at_ms: cloned.at.0,
        dry_run: wanted.dry_run,
        messages: cloned.queues.iter().map(|(_, first, end)| end.since(*first)).sum(),
        message_queues: queues.collect(),
        groups: cloned.groups.iter().map(ToString::to_string).collect(),
    };
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(answer)))
}

/// The one place where a clone's refusals become statuses.
impl From<CloneRefused> for Problem {
    fn from(refused: CloneRefused) -> Problem {
        let text = refused.to_string();
        match refused {
            CloneRefused::NoSource(_) => {
                Problem::missing(text).hint("GET /v1/topics lists what can be cloned")
            }
            CloneRefused::NotServedHere(_) => {
                Problem::unavailable(text).hint("nothing was made; ask the gateway that serves it")
            }
            CloneRefused::NotLoaded(_) => Problem::unavailable(text)
                .hint("nothing was made; ask again, and look whether the object store answers"),
            CloneRefused::NotTiered { .. } => Problem::unavailable(text).hint(
                "nothing was made; ask again, and look whether the object store takes messages",
            ),
            CloneRefused::Catalog(error) => error.into(),
            CloneRefused::Offsets(_) => {
                Problem::unavailable(text).hint("ask again, which is safe and finishes it")
            }
        }
    }
}

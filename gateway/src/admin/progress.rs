//! How far groups are, and moving them.

use super::problem::{Body, Name, Problem};
use super::{api, groups, topics};
use crate::broker::Broker;
use crate::consume::{self, Position, ResetRefused, WriteRefused};
use axum::Json;
use axum::extract::State;
use metadata::model::{Group, Topic, TopicQueue, broker_name};
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::QueueOffset;

type Answer<T> = Result<T, Problem>;

pub(super) async fn of_group(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
) -> Answer<Json<api::GroupProgress>> {
    let group = groups::find(&broker, &name)?;
    let mut all = broker.catalog.topics();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let progress = all.iter().map(|topic| of_topic_view(&broker, &group, topic));
    let topics: Vec<_> = progress.filter(|progress| !progress.queues.is_empty()).collect();
    let lag = topics.iter().map(|topic| topic.lag).sum();
    Ok(Json(api::GroupProgress { group: group.name.to_string(), lag, topics }))
}

pub(super) async fn of_topic(
    State(broker): State<Arc<Broker>>,
    Name((group, topic)): Name<(String, String)>,
) -> Answer<Json<api::TopicProgress>> {
    let group = groups::find(&broker, &group)?;
    let topic = topics::find(&broker, &topic)?;
    Ok(Json(of_topic_view(&broker, &group, &topic)))
}

pub(super) async fn put(
    State(broker): State<Arc<Broker>>,
    Name((group, topic)): Name<(String, String)>,
    Body(wanted): Body<api::ProgressPut>,
) -> Answer<Json<api::ProgressMoved>> {
    let group = groups::find(&broker, &group)?;
    let topic = topics::find(&broker, &topic)?;
    let queues = queues(&topic, &wanted)?;
    let to = position(wanted.to);
    let moved = if wanted.dry_run {
        broker.consume.would_reset(&group, &queues, to).await?
    } else {
        let moved = broker.consume.reset(&group, &queues, to).await?;
        tracing::info!(group = %group.name, topic = %topic.name, ?to, "group moved");
        moved
    };
    Ok(Json(api::ProgressMoved {
        group: group.name.to_string(),
        topic: topic.name.to_string(),
        dry_run: wanted.dry_run,
        queues: moved.into_iter().map(moved_view).collect(),
    }))
}

/// The queues that are meant.
fn queues(topic: &Topic, wanted: &api::ProgressPut) -> Answer<Vec<TopicQueue>> {
    let Some(name) = &wanted.queue else {
        if matches!(wanted.to, api::Place::Offset(_)) && topic.queues().len() > 1 {
            return Err(Problem::invalid("an offset is one of a queue, and no queue is named")
                .hint("name the queue too; earliest, latest and a time are for all of them"));
        }
        return Ok(topic.queues().to_vec());
    };
    let is_meant =
        |queue: &&TopicQueue| queue.id == name.id && broker_name(queue.pg) == name.broker;
    let queue = topic.queues().iter().find(is_meant).ok_or_else(|| {
        let api::QueueName { broker, id } = name;
        Problem::missing(format!("topic {} has no queue {id} on {broker}", topic.name))
            .hint("GET /v1/topics/NAME lists its queues")
    })?;
    Ok(vec![*queue])
}

fn position(place: api::Place) -> Position {
    match place {
        api::Place::Earliest => Position::Earliest,
        api::Place::Latest => Position::Latest,
        api::Place::TimeMs(ms) => Position::Time(Timestamp(ms)),
        api::Place::Offset(offset) => Position::Offset(QueueOffset(offset)),
    }
}

fn moved_view(moved: consume::QueueReset) -> api::QueueMoved {
    api::QueueMoved {
        broker: broker_name(moved.pg),
        id: moved.id,
        before_offset: moved.before.map(|offset| offset.0),
        after_offset: moved.after.0,
        voided: moved.voided,
    }
}

fn of_topic_view(broker: &Broker, group: &Group, topic: &Topic) -> api::TopicProgress {
    let of_queue = |queue: consume::QueueProgress| api::QueueProgress {
        broker: broker_name(queue.pg),
        id: queue.id,
        committed_offset: queue.committed.0,
        next_offset: queue.next.0,
        end_offset: queue.end.0,
        in_flight: queue.in_flight,
        lag: queue.end.since(queue.committed),
    };
    let queues: Vec<_> = broker.consume.progress(group, topic).into_iter().map(of_queue).collect();
    api::TopicProgress {
        topic: topic.name.to_string(),
        lag: queues.iter().map(|queue| queue.lag).sum(),
        in_flight: queues.iter().map(|queue| queue.in_flight).sum(),
        queues,
    }
}

/// The one place where a reset's refusals become statuses.
impl From<ResetRefused> for Problem {
    fn from(refused: ResetRefused) -> Problem {
        let text = refused.to_string();
        let hint = match refused {
            ResetRefused::NotServedHere(_) => "nothing was moved; ask the gateway that serves it",
            ResetRefused::NotLoaded(_) => "nothing was moved; ask again",
            ResetRefused::Write(
                WriteRefused::Full { .. }
                | WriteRefused::IndexFull { .. }
                | WriteRefused::DiskFull
                | WriteRefused::Busy,
            ) => "some queues may be moved; make room and ask again, which is safe",
            ResetRefused::Write(WriteRefused::Moved | WriteRefused::OutcomeUnknown) => {
                "some queues may be moved; ask again, which is safe"
            }
        };
        Problem::unavailable(text).hint(hint)
    }
}

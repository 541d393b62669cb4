//! How far groups are, and moving them.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::round::Kept;
use super::session::Session;
use super::topic::signed;
use crate::broker::Broker;
use crate::consume::{Position, QueueProgress};
use crate::topic::stored_at;
use metadata::model::{Group, Topic, TopicQueue, broker_name};
use protocol::names::TopicName;
use protocol::remoting::Frame;
use protocol::remoting::body::{ConsumeStats, MessageQueue, OffsetWrapper, ResetOffset};
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::{PgId, QueueOffset};

/// What stands between the topics of a list.
const TOPICS_SEPARATOR: char = ';';

/// GET_CONSUME_STATS (208): a row for each queue of the topics that are asked for, else of those
/// that the group ever received from. No rows for a group or topic that does not exist: tools say
/// by themselves what that means.
pub(super) async fn stats(session: &Session<'_>, header: Header<'_>) -> Answer {
    let broker = session.broker;
    let name = header.text("consumerGroup")?;
    let Some(group) = broker.catalog.group(name) else {
        return Ok(Reply::bytes(ConsumeStats::default().encode()));
    };
    let mut stats = ConsumeStats::default();
    for topic in topics(broker, header, &group) {
        rows(broker, &group, &topic, &mut stats).await;
        stats.consume_tps += broker.stats.group_rate(&topic.name, &group.name);
    }
    // Whoever asks every broker of the group adds these up.
    stats.consume_tps /= f64::from(broker.catalog.cluster().pgs.max(1));
    Ok(Reply::bytes(stats.encode()))
}

/// Topics that are not listed by name count only where a living member subscribes to them, unless
/// none says what it subscribes to.
fn topics(broker: &Broker, header: Header<'_>, group: &Group) -> Vec<Arc<Topic>> {
    let named = |name: &str| {
        TopicName::parse_stored(name).ok().and_then(|name| broker.catalog.resolve(&name))
    };
    let text = |field| header.optional(field).map(str::trim).filter(|text| !text.is_empty());
    if let Some(list) = text("topicList") {
        return list.split(TOPICS_SEPARATOR).filter_map(named).collect();
    }
    let mut topics = match text("topic") {
        Some(name) => named(name).into_iter().collect(),
        None => received_from(broker, group),
    };
    let subscriptions = broker.clients.subscriptions(&group.name);
    topics.retain(|it| subscriptions.is_empty() || subscriptions.contains_key(&it.name));
    topics
}

fn received_from(broker: &Broker, group: &Group) -> Vec<Arc<Topic>> {
    let mut topics = broker.catalog.topics();
    topics.retain(|topic| !broker.consume.progress(group, topic).is_empty());
    topics
}

/// A queue that the group never received from counts as one at whose beginning it is.
async fn rows(broker: &Broker, group: &Group, topic: &Topic, stats: &mut ConsumeStats) {
    let progress = broker.consume.progress(group, topic);
    for queue in topic.queues() {
        let Some(pg) = broker.owned.get(queue.pg) else { continue };
        let is_of = |it: &&QueueProgress| it.pg == queue.pg && it.id == queue.id;
        let place = progress.iter().find(is_of);
        let committed = place.map_or(QueueOffset(0), |place| place.committed);
        let last = committed.0.checked_sub(1).map(QueueOffset);
        let last = match last {
            Some(last) => stored_at(&pg.history, queue.uid, last).await,
            None => None,
        };
        let offsets = OffsetWrapper {
            broker_offset: signed(pg.history.bounds(queue.uid).visible_end.0),
            consumer_offset: signed(committed.0),
            last_timestamp: last.map_or(0, |time| signed(time.0)),
            pull_offset: signed(place.map_or(committed, |place| place.next).max(committed).0),
        };
        stats.offset_table.push((message_queue(topic, queue.pg, queue.id), offsets));
    }
}

/// INVOKE_BROKER_TO_RESET_OFFSET (222): to a time, or to an offset where a queue is named. A
/// negative time is the end. Apache's brokers ignore `isForce` since they reset by themselves.
pub(super) async fn reset(session: &mut Session<'_>, request: &Frame) -> Answer {
    let broker = session.broker;
    if let Some(kept) = session.round.kept(request, broker.env.monotonic()) {
        return kept.into();
    }
    let header = Header::of(request);
    let (topic, group) = (header.text("topic")?, header.text("group")?);
    let time: i64 = header.number("timestamp")?;
    let queue_id: i64 = header.number_or("queueId", -1)?;
    let offset: i64 = header.number_or("offset", -1)?;
    let resolved = TopicName::parse_stored(topic).ok();
    let resolved = resolved.and_then(|name| broker.catalog.resolve(&name));
    let topic = resolved.ok_or_else(|| Refusal::ResetTopic(topic.to_owned()))?;
    let found = broker.catalog.group(group);
    let group = found.ok_or_else(|| Refusal::ResetGroup(group.to_owned()))?;
    let at_time = u64::try_from(time).map_or(Position::Latest, |ms| Position::Time(Timestamp(ms)));
    let (queues, to) = match u32::try_from(queue_id) {
        Ok(id) => {
            let queue = only_queue(&topic, id, header)?;
            (vec![queue], offset_in(broker, queue, offset)?.unwrap_or(at_time))
        }
        Err(_) => (topic.queues().to_vec(), at_time),
    };
    let moved = broker.consume.reset(&group, &queues, to).await?;
    tracing::info!(group = %group.name, topic = %topic.name, ?to, peer = %session.peer, "group moved");
    let row =
        |it: crate::consume::QueueReset| (message_queue(&topic, it.pg, it.id), signed(it.after.0));
    let body = ResetOffset { offset_table: moved.into_iter().map(row).collect() };
    let answer = Reply::bytes(body.encode());
    if queue_id < 0 {
        let now = broker.env.monotonic();
        let kept = Kept::Same(answer.clone());
        session.round.begin(request, topic.spread.len(), kept, now);
    }
    Ok(answer)
}

/// Ids begin at 0 on each broker, and only some tools say in `bname` which one they mean.
fn only_queue(topic: &Topic, id: u32, header: Header<'_>) -> Result<TopicQueue, Refusal> {
    let on = header.optional("bname").or(header.optional("brokerName"));
    let is_meant = |queue: &&TopicQueue| {
        queue.id == id && on.is_none_or(|name| name.is_empty() || broker_name(queue.pg) == name)
    };
    let mut meant = topic.queues().iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(queue), None) => Ok(*queue),
        (None, _) => Err(Refusal::Parameter(format!("topic {} has no queue {id}", topic.name))),
        (Some(_), Some(_)) => Err(Refusal::Parameter(format!(
            "several brokers at this address have a queue {id} of topic {0}: move the group in all \
             queues, or in one with `stratamq group reset --offset BROKER/{id}=OFFSET`",
            topic.name
        ))),
    }
}

/// The place in the queue; `None` where no offset is named.
fn offset_in(broker: &Broker, queue: TopicQueue, offset: i64) -> Result<Option<Position>, Refusal> {
    if offset == -1 {
        return Ok(None);
    }
    let bounds =
        broker.owned.get(queue.pg).map(|pg| pg.history.bounds(queue.uid)).unwrap_or_default();
    let (first, end) = (bounds.first.0, bounds.visible_end.0);
    match u64::try_from(offset) {
        Ok(place) if (first..=end).contains(&place) => {
            Ok(Some(Position::Offset(QueueOffset(place))))
        }
        Ok(_) | Err(_) => Err(Refusal::ResetRange { offset, first, end }),
    }
}

fn message_queue(topic: &Topic, pg: PgId, id: u32) -> MessageQueue {
    MessageQueue {
        topic: topic.name.to_string(),
        broker_name: broker_name(pg),
        queue_id: i32::try_from(id).unwrap_or(i32::MAX),
    }
}

//! Topics: create and change them, list them, and what is in them.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use super::system;
use super::view::View;
use crate::history::History;
use crate::topic::{delete_topic, stored_at};
use metadata::CatalogError;
use metadata::model::{AttributeChange, Permission, Topic, TopicSpec};
use protocol::names::{NameRefused, TopicName};
use protocol::remoting::body::{
    GroupList, MessageQueue, TopicConfig, TopicList, TopicOffset, TopicStatsTable,
};
use std::collections::BTreeSet;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// The time over which `topicPutTps` is measured, in milliseconds.
const RATE_WINDOW_MS: u64 = 60_000;

/// GET_ALL_TOPIC_LIST_FROM_NAMESERVER (206): created topics, those that groups imply, and the
/// system's; sorted.
pub(super) fn list(session: &Session<'_>) -> Answer {
    Ok(Reply::json(TopicList { topic_list: names(session), broker_addr: None }))
}

/// What [`list`] tells.
pub(super) fn names(session: &Session<'_>) -> Vec<String> {
    let catalog = &session.broker.catalog;
    let mut names: BTreeSet<String> = system::names(&catalog.cluster()).collect();
    names.extend(catalog.topics().iter().map(|topic| topic.name.as_str().to_owned()));
    for group in catalog.groups() {
        names.insert(TopicName::retry_of(&group.name).as_str().to_owned());
        names.insert(TopicName::dead_letter_of(&group.name).as_str().to_owned());
    }
    names.into_iter().collect()
}

/// UPDATE_AND_CREATE_TOPIC (17): the topic in the whole cluster. Asking again changes nothing.
pub(super) async fn put(session: &Session<'_>, header: Header<'_>) -> Answer {
    let catalog = &session.broker.catalog;
    let name = topic_name(header.text("topic")?)?;
    let permission = permission(header.number("perm")?)?;
    if is_implied_and_as_wished(session, &name, permission) {
        return Ok(Reply::done());
    }
    let existing = catalog.topic(name.as_str());
    let asked = header.number("readQueueNums")?;
    let asked = header.number::<i64>("writeQueueNums")?.max(asked);
    let queues = queues(asked, existing.as_deref())?;
    let current = existing.map(|topic| topic.spec());
    let mut spec = current.unwrap_or_else(|| TopicSpec::new(name));
    spec.queues = queues;
    spec.permission = permission;
    for change in AttributeChange::parse_list(header.optional("attributes").unwrap_or_default())? {
        spec.change(&change)?;
    }
    let topic = catalog.put_topic(spec).await?;
    session.broker.owned.open_topic(&topic);
    tracing::info!(topic = %topic.name, queues, peer = %session.peer, "topic put");
    Ok(Reply::done())
}

/// DELETE_TOPIC_IN_BROKER (215): the topic, in the whole cluster, with its messages. One that is not
/// there is deleted already, those of a group that is gone among them: `deleteSubGroup` deletes
/// `%RETRY%` and `%DLQ%` after the group.
pub(super) async fn delete(session: &Session<'_>, header: Header<'_>) -> Answer {
    let text = header.text("topic")?;
    if text.trim().is_empty() {
        return Err(Refusal::TopicBlank);
    }
    let name = TopicName::parse_stored(text)?;
    let catalog = &session.broker.catalog;
    let group = name.as_retry().or(name.as_dead_letter());
    if group.is_some_and(|group| catalog.group(group.as_str()).is_none()) {
        return Ok(Reply::done());
    }
    match delete_topic(session.broker, &name).await {
        Ok(()) => tracing::info!(topic = %name, peer = %session.peer, "topic deleted"),
        Err(CatalogError::TopicNotFound(_)) => {}
        Err(refused) => return Err(refused.into()),
    }
    Ok(Reply::done())
}

/// DELETE_TOPIC_IN_NAMESRV (216): nothing is left to do. Routes are read from the topics, and went
/// with the topic; Apache's name server forgets a route until a broker that has the topic tells of
/// it again.
pub(super) fn delete_route(header: Header<'_>) -> Answer {
    header.text("topic").map(|_| Reply::done())
}

/// DELETE_KV_CONFIG (102): what `deleteSubGroup` sends last, for the order of topics' queues that
/// older versions kept in the name server. There are no such pairs here, so there is none left.
pub(super) fn delete_pair(header: Header<'_>) -> Answer {
    header.text("namespace").and(header.text("key")).map(|_| Reply::done())
}

/// Only the topics that a group implies may be longer than those that clients make.
fn topic_name(text: &str) -> Result<TopicName, NameRefused> {
    let name = TopicName::parse_stored(text)?;
    let implied = name.as_retry().is_some() || name.as_dead_letter().is_some();
    if implied { Ok(name) } else { TopicName::parse(text) }
}

/// `%RETRY%g` and `%DLQ%g` come with their group, readable and writable: who opens a dead-letter
/// topic for reading, as Apache asks of operators, finds that done. The catalog refuses any other
/// wish.
fn is_implied_and_as_wished(
    session: &Session<'_>,
    name: &TopicName,
    permission: Permission,
) -> bool {
    let group = name.as_retry().or(name.as_dead_letter());
    permission == Permission::READ_WRITE
        && group.is_some_and(|group| session.broker.catalog.group(group.as_str()).is_some())
}

fn permission(bits: u32) -> Result<Permission, Refusal> {
    match bits {
        0..8 => Ok(Permission::from_bits(bits)),
        _ => Err(Refusal::Parameter(format!("perm {bits} is none of 2 (W), 4 (R), 6 (RW)"))),
    }
}

/// How many queues the topic is to have: `asked`, which is the greater of `-r` and `-w`. The
/// catalog refuses what is too few or too many.
///
/// `updateTopicPerm` sends back what a route shows for one broker; that number, too, means "as it
/// is".
fn queues(asked: i64, existing: Option<&Topic>) -> Result<u32, Refusal> {
    let asked = u32::try_from(asked)
        .map_err(|_| Refusal::Parameter(format!("a topic cannot have {asked} queues")))?;
    let unchanged = existing.filter(|topic| topic.spread.iter().any(|at| at.queues == asked));
    Ok(unchanged.map_or(asked, |topic| topic.spec().queues))
}

/// GET_TOPIC_CONFIG (351): totals, as [`put`] takes them.
pub(super) fn config(session: &Session<'_>, header: Header<'_>) -> Answer {
    Ok(Reply::json(config_of(&find(session, header)?)))
}

/// A topic's settings, with totals.
pub(super) fn config_of(view: &View) -> TopicConfig {
    let attributes = view.topic.as_ref().map(|topic| topic.all_attributes());
    TopicConfig {
        topic_name: view.name.clone(),
        read_queue_nums: view.queues(),
        write_queue_nums: view.queues(),
        perm: view.permission_bits,
        attributes: attributes.unwrap_or_default(),
        ..TopicConfig::default()
    }
}

/// GET_TOPIC_STATS_INFO (202): the rows of every broker of this gateway.
pub(super) async fn stats(session: &Session<'_>, header: Header<'_>) -> Answer {
    let view = find(session, header)?;
    let since = Timestamp(session.broker.env.now().0.saturating_sub(RATE_WINDOW_MS));
    let mut table = TopicStatsTable::default();
    let mut recent = 0;
    for at in &view.brokers {
        let Some(group) = session.broker.owned.get(at.pg) else { continue };
        for id in 0..at.queues {
            let queue = view.topic.as_ref().and_then(|topic| topic.queue(at.pg, id));
            let state = match queue {
                Some(queue) => QueueState::of(&group.history, queue.uid, since).await,
                None => QueueState::default(),
            };
            recent += state.recent;
            let row = MessageQueue {
                topic: view.name.clone(),
                broker_name: at.name.clone(),
                queue_id: i32::try_from(id).unwrap_or(i32::MAX),
            };
            table.offset_table.push((row, state.offset));
        }
    }
    table.topic_put_tps = recent as f64 * 1000.0 / RATE_WINDOW_MS as f64;
    Ok(Reply::bytes(table.encode()))
}

/// A queue's row, and how many messages came into it lately. All zero for a queue that holds
/// nothing.
#[derive(Default)]
struct QueueState {
    offset: TopicOffset,
    recent: u64,
}

impl QueueState {
    async fn of(history: &History, queue: QueueUid, since: Timestamp) -> QueueState {
        let bounds = history.bounds(queue);
        let end = bounds.visible_end;
        let last = if bounds.first < end {
            stored_at(history, queue, QueueOffset(end.0 - 1)).await
        } else {
            None
        };
        let offset = TopicOffset {
            min_offset: signed(bounds.first.0),
            max_offset: signed(end.0),
            last_update_timestamp: last.map_or(0, |time| signed(time.0)),
        };
        QueueState {
            offset,
            recent: end.0.saturating_sub(history.log().offset_at_time(queue, since).0),
        }
    }
}

/// Java's `long`.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// QUERY_TOPIC_CONSUME_BY_WHO (300): groups with a living subscriber, and groups that have
/// consumed. Empty for a topic that does not exist, as Apache has it.
pub(super) fn consumers(session: &Session<'_>, header: Header<'_>) -> Answer {
    let broker = session.broker;
    let mut groups = BTreeSet::new();
    if let Ok(name) = TopicName::parse_stored(header.text("topic")?) {
        groups.extend(broker.clients.groups_of_topic(&name));
        if let Some(topic) = broker.catalog.topic(name.as_str()) {
            groups.extend(broker.consume.groups_of_topic(&topic));
        }
    }
    let groups = groups.iter().map(|group| group.as_str().to_owned());
    Ok(Reply::json(GroupList { group_list: groups.collect() }))
}

fn find(session: &Session<'_>, header: Header<'_>) -> Result<View, Refusal> {
    let name = header.text("topic")?;
    View::find(session.broker, name).ok_or_else(|| Refusal::NoTopic(name.to_owned()))
}

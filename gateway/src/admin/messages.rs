//! Messages shown without consuming them.

use super::problem::{Name, Params, Problem};
use super::{api, topics};
use crate::broker::Broker;
use crate::query::{self, FOUND_MAX, Found, Library, LookRefused, Search, SearchRefused, Wanted};
use axum::Json;
use axum::extract::State;
use metadata::model::{Topic, TopicQueue, broker_name, parse_broker_name};
use protocol::stored::{
    Compression, StoredMessage, offset_message_id, parse_offset_message_id, property,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::{Lsn, PgId, QueueOffset};
use tokio::sync::Semaphore;

type Answer<T> = Result<T, Problem>;

/// Tails that wait at once.
static TAILS: Semaphore = Semaphore::const_new(256);

/// Bytes of messages in one answer, but for a larger message alone.
const PAGE_BYTES_MAX: u64 = 4 << 20;
/// The longest wait of a tail; shorter than balancers and clients have patience.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A tail looks this often. It is told nothing, so that what is sent pays nothing for who watches.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn by_id(
    State(broker): State<Arc<Broker>>,
    Name(id): Name,
) -> Answer<Json<api::Message>> {
    let (_, position) = parse_offset_message_id(&id).ok_or_else(|| {
        Problem::invalid(format!("{id} is no offset message id"))
            .hint("it has 32 or 56 hexadecimal digits; for other ids search the topic by `id`")
    })?;
    let library = Library::of(&broker);
    let found = query::by_lsn(&library, Lsn(position.cast_unsigned())).await;
    let found = found.map_err(|refused| match refused {
        LookRefused::Missing => Problem::missing(format!("there is no message {id}"))
            .hint("an id that a producer gave is searched in its topic, by `id`"),
        refused @ (LookRefused::NotServedHere(_)
        | LookRefused::Unreadable
        | LookRefused::NotLoaded(_)) => refused.into(),
    })?;
    Ok(Json(view(found)))
}

pub(super) async fn by_offset(
    State(broker): State<Arc<Broker>>,
    Name((topic, owner, id, offset)): Name<(String, String, u32, u64)>,
) -> Answer<Json<api::Message>> {
    let topic = topics::find(&broker, &topic)?;
    let queue = parse_broker_name(&owner).and_then(|pg| queue_of(&topic, pg, id));
    let queue = queue.ok_or_else(|| {
        Problem::missing(format!("topic {} has no queue {id} on {owner}", topic.name))
            .hint("GET /v1/topics/NAME lists its queues")
    })?;
    let found = query::by_offset(&Library::of(&broker), queue, QueueOffset(offset)).await?;
    Ok(Json(view(found)))
}

fn queue_of(topic: &Topic, pg: PgId, id: u32) -> Option<TopicQueue> {
    topic.queues().iter().find(|queue| queue.pg == pg && queue.id == id).copied()
}

/// What to search for: a key, or an id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    key: Option<String>,
    id: Option<String>,
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    max: Option<usize>,
}

pub(super) async fn search(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
    Params(params): Params<SearchParams>,
) -> Answer<Json<api::MessageSearch>> {
    let topic = topics::find(&broker, &name)?;
    let wanted = match (params.key, params.id) {
        (Some(key), None) => Wanted::Key(key),
        (None, Some(id)) => Wanted::UniqueId(id),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::invalid("a search is for one `key` or one `id`")
                .hint("try ?key=KEY, or /v1/topics/NAME/tail for all messages"));
        }
    };
    let search = Search {
        topic,
        wanted,
        from: Timestamp(params.from_ms.unwrap_or(0)),
        to: Timestamp(params.to_ms.unwrap_or(u64::MAX)),
        max: params.max.unwrap_or(FOUND_MAX),
    };
    let matches = query::search(&Library::of(&broker), search).await?;
    Ok(Json(api::MessageSearch {
        complete: matches.is_complete(),
        messages: matches.found.into_iter().map(view).collect(),
        stopped_at_ms: matches.stopped_at.map(|at| at.0),
        damaged_objects: matches.damaged.into_iter().collect(),
    }))
}

/// Where to begin, and how long to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TailParams {
    after: Option<String>,
    from_ms: Option<u64>,
    max: Option<usize>,
    wait_ms: Option<u64>,
}

pub(super) async fn tail(
    State(broker): State<Arc<Broker>>,
    Name(name): Name,
    Params(params): Params<TailParams>,
) -> Answer<Json<api::MessageTail>> {
    let topic = topics::find(&broker, &name)?;
    let library = Library::of(&broker);
    let mut places = begin(&library, &broker, &topic, &params).await?;
    let max = params.max.unwrap_or(FOUND_MAX).clamp(1, FOUND_MAX);
    let wait = Duration::from_millis(params.wait_ms.unwrap_or(0)).min(WAIT_MAX);
    let _place = TAILS
        .try_acquire()
        .map_err(|_| Problem::unavailable("too many tails run already").hint("ask again soon"))?;
    let until = broker.env.monotonic() + wait;
    loop {
        let page = query::follow(&library, &places, max, PAGE_BYTES_MAX).await?;
        places.iter_mut().zip(page.next).for_each(|((_, at), next)| *at = next);
        let left = until.saturating_sub(broker.env.monotonic());
        if !page.messages.is_empty() || left.is_zero() || broker.stop.is_cancelled() {
            let messages = page.messages.into_iter().map(view).collect();
            return Ok(Json(api::MessageTail { messages, next: write_places(&places) }));
        }
        // Both branches are cancel safe.
        tokio::select! {
            () = broker.stop.cancelled() => {}
            () = broker.env.sleep(left.min(LOOK_AGAIN)) => {}
        }
    }
}

/// A place in each queue: where the request was before, at its time, or at the end.
async fn begin(
    library: &Library,
    broker: &Broker,
    topic: &Topic,
    params: &TailParams,
) -> Answer<Vec<(TopicQueue, QueueOffset)>> {
    let after = params.after.as_deref().map(read_places).transpose()?;
    if let (None, Some(ms)) = (&after, params.from_ms) {
        return Ok(query::places_at(library, topic.queues(), Timestamp(ms)).await?);
    }
    let place = |queue: &TopicQueue| {
        let pg = broker.owned.get(queue.pg).ok_or(LookRefused::NotServedHere(queue.pg))?;
        let at = match &after {
            // A queue that the topic got since begins at its first message.
            Some(after) => after.get(&(queue.pg, queue.id)).copied().unwrap_or_default(),
            None => pg.history.bounds(queue.uid).visible_end,
        };
        Ok((*queue, at))
    };
    topic.queues().iter().map(place).collect()
}

/// `pg.queue.offset` for each queue, joined by `_`.
fn write_places(places: &[(TopicQueue, QueueOffset)]) -> String {
    let one = |(queue, at): &(TopicQueue, QueueOffset)| {
        format!("{}.{}.{}", queue.pg.get(), queue.id, at.0)
    };
    places.iter().map(one).collect::<Vec<_>>().join("_")
}

fn read_places(text: &str) -> Answer<BTreeMap<(PgId, u32), QueueOffset>> {
    let one = |text: &str| {
        let mut parts = text.split('.');
        let pg = PgId::new(parts.next()?.parse().ok()?)?;
        let id = parts.next()?.parse().ok()?;
        let at = QueueOffset(parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(((pg, id), at))
    };
    let places: Option<BTreeMap<_, _>> = text.split('_').map(one).collect();
    places.ok_or_else(|| {
        Problem::invalid(format!("{text:?} is no place to go on from"))
            .hint("`after` takes the `next` of the answer before")
    })
}

impl From<SearchRefused> for Problem {
    fn from(refused: SearchRefused) -> Problem {
        match refused {
            SearchRefused::Busy => {
                Problem::unavailable("too many searches run already").hint("ask again soon")
            }
            SearchRefused::Look(refused) => refused.into(),
            SearchRefused::Broke(_) => Problem::internal(refused.to_string()),
        }
    }
}

impl From<LookRefused> for Problem {
    fn from(refused: LookRefused) -> Problem {
        let text = refused.to_string();
        match refused {
            LookRefused::Missing => Problem::missing(text)
                .hint("GET /v1/topics/NAME says from where to where its queues go"),
            LookRefused::NotServedHere(_) => {
                Problem::unavailable(text).hint("ask the gateway that serves it")
            }
            LookRefused::NotLoaded(_) => Problem::unavailable(text)
                .hint("ask again, and look whether the object store answers"),
            LookRefused::Unreadable => Problem::internal(text).hint("the gateway's log says more"),
        }
    }
}

fn view(found: Found) -> api::Message {
    let Found { pg, message, .. } = found;
    let offset_message_id = offset_message_id(message.store_host, message.physical_offset);
    let StoredMessage { properties, .. } = &message;
    let text = |key: &str| properties.get(key).map(str::to_owned);
    let keys = properties.get(property::KEYS).unwrap_or_default();
    let is_system = |key: &str| property::RESERVED.contains(&key);
    let split = |system: bool| {
        let pairs = properties.iter().filter(move |(key, _)| is_system(key) == system);
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let body = std::str::from_utf8(&message.body).ok().map(str::to_owned);
    api::Message {
        topic: message.topic.clone(),
        broker: broker_name(pg),
        queue_id: message.queue_id.cast_unsigned(),
        offset: message.queue_offset.cast_unsigned(),
        message_id: text(property::UNIQ_KEY).unwrap_or_else(|| offset_message_id.clone()),
        offset_message_id,
        body_hex: body.is_none().then(|| hex(&message.body)),
        body,
        compression: compression(&message).to_owned(),
        tag: text(property::TAGS),
        keys: keys.split_whitespace().map(str::to_owned).collect(),
        properties: split(false),
        system_properties: split(true),
        born_ms: message.born_at,
        born_host: message.born_host.to_string(),
        stored_ms: message.stored_at,
    }
}

fn compression(message: &StoredMessage) -> &'static str {
    match message.sys_flag.compression() {
        None => "none",
        Some(Compression::Lz4) => "lz4",
        Some(Compression::Zstd) => "zstd",
        Some(Compression::Zlib) => "zlib",
        Some(Compression::Unspecified | Compression::Unknown(_)) => "unspecified",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::format::QueueUid;

    #[test]
    fn places_are_read_as_they_are_written() {
        let queue = |pg, id| TopicQueue { pg: PgId::new(pg).unwrap(), id, uid: QueueUid(9) };
        let places = [(queue(0, 0), QueueOffset(7)), (queue(3, 12), QueueOffset(u64::MAX))];
        let text = write_places(&places);
        assert_eq!(text, "0.0.7_3.12.18446744073709551615");
        let read = read_places(&text).unwrap();
        assert_eq!(read[&(PgId::new(3).unwrap(), 12)], QueueOffset(u64::MAX));
        for wrong in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.3_", "-1.2.3", "99999999.1.1"] {
            assert!(read_places(wrong).is_err(), "{wrong}");
        }
    }
}

//! Under which names the bucket has a topic's messages: its own, and those of the topics that a clone took messages
//! over from. What is indexed there is indexed under the name of the topic that it was sent to.

use super::{Library, LookRefused};
use metadata::model::{NEVER_OPENED, Origin, Part, Span, Topic, TopicQueue};
use protocol::stored;
use std::collections::{BTreeMap, BTreeSet};
use storage::env::Timestamp;
use storage::format::object::Record;
use storage::format::{PgId, QueueOffset, QueueUid};

/// What lies in the bucket under one topic's name and is shown by the topic that is searched.
pub(super) struct Shelf {
    /// The name.
    pub(super) topic: String,
    /// Where.
    pub(super) pgs: Vec<PgId>,
    /// What was stored later is not shown.
    pub(super) newest: Timestamp,
    spans: BTreeMap<QueueUid, Span>,
}

impl Shelf {
    /// Its queues, ascending.
    pub(super) fn queues(&self) -> Vec<QueueUid> {
        self.spans.keys().copied().collect()
    }

    /// Whether it is shown.
    pub(super) fn has(&self, record: &Record) -> bool {
        let span = self.spans.get(&record.queue);
        span.is_some_and(|span| span.from <= record.offset && record.offset < span.to)
    }

    fn of(
        topic: String,
        newest: Timestamp,
        parts: impl IntoIterator<Item = (PgId, Part)>,
    ) -> Shelf {
        let (mut pgs, mut spans) = (BTreeSet::new(), BTreeMap::new());
        for (pg, Part { queue, span }) in parts {
            pgs.insert(pg);
            spans.insert(queue, span);
        }
        Shelf { topic, pgs: pgs.into_iter().collect(), newest, spans }
    }
}

/// A topic's: its own first.
///
/// # Errors
/// [`LookRefused`], where a name is only to be had from a message.
pub(super) async fn shelves(library: &Library, topic: &Topic) -> Result<Vec<Shelf>, LookRefused> {
    let all = Span { from: QueueOffset(0), to: QueueOffset(u64::MAX) };
    let queues = topic.queues().iter().filter(|queue| queue.uid != NEVER_OPENED);
    let own = queues.map(|queue| (queue.pg, Part { queue: queue.uid, span: all }));
    let own = Shelf::of(topic.name.as_str().to_owned(), Timestamp(u64::MAX), own);
    let mut shelves = vec![own];
    let Some(origin) = &topic.origin else { return Ok(shelves) };
    for (uid_base, parts) in layers(topic) {
        if let Some(name) = name_of(library, origin, uid_base, &parts).await? {
            let parts = parts.into_iter().map(|(queue, part)| (queue.pg, part));
            shelves.push(Shelf::of(name, origin.at, parts));
        }
    }
    Ok(shelves)
}

/// What a clone took over, by the topic whose messages they are.
fn layers(topic: &Topic) -> BTreeMap<u64, Vec<(TopicQueue, Part)>> {
    let mut layers: BTreeMap<u64, Vec<(TopicQueue, Part)>> = BTreeMap::new();
    for queue in topic.queues() {
        let Some(i) = topic.index_of(queue.uid) else { continue };
        for part in topic.inherited(queue.uid) {
            layers.entry(part.queue.0 - i as u64).or_default().push((*queue, part));
        }
    }
    layers
}

/// The name of the topic that these messages were sent to. It may be gone: then the messages say it.
/// `None` where none of them is there any more.
async fn name_of(
    library: &Library,
    origin: &Origin,
    uid_base: u64,
    parts: &[(TopicQueue, Part)],
) -> Result<Option<String>, LookRefused> {
    if uid_base == origin.uid_base {
        return Ok(Some(origin.topic.as_str().to_owned()));
    }
    if let Some(topic) = library.catalog.topic_of(QueueUid(uid_base)) {
        return Ok(Some(topic.name.as_str().to_owned()));
    }
    for (queue, part) in parts {
        let history = &library.served(*queue)?.history;
        let first = history.entries(queue.uid, part.span.from, 1).await?.entries;
        let Some(entry) = first.first().filter(|entry| entry.offset < part.span.to) else {
            continue;
        };
        let message = history.message_at(queue.uid, entry.offset, entry.lsn).await?;
        let message = message.and_then(|message| stored::decode(message.body).ok());
        if let Some(message) = message {
            return Ok(Some(message.topic));
        }
    }
    Ok(None)
}

//! When a topic's messages were stored.

use crate::history::History;
use crate::ownership::Owned;
use metadata::model::Topic;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// When the newest message was stored that was sent to the topic itself; `None` where there is none. One that cannot be
/// looked at now counts as stored just now.
pub(super) async fn newest(owned: &Owned, topic: &Topic) -> Option<Timestamp> {
    let mut newest = None;
    for queue in topic.queues() {
        let Some(pg) = owned.get(queue.pg) else { continue };
        let end = pg.history.bounds(queue.uid).visible_end;
        if topic.queue_start(queue.uid) < end {
            let last = QueueOffset(end.0 - 1);
            let stored = match pg.history.message(queue.uid, last).await {
                Ok(message) => message.map(|message| message.time),
                Err(_) => Some(Timestamp(u64::MAX / 2)),
            };
            newest = newest.max(stored);
        }
    }
    newest
}

/// When the message at `offset` was stored; `None` when there is none that consumers see, or the object store does not
/// say.
pub(crate) async fn stored_at(
    history: &History,
    queue: QueueUid,
    offset: QueueOffset,
) -> Option<Timestamp> {
    history.message(queue, offset).await.ok()?.map(|message| message.time)
}

//! When a topic's messages were stored.

use crate::ownership::Owned;
use metadata::model::Topic;
use std::ops::ControlFlow;
use storage::Log;
use storage::env::Timestamp;
use storage::format::{QueueOffset, QueueUid};

/// When the newest message was stored that was sent to the topic itself; `None` where there is none.
pub(super) fn newest(owned: &Owned, topic: &Topic) -> Option<Timestamp> {
    let newest = topic.queues().iter().map(|queue| {
        let log = &owned.get(queue.pg)?.log;
        let bounds = log.bounds(queue.uid);
        let end = bounds.visible_end;
        (bounds.first < end).then(|| stored_at(log, queue.uid, QueueOffset(end.0 - 1))).flatten()
    });
    newest.max().flatten()
}

/// When the message at `offset` was stored; `None` when it is not visible, or no longer there.
pub(crate) fn stored_at(log: &Log, queue: QueueUid, offset: QueueOffset) -> Option<Timestamp> {
    let mut found = None;
    log.scan(queue, offset, &mut |entry| {
        found = Some(entry.time);
        ControlFlow::Break(())
    });
    found
}

//! A stored message as a record of a placement group's log.

use protocol::stored::Encoded;
use storage::format::QueueUid;
use storage::{Draft, Patch, RecordKind};

/// The record that puts a message into `queue`. The log fills in its queue offset, its physical offset and its store
/// time; `filter` is the hash of its tag, 0 for none.
pub(crate) fn of_message(queue: QueueUid, filter: u64, message: Encoded) -> Draft {
    Draft {
        kind: RecordKind::Message,
        queue,
        filter,
        head: message.head,
        body: message.body,
        tail: message.tail,
        patch: Patch {
            offset_at: Some(message.offset_at),
            lsn_at: Some(message.lsn_at),
            time_at: Some(message.time_at),
        },
    }
}

//! What a receive asks for and gets.

use super::filter::Filter;
use super::state::CursorId;
use crate::group::ClientId;
use metadata::model::{Group, Topic};
use protocol::stored::StoredMessage;
use std::sync::Arc;
use std::time::Duration;
use storage::format::{Lsn, PgId, QueueOffset};

/// A receive, checked by its front.
#[derive(Clone, Debug)]
pub struct Receive {
    /// From which topic.
    pub topic: Arc<Topic>,
    /// For which group.
    pub group: Arc<Group>,
    /// Which placement group to look at first; the topic's others here follow.
    pub prefer: Option<PgId>,
    /// Which messages.
    pub filter: Filter,
    /// How many at most, 1 to 32.
    pub max: u16,
    /// How long they stay with the consumer.
    pub invisible: Invisible,
    /// How long to wait for a message when there is none; zero does not wait.
    pub wait: Duration,
}

/// How long a delivery stays with its consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invisible {
    /// So long, unless the consumer changes it.
    Fixed(Duration),
    /// While this client lives, at most [`super::RENEW_TOTAL_MAX`].
    AutoRenew(ClientId),
}

/// A message handed out. Whoever cannot pass it on gives it to [`super::Consume::nack`].
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The message as stored; `reconsume_times` is that of its storing, not of this delivery.
    pub message: StoredMessage,
    /// 1 at first delivery.
    pub attempt: u32,
    /// What acknowledges it.
    pub receipt_handle: String,
    /// Where it lies.
    pub pg: PgId,
    pub(super) place: Place,
}

/// The delivery's name in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: CursorId,
    pub(super) offset: QueueOffset,
    pub(super) pop: Lsn,
}

/// How far a group is on a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueProgress {
    /// The queue's placement group.
    pub pg: PgId,
    /// The queue's number in it.
    pub id: u32,
    /// Every message below is done with.
    pub committed: QueueOffset,
    /// No message from here on was looked at.
    pub next: QueueOffset,
    /// Messages handed out and not yet done with.
    pub in_flight: u64,
    /// The offset behind the last message that consumers see.
    pub end: QueueOffset,
}

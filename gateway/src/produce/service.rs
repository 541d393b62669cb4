//! The way of accepted messages into the log of one queue's placement group.

use super::incoming::MessageRefused;
use super::kind::{KindRefused, admit};
use super::level::level;
use super::outgoing::Outgoing;
use super::queue::{QueueKey, choose};
use crate::observe::{Stats, Tally};
use crate::ownership::{Owned, PlacementGroup};
use crate::{record, tiering};
use metadata::model::{Topic, TopicQueue};
use parking_lot::RwLock;
use protocol::stored::StoredError;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::env::Timestamp;
use storage::format::{Lsn, PgId, QueueOffset};
use storage::{Appended, Class, Draft, Level, Refused};

/// Topics whose turn is remembered; past it all begin anew, which costs nothing but evenness.
const TURNS_MAX: usize = 65_536;

/// Where a message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The placement group.
    pub pg: PgId,
    /// The queue in it.
    pub queue_id: u32,
    /// The place in the queue.
    pub offset: QueueOffset,
    /// The place in the log.
    pub lsn: Lsn,
    /// When.
    pub stored_at: Timestamp,
}

/// Why messages were not sent. Nothing is stored, but for [`SendRefused::OutcomeUnknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// No message in the request.
    #[error("no message to send")]
    NoMessage,
    /// One of them is not acceptable.
    #[error(transparent)]
    Message(#[from] MessageRefused),
    /// The topic does not take this kind.
    #[error(transparent)]
    Kind(#[from] KindRefused),
    /// The topic may not be written to.
    #[error("no writable queue")]
    NoWritableQueue,
    /// The queue's placement group is not served here, or not yet. Retry.
    #[error("placement group {0} is not served by this gateway at the moment, try again")]
    NotServedHere(PgId),
    /// The journal is full. Retry when consumers or operators have made room.
    #[error(
        "the journal is full ({used} of {capacity} bytes): what is in it waits for the object store; \
         see whether that answers, or raise --journal-capacity"
    )]
    Full {
        /// Bytes taken.
        used: u64,
        /// Bytes there are.
        capacity: u64,
    },
    /// The memory for the queue indexes is taken. Retry when operators have made room.
    #[error(
        "the queue index is full ({used} of {limit} bytes of memory): what is in it waits for the \
         object store; see whether that answers, or raise --journal-capacity, of which it may take a \
         thirty-second"
    )]
    IndexFull {
        /// Bytes taken.
        used: u64,
        /// Bytes there are.
        limit: u64,
    },
    /// The disk is full. Retry when there is room.
    #[error("the disk under the journal is full")]
    DiskFull,
    /// The disk does not keep up. Retry soon.
    #[error("the journal is busy: sends outrun the disk, try again")]
    Busy,
    /// A message does not fit the stored encoding.
    #[error(transparent)]
    Unstorable(#[from] StoredError),
    /// The messages together are larger than one atomic group may be.
    #[error("the messages of one request take {bytes} bytes together, more than {limit}")]
    TooLarge {
        /// What they take.
        bytes: u64,
        /// What they may take.
        limit: u64,
    },
    /// The gateway stops, or lost the placement group. Retry, elsewhere.
    #[error("the gateway is closing or another one took over, try again")]
    Moved,
    /// Whether the messages are stored is not known: they were appended, and the level was not
    /// reached before the log went away.
    #[error("the messages were written but their durability could not be confirmed")]
    OutcomeUnknown,
}

/// The sending feature. Cheap to clone.
#[derive(Clone)]
pub struct Produce {
    owned: Owned,
    tiering: tiering::Handle,
    stats: Stats,
    turns: Arc<RwLock<HashMap<u64, AtomicUsize>>>,
}

impl Produce {
    /// Sends into the placement groups that `owned` holds, asks `tiering` for what is to be in the
    /// bucket, and counts in `stats`.
    pub fn new(owned: Owned, tiering: tiering::Handle, stats: Stats) -> Produce {
        Produce { owned, tiering, stats, turns: Arc::default() }
    }

    /// Stores all messages in one queue of `topic`, or none, and waits until the topic's level
    /// holds. One [`Sent`] for each message, in order. Dropping the future gives up the wait, not
    /// the append.
    ///
    /// # Errors
    /// See [`SendRefused`].
    pub async fn send(
        &self,
        topic: &Arc<Topic>,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Sent>, SendRefused> {
        let first = messages.first().ok_or(SendRefused::NoMessage)?;
        let implied = topic.name.as_dead_letter().is_some() || topic.name.as_retry().is_some();
        for message in &messages {
            admit(topic.kind, implied, message.kind)?;
        }
        let asked = messages.iter().filter_map(|message| message.durability);
        let level = level(topic.durability, asked);
        let queue = self.queue(topic, &first.queue_key)?;
        let pg = self.owned.get(queue.pg).ok_or(SendRefused::NotServedHere(queue.pg))?;
        let bytes = messages.iter().map(|outgoing| outgoing.message.body.len() as u64).sum();
        let counted_as = first.kind.counted_as();
        let drafts = messages.into_iter().map(|message| draft(message, queue));
        let drafts = drafts.collect::<Result<_, _>>()?;
        let appended = append(pg, drafts)?;
        if level == Level::Object {
            self.tiering.hurry(queue.pg, appended.end);
        }
        pg.log.reached(level, appended.end).await.map_err(|_lost| SendRefused::OutcomeUnknown)?;
        let sent = sent(queue, &appended);
        let tally = Tally { messages: sent.len() as u64, bytes };
        self.stats.count_received(queue.pg, &topic.name, counted_as, tally);
        Ok(sent)
    }

    fn queue(&self, topic: &Topic, key: &QueueKey) -> Result<TopicQueue, SendRefused> {
        if !topic.permission.write {
            return Err(SendRefused::NoWritableQueue);
        }
        let (queues, turn) = (topic.queues(), self.turn(topic.uid_base));
        let index = choose(queues, key, turn, |pg| self.owned.get(pg).is_some());
        index.map(|index| queues[index]).ok_or(SendRefused::NoWritableQueue)
    }

    /// The number of this send among the topic's.
    fn turn(&self, topic: u64) -> usize {
        if let Some(turn) = self.turns.read().get(&topic) {
            return turn.fetch_add(1, Ordering::Relaxed);
        }
        let mut turns = self.turns.write();
        if turns.len() >= TURNS_MAX {
            turns.clear();
        }
        turns.entry(topic).or_default().fetch_add(1, Ordering::Relaxed)
    }
}

fn draft(outgoing: Outgoing, queue: TopicQueue) -> Result<Draft, StoredError> {
    let mut message = outgoing.message;
    message.queue_id = queue.id.cast_signed();
    let encoded = message.encode()?;
    Ok(record::of_message(queue.uid, outgoing.filter, encoded))
}

fn append(pg: &PlacementGroup, drafts: Vec<Draft>) -> Result<Appended, SendRefused> {
    pg.log.append(drafts, Class::Message).map_err(|refused| match refused {
        Refused::Full { used, capacity } => SendRefused::Full { used, capacity },
        Refused::IndexFull { used, limit } => SendRefused::IndexFull { used, limit },
        Refused::DiskFull => SendRefused::DiskFull,
        Refused::TooLarge { bytes, limit } => SendRefused::TooLarge { bytes, limit },
        Refused::Busy => SendRefused::Busy,
        Refused::Closed | Refused::Fenced => SendRefused::Moved,
        // The queue's topic is being deleted, or is so new that the log has yet to hear of it.
        Refused::UnknownQueue(_) => SendRefused::NotServedHere(pg.id),
        Refused::ReservedKind(kind) => unreachable!("{kind:?} is not a kind that is sent"),
    })
}

fn sent(queue: TopicQueue, appended: &Appended) -> Vec<Sent> {
    let places = appended.places.iter();
    places
        .map(|place| Sent {
            pg: queue.pg,
            queue_id: queue.id,
            // Message records always take an offset.
            offset: place.offset.unwrap_or_default(),
            lsn: place.lsn,
            stored_at: appended.time,
        })
        .collect()
}

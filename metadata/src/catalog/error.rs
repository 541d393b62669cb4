//! Why a change of the catalog is refused.

use super::jobs::JOBS_RUNNING_MAX;
use crate::model::{
    AttributeRefused, JobName, ORIGIN_BYTES_MAX, ORIGIN_LAYERS_MAX, QUEUES_MAX, REPLAYED_MAX,
    Retention,
};
use crate::store::Error;
use protocol::names::{GroupName, TopicName};
use storage::env::Timestamp;

/// Why a change was not made. Its text is for the user.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is such a topic already.
    #[error("topic {0} exists already")]
    TopicExists(TopicName),
    /// There is no such topic.
    #[error("topic {0} does not exist")]
    TopicNotFound(TopicName),
    /// There is no such group.
    #[error("group {0} does not exist")]
    GroupNotFound(GroupName),
    /// The name is kept for the system.
    #[error("topic {0} is a system topic")]
    SystemTopic(TopicName),
    /// The topic comes and goes with its group.
    #[error("topic {0} belongs to its group and is not made, changed or deleted by itself")]
    ImpliedTopic(TopicName),
    /// The name is kept for the system.
    #[error("group {0} is a system group")]
    SystemGroup(GroupName),
    /// None, or too many.
    #[error("a topic has 1 to {QUEUES_MAX} queues, {0} were asked for")]
    Queues(u32),
    /// A queue is never taken away: messages may be in it.
    #[error("topic {name} has {queues} queues and cannot shrink to {asked}")]
    Shrink {
        /// The topic.
        name: TopicName,
        /// What it has.
        queues: u32,
        /// What was asked for.
        asked: u32,
    },
    /// A lock is made longer, and nothing else.
    #[error(
        "topic {name} is {retention}: its retention can be made longer, and nothing else, until it is deleted"
    )]
    Locked {
        /// The topic.
        name: TopicName,
        /// What it is.
        retention: Retention,
    },
    /// Its newest message is locked.
    #[error("topic {name} is locked until {until}, when its newest message may go")]
    LockedUntil {
        /// The topic.
        name: TopicName,
        /// From then on it may be deleted, if nothing is sent to it meanwhile.
        until: Timestamp,
    },
    /// The store cannot lock objects.
    #[error("topic {0} cannot be locked: the object store does not lock objects")]
    NoLocks(TopicName),
    /// The offsets of so many queues do not fit into the metadata store.
    #[error(
        "topic {name} cannot be made: what it would show of its source takes {bytes} bytes of metadata, over the \
         limit of {ORIGIN_BYTES_MAX}"
    )]
    OriginTooLarge {
        /// The clone.
        name: TopicName,
        /// What it would take.
        bytes: usize,
    },
    /// A clone of a clone of a clone.
    #[error(
        "topic {0} cannot be made: it would show messages of more than {ORIGIN_LAYERS_MAX} topics"
    )]
    OriginTooDeep(TopicName),
    /// An attribute.
    #[error(transparent)]
    Attribute(#[from] AttributeRefused),
    /// A ladder without rungs, a multiplier of 0, or the like.
    #[error("the retry policy of group {0} is not valid")]
    RetryPolicy(GroupName),
    /// A message must be delivered at least once.
    #[error("group {0} must allow at least one delivery attempt")]
    MaxAttempts(GroupName),
    /// The name stands for another job.
    #[error("replay {0} exists already and is for something else")]
    JobExists(JobName),
    /// There is no such job, or it was forgotten.
    #[error("replay {0} does not exist")]
    JobNotFound(JobName),
    /// As many jobs as may are not over.
    #[error("{JOBS_RUNNING_MAX} replays are not over, which is as many as there may be")]
    TooManyJobs,
    /// The group has as many topics that messages were replayed from as it may.
    #[error(
        "messages of {REPLAYED_MAX} topics were replayed to group {0}, which is as many as may be"
    )]
    TooManyReplayed(GroupName),
    /// Others changed the same record over and over. Nothing was changed; try again.
    #[error("{0} is being changed by too many at once")]
    Contended(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

//! Jobs: a time range of a topic that is written again elsewhere, and how far that is.
//!
//! A job reads the source's queues in one order, [`source_order`], in which queues that a topic gets later come last:
//! so a number names a queue for as long as the topic lives, and "every queue before that one" is a number too.

use super::codec::{Record, RecordError, opened, sealed};
use super::gateway::{GatewayId, Incarnation};
use super::pg::Owner;
use super::topic::{QUEUES_MAX, Topic, TopicQueue};
use bytes::Bytes;
use protocol::names::{GroupName, TopicName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::QueueOffset;

/// Queues that a job reads at the same time, in the order of store time. It bounds the record: a topic of more queues
/// is read so many at a time.
pub const LANES_MAX: usize = 64;
/// Characters of a failure's text that are kept.
const WHY_CHARS_MAX: usize = 500;

/// A job's name, which makes asking for it twice the same as once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

impl JobName {
    /// The longest name, bytes.
    pub const BYTES_MAX: usize = 128;

    /// `None` unless it is 1 to [`JobName::BYTES_MAX`] letters, digits, `.`, `_` or `-`: it is part of a key.
    pub fn parse(name: &str) -> Option<JobName> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = (1..=JobName::BYTES_MAX).contains(&name.len()) && name.bytes().all(fits);
        is_name.then(|| JobName(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which messages of the range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JobFilter {
    /// Every one.
    #[default]
    All,
    /// Those whose tag the expression names, as in a subscription: `a || b`.
    Tags(String),
    /// Those that have this key.
    Key(String),
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into a topic, for all of its groups.
    Topic(TopicName),
    /// To one group only, on the topic that the messages are of.
    Group(GroupName),
    /// Each dead letter into the topic that it was of.
    Origin,
}

/// The most per second; `None` is as fast as it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Messages written, from 1.
    pub messages: Option<u64>,
    /// Bytes read, and bytes written, from 1.
    pub bytes: Option<u64>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// From where.
    pub source: TopicName,
    /// What was stored then or later.
    pub from: Timestamp,
    /// And before then.
    pub to: Timestamp,
    /// Which of it.
    pub filter: JobFilter,
    /// Where to.
    pub into: Destination,
    /// How fast.
    pub limits: Limits,
}

/// What becomes of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is at work.
    Running,
    /// It rests until it is told to go on.
    Paused,
    /// Everything was written.
    Done,
    /// Somebody ended it. What was written stays.
    Cancelled,
    /// It cannot go on.
    Failed(String),
}

impl JobState {
    /// Whether nothing will happen any more.
    pub fn is_over(&self) -> bool {
        match self {
            JobState::Running | JobState::Paused => false,
            JobState::Done | JobState::Cancelled | JobState::Failed(_) => true,
        }
    }

    /// What it is called.
    pub fn as_str(&self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Paused => "paused",
            JobState::Done => "done",
            JobState::Cancelled => "cancelled",
            JobState::Failed(_) => "failed",
        }
    }

    /// A failure, its text cut where it is very long.
    pub fn failed(why: &str) -> JobState {
        JobState::Failed(why.chars().take(WHY_CHARS_MAX).collect())
    }
}

/// A queue that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLane {
    /// Its number in [`source_order`].
    pub queue: u32,
    /// Everything wanted below is written.
    pub next: QueueOffset,
    /// Where the range ends in it.
    pub end: QueueOffset,
}

/// How far a job is. What is below is written for sure; a little beyond may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// Queues below this number are done, unless they are in `lanes`.
    pub opened: u32,
    /// At most [`LANES_MAX`], ascending by queue.
    pub lanes: Vec<JobLane>,
    /// Offsets in the range of all queues opened so far.
    pub range: u64,
    /// Of these, how many are behind it.
    pub passed: u64,
    /// Messages read: what the filter lets through, and what had to be read to know.
    pub read: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// Requests to the object store.
    pub gets: u64,
    /// Messages written.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Messages wanted that could not be written: their topic is gone, or they cannot be read.
    pub left_out: u64,
    /// How long it was at work.
    pub active: Duration,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// Its number, which no other job ever had or gets: what its copies name.
    pub id: u64,
    /// What was asked for.
    pub spec: JobSpec,
    /// The source's first uid: a topic made anew under its name is another.
    pub source_uid: u64,
    /// Queues of the source when the job was made; later ones have nothing of the range.
    pub queues: u32,
    /// Where the range ends: when the job was made, at the latest, so that it never follows its own copies.
    pub until: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// When its record was last changed.
    pub updated: Timestamp,
    /// What becomes of it.
    pub state: JobState,
    /// Who runs it, or ran it last.
    pub runner: Owner,
    /// How far it is.
    pub progress: JobProgress,
}

impl Job {
    const SCHEMA: u8 = 1;

    /// A job that begins.
    pub fn create(
        (name, id): (JobName, u64),
        spec: JobSpec,
        source: &Topic,
        runner: Owner,
        created: Timestamp,
    ) -> Job {
        Job {
            name,
            id,
            source_uid: source.uid_base,
            queues: u32::try_from(source.queues().len()).unwrap_or(QUEUES_MAX),
            until: spec.to.min(created),
            spec,
            created,
            updated: created,
            state: JobState::Running,
            runner,
            progress: JobProgress::default(),
        }
    }
}

/// A topic's queues in the order in which jobs number them.
pub fn source_order(topic: &Topic) -> Vec<TopicQueue> {
    let mut queues = topic.queues().to_vec();
    queues.sort_by_key(|queue| (queue.uid, queue.pg));
    queues
}

#[derive(Clone, PartialEq, prost::Message)]
struct JobV1 {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    id: u64,
    #[prost(string, tag = "3")]
    source: String,
    #[prost(uint64, tag = "4")]
    source_uid: u64,
    #[prost(uint32, tag = "5")]
    queues: u32,
    #[prost(uint64, tag = "6")]
    from_ms: u64,
    #[prost(uint64, tag = "7")]
    to_ms: u64,
    #[prost(uint64, tag = "8")]
    until_ms: u64,
    #[prost(string, optional, tag = "9")]
    tags: Option<String>,
    #[prost(string, optional, tag = "10")]
    key: Option<String>,
    #[prost(string, optional, tag = "11")]
    into_topic: Option<String>,
    #[prost(string, optional, tag = "12")]
    into_group: Option<String>,
    #[prost(uint64, optional, tag = "13")]
    messages_per_s: Option<u64>,
    #[prost(uint64, optional, tag = "14")]
    bytes_per_s: Option<u64>,
    #[prost(uint64, tag = "15")]
    created_ms: u64,
    #[prost(uint64, tag = "16")]
    updated_ms: u64,
    #[prost(uint32, tag = "17")]
    state: u32,
    #[prost(string, tag = "18")]
    why: String,
    #[prost(string, tag = "19")]
    gateway: String,
    #[prost(fixed64, tag = "20")]
    incarnation: u64,
    #[prost(message, optional, tag = "21")]
    progress: Option<ProgressV1>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProgressV1 {
    #[prost(uint32, tag = "1")]
    opened: u32,
    #[prost(message, repeated, tag = "2")]
    lanes: Vec<LaneV1>,
    #[prost(uint64, tag = "3")]
    range: u64,
    #[prost(uint64, tag = "4")]
    passed: u64,
    #[prost(uint64, tag = "5")]
    read: u64,
    #[prost(uint64, tag = "6")]
    read_bytes: u64,
    #[prost(uint64, tag = "7")]
    gets: u64,
    #[prost(uint64, tag = "8")]
    written: u64,
    #[prost(uint64, tag = "9")]
    written_bytes: u64,
    #[prost(uint64, tag = "10")]
    left_out: u64,
    #[prost(uint64, tag = "11")]
    active_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LaneV1 {
    #[prost(uint32, tag = "1")]
    queue: u32,
    #[prost(uint64, tag = "2")]
    next: u64,
    #[prost(uint64, tag = "3")]
    end: u64,
}

impl From<&JobProgress> for ProgressV1 {
    fn from(progress: &JobProgress) -> ProgressV1 {
        let lane =
            |lane: &JobLane| LaneV1 { queue: lane.queue, next: lane.next.0, end: lane.end.0 };
        ProgressV1 {
            opened: progress.opened,
            lanes: progress.lanes.iter().map(lane).collect(),
            range: progress.range,
            passed: progress.passed,
            read: progress.read,
            read_bytes: progress.read_bytes,
            gets: progress.gets,
            written: progress.written,
            written_bytes: progress.written_bytes,
            left_out: progress.left_out,
            active_ms: u64::try_from(progress.active.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl TryFrom<ProgressV1> for JobProgress {
    type Error = RecordError;

    fn try_from(message: ProgressV1) -> Result<JobProgress, RecordError> {
        let opened = message.opened;
        let lane = |lane: &LaneV1| JobLane {
            queue: lane.queue,
            next: QueueOffset(lane.next),
            end: QueueOffset(lane.end),
        };
        let lanes: Vec<JobLane> = message.lanes.iter().map(lane).collect();
        let ascending = lanes.is_sorted_by(|a, b| a.queue < b.queue);
        let inside = lanes.iter().all(|lane| lane.queue < opened && lane.next <= lane.end);
        if !ascending || !inside || lanes.len() > LANES_MAX {
            return Err(RecordError::Field("progress.lanes"));
        }
        Ok(JobProgress {
            opened,
            lanes,
            range: message.range,
            passed: message.passed,
            read: message.read,
            read_bytes: message.read_bytes,
            gets: message.gets,
            written: message.written,
            written_bytes: message.written_bytes,
            left_out: message.left_out,
            active: Duration::from_millis(message.active_ms),
        })
    }
}

fn state_of(id: u32, why: String) -> Option<JobState> {
    match id {
        1 => Some(JobState::Running),
        2 => Some(JobState::Paused),
        3 => Some(JobState::Done),
        4 => Some(JobState::Cancelled),
        5 => Some(JobState::Failed(why)),
        _ => None,
    }
}

fn state_id(state: &JobState) -> (u32, &str) {
    match state {
        JobState::Running => (1, ""),
        JobState::Paused => (2, ""),
        JobState::Done => (3, ""),
        JobState::Cancelled => (4, ""),
        JobState::Failed(why) => (5, why),
    }
}

impl Record for Job {
    fn encode(&self) -> Bytes {
        let JobSpec { source, from, to, filter, into, limits } = &self.spec;
        let (tags, key) = match filter {
            JobFilter::All => (None, None),
            JobFilter::Tags(tags) => (Some(tags.clone()), None),
            JobFilter::Key(key) => (None, Some(key.clone())),
        };
        let (into_topic, into_group) = match into {
            Destination::Topic(topic) => (Some(topic.as_str().to_owned()), None),
            Destination::Group(group) => (None, Some(group.as_str().to_owned())),
            Destination::Origin => (None, None),
        };
        let (state, why) = state_id(&self.state);
        let message = JobV1 {
            name: self.name.as_str().to_owned(),
            id: self.id,
            source: source.as_str().to_owned(),
            source_uid: self.source_uid,
            queues: self.queues,
            from_ms: from.0,
            to_ms: to.0,
            until_ms: self.until.0,
            tags,
            key,
            into_topic,
            into_group,
            messages_per_s: limits.messages,
            bytes_per_s: limits.bytes,
            created_ms: self.created.0,
            updated_ms: self.updated.0,
            state,
            why: why.to_owned(),
            gateway: self.runner.gateway.as_str().to_owned(),
            incarnation: self.runner.incarnation.0,
            progress: Some(ProgressV1::from(&self.progress)),
        };
        sealed(Job::SCHEMA, &message)
    }

    fn decode(value: &[u8]) -> Result<Job, RecordError> {
        let message: JobV1 = opened(Job::SCHEMA, value)?;
        let spec = spec_of(&message)?;
        let state = state_of(message.state, message.why).ok_or(RecordError::Field("state"))?;
        let gateway = GatewayId::parse(&message.gateway).ok_or(RecordError::Field("gateway"))?;
        let progress: JobProgress = message.progress.unwrap_or_default().try_into()?;
        if message.queues > QUEUES_MAX || progress.opened > message.queues {
            return Err(RecordError::Field("queues"));
        }
        Ok(Job {
            name: JobName::parse(&message.name).ok_or(RecordError::Field("name"))?,
            id: message.id,
            spec,
            source_uid: message.source_uid,
            queues: message.queues,
            until: Timestamp(message.until_ms),
            created: Timestamp(message.created_ms),
            updated: Timestamp(message.updated_ms),
            state,
            runner: Owner { gateway, incarnation: Incarnation(message.incarnation) },
            progress,
        })
    }
}

fn spec_of(message: &JobV1) -> Result<JobSpec, RecordError> {
    let topic =
        |name: &str, field| TopicName::parse_stored(name).map_err(|_| RecordError::Field(field));
    let filter = match (&message.tags, &message.key) {
        (None, None) => JobFilter::All,
        (Some(tags), None) => JobFilter::Tags(tags.clone()),
        (None, Some(key)) => JobFilter::Key(key.clone()),
        (Some(_), Some(_)) => return Err(RecordError::Field("key")),
    };
    let into = match (&message.into_topic, &message.into_group) {
        (Some(name), None) => Destination::Topic(topic(name, "into_topic")?),
        (None, Some(name)) => {
            let group = GroupName::parse(name).map_err(|_| RecordError::Field("into_group"))?;
            Destination::Group(group)
        }
        (None, None) => Destination::Origin,
        (Some(_), Some(_)) => return Err(RecordError::Field("into_group")),
    };
    if message.messages_per_s == Some(0) || message.bytes_per_s == Some(0) {
        return Err(RecordError::Field("limits"));
    }
    Ok(JobSpec {
        source: topic(&message.source, "source")?,
        from: Timestamp(message.from_ms),
        to: Timestamp(message.to_ms),
        filter,
        into,
        limits: Limits { messages: message.messages_per_s, bytes: message.bytes_per_s },
    })
}

#[cfg(test)]
mod tests;

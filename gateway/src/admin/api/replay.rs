//! Bodies about replays.

use serde::{Deserialize, Serialize};

/// `PUT /v1/replays/{name}`: what was stored in a span of time is written again elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayPut {
    /// The topic to read; `%DLQ%GROUP` for dead letters.
    pub source: String,
    /// What was stored then or later, milliseconds since 1970. Default: from the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// And before then. Default, and at the latest: when the replay is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// Only messages with such a tag: `a`, or `a || b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Only messages with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only messages for which this SQL condition holds. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Where to.
    pub into: ReplayInto,
    /// Messages written in a second, at most. Default: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_s: Option<u64>,
    /// Bytes read in a second, and bytes written, at most. Default: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<u64>,
    /// Only say what it would read and cost.
    #[serde(default)]
    pub dry_run: bool,
    /// What a dry run reckons with. Default: Amazon's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<ReplayPrices>,
}

/// Where a replay writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayInto {
    /// Into this topic, for all of its groups.
    Topic(String),
    /// To this group only, on the topic that the messages are of.
    Group(String),
    /// Each dead letter into the topic that it was of.
    Origin,
}

/// What the object store takes, in millionths of a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayPrices {
    /// A million GETs.
    pub gets_million: u64,
    /// A million PUTs.
    pub puts_million: u64,
    /// A GiB for a month.
    pub gib_month: u64,
}

/// What a dry run counted; nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayEstimate {
    /// Always `true`.
    pub dry_run: bool,
    /// Messages that would be read.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests to the object store for reading.
    pub gets: u64,
    /// Requests to the object store for what is written.
    pub puts: u64,
    /// Whether as many messages would be written; else it is fewer: what has a key shows only on reading.
    pub exact: bool,
    /// Whether all of the span of time was counted within the time for it; else it is more.
    pub complete: bool,
    /// What reading and writing would cost, in millionths of a dollar.
    pub cost_once_micro_usd: u64,
    /// What keeping the copies would cost a month, in millionths of a dollar.
    pub cost_monthly_micro_usd: u64,
}

/// `GET /v1/replays`, in the order of their making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayList {
    /// Those at work, and the last thousand.
    pub replays: Vec<Replay>,
}

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its name.
    pub name: String,
    /// Its number, which the property `STRATAMQ_REPLAY` of its copies begins with.
    pub id: u64,
    /// As in [`ReplayPut::source`].
    pub source: String,
    /// Where the span of time begins, milliseconds since 1970.
    pub from_ms: u64,
    /// And ends.
    pub until_ms: u64,
    /// As in [`ReplayPut::tags`].
    pub tags: Option<String>,
    /// As in [`ReplayPut::key`].
    pub key: Option<String>,
    /// Where to.
    pub into: ReplayInto,
    /// As in [`ReplayPut::messages_per_s`].
    pub messages_per_s: Option<u64>,
    /// As in [`ReplayPut::bytes_per_s`].
    pub bytes_per_s: Option<u64>,
    /// `running`, `paused`, `done`, `cancelled` or `failed`.
    pub state: String,
    /// Why it failed.
    pub why: Option<String>,
    /// The gateway that runs it, or ran it last.
    pub gateway: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When it last said how far it is.
    pub updated_ms: u64,
    /// How far it is.
    pub progress: ReplayProgress,
}

/// How far a replay is; at most a second old while it is at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// Messages in the span of time, wanted or not; where not all queues were looked at, what is likely.
    pub range: u64,
    /// How many of them it is past.
    pub passed: u64,
    /// Messages read.
    pub read: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// Requests to the object store.
    pub gets: u64,
    /// Messages written.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Messages that could not be written: the topic that they were of is gone, or they cannot be read.
    pub left_out: u64,
    /// How long it was at work.
    pub active_ms: u64,
    /// Messages written per second of work.
    pub rate_per_s: u64,
    /// How long it will take yet; none where nobody knows.
    pub left_ms: Option<u64>,
}

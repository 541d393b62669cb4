//! Every metric: its name, kind, unit, labels and their values.
//!
//! Where RocketMQ has a name for a thing (spec D.3, `BrokerMetricsConstant`), the metric has that
//! name, its unit and its labels, so that dashboards and alerts go on working; what it has no word
//! for begins with `stratamq_`. A label's values are written here, are names of codes in
//! `protocol`, or are names of topics, groups and placement groups, whose number is bounded by the
//! catalog. What a client may choose freely (its version, its id) is no label.

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// As scraped; the samples of a histogram add `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What its value does.
    pub kind: Kind,
    /// What its value counts.
    pub unit: Unit,
    /// What it says, for people.
    pub help: &'static str,
    /// Names of its labels, beside [`COMMON`]. Samples give values in this order.
    pub labels: &'static [&'static str],
}

/// What a metric's value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows, until the process ends or what it counts is deleted.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What a metric's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds, as RocketMQ has its times; measured in microseconds.
    Milliseconds,
    /// Seconds, as Prometheus has its times; measured in microseconds.
    Seconds,
    /// 0 or 1, or as the help says.
    State,
}

impl Unit {
    /// How many of what is measured make one of what is shown.
    pub const fn scale(self) -> u64 {
        match self {
            Unit::Count | Unit::Bytes | Unit::State => 1,
            Unit::Milliseconds => 1_000,
            Unit::Seconds => 1_000_000,
        }
    }
}

/// Labels that every sample has: the cluster's name, [`NODE_TYPE`], and the gateway's name.
pub const COMMON: [&str; 3] = ["cluster", "node_type", "node_id"];
/// What a gateway is to RocketMQ's dashboards.
pub const NODE_TYPE: &str = "broker";

const TOPIC: &str = "topic";
const GROUP: &str = "consumer_group";
const MESSAGE_TYPE: &str = "message_type";
const IS_SYSTEM: &str = "is_system";
const IS_RETRY: &str = "is_retry";
const PROTOCOL: &str = "protocol_type";
const REQUEST: &str = "request_code";
const RESPONSE: &str = "response_code";
const LONG_POLLING: &str = "is_long_polling";
const LANGUAGE: &str = "language";
const CONSUME_MODE: &str = "consume_mode";
/// A placement group, by the broker's name that clients see.
const BROKER: &str = "broker";
const LEVEL: &str = "level";
/// Why the object store is asked ([`storage::object::Purpose`]).
const PURPOSE: &str = "purpose";
/// What it is asked ([`storage::object::Kind`]).
const ASKED_FOR: &str = "request";
/// What a cache is asked for ([`storage::reader::Looked`]).
const LOOKED_FOR: &str = "looked_for";
const STATE: &str = "state";
const VERSION: &str = "version";

const RECEIVED: &[&str] = &[TOPIC, MESSAGE_TYPE, IS_SYSTEM];
const DELIVERED: &[&str] = &[TOPIC, GROUP, IS_SYSTEM, IS_RETRY];
const ASKED: &[&str] = &[PURPOSE, ASKED_FOR];
const LAG: &[&str] = &[GROUP, TOPIC, IS_RETRY, IS_SYSTEM];

/// Values of yes-or-no labels.
pub const fn yes_or_no(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

/// Values of `message_type` (`TopicMessageType.getMetricsValue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// No more than a message.
    Normal,
    /// In order within its message group.
    Fifo,
    /// At a time.
    Delay,
    /// Half of one, until decided.
    Transaction,
    /// Of a lite topic.
    Lite,
    /// Before others.
    Priority,
}

impl MessageType {
    /// All of them, in the order of their numbers.
    pub const ALL: [MessageType; 6] = [
        MessageType::Normal,
        MessageType::Fifo,
        MessageType::Delay,
        MessageType::Transaction,
        MessageType::Lite,
        MessageType::Priority,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageType::Normal => "normal",
            MessageType::Fifo => "fifo",
            MessageType::Delay => "delay",
            MessageType::Transaction => "transaction",
            MessageType::Lite => "lite",
            MessageType::Priority => "priority",
        }
    }
}

/// Values of `protocol_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// `apache.rocketmq.v2`.
    Grpc,
    /// Classic Remoting.
    Remoting,
}

impl Protocol {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::Remoting => "remoting",
        }
    }
}

/// Values of `consume_mode`.
pub mod consume_mode {
    /// Callbacks.
    pub const PUSH: &str = "push";
    /// By offset.
    pub const PULL: &str = "pull";
    /// By receipt.
    pub const POP: &str = "pop";
}

/// Values of `language`: as Remoting names languages (`LanguageCode`), and one for any other word.
pub const LANGUAGES: [&str; 12] = [
    "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "HTTP", "GO", "PHP", "RUST",
    "NODE_JS",
];
/// Any other word.
pub const OTHER: &str = "OTHER";

/// The label's value for what a client calls its language.
pub fn language(said: &str) -> &'static str {
    LANGUAGES.into_iter().find(|known| known.eq_ignore_ascii_case(said)).unwrap_or(OTHER)
}

/// Values of `level`.
pub mod level {
    /// Written to the journal.
    pub const ASYNC: &str = "async";
    /// Synced.
    pub const LOCAL: &str = "local";
    /// In the object store.
    pub const OBJECT: &str = "object";
}

/// Values of `state` of the journal.
pub mod journal_state {
    /// Takes everything.
    pub const OPEN: &str = "open";
    /// Takes acknowledgements and the like, but no messages.
    pub const REFUSING_MESSAGES: &str = "refusing_messages";
    /// Takes nothing.
    pub const REFUSING_ALL: &str = "refusing_all";
    /// All of them.
    pub const ALL: [&str; 3] = [OPEN, REFUSING_MESSAGES, REFUSING_ALL];
}

/// Largest bytes of each bucket of message sizes but the last (`BrokerMetricsManager`).
pub const MESSAGE_SIZE_BYTES: &[u64] = &[1 << 10, 4 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];
/// Largest microseconds of each bucket of request times but the last. RocketMQ's begin at a
/// millisecond, where most of ours are over.
pub const RPC_MICROS: &[u64] = &[
    100, 250, 500, 1_000, 3_000, 5_000, 7_000, 10_000, 25_000, 100_000, 1_000_000, 2_000_000,
    3_000_000,
];

macro_rules! metrics {
    ($($id:ident: $kind:ident of $unit:ident, $name:literal, $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: Unit::$unit,
                help: $help,
                labels: $labels,
            };
        )*

        /// Every metric, in the order of the scrape.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    MESSAGES_IN: Counter of Count, "rocketmq_messages_in_total", RECEIVED,
        "Messages sent and acknowledged.";
    MESSAGES_OUT: Counter of Count, "rocketmq_messages_out_total", DELIVERED,
        "Messages delivered; is_retry: not for the first time.";
    THROUGHPUT_IN: Counter of Bytes, "rocketmq_throughput_in_total", RECEIVED,
        "Bytes of bodies of messages sent and acknowledged.";
    THROUGHPUT_OUT: Counter of Bytes, "rocketmq_throughput_out_total", DELIVERED,
        "Bytes of bodies of messages delivered.";
    MESSAGE_SIZE: Histogram of Bytes, "rocketmq_message_size", RECEIVED,
        "Bytes of bodies; the messages of one request count at their mean.";
    SEND_TO_DLQ: Counter of Count, "rocketmq_send_to_dlq_messages_total",
        &[GROUP, TOPIC, IS_SYSTEM],
        "Messages given up and copied to the group's dead-letter queue.";
    RPC_LATENCY: Histogram of Milliseconds, "rocketmq_rpc_latency",
        &[PROTOCOL, REQUEST, RESPONSE, LONG_POLLING],
        "Milliseconds from a request to its answer; long polling: it may wait for a message.";
    CONSUMER_LAG_MESSAGES: Gauge of Count, "rocketmq_consumer_lag_messages", LAG,
        "Messages stored and not done with: ready and in flight.";
    CONSUMER_LAG_LATENCY: Gauge of Milliseconds, "rocketmq_consumer_lag_latency", LAG,
        "Milliseconds since the oldest message that is not done with was stored.";
    CONSUMER_INFLIGHT: Gauge of Count, "rocketmq_consumer_inflight_messages", LAG,
        "Messages handed out and not done with.";
    CONSUMER_READY: Gauge of Count, "rocketmq_consumer_ready_messages", LAG,
        "Messages never handed out.";
    CONSUMER_QUEUEING_LATENCY: Gauge of Milliseconds, "rocketmq_consumer_queueing_latency", LAG,
        "Milliseconds since the oldest message that was never handed out was stored.";
    CONSUMER_CONNECTIONS: Gauge of Count, "rocketmq_consumer_connections",
        &[GROUP, LANGUAGE, CONSUME_MODE, IS_SYSTEM],
        "Consumers heard of within two minutes.";
    PRODUCER_CONNECTIONS: Gauge of Count, "rocketmq_producer_connections", &[LANGUAGE, PROTOCOL],
        "Producers heard of within two minutes.";
    TOPIC_NUMBER: Gauge of Count, "rocketmq_topic_number", &[],
        "Topics in the cluster, without those that groups imply.";
    GROUP_NUMBER: Gauge of Count, "rocketmq_consumer_group_number", &[],
        "Consumer groups in the cluster.";
    STORAGE_SIZE: Gauge of Bytes, "rocketmq_storage_size", &[],
        "Bytes of journal segments that hold something which is needed.";
    FLUSH_BEHIND: Gauge of Bytes, "rocketmq_storage_flush_behind_bytes", &[],
        "Bytes appended and not yet synced, written or not.";
    RESERVE_TIME: Gauge of Milliseconds, "rocketmq_storage_message_reserve_time", &[],
        "Milliseconds since the oldest message held was stored; 0 if there is none.";
    BROKER_PERMISSION: Gauge of State, "rocketmq_broker_permission", &[],
        "6 while clients are served (read 4, write 2), else 0.";

    GROUP_BYTES: Histogram of Bytes, "stratamq_journal_group_size_bytes", &[],
        "Bytes of records in a group, which is what one sync makes durable.";
    GROUP_RECORDS: Histogram of Count, "stratamq_journal_group_records", &[],
        "Records in a group, which is what one sync makes durable.";
    SYNC_SECONDS: Histogram of Seconds, "stratamq_journal_sync_seconds", &[],
        "Seconds that a group's sync took.";
    WATERMARK_LAG: Gauge of Bytes, "stratamq_watermark_lag_bytes", &[BROKER, LEVEL],
        "Bytes appended to a placement group's log that its level does not hold yet.";
    BYTES_AT_RISK: Gauge of Bytes, "stratamq_bytes_at_risk", &[],
        "Bytes acknowledged at async and not yet synced: lost if the host dies now.";
    JOURNAL_USED: Gauge of Bytes, "stratamq_journal_used_bytes", &[],
        "Bytes of journal segments that hold something which is needed.";
    JOURNAL_FREE: Gauge of Bytes, "stratamq_journal_free_bytes", &[],
        "Bytes that may still be appended.";
    JOURNAL_CAPACITY: Gauge of Bytes, "stratamq_journal_capacity_bytes", &[],
        "Bytes that the journal's segments may take.";
    JOURNAL_STATE: Gauge of State, "stratamq_journal_state", &[STATE],
        "1 for the state that the journal is in.";
    DISK_FULL: Gauge of State, "stratamq_journal_disk_full", &[],
        "1 while the disk has no room for the next segment.";
    INDEX_BYTES: Gauge of Bytes, "stratamq_index_bytes", &[],
        "Bytes of memory that the queue indexes take.";
    INDEX_LIMIT: Gauge of Bytes, "stratamq_index_limit_bytes", &[],
        "Bytes of memory that the queue indexes may take; messages are refused at nine tenths.";
    STORE_REQUESTS: Counter of Count, "stratamq_store_requests_total", ASKED,
        "Requests to the object store, repeated ones each time.";
    STORE_FAILURES: Counter of Count, "stratamq_store_failures_total", ASKED,
        "Requests to the object store that brought no answer, or one to try again.";
    STORE_SENT: Counter of Bytes, "stratamq_store_sent_bytes_total", ASKED,
        "Bytes sent to the object store in bodies, repeated ones each time.";
    STORE_RECEIVED: Counter of Bytes, "stratamq_store_received_bytes_total", ASKED,
        "Bytes received from the object store in bodies.";
    STORE_UP: Gauge of State, "stratamq_store_up", &[],
        "1 while the object store answers.";
    CACHE_HITS: Counter of Count, "stratamq_cache_hits_total", &[LOOKED_FOR],
        "What was found in a cache of the object store.";
    CACHE_MISSES: Counter of Count, "stratamq_cache_misses_total", &[LOOKED_FOR],
        "What was not found in a cache of the object store, or was found damaged.";
    TIERED_BYTES: Counter of Bytes, "stratamq_tiered_bytes_total", &[BROKER],
        "Bytes of a placement group's log that the object store has, since the log began.";
    MANIFEST_OBJECTS: Gauge of Count, "stratamq_manifest_objects", &[BROKER],
        "Objects that a placement group's manifest names.";
    MANIFEST_BYTES: Gauge of Bytes, "stratamq_manifest_bytes", &[BROKER],
        "Bytes in the object store that are a placement group's.";
    MERGES: Counter of Count, "stratamq_compaction_merges_total", &[],
        "Merges of objects in the object store.";
    MERGED_RUNS: Counter of Count, "stratamq_compaction_runs_total", &[],
        "Objects that merges made.";
    MERGES_READ: Counter of Bytes, "stratamq_compaction_read_bytes_total", &[],
        "Bytes that merges read.";
    MERGES_WRITTEN: Counter of Bytes, "stratamq_compaction_written_bytes_total", &[],
        "Bytes that merges wrote.";
    SET_ASIDE: Counter of Count, "stratamq_compaction_set_aside_total", &[],
        "Objects that merges leave alone because they are damaged, or do not fit the others.";
    SWEEPS: Counter of Count, "stratamq_collection_sweeps_total", &[],
        "Walks through the object store for what nothing refers to.";
    COLLECTED: Counter of Count, "stratamq_collection_deleted_total", &[],
        "Objects deleted because nothing refers to them.";
    COLLECTED_BYTES: Counter of Bytes, "stratamq_collection_deleted_bytes_total", &[],
        "Bytes of objects deleted because nothing refers to them.";
    POLLS_PARKED: Gauge of Count, "stratamq_polls_parked", &[],
        "Long polls that wait for a message.";
    EPOCH: Gauge of Count, "stratamq_epoch", &[BROKER],
        "The epoch of a placement group; each owner opens the next.";
    READY: Gauge of State, "stratamq_ready", &[],
        "1 while clients are served.";
    START_TIME: Gauge of Seconds, "stratamq_start_time_seconds", &[],
        "When the process began to count, in seconds since 1970.";
    BUILD_INFO: Gauge of State, "stratamq_build_info", &[VERSION],
        "1, with the version that runs.";
    RESIDENT_MEMORY: Gauge of Bytes, "process_resident_memory_bytes", &[],
        "Bytes of memory that the process holds, pages of mapped files included.";
    ANONYMOUS_MEMORY: Gauge of Bytes, "stratamq_anonymous_memory_bytes", &[],
        "Bytes of memory that the process holds, without pages of files.";
    CPU_SECONDS: Counter of Seconds, "process_cpu_seconds_total", &[],
        "Seconds of CPU that the process took, the kernel's for it included.";
    OPEN_FILES: Gauge of Count, "process_open_fds", &[],
        "File descriptors that the process holds.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_is_one_metrics_and_says_its_kind() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for Metric { name, kind, help, labels, .. } in ALL {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}");
            assert!(labels.iter().all(|label| !COMMON.contains(label)), "{name}");
        }
    }

    #[test]
    fn what_a_client_calls_its_language_is_one_of_few() {
        assert_eq!(language("java"), "JAVA");
        assert_eq!(language("MY OWN 3.1"), OTHER);
    }
}

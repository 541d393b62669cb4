//! Names of the properties that RocketMQ itself keeps in a message (`MessageConst`).

/// The message's keys, joined by one space.
pub const KEYS: &str = "KEYS";
/// The message's tag.
pub const TAGS: &str = "TAGS";
/// The client's message id.
pub const UNIQ_KEY: &str = "UNIQ_KEY";
/// `false` when a Remoting producer does not wait for the message to be stored.
pub const WAIT: &str = "WAIT";
/// Delay level of a classic delayed message, from 1.
pub const DELAY: &str = "DELAY";
/// Topic that a retried message came from.
pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
/// Topic to deliver to, of a message parked in an internal topic.
pub const REAL_TOPIC: &str = "REAL_TOPIC";
/// Queue to deliver to, of a message parked in an internal topic.
pub const REAL_QUEUE_ID: &str = "REAL_QID";
/// `true` on a half message.
pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
/// Producer group. Over gRPC the topic stands in for it.
pub const PRODUCER_GROUP: &str = "PGROUP";
/// Smallest offset of the queue when a message was pulled.
pub const MIN_OFFSET: &str = "MIN_OFFSET";
/// Largest offset of the queue when a message was pulled.
pub const MAX_OFFSET: &str = "MAX_OFFSET";
/// Message id before retries, as an offset message id.
pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// Present on a message copied from elsewhere: its type is not checked.
pub const TRANSFER_FLAG: &str = "TRANSFER_FLAG";
/// How often a message was tried again, decimal.
pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
/// How often a message may be tried again, decimal.
pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
/// When a client began to consume, milliseconds since 1970.
pub const CONSUME_START_TIME: &str = "CONSUME_START_TIME";
/// Receipt of a popped message, for Remoting clients.
pub const POP_CK: &str = "POP_CK";
/// When a message was popped for the first time, milliseconds since 1970.
pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
/// Offset of the half message, on a committed one.
pub const TRANSACTION_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
/// Client's transaction id.
pub const TRANSACTION_ID: &str = "__transactionId__";
/// Seconds in which a half message is not asked about.
pub const CHECK_IMMUNITY_TIME_IN_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
/// How often a half message was asked about.
pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
/// Instance that a message belongs to.
pub const INSTANCE_ID: &str = "INSTANCE_ID";
/// Correlates request and reply.
pub const CORRELATION_ID: &str = "CORRELATION_ID";
/// Client that waits for the reply.
pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
/// How long a requester waits, milliseconds.
pub const TTL: &str = "TTL";
/// Cluster that stored the message.
pub const CLUSTER: &str = "CLUSTER";
/// `reply` on a reply.
pub const MESSAGE_TYPE: &str = "MSG_TYPE";
/// Milliseconds after which to deliver.
pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
/// Seconds after which to deliver.
pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
/// When to deliver, milliseconds since 1970.
pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
/// When a timed message became due, milliseconds since 1970.
pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
/// Message id of a timed message to withdraw.
pub const TIMER_DELETE_UNIQUE_KEY: &str = "TIMER_DEL_UNIQKEY";
/// Client's own name for its host, over gRPC.
pub const BORN_HOST: &str = "__BORNHOST";
/// When the client made the message, milliseconds since 1970.
pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
/// Topic that a dead letter came from.
pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
/// Message id of a dead letter before it died.
pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
/// Message group of a FIFO message.
pub const SHARDING_KEY: &str = "__SHARDINGKEY";
/// Trace context of OpenTelemetry.
pub const TRACE_CONTEXT: &str = "TRACE_CONTEXT";
/// Region of the server, which Remoting tracing shows.
pub const MSG_REGION: &str = "MSG_REGION";
/// Whether the client should trace.
pub const TRACE_ON: &str = "TRACE_ON";
/// Checksum of body and properties, at the end of the properties.
pub const CRC32: &str = "__CRC32#";
/// Priority, decimal.
pub const PRIORITY: &str = "_SYS_MSG_PRIORITY_";
/// Lite topic.
pub const LITE_TOPIC: &str = "__LITE_TOPIC";
/// Raises the durability level of one message above its topic's.
pub const STRATAMQ_DURABILITY: &str = "STRATAMQ_DURABILITY";
/// Of a copy that a replay made, what it is a copy of: `job/placement group/queue uid/offset`. Two copies of one name
/// are one message that was written twice, around a crash.
pub const STRATAMQ_REPLAY: &str = "STRATAMQ_REPLAY";

/// Joins several keys in [`KEYS`].
pub const KEY_SEPARATOR: &str = " ";

/// The keys that users may not set and do not see on delivery (`MessageConst.STRING_HASH_SET`).
/// Not among them, and so visible to users: [`SHARDING_KEY`], [`TRANSACTION_ID`], [`TRACE_CONTEXT`],
/// [`CHECK_IMMUNITY_TIME_IN_SECONDS`], [`TRANSACTION_CHECK_TIMES`] and a few of inner dispatch.
pub const RESERVED: &[&str] = &[
    TRACE_ON,
    MSG_REGION,
    KEYS,
    TAGS,
    WAIT,
    DELAY,
    RETRY_TOPIC,
    "ORIGIN_GROUP",
    REAL_TOPIC,
    REAL_QUEUE_ID,
    TRANSACTION_PREPARED,
    PRODUCER_GROUP,
    MIN_OFFSET,
    MAX_OFFSET,
    "BUYER_ID",
    ORIGIN_MESSAGE_ID,
    TRANSFER_FLAG,
    "CORRECTION_FLAG",
    "MQ2_FLAG",
    RECONSUME_TIME,
    UNIQ_KEY,
    MAX_RECONSUME_TIMES,
    CONSUME_START_TIME,
    POP_CK,
    "POP_CK_OFFSET",
    FIRST_POP_TIME,
    TRANSACTION_PREPARED_QUEUE_OFFSET,
    "DUP_INFO",
    "EXTEND_UNIQ_INFO",
    INSTANCE_ID,
    CORRELATION_ID,
    REPLY_TO_CLIENT,
    TTL,
    "ARRIVE_TIME",
    "PUSH_REPLY_TIME",
    CLUSTER,
    MESSAGE_TYPE,
    "INNER_MULTI_QUEUE_OFFSET",
    TIMER_DELAY_MS,
    TIMER_DELAY_SEC,
    TIMER_DELIVER_MS,
    "TIMER_ENQUEUE_MS",
    "TIMER_DEQUEUE_MS",
    "TIMER_ROLL_TIMES",
    TIMER_OUT_MS,
    TIMER_DELETE_UNIQUE_KEY,
    "TIMER_DELAY_LEVEL",
    BORN_HOST,
    BORN_TIMESTAMP,
    DLQ_ORIGIN_TOPIC,
    DLQ_ORIGIN_MESSAGE_ID,
    CRC32,
    PRIORITY,
    LITE_TOPIC,
];

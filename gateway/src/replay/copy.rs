//! What is written: the message as it was, without what only its first life meant.

use crate::consume::filter::Filter;
use metadata::model::JobFilter;
use protocol::stored::{PROPERTIES_BYTES_MAX, StoredMessage, TransactionState, property, tag_hash};
use storage::format::{PgId, QueueOffset, QueueUid};

/// Delays are over, transactions decided, deliveries counted anew, and who dies of the copy is told apart from who died
/// of the original.
const LEFT_BEHIND: &[&str] = &[
    property::DELAY,
    property::TIMER_DELAY_MS,
    property::TIMER_DELAY_SEC,
    property::TIMER_DELIVER_MS,
    property::TIMER_OUT_MS,
    property::TIMER_DELETE_UNIQUE_KEY,
    property::TRANSACTION_PREPARED,
    property::TRANSACTION_PREPARED_QUEUE_OFFSET,
    property::TRANSACTION_CHECK_TIMES,
    property::CHECK_IMMUNITY_TIME_IN_SECONDS,
    property::RETRY_TOPIC,
    property::REAL_TOPIC,
    property::REAL_QUEUE_ID,
    property::ORIGIN_MESSAGE_ID,
    property::DLQ_ORIGIN_TOPIC,
    property::DLQ_ORIGIN_MESSAGE_ID,
    property::RECONSUME_TIME,
    property::CONSUME_START_TIME,
    property::POP_CK,
    property::FIRST_POP_TIME,
    property::MIN_OFFSET,
    property::MAX_OFFSET,
    property::CRC32,
];

/// What a copy is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) job: u64,
    pub(super) pg: PgId,
    pub(super) queue: QueueUid,
    pub(super) offset: QueueOffset,
}

/// The message as it is sent to `topic`, and the hash of its tag; `None` where it would be longer than a message may
/// be.
pub(super) fn copy(
    mut message: StoredMessage,
    topic: &str,
    origin: Origin,
) -> Option<(StoredMessage, u64)> {
    for name in LEFT_BEHIND {
        message.properties.remove(name);
    }
    let Origin { job, pg, queue, offset } = origin;
    let name = format!("{job}/{}/{}/{}", pg.get(), queue.0, offset.0);
    message.properties.set(property::STRATAMQ_REPLAY, name);
    message.sys_flag = message.sys_flag.with_transaction(TransactionState::None);
    message.prepared_transaction_offset = 0;
    message.reconsume_times = 0;
    topic.clone_into(&mut message.topic);
    (message.queue_offset, message.physical_offset, message.stored_at) = (0, 0, 0);
    let filter = message.properties.get(property::TAGS).filter(|tag| !tag.is_empty());
    let filter = filter.map_or(0, tag_hash);
    let fits = message.properties.encoded_len() <= PROPERTIES_BYTES_MAX;
    fits.then_some((message, filter))
}

/// Whether the job wants the message; `tags` is its filter, read.
pub(super) fn is_wanted(filter: &JobFilter, tags: &Filter, message: &StoredMessage) -> bool {
    match filter {
        JobFilter::All => true,
        JobFilter::Tags(_) => tags.matches(message.properties.get(property::TAGS)),
        JobFilter::Key(wanted) => {
            let keys = message.properties.get(property::KEYS).unwrap_or_default();
            keys.split(property::KEY_SEPARATOR).any(|key| key == wanted)
        }
    }
}

/// The topic that a dead letter was of.
pub(super) fn died_in(message: &StoredMessage) -> Option<&str> {
    message.properties.get(property::RETRY_TOPIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consume::filter::FilterLanguage;
    use bytes::Bytes;
    use protocol::stored::{Properties, SysFlag};

    fn message(properties: &[(&'static str, &str)]) -> StoredMessage {
        let host = "127.0.0.1:8081".parse().unwrap();
        StoredMessage {
            queue_id: 3,
            flag: 5,
            queue_offset: 9,
            physical_offset: 10,
            sys_flag: SysFlag::COMPRESSED.with_transaction(TransactionState::Committed),
            born_at: 1,
            born_host: host,
            stored_at: 2,
            store_host: host,
            reconsume_times: 7,
            prepared_transaction_offset: 4,
            body: Bytes::from_static(b"body"),
            topic: "from".to_owned(),
            properties: properties.iter().copied().collect::<Properties>(),
        }
    }

    fn origin() -> Origin {
        let pg = PgId::new(2).unwrap();
        Origin { job: 1, pg, queue: QueueUid(3), offset: QueueOffset(4) }
    }

    #[test]
    fn a_copy_keeps_what_its_sender_said_and_begins_a_new_life() {
        let kept = [
            (property::UNIQ_KEY, "id"),
            (property::TAGS, "a"),
            (property::KEYS, "k l"),
            (property::SHARDING_KEY, "g"),
            ("colour", "red"),
        ];
        let left = [(property::RETRY_TOPIC, "t"), (property::TIMER_DELIVER_MS, "5")];
        let (copy, filter) = copy(message(&[&kept[..], &left].concat()), "to", origin()).unwrap();
        let expected = [&kept[..], &[(property::STRATAMQ_REPLAY, "1/2/3/4")]].concat();
        assert_eq!(copy.properties.iter().collect::<Vec<_>>(), expected);
        assert_eq!((copy.topic.as_str(), filter), ("to", tag_hash("a")));
        assert_eq!((copy.born_at, copy.flag, copy.reconsume_times), (1, 5, 0));
        assert_eq!(copy.sys_flag, SysFlag::COMPRESSED);
        assert_eq!(&copy.body[..], b"body");
    }

    #[test]
    fn a_copy_that_would_be_too_long_is_not_made() {
        let long = "x".repeat(PROPERTIES_BYTES_MAX - 10);
        assert_eq!(copy(message(&[("p", &long)]), "to", origin()), None);
    }

    #[test]
    fn a_filter_is_by_a_tag_or_by_one_key() {
        let message = message(&[(property::TAGS, "a"), (property::KEYS, "k l")]);
        let by_tag = |text: &str| {
            let tags = Filter::parse(FilterLanguage::Tag, text).unwrap();
            is_wanted(&JobFilter::Tags(text.to_owned()), &tags, &message)
        };
        let by_key = |key: &str| is_wanted(&JobFilter::Key(key.to_owned()), &Filter::All, &message);
        assert_eq!((by_tag("a || b"), by_tag("b")), (true, false));
        assert_eq!((by_key("l"), by_key("k l"), by_key("a")), (true, false, false));
        assert!(is_wanted(&JobFilter::All, &Filter::All, &message));
    }
}

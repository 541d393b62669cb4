use super::*;
use bytes::Bytes;

fn stored(properties: &[(&'static str, &str)]) -> StoredMessage {
    StoredMessage {
        queue_id: 3,
        flag: 0,
        queue_offset: 41,
        physical_offset: 1 << 48,
        sys_flag: SysFlag::default(),
        born_at: 1_700_000_000_123,
        born_host: "192.0.2.9:4711".parse().unwrap(),
        stored_at: 1_700_000_000_456,
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"hello"),
        topic: "orders".into(),
        properties: properties.iter().copied().collect(),
    }
}

fn delivered(stored: StoredMessage) -> Message {
    message(stored, Receipt { handle: "receipt".into(), attempt: 2 }, "ns")
}

#[test]
fn a_delivered_message_says_what_its_sender_said_and_where_it_lies() {
    let message = delivered(stored(&[
        ("color", "blue"),
        ("UNIQ_KEY", "id-1"),
        ("TAGS", "red"),
        ("KEYS", "k1 k2"),
        ("RECONSUME_TIME", "0"),
        ("PGROUP", "orders"),
        ("__BORNHOST", "host-a"),
        ("BORN_TIMESTAMP", "1700000000123"),
        ("TRACE_CONTEXT", "trace"),
    ]));
    assert_eq!(
        message.topic,
        Some(Resource { resource_namespace: "ns".into(), name: "orders".into() })
    );
    assert_eq!(message.body, "hello");
    let shown: Vec<_> =
        message.user_properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(shown, [("TRACE_CONTEXT", "trace"), ("color", "blue")]);
    let system = message.system_properties.unwrap();
    let expected = SystemProperties {
        tag: Some("red".into()),
        keys: vec!["k1".into(), "k2".into()],
        message_id: "id-1".into(),
        // md5("hello")
        body_digest: Some(Digest {
            r#type: DigestType::Md5.into(),
            checksum: "5D41402ABC4B2A76B9719D911017C592".into(),
        }),
        body_encoding: Encoding::Identity.into(),
        message_type: MessageType::Normal.into(),
        born_timestamp: Some(wire_millis(1_700_000_000_123)),
        born_host: "host-a".into(),
        store_timestamp: Some(wire_millis(1_700_000_000_456)),
        store_host: "127.0.0.1:10911".into(),
        receipt_handle: Some("receipt".into()),
        queue_id: 3,
        queue_offset: Some(41),
        delivery_attempt: Some(2),
        trace_context: Some("trace".into()),
        ..SystemProperties::default()
    };
    assert_eq!(system, expected);
}

#[test]
fn reserved_properties_are_hidden_and_the_sharding_key_is_not() {
    let all: Vec<(&str, &str)> = property::RESERVED.iter().map(|&name| (name, "1")).collect();
    let mut message = delivered(stored(&all));
    assert!(message.user_properties.is_empty(), "{:?}", message.user_properties);
    message = delivered(stored(&[("__SHARDINGKEY", "g")]));
    assert_eq!(message.user_properties["__SHARDINGKEY"], "g");
    assert_eq!(message.system_properties.unwrap().message_group.as_deref(), Some("g"));
}

#[test]
fn a_compressed_body_is_passed_on_as_it_is_and_called_gzip() {
    let mut compressed = stored(&[]);
    compressed.sys_flag = SysFlag::COMPRESSED;
    let message = delivered(compressed);
    assert_eq!(message.body, "hello");
    assert_eq!(message.system_properties.unwrap().body_encoding(), Encoding::Gzip);
}

#[test]
fn the_message_type_follows_from_the_properties() {
    for (name, value, expected) in [
        ("TRAN_MSG", "true", MessageType::Transaction),
        ("TIMER_DELIVER_MS", "1700000001000", MessageType::Delay),
        ("__SHARDINGKEY", "g", MessageType::Fifo),
        ("_SYS_MSG_PRIORITY_", "4", MessageType::Priority),
        ("__LITE_TOPIC", "l", MessageType::Lite),
        ("color", "blue", MessageType::Normal),
    ] {
        let system = delivered(stored(&[(name, value)])).system_properties.unwrap();
        assert_eq!(system.message_type(), expected, "{name}");
    }
    let timed =
        delivered(stored(&[("TIMER_DELIVER_MS", "1700000001500")])).system_properties.unwrap();
    assert_eq!(timed.delivery_timestamp, Some(wire_millis(1_700_000_001_500)));
    let priority = delivered(stored(&[("_SYS_MSG_PRIORITY_", "4")])).system_properties.unwrap();
    assert_eq!(priority.priority, Some(4));
}

#[test]
fn a_message_of_a_classic_client_shows_its_peer_as_born_host() {
    let system = delivered(stored(&[])).system_properties.unwrap();
    assert_eq!(system.born_host, "192.0.2.9");
    assert_eq!((system.tag, system.keys, system.message_id), (None, vec![], String::new()));
}

#[test]
fn a_message_from_a_retry_topic_shows_its_original_topic() {
    let mut again = stored(&[("RETRY_TOPIC", "orders")]);
    again.topic = "%RETRY%g".into();
    assert_eq!(delivered(again).topic.unwrap().name, "orders");
    let mut dead = stored(&[("RETRY_TOPIC", "orders")]);
    dead.topic = "%DLQ%g".into();
    assert_eq!(delivered(dead).topic.unwrap().name, "%DLQ%g");
}

#[test]
fn where_a_dead_letter_came_from_is_told_when_both_halves_are_known() {
    let both = [("DLQ_ORIGIN_TOPIC", "orders"), ("DLQ_ORIGIN_MESSAGE_ID", "id-0")];
    let system = delivered(stored(&both)).system_properties.unwrap();
    let expected = DeadLetterQueue { topic: "orders".into(), message_id: "id-0".into() };
    assert_eq!(system.dead_letter_queue, Some(expected));
    let system = delivered(stored(&both[..1])).system_properties.unwrap();
    assert_eq!(system.dead_letter_queue, None);
}

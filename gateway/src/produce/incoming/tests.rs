use super::*;
use crate::produce::MessageKind;
use protocol::names::Noun;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn message() -> Incoming {
    Incoming {
        message_id: "id-1".into(),
        body: Bytes::from_static(b"hello"),
        ..Incoming::default()
    }
}

fn check(incoming: Incoming) -> Result<Outgoing, MessageRefused> {
    let topic = TopicName::parse("orders").unwrap();
    let peer = "192.0.2.9:4711".parse().unwrap();
    let store_host = "127.0.0.1:10911".parse().unwrap();
    accept(incoming, &Origin { topic: &topic, peer, store_host, now: NOW })
}

fn refused(change: impl FnOnce(&mut Incoming)) -> MessageRefused {
    let mut incoming = message();
    change(&mut incoming);
    check(incoming).expect_err("refused")
}

fn accepted(change: impl FnOnce(&mut Incoming)) -> Outgoing {
    let mut incoming = message();
    change(&mut incoming);
    check(incoming).expect("accepted")
}

fn noun(refused: &MessageRefused) -> Option<Noun> {
    if let MessageRefused::Name(name) = refused { Some(name.noun()) } else { None }
}

fn filled(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|n| (format!("k{n}"), String::new())).collect()
}

#[test]
fn a_body_is_one_byte_to_four_mebibytes() {
    assert_eq!(refused(|m| m.body = Bytes::new()), MessageRefused::BodyEmpty);
    let most = vec![1; 4 << 20];
    accepted(|m| m.body = most.clone().into());
    let more = [most, vec![1]].concat();
    assert_eq!(refused(|m| m.body = more.into()), MessageRefused::BodyTooLarge((4 << 20) + 1));
}

#[test]
fn user_properties_are_128_at_most() {
    accepted(|m| m.user_properties = filled(128));
    let refused = refused(|m| m.user_properties = filled(129));
    assert_eq!(refused, MessageRefused::TooManyProperties(129));
}

#[test]
fn reserved_properties_and_control_characters_in_any_are_refused() {
    for name in property::RESERVED {
        let refused = refused(|m| drop(m.user_properties.insert((*name).to_owned(), "v".into())));
        assert_eq!(noun(&refused), Some(Noun::Property), "{name}");
    }
    for (name, value) in [("a\u{1}", "v"), ("a", "v\n"), ("a", "\u{7f}"), ("a", "\u{9f}")] {
        let refused = refused(|m| drop(m.user_properties.insert(name.into(), value.into())));
        assert_eq!(noun(&refused), Some(Noun::Property), "{name:?}={value:?}");
    }
    for name in [property::SHARDING_KEY, property::TRANSACTION_ID, property::TRACE_CONTEXT, "ключ"]
    {
        accepted(|m| drop(m.user_properties.insert(name.into(), "значение".into())));
    }
}

#[test]
fn tags_and_keys_are_words() {
    for tag in [" ", "a|b", "a\tb", "\u{85}"] {
        assert_eq!(noun(&refused(|m| m.tag = tag.into())), Some(Noun::Tag), "{tag:?}");
    }
    for key in [" ", "\u{0}", "a\u{80}"] {
        let refused = refused(|m| m.keys = vec!["good".into(), key.into()]);
        assert_eq!(noun(&refused), Some(Noun::Key), "{key:?}");
    }
    let outgoing = accepted(|m| (m.tag, m.keys) = (String::new(), vec![String::new(), "k".into()]));
    assert_eq!(outgoing.message.properties.get(property::TAGS), None, "an empty tag is none");
    assert_eq!(outgoing.message.properties.get(property::KEYS), Some("k"), "an empty key is none");
    assert_eq!(outgoing.filter, 0);
}

#[test]
fn properties_tag_and_keys_are_16_kibibytes_at_most() {
    let fill = |m: &mut Incoming, extra: usize| {
        m.tag = "t".repeat(100);
        m.keys = vec!["k".repeat(50), "k".repeat(50)];
        m.user_properties.insert("n".into(), "v".repeat(16_384 - 201 + extra));
    };
    accepted(|m| fill(m, 0));
    let refused = refused(|m| fill(m, 1));
    assert_eq!(refused, MessageRefused::PropertiesTooLarge { bytes: 16_385, limit: 16_384 });
}

#[test]
fn a_trace_context_that_outgrows_the_stored_encoding_is_refused() {
    accepted(|m| m.trace_context = Some("x".repeat(30_000)));
    let refused = refused(|m| m.trace_context = Some("x".repeat(40_000)));
    assert!(matches!(refused, MessageRefused::PropertiesTooLarge { limit: 32_767, .. }));
}

#[test]
fn a_message_has_an_id() {
    for id in ["", "  ", "a\u{1}b"] {
        assert_eq!(refused(|m| m.message_id = id.into()), MessageRefused::MessageId, "{id:?}");
    }
}

#[test]
fn a_recovery_duration_is_an_hour_at_most() {
    let seconds = |s| Some(Duration::from_secs(s));
    accepted(|m| m.recovery = seconds(3_600));
    assert_eq!(refused(|m| m.recovery = seconds(3_601)), MessageRefused::RecoveryTooLong);
}

#[test]
fn a_delivery_time_is_ten_years_ahead_at_most_and_may_be_past() {
    let limit = i64::try_from(NOW.plus(DELAY_MAX).0).unwrap();
    for at in [i64::MIN, -1, 0, 1, limit] {
        let outgoing = accepted(|m| m.deliver_at_ms = Some(at));
        assert_eq!(outgoing.kind, MessageKind::Delay);
    }
    for at in [limit + 1, i64::MAX] {
        assert_eq!(refused(|m| m.deliver_at_ms = Some(at)), MessageRefused::DeliveryTime);
    }
}

#[test]
fn a_message_group_is_under_64_bytes() {
    for group in [" ".to_owned(), "g".repeat(64), "é".repeat(32), "a\u{2}".to_owned()] {
        let refused = refused(|m| m.message_group = Some(group.clone()));
        assert_eq!(noun(&refused), Some(Noun::MessageGroup), "{group:?}");
    }
    let outgoing = accepted(|m| m.message_group = Some("g".repeat(63)));
    assert_eq!(outgoing.kind, MessageKind::Fifo);
    assert_eq!(outgoing.queue_key, QueueKey::Hash("g".repeat(63)));
    assert_eq!(accepted(|m| m.message_group = Some(String::new())).kind, MessageKind::Normal);
}

#[test]
fn a_priority_is_not_negative_and_a_lite_topic_is_a_name() {
    assert_eq!(refused(|m| m.priority = Some(-1)), MessageRefused::Priority(-1));
    assert_eq!(accepted(|m| m.priority = Some(0)).kind, MessageKind::Priority);
    for lite in [String::new(), " ".to_owned(), "a b".to_owned(), "a%".to_owned(), "l".repeat(65)] {
        let refused = refused(|m| m.lite_topic = Some(lite.clone()));
        assert_eq!(noun(&refused), Some(Noun::LiteTopic), "{lite:?}");
    }
    let outgoing = accepted(|m| m.lite_topic = Some("l".repeat(64)));
    assert_eq!(
        (outgoing.kind, outgoing.queue_key),
        (MessageKind::Lite, QueueKey::Hash("l".repeat(64)))
    );
}

/// Each step spoils one thing more, in reverse order: the earliest is what is told.
#[test]
fn the_first_thing_wrong_in_apaches_order_is_what_is_told() {
    type Spoil = (fn(&mut Incoming), fn(&MessageRefused) -> bool);
    let spoils: [Spoil; 12] = [
        (|m| m.lite_topic = Some("a b".into()), |r| noun(r) == Some(Noun::LiteTopic)),
        (|m| m.priority = Some(-1), |r| matches!(r, MessageRefused::Priority(_))),
        (|m| m.message_group = Some(" ".into()), |r| noun(r) == Some(Noun::MessageGroup)),
        (|m| m.deliver_at_ms = Some(i64::MAX), |r| *r == MessageRefused::DeliveryTime),
        (
            |m| m.recovery = Some(Duration::from_secs(4_000)),
            |r| *r == MessageRefused::RecoveryTooLong,
        ),
        (|m| m.message_id = String::new(), |r| *r == MessageRefused::MessageId),
        (
            |m| drop(m.user_properties.insert("n".into(), "v".repeat(20_000))),
            |r| matches!(r, MessageRefused::PropertiesTooLarge { .. }),
        ),
        (|m| m.keys = vec![" ".into()], |r| noun(r) == Some(Noun::Key)),
        (|m| m.tag = "a|b".into(), |r| noun(r) == Some(Noun::Tag)),
        (
            |m| drop(m.user_properties.insert("TAGS".into(), "v".into())),
            |r| noun(r) == Some(Noun::Property),
        ),
        (
            |m| m.user_properties.extend(filled(200)),
            |r| matches!(r, MessageRefused::TooManyProperties(_)),
        ),
        (|m| m.body = Bytes::new(), |r| *r == MessageRefused::BodyEmpty),
    ];
    let mut incoming = message();
    for (step, (spoil, told)) in spoils.into_iter().enumerate() {
        spoil(&mut incoming);
        let refused = check(incoming.clone()).expect_err("spoiled");
        assert!(told(&refused), "step {step}: {refused:?}");
    }
}

#[test]
fn everything_the_sender_said_is_stored_under_apaches_names() {
    let outgoing = accepted(|m| {
        m.tag = "red".into();
        m.keys = vec!["k1".into(), "k2".into()];
        m.user_properties.insert("color".into(), "blue".into());
        m.compressed = true;
        m.born_at_ms = Some(1_699_999_999_123);
        m.born_host = "host-a".into();
        m.delivery_attempt = 2;
        m.trace_context = Some("trace".into());
        m.message_group = Some("g".into());
        m.priority = Some(3);
        m.lite_topic = Some("lite".into());
        m.deliver_at_ms = Some(1_700_000_001_000);
    });
    let stored = &outgoing.message;
    let expected = [
        ("color", "blue"),
        ("UNIQ_KEY", "id-1"),
        ("TAGS", "red"),
        ("KEYS", "k1 k2"),
        ("TIMER_DELIVER_MS", "1700000001000"),
        ("RECONSUME_TIME", "2"),
        ("PGROUP", "orders"),
        ("__SHARDINGKEY", "g"),
        ("TRACE_CONTEXT", "trace"),
        ("__BORNHOST", "host-a"),
        ("BORN_TIMESTAMP", "1699999999123"),
        ("_SYS_MSG_PRIORITY_", "3"),
        ("__LITE_TOPIC", "lite"),
    ];
    assert_eq!(stored.properties.iter().collect::<Vec<_>>(), expected);
    assert_eq!(stored.topic, "orders");
    assert_eq!(stored.born_at, 1_699_999_999_123);
    assert_eq!(stored.born_host, "192.0.2.9:4711".parse().unwrap());
    assert_eq!(stored.store_host, "127.0.0.1:10911".parse().unwrap());
    assert_eq!(stored.sys_flag, SysFlag::COMPRESSED);
    assert_eq!(outgoing.filter, tag_hash("red"));
}

#[test]
fn a_half_message_is_marked_as_one() {
    let outgoing = accepted(|m| (m.half, m.recovery) = (true, Some(Duration::from_secs(30))));
    let properties = &outgoing.message.properties;
    assert_eq!(properties.get("TRAN_MSG"), Some("true"));
    assert_eq!(properties.get("CHECK_IMMUNITY_TIME_IN_SECONDS"), Some("30"));
    assert_eq!(outgoing.message.sys_flag, SysFlag::PREPARED);
    assert_eq!(outgoing.kind, MessageKind::Transaction);
}

#[test]
fn what_the_sender_did_not_say_is_filled_in() {
    let outgoing = accepted(|_| {});
    let properties = &outgoing.message.properties;
    assert_eq!(properties.get("__BORNHOST"), Some("192.0.2.9"));
    assert_eq!(properties.get("BORN_TIMESTAMP"), Some("1700000000000"));
    assert_eq!(properties.get("RECONSUME_TIME"), Some("0"));
    assert_eq!(outgoing.kind, MessageKind::Normal);
    assert_eq!(outgoing.queue_key, QueueKey::RoundRobin);
    assert_eq!(outgoing.durability, None);
}

#[test]
fn a_message_says_the_level_that_it_wants_in_a_property() {
    let with = |level: &str| {
        let mut incoming = message();
        incoming.user_properties.insert("STRATAMQ_DURABILITY".into(), level.into());
        check(incoming).map(|outgoing| outgoing.durability)
    };
    assert_eq!(with("async"), Ok(Some(Durability::Async)));
    assert_eq!(with("local"), Ok(Some(Durability::Local)));
    assert_eq!(with("mirrored"), Ok(Some(Durability::Mirrored)));
    assert_eq!(with("object"), Ok(Some(Durability::Object)));
    assert_eq!(with("sometimes"), Err(MessageRefused::Durability));
}

#[test]
fn a_born_host_with_control_characters_gives_way_to_the_peers_address() {
    let outgoing = accepted(|m| m.born_host = "a\u{2}KEYS\u{1}x".into());
    assert_eq!(outgoing.message.properties.get("__BORNHOST"), Some("192.0.2.9"));
    assert_eq!(refused(|m| m.trace_context = Some("a\u{1}".into())), MessageRefused::TraceContext);
}

//! Rules of spec B.5 and B.8, one row each.

use proptest::prelude::*;

use super::*;
use crate::stored::property;

fn topic(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn group(text: &str) -> GroupName {
    GroupName::parse(text).unwrap()
}

#[test]
fn topic_rules_are_checked_in_apache_s_order() {
    let long_and_wrong = "!".repeat(128);
    assert_eq!(TopicName::parse(" \t"), Err(NameRefused::Blank { noun: Noun::Topic }));
    assert_eq!(
        TopicName::parse(&long_and_wrong),
        Err(NameRefused::TooLong { noun: Noun::Topic, length: 128, limit: 127 })
    );
    let wrong = TopicName::parse("a.b").unwrap_err();
    assert!(matches!(wrong, NameRefused::Characters { noun: Noun::Topic, .. }));
    assert!(TopicName::parse("Ünicode").is_err());
    assert_eq!(topic("%a|B_9-").as_str(), "%a|B_9-");
    assert!(TopicName::parse(&"t".repeat(127)).is_ok());
}

#[test]
fn stored_topic_may_be_longer() {
    assert!(TopicName::parse_stored(&"t".repeat(255)).is_ok());
    assert!(TopicName::parse_stored(&"t".repeat(256)).is_err());
}

#[test]
fn group_is_limited_so_that_its_retry_topic_is_a_topic() {
    let longest = group(&"g".repeat(120));
    assert!(GroupName::parse(&"g".repeat(121)).is_err());
    assert!(TopicName::parse(TopicName::retry_of(&longest).as_str()).is_ok());
    assert!(TopicName::parse(TopicName::dead_letter_of(&longest).as_str()).is_ok());
}

#[test]
fn system_topics_are_known() {
    for name in [
        "TBW102",
        "SCHEDULE_TOPIC_XXXX",
        "RMQ_SYS_TRACE_TOPIC",
        "rmq_sys_wheel_timer",
        "DefaultCluster",
        "DefaultCluster_REPLY_TOPIC",
        "strata-0001",
        "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
    ] {
        assert!(topic(name).is_system("DefaultCluster"), "{name}");
        assert_eq!(topic(name).refuse_system("DefaultCluster"), Err(NameRefused::SystemTopic));
    }
    for name in
        ["orders", "Other_REPLY_TOPIC", "strata-001", "strata-00x1", "%DLQ%g", "OtherCluster"]
    {
        assert!(!topic(name).is_system("DefaultCluster"), "{name}");
    }
}

#[test]
fn trace_topic_is_sendable_and_half_topic_is_not() {
    assert!(topic("RMQ_SYS_TRACE_TOPIC").is_sendable());
    assert!(!topic("RMQ_SYS_TRANS_HALF_TOPIC").is_sendable());
}

#[test]
fn system_groups_are_known() {
    assert!(group("CID_RMQ_SYS_TRANS").is_system());
    assert!(!group("DEFAULT_CONSUMER").is_system());
    assert_eq!(
        group("CID_RMQ_SYS_x").refuse_system().unwrap_err().to_string(),
        "cannot use system consumer group"
    );
}

#[test]
fn implied_topics_name_their_group() {
    let g = group("orders");
    assert_eq!(TopicName::retry_of(&g).as_str(), "%RETRY%orders");
    assert_eq!(TopicName::dead_letter_of(&g).as_str(), "%DLQ%orders");
    assert_eq!(TopicName::retry_of(&g).as_retry(), Some(g.clone()));
    assert_eq!(TopicName::retry_of(&g).as_dead_letter(), None);
    assert_eq!(TopicName::dead_letter_of(&g).as_dead_letter(), Some(g));
    assert_eq!(topic("%DLQ%").as_dead_letter(), None);
}

#[test]
fn tag_rules() {
    assert_eq!(Tag::parse_optional(""), Ok(None));
    assert_eq!(Tag::parse_optional(" "), Err(NameRefused::Blank { noun: Noun::Tag }));
    assert_eq!(Tag::parse("a|b"), Err(NameRefused::TagSeparator));
    assert_eq!(Tag::parse("a\u{7f}"), Err(NameRefused::ControlCharacter { noun: Noun::Tag }));
    assert_eq!(Tag::parse("标签 1").unwrap().as_str(), "标签 1");
    // Java does not count the no-break space as white space.
    assert!(Tag::parse("\u{a0}").is_ok());
}

#[test]
fn key_rules() {
    assert_eq!(MessageKey::parse_optional(""), Ok(None));
    assert!(MessageKey::parse("\u{3000}").is_err());
    assert!(MessageKey::parse("a\nb").is_err());
    assert!(MessageKey::parse("a|b").is_ok());
}

#[test]
fn message_group_is_shorter_than_64_bytes() {
    assert!(MessageGroup::parse(&"g".repeat(63)).is_ok());
    assert_eq!(
        MessageGroup::parse(&"g".repeat(64)),
        Err(NameRefused::TooLong { noun: Noun::MessageGroup, length: 64, limit: 63 })
    );
    assert!(MessageGroup::parse(&"é".repeat(32)).is_err());
    assert!(MessageGroup::parse("a\u{9f}").is_err());
}

#[test]
fn lite_topic_rules() {
    assert!(LiteTopic::parse(&"l".repeat(64)).is_ok());
    assert!(LiteTopic::parse(&"l".repeat(65)).is_err());
    assert!(LiteTopic::parse("").is_err());
    assert!(LiteTopic::parse("a%b").is_err());
    assert!(LiteTopic::parse("a|b").is_err());
}

#[test]
fn reserved_and_unprintable_user_properties_are_refused() {
    for key in property::RESERVED {
        assert_eq!(
            check_user_property(key, "v").unwrap_err().noun(),
            Noun::Property,
            "{key} is reserved"
        );
    }
    assert!(check_user_property("a", "b\u{1}").is_err());
    assert!(check_user_property("a\u{2}", "b").is_err());
    // Apache does not reserve these.
    assert!(check_user_property("__SHARDINGKEY", "v").is_ok());
    assert!(check_user_property("TRACE_CONTEXT", "v").is_ok());
}

proptest! {
    #[test]
    fn what_parses_prints_as_it_was_and_parses_again(text in "\\PC{0,140}") {
        if let Ok(name) = TopicName::parse(&text) {
            prop_assert_eq!(name.to_string(), text.clone());
            prop_assert_eq!(TopicName::parse_stored(&text), Ok(name));
        }
        if let Ok(name) = GroupName::parse(&text) {
            prop_assert_eq!(TopicName::dead_letter_of(&name).as_dead_letter(), Some(name.clone()));
            prop_assert_eq!(TopicName::retry_of(&name).as_retry(), Some(name));
        }
    }

    #[test]
    fn no_text_makes_a_rule_panic(text in any::<String>()) {
        let _ = (Tag::parse(&text), MessageKey::parse(&text), MessageGroup::parse(&text));
        let _ = (LiteTopic::parse(&text), check_user_property(&text, &text));
    }
}

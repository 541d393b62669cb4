use super::*;

fn properties(names: &[&'static str]) -> Properties {
    names.iter().map(|&name| (name, "true")).collect()
}

/// Spec B.8: TRANSACTION > DELAY > FIFO > PRIORITY > LITE > NORMAL.
#[test]
fn the_kind_is_the_first_that_the_properties_amount_to() {
    let all = [
        property::TRANSACTION_PREPARED,
        property::TIMER_DELIVER_MS,
        property::SHARDING_KEY,
        property::PRIORITY,
        property::LITE_TOPIC,
        "color",
    ];
    let kinds = [
        MessageKind::Transaction,
        MessageKind::Delay,
        MessageKind::Fifo,
        MessageKind::Priority,
        MessageKind::Lite,
        MessageKind::Normal,
    ];
    for (from, kind) in kinds.into_iter().enumerate() {
        assert_eq!(kind_of(&properties(&all[from..])), kind);
    }
    for timer in [property::DELAY, property::TIMER_DELAY_MS, property::TIMER_DELAY_SEC] {
        assert_eq!(kind_of(&properties(&[timer])), MessageKind::Delay);
    }
    assert_eq!(kind_of(&Properties::new()), MessageKind::Normal);
}

const KINDS: [(TopicKind, MessageKind); 6] = [
    (TopicKind::Normal, MessageKind::Normal),
    (TopicKind::Fifo, MessageKind::Fifo),
    (TopicKind::Delay, MessageKind::Delay),
    (TopicKind::Transaction, MessageKind::Transaction),
    (TopicKind::Lite, MessageKind::Lite),
    (TopicKind::Priority, MessageKind::Priority),
];

#[test]
fn a_topic_takes_only_its_own_kind_and_of_those_only_what_is_served() {
    for (topic, own) in KINDS {
        for (_, message) in KINDS {
            let expected = if message != own {
                Err(KindRefused::Conflict { expected: topic, actual: message })
            } else if message == MessageKind::Normal {
                Ok(())
            } else {
                Err(KindRefused::NotServed(message))
            };
            assert_eq!(admit(topic, false, message), expected, "{message} to {topic:?}");
        }
    }
}

#[test]
fn a_mixed_topic_and_an_implied_one_ask_for_no_kind() {
    for (_, message) in KINDS {
        let served = message == MessageKind::Normal;
        let expected = if served { Ok(()) } else { Err(KindRefused::NotServed(message)) };
        assert_eq!(admit(TopicKind::Mixed, false, message), expected);
        assert_eq!(admit(TopicKind::Normal, true, message), expected);
    }
}

#[test]
fn a_topic_without_a_kind_takes_nothing() {
    for (_, actual) in KINDS {
        let expected = TopicKind::Unspecified;
        assert_eq!(admit(expected, false, actual), Err(KindRefused::Conflict { expected, actual }));
    }
}

#[test]
fn refusals_say_what_apache_says_or_what_to_do() {
    let conflict = KindRefused::Conflict { expected: TopicKind::Normal, actual: MessageKind::Fifo };
    assert_eq!(
        conflict.to_string(),
        "TopicMessageType validate failed, the expected type is NORMAL, but actual type is FIFO"
    );
    let text = KindRefused::NotServed(MessageKind::Delay).to_string();
    assert!(text.starts_with("DELAY messages are not served") && text.contains("NORMAL"), "{text}");
}

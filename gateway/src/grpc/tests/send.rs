//! SendMessage: spec B.8, and what a full journal does.

use super::world::{World, message, seconds, world, world_with};
use crate::settings::JournalSettings;
use protocol::grpc::v2::{Code, Message, MessageType, SystemProperties};
use std::collections::BTreeSet;

fn with(change: impl FnOnce(&mut SystemProperties)) -> Message {
    let mut message = message("normal", "id");
    change(message.system_properties.as_mut().unwrap());
    message
}

fn far_ahead(world: &World, days: i64) -> prost_types::Timestamp {
    let now = i64::try_from(world.gateway.broker().env.now().0 / 1_000).unwrap();
    prost_types::Timestamp { seconds: now + days * 86_400, nanos: 0 }
}

/// Spec B.8, the rows on one message, to a NORMAL topic.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_refused_in_the_code_of_what_is_wrong() {
    // Segments large enough for the largest message.
    let mut world = world_with(|s| s.journal = JournalSettings::of_capacity(256 << 20)).await;
    let sized = |bytes: usize| Message { body: vec![0; bytes].into(), ..message("normal", "id") };
    let user = |name: &str, value: &str| {
        let mut message = message("normal", "id");
        message.user_properties.insert(name.to_owned(), value.to_owned());
        message
    };
    let mut many = message("normal", "id");
    many.user_properties.extend((0..129).map(|n| (format!("k{n}"), String::new())));
    let (day, eleven_years) = (far_ahead(&world, 1), far_ahead(&world, 4_018));
    let transaction = i32::from(MessageType::Transaction);
    for (name, message, expected) in [
        ("no body", sized(0), Code::MessageBodyEmpty),
        ("4 MiB", sized(4 << 20), Code::Ok),
        ("4 MiB and a byte", sized((4 << 20) + 1), Code::MessageBodyTooLarge),
        ("many properties", many, Code::MessagePropertiesTooLarge),
        ("large properties", user("k", &"v".repeat(16_384)), Code::MessagePropertiesTooLarge),
        ("reserved property", user("TAGS", "v"), Code::IllegalMessagePropertyKey),
        ("control character", user("k", "\u{7}"), Code::IllegalMessagePropertyKey),
        ("unknown level", user("STRATAMQ_DURABILITY", "x"), Code::IllegalMessagePropertyKey),
        ("level of the bucket", user("STRATAMQ_DURABILITY", "object"), Code::Ok),
        ("level", user("STRATAMQ_DURABILITY", "local"), Code::Ok),
        ("tag", with(|s| s.tag = Some("a|b".into())), Code::IllegalMessageTag),
        ("blank tag", with(|s| s.tag = Some(" ".into())), Code::IllegalMessageTag),
        ("empty tag", with(|s| s.tag = Some(String::new())), Code::Ok),
        ("key", with(|s| s.keys = vec!["\t".into()]), Code::IllegalMessageKey),
        ("no id", with(|s| s.message_id = " ".into()), Code::IllegalMessageId),
        (
            "recovery",
            with(|s| s.orphaned_transaction_recovery_duration = Some(seconds(3_601))),
            Code::BadRequest,
        ),
        (
            "eleven years",
            with(|s| s.delivery_timestamp = Some(eleven_years)),
            Code::IllegalDeliveryTime,
        ),
        ("group", with(|s| s.message_group = Some("g".repeat(64))), Code::IllegalMessageGroup),
        ("priority", with(|s| s.priority = Some(-1)), Code::BadRequest),
        ("lite", with(|s| s.lite_topic = Some("a b".into())), Code::IllegalLiteTopic),
        (
            "delayed",
            with(|s| s.delivery_timestamp = Some(day)),
            Code::MessagePropertyConflictWithType,
        ),
        (
            "past",
            with(|s| s.delivery_timestamp = Some(Default::default())),
            Code::MessagePropertyConflictWithType,
        ),
        (
            "fifo",
            with(|s| s.message_group = Some("g".into())),
            Code::MessagePropertyConflictWithType,
        ),
        ("half", with(|s| s.message_type = transaction), Code::MessagePropertyConflictWithType),
        ("important", with(|s| s.priority = Some(1)), Code::MessagePropertyConflictWithType),
        (
            "sub-topic",
            with(|s| s.lite_topic = Some("l".into())),
            Code::MessagePropertyConflictWithType,
        ),
        ("type not said", with(|_| {}), Code::Ok),
        ("type of the future", with(|s| s.message_type = 99), Code::Ok),
        ("encoding of the future", with(|s| s.body_encoding = 99), Code::Ok),
    ] {
        assert_eq!(world.send_code(message).await, expected, "{name}");
    }
}

/// Spec B.8, the rows on topics; B.23: an unknown one is TOPIC_NOT_FOUND.
#[tokio::test(flavor = "multi_thread")]
async fn topics_take_what_they_are_for_and_what_is_served() {
    let mut world = world().await;
    world.topic_with_permission("read-only", true, false).await;
    let conflict = Code::MessagePropertyConflictWithType;
    for (topic, expected) in [
        ("normal", Code::Ok),
        ("mixed", Code::Ok),
        ("unspecified", conflict),
        ("fifo", conflict),
        ("delay", conflict),
        ("transaction", conflict),
        ("lite", conflict),
        ("priority", conflict),
        ("unknown", Code::TopicNotFound),
        ("%DLQ%unknown", Code::TopicNotFound),
        ("read-only", Code::Forbidden),
        ("", Code::IllegalTopic),
        ("TBW102", Code::IllegalTopic),
    ] {
        assert_eq!(world.send_code(message(topic, "id")).await, expected, "{topic:?}");
    }
    let tomorrow = far_ahead(&world, 1);
    type Change = Box<dyn Fn(&mut SystemProperties)>;
    let changes: [(&str, Change); 6] = [
        ("fifo", Box::new(|s| s.message_group = Some("g".into()))),
        ("delay", Box::new(move |s| s.delivery_timestamp = Some(tomorrow))),
        ("transaction", Box::new(|s| s.message_type = MessageType::Transaction.into())),
        ("lite", Box::new(|s| s.lite_topic = Some("l".into()))),
        ("priority", Box::new(|s| s.priority = Some(1))),
        ("mixed", Box::new(|s| s.message_group = Some("g".into()))),
    ];
    for (topic, change) in changes {
        let mut message = message(topic, "id");
        change(message.system_properties.as_mut().unwrap());
        let response = world.send(vec![message]).await;
        let status = response.status.unwrap();
        assert_eq!(status.code(), Code::NotImplemented, "{topic}");
        assert!(
            status.message.contains("message.type NORMAL"),
            "says what to do: {}",
            status.message
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_messages_of_one_topic_and_stores_all_or_none() {
    let mut world = world().await;
    let code = |response: &protocol::grpc::v2::SendMessageResponse| {
        response.status.as_ref().unwrap().code()
    };
    let nothing = world.send(vec![]).await;
    assert_eq!(code(&nothing), Code::MessageCorrupted);
    assert_eq!(nothing.status.unwrap().message, "no message to send");
    let two_topics = world.send(vec![message("normal", "a"), message("mixed", "b")]).await;
    assert_eq!(code(&two_topics), Code::MessageCorrupted);
    let one_bad = world.send(vec![message("normal", "a"), message("normal", "")]).await;
    assert_eq!((code(&one_bad), one_bad.entries.len()), (Code::MessageBodyEmpty, 0));
    let large = |id| Message { body: vec![0; 4 << 20].into(), ..message("normal", id) };
    let too_much = world.send(vec![large("a"), large("b"), large("c")]).await;
    assert_eq!(code(&too_much), Code::PayloadTooLarge);

    let ids: Vec<String> = (0..5).map(|n| format!("id-{n}")).collect();
    let sent = world.send(ids.iter().map(|id| message("normal", id)).collect()).await;
    assert_eq!(code(&sent), Code::Ok);
    let entries: Vec<_> = sent
        .entries
        .iter()
        .map(|e| (e.message_id.clone(), e.transaction_id.clone(), e.offset))
        .collect();
    let expected: Vec<_> =
        (0..).zip(&ids).map(|(offset, id)| (id.clone(), id.clone(), offset)).collect();
    assert_eq!(
        entries, expected,
        "one queue, consecutive offsets, and nothing of the refused requests before them"
    );
    assert!(
        sent.entries
            .iter()
            .all(|e| e.status.as_ref().unwrap().code() == Code::Ok && e.recall_handle.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_go_to_every_queue_in_turn() {
    let mut world = world().await;
    let mut offsets = Vec::new();
    for n in 0..16 {
        let sent = world.send(vec![message("normal", &format!("id-{n}"))]).await;
        offsets.push(sent.entries[0].offset);
    }
    assert_eq!(offsets[..8], [0; 8], "eight queues take one each");
    assert_eq!(offsets[8..], [1; 8], "and then another");
    let received = world.receive(super::world::receive("g", "normal")).await;
    let queues: BTreeSet<_> =
        received.messages.iter().map(|m| m.system_properties.as_ref().unwrap().queue_id).collect();
    assert_eq!(queues, BTreeSet::from([0, 1]), "two queues in each placement group");
}

/// The memory for the index is bounded like the journal, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_index_refuses_sends_but_not_acks() {
    let mut world = world_with(|s| s.journal.index_bytes = 24 << 10).await;
    let mut sent = 0;
    let refusal = loop {
        let batch: Vec<_> = (0..16).map(|n| message("normal", &format!("{sent}-{n}"))).collect();
        let status = world.send(batch).await.status.unwrap();
        if status.code() != Code::Ok {
            break status;
        }
        sent += 16;
        assert!(sent < 2048, "24 KiB are full after fewer than 2048 messages");
    };
    assert_eq!(refusal.code(), Code::TooManyRequests);
    assert!(refusal.message.contains("queue index"), "{}", refusal.message);
    assert!(refusal.message.contains("--journal-capacity"), "{}", refusal.message);
    let received = world.receive(super::world::receive("g", "normal")).await;
    assert_eq!(received.code, Code::Ok, "{}", received.text);
    let handles = received.messages.iter().filter_map(|m| m.system_properties.as_ref());
    let handles: Vec<&str> = handles.map(|system| system.receipt_handle()).collect();
    let acked = super::ack::ack(&mut world, "normal", "g", &handles).await;
    assert_eq!(acked.status.unwrap().code(), Code::Ok);
}

/// A full journal pushes back and never drops; what consumers need to drain it is still taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_refuses_sends_but_not_acks_and_nothing_is_lost() {
    let mut world = world().await;
    let large = |n: usize| Message {
        body: vec![0; 1 << 20].into(),
        ..message("normal", &format!("id-{n}"))
    };
    let mut sent = 0;
    let refusal = loop {
        let status = world.send(vec![large(sent)]).await.status.unwrap();
        if status.code() != Code::Ok {
            break status;
        }
        sent += 1;
        assert!(sent < 128, "a journal of 128 MiB takes fewer than 128 messages of 1 MiB");
    };
    assert_eq!(refusal.code(), Code::TooManyRequests);
    assert!(refusal.message.contains("--journal-capacity"), "{}", refusal.message);
    assert!(sent > 16, "only {sent} messages fitted");

    let mut ids = BTreeSet::new();
    while ids.len() < sent {
        let received = world.receive(super::world::receive("g", "normal")).await;
        assert_eq!(received.code, Code::Ok, "{} of {sent}: {}", ids.len(), received.text);
        let system = received.messages.iter().map(|m| m.system_properties.clone().unwrap());
        let handles: Vec<(String, String)> =
            system.map(|s| (s.message_id.clone(), s.receipt_handle().to_owned())).collect();
        let texts: Vec<&str> = handles.iter().map(|(_, handle)| handle.as_str()).collect();
        let acked = super::ack::ack(&mut world, "normal", "g", &texts).await;
        assert_eq!(acked.status.unwrap().code(), Code::Ok);
        ids.extend(handles.into_iter().map(|(id, _)| id));
    }
}

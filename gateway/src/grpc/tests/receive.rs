//! ReceiveMessage: spec B.9.

use super::world::{World, message, receive, resource, seconds, world, world_with};
use protocol::grpc::v2::{
    Broker, Code, Encoding, FilterExpression, FilterType, Message, MessageType,
    ReceiveMessageRequest,
};
use std::collections::BTreeSet;
use std::time::Duration;

fn tags(expression: &str) -> Option<FilterExpression> {
    Some(FilterExpression { r#type: FilterType::Tag.into(), expression: expression.into() })
}

fn tagged(tag: &str, id: &str) -> Message {
    let mut message = message("normal", id);
    message.system_properties.as_mut().unwrap().tag = Some(tag.into());
    message
}

async fn fill(world: &mut World, count: usize) {
    for n in 0..count {
        assert_eq!(world.send_code(message("normal", &format!("id-{n}"))).await, Code::Ok);
    }
}

/// Spec B.9, in the order of its checks. Nothing is in the topic, so a request that passes polls
/// and finds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn receives_are_refused_in_the_code_of_what_is_wrong() {
    let mut world = world_with(|settings| settings.auto_create_groups = false).await;
    world.topic_with_permission("write-only", false, true).await;
    let with = |change: &dyn Fn(&mut ReceiveMessageRequest)| {
        let mut request = receive("g", "normal");
        change(&mut request);
        request
    };
    let sql = FilterExpression { r#type: FilterType::Sql.into(), expression: "a = 1".into() };
    for (name, request, expected) in [
        ("topic", receive("g", "a b"), Code::IllegalTopic),
        ("system topic", receive("g", "TBW102"), Code::IllegalTopic),
        ("group", receive("a b", "normal"), Code::IllegalConsumerGroup),
        ("system group", receive("CID_RMQ_SYS_a", "normal"), Code::IllegalConsumerGroup),
        ("no invisible time", with(&|r| r.invisible_duration = None), Code::IllegalInvisibleTime),
        ("short", with(&|r| r.invisible_duration = Some(seconds(9))), Code::IllegalInvisibleTime),
        (
            "long",
            with(&|r| r.invisible_duration = Some(seconds(43_201))),
            Code::IllegalInvisibleTime,
        ),
        ("SQL", with(&|r| r.filter_expression = Some(sql.clone())), Code::IllegalFilterExpression),
        ("no tag", with(&|r| r.filter_expression = tags("||")), Code::IllegalFilterExpression),
        ("unknown topic", receive("g", "unknown"), Code::TopicNotFound),
        ("unknown group", receive("g", "normal"), Code::ConsumerGroupNotFound),
    ] {
        let received = world.receive(request).await;
        assert_eq!(
            (received.code, received.messages.len()),
            (expected, 0),
            "{name}: {}",
            received.text
        );
    }
    let near = world.receive_by(receive("g", "normal"), Duration::from_secs(3)).await;
    assert_eq!(near.code, Code::IllegalPollingTime);
    let near = world.receive_by(receive("a b", "a b"), Duration::from_secs(3)).await;
    assert_eq!(near.code, Code::IllegalPollingTime, "looked at before the names");
    let group = protocol::names::GroupName::parse("g").unwrap();
    world.gateway.broker().catalog.ensure_group(&group).await.unwrap();
    assert_eq!(world.receive(receive("g", "write-only")).await.code, Code::Forbidden);
}

/// B.23: a client that sent no settings is served, and the group is made at its first receive.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_poll_waits_and_says_that_there_is_no_new_message() {
    let mut world = world().await;
    let began = world.gateway.broker().env.monotonic();
    let received = world.receive_by(receive("new-group", "normal"), Duration::from_secs(8)).await;
    let took = world.gateway.broker().env.monotonic() - began;
    assert_eq!((received.code, received.text.as_str()), (Code::MessageNotFound, "no new message"));
    assert!(received.messages.is_empty());
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    assert!(world.gateway.broker().catalog.group("new-group").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_poll_gets_the_message_that_comes() {
    let mut world = world().await;
    let mut other = world.client.clone();
    let request = super::world::call(receive("g", "normal"));
    let env = world.gateway.broker().env.clone();
    let parked = env.spawn("parked poll", async move {
        let stream = other.receive_message(request).await.unwrap().into_inner();
        tokio_stream::StreamExt::collect::<Vec<_>>(stream).await
    });
    tokio::task::yield_now().await;
    assert_eq!(world.send_code(message("normal", "id-0")).await, Code::Ok);
    let contents = tokio::time::timeout(Duration::from_secs(4), parked)
        .await
        .expect("long before the poll's end");
    assert_eq!(contents.unwrap().len(), 3, "status, the message, delivery time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_received_as_it_was_sent() {
    let mut world = world().await;
    let mut sent = message("normal", "id-1");
    sent.user_properties.insert("color".into(), "blue".into());
    let system = sent.system_properties.as_mut().unwrap();
    system.tag = Some("red".into());
    system.keys = vec!["k1".into(), "k2".into()];
    system.body_encoding = Encoding::Gzip.into();
    system.message_type = MessageType::Normal.into();
    system.born_host = "host-a".into();
    system.born_timestamp =
        Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 123_000_000 });
    system.trace_context = Some("trace".into());
    assert_eq!(world.send_code(sent.clone()).await, Code::Ok);

    let received = world.receive(receive("g", "normal")).await;
    assert_eq!((received.code, received.text.as_str()), (Code::Ok, "OK"));
    let [message] = &received.messages[..] else { panic!("one message") };
    assert_eq!((&message.topic, &message.body), (&sent.topic, &sent.body));
    assert_eq!(message.user_properties["color"], "blue");
    assert!(!message.user_properties.contains_key("UNIQ_KEY"), "{:?}", message.user_properties);
    let (got, said) =
        (message.system_properties.as_ref().unwrap(), sent.system_properties.unwrap());
    assert_eq!((&got.message_id, &got.tag, &got.keys), (&said.message_id, &said.tag, &said.keys));
    assert_eq!((got.body_encoding, got.message_type), (said.body_encoding, said.message_type));
    assert_eq!((&got.born_host, &got.born_timestamp), (&said.born_host, &said.born_timestamp));
    assert_eq!(got.trace_context, said.trace_context);
    assert_eq!((got.queue_offset, got.delivery_attempt), (Some(0), Some(1)));
    assert!(got.receipt_handle.as_ref().is_some_and(|handle| !handle.is_empty()));
    assert!(
        got.store_timestamp.is_some()
            && got.body_digest.is_some()
            && got.invisible_duration.is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_thirty_two_at_most_and_no_message_comes_twice() {
    let mut world = world().await;
    fill(&mut world, 40).await;
    let mut ids = BTreeSet::new();
    for expected in [32, 8] {
        let request = ReceiveMessageRequest { batch_size: 1_000, ..receive("g", "normal") };
        let received = world.receive(request).await;
        assert_eq!(received.messages.len(), expected);
        ids.extend(received.bodies());
    }
    assert_eq!(ids.len(), 40);
    let other = world.receive(receive("another-group", "normal")).await;
    assert_eq!(other.messages.len(), 32, "groups do not share");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_its_tags_through() {
    let mut world = world().await;
    for (tag, id) in [("a", "1"), ("b", "2"), ("c", "3"), ("Aa", "4"), ("BB", "5")] {
        assert_eq!(world.send_code(tagged(tag, id)).await, Code::Ok);
    }
    for (group, expression, expected) in [
        ("g1", "a || c", ["1", "3"].as_slice()),
        ("g2", "Aa", &["4"]),
        ("g3", "*", &["1", "2", "3", "4", "5"]),
    ] {
        let request = ReceiveMessageRequest {
            filter_expression: tags(expression),
            ..receive(group, "normal")
        };
        let mut bodies = world.receive(request).await.bodies();
        bodies.sort();
        assert_eq!(bodies, expected, "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_broker_comes_first_and_the_others_are_not_forgotten() {
    let mut world = world().await;
    fill(&mut world, 8).await;
    for name in ["strata-0002", "strata-9999", "another"] {
        let mut request = receive(name, "normal");
        let broker = Broker { name: name.into(), ..Broker::default() };
        request.message_queue.as_mut().unwrap().broker = Some(broker);
        assert_eq!(world.receive(request).await.messages.len(), 8, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_deliveries_need_no_invisible_time() {
    let mut world = world().await;
    fill(&mut world, 1).await;
    let request = ReceiveMessageRequest {
        auto_renew: true,
        invisible_duration: None,
        ..receive("g", "normal")
    };
    let received = world.receive(request).await;
    assert_eq!((received.code, received.messages.len()), (Code::Ok, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_not_taken_from_the_stream_come_again_soon() {
    let mut world = world().await;
    fill(&mut world, 3).await;
    let request = super::world::call(receive("g", "normal"));
    drop(world.client.receive_message(request).await.unwrap());
    let mut bodies = BTreeSet::new();
    let deadline = world.gateway.broker().env.monotonic() + Duration::from_secs(15);
    while bodies.len() < 3 && world.gateway.broker().env.monotonic() < deadline {
        let received = world.receive(receive("g", "normal")).await;
        let attempts = received
            .messages
            .iter()
            .map(|m| m.system_properties.as_ref().unwrap().delivery_attempt());
        assert!(
            attempts.into_iter().all(|attempt| attempt == 1),
            "a delivery that nobody saw does not count"
        );
        bodies.extend(received.bodies());
    }
    assert_eq!(bodies.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topics_that_a_group_implies_can_be_received_from() {
    let mut world = world().await;
    let group = protocol::names::GroupName::parse("g").unwrap();
    world.gateway.broker().catalog.ensure_group(&group).await.unwrap();
    for topic in ["%DLQ%g", "%RETRY%g"] {
        let request =
            ReceiveMessageRequest { group: resource("reader"), ..receive("reader", topic) };
        let received = world.receive_by(request, Duration::from_secs(6)).await;
        assert_eq!(received.code, Code::MessageNotFound, "{topic}: {}", received.text);
    }
}

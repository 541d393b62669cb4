//! AckMessage, ChangeInvisibleDuration, ForwardMessageToDeadLetterQueue: spec B.11 to B.13, B.23.

use super::world::{World, call, message, receive, resource, seconds, world};
use protocol::grpc::v2::{
    AckMessageEntry, AckMessageRequest, AckMessageResponse, ChangeInvisibleDurationRequest,
    ChangeInvisibleDurationResponse, Code, ForwardMessageToDeadLetterQueueRequest,
};

pub(super) async fn ack(
    world: &mut World,
    topic: &str,
    group: &str,
    handles: &[&str],
) -> AckMessageResponse {
    let entry = |(n, handle): (usize, &&str)| AckMessageEntry {
        message_id: format!("id-{n}"),
        receipt_handle: (*handle).to_owned(),
        lite_topic: None,
    };
    let entries = handles.iter().enumerate().map(entry).collect();
    let request = AckMessageRequest { group: resource(group), topic: resource(topic), entries };
    world.client.ack_message(call(request)).await.unwrap().into_inner()
}

async fn change(
    world: &mut World,
    topic: &str,
    handle: &str,
    seconds_: i64,
) -> ChangeInvisibleDurationResponse {
    let request = ChangeInvisibleDurationRequest {
        group: resource("g"),
        topic: resource(topic),
        receipt_handle: handle.to_owned(),
        invisible_duration: Some(seconds(seconds_)),
        ..Default::default()
    };
    world.client.change_invisible_duration(call(request)).await.unwrap().into_inner()
}

async fn bury(world: &mut World, topic: &str, handle: &str) -> Code {
    let request = ForwardMessageToDeadLetterQueueRequest {
        group: resource("g"),
        topic: resource(topic),
        receipt_handle: handle.to_owned(),
        ..Default::default()
    };
    let answer = world.client.forward_message_to_dead_letter_queue(call(request)).await.unwrap();
    answer.into_inner().status.unwrap().code()
}

fn code(response: &AckMessageResponse) -> Code {
    response.status.as_ref().unwrap().code()
}

/// Sends `count` messages and receives them: their handles.
async fn handles(world: &mut World, count: usize) -> Vec<String> {
    for n in 0..count {
        assert_eq!(world.send_code(message("normal", &format!("id-{n}"))).await, Code::Ok);
    }
    let received = world.receive(receive("g", "normal")).await;
    assert_eq!(received.messages.len(), count);
    let handle = |m: &protocol::grpc::v2::Message| {
        m.system_properties.as_ref().unwrap().receipt_handle().to_owned()
    };
    received.messages.iter().map(handle).collect()
}

/// Spec B.11 and B.23.
#[tokio::test(flavor = "multi_thread")]
async fn acks_are_answered_entry_by_entry() {
    let mut world = world().await;
    let handles = handles(&mut world, 2).await;
    let (first, second) = (handles[0].as_str(), handles[1].as_str());
    let answer = ack(&mut world, "normal", "g", &[first]).await;
    assert_eq!(code(&answer), Code::Ok);
    assert_eq!(
        (answer.entries[0].message_id.as_str(), answer.entries[0].receipt_handle.as_str()),
        ("id-0", first)
    );
    assert_eq!(code(&ack(&mut world, "normal", "g", &[first]).await), Code::Ok, "twice is once");
    let mixed = ack(&mut world, "normal", "g", &[second, "nonsense"]).await;
    assert_eq!(code(&mixed), Code::MultipleResults);
    let each: Vec<_> = mixed.entries.iter().map(|e| e.status.as_ref().unwrap().code()).collect();
    assert_eq!(each, [Code::Ok, Code::InvalidReceiptHandle]);
    let gone = world.receive_by(receive("g", "normal"), std::time::Duration::from_secs(6)).await;
    assert_eq!(gone.code, Code::MessageNotFound, "what is acknowledged does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_changes_and_burials_are_refused_in_the_code_of_what_is_wrong() {
    let mut world = world().await;
    let handle = handles(&mut world, 1).await.remove(0);
    let handle = handle.as_str();
    for (topic, group, entries, expected) in [
        ("a b", "g", [handle].as_slice(), Code::IllegalTopic),
        ("TBW102", "g", &[handle], Code::IllegalTopic),
        ("normal", "a b", &[handle], Code::IllegalConsumerGroup),
        ("normal", "CID_RMQ_SYS_a", &[handle], Code::IllegalConsumerGroup),
        ("normal", "g", &[], Code::BadRequest),
        ("normal", "g", &[""], Code::InvalidReceiptHandle),
        (
            "normal",
            "g",
            &["0 1795367341527 30000 6 0 broker-a 2 0 2584"],
            Code::InvalidReceiptHandle,
        ),
    ] {
        let answer = ack(&mut world, topic, group, entries).await;
        assert_eq!(code(&answer), expected, "{topic:?} {group:?} {entries:?}");
    }
    for (topic, handle, seconds, expected) in [
        ("a b", handle, 10, Code::IllegalTopic),
        ("normal", handle, -1, Code::IllegalInvisibleTime),
        ("normal", handle, 43_201, Code::IllegalInvisibleTime),
        ("normal", "nonsense", 10, Code::InvalidReceiptHandle),
        ("normal", handle, 43_200, Code::Ok),
    ] {
        let answer = change(&mut world, topic, handle, seconds).await;
        assert_eq!(answer.status.unwrap().code(), expected, "{topic:?} {seconds} s");
    }
    assert_eq!(bury(&mut world, "a b", handle).await, Code::IllegalTopic);
    assert_eq!(bury(&mut world, "normal", "nonsense").await, Code::InvalidReceiptHandle);
}

/// Spec B.12; B.23: the old handle still acknowledges.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_gives_a_new_handle_and_zero_brings_the_message_back_at_once() {
    let mut world = world().await;
    let handles = handles(&mut world, 2).await;
    let changed = change(&mut world, "normal", &handles[0], 60).await;
    assert_eq!(changed.status.unwrap().code(), Code::Ok);
    assert!(!changed.receipt_handle.is_empty() && changed.receipt_handle != handles[0]);
    assert_eq!(code(&ack(&mut world, "normal", "g", &[&handles[0]]).await), Code::Ok);
    assert_eq!(code(&ack(&mut world, "normal", "g", &[&changed.receipt_handle]).await), Code::Ok);

    let back = change(&mut world, "normal", &handles[1], 0).await;
    assert_eq!(back.status.unwrap().code(), Code::Ok);
    let again = world.receive(receive("g", "normal")).await;
    let [message] = &again.messages[..] else { panic!("the message comes again: {}", again.text) };
    assert_eq!(message.system_properties.as_ref().unwrap().delivery_attempt(), 2);
    let stale = ack(&mut world, "normal", "g", &[&handles[1]]).await;
    assert_eq!(code(&stale), Code::InvalidReceiptHandle, "of an earlier delivery");
}

/// Spec B.13.
#[tokio::test(flavor = "multi_thread")]
async fn a_buried_message_is_in_the_groups_dead_letter_topic_and_nowhere_else() {
    let mut world = world().await;
    let handle = handles(&mut world, 1).await.remove(0);
    assert_eq!(bury(&mut world, "normal", &handle).await, Code::Ok);
    let dead = world.receive(receive("undertaker", "%DLQ%g")).await;
    let [message] = &dead.messages[..] else { panic!("one dead letter: {}", dead.text) };
    assert_eq!(message.body, "id-0");
    assert_eq!(message.topic.as_ref().unwrap().name, "%DLQ%g");
    assert_eq!(message.system_properties.as_ref().unwrap().message_id, "id-0");
    let gone = world.receive_by(receive("g", "normal"), std::time::Duration::from_secs(6)).await;
    assert_eq!(gone.code, Code::MessageNotFound);
}

//! How far groups are, and moving them.

use crate::world::{Client, Reply, World, brokers, put_group, receive, send};
use protocol::remoting::body::{ConsumeStats, ResetOffset};
use protocol::remoting::{Frame, RequestCode, ResponseCode};

async fn stats(client: &mut Client, fields: &[(&str, &str)]) -> ConsumeStats {
    let reply = client.ask(RequestCode::GET_CONSUME_STATS, fields, "").await;
    ConsumeStats::decode(&reply.expect_success().body).unwrap()
}

/// What `resetOffsetByTime` sends; `fields` take the place of those of the same name.
async fn reset(client: &mut Client, topic: &str, fields: &[(&str, &str)]) -> Frame {
    let mut all = vec![
        ("topic", topic),
        ("group", "Billing"),
        ("timestamp", "0"),
        ("isForce", "true"),
        ("queueId", "-1"),
        ("offset", "-1"),
    ];
    all.extend_from_slice(fields);
    client.ask(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &all, "").await
}

fn sums(stats: &ConsumeStats) -> (i64, i64, i64) {
    stats.offset_table.iter().fold((0, 0, 0), |(end, committed, next), (_, it)| {
        (end + it.broker_offset, committed + it.consumer_offset, next + it.pull_offset)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_has_a_row_for_each_queue_whichever_broker_is_meant() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    world.topic("Invoices", 8).await;
    send(&world, "Orders", 16).await;
    receive(&world, "Orders", "Billing", 10, 10).await;
    let mut client = world.broker().await;
    let group = ("consumerGroup", "Billing");
    for _ in brokers() {
        let stats = stats(&mut client, &[group]).await;
        assert_eq!(stats.offset_table.len(), 8);
        assert_eq!(sums(&stats), (16, 10, 10));
        for (queue, it) in &stats.offset_table {
            assert_eq!(queue.topic, "Orders");
            assert_eq!(it.last_timestamp > 0, it.consumer_offset > 0, "{queue:?}");
        }
        assert!(stats.consume_tps.is_finite());
    }
    // Whoever names a topic sees it, even one that the group never received from.
    let named = stats(&mut client, &[group, ("topic", "Invoices")]).await;
    assert_eq!((named.offset_table.len(), sums(&named)), (8, (0, 0, 0)));
    let listed = stats(&mut client, &[group, ("topicList", "Invoices;Missing;Orders")]).await;
    assert_eq!((listed.offset_table.len(), sums(&listed)), (16, (16, 10, 10)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_flight_are_between_the_two_offsets() {
    let world = World::start().await;
    world.topic("Orders", 4).await;
    send(&world, "Orders", 4).await;
    receive(&world, "Orders", "Billing", 3, 0).await;
    let stats = stats(&mut world.broker().await, &[("consumerGroup", "Billing")]).await;
    assert_eq!(sums(&stats), (4, 0, 3));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_nobody_is_empty() {
    let world = World::start().await;
    put_group(&world, r#"{"groupName":"Idle"}"#).await.expect_success();
    let mut client = world.broker().await;
    for fields in [
        &[("consumerGroup", "Nobody")][..],
        &[("consumerGroup", "Idle")],
        &[("consumerGroup", "Idle"), ("topic", "Missing")],
    ] {
        assert_eq!(stats(&mut client, fields).await, ConsumeStats::default(), "{fields:?}");
    }
    let (code, _) = client.ask(RequestCode::GET_CONSUME_STATS, &[], "").await.refused();
    assert_eq!(code, ResponseCode::SYSTEM_ERROR);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_moved_once_for_all_brokers() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 16).await;
    receive(&world, "Orders", "Billing", 16, 16).await;
    let mut client = world.broker().await;
    for (at, _) in brokers().into_iter().enumerate() {
        let reply = reset(&mut client, "Orders", &[]).await.expect_success();
        let places = ResetOffset::decode(&reply.body).unwrap().offset_table;
        assert_eq!(places.len(), 8);
        assert!(places.iter().all(|(_, offset)| *offset == 0));
        if at == 0 {
            // What is received between the requests of one round is not moved back.
            receive(&world, "Orders", "Billing", 5, 5).await;
        }
    }
    let group = [("consumerGroup", "Billing")];
    assert_eq!(sums(&stats(&mut client, &group).await), (16, 5, 5));
    // The next round moves it again; forwards to the end, too.
    reset(&mut client, "Orders", &[]).await.expect_success();
    assert_eq!(sums(&stats(&mut client, &group).await), (16, 0, 0));
    reset(&mut client, "Orders", &[("timestamp", "-1")]).await.expect_success();
    assert_eq!(sums(&stats(&mut client, &group).await), (16, 16, 16));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_queue_is_moved_to_an_offset() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 16).await;
    receive(&world, "Orders", "Billing", 16, 16).await;
    let mut client = world.broker().await;
    let on = [("queueId", "1"), ("bname", "strata-0002"), ("offset", "1")];
    let reply = reset(&mut client, "Orders", &on).await.expect_success();
    let places = ResetOffset::decode(&reply.body).unwrap().offset_table;
    let [(queue, 1)] = &places[..] else { panic!("{places:?}") };
    assert_eq!((&*queue.broker_name, queue.queue_id), ("strata-0002", 1));
    assert_eq!(sums(&stats(&mut client, &[("consumerGroup", "Billing")]).await), (16, 15, 15));
    let beyond = [("queueId", "1"), ("bname", "strata-0002"), ("offset", "3")];
    let remark = "Target offset 3 not in consume queue range [0-2]".to_owned();
    let refused = reset(&mut client, "Orders", &beyond).await.refused();
    assert_eq!(refused, (ResponseCode::SYSTEM_ERROR, remark));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_reset_is_refused_with_apaches_code() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    put_group(&world, r#"{"groupName":"Billing"}"#).await.expect_success();
    let mut client = world.broker().await;
    let topic = (ResponseCode::TOPIC_NOT_EXIST, "Topic Missing does not exist".to_owned());
    assert_eq!(reset(&mut client, "Missing", &[]).await.refused(), topic);
    let nobody = reset(&mut client, "Orders", &[("group", "Nobody")]).await.refused();
    let group = ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST;
    assert_eq!(nobody, (group, "Group Nobody does not exist".to_owned()));
    for (fields, code, remark) in [
        (&[("timestamp", "soon")][..], ResponseCode::SYSTEM_ERROR, "timestamp"),
        (&[("queueId", "x")], ResponseCode::SYSTEM_ERROR, "queueId"),
        (&[("queueId", "2")], ResponseCode::INVALID_PARAMETER, "has no queue 2"),
        (&[("queueId", "1")], ResponseCode::INVALID_PARAMETER, "stratamq group reset"),
    ] {
        let (got, said) = reset(&mut client, "Orders", fields).await.refused();
        assert_eq!(got, code, "{fields:?}: {said}");
        assert!(said.contains(remark), "{fields:?}: {said}");
    }
    world.stop().await;
}

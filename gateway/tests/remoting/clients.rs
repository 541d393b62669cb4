//! Classic clients that come and go, and what tools are told of them.

use crate::world::{Reply, SOON, World, brokers, put_group};
use protocol::remoting::RequestCode;
use protocol::remoting::body::GroupList;

const HEARTBEAT: &str = r#"{"clientID":"10.0.0.1@1234","consumerDataSet":[{
    "consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY",
    "groupName":"Billing","messageModel":"CLUSTERING","subscriptionDataSet":[{
        "classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*",
        "subVersion":1700000000000,"tagsSet":[],"topic":"Orders"}],"unitMode":false}],
    "heartbeatFingerprint":0,"producerDataSet":[{"groupName":"Shop"}],"withoutSub":false}"#;

async fn groups_of(world: &World, topic: &str) -> Vec<String> {
    let code = RequestCode::QUERY_TOPIC_CONSUME_BY_WHO;
    let list: GroupList = world.broker().await.of_topic(code, topic).await;
    list.group_list
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_makes_the_client_a_member_until_it_leaves() {
    let world = World::start().await;
    world.topic("Orders", 4).await;
    let mut client = world.broker().await;
    for _ in brokers() {
        client.ask(RequestCode::HEART_BEAT, &[], HEARTBEAT).await.expect_success();
    }
    assert_eq!(groups_of(&world, "Orders").await, ["Billing"]);
    assert!(world.gateway.broker().catalog.group("Billing").is_some());
    assert_eq!(groups_of(&world, "Missing").await, [""; 0]);

    let leaves = |group| [("clientID", "10.0.0.1@1234"), group];
    let code = RequestCode::UNREGISTER_CLIENT;
    client.ask(code, &leaves(("producerGroup", "Shop")), "").await.expect_success();
    assert_eq!(groups_of(&world, "Orders").await, ["Billing"]);
    client.ask(code, &leaves(("consumerGroup", "Billing")), "").await.expect_success();
    assert_eq!(groups_of(&world, "Orders").await, [""; 0]);
    client.ask(code, &leaves(("consumerGroup", "Billing")), "").await.expect_success();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_gone_with_its_connection() {
    let world = World::start().await;
    let mut client = world.broker().await;
    client.ask(RequestCode::HEART_BEAT, &[], HEARTBEAT).await.expect_success();
    assert_eq!(groups_of(&world, "Orders").await, ["Billing"]);
    drop(client);
    let gone = async {
        while !groups_of(&world, "Orders").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the client is forgotten");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_to_be_only_where_the_operator_allows_it() {
    let world = World::start_with(|settings| settings.auto_create_groups = false).await;
    let mut client = world.broker().await;
    client.ask(RequestCode::HEART_BEAT, &[], HEARTBEAT).await.expect_success();
    assert!(world.gateway.broker().catalog.groups().is_empty());
    assert_eq!(groups_of(&world, "Orders").await, [""; 0]);
    put_group(&world, r#"{"groupName":"Billing"}"#).await.expect_success();
    client.ask(RequestCode::HEART_BEAT, &[], HEARTBEAT).await.expect_success();
    assert_eq!(groups_of(&world, "Orders").await, ["Billing"]);
    world.stop().await;
}

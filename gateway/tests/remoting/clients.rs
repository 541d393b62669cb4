//! Classic clients that come and go, and what tools are told of them.

use crate::world::{Reply, SOON, World, brokers, put_group, receive, send};
use gateway::group::{ClientId, Front, Kind, Registration, Role};
use protocol::names::TopicName;
use protocol::remoting::body::{
    Connection, ConsumeStats, ConsumeType, ConsumerConnection, GroupList, ProducerConnection,
};
use protocol::remoting::{RequestCode, ResponseCode, VERSION};
use std::collections::BTreeSet;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_consumers_are_shown_with_what_they_subscribe_to() {
    let world = World::start().await;
    let mut client = world.broker().await;
    let tags = HEARTBEAT.replace(r#""subString":"*""#, r#""subString":"Aa || green""#);
    client.ask(RequestCode::HEART_BEAT, &[], &tags).await.expect_success();
    let code = RequestCode::GET_CONSUMER_CONNECTION_LIST;
    let ask = [("consumerGroup", "Billing")];
    let shown: ConsumerConnection = world.broker().await.ask(code, &ask, "").await.body_as();
    let [connection] = &shown.connection_set[..] else { panic!("{shown:?}") };
    assert_eq!((&*connection.client_id, &*connection.language), ("10.0.0.1@1234", "JAVA"));
    assert_eq!(connection.version, VERSION);
    assert_eq!(connection.client_addr, client.stream.local_addr().unwrap().to_string());
    assert_eq!(shown.consume_type, ConsumeType::Passively);
    assert_eq!(shown.consume_from_where, "CONSUME_FROM_LAST_OFFSET");
    let subscription = &shown.subscription_table["Orders"];
    assert_eq!(subscription.sub_string, "Aa || green");
    assert_eq!(subscription.tags_set, ["Aa", "green"]);
    assert_eq!(subscription.code_set, [2112, 98_619_139]);
    for group in ["Nobody", "bad group"] {
        let reply = client.ask(code, &[("consumerGroup", group)], "").await;
        let remark = format!("the consumer group[{group}] not online");
        assert_eq!(reply.refused(), (ResponseCode::CONSUMER_NOT_ONLINE, remark));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_are_shown_by_their_group_or_their_topic() {
    let world = World::start().await;
    let mut client = world.broker().await;
    client.ask(RequestCode::HEART_BEAT, &[], HEARTBEAT).await.expect_success();
    // A gRPC client has no producer group.
    let topics = BTreeSet::from([TopicName::parse("Orders").unwrap()]);
    let registration = Registration {
        front: Front::Grpc,
        kind: Kind::Producer,
        roles: vec![Role::Producer { group: None, topics }],
        address: "192.0.2.1:5".parse().unwrap(),
        language: "GO".to_owned(),
        version: "5.1.3".to_owned(),
        request_timeout: SOON,
    };
    let clients = &world.gateway.broker().clients;
    clients.put_settings(&ClientId::parse("go@1").unwrap(), registration).unwrap();

    let code = RequestCode::GET_PRODUCER_CONNECTION_LIST;
    let mut of = async |group| -> Vec<Connection> {
        let reply = client.ask(code, &[("producerGroup", group)], "").await;
        reply.body_as::<ProducerConnection>().connection_set
    };
    assert_eq!(of("Shop").await[0].client_id, "10.0.0.1@1234");
    let go = Connection {
        client_addr: "192.0.2.1:5".to_owned(),
        client_id: "go@1".to_owned(),
        language: "GO".to_owned(),
        version: 439,
    };
    assert_eq!(of("Orders").await, [go]);
    let nobody = client.ask(code, &[("producerGroup", "Nobody")], "").await.refused();
    let remark = "the producer group[Nobody] not exist".to_owned();
    assert_eq!(nobody, (ResponseCode::SYSTEM_ERROR, remark));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_leaves_out_topics_that_no_member_subscribes_to() {
    let world = World::start().await;
    for topic in ["Orders", "Invoices"] {
        world.topic(topic, 4).await;
        send(&world, topic, 4).await;
        receive(&world, topic, "Billing", 4, 4).await;
    }
    let mut client = world.broker().await;
    let code = RequestCode::GET_CONSUME_STATS;
    let mut topics = async || {
        let reply = client.ask(code, &[("consumerGroup", "Billing")], "").await.expect_success();
        let table = ConsumeStats::decode(&reply.body).unwrap().offset_table;
        table.into_iter().map(|(queue, _)| queue.topic).collect::<BTreeSet<_>>()
    };
    assert_eq!(topics().await, BTreeSet::from(["Invoices".to_owned(), "Orders".to_owned()]));
    let mut member = world.broker().await;
    member.ask(RequestCode::HEART_BEAT, &[], HEARTBEAT).await.expect_success();
    assert_eq!(topics().await, BTreeSet::from(["Orders".to_owned()]));
    world.stop().await;
}

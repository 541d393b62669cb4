//! Topics: made, changed, deleted, listed.

use crate::world::{Reply, World, brokers, put_group, send};
use metadata::model::{Retention, TopicKind};
use protocol::remoting::body::{TopicConfig, TopicConfigTable, TopicList, TopicRouteData};
use protocol::remoting::{RequestCode, ResponseCode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn creating_a_topic_once_per_broker_creates_it_once() {
    let world = World::start().await;
    let mut client = world.broker().await;
    for _ in brokers() {
        client
            .put_topic("Orders", 10, &[("attributes", "+message.type=FIFO")])
            .await
            .expect_success();
    }
    let config: TopicConfig = client.of_topic(RequestCode::GET_TOPIC_CONFIG, "Orders").await;
    assert_eq!((config.read_queue_nums, config.write_queue_nums, config.perm), (10, 10, 6));
    assert_eq!(config.attributes.get("message.type").map(String::as_str), Some("FIFO"));
    let topic = world.gateway.broker().catalog.topic("Orders").unwrap();
    assert_eq!((topic.kind, topic.queues().len()), (TopicKind::Fifo, 10));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_grow_and_do_not_shrink() {
    let world = World::start().await;
    let mut client = world.broker().await;
    client.put_topic("Orders", 8, &[]).await.expect_success();
    client.put_topic("Orders", 8, &[("writeQueueNums", "16")]).await.expect_success();
    let config: TopicConfig = client.of_topic(RequestCode::GET_TOPIC_CONFIG, "Orders").await;
    assert_eq!((config.read_queue_nums, config.write_queue_nums), (16, 16));
    let (code, remark) = client.put_topic("Orders", 9, &[]).await.refused();
    assert_eq!(code, ResponseCode::INVALID_PARAMETER);
    assert!(remark.contains("16"), "{remark}");
    for queues in ["0", "-1", "70000", "99999999999"] {
        let fields = [("readQueueNums", queues), ("writeQueueNums", queues)];
        let (code, _) = client.put_topic("Orders", 8, &fields).await.refused();
        assert_eq!(code, ResponseCode::INVALID_PARAMETER, "{queues}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_topic_perm_leaves_the_queues_as_they_are() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    // mqadmin updateTopicPerm sends back the numbers of the route's first broker.
    world.broker().await.put_topic("Orders", 2, &[("perm", "4")]).await.expect_success();
    let route: TopicRouteData = world.nameserver().await.route("Orders").await.body_as();
    for queues in route.queue_datas {
        assert_eq!((queues.perm, queues.read_queue_nums), (4, 2));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_topic_request_is_refused_with_apaches_code() {
    let world = World::start().await;
    let mut client = world.broker().await;
    let long = "x".repeat(128);
    for (name, field, code, remark) in [
        ("bad.name", ("perm", "6"), ResponseCode::INVALID_PARAMETER, "illegal characters"),
        (" ", ("perm", "6"), ResponseCode::INVALID_PARAMETER, "blank"),
        (&long, ("perm", "6"), ResponseCode::INVALID_PARAMETER, "128"),
        ("TBW102", ("perm", "6"), ResponseCode::INVALID_PARAMETER, "conflict with system topic"),
        ("strata-0001", ("perm", "6"), ResponseCode::INVALID_PARAMETER, "system topic"),
        ("%DLQ%nobody", ("perm", "6"), ResponseCode::INVALID_PARAMETER, "belongs to its group"),
        ("Orders", ("perm", "8"), ResponseCode::INVALID_PARAMETER, "perm 8"),
        ("Orders", ("perm", "x"), ResponseCode::SYSTEM_ERROR, "perm"),
        (
            "Orders",
            ("attributes", "+colour=red"),
            ResponseCode::SYSTEM_ERROR,
            "unsupported key: colour",
        ),
        ("Orders", ("attributes", "message.type=FIFO"), ResponseCode::SYSTEM_ERROR, "message.type"),
        ("Orders", ("attributes", "+message.type=ODD"), ResponseCode::SYSTEM_ERROR, "ODD"),
    ] {
        let (got, said) = client.put_topic(name, 8, &[field]).await.refused();
        assert_eq!(got, code, "{name} {field:?}: {said}");
        assert!(said.contains(remark), "{name} {field:?}: {said}");
    }
    let (code, remark) = client.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &[], "").await.refused();
    assert_eq!((code, &*remark), (ResponseCode::SYSTEM_ERROR, "the custom field <topic> is null"));
    assert!(world.gateway.broker().catalog.topics().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_list_has_created_implied_and_system_topics() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    put_group(&world, r#"{"groupName":"Billing"}"#).await.expect_success();
    let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    let mut client = world.nameserver().await;
    let list: TopicList = client.ask(code, &[], "").await.body_as();
    let list: BTreeSet<String> = list.topic_list.into_iter().collect();
    for topic in
        ["Orders", "%RETRY%Billing", "%DLQ%Billing", "DefaultCluster", "strata-0000", "TBW102"]
    {
        assert!(list.contains(topic), "{topic}");
    }
    // Whatever is listed has a route, a configuration and stats.
    let mut broker = world.broker().await;
    for topic in list {
        let route: TopicRouteData = client.route(&topic).await.body_as();
        let config: TopicConfig = broker.of_topic(RequestCode::GET_TOPIC_CONFIG, &topic).await;
        let queues: u32 = route.queue_datas.iter().map(|queues| queues.read_queue_nums).sum();
        assert_eq!(config.read_queue_nums, queues, "{topic}");
        let table = broker.stats(&topic).await;
        assert_eq!(table.offset_table.len(), queues as usize, "{topic}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_gone_and_may_be_made_anew() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 3).await;
    let (mut broker, mut nameserver) = (world.broker().await, world.nameserver().await);
    let topic = [("topic", "Orders")];
    // mqadmin deletes in the broker, then in the name server.
    broker.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &topic, "").await.expect_success();
    let cluster = [("topic", "Orders"), ("clusterName", "DefaultCluster")];
    nameserver.ask(RequestCode::DELETE_TOPIC_IN_NAMESRV, &cluster, "").await.expect_success();
    assert_eq!(nameserver.route("Orders").await.refused().0, ResponseCode::TOPIC_NOT_EXIST);
    assert!(world.gateway.broker().catalog.topic("Orders").is_none());

    broker.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &topic, "").await.expect_success();
    world.topic("Orders", 8).await;
    let table = broker.stats("Orders").await;
    assert!(table.offset_table.iter().all(|(_, offset)| offset.max_offset == 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_an_operators_is_not_deleted() {
    let world = World::start().await;
    put_group(&world, r#"{"groupName":"Billing"}"#).await.expect_success();
    let mut client = world.broker().await;
    for (name, code, remark) in [
        ("TBW102", ResponseCode::INVALID_PARAMETER, "conflict with system topic"),
        ("strata-0001", ResponseCode::INVALID_PARAMETER, "conflict with system topic"),
        ("%DLQ%Billing", ResponseCode::INVALID_PARAMETER, "belongs to its group"),
        ("bad.name", ResponseCode::INVALID_PARAMETER, "illegal characters"),
        ("  ", ResponseCode::INVALID_PARAMETER, "The specified topic is blank."),
    ] {
        let reply = client.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &[("topic", name)], "").await;
        let (got, said) = reply.refused();
        assert_eq!(got, code, "{name}: {said}");
        assert!(said.contains(remark), "{name}: {said}");
    }
    let (code, remark) = client.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &[], "").await.refused();
    assert_eq!((code, &*remark), (ResponseCode::SYSTEM_ERROR, "the custom field <topic> is null"));
    // What belonged to a group went with it.
    let gone = [("topic", "%RETRY%Nobody")];
    client.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &gone, "").await.expect_success();
    let mut nameserver = world.nameserver().await;
    for code in [RequestCode::DELETE_TOPIC_IN_NAMESRV, RequestCode::DELETE_KV_CONFIG] {
        assert_eq!(nameserver.ask(code, &[], "").await.refused().0, ResponseCode::SYSTEM_ERROR);
    }
    let pair = [("namespace", "ORDER_TOPIC_CONFIG"), ("key", "Orders")];
    nameserver.ask(RequestCode::DELETE_KV_CONFIG, &pair, "").await.expect_success();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_settings_come_whole_or_in_pages() {
    let world = World::start().await;
    for name in ["Orders", "Invoices"] {
        world.topic(name, 8).await;
    }
    let mut client = world.broker().await;
    let code = RequestCode::GET_ALL_TOPIC_CONFIG;
    let reply = client.ask(code, &[], "").await;
    let total: usize = reply.ext.get("totalTopicNum").unwrap().parse().unwrap();
    let whole: TopicConfigTable = reply.body_as();
    assert_eq!(whole.topic_config_table.len(), total);
    for name in ["Orders", "Invoices"] {
        let one: TopicConfig = client.of_topic(RequestCode::GET_TOPIC_CONFIG, name).await;
        assert_eq!(whole.topic_config_table[name], one);
    }

    let version = serde_json::to_string(&whole.data_version).unwrap();
    let mut paged = BTreeMap::new();
    let mut had = String::new();
    while paged.len() < total {
        let (from, rows) = (paged.len().to_string(), 5);
        let fields =
            [("topicSeq", &*from), ("maxTopicNum", &*rows.to_string()), ("dataVersion", &*had)];
        let page: TopicConfigTable = client.ask(code, &fields, "").await.body_as();
        assert!((1..=rows).contains(&page.topic_config_table.len()));
        paged.extend(page.topic_config_table);
        had.clone_from(&version);
    }
    assert_eq!(paged, whole.topic_config_table);

    // A change in between: the next page is the first one of the new state.
    world.topic("Addresses", 8).await;
    let fields = [("topicSeq", "7"), ("maxTopicNum", "1"), ("dataVersion", &version)];
    let page: TopicConfigTable = client.ask(code, &fields, "").await.body_as();
    assert_ne!(page.data_version, whole.data_version);
    assert_eq!(page.topic_config_table.keys().collect::<Vec<_>>(), ["Addresses"]);
    for (field, value) in [("topicSeq", "x"), ("maxTopicNum", "-1")] {
        let fields = [("topicSeq", "0"), ("dataVersion", ""), (field, value)];
        let version = serde_json::to_string(&page.data_version).unwrap();
        let fields = fields.map(|(n, v)| if n == "dataVersion" { (n, &*version) } else { (n, v) });
        let (code, _) = client.ask(code, &fields, "").await.refused();
        assert_eq!(code, ResponseCode::SYSTEM_ERROR, "{field}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_listed_by_cluster_and_by_kind() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    let mut nameserver = world.nameserver().await;
    let mut of_cluster = async |cluster: &str| -> Vec<String> {
        let fields = [("cluster", cluster)];
        let reply = nameserver.ask(RequestCode::GET_TOPICS_BY_CLUSTER, &fields, "").await;
        reply.body_as::<TopicList>().topic_list
    };
    let here = of_cluster("DefaultCluster").await;
    assert!(here.contains(&"Orders".to_owned()) && here.contains(&"TBW102".to_owned()));
    assert_eq!(of_cluster("Elsewhere").await, [""; 0]);
    let code = RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_BROKER;
    let system: TopicList = world.broker().await.ask(code, &[], "").await.body_as();
    assert!(system.topic_list.contains(&"TBW102".to_owned()));
    assert!(!system.topic_list.contains(&"Orders".to_owned()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_an_attribute_and_a_lock_needs_a_store_that_locks() {
    let world = World::start().await;
    let mut client = world.broker().await;
    client.put_topic("Orders", 4, &[("attributes", "+retention=30d")]).await.expect_success();
    let config: TopicConfig = client.of_topic(RequestCode::GET_TOPIC_CONFIG, "Orders").await;
    assert_eq!(config.attributes.get("retention").map(String::as_str), Some("30d"));
    let month = Retention::Age(Duration::from_secs(30 * 24 * 3600));
    let catalog = &world.gateway.broker().catalog;
    assert_eq!(catalog.topic("Orders").unwrap().retention(), month);
    client.put_topic("Orders", 4, &[("attributes", "-retention")]).await.expect_success();
    assert_eq!(catalog.topic("Orders").unwrap().retention(), Retention::Forever);
    for (value, code, words) in [
        ("+retention=soon", ResponseCode::SYSTEM_ERROR, "an age such as 3d"),
        ("+retention=locked:1d", ResponseCode::INVALID_PARAMETER, "does not lock objects"),
    ] {
        let (got, said) = client.put_topic("Orders", 4, &[("attributes", value)]).await.refused();
        assert_eq!(got, code, "{value}: {said}");
        assert!(said.contains(words), "{value}: {said}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_topic_is_not_deleted_before_its_messages_may_go() {
    let world = World::start().await;
    world.gateway.broker().catalog.allow_locks();
    let mut client = world.broker().await;
    client.put_topic("Audit", 4, &[("attributes", "+retention=locked:1d")]).await.expect_success();
    send(&world, "Audit", 1).await;
    let topic = [("topic", "Audit")];
    let reply = client.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &topic, "").await;
    let (code, said) = reply.refused();
    assert_eq!(code, ResponseCode::INVALID_PARAMETER, "{said}");
    assert!(said.contains("is locked until "), "{said}");
    let weaker = [("attributes", "+retention=forever")];
    let (code, said) = client.put_topic("Audit", 4, &weaker).await.refused();
    assert_eq!(code, ResponseCode::INVALID_PARAMETER, "{said}");
    world.stop().await;
}

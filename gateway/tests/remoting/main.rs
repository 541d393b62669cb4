//! Each request code of the Remoting front, over real sockets, against a whole gateway.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::BytesMut;
use gateway::Gateway;
use gateway::produce::{MessageKind, Outgoing, QueueKey};
use gateway::settings::{JournalSettings, Listen, Settings};
use metadata::model::{Order, RetryPolicy, TopicKind};
use protocol::remoting::body::{
    ClusterInfo, GroupList, KvTable, TopicConfig, TopicList, TopicRouteData, TopicStatsTable,
};
use protocol::remoting::{self, Encoding, ExtFields, Frame, RequestCode, ResponseCode};
use protocol::stored::{Properties, StoredMessage, SysFlag};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use storage::env::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The deadline of everything that is expected to happen.
const SOON: Duration = Duration::from_secs(20);

struct World {
    gateway: Gateway,
    _data: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        World::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> World {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::embedded(data.path().join("data"));
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        settings.listen = Listen { grpc: any, nameserver: any, broker: any, http: any };
        settings.journal = JournalSettings::of_capacity(128 << 20);
        change(&mut settings);
        let gateway = Gateway::start(settings, Env::system()).await.unwrap();
        World { gateway, _data: data }
    }

    async fn nameserver(&self) -> Client {
        Client::connect(self.gateway.addresses().nameserver).await
    }

    async fn broker(&self) -> Client {
        Client::connect(self.gateway.addresses().broker).await
    }

    fn broker_address(&self) -> String {
        self.gateway.addresses().broker.to_string()
    }

    /// A topic with the given number of queues, made by `updateTopic`.
    async fn topic(&self, name: &str, queues: u32) {
        self.broker().await.put_topic(name, queues, &[]).await.expect_success();
    }

    async fn stop(self) {
        self.gateway.stop().await;
    }
}

struct Client {
    stream: TcpStream,
    input: BytesMut,
    opaque: i32,
    encoding: Encoding,
}

impl Client {
    async fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).await.unwrap();
        Client { stream, input: BytesMut::new(), opaque: 100, encoding: Encoding::Json }
    }

    async fn send(&mut self, code: i32, fields: &[(&str, &str)], body: &str) {
        self.opaque += 1;
        let mut request = Frame::request(code, self.opaque);
        request.ext = fields.iter().copied().collect::<ExtFields>();
        request.body = body.to_owned().into();
        request.encoding = self.encoding;
        self.stream.write_all(&remoting::encode(&request).unwrap()).await.unwrap();
    }

    /// The next frame; `None` when the server closed the connection.
    async fn receive(&mut self) -> Option<Frame> {
        let receive = async {
            loop {
                if let Some(frame) = remoting::decode(&mut self.input).unwrap() {
                    return Some(frame);
                }
                if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        };
        tokio::time::timeout(SOON, receive).await.expect("a frame or the end")
    }

    async fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &str) -> Frame {
        self.send(code, fields, body).await;
        let reply = self.receive().await.expect("a reply");
        assert!(reply.is_response());
        assert_eq!((reply.opaque, reply.encoding), (self.opaque, self.encoding));
        reply
    }

    /// What `updateTopic` sends; `fields` take the place of those of the same name.
    async fn put_topic(&mut self, name: &str, queues: u32, fields: &[(&str, &str)]) -> Frame {
        let queues = queues.to_string();
        let mut all = vec![
            ("topic", name),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", &queues),
            ("writeQueueNums", &queues),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
            ("attributes", ""),
        ];
        all.extend_from_slice(fields);
        self.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &all, "").await
    }

    async fn route(&mut self, topic: &str) -> Frame {
        self.ask(RequestCode::GET_ROUTEINFO_BY_TOPIC, &[("topic", topic)], "").await
    }

    async fn stats(&mut self, topic: &str) -> TopicStatsTable {
        let reply = self.ask(RequestCode::GET_TOPIC_STATS_INFO, &[("topic", topic)], "").await;
        TopicStatsTable::decode(&reply.expect_success().body).unwrap()
    }

    async fn runtime(&mut self) -> BTreeMap<String, String> {
        let reply = self.ask(RequestCode::GET_BROKER_RUNTIME_INFO, &[], "").await;
        reply.body_as::<KvTable>().table
    }

    async fn of_topic<T: DeserializeOwned>(&mut self, code: i32, topic: &str) -> T {
        self.ask(code, &[("topic", topic)], "").await.body_as()
    }
}

trait Reply {
    fn expect_success(self) -> Self;
    fn body_as<T: DeserializeOwned>(self) -> T;
    fn refused(self) -> (i32, String);
}

impl Reply for Frame {
    fn expect_success(self) -> Frame {
        assert_eq!((self.code, &self.remark), (ResponseCode::SUCCESS, &None));
        self
    }

    fn body_as<T: DeserializeOwned>(self) -> T {
        serde_json::from_slice(&self.expect_success().body).unwrap()
    }

    fn refused(self) -> (i32, String) {
        assert!(self.body.is_empty());
        (self.code, self.remark.expect("a refusal says why"))
    }
}

fn brokers() -> Vec<String> {
    (0..4).map(|n| format!("strata-000{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_names_every_broker_at_the_address_that_the_client_reached() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    let route: TopicRouteData = world.nameserver().await.route("Orders").await.body_as();
    let queues: Vec<_> = route
        .queue_datas
        .iter()
        .map(|q| (q.broker_name.clone(), q.read_queue_nums, q.write_queue_nums, q.perm))
        .collect();
    assert_eq!(queues, brokers().into_iter().map(|name| (name, 2, 2, 6)).collect::<Vec<_>>());
    for broker in &route.broker_datas {
        assert_eq!(broker.cluster, "DefaultCluster");
        assert_eq!(broker.broker_addrs.get("0"), Some(&world.broker_address()));
    }
    assert_eq!(route.broker_datas.len(), 4);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_brokers_and_system_topics_have_routes() {
    let world = World::start().await;
    let mut client = world.nameserver().await;
    for (topic, has) in [("DefaultCluster", 4), ("TBW102", 4), ("strata-0003", 1)] {
        let route: TopicRouteData = client.route(topic).await.body_as();
        assert_eq!((route.queue_datas.len(), route.broker_datas.len()), (has, has), "{topic}");
        assert_eq!(route.queue_datas[0].perm, 7, "{topic}");
    }
    for missing in ["Orders", "strata-0004", "bad.name", ""] {
        let (code, remark) = client.route(missing).await.refused();
        assert_eq!(code, ResponseCode::TOPIC_NOT_EXIST);
        assert!(remark.starts_with("No topic route info in name server for the topic: "));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_lists_each_broker_once() {
    let world = World::start().await;
    let reply = world.nameserver().await.ask(RequestCode::GET_BROKER_CLUSTER_INFO, &[], "").await;
    let info: ClusterInfo = reply.body_as();
    assert_eq!(info.cluster_addr_table.get("DefaultCluster"), Some(&brokers()));
    assert_eq!(info.broker_addr_table.keys().cloned().collect::<Vec<_>>(), brokers());
    for broker in info.broker_addr_table.values() {
        assert_eq!(broker.broker_addrs.get("0"), Some(&world.broker_address()));
    }
    world.stop().await;
}

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
async fn stats_have_one_row_for_each_queue_whichever_broker_is_meant() {
    let world = World::start().await;
    world.topic("Orders", 6).await;
    let mut client = world.broker().await;
    let mut merged = BTreeSet::new();
    for _ in brokers() {
        let table = client.stats("Orders").await;
        assert_eq!(table.offset_table.len(), 6);
        for (queue, offset) in table.offset_table {
            assert_eq!((offset.min_offset, offset.max_offset), (0, 0));
            merged.insert(queue);
        }
    }
    assert_eq!(merged.len(), 6);
    let missing = client.ask(RequestCode::GET_TOPIC_STATS_INFO, &[("topic", "Missing")], "").await;
    assert_eq!(
        missing.refused(),
        (ResponseCode::TOPIC_NOT_EXIST, "topic[Missing] not exist".into())
    );
    world.stop().await;
}

/// Sends through the gateway's own door for features.
async fn send(world: &World, topic: &str, messages: usize) {
    let broker = world.gateway.broker();
    let topic = broker.catalog.topic(topic).unwrap();
    for _ in 0..messages {
        let message = StoredMessage {
            queue_id: 0,
            flag: 0,
            queue_offset: 0,
            physical_offset: 0,
            sys_flag: SysFlag::default(),
            born_at: 1,
            born_host: "127.0.0.1:1".parse().unwrap(),
            stored_at: 0,
            store_host: "127.0.0.1:1".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: "12345".into(),
            topic: topic.name.as_str().to_owned(),
            properties: Properties::default(),
        };
        let message = Outgoing {
            message,
            kind: MessageKind::Normal,
            filter: 0,
            durability: None,
            queue_key: QueueKey::RoundRobin,
        };
        broker.produce.send(&topic, vec![message]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_come_once_for_each_broker() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 13).await;
    let mut client = world.broker().await;
    let table = client.stats("Orders").await;
    let offsets = table.offset_table.iter();
    assert_eq!(offsets.map(|(_, offset)| offset.max_offset).sum::<i64>(), 13);
    for (queue, offset) in &table.offset_table {
        assert_eq!(offset.last_update_timestamp > 0, offset.max_offset > 0, "{queue:?}");
    }
    assert!(table.topic_put_tps > 0.0);

    let number = |text: &str| text.parse::<u64>().unwrap();
    let mut sum = 0;
    for _ in brokers() {
        let info = client.runtime().await;
        let own = number(&info["msgPutTotalTodayNow"]);
        let of_queues = table
            .offset_table
            .iter()
            .filter(|(queue, _)| queue.broker_name == info["brokerName"])
            .map(|(_, offset)| offset.max_offset as u64);
        assert_eq!(own, of_queues.sum::<u64>(), "{}", info["brokerName"]);
        assert_eq!(number(&info["putMessageSizeTotal"]), own * 5);
        assert_eq!(number(&info["addressMsgPutTotalTodayNow"]), 13);
        sum += own;
    }
    assert_eq!(sum, 13);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runtime_info_takes_turns_among_the_brokers() {
    let world = World::start().await;
    let mut client = world.broker().await;
    let mut names = Vec::new();
    for _ in brokers() {
        let info = client.runtime().await;
        for (key, like) in [
            ("brokerActive", "true"),
            ("brokerVersionDesc", "V5_5_0"),
            ("msgPutTotalTodayNow", "0"),
            ("msgGetTotalTodayMorning", "0"),
            ("addressBrokers", "4"),
            ("sendThreadPoolQueueSize", "0"),
        ] {
            assert_eq!(info.get(key).map(String::as_str), Some(like), "{key}");
        }
        for (key, numbers) in [
            ("putTps", 3),
            ("getTransferredTps", 3),
            ("commitLogDiskRatio", 1),
            ("earliestMessageTimeStamp", 1),
        ] {
            let text = &info[key];
            let parsed: Result<Vec<f64>, _> = text.split(' ').map(str::parse).collect();
            assert_eq!(parsed.map(|all| all.len()), Ok(numbers), "{key}: {text}");
        }
        names.push(info["brokerName"].clone());
    }
    assert_eq!(names, brokers());
    world.stop().await;
}

async fn put_group(world: &World, body: &str) -> Frame {
    world.broker().await.ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_as_its_configuration_says() {
    let world = World::start().await;
    let plain = r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":false,
        "consumeEnable":true,"consumeFromMinEnable":false,"consumeMessageOrderly":false,
        "consumeTimeoutMinute":15,"groupName":"Billing","groupRetryPolicy":{"type":"CUSTOMIZED"},
        "groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,
        "retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#;
    put_group(&world, plain).await.expect_success();
    let group = || world.gateway.broker().catalog.group("Billing").unwrap();
    let first = group();
    assert_eq!((first.order, first.max_attempts), (Order::Concurrent, 17));
    assert_eq!(first.retry, RetryPolicy::default());

    let exponential = r#"{"groupName":"Billing","consumeMessageOrderly":true,"retryMaxTimes":3,
        "consumeEnable":false,"groupRetryPolicy":{"type":"EXPONENTIAL",
            "exponentialRetryPolicy":{"initial":5000,"max":7200000,"multiplier":2}}}"#;
    put_group(&world, exponential).await.expect_success();
    let second = group();
    assert_eq!((second.order, second.max_attempts), (Order::Fifo, 4));
    assert_eq!((second.consume_enabled, second.uid), (false, first.uid));
    assert_eq!(
        second.retry,
        RetryPolicy::Exponential {
            initial: Duration::from_secs(5),
            max: Duration::from_secs(7200),
            multiplier: 2
        }
    );

    let ladder = r#"{"groupName":"Billing","retryMaxTimes":-1,
        "groupRetryPolicy":{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000,5000]}}}"#;
    put_group(&world, ladder).await.expect_success();
    let third = group();
    assert_eq!(third.max_attempts, 1);
    assert_eq!(third.retry, RetryPolicy::Customized([1, 5].map(Duration::from_secs).to_vec()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_group_request_is_refused_with_apaches_code() {
    let world = World::start().await;
    let long = format!(r#"{{"groupName":"{}"}}"#, "x".repeat(121));
    let steep = r#"{"groupName":"G","groupRetryPolicy":{"type":"EXPONENTIAL",
        "exponentialRetryPolicy":{"initial":9,"max":5,"multiplier":2}}}"#;
    for (body, code) in [
        (r#"{"groupName":"bad group"}"#, ResponseCode::INVALID_PARAMETER),
        (r#"{"groupName":""}"#, ResponseCode::INVALID_PARAMETER),
        (r#"{"groupName":"CID_RMQ_SYS_X"}"#, ResponseCode::INVALID_PARAMETER),
        (&long, ResponseCode::INVALID_PARAMETER),
        (steep, ResponseCode::INVALID_PARAMETER),
        (r#"{"groupName":"G","attributes":{"+colour":"red"}}"#, ResponseCode::SYSTEM_ERROR),
        (r#"{"groupName":"#, ResponseCode::SYSTEM_ERROR),
        ("", ResponseCode::SYSTEM_ERROR),
    ] {
        let (got, said) = put_group(&world, body).await.refused();
        assert_eq!(got, code, "{body}: {said}");
    }
    assert!(world.gateway.broker().catalog.groups().is_empty());
    world.stop().await;
}

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
async fn what_a_port_does_not_serve_is_refused_with_apaches_remark() {
    let world = World::start().await;
    let (mut nameserver, mut broker) = (world.nameserver().await, world.broker().await);
    for code in [RequestCode::SEND_MESSAGE_V2, RequestCode::GET_BROKER_CONFIG, -7, 999_999] {
        let want = (
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            format!(" request type {code} not supported"),
        );
        assert_eq!(nameserver.ask(code, &[], "").await.refused(), want);
        assert_eq!(broker.ask(code, &[], "").await.refused(), want);
    }
    let code = RequestCode::GET_BROKER_RUNTIME_INFO;
    assert_eq!(
        nameserver.ask(code, &[], "").await.refused().0,
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED
    );
    let code = RequestCode::GET_BROKER_CLUSTER_INFO;
    assert_eq!(
        broker.ask(code, &[], "").await.refused().0,
        ResponseCode::REQUEST_CODE_NOT_SUPPORTED
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_request_gets_a_binary_reply() {
    let world = World::start().await;
    let mut client = world.nameserver().await;
    client.encoding = Encoding::Binary;
    let route: TopicRouteData = client.route("DefaultCluster").await.body_as();
    assert_eq!(route.broker_datas.len(), 4);
    assert_eq!(client.route("Missing").await.refused().0, ResponseCode::TOPIC_NOT_EXIST);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_closes_its_connection_and_no_other() {
    let world = World::start().await;
    let mut other = world.broker().await;
    for to in [world.gateway.addresses().nameserver, world.gateway.addresses().broker] {
        for garbage in [
            &b"\x7f\xff\xff\xff\x00"[..],
            b"\x00\x00\x00\x08\x00\x00\x00\x04nope",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let mut client = Client::connect(to).await;
            client.stream.write_all(garbage).await.unwrap();
            assert_eq!(client.receive().await, None);
        }
    }
    other.ask(RequestCode::GET_BROKER_RUNTIME_INFO, &[], "").await.expect_success();
    world.stop().await;
}

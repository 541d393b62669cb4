//! A gateway, and a client that speaks to it in frames.

use bytes::BytesMut;
use gateway::Gateway;
use gateway::consume::filter::{Filter, FilterLanguage};
use gateway::consume::{Invisible, Receive};
use gateway::produce::{MessageKind, Outgoing, QueueKey};
use gateway::settings::{JournalSettings, Listen, Settings};
use protocol::names::GroupName;
use protocol::remoting::body::{KvTable, TopicStatsTable};
use protocol::remoting::{self, Encoding, ExtFields, Frame, RequestCode, ResponseCode};
use protocol::stored::{Properties, StoredMessage, SysFlag, property};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use storage::object::Bucket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The deadline of everything that is expected to happen.
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) gateway: Gateway,
    _data: tempfile::TempDir,
}

impl World {
    pub(super) async fn start() -> World {
        World::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Settings)) -> World {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::embedded(data.path().join("data"));
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        settings.listen = Listen { grpc: any, nameserver: any, broker: any, http: any };
        settings.journal = JournalSettings::of_capacity(128 << 20);
        change(&mut settings);
        let bucket = Bucket::in_memory(Env::system());
        let gateway = Gateway::start(settings, bucket, Env::system()).await.unwrap();
        World { gateway, _data: data }
    }

    pub(super) async fn nameserver(&self) -> Client {
        Client::connect(self.gateway.addresses().nameserver).await
    }

    pub(super) async fn broker(&self) -> Client {
        Client::connect(self.gateway.addresses().broker).await
    }

    pub(super) fn broker_address(&self) -> String {
        self.gateway.addresses().broker.to_string()
    }

    /// A topic with the given number of queues, made by `updateTopic`.
    pub(super) async fn topic(&self, name: &str, queues: u32) {
        self.broker().await.put_topic(name, queues, &[]).await.expect_success();
    }

    pub(super) async fn stop(self) {
        self.gateway.stop().await;
    }
}

pub(super) struct Client {
    pub(super) stream: TcpStream,
    input: BytesMut,
    opaque: i32,
    pub(super) encoding: Encoding,
}

impl Client {
    pub(super) async fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).await.unwrap();
        Client { stream, input: BytesMut::new(), opaque: 100, encoding: Encoding::Json }
    }

    pub(super) async fn send(&mut self, code: i32, fields: &[(&str, &str)], body: &str) {
        self.opaque += 1;
        let mut request = Frame::request(code, self.opaque);
        request.ext = fields.iter().copied().collect::<ExtFields>();
        request.body = body.to_owned().into();
        request.encoding = self.encoding;
        self.stream.write_all(&remoting::encode(&request).unwrap()).await.unwrap();
    }

    /// The next frame; `None` when the server closed the connection.
    pub(super) async fn receive(&mut self) -> Option<Frame> {
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

    pub(super) async fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &str) -> Frame {
        self.send(code, fields, body).await;
        let reply = self.receive().await.expect("a reply");
        assert!(reply.is_response());
        assert_eq!((reply.opaque, reply.encoding), (self.opaque, self.encoding));
        reply
    }

    /// What `updateTopic` sends; `fields` take the place of those of the same name.
    pub(super) async fn put_topic(
        &mut self,
        name: &str,
        queues: u32,
        fields: &[(&str, &str)],
    ) -> Frame {
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

    pub(super) async fn route(&mut self, topic: &str) -> Frame {
        self.ask(RequestCode::GET_ROUTEINFO_BY_TOPIC, &[("topic", topic)], "").await
    }

    pub(super) async fn stats(&mut self, topic: &str) -> TopicStatsTable {
        let reply = self.ask(RequestCode::GET_TOPIC_STATS_INFO, &[("topic", topic)], "").await;
        TopicStatsTable::decode(&reply.expect_success().body).unwrap()
    }

    pub(super) async fn runtime(&mut self) -> BTreeMap<String, String> {
        let reply = self.ask(RequestCode::GET_BROKER_RUNTIME_INFO, &[], "").await;
        reply.body_as::<KvTable>().table
    }

    pub(super) async fn of_topic<T: DeserializeOwned>(&mut self, code: i32, topic: &str) -> T {
        self.ask(code, &[("topic", topic)], "").await.body_as()
    }
}

pub(super) trait Reply {
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

pub(super) fn brokers() -> Vec<String> {
    (0..4).map(|n| format!("strata-000{n}")).collect()
}

/// Sends through the gateway's own door for features. The nth message from 0 has the keys
/// `order-n` and `all`, and the unique id `id-n`.
pub(super) async fn send(world: &World, topic: &str, messages: usize) {
    let broker = world.gateway.broker();
    let topic = broker.catalog.topic(topic).unwrap();
    for n in 0..messages {
        let mut properties = Properties::new();
        properties.set(property::KEYS, format!("order-{n} all"));
        properties.set(property::UNIQ_KEY, format!("id-{n}"));
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
            properties,
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

pub(super) async fn put_group(world: &World, body: &str) -> Frame {
    world.broker().await.ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], body).await
}

/// Receives until the group has `count` messages of the topic; acknowledges the first `acked`.
pub(super) async fn receive(world: &World, topic: &str, group: &str, count: usize, acked: usize) {
    let broker = world.gateway.broker();
    let topic = broker.catalog.topic(topic).unwrap();
    let group = broker.catalog.ensure_group(&GroupName::parse(group).unwrap()).await.unwrap();
    let receive = Receive {
        topic: Arc::clone(&topic),
        group: Arc::clone(&group),
        prefer: None,
        filter: Filter::parse(FilterLanguage::Tag, "*").unwrap(),
        max: 1,
        invisible: Invisible::Fixed(Duration::from_secs(600)),
        wait: SOON,
    };
    for at in 0..count {
        let [delivery] = &broker.consume.receive(&receive).await.unwrap()[..] else {
            panic!("message {at} is expected")
        };
        if at < acked {
            let handle = &delivery.receipt_handle;
            broker.consume.ack(&group, &topic, handle).await.unwrap();
        }
    }
}

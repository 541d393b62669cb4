//! `/metrics` of a gateway in this process: what it shows after known traffic, and that the Grafana
//! dashboard asks for nothing else.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use client::{Config, Delivery, Filter, Message, Producer, Receive, SimpleConsumer};
use gateway::Gateway;
use gateway::observe::names::{self, Kind, Metric};
use gateway::settings::{JournalSettings, Listen, Settings};
use metadata::model::TopicSpec;
use protocol::names::TopicName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use storage::env::Env;
use storage::object::{Bucket, StoreUrl};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOPIC: &str = "orders";
const GROUP: &str = "billing";

/// A scrape's samples: value by name and labels, and the kind of each metric by name.
struct Scrape {
    samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Scrape {
    async fn of(http: SocketAddr) -> Scrape {
        let mut stream = TcpStream::connect(http).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        Scrape::parse(body)
    }

    fn parse(text: &str) -> Scrape {
        let mut scrape = Scrape { samples: BTreeMap::new(), kinds: BTreeMap::new() };
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                let before = scrape.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is begun twice");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = sample.split_once('{').unwrap();
                let common = r#"cluster="DefaultCluster",node_type="broker",node_id=""#;
                let (_, own) = labels.strip_prefix(common).unwrap().split_once('"').unwrap();
                let own = own.strip_suffix('}').unwrap().trim_start_matches(',');
                let key = format!("{name}{{{own}}}");
                let before = scrape.samples.insert(key, value.parse().unwrap());
                assert_eq!(before, None, "{sample} is there twice");
            }
        }
        scrape
    }

    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample}: {:#?}", self.samples))
    }

    /// Of all samples of a name together.
    fn sum(&self, name: &str) -> f64 {
        let of = |sample: &&String| sample.split('{').next() == Some(name);
        self.samples.iter().filter(|(sample, _)| of(sample)).map(|(_, value)| value).sum()
    }
}

/// On the disk that is built on.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A gateway on free ports with topic [`TOPIC`].
async fn gateway(folder: &Path) -> Gateway {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings {
        listen: Listen { grpc: free, nameserver: free, broker: free, http: free },
        journal: JournalSettings::of_capacity(128 << 20),
        ..Settings::embedded(folder.to_owned())
    };
    let store = StoreUrl::Folder(folder.join("store"));
    let bucket = Bucket::open(&store, None, Env::system()).unwrap();
    let gateway = Gateway::start(settings, bucket, Env::system()).await.unwrap();
    let topic = TopicSpec::new(TopicName::parse(TOPIC).unwrap());
    gateway.broker().catalog.create_topic(topic).await.unwrap();
    gateway
}

fn config(gateway: &Gateway) -> Config {
    Config::new(gateway.addresses().grpc.to_string().parse().unwrap())
}

async fn receive(consumer: &SimpleConsumer, count: usize) -> Vec<Delivery> {
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(consumer.receive(Receive::default()).await.unwrap());
    }
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passed_through_is_shown() {
    let folder = folder();
    let gateway = gateway(folder.path()).await;
    let http = gateway.addresses().http;
    let producer = Producer::start(config(&gateway), [TOPIC]).await.unwrap();
    for _ in 0..9 {
        producer.send(Message::new(TOPIC, "0123456789")).await.unwrap();
    }
    producer.send(Message::new(TOPIC, "x".repeat(5_000))).await.unwrap();
    let consumer = SimpleConsumer::start(config(&gateway), GROUP, [(TOPIC, Filter::all())]);
    let consumer = consumer.await.unwrap();
    let received = receive(&consumer, 10).await;
    for delivery in &received[..7] {
        consumer.ack(delivery).await.unwrap();
    }
    let broker = gateway.broker();
    let (topic, group) =
        (broker.catalog.topic(TOPIC).unwrap(), broker.catalog.group(GROUP).unwrap());
    let handle = received[7].receipt_handle();
    broker.consume.dead_letter(&group, &topic, handle).await.unwrap();
    Producer::start(config(&gateway), ["unknown"]).await.err().unwrap();

    let scrape = Scrape::of(http).await;
    let sent = r#"{topic="orders",message_type="normal",is_system="false"}"#;
    assert_eq!(scrape.value(&format!("rocketmq_messages_in_total{sent}")), 10.0);
    assert_eq!(scrape.value(&format!("rocketmq_throughput_in_total{sent}")), 5_090.0);
    let size = |le: &str| {
        let labels = sent.trim_end_matches('}');
        scrape.value(&format!("rocketmq_message_size_bucket{labels},le=\"{le}\"}}"))
    };
    assert_eq!([size("1024"), size("4096"), size("524288"), size("+Inf")], [9., 9., 10., 10.]);
    let out = r#"{topic="orders",consumer_group="billing",is_system="false",is_retry="false"}"#;
    assert_eq!(scrape.value(&format!("rocketmq_messages_out_total{out}")), 10.0);
    assert_eq!(scrape.value(&format!("rocketmq_throughput_out_total{out}")), 5_090.0);
    let dead = r#"{consumer_group="billing",topic="orders",is_system="false"}"#;
    assert_eq!(scrape.value(&format!("rocketmq_send_to_dlq_messages_total{dead}")), 1.0);
    let lag = r#"{consumer_group="billing",topic="orders",is_retry="false",is_system="false"}"#;
    assert_eq!(scrape.value(&format!("rocketmq_consumer_lag_messages{lag}")), 2.0);
    assert_eq!(scrape.value(&format!("rocketmq_consumer_inflight_messages{lag}")), 2.0);
    assert_eq!(scrape.value(&format!("rocketmq_consumer_ready_messages{lag}")), 0.0);
    assert_eq!(scrape.value(&format!("rocketmq_consumer_queueing_latency{lag}")), 0.0);
    assert_eq!(scrape.value("rocketmq_topic_number{}"), 1.0);
    assert_eq!(scrape.value("rocketmq_consumer_group_number{}"), 1.0);
    assert_eq!(scrape.value("rocketmq_broker_permission{}"), 6.0);
    let request = |code: &str, response: &str, polling: bool| {
        scrape.value(&format!(
            "rocketmq_rpc_latency_count{{protocol_type=\"grpc\",request_code=\"{code}\",\
             response_code=\"{response}\",is_long_polling=\"{polling}\"}}"
        ))
    };
    assert_eq!(request("SendMessage", "OK", false), 10.0);
    assert!(request("QueryRoute", "TOPIC_NOT_FOUND", false) >= 1.0);
    assert!(request("ReceiveMessage", "OK", true) >= 1.0);
    assert_eq!(scrape.sum("rocketmq_producer_connections"), 1.0);
    assert_eq!(scrape.sum("rocketmq_consumer_connections"), 1.0);
    // Pops and acknowledgements are records too, written within a moment.
    let mut scrape = scrape;
    for _ in 0..250 {
        if scrape.value("stratamq_journal_group_records_sum{}") > 10.0 {
            break;
        }
        Env::system().sleep(Duration::from_millis(20)).await;
        scrape = Scrape::of(http).await;
    }
    assert!(scrape.value("stratamq_journal_group_records_sum{}") > 10.0);
    assert!(scrape.value("stratamq_journal_group_size_bytes_sum{}") > 5_090.0);
    assert!(scrape.value("stratamq_journal_sync_seconds_sum{}") > 0.0);
    assert_eq!(scrape.value(r#"stratamq_journal_state{state="open"}"#), 1.0);
    assert!(scrape.value(r#"stratamq_epoch{broker="strata-0000"}"#) >= 1.0);

    producer.close().await;
    consumer.close().await;
    let topic = TopicName::parse(TOPIC).unwrap();
    gateway.broker().catalog.delete_topic(&topic, None).await.unwrap();
    let scrape = Scrape::of(http).await;
    assert_eq!(scrape.sum("rocketmq_messages_in_total"), 0.0);
    assert_eq!(scrape.sum("rocketmq_messages_out_total"), 0.0);
    assert_eq!(scrape.value("rocketmq_topic_number{}"), 0.0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_again_counts_as_a_retry_and_what_waits_as_ready() {
    let folder = folder();
    let gateway = gateway(folder.path()).await;
    let producer = Producer::start(config(&gateway), [TOPIC]).await.unwrap();
    let consumer = SimpleConsumer::start(config(&gateway), GROUP, [(TOPIC, Filter::all())]);
    let consumer = consumer.await.unwrap();
    producer.send(Message::new(TOPIC, "again")).await.unwrap();
    let mut first = receive(&consumer, 1).await.remove(0);
    consumer.change_invisible(&mut first, Duration::ZERO).await.unwrap();
    let again = receive(&consumer, 1).await.remove(0);
    consumer.ack(&again).await.unwrap();
    // The group has a place on every queue that it looked at: all of them.
    for _ in 0..3 {
        producer.send(Message::new(TOPIC, "waits")).await.unwrap();
    }
    let scrape = Scrape::of(gateway.addresses().http).await;
    for (retry, count) in [("false", 1.0), ("true", 1.0)] {
        let labels = format!(
            r#"{{topic="orders",consumer_group="billing",is_system="false",is_retry="{retry}"}}"#
        );
        assert_eq!(scrape.value(&format!("rocketmq_messages_out_total{labels}")), count);
    }
    let lag = r#"{consumer_group="billing",topic="orders",is_retry="false",is_system="false"}"#;
    assert_eq!(scrape.value(&format!("rocketmq_consumer_inflight_messages{lag}")), 0.0);
    let ready = scrape.value(&format!("rocketmq_consumer_ready_messages{lag}"));
    assert_eq!(scrape.value(&format!("rocketmq_consumer_lag_messages{lag}")), ready);
    assert_eq!(ready, 3.0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_there_once_and_the_dashboard_asks_for_no_other() {
    let folder = folder();
    let gateway = gateway(folder.path()).await;
    let scrape = Scrape::of(gateway.addresses().http).await;
    gateway.stop().await;
    let named: BTreeMap<String, String> = names::ALL
        .iter()
        .map(|metric| (metric.name.to_owned(), metric.kind.as_str().to_owned()))
        .collect();
    assert_eq!(scrape.kinds, named);
    let asked = dashboard();
    assert!(asked.len() > 30, "the dashboard asks for {asked:?}");
    let shown: BTreeSet<String> = names::ALL.iter().flat_map(series).collect();
    let missing: Vec<_> = asked.difference(&shown).collect();
    assert!(missing.is_empty(), "the dashboard asks for {missing:?}, which nobody shows");
}

/// The names of a metric's samples.
fn series(metric: &Metric) -> Vec<String> {
    match metric.kind {
        Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
        Kind::Histogram => {
            ["bucket", "sum", "count"].map(|suffix| format!("{}_{suffix}", metric.name)).into()
        }
    }
}

/// The series that the dashboard's queries name.
fn dashboard() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("observability/grafana/stratamq.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    gather_queries(&dashboard, &mut queries);
    let words = queries.iter().flat_map(|query| {
        query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned)
    });
    let ours = ["rocketmq_", "stratamq_", "process_"];
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).collect()
}

fn gather_queries(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if ["expr", "query", "definition"].contains(&name.as_str()) => {
                        queries.push(query.to_owned());
                    }
                    Some(_) | None => gather_queries(value, queries),
                }
            }
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| gather_queries(value, queries));
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

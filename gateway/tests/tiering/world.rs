//! A gateway that seals at once, over a bucket that outlives it.

use gateway::consume::filter::{Filter, FilterLanguage};
use gateway::consume::{Delivery, Invisible, Receive, ReceiveRefused};
use gateway::produce::{MessageKind, Outgoing, QueueKey, SendRefused, Sent};
use gateway::settings::{JournalSettings, Listen, Settings};
use gateway::{Broker, Gateway};
use metadata::model::{Durability, Group, Span, Topic, TopicSpec};
use protocol::names::{GroupName, TopicName};
use protocol::stored::{Properties, StoredMessage, SysFlag, property, tag_hash};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use storage::object::Bucket;

/// The deadline of everything that is expected to happen, also by threads of low priority while the
/// other tests keep all cores busy.
pub(super) const SOON: Duration = Duration::from_secs(240);

pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) bucket: Bucket,
    pub(super) data: tempfile::TempDir,
    env: Env,
    change: fn(&mut Settings),
}

impl World {
    pub(super) async fn start() -> World {
        World::start_over(Bucket::in_memory(Env::system()), |_| {}).await
    }

    pub(super) async fn start_over(bucket: Bucket, change: fn(&mut Settings)) -> World {
        World::start_at(bucket, Env::system(), change).await
    }

    /// With another clock.
    pub(super) async fn start_at(bucket: Bucket, env: Env, change: fn(&mut Settings)) -> World {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let gateway = begin(&data, &bucket, &env, change).await;
        World { gateway, bucket, data, env, change }
    }

    /// The process ends as by a kill -9, and another begins.
    pub(super) async fn killed(self) -> World {
        self.killed_and(|| {}).await
    }

    /// The same with something done between the two.
    pub(super) async fn killed_and(self, between: impl FnOnce()) -> World {
        let World { gateway, bucket, data, env, change } = self;
        gateway.broker().store.abandon().await;
        gateway.stop().await;
        between();
        let gateway = begin(&data, &bucket, &env, change).await;
        World { gateway, bucket, data, env, change }
    }

    pub(super) fn broker(&self) -> &Arc<Broker> {
        self.gateway.broker()
    }

    pub(super) async fn topic(
        &self,
        name: &str,
        change: impl FnOnce(&mut TopicSpec),
    ) -> Arc<Topic> {
        let mut spec = TopicSpec::new(TopicName::parse(name).unwrap());
        change(&mut spec);
        let topic = self.broker().catalog.create_topic(spec).await.unwrap();
        self.broker().owned.open_topic(&topic);
        topic
    }

    /// A topic that was made before.
    pub(super) fn known(&self, name: &str) -> Arc<Topic> {
        self.broker().catalog.topic(name).unwrap()
    }

    /// A clone of all that is visible, once that is in the bucket.
    pub(super) async fn clone_of(&self, source: &Arc<Topic>, name: &str) -> Arc<Topic> {
        self.until_sealed().await;
        let (broker, mut spans) = (self.broker(), BTreeMap::new());
        for queue in source.queues() {
            let bounds = broker.owned.get(queue.pg).unwrap().history.bounds(queue.uid);
            spans.insert(queue.uid, Span { from: bounds.first, to: bounds.visible_end });
        }
        let (name, at) = (TopicName::parse(name).unwrap(), Env::system().now());
        let clone = broker.catalog.clone_topic(source, &name, at, |queue| spans[&queue]).await;
        let clone = clone.unwrap();
        broker.owned.open_topic(&clone);
        // What is stored from here on is later.
        Env::system().sleep(Duration::from_millis(2)).await;
        clone
    }

    pub(super) async fn group(&self, name: &str) -> Arc<Group> {
        self.broker().catalog.ensure_group(&GroupName::parse(name).unwrap()).await.unwrap()
    }

    /// Sends a message with this body, and the key `key-` and its first word.
    pub(super) async fn send(&self, topic: &Arc<Topic>, body: String) -> Sent {
        self.try_send(topic, body, None).await.unwrap()
    }

    /// The same, sealed at once: by a bundle of its own, mostly.
    pub(super) async fn send_sealed(&self, topic: &Arc<Topic>, body: String) -> Sent {
        self.try_send(topic, body, Some(Durability::Object)).await.unwrap()
    }

    pub(super) async fn try_send(
        &self,
        topic: &Arc<Topic>,
        body: String,
        durability: Option<Durability>,
    ) -> Result<Sent, SendRefused> {
        self.try_send_tagged(topic, body, "", durability).await
    }

    /// The same with a tag, where it is not empty.
    pub(super) async fn try_send_tagged(
        &self,
        topic: &Arc<Topic>,
        body: String,
        tag: &str,
        durability: Option<Durability>,
    ) -> Result<Sent, SendRefused> {
        let mut properties = Properties::new();
        let filter = if tag.is_empty() { 0 } else { tag_hash(tag) };
        if !tag.is_empty() {
            properties.set(property::TAGS, tag);
        }
        let word = body.split(' ').next().unwrap();
        properties.set(property::KEYS, format!("key-{word} all"));
        properties.set(property::UNIQ_KEY, format!("id-{word}"));
        let host = "127.0.0.1:1".parse().unwrap();
        let message = StoredMessage {
            queue_id: 0,
            flag: 0,
            queue_offset: 0,
            physical_offset: 0,
            sys_flag: SysFlag::default(),
            born_at: 1,
            born_host: host,
            stored_at: 0,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.into(),
            topic: topic.name.as_str().to_owned(),
            properties,
        };
        let (kind, queue_key) = (MessageKind::Normal, QueueKey::RoundRobin);
        let message = Outgoing { message, kind, filter, durability, queue_key };
        let sent = self.broker().produce.send(topic, vec![message]).await?;
        Ok(sent[0])
    }

    /// Receives and acknowledges until there was nothing for a moment; the bodies' first words.
    pub(super) async fn drain(&self, topic: &Arc<Topic>, group: &Arc<Group>) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            let got = self.receive(topic, group, Duration::from_millis(300)).await;
            if got.is_empty() {
                return words;
            }
            for delivery in got {
                words.push(word(&delivery));
                let handle = &delivery.receipt_handle;
                self.broker().consume.ack(group, topic, handle).await.unwrap();
            }
        }
    }

    pub(super) async fn receive(
        &self,
        topic: &Arc<Topic>,
        group: &Arc<Group>,
        wait: Duration,
    ) -> Vec<Delivery> {
        self.try_receive(topic, group, wait).await.unwrap()
    }

    pub(super) async fn try_receive(
        &self,
        topic: &Arc<Topic>,
        group: &Arc<Group>,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ReceiveRefused> {
        let receive = Receive {
            topic: Arc::clone(topic),
            group: Arc::clone(group),
            prefer: None,
            filter: Filter::parse(FilterLanguage::Tag, "*").unwrap(),
            max: 32,
            invisible: Invisible::Fixed(Duration::from_secs(600)),
            wait,
        };
        self.broker().consume.receive(&receive).await
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, what: &str, mut holds: impl FnMut(&Broker) -> bool) {
        let env = Env::system();
        let end = env.monotonic() + SOON;
        while !holds(self.broker()) {
            assert!(env.monotonic() < end, "{what} does not come");
            env.sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the bucket has everything, and lets the journal go of it.
    pub(super) async fn trimmed(&self) {
        self.until_sealed().await;
        for pg in self.broker().owned.all() {
            pg.log.trim(pg.log.end());
            assert_eq!(pg.log.local_from(), pg.log.end());
        }
    }

    /// Killed and begun again, cold: what the journal finds again it lets go of again.
    pub(super) async fn begun_again(self) -> World {
        let world = self.killed().await;
        world.trimmed().await;
        world
    }

    /// Waits until the bucket has everything that was sent.
    pub(super) async fn until_sealed(&self) {
        self.until("everything in the bucket", |broker| {
            broker.owned.all().all(|pg| pg.log.watermark(storage::Level::Object) == pg.log.end())
        })
        .await;
    }
}

pub(super) fn word(delivery: &Delivery) -> String {
    let body = std::str::from_utf8(&delivery.message.body).unwrap();
    body.split(' ').next().unwrap().to_owned()
}

async fn begin(
    data: &tempfile::TempDir,
    bucket: &Bucket,
    env: &Env,
    change: fn(&mut Settings),
) -> Gateway {
    let mut settings = Settings::embedded(data.path().join("data"));
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    settings.listen = Listen { grpc: any, nameserver: any, broker: any, http: any };
    settings.journal = JournalSettings::of_capacity(128 << 20);
    settings.tiering.bundle_age = Duration::from_millis(50);
    settings.tiering.keep_bytes = 0;
    change(&mut settings);
    Gateway::start(settings, bucket.clone(), env.clone()).await.unwrap()
}

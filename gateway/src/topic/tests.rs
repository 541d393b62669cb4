//! Cloning and deleting whole topics, in a gateway whose clock and bucket the test moves.

use super::clone::{Cloned, clone_topic};
use super::share::{spans, until_tiered};
use super::*;
use crate::consume::Position;
use crate::produce::{MessageKind, Outgoing, QueueKey};
use crate::settings::{JournalSettings, Listen, Settings};
use crate::{Broker, Gateway};
use metadata::CatalogError;
use metadata::model::{Group, Span, Topic, TopicSpec};
use protocol::names::{GroupName, TopicName};
use protocol::stored::{Properties, StoredMessage, SysFlag};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use storage::Level;
use storage::env::{Env, ManualClock, Timestamp};
use storage::format::QueueOffset;
use storage::object::Bucket;
use storage::object::testing::{Faults, Plan};

const DAY: Duration = Duration::from_secs(24 * 3600);

struct World {
    gateway: Gateway,
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    _data: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::embedded(data.path().join("data"));
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        settings.listen = Listen { grpc: any, nameserver: any, broker: any, http: any };
        settings.journal = JournalSettings::of_capacity(128 << 20);
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        // The clock stands still unless it is moved, so nothing may wait for its age.
        settings.tiering.bundle_age = Duration::ZERO;
        let faults = Faults::seeded(1, Env::system());
        let bucket = Bucket::faulty(&faults, Env::system());
        let gateway =
            Gateway::start(settings, bucket, Env::with_clock(clock.clone())).await.unwrap();
        World { gateway, clock, faults, _data: data }
    }

    fn broker(&self) -> &Broker {
        self.gateway.broker()
    }

    /// A topic of one queue.
    async fn topic(&self, name: &str, retention: &str) -> Arc<Topic> {
        let mut spec = TopicSpec { queues: 1, ..TopicSpec::new(named(name)) };
        spec.attributes.insert("retention".into(), retention.into());
        let topic = self.broker().catalog.create_topic(spec).await.unwrap();
        self.broker().owned.open_topic(&topic);
        topic
    }

    async fn send(&self, topic: &Arc<Topic>, messages: usize) {
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
                properties: Properties::new(),
            };
            let message = Outgoing {
                message,
                kind: MessageKind::Normal,
                filter: 0,
                durability: None,
                queue_key: QueueKey::RoundRobin,
            };
            self.broker().produce.send(topic, vec![message]).await.unwrap();
        }
    }

    /// Waits until all that was written is in the bucket.
    async fn tier(&self) {
        for pg in self.broker().owned.all() {
            self.broker().tiering.handle().hurry(pg.id, pg.log.end());
            pg.log.reached(Level::Object, pg.log.end()).await.unwrap();
        }
    }

    async fn clone(&self, order: CloneOrder) -> Result<Cloned, CloneRefused> {
        clone_topic(self.broker(), order).await
    }

    async fn group(&self, name: &str) -> Arc<Group> {
        self.broker().catalog.ensure_group(&GroupName::parse(name).unwrap()).await.unwrap()
    }
}

fn named(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn order(source: &str, name: &str) -> CloneOrder {
    let (source, name) = (named(source), named(name));
    CloneOrder { source, name, at: None, with_offsets: false, dry_run: false }
}

fn ends(cloned: &Cloned) -> Vec<(u64, u64)> {
    cloned.queues.iter().map(|(_, first, end)| (first.0, end.0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_waits_until_what_it_shows_is_in_the_bucket() {
    let world = World::start().await;
    let source = world.topic("orders", "forever").await;
    world.faults.set(Plan { down: true, ..Plan::default() });
    world.send(&source, 3).await;
    let spans = spans(world.broker(), &source, None).await.unwrap();
    let late = until_tiered(world.broker(), &source, &spans, Duration::ZERO).await;
    assert!(matches!(late, Err(CloneRefused::NotTiered { .. })), "{late:?}");
    world.faults.set(Plan::default());
    let (cloned, ()) = tokio::join!(world.clone(order("orders", "copy")), world.tier());
    assert_eq!(ends(&cloned.unwrap()), [(0, 3)]);
    let clone = world.broker().catalog.topic("copy").unwrap();
    let [part] = clone.inherited(clone.queues()[0].uid)[..] else { panic!("one part") };
    let span = Span { from: QueueOffset(0), to: QueueOffset(3) };
    assert_eq!((part.queue, part.span), (source.queues()[0].uid, span));
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_at_a_time_leaves_out_what_was_stored_later() {
    let world = World::start().await;
    let source = world.topic("orders", "forever").await;
    world.send(&source, 2).await;
    let at = world.broker().env.now();
    world.clock.advance(Duration::from_millis(1));
    world.send(&source, 3).await;
    world.tier().await;
    let before = CloneOrder { at: Some(Timestamp(at.0 - 1)), ..order("orders", "before") };
    assert_eq!(ends(&world.clone(before).await.unwrap()), [(0, 0)]);
    let then = CloneOrder { at: Some(at), ..order("orders", "then") };
    assert_eq!(ends(&world.clone(then).await.unwrap()), [(0, 2)]);
    let future = CloneOrder { at: Some(at.plus(DAY)), ..order("orders", "now") };
    let cloned = world.clone(future).await.unwrap();
    assert_eq!((ends(&cloned), cloned.at), (vec![(0, 5)], world.broker().env.now()));
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_nothing_and_repeating_makes_nothing_else() {
    let world = World::start().await;
    let source = world.topic("orders", "forever").await;
    world.send(&source, 2).await;
    let plan = CloneOrder { dry_run: true, ..order("orders", "copy") };
    assert_eq!(ends(&world.clone(plan).await.unwrap()), [(0, 2)]);
    assert!(world.broker().catalog.topic("copy").is_none());
    world.tier().await;
    let first = world.clone(order("orders", "copy")).await.unwrap();
    world.clock.advance(DAY);
    let again = world.clone(order("orders", "copy")).await.unwrap();
    assert_eq!((first.existed, again.existed, first.at == again.at), (false, true, true));
    let other = CloneOrder { at: Some(Timestamp(1)), ..order("orders", "copy") };
    let refused = world.clone(other).await;
    let exists = |refused: &CloneRefused| {
        matches!(refused, CloneRefused::Catalog(CatalogError::TopicExists(_)))
    };
    assert!(refused.as_ref().is_err_and(exists), "{refused:?}");
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_along_where_that_is_asked_for_and_are_not_moved_again() {
    let world = World::start().await;
    let source = world.topic("orders", "forever").await;
    world.send(&source, 4).await;
    let group = world.group("billing").await;
    let consume = &world.broker().consume;
    let to = Position::Offset(QueueOffset(3));
    consume.reset(&group, source.queues(), to).await.unwrap();
    world.tier().await;
    assert!(world.clone(order("orders", "bare")).await.unwrap().groups.is_empty());
    let wanted = CloneOrder { with_offsets: true, ..order("orders", "copy") };
    let cloned = world.clone(wanted.clone()).await.unwrap();
    assert_eq!(cloned.groups, std::slice::from_ref(&group.name));
    let clone = world.broker().catalog.topic("copy").unwrap();
    let began = consume.progress(&group, &clone);
    assert_eq!(began.len(), 1);
    consume.reset(&group, source.queues(), Position::Earliest).await.unwrap();
    assert!(world.clone(wanted).await.unwrap().existed);
    assert_eq!(consume.progress(&group, &clone), began);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_topic_is_deleted_when_its_newest_message_may_go() {
    let world = World::start().await;
    world.broker().catalog.allow_locks();
    let topic = world.topic("audit", "locked:30d").await;
    world.clock.advance(DAY);
    world.send(&topic, 1).await;
    let refused = delete_topic(world.broker(), &topic.name).await.unwrap_err();
    let newest = world.broker().env.now();
    let is_until = |until: Timestamp| until == newest.plus(DAY * 30);
    assert!(matches!(refused, CatalogError::LockedUntil { until, .. } if is_until(until)));
    world.clock.advance(DAY * 30);
    delete_topic(world.broker(), &topic.name).await.unwrap();
    world.gateway.stop().await;
}

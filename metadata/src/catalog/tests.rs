//! The catalog over the embedded store, and over one that loses answers.

mod clones;
mod locks;

use super::*;
use crate::model::{
    AttributeChange, Destination, Durability, GatewayId, GatewayRecord, GroupSpec, Incarnation,
    Job, JobFilter, JobName, JobSpec, JobState, Limits, Member, Order, Owner, Permission, PgRecord,
    QUEUES_MAX, Record, Topic, TopicKind, TopicSpec, key,
};
use crate::nameserver;
use crate::store::redb::{RedbConfig, RedbStore};
use crate::store::{
    Applied, Change, Error, Future, KeyValue, LeaseId, MetadataStore, Range, Revision, Txn,
    TxnOutcome, Watch,
};
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use storage::StoreId;
use storage::env::{Env, ManualClock, Timestamp};
use storage::format::{Lsn, PgId};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    folder: TempDir,
    env: Env,
    clock: Arc<ManualClock>,
    store: RedbStore,
    catalog: Catalog,
}

fn cluster() -> ClusterSpec {
    ClusterSpec { name: "DefaultCluster".into(), pgs: 4 }
}

impl World {
    async fn new() -> World {
        World::with_history(1000).await
    }

    async fn with_history(history: usize) -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let env = Env::with_clock(clock.clone());
        let config = RedbConfig { history, ..RedbConfig::at(folder.path().join("m.redb")) };
        let store = RedbStore::open_with(config, env.clone()).unwrap();
        let catalog =
            Catalog::start(Arc::new(store.clone()), env.clone(), cluster()).await.unwrap();
        World { folder, env, clock, store, catalog }
    }

    async fn reopen(&mut self) {
        self.catalog.close().await;
        self.store = RedbStore::open(&self.folder.path().join("m.redb"), self.env.clone()).unwrap();
        self.catalog = self.other_gateway().await;
    }

    /// Another catalog on the same store.
    async fn other_gateway(&self) -> Catalog {
        Catalog::start(Arc::new(self.store.clone()), self.env.clone(), cluster()).await.unwrap()
    }

    async fn write(&self, key: &str, value: &'static [u8]) {
        let put = Change::Put { key: key.into(), value: value.into(), lease: None };
        self.store.txn(Txn { then: vec![put], ..Txn::default() }).await.unwrap();
    }
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn spec(name: &str, queues: u32) -> TopicSpec {
    TopicSpec { queues, ..TopicSpec::new(topic(name)) }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool, catalog: &Catalog) {
    let mut changed = catalog.changed();
    let wait = async {
        while !holds() {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect(what);
}

#[tokio::test]
async fn a_topic_is_shown_when_its_making_is_answered_and_after_a_restart() {
    let mut world = World::new().await;
    let made = world.catalog.create_topic(spec("orders", 6)).await.unwrap();
    assert_eq!(world.catalog.topic("orders"), Some(made.clone()));
    assert_eq!(made.durability, Durability::Local);
    assert_eq!(made.created, Timestamp(1_000));
    let secret = world.catalog.cluster().secret;
    world.reopen().await;
    assert_eq!(world.catalog.topic("orders"), Some(made));
    assert_eq!(world.catalog.cluster().secret, secret);
    assert_ne!(secret, [0; 32]);
}

#[tokio::test]
async fn making_a_topic_again_is_refused_and_putting_it_again_changes_nothing() {
    let world = World::new().await;
    let made = world.catalog.put_topic(spec("orders", 6)).await.unwrap();
    let error = world.catalog.create_topic(spec("orders", 6)).await.unwrap_err();
    assert!(matches!(error, CatalogError::TopicExists(_)), "{error:?}");
    let before = *world.catalog.changed().borrow();
    assert_eq!(world.catalog.put_topic(spec("orders", 6)).await.unwrap(), made);
    assert_eq!(world.store.range("").await.unwrap().revision, before);
}

#[tokio::test]
async fn a_topic_grows_and_does_not_shrink() {
    let world = World::new().await;
    let small = world.catalog.create_topic(spec("orders", 6)).await.unwrap();
    let large = world.catalog.put_topic(spec("orders", 9)).await.unwrap();
    assert_eq!((large.queues().len(), large.uid_base), (9, small.uid_base));
    let error = world.catalog.put_topic(spec("orders", 8)).await.unwrap_err();
    assert!(matches!(error, CatalogError::Shrink { queues: 9, asked: 8, .. }), "{error:?}");
}

#[tokio::test]
async fn what_cannot_be_a_topic_is_refused() {
    let world = World::new().await;
    for (spec, text) in [
        (spec("orders", 0), "a topic has 1 to 65536 queues, 0 were asked for"),
        (spec("orders", QUEUES_MAX + 1), "a topic has 1 to 65536 queues, 65537 were asked for"),
        (spec("TBW102", 1), "topic TBW102 is a system topic"),
        (spec("DefaultCluster", 1), "topic DefaultCluster is a system topic"),
        (
            spec("%DLQ%billing", 1),
            "topic %DLQ%billing belongs to its group and is not made, changed or deleted by itself",
        ),
    ] {
        assert_eq!(world.catalog.put_topic(spec).await.unwrap_err().to_string(), text);
    }
    assert_eq!(world.catalog.topics(), []);
}

#[tokio::test]
async fn a_change_of_a_topic_leaves_the_rest_as_it_is() {
    let world = World::new().await;
    world.catalog.create_topic(spec("orders", 6)).await.unwrap();
    let change = TopicChange {
        queues: None,
        permission: Some(Permission { read: true, write: false }),
        attributes: AttributeChange::parse_list("+message.type=FIFO,+durability=async").unwrap(),
    };
    let changed = world.catalog.update_topic(&topic("orders"), change.clone()).await.unwrap();
    assert_eq!((changed.kind, changed.durability), (TopicKind::Fifo, Durability::Async));
    assert_eq!((changed.queues().len(), changed.permission.write), (6, false));
    // A durability left open stays.
    let put = world.catalog.put_topic(spec("orders", 6)).await.unwrap();
    assert_eq!(put.durability, Durability::Async);
    let error = world.catalog.update_topic(&topic("other"), change).await.unwrap_err();
    assert_eq!(error.to_string(), "topic other does not exist");
    let unknown = AttributeChange::parse_list("+colour=red").unwrap();
    let change = TopicChange { attributes: unknown, ..TopicChange::default() };
    let error = world.catalog.update_topic(&topic("orders"), change).await.unwrap_err();
    assert!(matches!(error, CatalogError::Attribute(_)), "{error:?}");
}

#[tokio::test]
async fn a_topic_made_again_has_other_uids() {
    let mut world = World::new().await;
    let mut uids = BTreeSet::new();
    for round in 0..4 {
        let made = world.catalog.create_topic(spec("orders", 20)).await.unwrap();
        for queue in made.queues() {
            assert!(uids.insert(queue.uid.0), "round {round}: {} was used", queue.uid);
        }
        let other = world.catalog.ensure_group(&group(&format!("g{round}"))).await.unwrap();
        assert!(uids.insert(other.uid), "round {round}: {} was used", other.uid);
        world.catalog.delete_topic(&made.name, None).await.unwrap();
        assert_eq!(world.catalog.topic("orders"), None);
        if round == 1 {
            world.reopen().await;
        }
    }
    let error = world.catalog.delete_topic(&topic("orders"), None).await.unwrap_err();
    assert!(matches!(error, CatalogError::TopicNotFound(_)), "{error:?}");
}

#[tokio::test]
async fn uids_of_gateways_that_make_topics_side_by_side_do_not_overlap() {
    let world = World::new().await;
    let mut makers = tokio::task::JoinSet::new();
    for gateway in 0..4 {
        let catalog = world.other_gateway().await;
        makers.spawn(async move {
            for n in 0..20 {
                let spec = spec(&format!("t-{gateway}-{n}"), 3);
                catalog.create_topic(spec).await.unwrap();
                catalog.ensure_group(&group(&format!("g-{gateway}-{n}"))).await.unwrap();
            }
        });
    }
    makers.join_all().await;
    until("80 topics", || world.catalog.topics().len() == 80, &world.catalog).await;
    until("80 groups", || world.catalog.groups().len() == 80, &world.catalog).await;
    let mut ranges: Vec<(u64, u64)> = world
        .catalog
        .topics()
        .iter()
        .map(|topic| (topic.uid_base, topic.uid_base + u64::from(QUEUES_MAX)))
        .chain(world.catalog.groups().iter().map(|group| (group.uid, group.uid + 1)))
        .collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
}

#[tokio::test]
async fn of_gateways_that_make_the_same_topic_one_does_and_putting_it_gives_all_the_same() {
    let world = World::new().await;
    for racing_create in [true, false] {
        let name = if racing_create { "created" } else { "put" };
        let mut makers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let catalog = world.other_gateway().await;
            makers.spawn(async move {
                if racing_create {
                    catalog.create_topic(spec(name, 4)).await
                } else {
                    catalog.put_topic(spec(name, 4)).await
                }
            });
        }
        let outcomes = makers.join_all().await;
        let made: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(made.len(), if racing_create { 1 } else { 6 });
        assert!(made.iter().all(|topic| topic.uid_base == made[0].uid_base));
    }
}

#[tokio::test]
async fn a_group_is_made_once_by_first_use_and_changed_by_putting() {
    let world = World::new().await;
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let catalog = world.catalog.clone();
        users.spawn(async move { catalog.ensure_group(&group("billing")).await.unwrap().uid });
    }
    let uids: BTreeSet<u64> = users.join_all().await.into_iter().collect();
    assert_eq!(uids.len(), 1);
    let mut spec = GroupSpec::new(group("billing"));
    spec.order = Order::Fifo;
    spec.max_attempts = 3;
    let changed = world.catalog.put_group(spec.clone()).await.unwrap();
    assert_eq!((changed.order, changed.max_attempts), (Order::Fifo, 3));
    assert!(uids.contains(&changed.uid));
    assert_eq!(world.catalog.ensure_group(&group("billing")).await.unwrap(), changed);
    spec.max_attempts = 0;
    let error = world.catalog.put_group(spec).await.unwrap_err();
    assert!(matches!(error, CatalogError::MaxAttempts(_)), "{error:?}");
    world.catalog.delete_group(&group("billing")).await.unwrap();
    assert_eq!(world.catalog.group("billing"), None);
    let again = world.catalog.ensure_group(&group("billing")).await.unwrap();
    assert!(!uids.contains(&again.uid));
}

#[tokio::test]
async fn a_group_implies_its_dead_letter_and_retry_topics() {
    let world = World::new().await;
    let dead_letter = TopicName::dead_letter_of(&group("billing"));
    let retry = TopicName::retry_of(&group("billing"));
    assert_eq!(nameserver::route(&world.catalog, &dead_letter), None);
    let billing = world.catalog.ensure_group(&group("billing")).await.unwrap();
    for name in [&dead_letter, &retry] {
        let route = nameserver::route(&world.catalog, name).unwrap();
        assert_eq!(route.topic.name, *name);
        assert_eq!(route.brokers.len(), 4);
        for broker in &route.brokers {
            assert_eq!((&*broker.queues, broker.permission), (&[0][..], Permission::READ_WRITE));
        }
    }
    let topic = world.catalog.resolve(&dead_letter).unwrap();
    assert!(topic.queues().iter().all(|queue| queue.uid == billing.dead_letter_queue()));
    assert_eq!(world.catalog.topics(), []);
    world.catalog.delete_group(&group("billing")).await.unwrap();
    assert_eq!(nameserver::route(&world.catalog, &retry), None);
}

#[tokio::test]
async fn a_store_of_another_cluster_is_refused() {
    let world = World::new().await;
    for spec in [
        ClusterSpec { name: "Other".into(), pgs: 4 },
        ClusterSpec { name: "DefaultCluster".into(), pgs: 5 },
    ] {
        let started = Catalog::start(Arc::new(world.store.clone()), world.env.clone(), spec).await;
        assert!(matches!(started, Err(Error::OtherCluster { .. })));
    }
    for pgs in [0, 4097] {
        let spec = ClusterSpec { name: "DefaultCluster".into(), pgs };
        let started = Catalog::start(Arc::new(world.store.clone()), world.env.clone(), spec).await;
        assert!(matches!(started, Err(Error::PlacementGroups(_))));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_make_a_topic_disappear() {
    let world = World::with_history(5).await;
    let made = world.catalog.create_topic(spec("orders", 4)).await.unwrap();
    world.write("topic/orders", b"\x09 a later schema").await;
    world.catalog.create_topic(spec("after", 1)).await.unwrap();
    assert_eq!(world.catalog.topic("orders"), Some(made.clone()));
    // It is not changed either, as nobody here knows what is in it.
    let error = world.catalog.put_topic(spec("orders", 8)).await.unwrap_err();
    let CatalogError::Store(Error::Record { key, .. }) = error else { panic!("{error:?}") };
    assert_eq!(key, "topic/orders");
    // And a gateway that starts says what is wrong.
    let started = Catalog::start(Arc::new(world.store.clone()), world.env.clone(), cluster()).await;
    assert!(matches!(started, Err(Error::Record { .. })));
}

#[tokio::test]
async fn a_catalog_that_fell_behind_lists_anew() {
    let folder = tempfile::tempdir().unwrap();
    let env = Env::with_clock(Arc::new(ManualClock::at(Timestamp(0))));
    let config = RedbConfig { history: 3, ..RedbConfig::at(folder.path().join("m.redb")) };
    let store = RedbStore::open_with(config, env.clone()).unwrap();
    let catalog = Catalog::start(Arc::new(store.clone()), env.clone(), cluster()).await.unwrap();
    let made = catalog.create_topic(spec("orders", 4)).await.unwrap();
    // All at once: they share a commit or two, so the follower never sees most of them in the history.
    let mut puts = tokio::task::JoinSet::new();
    for n in 0..50 {
        let name = format!("t{n}");
        let topic = Topic::create(spec(&name, 1), &catalog.cluster(), 1 << 40, Timestamp(0));
        let put = Change::Put { key: key::topic(&topic.name), value: topic.encode(), lease: None };
        let gone = Change::Delete { key: "topic/orders".into() };
        let then = if n == 49 { vec![put, gone] } else { vec![put] };
        let store = store.clone();
        puts.spawn(async move { store.txn(Txn { then, ..Txn::default() }).await.unwrap() });
    }
    puts.join_all().await;
    until("50 topics", || catalog.topics().len() == 50, &catalog).await;
    assert_eq!(catalog.topic("orders"), None);
    assert_ne!(catalog.topic("t7").map(|topic| topic.uid_base), Some(made.uid_base));
}

#[tokio::test]
async fn an_epoch_is_opened_once() {
    let world = World::new().await;
    let id = PgId::new(2).unwrap();
    let gateway = GatewayId::parse("gw-1").unwrap();
    let owner = |n| Owner { gateway: gateway.clone(), incarnation: Incarnation(n) };
    let own = Member { store: StoreId(5), gateway: gateway.clone(), zone: String::new() };
    assert_eq!(world.catalog.read_pg(id).await.unwrap(), None);
    let first = PgRecord::create(id, owner(1), vec![own.clone()], 1);
    let outcome = world.catalog.open_epoch(id, None, &first).await.unwrap();
    let WriteOutcome::Done(created) = outcome else { panic!("{outcome:?}") };
    assert_eq!(world.catalog.open_epoch(id, None, &first).await.unwrap(), WriteOutcome::Moved);
    assert_eq!(world.catalog.read_pg(id).await.unwrap(), Some((first.clone(), created)));
    let second = first.open(owner(2), vec![own.clone()], 1, Lsn(first.base.0 + 9));
    let third = first.open(owner(3), vec![own], 1, Lsn(first.base.0 + 9));
    let outcome = world.catalog.open_epoch(id, Some(created), &second).await.unwrap();
    let WriteOutcome::Done(opened) = outcome else { panic!("{outcome:?}") };
    let outcome = world.catalog.open_epoch(id, Some(created), &third).await.unwrap();
    assert_eq!(outcome, WriteOutcome::Moved);
    assert_eq!(world.catalog.read_pg(id).await.unwrap(), Some((second.clone(), opened)));
    until("the second epoch", || shows(&world.catalog, id, opened), &world.catalog).await;
    assert_eq!(*world.catalog.pg(id).unwrap().0, second);
}

/// Created records of placement groups 0 to `count`, and the revisions.
async fn created(catalog: &Catalog, count: u32) -> Vec<Commit> {
    let owner = Owner { gateway: GatewayId::parse("gw-1").unwrap(), incarnation: Incarnation(1) };
    let mut commits = Vec::new();
    for pg in (0..count).filter_map(PgId::new) {
        let record = PgRecord::create(pg, owner.clone(), Vec::new(), 1);
        let outcome = catalog.open_epoch(pg, None, &record).await.unwrap();
        let WriteOutcome::Done(seen) = outcome else { panic!("{outcome:?}") };
        let tiered = record.tiered.plus(100);
        commits.push(Commit { pg, seen, record: PgRecord { tiered, ..record } });
    }
    commits
}

#[tokio::test]
async fn commits_are_one_transaction_and_one_that_moved_does_not_hold_the_others_up() {
    let world = World::new().await;
    let mut commits = created(&world.catalog, 3).await;
    let first = world.catalog.commit(&commits).await;
    let revisions: Vec<_> = first.into_iter().map(Result::unwrap).collect();
    assert_eq!(revisions, [revisions[0]; 3]);
    for (commit, revision) in commits.iter_mut().zip(&revisions) {
        commit.seen = *revision;
        commit.record.tiered = commit.record.tiered.plus(1);
    }
    commits[1].seen = commits[1].seen.next();
    let second = world.catalog.commit(&commits).await;
    assert!(matches!(second[1], Err(NotCommitted::Moved(pg)) if pg == commits[1].pg));
    for at in [0, 2] {
        let (record, revision) = world.catalog.read_pg(commits[at].pg).await.unwrap().unwrap();
        assert_eq!((&record, &revision), (&commits[at].record, second[at].as_ref().unwrap()));
    }
    let (record, _) = world.catalog.read_pg(commits[1].pg).await.unwrap().unwrap();
    assert_eq!(record.tiered.plus(1), commits[1].record.tiered);
}

fn shows(catalog: &Catalog, id: PgId, revision: Revision) -> bool {
    catalog.pg(id).is_some_and(|(_, seen)| seen == revision)
}

#[tokio::test]
async fn a_gateway_is_shown_until_it_withdraws_or_its_lease_ends() {
    let world = World::new().await;
    let record = |id: &str| GatewayRecord {
        id: GatewayId::parse(id).unwrap(),
        incarnation: Incarnation(1),
        zone: String::new(),
        addresses: [("grpc".to_owned(), "127.0.0.1:8081".to_owned())].into(),
        started: Timestamp(0),
    };
    let ttl = Duration::from_secs(60);
    let stays = world.catalog.register(record("stays"), ttl).await.unwrap();
    let dies = world.catalog.register(record("dies"), ttl).await.unwrap();
    until("both", || world.catalog.gateways().len() == 2, &world.catalog).await;
    stays.withdraw().await.unwrap();
    until("one", || world.catalog.gateways().len() == 1, &world.catalog).await;
    assert_eq!(world.catalog.gateways()[0].id.as_str(), "dies");
    drop(dies);
    world.clock.advance(ttl * 2);
    world.store.get("wakes the store").await.unwrap();
    until("none", || world.catalog.gateways().is_empty(), &world.catalog).await;
}

#[tokio::test]
async fn a_gateway_whose_lease_ended_registers_again() {
    let world = World::new().await;
    let record = GatewayRecord {
        id: GatewayId::parse("gw").unwrap(),
        incarnation: Incarnation(1),
        zone: String::new(),
        addresses: [].into(),
        started: Timestamp(0),
    };
    let ttl = Duration::from_millis(80);
    let registration = world.catalog.register(record, ttl).await.unwrap();
    let lease = async || world.store.get("gw/gw").await.unwrap().and_then(|pair| pair.lease);
    let first = lease().await;
    assert!(first.is_some());
    world.clock.advance(ttl * 2);
    let mut changed = world.catalog.changed();
    let again = async {
        loop {
            let now = lease().await;
            if now.is_some() && now != first {
                return;
            }
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("registered again");
    registration.withdraw().await.unwrap();
    assert_eq!(lease().await, None);
}

/// A store whose every second transaction ends in an unknown outcome, done or not.
struct Flaky {
    inner: RedbStore,
    asked: AtomicU32,
}

impl Flaky {
    async fn flaky_txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        let lost = || Error::Unavailable {
            applied: Applied::Unknown,
            source: "the answer was lost".into(),
        };
        match self.asked.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => Err(lost()),
            2 => {
                self.inner.txn(txn).await?;
                Err(lost())
            }
            _ => self.inner.txn(txn).await,
        }
    }
}

impl MetadataStore for Flaky {
    fn get<'a>(&'a self, key: &'a str) -> Future<'a, Result<Option<KeyValue>, Error>> {
        self.inner.get(key)
    }
    fn range<'a>(&'a self, prefix: &'a str) -> Future<'a, Result<Range, Error>> {
        self.inner.range(prefix)
    }
    fn txn(&self, txn: Txn) -> Future<'_, Result<TxnOutcome, Error>> {
        Box::pin(self.flaky_txn(txn))
    }
    fn grant(&self, ttl: Duration) -> Future<'_, Result<LeaseId, Error>> {
        self.inner.grant(ttl)
    }
    fn keepalive(&self, lease: LeaseId) -> Future<'_, Result<(), Error>> {
        self.inner.keepalive(lease)
    }
    fn revoke(&self, lease: LeaseId) -> Future<'_, Result<(), Error>> {
        self.inner.revoke(lease)
    }
    fn watch(&self, prefix: &str, from: Revision) -> Box<dyn Watch> {
        self.inner.watch(prefix, from)
    }
    fn close(&self) -> Future<'_, ()> {
        self.inner.close()
    }
}

#[tokio::test]
async fn a_change_of_unknown_outcome_is_settled_by_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let env = Env::system();
    let inner = RedbStore::open(&folder.path().join("m.redb"), env.clone()).unwrap();
    let store = Arc::new(Flaky { inner, asked: AtomicU32::new(0) });
    let catalog = Catalog::start(store, env, cluster()).await.unwrap();
    for round in 0..4 {
        let name = format!("t{round}");
        // The first attempt may have made it: that is not "exists already".
        let made = catalog.create_topic(spec(&name, 4)).await.unwrap();
        assert_eq!(catalog.topic(&name), Some(made));
        let put = catalog.put_topic(spec(&name, 5)).await.unwrap();
        assert_eq!(put.queues().len(), 5);
        catalog.delete_topic(&topic(&name), None).await.unwrap();
        assert_eq!(catalog.topic(&name), None);
    }
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_settled_by_a_read() {
    let world = World::new().await;
    let mut commits = created(&world.catalog, 2).await;
    let flaky = Arc::new(Flaky { inner: world.store.clone(), asked: AtomicU32::new(0) });
    let catalog = Catalog::start(flaky, world.env.clone(), cluster()).await.unwrap();
    for _ in 0..8 {
        let answers = catalog.commit(&commits).await;
        for (commit, answer) in commits.iter_mut().zip(answers) {
            let (record, revision) = world.catalog.read_pg(commit.pg).await.unwrap().unwrap();
            assert_eq!((&record, revision), (&commit.record, answer.unwrap()));
            commit.seen = revision;
            commit.record.tiered = record.tiered.plus(10);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_different_fields_side_by_side_all_hold() {
    let world = World::new().await;
    let other = world.other_gateway().await;
    world.catalog.create_topic(spec("t", 1)).await.unwrap();
    let add = async |catalog: &Catalog| {
        let name = topic("t");
        let more = |found: Option<&Topic>| {
            let mut spec = found.ok_or(CatalogError::TopicNotFound(topic("t")))?.spec();
            spec.queues += 1;
            Ok::<_, CatalogError>(spec)
        };
        catalog.set_topic(&name, more).await.unwrap();
    };
    for _ in 0..5 {
        tokio::join!(add(&world.catalog), add(&other), add(&world.catalog));
    }
    let grown = world.store.get(&key::topic(&topic("t"))).await.unwrap().unwrap();
    assert_eq!(Topic::decode(&grown.value).unwrap().queues().len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_declines_changes_nothing() {
    #[derive(Debug)]
    enum Declined {
        There(u32),
        Catalog,
    }
    impl From<CatalogError> for Declined {
        fn from(_: CatalogError) -> Declined {
            Declined::Catalog
        }
    }
    let world = World::new().await;
    let name = group("g");
    let only_new = |found: Option<&crate::model::Group>| match found {
        Some(group) => Err(Declined::There(group.max_attempts)),
        None => Ok(GroupSpec { max_attempts: 3, ..GroupSpec::new(group("g")) }),
    };
    let made = world.catalog.set_group(&name, only_new).await.unwrap();
    let again = world.catalog.set_group(&name, only_new).await;
    assert!(matches!(again, Err(Declined::There(3))), "{again:?}");
    assert_eq!(world.catalog.group("g"), Some(made));
    let never = |_: Option<&crate::model::Group>| {
        Ok::<_, Declined>(GroupSpec { max_attempts: 0, ..GroupSpec::new(group("g")) })
    };
    let refused = world.catalog.set_group(&name, never).await;
    assert!(matches!(refused, Err(Declined::Catalog)), "{refused:?}");
}

fn job_spec(source: &str) -> JobSpec {
    JobSpec {
        source: topic(source),
        from: Timestamp(0),
        to: Timestamp(500),
        filter: JobFilter::All,
        into: Destination::Topic(topic("copies")),
        limits: Limits::default(),
    }
}

fn runner(incarnation: u64) -> Owner {
    let gateway = GatewayId::parse("gw").unwrap();
    Owner { gateway, incarnation: Incarnation(incarnation) }
}

fn job_name(name: &str) -> JobName {
    JobName::parse(name).unwrap()
}

#[tokio::test]
async fn a_job_is_made_once_under_its_name() {
    let world = World::new().await;
    let catalog = &world.catalog;
    let source = catalog.create_topic(spec("orders", 2)).await.unwrap();
    let (name, wanted) = (job_name("again"), job_spec("orders"));
    let (made, new) = catalog.create_job(&name, &wanted, &source, &runner(1)).await.unwrap();
    assert!(new && made.queues == 2 && made.until == Timestamp(500));
    let again = catalog.create_job(&name, &wanted, &source, &runner(2)).await.unwrap();
    assert_eq!(again, (made.clone(), false));
    let other = JobSpec { filter: JobFilter::Key("k".into()), ..wanted };
    let refused = catalog.create_job(&name, &other, &source, &runner(1)).await.unwrap_err();
    assert!(matches!(refused, CatalogError::JobExists(_)), "{refused}");
    assert_eq!(world.other_gateway().await.jobs(), [made]);
}

#[tokio::test]
async fn a_job_is_changed_by_whoever_decides_on_what_it_is() {
    let world = World::new().await;
    let catalog = &world.catalog;
    let source = catalog.create_topic(spec("orders", 2)).await.unwrap();
    let name = job_name("again");
    catalog.create_job(&name, &job_spec("orders"), &source, &runner(1)).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let paused = |job: &Job| -> Result<Job, CatalogError> {
        Ok(Job { state: JobState::Paused, ..job.clone() })
    };
    let changed = catalog.update_job(&name, paused).await.unwrap();
    assert_eq!((&changed.state, changed.updated), (&JobState::Paused, Timestamp(2_000)));
    let refuse = |_: &Job| Err(CatalogError::TooManyJobs);
    let refused = catalog.update_job(&name, refuse).await.unwrap_err();
    assert!(matches!(refused, CatalogError::TooManyJobs), "{refused}");
    assert_eq!(catalog.job("again").unwrap(), changed);
    let missing = catalog.update_job(&job_name("none"), paused).await.unwrap_err();
    assert!(matches!(missing, CatalogError::JobNotFound(_)), "{missing}");
}

#[tokio::test]
async fn the_oldest_job_that_is_over_makes_room_and_too_many_at_work_are_refused() {
    let world = World::new().await;
    let catalog = &world.catalog;
    let source = catalog.create_topic(spec("orders", 2)).await.unwrap();
    let wanted = job_spec("orders");
    let (first, _) =
        catalog.create_job(&job_name("first"), &wanted, &source, &runner(1)).await.unwrap();
    for number in 0..JOBS_MAX - 1 {
        let name = job_name(&format!("old-{number}"));
        let done = Job { name: name.clone(), state: JobState::Done, ..Job::clone(&first) };
        let put = Change::Put { key: key::job(&name), value: done.encode(), lease: None };
        world.store.txn(Txn { then: vec![put], ..Txn::default() }).await.unwrap();
    }
    until("all are shown", || catalog.jobs().len() == JOBS_MAX, catalog).await;
    for number in 1..JOBS_RUNNING_MAX {
        let name = job_name(&format!("new-{number}"));
        catalog.create_job(&name, &wanted, &source, &runner(1)).await.unwrap();
        assert_eq!(catalog.jobs().len(), JOBS_MAX);
    }
    assert!(catalog.job("first").is_some(), "what is at work is never forgotten");
    let refused = catalog.create_job(&job_name("more"), &wanted, &source, &runner(1)).await;
    assert!(matches!(refused.unwrap_err(), CatalogError::TooManyJobs));
}

#[tokio::test]
async fn queues_for_replays_are_made_once_and_go_with_their_topic_and_group() {
    let world = World::new().await;
    let catalog = &world.catalog;
    let (readers, first) = (group("readers"), catalog.create_topic(spec("a", 2)).await.unwrap());
    let refused = catalog.replay_to_group(&readers, &first).await.unwrap_err();
    assert!(matches!(refused, CatalogError::GroupNotFound(_)), "{refused}");
    catalog.ensure_group(&readers).await.unwrap();
    let made = catalog.replay_to_group(&readers, &first).await.unwrap();
    assert_eq!(made.replayed(&first).len(), 2);
    assert_eq!(catalog.replay_to_group(&readers, &first).await.unwrap(), made);
    catalog.put_group(GroupSpec::new(readers.clone())).await.unwrap();
    assert_eq!(catalog.group("readers").unwrap().replayed(&first), made.replayed(&first));
    let queue = made.replayed(&first)[0].uid;
    assert!(!catalog.is_gone(queue));
    catalog.delete_topic(&first.name, None).await.unwrap();
    assert!(catalog.is_gone(queue));
    let second = catalog.create_topic(spec("a", 2)).await.unwrap();
    let made = catalog.replay_to_group(&readers, &second).await.unwrap();
    assert_eq!((made.replayed(&first).len(), made.replayed(&second).len()), (0, 2));
}

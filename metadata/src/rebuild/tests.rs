//! A cluster whose metadata store is lost at any moment, beside what it had committed by then.

use super::*;
use crate::model::{GatewayId, GroupSpec, Incarnation, Member, Owner, PgRecord, Topic, TopicSpec};
use crate::store::redb::RedbStore;
use crate::store::{MetadataStore, Revision};
use crate::{Catalog, ClusterSpec};
use bytes::Bytes;
use proptest::prelude::*;
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::StoreId;
use storage::env::Env;
use storage::format::object::Properties;
use storage::format::{Epoch, Lsn, PgId};
use storage::object::{Bucket, Name, Purpose, Span};
use storage::tier::manifest::{Change, Delta, Origin, Overlay, Root, RunEntry};
use storage::tier::rebuild::{CopyName, Doubt};
use storage::tier::sample::{BodyIsKey, SampleLog};
use storage::tier::{BundleBuilder, ObjectId, ObjectName};
use tempfile::TempDir;

const PGS: u32 = 3;

fn owner(incarnation: u64) -> Owner {
    let gateway = GatewayId::parse("gw").unwrap();
    Owner { gateway, incarnation: Incarnation(incarnation) }
}

struct World {
    folder: TempDir,
    env: Env,
    bucket: Bucket,
    catalog: Catalog,
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("metadata.redb")
}

async fn catalog_at(path: &Path, env: &Env) -> Catalog {
    let store = Arc::new(RedbStore::open(path, env.clone()).unwrap());
    let spec = ClusterSpec { name: "DefaultCluster".into(), pgs: PGS };
    Catalog::start(store, env.clone(), spec).await.unwrap()
}

impl World {
    async fn new() -> World {
        let (folder, env) = (TempDir::new().unwrap(), Env::system());
        let bucket = Bucket::in_memory(env.clone());
        let catalog = catalog_at(&file(&folder), &env).await;
        World { folder, env, bucket, catalog }
    }

    async fn topic(&self, name: &str) -> Arc<Topic> {
        let spec = TopicSpec::new(TopicName::parse(name).unwrap());
        self.catalog.put_topic(spec).await.unwrap();
        self.catalog.topic(name).unwrap()
    }

    async fn gathered(&self) -> Gathered {
        gather(&self.bucket, &mut |_| ()).await.unwrap()
    }

    async fn rebuilt(&self) -> Catalog {
        let plan = plan(&self.gathered().await, Doubt::Leave, [9; 32]).unwrap();
        let path = self.folder.path().join("rebuilt.redb");
        let _ = std::fs::remove_file(&path);
        rebuild_at(&path, &plan, self.env.clone()).await.unwrap();
        catalog_at(&path, &self.env).await
    }
}

#[tokio::test]
async fn topics_and_groups_come_back_and_nothing_is_given_out_twice() {
    let world = World::new().await;
    let topic = world.topic("orders").await;
    let group = GroupSpec::new(GroupName::parse("readers").unwrap());
    world.catalog.put_group(group).await.unwrap();
    keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    let revision = *world.catalog.changed().borrow();
    let after = world.topic("later").await;
    let object = world.catalog.take_object_ids(1).await.unwrap();
    let name = ObjectName::Run {
        level: 1,
        pg: PgId::new(1).unwrap(),
        epoch: Epoch(7),
        id: ObjectId { id: object, nonce: 1 },
    };
    let name = Name::parse(&name.to_string()).unwrap();
    world.bucket.create(&name, Bytes::from_static(b"x"), Purpose::Upload).await.unwrap();

    let rebuilt = world.rebuilt().await;
    assert_eq!(rebuilt.topic("orders"), Some(topic));
    assert_eq!(rebuilt.topic("later"), None, "made after the newest copy");
    assert_eq!(rebuilt.groups(), world.catalog.groups());
    let (old, new) = (world.catalog.cluster(), rebuilt.cluster());
    assert_eq!((&old.name, old.pgs, old.created), (&new.name, new.pgs, new.created));
    assert_ne!(old.secret, new.secret);
    let next = rebuilt.take_object_ids(1).await.unwrap();
    assert!(next > object + UIDS_APART / 2 && next > after.uid_base + UIDS_APART / 2);
    assert!(*rebuilt.changed().borrow() > Revision(revision.0 + (1 << 20)));
    let (record, _) = rebuilt.read_pg(PgId::new(1).unwrap()).await.unwrap().unwrap();
    assert!(record.epoch > Epoch(7), "{record:?}");
    for pg in old.pgs() {
        let (record, _) = rebuilt.read_pg(pg).await.unwrap().unwrap();
        assert_eq!((record.stores.len(), record.seal_quorum()), (0, 0));
        assert_eq!((record.base, record.tiered), (pg.first_lsn(), pg.first_lsn()));
    }
}

#[tokio::test]
async fn an_older_copy_of_the_catalog_stands_in_for_a_damaged_one() {
    let world = World::new().await;
    world.topic("orders").await;
    keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    world.topic("later").await;
    let newest = keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    let name = Name::parse(&newest.to_string()).unwrap();
    let honest = world.bucket.get(&name, Span::All, Purpose::Check).await.unwrap().bytes;
    let mut bytes = honest.to_vec();
    bytes[40] ^= 1;
    world.bucket.delete(std::slice::from_ref(&name), Purpose::Collection).await.unwrap();
    world.bucket.create(&name, bytes, Purpose::Upload).await.unwrap();
    let gathered = world.gathered().await;
    assert_eq!(gathered.unread.len(), 1);
    assert_eq!(gathered.unread[0].name, newest.to_string());
    let rebuilt = world.rebuilt().await;
    assert!(rebuilt.topic("orders").is_some() && rebuilt.topic("later").is_none());
}

#[tokio::test]
async fn without_a_copy_of_the_catalog_nothing_is_made() {
    let world = World::new().await;
    let refused = gather(&world.bucket, &mut |_| ()).await;
    assert!(matches!(refused, Err(RebuildError::NoCatalog { found: 0 })));
}

#[tokio::test]
async fn metadata_that_are_there_are_never_written_over() {
    let world = World::new().await;
    keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    let plan = plan(&world.gathered().await, Doubt::Leave, [9; 32]).unwrap();
    let refused = rebuild_at(&file(&world.folder), &plan, world.env.clone()).await;
    assert!(matches!(refused, Err(RebuildError::NotEmpty(_))));
    let refused = write(&*world.catalog.inner.store, &plan).await;
    assert!(matches!(refused, Err(RebuildError::NotEmpty(_))));
}

#[tokio::test]
async fn a_rebuild_that_was_cut_off_is_made_again() {
    let world = World::new().await;
    keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    let plan = plan(&world.gathered().await, Doubt::Leave, [9; 32]).unwrap();
    let path = world.folder.path().join("rebuilt.redb");
    let unfinished = path.with_extension("redb.unfinished");
    let store = RedbStore::begin(&unfinished, Revision(1), world.env.clone()).unwrap();
    store.close().await;
    drop(store);
    rebuild_at(&path, &plan, world.env.clone()).await.unwrap();
    assert!(path.exists() && !unfinished.exists());
}

/// A rebuilt cluster's copies are newer than those of the lost one, so a second disaster is no worse.
#[tokio::test]
async fn a_rebuilt_store_can_be_lost_as_well() {
    let mut world = World::new().await;
    world.topic("first").await;
    for _ in 0..3 {
        keep_catalog(&world.catalog, &world.bucket).await.unwrap();
        world.topic("second").await;
    }
    let rebuilt = world.rebuilt().await;
    world.catalog = rebuilt;
    world.topic("third").await;
    keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    world.catalog.close().await;
    let again = world.rebuilt().await;
    assert!(again.topic("third").is_some());
}

#[tokio::test]
async fn only_the_newest_copies_are_kept() {
    let world = World::new().await;
    let pg = PgId::FIRST;
    let record = PgRecord::create(pg, owner(1), Vec::new(), 1);
    for at in 0..12u64 {
        let id = ObjectId { id: at, nonce: 0 };
        let seen = (&record, Revision(1));
        keep_pg(&world.bucket, pg, seen, None, id).await.unwrap();
        keep_catalog(&world.catalog, &world.bucket).await.unwrap();
    }
    assert_eq!(drop_outdated(&world.bucket, Some(pg)).await.unwrap(), 4);
    assert_eq!(drop_outdated(&world.bucket, None).await.unwrap(), 4);
    assert_eq!(drop_outdated(&world.bucket, Some(pg)).await.unwrap(), 0);
}

/// What a random history does next, to one placement group.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// The owner writes.
    Write(u8),
    /// It uploads what it wrote, and commits. The answer of the commit may never come.
    Upload,
    /// It uploads, and dies before the commit.
    Orphan,
    /// It keeps a copy of its record.
    Keep,
    /// Another owner opens the next epoch where the bucket ends. Its predecessor goes on by itself.
    /// It keeps a copy at once, unless it is cut off.
    Open { keeps: bool, zombie_writes: u8 },
}

fn deeds() -> impl Strategy<Value = Vec<(u32, Deed)>> {
    let deed = prop_oneof![
        4 => (1..60u8).prop_map(Deed::Write),
        5 => Just(Deed::Upload),
        1 => Just(Deed::Orphan),
        2 => Just(Deed::Keep),
        2 => (any::<bool>(), 0..30u8)
            .prop_map(|(keeps, zombie_writes)| Deed::Open { keeps, zombie_writes }),
    ];
    proptest::collection::vec((0..PGS, deed), 1..40)
}

/// One placement group and all that ever happened to it.
struct Group {
    log: SampleLog,
    record: PgRecord,
    revision: i64,
    /// What commits made of it: where each ended, with the chain and the epoch.
    truth: BTreeMap<Lsn, u32>,
    /// The newest copy.
    kept: Option<PgRecord>,
    /// Bundles of owners that had been replaced when they uploaded.
    zombies: Vec<ObjectId>,
    /// Whether the newest epoch has left a sign.
    has_sign: bool,
    /// Bytes of other owners' logs are others.
    salt: u8,
}

impl Group {
    fn new(pg: u32) -> Group {
        let mut log = SampleLog::new(pg);
        log.epoch = Epoch(1);
        let member = Member { store: StoreId(1), gateway: owner(1).gateway, zone: String::new() };
        let record = PgRecord::create(log.pg, owner(1), vec![member], 1);
        let truth = BTreeMap::from([(log.from, 0)]);
        Group {
            log,
            record,
            revision: 1,
            truth,
            kept: None,
            zombies: Vec::new(),
            has_sign: false,
            salt: 0,
        }
    }

    fn write(&mut self, count: u8) {
        for at in 0..count {
            self.log.message(u64::from(at % 3), 0, &[self.salt, at]);
        }
    }

    /// Uploads what the log has beyond the last upload; `None`: nothing.
    async fn upload(&mut self, bucket: &Bucket, id: u64) -> Option<RunEntry> {
        self.log.cut();
        if self.log.frames.is_empty() {
            return None;
        }
        let mut builder = BundleBuilder::new(64 << 20);
        self.log.put_into(&mut builder);
        let id = ObjectId { id, nonce: 3 };
        let bundle = builder.finish(id, &Properties::default(), &BodyIsKey).unwrap();
        let session = u64::from(self.log.epoch.0);
        let name = ObjectName::Bundle { session, id }.to_string();
        bucket.create(&Name::parse(&name).unwrap(), bundle.parts, Purpose::Upload).await.unwrap();
        RunEntry::of(&bundle.finished.tail, self.log.pg, Origin::Bundle { session })
    }

    fn commit(&mut self, entry: RunEntry) {
        let delta = Delta { from: entry.from, to: entry.to, changes: vec![Change::Add(entry)] };
        self.record.deltas.push(delta.encode().into());
        self.record.tiered = entry.to;
        self.revision += 1;
        self.truth.insert(entry.to, self.log.chain);
        self.log.go_on();
    }

    async fn keep(&mut self, bucket: &Bucket, id: u64) {
        let chain = self.truth.get(&self.record.tiered).copied();
        let seen = (&self.record, Revision(self.revision));
        let id = ObjectId { id, nonce: 4 };
        keep_pg(bucket, self.log.pg, seen, chain, id).await.unwrap();
        self.kept = Some(self.record.clone());
        self.has_sign = true;
    }

    /// The next epoch begins where the bucket ends; what its owner writes is other bytes.
    fn open(&mut self) -> SampleLog {
        let next = self.record.epoch.next();
        let fresh = SampleLog::new(self.record_pg().get());
        let old = std::mem::replace(&mut self.log, fresh);
        let (at, chain) = (self.record.tiered, self.truth[&self.record.tiered]);
        self.log.epoch = next;
        (self.log.from, self.log.end) = (at, at);
        (self.log.chain_before, self.log.chain) = (chain, chain);
        self.record = self.record.open(owner(next.0.into()), Vec::new(), 1, at);
        self.revision += 1;
        self.salt += 2;
        self.has_sign = false;
        old
    }

    fn record_pg(&self) -> PgId {
        self.log.pg
    }
}

/// What the rebuilt record refers to, in order.
fn entries(pg: PgId, record: &PgRecord) -> Vec<RunEntry> {
    let deltas: Vec<Delta> =
        record.deltas.iter().map(|bytes| Delta::decode(bytes).unwrap()).collect();
    let overlay = Overlay::of(&Root::empty(pg), &deltas).unwrap();
    assert_eq!(overlay.tiered, record.tiered);
    overlay.added.into_values().collect()
}

async fn happen(world: &World, groups: &mut BTreeMap<u32, Group>, pg: u32, deed: Deed, id: u64) {
    let group = groups.entry(pg).or_insert_with(|| Group::new(pg));
    let bucket = &world.bucket;
    match deed {
        Deed::Write(count) => group.write(count),
        Deed::Upload => {
            if let Some(entry) = group.upload(bucket, id).await {
                group.commit(entry);
                group.has_sign = true;
            }
        }
        Deed::Orphan => {
            if let Some(entry) = group.upload(bucket, id).await {
                // The log is as the owner wrote it, and its epoch is the record's: what is found of it is
                // true, whether it was committed or not.
                group.truth.insert(entry.to, group.log.chain);
                group.has_sign = true;
            }
        }
        Deed::Keep => group.keep(bucket, id).await,
        Deed::Open { keeps, zombie_writes } => {
            let old = group.open();
            // What an orphan put there is no more: the new epoch began before it.
            let end = group.record.tiered;
            group.truth.retain(|at, _| *at <= end);
            let new = std::mem::replace(&mut group.log, old);
            group.salt -= 1;
            group.write(zombie_writes);
            group.salt += 1;
            if let Some(entry) = group.upload(bucket, id).await {
                group.zombies.push(entry.object);
            }
            group.log = new;
            if keeps {
                group.keep(bucket, id).await;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened before the metadata were lost.
    #[test]
    fn a_rebuilt_record_has_all_up_to_the_newest_copy_and_nothing_of_a_known_zombie(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            keep_catalog(&world.catalog, &world.bucket).await.unwrap();
            let mut groups = BTreeMap::new();
            for (at, (pg, deed)) in deeds.into_iter().enumerate() {
                happen(&world, &mut groups, pg, deed, 1 + at as u64).await;
            }
            let rebuilt = world.rebuilt().await;
            for group in groups.values() {
                let pg = group.record_pg();
                let (record, _) = rebuilt.read_pg(pg).await.unwrap().unwrap();
                let found = entries(pg, &record);
                if let Some(kept) = &group.kept {
                    assert!(record.tiered >= kept.tiered);
                    let kept = entries(pg, kept);
                    assert_eq!(found[..kept.len()], kept);
                }
                assert!(record.epoch > group.record.epoch);
                assert_eq!(record.base, record.tiered);
                // Where the newest epoch has left a sign, everything is its log's, to the byte.
                if group.has_sign {
                    assert!(group.truth.contains_key(&record.tiered), "{:?}", group.truth);
                    let zombie = found.iter().find(|entry| group.zombies.contains(&entry.object));
                    assert_eq!(zombie, None);
                }
            }
        });
    }
}

#[test]
fn names_of_copies_sort_by_age() {
    let [old, new] =
        [5, 6].map(|revision| CopyName::Catalog { revision, nonce: 9 - revision as u32 });
    assert!(old < new);
}

//! `stratamq admin rebuild-metadata` and `stratamq fsck` as an operator types them: a cluster loses everything but its
//! bucket, and comes back.
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_methods, reason = "a test of a real process runs on the real clock")]

mod harness;

use gateway::history::snapshot::SnapshotFile;
use harness::Broker;
use metadata::model::{GatewayId, Incarnation, Owner, PgRecord, SnapshotRef};
use metadata::rebuild::{keep_catalog, keep_pg};
use metadata::store::redb::RedbStore;
use metadata::{Catalog, ClusterSpec, Revision};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use storage::env::Env;
use storage::format::object::Properties;
use storage::format::{Epoch, PgId};
use storage::object::{Bucket, Name, Purpose, Span, StoreUrl};
use storage::tier::manifest::{Change, Delta, Origin, RunEntry};
use storage::tier::sample::{BodyIsKey, SampleLog};
use storage::tier::{BundleBuilder, ObjectId, ObjectName};

const SMALL_JOURNAL: [&str; 1] = ["--journal-capacity=128MiB"];

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(words: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(words)
        .env_remove("STRATAMQ_STORE")
        .env_remove("STRATAMQ_DATA")
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ask(broker: &Broker, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stratamq"))
        .args(words)
        .env("STRATAMQ_ADMIN", broker.addresses().http.to_string())
        .env("STRATAMQ_ENDPOINT", broker.addresses().grpc.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A cluster with a topic, and a bucket with what a tiering broker would have put there of placement group 1: a
/// committed bundle, a copy of the record as of it, and a bundle committed after that.
struct World {
    folder: PathBuf,
    store: PathBuf,
    bundles: Vec<String>,
}

impl World {
    fn text(&self, below: &str) -> String {
        self.folder.join(below).display().to_string()
    }

    fn store(&self) -> String {
        self.store.display().to_string()
    }

    fn bucket(&self) -> Bucket {
        let url: StoreUrl = self.store().parse().unwrap();
        Bucket::open(&url, None, Env::system()).unwrap()
    }
}

fn world(name: &str) -> World {
    let folder = harness::folder(&format!("rebuild-{name}"));
    let _ = fs::remove_dir_all(&folder);
    let data = folder.join("lost");
    fs::create_dir_all(&data).unwrap();
    let broker = Broker::start_with(&data, &SMALL_JOURNAL);
    ask(&broker, &["topic", "create", "orders"]);
    assert_eq!(broker.stop().1, Some(0));
    let mut world = World { store: folder.join("store"), folder, bundles: Vec::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fill(&mut world, &data));
    world
}

async fn fill(world: &mut World, data: &Path) {
    let (env, bucket) = (Env::system(), world.bucket());
    let redb = RedbStore::open(&data.join("metadata.redb"), env.clone()).unwrap();
    let pgs = redb_pgs(&redb).await;
    let spec = ClusterSpec { name: "DefaultCluster".into(), pgs };
    let catalog = Catalog::start(Arc::new(redb), env, spec).await.unwrap();
    keep_catalog(&catalog, &bucket).await.unwrap();
    let owner = Owner { gateway: GatewayId::parse("gw").unwrap(), incarnation: Incarnation(1) };
    let mut log = SampleLog::new(1);
    let mut record = PgRecord { epoch: Epoch(3), ..PgRecord::create(log.pg, owner, Vec::new(), 1) };
    for id in [70, 71] {
        log.message(9, 0, b"of before");
        log.message(9, 0, format!("number {id}").as_bytes());
        let mut builder = BundleBuilder::new(1 << 20);
        log.put_into(&mut builder);
        let id = ObjectId { id, nonce: 1 };
        let bundle = builder.finish(id, &Properties::default(), &BodyIsKey).unwrap();
        let name = ObjectName::Bundle { session: 5, id }.to_string();
        bucket.create(&Name::parse(&name).unwrap(), bundle.parts, Purpose::Upload).await.unwrap();
        world.bundles.push(name);
        if id.id == 70 {
            let origin = Origin::Bundle { session: 5 };
            let entry = RunEntry::of(&bundle.finished.tail, log.pg, origin).unwrap();
            let delta = Delta { from: entry.from, to: entry.to, changes: vec![Change::Add(entry)] };
            record.deltas.push(delta.encode().into());
            record.tiered = entry.to;
            let id = ObjectId { id: 72, nonce: 1 };
            keep_pg(&bucket, log.pg, (&record, Revision(9)), Some(log.chain), id).await.unwrap();
        }
        log.go_on();
    }
    catalog.close().await;
}

async fn redb_pgs(redb: &RedbStore) -> u32 {
    use metadata::MetadataStore;
    use metadata::model::{Cluster, Record, key};
    let pair = redb.get(key::CLUSTER).await.unwrap().unwrap();
    Cluster::decode(&pair.value).unwrap().pgs
}

#[test]
fn a_cluster_comes_back_from_its_bucket_alone_and_goes_on() {
    let world = world("back");
    let (store, data) = (world.store(), world.text("new"));
    let flags = ["admin", "rebuild-metadata", "--store", &store, "--data", &data];

    let planned = run(&[&flags[..], &["--dry-run", "--json"]].concat());
    assert_eq!((planned.code, planned.err.as_str()), (Some(0), ""), "{}", planned.out);
    let planned: Value = serde_json::from_str(&planned.out).unwrap();
    assert_eq!((&planned["topics"], &planned["objects"]), (&1.into(), &4.into()), "{planned}");
    let pg = &planned["pgs"][1];
    assert_eq!(pg["bundles_taken"], 1, "{planned}");
    assert!(pg["tiered"].as_u64() > pg["copied"].as_u64() && pg["epoch"].as_u64() > Some(3));
    assert!(!Path::new(&data).exists(), "a dry run makes nothing");

    let made = run(&flags);
    assert_eq!((made.code, made.err.as_str()), (Some(0), ""), "{}", made.out);
    assert!(made.out.contains("belong to no topic of then"), "{}", made.out);
    let again = run(&flags);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("into an empty place only"), "{}", again.err);

    let checked = run(&["fsck", "--store", &store, "--data", &data, "--deep"]);
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{}", checked.out);
    assert!(checked.out.contains("2 objects") && checked.out.contains("4 messages"));

    // The takeover of a real start, with an empty journal; and of the start after it.
    for round in ["once", "again"] {
        let flags = [SMALL_JOURNAL[0], "--store", &store];
        let broker = Broker::start_with(Path::new(&data), &flags);
        assert!(ask(&broker, &["topic", "list"]).contains("orders"));
        ask(&broker, &["message", "send", "orders", round]);
        let received = ask(&broker, &["message", "receive", "orders", "--wait", "5s"]);
        assert!(received.contains(round), "{received}");
        let busy = run(&["fsck", "--store", &store, "--data", &data]);
        assert_eq!(busy.code, Some(2));
        assert!(busy.err.contains("--from-bucket"), "{}", busy.err);
        assert_eq!(broker.stop().1, Some(0));
    }
}

#[test]
fn a_journal_of_before_is_not_taken_for_that_of_rebuilt_metadata() {
    let world = world("journal");
    let (store, data, lost) = (world.store(), world.text("new"), world.text("lost"));
    fs::remove_file(Path::new(&lost).join("metadata.redb")).unwrap();
    let refused = run(&["admin", "rebuild-metadata", "--store", &store, "--data", &lost]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("journal of before"), "{}", refused.err);
    // And where somebody brings it back afterwards.
    assert_eq!(
        run(&["admin", "rebuild-metadata", "--store", &store, "--data", &data]).code,
        Some(0)
    );
    fs::rename(Path::new(&lost).join("journal"), Path::new(&data).join("journal")).unwrap();
    let start = run(&[
        "serve",
        "--data",
        &data,
        "--journal-capacity=128MiB",
        "--grpc-port=0",
        "--nameserver-port=0",
        "--broker-port=0",
        "--http-port=0",
    ]);
    assert_eq!(start.code, Some(1));
    assert!(start.err.contains("was rebuilt from the bucket"), "{}", start.err);
}

#[test]
fn a_changed_byte_is_named_and_ends_with_1() {
    let world = world("fsck");
    let store = world.store();
    let flags = ["fsck", "--store", &store, "--from-bucket", "--proof"];
    let sound = run(&[&flags[..], &["--json"]].concat());
    assert_eq!(sound.code, Some(0), "{}{}", sound.out, sound.err);
    let report: Value = serde_json::from_str(&sound.out).unwrap();
    assert_eq!(report["objects"], 1, "the copy knows of one: {report}");
    assert!(report["findings"].as_array().unwrap().iter().all(|row| row["severity"] == "note"));

    let path = world.store.join(&world.bundles[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[120] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = run(&[&flags[..], &["--json"]].concat());
    assert_eq!(damaged.code, Some(1));
    let report: Value = serde_json::from_str(&damaged.out).unwrap();
    let row = report["findings"].as_array().unwrap().iter().find(|row| row["severity"] == "broken");
    let row = row.unwrap();
    assert_eq!(
        (row["object"].as_str(), row["at"].as_u64()),
        (Some(world.bundles[0].as_str()), Some(0))
    );
    assert_eq!(row["affects"][0], "pg 0001 queue 9 offsets 0..=1");
    let damaged = run(&flags);
    assert!(damaged.out.contains("bring the object back"), "{}", damaged.out);
    assert!(damaged.err.contains("1 thing wrong"), "{}", damaged.err);
    fs::remove_file(&path).unwrap();
    let gone = run(&flags);
    assert!(gone.out.contains("the object is missing"), "{}", gone.out);
}

#[test]
fn a_snapshot_that_no_recovery_could_begin_at_is_named() {
    let world = world("snapshot");
    let store = world.store();
    let pg = PgId::new(2).unwrap();
    let applied = pg.first_lsn();
    let object = ObjectName::Snapshot { pg, epoch: Epoch(3), id: ObjectId { id: 90, nonce: 1 } };
    let owner = Owner { gateway: GatewayId::parse("gw").unwrap(), incarnation: Incarnation(1) };
    let mut record = PgRecord::create(pg, owner, Vec::new(), 1);
    record.snapshot = Some(SnapshotRef { object: object.to_string(), applied });
    let bucket = world.bucket();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let id = ObjectId { id: 91, nonce: 1 };
    runtime.block_on(keep_pg(&bucket, pg, (&record, Revision(10)), None, id)).unwrap();

    let flags = ["fsck", "--store", &store, "--from-bucket"];
    let path = world.store.join(object.to_string());
    let bytes = SnapshotFile { applied, ends_at: applied, ..Default::default() }.encode();
    let mut changed = bytes.clone();
    changed[8] ^= 1;
    for (bytes, told) in [(None, "it is missing"), (Some(changed), "checksum does not fit")] {
        if let Some(bytes) = bytes {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        let wrong = run(&flags);
        assert_eq!(wrong.code, Some(1), "{}{}", wrong.out, wrong.err);
        assert!(
            wrong.out.contains(told) && wrong.out.contains(&object.to_string()),
            "{}",
            wrong.out
        );
    }
    fs::write(&path, bytes).unwrap();
    assert_eq!(run(&flags).code, Some(0));
}

#[test]
fn what_cannot_be_checked_or_rebuilt_ends_with_2_and_says_what_to_do() {
    let folder = harness::folder("rebuild-nothing");
    fs::create_dir_all(&folder).unwrap();
    let (empty, none) = (folder.display().to_string(), folder.join("none").display().to_string());
    for (words, told) in [
        (vec!["fsck", "--store", &none, "--from-bucket"], "there is no folder"),
        (vec!["fsck", "--store", &empty, "--from-bucket"], "no copy of a record"),
        (vec!["fsck", "--store", &empty, "--data", &none], "there are no metadata"),
        (vec!["fsck", "--quick", "--deep"], "cannot be used with"),
        (
            vec!["admin", "rebuild-metadata", "--store", &none, "--data", &none],
            "there is no folder",
        ),
        (vec!["admin", "rebuild-metadata", "--store", &empty, "--data", &none], "no readable copy"),
    ] {
        let ended = run(&words);
        assert_eq!(ended.code, Some(2), "{words:?}: {}", ended.err);
        assert!(ended.err.contains(told), "{words:?}: {}", ended.err);
    }
}

/// Reading what is there is all that either command does.
#[test]
fn nothing_in_the_bucket_is_changed() {
    let world = world("still");
    let (store, data) = (world.store(), world.text("new"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let contents = || {
        runtime.block_on(async {
            let (bucket, mut all) = (world.bucket(), Vec::new());
            let mut listing = bucket.list(None, None, Purpose::Check);
            while let Some(entry) = listing.next().await.unwrap() {
                let bytes = bucket.get(&entry.name, Span::All, Purpose::Check).await.unwrap().bytes;
                all.push((entry.name, bytes));
            }
            all
        })
    };
    let before = contents();
    run(&["admin", "rebuild-metadata", "--store", &store, "--data", &data]);
    run(&["fsck", "--store", &store, "--data", &data, "--proof"]);
    assert_eq!(contents(), before);
}

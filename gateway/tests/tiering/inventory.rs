//! What a bucket has, and what the records refer to; and the settings of a gateway that keeps it in shape at once.

use super::world::{SOON, World};
use gateway::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::collect::CollectSettings;
use storage::compact::{entries_of, manifest_of};
use storage::env::{Clock, Env, SystemClock, Timestamp};
use storage::format::PgId;
use storage::object::testing::Faults;
use storage::object::{Bucket, Purpose};
use storage::tier::ObjectName;
use storage::tier::compact::{CompactionSettings, LevelSettings};
use storage::tier::manifest::{Query, RunEntry};

/// Windows of seconds, objects that go soon.
pub(super) fn quick(settings: &mut Settings) {
    let level = |level, seconds| LevelSettings {
        level,
        window: Duration::from_secs(seconds),
        shared_bytes: 4 << 20,
    };
    settings.tiering.bundle_age = Duration::ZERO;
    let maintenance = &mut settings.tiering.maintenance;
    maintenance.bytes_per_second = None;
    maintenance.look_every = Duration::from_millis(20);
    maintenance.look_over_every = Duration::from_millis(100);
    maintenance.survey_every = Duration::from_secs(1);
    maintenance.sweep_every = Duration::from_millis(100);
    maintenance.collect =
        CollectSettings { grace: Duration::from_millis(500), rest: Duration::from_millis(200) };
    maintenance.snapshot_every = Duration::from_millis(300);
    maintenance.summary_runs = 2;
    maintenance.compaction = CompactionSettings {
        levels: [level(1, 1), level(2, 2), level(3, 4)],
        fan_in: 2,
        inputs_max: 64,
        bytes_max: 16 << 20,
        lateness: Duration::from_millis(100),
        bundle_age_max: Duration::from_secs(2),
    };
}

/// One placement group that is kept in shape at once, over a bucket that fails as told.
pub(super) async fn over_faults(seed: u64) -> (Arc<Faults>, World) {
    let faults = Faults::seeded(seed, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system());
    let world = World::start_over(bucket, |settings| {
        quick(settings);
        settings.placement_groups = 1;
    })
    .await;
    (faults, world)
}

/// A clock that the test sets forward; what is waited for, is waited for.
pub(super) struct Ahead {
    system: SystemClock,
    ahead_ms: AtomicU64,
}

impl Ahead {
    pub(super) fn start() -> (Arc<Ahead>, Env) {
        let clock = Arc::new(Ahead { system: SystemClock::start(), ahead_ms: AtomicU64::new(0) });
        (Arc::clone(&clock), Env::with_clock(clock))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp(self.system.now().0 + self.ahead_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }
}

/// Every object with a name of ours, and its bytes.
pub(super) async fn stored(bucket: &Bucket) -> BTreeMap<String, u64> {
    let mut listing = bucket.list(None, None, Purpose::Check);
    let mut all = BTreeMap::new();
    while let Some(entry) = listing.next().await.unwrap() {
        if entry.name.as_str().parse::<ObjectName>().is_ok() {
            all.insert(entry.name.to_string(), entry.bytes);
        }
    }
    all
}

/// The entries of a placement group's manifest.
pub(super) async fn entries(world: &World, pg: PgId) -> Vec<RunEntry> {
    let (record, _) = world.broker().catalog.read_pg(pg).await.unwrap().unwrap();
    let root = record.manifest_root.map(|root| root.parse().unwrap());
    let bucket = &world.bucket;
    let manifest =
        manifest_of(bucket, pg, root.as_ref(), &record.deltas, Purpose::Check).await.unwrap();
    entries_of(bucket, &manifest, &Query::default(), Purpose::Check).await.unwrap()
}

/// The names that records refer to.
pub(super) async fn referenced(world: &World) -> BTreeSet<String> {
    let catalog = &world.broker().catalog;
    let mut all = BTreeSet::new();
    for pg in catalog.cluster().pgs() {
        let (record, _) = catalog.read_pg(pg).await.unwrap().unwrap();
        let root: Option<ObjectName> = record.manifest_root.map(|root| root.parse().unwrap());
        let (bucket, purpose) = (&world.bucket, Purpose::Check);
        let manifest = manifest_of(bucket, pg, root.as_ref(), &record.deltas, purpose).await;
        let manifest = manifest.unwrap();
        let entries = entries_of(bucket, &manifest, &Query::default(), purpose).await.unwrap();
        all.extend(entries.iter().map(|entry| entry.name(pg).to_string()));
        all.extend(root.iter().map(ToString::to_string));
        all.extend(record.snapshot.map(|snapshot| snapshot.object));
        let pages = manifest.root.pages.iter().map(|page| page.page);
        let starts = manifest.root.starts.iter().map(|page| page.page);
        all.extend(pages.chain(starts).map(|page| page.name(pg).to_string()));
        let summaries = manifest.overlay.all_summaries(&manifest.root);
        all.extend(summaries.iter().map(|summary| summary.name(pg).to_string()));
    }
    all
}

/// Waits until the bucket has what records refer to, and nothing else.
pub(super) async fn until_clean(world: &World) {
    let env = Env::system();
    let end = env.monotonic() + SOON;
    loop {
        let (stored, referenced) = (stored(&world.bucket).await, referenced(world).await);
        let stored: BTreeSet<String> = stored.into_keys().collect();
        if stored == referenced {
            return;
        }
        if env.monotonic() > end {
            let lost: Vec<_> = referenced.difference(&stored).collect();
            let left: Vec<_> = stored.difference(&referenced).collect();
            panic!("lost {lost:?}, left {left:?}");
        }
        env.sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until something holds of the entries of a placement group.
pub(super) async fn until_entries(
    world: &World,
    pg: PgId,
    what: &str,
    mut holds: impl FnMut(&[RunEntry]) -> bool,
) {
    let env = Env::system();
    let end = env.monotonic() + SOON;
    loop {
        let entries = entries(world, pg).await;
        if holds(&entries) {
            return;
        }
        if env.monotonic() > end {
            let done = world.broker().tiering.maintained();
            let short = |entry: &RunEntry| (entry.level(), entry.object.id, entry.from, entry.to);
            let short: Vec<_> = entries.iter().map(short).collect();
            panic!("{what} does not come: {short:?}, {done:?}");
        }
        env.sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until what is sealed by now is merged. A bundle that is alone in its window is as good as a run.
pub(super) async fn until_merged(world: &World, pg: PgId) {
    world.until_sealed().await;
    until_entries(world, pg, "few bundles", |entries| {
        entries.iter().filter(|entry| entry.level() == 0).count() < 4
    })
    .await;
}

/// Lets the journal go of everything that the bucket has, so that it is read from there.
pub(super) fn trim(world: &World) {
    for pg in world.broker().owned.all() {
        pg.log.trim(pg.log.watermark(storage::Level::Object));
    }
}

//! A bucket in memory that fails as told, placement groups whose logs go into it, and a plain model
//! of what must be read out of it, for tests.

use super::*;
use crate::collect::{CollectSettings, Collector, RecordView, Records, Sweep, Swept};
use crate::env::{Clock, Env, ManualClock, Timestamp};
use crate::format::object::{KeyHash, Properties, Record};
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid, RecordKind};
use crate::object::testing::{Faults, hasty};
use crate::object::{Bucket, Error as StoreError, Name, Purpose, Span};
use crate::tier::collect::Word;
use crate::tier::compact::{CompactionSettings, Plan, plan, plan_reclaim};
use crate::tier::manifest::{
    Change, Delta, Origin, PageSizes, Query, RunEntry, StartPage, must_fold,
};
use crate::tier::merge::MergeSettings;
use crate::tier::retention::{Keeps, Keyed, TopicRules};
use crate::tier::sample::{BodyIsKey, GONE, Object, SampleLog};
use crate::tier::{BundleBuilder, Knowledge, ObjectId, ObjectName};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Queue 2 keeps its messages so long.
pub(crate) const KEPT: Duration = Duration::from_secs(5 * 3600);
/// Queue 4 keeps so many bytes.
const KEPT_BYTES: u64 = 600;

/// A record in the metadata store.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) epoch: Epoch,
    pub(crate) tiered: Lsn,
    pub(crate) view: RecordView,
}

/// What all processes see of the metadata store, and what the owners have under way.
#[derive(Clone, Default)]
pub(crate) struct Metadata {
    pub(crate) records: Arc<Mutex<BTreeMap<PgId, Committed>>>,
    pub(crate) in_flight: Arc<Mutex<HashSet<ObjectId>>>,
}

impl Records for Metadata {
    async fn all(&self) -> Result<Vec<PgId>, StoreError> {
        Ok(self.records.lock().keys().copied().collect())
    }

    async fn read(&self, pg: PgId) -> Result<Option<RecordView>, StoreError> {
        Ok(self.records.lock().get(&pg).map(|record| record.view.clone()))
    }

    fn word(&self, object: &ObjectName) -> Word {
        let is_named = self.in_flight.lock().contains(&object.id());
        if is_named { Word::Unknown } else { Word::Settled }
    }
}

/// What topics want: queue 1 everything, 2 a time, 3 the newest of each key, 4 some bytes.
pub(crate) struct Topics {
    pub(crate) now: Timestamp,
    pub(crate) starts: BTreeMap<QueueUid, QueueOffset>,
}

impl Topics {
    fn since(&self) -> Timestamp {
        Timestamp(self.now.0 - KEPT.as_millis() as u64)
    }
}

impl TopicRules for Topics {
    fn keeps(&self, queue: QueueUid) -> Keeps {
        match queue {
            QueueUid(2) => Keeps::Since(self.since()),
            QueueUid(3) => Keeps::NewestOfKey,
            QueueUid(4) => Keeps::Bytes(KEPT_BYTES),
            GONE => Keeps::Nothing,
            _ => Keeps::Forever,
        }
    }

    fn keeps_since(&self, first: QueueUid, last: QueueUid) -> Option<Timestamp> {
        match (first, last) {
            (QueueUid(2), QueueUid(2)) => Some(self.since()),
            (GONE, GONE) => Some(Timestamp(u64::MAX)),
            _ => None,
        }
    }

    fn start_of(&self, queue: QueueUid) -> QueueOffset {
        self.starts.get(&queue).copied().unwrap_or_default()
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        BodyIsKey.keys(message, into);
    }

    fn key_of(&self, message: &Record) -> Option<Keyed> {
        let body = message.body();
        Some(Keyed::of(body.get(..1)?, body.len() == 1))
    }
}

/// One placement group: its log, and what was committed of it.
pub(crate) struct Group {
    pub(crate) pg: PgId,
    log: SampleLog,
    /// Messages below `tiered`.
    pub(crate) messages: Vec<Record>,
}

/// A bundle that is stored and not committed.
pub(crate) struct Uploaded {
    pub(crate) name: ObjectName,
    parts: Vec<(PgId, Epoch, RunEntry)>,
}

/// A merge that is done and not committed.
pub(crate) struct Done {
    pub(crate) pg: PgId,
    pub(crate) epoch: Epoch,
    pub(crate) merged: Merged,
}

pub(crate) struct World {
    pub(crate) bucket: Bucket,
    pub(crate) faults: Arc<Faults>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) env: Env,
    pub(crate) metadata: Metadata,
    pub(crate) groups: Vec<Group>,
    pub(crate) settings: CompactionSettings,
    pub(crate) collect: CollectSettings,
    pub(crate) next_id: u64,
    pub(crate) collector: Collector<Metadata>,
    pub(crate) compactor: Compactor,
    pub(crate) uploaded: Vec<Uploaded>,
    pub(crate) done: Vec<Done>,
}

impl World {
    pub(crate) fn new(seed: u64, groups: u32) -> World {
        // The store in memory dates what it gets by the machine's clock.
        let began = Env::system().now();
        let clock = Arc::new(ManualClock::at(began));
        let env = Env::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let faults = Faults::seeded(seed, Env::system());
        let bucket = Bucket::faulty(&faults, Env::system()).with_patience(hasty());
        let metadata = Metadata::default();
        let group = |pg: u32| {
            let mut log = SampleLog::new(pg);
            log.time = began.0;
            let pg = log.pg;
            let view = RecordView {
                epoch: Epoch(1),
                manifest_root: None,
                deltas: Vec::new(),
                snapshot: None,
            };
            let record = Committed { epoch: Epoch(1), tiered: pg.first_lsn(), view };
            metadata.records.lock().insert(pg, record);
            Group { pg, log, messages: Vec::new() }
        };
        let settings = CompactionSettings { fan_in: 2, ..CompactionSettings::default() };
        let collect = CollectSettings::default();
        let budget = Arc::new(ByteBudget::new(None, env.clone()));
        World {
            collector: Collector::new(bucket.clone(), env.clone(), metadata.clone(), collect),
            compactor: Compactor::new(bucket.clone(), env.clone(), budget),
            groups: (0..groups).map(group).collect(),
            bucket,
            faults,
            clock,
            env,
            metadata,
            settings,
            collect,
            next_id: 0,
            uploaded: Vec::new(),
            done: Vec::new(),
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        let now = self.env.now().0;
        self.groups.iter_mut().for_each(|group| group.log.time = now);
    }

    /// The owners' clocks, for what is appended.
    pub(crate) fn set_time(&mut self, time: u64) {
        self.groups.iter_mut().for_each(|group| group.log.time = time);
    }

    fn id(&mut self) -> ObjectId {
        self.next_id += 1;
        let id = ObjectId { id: self.next_id, nonce: self.next_id as u32 };
        self.metadata.in_flight.lock().insert(id);
        id
    }

    pub(crate) fn record(&self, pg: PgId) -> Committed {
        self.metadata.records.lock()[&pg].clone()
    }

    /// Every placement group's log goes on with a message for each of these queues.
    pub(crate) fn append(&mut self, queues: &[u64], body: &[u8]) {
        for group in &mut self.groups {
            for queue in queues {
                group.log.message(*queue, 0, body);
            }
            group.log.operation(1, b"ack");
        }
    }

    /// Stores what the logs have since what was committed as one bundle.
    pub(crate) async fn upload(&mut self) -> Result<(), CompactError> {
        let id = self.id();
        let mut builder = BundleBuilder::new(64 << 20);
        let mut epochs = Vec::new();
        for group in &mut self.groups {
            group.log.cut();
            if group.log.frames.is_empty() {
                continue;
            }
            let epoch = self.metadata.records.lock()[&group.pg].epoch;
            builder.begin(group.pg, epoch, group.log.from, group.log.chain_before).unwrap();
            for frame in &group.log.frames {
                builder.frame(group.pg, frame).unwrap();
            }
            epochs.push((group.pg, epoch));
        }
        if epochs.is_empty() {
            return Ok(());
        }
        let bundle = builder.finish(id, &Properties::default(), &BodyIsKey).unwrap();
        let name = ObjectName::Bundle { session: 7, id };
        self.bucket.create(&name_of(&name)?, bundle.parts, Purpose::Upload).await?;
        let origin = Origin::Bundle { session: 7 };
        let entry = |pg| RunEntry::of(&bundle.finished.tail, pg, origin).unwrap();
        let parts = epochs.into_iter().map(|(pg, epoch)| (pg, epoch, entry(pg))).collect();
        self.uploaded.push(Uploaded { name, parts });
        Ok(())
    }

    /// COMMIT of each bundle that is stored, for each placement group whose record still fits.
    pub(crate) async fn commit_bundles(&mut self) -> Result<(), CompactError> {
        for uploaded in std::mem::take(&mut self.uploaded) {
            for (pg, epoch, entry) in uploaded.parts {
                let record = self.record(pg);
                if record.epoch == epoch && record.tiered == entry.from {
                    self.commit(pg, entry.to, vec![Change::Add(entry)]).await?;
                    let group = self.groups.iter_mut().find(|group| group.pg == pg).unwrap();
                    let log = &mut group.log;
                    let new = log.records.iter().filter(|record| record.lsn < entry.to);
                    let new = new.filter(|record| record.kind == RecordKind::Message);
                    group.messages.extend(new.cloned());
                    // What was appended meanwhile is not of these tests.
                    assert_eq!(log.end, entry.to);
                    log.go_on();
                }
            }
            self.settle(&[uploaded.name.id()]);
        }
        Ok(())
    }

    fn settle(&self, ids: &[ObjectId]) {
        let mut in_flight = self.metadata.in_flight.lock();
        ids.iter().for_each(|id| {
            in_flight.remove(id);
        });
    }

    /// COMMIT, with a fold where there must be one. The owner is that of the record.
    pub(crate) async fn commit(
        &mut self,
        pg: PgId,
        to: Lsn,
        changes: Vec<Change>,
    ) -> Result<(), CompactError> {
        let delta = Delta { from: self.record(pg).tiered, to, changes };
        let bytes = Bytes::from(delta.encode());
        let deltas = self.record(pg).view.deltas;
        // Small, so that there are many.
        if must_fold(&deltas, bytes.len()) || deltas.len() >= 6 {
            return self.fold(pg, Some(&delta)).await.map(|_| ());
        }
        let mut records = self.metadata.records.lock();
        let record = records.get_mut(&pg).unwrap();
        record.view.deltas.push(bytes);
        record.tiered = to;
        Ok(())
    }

    pub(crate) async fn fold(
        &mut self,
        pg: PgId,
        next: Option<&Delta>,
    ) -> Result<FoldedManifest, CompactError> {
        let record = self.record(pg);
        let mut ids = Vec::new();
        let next_id = &mut self.next_id;
        let in_flight = Arc::clone(&self.metadata.in_flight);
        let mut give = || {
            *next_id += 1;
            let id = ObjectId { id: *next_id, nonce: 5 };
            in_flight.lock().insert(id);
            ids.push(id);
            id
        };
        let request = FoldRequest {
            pg,
            epoch: record.epoch,
            root: record.view.manifest_root,
            deltas: &record.view.deltas,
            next,
            sizes: PageSizes { runs: 4, starts: 2 },
            next_id: &mut give,
        };
        let folded = fold_manifest(&self.bucket, request).await;
        if let Ok(folded) = &folded {
            let mut records = self.metadata.records.lock();
            let record = records.get_mut(&pg).unwrap();
            record.view.manifest_root = Some(folded.root_name);
            record.view.deltas.clear();
            record.tiered = folded.root.tiered;
        }
        self.settle(&ids);
        folded
    }

    pub(crate) async fn manifest(&self, pg: PgId) -> Result<Manifest, CompactError> {
        let view = self.record(pg).view;
        let root = view.manifest_root.as_ref();
        manifest_of(&self.bucket, pg, root, &view.deltas, Purpose::Read).await
    }

    pub(crate) async fn entries(&self, pg: PgId) -> Result<Vec<RunEntry>, CompactError> {
        let manifest = self.manifest(pg).await?;
        entries_of(&self.bucket, &manifest, &Query::default(), Purpose::Read).await
    }

    pub(crate) async fn topics(&self, pg: PgId) -> Result<Topics, CompactError> {
        let manifest = self.manifest(pg).await?;
        let mut starts = BTreeMap::new();
        for page in &manifest.root.starts {
            let name = name_of(&page.page.name(pg))?;
            let bytes = self.bucket.get(&name, Span::All, Purpose::Read).await?.bytes;
            let StartPage(page) = page.open(&bytes).unwrap();
            starts.extend(page);
        }
        for (queue, start) in manifest.overlay.starts {
            let known: &mut QueueOffset = starts.entry(queue).or_default();
            *known = start.unwrap_or_default().max(*known);
        }
        Ok(Topics { now: self.env.now(), starts })
    }

    /// Makes the next merge that is worth it, without committing it.
    pub(crate) async fn merge(&mut self, pg: PgId) -> Result<bool, CompactError> {
        let entries = self.entries(pg).await?;
        let topics = self.topics(pg).await?;
        let keeps = |first, last| topics.keeps_since(first, last);
        let busy = self.done.iter().any(|done| done.pg == pg);
        let Plan::Merge(planned) = plan(&entries, self.env.now(), &self.settings, &keeps) else {
            return Ok(false);
        };
        if busy {
            return Ok(false);
        }
        let epoch = self.record(pg).epoch;
        let settings = MergeSettings {
            own_bytes: 10_000,
            own_bytes_max: 20_000,
            shared_bytes: 15_000,
            ..planned.level.merge(pg, epoch, Lsn(0))
        };
        let merged = self.merge_of(settings, &planned.inputs, &entries, &topics).await?;
        self.done.push(Done { pg, epoch, merged });
        Ok(true)
    }

    /// Merges what keeps half for nobody, without committing it. Says the bytes that were written.
    pub(crate) async fn reclaim(&mut self, pg: PgId) -> Option<u64> {
        let entries = self.entries(pg).await.unwrap();
        let topics = self.topics(pg).await.unwrap();
        let dead = self.compactor.survey(pg, &entries, &topics).await.unwrap();
        let known = |entry: &RunEntry| dead.get(&entry.object).copied();
        let planned = plan_reclaim(&entries, self.env.now(), &self.settings, &known)?;
        let epoch = self.record(pg).epoch;
        let settings = planned.level.merge(pg, epoch, Lsn(0));
        let merged = self.merge_of(settings, &planned.inputs, &entries, &topics).await.unwrap();
        let written = merged.totals.bytes_written;
        self.done.push(Done { pg, epoch, merged });
        Some(written)
    }

    pub(crate) async fn merge_of(
        &mut self,
        settings: MergeSettings,
        inputs: &[RunEntry],
        entries: &[RunEntry],
        topics: &Topics,
    ) -> Result<Merged, CompactError> {
        let (first, last) = (inputs[0].key(), inputs[inputs.len() - 1].key());
        let older = entries.partition_point(|entry| entry.key() < first);
        let newer = entries.partition_point(|entry| entry.key() <= last);
        let next_id = &mut self.next_id;
        let in_flight = Arc::clone(&self.metadata.in_flight);
        let mut give = || {
            *next_id += 1;
            let id = ObjectId { id: *next_id, nonce: 9 };
            in_flight.lock().insert(id);
            id
        };
        let request = MergeRequest {
            settings,
            inputs,
            older: Some(&entries[..older]),
            newer: &entries[newer..],
            topics,
            next_id: &mut give,
        };
        self.compactor.merge(request).await
    }

    /// COMMIT of merges that are done, by the owners that made them; a stale one is refused.
    pub(crate) async fn commit_merges(&mut self) -> Result<usize, CompactError> {
        let mut taken = 0;
        while let Some(done) = self.done.first() {
            let (pg, epoch) = (done.pg, done.epoch);
            let entries = self.entries(pg).await?;
            let done = self.done.remove(0);
            let record = self.record(pg);
            let (first, last) = (
                done.merged.inputs[0].key(),
                done.merged.inputs[done.merged.inputs.len() - 1].key(),
            );
            let present: Vec<RunEntry> = entries
                .into_iter()
                .filter(|entry| first <= entry.key() && entry.key() <= last)
                .collect();
            if record.epoch == epoch
                && let Ok(changes) = done.merged.changes(&present, &[])
            {
                self.commit(pg, record.tiered, changes).await?;
                taken += 1;
            }
            let ids: Vec<ObjectId> = done.merged.runs.iter().map(|run| run.object.id()).collect();
            self.settle(&ids);
        }
        Ok(taken)
    }

    /// Lets go of what is past, and moves starts.
    pub(crate) async fn retain(&mut self, pg: PgId) -> Result<(), CompactError> {
        let (entries, topics) = (self.entries(pg).await?, self.topics(pg).await?);
        let replay_from = self.record(pg).tiered;
        let gone = let_go(&self.bucket, pg, &entries, &topics, replay_from).await?;
        let mut changes = gone.changes;
        let sized = [(QueueUid(4), KEPT_BYTES)];
        changes.extend(starts_by_size(&self.bucket, pg, &entries, sized, &topics).await?);
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(pg, replay_from, changes).await
    }

    /// The owners die with what they had under way, and others open the next epochs.
    pub(crate) fn take_over(&mut self) {
        self.faults.revive();
        let mut records = self.metadata.records.lock();
        for record in records.values_mut() {
            record.epoch = record.epoch.next();
            record.view.epoch = record.epoch;
        }
        self.metadata.in_flight.lock().clear();
        drop(records);
        self.new_collector(self.collect);
    }

    /// A collector that remembers nothing.
    pub(crate) fn new_collector(&mut self, settings: CollectSettings) {
        self.collect = settings;
        let (bucket, env) = (self.bucket.clone(), self.env.clone());
        self.collector = Collector::new(bucket, env, self.metadata.clone(), settings);
    }

    pub(crate) async fn sweep(&mut self) -> Result<Swept, CompactError> {
        let (mut sweep, mut all) = (Sweep::all().unwrap(), Swept::default());
        while let Some(swept) = self.collector.step(&mut sweep).await? {
            all.add(&swept);
        }
        Ok(all)
    }

    /// Every record of the placement group that its manifest leads to, through every index.
    pub(crate) async fn read(&self, pg: PgId) -> Vec<Record> {
        let mut all = Vec::new();
        for entry in self.entries(pg).await.unwrap() {
            let name = name_of(&entry.name(pg)).unwrap();
            let bytes = self.bucket.get(&name, Span::All, Purpose::Read).await;
            let bytes = bytes.expect("what is referenced is there").bytes;
            let object = Object::of(&[bytes]);
            let tail = object.tail().unwrap();
            assert_eq!(RunEntry::of(&tail, pg, entry.origin), Some(entry));
            let records = object.everything().unwrap();
            all.extend(records.into_iter().filter(|(of, _)| *of == pg).flat_map(|(_, r)| r));
        }
        all.retain(|record| record.kind == RecordKind::Message);
        all.sort_by_key(|record| record.lsn);
        all
    }

    /// A reader finds what the model has, but for what retention let go of.
    pub(crate) async fn check(&self) {
        for group in &self.groups {
            let found = self.read(group.pg).await;
            let topics = self.topics(group.pg).await.unwrap();
            assert!(found.windows(2).all(|pair| pair[0].lsn < pair[1].lsn), "none twice");
            let all: BTreeMap<Lsn, &Record> =
                group.messages.iter().map(|message| (message.lsn, message)).collect();
            assert!(found.iter().all(|message| all.get(&message.lsn) == Some(&message)));
            check_tombstones(group, &topics, &found);
            let found: BTreeSet<Lsn> = found.iter().map(|message| message.lsn).collect();
            for message in &group.messages {
                let start = topics.start_of(message.queue);
                let must = match topics.keeps(message.queue) {
                    Keeps::Forever => {
                        assert_eq!(start, QueueOffset(0));
                        true
                    }
                    Keeps::Since(since) => {
                        assert!(message.offset >= start || message.time < since);
                        message.offset >= start
                    }
                    Keeps::Bytes(_) => message.offset >= start,
                    Keeps::NewestOfKey => self.is_newest(group, &topics, message),
                    Keeps::Nothing => false,
                };
                assert!(!must || found.contains(&message.lsn), "{message:?} is missing");
            }
        }
    }

    fn is_newest(&self, group: &Group, topics: &Topics, message: &Record) -> bool {
        let key = topics.key_of(message).unwrap();
        let later = group.messages.iter().filter(|other| {
            other.queue == message.queue
                && other.lsn > message.lsn
                && topics.key_of(other).unwrap().key == key.key
        });
        later.count() == 0 && !key.is_tombstone
    }

    /// All names in the bucket.
    pub(crate) async fn names(&self) -> BTreeSet<Name> {
        let mut listing = self.bucket.list(None, None, Purpose::Check);
        let mut names = BTreeSet::new();
        while let Some(entry) = listing.next().await.unwrap() {
            names.insert(entry.name);
        }
        names
    }

    /// Names that records lead to.
    pub(crate) async fn referenced(&self) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        for group in &self.groups {
            let manifest = self.manifest(group.pg).await.unwrap();
            let view = self.record(group.pg).view;
            let objects = view.manifest_root.into_iter().chain(view.snapshot);
            let pages = manifest.root.pages.iter().map(|page| page.page);
            let starts = manifest.root.starts.iter().map(|page| page.page);
            let pages = pages.chain(starts).map(|page| page.name(group.pg));
            let entries = self.entries(group.pg).await.unwrap();
            let entries = entries.into_iter().map(|entry| entry.name(group.pg));
            let all = objects.chain(pages).chain(entries);
            names.extend(all.map(|object| name_of(&object).unwrap()));
        }
        names
    }
}

/// Where the newest message of a key said that it is gone, and left, nothing of the key came back.
fn check_tombstones(group: &Group, topics: &Topics, found: &[Record]) {
    let of_queue = |message: &&Record| topics.keeps(message.queue) == Keeps::NewestOfKey;
    let mut newest: BTreeMap<(QueueUid, u128), (&Record, bool)> = BTreeMap::new();
    for message in group.messages.iter().filter(of_queue) {
        let keyed = topics.key_of(message).unwrap();
        newest.insert((message.queue, keyed.key), (message, keyed.is_tombstone));
    }
    for ((queue, key), (last, is_tombstone)) in newest {
        let of_key = |message: &&Record| {
            message.queue == queue && topics.key_of(message).unwrap().key == key
        };
        let is_left = found.iter().any(|message| message.lsn == last.lsn);
        let others = found.iter().filter(of_key).count();
        assert!(is_left || (is_tombstone && others == 0), "{last:?} left, {others} came back");
    }
}

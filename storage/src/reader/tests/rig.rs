//! Two placement groups whose logs go into one bucket, are compacted, folded and let go, beside a
//! plain list of what a reader must say.

use super::super::{Reader, ReaderConfig, View, Want};
use crate::env::Env;
use crate::format::object::{KeyHash, Properties, Record, Tail, TailRead, mix64};
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid, RecordKind};
use crate::object::{Bucket, Kind, Name, Purpose, Span};
use crate::tier::manifest::{
    Brought, Change, Delta, Origin, Overlay, PageSizes, Query, Replaced, Root, RunEntry, RunPage,
    StartPage, SummaryRef, Window, fold, replace, select, touched,
};
use crate::tier::merge::{Merge, MergeRefused, MergeRules, MergeSettings, MergeStep, Treatment};
use crate::tier::sample::{BodyIsKey, SampleLog};
use crate::tier::{
    BundleBuilder, Follows, Knowledge, ObjectId, ObjectName, ObjectWriter, Summary, SummaryStep,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const ALL: Want = Want { messages: usize::MAX, bytes: u64::MAX, tags: u64::MAX };

/// What one placement group's record says, and what its log had.
pub(super) struct Group {
    pub(super) log: SampleLog,
    root: Root,
    root_name: Option<String>,
    pub(super) deltas: Vec<Bytes>,
    tiered: Lsn,
    /// All that is in the bucket.
    pub(super) records: Vec<Record>,
    pub(super) starts: BTreeMap<QueueUid, QueueOffset>,
}

pub(super) struct World {
    pub(super) bucket: Bucket,
    pub(super) groups: [Group; 2],
    pub(super) sizes: PageSizes,
    ids: u64,
}

impl Group {
    fn new(pg: u32) -> Group {
        let log = SampleLog::new(pg);
        let root = Root::empty(log.pg);
        Group {
            tiered: log.pg.first_lsn(),
            log,
            root,
            root_name: None,
            deltas: Vec::new(),
            records: Vec::new(),
            starts: BTreeMap::new(),
        }
    }

    pub(super) fn pg(&self) -> PgId {
        self.log.pg
    }

    fn overlay(&self) -> Overlay {
        let deltas: Vec<Delta> = self.deltas.iter().map(|d| Delta::decode(d).unwrap()).collect();
        Overlay::of(&self.root, &deltas).unwrap()
    }

    fn commit(&mut self, to: Lsn, changes: Vec<Change>) {
        self.deltas.push(Bytes::from(Delta { from: self.tiered, to, changes }.encode()));
        self.tiered = to;
    }

    pub(super) async fn view(&self, reader: &Reader) -> View {
        reader.view(self.pg(), self.root_name.as_deref(), &self.deltas).await.unwrap()
    }

    /// What is kept of a queue, from an offset on.
    pub(super) fn messages(&self, queue: u64, from: QueueOffset) -> Vec<Record> {
        let from = from.max(self.starts.get(&QueueUid(queue)).copied().unwrap_or_default());
        let of_queue = |r: &&Record| {
            r.kind == RecordKind::Message && r.queue == QueueUid(queue) && r.offset >= from
        };
        let mut all: Vec<Record> = self.records.iter().filter(of_queue).cloned().collect();
        all.sort_by_key(|record| record.offset);
        all
    }
}

impl World {
    pub(super) fn new(bucket: Bucket) -> World {
        let groups = [Group::new(1), Group::new(2)];
        World { bucket, groups, sizes: PageSizes::default(), ids: 0 }
    }

    pub(super) fn in_memory() -> World {
        World::new(Bucket::in_memory(Env::system()))
    }

    pub(super) async fn reader(&self) -> Reader {
        self.reader_with(config()).await
    }

    pub(super) async fn reader_with(&self, config: ReaderConfig) -> Reader {
        Reader::open(&self.bucket, config, &Env::system()).await.unwrap()
    }

    fn id(&mut self) -> ObjectId {
        self.ids += 1;
        ObjectId { id: self.ids, nonce: 77 }
    }

    pub(super) async fn put(&self, name: &ObjectName, bytes: Vec<u8>) {
        self.bucket.create(&plain(name), Bytes::from(bytes), Purpose::Upload).await.unwrap();
    }

    /// Bundles what both logs have.
    pub(super) async fn bundle(&mut self) {
        let id = self.id();
        let name = ObjectName::Bundle { session: 7, id };
        let mut builder = BundleBuilder::new(u64::MAX);
        self.groups.iter_mut().for_each(|group| group.log.cut());
        for group in self.groups.iter_mut().filter(|group| !group.log.frames.is_empty()) {
            group.log.put_into(&mut builder);
        }
        if builder.bytes() == 0 {
            return;
        }
        let bundle = builder.finish(id, &Properties::default(), &BodyIsKey).unwrap();
        self.put(&name, bundle.parts.concat()).await;
        let origin = Origin::Bundle { session: 7 };
        for group in &mut self.groups {
            if let Some(entry) = RunEntry::of(&bundle.finished.tail, group.log.pg, origin) {
                group.records.append(&mut group.log.records);
                group.log.go_on();
                group.commit(entry.to, vec![Change::Add(entry)]);
            }
        }
    }

    pub(super) async fn bytes(&self, name: &ObjectName) -> Bytes {
        self.bucket.get(&plain(name), Span::All, Purpose::Check).await.unwrap().bytes
    }

    /// The manifest of the first placement group.
    pub(super) async fn entries(&self) -> Vec<RunEntry> {
        let group = &self.groups[0];
        let mut pages = Vec::new();
        for page in &group.root.pages {
            pages.push(page.open(&self.bytes(&page.page.name(group.pg())).await).unwrap());
        }
        select(&Query::default(), &pages, &group.overlay())
    }

    /// Merges the oldest bundles of the first placement group; the names of what was replaced.
    pub(super) async fn compact(&mut self, count: usize) -> Vec<ObjectName> {
        let entries = self.entries().await;
        let pg = self.groups[0].pg();
        let inputs: Vec<RunEntry> =
            entries.iter().filter(|entry| entry.level() == 0).take(count).copied().collect();
        let mut objects = Vec::new();
        for entry in &inputs {
            objects.push(self.bytes(&entry.name(pg)).await);
        }
        let mut long = MergeSettings {
            window: Duration::from_secs(100),
            own_bytes: 200_000,
            own_bytes_max: 3_000_000,
            ..MergeSettings::new(pg, Epoch(4), 1)
        };
        let made = match self.merge(long, &objects).await {
            Err(MergeRefused::Clock(_)) => {
                long.window = Duration::from_secs(1 << 30);
                self.merge(long, &objects).await
            }
            made => made,
        };
        let Ok(outputs) = made else {
            assert!(inputs.is_empty(), "{:?}", made.err());
            return Vec::new();
        };
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Vec::new() };
        let present: Vec<RunEntry> = entries
            .iter()
            .filter(|entry| first.key() <= entry.key() && entry.key() <= last.key())
            .copied()
            .collect();
        let replaced = Replaced { inputs: &inputs, outputs: &outputs, dropped_messages: 0 };
        let changes = replace(replaced, &present, &[]).unwrap();
        let group = &mut self.groups[0];
        group.commit(group.tiered, changes);
        inputs.iter().map(|entry| entry.name(pg)).collect()
    }

    async fn merge(
        &mut self,
        settings: MergeSettings,
        objects: &[Bytes],
    ) -> Result<Vec<RunEntry>, MergeRefused> {
        let tails = objects.iter().map(whole_tail).collect();
        let mut rules = KeepAll(self.ids);
        let mut merge = Merge::new(settings, tails, &rules)?;
        let mut parts: BTreeMap<usize, Vec<Bytes>> = BTreeMap::new();
        let mut entries = Vec::new();
        loop {
            let step = merge.step(&mut rules);
            self.ids = rules.0;
            match step? {
                MergeStep::Read { input, span } => {
                    let end = (span.end() as usize).min(objects[input].len());
                    merge.feed(&objects[input].slice(span.at as usize..end))?;
                }
                MergeStep::Write { output, bytes } => parts.entry(output).or_default().push(bytes),
                MergeStep::Finished { output, run } => {
                    let name = run.entry.name(settings.pg);
                    self.put(&name, parts.remove(&output).unwrap().concat()).await;
                    entries.push(run.entry);
                }
                MergeStep::Done(_) => {
                    entries.sort_unstable_by_key(RunEntry::key);
                    return Ok(entries);
                }
            }
        }
    }

    /// Makes a run of what the first placement group's log has, as if it had been compacted.
    pub(super) async fn run(&mut self) {
        let id = self.id();
        let group = &mut self.groups[0];
        group.log.cut();
        let (pg, from, to) = (group.pg(), group.log.from, group.log.end);
        let mut messages = std::mem::take(&mut group.log.records);
        messages.sort_by_key(|record| (record.queue, record.offset));
        let mut writer = ObjectWriter::new(id, 1);
        writer.begin(pg, Epoch(4), from).unwrap();
        for message in &messages {
            let mut keys = Vec::new();
            BodyIsKey.keys(message, &mut keys);
            writer.message(message, Follows::Directly, &keys).unwrap();
        }
        let (finished, parts) = writer.finish(&Properties::default()).unwrap();
        let window = Window::of(messages[0].time, Duration::from_secs(1 << 30));
        let origin = Origin::Run { level: 1, epoch: Epoch(4), window };
        let entry = RunEntry::of(&finished.tail, pg, origin).unwrap();
        group.records.append(&mut messages);
        group.log.go_on();
        group.commit(to, vec![Change::Add(entry)]);
        self.put(&entry.name(pg), parts.concat()).await;
    }

    /// Summarises the keys of all runs of the first placement group, so many a summary.
    pub(super) async fn summarise(&mut self, objects: usize) -> Vec<SummaryRef> {
        let pg = self.groups[0].pg();
        let mut entries = self.entries().await;
        entries.retain(|entry| entry.level() > 0);
        let mut made = Vec::new();
        for runs in entries.chunks(objects.max(1)) {
            let mut objects = Vec::new();
            for entry in runs {
                objects.push(self.bytes(&entry.name(pg)).await);
            }
            let tails: Vec<Tail> = objects.iter().map(whole_tail).collect();
            let pages = tails.iter().map(|tail| tail.keys.all_pages());
            let runs: Vec<(RunEntry, _)> = runs.iter().copied().zip(pages).collect();
            let mut summary = Summary::new(pg, Epoch(4), self.id(), &runs).unwrap();
            let mut bytes = Vec::new();
            let reference = loop {
                match summary.step() {
                    SummaryStep::Read { input, span } => {
                        let part = span.at as usize..span.end() as usize;
                        summary.feed(&objects[input].slice(part)).unwrap();
                    }
                    SummaryStep::Write(part) => bytes.extend_from_slice(&part),
                    SummaryStep::Done(reference) => break reference,
                }
            };
            assert_eq!(reference.len, bytes.len() as u64);
            self.put(&reference.name(pg), bytes).await;
            made.push(reference);
        }
        let group = &mut self.groups[0];
        group.commit(group.tiered, made.iter().copied().map(Change::Summary).collect());
        made
    }

    /// Folds the first placement group's deltas.
    pub(super) async fn fold(&mut self) {
        let group = &self.groups[0];
        let (overlay, root) = (group.overlay(), group.root.clone());
        let needed = touched(&root, &overlay, self.sizes);
        let mut brought = Brought::default();
        for at in needed.pages {
            let page = &root.pages[at];
            let bytes = self.bytes(&page.page.name(root.pg)).await;
            brought.pages.insert(at, RunPage::decode(&bytes).unwrap());
        }
        for at in needed.starts {
            let page = &root.starts[at];
            let bytes = self.bytes(&page.page.name(root.pg)).await;
            brought.starts.insert(at, StartPage::decode(&bytes).unwrap());
        }
        let mut ids = self.ids;
        let folded = fold(&root, &overlay, self.sizes, &brought, Epoch(4), &mut || {
            ids += 1;
            ObjectId { id: ids, nonce: 5 }
        })
        .unwrap();
        self.ids = ids;
        for (name, bytes) in folded.objects {
            self.put(&name, bytes).await;
        }
        let group = &mut self.groups[0];
        group.root = folded.root;
        group.root_name = Some(folded.root_name.to_string());
        group.deltas.clear();
    }

    /// Lets go of a queue's messages before an offset.
    pub(super) fn trim(&mut self, queue: u64, to: u64) {
        let (queue, offset) = (QueueUid(queue), QueueOffset(to));
        let group = &mut self.groups[0];
        let start = group.starts.entry(queue).or_default();
        *start = offset.max(*start);
        group.commit(group.tiered, vec![Change::Start { queue, offset }]);
    }

    pub(super) async fn delete(&self, names: &[ObjectName]) {
        let names: Vec<Name> = names.iter().map(plain).collect();
        self.bucket.delete(&names, Purpose::Collection).await.unwrap();
    }

    /// GETs that were made of the bucket for these purposes.
    pub(super) fn gets(&self, purposes: &[Purpose]) -> u64 {
        let of = |usage: &&crate::object::Usage| {
            usage.kind == Kind::Get && purposes.contains(&usage.purpose)
        };
        self.bucket.usage().iter().filter(of).map(|usage| usage.requests).sum()
    }

    /// GETs of readers.
    pub(super) fn reads(&self) -> u64 {
        self.gets(&[
            Purpose::Read,
            Purpose::CatchUp,
            Purpose::Search,
            Purpose::Recovery,
            Purpose::Manifest,
        ])
    }
}

/// Works in the test's own runtime.
pub(super) fn config() -> ReaderConfig {
    ReaderConfig { threads: 0, ..ReaderConfig::default() }
}

pub(super) fn plain(name: &ObjectName) -> Name {
    Name::parse(&name.to_string()).unwrap()
}

/// Bytes that do not compress.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let words = (0..len as u64 / 8 + 1).flat_map(|at| mix64(mix64(seed) ^ at).to_le_bytes());
    words.take(len).collect()
}

fn whole_tail(bytes: &Bytes) -> Tail {
    match Tail::read(bytes).unwrap() {
        TailRead::Whole(tail) => *tail,
        TailRead::Longer(_) => panic!("all bytes were given"),
    }
}

struct KeepAll(u64);

impl MergeRules for KeepAll {
    fn treatment(&self, _: QueueUid) -> Treatment {
        Treatment::Keep(QueueOffset(0))
    }

    fn keeps(&self, _: &Record) -> bool {
        true
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        BodyIsKey.keys(message, into);
    }

    fn next_id(&mut self) -> ObjectId {
        self.0 += 1;
        ObjectId { id: self.0, nonce: 9 }
    }
}

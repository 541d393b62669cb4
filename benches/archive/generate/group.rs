//! One placement group: its log, and its manifest as commits and folds make it.

use super::merge::{Merged, merge};
use super::{BEGIN, EPOCH, GroupRecord, SESSION, Sample, Shape, Size, Upload, key_of};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use storage::format::object::Tail;
use storage::tier::manifest::{
    Brought, Change, Delta, Key, Origin, Overlay, PageSizes, Replaced, Root, RunEntry, fold,
    must_fold, replace, touched,
};
use storage::tier::testing::Log;
use storage::tier::{ObjectId, ObjectName};
use storage::{Lsn, PgId, QueueUid, RecordKind};

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An object that a merge may still take.
pub(super) struct Held {
    pub(super) entry: RunEntry,
    pub(super) tail: Tail,
    pub(super) bytes: Bytes,
}

pub(super) struct Group {
    pub(super) log: Log,
    tiered: Lsn,
    root: Root,
    root_name: Option<ObjectName>,
    root_bytes: Bytes,
    deltas: Vec<Bytes>,
    /// Pages that the root names.
    pages: HashMap<ObjectName, Bytes>,
    /// What the manifest has.
    entries: BTreeMap<Key, RunEntry>,
    /// Per level, what came to be by one commit each, oldest first.
    held: Vec<Vec<Vec<Held>>>,
    ids: u64,
    folds: u64,
    written: (u64, u64),
    merged: (u64, u64),
    filler: Vec<u8>,
    /// Bytes of it that cannot be compressed.
    noise: usize,
}

impl Group {
    pub(super) fn new(pg: PgId, shape: &Shape) -> Group {
        let held = shape.merges.iter().map(|_| Vec::new()).chain([Vec::new()]).collect();
        Group {
            log: Log::new(pg),
            tiered: pg.first_lsn(),
            root: Root::empty(pg),
            root_name: None,
            root_bytes: Bytes::new(),
            deltas: Vec::new(),
            pages: HashMap::new(),
            entries: BTreeMap::new(),
            held,
            // Above those of bundles, and no other group's.
            ids: (u64::from(pg.get()) + 1) << 40,
            folds: 0,
            written: (0, 0),
            merged: (0, 0),
            filler: vec![b'.'; shape.body_bytes],
            noise: shape.noise_bytes,
        }
    }

    fn pg(&self) -> PgId {
        self.log.pg()
    }

    /// The messages of one bundle; one of them as a sample.
    pub(super) fn append(&mut self, shape: &Shape, bundle: u64) -> Result<Sample, Failure> {
        let first_queue = bundle * shape.queues_at_once;
        let step = shape.span / u32::try_from(shape.bundles).unwrap_or(u32::MAX);
        let begin = BEGIN.plus(Duration::from_millis(
            u64::try_from(step.as_millis()).unwrap_or(0).saturating_mul(bundle),
        ));
        let mut sample = None;
        for at in 0..shape.messages {
            // Those of one queue follow each other, as a producer's batch does.
            let turn = at * shape.queues_at_once / shape.messages;
            let queue = QueueUid(1 + (first_queue + turn) % shape.queues);
            let time = begin.plus(step * u32::try_from(at).unwrap_or(0) / messages_of(shape));
            let number =
                (u64::from(self.pg().get()) * shape.bundles + bundle) * shape.messages + at;
            self.fill(number);
            let tag = 1 + number % shape.tags;
            let body = std::mem::take(&mut self.filler);
            let (lsn, offset) = self.log.message(queue, time, tag, &body);
            self.filler = body;
            let (pg, key) = (self.pg(), key_of(number, 0));
            sample = sample.or(Some(Sample { pg, queue, offset, lsn, time, key }));
        }
        let body = [0; 24];
        self.log.operation(RecordKind::Ack, QueueUid(1 + first_queue % shape.queues), begin, &body);
        sample.ok_or_else(|| "a shape without messages".into())
    }

    /// The front of a body is noise.
    fn fill(&mut self, number: u64) {
        let mut state = number;
        for chunk in self.filler[..self.noise].chunks_mut(8) {
            let bytes = state.to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
            state = mixed(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        }
    }

    /// Takes a bundle into the manifest, and merges what is ripe. What no merge will take any more
    /// is to be uploaded.
    pub(super) fn commit_bundle(
        &mut self,
        shape: &Shape,
        tail: &Tail,
        bytes: &Bytes,
    ) -> Result<Vec<Upload>, Failure> {
        let origin = Origin::Bundle { session: SESSION };
        let entry = RunEntry::of(tail, self.pg(), origin).ok_or("a bundle without the group")?;
        self.commit(entry.to, vec![Change::Add(entry)])?;
        let held = Held { entry, tail: tail.clone(), bytes: bytes.clone() };
        self.held[0].push(vec![held]);
        for (level, of) in shape.merges.iter().enumerate() {
            if self.held[level].len() < of.inputs {
                break;
            }
            let inputs: Vec<Held> = self.held[level].drain(..).flatten().collect();
            let outputs = self.merge(inputs, level, (of, shape.keys))?;
            self.held[level + 1].push(outputs);
        }
        // Nothing takes those of the last level, and nothing bundles where nothing is merged.
        let last = self.held.pop().unwrap_or_default();
        self.held.push(Vec::new());
        Ok(last.iter().flatten().map(|held| self.upload(held)).collect())
    }

    fn merge(
        &mut self,
        mut inputs: Vec<Held>,
        level: usize,
        (of, keys): (&super::MergeShape, u64),
    ) -> Result<Vec<Held>, Failure> {
        inputs.sort_by_key(|held| held.entry.key());
        let level = u8::try_from(level + 1)?;
        let Merged { outputs, read, written } =
            merge(&inputs, (self.log.pg(), EPOCH, level, self.tiered), of, (keys, &mut self.ids))?;
        self.merged.0 += read;
        self.merged.1 += written;
        let taken: Vec<RunEntry> = inputs.iter().map(|held| held.entry).collect();
        let mut made: Vec<RunEntry> = outputs.iter().map(|held| held.entry).collect();
        made.sort_by_key(RunEntry::key);
        let (first, last) = match taken.as_slice() {
            [first, .., last] => (first.key(), last.key()),
            _ => return Err("a merge of one".into()),
        };
        let present: Vec<RunEntry> =
            self.entries.range(first..=last).map(|(_, entry)| *entry).collect();
        let replaced = Replaced { inputs: &taken, outputs: &made, dropped_messages: 0 };
        let changes = replace(replaced, &present, &[])?;
        self.commit(self.tiered, changes)?;
        Ok(outputs)
    }

    fn commit(&mut self, to: Lsn, changes: Vec<Change>) -> Result<(), Failure> {
        for change in &changes {
            match change {
                Change::Add(entry) => {
                    self.entries.insert(entry.key(), *entry);
                }
                Change::Remove(key) => {
                    self.entries.remove(key);
                }
                Change::Start { .. }
                | Change::Forget(_)
                | Change::Lost { .. }
                | Change::Summary(_)
                | Change::NoSummary(_) => {}
            }
        }
        let bytes = Bytes::from(Delta { from: self.tiered, to, changes }.encode());
        self.deltas.push(bytes);
        self.tiered = to;
        // One that is too large for the record is folded with the others.
        if must_fold(&self.deltas, 0) {
            self.fold()?;
        }
        Ok(())
    }

    fn fold(&mut self) -> Result<(), Failure> {
        let deltas: Vec<Delta> =
            self.deltas.iter().map(|bytes| Delta::decode(bytes)).collect::<Result<_, _>>()?;
        let overlay = Overlay::of(&self.root, &deltas)?;
        let sizes = PageSizes::default();
        let touched = touched(&self.root, &overlay, sizes);
        let mut brought = Brought::default();
        for at in touched.pages {
            let page = self.root.pages.get(at).ok_or("a page that the root has")?;
            let bytes = self.pages.get(&page.page.name(self.pg())).ok_or("a page that is there")?;
            brought.pages.insert(at, page.open(bytes)?);
        }
        let mut ids = self.ids;
        let folded = fold(&self.root, &overlay, sizes, &brought, EPOCH, &mut || next_id(&mut ids))?;
        self.ids = ids;
        for name in &folded.dropped {
            self.pages.remove(name);
        }
        for (name, bytes) in folded.objects {
            self.written.0 += 1;
            self.written.1 += bytes.len() as u64;
            if name == folded.root_name {
                self.root_bytes = bytes.into();
            } else {
                self.pages.insert(name, bytes.into());
            }
        }
        self.root = folded.root;
        self.root_name = Some(folded.root_name);
        self.deltas.clear();
        self.folds += 1;
        Ok(())
    }

    fn upload(&self, held: &Held) -> Upload {
        (held.entry.name(self.pg()), vec![held.bytes.clone()])
    }

    /// What is to be uploaded at the end: what merges left, pages and root.
    pub(super) fn rest(&self) -> Vec<Upload> {
        let held = self.held.iter().flatten().flatten().map(|held| self.upload(held));
        let pages = self.pages.iter().map(|(name, bytes)| (*name, vec![bytes.clone()]));
        let root = self.root_name.iter().map(|name| (*name, vec![self.root_bytes.clone()]));
        held.chain(pages).chain(root).collect()
    }

    pub(super) fn record(&self) -> GroupRecord {
        GroupRecord {
            pg: self.pg(),
            root: self.root_name,
            deltas: self.deltas.clone(),
            tiered: self.tiered,
        }
    }

    pub(super) fn add_size(&self, size: &mut Size) {
        let manifest = &mut size.manifest;
        let len = |bytes: &Bytes| bytes.len() as u64;
        manifest.entries += self.entries.len() as u64;
        manifest.entries_in_pages +=
            self.root.pages.iter().map(|page| u64::from(page.entries)).sum::<u64>();
        manifest.pages.0 += self.pages.len() as u64;
        manifest.pages.1 += self.pages.values().map(len).sum::<u64>();
        manifest.root_bytes += len(&self.root_bytes);
        manifest.deltas.0 += self.deltas.len() as u64;
        manifest.deltas.1 += self.deltas.iter().map(len).sum::<u64>();
        manifest.folds += self.folds;
        manifest.written.0 += self.written.0;
        manifest.written.1 += self.written.1;
        size.merged.0 += self.merged.0;
        size.merged.1 += self.merged.1;
    }
}

fn messages_of(shape: &Shape) -> u32 {
    u32::try_from(shape.messages).unwrap_or(u32::MAX).max(1)
}

pub(super) fn next_id(ids: &mut u64) -> ObjectId {
    *ids += 1;
    ObjectId { id: *ids, nonce: 5 }
}

/// The finisher of SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

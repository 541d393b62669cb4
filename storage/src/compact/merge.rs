//! Runs a merge against the bucket.

use super::budget::ByteBudget;
use super::by_key::FirstPass;
use super::error::CompactError;
use super::fetch::{name_of, tails_within};
use super::reader::Reader;
use crate::env::{Env, Timestamp};
use crate::format::object::{KeyHash, Record, Span};
use crate::format::{Lsn, QueueOffset, QueueUid};
use crate::object::{Bucket, Purpose, Upload};
use crate::tier::manifest::{Change, ReplaceRefused, Replaced, RunEntry, replace};
use crate::tier::merge::{
    Merge, MergeRefused, MergeRules, MergeSettings, MergeStep, MergeTotals, Output, Treatment,
};
use crate::tier::retention::{KEYS_BYTES_EACH, Newest, TopicRules, starts_by_age, treatments};
use crate::tier::{ObjectId, ObjectName};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of tails that one merge holds; what has more is merged in several turns.
pub const TAILS_BYTES_MAX: u64 = 128 << 20;
/// Bytes that one merge reads ahead.
pub const READ_BYTES: u64 = 64 << 20;
/// Keys that one merge remembers: 64 MiB of them.
pub const KEYS_MAX: usize = (64 << 20) / KEYS_BYTES_EACH;

/// What merges are made with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Compactor {
    pub(super) bucket: Bucket,
    pub(super) env: Env,
    pub(super) budget: Arc<ByteBudget>,
}

/// What is to be merged.
pub struct MergeRequest<'a> {
    /// What comes out.
    pub settings: MergeSettings,
    /// Neighbours in the manifest, in order.
    pub inputs: &'a [RunEntry],
    /// Entries before the first input; `None`: not known. Of queues that are compacted by key, a
    /// tombstone leaves only where nothing earlier may be.
    pub older: Option<&'a [RunEntry]>,
    /// Entries after the last input in which newer messages of keys are looked for; may be fewer than
    /// there are, and then fewer messages leave.
    pub newer: &'a [RunEntry],
    /// What is kept.
    pub topics: &'a dyn TopicRules,
    /// Ids for runs, never given out before.
    pub next_id: &'a mut (dyn FnMut() -> ObjectId + Send),
}

/// A run that is in the bucket, and that nothing refers to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRun {
    /// Its name.
    pub object: ObjectName,
    /// What the manifest is to say of it, and its tail.
    pub run: Output,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// What a merge came to. Nothing of it is visible before its changes are committed.
#[derive(Clone, Debug)]
pub struct Merged {
    /// What was taken: the first of the request's inputs, mostly all.
    pub inputs: Vec<RunEntry>,
    /// What was made, in order of their keys. May be empty.
    pub runs: Vec<WrittenRun>,
    /// Where queues begin now.
    pub starts: BTreeMap<QueueUid, QueueOffset>,
    /// What went in and came out.
    pub totals: MergeTotals,
}

impl Merged {
    /// The changes to commit. `present` and `lost`: as [`replace`] wants them, of the manifest as it
    /// is now.
    ///
    /// # Errors
    /// When another compaction or retention was faster: plan again.
    pub fn changes(
        &self,
        present: &[RunEntry],
        lost: &[(Lsn, Lsn)],
    ) -> Result<Vec<Change>, ReplaceRefused> {
        let outputs: Vec<RunEntry> = self.runs.iter().map(|written| written.run.entry).collect();
        let dropped_messages = self.totals.messages_left_out;
        let replaced = Replaced { inputs: &self.inputs, outputs: &outputs, dropped_messages };
        let mut changes = replace(replaced, present, lost)?;
        let start = |(queue, offset): (&QueueUid, &QueueOffset)| Change::Start {
            queue: *queue,
            offset: *offset,
        };
        changes.extend(self.starts.iter().map(start));
        Ok(changes)
    }
}

impl Compactor {
    /// What merges in `bucket`, moving bytes as `budget` lets.
    pub const fn new(bucket: Bucket, env: Env, budget: Arc<ByteBudget>) -> Compactor {
        Compactor { bucket, env, budget }
    }

    /// Merges. Safe to drop; what is left then is referenced by nothing.
    ///
    /// # Errors
    /// When an input is damaged or missing, or the store does not answer: nothing came of it, and the
    /// inputs stay.
    pub async fn merge(&self, request: MergeRequest<'_>) -> Result<Merged, CompactError> {
        let now = self.env.now();
        let MergeRequest { settings, inputs, older, newer, topics, next_id } = request;
        let work = Work { compactor: self, inputs, older, newer, topics, now };
        match work.attempt(settings, next_id).await {
            // Windows would tear the log's order apart: one that is as long as all of it does not.
            Err(CompactError::Merge(MergeRefused::Clock(_))) => {
                let last = inputs.iter().map(|entry| entry.max_time.0).max().unwrap_or(0);
                let window = Duration::from_millis(last.saturating_add(1));
                work.attempt(MergeSettings { window, ..settings }, next_id).await
            }
            outcome => outcome,
        }
    }
}

/// A merge with what it is told, whatever its windows.
#[derive(Clone, Copy)]
struct Work<'a> {
    compactor: &'a Compactor,
    inputs: &'a [RunEntry],
    older: Option<&'a [RunEntry]>,
    newer: &'a [RunEntry],
    topics: &'a dyn TopicRules,
    now: Timestamp,
}

impl Work<'_> {
    async fn attempt(
        &self,
        settings: MergeSettings,
        next_id: &mut (dyn FnMut() -> ObjectId + Send),
    ) -> Result<Merged, CompactError> {
        let Compactor { bucket, budget, .. } = self.compactor;
        let (pg, topics) = (settings.pg, self.topics);
        let purpose = Purpose::Compaction;
        let tails = tails_within(bucket, pg, self.inputs, TAILS_BYTES_MAX, purpose).await?;
        let inputs = self.inputs.get(..tails.len()).unwrap_or(self.inputs);
        let starts = starts_by_age(&tails, pg, topics);
        let treatments = treatments(&tails, pg, &starts, topics);
        let chosen = |(queue, treatment): (&QueueUid, &Treatment)| {
            matches!(treatment, Treatment::Choose(_)).then_some(*queue)
        };
        let queues: Vec<QueueUid> = treatments.iter().filter_map(chosen).collect();
        let mut newest = Newest::new(KEYS_MAX);
        let read_bytes = READ_BYTES;
        let pass = FirstPass { bucket, budget, pg, topics, queues: &queues, read_bytes };
        if !queues.is_empty() {
            for (entry, tail) in inputs.iter().zip(&tails) {
                pass.see(entry.name(pg), tail, &mut newest).await?;
            }
            let rest = self.inputs.get(tails.len()..).unwrap_or_default();
            pass.see_entries(rest, &mut newest).await?;
            pass.see_entries(self.newer, &mut newest).await?;
        }
        let mut rules = Rules { work: self, treatments, newest, next_id, ids: Vec::new() };
        let named = inputs.iter().zip(&tails).map(|(entry, tail)| (entry.name(pg), tail));
        let mut reader = Reader::new(bucket, budget, pg, named, READ_BYTES);
        let mut merge = Merge::new(settings, tails.clone(), &rules)?;
        let mut uploads = BTreeMap::new();
        let written = self.run(settings, &mut merge, &mut rules, &mut reader, &mut uploads).await;
        for upload in uploads.into_values() {
            Upload::abort(upload).await;
        }
        let (mut runs, totals) = written?;
        runs.sort_unstable_by_key(|written| written.run.entry.key());
        Ok(Merged { inputs: inputs.to_vec(), runs, starts, totals })
    }

    async fn run(
        &self,
        settings: MergeSettings,
        merge: &mut Merge,
        rules: &mut Rules<'_>,
        reader: &mut Reader<'_>,
        uploads: &mut BTreeMap<usize, Upload>,
    ) -> Result<(Vec<WrittenRun>, MergeTotals), CompactError> {
        let Compactor { bucket, budget, .. } = self.compactor;
        let mut runs = Vec::new();
        loop {
            match merge.step(rules).map_err(|refused| named(refused, reader))? {
                MergeStep::Read { input, span } => feed(merge, reader, input, span).await?,
                MergeStep::Write { output, bytes } => {
                    budget.take(bytes.len() as u64).await;
                    let upload = match uploads.entry(output) {
                        Entry::Occupied(open) => open.into_mut(),
                        Entry::Vacant(new) => {
                            let name = name_of(&rules.object(output, settings)?)?;
                            new.insert(bucket.upload(name, Purpose::Compaction))
                        }
                    };
                    upload.push(bytes).await?;
                }
                MergeStep::Finished { output, run } => {
                    let object = rules.object(output, settings)?;
                    let upload = uploads.remove(&output).ok_or(MergeRefused::NotAsked)?;
                    let sha256 = upload.finish().await?.sha256;
                    runs.push(WrittenRun { object, run: *run, sha256 });
                }
                MergeStep::Done(totals) => return Ok((runs, totals)),
            }
            // What is read ahead comes without waiting.
            tokio::task::yield_now().await;
        }
    }
}

/// Gives a merge what it asked for. Damage is looked at twice: it may have happened on the way.
async fn feed(
    merge: &mut Merge,
    reader: &mut Reader<'_>,
    input: usize,
    span: Span,
) -> Result<(), CompactError> {
    let bytes = reader.get(input, span).await?;
    if merge.feed(&bytes).is_ok() {
        return Ok(());
    }
    let bytes = reader.again(input, span).await?;
    merge.feed(&bytes).map_err(|refused| named(refused, reader))
}

/// Says which object is damaged, instead of which input.
fn named(refused: MergeRefused, reader: &Reader<'_>) -> CompactError {
    if let MergeRefused::Damaged { input, source } = refused
        && let Some(object) = reader.object(input)
    {
        return CompactError::Damaged { object, source };
    }
    refused.into()
}

/// What the merge is told, fixed when it begins.
struct Rules<'a> {
    work: &'a Work<'a>,
    treatments: BTreeMap<QueueUid, Treatment>,
    newest: Newest,
    next_id: &'a mut (dyn FnMut() -> ObjectId + Send),
    /// Of the outputs, by their numbers.
    ids: Vec<ObjectId>,
}

impl Rules<'_> {
    fn object(&self, output: usize, settings: MergeSettings) -> Result<ObjectName, CompactError> {
        let MergeSettings { pg, epoch, level, .. } = settings;
        let id = *self.ids.get(output).ok_or(MergeRefused::NotAsked)?;
        Ok(ObjectName::Run { level, pg, epoch, id })
    }
}

impl MergeRules for Rules<'_> {
    fn treatment(&self, queue: QueueUid) -> Treatment {
        // Every queue of the inputs was asked about.
        self.treatments.get(&queue).copied().unwrap_or(Treatment::Keep(QueueOffset(0)))
    }

    fn keeps(&self, message: &Record) -> bool {
        let Work { topics, older, now, .. } = *self.work;
        let Some(keyed) = topics.key_of(message) else { return true };
        let reaches_start =
            older.is_some_and(|older| older.iter().all(|entry| !entry.queues.has(message.queue)));
        self.newest.keeps(message, keyed, now, reaches_start)
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        self.work.topics.keys(message, into);
    }

    fn next_id(&mut self) -> ObjectId {
        let id = (self.next_id)();
        self.ids.push(id);
        id
    }
}

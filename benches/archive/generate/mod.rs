//! A bucket as brokers would have filled it in a year: bundles, runs made of them, manifests; real
//! formats, made in memory in seconds and uploaded. What a reader is opened with is returned.
//!
//! ```text
//!   Shape ──► Group (a log, its manifest, its merges) per placement group
//!                │ ranges                    ▲ tails
//!                └──► one bundle of all ─────┘      uploads ──► Bucket
//! ```
//!
//! Objects that a merge replaced are never uploaded, as if collection had taken them. All is made of
//! the shape alone: the same shape gives the same bucket.
mod group;
mod lookup;
mod merge;
pub(crate) mod paper;

use bytes::Bytes;
use group::Group;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::object::{KeyHash, Properties};
use storage::object::{Bucket, Name, Purpose};
use storage::tier::{BundleBuilder, Knowledge, ObjectId, ObjectName};
use storage::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
use tokio::task::JoinSet;

pub(crate) use lookup::look_up;

/// The scope of all keys: the topic.
pub(crate) const TOPIC: &[u8] = b"archive";
const EPOCH: Epoch = Epoch(3);
const SESSION: u64 = 0x5e55;
/// 2025-01-01.
const BEGIN: Timestamp = Timestamp(1_735_689_600_000);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Bodies of [`Shape::few_large`].
pub(crate) const LARGE_BODY_BYTES: usize = 1 << 10;
const UPLOADS_AT_ONCE: usize = 16;

/// What a bucket is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Placement groups; each has a part of every bundle.
    pub(crate) groups: u32,
    /// Queues of each of them.
    pub(crate) queues: u64,
    /// Bundles that were ever made.
    pub(crate) bundles: u64,
    /// Messages of one placement group in one bundle, in queues that follow each other.
    pub(crate) messages: u64,
    /// Different queues among them.
    pub(crate) queues_at_once: u64,
    /// Bytes of a message's body.
    pub(crate) body_bytes: usize,
    /// Of them, those that cannot be compressed.
    pub(crate) noise_bytes: usize,
    /// Keys of each message.
    pub(crate) keys: u64,
    /// Different tags.
    pub(crate) tags: u64,
    /// The time between the first message and the last.
    pub(crate) span: Duration,
    /// Merges, lowest level first.
    pub(crate) merges: Vec<MergeShape>,
}

/// Merges to one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergeShape {
    /// Of so many bundles, or outcomes of merges to the level below.
    pub(crate) inputs: usize,
    /// Length of the windows of its runs.
    pub(crate) window: Duration,
    /// Bytes that end a run of several queues.
    pub(crate) run_bytes: u64,
}

impl Shape {
    /// About 10,000 objects of a few KiB over a year: a run or two of each hour, and bundles.
    pub(crate) fn many_small() -> Shape {
        let window = Duration::from_secs(3_600);
        Shape {
            groups: 1,
            queues: 200,
            bundles: 18_000,
            messages: 24,
            queues_at_once: 6,
            body_bytes: 200,
            noise_bytes: 100,
            keys: 1,
            tags: 20,
            span: YEAR,
            merges: vec![MergeShape { inputs: 16, window, run_bytes: 256 << 20 }],
        }
    }

    /// The same year after a second level of merges: days, then hours, then bundles.
    pub(crate) fn years_end() -> Shape {
        let window = Duration::from_secs(86_400);
        let mut shape = Shape { groups: 2, ..Shape::many_small() };
        shape.merges.push(MergeShape { inputs: 300, window, run_bytes: 256 << 20 });
        shape
    }

    /// Large bundles of few queues, one after the other: `bytes` to read from front to back, so many
    /// of each [`LARGE_BODY_BYTES`] not to be compressed.
    pub(crate) fn few_large(bytes: u64, noise_bytes: usize) -> Shape {
        let (body_bytes, messages) = (LARGE_BODY_BYTES, 16 << 10);
        Shape {
            groups: 1,
            queues: 4,
            bundles: bytes.div_ceil(messages * body_bytes as u64),
            messages,
            queues_at_once: 4,
            body_bytes,
            noise_bytes,
            keys: 1,
            tags: 20,
            span: Duration::from_secs(86_400),
            merges: Vec::new(),
        }
    }
}

/// What a placement group's record says.
#[derive(Clone, Debug)]
pub(crate) struct GroupRecord {
    pub(crate) pg: PgId,
    pub(crate) root: Option<ObjectName>,
    pub(crate) deltas: Vec<Bytes>,
    pub(crate) tiered: Lsn,
}

/// A message that must be found.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) pg: PgId,
    pub(crate) queue: QueueUid,
    pub(crate) offset: QueueOffset,
    pub(crate) lsn: Lsn,
    pub(crate) time: Timestamp,
    pub(crate) key: KeyHash,
}

/// What was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    pub(crate) groups: Vec<GroupRecord>,
    /// Spread evenly over all messages.
    pub(crate) samples: Vec<Sample>,
    pub(crate) size: Size,
}

/// How much was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Size {
    pub(crate) messages: u64,
    pub(crate) body_bytes: u64,
    /// Objects that are there, by level, and their bytes.
    pub(crate) levels: BTreeMap<u8, (u64, u64)>,
    /// Bytes that merges read and wrote.
    pub(crate) merged: (u64, u64),
    pub(crate) manifest: Manifest,
}

/// All placement groups' manifests together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) entries: u64,
    /// Entries that pages have.
    pub(crate) entries_in_pages: u64,
    /// Pages, and their bytes.
    pub(crate) pages: (u64, u64),
    pub(crate) root_bytes: u64,
    /// Deltas, and their bytes: what lies in the metadata store.
    pub(crate) deltas: (u64, u64),
    pub(crate) folds: u64,
    /// Pages and roots that folds ever wrote, and their bytes.
    pub(crate) written: (u64, u64),
}

impl Size {
    pub(crate) fn objects(&self) -> u64 {
        self.levels.values().map(|(objects, _)| objects).sum()
    }

    pub(crate) fn object_bytes(&self) -> u64 {
        self.levels.values().map(|(_, bytes)| bytes).sum()
    }
}

/// An object that is to be uploaded.
pub(crate) type Upload = (ObjectName, Vec<Bytes>);

/// Makes a bucket of this shape.
///
/// # Errors
/// When the store does not take an object, or the shape cannot be made.
pub(crate) async fn fill(bucket: &Bucket, shape: &Shape) -> io::Result<Archive> {
    let mut uploads = Uploads { bucket: bucket.clone(), tasks: JoinSet::new() };
    let mut groups: Vec<Group> = (0..shape.groups)
        .map(|number| Group::new(PgId::new(number).expect("few groups"), shape))
        .collect();
    let mut samples = Vec::new();
    let mut size = Size::default();
    let every = (shape.bundles / 512).max(1);
    for number in 0..shape.bundles {
        let mut builder = BundleBuilder::new(u64::MAX);
        for group in &mut groups {
            let sample = group.append(shape, number).map_err(io::Error::other)?;
            samples.extend((number % every == 0).then_some(sample));
            group.log.seal_into(&mut builder, EPOCH).map_err(io::Error::other)?;
        }
        let id = ObjectId { id: number + 1, nonce: 7 };
        let bundle = builder.finish(id, &Properties::default(), &ByKey { keys: shape.keys });
        let bundle = bundle.map_err(io::Error::other)?;
        let object = Bytes::from(bundle.parts.concat());
        // A bundle is in several manifests, and one object.
        let mut done = BTreeMap::new();
        for group in &mut groups {
            let tail = &bundle.finished.tail;
            done.extend(group.commit_bundle(shape, tail, &object).map_err(io::Error::other)?);
        }
        for upload in done {
            size.count(&upload);
            uploads.put(upload).await?;
        }
    }
    let rest: BTreeMap<ObjectName, Vec<Bytes>> = groups.iter().flat_map(Group::rest).collect();
    for upload in rest {
        size.count(&upload);
        uploads.put(upload).await?;
    }
    uploads.finish().await?;
    size.messages = shape.bundles * shape.messages * u64::from(shape.groups);
    size.body_bytes = size.messages * shape.body_bytes as u64;
    groups.iter().for_each(|group| group.add_size(&mut size));
    Ok(Archive { groups: groups.iter().map(Group::record).collect(), samples, size })
}

impl Size {
    fn count(&mut self, (name, parts): &Upload) {
        let level = match name {
            ObjectName::Bundle { .. } => 0,
            ObjectName::Run { level, .. } => *level,
            ObjectName::Page { .. }
            | ObjectName::Keys { .. }
            | ObjectName::Root { .. }
            | ObjectName::Snapshot { .. } => return,
        };
        let known = self.levels.entry(level).or_default();
        known.0 += 1;
        known.1 += parts.iter().map(|part| part.len() as u64).sum::<u64>();
    }
}

/// Uploads under way.
struct Uploads {
    bucket: Bucket,
    tasks: JoinSet<Result<(), storage::object::Error>>,
}

impl Uploads {
    async fn put(&mut self, (name, parts): Upload) -> io::Result<()> {
        while self.tasks.len() >= UPLOADS_AT_ONCE {
            self.one().await?;
        }
        let bucket = self.bucket.clone();
        let name = Name::parse(&name.to_string()).map_err(io::Error::other)?;
        self.tasks
            .spawn(async move { bucket.create(&name, parts, Purpose::Upload).await.map(|_| ()) });
        Ok(())
    }

    async fn one(&mut self) -> io::Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(outcome)) => outcome.map_err(io::Error::other),
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        while !self.tasks.is_empty() {
            self.one().await?;
        }
        Ok(())
    }
}

/// Bodies begin with a number, which keys are made of.
pub(crate) struct ByKey {
    keys: u64,
}

/// The text of one of a message's keys.
fn key_of(number: u64, at: u64) -> KeyHash {
    KeyHash::of_key(TOPIC, format!("order-{number:012}-{at}").as_bytes())
}

fn keys_of(body: &[u8], keys: u64, into: &mut Vec<KeyHash>) {
    if let Some(number) = body.first_chunk::<8>() {
        let number = u64::from_le_bytes(*number);
        into.extend((0..keys).map(|at| key_of(number, at)));
    }
}

impl Knowledge for ByKey {
    fn keys(&self, message: &storage::format::object::Record, into: &mut Vec<KeyHash>) {
        keys_of(&message.body(), self.keys, into);
    }

    fn is_gone(&self, _: PgId, _: QueueUid) -> bool {
        false
    }

    fn opened_at(&self, _: PgId, _: QueueUid) -> Option<QueueOffset> {
        None
    }
}

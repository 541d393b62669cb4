//! A copy of what the metadata store has for the whole cluster, as one object in the bucket.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, version u16, 0 u16 | |
//! | 8 | revision u64, taken u64 | of the store; when, ms |
//! | 24 | count u32 | |
//! | 28 | records | key_len u16, key, value_len u32, value; ascending by key |
//! | end - 4 | crc u32 | crc32c of all before it |
//!
//! It has the cluster record, topics, groups and the uid mark. It has no placement groups (each has copies of its own,
//! which follow its commits) and nothing that is bound to a lease.
//!
//! It has no secret: whoever may read the bucket could forge receipt handles. A store that is made of it draws a new
//! secret; handles of before are then refused, and their messages delivered again when their time is over.

use crate::model::{Cluster, Group, Record, RecordError, Topic, UidMark, key};
use crate::store::{Range, Revision};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use storage::env::Timestamp;
use storage::format::object::{sealed, unsealed};
use storage::format::{FormatError, QueueUid};

/// Bytes that a dump may have: what one read of the bucket brings. 100,000 topics take about a quarter of it.
pub const DUMP_BYTES_MAX: usize = 64 << 20;

const MAGIC: u32 = 0x504d_4453; // "SDMP"
const VERSION: u16 = 1;
/// The fewest bytes of a record.
const RECORD_BYTES_MIN: usize = 6;

/// The copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Of the metadata store, when it was read.
    pub revision: Revision,
    /// When it was read.
    pub taken: Timestamp,
    /// Values by key; the cluster's without its secret.
    records: BTreeMap<String, Bytes>,
}

/// Why there is no dump, or it is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpRefused {
    /// More than [`DUMP_BYTES_MAX`].
    #[error("the catalog has {0} bytes, a copy of it may have {DUMP_BYTES_MAX}")]
    TooLarge(usize),
    /// Not what was written.
    #[error("these are not the bytes of a catalog's copy")]
    Format(#[from] FormatError),
    /// A record that this version cannot read.
    #[error("the record of {key} cannot be read")]
    Record {
        /// Its key.
        key: String,
        /// Why.
        source: RecordError,
    },
    /// There is no cluster record.
    #[error("the copy has no cluster record")]
    NoCluster,
}

impl Dump {
    /// A dump of everything that `range` shows of a store; `range` is of the empty prefix.
    ///
    /// # Errors
    /// When a record cannot be read, or they are too many.
    pub fn of(range: &Range, taken: Timestamp) -> Result<Dump, DumpRefused> {
        let mut records = BTreeMap::new();
        let kept = range.pairs.iter().filter(|pair| pair.lease.is_none() && is_kept(&pair.key));
        for pair in kept {
            let value = if &*pair.key == key::CLUSTER {
                let cluster = Cluster::decode(&pair.value);
                cluster.map_err(|source| unreadable(&pair.key, source))?.encode_public()
            } else {
                pair.value.clone()
            };
            records.insert(pair.key.to_string(), value);
        }
        let dump = Dump { revision: range.revision, taken, records };
        dump.check()?;
        let bytes = dump.len();
        if bytes > DUMP_BYTES_MAX { Err(DumpRefused::TooLarge(bytes)) } else { Ok(dump) }
    }

    fn len(&self) -> usize {
        let record = |(key, value): (&String, &Bytes)| RECORD_BYTES_MIN + key.len() + value.len();
        32 + self.records.iter().map(record).sum::<usize>()
    }

    /// Every record can be read, so that a store made of them can.
    fn check(&self) -> Result<(), DumpRefused> {
        for (key, value) in &self.records {
            let read = if key == key::CLUSTER {
                Cluster::decode_public(value, [0; 32]).map(drop)
            } else if key.starts_with(key::TOPICS) {
                Topic::decode(value).map(drop)
            } else if key.starts_with(key::GROUPS) {
                Group::decode(value).map(drop)
            } else {
                UidMark::decode(value).map(drop)
            };
            read.map_err(|source| unreadable(key, source))?;
        }
        if self.records.contains_key(key::CLUSTER) { Ok(()) } else { Err(DumpRefused::NoCluster) }
    }

    /// The cluster, with this secret.
    ///
    /// # Errors
    /// Never of a dump that was decoded.
    pub fn cluster(&self, secret: [u8; 32]) -> Result<Cluster, DumpRefused> {
        let value = self.records.get(key::CLUSTER).ok_or(DumpRefused::NoCluster)?;
        Cluster::decode_public(value, secret).map_err(|source| unreadable(key::CLUSTER, source))
    }

    /// Topics and groups by key, as the store has them.
    pub fn named(&self) -> impl Iterator<Item = (&String, &Bytes)> {
        let is_named = |key: &str| key.starts_with(key::TOPICS) || key.starts_with(key::GROUPS);
        self.records.iter().filter(move |(key, _)| is_named(key))
    }

    /// Every topic.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        let topics = self.records.iter().filter(|(key, _)| key.starts_with(key::TOPICS));
        topics.filter_map(|(_, value)| Topic::decode(value).ok())
    }

    /// Every group.
    pub fn groups(&self) -> impl Iterator<Item = Group> + '_ {
        let groups = self.records.iter().filter(|(key, _)| key.starts_with(key::GROUPS));
        groups.filter_map(|(_, value)| Group::decode(value).ok())
    }

    /// Every queue of a topic, and every group's dead letters.
    pub fn queues(&self) -> BTreeSet<QueueUid> {
        let of_topics = self.topics().flat_map(|topic| topic.queues().to_vec());
        let of_groups = self.groups().map(|group| group.dead_letter_queue());
        of_topics.map(|queue| queue.uid).chain(of_groups).collect()
    }

    /// The first uid that nobody had taken.
    pub fn uid_mark(&self) -> UidMark {
        let mark = self.records.get(key::UID).and_then(|value| UidMark::decode(value).ok());
        mark.unwrap_or(UidMark::FIRST)
    }

    /// The dump's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.revision.0.to_le_bytes());
        out.extend_from_slice(&self.taken.0.to_le_bytes());
        out.extend_from_slice(&(self.records.len() as u32).to_le_bytes());
        for (key, value) in &self.records {
            out.extend_from_slice(&(key.len() as u16).to_le_bytes());
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(value);
        }
        sealed(out)
    }

    /// Reads a dump, and every record in it.
    ///
    /// # Errors
    /// When these are not its bytes, or it has something that this version cannot read.
    pub fn decode(bytes: &Bytes) -> Result<Dump, DumpRefused> {
        if bytes.len() > DUMP_BYTES_MAX {
            return Err(DumpRefused::TooLarge(bytes.len()));
        }
        let body = bytes.slice_ref(unsealed(bytes)?);
        let dump = Dump::read(&body)?;
        dump.check()?;
        Ok(dump)
    }

    fn read(body: &Bytes) -> Result<Dump, FormatError> {
        let mut take = Take(body.clone());
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let version = take.u16()?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        take.u16()?;
        let (revision, taken) = (Revision(take.u64()? as i64), Timestamp(take.u64()?));
        let count = take.u32()? as usize;
        if count.saturating_mul(RECORD_BYTES_MIN) > take.0.len() {
            return Err(FormatError::Length);
        }
        let mut records = BTreeMap::new();
        for _ in 0..count {
            let key_len = take.u16()?.into();
            let key = take.bytes(key_len)?;
            let key = str::from_utf8(&key).map_err(|_| FormatError::Contradiction)?.to_owned();
            let value_len = take.u32()? as usize;
            let value = take.bytes(value_len)?;
            let ascends = records.last_key_value().is_none_or(|(last, _)| *last < key);
            if !ascends || !is_kept(&key) {
                return Err(FormatError::Contradiction);
            }
            records.insert(key, value);
        }
        if take.0.is_empty() {
            Ok(Dump { revision, taken, records })
        } else {
            Err(FormatError::Length)
        }
    }
}

fn unreadable(key: &str, source: RecordError) -> DumpRefused {
    DumpRefused::Record { key: key.to_owned(), source }
}

/// What a dump has: named one by one, since whoever adds a kind of record has to think of who reads the bucket.
fn is_kept(key: &str) -> bool {
    [key::CLUSTER, key::UID].contains(&key)
        || key.starts_with(key::TOPICS)
        || key.starts_with(key::GROUPS)
}

/// What is left to read; parts share its bytes.
struct Take(Bytes);

impl Take {
    fn bytes(&mut self, count: usize) -> Result<Bytes, FormatError> {
        if count > self.0.len() {
            return Err(FormatError::Truncated);
        }
        Ok(self.0.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let part = self.bytes(N)?;
        part.first_chunk().copied().ok_or(FormatError::Truncated)
    }

    fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;

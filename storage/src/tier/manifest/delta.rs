//! A delta: what one commit changes in the manifest. It lies in the placement group's record until
//! it is folded.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u16, version u8, 0 u8 | |
//! | 4 | from u64, to u64 | `tiered` before and after |
//! | 20 | changes u32 | |
//! | 24 | changes | a byte that says which, then its fields |
//! | end - 4 | crc u32 | |
//!
//! | change | fields |
//! |---|---|
//! | 1 add | the entry, as behind nothing |
//! | 2 remove | lsn varint, id varint, nonce u32 |
//! | 3 start | queue varint, offset varint |
//! | 4 forget | queue varint |
//! | 5 lost | from varint, length varint |
//! | 6 summary | [`super::SummaryRef`] |
//! | 7 no summary | id varint, nonce u32 |

use super::entry::{Key, RunEntry};
use super::root::Root;
use super::summaries::SummaryRef;
use crate::format::object::{sealed, unsealed};
use crate::format::take::{Take, put_varint};
use crate::format::{FormatError, Lsn, QueueOffset, QueueUid};
use crate::tier::ObjectId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Deltas that a record may carry.
pub const DELTAS_MAX: usize = 128;
/// Bytes of deltas that a record may carry: a metadata store's value is not to be large.
pub const DELTA_BYTES_MAX: usize = 256 << 10;

const MAGIC: u16 = 0x444d; // "MD"
const VERSION: u8 = 1;

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An object is referenced.
    Add(RunEntry),
    /// An object is no longer referenced.
    Remove(Key),
    /// A queue's messages before this offset are no longer kept.
    Start {
        /// The queue.
        queue: QueueUid,
        /// The first offset that is.
        offset: QueueOffset,
    },
    /// A queue is gone, with its start.
    Forget(QueueUid),
    /// What was between is lost: an operator opened the next epoch without it.
    Lost {
        /// First position.
        from: Lsn,
        /// After the last.
        to: Lsn,
    },
    /// Keys of many objects are summarised.
    Summary(SummaryRef),
    /// A key summary is no longer referenced.
    NoSummary(ObjectId),
}

/// What one commit changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// `tiered` before.
    pub from: Lsn,
    /// `tiered` after; not less.
    pub to: Lsn,
    /// In order.
    pub changes: Vec<Change>,
}

impl Delta {
    /// The delta's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_le_bytes().to_vec();
        out.extend_from_slice(&[VERSION, 0]);
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.to.0.to_le_bytes());
        out.extend_from_slice(&(self.changes.len() as u32).to_le_bytes());
        for change in &self.changes {
            match change {
                Change::Add(entry) => {
                    out.push(1);
                    entry.put(&RunEntry::nothing(), &mut out);
                }
                Change::Remove(key) => {
                    out.push(2);
                    put_varint(&mut out, key.from.0);
                    put_varint(&mut out, key.object.id);
                    out.extend_from_slice(&key.object.nonce.to_le_bytes());
                }
                Change::Start { queue, offset } => {
                    out.push(3);
                    put_varint(&mut out, queue.0);
                    put_varint(&mut out, offset.0);
                }
                Change::Forget(queue) => {
                    out.push(4);
                    put_varint(&mut out, queue.0);
                }
                Change::Lost { from, to } => {
                    out.push(5);
                    put_varint(&mut out, from.0);
                    put_varint(&mut out, to.since(*from));
                }
                Change::Summary(summary) => {
                    out.push(6);
                    summary.put(&mut out);
                }
                Change::NoSummary(object) => {
                    out.push(7);
                    put_varint(&mut out, object.id);
                    out.extend_from_slice(&object.nonce.to_le_bytes());
                }
            }
        }
        sealed(out)
    }

    /// Reads a delta.
    ///
    /// # Errors
    /// When these are not its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Delta, FormatError> {
        let mut take = Take(unsealed(bytes)?);
        if take.u16()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let version = take.u8()?;
        if version != VERSION {
            return Err(FormatError::Version(version.into()));
        }
        take.u8()?;
        let (from, to) = (Lsn(take.u64()?), Lsn(take.u64()?));
        let count = take.u32()? as usize;
        // A change has two bytes at least.
        if to < from || count > take.0.len() {
            return Err(FormatError::Length);
        }
        let changes = (0..count).map(|_| take_change(&mut take)).collect::<Result<Vec<_>, _>>()?;
        if take.0.is_empty() { Ok(Delta { from, to, changes }) } else { Err(FormatError::Length) }
    }
}

fn take_change(take: &mut Take<'_>) -> Result<Change, FormatError> {
    Ok(match take.u8()? {
        1 => Change::Add(RunEntry::take(take, &RunEntry::nothing())?),
        2 => {
            let (from, id) = (Lsn(take.varint()?), take.varint()?);
            Change::Remove(Key { from, object: ObjectId { id, nonce: take.u32()? } })
        }
        3 => Change::Start { queue: QueueUid(take.varint()?), offset: QueueOffset(take.varint()?) },
        4 => Change::Forget(QueueUid(take.varint()?)),
        5 => {
            let from = take.varint()?;
            let to = from.checked_add(take.varint()?).ok_or(FormatError::Contradiction)?;
            Change::Lost { from: Lsn(from), to: Lsn(to) }
        }
        6 => Change::Summary(SummaryRef::take(take)?),
        7 => Change::NoSummary(ObjectId { id: take.varint()?, nonce: take.u32()? }),
        kind => return Err(FormatError::Kind(kind)),
    })
}

/// Whether a record with these deltas is to be folded before it takes one more of `next` bytes. A delta
/// that is too large for an empty record is folded with the others ([`Overlay::push`]): the commit
/// that would have brought it brings the new root.
pub fn must_fold(deltas: &[Bytes], next: usize) -> bool {
    let bytes: usize = deltas.iter().map(Bytes::len).sum();
    deltas.len() >= DELTAS_MAX || bytes + next > DELTA_BYTES_MAX
}

/// Why deltas are not those of a manifest: stop, and let nobody commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaRefused {
    /// A delta does not begin where the one before ended.
    #[error("a delta begins at {found} where the manifest ends at {expected}")]
    Position {
        /// Where the manifest ends.
        expected: Lsn,
        /// Where the delta begins.
        found: Lsn,
    },
    /// An object is added that is there already, or removed twice.
    #[error("object {0} is added or removed twice")]
    Twice(ObjectId),
}

/// Deltas on top of a root, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// `tiered` after all of them.
    pub tiered: Lsn,
    /// Entries that no page has.
    pub added: BTreeMap<Key, RunEntry>,
    /// Entries of pages that are no more.
    pub removed: BTreeSet<Key>,
    /// Starts that pages do not have; `None`: the queue is gone.
    pub starts: BTreeMap<QueueUid, Option<QueueOffset>>,
    /// Losses that the root does not have.
    pub lost: Vec<(Lsn, Lsn)>,
    /// Key summaries that the root does not have; `None`: those that are no more.
    pub summaries: BTreeMap<ObjectId, Option<SummaryRef>>,
}

impl Overlay {
    /// The deltas on top of `root`, oldest first.
    ///
    /// # Errors
    /// When they do not follow each other.
    pub fn of(root: &Root, deltas: &[Delta]) -> Result<Overlay, DeltaRefused> {
        let mut overlay = Overlay { tiered: root.tiered, ..Overlay::default() };
        deltas.iter().try_for_each(|delta| overlay.push(delta))?;
        Ok(overlay)
    }

    /// The key summaries of a manifest with this root, ascending by object.
    pub fn all_summaries(&self, root: &Root) -> Vec<SummaryRef> {
        let mut all: BTreeMap<ObjectId, SummaryRef> =
            root.summaries.iter().map(|summary| (summary.object, *summary)).collect();
        for (object, summary) in &self.summaries {
            match summary {
                Some(summary) => all.insert(*object, *summary),
                None => all.remove(object),
            };
        }
        all.into_values().collect()
    }

    /// Takes one more delta.
    ///
    /// # Errors
    /// When it does not follow; the overlay is then of no use.
    pub fn push(&mut self, delta: &Delta) -> Result<(), DeltaRefused> {
        if delta.from != self.tiered {
            return Err(DeltaRefused::Position { expected: self.tiered, found: delta.from });
        }
        self.tiered = delta.to;
        for change in &delta.changes {
            match change {
                Change::Add(entry) => {
                    let key = entry.key();
                    if self.added.insert(key, *entry).is_some() || self.removed.contains(&key) {
                        return Err(DeltaRefused::Twice(entry.object));
                    }
                }
                Change::Remove(key) => {
                    if self.added.remove(key).is_none() && !self.removed.insert(*key) {
                        return Err(DeltaRefused::Twice(key.object));
                    }
                }
                Change::Start { queue, offset } => {
                    let start = self.starts.entry(*queue).or_insert(None);
                    *start = Some(start.unwrap_or_default().max(*offset));
                }
                Change::Forget(queue) => {
                    self.starts.insert(*queue, None);
                }
                Change::Lost { from, to } => self.lost.push((*from, *to)),
                Change::Summary(summary) => {
                    self.summaries.insert(summary.object, Some(*summary));
                }
                Change::NoSummary(object) => {
                    self.summaries.insert(*object, None);
                }
            }
        }
        Ok(())
    }
}

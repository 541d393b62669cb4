//! The object that spares a recovery the whole log: what a placement group's operations have come
//! to, and where its queues end.
//!
//! | field | |
//! |---|---|
//! | magic u32, version u16 | `SSNP`, 1 |
//! | applied u64, ends_at u64 | lsn; the second is not the earlier |
//! | count n, then for each: kind u8, length n, bytes | sections, ascending by kind |
//! | crc u32 | CRC-32C of all before |
//!
//! The consumption machine has every operation below `applied`, the queue ends every record below
//! `ends_at`. Numbers of the head are little-endian, `n` is LEB128. A section's bytes belong to who makes
//! them. A kind that this program does not know is refused with the whole snapshot: to go on
//! without it would be to forget what it holds.
//!
//! The queue ends are `count n`, then for each queue, ascending: `gap n` (from the queue before),
//! `next n`, `opened u8`, and where that is 1 `next n, crashes n`.

use crate::varint::{Reader, put, sealed, unsealed};
use std::collections::BTreeMap;
use storage::QueueEnd;
use storage::format::{Lsn, QueueOffset, QueueOpenRecord, QueueUid};

pub use crate::varint::Malformed;

const MAGIC: u32 = 0x504e_5353; // "SSNP"
const VERSION: u16 = 1;
/// A section has a kind and a length.
const SECTION_BYTES_MIN: usize = 2;
/// A queue's end has a gap, an offset and a mark.
const QUEUE_END_BYTES_MIN: usize = 3;

/// What a section holds. Ids are persisted and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SectionKind {
    /// The consumption machine, as `consume::state::State` writes it.
    Consumption = 1,
    /// Where queues end, as [`encode_queue_ends`] writes it.
    QueueEnds = 2,
}

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotMalformed {
    /// Bytes of something else.
    #[error("the magic number is another's")]
    Magic,
    /// Another version than this program writes.
    #[error("the snapshot's version {0} is not known here; start a newer version")]
    Version(u16),
    /// A section that this program does not know.
    #[error("the snapshot's section {0} is not known here; start a newer version")]
    Section(u8),
    /// The bytes are not those that were written.
    #[error("the snapshot's checksum does not fit")]
    Checksum,
    /// Bytes with a good checksum that say what cannot be.
    #[error("the snapshot cannot be read: {0}")]
    Content(#[from] Malformed),
}

/// A snapshot, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Every operation below is in the consumption section.
    pub applied: Lsn,
    /// Every record below is in the queue ends; not before `applied`.
    pub ends_at: Lsn,
    /// The sections' bytes.
    pub sections: BTreeMap<SectionKind, Vec<u8>>,
}

impl SectionKind {
    fn from_id(id: u8) -> Option<SectionKind> {
        match id {
            1 => Some(SectionKind::Consumption),
            2 => Some(SectionKind::QueueEnds),
            _ => None,
        }
    }
}

impl SnapshotFile {
    /// The object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let content: usize = self.sections.values().map(Vec::len).sum();
        let mut out = Vec::with_capacity(content + 64);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.applied.0.to_le_bytes());
        out.extend_from_slice(&self.ends_at.0.to_le_bytes());
        put(&mut out, self.sections.len() as u64);
        for (kind, bytes) in &self.sections {
            out.push(*kind as u8);
            put(&mut out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        sealed(out)
    }

    /// Reads the object.
    ///
    /// # Errors
    /// [`SnapshotMalformed`].
    pub fn decode(bytes: &[u8]) -> Result<SnapshotFile, SnapshotMalformed> {
        if bytes.first_chunk::<4>() != Some(&MAGIC.to_le_bytes()) {
            return Err(SnapshotMalformed::Magic);
        }
        let mut input = Reader(unsealed(bytes).ok_or(SnapshotMalformed::Checksum)?);
        input.bytes(size_of_val(&MAGIC))?;
        let version = u16::from_le_bytes(input.array()?);
        if version != VERSION {
            return Err(SnapshotMalformed::Version(version));
        }
        let applied = Lsn(u64::from_le_bytes(input.array()?));
        let ends_at = Lsn(u64::from_le_bytes(input.array()?));
        if ends_at < applied {
            return Err(Malformed::Number.into());
        }
        let mut sections = BTreeMap::new();
        for _ in 0..input.count(SECTION_BYTES_MIN)? {
            let id = input.byte()?;
            let kind = SectionKind::from_id(id).ok_or(SnapshotMalformed::Section(id))?;
            let length = input.count(1)?;
            if sections.last_key_value().is_some_and(|(last, _)| *last >= kind) {
                return Err(Malformed::Number.into());
            }
            sections.insert(kind, input.bytes(length)?.to_vec());
        }
        input.end()?;
        Ok(SnapshotFile { applied, ends_at, sections })
    }
}

/// The bytes of a section of queue ends; `ends` ascend by queue.
pub fn encode_queue_ends(ends: &[QueueEnd]) -> Vec<u8> {
    debug_assert!(ends.is_sorted_by(|a, b| a.queue < b.queue), "queue ends ascend");
    let mut out = Vec::with_capacity(16 * ends.len());
    put(&mut out, ends.len() as u64);
    let mut before = 0;
    for end in ends {
        put(&mut out, end.queue.0 - before);
        before = end.queue.0;
        put(&mut out, end.next.0);
        out.push(u8::from(end.opened.is_some()));
        if let Some(QueueOpenRecord { next, crashes }) = end.opened {
            put(&mut out, next.0);
            put(&mut out, crashes.into());
        }
    }
    out
}

/// Reads a section of queue ends; they ascend by queue.
///
/// # Errors
/// [`SnapshotMalformed::Content`].
pub fn decode_queue_ends(bytes: &[u8]) -> Result<Vec<QueueEnd>, SnapshotMalformed> {
    let mut input = Reader(bytes);
    let count = input.count(QUEUE_END_BYTES_MIN)?;
    let mut ends: Vec<QueueEnd> = Vec::with_capacity(count);
    for _ in 0..count {
        let before = ends.last().map(|end| end.queue.0);
        let gap = input.number()?;
        if gap == 0 && before.is_some() {
            return Err(Malformed::Number.into());
        }
        let queue = before.unwrap_or(0).checked_add(gap).ok_or(Malformed::Number)?;
        let next = QueueOffset(input.number()?);
        let opened = match input.byte()? {
            0 => None,
            1 => {
                let next = QueueOffset(input.number()?);
                Some(QueueOpenRecord { next, crashes: input.small()? })
            }
            _ => return Err(Malformed::Number.into()),
        };
        ends.push(QueueEnd { queue: QueueUid(queue), next, opened });
    }
    input.end()?;
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn opened() -> impl Strategy<Value = Option<QueueOpenRecord>> {
        let record = (any::<u64>(), any::<u32>())
            .prop_map(|(next, crashes)| QueueOpenRecord { next: QueueOffset(next), crashes });
        prop::option::of(record)
    }

    fn ends() -> impl Strategy<Value = Vec<QueueEnd>> {
        let each = |(queue, (next, opened))| QueueEnd {
            queue: QueueUid(queue),
            next: QueueOffset(next),
            opened,
        };
        btree_map(any::<u64>(), (any::<u64>(), opened()), 0..20)
            .prop_map(move |ends| ends.into_iter().map(each).collect())
    }

    fn kind() -> impl Strategy<Value = SectionKind> {
        prop_oneof![Just(SectionKind::Consumption), Just(SectionKind::QueueEnds)]
    }

    fn file() -> impl Strategy<Value = SnapshotFile> {
        let sections = btree_map(kind(), vec(any::<u8>(), 0..40), 0..3);
        (any::<u64>(), any::<u64>(), sections).prop_map(|(a, b, sections)| SnapshotFile {
            applied: Lsn(a.min(b)),
            ends_at: Lsn(a.max(b)),
            sections,
        })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn golden_bytes() {
        let next = QueueOffset(300);
        let ends = [
            QueueEnd { queue: QueueUid(7), next, opened: None },
            QueueEnd {
                queue: QueueUid(9),
                next: QueueOffset(1 << 20),
                opened: Some(QueueOpenRecord { next: QueueOffset(1 << 20), crashes: 1 }),
            },
        ];
        let ends = encode_queue_ends(&ends);
        assert_eq!(hex(&ends), "0207ac0200028080400180804001");
        let sections =
            [(SectionKind::Consumption, vec![0xaa]), (SectionKind::QueueEnds, ends)].into();
        let file = SnapshotFile { applied: Lsn(5), ends_at: Lsn(6), sections };
        assert_eq!(
            hex(&file.encode()),
            "53534e50010005000000000000000600000000000000020101aa020e0207ac0200028080400180804001\
             ab1dd8d5"
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let bytes = |version: u16, kind: u8| {
            let mut out = MAGIC.to_le_bytes().to_vec();
            out.extend_from_slice(&version.to_le_bytes());
            out.extend_from_slice(&[0; 16]);
            out.extend_from_slice(&[1, kind, 0]);
            sealed(out)
        };
        let refused = |version, kind| SnapshotFile::decode(&bytes(version, kind)).err();
        assert_eq!(refused(1, 1), None);
        assert_eq!(refused(2, 1), Some(SnapshotMalformed::Version(2)));
        assert_eq!(refused(1, 3), Some(SnapshotMalformed::Section(3)));
        assert_eq!(SnapshotFile::decode(b"SOBJ....").err(), Some(SnapshotMalformed::Magic));
    }

    proptest! {
        #[test]
        fn snapshots_round_trip(file in file()) {
            prop_assert_eq!(SnapshotFile::decode(&file.encode()), Ok(file));
        }

        #[test]
        fn queue_ends_round_trip(ends in ends()) {
            prop_assert_eq!(decode_queue_ends(&encode_queue_ends(&ends)), Ok(ends));
        }

        #[test]
        fn any_flipped_bit_is_refused(file in file(), bit in any::<prop::sample::Index>()) {
            let mut bytes = file.encode();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(SnapshotFile::decode(&bytes).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..60)) {
            let _ = decode_queue_ends(&bytes);
            let mut whole = MAGIC.to_le_bytes().to_vec();
            whole.extend(VERSION.to_le_bytes());
            whole.extend(bytes);
            let _ = SnapshotFile::decode(&whole);
            if let Ok(read) = SnapshotFile::decode(&sealed(whole.clone())) {
                prop_assert_eq!(read.encode(), sealed(whole));
            }
        }
    }
}

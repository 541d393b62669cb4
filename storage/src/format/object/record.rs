//! A record of a placement group's log outside its log: its bytes as they were, and its lsn.
use super::{mix64, unmix64};
use crate::env::Timestamp;
use crate::format::{Envelope, FormatError, Kind, Lsn, QueueOffset, QueueUid, RecordKind, crc32c};
use bytes::Bytes;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// One record. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub lsn: Lsn,
    /// What it is.
    pub kind: RecordKind,
    /// Whose it is; 0: of no queue.
    pub queue: QueueUid,
    /// Its place in the queue; 0 unless a message.
    pub offset: QueueOffset,
    /// Store time.
    pub time: Timestamp,
    /// Opaque (a hash of the message's tag); 0 unless a message.
    pub filter: u64,
    bytes: Bytes,
    body_at: usize,
}

impl Record {
    /// The record at the front of `bytes`, which lies at `lsn` of its log.
    ///
    /// # Errors
    /// When `bytes` do not hold all of it, or it is no record of a log.
    pub fn first_of(lsn: Lsn, bytes: &Bytes) -> Result<Record, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        let Kind::Record(kind) = envelope.kind else {
            return Err(FormatError::Contradiction);
        };
        Ok(Record {
            lsn,
            kind,
            queue: envelope.queue,
            offset: envelope.offset,
            time: envelope.attributes.time,
            filter: envelope.attributes.filter,
            bytes: bytes.slice(..envelope.record_len() as usize),
            body_at: envelope.head_len() as usize,
        })
    }

    /// All of it, as in the log.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its body, sharing the record's bytes.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.body_at..)
    }

    /// Where the next record of the log begins.
    pub const fn end(&self) -> Lsn {
        self.lsn.plus(self.bytes.len() as u64)
    }

    /// A number made of its lsn and all its bytes. Sums of these, wrapping, do not depend on the
    /// order of records: equal sums and counts say that a merge lost, doubled and changed nothing.
    pub fn check(&self) -> u64 {
        mix64(self.lsn.0 ^ mix64(u64::from(crc32c(&self.bytes))))
    }
}

/// The bit of a 64-bit set that stands for records with this [`Record::filter`].
pub const fn tag_bit(filter: u64) -> u64 {
    1 << (mix64(filter) >> 58)
}

/// What a message is found by: 64 bits of SipHash-1-3 of a scope (a topic) and a key. Two keys may
/// share one, so whoever finds a message by it looks at the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

/// Part of the format: another key would make every index useless.
const SIP_KEYS: (u64, u64) = (0x7374_7261_7461_6d71, 0x6b65_7920_696e_6465);

impl KeyHash {
    /// Of a key, or an id, in `scope`.
    pub fn of_key(scope: &[u8], key: &[u8]) -> KeyHash {
        let mut hasher = SipHasher13::new_with_keys(SIP_KEYS.0, SIP_KEYS.1);
        // The length first: no other split of the same bytes gives the same hash.
        hasher.write(&(scope.len() as u64).to_le_bytes());
        hasher.write(scope);
        hasher.write(key);
        KeyHash(hasher.finish())
    }

    /// Of a place in a log, which needs no scope.
    pub const fn of_lsn(lsn: Lsn) -> KeyHash {
        KeyHash(mix64(lsn.0))
    }

    /// The place in a log that it would be of.
    pub const fn lsn(self) -> Lsn {
        Lsn(unmix64(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_hashes() {
        assert_eq!(KeyHash::of_key(b"topic", b"key").0, 8_998_692_631_383_055_224);
        assert_ne!(KeyHash::of_key(b"topic", b"key"), KeyHash::of_key(b"topick", b"ey"));
        assert_eq!(KeyHash::of_lsn(Lsn(1)).0, 0x5692_161d_100b_05e5);
        for lsn in [0, 1, 7 << 48, u64::MAX].map(Lsn) {
            assert_eq!(KeyHash::of_lsn(lsn).lsn(), lsn);
        }
        assert_eq!(tag_bit(0), 1);
        assert_eq!(tag_bit(2_598_919), 1 << 23);
    }
}

//! One link: one commit. These bytes are what is hashed, and what a checkpoint has of it.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | seq u64, epoch u32, flags u32 | bit 1: `added` is all there is |
//! | 16 | from u64, to u64 | `tiered` before and after |
//! | 32 | chain u32, added u32, removed u32 | the log's chain at `to`, 0 where it is not known |
//! | 44 | added objects | name_len u8, name, len u64, covered u8, digest 32 bytes if covered |
//! | … | removed objects | id u64, nonce u32 |

use super::super::name::{ObjectId, ObjectName};
use crate::format::take::Take;
use crate::format::{Epoch, FormatError, Lsn, PgId};
use sha2::{Digest as _, Sha256};
use std::fmt;

const WHOLE: u32 = 1;
/// The fewest bytes of an added object, and of a removed one.
const ADDED_BYTES_MIN: usize = 10;
const REMOVED_BYTES: usize = 12;

/// A SHA-256. Prints as hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Hashes an object while it is written or read, part by part.
#[derive(Clone, Debug, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Takes the part that follows.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The digest of all parts.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// An object that a commit references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Its name.
    pub name: ObjectName,
    /// Bytes.
    pub len: u64,
    /// Of all its bytes; `None`: it is not covered.
    pub digest: Option<Digest>,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// From 1.
    pub seq: u64,
    /// Of the record that was committed.
    pub epoch: Epoch,
    /// `tiered` before.
    pub from: Lsn,
    /// `tiered` after.
    pub to: Lsn,
    /// The log's chain at `to`; 0 where it is not known.
    pub chain: u32,
    /// `added` is all that is referenced: what went before does not count, but for the digests of
    /// objects that are named here without one.
    pub is_whole: bool,
    /// Objects that are referenced from here on; one that was named without a digest may come again
    /// with it.
    pub added: Vec<Proven>,
    /// Objects that are not referenced any more.
    pub removed: Vec<ObjectId>,
}

impl Link {
    /// The digest of the chain with this link behind `before`.
    pub fn digest(&self, pg: PgId, before: Digest) -> Digest {
        let mut bytes = before.0.to_vec();
        bytes.extend_from_slice(&pg.get().to_le_bytes());
        self.put(&mut bytes);
        let mut digester = Digester::default();
        digester.update(&bytes);
        digester.finish()
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&(if self.is_whole { WHOLE } else { 0 }).to_le_bytes());
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.to.0.to_le_bytes());
        let counts = [self.chain, self.added.len() as u32, self.removed.len() as u32];
        counts.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        for Proven { name, len, digest } in &self.added {
            let name = name.to_string();
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&len.to_le_bytes());
            out.push(digest.is_some().into());
            out.extend(digest.iter().flat_map(|digest| digest.0));
        }
        for id in &self.removed {
            out.extend_from_slice(&id.id.to_le_bytes());
            out.extend_from_slice(&id.nonce.to_le_bytes());
        }
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Link, FormatError> {
        let (seq, epoch) = (take.u64()?, Epoch(take.u32()?));
        let is_whole = match take.u32()? {
            0 => false,
            WHOLE => true,
            _ => return Err(FormatError::Contradiction),
        };
        let (from, to) = (Lsn(take.u64()?), Lsn(take.u64()?));
        let chain = take.u32()?;
        let (added, removed) = (take.u32()? as usize, take.u32()? as usize);
        let least = added.saturating_mul(ADDED_BYTES_MIN) + removed.saturating_mul(REMOVED_BYTES);
        if to < from || least > take.0.len() {
            return Err(FormatError::Length);
        }
        let added = (0..added).map(|_| take_proven(take)).collect::<Result<Vec<_>, _>>()?;
        let removed =
            (0..removed).map(|_| take_id(take)).collect::<Result<Vec<_>, FormatError>>()?;
        Ok(Link { seq, epoch, from, to, chain, is_whole, added, removed })
    }
}

fn take_proven(take: &mut Take<'_>) -> Result<Proven, FormatError> {
    let name_len = take.u8()?.into();
    let name = str::from_utf8(take.bytes(name_len)?).map_err(|_| FormatError::Contradiction)?;
    let name = name.parse().map_err(|_| FormatError::Contradiction)?;
    let len = take.u64()?;
    let digest = match take.u8()? {
        0 => None,
        1 => Some(Digest(*take.bytes(32)?.first_chunk().ok_or(FormatError::Truncated)?)),
        _ => return Err(FormatError::Contradiction),
    };
    Ok(Proven { name, len, digest })
}

fn take_id(take: &mut Take<'_>) -> Result<ObjectId, FormatError> {
    Ok(ObjectId { id: take.u64()?, nonce: take.u32()? })
}

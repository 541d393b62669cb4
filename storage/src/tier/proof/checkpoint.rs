//! A checkpoint: the links since the one before, between the digests before and after them.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, version u16, root_len u16 | |
//! | 8 | pg u32, deltas u32, links u32 | |
//! | 20 | before 32 bytes, after 32 bytes | digests; all zeros before the first link |
//! | 84 | root | name of the manifest's root after the last link; none before the first fold |
//! | … | links | |
//! | end - 4 | crc u32 | crc32c of all before it |

use super::super::manifest::Delta;
use super::link::{Digest, Link};
use crate::format::object::{sealed, unsealed};
use crate::format::take::Take;
use crate::format::{FormatError, Lsn, PgId};

/// Bytes that a checkpoint may have: what one read brings.
pub const CHECKPOINT_BYTES_MAX: usize = 64 << 20;
const MAGIC: u32 = 0x4652_5053; // "SPRF"
const VERSION: u16 = 1;
/// The fewest bytes of a link.
const LINK_BYTES_MIN: usize = 44;

/// Which manifest the last link left, so that the next owner knows what was committed after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The root in the record; none before the first fold.
    pub root: Option<String>,
    /// The deltas in the record.
    pub deltas: u32,
}

impl Mark {
    /// The deltas of a record beyond those of the mark, where the record has its root and its deltas.
    /// `tiered`: after the link that the mark is of.
    pub fn beyond<'a>(
        &self,
        tiered: Lsn,
        root: Option<&str>,
        deltas: &'a [Delta],
    ) -> Option<&'a [Delta]> {
        let (own, beyond) = deltas.split_at_checked(self.deltas as usize)?;
        // A rebuild makes one delta of several: then as many are not the same.
        let ends_there = own.last().is_none_or(|last| last.to == tiered);
        (self.root.as_deref() == root && ends_there).then_some(beyond)
    }
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose.
    pub pg: PgId,
    /// The manifest after the last link.
    pub mark: Mark,
    /// Digest before the first link.
    pub before: Digest,
    /// In order; not empty.
    pub links: Vec<Link>,
    /// Digest after the last link.
    pub after: Digest,
}

impl Checkpoint {
    /// Number of the last link.
    pub fn seq(&self) -> u64 {
        self.links.last().map_or(0, |link| link.seq)
    }

    /// `tiered` after the last link.
    pub fn tiered(&self) -> Lsn {
        self.links.last().map_or(Lsn(0), |link| link.to)
    }

    /// The checkpoint's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let root = self.mark.root.as_deref().unwrap_or_default();
        let mut out = MAGIC.to_le_bytes().to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(root.len() as u16).to_le_bytes());
        for number in [self.pg.get(), self.mark.deltas, self.links.len() as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.before.0);
        out.extend_from_slice(&self.after.0);
        out.extend_from_slice(root.as_bytes());
        self.links.iter().for_each(|link| link.put(&mut out));
        sealed(out)
    }

    /// Reads a checkpoint. Whether its digests fit says [`Checkpoint::is_chained`].
    ///
    /// # Errors
    /// When these are not its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
        if bytes.len() > CHECKPOINT_BYTES_MAX {
            return Err(FormatError::Length);
        }
        let mut take = Take(unsealed(bytes)?);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let (version, root_len) = (take.u16()?, take.u16()?);
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let pg = PgId::new(take.u32()?).ok_or(FormatError::Length)?;
        let (deltas, links) = (take.u32()?, take.u32()? as usize);
        let (before, after) = (take_digest(&mut take)?, take_digest(&mut take)?);
        let root =
            str::from_utf8(take.bytes(root_len.into())?).map_err(|_| FormatError::Contradiction)?;
        if links == 0 || links.saturating_mul(LINK_BYTES_MIN) > take.0.len() {
            return Err(FormatError::Length);
        }
        let links = (0..links).map(|_| Link::take(&mut take)).collect::<Result<Vec<_>, _>>()?;
        if !take.0.is_empty() {
            return Err(FormatError::Length);
        }
        let mark = Mark { root: (!root.is_empty()).then(|| root.to_owned()), deltas };
        Ok(Checkpoint { pg, mark, before, links, after })
    }

    /// Whether the links follow each other from the digest before to the digest after.
    pub fn is_chained(&self) -> bool {
        let follow =
            self.links.windows(2).all(|pair| pair[0].seq.checked_add(1) == Some(pair[1].seq));
        let digest = |before, link: &Link| link.digest(self.pg, before);
        follow && self.links.iter().fold(self.before, digest) == self.after
    }
}

fn take_digest(take: &mut Take<'_>) -> Result<Digest, FormatError> {
    Ok(Digest(*take.bytes(32)?.first_chunk().ok_or(FormatError::Truncated)?))
}

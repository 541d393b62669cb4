//! Names of objects in the bucket, below a cluster's prefix.
//!
//! | object | name |
//! |---|---|
//! | bundle | `l0/{session:016x}/{id:016x}-{nonce:08x}` |
//! | run of level n | `l{n}/{pg:04}/{epoch:08x}/{id:016x}-{nonce:08x}` |
//! | manifest page | `manifest/{pg:04}/{epoch:08x}/{id:016x}-{nonce:08x}.page` |
//! | key summary | `manifest/{pg:04}/{epoch:08x}/{id:016x}-{nonce:08x}.keys` |
//! | manifest root | `manifest/{pg:04}/{epoch:08x}/{id:016x}-{nonce:08x}.root` |
//! | snapshot | `snapshot/{pg:04}/{epoch:08x}/{id:016x}-{nonce:08x}` |
//!
//! Ids come from the metadata store and are given out once; the nonce is drawn for each try. So a
//! name is never used for other bytes, and an owner of the past cannot write over one of the
//! present. A session is the incarnation of the gateway process that wrote the bundle: it is never
//! used again, and a folder of it is what an orphan sweep lists.

use crate::format::{Epoch, PgId};
use std::fmt;
use std::str::FromStr;

/// What makes an object's name its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Given out once.
    pub id: u64,
    /// Drawn for each try.
    pub nonce: u32,
}

/// A name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// What several placement groups committed.
    Bundle {
        /// The incarnation of the gateway process that wrote it.
        session: u64,
        /// Its own.
        id: ObjectId,
    },
    /// One placement group's messages of a time window.
    Run {
        /// 1 to 9.
        level: u8,
        /// Whose.
        pg: PgId,
        /// Of the record that may come to reference it.
        epoch: Epoch,
        /// Its own.
        id: ObjectId,
    },
    /// A page of a manifest.
    Page {
        /// Whose.
        pg: PgId,
        /// Of the record that may come to reference it.
        epoch: Epoch,
        /// Its own.
        id: ObjectId,
    },
    /// A summary of keys.
    Keys {
        /// Whose.
        pg: PgId,
        /// Of the record that may come to reference it.
        epoch: Epoch,
        /// Its own.
        id: ObjectId,
    },
    /// The root of a manifest.
    Root {
        /// Whose.
        pg: PgId,
        /// Of the record that may come to reference it.
        epoch: Epoch,
        /// Its own.
        id: ObjectId,
    },
    /// A snapshot of the state that a placement group's operations led to.
    Snapshot {
        /// Whose.
        pg: PgId,
        /// Of the record that may come to reference it.
        epoch: Epoch,
        /// Its own.
        id: ObjectId,
    },
}

impl ObjectName {
    /// What makes it its own.
    pub const fn id(&self) -> ObjectId {
        match self {
            ObjectName::Bundle { id, .. }
            | ObjectName::Run { id, .. }
            | ObjectName::Page { id, .. }
            | ObjectName::Keys { id, .. }
            | ObjectName::Root { id, .. }
            | ObjectName::Snapshot { id, .. } => *id,
        }
    }

    /// The only record that may reference it; `None` for a bundle, whose directory says it.
    pub const fn record(&self) -> Option<(PgId, Epoch)> {
        match self {
            ObjectName::Bundle { .. } => None,
            ObjectName::Run { pg, epoch, .. }
            | ObjectName::Page { pg, epoch, .. }
            | ObjectName::Keys { pg, epoch, .. }
            | ObjectName::Root { pg, epoch, .. }
            | ObjectName::Snapshot { pg, epoch, .. } => Some((*pg, *epoch)),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:08x}", self.id, self.nonce)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectName::Bundle { session, id } => write!(f, "l0/{session:016x}/{id}"),
            ObjectName::Run { level, pg, epoch, id } => {
                write!(f, "l{level}/{pg}/{:08x}/{id}", epoch.0)
            }
            ObjectName::Page { pg, epoch, id } => {
                write!(f, "manifest/{pg}/{:08x}/{id}.page", epoch.0)
            }
            ObjectName::Keys { pg, epoch, id } => {
                write!(f, "manifest/{pg}/{:08x}/{id}.keys", epoch.0)
            }
            ObjectName::Root { pg, epoch, id } => {
                write!(f, "manifest/{pg}/{:08x}/{id}.root", epoch.0)
            }
            ObjectName::Snapshot { pg, epoch, id } => {
                write!(f, "snapshot/{pg}/{:08x}/{id}", epoch.0)
            }
        }
    }
}

/// The text is no name of ours: leave the object alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no name of an object of ours")]
pub struct NotAName;

impl FromStr for ObjectName {
    type Err = NotAName;

    /// Only the one spelling that [`ObjectName`] prints.
    fn from_str(text: &str) -> Result<ObjectName, NotAName> {
        let name = parse(text).ok_or(NotAName)?;
        if name.to_string() == text { Ok(name) } else { Err(NotAName) }
    }
}

fn parse(text: &str) -> Option<ObjectName> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["l0", session, id] => {
            Some(ObjectName::Bundle { session: hex(session)?, id: object_id(id)? })
        }
        ["manifest", pg, epoch, file] => {
            let (pg, epoch) = (pg_id(pg)?, epoch_of(epoch)?);
            let (id, kind) = file.split_once('.')?;
            let id = object_id(id)?;
            match kind {
                "page" => Some(ObjectName::Page { pg, epoch, id }),
                "keys" => Some(ObjectName::Keys { pg, epoch, id }),
                "root" => Some(ObjectName::Root { pg, epoch, id }),
                _ => None,
            }
        }
        ["snapshot", pg, epoch, id] => {
            let (pg, epoch) = (pg_id(pg)?, epoch_of(epoch)?);
            Some(ObjectName::Snapshot { pg, epoch, id: object_id(id)? })
        }
        [level, pg, epoch, id] => {
            let level = level.strip_prefix('l')?.parse().ok().filter(|level| *level > 0)?;
            let (pg, epoch) = (pg_id(pg)?, epoch_of(epoch)?);
            Some(ObjectName::Run { level, pg, epoch, id: object_id(id)? })
        }
        _ => None,
    }
}

pub(super) fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

pub(super) fn pg_id(text: &str) -> Option<PgId> {
    PgId::new(text.parse().ok()?)
}

pub(super) fn epoch_of(text: &str) -> Option<Epoch> {
    u32::from_str_radix(text, 16).ok().map(Epoch)
}

pub(super) fn object_id(text: &str) -> Option<ObjectId> {
    let (id, nonce) = text.split_once('-')?;
    Some(ObjectId { id: hex(id)?, nonce: u32::from_str_radix(nonce, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_back_and_no_other_spelling_is() {
        let (pg, epoch) = (PgId::new(7).unwrap(), Epoch(3));
        let id = ObjectId { id: 0x1f, nonce: 0xabc };
        let names = [
            (
                ObjectName::Bundle { session: 5, id },
                "l0/0000000000000005/000000000000001f-00000abc",
            ),
            (
                ObjectName::Run { level: 1, pg, epoch, id },
                "l1/0007/00000003/000000000000001f-00000abc",
            ),
            (
                ObjectName::Page { pg, epoch, id },
                "manifest/0007/00000003/000000000000001f-00000abc.page",
            ),
            (
                ObjectName::Keys { pg, epoch, id },
                "manifest/0007/00000003/000000000000001f-00000abc.keys",
            ),
            (
                ObjectName::Root { pg, epoch, id },
                "manifest/0007/00000003/000000000000001f-00000abc.root",
            ),
            (
                ObjectName::Snapshot { pg, epoch, id },
                "snapshot/0007/00000003/000000000000001f-00000abc",
            ),
        ];
        for (name, text) in names {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        for other in [
            "l0/5/1f-abc",
            "l1/7/00000003/000000000000001f-00000abc",
            "l1/0007/00000003/000000000000001F-00000abc",
            "l0/0007/00000003/000000000000001f-00000abc",
            "manifest/0007/00000003/000000000000001f-00000abc",
            "",
            "l1//",
        ] {
            assert_eq!(other.parse::<ObjectName>(), Err(NotAName), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_no_name_or_prints_itself(text in "(l[0-9]|manifest|snapshot)(/[0-9a-f.pge-]{1,26}){1,3}") {
            if let Ok(name) = text.parse::<ObjectName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}

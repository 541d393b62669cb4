//! Names of advisory copies, below a cluster's prefix.
//!
//! | object | name |
//! |---|---|
//! | catalog | `catalog/{revision:016x}-{nonce:08x}` |
//! | record of a placement group | `roots/{pg:04}/{epoch:08x}/{id:016x}-{nonce:08x}` |
//!
//! A revision is one of the metadata store; the ids of an epoch are given out in order, since the
//! epoch has one owner. So the greatest name is the newest copy of its kind.

use super::super::name::{NotAName, ObjectId, epoch_of, hex, object_id, pg_id};
use crate::format::{Epoch, PgId};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Copies of one thing that are kept: the newest may be damaged, and what came before it is of use
/// then.
pub const COPIES_KEPT: usize = 8;

/// A name. Ascends with age: of one kind, and of one placement group, the greatest is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CopyName {
    /// Topics, groups and what else the metadata store has for the whole cluster.
    Catalog {
        /// Of the metadata store, when it was read.
        revision: u64,
        /// Drawn for each try.
        nonce: u32,
    },
    /// A placement group's record.
    Pg {
        /// Whose.
        pg: PgId,
        /// Of the record.
        epoch: Epoch,
        /// Its own.
        id: ObjectId,
    },
}

impl CopyName {
    /// The folder of catalogs.
    pub const CATALOGS: &'static str = "catalog";
    /// The folder of records.
    pub const PGS: &'static str = "roots";

    /// What it is a copy of: `None` for the catalog.
    const fn of(&self) -> Option<PgId> {
        match self {
            CopyName::Catalog { .. } => None,
            CopyName::Pg { pg, .. } => Some(*pg),
        }
    }
}

impl fmt::Display for CopyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyName::Catalog { revision, nonce } => {
                write!(f, "{}/{revision:016x}-{nonce:08x}", CopyName::CATALOGS)
            }
            CopyName::Pg { pg, epoch, id } => {
                write!(f, "{}/{pg}/{:08x}/{id}", CopyName::PGS, epoch.0)
            }
        }
    }
}

impl FromStr for CopyName {
    type Err = NotAName;

    /// Only the one spelling that [`CopyName`] prints.
    fn from_str(text: &str) -> Result<CopyName, NotAName> {
        let name = parse(text).ok_or(NotAName)?;
        if name.to_string() == text { Ok(name) } else { Err(NotAName) }
    }
}

fn parse(text: &str) -> Option<CopyName> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [CopyName::CATALOGS, file] => {
            let (revision, nonce) = file.split_once('-')?;
            let nonce = u32::from_str_radix(nonce, 16).ok()?;
            Some(CopyName::Catalog { revision: hex(revision)?, nonce })
        }
        [CopyName::PGS, pg, epoch, id] => {
            let (pg, epoch) = (pg_id(pg)?, epoch_of(epoch)?);
            Some(CopyName::Pg { pg, epoch, id: object_id(id)? })
        }
        _ => None,
    }
}

/// The copies of each thing, newest first: `None` are those of the catalog.
pub fn newest_first(
    names: impl IntoIterator<Item = CopyName>,
) -> BTreeMap<Option<PgId>, Vec<CopyName>> {
    let mut all: BTreeMap<Option<PgId>, Vec<CopyName>> = BTreeMap::new();
    for name in names {
        all.entry(name.of()).or_default().push(name);
    }
    all.values_mut().for_each(|copies| copies.sort_unstable_by(|a, b| b.cmp(a)));
    all
}

/// The copies that may be deleted: of each thing all but the [`COPIES_KEPT`] newest.
pub fn outdated(names: impl IntoIterator<Item = CopyName>) -> Vec<CopyName> {
    newest_first(names)
        .into_values()
        .flat_map(|copies| copies.into_iter().skip(COPIES_KEPT))
        .collect()
}

/// What a name says of numbers that are never to be given out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// An object's id.
    pub id: Option<u64>,
    /// An epoch that a placement group had.
    pub epoch: Option<(PgId, Epoch)>,
}

/// Reads them off any name that ends with `[{pg:04}/{epoch:08x}/]{id:016x}-{nonce:08x}[.kind]`,
/// also of kinds that this program does not know.
pub fn signs_of(text: &str) -> Signs {
    let parts: Vec<&str> = text.split('/').collect();
    let (Some(folder), Some(file)) = (parts.first(), parts.last()) else { return Signs::default() };
    // Their numbers are none of the sequence that ids are of.
    let is_counted = [CopyName::CATALOGS, super::super::proof::PROOFS].contains(folder);
    let id = object_id(file.split('.').next().unwrap_or_default()).filter(|_| !is_counted);
    let epoch = match parts.as_slice() {
        [.., pg, epoch, _] if pg.len() == 4 && epoch.len() == 8 => pg_id(pg).zip(epoch_of(epoch)),
        _ => None,
    };
    Signs { id: id.map(|id| id.id), epoch }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pg_copy(pg: u32, epoch: u32, id: u64) -> CopyName {
        let id = ObjectId { id, nonce: 1 };
        CopyName::Pg { pg: PgId::new(pg).unwrap(), epoch: Epoch(epoch), id }
    }

    #[test]
    fn names_are_read_back_and_no_other_spelling_is() {
        for (name, text) in [
            (CopyName::Catalog { revision: 31, nonce: 2 }, "catalog/000000000000001f-00000002"),
            (pg_copy(7, 3, 31), "roots/0007/00000003/000000000000001f-00000001"),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        for other in ["catalog/1f-2", "roots/7/00000003/000000000000001f-00000001", "", "catalog/"]
        {
            assert_eq!(other.parse::<CopyName>(), Err(NotAName), "{other}");
        }
    }

    #[test]
    fn the_newest_copies_stay_and_a_later_epoch_is_newer_than_a_later_id() {
        let mut names: Vec<CopyName> = (0..10).map(|id| pg_copy(1, 2, 100 + id)).collect();
        names.extend([pg_copy(1, 3, 5), pg_copy(2, 1, 1)]);
        let sorted = newest_first(names.clone());
        let of = |pg: u32| sorted[&PgId::new(pg)][0];
        assert_eq!((of(1), of(2)), (pg_copy(1, 3, 5), pg_copy(2, 1, 1)));
        assert_eq!(outdated(names), [102, 101, 100].map(|id| pg_copy(1, 2, id)));
    }

    #[test]
    fn names_of_every_kind_show_ids_and_epochs() {
        let epoch = Some((PgId::new(7).unwrap(), Epoch(3)));
        for (text, id, epoch) in [
            ("l0/0000000000000005/000000000000001f-00000abc", Some(31), None),
            ("l1/0007/00000003/000000000000001f-00000abc", Some(31), epoch),
            ("manifest/0007/00000003/000000000000001f-00000abc.page", Some(31), epoch),
            ("another/0007/00000003/000000000000001f-00000abc.kind", Some(31), epoch),
            ("catalog/000000000000001f-00000abc", None, None),
            ("proof/0007/000000000000001f-00000abc", None, None),
            ("somebody/elses.file", None, None),
        ] {
            assert_eq!(signs_of(text), Signs { id, epoch }, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_no_name_or_prints_itself(text in "(catalog|roots)(/[0-9a-f-]{1,26}){1,3}") {
            if let Ok(name) = text.parse::<CopyName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}

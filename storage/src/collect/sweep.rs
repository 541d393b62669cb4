//! How far a sweep is.

use crate::format::PgId;
use crate::object::{Name, NameRefused};

/// A walk over the folders that have objects with names of ours, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    folders: Vec<Name>,
    /// The folder that is looked through.
    at: usize,
    /// The last name that was seen.
    after: Option<Name>,
}

impl Sweep {
    /// Over all objects: of every placement group, of this cluster and of its past.
    ///
    /// # Errors
    /// Never: the folders' names are names.
    pub fn all() -> Result<Sweep, NameRefused> {
        let levels = (0..=9).map(|level| format!("l{level}"));
        Sweep::over(levels.chain(["manifest".to_owned(), "snapshot".to_owned()]))
    }

    /// Over what has one placement group in its name: what its owner collects by itself.
    ///
    /// # Errors
    /// Never: the folders' names are names.
    pub fn of(pg: PgId) -> Result<Sweep, NameRefused> {
        let levels = (1..=9).map(|level| format!("l{level}/{pg}"));
        let others = ["manifest", "snapshot"].map(|folder| format!("{folder}/{pg}"));
        Sweep::over(levels.chain(others))
    }

    fn over(folders: impl Iterator<Item = String>) -> Result<Sweep, NameRefused> {
        let folders = folders.map(|folder| Name::parse(&folder)).collect::<Result<_, _>>()?;
        Ok(Sweep { folders, at: 0, after: None })
    }

    /// Goes on behind a name that an earlier sweep over the same folders had come to.
    pub fn go_on(&mut self, after: Name) {
        let text = after.as_str();
        let is_in = |folder: &Name| {
            text.strip_prefix(folder.as_str()).is_some_and(|below| below.starts_with('/'))
        };
        if let Some(at) = self.folders.iter().position(is_in) {
            self.at = at;
            self.after = Some(after);
        }
    }

    /// Where it is: the folder, and the last name seen there. `None`: all is seen.
    pub fn place(&self) -> Option<(&Name, Option<&Name>)> {
        self.folders.get(self.at).map(|folder| (folder, self.after.as_ref()))
    }

    /// A page was seen, up to this name; `None`: the folder has no more.
    pub(super) fn seen(&mut self, last: Option<Name>) {
        if last.is_none() {
            self.at += 1;
        }
        self.after = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_goes_on_where_its_name_says() {
        let mut sweep = Sweep::all().unwrap();
        assert_eq!(sweep.place().unwrap().0.as_str(), "l0");
        sweep.seen(Some(Name::parse("l0/a/b").unwrap()));
        sweep.seen(None);
        assert_eq!(sweep.place().unwrap().0.as_str(), "l1");
        let name = Name::parse("manifest/0001/00000002/x").unwrap();
        sweep.go_on(name.clone());
        assert_eq!(sweep.place().unwrap().1, Some(&name));
        sweep.seen(None);
        sweep.seen(None);
        assert_eq!(sweep.place(), None);
        let of = Sweep::of(PgId::new(7).unwrap()).unwrap();
        assert_eq!(of.place().unwrap().0.as_str(), "l1/0007");
    }
}

//! Deleting objects.
use super::bucket::{Ask, Bucket};
use super::error::{Fault, fault_of};
use super::{Error, Kind, Name, Purpose};
use futures_util::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

/// Names in one request: S3's limit.
const DELETED_MAX: usize = 1_000;

impl Bucket {
    /// Deletes objects; what is not there counts as deleted. Repeating it is safe.
    ///
    /// # Errors
    /// When one of them could not be deleted; others may have been.
    pub async fn delete(&self, names: &[Name], purpose: Purpose) -> Result<(), Error> {
        let refused = self.delete_some(names, purpose).await?;
        refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Deletes those objects that the store lets go, and says which it does not: what is locked, for
    /// example. What is not there counts as deleted. Repeating it is safe.
    ///
    /// # Errors
    /// When the store does not answer, or refuses the request as a whole.
    pub async fn delete_some(
        &self,
        names: &[Name],
        purpose: Purpose,
    ) -> Result<Vec<(Name, Error)>, Error> {
        let mut all = Vec::new();
        for some in names.chunks(DELETED_MAX) {
            let Some(first) = some.first() else { continue };
            let paths: Vec<Path> = some.iter().map(|name| self.path(name)).collect();
            let mut budget = self.budget();
            let ask = Ask::new(Kind::Delete, purpose);
            let delete = || delete_once(&*self.shared.store, paths.clone());
            let outcome = self.persist(ask, first, &mut budget, delete).await;
            let refused =
                outcome.map_err(|fault| self.error(fault, Kind::Delete, first, &budget))?;
            for (at, fault) in refused {
                let Some(name) = some.get(at) else { continue };
                let error = self.error(fault, Kind::Delete, name, &budget);
                all.push((name.clone(), error));
            }
        }
        Ok(all)
    }
}

/// To the end, also where one fails: which are refused for good, by their places. A failure that
/// may pass fails all of them, to be repeated.
async fn delete_once(
    store: &dyn ObjectStore,
    paths: Vec<Path>,
) -> object_store::Result<Vec<(usize, Fault)>> {
    let count = paths.len();
    let outcomes = store.delete_stream(stream::iter(paths).map(Ok).boxed());
    let outcomes: Vec<object_store::Result<Path>> = outcomes.collect().await;
    // Else the failure is that of the whole request.
    let is_each = outcomes.len() == count;
    let mut refused = Vec::new();
    for (at, outcome) in outcomes.into_iter().enumerate() {
        let Err(error) = outcome else { continue };
        match fault_of(&error) {
            Fault::NotFound => {}
            fault @ Fault::Refused(_) if is_each => refused.push((at, fault)),
            Fault::Exists
            | Fault::Foreign(_)
            | Fault::OutOfRange
            | Fault::TooMuch(_)
            | Fault::Refused(_)
            | Fault::Unavailable { .. } => return Err(error),
        }
    }
    Ok(refused)
}

//! Deleting objects.
use super::bucket::{Ask, Bucket};
use super::{Error, Kind, Name, Purpose};
use futures_util::{StreamExt, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore};

/// Names in one request: S3's limit.
const DELETED_MAX: usize = 1_000;

impl Bucket {
    /// Deletes objects; what is not there counts as deleted. Repeating it is safe.
    ///
    /// # Errors
    /// When one of them could not be deleted; others may have been.
    pub async fn delete(&self, names: &[Name], purpose: Purpose) -> Result<(), Error> {
        for some in names.chunks(DELETED_MAX) {
            let Some(first) = some.first() else { continue };
            let paths: Vec<Path> = some.iter().map(|name| self.path(name)).collect();
            let mut budget = self.budget();
            let ask = Ask::new(Kind::Delete, purpose);
            let delete = || delete_once(&*self.shared.store, paths.clone());
            let outcome = self.persist(ask, first, &mut budget, delete).await;
            outcome.map_err(|fault| self.error(fault, Kind::Delete, first, &budget))?;
        }
        Ok(())
    }
}

/// To the end, also where one fails.
async fn delete_once(store: &dyn ObjectStore, paths: Vec<Path>) -> object_store::Result<()> {
    let mut outcomes = store.delete_stream(stream::iter(paths).map(Ok).boxed());
    let mut failure = None;
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), Err)
}

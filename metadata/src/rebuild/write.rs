//! Writing what was planned.

use super::RebuildError;
use super::plan::Plan;
use crate::store::redb::RedbStore;
use crate::store::{Change, MetadataStore, OPS_MAX, REQUEST_BYTES_MAX, Txn};
use std::path::Path;
use storage::env::Env;

/// Makes the embedded metadata store `path` as planned. The file gets its name when all is in it: a rebuild that was
/// cut off leaves none, and can be made again.
///
/// # Errors
/// [`RebuildError::NotEmpty`] when `path` is there; what the disk says.
pub async fn rebuild_at(path: &Path, plan: &Plan, env: Env) -> Result<(), RebuildError> {
    let file = |source| RebuildError::File { path: path.display().to_string(), source };
    if path.try_exists().map_err(file)? {
        return Err(RebuildError::NotEmpty(path.display().to_string()));
    }
    let unfinished = path.with_extension("redb.unfinished");
    match std::fs::remove_file(&unfinished) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(file(source)),
        Ok(()) | Err(_) => {}
    }
    let store = RedbStore::begin(&unfinished, plan.before, env)?;
    let written = write(&store, plan).await;
    store.close().await;
    written?;
    std::fs::rename(&unfinished, path).map_err(file)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)
}

/// Writes what was planned into an empty store.
///
/// # Errors
/// [`RebuildError::NotEmpty`] when it is not; what the store says: it is then of no use.
pub async fn write(store: &dyn MetadataStore, plan: &Plan) -> Result<(), RebuildError> {
    if let Some(pair) = store.range("").await?.pairs.first() {
        return Err(RebuildError::NotEmpty(format!("the record {}", pair.key)));
    }
    let (mut then, mut bytes) = (Vec::new(), 0);
    for (key, value) in plan.records() {
        let len = key.len() + value.len();
        if then.len() == OPS_MAX || bytes + len > REQUEST_BYTES_MAX / 2 {
            put(store, std::mem::take(&mut then)).await?;
            bytes = 0;
        }
        bytes += len;
        then.push(Change::Put { key, value, lease: None });
    }
    put(store, then).await
}

async fn put(store: &dyn MetadataStore, then: Vec<Change>) -> Result<(), RebuildError> {
    if !then.is_empty() {
        store.txn(Txn { then, ..Txn::default() }).await?;
    }
    Ok(())
}

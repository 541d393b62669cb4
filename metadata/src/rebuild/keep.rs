//! Copies into the bucket, while all is well.

use crate::Catalog;
use crate::dump::{Dump, DumpRefused};
use crate::model::{PgRecord, Record};
use crate::store::Revision;
use storage::format::PgId;
use storage::object::{Bucket, Error, Name, Purpose};
use storage::tier::ObjectId;
use storage::tier::rebuild::{CopyName, PgCopy, outdated};

/// Why a copy was not kept. Nothing depends on it; try again later.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The metadata store.
    #[error("the metadata store")]
    Metadata(#[from] crate::Error),
    /// There is no copy of such a catalog.
    #[error("the catalog")]
    Dump(#[from] DumpRefused),
    /// The bucket.
    #[error("the bucket")]
    Bucket(#[from] Error),
}

/// Keeps a copy of topics, groups and uids. To be called soon after each change of them, and once in a while.
///
/// # Errors
/// See [`KeepError`].
pub async fn keep_catalog(catalog: &Catalog, bucket: &Bucket) -> Result<CopyName, KeepError> {
    let (range, env) = (catalog.inner.store.range("").await?, &catalog.inner.env);
    let dump = Dump::of(&range, env.now())?;
    let revision = u64::try_from(dump.revision.0).unwrap_or(0);
    let name = CopyName::Catalog { revision, nonce: env.random_u64() as u32 };
    bucket.create(&stored_name(name), dump.encode(), Purpose::Manifest).await?;
    Ok(name)
}

/// Keeps a copy of a placement group's record, as of the commit or OPEN that gave it `revision`. `chain`: the log's
/// chain at its `tiered`, where it is known; `id`: one that was never given out ([`Catalog::take_object_ids`]), later
/// than that of any earlier copy in the epoch.
///
/// To be called when an epoch is opened, before it acknowledges anything (what an owner of the past uploads is then
/// known for what it is), with each fold, and every few minutes while commits go on.
///
/// # Errors
/// See [`KeepError`].
pub async fn keep_pg(
    bucket: &Bucket,
    pg: PgId,
    (record, revision): (&PgRecord, Revision),
    chain: Option<u32>,
    id: ObjectId,
) -> Result<CopyName, KeepError> {
    let name = CopyName::Pg { pg, epoch: record.epoch, id };
    let revision = u64::try_from(revision.0).unwrap_or(0);
    let copy = PgCopy { pg, revision, chain, record: record.encode() };
    bucket.create(&stored_name(name), copy.encode(), Purpose::Manifest).await?;
    Ok(name)
}

/// Deletes the copies that newer ones have made useless: of the catalog, or of one placement group. How many.
///
/// # Errors
/// See [`KeepError`].
pub async fn drop_outdated(bucket: &Bucket, of: Option<PgId>) -> Result<usize, KeepError> {
    let folder = match of {
        None => CopyName::CATALOGS.to_owned(),
        Some(pg) => format!("{}/{pg}", CopyName::PGS),
    };
    let folder = Name::parse(&folder).expect("letters, digits and a slash");
    let mut listing = bucket.list(Some(&folder), None, Purpose::Collection);
    let mut names = Vec::new();
    while let Some(entry) = listing.next().await? {
        names.extend(entry.name.as_str().parse::<CopyName>());
    }
    let gone: Vec<Name> = outdated(names).into_iter().map(stored_name).collect();
    bucket.delete(&gone, Purpose::Collection).await?;
    Ok(gone.len())
}

/// The same name as the bucket takes it.
pub(super) fn stored_name(name: impl std::fmt::Display) -> Name {
    Name::parse(&name.to_string()).expect("our names have letters, digits, - and . only")
}

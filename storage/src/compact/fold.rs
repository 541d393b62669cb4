//! Runs a fold against the bucket.

use super::error::CompactError;
use super::fetch::{manifest_of, name_of, page_of, whole};
use crate::format::{Epoch, PgId};
use crate::object::{Bucket, Purpose};
use crate::tier::manifest::{Brought, Delta, PageSizes, Root, StartPage, Touched, fold, touched};
use crate::tier::{ObjectId, ObjectName};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

/// Pages that are read or written together.
const TOGETHER: usize = 8;

/// What is to be folded.
pub struct FoldRequest<'a> {
    /// Whose manifest.
    pub pg: PgId,
    /// Of the record that the root is to be committed to.
    pub epoch: Epoch,
    /// The root that the record names; none before the first fold.
    pub root: Option<ObjectName>,
    /// The record's deltas, oldest first.
    pub deltas: &'a [Bytes],
    /// What the same commit changes.
    pub next: Option<&'a Delta>,
    /// How large pages get.
    pub sizes: PageSizes,
    /// Ids for pages and root, never given out before.
    pub next_id: &'a mut (dyn FnMut() -> ObjectId + Send),
}

/// A root that is in the bucket with its pages, and that nothing refers to yet. Commit its name, and
/// no deltas.
#[derive(Clone, Debug)]
pub struct FoldedManifest {
    /// The root's name.
    pub root_name: ObjectName,
    /// The root.
    pub root: Root,
    /// Pages that were read.
    pub pages_read: usize,
    /// Objects that were written, the root too.
    pub objects_written: usize,
    /// Their bytes.
    pub bytes_written: u64,
    /// What the new root does not need any more; the collector finds it.
    pub dropped: Vec<ObjectName>,
}

/// Folds deltas into pages. The root is stored last. Safe to drop, and to repeat with other ids.
///
/// # Errors
/// When a page is damaged or missing, or the store does not answer: nothing came of it.
pub async fn fold_manifest(
    bucket: &Bucket,
    request: FoldRequest<'_>,
) -> Result<FoldedManifest, CompactError> {
    let FoldRequest { pg, epoch, root, deltas, next, sizes, next_id } = request;
    let purpose = Purpose::Manifest;
    let mut manifest = manifest_of(bucket, pg, root.as_ref(), deltas, purpose).await?;
    if let Some(delta) = next {
        manifest.overlay.push(delta)?;
    }
    let (old, overlay) = (&manifest.root, &manifest.overlay);
    let touched = touched(old, overlay, sizes);
    let brought = bring(bucket, old, &touched).await?;
    let folded = fold(old, overlay, sizes, &brought, epoch, &mut || next_id())?;
    let objects_written = folded.objects.len();
    let bytes_written = folded.objects.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut objects = folded.objects;
    // The root names pages that are there.
    let last = objects.pop();
    let store = |(object, bytes): (ObjectName, Vec<u8>)| async move {
        bucket.create(&name_of(&object)?, bytes, purpose).await?;
        Ok::<_, CompactError>(())
    };
    let stored: Vec<_> = objects.into_iter().map(store).collect();
    stream::iter(stored).buffered(TOGETHER).try_collect::<()>().await?;
    if let Some(last) = last {
        store(last).await?;
    }
    let mut dropped = folded.dropped;
    dropped.extend(root);
    Ok(FoldedManifest {
        root_name: folded.root_name,
        root: folded.root,
        pages_read: touched.pages.len() + touched.starts.len(),
        objects_written,
        bytes_written,
        dropped,
    })
}

async fn bring(bucket: &Bucket, root: &Root, touched: &Touched) -> Result<Brought, CompactError> {
    let page = |at: usize| async move {
        Ok::<_, CompactError>((at, page_of(bucket, root, at, Purpose::Manifest).await?))
    };
    let start_page = |at: usize| async move {
        Ok::<_, CompactError>((at, start_page_of(bucket, root, at).await?))
    };
    let pages: Vec<_> = touched.pages.iter().copied().map(page).collect();
    let pages = stream::iter(pages).buffered(TOGETHER).try_collect().await?;
    let starts: Vec<_> = touched.starts.iter().copied().map(start_page).collect();
    let starts = stream::iter(starts).buffered(TOGETHER).try_collect().await?;
    Ok(Brought { pages, starts })
}

async fn start_page_of(bucket: &Bucket, root: &Root, at: usize) -> Result<StartPage, CompactError> {
    let Some(page) = root.starts.get(at) else { return Ok(StartPage::default()) };
    let object = page.page.name(root.pg);
    let bytes = whole(bucket, &object, Purpose::Manifest).await?;
    page.open(&bytes).map_err(|source| CompactError::Damaged { object, source })
}

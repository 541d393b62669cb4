//! Parts of objects that say what is where: tails, directories, manifests.

use super::error::CompactError;
use crate::format::object::{Directory, FOOTER_BYTES, Footer, Span, Tail, TailRead};
use crate::format::{FormatError, PgId};
use crate::object::{Bucket, Name, NameRefused, Purpose};
use crate::tier::ObjectName;
use crate::tier::manifest::{Delta, Overlay, Query, Root, RunEntry, RunPage, select};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

/// Bytes at the end of a bundle that mostly have its whole directory: that of 126 placement groups.
const DIRECTORY_READ_BYTES: u64 = 16 << 10;
/// Pages and tails that are asked for together.
const TOGETHER: usize = 8;

/// A manifest: its root, and the deltas on top.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The root; that of an empty manifest where there is none.
    pub root: Root,
    /// The deltas.
    pub overlay: Overlay,
}

pub(crate) fn name_of(object: &ObjectName) -> Result<Name, CompactError> {
    // All of it is digits and letters.
    let wrong = |error: NameRefused| crate::object::Error::Broken(error.to_string());
    Ok(Name::parse(&object.to_string()).map_err(wrong)?)
}

/// A span of an object.
pub(super) async fn span_of(
    bucket: &Bucket,
    object: &ObjectName,
    span: Span,
    purpose: Purpose,
) -> Result<Bytes, CompactError> {
    let name = name_of(object)?;
    Ok(bucket.get(&name, span.at..span.end(), purpose).await?.bytes)
}

/// The tail of an object with so many bytes. Damage is looked at twice: it may have happened on the
/// way.
///
/// # Errors
/// When the store does not answer, or the bytes are not those of the tail.
pub async fn tail_of(
    bucket: &Bucket,
    object: &ObjectName,
    object_len: u64,
    purpose: Purpose,
) -> Result<Tail, CompactError> {
    match tail_once(bucket, object, object_len, purpose).await {
        Err(CompactError::Damaged { .. }) => tail_once(bucket, object, object_len, purpose).await,
        read => read,
    }
}

async fn tail_once(
    bucket: &Bucket,
    object: &ObjectName,
    object_len: u64,
    purpose: Purpose,
) -> Result<Tail, CompactError> {
    let damaged = |source| CompactError::Damaged { object: *object, source };
    let mut span = Tail::first_read(object_len);
    loop {
        let bytes = span_of(bucket, object, span, purpose).await?;
        match Tail::read(&bytes).map_err(damaged)? {
            TailRead::Whole(tail) if tail.footer.object_len == object_len => return Ok(*tail),
            TailRead::Whole(_) => return Err(damaged(FormatError::Length)),
            TailRead::Longer(longer) if longer.len > span.len => span = longer,
            TailRead::Longer(_) => return Err(damaged(FormatError::Contradiction)),
        }
    }
}

/// The tail of what an entry names; exactly what the entry says of it.
pub(super) async fn tail_of_entry(
    bucket: &Bucket,
    pg: PgId,
    entry: &RunEntry,
    purpose: Purpose,
) -> Result<Tail, CompactError> {
    let object = entry.name(pg);
    let tail = tail_of(bucket, &object, entry.object_len, purpose).await?;
    if RunEntry::of(&tail, pg, entry.origin) == Some(*entry) {
        Ok(tail)
    } else {
        Err(CompactError::Damaged { object, source: FormatError::Contradiction })
    }
}

/// Only the directory of an object with so many bytes: whose records it has.
///
/// # Errors
/// As [`tail_of`].
pub async fn directory_of(
    bucket: &Bucket,
    object: &ObjectName,
    object_len: u64,
    purpose: Purpose,
) -> Result<Directory, CompactError> {
    let damaged = |source| CompactError::Damaged { object: *object, source };
    let len = object_len.min(DIRECTORY_READ_BYTES);
    let mut span = Span { at: object_len - len, len };
    let bytes = span_of(bucket, object, span, purpose).await?;
    let footer = Footer::decode(&bytes).map_err(damaged)?;
    if footer.object_len != object_len {
        return Err(damaged(FormatError::Length));
    }
    let [_, _, directory, _] = footer.parts();
    let bytes = if directory.at >= span.at {
        bytes
    } else {
        span = Span { at: directory.at, len: object_len - directory.at };
        span_of(bucket, object, span, purpose).await?
    };
    let part = directory.of(&bytes, span.at).ok_or_else(|| damaged(FormatError::Truncated))?;
    Directory::decode(part).map_err(damaged)
}

/// The manifest of a record: `root` is its root's name, if it has one.
///
/// # Errors
/// As [`tail_of`]; or when the deltas do not follow the root.
pub async fn manifest_of(
    bucket: &Bucket,
    pg: PgId,
    root: Option<&ObjectName>,
    deltas: &[Bytes],
    purpose: Purpose,
) -> Result<Manifest, CompactError> {
    let root = match root {
        None => Root::empty(pg),
        Some(object) => {
            let damaged = |source| CompactError::Damaged { object: *object, source };
            let bytes = whole(bucket, object, purpose).await?;
            let root = Root::decode(&bytes).map_err(damaged)?;
            if root.pg != pg {
                return Err(damaged(FormatError::Contradiction));
            }
            root
        }
    };
    let mut overlay = Overlay { tiered: root.tiered, ..Overlay::default() };
    for bytes in deltas {
        // A delta lies in the record, and the record names the root.
        let delta = Delta::decode(bytes).map_err(crate::tier::manifest::FoldRefused::from)?;
        overlay.push(&delta)?;
    }
    Ok(Manifest { root, overlay })
}

pub(super) async fn whole(
    bucket: &Bucket,
    object: &ObjectName,
    purpose: Purpose,
) -> Result<Bytes, CompactError> {
    let name = name_of(object)?;
    Ok(bucket.get(&name, crate::object::Span::All, purpose).await?.bytes)
}

pub(crate) async fn page_of(
    bucket: &Bucket,
    root: &Root,
    at: usize,
    purpose: Purpose,
) -> Result<RunPage, CompactError> {
    let Some(page) = root.pages.get(at) else { return Ok(RunPage::default()) };
    let object = page.page.name(root.pg);
    let bytes = whole(bucket, &object, purpose).await?;
    page.open(&bytes).map_err(|source| CompactError::Damaged { object, source })
}

/// The entries that a query means, in order; reads the pages that may have some.
///
/// # Errors
/// As [`tail_of`].
pub async fn entries_of(
    bucket: &Bucket,
    manifest: &Manifest,
    query: &Query,
    purpose: Purpose,
) -> Result<Vec<RunEntry>, CompactError> {
    let root = &manifest.root;
    let wanted: Vec<usize> = root.pages(query).collect();
    let read = wanted.into_iter().map(|at| page_of(bucket, root, at, purpose));
    let pages: Vec<RunPage> = stream::iter(read).buffered(TOGETHER).try_collect().await?;
    Ok(select(query, &pages, &manifest.overlay))
}

/// The tails of entries, in order, as many as fit into `bytes_max`; two at least.
pub(super) async fn tails_within(
    bucket: &Bucket,
    pg: PgId,
    entries: &[RunEntry],
    bytes_max: u64,
    purpose: Purpose,
) -> Result<Vec<Tail>, CompactError> {
    let tail = |entry: RunEntry| async move { tail_of_entry(bucket, pg, &entry, purpose).await };
    let mut read = stream::iter(entries.to_vec()).map(tail).buffered(TOGETHER);
    let (mut tails, mut bytes) = (Vec::new(), 0u64);
    while let Some(tail) = read.try_next().await? {
        bytes += tail.footer.object_len - tail.footer.tail_at - FOOTER_BYTES as u64;
        if bytes > bytes_max && tails.len() >= 2 {
            break;
        }
        tails.push(tail);
    }
    Ok(tails)
}

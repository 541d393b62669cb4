//! What every question stands on: one way to bytes that were checked, and to each index.

use super::counters::{Counters, Looked};
use super::error::ReadError;
use super::indexes::{Index, IndexKey, Indexes, OTHER_KIND};
use super::pages::{PAGE_BYTES, Pages, Source};
use super::shares::Shares;
use super::view::View;
use crate::env::{Crew, Env};
use crate::format::object::{
    Footer, Record, SUMMARY_READ_BYTES, Span, SummaryRead, SummaryTable, Tail, TailRead,
};
use crate::format::{FormatError, PgId};
use crate::object::{Bucket, Name, Purpose, Span as Whole};
use crate::tier::manifest::{Query, Root, RunEntry, RunPage, StartPage, SummaryRef, select};
use crate::tier::{Fetch, ObjectName};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// Requests that one question has under way at once.
pub(super) const AT_ONCE: usize = 8;

/// What a reader has. Everything here runs in its crew.
pub(super) struct Access {
    pub(super) bucket: Bucket,
    pub(super) pages: Pages,
    pub(super) indexes: Indexes,
    pub(super) counters: Arc<Counters>,
    pub(super) crew: Crew,
    /// Of the crew; at least 1.
    pub(super) threads: usize,
    pub(super) shares: Arc<Shares>,
    pub(super) env: Env,
}

impl Source {
    /// The object that an entry names.
    pub(super) fn of(pg: PgId, entry: &RunEntry) -> Source {
        Source { name: name_of(&entry.name(pg)), id: entry.object, len: entry.object_len }
    }
}

pub(super) fn name_of(name: &ObjectName) -> Name {
    Name::parse(&name.to_string()).expect("names of ours are plain and short")
}

impl Access {
    /// A span of an object, decoded.
    pub(super) async fn checked<T>(
        &self,
        source: &Source,
        span: Span,
        how: (Looked, Purpose),
        decode: impl Fn(&Bytes) -> Result<T, FormatError>,
    ) -> Result<T, ReadError> {
        let bytes = self.bytes(source, span, how).await?;
        self.or_again(source, span, how, bytes, decode).await
    }

    /// A span of an object as it lies there.
    pub(super) async fn bytes(
        &self,
        source: &Source,
        span: Span,
        (kind, purpose): (Looked, Purpose),
    ) -> Result<Bytes, ReadError> {
        // A small object is one page: all of it for one request.
        if kind == Looked::Page || source.len <= PAGE_BYTES {
            self.pages.span(source, span, purpose).await
        } else {
            self.pages.past(source, span, kind, purpose).await
        }
    }

    /// Decodes bytes of a span. What does not decode is read once more, past every cache: the copy
    /// in a cache, or what came over the network, may be what is damaged.
    pub(super) async fn or_again<T>(
        &self,
        source: &Source,
        span: Span,
        (kind, purpose): (Looked, Purpose),
        bytes: Bytes,
        decode: impl Fn(&Bytes) -> Result<T, FormatError>,
    ) -> Result<T, ReadError> {
        let error = match decode(&bytes) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        self.counters.damaged(kind);
        tracing::warn!(object = %source.name, at = span.at, %error, "damaged: read again");
        self.pages.forget(source, span);
        let bytes = self.pages.past(source, span, kind, purpose).await?;
        decode(&bytes).map_err(|error| ReadError::damaged(&source.name, span, error))
    }

    /// The records of a request's blocks, from its bytes. The crew's other work goes on between two
    /// blocks.
    pub(super) async fn decoded(
        &self,
        source: &Source,
        fetch: &Fetch,
        bytes: &Bytes,
        how: (Looked, Purpose),
    ) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        for block in &fetch.blocks {
            let part = block.span.of(bytes, fetch.span.at).unwrap_or(&[]);
            let one = Fetch { span: block.span, blocks: vec![*block] };
            let decode = |bytes: &Bytes| one.decode(bytes);
            let part = bytes.slice_ref(part);
            for block in self.or_again(source, block.span, how, part, decode).await? {
                records.extend(block.records);
            }
            tokio::task::yield_now().await;
        }
        Ok(records)
    }

    /// An object's tail.
    pub(super) async fn tail(
        &self,
        pg: PgId,
        entry: &RunEntry,
        purpose: Purpose,
    ) -> Result<Arc<Tail>, ReadError> {
        let source = Source::of(pg, entry);
        let key = IndexKey::whole(entry.object);
        let load = async { self.load_tail(&source, purpose).await.map(Index::Tail) };
        let Index::Tail(tail) = self.indexes.get(key, Looked::Tail, load).await? else {
            return Err(ReadError::damaged(&source.name, Span::default(), OTHER_KIND));
        };
        Ok(tail)
    }

    async fn load_tail(&self, source: &Source, purpose: Purpose) -> Result<Arc<Tail>, ReadError> {
        let all = Span { at: 0, len: source.len };
        let mut span = if source.len <= PAGE_BYTES { all } else { Tail::first_read(source.len) };
        // The first read has all of the tail, or says how long it is.
        for _ in 0..2 {
            let how = (Looked::Tail, purpose);
            match self.checked(source, span, how, |bytes| tail_of(source, bytes)).await? {
                TailRead::Whole(tail) => return Ok(Arc::new(*tail)),
                TailRead::Longer(longer) => span = longer,
            }
        }
        Err(ReadError::damaged(&source.name, span, FormatError::Contradiction))
    }

    /// A part of an object's key index.
    pub(super) async fn keys(
        &self,
        source: &Source,
        span: Span,
        check: impl Fn(&Bytes) -> Result<(), FormatError>,
    ) -> Result<Bytes, ReadError> {
        let key = IndexKey { object: source.id, at: span.at };
        let load = async {
            let how = (Looked::Keys, Purpose::Search);
            let checked = |bytes: &Bytes| check(bytes).map(|()| Bytes::copy_from_slice(bytes));
            self.checked(source, span, how, checked).await.map(Index::Keys)
        };
        let Index::Keys(bytes) = self.indexes.get(key, Looked::Keys, load).await? else {
            return Err(ReadError::damaged(&source.name, span, OTHER_KIND));
        };
        Ok(bytes)
    }

    /// The table of a key summary.
    pub(super) async fn summary(
        &self,
        pg: PgId,
        summary: &SummaryRef,
    ) -> Result<(Source, Arc<SummaryTable>), ReadError> {
        let source = summary_source(pg, summary);
        let load = async { self.load_summary(pg, &source).await.map(Index::Summary) };
        let key = IndexKey::whole(source.id);
        let Index::Summary(table) = self.indexes.get(key, Looked::Keys, load).await? else {
            return Err(ReadError::damaged(&source.name, Span::default(), OTHER_KIND));
        };
        Ok((source, table))
    }

    async fn load_summary(
        &self,
        pg: PgId,
        source: &Source,
    ) -> Result<Arc<SummaryTable>, ReadError> {
        let len = source.len.min(SUMMARY_READ_BYTES);
        let mut span = Span { at: source.len - len, len };
        let id = (source.id.id, source.id.nonce);
        // The first read has all of the table, or says how long it is.
        for _ in 0..2 {
            let read = |bytes: &Bytes| SummaryTable::read(bytes, source.len, id);
            match self.checked(source, span, (Looked::Keys, Purpose::Search), read).await? {
                SummaryRead::Whole(table) if table.pg == pg => return Ok(Arc::new(table)),
                SummaryRead::Whole(_) => break,
                SummaryRead::Longer(longer) => span = longer,
            }
        }
        Err(ReadError::damaged(&source.name, span, FormatError::Contradiction))
    }

    /// A manifest's root.
    pub(super) async fn root(&self, name: &ObjectName, pg: PgId) -> Result<Arc<Root>, ReadError> {
        let decode = |bytes: &Bytes| match Root::decode(bytes)? {
            root if root.pg == pg => Ok(Index::Root(Arc::new(root))),
            _ => Err(FormatError::Contradiction),
        };
        let Index::Root(root) = self.manifest(name, decode).await? else {
            return Err(ReadError::damaged(&name_of(name), Span::default(), OTHER_KIND));
        };
        Ok(root)
    }

    /// A page of entries, by its place in the root.
    pub(super) async fn runs(&self, view: &View, at: usize) -> Result<Arc<RunPage>, ReadError> {
        let Some(page) = view.root().pages.get(at) else { return Ok(Arc::default()) };
        let name = page.page.name(view.pg());
        let decode = |bytes: &Bytes| page.open(bytes).map(|page| Index::Runs(Arc::new(page)));
        let Index::Runs(page) = self.manifest(&name, decode).await? else {
            return Err(ReadError::damaged(&name_of(&name), Span::default(), OTHER_KIND));
        };
        Ok(page)
    }

    /// A page of starts, by its place in the root.
    pub(super) async fn starts_page(
        &self,
        view: &View,
        at: usize,
    ) -> Result<Arc<StartPage>, ReadError> {
        let Some(page) = view.root().starts.get(at) else { return Ok(Arc::default()) };
        let name = page.page.name(view.pg());
        let decode = |bytes: &Bytes| page.open(bytes).map(|page| Index::Starts(Arc::new(page)));
        let Index::Starts(page) = self.manifest(&name, decode).await? else {
            return Err(ReadError::damaged(&name_of(&name), Span::default(), OTHER_KIND));
        };
        Ok(page)
    }

    /// An object of a manifest, read as a whole.
    async fn manifest(
        &self,
        name: &ObjectName,
        decode: impl Fn(&Bytes) -> Result<Index, FormatError>,
    ) -> Result<Index, ReadError> {
        let object = name_of(name);
        let read = || async {
            let fetched = self.bucket.get(&object, Whole::All, Purpose::Manifest).await;
            let fetched = fetched.map_err(|e| ReadError::of(e, &object, Span::default()))?;
            self.counters.got(Looked::Manifest, fetched.bytes.len() as u64);
            Ok::<Bytes, ReadError>(fetched.bytes)
        };
        let load = async {
            let bytes = read().await?;
            let error = match decode(&bytes) {
                Ok(index) => return Ok(index),
                Err(error) => error,
            };
            self.counters.damaged(Looked::Manifest);
            tracing::warn!(%object, %error, "damaged: read again");
            let bytes = read().await?;
            let span = Span { at: 0, len: bytes.len() as u64 };
            decode(&bytes).map_err(|error| ReadError::damaged(&object, span, error))
        };
        self.indexes.get(IndexKey::whole(name.id()), Looked::Manifest, load).await
    }

    /// The entries that are meant, in order of their keys.
    pub(super) async fn select(
        &self,
        view: &View,
        query: &Query,
    ) -> Result<Vec<RunEntry>, ReadError> {
        let pages = view.root().pages(query).map(|at| self.runs(view, at));
        let pages: Vec<Arc<RunPage>> = stream::iter(pages).buffered(AT_ONCE).try_collect().await?;
        Ok(select(query, pages.iter().map(AsRef::as_ref), view.overlay()))
    }
}

fn summary_source(pg: PgId, summary: &SummaryRef) -> Source {
    Source { name: name_of(&summary.name(pg)), id: summary.object, len: summary.len }
}

/// Reads a tail, and sees that it is this object's. What is kept is copied out of what was read.
fn tail_of(source: &Source, bytes: &Bytes) -> Result<TailRead, FormatError> {
    let footer = Footer::decode(bytes)?;
    if (footer.id, footer.nonce, footer.object_len) != (source.id.id, source.id.nonce, source.len) {
        return Err(FormatError::Contradiction);
    }
    let len = usize::try_from(footer.object_len - footer.tail_at).unwrap_or(usize::MAX);
    match bytes.len().checked_sub(len) {
        Some(at) => Tail::read(&Bytes::copy_from_slice(bytes.get(at..).unwrap_or(&[]))),
        None => Tail::read(bytes),
    }
}

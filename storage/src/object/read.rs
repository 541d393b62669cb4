//! Reading objects.
use super::bucket::{Ask, Bucket};
use super::error::{Error, Fault};
use super::patience::Budget;
use super::{Entry, Kind, Name, Purpose};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, coalesce_ranges};
use std::ops::Range;

/// Bytes that one call may bring: memory, not the object's length, is the limit.
pub const READ_BYTES_MAX: u64 = 64 << 20;
/// Ranges that one call may ask for.
pub const RANGES_MAX: usize = 256;
/// Ranges that are no further apart, in bytes, are read by one request: a request costs the time of
/// some hundred KiB.
const GAP_BYTES_MAX: u64 = 256 << 10;

/// What of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// All of it.
    All,
    /// These bytes; at least one.
    Range(Range<u64>),
    /// The last so many bytes, or all there are; at least one.
    Tail(u64),
}

impl From<Range<u64>> for Span {
    fn from(range: Range<u64>) -> Span {
        Span::Range(range)
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The bytes asked for: all of them.
    pub bytes: Bytes,
    /// Where in the object they begin.
    pub from: u64,
    /// The length of the object.
    pub object_bytes: u64,
}

impl Bucket {
    /// Reads of an object what `span` says: all of that, or an error.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::OutOfRange`] when the range is empty or ends behind the
    /// object; [`Error::TooMuch`] above [`READ_BYTES_MAX`].
    pub async fn get(
        &self,
        name: &Name,
        span: impl Into<Span>,
        purpose: Purpose,
    ) -> Result<Fetched, Error> {
        let span = span.into();
        let mut budget = self.budget();
        let fetched = match span.asked_bytes() {
            0 => Err(Fault::OutOfRange),
            bytes if bytes > READ_BYTES_MAX && span != Span::All => Err(Fault::TooMuch(bytes)),
            _ => self.fetch(name, span, purpose, &mut budget).await,
        };
        fetched.map_err(|fault| self.error(fault, Kind::Get, name, &budget))
    }

    /// Reads ranges of an object, in the order asked for. Neighbours share a request.
    ///
    /// # Errors
    /// As [`Bucket::get`]; together they may not exceed its limit, nor [`RANGES_MAX`] in number.
    pub async fn get_ranges(
        &self,
        name: &Name,
        ranges: &[Range<u64>],
        purpose: Purpose,
    ) -> Result<Vec<Bytes>, Error> {
        let total: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        if total > READ_BYTES_MAX || ranges.len() > RANGES_MAX {
            return Err(Error::TooMuch { name: name.clone(), bytes: total });
        }
        if ranges.iter().any(|range| range.start >= range.end) {
            return Err(Error::OutOfRange { name: name.clone() });
        }
        let read = |range: Range<u64>| async {
            let mut budget = self.budget();
            let fetched = self.fetch(name, range.into(), purpose, &mut budget).await;
            match fetched {
                Ok(fetched) => Ok(fetched.bytes),
                Err(fault) => Err(self.error(fault, Kind::Get, name, &budget)),
            }
        };
        coalesce_ranges(ranges, read, GAP_BYTES_MAX).await
    }

    /// An object's length and when it was stored.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn head(&self, name: &Name, purpose: Purpose) -> Result<Entry, Error> {
        let path = self.path(name);
        let mut budget = self.budget();
        let ask = Ask::new(Kind::Head, purpose);
        let head = || self.shared.store.head(&path);
        match self.persist(ask, name, &mut budget, head).await {
            Ok(meta) => Ok(Entry::new(name.clone(), &meta)),
            Err(fault) => Err(self.error(fault, Kind::Head, name, &budget)),
        }
    }

    pub(super) async fn fetch(
        &self,
        name: &Name,
        span: Span,
        purpose: Purpose,
        budget: &mut Budget,
    ) -> Result<Fetched, Fault> {
        let path = self.path(name);
        let ask = Ask::new(Kind::Get, purpose);
        let store = &*self.shared.store;
        let answer = self.persist(ask, name, budget, || fetch_once(store, &path, &span)).await?;
        match answer {
            Answer::Fetched(fetched) => {
                self.received(ask, fetched.bytes.len() as u64);
                Ok(fetched)
            }
            Answer::OutOfRange => Err(Fault::OutOfRange),
            Answer::TooMuch(bytes) => Err(Fault::TooMuch(bytes)),
        }
    }
}

impl Span {
    /// Bytes that were asked for; all of an object counts as endless.
    fn asked_bytes(&self) -> u64 {
        match self {
            Span::All => u64::MAX,
            Span::Range(range) => range.end.saturating_sub(range.start),
            Span::Tail(bytes) => *bytes,
        }
    }

    fn as_option(&self) -> Option<GetRange> {
        match self {
            Span::All => None,
            Span::Range(range) => Some(GetRange::Bounded(range.clone())),
            Span::Tail(bytes) => Some(GetRange::Suffix(*bytes)),
        }
    }
}

/// An answer of the store's that needs no repeating.
enum Answer {
    Fetched(Fetched),
    OutOfRange,
    TooMuch(u64),
}

async fn fetch_once(
    store: &dyn ObjectStore,
    path: &Path,
    span: &Span,
) -> object_store::Result<Answer> {
    let options = GetOptions { range: span.as_option(), ..GetOptions::default() };
    let result = store.get_opts(path, options).await?;
    let (range, object_bytes) = (result.range.clone(), result.meta.size);
    let told = range.end.saturating_sub(range.start);
    if matches!(span, Span::Range(asked) if *asked != range) {
        return Ok(Answer::OutOfRange);
    }
    if told > READ_BYTES_MAX {
        return Ok(Answer::TooMuch(told));
    }
    let bytes = result.bytes().await?;
    if bytes.len() as u64 != told {
        let source = format!("the body ended after {} of {told} bytes", bytes.len()).into();
        return Err(object_store::Error::Generic { store: "bucket", source });
    }
    Ok(Answer::Fetched(Fetched { bytes, from: range.start, object_bytes }))
}

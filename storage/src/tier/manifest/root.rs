//! The root: which pages a manifest has, and what each is about, so that a question fetches few.
//!
//! | off | field | |
//! |---|---|---|
//! | 0 | magic u32, version u16, summaries u16 | |
//! | 8 | pg u32, pages u32, start_pages u32, losses u32 | |
//! | 24 | tiered u64 | everything below is in what the pages name |
//! | 32 | pages, 116 bytes each | |
//! | … | start pages, 44 bytes each | |
//! | … | loss: from u64, to u64 | |
//! | … | summaries, 48 bytes each | [`super::SummaryRef`] |
//! | end - 4 | crc u32 | |
//!
//! | off | field of a page | |
//! |---|---|---|
//! | 0 | id u64, nonce u32, epoch u32, len u32, crc u32 | the object |
//! | 24 | entries u32 | |
//! | 28 | first lsn u64, id u64, nonce u32 | key of the first entry |
//! | 48 | last lsn u64, id u64, nonce u32 | key of the last entry |
//! | 68 | end u64, min_time u64, max_time u64 | over all entries |
//! | 92 | first_queue u64, last_queue u64, bytes u64 | first above last: no queue |
//!
//! A start page has the first two rows, then first_queue u64, last_queue u64.

use super::entry::{Key, RunEntry};
use super::lookup::Query;
use super::page::{RunPage, StartPage};
use super::summaries::{SUMMARY_BYTES, SummaryRef};
use crate::env::Timestamp;
use crate::format::object::{sealed, unsealed};
use crate::format::take::Take;
use crate::format::{Epoch, FormatError, Lsn, PgId, QueueUid, crc32c};
use crate::tier::{ObjectId, ObjectName};

const MAGIC: u32 = 0x5452_4d53; // "SMRT"
const VERSION: u16 = 1;
const PAGE_BYTES: usize = 116;
const START_BYTES: usize = 44;
const LOSS_BYTES: usize = 16;
/// Key summaries that a root has at most, each of up to some thousand objects: a fold of more is
/// refused.
pub const SUMMARIES_MAX: usize = 1024;

/// A page that is an object of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageObject {
    /// What makes its name its own.
    pub object: ObjectId,
    /// In its name.
    pub epoch: Epoch,
    /// Its bytes.
    pub len: u32,
    /// crc32c of them: a page is the one that the root means, or it is none.
    pub crc: u32,
}

impl PageObject {
    pub(super) fn of(object: ObjectId, epoch: Epoch, bytes: &[u8]) -> PageObject {
        PageObject { object, epoch, len: bytes.len() as u32, crc: crc32c(bytes) }
    }

    /// Its name.
    pub const fn name(&self, pg: PgId) -> ObjectName {
        ObjectName::Page { pg, epoch: self.epoch, id: self.object }
    }

    fn holds(&self, bytes: &[u8]) -> Result<(), FormatError> {
        if bytes.len() as u64 == u64::from(self.len) && crc32c(bytes) == self.crc {
            Ok(())
        } else {
            Err(FormatError::Checksum)
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.object.id.to_le_bytes());
        for number in [self.object.nonce, self.epoch.0, self.len, self.crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn take(take: &mut Take<'_>) -> Result<PageObject, FormatError> {
        Ok(PageObject {
            object: ObjectId { id: take.u64()?, nonce: take.u32()? },
            epoch: Epoch(take.u32()?),
            len: take.u32()?,
            crc: take.u32()?,
        })
    }
}

/// A page of runs, as the root knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRef {
    /// The page.
    pub page: PageObject,
    /// How many entries.
    pub entries: u32,
    /// Key of the first.
    pub first: Key,
    /// Key of the last.
    pub last: Key,
    /// Greatest end of an entry.
    pub end: Lsn,
    /// Least store time.
    pub min_time: Timestamp,
    /// Greatest store time.
    pub max_time: Timestamp,
    /// Least and greatest queue; none: operations only.
    pub queues: Option<(QueueUid, QueueUid)>,
    /// Bytes of what the entries name.
    pub bytes: u64,
}

impl PageRef {
    /// What the root knows of a page with these entries; there is one at least.
    pub(super) fn of(page: PageObject, entries: &[RunEntry]) -> PageRef {
        let nothing = RunEntry::nothing();
        let ranges = || entries.iter().filter_map(|entry| entry.queues.range());
        let least = ranges().map(|(first, _)| first).min();
        let greatest = ranges().map(|(_, last)| last).max();
        PageRef {
            page,
            entries: entries.len() as u32,
            first: entries.first().unwrap_or(&nothing).key(),
            last: entries.last().unwrap_or(&nothing).key(),
            end: entries.iter().map(|entry| entry.to).max().unwrap_or_default(),
            min_time: entries.iter().map(|entry| entry.min_time).min().unwrap_or_default(),
            max_time: entries.iter().map(|entry| entry.max_time).max().unwrap_or_default(),
            queues: least.zip(greatest),
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
        }
    }

    /// Reads the page from its bytes.
    ///
    /// # Errors
    /// When they are another page's, or damaged.
    pub fn open(&self, bytes: &[u8]) -> Result<RunPage, FormatError> {
        self.page.holds(bytes)?;
        let page = RunPage::decode(bytes)?;
        if PageRef::of(self.page, &page.0) == *self {
            Ok(page)
        } else {
            Err(FormatError::Contradiction)
        }
    }
}

/// A page of starts, as the root knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartRef {
    /// The page.
    pub page: PageObject,
    /// How many queues.
    pub entries: u32,
    /// Least queue.
    pub first: QueueUid,
    /// Greatest queue.
    pub last: QueueUid,
}

impl StartRef {
    pub(super) fn of(page: PageObject, starts: &StartPage) -> StartRef {
        let queue = |start: Option<&(QueueUid, _)>| start.map_or(QueueUid(0), |(queue, _)| *queue);
        let (first, last) = (queue(starts.0.first()), queue(starts.0.last()));
        StartRef { page, entries: starts.0.len() as u32, first, last }
    }

    /// Reads the page from its bytes.
    ///
    /// # Errors
    /// When they are another page's, or damaged.
    pub fn open(&self, bytes: &[u8]) -> Result<StartPage, FormatError> {
        self.page.holds(bytes)?;
        let page = StartPage::decode(bytes)?;
        if StartRef::of(self.page, &page) == *self {
            Ok(page)
        } else {
            Err(FormatError::Contradiction)
        }
    }
}

/// A manifest as of one fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Whose.
    pub pg: PgId,
    /// Everything below is in what the pages name, or was dropped, or is lost.
    pub tiered: Lsn,
    /// Pages of runs, ascending.
    pub pages: Vec<PageRef>,
    /// Pages of starts, ascending.
    pub starts: Vec<StartRef>,
    /// Ranges that were given up, ascending.
    pub lost: Vec<(Lsn, Lsn)>,
    /// Key summaries, ascending by object; [`SUMMARIES_MAX`] at most.
    pub summaries: Vec<SummaryRef>,
}

impl Root {
    /// What comes before the first fold.
    pub const fn empty(pg: PgId) -> Root {
        let tiered = pg.first_lsn();
        Root {
            pg,
            tiered,
            pages: Vec::new(),
            starts: Vec::new(),
            lost: Vec::new(),
            summaries: Vec::new(),
        }
    }

    /// The pages that may have what is asked for, by their place in [`Root::pages`].
    pub fn pages(&self, query: &Query) -> impl Iterator<Item = usize> {
        let may = move |page: &PageRef| query.may_be_in(page);
        self.pages.iter().enumerate().filter(move |(_, page)| may(page)).map(|(at, _)| at)
    }

    /// The page of starts that has a queue's, if any has.
    pub fn start_page(&self, queue: QueueUid) -> Option<usize> {
        let at = self.starts.partition_point(|page| page.last < queue);
        self.starts.get(at).filter(|page| page.first <= queue).map(|_| at)
    }

    /// The page that an entry with this key is in, or is to be put into; `None` with no page.
    pub(super) fn page_of(&self, key: &Key) -> Option<usize> {
        let at = self.pages.partition_point(|page| page.first <= *key);
        (!self.pages.is_empty()).then(|| at.saturating_sub(1))
    }

    /// Entries.
    pub fn entries(&self) -> u64 {
        self.pages.iter().map(|page| u64::from(page.entries)).sum()
    }

    /// Bytes of what they name.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.bytes).sum()
    }

    /// The root's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_le_bytes().to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.summaries.len() as u16).to_le_bytes());
        let counts = [self.pages.len(), self.starts.len(), self.lost.len()].map(|len| len as u32);
        out.extend_from_slice(&self.pg.get().to_le_bytes());
        counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        out.extend_from_slice(&self.tiered.0.to_le_bytes());
        for page in &self.pages {
            put_page(page, &mut out);
        }
        for start in &self.starts {
            start.page.put(&mut out);
            out.extend_from_slice(&start.entries.to_le_bytes());
            out.extend_from_slice(&start.first.0.to_le_bytes());
            out.extend_from_slice(&start.last.0.to_le_bytes());
        }
        for (from, to) in &self.lost {
            out.extend_from_slice(&from.0.to_le_bytes());
            out.extend_from_slice(&to.0.to_le_bytes());
        }
        self.summaries.iter().for_each(|summary| summary.put(&mut out));
        sealed(out)
    }

    /// Reads a root.
    ///
    /// # Errors
    /// When these are not its bytes, or its pages are out of order.
    pub fn decode(bytes: &[u8]) -> Result<Root, FormatError> {
        let mut take = Take(unsealed(bytes)?);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let version = take.u16()?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let summaries = usize::from(take.u16()?);
        let pg = PgId::new(take.u32()?).ok_or(FormatError::Length)?;
        let counts = [take.u32()?, take.u32()?, take.u32()?].map(|count| count as usize);
        let tiered = Lsn(take.u64()?);
        let [pages, starts, lost] = counts;
        let lens = [
            (pages, PAGE_BYTES),
            (starts, START_BYTES),
            (lost, LOSS_BYTES),
            (summaries, SUMMARY_BYTES),
        ];
        if lens.iter().map(|(count, len)| count * len).sum::<usize>() != take.0.len() {
            return Err(FormatError::Length);
        }
        let pages = (0..pages).map(|_| take_page(&mut take)).collect::<Result<Vec<_>, _>>()?;
        let starts = (0..starts).map(|_| take_start(&mut take)).collect::<Result<Vec<_>, _>>()?;
        let mut losses = Vec::with_capacity(lost);
        for _ in 0..lost {
            losses.push((Lsn(take.u64()?), Lsn(take.u64()?)));
        }
        let summaries =
            (0..summaries).map(|_| SummaryRef::take(&mut take)).collect::<Result<Vec<_>, _>>()?;
        let root = Root { pg, tiered, pages, starts, lost: losses, summaries };
        if root.is_sound() { Ok(root) } else { Err(FormatError::Contradiction) }
    }

    pub(super) fn is_sound(&self) -> bool {
        let first_to_last = |page: &PageRef| page.entries > 0 && page.first <= page.last;
        self.pages.iter().all(first_to_last)
            && self.pages.windows(2).all(|pair| pair[0].last < pair[1].first)
            && self.starts.iter().all(|page| page.entries > 0 && page.first <= page.last)
            && self.starts.windows(2).all(|pair| pair[0].last < pair[1].first)
            && self.pages.iter().all(|page| page.end <= self.tiered)
            && self.summaries.len() <= SUMMARIES_MAX
            && self.summaries.windows(2).all(|pair| pair[0].object < pair[1].object)
    }
}

/// Least queue above greatest: the page has none.
const NO_QUEUES: (QueueUid, QueueUid) = (QueueUid(u64::MAX), QueueUid(0));

fn put_page(page: &PageRef, out: &mut Vec<u8>) {
    page.page.put(out);
    out.extend_from_slice(&page.entries.to_le_bytes());
    let (first_queue, last_queue) = page.queues.unwrap_or(NO_QUEUES);
    for key in [&page.first, &page.last] {
        out.extend_from_slice(&key.from.0.to_le_bytes());
        out.extend_from_slice(&key.object.id.to_le_bytes());
        out.extend_from_slice(&key.object.nonce.to_le_bytes());
    }
    for number in
        [page.end.0, page.min_time.0, page.max_time.0, first_queue.0, last_queue.0, page.bytes]
    {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn take_page(take: &mut Take<'_>) -> Result<PageRef, FormatError> {
    let page = PageObject::take(take)?;
    let entries = take.u32()?;
    let (first, last, end) = (take_key(take)?, take_key(take)?, Lsn(take.u64()?));
    let (min_time, max_time) = (Timestamp(take.u64()?), Timestamp(take.u64()?));
    let queues = (QueueUid(take.u64()?), QueueUid(take.u64()?));
    let queues = (queues != NO_QUEUES).then_some(queues);
    let bytes = take.u64()?;
    Ok(PageRef { page, entries, first, last, end, min_time, max_time, queues, bytes })
}

fn take_key(take: &mut Take<'_>) -> Result<Key, FormatError> {
    let from = Lsn(take.u64()?);
    Ok(Key { from, object: ObjectId { id: take.u64()?, nonce: take.u32()? } })
}

fn take_start(take: &mut Take<'_>) -> Result<StartRef, FormatError> {
    let page = PageObject::take(take)?;
    let entries = take.u32()?;
    Ok(StartRef { page, entries, first: QueueUid(take.u64()?), last: QueueUid(take.u64()?) })
}

//! Finding a message in a bucket of which nothing is known but a placement group's record: what it
//! costs in GETs where nothing is cached, and whether what was made is right.

use super::{GroupRecord, Sample};
use bytes::Bytes;
use std::io;
use storage::format::object::{Record, Span, Tail, TailRead};
use storage::object::{Bucket, Name, Purpose};
use storage::tier::manifest::{
    Delta, OffsetSearch, OffsetStep, Overlay, PageSearch, Query, Root, RunEntry, RunPage, select,
    select_in,
};
use storage::tier::{KeySearch, KeyStep, ObjectName, fetches};
use storage::{PgId, QueueOffset};

/// GETs that one lookup took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookups {
    /// A message by its queue and offset.
    pub(crate) by_offset: u32,
    /// A message by its place in the log.
    pub(crate) by_lsn: u32,
    /// A message by its key, where its time is known to a second.
    pub(crate) by_key: u32,
}

/// Finds a sample in each way.
///
/// # Errors
/// When it is not found, or is another message.
pub(crate) async fn look_up(
    bucket: &Bucket,
    group: &GroupRecord,
    sample: &Sample,
) -> io::Result<Lookups> {
    let mut search = Cold { bucket, gets: 0 };
    let found = search.by_offset(group, sample).await?;
    check(found, sample)?;
    let by_offset = std::mem::take(&mut search.gets);
    let hash = storage::format::object::KeyHash::of_lsn(sample.lsn);
    let found = search.by_hash(group, sample, hash, Query::lsn(sample.lsn)).await?;
    check(found, sample)?;
    let by_lsn = std::mem::take(&mut search.gets);
    let until = sample.time.plus(std::time::Duration::from_secs(1));
    let found = search.by_hash(group, sample, sample.key, Query::time(sample.time, until)).await?;
    check(found, sample)?;
    Ok(Lookups { by_offset, by_lsn, by_key: search.gets })
}

fn check(found: Option<Record>, sample: &Sample) -> io::Result<()> {
    match found {
        Some(found) if found.lsn == sample.lsn && found.time == sample.time => Ok(()),
        Some(_) | None => Err(io::Error::other(format!("not found as it was made: {sample:?}"))),
    }
}

/// Asks for everything anew, and counts.
struct Cold<'a> {
    bucket: &'a Bucket,
    gets: u32,
}

impl Cold<'_> {
    async fn get(&mut self, name: &ObjectName, span: Option<Span>) -> io::Result<Bytes> {
        self.gets += 1;
        let name = Name::parse(&name.to_string()).map_err(io::Error::other)?;
        let fetched = match span {
            Some(span) => self.bucket.get(&name, span.at..span.end(), Purpose::Check).await,
            None => self.bucket.get(&name, storage::object::Span::All, Purpose::Check).await,
        };
        fetched.map(|fetched| fetched.bytes).map_err(io::Error::other)
    }

    async fn view(&mut self, group: &GroupRecord) -> io::Result<(Root, Overlay)> {
        let root = match &group.root {
            Some(name) => Root::decode(&self.get(name, None).await?).map_err(io::Error::other)?,
            None => Root::empty(group.pg),
        };
        let deltas: Result<Vec<Delta>, _> =
            group.deltas.iter().map(|bytes| Delta::decode(bytes)).collect();
        let overlay = Overlay::of(&root, &deltas.map_err(io::Error::other)?);
        let overlay = overlay.map_err(io::Error::other)?;
        if overlay.tiered == group.tiered {
            Ok((root, overlay))
        } else {
            Err(io::Error::other("the deltas end before the record does"))
        }
    }

    async fn page(&mut self, root: &Root, at: usize) -> io::Result<RunPage> {
        let page = root.pages.get(at).ok_or_else(|| io::Error::other("no such page"))?;
        let bytes = self.get(&page.page.name(root.pg), None).await?;
        page.open(&bytes).map_err(io::Error::other)
    }

    async fn tail(&mut self, entry: &RunEntry, pg: PgId) -> io::Result<Tail> {
        let mut span = Tail::first_read(entry.object_len);
        loop {
            let bytes = self.get(&entry.name(pg), Some(span)).await?;
            match Tail::read(&bytes).map_err(io::Error::other)? {
                TailRead::Whole(tail) => return Ok(*tail),
                TailRead::Longer(more) => span = more,
            }
        }
    }

    /// By halves among entries; the tails of those that were asked.
    async fn ask(&mut self, pg: PgId, search: &mut OffsetSearch) -> io::Result<()> {
        while let OffsetStep::Probe(entry) = search.step() {
            let tail = self.tail(&entry, pg).await?;
            let blocks = || tail.queues.blocks(pg, search.queue(), QueueOffset(0));
            let offsets = blocks().next().zip(blocks().last());
            search.feed(offsets.map(|(first, last)| (first.first, last.last)));
        }
        Ok(())
    }

    async fn by_offset(
        &mut self,
        group: &GroupRecord,
        sample: &Sample,
    ) -> io::Result<Option<Record>> {
        let (root, overlay) = self.view(group).await?;
        let (pg, queue, offset) = (group.pg, sample.queue, sample.offset);
        let query = Query::queue(queue);
        let mut added = OffsetSearch::new(queue, offset, select(&query, [], &overlay));
        self.ask(pg, &mut added).await?;
        let mut pages = PageSearch::new(&root, &added);
        while let Some(at) = pages.page() {
            let entries = select_in(&query, &self.page(&root, at).await?, &overlay);
            let mut in_page = OffsetSearch::in_page(queue, offset, entries);
            self.ask(pg, &mut in_page).await?;
            pages.feed(&in_page);
        }
        let Some(entry) = pages.found() else { return Ok(None) };
        let tail = self.tail(&entry, pg).await?;
        let wanted = fetches(&tail, (pg, queue), offset, u64::MAX, (1 << 20, 1));
        let Some(fetch) = wanted.first() else { return Ok(None) };
        let bytes = self.get(&entry.name(pg), Some(fetch.span)).await?;
        let blocks = fetch.decode(&bytes).map_err(io::Error::other)?;
        let mut records = blocks.into_iter().flat_map(|block| block.records);
        Ok(records.find(|record| record.offset == offset))
    }

    /// In the objects that the manifest names for the query.
    async fn by_hash(
        &mut self,
        group: &GroupRecord,
        sample: &Sample,
        hash: storage::format::object::KeyHash,
        query: Query,
    ) -> io::Result<Option<Record>> {
        let (root, overlay) = self.view(group).await?;
        let mut pages = Vec::new();
        for at in root.pages(&query).collect::<Vec<_>>() {
            pages.push(self.page(&root, at).await?);
        }
        for entry in select(&query, &pages, &overlay) {
            let tail = self.tail(&entry, group.pg).await?;
            let mut search = KeySearch::new(&tail, hash);
            let found = loop {
                match search.step() {
                    KeyStep::Get(span) => {
                        let bytes = self.get(&entry.name(group.pg), Some(span)).await?;
                        search.feed(&bytes).map_err(io::Error::other)?;
                    }
                    KeyStep::Done { found, .. } => break found,
                }
            };
            for candidate in found.iter().filter(|found| found.block.pg == group.pg) {
                let span = candidate.block.span;
                let fetch = storage::tier::Fetch { span, blocks: vec![candidate.block] };
                let bytes = self.get(&entry.name(group.pg), Some(span)).await?;
                let blocks = fetch.decode(&bytes).map_err(io::Error::other)?;
                let mut records = blocks.into_iter().flat_map(|block| block.records);
                if let Some(found) = records.find(|record| record.lsn == sample.lsn) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }
}

//! Whether the key index of an object has the messages of its blocks.

use super::contents::Contents;
use super::finding::{Affected, Fault};
use super::front::Front;
use super::tail::{Damage, Part, Unreadable};
use crate::format::object::{
    KEY_PAGE_BYTES, KeyHash, KeyPlace, Partition, Record, Span, Tail, entries_in_page,
};
use crate::format::{FormatError, Lsn};

/// Of how many messages one is looked for where not all are.
const SAMPLE: u64 = 64;

/// A message that must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    hash: KeyHash,
    place: KeyPlace,
    lsn: Lsn,
    /// Where it was found.
    page: Option<u32>,
}

/// The messages that are to be found in one object's index.
#[derive(Debug, Default)]
pub(super) struct Keys {
    all: bool,
    seen: u64,
    wanted: Vec<Wanted>,
}

impl Keys {
    pub(super) fn new(all: bool) -> Keys {
        Keys { all, ..Keys::default() }
    }

    /// Takes a message that was read. `place`: where the index should say that it is.
    pub(super) fn message(&mut self, record: &Record, place: KeyPlace) {
        if self.all || self.seen.is_multiple_of(SAMPLE) {
            let (hash, lsn) = (KeyHash::of_lsn(record.lsn), record.lsn);
            self.wanted.push(Wanted { hash, place, lsn, page: None });
        }
        self.seen += 1;
    }

    /// Reads pages and partitions, which come next in the object.
    pub(super) async fn check(
        mut self,
        front: &mut Front<'_>,
        tail: &Tail,
        contents: &mut Contents,
    ) -> Result<(), Unreadable> {
        self.wanted.sort_unstable();
        let pages_sound = self.pages(front, tail, contents).await?;
        let partitions_sound = self.partitions(front, tail, contents).await?;
        if pages_sound && partitions_sound {
            let missing = || self.wanted.iter().filter(|wanted| wanted.page.is_none());
            if let Some(first) = missing().map(|wanted| wanted.lsn).min() {
                let messages = missing().count() as u64;
                contents
                    .faults
                    .push((Fault::Unindexed { messages, first }, vec![Affected::Search]));
            }
        }
        Ok(())
    }

    /// Notes in which page each wanted message is. Whether every page could be read.
    async fn pages(
        &mut self,
        front: &mut Front<'_>,
        tail: &Tail,
        contents: &mut Contents,
    ) -> Result<bool, Unreadable> {
        let (mut sound, mut last) = (true, None);
        for page in 0..tail.keys.page_count() {
            let at = Span { at: front.at(), len: KEY_PAGE_BYTES as u64 };
            let bytes = front.take(at.len).await?;
            if let Err(source) = self.page(page, &bytes, &mut last) {
                sound = false;
                let damage = Damage { part: Part::KeyPage, at, source };
                contents.faults.push((Fault::Damaged(damage), vec![Affected::Search]));
            }
        }
        Ok(sound)
    }

    fn page(
        &mut self,
        page: u32,
        bytes: &[u8],
        last: &mut Option<(KeyHash, KeyPlace)>,
    ) -> Result<(), FormatError> {
        for entry in entries_in_page(bytes)? {
            let entry = entry?;
            if last.is_some_and(|last| last > entry) {
                return Err(FormatError::Contradiction);
            }
            *last = Some(entry);
            let of = |wanted: &Wanted| (wanted.hash, wanted.place);
            let from = self.wanted.partition_point(|wanted| of(wanted) < entry);
            for wanted in self.wanted.iter_mut().skip(from).take_while(|w| of(w) == entry) {
                wanted.page = Some(page);
            }
        }
        Ok(())
    }

    /// Takes off again what the partitions do not lead to. Whether every one could be read.
    async fn partitions(
        &mut self,
        front: &mut Front<'_>,
        tail: &Tail,
        contents: &mut Contents,
    ) -> Result<bool, Unreadable> {
        let (mut sound, mut next) = (true, 0);
        for at in tail.keys.spans() {
            front.skip_to(at.at).await?;
            let bytes = front.take(at.len).await?;
            match Partition::decode(&bytes) {
                Ok(partition) => self.partition(tail, at, &partition, &mut next),
                Err(source) => {
                    sound = false;
                    let damage = Damage { part: Part::Partition, at, source };
                    contents.faults.push((Fault::Damaged(damage), vec![Affected::Search]));
                }
            }
        }
        Ok(sound)
    }

    /// `next`: the first message that no partition before was asked for.
    fn partition(&mut self, tail: &Tail, at: Span, partition: &Partition, next: &mut usize) {
        while let Some(wanted) = self.wanted.get_mut(*next) {
            match tail.keys.partition(wanted.hash) {
                Some(span) if span.at > at.at => return,
                Some(span) if span == at => {
                    let pages = partition.pages(wanted.hash).unwrap_or_default();
                    wanted.page = wanted.page.filter(|page| pages.contains(page));
                }
                // Of a partition that is damaged, or that the table calls empty: it stays as it is.
                Some(_) | None => {}
            }
            *next += 1;
        }
    }
}

//! The fold: deltas become pages. Only pages that a delta touches are written again.

use super::delta::Overlay;
use super::entry::{Key, RunEntry};
use super::page::{PAGE_ENTRIES, RunPage, START_PAGE_ENTRIES, StartPage};
use super::root::{PageObject, PageRef, Root, StartRef};
use crate::format::{Epoch, FormatError, QueueOffset, QueueUid};
use crate::tier::{ObjectId, ObjectName};
use std::collections::{BTreeMap, BTreeSet};

/// Below a part so small of what it aims at, a page is put together with a neighbour.
const SMALL_PART: usize = 4;

/// How many items a page aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSizes {
    /// Entries of a page of runs; at least 1.
    pub runs: usize,
    /// Queues of a page of starts; at least 1.
    pub starts: usize,
}

impl Default for PageSizes {
    fn default() -> PageSizes {
        PageSizes { runs: PAGE_ENTRIES, starts: START_PAGE_ENTRIES }
    }
}

/// The pages that [`touched`] named, by their places in the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Of [`Root::pages`].
    pub pages: BTreeMap<usize, RunPage>,
    /// Of [`Root::starts`].
    pub starts: BTreeMap<usize, StartPage>,
}

/// The pages that a fold needs, by their places in the root; ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Of [`Root::pages`].
    pub pages: BTreeSet<usize>,
    /// Of [`Root::starts`].
    pub starts: BTreeSet<usize>,
}

/// Why a fold was not made: the manifest and its deltas do not belong together. Nothing is lost as
/// long as nothing is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldRefused {
    /// A page was not brought.
    #[error("page {0} is touched, and was not brought")]
    Missing(usize),
    /// An object is removed that is in no page.
    #[error("object {0} is removed, and was not there")]
    NotThere(ObjectId),
    /// An object is added that a page has.
    #[error("object {0} is added, and was there")]
    Twice(ObjectId),
    /// What was made does not read back as what was meant.
    #[error("the folded manifest contradicts itself")]
    Contradiction(#[from] FormatError),
}

/// A folded manifest: upload the objects, then commit the root's name and no deltas.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The new root.
    pub root: Root,
    /// Its name.
    pub root_name: ObjectName,
    /// What is to be uploaded: new pages, and last the root.
    pub objects: Vec<(ObjectName, Vec<u8>)>,
    /// Pages that the new root does not name; the old root goes with them.
    pub dropped: Vec<ObjectName>,
}

/// Which pages the fold needs.
pub fn touched(root: &Root, overlay: &Overlay, sizes: PageSizes) -> Touched {
    let mut changes: BTreeMap<usize, i64> = BTreeMap::new();
    for key in overlay.added.keys() {
        if let Some(at) = place_of_new(root, key, sizes) {
            *changes.entry(at).or_default() += 1;
        }
    }
    for key in &overlay.removed {
        if let Some(at) = root.page_of(key) {
            *changes.entry(at).or_default() -= 1;
        }
    }
    let mut pages: BTreeSet<usize> = changes.keys().copied().collect();
    for (at, change) in changes {
        let size = |at: usize| root.pages.get(at).map_or(i64::MAX, |page| page.entries.into());
        let left = size(at).saturating_add(change);
        let next = at + 1;
        let fits = left.saturating_add(size(next)) <= sizes.runs as i64;
        if left < sizes.runs.div_ceil(SMALL_PART) as i64 && fits {
            pages.insert(next);
        }
    }
    let starts = overlay.starts.keys().filter_map(|queue| place_of_start(root, *queue));
    Touched { pages, starts: starts.collect() }
}

/// Where a new entry goes; `None`: behind all pages, onto a page of its own.
fn place_of_new(root: &Root, key: &Key, sizes: PageSizes) -> Option<usize> {
    let last = root.pages.last()?;
    if last.last < *key && last.entries as usize >= sizes.runs {
        return None;
    }
    root.page_of(key)
}

fn place_of_start(root: &Root, queue: QueueUid) -> Option<usize> {
    let at = root.starts.partition_point(|page| page.first <= queue).saturating_sub(1);
    (!root.starts.is_empty()).then_some(at)
}

/// Puts the overlay into pages. `brought`: those that [`touched`] named for the same sizes;
/// `next_id` gives ids that were never used.
///
/// # Errors
/// When the overlay does not belong to the root, or the result does not read back.
pub fn fold(
    root: &Root,
    overlay: &Overlay,
    sizes: PageSizes,
    brought: &Brought,
    epoch: Epoch,
    next_id: &mut dyn FnMut() -> ObjectId,
) -> Result<Folded, FoldRefused> {
    let mut new = Writer { root, sizes, epoch, next_id, objects: Vec::new(), dropped: Vec::new() };
    let touched = touched(root, overlay, sizes);
    let run_pages = new.runs(overlay, &touched.pages, &brought.pages)?;
    let start_pages = new.starts(overlay, &touched.starts, &brought.starts)?;
    let mut lost = root.lost.clone();
    lost.extend(&overlay.lost);
    lost.sort_unstable();
    let folded = Root {
        pg: root.pg,
        tiered: overlay.tiered,
        pages: run_pages,
        starts: start_pages,
        lost,
        summaries: overlay.all_summaries(root),
    };
    check(root, overlay, &folded)?;
    let bytes = folded.encode();
    if Root::decode(&bytes)? != folded {
        return Err(FormatError::Contradiction.into());
    }
    let root_name = ObjectName::Root { pg: root.pg, epoch, id: (new.next_id)() };
    let (mut objects, dropped) = (new.objects, new.dropped);
    objects.push((root_name, bytes));
    Ok(Folded { root: folded, root_name, objects, dropped })
}

/// INV-MAN-2, over all pages: as many entries as there were, were added, and were not removed.
fn check(root: &Root, overlay: &Overlay, folded: &Root) -> Result<(), FoldRefused> {
    let expected = root.entries() + overlay.added.len() as u64;
    if folded.entries() + overlay.removed.len() as u64 != expected || !folded.is_sound() {
        return Err(FormatError::Contradiction.into());
    }
    Ok(())
}

struct Writer<'a> {
    root: &'a Root,
    sizes: PageSizes,
    epoch: Epoch,
    next_id: &'a mut dyn FnMut() -> ObjectId,
    objects: Vec<(ObjectName, Vec<u8>)>,
    dropped: Vec<ObjectName>,
}

impl Writer<'_> {
    fn put(&mut self, bytes: Vec<u8>) -> PageObject {
        let page = PageObject::of((self.next_id)(), self.epoch, &bytes);
        self.objects.push((page.name(self.root.pg), bytes));
        page
    }

    fn runs(
        &mut self,
        overlay: &Overlay,
        touched: &BTreeSet<usize>,
        pages: &BTreeMap<usize, RunPage>,
    ) -> Result<Vec<PageRef>, FoldRefused> {
        let mut removed = overlay.removed.clone();
        let mut added = overlay.added.iter().peekable();
        let mut all = Vec::new();
        let mut open: BTreeMap<Key, RunEntry> = BTreeMap::new();
        for (at, known) in self.root.pages.iter().enumerate() {
            if !touched.contains(&at) {
                self.close_runs(std::mem::take(&mut open), false, &mut all)?;
                all.push(*known);
                continue;
            }
            self.dropped.push(known.page.name(self.root.pg));
            let page = pages.get(&at).ok_or(FoldRefused::Missing(at))?;
            open.extend(page.0.iter().map(|entry| (entry.key(), *entry)));
            while let Some((key, entry)) =
                added.next_if(|(key, _)| place_of_new(self.root, key, self.sizes) == Some(at))
            {
                if open.insert(*key, *entry).is_some() {
                    return Err(FoldRefused::Twice(entry.object));
                }
            }
            removed.retain(|key| open.remove(key).is_none());
        }
        // What is left belongs behind all pages.
        for (key, entry) in added {
            open.insert(*key, *entry);
        }
        self.close_runs(open, true, &mut all)?;
        match removed.first() {
            None => Ok(all),
            Some(key) => Err(FoldRefused::NotThere(key.object)),
        }
    }

    /// Writes entries as pages. At the end of the log pages are filled, since more will follow;
    /// elsewhere they are cut evenly, since more may be put between.
    fn close_runs(
        &mut self,
        entries: BTreeMap<Key, RunEntry>,
        is_end: bool,
        all: &mut Vec<PageRef>,
    ) -> Result<(), FoldRefused> {
        let entries: Vec<RunEntry> = entries.into_values().collect();
        for part in cut(&entries, self.sizes.runs, is_end) {
            let bytes = RunPage(part.to_vec()).encode();
            let page = PageRef::of(self.put(bytes), part);
            if let Some((_, bytes)) = self.objects.last() {
                page.open(bytes)?;
            }
            all.push(page);
        }
        Ok(())
    }

    fn starts(
        &mut self,
        overlay: &Overlay,
        touched: &BTreeSet<usize>,
        pages: &BTreeMap<usize, StartPage>,
    ) -> Result<Vec<StartRef>, FoldRefused> {
        let mut changes = overlay.starts.iter().peekable();
        let mut all = Vec::new();
        for (at, known) in self.root.starts.iter().enumerate() {
            if !touched.contains(&at) {
                all.push(*known);
                continue;
            }
            self.dropped.push(known.page.name(self.root.pg));
            let page = pages.get(&at).ok_or(FoldRefused::Missing(at))?;
            let mut open: BTreeMap<QueueUid, QueueOffset> = page.0.iter().copied().collect();
            while let Some((queue, start)) =
                changes.next_if(|(queue, _)| place_of_start(self.root, **queue) == Some(at))
            {
                change_start(&mut open, *queue, *start);
            }
            self.close_starts(open, &mut all)?;
        }
        let mut open = BTreeMap::new();
        for (queue, start) in changes {
            change_start(&mut open, *queue, *start);
        }
        self.close_starts(open, &mut all)?;
        Ok(all)
    }

    fn close_starts(
        &mut self,
        starts: BTreeMap<QueueUid, QueueOffset>,
        all: &mut Vec<StartRef>,
    ) -> Result<(), FoldRefused> {
        let starts: Vec<(QueueUid, QueueOffset)> = starts.into_iter().collect();
        for part in cut(&starts, self.sizes.starts, false) {
            let page = StartPage(part.to_vec());
            let known = StartRef::of(self.put(page.encode()), &page);
            if let Some((_, bytes)) = self.objects.last() {
                known.open(bytes)?;
            }
            all.push(known);
        }
        Ok(())
    }
}

/// A start only grows; a queue that is gone has none.
fn change_start(
    open: &mut BTreeMap<QueueUid, QueueOffset>,
    queue: QueueUid,
    start: Option<QueueOffset>,
) {
    match start {
        Some(offset) => {
            let known = open.entry(queue).or_default();
            *known = offset.max(*known);
        }
        None => {
            open.remove(&queue);
        }
    }
}

/// Parts of at most `aim` items: all full but the last, or all alike.
fn cut<T>(items: &[T], aim: usize, is_end: bool) -> impl Iterator<Item = &[T]> {
    let aim = aim.max(1);
    let parts = items.len().div_ceil(aim).max(1);
    let size = if is_end { aim } else { items.len().div_ceil(parts).max(1) };
    items.chunks(size)
}

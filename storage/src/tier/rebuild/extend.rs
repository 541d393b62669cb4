//! What bundles say beyond the newest copy of a placement group's record.
//!
//! A copy is of some commit; what was committed after it is in bundles that no copy names. Each
//! says of its range: the epoch whose record alone may reference it, where it begins and ends, and
//! the log's chain at both ends. The chain depends on every payload since the log's first byte, so
//! a range that begins where the copy ends, with its chain, goes on in the same history.
//!
//! What is known of the ranges that go on like that, with `m` the latest epoch of which the bucket
//! has any sign:
//! - One of epoch `m` is right: an epoch has one owner, who uploads only what is committed in its
//!   log. Whether it was referenced does not matter; its bytes are the log's.
//! - One of an earlier epoch that is followed, with the right chain, by one of a later epoch is
//!   right: the later owner's log begins with those bytes.
//! - Where two begin at one place, the one of the later epoch is right.
//! - One of an earlier epoch that nothing of a later one follows is in doubt: it may be the
//!   owner's, committed just before the later epoch began, or that of an owner who did not know
//!   that it was no more, with bytes that the later epoch never had. The bucket alone cannot tell.
//!   It is left out unless asked for.
//!
//! What cannot be known at all: that an epoch was opened of which the bucket has no sign. Therefore
//! a copy is written when an epoch is opened.
//!
//! INV-REBUILD-1: what is taken begins at the copy's end and has no hole; its epochs never descend.

use super::super::manifest::{Change, Delta, RunEntry};
use super::super::name::ObjectId;
use crate::format::object::PgEntry;
use crate::format::{Epoch, Lsn};
use std::collections::BTreeMap;

/// Bytes of the delta that names what is taken: with what a record has already it is to fit into
/// the metadata store.
pub const EXTENSION_BYTES_MAX: usize = 128 << 10;

/// Where the copy ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Of the copied record.
    pub epoch: Epoch,
    /// Of the copied record.
    pub tiered: Lsn,
    /// The log's chain there; `None`: the copy does not know.
    pub chain: Option<u32>,
    /// The latest epoch of which the bucket has any sign, in a name or in a directory.
    pub newest_epoch: Epoch,
}

/// A bundle that was found, as far as it is the placement group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Out of its directory.
    pub entry: PgEntry,
    /// What a manifest is to say of it.
    pub run: RunEntry,
}

/// What to do with ranges in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing comes back that a later epoch may not have had.
    #[default]
    Leave,
    /// Nothing is lost that may have been committed.
    Take,
}

/// Why a bundle is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Another has its place.
    Superseded,
    /// Nothing leads to it: a range before it is missing, or its chain is another history's.
    Detached,
    /// See the module.
    Doubtful,
    /// The record cannot name more.
    Full,
}

/// A bundle that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The object.
    pub object: ObjectId,
    /// In its directory.
    pub epoch: Epoch,
    /// First position.
    pub from: Lsn,
    /// After the last.
    pub to: Lsn,
    /// Why.
    pub reason: Reason,
}

/// What the bundles add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    /// In order; may be empty.
    pub taken: Vec<RunEntry>,
    /// Where they end.
    pub tiered: Lsn,
    /// The log's chain there, where it is known.
    pub chain: Option<u32>,
    /// Those with positions after the copy that are not taken, by position.
    pub left_out: Vec<LeftOut>,
}

impl Extended {
    /// What makes of the copied manifest the extended one; `None`: nothing was added.
    pub fn delta(&self, from: Lsn) -> Option<Delta> {
        let changes: Vec<Change> = self.taken.iter().copied().map(Change::Add).collect();
        (!changes.is_empty()).then_some(Delta { from, to: self.tiered, changes })
    }
}

/// A place that can be reached.
#[derive(Clone, Copy, Debug)]
struct Reached {
    at: Lsn,
    chain: Option<u32>,
    /// Of the last range; the copy's at the start.
    epoch: Epoch,
    /// The range that led here, and the place before it.
    via: Option<(usize, usize)>,
}

/// Which of the bundles go on where the copy ends, and how far.
pub fn extend(start: &Start, found: &[Found], doubt: Doubt) -> Extended {
    let reached = walk(start, found);
    let best = reached.iter().enumerate().max_by_key(|(_, place)| (place.epoch, place.at));
    let mut path = path_to(&reached, best.map_or(0, |(at, _)| at));
    let mut doubtful = Vec::new();
    if doubt == Doubt::Leave {
        doubtful = unconfirmed(start, found, &mut path);
    }
    let full = beyond_limit(found, &mut path);
    let last = path.last().and_then(|at| found.get(*at));
    let tiered = last.map_or(start.tiered, |last| last.entry.to);
    let chain = last.map_or(start.chain, |last| Some(last.entry.chain_end));
    let left = found
        .iter()
        .enumerate()
        .filter(|(at, found)| found.entry.to > start.tiered && !path.contains(at));
    let mut left_out: Vec<LeftOut> = left
        .map(|(at, found)| {
            let PgEntry { epoch, from, to, .. } = found.entry;
            let reason = match at {
                at if doubtful.contains(&at) => Reason::Doubtful,
                at if full.contains(&at) => Reason::Full,
                _ if from < tiered => Reason::Superseded,
                _ => Reason::Detached,
            };
            LeftOut { object: found.run.object, epoch, from, to, reason }
        })
        .collect();
    left_out.sort_unstable_by_key(|left| (left.from, left.object));
    let taken = path.iter().filter_map(|at| found.get(*at)).map(|found| found.run).collect();
    Extended { taken, tiered, chain, left_out }
}

/// Every place that ranges lead to from the start; the start first.
fn walk(start: &Start, found: &[Found]) -> Vec<Reached> {
    let mut beginning: BTreeMap<Lsn, Vec<usize>> = BTreeMap::new();
    for (at, found) in found.iter().enumerate().filter(|(_, f)| f.entry.from < f.entry.to) {
        beginning.entry(found.entry.from).or_default().push(at);
    }
    let first = Reached { at: start.tiered, chain: start.chain, epoch: start.epoch, via: None };
    let mut reached = vec![first];
    // Ascending by position: a place is looked at after every range that leads to it.
    let mut waiting = BTreeMap::from([((first.at, first.epoch, first.chain), 0)]);
    while let Some((_, place_at)) = waiting.pop_first() {
        let Some(place) = reached.get(place_at).copied() else { break };
        for at in beginning.get(&place.at).into_iter().flatten() {
            let Some(Found { entry, .. }) = found.get(*at) else { continue };
            let goes_on = place.chain.is_none_or(|chain| chain == entry.chain_before);
            if entry.epoch < place.epoch || !goes_on {
                continue;
            }
            let chain = Some(entry.chain_end);
            waiting.entry((entry.to, entry.epoch, chain)).or_insert_with(|| {
                let via = Some((*at, place_at));
                reached.push(Reached { at: entry.to, chain, epoch: entry.epoch, via });
                reached.len() - 1
            });
        }
    }
    reached
}

/// The ranges that lead to a place, in order.
fn path_to(reached: &[Reached], place: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut next = reached.get(place);
    while let Some((range, before)) = next.and_then(|place| place.via) {
        path.push(range);
        next = reached.get(before);
    }
    path.reverse();
    path
}

/// Takes off the path's end what nothing of a later epoch follows, where there was a later epoch.
fn unconfirmed(start: &Start, found: &[Found], path: &mut Vec<usize>) -> Vec<usize> {
    let epoch = |at: &usize| found.get(*at).map_or(start.epoch, |found| found.entry.epoch);
    match path.last().map(epoch) {
        Some(last) if last < start.newest_epoch => {
            let kept = path.iter().take_while(|at| epoch(at) < last).count();
            path.split_off(kept)
        }
        Some(_) | None => Vec::new(),
    }
}

/// Takes off the path's end what the record has no room for.
fn beyond_limit(found: &[Found], path: &mut Vec<usize>) -> Vec<usize> {
    let mut bytes = 0;
    let fits = |at: &&usize| {
        let change = found.get(**at).map(|found| Change::Add(found.run));
        let delta = Delta { from: Lsn(0), to: Lsn(0), changes: change.into_iter().collect() };
        bytes += delta.encode().len();
        bytes <= EXTENSION_BYTES_MAX
    };
    let kept = path.iter().take_while(fits).count();
    path.split_off(kept)
}

#[cfg(test)]
mod tests;

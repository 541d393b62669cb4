//! Lets go of what is past: as a whole by the manifest, by queue through their starts.

use super::error::CompactError;
use super::fetch::tail_of_entry;
use crate::env::Timestamp;
use crate::format::{Lsn, PgId, QueueOffset, QueueUid};
use crate::object::{Bucket, Purpose};
use crate::tier::manifest::{Change, RunEntry, ends_in, expired};
use crate::tier::retention::{Keeps, SizeWalk, TopicRules};
use std::collections::BTreeMap;

/// Objects that one commit lets go of: a tail is read of each.
const LET_GO_MAX: usize = 64;
/// Tails that one look for what is past by age reads.
const TAILS_MAX: usize = 256;

/// What one commit lets go of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// To commit, together; empty: nothing is past.
    pub changes: Vec<Change>,
    /// Objects that are removed.
    pub objects: usize,
    /// Bytes of the placement group in them.
    pub bytes: u64,
    /// There is more: call again after the commit.
    pub is_cut: bool,
}

/// Which of `entries` are past with all their queues, and where these queues go on. `replay_from`:
/// state is replayed from here on.
///
/// # Errors
/// When a tail cannot be read. Nothing is let go of then.
pub async fn let_go(
    bucket: &Bucket,
    pg: PgId,
    entries: &[RunEntry],
    topics: &dyn TopicRules,
    replay_from: Lsn,
) -> Result<LetGo, CompactError> {
    let keeps_since = |first, last| topics.keeps_since(first, last);
    let past = expired(entries, keeps_since, replay_from);
    let mut gone = LetGo { is_cut: past.len() > LET_GO_MAX, ..LetGo::default() };
    let mut ends: BTreeMap<QueueUid, QueueOffset> = BTreeMap::new();
    for entry in past.iter().take(LET_GO_MAX) {
        let tail = tail_of_entry(bucket, pg, entry, Purpose::Compaction).await?;
        for (queue, end) in ends_in(&tail, pg) {
            let known = ends.entry(queue).or_default();
            *known = end.max(*known);
        }
        gone.changes.push(Change::Remove(entry.key()));
        gone.objects += 1;
        gone.bytes += entry.bytes;
    }
    // A queue that is gone has no start either.
    for (queue, offset) in ends {
        if topics.keeps(queue) != Keeps::Nothing {
            gone.changes.push(Change::Start { queue, offset });
        }
    }
    Ok(gone)
}

/// A queue that keeps its messages for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aged {
    /// The queue.
    pub queue: QueueUid,
    /// It keeps what was stored at this moment or later.
    pub since: Timestamp,
    /// Where it begins was found when it kept what was stored at this moment; 0: never.
    pub seen: Timestamp,
}

/// Where queues begin that keep their messages for a time, by the objects in which everything is
/// older: what other queues keep of those stays, and what is past leaves with a merge. `entries`: all
/// of the manifest, in order. Reads a tail for each object in which queues end that is past since
/// [`Aged::seen`], and 256 at most, the rest the next time.
///
/// # Errors
/// When a tail cannot be read.
pub async fn starts_by_time(
    bucket: &Bucket,
    pg: PgId,
    entries: &[RunEntry],
    queues: impl IntoIterator<Item = Aged>,
    topics: &dyn TopicRules,
) -> Result<Vec<Change>, CompactError> {
    let mut open = past_of(entries, queues);
    let (mut changes, mut tails) = (Vec::new(), 0);
    for (at, entry) in entries.iter().enumerate().rev() {
        let Some((first, last)) = entry.queues.range() else { continue };
        let is_wanted = |(queue, (aged, end)): (&QueueUid, &(Aged, usize))| {
            at < *end && aged.seen <= entry.max_time && entry.queues.has(*queue)
        };
        if tails == TAILS_MAX || !open.range(first..=last).any(is_wanted) {
            continue;
        }
        tails += 1;
        let tail = tail_of_entry(bucket, pg, entry, Purpose::Compaction).await?;
        for (queue, offset) in ends_in(&tail, pg) {
            // What lies before it in the log is of earlier offsets (INV-MAN-4).
            let is_past = open.get(&queue).is_some_and(|(_, end)| at < *end);
            if is_past {
                open.remove(&queue);
                if offset > topics.start_of(queue) {
                    changes.push(Change::Start { queue, offset });
                }
            }
        }
    }
    Ok(changes)
}

/// By queue, how many of the first entries have nothing of it that it keeps.
fn past_of(
    entries: &[RunEntry],
    queues: impl IntoIterator<Item = Aged>,
) -> BTreeMap<QueueUid, (Aged, usize)> {
    let all = |aged: Aged| (aged.queue, (aged, entries.len()));
    let mut past: BTreeMap<QueueUid, (Aged, usize)> = queues.into_iter().map(all).collect();
    for (at, entry) in entries.iter().enumerate() {
        let Some((first, last)) = entry.queues.range() else { continue };
        for (queue, (aged, end)) in past.range_mut(first..=last) {
            if at < *end && aged.since <= entry.max_time && entry.queues.has(*queue) {
                *end = at;
            }
        }
    }
    past
}

/// Where queues begin that keep so many bytes: reads tails from the newest entry on, as far as the
/// queues need. `queues`: of one placement group, each with the bytes that it keeps.
///
/// # Errors
/// When a tail cannot be read.
pub async fn starts_by_size(
    bucket: &Bucket,
    pg: PgId,
    entries: &[RunEntry],
    queues: impl IntoIterator<Item = (QueueUid, u64)>,
    topics: &dyn TopicRules,
) -> Result<Vec<Change>, CompactError> {
    let mut walk = SizeWalk::new(pg, queues);
    for entry in entries.iter().rev() {
        if walk.is_done() {
            break;
        }
        if walk.wants(entry) {
            walk.feed(&tail_of_entry(bucket, pg, entry, Purpose::Compaction).await?);
        }
    }
    let starts = walk.finish().into_iter();
    let moves = starts.filter(|(queue, offset)| *offset > topics.start_of(*queue));
    Ok(moves.map(|(queue, offset)| Change::Start { queue, offset }).collect())
}

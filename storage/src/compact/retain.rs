//! Lets go of what is past: as a whole by the manifest, by queue through their starts.

use super::error::CompactError;
use super::fetch::tail_of_entry;
use crate::format::{Lsn, PgId, QueueOffset, QueueUid};
use crate::object::{Bucket, Purpose};
use crate::tier::manifest::{Change, RunEntry, ends_in, expired};
use crate::tier::retention::{Keeps, SizeWalk, TopicRules};
use std::collections::BTreeMap;

/// Objects that one commit lets go of: a tail is read of each.
const LET_GO_MAX: usize = 64;

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

//! What the objects of a placement group keep for nobody: asked for seldom, for it reads every tail,
//! and all messages of queues that are compacted by key.

use super::error::CompactError;
use super::fetch::tail_of_entry;
use super::merge::{Compactor, KEYS_MAX, READ_BYTES};
use super::reader::Reader;
use crate::format::object::{Block, Tail};
use crate::format::{FormatError, PgId, QueueOffset};
use crate::object::Purpose;
use crate::tier::ObjectId;
use crate::tier::manifest::RunEntry;
use crate::tier::retention::{Dead, Keeps, Newest, TopicRules, dead_in};
use std::collections::HashMap;

impl Compactor {
    /// What each of `entries` keeps for nobody. `entries`: the end of a manifest, in order. Holds one
    /// tail at a time, and the keys of [`KEYS_MAX`] messages; of further keys every message counts as
    /// kept.
    ///
    /// # Errors
    /// When an object is damaged or missing, or the store does not answer.
    pub async fn survey(
        &self,
        pg: PgId,
        entries: &[RunEntry],
        topics: &dyn TopicRules,
    ) -> Result<HashMap<ObjectId, Dead>, CompactError> {
        let mut newest = Newest::new(KEYS_MAX);
        let mut all = HashMap::new();
        // From the newest on, so that what was seen is what replaces.
        for entry in entries.iter().rev() {
            let tail = tail_of_entry(&self.bucket, pg, entry, Purpose::Compaction).await?;
            let mut dead = dead_in(&tail, pg, topics);
            dead.bytes += self.replaced(pg, entry, &tail, topics, &mut newest).await?;
            all.insert(entry.object, dead);
        }
        Ok(all)
    }

    /// Bytes of messages that later ones of their keys replace, as parts of their blocks.
    async fn replaced(
        &self,
        pg: PgId,
        entry: &RunEntry,
        tail: &Tail,
        topics: &dyn TopicRules,
        newest: &mut Newest,
    ) -> Result<u64, CompactError> {
        let object = entry.name(pg);
        let mut reader = Reader::new(&self.bucket, &self.budget, pg, [(object, tail)], READ_BYTES);
        let (mut bytes, mut after) = (0, None);
        while let Some(queue) = tail.queues.next_queue(pg, after) {
            after = Some(queue);
            if topics.keeps(queue) != Keeps::NewestOfKey {
                continue;
            }
            let start = topics.start_of(queue);
            let blocks: Vec<_> = tail.queues.blocks(pg, queue, QueueOffset(0)).collect();
            for at in blocks.iter().rev().filter(|block| block.last >= start) {
                let read = reader.get(0, at.span).await?;
                let block = Block::decode(&read).and_then(|block| {
                    let is_meant = at.is_of(&block.header);
                    if is_meant { Ok(block) } else { Err(FormatError::Contradiction) }
                });
                let block = block.map_err(|source| CompactError::Damaged { object, source })?;
                let mut replaced = 0u64;
                for message in block.records.iter().rev() {
                    let Some(keyed) = topics.key_of(message) else { continue };
                    // A tombstone's own end is left to the merge.
                    let stays = newest.keeps(message, keyed, message.time, false);
                    replaced += u64::from(!stays);
                    newest.see(message, keyed);
                }
                bytes += at.span.len * replaced / u64::from(at.count.max(1));
            }
        }
        Ok(bytes)
    }
}

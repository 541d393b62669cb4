//! The first pass over queues that are compacted by key: which message of each key is the newest.

use super::budget::ByteBudget;
use super::error::CompactError;
use super::fetch::tail_of_entry;
use super::reader::Reader;
use crate::format::object::{Block, Tail};
use crate::format::{FormatError, PgId, QueueOffset, QueueUid};
use crate::object::{Bucket, Purpose};
use crate::tier::ObjectName;
use crate::tier::manifest::RunEntry;
use crate::tier::retention::{Newest, TopicRules};

/// What a first pass reads with.
#[derive(Clone, Copy)]
pub(super) struct FirstPass<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) budget: &'a ByteBudget,
    pub(super) pg: PgId,
    pub(super) topics: &'a dyn TopicRules,
    /// The queues that are compacted by key.
    pub(super) queues: &'a [QueueUid],
    /// Bytes read ahead.
    pub(super) read_bytes: u64,
}

impl FirstPass<'_> {
    /// Takes every message of the queues in an object.
    pub(super) async fn see(
        &self,
        object: ObjectName,
        tail: &Tail,
        newest: &mut Newest,
    ) -> Result<(), CompactError> {
        let inputs = [(object, tail)];
        let mut reader = Reader::new(self.bucket, self.budget, self.pg, inputs, self.read_bytes);
        for queue in self.queues {
            for at in tail.queues.blocks(self.pg, *queue, QueueOffset(0)) {
                let bytes = reader.get(0, at.span).await?;
                let block = Block::decode(&bytes).and_then(|block| {
                    let is_meant = at.is_of(&block.header);
                    if is_meant { Ok(block) } else { Err(FormatError::Contradiction) }
                });
                let block = block.map_err(|source| CompactError::Damaged { object, source })?;
                for message in &block.records {
                    if let Some(keyed) = self.topics.key_of(message) {
                        newest.see(message, keyed);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes every message of the queues in what these entries name.
    pub(super) async fn see_entries(
        &self,
        entries: &[RunEntry],
        newest: &mut Newest,
    ) -> Result<(), CompactError> {
        let has_one = |entry: &&RunEntry| self.queues.iter().any(|queue| entry.queues.has(*queue));
        for entry in entries.iter().filter(has_one) {
            let tail = tail_of_entry(self.bucket, self.pg, entry, Purpose::Compaction).await?;
            self.see(entry.name(self.pg), &tail, newest).await?;
        }
        Ok(())
    }
}

//! The verifier's side: which checkpoints are one chain, and what it covers at its end.

use super::super::name::ObjectId;
use super::checkpoint::{Checkpoint, Mark};
use super::link::{Digest, Link, Proven};
use super::name::ProofName;
use crate::format::{Epoch, Lsn};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What of a checkpoint says where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: ProofName,
    /// Number of its first link.
    pub first_seq: u64,
    /// Number of its last link.
    pub last_seq: u64,
    /// Of its last link.
    pub epoch: Epoch,
    /// Digest before.
    pub before: Digest,
    /// Digest after.
    pub after: Digest,
}

/// What is wrong with the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// A checkpoint's links do not give the digest that it claims, or it has another's name.
    #[error("checkpoint {0} is not what was written")]
    Forged(ProofName),
    /// What came before is not there, or is not what was there.
    #[error("no checkpoint leads to {0}: one is missing, or was replaced")]
    Broken(ProofName),
}

impl Summary {
    /// Of a checkpoint that was read under this name.
    ///
    /// # Errors
    /// [`ProofFault::Forged`] when its links do not give its digests.
    pub fn of(name: ProofName, checkpoint: &Checkpoint) -> Result<Summary, ProofFault> {
        let (Some(first), Some(last)) = (checkpoint.links.first(), checkpoint.links.last()) else {
            return Err(ProofFault::Forged(name));
        };
        let is_named = name.pg == checkpoint.pg && name.seq == last.seq;
        if !is_named || !checkpoint.is_chained() {
            return Err(ProofFault::Forged(name));
        }
        let Checkpoint { before, after, .. } = *checkpoint;
        let (first_seq, last_seq, epoch) = (first.seq, last.seq, last.epoch);
        Ok(Summary { name, first_seq, last_seq, epoch, before, after })
    }
}

/// The chain that counts, out of all checkpoints of one placement group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// In order of their links; empty where there is none.
    pub checkpoints: Vec<Summary>,
    /// Those that owners of the past left beside it.
    pub beside: Vec<ProofName>,
    /// The first of the chain does not begin with link 1.
    pub fault: Option<ProofFault>,
}

impl Branch {
    /// The chain that ends in the latest epoch, and there reaches farthest.
    pub fn of(all: &[Summary]) -> Branch {
        let tip = all.iter().max_by_key(|one| (one.epoch, one.last_seq, one.name));
        // Of two checkpoints with the same links, one is the second try of the other.
        let by_end: HashMap<(u64, Digest), &Summary> =
            all.iter().map(|one| ((one.last_seq, one.after), one)).collect();
        let mut checkpoints: Vec<Summary> = Vec::new();
        let mut next = tip;
        while let Some(one) = next {
            checkpoints.push(*one);
            let end = (one.first_seq.wrapping_sub(1), one.before);
            // Numbers descend, so this ends.
            next = by_end.get(&end).copied().filter(|before| before.last_seq < one.first_seq);
        }
        checkpoints.reverse();
        let fault = checkpoints.first().and_then(|first| {
            let is_first = first.first_seq == 1 && first.before == Digest::default();
            (!is_first).then_some(ProofFault::Broken(first.name))
        });
        let used: BTreeSet<ProofName> = checkpoints.iter().map(|one| one.name).collect();
        let beside = all.iter().map(|one| one.name).filter(|name| !used.contains(name)).collect();
        Branch { checkpoints, beside, fault }
    }
}

/// What the chain covers at its end. Fed with the branch's checkpoints in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Objects that were referenced after the last link.
    pub objects: BTreeMap<ObjectId, Proven>,
    /// Number of the last link.
    pub seq: u64,
    /// Digest after it.
    pub head: Digest,
    /// `tiered` after it.
    pub tiered: Lsn,
    /// The manifest after it.
    pub mark: Mark,
}

impl Live {
    /// Takes the checkpoint that follows.
    pub fn feed(&mut self, checkpoint: Checkpoint) {
        for link in &checkpoint.links {
            self.link(link);
        }
        self.seq = checkpoint.seq();
        (self.head, self.mark) = (checkpoint.after, checkpoint.mark);
    }

    fn link(&mut self, link: &Link) {
        let known = if link.is_whole { std::mem::take(&mut self.objects) } else { BTreeMap::new() };
        for object in &link.added {
            let id = object.name.id();
            let before = known.get(&id).or_else(|| self.objects.get(&id)).copied();
            let digest = object.digest.or_else(|| before.and_then(|before| before.digest));
            self.objects.insert(id, Proven { digest, ..*object });
        }
        for id in &link.removed {
            self.objects.remove(id);
        }
        self.tiered = link.to;
    }
}

//! What an audit finds, as data: who shows it decides in which words.

use super::tail::{Damage, Part};
use crate::format::object::Span;
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
use crate::tier::proof::Digest;
use std::fmt;

/// Findings that a report holds; more are counted.
pub const FINDINGS_MAX: usize = 10_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// To know. Everything can be read.
    Note,
    /// Everything can be read; something that helps to read, or that proves, is damaged.
    Warning,
    /// Something cannot be read, or is not what was written.
    Broken,
}

impl Severity {
    /// In a word.
    pub const fn label(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Broken => "broken",
        }
    }
}

/// What cannot be read because of it, or cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Messages of a queue.
    Messages {
        /// Whose.
        pg: PgId,
        /// The queue.
        queue: QueueUid,
        /// The first.
        first: QueueOffset,
        /// The last.
        last: QueueOffset,
    },
    /// Acknowledgements and whatever else is replayed.
    Operations {
        /// Whose.
        pg: PgId,
        /// First position.
        from: Lsn,
        /// After the last.
        to: Lsn,
    },
    /// All that the object has of a placement group.
    All {
        /// Whose.
        pg: PgId,
        /// First position.
        from: Lsn,
        /// After the last.
        to: Lsn,
    },
    /// Finding messages by key or id; they can be read by offset and time.
    Search,
}

impl Affected {
    /// Whose it is; none in particular where all that the object has is concerned.
    pub const fn pg(&self) -> Option<PgId> {
        match self {
            Affected::Messages { pg, .. }
            | Affected::Operations { pg, .. }
            | Affected::All { pg, .. } => Some(*pg),
            Affected::Search => None,
        }
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Affected::Messages { pg, queue, first, last } => {
                write!(f, "pg {pg} queue {queue} offsets {first}..={last}")
            }
            Affected::Operations { pg, from, to } => {
                write!(f, "pg {pg} operations at {from}..{to}")
            }
            Affected::All { pg, from, to } => write!(f, "pg {pg} everything at {from}..{to}"),
            Affected::Search => f.write_str("search by key"),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The record, or what it says of the manifest, contradicts itself.
    #[error("the record cannot be followed: {0}")]
    Record(String),
    /// An object is referenced and is not there.
    #[error("the object is missing")]
    Missing,
    /// Bytes of an object are not what was written.
    #[error("damaged: {0}")]
    Damaged(Damage),
    /// The object is sound, and not what the manifest says of it.
    #[error("the manifest says something else of the object: {0}")]
    Entry(&'static str),
    /// Blocks do not add up to what the directory says.
    #[error("what is in the blocks is not what the directory counts")]
    Sums,
    /// Messages are not in the key index.
    #[error("{messages} messages cannot be found by the key index, the first at {first}")]
    Unindexed {
        /// How many of those that were looked for.
        messages: u64,
        /// Position of the first.
        first: Lsn,
    },
    /// A range of the log is in no object.
    #[error("the log has a hole at {from}..{to}")]
    Hole {
        /// First position.
        from: Lsn,
        /// After the last.
        to: Lsn,
    },
    /// Two bundles overlap.
    #[error("the log has {from}..{to} twice")]
    Overlap {
        /// First position.
        from: Lsn,
        /// After the last.
        to: Lsn,
    },
    /// A bundle does not follow the one before: they are of two histories.
    #[error("the log's chain breaks at {at}")]
    Chain {
        /// Where.
        at: Lsn,
    },
    /// Offsets of a queue are missing, and nothing says why.
    #[error("queue {queue} lacks offsets {expected}..{found}")]
    Gap {
        /// The queue.
        queue: QueueUid,
        /// The first that is missing.
        expected: QueueOffset,
        /// The next that is there.
        found: QueueOffset,
    },
    /// A queue has offsets twice.
    #[error("queue {queue} has offset {found} again, {expected} should follow")]
    Twice {
        /// The queue.
        queue: QueueUid,
        /// The one that should follow.
        expected: QueueOffset,
        /// The one that does.
        found: QueueOffset,
    },
    /// A range was given up by an operator.
    #[error("{from}..{to} was given up when an epoch was opened by force")]
    Lost {
        /// First position.
        from: Lsn,
        /// After the last.
        to: Lsn,
    },
    /// An object's epoch is later than the record's.
    #[error("the object is of epoch {found}, the record only of {record}")]
    LaterEpoch {
        /// The object's.
        found: Epoch,
        /// The record's.
        record: Epoch,
    },
    /// All checksums may fit: the bytes are not those that were committed.
    #[error("the bytes are not those that were committed: SHA-256 {found}, {expected} was proven")]
    Changed {
        /// What the chain says.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The manifest refers to an object that the proof knows nothing of, or the other way round,
    /// where they are of the same commit.
    #[error("manifest and proof are of the same commit, and only the {0} has the object")]
    Unproven(&'static str),
    /// The chain of checkpoints is broken.
    #[error("{0}")]
    Proof(crate::tier::proof::ProofFault),
    /// An owner that is no more left checkpoints beside the chain.
    #[error("{0} checkpoints of past owners lie beside the chain")]
    Beside(u64),
    /// Objects without a digest in the chain.
    #[error("{0} objects are not covered by the proof")]
    Uncovered(u64),
    /// There is no proof.
    #[error("there is no proof to check against")]
    NoProof,
    /// The object that a recovery begins at is none; why.
    #[error("the snapshot of the consumers' progress is not usable: {0}")]
    Snapshot(String),
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub pg: Option<PgId>,
    /// The object that it is about.
    pub object: Option<String>,
    /// What is wrong.
    pub fault: Fault,
    /// What cannot be read or believed because of it; may be empty.
    pub affects: Vec<Affected>,
}

impl Finding {
    pub(super) fn of_pg(pg: PgId, fault: Fault) -> Finding {
        Finding { pg: Some(pg), object: None, fault, affects: Vec::new() }
    }

    pub(super) fn of_object(pg: PgId, name: impl fmt::Display, fault: Fault) -> Finding {
        Finding { object: Some(name.to_string()), ..Finding::of_pg(pg, fault) }
    }

    #[must_use]
    pub(super) fn affecting(self, affects: impl IntoIterator<Item = Affected>) -> Finding {
        Finding { affects: affects.into_iter().collect(), ..self }
    }

    /// Where in the object, if not all of it.
    pub const fn at(&self) -> Option<Span> {
        match &self.fault {
            Fault::Damaged(damage) => Some(damage.at),
            Fault::Record(_)
            | Fault::Missing
            | Fault::Entry(_)
            | Fault::Sums
            | Fault::Unindexed { .. }
            | Fault::Hole { .. }
            | Fault::Overlap { .. }
            | Fault::Chain { .. }
            | Fault::Gap { .. }
            | Fault::Twice { .. }
            | Fault::Lost { .. }
            | Fault::LaterEpoch { .. }
            | Fault::Changed { .. }
            | Fault::Unproven(_)
            | Fault::Proof(_)
            | Fault::Beside(_)
            | Fault::Uncovered(_)
            | Fault::NoProof
            | Fault::Snapshot(_) => None,
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match &self.fault {
            Fault::Damaged(Damage { part, .. }) => match part {
                Part::KeyPage
                | Part::Partition
                | Part::PartitionTable
                | Part::Properties
                | Part::Checkpoint => Severity::Warning,
                Part::Whole
                | Part::Messages
                | Part::Operations
                | Part::QueueIndex
                | Part::Directory
                | Part::Footer
                | Part::Root
                | Part::Page => Severity::Broken,
            },
            Fault::Unindexed { .. } | Fault::Proof(_) | Fault::LaterEpoch { .. } => {
                Severity::Warning
            }
            Fault::Lost { .. } | Fault::Beside(_) | Fault::Uncovered(_) | Fault::NoProof => {
                Severity::Note
            }
            Fault::Record(_)
            | Fault::Missing
            | Fault::Entry(_)
            | Fault::Sums
            | Fault::Hole { .. }
            | Fault::Overlap { .. }
            | Fault::Chain { .. }
            | Fault::Gap { .. }
            | Fault::Twice { .. }
            | Fault::Changed { .. }
            | Fault::Unproven(_)
            | Fault::Snapshot(_) => Severity::Broken,
        }
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        match &self.fault {
            Fault::Damaged(Damage { part: Part::Checkpoint, .. }) | Fault::Proof(_) => {
                "find out who may write to the bucket; compare the head with one noted elsewhere"
            }
            Fault::Damaged(_) if self.severity() == Severity::Warning => {
                "messages are all there; the next compaction writes the index anew"
            }
            Fault::Damaged(_) | Fault::Missing | Fault::Sums | Fault::Snapshot(_) => {
                "bring the object back from another version of it, or from a copy of the bucket"
            }
            Fault::Changed { .. } | Fault::Unproven(_) => {
                "somebody changed the bucket: keep it as it is, find out who may write to it, and \
                 bring the object back from another version of it"
            }
            Fault::Entry(_) => "the object was replaced: bring it back from another version of it",
            Fault::Record(_) => {
                "bring the manifest's object back from another version of it; as a last resort \
                 rebuild the metadata from the bucket"
            }
            Fault::Unindexed { .. } => "search by offset or time; report it, this is a bug",
            Fault::Hole { .. }
            | Fault::Overlap { .. }
            | Fault::Chain { .. }
            | Fault::Gap { .. }
            | Fault::Twice { .. }
            | Fault::LaterEpoch { .. } => {
                "if no other finding explains it, report it: nothing that follows the rules makes \
                 this"
            }
            Fault::Lost { .. } => "nothing: it was decided",
            Fault::Beside(_) => "nothing: they were written by an owner that had been replaced",
            Fault::Uncovered(_) => "nothing: compaction covers them in time",
            Fault::NoProof => "the owner writes one with its first commits",
        }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Placement groups.
    pub pgs: u64,
    /// Objects with messages, each once.
    pub objects: u64,
    /// Their bytes that were read.
    pub bytes: u64,
    /// Messages in them that were decoded.
    pub messages: u64,
    /// Other records that were decoded.
    pub operations: u64,
    /// Objects whose digest was compared with the proof.
    pub proven: u64,
}

/// What came of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By placement group; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Further ones.
    pub omitted: u64,
    /// What was looked at.
    pub totals: Totals,
    /// Of each placement group with a proof: number and digest of the last link. Kept elsewhere,
    /// they show later whether the chain is still the same.
    pub heads: Vec<(PgId, u64, Digest)>,
}

impl Report {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    /// Whether nothing is wrong: notes are not.
    pub fn is_clean(&self) -> bool {
        let is_wrong = |finding: &Finding| finding.severity() > Severity::Note;
        self.omitted == 0 && !self.findings.iter().any(is_wrong)
    }
}

//! The step machine.

use crate::WriteOutcome;
use crate::model::{Member, Owner, PgRecord};
use crate::store::Revision;
use std::collections::{BTreeMap, BTreeSet};
use storage::format::{Epoch, Lsn, PgId};
use storage::{Copy, Sealed, StoreId, StoreRefused};

/// Reads after which a takeover gives up: somebody else writes the record over and over, or nobody answers.
const READS_MAX: u32 = 32;

/// Who opens the epoch, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    /// This process.
    pub owner: Owner,
    /// Its store: C' of the epoch.
    pub store: Member,
    /// Qw of the epoch.
    pub quorum: u32,
}

/// What came of a step.
#[derive(Clone, Debug)]
pub enum Event {
    /// A linearizable read showed this.
    Read(Option<(PgRecord, Revision)>),
    /// A store answered the seal, or will not.
    Sealed {
        /// The store.
        store: StoreId,
        /// Its answer.
        answer: Result<Sealed, Unsealed>,
    },
    /// The own store answered the join.
    Joined(Result<Copy, StoreRefused>),
    /// The record was written, or not. Every error counts as [`WriteOutcome::Unknown`].
    Opened(WriteOutcome),
}

/// Why a store gave no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// It said why.
    #[error(transparent)]
    Refused(#[from] StoreRefused),
    /// It is not here, or does not answer.
    #[error("the store cannot be reached")]
    Unreachable,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the record, linearizably.
    Read,
    /// Seal these stores, each on its own (S4).
    Seal {
        /// Not empty.
        stores: Vec<StoreId>,
        /// The epoch to end.
        epoch: Epoch,
        /// Its base.
        base: Lsn,
    },
    /// Nothing: other seals are yet to answer.
    Wait,
    /// Join the own store to the epoch that ends, as its taker: regardless of the fence (S1, S5).
    Join {
        /// The epoch that ends.
        epoch: Epoch,
        /// Its base.
        base: Lsn,
        /// Where a copy that is of no use begins anew.
        tiered: Lsn,
    },
    /// Write the record, comparing the revision: CREATE where it is `None`.
    Open {
        /// The revision that all of this was worked out from.
        seen: Option<Revision>,
        /// What to write.
        record: PgRecord,
    },
    /// The epoch is this process's. Join the own store to it as owner (cut at the base), replay, serve.
    Serve {
        /// The record.
        record: PgRecord,
        /// Its revision, which the next COMMIT or OPEN compares.
        revision: Revision,
    },
    /// It cannot go on. Nothing is lost by trying again from the start later.
    Stuck(Stuck),
}

/// Why a takeover cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// Too few stores of the epoch gave proof that it is over.
    #[error(
        "epoch {epoch} cannot be shown to be over: no seal from {missing:?}, {needed} more needed"
    )]
    NoProof {
        /// The epoch that should end.
        epoch: Epoch,
        /// Stores of it that gave none, and why.
        missing: Vec<(StoreId, Unsealed)>,
        /// How many more would do.
        needed: usize,
    },
    /// The stores answered less than what was safe when the epoch was opened: one of them lost synced data.
    #[error("epoch {epoch} began at {base}, but its stores end at {end}: synced data was lost")]
    BelowBase {
        /// The epoch that should end.
        epoch: Epoch,
        /// Its base.
        base: Lsn,
        /// The greatest answer.
        end: Lsn,
    },
    /// The own copy ends before what was reported, and there is no store to fill it from.
    #[error("the own copy of epoch {epoch} is synced up to {reaches}, but {end} was reported")]
    Behind {
        /// The epoch that should end.
        epoch: Epoch,
        /// E.
        end: Lsn,
        /// Where the copy ends.
        reaches: Lsn,
    },
    /// Fewer stores hold the tail than the new epoch's quorum.
    #[error("{have} stores hold what is not in the bucket, the quorum is {need}")]
    Holders {
        /// How many do.
        have: u32,
        /// Qw.
        need: u32,
    },
    /// The own store did not join.
    #[error("the own store did not join the epoch")]
    NotJoined(#[source] StoreRefused),
    /// The record was read many times without an end.
    #[error("the record was read {READS_MAX} times, and each time it had moved or was not written")]
    Contended,
}

/// One attempt of one process to open the next epoch of a placement group. A process that closed or froze its epoch
/// does not begin one: what it reads would make it the owner again (O7).
#[derive(Clone, Debug)]
pub struct Takeover {
    pg: PgId,
    taker: Taker,
    reads: u32,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The record is being read.
    Reading,
    /// The stores of `old` are asked.
    Sealing {
        old: Known,
        ends: BTreeMap<StoreId, Option<Lsn>>,
        missing: BTreeMap<StoreId, Unsealed>,
    },
    /// The own store joins `old`; it must reach `end`.
    Joining { old: Known, end: Lsn },
    /// The record is being written.
    Opening { seen: Option<Revision>, record: PgRecord },
    /// The record is being read because the writing had an unknown outcome.
    Settling { seen: Option<Revision>, record: PgRecord },
    /// Served or stuck.
    Over,
}

#[derive(Clone, Debug)]
struct Known {
    record: PgRecord,
    revision: Revision,
}

impl Takeover {
    /// An attempt, and its first step.
    pub fn begin(pg: PgId, taker: Taker) -> (Takeover, Step) {
        (Takeover { pg, taker, reads: 1, stage: Stage::Reading }, Step::Read)
    }

    /// What to do after `event`. An event that nothing waits for (a seal that comes late) changes nothing.
    pub fn step(&mut self, event: Event) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        match (stage, event) {
            (Stage::Reading, Event::Read(read)) => self.decide(read),
            (Stage::Settling { seen, record }, Event::Read(read)) => {
                self.settle(seen, record, read)
            }
            (Stage::Sealing { old, mut ends, mut missing }, Event::Sealed { store, answer }) => {
                match answer {
                    Ok(Sealed::End(end)) => drop(ends.insert(store, Some(end))),
                    Ok(Sealed::Nothing) => drop(ends.insert(store, None)),
                    // It knows a later epoch than was read.
                    Err(Unsealed::Refused(StoreRefused::Newer(_))) => return self.read_again(),
                    Err(reason) => drop(missing.insert(store, reason)),
                }
                self.sealed(old, ends, missing)
            }
            (Stage::Joining { old, end }, Event::Joined(joined)) => self.joined(&old, end, joined),
            (Stage::Opening { seen, record }, Event::Opened(outcome)) => match outcome {
                WriteOutcome::Done(revision) => self.serve(record, revision),
                WriteOutcome::Moved => self.read_again(),
                WriteOutcome::Unknown => self.read(Stage::Settling { seen, record }),
            },
            (stage, _) => {
                self.stage = stage;
                Step::Wait
            }
        }
    }

    /// §6 steps 1 and 2: what the record says.
    fn decide(&mut self, read: Option<(PgRecord, Revision)>) -> Step {
        let Some((record, revision)) = read else {
            let Taker { owner, store, quorum } = self.taker.clone();
            let record = PgRecord::create(self.pg, owner, vec![store], quorum);
            return self.open(None, record);
        };
        if record.owner == self.taker.owner {
            return self.serve(record, revision);
        }
        let stores: Vec<StoreId> = record.stores.iter().map(|member| member.store).collect();
        let (epoch, base) = (record.epoch, record.base);
        let old = Known { record, revision };
        if old.record.seal_quorum() == 0 {
            return self.sealed(old, BTreeMap::new(), BTreeMap::new());
        }
        self.stage = Stage::Sealing { old, ends: BTreeMap::new(), missing: BTreeMap::new() };
        Step::Seal { stores, epoch, base }
    }

    /// §6.2a: whether the answers are proof, and where the epoch ends.
    fn sealed(
        &mut self,
        old: Known,
        ends: BTreeMap<StoreId, Option<Lsn>>,
        missing: BTreeMap<StoreId, Unsealed>,
    ) -> Step {
        let PgRecord { epoch, base, tiered, .. } = old.record;
        // Only different stores of C count, whoever else answers.
        let members: BTreeSet<StoreId> = old.record.stores.iter().map(|m| m.store).collect();
        let answers: Vec<_> = ends.iter().filter(|(store, _)| members.contains(store)).collect();
        let needed = old.record.seal_quorum().saturating_sub(answers.len());
        if needed == 0 {
            let end = answers.into_iter().filter_map(|(_, end)| *end).fold(tiered, Lsn::max);
            if end < base {
                return Step::Stuck(Stuck::BelowBase { epoch, base, end });
            }
            self.stage = Stage::Joining { old, end };
            return Step::Join { epoch, base, tiered };
        }
        let silent = |store: &&StoreId| !ends.contains_key(store) && !missing.contains_key(store);
        if members.iter().filter(silent).count() < needed {
            let missing = missing.into_iter().collect();
            return Step::Stuck(Stuck::NoProof { epoch, missing, needed });
        }
        self.stage = Stage::Sealing { old, ends, missing };
        Step::Wait
    }

    /// §6 steps 3 to 5: whether the own copy holds everything, and the record to write.
    fn joined(&mut self, old: &Known, end: Lsn, joined: Result<Copy, StoreRefused>) -> Step {
        let epoch = old.record.epoch;
        let copy = match joined {
            Ok(copy) => copy,
            Err(StoreRefused::Newer(_)) => return self.read_again(),
            Err(refused) => return Step::Stuck(Stuck::NotJoined(refused)),
        };
        let is_copy = copy.label == epoch && copy.from <= old.record.tiered;
        let reaches = if is_copy { copy.end.min(copy.synced) } else { copy.from };
        if !is_copy || reaches < end {
            return Step::Stuck(Stuck::Behind { epoch, end, reaches });
        }
        let Taker { owner, store, quorum } = self.taker.clone();
        let record = old.record.open(owner, vec![store], quorum, end);
        // §6.4: Qw of the new set hold what is not in the bucket; below `tiered` nothing needs to be held.
        if end > record.tiered && quorum > 1 {
            return Step::Stuck(Stuck::Holders { have: 1, need: quorum });
        }
        self.open(Some(old.revision), record)
    }

    /// M2: while the revision is the same the request may yet land, so only it may go out again.
    fn settle(
        &mut self,
        seen: Option<Revision>,
        record: PgRecord,
        read: Option<(PgRecord, Revision)>,
    ) -> Step {
        if read.as_ref().map(|(_, revision)| *revision) == seen {
            return self.open(seen, record);
        }
        self.decide(read)
    }

    fn open(&mut self, seen: Option<Revision>, record: PgRecord) -> Step {
        self.stage = Stage::Opening { seen, record: record.clone() };
        Step::Open { seen, record }
    }

    fn serve(&mut self, record: PgRecord, revision: Revision) -> Step {
        self.stage = Stage::Over;
        Step::Serve { record, revision }
    }

    fn read_again(&mut self) -> Step {
        self.read(Stage::Reading)
    }

    fn read(&mut self, stage: Stage) -> Step {
        if self.reads == READS_MAX {
            return Step::Stuck(Stuck::Contended);
        }
        self.reads += 1;
        self.stage = stage;
        Step::Read
    }
}

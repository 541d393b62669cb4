//! How a placement group's machine comes back: a snapshot, if there is one, then operations in the
//! order of the log, out of the object store and at last out of the local log.

use super::ops::{Op, OpKind, OpMalformed};
use super::state::State;
use crate::history::snapshot::SnapshotMalformed;
use storage::RecordKind;
use storage::format::object::Record;
use storage::format::{Lsn, QueueUid};

/// A machine on its way. Every operation is applied once, wherever it is met again: what lies in
/// the object store and in the local log, or below the snapshot, is passed over.
#[derive(Debug, Default)]
pub struct Replay {
    /// Every operation below is in the state.
    applied: Lsn,
    state: State,
}

impl Replay {
    /// Begins at a snapshot of the machine, which has every operation below `applied`. Without one,
    /// a replay begins where the log does: that is the default.
    ///
    /// # Errors
    /// [`SnapshotMalformed`]: a newer version wrote it, or it is damaged.
    pub fn restore(applied: Lsn, snapshot: &[u8]) -> Result<Replay, SnapshotMalformed> {
        Ok(Replay { applied, state: State::restore(snapshot)? })
    }

    /// Applies the record of an operation. Records come in the order of the log, and without a gap
    /// from the snapshot to the local log; those that are no operations may be left out.
    ///
    /// # Errors
    /// [`OpMalformed`]: a newer version wrote it; the placement group must not be served.
    pub fn record(&mut self, record: &Record) -> Result<(), OpMalformed> {
        self.apply(record.lsn, record.kind, record.queue, &record.body())
    }

    pub(super) fn apply(
        &mut self,
        lsn: Lsn,
        kind: RecordKind,
        queue: QueueUid,
        body: &[u8],
    ) -> Result<(), OpMalformed> {
        let Some(kind) = op_kind(kind).filter(|_| lsn >= self.applied) else { return Ok(()) };
        self.state.apply(lsn, &Op::decode(kind, queue, body)?);
        self.applied = lsn.plus(1);
        Ok(())
    }

    /// Every operation below is in the state.
    pub(super) fn applied(&self) -> Lsn {
        self.applied
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }
}

/// The operation that a record carries; `None` for records of other features.
fn op_kind(kind: RecordKind) -> Option<OpKind> {
    match kind {
        RecordKind::Pop => Some(OpKind::Pop),
        RecordKind::Ack => Some(OpKind::Ack),
        RecordKind::ChangeInvisible => Some(OpKind::Change),
        RecordKind::Offset => Some(OpKind::Offset),
        RecordKind::DeadLetter => Some(OpKind::DeadLetter),
        RecordKind::Message
        | RecordKind::Batch
        | RecordKind::Revive
        | RecordKind::HalfMessage
        | RecordKind::TransactionEnd
        | RecordKind::TimerPut
        | RecordKind::TimerFire
        | RecordKind::TimerCancel
        | RecordKind::QueueOpen
        | RecordKind::SnapshotRef => None,
    }
}

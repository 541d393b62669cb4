//! A merge whose inputs and outputs are in memory.

use super::group::{Failure, Held, next_id};
use super::{MergeShape, keys_of};
use bytes::Bytes;
use std::collections::BTreeMap;
use storage::format::object::{KeyHash, Record, Tail};
use storage::tier::ObjectId;
use storage::tier::merge::{Merge, MergeRules, MergeSettings, MergeStep, Treatment};
use storage::{Epoch, Lsn, PgId, QueueOffset, QueueUid};

/// What came of it.
pub(super) struct Merged {
    pub(super) outputs: Vec<Held>,
    /// Bytes.
    pub(super) read: u64,
    pub(super) written: u64,
}

struct KeepAll<'a> {
    keys: u64,
    ids: &'a mut u64,
}

impl MergeRules for KeepAll<'_> {
    fn treatment(&self, _: QueueUid) -> Treatment {
        Treatment::Keep(QueueOffset(0))
    }

    fn keeps(&self, _: &Record) -> bool {
        true
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        keys_of(&message.body(), self.keys, into);
    }

    fn next_id(&mut self) -> ObjectId {
        next_id(self.ids)
    }
}

/// `whose`: of the runs; operations before the position are left to a snapshot.
pub(super) fn merge(
    inputs: &[Held],
    whose: (PgId, Epoch, u8, Lsn),
    shape: &MergeShape,
    (keys, ids): (u64, &mut u64),
) -> Result<Merged, Failure> {
    let (pg, epoch, level, operations_from) = whose;
    let settings = MergeSettings {
        window: shape.window,
        shared_bytes: shape.run_bytes,
        operations_from,
        ..MergeSettings::new(pg, epoch, level)
    };
    let mut rules = KeepAll { keys, ids };
    let tails: Vec<Tail> = inputs.iter().map(|held| held.tail.clone()).collect();
    let mut merge = Merge::new(settings, tails, &rules)?;
    let mut open: BTreeMap<usize, Vec<Bytes>> = BTreeMap::new();
    let mut outputs = Vec::new();
    loop {
        match merge.step(&mut rules)? {
            MergeStep::Read { input, span } => {
                let held = inputs.get(input).ok_or("an input that was given")?;
                let at = usize::try_from(span.at)?;
                merge.feed(&held.bytes.slice(at..at + usize::try_from(span.len)?))?;
            }
            MergeStep::Write { output, bytes } => open.entry(output).or_default().push(bytes),
            MergeStep::Finished { output, run } => {
                let bytes = Bytes::from(open.remove(&output).unwrap_or_default().concat());
                outputs.push(Held { entry: run.entry, tail: run.finished.tail, bytes });
            }
            MergeStep::Done(totals) => {
                let (read, written) = (totals.bytes_read, totals.bytes_written);
                return Ok(Merged { outputs, read, written });
            }
        }
    }
}

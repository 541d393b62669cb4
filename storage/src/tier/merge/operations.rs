//! The last part of a merge: the operations that a replay may still need, in order of their
//! positions, into a run of their own.

use super::super::manifest::Window;
use super::output::OpenRun;
use super::plan::{MergeRefused, MergeRules};
use super::state::{Merge, MergeStep, State};
use crate::format::FormatError;
use crate::format::object::{BLOCK_HEADER_BYTES, Block, BlockHeader, Contents, Record, Span};
use bytes::Bytes;

/// Bytes of operations that are asked for at once, where no block is larger.
const OPERATION_READ_BYTES: u64 = 1 << 20;

impl Merge {
    pub(super) fn in_operations(
        &mut self,
        input: usize,
        at: u64,
        mut held: Bytes,
        rules: &mut dyn MergeRules,
    ) -> Result<(), MergeRefused> {
        let Some(entry) = self.inputs.get(input).and_then(|i| i.directory.of(self.settings.pg))
        else {
            let run = self.operations.take();
            self.finish(run)?;
            return self.check_sums();
        };
        let all = entry.operations_at;
        // What ends before replay begins need not be read.
        let is_needed = entry.operations > 0 && self.settings.operations_from < entry.to;
        let at = at.max(all.at);
        if !is_needed || at >= all.end() {
            self.state = State::Operations { input: input + 1, at: 0, held: Bytes::new() };
            return Ok(());
        }
        match self.operations_in(input, &held)? {
            Some((block, len)) => {
                self.take_operations(input, &block, rules)?;
                let _ = held.split_to(len.min(held.len()));
                let at = at + len as u64;
                self.state = State::Operations { input, at, held };
            }
            None => {
                let needed = self.operations_want(input, &held)?;
                let len = needed.max(OPERATION_READ_BYTES).min(all.end() - at);
                if len <= held.len() as u64 {
                    let source = FormatError::Truncated;
                    return Err(MergeRefused::Damaged { input, source });
                }
                self.asked = Some((input, Span { at, len }));
                self.state = State::Operations { input, at, held };
            }
        }
        Ok(())
    }

    /// The block at the front of `held`, if all of it is there, and its length.
    fn operations_in(
        &self,
        input: usize,
        held: &Bytes,
    ) -> Result<Option<(Block, usize)>, MergeRefused> {
        if self.operations_want(input, held)? > held.len() as u64 || held.is_empty() {
            return Ok(None);
        }
        let damaged = |source| MergeRefused::Damaged { input, source };
        let block = Block::decode(held).map_err(damaged)?;
        let header = &block.header;
        if header.contents != Contents::Operations || header.pg != self.settings.pg {
            return Err(damaged(FormatError::Contradiction));
        }
        let len = header.block_len() as usize;
        Ok(Some((block, len)))
    }

    /// Bytes of the block at the front of `held`, or of its header where that is not all there.
    fn operations_want(&self, input: usize, held: &Bytes) -> Result<u64, MergeRefused> {
        if held.len() < BLOCK_HEADER_BYTES {
            return Ok(BLOCK_HEADER_BYTES as u64);
        }
        let header = BlockHeader::decode(held);
        let damaged = |source| MergeRefused::Damaged { input, source };
        header.map(|header| header.block_len()).map_err(damaged)
    }

    fn take_operations(
        &mut self,
        input: usize,
        block: &Block,
        rules: &mut dyn MergeRules,
    ) -> Result<(), MergeRefused> {
        let from = self.settings.operations_from;
        for record in block.records.iter().filter(|record: &&Record| record.lsn >= from) {
            if record.lsn < self.operations_end {
                return Err(MergeRefused::Input(input));
            }
            self.operations_end = record.end();
            if self.operations.is_none() {
                let window = Window::of(record.time, self.settings.window);
                let number = self.outputs;
                self.outputs += 1;
                let run = OpenRun::begin(&self.settings, number, rules.next_id(), window)?;
                self.operations = Some(run);
            }
            if let Some(run) = &mut self.operations {
                run.operation(record)?;
                run.set_window(record.time);
            }
        }
        if let Some(run) = &mut self.operations {
            let output = run.number;
            for bytes in run.take_parts() {
                self.ready.push_back(MergeStep::Write { output, bytes });
            }
        }
        Ok(())
    }
}

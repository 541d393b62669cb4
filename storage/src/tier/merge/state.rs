//! The merge itself, a step at a time.

use super::super::manifest::{RunEntry, Window};
use super::output::{OpenRun, Output};
use super::plan::{
    MergeRefused, MergeRules, MergeSettings, Planned, QueuePlan, Survey, Treatment, next_queue,
    plan_queue, survey,
};
use crate::env::Timestamp;
use crate::format::object::{Block, KeyHash, Span, Tail};
use crate::format::{FormatError, Lsn, QueueUid};
use bytes::Bytes;
use std::collections::VecDeque;

/// What a merge wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeStep {
    /// Get this of that input, and give it to [`Merge::feed`].
    Read {
        /// Which input.
        input: usize,
        /// Which bytes.
        span: Span,
    },
    /// Upload this behind what was given of the same output before. At most two outputs are open.
    Write {
        /// Which output, from 0.
        output: usize,
        /// The bytes.
        bytes: Bytes,
    },
    /// Nothing more of this output comes.
    Finished {
        /// Which output.
        output: usize,
        /// What it is.
        run: Box<Output>,
    },
    /// Everything is out, and the sums fit.
    Done(MergeTotals),
}

/// What went in and came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeTotals {
    /// Messages of all inputs.
    pub messages_in: u64,
    /// Messages of all outputs.
    pub messages_out: u64,
    /// Messages left out by rule.
    pub messages_left_out: u64,
    /// Operations of all inputs.
    pub operations_in: u64,
    /// Operations of all outputs.
    pub operations_out: u64,
    /// Bytes asked for.
    pub bytes_read: u64,
    /// Bytes of all outputs.
    pub bytes_written: u64,
    /// Sum of the checks of messages left out after they were read.
    left_out_sum: u64,
    /// Sum of the checks of messages in the outputs.
    out_sum: u64,
}

pub(super) enum State {
    /// Before the first queue of a window.
    Window(Window),
    /// In a queue: blocks that are not read yet.
    Queue {
        window: Window,
        plan: QueuePlan,
        left: VecDeque<Planned>,
    },
    /// Between queues.
    Between {
        window: Window,
        after: QueueUid,
    },
    /// In the operations of an input; `held` is what was read from `at` on.
    Operations {
        input: usize,
        at: u64,
        held: Bytes,
    },
    Done,
}

/// A merge of several objects of one placement group.
pub struct Merge {
    pub(super) settings: MergeSettings,
    pub(super) inputs: Vec<Tail>,
    survey: Survey,
    pub(super) state: State,
    /// The earliest time beyond the window.
    later: Option<Timestamp>,
    /// Read, and not yet given out.
    read: Option<Block>,
    pub(super) asked: Option<(usize, Span)>,
    shared: Option<OpenRun>,
    own: Option<OpenRun>,
    pub(super) operations: Option<OpenRun>,
    /// End of the last operation.
    pub(super) operations_end: Lsn,
    /// Positions that this window's runs have, and after the last that earlier windows' have.
    window_from: Lsn,
    window_to: Lsn,
    earlier_to: Lsn,
    pub(super) outputs: usize,
    pub(super) ready: VecDeque<MergeStep>,
    totals: MergeTotals,
    keys: Vec<KeyHash>,
}

impl Merge {
    /// A merge of the objects with these tails, in order of their positions.
    ///
    /// # Errors
    /// [`MergeRefused::Input`] when one is out of order or has nothing of the placement group.
    pub fn new(
        settings: MergeSettings,
        inputs: Vec<Tail>,
        rules: &dyn MergeRules,
    ) -> Result<Merge, MergeRefused> {
        let mut totals = MergeTotals::default();
        let mut before = Lsn(0);
        for (at, tail) in inputs.iter().enumerate() {
            let entry = tail.directory.of(settings.pg).ok_or(MergeRefused::Input(at))?;
            if entry.from < before || tail.directory.level >= settings.level {
                return Err(MergeRefused::Input(at));
            }
            before = entry.from;
            totals.messages_in += entry.messages;
            totals.operations_in += entry.operations;
        }
        let survey = survey(&inputs, settings.pg, rules);
        totals.messages_left_out = survey.skipped;
        let state = match survey.earliest {
            Some(earliest) => State::Window(Window::of(earliest, settings.window)),
            None => State::Operations { input: 0, at: 0, held: Bytes::new() },
        };
        Ok(Merge {
            settings,
            inputs,
            survey,
            state,
            later: None,
            read: None,
            asked: None,
            shared: None,
            own: None,
            operations: None,
            operations_end: Lsn(0),
            window_from: Lsn(u64::MAX),
            window_to: Lsn(0),
            earlier_to: Lsn(0),
            outputs: 0,
            ready: VecDeque::new(),
            totals,
            keys: Vec::new(),
        })
    }

    /// What comes next. After [`MergeStep::Read`] the same is wanted until it is fed; after
    /// [`MergeStep::Done`] nothing else comes.
    ///
    /// # Errors
    /// When inputs do not fit together, or what came out is not what went in.
    pub fn step(&mut self, rules: &mut dyn MergeRules) -> Result<MergeStep, MergeRefused> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(step);
            }
            if let Some((input, span)) = self.asked {
                return Ok(MergeStep::Read { input, span });
            }
            if matches!(self.state, State::Done) {
                return Ok(MergeStep::Done(self.totals));
            }
            self.advance(rules)?;
        }
    }

    /// Takes what the last [`MergeStep::Read`] asked for.
    ///
    /// # Errors
    /// When the bytes are not what was written.
    pub fn feed(&mut self, bytes: &Bytes) -> Result<(), MergeRefused> {
        let (input, span) = self.asked.ok_or(MergeRefused::NotAsked)?;
        let damaged = |source| MergeRefused::Damaged { input, source };
        if bytes.len() as u64 != span.len {
            return Err(damaged(FormatError::Truncated));
        }
        self.totals.bytes_read += span.len;
        match &mut self.state {
            State::Queue { left, .. } => {
                let block = Block::decode(bytes).map_err(damaged)?;
                if !left.front().is_some_and(|planned| planned.block.is_of(&block.header)) {
                    return Err(damaged(FormatError::Contradiction));
                }
                self.read = Some(block);
            }
            State::Operations { held, .. } => *held = bytes.clone(),
            State::Window(_) | State::Between { .. } | State::Done => {}
        }
        self.asked = None;
        Ok(())
    }

    fn advance(&mut self, rules: &mut dyn MergeRules) -> Result<(), MergeRefused> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Window(window) => {
                self.later = None;
                self.next_queue(window, None, rules)
            }
            State::Between { window, after } => self.next_queue(window, Some(after), rules),
            State::Queue { window, plan, left } => self.in_queue(window, plan, left, rules),
            State::Operations { input, at, held } => self.in_operations(input, at, held, rules),
            State::Done => Ok(()),
        }
    }

    fn next_queue(
        &mut self,
        window: Window,
        after: Option<QueueUid>,
        rules: &dyn MergeRules,
    ) -> Result<(), MergeRefused> {
        let Some(queue) = next_queue(&self.inputs, self.settings.pg, after) else {
            return self.end_window();
        };
        let treatment = rules.treatment(queue);
        let plan = plan_queue(&self.inputs, &self.settings, queue, treatment, window)?;
        if let Some(later) = plan.later {
            self.note_later(later);
        }
        // A shared run ends between queues only (INV-MERGE-3).
        let bytes = self.settings.shared_bytes;
        if self.shared.as_ref().is_some_and(|run| run.is_over(bytes)) {
            let run = self.shared.take();
            self.finish(run)?;
        }
        let left = plan.blocks.iter().copied().collect();
        self.state = State::Queue { window, plan, left };
        Ok(())
    }

    fn note_later(&mut self, moment: Timestamp) {
        self.later = Some(self.later.map_or(moment, |later| later.min(moment)));
    }

    fn end_window(&mut self) -> Result<(), MergeRefused> {
        let run = self.shared.take();
        self.finish(run)?;
        if self.window_from < self.earlier_to {
            return Err(MergeRefused::Clock(self.window_from));
        }
        self.earlier_to = self.earlier_to.max(self.window_to);
        (self.window_from, self.window_to) = (Lsn(u64::MAX), Lsn(0));
        self.state = match self.later.take() {
            Some(later) => State::Window(Window::of(later, self.settings.window)),
            None => State::Operations { input: 0, at: 0, held: Bytes::new() },
        };
        Ok(())
    }

    fn in_queue(
        &mut self,
        window: Window,
        plan: QueuePlan,
        mut left: VecDeque<Planned>,
        rules: &mut dyn MergeRules,
    ) -> Result<(), MergeRefused> {
        let Some(planned) = left.front().copied() else {
            let run = self.own.take();
            self.finish(run)?;
            self.state = State::Between { window, after: plan.queue };
            return Ok(());
        };
        match self.read.take() {
            None => self.asked = Some((planned.input, planned.block.span)),
            Some(block) => {
                left.pop_front();
                self.take_block(&plan, &planned, window, &block, rules)?;
            }
        }
        self.state = State::Queue { window, plan, left };
        Ok(())
    }

    /// Gives the block's messages of the window to the output.
    fn take_block(
        &mut self,
        plan: &QueuePlan,
        planned: &Planned,
        window: Window,
        block: &Block,
        rules: &mut dyn MergeRules,
    ) -> Result<(), MergeRefused> {
        let mut time = planned.floor;
        let is_chosen = matches!(plan.treatment, Treatment::Choose(_));
        for (at, message) in block.records.iter().enumerate() {
            time = time.max(message.time);
            if time < window.start {
                continue;
            }
            if time >= window.end() {
                self.note_later(time);
                break;
            }
            if !plan.keeps(rules, message) {
                self.totals.messages_left_out += 1;
                self.totals.left_out_sum = self.totals.left_out_sum.wrapping_add(message.check());
                continue;
            }
            self.keys.clear();
            rules.keys(message, &mut self.keys);
            let keys = std::mem::take(&mut self.keys);
            let may_jump = at == 0 && planned.block.after_gap;
            let run = self.run_for(plan.is_large, window, rules)?;
            run.message(message, may_jump, is_chosen || planned.block.sparse, &keys)?;
            self.keys = keys;
        }
        self.flush(plan.is_large);
        Ok(())
    }

    /// The open run that a queue's messages go to.
    fn run_for(
        &mut self,
        is_large: bool,
        window: Window,
        rules: &mut dyn MergeRules,
    ) -> Result<&mut OpenRun, MergeRefused> {
        if is_large && self.own.as_ref().is_some_and(|run| run.is_over(self.settings.own_bytes_max))
        {
            let run = self.own.take();
            self.finish(run)?;
        }
        let settings = self.settings;
        let slot = if is_large { &mut self.own } else { &mut self.shared };
        let run = match slot.take() {
            Some(run) => run,
            None => {
                let number = self.outputs;
                self.outputs += 1;
                OpenRun::begin(&settings, number, rules.next_id(), window)?
            }
        };
        Ok(slot.insert(run))
    }

    fn flush(&mut self, is_large: bool) {
        let slot = if is_large { &mut self.own } else { &mut self.shared };
        if let Some(run) = slot {
            let output = run.number;
            for bytes in run.take_parts() {
                self.ready.push_back(MergeStep::Write { output, bytes });
            }
        }
    }

    pub(super) fn finish(&mut self, run: Option<OpenRun>) -> Result<(), MergeRefused> {
        let Some(run) = run else { return Ok(()) };
        let output = run.number;
        let (parts, run) = run.finish(&self.settings)?;
        for bytes in parts {
            self.ready.push_back(MergeStep::Write { output, bytes });
        }
        let written: &RunEntry = &run.entry;
        if written.messages > 0 {
            self.window_from = self.window_from.min(written.from);
            self.window_to = self.window_to.max(written.to);
        }
        self.totals.messages_out += written.messages;
        self.totals.bytes_written += run.finished.len;
        for entry in &run.finished.tail.directory.entries {
            self.totals.operations_out += entry.operations;
            self.totals.out_sum = self.totals.out_sum.wrapping_add(entry.message_sum);
        }
        self.ready.push_back(MergeStep::Finished { output, run: Box::new(run) });
        Ok(())
    }

    /// INV-MERGE-2. Where a block was left out unread, its sum is not known, and the count decides.
    pub(super) fn check_sums(&self) -> Result<(), MergeRefused> {
        let totals = &self.totals;
        let entries = self.inputs.iter().filter_map(|tail| tail.directory.of(self.settings.pg));
        let in_sum = entries.fold(0u64, |sum, entry| sum.wrapping_add(entry.message_sum));
        let (inputs, outputs) = (totals.messages_in, totals.messages_out);
        let left_out = totals.messages_left_out;
        let counted = outputs.checked_add(left_out) == Some(inputs);
        let entries = self.inputs.iter().filter_map(|tail| tail.directory.of(self.settings.pg));
        let first = entries.map(|entry| entry.from).min().unwrap_or_default();
        let all_operations = totals.operations_out == totals.operations_in;
        let counted = counted && (all_operations || self.settings.operations_from > first);
        let summed = totals.out_sum.wrapping_add(totals.left_out_sum) == in_sum;
        if counted && (summed || self.survey.skipped > 0) {
            Ok(())
        } else {
            Err(MergeRefused::Sum { inputs, outputs, left_out })
        }
    }
}

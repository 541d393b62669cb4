//! A run that is being written.

use super::super::manifest::{Origin, RunEntry, Window};
use super::super::writer::{Finished, Follows, ObjectWriter};
use super::plan::{MergeRefused, MergeSettings};
use crate::env::Timestamp;
use crate::format::object::{KeyHash, Properties, Record};
use crate::format::{FormatError, Lsn, QueueOffset, QueueUid};
use bytes::Bytes;

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What the manifest is to say of it.
    pub entry: RunEntry,
    /// Its length and tail.
    pub finished: Finished,
}

/// One that is open.
#[derive(Debug)]
pub(super) struct OpenRun {
    pub(super) number: usize,
    writer: ObjectWriter,
    window: Window,
    last: Option<(QueueUid, QueueOffset)>,
}

impl OpenRun {
    pub(super) fn begin(
        settings: &MergeSettings,
        number: usize,
        id: super::super::name::ObjectId,
        window: Window,
    ) -> Result<OpenRun, MergeRefused> {
        let mut writer = ObjectWriter::new(id, settings.level);
        writer.begin(settings.pg, settings.epoch, Lsn(0))?;
        Ok(OpenRun { number, writer, window, last: None })
    }

    /// Adds a message. `may_jump`: the offsets before it may be missing; `is_sparse`: messages may
    /// have been taken out before it.
    pub(super) fn message(
        &mut self,
        message: &Record,
        may_jump: bool,
        is_sparse: bool,
        keys: &[KeyHash],
    ) -> Result<(), MergeRefused> {
        let before = self.last.filter(|(queue, _)| *queue == message.queue);
        let follows = match before {
            _ if is_sparse => Follows::Sparse,
            Some((_, last)) if last.plus(1) == message.offset => Follows::Directly,
            _ if may_jump => Follows::AfterGap,
            Some(_) | None => Follows::Directly,
        };
        self.writer.message(message, follows, keys)?;
        self.last = Some((message.queue, message.offset));
        Ok(())
    }

    pub(super) fn operation(&mut self, record: &Record) -> Result<(), MergeRefused> {
        Ok(self.writer.operation(record)?)
    }

    pub(super) fn take_parts(&mut self) -> Vec<Bytes> {
        self.writer.take_parts()
    }

    /// Whether it is to end before more is added.
    pub(super) fn is_over(&self, bytes: u64) -> bool {
        self.writer.len() >= bytes || self.writer.is_full()
    }

    /// The last parts, and what came of it.
    pub(super) fn finish(
        self,
        settings: &MergeSettings,
    ) -> Result<(Vec<Bytes>, Output), MergeRefused> {
        let (finished, parts) = self.writer.finish(&Properties::default())?;
        let (level, epoch) = (settings.level, settings.epoch);
        let origin = Origin::Run { level, epoch, window: self.window };
        let entry = RunEntry::of(&finished.tail, settings.pg, origin)
            .ok_or(super::super::writer::WriteRefused::Format(FormatError::Contradiction))?;
        Ok((parts, Output { entry, finished }))
    }

    /// The window of operations: that of the last of them.
    pub(super) fn set_window(&mut self, moment: Timestamp) {
        self.window = Window::of(moment, self.window.length);
    }
}

//! Makes a key summary of many runs, a step at a time: their key indexes are sorted by hash, and are
//! merged. What is of a place in the log is left out, and nothing but key pages is read.
//!
//! Worth while for runs that no compaction is going to take soon: a summary says nothing of what
//! replaces them. Bundles are never in one.

use super::manifest::{RunEntry, SummaryRef};
use super::name::ObjectId;
use crate::format::object::{
    KEY_PAGE_BYTES, KeyHash, SUMMARY_OBJECTS_MAX, Span, SummaryBuilder, SummaryKey, hashes_in_page,
};
use crate::format::{Epoch, FormatError, Lsn, PgId};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Bytes of key pages that are held of all inputs together.
const HELD_BYTES: u64 = 64 << 20;
/// Bytes of key pages that are asked for at once.
const READ_BYTES_MAX: u64 = 1 << 20;
const READ_BYTES_MIN: u64 = 16 << 10;
/// Bytes that are given out at once.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes that an entry of a key page takes, about.
const ENTRY_BYTES: u64 = 14;

/// What a summary in the making wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SummaryStep {
    /// Get this of that input, and give it to [`Summary::feed`].
    Read {
        /// Which.
        input: usize,
        /// Which bytes.
        span: Span,
    },
    /// Upload this behind what was given before.
    Write(Bytes),
    /// Everything is out. Commit this reference.
    Done(SummaryRef),
}

/// Why no summary is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SummaryRefused {
    /// An input is a bundle, or is out of order; or there are none or too many.
    #[error("input {0} cannot be summarised")]
    Input(usize),
    /// A page is not what was written: the object is damaged.
    #[error("input {input} is damaged")]
    Damaged {
        /// Which.
        input: usize,
        /// What is wrong.
        source: FormatError,
    },
    /// Nothing was asked for.
    #[error("nothing was asked for")]
    NotAsked,
}

struct Input {
    /// Its places in the log.
    from: Lsn,
    to: Lsn,
    /// Key pages that are not read yet.
    left: Span,
    /// Read, and not yet in the heap.
    hashes: VecDeque<KeyHash>,
}

/// A summary in the making.
pub struct Summary {
    reference: SummaryRef,
    inputs: Vec<Input>,
    read_bytes: u64,
    /// The next hash of each input that has one.
    heap: BinaryHeap<Reverse<(KeyHash, u32)>>,
    /// Inputs that have none there.
    hungry: Vec<u32>,
    asked: Option<(usize, Span)>,
    builder: Option<SummaryBuilder>,
    out: Vec<u8>,
}

impl Summary {
    /// A summary of these runs, in order of their keys, each with where all its key pages are
    /// ([`crate::format::object::KeyTable::all_pages`]). `epoch` is that of the record that it is to be
    /// committed to, `object` was never given out before.
    ///
    /// # Errors
    /// [`SummaryRefused::Input`].
    pub fn new(
        pg: PgId,
        epoch: Epoch,
        object: ObjectId,
        runs: &[(RunEntry, Span)],
    ) -> Result<Summary, SummaryRefused> {
        if runs.is_empty() || runs.len() > SUMMARY_OBJECTS_MAX {
            return Err(SummaryRefused::Input(runs.len()));
        }
        let keys: Vec<SummaryKey> = runs.iter().map(|(run, _)| summary_key(run)).collect();
        for (at, (run, _)) in runs.iter().enumerate() {
            let follows = at.checked_sub(1).is_none_or(|before| keys[before] < keys[at]);
            if run.level() == 0 || !follows {
                return Err(SummaryRefused::Input(at));
            }
        }
        let inputs = runs.iter().map(|(run, pages)| Input {
            from: run.from,
            to: run.to,
            left: *pages,
            hashes: VecDeque::new(),
        });
        let inputs: Vec<Input> = inputs.collect();
        let entries = inputs.iter().map(|input| input.left.len / ENTRY_BYTES).sum();
        let times = || runs.iter().map(|(run, _)| run);
        let reference = SummaryRef {
            object,
            epoch,
            len: 0,
            objects: runs.len() as u32,
            min_time: times().map(|run| run.min_time).min().unwrap_or_default(),
            max_time: times().map(|run| run.max_time).max().unwrap_or_default(),
        };
        let read = (HELD_BYTES / runs.len() as u64).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        Ok(Summary {
            reference,
            hungry: (0..inputs.len() as u32).collect(),
            inputs,
            read_bytes: read / KEY_PAGE_BYTES as u64 * KEY_PAGE_BYTES as u64,
            heap: BinaryHeap::new(),
            asked: None,
            builder: Some(SummaryBuilder::new(pg, keys, entries)),
            out: Vec::new(),
        })
    }

    /// What comes next.
    pub fn step(&mut self) -> SummaryStep {
        loop {
            if let Some((input, span)) = self.asked {
                return SummaryStep::Read { input, span };
            }
            if self.out.len() >= WRITE_BYTES || (self.builder.is_none() && !self.out.is_empty()) {
                return SummaryStep::Write(Bytes::from(std::mem::take(&mut self.out)));
            }
            if let Some(input) = self.hungry.pop() {
                self.refill(input);
                continue;
            }
            let Some(builder) = &mut self.builder else {
                return SummaryStep::Done(self.reference);
            };
            if let Some(Reverse((hash, input))) = self.heap.pop() {
                builder.push(hash, input, &mut self.out);
                self.hungry.push(input);
            } else if let Some(builder) = self.builder.take() {
                let ObjectId { id, nonce } = self.reference.object;
                self.reference.len = builder.finish((id, nonce), &mut self.out);
            }
        }
    }

    /// Puts an input's next hash into the heap, or asks for its next pages.
    fn refill(&mut self, input: u32) {
        let at = input as usize;
        let Some(Input { left, hashes, .. }) = self.inputs.get_mut(at) else { return };
        if let Some(hash) = hashes.pop_front() {
            self.heap.push(Reverse((hash, input)));
        } else if left.len > 0 {
            let len = left.len.min(self.read_bytes);
            self.asked = Some((at, Span { at: left.at, len }));
        }
    }

    /// Takes the bytes that [`Summary::step`] asked for.
    ///
    /// # Errors
    /// When they are not what was written: this summary cannot be made.
    pub fn feed(&mut self, bytes: &Bytes) -> Result<(), SummaryRefused> {
        let (input, span) = self.asked.ok_or(SummaryRefused::NotAsked)?;
        let damaged = |source| SummaryRefused::Damaged { input, source };
        let of = self.inputs.get_mut(input).ok_or(SummaryRefused::NotAsked)?;
        if bytes.len() as u64 != span.len {
            return Err(damaged(FormatError::Truncated));
        }
        for page in bytes.chunks(KEY_PAGE_BYTES) {
            hashes_in_page(page, &mut of.hashes).map_err(damaged)?;
        }
        let (from, to) = (of.from, of.to);
        of.hashes.retain(|hash| hash.lsn() < from || to <= hash.lsn());
        of.left = Span { at: span.end(), len: of.left.len - span.len };
        self.asked = None;
        self.hungry.push(input as u32);
        Ok(())
    }
}

/// How a summary names an object.
pub const fn summary_key(run: &RunEntry) -> SummaryKey {
    (run.from, run.object.id, run.object.nonce)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Origin, Window};
    use super::super::sample::{BodyIsKey, Object, SampleLog, key};
    use super::super::{Follows, Knowledge, ObjectWriter};
    use super::*;
    use crate::env::Timestamp;
    use crate::format::object::{Properties, SummaryRead, SummaryTable, Tail, objects_with};
    use std::time::Duration;

    fn runs(level: u8, count: u64) -> Vec<(RunEntry, Tail, Object)> {
        let mut log = SampleLog::new(1);
        let mut run = |at: u64| {
            for number in 0..400 {
                log.message(1, 0, format!("{at} {number}").as_bytes());
                log.message(2, 0, b"everywhere");
            }
            log.cut();
            let mut writer = ObjectWriter::new(ObjectId { id: at, nonce: 1 }, level);
            writer.begin(log.pg, Epoch(1), log.from).unwrap();
            writer.range(log.end, 0, 0, 0);
            let mut messages = log.records.clone();
            messages.sort_by_key(|record| (record.queue, record.offset));
            for message in &messages {
                let mut keys = Vec::new();
                BodyIsKey.keys(message, &mut keys);
                writer.message(message, Follows::Directly, &keys).unwrap();
            }
            let (finished, parts) = writer.finish(&Properties::default()).unwrap();
            let window = Window::of(Timestamp(0), Duration::from_secs(100));
            let origin = match level {
                0 => Origin::Bundle { session: 1 },
                _ => Origin::Run { level, epoch: Epoch(1), window },
            };
            let entry = RunEntry::of(&finished.tail, log.pg, origin).unwrap();
            log.go_on();
            (entry, finished.tail, Object::of(&parts))
        };
        (0..count).map(&mut run).collect()
    }

    fn summary(runs: &[(RunEntry, Tail, Object)]) -> Result<Summary, SummaryRefused> {
        let pages = |(run, tail, _): &(RunEntry, Tail, Object)| (*run, tail.keys.all_pages());
        let runs: Vec<(RunEntry, Span)> = runs.iter().map(pages).collect();
        Summary::new(PgId::new(1).unwrap(), Epoch(2), ObjectId { id: 70, nonce: 2 }, &runs)
    }

    #[test]
    fn every_key_of_every_run_is_in_it_and_no_place_of_the_log() {
        let runs = runs(1, 5);
        let mut summary = summary(&runs).unwrap();
        assert_eq!(summary.feed(&Bytes::new()), Err(SummaryRefused::NotAsked));
        let mut bytes = Vec::new();
        let reference = loop {
            match summary.step() {
                SummaryStep::Read { input, span } => {
                    summary.feed(&runs[input].2.get(span)).unwrap();
                }
                SummaryStep::Write(part) => bytes.extend_from_slice(&part),
                SummaryStep::Done(reference) => break reference,
            }
        };
        assert_eq!((reference.objects, reference.len), (5, bytes.len() as u64));
        // Two keys a message are in the objects; what is of a place in the log is not in this.
        assert!(bytes.len() < 5 * 401 * 9, "{}", bytes.len());
        let bytes = Bytes::from(bytes);
        let read = SummaryTable::read(&bytes, reference.len, (70, 2)).unwrap();
        let SummaryRead::Whole(table) = read else { panic!("{read:?}") };
        let keys: Vec<SummaryKey> = runs.iter().map(|(run, ..)| summary_key(run)).collect();
        assert_eq!(table.objects, keys);
        let find = |body: &str| {
            let hash = key(body.as_bytes());
            let span = table.partition(hash).unwrap();
            let part = bytes.slice(span.at as usize..span.end() as usize);
            objects_with(&part, hash).unwrap()
        };
        for at in 0..5 {
            assert!((0..400).step_by(7).all(|number| find(&format!("{at} {number}")) == [at]));
        }
        assert_eq!(find("everywhere"), [0, 1, 2, 3, 4]);
        assert!(find("nowhere").is_empty());
    }

    #[test]
    fn bundles_and_runs_out_of_order_are_refused() {
        assert_eq!(summary(&[]).err(), Some(SummaryRefused::Input(0)));
        assert_eq!(summary(&runs(0, 1)).err(), Some(SummaryRefused::Input(0)));
        let mut turned = runs(1, 3);
        turned.swap(1, 2);
        assert_eq!(summary(&turned).err(), Some(SummaryRefused::Input(2)));
    }

    #[test]
    fn a_damaged_page_is_named() {
        let runs = runs(1, 2);
        let mut summary = summary(&runs).unwrap();
        let SummaryStep::Read { input, span } = summary.step() else { panic!("it reads first") };
        let mut bytes = runs[input].2.get(span).to_vec();
        assert!(summary.feed(&Bytes::from(bytes[1..].to_vec())).is_err());
        bytes[9] ^= 1;
        let refused = summary.feed(&Bytes::from(bytes));
        assert!(matches!(refused, Err(SummaryRefused::Damaged { .. })), "{refused:?}");
    }
}

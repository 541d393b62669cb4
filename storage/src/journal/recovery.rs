//! What a store finds when it is opened.
//!
//! The journal is a row of lives, each a process that wrote extents one after the other. Where a
//! life before the last ended is written in the headers of the next: bytes behind that never count
//! again. Where the last one ended is decided here: at the first place `x` without a valid frame,
//! unless something valid behind it says that the journal was synced beyond `x`. Then bytes that
//! were synced are damaged, and every copy that cannot be shown whole is marked lost: it answers
//! "unknown", never "nothing". Bytes that were written but never synced may be torn or missing in
//! any order; that is an ordinary crash.
//!
//! Named limit: rot in the last group that was synced, when no later frame records that sync, looks
//! like a torn tail.

use super::copy::CopyState;
use super::disk::{Disk, SyncFile};
use super::fold::{Fold, is_blank};
use super::frames::Frames;
use super::preparer::segment_name;
use super::segment::Segment;
use super::shared::Life;
use super::walk::{self, Extent, Found, extents, own_record, records};
use crate::format::{
    ForgetRecord, FrameFlags, JoinRecord, JournalKind, PgId, QueueUid, RestateRecord, SealRecord,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// What was found.
pub(crate) struct Recovered {
    pub(crate) life: Life,
    /// Segments that hold frames which count, in order.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Files that hold none.
    pub(crate) retired: Vec<String>,
    pub(crate) copies: Vec<(PgId, CopyState, Frames)>,
    /// Journal position up to which all is durable.
    pub(crate) position: u64,
    pub(crate) next_segno: u64,
    /// A file of which the part from here on is free for a new extent.
    pub(crate) resume: Option<(String, u64)>,
    /// Something that was synced is damaged.
    pub(crate) damaged: bool,
}

/// Stands for all records of a copy that is lost.
const WRECK: QueueUid = QueueUid(u64::MAX);

/// A segment file, read.
struct Read {
    name: String,
    segno: u64,
    bytes: Bytes,
    syncer: Arc<dyn SyncFile>,
    /// Empty: no valid header.
    extents: Vec<Extent>,
}

impl Read {
    fn open(disk: &dyn Disk, name: String, segno: u64, store: u128, size: u64) -> io::Result<Read> {
        let mut file = disk.open(&name, 0)?;
        let bytes = file.publish(file.size())?;
        let syncer = file.syncer();
        let mut extents = extents(&bytes);
        let ours = |extent: &Extent| extent.header.store == store && extent.header.size == size;
        if bytes.len() as u64 != size || !extents.iter().all(ours) {
            extents.clear();
        }
        Ok(Read { name, segno, bytes, syncer, extents })
    }
}

/// One step of the journal's history.
enum Step {
    Frame { file: usize, found: Found },
    Damage,
}

/// Reads the journal of `store`.
///
/// # Errors
/// When the disk refuses to be read or synced.
pub(crate) fn recover(disk: &dyn Disk, store: u128, segment_bytes: u64) -> io::Result<Recovered> {
    let mut retired = Vec::new();
    let mut files = Vec::new();
    for name in disk.names()? {
        if name.ends_with(".tmp") {
            disk.remove(&name)?;
        } else if name.ends_with(".free") {
            if disk.open(&name, 0)?.size() == segment_bytes {
                retired.push(name);
            } else {
                disk.remove(&name)?;
            }
        } else if let Some(segno) = segment_number(&name) {
            files.push(Read::open(disk, name, segno, store, segment_bytes)?);
        }
    }
    settle(disk, &mut files, store, segment_bytes)?;
    files.sort_by_key(|file| file.segno);
    let history = History::tell(&files, segment_bytes);
    let last = history.last;
    let boot = disk.boot();
    let life = last.map_or(Life { number: 1, crashes: 0, cut: 0, boot }, |(_, header)| Life {
        number: header.life + 1,
        crashes: header.crashes + u32::from(header.boot != boot && !history.ended_well(&files)),
        cut: history.cut,
        boot,
    });
    let highest = files
        .iter()
        .flat_map(|file| file.extents.iter().map(|extent| extent.header.segno).chain([file.segno]));
    let next_segno = highest.max().unwrap_or(0) + 1;
    let resume = last.and_then(|(file, _)| {
        let at = walk::after(history.cut % segment_bytes);
        // A cut at the very end of the file leaves nothing to go on in.
        let inside = at > 0 && at < segment_bytes && history.cut_is_in_file;
        inside.then(|| files.get(file).map(|file| (file.name.clone(), at))).flatten()
    });
    let mut needed = vec![false; files.len()];
    for step in &history.steps {
        if let Step::Frame { file, .. } = step
            && let Some(needed) = needed.get_mut(*file)
        {
            *needed = true;
        }
    }
    let segments: Vec<_> = files
        .iter()
        .map(|file| Arc::new(Segment::new(file.name.clone(), Arc::clone(&file.syncer))))
        .collect();
    let (copies, doubt) = fold(&history.steps, &files, &segments);
    let any_lost = copies.iter().any(|(_, state, _)| state.lost);
    for (segment, file) in segments.iter().zip(&files) {
        segment.show(file.bytes.clone());
        segment.seal();
    }
    for (pg, state, frames) in &copies {
        if state.lost {
            pin_wreck(*pg, &history.steps, &segments);
        } else {
            count_residents(*pg, state, frames);
        }
    }
    let readable: BTreeSet<&String> =
        files.iter().filter(|file| !file.extents.is_empty()).map(|file| &file.name).collect();
    let is_resume = |name: &str| resume.as_ref().is_some_and(|(resume, _)| resume == name);
    let mut kept = Vec::new();
    for (segment, needed) in segments.into_iter().zip(needed) {
        if needed || is_resume(&segment.name) {
            kept.push(segment);
        } else if readable.contains(&segment.name) {
            retired.push(segment.name.clone());
        }
        // A file that cannot be read stays as it is: somebody may want to look at it.
    }
    Ok(Recovered {
        life,
        segments: kept,
        retired,
        copies,
        position: history.cut,
        next_segno,
        resume,
        damaged: history.is_damaged(&files) || any_lost || doubt,
    })
}

fn segment_number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(".seg")?, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}

/// After a failed sync the page cache may show bytes that the disk does not have. What some frame
/// or header says was synced is beyond that doubt; the rest is read again from the disk, and
/// synced.
fn settle(disk: &dyn Disk, files: &mut [Read], store: u128, size: u64) -> io::Result<()> {
    let synced = files.iter().flat_map(|file| &file.extents).map(synced_by).max().unwrap_or(0);
    for file in files {
        let ends = file.extents.iter().map(|extent| extent.header.position(extent.stop));
        if file.extents.is_empty() || ends.max() > Some(synced) {
            file.bytes = Bytes::new();
            disk.settle(&file.name)?;
            let name = std::mem::take(&mut file.name);
            *file = Read::open(disk, name, file.segno, store, size)?;
        }
    }
    Ok(())
}

/// The farthest position that anything in `extent` says is synced.
fn synced_by(extent: &Extent) -> u64 {
    let frames = extent.frames.iter().chain(&extent.strays);
    let frames = frames.map(|frame| frame.header.journal_synced).max().unwrap_or(0);
    frames.max(extent.header.journal_synced)
}

/// What counts of all that was found, in order.
struct History {
    steps: Vec<Step>,
    /// Where the last life ended.
    cut: u64,
    cut_is_in_file: bool,
    /// The extent that it ended in, and the file of that.
    last: Option<(usize, crate::format::ExtentHeader)>,
    damaged: bool,
    size: u64,
}

impl History {
    fn tell(files: &[Read], size: u64) -> History {
        let mut history = History {
            steps: Vec::new(),
            cut: 0,
            cut_is_in_file: false,
            last: None,
            damaged: false,
            size,
        };
        let mut lives: BTreeMap<u32, Vec<(usize, &Extent)>> = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for extent in &file.extents {
                lives.entry(extent.header.life).or_default().push((index, extent));
            }
        }
        let unreadable: Vec<u64> =
            files.iter().filter(|file| file.extents.is_empty()).map(|file| file.segno).collect();
        let mut unreadable = unreadable.into_iter().peekable();
        let mut lives = lives.into_values().peekable();
        while let Some(mut life) = lives.next() {
            life.sort_by_key(|(_, extent)| extent.header.segno);
            let cut = lives.peek().and_then(|next| next.first()).map(|(_, e)| e.header.life_cut);
            let mut ended = false;
            for (place, (file, extent)) in life.iter().enumerate() {
                let begins = extent.header.position(extent.header.start);
                if ended || cut.is_some_and(|cut| begins >= cut) {
                    break;
                }
                // A file whose header is gone may have held anything between its neighbours.
                while unreadable.next_if(|segno| *segno < extent.header.segno).is_some() {
                    history.damage();
                }
                ended = match cut {
                    Some(cut) => history.take_cut(*file, extent, cut),
                    None => {
                        let later = life.get(place + 1..).unwrap_or_default();
                        history.take_last(*file, extent, later)
                    }
                };
            }
        }
        if unreadable.next().is_some() {
            // It may be a spare that never held anything, or the newest of all.
            history.damage();
        }
        history
    }

    /// Whether something is damaged that no later RESTATE makes up for.
    fn is_damaged(&self, files: &[Read]) -> bool {
        let is_restate = |step: &&Step| match step {
            Step::Frame { file, found } => files
                .get(*file)
                .and_then(|file| own_record(&file.bytes, found))
                .is_some_and(|(kind, _)| kind == JournalKind::Restate),
            Step::Damage => false,
        };
        let since = self.steps.iter().rev().take_while(|step| !is_restate(step));
        self.damaged && since.into_iter().any(|step| matches!(step, Step::Damage))
    }

    /// An extent of a life whose end is known. True when the life ended in it.
    fn take_cut(&mut self, file: usize, extent: &Extent, cut: u64) -> bool {
        let here = extent.header.segno == cut / self.size;
        let limit = if here { cut % self.size } else { u64::MAX };
        self.accept(file, &extent.frames, limit);
        let whole = if here { extent.stop >= limit } else { extent.closed };
        if !whole {
            self.damage();
            self.accept(file, &extent.strays, limit);
        }
        here
    }

    /// An extent of the last life, with those that follow it. True when the journal ends in it.
    fn take_last(&mut self, file: usize, extent: &Extent, later: &[(usize, &Extent)]) -> bool {
        self.accept(file, &extent.frames, u64::MAX);
        let mut stop = extent.stop;
        self.last = Some((file, extent.header));
        let mut ended = false;
        if !extent.closed {
            let strays = extent.strays.iter().map(|frame| frame.header.journal_synced);
            let later = later.iter().map(|(_, extent)| synced_by(extent));
            let synced = strays.chain(later).max().unwrap_or(0);
            if synced > extent.header.position(stop) {
                self.damage();
                self.accept(file, &extent.strays, u64::MAX);
                stop = extent.strays.last().map_or(stop, |frame| frame.header.next_at(frame.at));
            } else {
                ended = true;
            }
        }
        self.cut = extent.header.position(stop);
        self.cut_is_in_file = stop < self.size;
        ended
    }

    fn accept(&mut self, file: usize, frames: &[Found], limit: u64) {
        let frames = frames.iter().filter(|frame| frame.at < limit);
        self.steps.extend(frames.map(|found| Step::Frame { file, found: *found }));
    }

    fn damage(&mut self) {
        self.damaged = true;
        self.steps.push(Step::Damage);
    }

    /// Whether the last thing that the last life wrote says that all before it was synced.
    fn ended_well(&self, files: &[Read]) -> bool {
        let Some(Step::Frame { file, found }) = self.steps.last() else { return false };
        // A life without a frame may have shown what it had not synced.
        let is_of_last = |(last, header): (usize, crate::format::ExtentHeader)| {
            last == *file && found.at >= header.start
        };
        if !self.last.is_some_and(is_of_last) {
            return false;
        }
        let Some(file) = files.get(*file) else { return false };
        own_record(&file.bytes, found).is_some_and(|(kind, _)| kind == JournalKind::Close)
    }
}

/// Replays the history into copies. True: the store was damaged once before.
fn fold(
    steps: &[Step],
    files: &[Read],
    segments: &[Arc<Segment>],
) -> (Vec<(PgId, CopyState, Frames)>, bool) {
    let mut folds: BTreeMap<PgId, Fold> = BTreeMap::new();
    for step in steps {
        if let Step::Frame { file, found } = step
            && let Some(file) = files.get(*file)
            && let Some((JournalKind::Restate, _)) = own_record(&file.bytes, found)
        {
            folds.entry(found.header.pg).or_default().restates_ahead += 1;
        }
    }
    for step in steps {
        match step {
            Step::Damage => folds.values_mut().for_each(Fold::damage),
            Step::Frame { file, found } => {
                let (Some(read), Some(segment)) = (files.get(*file), segments.get(*file)) else {
                    continue;
                };
                let own = own_record(&read.bytes, found);
                if own.is_some_and(|(kind, _)| !kind.is_of_a_copy()) {
                    continue;
                }
                let fold = folds.entry(found.header.pg).or_default();
                match own {
                    None => fold.frame(segment, found.payload_at(), &found.header),
                    Some((kind, body)) => fold_own(fold, found, kind, body),
                }
            }
        }
    }
    let doubt = folds.values().any(|fold| fold.doubt);
    let folded = folds.into_iter().map(|(pg, fold)| (pg, fold.finish()));
    let copies = folded.filter(|(_, (state, _))| !is_blank(state));
    (copies.map(|(pg, (state, frames))| (pg, state, frames)).collect(), doubt)
}

/// A record of the store. One that cannot be decoded passed its checksum, so another version wrote
/// it: it is as good as damage.
fn fold_own(fold: &mut Fold, found: &Found, kind: JournalKind, body: &[u8]) {
    let header = &found.header;
    let read = match kind {
        JournalKind::Join => JoinRecord::decode(body).map(|record| fold.join(&record)),
        JournalKind::Seal => SealRecord::decode(body).map(|record| fold.seal(header, &record)),
        JournalKind::Forget => {
            ForgetRecord::decode(body).map(|record| fold.forget(header, &record))
        }
        JournalKind::Restate => RestateRecord::decode(body).map(|record| fold.restate(&record)),
        JournalKind::Noop | JournalKind::SegmentEnd | JournalKind::Close => Ok(()),
    };
    if read.is_err() {
        fold.damage();
    }
}

/// What is left of a lost copy is not given up before another epoch begins anew.
fn pin_wreck(pg: PgId, steps: &[Step], segments: &[Arc<Segment>]) {
    for step in steps {
        if let Step::Frame { file, found } = step
            && found.header.pg == pg
            && !found.header.flags.has(FrameFlags::JOURNAL)
            && let Some(segment) = segments.get(*file)
        {
            segment.settle_in(pg, std::iter::once(WRECK));
        }
    }
}

fn count_residents(pg: PgId, state: &CopyState, frames: &Frames) {
    for (segment, frame) in frames.iter() {
        if let Some(payload) = segment.slice(frame.at.into(), frame.len.into()) {
            segment.settle_in(pg, records(&payload.bytes).map(|(_, envelope)| envelope.queue));
        }
    }
    if !state.forgotten.is_empty() {
        let forgotten: Vec<QueueUid> = state.forgotten.iter().copied().collect();
        for run in &frames.runs {
            run.segment.evict(pg, &forgotten);
        }
    }
}

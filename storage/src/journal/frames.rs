//! Where a placement group's log lies in the journal: runs of frames in lsn order, a run per
//! stretch within one segment. Holes between runs are ranges that only forgotten queues had records
//! in, and whose segment was recycled.
use super::segment::Segment;
use crate::format::{Hole, Lsn};
use std::collections::VecDeque;
use std::sync::Arc;

/// One frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameRef {
    pub(crate) lsn: Lsn,
    /// Chain after the frame.
    pub(crate) chain: u32,
    /// Where the payload begins in the file.
    pub(crate) at: u32,
    pub(crate) len: u32,
}

impl FrameRef {
    pub(crate) const fn end(&self) -> Lsn {
        self.lsn.plus(self.len as u64)
    }
}

/// A frame, for whoever goes on from frame to frame.
pub(crate) struct Ahead {
    pub(crate) segment: Arc<Segment>,
    pub(crate) frame: FrameRef,
    /// Chain before it, where it begins a run.
    pub(crate) chain_before: Option<u32>,
}

/// Frames next to each other, in the log and in one segment.
pub(crate) struct Run {
    pub(crate) segment: Arc<Segment>,
    /// Chain before the first frame.
    pub(crate) chain_before: u32,
    /// Never empty.
    pub(crate) frames: Vec<FrameRef>,
}

impl Run {
    fn first(&self) -> Lsn {
        self.frames.first().map_or(Lsn(0), |frame| frame.lsn)
    }

    pub(crate) fn end(&self) -> Lsn {
        self.frames.last().map_or(Lsn(0), FrameRef::end)
    }
}

/// All frames of one copy.
#[derive(Default)]
pub(crate) struct Frames {
    pub(crate) runs: VecDeque<Run>,
}

impl Frames {
    /// Adds a frame after all others.
    pub(crate) fn push(&mut self, segment: &Arc<Segment>, chain_before: u32, frame: FrameRef) {
        if let Some(last) = self.runs.back_mut()
            && Arc::ptr_eq(&last.segment, segment)
            && last.end() == frame.lsn
        {
            last.frames.push(frame);
            return;
        }
        let run = Run { segment: Arc::clone(segment), chain_before, frames: vec![frame] };
        self.runs.push_back(run);
    }

    /// The frame that holds the byte at `lsn`.
    pub(crate) fn find(&self, lsn: Lsn) -> Option<(&Arc<Segment>, FrameRef)> {
        let index = self.runs.partition_point(|run| run.first() <= lsn).checked_sub(1)?;
        let run = self.runs.get(index)?;
        let index = run.frames.partition_point(|frame| frame.lsn <= lsn).checked_sub(1)?;
        let frame = run.frames.get(index)?;
        (lsn < frame.end()).then_some((&run.segment, *frame))
    }

    /// All frames in lsn order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<Segment>, &FrameRef)> {
        self.runs.iter().flat_map(|run| run.frames.iter().map(|frame| (&run.segment, frame)))
    }

    /// Chain at `lsn`, if a frame ends or begins there.
    pub(crate) fn chain_at(&self, lsn: Lsn) -> Option<u32> {
        if let Some(before) = lsn.0.checked_sub(1)
            && let Some((_, frame)) = self.find(Lsn(before))
        {
            return (frame.end() == lsn).then_some(frame.chain);
        }
        self.runs.iter().find(|run| run.first() == lsn).map(|run| run.chain_before)
    }

    /// Takes out the frames at or after `lsn`, and says which they were.
    pub(crate) fn cut(&mut self, lsn: Lsn) -> Vec<(Arc<Segment>, FrameRef)> {
        let mut gone = Vec::new();
        while let Some(last) = self.runs.back_mut()
            && last.end() > lsn
        {
            let keep = last.frames.partition_point(|frame| frame.lsn < lsn);
            let segment = Arc::clone(&last.segment);
            gone.extend(last.frames.drain(keep..).map(|frame| (Arc::clone(&segment), frame)));
            if !last.frames.is_empty() {
                break;
            }
            self.runs.pop_back();
        }
        gone
    }

    /// The greatest position at or before `lsn` at which a frame begins or ends.
    pub(crate) fn boundary(&self, lsn: Lsn) -> Option<Lsn> {
        let index = self.runs.partition_point(|run| run.first() <= lsn).checked_sub(1)?;
        let run = self.runs.get(index)?;
        if run.end() <= lsn {
            return Some(run.end());
        }
        let index = run.frames.partition_point(|frame| frame.lsn <= lsn).checked_sub(1)?;
        run.frames.get(index).map(|frame| frame.lsn)
    }

    /// Takes out the frames that end at or before `lsn`. Gives back the runs of which nothing is
    /// left.
    pub(crate) fn trim(&mut self, lsn: Lsn) -> Vec<Run> {
        let mut gone = Vec::new();
        while self.runs.front().is_some_and(|run| run.end() <= lsn) {
            gone.extend(self.runs.pop_front());
        }
        if let Some(run) = self.runs.front_mut() {
            let below = run.frames.partition_point(|frame| frame.end() <= lsn);
            if let Some(last) = run.frames.drain(..below).next_back() {
                run.chain_before = last.chain;
            }
        }
        gone
    }

    /// The first frames that end after `from`, at most `limit`, and with each the chain before it
    /// where it begins a run.
    pub(crate) fn from(&self, from: Lsn, limit: usize) -> Vec<Ahead> {
        let mut found = Vec::new();
        let start = self.runs.partition_point(|run| run.end() <= from);
        for run in self.runs.range(start..) {
            let first = run.frames.partition_point(|frame| frame.end() <= from);
            let left = limit - found.len();
            for frame in run.frames.iter().skip(first).take(left) {
                let begins = frame.lsn == run.first();
                found.push(Ahead {
                    segment: Arc::clone(&run.segment),
                    frame: *frame,
                    chain_before: begins.then_some(run.chain_before),
                });
            }
            if found.len() == limit {
                break;
            }
        }
        found
    }

    /// Drops whatever lies in `segment`.
    pub(crate) fn drop_segment(&mut self, segment: &Arc<Segment>) {
        self.runs.retain(|run| !Arc::ptr_eq(&run.segment, segment));
    }

    /// Keeps only frames that lie within `[from, end)` and outside `holes`.
    pub(crate) fn keep(&mut self, from: Lsn, end: Lsn, holes: &[Hole]) {
        let stays = |frame: &FrameRef| {
            from <= frame.lsn
                && frame.end() <= end
                && !holes.iter().any(|hole| hole.from < frame.end() && frame.lsn < hole.to)
        };
        let all = std::mem::take(&mut self.runs);
        for run in all {
            let mut chain_before = run.chain_before;
            for frame in run.frames {
                if stays(&frame) {
                    self.push(&run.segment, chain_before, frame);
                }
                chain_before = frame.chain;
            }
        }
    }

    /// The ranges of `[from, end)` that no frame covers, in order. `chain` is the chain at `end`.
    pub(crate) fn holes(&self, from: Lsn, end: Lsn, chain: u32) -> Vec<Hole> {
        let mut holes = Vec::new();
        let mut at = from;
        for run in &self.runs {
            if at < run.first() {
                holes.push(Hole { from: at, to: run.first(), chain: run.chain_before });
            }
            at = run.end();
        }
        if at < end {
            holes.push(Hole { from: at, to: end, chain });
        }
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::SyncFile;
    use super::*;

    struct NoFile;

    impl SyncFile for NoFile {
        fn sync(&self) -> std::io::Result<()> {
            Ok(())
        }

        fn is_held(&self) -> bool {
            false
        }

        fn let_go(&self) {}
    }

    fn segment(name: &str) -> Arc<Segment> {
        Arc::new(Segment::new(name.to_owned(), Arc::new(NoFile)))
    }

    fn frame(lsn: u64, len: u32) -> FrameRef {
        FrameRef { lsn: Lsn(lsn), chain: lsn as u32 + len, at: 0, len }
    }

    #[test]
    fn a_dropped_segment_leaves_a_hole_with_its_chain() {
        let (a, b, c) = (segment("a"), segment("b"), segment("c"));
        let mut frames = Frames::default();
        frames.push(&a, 0, frame(0, 10));
        frames.push(&b, 10, frame(10, 10));
        frames.push(&b, 20, frame(20, 5));
        frames.push(&c, 25, frame(25, 5));
        assert_eq!(frames.holes(Lsn(0), Lsn(30), 30), []);
        frames.drop_segment(&b);
        assert_eq!(
            frames.holes(Lsn(0), Lsn(30), 30),
            [Hole { from: Lsn(10), to: Lsn(25), chain: 25 }]
        );
        assert!(frames.find(Lsn(12)).is_none());
        assert_eq!(frames.find(Lsn(29)).unwrap().1.lsn, Lsn(25));
        assert_eq!(frames.chain_at(Lsn(25)), Some(25));
        assert_eq!(frames.chain_at(Lsn(10)), Some(10));
        assert_eq!(frames.chain_at(Lsn(11)), None);
        frames.drop_segment(&c);
        assert_eq!(
            frames.holes(Lsn(0), Lsn(30), 30),
            [Hole { from: Lsn(10), to: Lsn(30), chain: 30 }]
        );
    }

    #[test]
    fn trim_takes_whole_frames_from_the_front_and_keeps_the_chain() {
        let (a, b) = (segment("a"), segment("b"));
        let mut frames = Frames::default();
        frames.push(&a, 0, frame(0, 10));
        frames.push(&b, 10, frame(10, 10));
        frames.push(&b, 20, frame(20, 10));
        assert_eq!(frames.boundary(Lsn(9)), Some(Lsn(0)));
        assert_eq!(frames.boundary(Lsn(20)), Some(Lsn(20)));
        assert_eq!(frames.boundary(Lsn(99)), Some(Lsn(30)));
        assert!(frames.trim(Lsn(9)).is_empty());
        let gone = frames.trim(Lsn(20));
        assert_eq!(gone.len(), 1, "the other run has a frame left");
        assert!(Arc::ptr_eq(&gone[0].segment, &a));
        assert_eq!(frames.chain_at(Lsn(20)), Some(20));
        assert_eq!(frames.boundary(Lsn(19)), None);
        assert_eq!(frames.holes(Lsn(20), Lsn(30), 30), []);
        assert_eq!(frames.trim(Lsn(30)).len(), 1);
        assert_eq!(frames.iter().count(), 0);
    }

    #[test]
    fn whoever_goes_on_learns_the_chain_where_a_run_begins() {
        let (a, b) = (segment("a"), segment("b"));
        let mut frames = Frames::default();
        frames.push(&a, 0, frame(0, 10));
        frames.push(&a, 10, frame(10, 10));
        frames.push(&b, 20, frame(20, 10));
        let from = |lsn, limit| {
            let found = frames.from(Lsn(lsn), limit);
            found.iter().map(|ahead| (ahead.frame.lsn.0, ahead.chain_before)).collect::<Vec<_>>()
        };
        assert_eq!(from(0, 9), [(0, Some(0)), (10, None), (20, Some(20))]);
        assert_eq!(from(10, 1), [(10, None)]);
        assert_eq!(from(15, 9), [(10, None), (20, Some(20))]);
        assert_eq!(from(30, 9), []);
    }

    #[test]
    fn cut_takes_whole_frames_across_runs() {
        let (a, b) = (segment("a"), segment("b"));
        let mut frames = Frames::default();
        frames.push(&a, 0, frame(0, 10));
        frames.push(&a, 10, frame(10, 10));
        frames.push(&b, 20, frame(20, 10));
        let gone: Vec<_> = frames.cut(Lsn(10)).into_iter().map(|(_, frame)| frame.lsn.0).collect();
        assert_eq!(gone, [20, 10]);
        assert_eq!(frames.iter().count(), 1);
        assert!(frames.cut(Lsn(10)).is_empty());
    }

    #[test]
    fn keep_drops_what_lies_outside_or_in_a_hole() {
        let a = segment("a");
        let mut frames = Frames::default();
        for at in 0..5 {
            frames.push(&a, at * 10, frame(u64::from(at) * 10, 10));
        }
        frames.keep(Lsn(10), Lsn(40), &[Hole { from: Lsn(20), to: Lsn(30), chain: 0 }]);
        assert_eq!(frames.iter().map(|(_, frame)| frame.lsn.0).collect::<Vec<_>>(), [10, 30]);
        assert_eq!(frames.holes(Lsn(10), Lsn(40), 40).len(), 1);
    }
}

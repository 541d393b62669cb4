//! Reading a segment file as it was found: its extents, their frames, and where each stops.
use crate::format::{
    BLOCK_BYTES, Envelope, ExtentHeader, FRAME_HEADER_BYTES, FrameHeader, JournalKind, Kind,
    block_up,
};

/// A frame where it was found: the place of its header in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) at: u64,
    pub(crate) header: FrameHeader,
}

impl Found {
    /// The place of its payload.
    pub(crate) const fn payload_at(&self) -> u64 {
        self.at + FRAME_HEADER_BYTES
    }
}

/// One extent as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) header: ExtentHeader,
    /// Frames that follow each other from the extent's beginning.
    pub(crate) frames: Vec<Found>,
    /// Where in the file they stop.
    pub(crate) stop: u64,
    /// They stop because the writer went on elsewhere.
    pub(crate) closed: bool,
    /// Valid frames of this extent beyond `stop`.
    pub(crate) strays: Vec<Found>,
}

/// The extents of a file, in order; empty when it has no valid header.
pub(crate) fn extents(file: &[u8]) -> Vec<Extent> {
    let mut found = Vec::new();
    let mut next = ExtentHeader::decode(file).ok().filter(|header| header.start == 0);
    while let Some(header) = next {
        let (extent, after) = walk(file, header);
        found.push(extent);
        next = after;
    }
    found
}

/// Walks one extent, and on to the header of the next in the file if there is one.
fn walk(file: &[u8], header: ExtentHeader) -> (Extent, Option<ExtentHeader>) {
    let mut extent = Extent {
        header,
        frames: Vec::new(),
        stop: header.first_frame_at(),
        closed: false,
        strays: Vec::new(),
    };
    while let Some(frame) = frame_at(file, &header, extent.stop) {
        extent.stop = frame.header.next_at(frame.at);
        extent.closed = ends_segment(file, &frame);
        extent.frames.push(frame);
    }
    let size = file.len() as u64;
    extent.closed |= extent.stop + FRAME_HEADER_BYTES > size;
    let mut at = extent.stop;
    while at + FRAME_HEADER_BYTES <= size {
        if at.is_multiple_of(BLOCK_BYTES) {
            if let Some(next) = later_extent_at(file, &header, at) {
                return (extent, Some(next));
            }
            if is_zero(file, at) {
                at += BLOCK_BYTES;
                continue;
            }
        }
        match frame_at(file, &header, at) {
            Some(frame) => {
                extent.strays.push(frame);
                at = frame.header.next_at(at);
            }
            None => at += 8,
        }
    }
    (extent, None)
}

/// The frame at `at`, if a whole valid one of this extent lies there.
fn frame_at(file: &[u8], extent: &ExtentHeader, at: u64) -> Option<Found> {
    let bytes = file.get(usize::try_from(at).ok()?..)?;
    let header = FrameHeader::decode(bytes, extent.seal()).ok()?;
    let payload = bytes.get(FRAME_HEADER_BYTES as usize..)?.get(..header.payload_len as usize)?;
    header.fits(payload).then_some(Found { at, header })
}

fn later_extent_at(file: &[u8], extent: &ExtentHeader, at: u64) -> Option<ExtentHeader> {
    let header = ExtentHeader::decode(file.get(usize::try_from(at).ok()?..)?).ok()?;
    (header.start == at && header.store == extent.store && header.segno > extent.segno)
        .then_some(header)
}

fn is_zero(file: &[u8], at: u64) -> bool {
    const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];
    usize::try_from(at)
        .ok()
        .and_then(|at| file.get(at..)?.get(..BLOCK_BYTES as usize))
        .is_some_and(|block| block == ZEROS)
}

fn ends_segment(file: &[u8], frame: &Found) -> bool {
    own_record(file, frame).is_some_and(|(kind, _)| kind == JournalKind::SegmentEnd)
}

/// The store's own record in `frame`, if it holds one.
pub(crate) fn own_record<'a>(file: &'a [u8], frame: &Found) -> Option<(JournalKind, &'a [u8])> {
    if !frame.header.flags.has(crate::format::FrameFlags::JOURNAL) {
        return None;
    }
    let payload = payload(file, frame)?;
    let envelope = Envelope::decode(payload).ok()?;
    match envelope.kind {
        Kind::Journal(kind) => Some((kind, payload.get(envelope.head_len() as usize..)?)),
        Kind::Record(_) => None,
    }
}

/// The payload of a frame that was found in `file`.
pub(crate) fn payload<'a>(file: &'a [u8], frame: &Found) -> Option<&'a [u8]> {
    let at = usize::try_from(frame.payload_at()).ok()?;
    file.get(at..)?.get(..frame.header.payload_len as usize)
}

/// The records of a payload, each with its place in it. Ends at the first that cannot be read.
pub(crate) fn records(payload: &[u8]) -> impl Iterator<Item = (u32, Envelope)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let envelope = Envelope::decode(payload.get(at as usize..)?).ok()?;
        let place = at;
        at += envelope.record_len();
        Some((place, envelope))
    })
}

/// Where a new extent may begin behind what was found.
pub(crate) const fn after(stop: u64) -> u64 {
    block_up(stop)
}

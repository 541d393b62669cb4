//! Room in the journal. An append reserves its worst case against segments that are allocated and
//! zeroed before it gets a place in the log, so the writer always finds room, and a full disk is a
//! refusal and never a fault.
//!
//! Frames are not split over segments, so of each segment only its size less the largest frame is
//! promised. INV-SPACE-1: the sum of what is reserved never exceeds what is promised.

use super::config::{Fill, FillState};
use super::draft::Class;
use super::index_room::IndexRoom;
use super::spare::Spare;
use crate::format::{BLOCK_BYTES, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Payload bytes of one atomic group (DESIGN §7), where segments are large enough.
const GROUP_BYTES_MAX: u64 = 8 << 20;
/// Room that only the store's own records may use.
const OWN_BYTES: u64 = 256 << 10;

/// Reserved for a frame with a payload of `payload` bytes, padding included.
pub(crate) const fn frame_need(payload: u64) -> u64 {
    (FRAME_HEADER_BYTES + payload).next_multiple_of(8) + BLOCK_BYTES
}

/// For whom room is reserved: the two classes of appends, and the store's own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Append(Class),
    Store,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The journal has what it may have.
    Full { used: u64, capacity: u64 },
    /// The disk has not.
    DiskFull,
    /// The next segment is not ready yet.
    Busy,
}

#[derive(Default)]
struct Places {
    /// Ready for the writer, in the order of their numbers.
    spares: VecDeque<Spare>,
    /// Bytes left in the segment that is written.
    active_left: u64,
    active_used: u64,
    /// Bytes of segments that were written and are still needed.
    sealed: u64,
    /// Files there are.
    files: u64,
    wake_preparer: bool,
}

/// The account.
pub(crate) struct Space {
    pub(crate) segment_bytes: u64,
    files_max: u64,
    spares_wanted: usize,
    /// Largest payload of one frame.
    pub(crate) group_bytes_max: u64,
    reserved: AtomicU64,
    promised: AtomicU64,
    used: AtomicU64,
    disk_full: AtomicBool,
    places: Mutex<Places>,
    preparer: Condvar,
}

impl Space {
    pub(crate) fn new(capacity: u64, segment_bytes: u64, spares: u32) -> Space {
        Space {
            segment_bytes,
            files_max: capacity / segment_bytes,
            spares_wanted: spares.max(1) as usize,
            group_bytes_max: GROUP_BYTES_MAX.min(segment_bytes / 4),
            reserved: AtomicU64::new(0),
            promised: AtomicU64::new(0),
            used: AtomicU64::new(0),
            disk_full: AtomicBool::new(false),
            places: Mutex::default(),
            preparer: Condvar::new(),
        }
    }

    fn capacity(&self) -> u64 {
        self.files_max * self.segment_bytes
    }

    fn own_bytes(&self) -> u64 {
        OWN_BYTES.min(self.segment_bytes / 4)
    }

    /// Promised room that messages leave to [`Class::Reserve`].
    fn reserve_bytes(&self) -> u64 {
        (self.capacity() / 20).min(self.promise(self.segment_bytes) / 2)
    }

    /// What of `left` bytes of a segment is promised.
    fn promise(&self, left: u64) -> u64 {
        left.saturating_sub(frame_need(self.group_bytes_max))
    }

    /// Sets `need` bytes aside until [`Space::settle`].
    ///
    /// # Errors
    /// When there is no room for this class.
    pub(crate) fn reserve(&self, whom: For, need: u64) -> Result<(), NoRoom> {
        let (limit, kept) = match whom {
            For::Append(Class::Message) => (self.capacity() / 10 * 9, self.reserve_bytes()),
            For::Append(Class::Reserve) => (self.capacity(), 0),
            For::Store => (u64::MAX, 0),
        };
        let kept = if whom == For::Store { kept } else { kept + self.own_bytes() };
        let mut reserved = self.reserved.load(Ordering::Acquire);
        loop {
            let used = self.used.load(Ordering::Acquire);
            let wanted = reserved + need;
            if used + wanted > limit {
                return Err(NoRoom::Full { used: used + reserved, capacity: self.capacity() });
            }
            if wanted + kept > self.promised.load(Ordering::Acquire) {
                return Err(self.why_no_room(used + reserved));
            }
            match self.reserved.compare_exchange_weak(
                reserved,
                wanted,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => reserved = now,
            }
        }
    }

    /// Whether no file could become a spare.
    fn all_in_use(&self) -> bool {
        let places = self.places.lock();
        let written = places.sealed / self.segment_bytes + u64::from(places.active_used > 0);
        written + places.spares.len() as u64 >= self.files_max
    }

    fn why_no_room(&self, used: u64) -> NoRoom {
        if self.disk_full.load(Ordering::Acquire) {
            NoRoom::DiskFull
        } else if self.all_in_use() {
            NoRoom::Full { used, capacity: self.capacity() }
        } else {
            NoRoom::Busy
        }
    }

    /// Whether there will be room as soon as the preparer is done.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_short() && self.why_no_room(0) == NoRoom::Busy
    }

    /// Gives a reservation back, after it was written or not used.
    pub(crate) fn settle(&self, need: u64) {
        self.reserved.fetch_sub(need, Ordering::AcqRel);
    }

    /// The writer stands `at` bytes into its segment. Call before [`Space::settle`].
    pub(crate) fn writer_at(&self, at: u64) {
        let mut places = self.places.lock();
        places.active_left = self.segment_bytes.saturating_sub(at);
        places.active_used = at;
        self.count(&places);
        if self.is_short() {
            places.wake_preparer = true;
            self.preparer.notify_one();
        }
    }

    /// Whether anything can be promised of the rest of a segment from `at` on.
    pub(crate) fn is_worth_resuming(&self, at: u64) -> bool {
        self.promise(self.segment_bytes.saturating_sub(at)) > 0
    }

    /// Whether hardly anything is promised.
    pub(crate) fn is_short(&self) -> bool {
        self.promised.load(Ordering::Acquire) <= 2 * self.own_bytes()
    }

    /// At start: the writer goes on `at` bytes into a segment that counts as sealed so far.
    pub(crate) fn resume_at(&self, at: u64) {
        self.freed();
        self.writer_at(at);
    }

    /// The next segment for the writer, whose last one is full.
    pub(crate) fn take_spare(&self, had_one: bool) -> Option<Spare> {
        let mut places = self.places.lock();
        let spare = places.spares.pop_front()?;
        if had_one {
            places.sealed += self.segment_bytes;
        }
        places.active_left = self.segment_bytes - SEGMENT_HEADER_BYTES;
        places.active_used = SEGMENT_HEADER_BYTES;
        self.count(&places);
        places.wake_preparer = true;
        self.preparer.notify_one();
        Some(spare)
    }

    /// A segment became ready. `new`: it was not there before.
    pub(crate) fn add_spare(&self, spare: Spare, new: bool) {
        let mut places = self.places.lock();
        places.spares.push_back(spare);
        places.files += u64::from(new);
        self.count(&places);
    }

    /// At start: `sealed` files hold what is needed, and there are `files` in all.
    pub(crate) fn start_with(&self, sealed: u64, files: u64) {
        let mut places = self.places.lock();
        places.sealed = sealed * self.segment_bytes;
        places.files = files;
        self.count(&places);
    }

    /// A segment is needed no more.
    pub(crate) fn freed(&self) {
        let mut places = self.places.lock();
        places.sealed = places.sealed.saturating_sub(self.segment_bytes);
        self.count(&places);
    }

    /// Whether another spare is wanted, and whether a new file may be made for it: one more than
    /// the capacity allows when the store has no room left for its own records. Without it a full
    /// journal could neither be started again nor told to forget.
    pub(crate) fn wants_spare(&self) -> (bool, bool) {
        let short = self.is_short();
        let places = self.places.lock();
        let files_max = self.files_max + u64::from(short);
        (places.spares.len() < self.spares_wanted, places.files < files_max)
    }

    pub(crate) fn set_disk_full(&self, full: bool) -> bool {
        self.disk_full.swap(full, Ordering::AcqRel)
    }

    /// Lets the preparer look again.
    pub(crate) fn wake_preparer(&self) {
        self.places.lock().wake_preparer = true;
        self.preparer.notify_one();
    }

    /// The preparer's rest: until there may be something to do, or `limit` has passed.
    pub(crate) fn wait_for_work(&self, limit: Option<Duration>) {
        let mut places = self.places.lock();
        if !places.wake_preparer {
            match limit {
                Some(limit) => {
                    self.preparer.wait_for(&mut places, limit);
                }
                None => self.preparer.wait(&mut places),
            }
        }
        places.wake_preparer = false;
    }

    fn count(&self, places: &Places) {
        let of_spares =
            places.spares.len() as u64 * self.promise(self.segment_bytes - SEGMENT_HEADER_BYTES);
        self.used.store(places.sealed + places.active_used, Ordering::Release);
        self.promised.store(self.promise(places.active_left) + of_spares, Ordering::Release);
    }

    /// How full it is, and what is refused for want of room here or in the index.
    pub(crate) fn fill(&self, index: &IndexRoom) -> Fill {
        let used = self.used.load(Ordering::Acquire) + self.reserved.load(Ordering::Acquire);
        let capacity = self.capacity();
        let probe = frame_need(0);
        let refuses = |class| match self.reserve(For::Append(class), probe) {
            Ok(()) => {
                self.settle(probe);
                false
            }
            Err(none) => none != NoRoom::Busy,
        };
        let state = if refuses(Class::Reserve) {
            FillState::RefusingAll
        } else if refuses(Class::Message) || !index.takes(Class::Message) {
            FillState::RefusingMessages
        } else {
            FillState::Open
        };
        Fill {
            used,
            capacity,
            free: capacity.saturating_sub(used),
            state,
            disk_full: self.disk_full.load(Ordering::Acquire),
            index: index.fill(),
        }
    }
}

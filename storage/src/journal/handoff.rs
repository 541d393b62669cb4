//! From the writer to the syncer: what was published since the last sync began. One sync makes all
//! of it durable.
use super::copy::PgCopy;
use super::segment::Segment;
use crate::format::{Epoch, Lsn};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long what nobody waits for may stay unsynced. A host that crashes loses as much of what was
/// acknowledged at [`super::Level::Async`], and of acknowledgements by consumers.
const UNHURRIED: Duration = Duration::from_millis(100);
/// How much of it: a fraction of the lead that a log may have.
const UNHURRIED_BYTES: u64 = 4 << 20;

/// A reply that may go out once what was written before it is durable.
pub(crate) type Reply = Box<dyn FnOnce() + Send>;

/// What one sync covers.
#[derive(Default)]
pub(crate) struct Published {
    /// Journal position after it.
    pub(crate) position: u64,
    /// Segments that were written, in order.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Copies whose log grew: the epoch and the new end, in order.
    pub(crate) grown: Vec<(Arc<PgCopy>, Epoch, Lsn)>,
    pub(crate) replies: Vec<Reply>,
    /// Records of logs that it adds, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Segments that nobody needs once this is durable.
    pub(crate) freed: Vec<Arc<Segment>>,
    /// Somebody waits for it to be synced.
    pub(crate) wanted: bool,
    /// Nothing follows.
    pub(crate) last: bool,
}

impl Published {
    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.replies.is_empty() && self.freed.is_empty() && !self.last
    }

    fn is_urgent(&self) -> bool {
        self.wanted
            || self.last
            || self.bytes >= UNHURRIED_BYTES
            || !self.replies.is_empty()
            || !self.freed.is_empty()
    }

    fn append(&mut self, later: &mut Published) {
        self.position = self.position.max(later.position);
        for segment in later.segments.drain(..) {
            if !self.segments.iter().any(|known| Arc::ptr_eq(known, &segment)) {
                self.segments.push(segment);
            }
        }
        self.grown.append(&mut later.grown);
        self.replies.append(&mut later.replies);
        self.records += std::mem::take(&mut later.records);
        self.bytes += std::mem::take(&mut later.bytes);
        self.freed.append(&mut later.freed);
        self.wanted |= std::mem::take(&mut later.wanted);
        self.last |= std::mem::take(&mut later.last);
    }
}

/// What the syncer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Awake,
    /// Until something comes.
    Asleep,
    /// Until something urgent comes, or [`UNHURRIED`] is over.
    Dozing,
}

#[derive(Default)]
struct State {
    published: Published,
    stopped: bool,
    rest: Rest,
}

/// The place where it is handed over.
#[derive(Default)]
pub(crate) struct Handoff {
    state: Mutex<State>,
    came: Condvar,
    /// Somebody waits for something to be synced that may not be published yet.
    hurry: AtomicBool,
}

impl Handoff {
    /// Adds `published`, and leaves it empty for the next use.
    pub(crate) fn give(&self, published: &mut Published) {
        if published.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.stopped {
            drop(state);
            // Whoever waits for a reply learns that none will come.
            *published = Published::default();
            return;
        }
        state.published.append(published);
        let wake = match state.rest {
            Rest::Awake => false,
            Rest::Asleep => true,
            Rest::Dozing => state.published.is_urgent(),
        };
        if wake {
            state.rest = Rest::Awake;
            self.came.notify_one();
        }
    }

    /// Has everything synced that was handed to the writer before, at once.
    pub(crate) fn hurry(&self) {
        if self.hurry.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.state.lock();
        if state.rest != Rest::Awake {
            state.rest = Rest::Awake;
            self.came.notify_one();
        }
    }

    /// Takes all there is into `into`, which is empty; false when there is nothing.
    pub(crate) fn take(&self, into: &mut Published) -> bool {
        let mut state = self.state.lock();
        debug_assert!(!into.wanted && into.is_empty(), "the syncer is done with the last");
        std::mem::swap(&mut state.published, into);
        !into.is_empty()
    }

    /// The syncer's rest; false when it is over.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.state.lock();
        let mut rested = false;
        while !state.stopped
            && !self.hurry.swap(false, Ordering::AcqRel)
            && !state.published.is_urgent()
            && !rested
        {
            if state.published.is_empty() {
                state.rest = Rest::Asleep;
                self.came.wait(&mut state);
            } else {
                state.rest = Rest::Dozing;
                rested = self.came.wait_for(&mut state, UNHURRIED).timed_out();
            }
        }
        state.rest = Rest::Awake;
        !state.stopped
    }

    /// Nothing more is synced.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        let dropped = std::mem::take(&mut state.published);
        self.came.notify_one();
        drop(state);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::SyncFile;
    use super::*;
    use crate::env::Env;

    struct Nowhere;

    impl SyncFile for Nowhere {
        fn sync(&self) -> std::io::Result<()> {
            Ok(())
        }

        fn is_held(&self) -> bool {
            false
        }

        fn let_go(&self) {}
    }

    fn published(bytes: u64) -> Published {
        let segments = vec![Arc::new(Segment::new("nowhere".to_owned(), Arc::new(Nowhere)))];
        Published { position: bytes, segments, bytes, ..Published::default() }
    }

    /// Runs `wait` on a thread of its own; the receiver has its answer.
    fn waits(handoff: &Arc<Handoff>) -> std::sync::mpsc::Receiver<bool> {
        let (done, ended) = std::sync::mpsc::sync_channel(1);
        let handoff = Arc::clone(handoff);
        Env::system().thread("waits", move || done.send(handoff.wait()).unwrap()).unwrap();
        ended
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn what_nobody_waits_for_is_synced_later_and_what_somebody_waits_for_at_once() {
        let handoff = Arc::new(Handoff::default());
        let env = Env::system();
        handoff.give(&mut published(1));
        assert_eq!(waits(&handoff).recv_timeout(LONG), Ok(true));
        assert!(env.monotonic() >= UNHURRIED);
        let mut taken = Published::default();
        assert!(handoff.take(&mut taken));

        let ended = waits(&handoff);
        handoff.give(&mut Published { wanted: true, ..published(2) });
        assert_eq!(ended.recv_timeout(LONG), Ok(true));
    }

    #[test]
    fn much_is_synced_at_once_and_so_is_what_is_asked_for() {
        let handoff = Handoff::default();
        handoff.give(&mut published(UNHURRIED_BYTES));
        assert!(handoff.state.lock().published.is_urgent());
        let mut taken = Published::default();
        handoff.take(&mut taken);
        assert!(!handoff.state.lock().published.is_urgent());
        handoff.hurry();
        assert!(handoff.wait());
        assert!(!handoff.hurry.load(Ordering::Acquire), "asked for once, done once");
    }

    #[test]
    fn a_stopped_handoff_ends_every_rest() {
        let handoff = Arc::new(Handoff::default());
        let ended = waits(&handoff);
        handoff.stop();
        assert_eq!(ended.recv_timeout(LONG), Ok(false));
    }
}

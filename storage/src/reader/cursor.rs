//! A way through a queue from front to back, for consumers far behind and for replays.
//!
//! ```text
//!   tails         look for the next objects, eight ahead
//!     └─ plan     spans of it, as wide as the window           fill
//!         └─ ask for a share, then the bucket, at most eight   pieces, in order
//!             └─ decode, as many at once as the crew has threads   fronts
//!                 └─ give out, give back the share             next
//! ```
//!
//! Everything but planning is done by the crew. What is given out is in order and without a gap,
//! whatever order the requests end in. Nothing that a cursor reads goes into the cache of pages.

use super::access::Access;
use super::counters::Looked;
use super::error::ReadError;
use super::fair::FairKey;
use super::pages::Source;
use super::read::Chunk;
use super::seek::{Place, Walk};
use super::shares::{Holder, Share};
use super::view::View;
use super::window::{PIECES_MAX, Window};
use crate::env::Task;
use crate::format::object::Record;
use crate::format::{QueueOffset, QueueUid};
use crate::object::Purpose;
use crate::tier::{Fetch, fetches};
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

const HOW: (Looked, Purpose) = (Looked::CatchUp, Purpose::CatchUp);

/// What a cursor is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// The queue.
    pub queue: QueueUid,
    /// The first offset.
    pub from: QueueOffset,
    /// After the last offset; `QueueOffset(u64::MAX)`: all there is.
    pub until: QueueOffset,
    /// As [`super::Want::tags`].
    pub tags: u64,
}

/// A cursor. What it has read ahead is dropped with it.
pub struct Cursor {
    access: Arc<Access>,
    view: View,
    course: Course,
    key: FairKey,
    /// Everything before was given out.
    position: QueueOffset,
    /// Nothing before is kept.
    start: QueueOffset,
    window: Window,
    /// Everything before is ahead, or was given out.
    planned: QueueOffset,
    requests: Arc<AtomicU64>,
    /// The object that is being planned.
    place: Option<Place>,
    next: Next,
    ahead: Arc<Ahead>,
}

/// What comes after the object that is being planned.
enum Next {
    /// Nobody looked yet.
    Unknown(Walk),
    Looking(Task<Result<(Walk, Option<Place>), ReadError>>),
    Found(Walk, Place),
    /// Nothing does.
    Nothing,
    Failed(ReadError),
}

/// What is read ahead. Shared with whoever may ask the cursor to give way.
struct Ahead(Mutex<State>);

struct State {
    /// What is being decoded, the first of all pieces.
    fronts: VecDeque<Front>,
    pieces: VecDeque<Piece>,
    /// Somebody waits for the front.
    is_asked: bool,
    /// When somebody last did.
    asked_at: Duration,
    /// It gave way, and the cursor does not know yet.
    gave_way: bool,
}

/// What one request brings.
struct Piece {
    /// `None`: what is passed over, since no block of it has a wanted tag.
    work: Option<Fetching>,
    bytes: u64,
    /// Where the queue goes on after it.
    end: QueueOffset,
}

struct Fetching {
    source: Source,
    fetch: Fetch,
    brought: Task<Result<Brought, ReadError>>,
}

struct Brought {
    bytes: Bytes,
    share: Share,
}

struct Decoded {
    records: Vec<Record>,
    /// Held until the records are given out.
    _share: Share,
}

/// A piece that is being decoded.
struct Front {
    work: Option<Task<Result<Decoded, ReadError>>>,
    bytes: u64,
    end: QueueOffset,
}

/// What a cursor waited for.
enum Turn {
    Front(Result<Vec<Record>, ReadError>, u64, QueueOffset),
    Looked(Box<Result<(Walk, Option<Place>), ReadError>>),
    /// There is nothing to wait for.
    Idle,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("course", &self.course)
            .field("position", &self.position)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl Cursor {
    pub(super) fn new(access: Arc<Access>, view: View, course: Course, key: FairKey) -> Cursor {
        let state = State {
            fronts: VecDeque::new(),
            pieces: VecDeque::new(),
            is_asked: false,
            asked_at: access.env.monotonic(),
            gave_way: false,
        };
        let ahead = Arc::new(Ahead(Mutex::new(state)));
        let holder: Weak<Ahead> = Arc::downgrade(&ahead);
        access.shares.hold(holder);
        let from = course.from;
        Cursor {
            next: walk(&view, course.queue, from),
            access,
            view,
            course,
            key,
            position: from,
            start: QueueOffset(0),
            window: Window::new(),
            planned: from,
            requests: Arc::default(),
            place: None,
            ahead,
        }
    }

    /// Everything before was given out.
    pub const fn position(&self) -> QueueOffset {
        self.position
    }

    /// Requests for messages that were made of the bucket so far, also for what is still ahead.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Goes on with a newer view; what was read ahead stays good.
    pub fn renew(&mut self, view: View) {
        self.view = view;
        self.plan_from(self.planned);
    }

    /// Goes on elsewhere.
    pub fn seek(&mut self, to: QueueOffset) {
        self.position = to;
        self.ahead.clear();
        self.plan_from(to);
    }

    /// What follows; `None` when the view has nothing more, or the course is at its end. It may have
    /// no messages, where those there were have no wanted tag. Cancel safe.
    ///
    /// # Errors
    /// When the bucket does not give it; asked again, it tries again. After [`ReadError::Stale`]
    /// give it a new view first ([`Cursor::renew`]).
    pub async fn next(&mut self) -> Result<Option<Chunk>, ReadError> {
        let _asking = Asking::begin(self);
        loop {
            if std::mem::take(&mut self.ahead.0.lock().gave_way) {
                self.window.waste(self.access.env.monotonic());
                self.plan_from(self.position);
            }
            self.fill();
            match self.turn().await {
                Turn::Front(records, bytes, end) => {
                    return self.give(records, bytes, end).map(Some);
                }
                Turn::Looked(looked) => self.looked(*looked),
                Turn::Idle => return self.rest(),
            }
        }
    }

    fn looked(&mut self, looked: Result<(Walk, Option<Place>), ReadError>) {
        self.next = match looked {
            Ok((walk, Some(place))) => {
                self.start = walk.start();
                self.planned = self.planned.max(self.start);
                Next::Found(walk, place)
            }
            Ok((_, None)) => Next::Nothing,
            Err(error) => Next::Failed(error),
        };
    }

    fn give(
        &mut self,
        records: Result<Vec<Record>, ReadError>,
        bytes: u64,
        end: QueueOffset,
    ) -> Result<Chunk, ReadError> {
        let mut records = match records {
            Ok(records) => records,
            Err(error) => {
                self.seek(self.position);
                return Err(error);
            }
        };
        let from = self.position.max(self.start);
        records.retain(|record| from <= record.offset && record.offset < self.course.until);
        self.window.consume(bytes, self.access.env.monotonic());
        self.position = end.min(self.course.until).max(self.position);
        self.fill();
        let ended = matches!(self.next, Next::Nothing) && self.place.is_none();
        let ended = ended && self.ahead.is_empty();
        Ok(Chunk { records, next: self.position, ended })
    }

    /// Nothing is ahead, and nothing is looked for.
    fn rest(&mut self) -> Result<Option<Chunk>, ReadError> {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Failed(error) => {
                self.plan_from(self.position);
                Err(error)
            }
            Next::Nothing | Next::Unknown(_) | Next::Looking(_) | Next::Found(..) => Ok(None),
        }
    }

    fn plan_from(&mut self, from: QueueOffset) {
        (self.planned, self.place) = (from, None);
        self.next = walk(&self.view, self.course.queue, from);
    }

    /// Waits for the front, or for the next object.
    async fn turn(&mut self) -> Turn {
        let (ahead, next) = (&self.ahead, &mut self.next);
        poll_fn(|context| {
            if let Poll::Ready(turn) = ahead.poll_front(context) {
                return Poll::Ready(turn);
            }
            match next {
                Next::Looking(task) => {
                    let looked = Pin::new(task).poll(context);
                    looked.map(|looked| {
                        Turn::Looked(Box::new(looked.unwrap_or(Err(ReadError::Closed))))
                    })
                }
                Next::Unknown(_) | Next::Found(..) | Next::Nothing | Next::Failed(_) => {
                    if ahead.is_empty() { Poll::Ready(Turn::Idle) } else { Poll::Pending }
                }
            }
        })
        .await
    }

    /// Plans and begins as much as the window has room for.
    fn fill(&mut self) {
        loop {
            let (pieces, bytes) = self.ahead.promote(&self.access);
            if self.planned >= self.course.until {
                (self.place, self.next) = (None, Next::Nothing);
            }
            if let Next::Unknown(_) = self.next {
                self.look();
            }
            if let Next::Looking(task) = &mut self.next
                && let Some(looked) = task.now_or_never()
            {
                self.looked(looked.unwrap_or(Err(ReadError::Closed)));
            }
            if pieces >= PIECES_MAX || bytes >= self.window.bytes() {
                return;
            }
            match self.place.take() {
                Some(place) => self.plan(place),
                None => match std::mem::replace(&mut self.next, Next::Nothing) {
                    Next::Found(walk, place) => {
                        self.place = Some(place);
                        self.next = Next::Unknown(walk);
                    }
                    other @ (Next::Unknown(_)
                    | Next::Looking(_)
                    | Next::Nothing
                    | Next::Failed(_)) => {
                        self.next = other;
                        return;
                    }
                },
            }
        }
    }

    /// Begins to look for the object after the one that is being planned.
    fn look(&mut self) {
        let Next::Unknown(mut walk) = std::mem::replace(&mut self.next, Next::Nothing) else {
            return;
        };
        let access = Arc::clone(&self.access);
        self.next = Next::Looking(self.access.crew.begin(async move {
            let place = walk.next(&access).await?;
            // Whoever comes to what cannot be read meets the failure.
            let _ = walk.look_ahead(&access).await;
            Ok((walk, place))
        }));
    }

    /// Begins with one request for what follows in an object.
    fn plan(&mut self, place: Place) {
        let (pg, queue, tags) = (self.view.pg(), self.course.queue, self.course.tags);
        let size = self.window.piece_bytes();
        let until = self.course.until;
        let fetch = fetches(&place.tail, (pg, queue), self.planned, tags, (size, size))
            .into_iter()
            .next()
            .and_then(|fetch| before(fetch, until));
        let last = fetch.as_ref().and_then(|fetch| fetch.blocks.last()).map(|block| block.last);
        // What follows without a wanted tag is passed over along with it.
        let from = last.map_or(self.planned, |last| last.plus(1));
        let mut end = from;
        let mut has_more = false;
        for block in place.tail.queues.blocks(pg, queue, from) {
            if until <= block.first {
                end = until;
                break;
            }
            has_more = block.tags & tags != 0;
            if has_more {
                break;
            }
            end = block.last.plus(1);
        }
        let source = Source::of(pg, &place.entry);
        let piece = match fetch {
            Some(fetch) => Some(self.begin(source, fetch, end)),
            None => Some(Piece { work: None, bytes: 0, end }).filter(|_| self.planned < end),
        };
        self.ahead.0.lock().pieces.extend(piece);
        self.planned = end;
        self.place = Some(place).filter(|_| has_more);
    }

    fn begin(&self, source: Source, fetch: Fetch, end: QueueOffset) -> Piece {
        let (access, bytes) = (Arc::clone(&self.access), fetch.span.len);
        // Asked here, so that pieces are granted in order.
        let mut share = access.shares.ask(self.key, bytes);
        let (from, span) = (source.clone(), fetch.span);
        let requests = Arc::clone(&self.requests);
        let brought = self.access.crew.begin(async move {
            share.granted().await;
            let (kind, purpose) = HOW;
            let bytes = match access.pages.in_memory(&from, span) {
                Some(bytes) => {
                    access.counters.hit(kind, 1);
                    bytes
                }
                None => {
                    access.counters.missed(kind, 1);
                    requests.fetch_add(1, Ordering::Relaxed);
                    access.pages.past(&from, span, kind, purpose).await?
                }
            };
            Ok(Brought { bytes, share })
        });
        Piece { work: Some(Fetching { source, fetch, brought }), bytes, end }
    }
}

fn walk(view: &View, queue: QueueUid, from: QueueOffset) -> Next {
    Next::Unknown(Walk::new(view.clone(), queue, from, Purpose::CatchUp))
}

/// The part of a request that is not at or after `until`.
fn before(mut fetch: Fetch, until: QueueOffset) -> Option<Fetch> {
    fetch.blocks.retain(|block| block.first < until);
    fetch.span.len = fetch.blocks.last()?.span.end() - fetch.span.at;
    Some(fetch)
}

impl Ahead {
    fn is_empty(&self) -> bool {
        let state = self.0.lock();
        state.fronts.is_empty() && state.pieces.is_empty()
    }

    fn clear(&self) {
        drop(self.0.lock().take());
    }

    /// Lets the first pieces be decoded; how many pieces and bytes there are.
    fn promote(&self, access: &Arc<Access>) -> (usize, u64) {
        let mut state = self.0.lock();
        while state.fronts.len() < access.threads
            && let Some(Piece { work, bytes, end }) = state.pieces.pop_front()
        {
            let work = work.map(|Fetching { source, fetch, brought }| {
                let crew = access.crew.clone();
                let access = Arc::clone(access);
                crew.begin(async move {
                    let Brought { bytes, share } =
                        brought.await.unwrap_or(Err(ReadError::Closed))?;
                    let records = access.decoded(&source, &fetch, &bytes, HOW).await?;
                    Ok(Decoded { records, _share: share })
                })
            });
            state.fronts.push_back(Front { work, bytes, end });
        }
        let fronts = state.fronts.iter().map(|front| front.bytes);
        let bytes = state.pieces.iter().map(|piece| piece.bytes).chain(fronts).sum();
        (state.pieces.len() + state.fronts.len(), bytes)
    }

    fn poll_front(&self, context: &mut Context<'_>) -> Poll<Turn> {
        let mut state = self.0.lock();
        let Some(front) = state.fronts.front_mut() else { return Poll::Pending };
        let records = match &mut front.work {
            None => Ok(Vec::new()),
            Some(task) => match Pin::new(task).poll(context) {
                Poll::Pending => return Poll::Pending,
                // The share goes back: from here on the bytes are the asker's.
                Poll::Ready(Some(Ok(decoded))) => Ok(decoded.records),
                Poll::Ready(Some(Err(error))) => Err(error),
                Poll::Ready(None) => Err(ReadError::Closed),
            },
        };
        let (bytes, end) = (front.bytes, front.end);
        state.fronts.pop_front();
        Poll::Ready(Turn::Front(records, bytes, end))
    }
}

impl State {
    fn take(&mut self) -> (VecDeque<Front>, VecDeque<Piece>) {
        (std::mem::take(&mut self.fronts), std::mem::take(&mut self.pieces))
    }
}

impl Holder for Ahead {
    fn give_way(&self, since: Duration) {
        let mut state = self.0.lock();
        let has_any = !state.fronts.is_empty() || !state.pieces.is_empty();
        if !has_any || state.is_asked || since < state.asked_at {
            return;
        }
        state.gave_way = true;
        let dropped = state.take();
        drop(state);
        drop(dropped);
    }
}

/// While somebody waits for a cursor.
struct Asking {
    ahead: Arc<Ahead>,
    access: Arc<Access>,
}

impl Asking {
    fn begin(cursor: &Cursor) -> Asking {
        cursor.ahead.0.lock().is_asked = true;
        Asking { ahead: Arc::clone(&cursor.ahead), access: Arc::clone(&cursor.access) }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut state = self.ahead.0.lock();
        state.is_asked = false;
        state.asked_at = self.access.env.monotonic();
    }
}

//! Polls that wait for a message: first come, first woken.
//!
//! All polls of a group on a topic wait in one line, whatever placement groups the topic lies in.
//! One is woken when a message becomes visible, comes back, or a full group gets room; one that
//! takes as much as it may wakes the next, so that a burst is shared without waking everybody. A
//! wake-up that finds nobody waiting is kept for the next who comes, and one that a vanished poll
//! got is passed on: both are `tokio::sync::Notify`'s. A poll that waits costs its place in the
//! line and a timer, no task and no periodic wake-up.

use super::GroupUid;
use super::refused::ReceiveRefused;
use super::state::CursorId;
use metadata::model::{Topic, TopicQueue};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::format::QueueUid;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The most polls of one group on one topic that wait at once. Apache lets 1024 wait per queue; a
/// topic of sixteen queues has as much.
pub const POLLS_PER_LINE_MAX: usize = 16 * 1024;

/// The most polls that wait at once (Apache's `maxPopPollingSize`).
pub const POLLS_MAX: usize = 100_000;

/// All lines.
#[derive(Default)]
pub(super) struct Lines {
    lines: RwLock<HashMap<LineId, Arc<Line>>>,
    /// Who is woken by which queue. Lines stay until their topic or group is forgotten.
    by_queue: RwLock<HashMap<QueueUid, Vec<Arc<Line>>>>,
    waiting: AtomicUsize,
}

/// Who waits for what.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct LineId {
    group: GroupUid,
    /// The first queue names the topic's incarnation.
    topic: QueueUid,
}

/// The polls of one group on one topic.
pub(super) struct Line {
    id: LineId,
    /// The queues when last seen; they only grow.
    queues: AtomicUsize,
    waiting: AtomicUsize,
    /// Counts receives, so that they begin at different queues.
    turn: AtomicUsize,
    wake: Notify,
}

/// A poll that waits, counted; dropped when it does no more.
pub(super) struct Waiting<'a> {
    lines: &'a Lines,
    line: &'a Line,
}

impl Lines {
    /// The line of a group on a topic, with the queues of what was replayed to it there, made where
    /// there was none. From here on wake-ups are kept for it.
    pub(super) fn line(
        &self,
        group: GroupUid,
        topic: &Topic,
        replayed: &[TopicQueue],
    ) -> Arc<Line> {
        let queues = topic.queues().len() + replayed.len();
        let id = LineId { group, topic: QueueUid(topic.uid_base) };
        let known = self.lines.read().get(&id).cloned();
        match known {
            Some(line) if line.queues.load(Ordering::Acquire) == queues => line,
            Some(_) | None => self.open(id, [topic.queues(), replayed]),
        }
    }

    fn open(&self, id: LineId, queues: [&[TopicQueue]; 2]) -> Arc<Line> {
        let mut lines = self.lines.write();
        let line = lines.entry(id).or_insert_with(|| Arc::new(Line::new(id)));
        let mut by_queue = self.by_queue.write();
        for queue in queues.into_iter().flatten() {
            let woken = by_queue.entry(queue.uid).or_default();
            if !woken.iter().any(|other| other.id == id) {
                woken.push(Arc::clone(line));
            }
        }
        line.queues.store(queues.iter().map(|queues| queues.len()).sum(), Ordering::Release);
        Arc::clone(line)
    }

    /// Counts a poll that waits.
    ///
    /// # Errors
    /// [`ReceiveRefused::PollingFull`].
    pub(super) fn enter<'a>(&'a self, line: &'a Line) -> Result<Waiting<'a>, ReceiveRefused> {
        // Made first: refusing drops it, which takes the counts back.
        let here = line.waiting.fetch_add(1, Ordering::Relaxed);
        let everywhere = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { lines: self, line };
        if here >= POLLS_PER_LINE_MAX || everywhere >= POLLS_MAX {
            return Err(ReceiveRefused::PollingFull);
        }
        Ok(waiting)
    }

    /// A message of the queue became visible: one poll of each group looks.
    pub(super) fn wake_queue(&self, queue: QueueUid) {
        if let Some(lines) = self.by_queue.read().get(&queue) {
            lines.iter().for_each(|line| line.wake());
        }
    }

    /// The group can take something from the queue: one of its polls looks.
    pub(super) fn wake(&self, id: CursorId) {
        if let Some(lines) = self.by_queue.read().get(&id.queue) {
            lines.iter().filter(|line| line.id.group == id.group).for_each(|line| line.wake());
        }
    }

    /// Lets go of lines whose queue or group is gone. Whoever still waits in one does so until its
    /// time is up.
    pub(super) fn retain(&self, keep: impl Fn(CursorId) -> bool) {
        let kept = |line: &LineId, queue| keep(CursorId { group: line.group, queue });
        self.lines.write().retain(|id, _| kept(id, id.topic));
        self.by_queue.write().retain(|queue, lines| {
            lines.retain(|line| kept(&line.id, *queue));
            !lines.is_empty()
        });
    }

    /// How many polls wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Line {
    fn new(id: LineId) -> Line {
        Line {
            id,
            queues: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    /// Wakes the poll that waits longest, or the next that comes.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether a poll waits now, or did a moment ago.
    pub(super) fn is_waited_in(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Resolves when this poll is woken; `enable` takes its place in the line. Cancel safe: a
    /// wake-up not taken goes to the next.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// Another number each time.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
        self.lines.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::model::{Cluster, TopicSpec};
    use protocol::names::TopicName;
    use std::time::Duration;
    use storage::env::Timestamp;

    fn topic(queues: u32) -> Topic {
        let cluster = Cluster { name: "c".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
        let spec = TopicSpec { queues, ..TopicSpec::new(TopicName::parse("t").unwrap()) };
        Topic::create(spec, &cluster, 1, Timestamp(0))
    }

    fn full(lines: &Lines, line: &Line) -> bool {
        lines.enter(line).err() == Some(ReceiveRefused::PollingFull)
    }

    #[test]
    fn a_line_that_is_full_refuses_and_leaving_makes_room() {
        let (lines, topic) = (Lines::default(), topic(1));
        let line = lines.line(GroupUid(1), &topic, &[]);
        let mut places: Vec<_> =
            (0..POLLS_PER_LINE_MAX).map(|_| lines.enter(&line).ok().unwrap()).collect();
        assert!(full(&lines, &line));
        assert!(!full(&lines, &lines.line(GroupUid(2), &topic, &[])));
        places.pop();
        assert!(!full(&lines, &line));
        drop(places);
        assert_eq!(lines.waiting(), 0);
    }

    #[test]
    fn all_lines_together_have_a_bound() {
        let (lines, topic) = (Lines::default(), topic(1));
        let each: Vec<_> = (0..7).map(|group| lines.line(GroupUid(group), &topic, &[])).collect();
        let mut places = Vec::new();
        for line in each.iter().cycle().take(POLLS_MAX) {
            places.push(lines.enter(line).ok().unwrap());
        }
        assert!(full(&lines, &each[0]));
    }

    #[tokio::test]
    async fn a_wake_up_is_kept_for_the_next_and_reaches_each_group_of_a_grown_topic() {
        let lines = Lines::default();
        let groups = [GroupUid(1), GroupUid(2)];
        groups.iter().for_each(|group| drop(lines.line(*group, &topic(1), &[])));
        let grown = topic(3);
        let each = groups.map(|group| lines.line(group, &grown, &[]));
        lines.wake_queue(grown.queues()[2].uid);
        for line in &each {
            let woken = tokio::time::timeout(Duration::from_secs(5), line.woken()).await;
            assert!(woken.is_ok());
        }
    }

    #[test]
    fn lines_of_what_is_gone_are_let_go() {
        let (lines, topic) = (Lines::default(), topic(2));
        let kept = lines.line(GroupUid(1), &topic, &[]);
        drop(lines.line(GroupUid(2), &topic, &[]));
        lines.retain(|id| id.group == GroupUid(1));
        assert_eq!(lines.lines.read().len(), 1);
        assert!(Arc::ptr_eq(&kept, &lines.line(GroupUid(1), &topic, &[])));
        lines.retain(|_| false);
        assert!(lines.by_queue.read().is_empty());
    }
}

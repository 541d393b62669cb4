//! Any history of sends, receives, acks, changes, takebacks, time, restarts and messages that leave
//! the memory, against a model that knows for each message only who has it until when.

use super::*;
use crate::consume::Replay;
use proptest::collection::vec;
use proptest::prelude::*;

const MAX_ATTEMPTS: u32 = 3;

#[derive(Clone, Debug)]
enum Action {
    Send(usize),
    Receive {
        max: usize,
        leased: bool,
    },
    Ack(prop::sample::Index),
    Change {
        which: prop::sample::Index,
        ms: u64,
        suspend: bool,
    },
    Nack(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Later(u64),
    Goodbye,
    Reset(prop::sample::Index),
    /// Messages leave the memory, until they are loaded.
    Leave {
        from: prop::sample::Index,
        count: u64,
    },
    /// With every operation replayed.
    Restart,
    /// With a snapshot that was made somewhere on the way, and the operations from before it on.
    RestartFrom(prop::sample::Index),
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => (1usize..5).prop_map(Action::Send),
        4 => (1usize..6, any::<bool>()).prop_map(|(max, leased)| Action::Receive { max, leased }),
        3 => index().prop_map(Action::Ack),
        2 => (index(), 0u64..90_000, any::<bool>())
            .prop_map(|(which, ms, suspend)| Action::Change { which, ms, suspend }),
        1 => index().prop_map(Action::Nack),
        1 => index().prop_map(Action::GiveUp),
        4 => (1u64..40_000).prop_map(Action::Later),
        1 => Just(Action::Goodbye),
        1 => index().prop_map(Action::Reset),
        2 => (index(), 1u64..20).prop_map(|(from, count)| Action::Leave { from, count }),
        1 => Just(Action::Restart),
        1 => index().prop_map(Action::RestartFrom),
    ]
}

/// A message that was delivered at least once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Held { until: Timestamp, attempt: u32, again: u32, pop: Lsn },
    Done,
}

#[derive(Default)]
struct Model {
    fates: BTreeMap<u64, Fate>,
    given_up: Vec<u64>,
    handles: Vec<Claim>,
    /// Deliveries before it are void.
    reset_at: Lsn,
}

impl Model {
    /// What the rules say of a claim, and whether it decides anything.
    fn holds(&self, now: Timestamp, claim: &Claim) -> bool {
        matches!(self.fates.get(&claim.offset.0), Some(Fate::Held { pop, until, .. })
            if *pop == claim.pop && (*until).max(claim.visible_at) > now)
    }
}

struct Run {
    world: World,
    queue: Queue,
    model: Model,
}

impl Run {
    fn receive(&mut self, max: usize, leased: bool) {
        while self.receive_once(max, leased) {}
    }

    /// Whether to ask again.
    fn receive_once(&mut self, max: usize, leased: bool) -> bool {
        let now = self.world.now;
        let (filter, until) = (Filter::All, now.plus(RENEW_INVISIBLE));
        let lease =
            leased.then(|| Lease { client: ClientId::new("c"), until: now.plus(RENEW_TOTAL_MAX) });
        let ask = Ask { lease, max_attempts: MAX_ATTEMPTS, ..ask(&filter, max, until) };
        let (picked, claims) = self.world.receive_as(&self.queue, &ask);
        assert!(picked.picks.len() <= max);
        for lost in &picked.exhausted {
            let Some(Fate::Held { until, again, .. }) = self.model.fates.get(&lost.offset.0) else {
                panic!("given up without being held");
            };
            assert!(*until <= now && *again > MAX_ATTEMPTS);
            let (offset, attempt) = (lost.offset, lost.attempt);
            let step = Step::DeadLetter { offset, attempt };
            self.world.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
            self.model.fates.insert(lost.offset.0, Fate::Done);
            self.model.given_up.push(lost.offset.0);
        }
        for (pick, claim) in picked.picks.iter().zip(&claims) {
            let expected = match self.model.fates.get(&pick.offset.0) {
                None => 1,
                Some(Fate::Held { until, again, .. }) if *until <= now => *again,
                Some(held) => panic!("delivered while {held:?}"),
            };
            assert_eq!(pick.attempt, expected);
            assert!(pick.attempt <= MAX_ATTEMPTS);
            let attempt = pick.attempt;
            let fate = Fate::Held { until, attempt, again: attempt + 1, pop: claim.pop };
            self.model.fates.insert(pick.offset.0, fate);
        }
        if picked.picks.len() < max && !picked.more && picked.missing.is_none() {
            // Nothing that could have been handed out was kept back.
            let new = (0..self.queue.tags.len() as u64).find(|o| !self.model.fates.contains_key(o));
            assert_eq!(new, None);
            let due = |fate: &Fate| matches!(fate, Fate::Held { until, .. } if *until <= now);
            assert!(!self.model.fates.values().any(due));
        }
        self.model.handles.extend(claims);
        picked.missing.into_iter().for_each(|at| self.load(at));
        picked.more || picked.missing.is_some()
    }

    /// Brings a place that was named, and some behind it. It was missing, and so each time something
    /// is gained.
    fn load(&mut self, at: QueueOffset) {
        assert!(self.queue.absent.remove(&at.0));
        self.queue.absent.retain(|offset| !(at.0..at.0 + 5).contains(offset));
    }

    fn restart_from(&mut self, operations: usize) {
        let log = &self.world.log;
        let mut before = State::default();
        for (lsn, _, op) in &log[..operations] {
            before.apply(*lsn, op);
        }
        let applied = log.get(operations).map_or(Lsn(u64::MAX), |(lsn, _, _)| *lsn);
        let mut replay = Replay::restore(applied, &before.snapshot()).unwrap();
        for (lsn, bytes, op) in &log[operations / 2..] {
            replay.apply(*lsn, record_kind(op), op.queue, bytes).unwrap();
        }
        self.world.state = replay.into_state();
    }

    fn claim(&self, which: &prop::sample::Index) -> Option<Claim> {
        (!self.model.handles.is_empty()).then(|| *which.get(&self.model.handles))
    }

    fn ack(&mut self, claim: &Claim) {
        let holds = self.model.holds(self.world.now, claim);
        let done = self.model.fates.get(&claim.offset.0) == Some(&Fate::Done);
        let decided = self.world.ack(claim);
        let void = claim.pop < self.model.reset_at;
        assert_eq!(decided.is_ok(), !void && (holds || done));
        if holds {
            self.model.fates.insert(claim.offset.0, Fate::Done);
        }
    }

    fn move_to(&mut self, offset: u64, visible_at: Timestamp, suspend: bool) {
        if let Some(Fate::Held { until, attempt, again, .. }) = self.model.fates.get_mut(&offset) {
            *until = visible_at;
            *again = if suspend { *attempt } else { *attempt + 1 };
        }
    }

    fn change(&mut self, claim: &Claim, ms: u64, suspend: bool) {
        let holds = self.model.holds(self.world.now, claim);
        let mode = if suspend { ChangeMode::Suspends } else { ChangeMode::Counts };
        let changed = self.world.change(claim, ms, mode);
        assert_eq!(changed.is_ok(), holds);
        if let Ok(new) = changed {
            self.move_to(claim.offset.0, new.visible_at, suspend);
            self.model.handles.push(new);
        }
    }

    fn nack(&mut self, claim: &Claim) {
        let visible_at = self.world.now.plus(Duration::from_secs(1));
        let ops = self.world.state.nack(visible_at, &[(ID, claim.offset, claim.pop)]);
        if !ops.is_empty() {
            self.move_to(claim.offset.0, visible_at, true);
        }
        self.world.write(ops);
    }

    fn give_up(&mut self, claim: &Claim) {
        let op = self.world.state.dead_letter(self.world.now, GROUP, claim);
        assert_eq!(op.is_ok(), self.model.holds(self.world.now, claim));
        if let Ok((op, _)) = op {
            self.world.write(vec![op]);
            self.model.fates.insert(claim.offset.0, Fate::Done);
        }
    }

    /// What lies before is done with, what lies behind was never delivered.
    fn reset(&mut self, to: u64) {
        let step = Step::Reset(QueueOffset(to));
        self.model.reset_at = self.world.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
        self.model.fates = (0..to).map(|offset| (offset, Fate::Done)).collect();
    }

    /// Whatever time and goodbyes decide is no news about attempts: it only moves visible times of
    /// what is leased.
    fn follow(&mut self, ops: Vec<Op>) {
        for op in &ops {
            let Step::Change(change) = &op.step else { panic!("time does only this: {op:?}") };
            for offset in change.spans.offsets() {
                let fate = self.model.fates.get_mut(&offset.0);
                let Some(Fate::Held { until, .. }) = fate else { panic!("not held: {offset}") };
                assert!(*until > self.world.now);
                *until = change.visible_at;
            }
        }
        self.world.write(ops);
    }

    fn step(&mut self, action: &Action) {
        match action {
            Action::Send(count) => self.queue.tags.extend(vec!["a"; *count]),
            Action::Receive { max, leased } => self.receive(*max, *leased),
            Action::Ack(which) => self.claim(which).iter().for_each(|claim| self.ack(claim)),
            Action::Change { which, ms, suspend } => {
                self.claim(which).iter().for_each(|claim| self.change(claim, *ms, *suspend));
            }
            Action::Nack(which) => self.claim(which).iter().for_each(|claim| self.nack(claim)),
            Action::GiveUp(which) => self.claim(which).iter().for_each(|claim| self.give_up(claim)),
            Action::Later(ms) => {
                self.world.later(*ms);
                let alive = ms % 3 != 0;
                let outside = Outside { is_alive: &|_| alive, ..NOBODY };
                let due = self.world.state.due(self.world.now, &outside);
                self.follow(due.ops);
                assert!(self.world.state.next_due().is_none_or(|at| at > self.world.now));
            }
            Action::Goodbye => {
                let visible_at = self.world.now.plus(Duration::from_secs(1));
                let ops = self.world.state.release(&ClientId::new("c"), visible_at);
                self.follow(ops);
            }
            Action::Reset(to) => self.reset(to.index(self.queue.tags.len() + 1) as u64),
            Action::Leave { from, count } => {
                let from = from.index(self.queue.tags.len() + 1) as u64;
                let end = (from + count).min(self.queue.tags.len() as u64);
                self.queue.absent.extend(from..end);
            }
            Action::Restart => self.world.state = self.world.replayed(),
            Action::RestartFrom(operation) => {
                self.restart_from(operation.index(self.world.log.len() + 1));
            }
        }
    }

    /// Everything sent is at last acknowledged or given up: nothing was lost on the way.
    fn drain(&mut self) {
        for _ in 0..=MAX_ATTEMPTS {
            self.world.later(RENEW_TOTAL_MAX.as_millis() as u64);
            self.receive(usize::MAX, false);
        }
        for claim in self.model.handles.clone() {
            self.ack(&claim);
        }
        self.world.later(RENEW_TOTAL_MAX.as_millis() as u64);
        self.receive(usize::MAX, false);
        let done = self.model.fates.values().filter(|fate| **fate == Fate::Done).count();
        assert_eq!(done, self.queue.tags.len());
        let progress = self.world.state.progress(ID).unwrap();
        assert_eq!((progress.committed, progress.in_flight), (progress.next, 0));
    }
}

fn record_kind(op: &Op) -> storage::RecordKind {
    use crate::consume::ops::OpKind;
    match op.kind() {
        OpKind::Pop => storage::RecordKind::Pop,
        OpKind::Ack => storage::RecordKind::Ack,
        OpKind::Change => storage::RecordKind::ChangeInvisible,
        OpKind::Offset => storage::RecordKind::Offset,
        OpKind::DeadLetter => storage::RecordKind::DeadLetter,
    }
}

/// What a receive hands out in all, with what is named loaded in between: each message's attempt,
/// and what was given up.
fn handed_out(world: &mut World, queue: &mut Queue) -> (BTreeMap<u64, u32>, BTreeSet<u64>) {
    let (mut handed, mut given_up) = (BTreeMap::new(), BTreeSet::new());
    let filter = Filter::parse(FilterLanguage::Tag, "a").unwrap();
    let until = world.now.plus(Duration::from_secs(10));
    loop {
        let (picked, _) = world.receive_as(queue, &ask(&filter, usize::MAX, until));
        for Exhausted { offset, attempt, .. } in &picked.exhausted {
            let step = Step::DeadLetter { offset: *offset, attempt: *attempt };
            world.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
            given_up.insert(offset.0);
        }
        for pick in &picked.picks {
            assert_eq!(handed.insert(pick.offset.0, pick.attempt), None, "twice");
        }
        match picked.missing {
            Some(at) => assert!(queue.absent.remove(&at.0), "named twice: {at}"),
            None => return (handed, given_up),
        }
    }
}

proptest! {
    #[test]
    fn with_holes_that_are_loaded_when_named_the_same_is_handed_out(
        tags in vec(prop::sample::select(vec!["a", "b"]), 0..60),
        first in 0..10u64,
        rounds in vec((vec(any::<prop::sample::Index>(), 0..30), 0..15_000u64), 1..8),
    ) {
        let first = first.min(tags.len() as u64);
        let mut whole = Queue { tags, first, ..Queue::default() };
        let mut holey = Queue { tags: whole.tags.clone(), first, ..Queue::default() };
        let (mut one, mut other) = (World::default(), World::default());
        for (absent, ms) in rounds {
            let end = whole.tags.len();
            holey.absent =
                absent.iter().filter(|_| end > 0).map(|at| at.index(end) as u64).collect();
            let handed = handed_out(&mut one, &mut whole);
            prop_assert_eq!(&handed, &handed_out(&mut other, &mut holey));
            // Every third is done with.
            let done: Spans = handed.0.keys().filter(|at| *at % 3 == 0).map(|at| QueueOffset(*at)).collect();
            let ack = Op { group: GROUP, queue: QUEUE, step: Step::Ack(done) };
            for world in [&mut one, &mut other] {
                world.write(vec![ack.clone()]);
                world.later(ms);
            }
            prop_assert_eq!(one.state.progress(ID), other.state.progress(ID));
        }
    }

    #[test]
    fn any_history_is_at_least_once_and_replays(actions in vec(action(), 0..80)) {
        let mut run =
            Run { world: World::default(), queue: queue(0), model: Model::default() };
        for action in &actions {
            run.step(action);
            prop_assert!(run.world.replayed() == run.world.state);
        }
        run.drain();
        prop_assert!(run.world.replayed() == run.world.state);
    }
}

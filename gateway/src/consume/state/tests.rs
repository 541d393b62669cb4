//! The rules one by one, and the machine against a ten-line model.

use super::renew::{Outside, RENEW_INVISIBLE};
use super::*;
use crate::consume::filter::{Filter, FilterLanguage};
use crate::consume::handle::Claim;
use crate::consume::ops::{ChangeMode, Lease, Spans};
use crate::history::{Look, Scan};
use protocol::stored::tag_hash;
use std::ops::ControlFlow;
use std::time::Duration;
use storage::format::QueueOffset;

mod model;
mod snapshot;

const GROUP: GroupUid = GroupUid(5);
const QUEUE: QueueUid = QueueUid(6);
const ID: CursorId = CursorId { group: GROUP, queue: QUEUE };

/// Messages by tag; the first ones may be gone, others not in memory.
#[derive(Default)]
struct Queue {
    tags: Vec<&'static str>,
    first: u64,
    bytes: u64,
    absent: BTreeSet<u64>,
}

impl QueueIndex for Queue {
    fn first(&self) -> QueueOffset {
        QueueOffset(self.first)
    }
    fn end(&self) -> QueueOffset {
        QueueOffset(self.tags.len() as u64)
    }
    fn bytes_behind(&self, _lsn: Lsn) -> u64 {
        self.bytes
    }
    fn scan(&self, from: QueueOffset, each: &mut dyn FnMut(Candidate) -> ControlFlow<()>) -> Scan {
        for offset in from.0.max(self.first)..self.tags.len() as u64 {
            match self.find(QueueOffset(offset)) {
                Look::Here(candidate) if each(candidate).is_break() => return Scan::End,
                Look::Here(_) | Look::Gone => {}
                Look::Missing => return Scan::Missing(QueueOffset(offset)),
            }
        }
        Scan::End
    }
    fn find(&self, offset: QueueOffset) -> Look<Candidate> {
        if offset.0 < self.first || offset >= self.end() {
            return Look::Gone;
        }
        if self.absent.contains(&offset.0) {
            return Look::Missing;
        }
        let hash = tag_hash(self.tags[offset.0 as usize]);
        Look::Here(Candidate { offset, lsn: Lsn(offset.0), hash })
    }
}

fn queue(messages: usize) -> Queue {
    Queue { tags: vec!["a"; messages], ..Queue::default() }
}

/// A machine, the log that it writes, and a clock.
#[derive(Default)]
struct World {
    state: State,
    log: Vec<(Lsn, Vec<u8>, Op)>,
    now: Timestamp,
}

impl World {
    fn write(&mut self, ops: Vec<Op>) -> Lsn {
        for op in ops {
            let lsn = Lsn(1000 + self.log.len() as u64);
            self.state.apply(lsn, &op);
            self.log.push((lsn, op.encode(), op));
        }
        Lsn(999 + self.log.len() as u64)
    }

    fn replayed(&self) -> State {
        let mut state = State::default();
        for (lsn, bytes, op) in &self.log {
            state.apply(*lsn, &Op::decode(op.kind(), op.queue, bytes).unwrap());
        }
        state
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now.plus(Duration::from_millis(ms));
    }

    fn receive_as(&mut self, queue: &Queue, ask: &Ask<'_>) -> (Picked, Vec<Claim>) {
        let picked = self.state.receive(self.now, ask, queue);
        let pop = self.write(picked.ops.clone());
        let claim = |pick: &Pick| Claim {
            queue: QUEUE,
            offset: pick.offset,
            pop,
            visible_at: ask.visible_at,
        };
        let claims = picked.picks.iter().map(claim).collect();
        (picked, claims)
    }

    /// Up to `max` messages, for ten seconds; at most three attempts.
    fn receive(&mut self, queue: &Queue, max: usize) -> Vec<(u64, u32, Claim)> {
        let ask = ask(&Filter::All, max, self.now.plus(Duration::from_secs(10)));
        let (picked, claims) = self.receive_as(queue, &ask);
        let each = picked.picks.iter().zip(claims);
        each.map(|(pick, claim)| (pick.offset.0, pick.attempt, claim)).collect()
    }

    fn ack(&mut self, claim: &Claim) -> Result<AckDecision, ClaimRefused> {
        let decision = self.state.ack(self.now, GROUP, claim)?;
        if decision == AckDecision::Ack {
            let step = Step::Ack(Spans::one(claim.offset));
            self.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
        }
        Ok(decision)
    }

    fn change(&mut self, claim: &Claim, ms: u64, mode: ChangeMode) -> Result<Claim, ClaimRefused> {
        let visible_at = self.now.plus(Duration::from_millis(ms));
        let op = self.state.change(self.now, GROUP, claim, visible_at, mode)?;
        self.write(vec![op]);
        Ok(Claim { visible_at, ..*claim })
    }
}

fn ask(filter: &Filter, max: usize, visible_at: Timestamp) -> Ask<'_> {
    Ask { id: ID, filter, max, visible_at, lease: None, max_attempts: 3, start: Start::Auto }
}

fn seen(deliveries: &[(u64, u32, Claim)]) -> Vec<(u64, u32)> {
    deliveries.iter().map(|(offset, attempt, _)| (*offset, *attempt)).collect()
}

#[test]
fn messages_come_once_in_order_and_acks_move_the_committed_offset() {
    let (mut world, queue) = (World::default(), queue(5));
    let first = world.receive(&queue, 3);
    assert_eq!(seen(&first), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(seen(&world.receive(&queue, 3)), [(3, 1), (4, 1)]);
    assert_eq!(seen(&world.receive(&queue, 3)), []);
    assert_eq!(world.ack(&first[1].2), Ok(AckDecision::Ack));
    let progress = world.state.progress(ID).unwrap();
    assert_eq!((progress.committed, progress.next), (QueueOffset(0), QueueOffset(5)));
    assert_eq!(progress.in_flight, 4);
    assert_eq!(world.ack(&first[0].2), Ok(AckDecision::Ack));
    assert_eq!(world.state.progress(ID).unwrap().committed, QueueOffset(2));
}

#[test]
fn what_is_not_acknowledged_comes_back_before_new_messages_with_the_next_attempt() {
    let (mut world, queue) = (World::default(), queue(4));
    let first = world.receive(&queue, 3);
    world.ack(&first[1].2).unwrap();
    world.later(9_999);
    assert_eq!(seen(&world.receive(&Queue::default(), 9)), []);
    world.later(1);
    assert_eq!(seen(&world.receive(&queue, 9)), [(0, 2), (2, 2), (3, 1)]);
}

#[test]
fn acking_twice_is_fine_and_an_ack_after_the_visible_time_is_refused() {
    let (mut world, queue) = (World::default(), queue(2));
    let first = world.receive(&queue, 2);
    assert_eq!(world.ack(&first[0].2), Ok(AckDecision::Ack));
    assert_eq!(world.ack(&first[0].2), Ok(AckDecision::Already));
    world.later(10_000);
    assert_eq!(world.ack(&first[0].2), Ok(AckDecision::Already));
    assert_eq!(world.ack(&first[1].2), Err(ClaimRefused::Expired));
    world.receive(&queue, 1);
    assert_eq!(world.ack(&first[1].2), Err(ClaimRefused::Earlier));
}

#[test]
fn a_handle_of_what_was_never_delivered_is_unknown() {
    let (mut world, queue) = (World::default(), queue(2));
    let claim = Claim {
        queue: QUEUE,
        offset: QueueOffset(0),
        pop: Lsn(1000),
        visible_at: Timestamp(u64::MAX),
    };
    assert_eq!(world.ack(&claim), Err(ClaimRefused::Unknown));
    world.receive(&queue, 1);
    let ahead = Claim { offset: QueueOffset(1), ..claim };
    assert_eq!(world.ack(&ahead), Err(ClaimRefused::Unknown));
}

#[test]
fn the_old_handle_acknowledges_after_a_change_and_so_does_the_new() {
    let (mut world, queue) = (World::default(), queue(2));
    let got = world.receive(&queue, 2);
    let longer = world.change(&got[0].2, 60_000, ChangeMode::Counts).unwrap();
    world.change(&got[1].2, 60_000, ChangeMode::Counts).unwrap();
    world.later(30_000);
    assert_eq!(world.ack(&longer), Ok(AckDecision::Ack));
    assert_eq!(world.ack(&got[1].2), Ok(AckDecision::Ack));
    assert_eq!(world.change(&got[1].2, 1, ChangeMode::Counts), Err(ClaimRefused::Acknowledged));
}

#[test]
fn a_nacked_message_comes_back_at_its_time_and_counts_unless_suspended() {
    let (mut world, queue) = (World::default(), queue(2));
    let got = world.receive(&queue, 2);
    world.change(&got[0].2, 0, ChangeMode::Counts).unwrap();
    world.change(&got[1].2, 500, ChangeMode::Suspends).unwrap();
    assert_eq!(seen(&world.receive(&queue, 2)), [(0, 2)]);
    world.later(500);
    assert_eq!(seen(&world.receive(&queue, 2)), [(1, 1)]);
}

#[test]
fn an_exhausted_message_is_given_up_and_not_handed_out() {
    let (mut world, queue) = (World::default(), queue(1));
    for attempt in 1..=3 {
        assert_eq!(seen(&world.receive(&queue, 1)), [(0, attempt)]);
        world.later(10_000);
    }
    let filter = Filter::All;
    let picked = world.state.receive(world.now, &ask(&filter, 1, world.now), &queue);
    assert!(picked.picks.is_empty() && picked.ops.is_empty());
    let lost = Exhausted { offset: QueueOffset(0), lsn: Lsn(0), attempt: 3 };
    assert_eq!(picked.exhausted, [lost]);
    let step = Step::DeadLetter { offset: QueueOffset(0), attempt: 3 };
    world.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
    assert_eq!(world.state.progress(ID).unwrap().committed, QueueOffset(1));
}

#[test]
fn a_consumer_may_give_a_delivery_up_while_it_holds_it() {
    let (mut world, queue) = (World::default(), queue(1));
    let got = world.receive(&queue, 1);
    let (op, attempt) = world.state.dead_letter(world.now, GROUP, &got[0].2).unwrap();
    assert_eq!(attempt, 1);
    assert_eq!(op.step, Step::DeadLetter { offset: QueueOffset(0), attempt: 1 });
    world.write(vec![op]);
    let again = world.state.dead_letter(world.now, GROUP, &got[0].2);
    assert_eq!(again, Err(ClaimRefused::Acknowledged));
}

#[test]
fn deliveries_that_reached_nobody_come_back_as_the_same_attempt() {
    let (mut world, queue) = (World::default(), queue(2));
    let got = world.receive(&queue, 2);
    let taken: Vec<_> = got.iter().map(|(_, _, claim)| (ID, claim.offset, claim.pop)).collect();
    let stale = [(ID, QueueOffset(0), Lsn(1))];
    assert_eq!(world.state.nack(world.now, &stale), []);
    let ops = world.state.nack(world.now.plus(Duration::from_secs(1)), &taken);
    assert_eq!(ops.len(), 1);
    world.write(ops);
    assert_eq!(seen(&world.receive(&queue, 2)), []);
    world.later(1000);
    assert_eq!(seen(&world.receive(&queue, 2)), [(0, 1), (1, 1)]);
}

#[test]
fn unwanted_messages_are_skipped_and_the_skip_is_recorded() {
    let mut world = World::default();
    let queue = Queue { tags: vec!["a", "b", "b", "a", "b"], ..Queue::default() };
    let filter = Filter::parse(FilterLanguage::Tag, "a").unwrap();
    let visible_at = world.now.plus(Duration::from_secs(10));
    let (picked, _) = world.receive_as(&queue, &ask(&filter, 9, visible_at));
    let offsets: Vec<u64> = picked.picks.iter().map(|pick| pick.offset.0).collect();
    assert_eq!(offsets, [0, 3]);
    assert_eq!(world.state.progress(ID).unwrap().next, QueueOffset(5));
    let only_b = Queue { tags: [queue.tags, vec!["b"]].concat(), ..Queue::default() };
    let (picked, _) = world.receive_as(&only_b, &ask(&filter, 9, visible_at));
    assert!(picked.picks.is_empty());
    assert_eq!(world.replayed().progress(ID).unwrap().next, QueueOffset(6));
}

#[test]
fn what_comes_back_but_is_gone_or_no_longer_wanted_is_done_with() {
    let mut world = World::default();
    let mut queue = Queue { tags: vec!["a", "b", "a"], ..Queue::default() };
    world.receive(&queue, 3);
    world.later(10_000);
    queue.first = 1;
    let filter = Filter::parse(FilterLanguage::Tag, "a").unwrap();
    let (picked, _) = world.receive_as(&queue, &ask(&filter, 3, Timestamp(20_000)));
    assert_eq!(picked.picks.len(), 1);
    assert_eq!(world.state.progress(ID).unwrap().committed, QueueOffset(2));
    assert_eq!(world.state.progress(ID).unwrap().in_flight, 1);
}

#[test]
fn a_new_group_starts_at_the_first_message_of_a_young_queue_else_at_the_last() {
    let first = |start, bytes| {
        let queue = Queue { tags: vec!["a"; 10], first: 2, bytes, ..Queue::default() };
        let filter = Filter::All;
        let ask = Ask { start, ..ask(&filter, 1, Timestamp(1)) };
        World::default().receive_as(&queue, &ask).0.picks[0].offset.0
    };
    assert_eq!(first(Start::Auto, FIRST_POSITION_BYTES_MAX - 1), 2);
    assert_eq!(first(Start::Auto, FIRST_POSITION_BYTES_MAX), 9);
    assert_eq!(first(Start::Earliest, u64::MAX), 2);
    let queue = queue(10);
    let filter = Filter::All;
    let ask = Ask { start: Start::Latest, ..ask(&filter, 1, Timestamp(1)) };
    let mut world = World::default();
    assert!(world.receive_as(&queue, &ask).0.picks.is_empty());
    assert_eq!(world.state.progress(ID).unwrap().next, QueueOffset(10));
}

#[test]
fn a_receive_from_an_empty_queue_pins_the_groups_place() {
    let mut world = World::default();
    assert!(world.receive(&queue(0), 1).is_empty());
    assert_eq!(world.replayed().progress(ID).unwrap().next, QueueOffset(0));
    let written = world.log.len();
    world.receive(&queue(0), 1);
    assert_eq!(world.log.len(), written);
    let old = Queue { tags: vec!["a"; 3], bytes: u64::MAX, ..Queue::default() };
    assert_eq!(seen(&world.receive(&old, 1)), [(0, 1)]);
}

#[test]
fn a_group_that_holds_too_much_gets_nothing_new_until_it_acknowledges() {
    let (mut world, queue) = (World::default(), queue(IN_FLIGHT_MAX + 5));
    let mut held = world.receive(&queue, IN_FLIGHT_MAX - 1);
    while held.len() < IN_FLIGHT_MAX {
        held.extend(world.receive(&queue, IN_FLIGHT_MAX));
    }
    assert_eq!(held.len(), IN_FLIGHT_MAX);
    assert!(world.state.is_full(ID));
    assert!(world.receive(&queue, 1).is_empty());
    world.ack(&held[7].2).unwrap();
    assert_eq!(seen(&world.receive(&queue, 9)), [(IN_FLIGHT_MAX as u64, 1)]);
    assert_eq!(world.replayed(), world.state);
}

#[test]
fn what_is_not_in_memory_is_named_and_neither_passed_over_nor_done_with() {
    let (mut world, mut queue) = (World::default(), queue(6));
    queue.absent = [2, 4].into();
    let filter = Filter::All;
    let visible_at = world.now.plus(Duration::from_secs(10));
    let (picked, _) = world.receive_as(&queue, &ask(&filter, 9, visible_at));
    assert_eq!((picked.picks.len(), picked.missing, picked.more), (2, Some(QueueOffset(2)), false));
    assert_eq!(world.state.progress(ID).unwrap().next, QueueOffset(2));
    queue.absent.remove(&2);
    assert_eq!(seen(&world.receive(&queue, 9)), [(2, 1), (3, 1)]);
    queue.absent = [1, 4].into();
    world.later(10_000);
    let (picked, _) = world.receive_as(&queue, &ask(&filter, 9, Timestamp(20_000)));
    let offsets: Vec<u64> = picked.picks.iter().map(|pick| pick.offset.0).collect();
    assert_eq!((offsets, picked.missing), (vec![0, 2, 3], Some(QueueOffset(1))));
    assert_eq!(world.state.progress(ID).unwrap().in_flight, 4);
    assert!(world.state.has_more(world.now, ID, &queue));
}

#[test]
fn a_new_group_whose_first_place_is_not_in_memory_waits_with_its_place() {
    let (mut world, mut queue) = (World::default(), queue(6));
    queue.absent = (0..6).collect();
    let filter = Filter::All;
    let ask = ask(&filter, 9, Timestamp(1));
    let (picked, _) = world.receive_as(&queue, &ask);
    assert_eq!((picked.ops.len(), picked.missing), (0, Some(QueueOffset(0))));
    let (picked, _) = world.receive_as(&queue, &Ask { start: Start::Earliest, ..ask });
    assert_eq!((picked.ops.len(), picked.missing), (1, Some(QueueOffset(0))));
    assert_eq!(world.state.progress(ID).unwrap().next, QueueOffset(0));
}

const NOBODY: Outside<'static> = Outside {
    is_alive: &|_| false,
    retry_delay: &|_, attempt| Duration::from_secs(attempt.into()),
};
const EVERYBODY: Outside<'static> = Outside { is_alive: &|_| true, ..NOBODY };

fn leased(world: &mut World, queue: &Queue, client: &str) -> Vec<Claim> {
    let lease = Lease { client: ClientId::new(client), until: world.now.plus(RENEW_TOTAL_MAX) };
    let filter = Filter::All;
    let visible_at = world.now.plus(RENEW_INVISIBLE);
    world.receive_as(queue, &Ask { lease: Some(lease), ..ask(&filter, 9, visible_at) }).1
}

#[test]
fn a_living_clients_delivery_is_prolonged_and_keeps_its_first_handle() {
    let (mut world, queue) = (World::default(), queue(1));
    let claims = leased(&mut world, &queue, "c");
    for _ in 0..5 {
        assert_eq!(world.state.next_due().unwrap(), world.now.plus(Duration::from_secs(50)));
        world.later(50_000);
        let due = world.state.due(world.now, &EVERYBODY);
        assert_eq!((due.ops.len(), due.visible.len()), (1, 0));
        world.write(due.ops);
        // The look behind the prolongation finds nothing more to do.
        assert_eq!(world.state.next_due().unwrap(), world.now.plus(Duration::from_secs(1)));
        assert_eq!(
            world.state.due(world.now.plus(Duration::from_secs(1)), &EVERYBODY),
            Due::default()
        );
    }
    assert_eq!(world.replayed(), world.state);
    assert!(world.receive(&queue, 1).is_empty());
    assert_eq!(world.ack(&claims[0]), Ok(AckDecision::Ack));
}

#[test]
fn prolongation_ends_after_three_hours_or_with_the_client_and_the_retry_delay_follows() {
    let (mut world, queue) = (World::default(), queue(1));
    leased(&mut world, &queue, "c");
    world.later(50_000);
    let due = world.state.due(world.now, &NOBODY);
    world.write(due.ops);
    assert_eq!(world.state.due(world.now.plus(Duration::from_millis(999)), &NOBODY).visible, []);
    world.later(1000);
    assert_eq!(world.state.due(world.now, &NOBODY).visible, [ID]);
    leased(&mut world, &queue, "c");
    let end = world.now.plus(RENEW_TOTAL_MAX);
    while world.now < end {
        assert_eq!(seen(&world.receive(&queue, 1)), []);
        world.later(1000);
        let due = world.state.due(world.now, &EVERYBODY);
        world.write(due.ops);
    }
    for _ in 0..61 {
        world.later(1000);
        let due = world.state.due(world.now, &EVERYBODY);
        world.write(due.ops);
    }
    assert_eq!(seen(&world.receive(&queue, 1)), [(0, 3)]);
}

#[test]
fn a_client_that_says_goodbye_lets_go_of_its_leases_only() {
    let (mut world, queue) = (World::default(), queue(3));
    leased(&mut world, &Queue { tags: vec!["a"], ..Queue::default() }, "c");
    leased(&mut world, &Queue { tags: vec!["a"; 2], ..Queue::default() }, "other");
    world.receive(&queue, 9);
    let visible_at = world.now.plus(Duration::from_secs(1));
    let ops = world.state.release(&ClientId::new("c"), visible_at);
    world.write(ops);
    assert_eq!(world.state.release(&ClientId::new("c"), visible_at), []);
    world.later(1000);
    assert_eq!(world.state.due(world.now, &EVERYBODY).visible, [ID]);
    assert_eq!(seen(&world.receive(&queue, 9)), [(0, 2)]);
}

#[test]
fn a_change_by_the_client_ends_prolongation() {
    let (mut world, queue) = (World::default(), queue(1));
    let claims = leased(&mut world, &queue, "c");
    world.change(&claims[0], 5_000, ChangeMode::Counts).unwrap();
    world.later(5_000);
    let due = world.state.due(world.now, &EVERYBODY);
    assert_eq!((due.ops.len(), due.visible), (0, vec![ID]));
    assert_eq!(seen(&world.receive(&queue, 1)), [(0, 2)]);
}

#[test]
fn a_lease_about_to_be_prolonged_is_not_handed_out() {
    let (mut world, queue) = (World::default(), queue(1));
    leased(&mut world, &queue, "c");
    world.later(55_000);
    assert_eq!(seen(&world.receive(&queue, 1)), []);
    world.later(5_000);
    assert_eq!(seen(&world.receive(&queue, 1)), [(0, 2)]);
}

#[test]
fn a_prolongation_that_could_not_be_written_is_decided_again() {
    let (mut world, queue) = (World::default(), queue(1));
    leased(&mut world, &queue, "c");
    world.later(50_000);
    assert_eq!(world.state.due(world.now, &EVERYBODY).ops.len(), 1);
    world.later(1000);
    assert_eq!(world.state.due(world.now, &EVERYBODY).ops.len(), 1);
}

#[test]
fn forgotten_places_are_gone() {
    let (mut world, queue) = (World::default(), queue(1));
    world.receive(&queue, 1);
    assert_eq!(world.state.groups_of(QUEUE), [GROUP]);
    world.state.retain(|id| id.group != GROUP);
    assert_eq!(world.state.progress(ID), None);
    world.later(10_000);
    assert_eq!(world.state.due(world.now, &NOBODY), Due::default());
}

#[test]
fn a_reset_moves_the_cursor_voids_what_is_in_flight_and_delivers_anew() {
    let (mut world, queue) = (World::default(), queue(5));
    let first = world.receive(&queue, 4);
    world.ack(&first[0].2).unwrap();
    let step = Step::Reset(QueueOffset(1));
    world.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
    let progress = world.state.progress(ID).unwrap();
    assert_eq!((progress.committed, progress.next), (QueueOffset(1), QueueOffset(1)));
    assert_eq!(progress.in_flight, 0);
    for (_, _, claim) in &first {
        assert_eq!(world.ack(claim), Err(ClaimRefused::Reset));
        assert_eq!(world.change(claim, 1, ChangeMode::Counts), Err(ClaimRefused::Reset));
    }
    let again = world.receive(&queue, 9);
    assert_eq!(seen(&again), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(world.ack(&first[1].2), Err(ClaimRefused::Reset), "it is in flight again");
    assert_eq!(world.ack(&again[0].2), Ok(AckDecision::Ack));
    assert!(world.replayed() == world.state);
}

#[test]
fn a_reset_forwards_leaves_out_what_lies_between() {
    let (mut world, queue) = (World::default(), queue(5));
    let first = world.receive(&queue, 1);
    let step = Step::Reset(QueueOffset(4));
    world.write(vec![Op { group: GROUP, queue: QUEUE, step }]);
    world.later(60_000);
    assert_eq!(seen(&world.receive(&queue, 9)), [(4, 1)]);
    assert_eq!(world.ack(&first[0].2), Err(ClaimRefused::Reset));
    assert!(world.replayed() == world.state);
}

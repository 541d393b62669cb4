//! The machine written down and read back.

use super::*;
use crate::history::snapshot::SnapshotMalformed;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Receive { group: u64, queue: u64, max: usize, client: Option<u8> },
    Ack(prop::sample::Index),
    Change { which: prop::sample::Index, ms: u64, suspend: bool },
    Reset { group: u64, to: u64 },
    Later(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..3u64, 0..3u64, 1..9usize, prop::option::of(0..3u8))
            .prop_map(|(group, queue, max, client)| Action::Receive { group, queue, max, client }),
        2 => index().prop_map(Action::Ack),
        2 => (index(), 0..90_000u64, any::<bool>())
            .prop_map(|(which, ms, suspend)| Action::Change { which, ms, suspend }),
        1 => (0..3u64, 0..40u64).prop_map(|(group, to)| Action::Reset { group, to }),
        3 => (1..40_000u64).prop_map(Action::Later),
    ]
}

/// A machine and what it decided.
#[derive(Default)]
struct Twin {
    state: State,
    now: Timestamp,
    next: u64,
    claims: Vec<(GroupUid, Claim)>,
}

impl Twin {
    fn write(&mut self, ops: &[Op]) -> Lsn {
        for op in ops {
            self.next += 1;
            self.state.apply(Lsn((3 << 48) + self.next), op);
        }
        Lsn((3 << 48) + self.next)
    }

    /// Does it; gives the operations that were decided.
    fn step(&mut self, action: &Action) -> Vec<Op> {
        let claim = |which: &prop::sample::Index, claims: &[(GroupUid, Claim)]| {
            (!claims.is_empty()).then(|| *which.get(claims))
        };
        match action {
            Action::Receive { group, queue, max, client } => {
                let id = CursorId { group: GroupUid(*group), queue: QueueUid(*queue) };
                let lease = client.map(|client| Lease {
                    client: ClientId::new(format!("client-{client}")),
                    until: self.now.plus(RENEW_TOTAL_MAX),
                });
                let visible_at = self.now.plus(RENEW_INVISIBLE);
                let ask = Ask { id, lease, ..ask(&Filter::All, *max, visible_at) };
                let picked = self.state.receive(self.now, &ask, &super::queue(50));
                let pop = self.write(&picked.ops);
                let claim = |pick: &Pick| {
                    let (queue, offset) = (id.queue, pick.offset);
                    (id.group, Claim { queue, offset, pop, visible_at })
                };
                self.claims.extend(picked.picks.iter().map(claim));
                picked.ops
            }
            Action::Ack(which) => {
                let Some((group, claim)) = claim(which, &self.claims) else { return Vec::new() };
                let decided = self.state.ack(self.now, group, &claim);
                let step = Step::Ack(Spans::one(claim.offset));
                let op = Op { group, queue: claim.queue, step };
                let ops = if decided == Ok(AckDecision::Ack) { vec![op] } else { Vec::new() };
                self.write(&ops);
                ops
            }
            Action::Change { which, ms, suspend } => {
                let Some((group, claim)) = claim(which, &self.claims) else { return Vec::new() };
                let visible_at = self.now.plus(Duration::from_millis(*ms));
                let mode = if *suspend { ChangeMode::Suspends } else { ChangeMode::Counts };
                let changed = self.state.change(self.now, group, &claim, visible_at, mode);
                let ops: Vec<Op> = changed.into_iter().collect();
                self.write(&ops);
                ops
            }
            Action::Reset { group, to } => {
                let step = Step::Reset(QueueOffset(*to));
                let ops = vec![Op { group: GroupUid(*group), queue: QueueUid(0), step }];
                self.write(&ops);
                ops
            }
            Action::Later(ms) => {
                self.now = self.now.plus(Duration::from_millis(*ms));
                let mut ops = self.state.due(self.now, &EVERYBODY).ops;
                // Timers that fall due together are looked at in the order of their times.
                ops.sort_by_key(|op| (op.group, op.queue));
                self.write(&ops);
                ops
            }
        }
    }

    fn first_deadline(&self) -> Option<Timestamp> {
        let cursors = self.state.cursors.values();
        cursors.filter_map(|cursor| Some(cursor.deadlines.first()?.0)).min()
    }
}

proptest! {
    #[test]
    fn a_machine_read_back_is_the_same_and_goes_on_alike(
        before in vec(action(), 0..60),
        after in vec(action(), 0..30),
    ) {
        let mut one = Twin::default();
        before.iter().for_each(|action| drop(one.step(action)));
        let restored = State::restore(&one.state.snapshot()).unwrap();
        prop_assert!(restored == one.state);
        let (now, next, claims) = (one.now, one.next, one.claims.clone());
        let mut other = Twin { state: restored, now, next, claims };
        // It is looked at as soon as anything falls due; the live one may be looked at before.
        prop_assert_eq!(other.state.next_due(), one.first_deadline());
        for action in &after {
            prop_assert_eq!(one.step(action), other.step(action));
            prop_assert!(one.state == other.state);
        }
        for client in ["client-0", "client-1", "client-2"] {
            let client = ClientId::new(client);
            let released = one.state.release(&client, one.now);
            prop_assert_eq!(released, other.state.release(&client, other.now));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_machine_is_refused(
        before in vec(action(), 0..20),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut twin = Twin::default();
        before.iter().for_each(|action| drop(twin.step(action)));
        let mut bytes = twin.state.snapshot();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(State::restore(&bytes), Err(SnapshotMalformed::Checksum));
    }

    #[test]
    fn bytes_with_a_good_checksum_are_read_or_refused(bytes in vec(0..12u8, 0..60)) {
        let bytes = crate::varint::sealed([vec![1], bytes].concat());
        if let Ok(read) = State::restore(&bytes) {
            prop_assert!(State::restore(&read.snapshot()).unwrap() == read);
        }
    }
}

#[test]
fn golden_bytes_of_a_machine() {
    let mut twin = Twin { now: Timestamp(1000), ..Twin::default() };
    twin.step(&Action::Receive { group: 5, queue: 6, max: 2, client: Some(1) });
    twin.step(&Action::Receive { group: 5, queue: 6, max: 1, client: None });
    let hex: String = twin.state.snapshot().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "01",
            "0108636c69656e742d31",
            "01",
            "0506030002",
            "0002828080808080800390b907010200e89e9305",
            "0001020001",
            "00",
            "f282797e",
        )
    );
    let other = State::restore(&crate::varint::sealed(vec![2, 0, 0]));
    assert_eq!(other, Err(SnapshotMalformed::Version(2)));
}

/// A hundred thousand messages in flight, no two alike.
#[test]
#[ignore = "measures; run it with optimisation"]
fn a_large_machine_is_written_down_within_20_ms() {
    let mut state = State::default();
    for cursor in 0..10u64 {
        for offset in 0..10_000u64 {
            let span = crate::consume::ops::Span { first: QueueOffset(offset), count: 1 };
            let runs = vec![crate::consume::ops::Run { span, attempt: 1 }];
            let client = ClientId::new(format!("client-{}", offset % 100));
            let lease = Some(Lease { client, until: Timestamp(1 << 40) });
            let (next, visible_at) = (QueueOffset(offset + 1), Timestamp((1 << 40) + offset % 977));
            let step = Step::Pop(crate::consume::ops::Pop { next, visible_at, lease, runs });
            let op = Op { group: GroupUid(cursor), queue: QUEUE, step };
            state.apply(Lsn((3 << 48) + cursor * 1_000_000 + offset * 97), &op);
        }
    }
    let env = storage::env::Env::system();
    let mut times = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..9 {
        let began = env.monotonic();
        bytes = state.snapshot();
        times.push(env.monotonic() - began);
    }
    times.sort();
    let began = env.monotonic();
    assert!(State::restore(&bytes).unwrap() == state);
    let restored = env.monotonic() - began;
    eprintln!("{} bytes, written in {:?} (median), read in {restored:?}", bytes.len(), times[4]);
    assert!(times[4] < Duration::from_millis(20), "{times:?}");
}

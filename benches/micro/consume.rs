//! The consumption machine without its log: a receive and its acknowledgements.

use super::Bench;
use gateway::consume::GroupUid;
use gateway::consume::filter::{Filter, FilterLanguage};
use gateway::consume::handle::Claim;
use gateway::consume::ops::{Op, Spans, Step};
use gateway::consume::state::{Ask, Candidate, CursorId, QueueIndex, Start, State};
use gateway::history::{Look, Scan};
use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::{Lsn, QueueOffset, QueueUid};

const GROUP: GroupUid = GroupUid(5);
const QUEUE: QueueUid = QueueUid(6);
const ID: CursorId = CursorId { group: GROUP, queue: QUEUE };
const BATCH: u32 = 32;
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const VISIBLE_AT: Timestamp = Timestamp(1_700_000_060_000);

/// A queue without end.
struct Endless;

impl QueueIndex for Endless {
    fn first(&self) -> QueueOffset {
        QueueOffset(0)
    }

    fn end(&self) -> QueueOffset {
        QueueOffset(u64::MAX >> 1)
    }

    fn bytes_behind(&self, _: Lsn) -> u64 {
        0
    }

    fn scan(&self, from: QueueOffset, each: &mut dyn FnMut(Candidate) -> ControlFlow<()>) -> Scan {
        (from.0..).map(QueueOffset).find(|offset| each(candidate(*offset)).is_break());
        Scan::End
    }

    fn find(&self, offset: QueueOffset) -> Look<Candidate> {
        Look::Here(candidate(offset))
    }
}

fn candidate(offset: QueueOffset) -> Candidate {
    Candidate { offset, lsn: Lsn(offset.0), hash: 7 }
}

pub(super) fn run(bench: &Bench) {
    let filter = Filter::parse(FilterLanguage::Tag, "*").unwrap();
    let ask = || Ask {
        id: ID,
        filter: &filter,
        max: 32,
        visible_at: VISIBLE_AT,
        lease: None,
        max_attempts: 17,
        start: Start::Earliest,
    };
    let mut state = State::default();
    let mut lsn = 1_u64;
    bench.time("pop state: receive 32, claim and ack each", BATCH, || {
        let picked = state.receive(NOW, &ask(), &Endless);
        for op in &picked.ops {
            lsn += 1;
            state.apply(Lsn(lsn), op);
        }
        let pop = Lsn(lsn);
        for pick in &picked.picks {
            let claim = Claim { queue: QUEUE, offset: pick.offset, pop, visible_at: VISIBLE_AT };
            state.ack(NOW, GROUP, &claim).unwrap();
            let step = Step::Ack(Spans::one(pick.offset));
            lsn += 1;
            state.apply(Lsn(lsn), &Op { group: GROUP, queue: QUEUE, step });
        }
    });
}

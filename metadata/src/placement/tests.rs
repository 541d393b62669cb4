//! The procedure step by step, and many process lives of it on one disk with crashes and lost answers everywhere.

use super::{Event, Step, Stuck, Takeover, Taker, Unsealed};
use crate::WriteOutcome;
use crate::model::{GatewayId, Incarnation, Member, Owner, PgRecord};
use crate::store::Revision;
use proptest::prelude::*;
use storage::format::{Epoch, Lsn, PgId};
use storage::{Copy, Sealed, StoreId, StoreRefused};

fn pg() -> PgId {
    PgId::new(3).unwrap()
}

fn at(bytes: u64) -> Lsn {
    pg().first_lsn().plus(bytes)
}

fn member(store: u128) -> Member {
    let gateway = GatewayId::parse("gw").unwrap();
    Member { store: StoreId(store), gateway, zone: String::new() }
}

fn owner(incarnation: u64) -> Owner {
    Owner { gateway: GatewayId::parse("gw").unwrap(), incarnation: Incarnation(incarnation) }
}

/// The taker of these tests: incarnation 9 with store 1, quorum 1.
fn begin() -> Takeover {
    let taker = Taker { owner: owner(9), store: member(1), quorum: 1 };
    let (takeover, step) = Takeover::begin(pg(), taker);
    assert_eq!(step, Step::Read);
    takeover
}

fn record(epoch: u32, incarnation: u64, stores: &[u128], quorum: u32) -> PgRecord {
    let stores = stores.iter().map(|store| member(*store)).collect();
    let first = PgRecord::create(pg(), owner(incarnation), stores, quorum);
    PgRecord { epoch: Epoch(epoch), base: at(100), tiered: at(40), ..first }
}

fn sealed(store: u128, answer: Sealed) -> Event {
    Event::Sealed { store: StoreId(store), answer: Ok(answer) }
}

fn unreachable(store: u128) -> Event {
    Event::Sealed { store: StoreId(store), answer: Err(Unsealed::Unreachable) }
}

fn copy(epoch: u32, end: Lsn) -> Copy {
    Copy { store: StoreId(1), label: Epoch(epoch), from: at(40), end, synced: end, chain: 0 }
}

fn seal(stores: &[u128], epoch: u32) -> Step {
    let stores = stores.iter().map(|store| StoreId(*store)).collect();
    Step::Seal { stores, epoch: Epoch(epoch), base: at(100) }
}

const JOIN: fn(u32) -> Step =
    |epoch| Step::Join { epoch: Epoch(epoch), base: at(100), tiered: at(40) };

#[test]
fn a_placement_group_that_nobody_had_is_created() {
    let mut takeover = begin();
    let first = PgRecord::create(pg(), owner(9), vec![member(1)], 1);
    let open = Step::Open { seen: None, record: first.clone() };
    assert_eq!(takeover.step(Event::Read(None)), open);
    let serve = Step::Serve { record: first, revision: Revision(5) };
    assert_eq!(takeover.step(Event::Opened(WriteOutcome::Done(Revision(5)))), serve);
}

#[test]
fn a_restart_on_its_own_disk_seals_itself_and_opens_the_next_epoch() {
    let mut takeover = begin();
    let old = record(4, 8, &[1], 1);
    assert_eq!(takeover.step(Event::Read(Some((old.clone(), Revision(7))))), seal(&[1], 4));
    assert_eq!(takeover.step(sealed(1, Sealed::End(at(250)))), JOIN(4));
    let next = old.open(owner(9), vec![member(1)], 1, at(250));
    assert_eq!((next.epoch, next.base, next.tiered), (Epoch(5), at(250), at(40)));
    let open = Step::Open { seen: Some(Revision(7)), record: next.clone() };
    assert_eq!(takeover.step(Event::Joined(Ok(copy(4, at(250))))), open);
    let serve = Step::Serve { record: next, revision: Revision(8) };
    assert_eq!(takeover.step(Event::Opened(WriteOutcome::Done(Revision(8)))), serve);
}

#[test]
fn only_its_own_incarnation_makes_it_the_owner() {
    let mine = (record(4, 9, &[1], 1), Revision(7));
    let serve = Step::Serve { record: mine.0.clone(), revision: mine.1 };
    assert_eq!(begin().step(Event::Read(Some(mine))), serve);
    // The same gateway, an earlier start of it.
    let earlier = (record(4, 8, &[1], 1), Revision(7));
    assert_eq!(begin().step(Event::Read(Some(earlier))), seal(&[1], 4));
}

#[test]
fn an_epoch_ends_where_the_furthest_of_a_quorum_ends_but_not_before_tiered() {
    for (answers, end) in [
        ([Sealed::End(at(120)), Sealed::End(at(300))], 300),
        ([Sealed::End(at(150)), Sealed::Nothing], 150),
    ] {
        let mut takeover = begin();
        let old = (record(4, 8, &[1, 2, 3], 2), Revision(7));
        assert_eq!(takeover.step(Event::Read(Some(old))), seal(&[1, 2, 3], 4));
        assert_eq!(takeover.step(sealed(1, answers[0])), Step::Wait);
        assert_eq!(takeover.step(sealed(3, answers[1])), JOIN(4));
        let opened = takeover.step(Event::Joined(Ok(copy(4, at(end)))));
        let Step::Open { record, .. } = opened else { panic!("{opened:?}") };
        assert_eq!(record.base, at(end));
    }
    let mut takeover = begin();
    let old = PgRecord { tiered: at(500), ..record(4, 8, &[1], 1) };
    takeover.step(Event::Read(Some((old, Revision(7)))));
    takeover.step(sealed(1, Sealed::End(at(450))));
    let opened = takeover.step(Event::Joined(Ok(Copy { from: at(500), ..copy(4, at(500)) })));
    let Step::Open { record, .. } = opened else { panic!("{opened:?}") };
    assert_eq!((record.base, record.tiered), (at(500), at(500)));
}

#[test]
fn a_store_counts_once_and_only_if_it_is_of_the_epoch() {
    let mut takeover = begin();
    takeover.step(Event::Read(Some((record(4, 8, &[1, 2, 3], 2), Revision(7)))));
    assert_eq!(takeover.step(sealed(2, Sealed::End(at(120)))), Step::Wait);
    assert_eq!(takeover.step(sealed(2, Sealed::End(at(120)))), Step::Wait);
    assert_eq!(takeover.step(sealed(77, Sealed::End(at(900)))), Step::Wait);
    assert_eq!(takeover.step(sealed(1, Sealed::End(at(110)))), JOIN(4));
}

#[test]
fn without_enough_seals_it_says_who_is_missing() {
    // A journal was replaced: the epoch's store is not here.
    let mut takeover = begin();
    assert_eq!(
        takeover.step(Event::Read(Some((record(4, 8, &[5], 1), Revision(7))))),
        seal(&[5], 4)
    );
    let missing = vec![(StoreId(5), Unsealed::Unreachable)];
    let stuck = Stuck::NoProof { epoch: Epoch(4), missing, needed: 1 };
    assert_eq!(takeover.step(unreachable(5)), Step::Stuck(stuck));
    // Of three, the second that is missing ends it, before the third answers.
    let mut takeover = begin();
    takeover.step(Event::Read(Some((record(4, 8, &[1, 2, 3], 2), Revision(7)))));
    assert_eq!(takeover.step(unreachable(2)), Step::Wait);
    let refused = Err(Unsealed::Refused(StoreRefused::Unknown));
    let step = takeover.step(Event::Sealed { store: StoreId(3), answer: refused });
    assert!(matches!(step, Step::Stuck(Stuck::NoProof { needed: 2, .. })), "{step:?}");
}

#[test]
fn where_only_the_bucket_acknowledged_no_seal_is_needed() {
    let old = PgRecord { base: at(40), ..record(4, 8, &[5], 2) };
    let join = Step::Join { epoch: Epoch(4), base: at(40), tiered: at(40) };
    assert_eq!(begin().step(Event::Read(Some((old, Revision(7))))), join);
}

#[test]
fn a_store_of_a_later_epoch_sends_it_back_to_the_record() {
    let newer = StoreRefused::Newer(Epoch(6));
    let mut takeover = begin();
    takeover.step(Event::Read(Some((record(4, 8, &[1], 1), Revision(7)))));
    let answer = Err(Unsealed::Refused(newer));
    assert_eq!(takeover.step(Event::Sealed { store: StoreId(1), answer }), Step::Read);
    assert_eq!(
        takeover.step(Event::Read(Some((record(6, 7, &[1], 1), Revision(9))))),
        seal(&[1], 6)
    );
    takeover.step(sealed(1, Sealed::End(at(100))));
    assert_eq!(takeover.step(Event::Joined(Err(newer))), Step::Read);
}

#[test]
fn lost_data_is_never_opened_over() {
    let begun = || {
        let mut takeover = begin();
        takeover.step(Event::Read(Some((record(4, 8, &[1], 1), Revision(7)))));
        takeover
    };
    for answer in [Sealed::End(at(99)), Sealed::Nothing] {
        let step = begun().step(sealed(1, answer));
        assert!(matches!(step, Step::Stuck(Stuck::BelowBase { .. })), "{step:?}");
    }
    for joined in [
        copy(4, at(249)),
        Copy { synced: at(249), ..copy(4, at(250)) },
        copy(3, at(250)),
        Copy { from: at(41), ..copy(4, at(250)) },
    ] {
        let mut takeover = begun();
        takeover.step(sealed(1, Sealed::End(at(250))));
        let step = takeover.step(Event::Joined(Ok(joined)));
        assert!(matches!(step, Step::Stuck(Stuck::Behind { .. })), "{joined:?}: {step:?}");
    }
    let mut takeover = begun();
    takeover.step(sealed(1, Sealed::End(at(250))));
    let step = takeover.step(Event::Joined(Err(StoreRefused::Unknown)));
    assert_eq!(step, Step::Stuck(Stuck::NotJoined(StoreRefused::Unknown)));
}

#[test]
fn alone_it_does_not_open_for_a_quorum_of_two() {
    let taker = Taker { owner: owner(9), store: member(1), quorum: 2 };
    let (mut takeover, _) = Takeover::begin(pg(), taker);
    takeover.step(Event::Read(Some((record(4, 8, &[1], 1), Revision(7)))));
    takeover.step(sealed(1, Sealed::End(at(250))));
    let step = takeover.step(Event::Joined(Ok(copy(4, at(250)))));
    assert_eq!(step, Step::Stuck(Stuck::Holders { have: 1, need: 2 }));
}

#[test]
fn of_an_unknown_outcome_only_another_revision_tells() {
    let old = record(4, 8, &[1], 1);
    let mut takeover = begin();
    takeover.step(Event::Read(Some((old.clone(), Revision(7)))));
    takeover.step(sealed(1, Sealed::End(at(250))));
    let open = takeover.step(Event::Joined(Ok(copy(4, at(250)))));
    let Step::Open { record: asked, .. } = open.clone() else { panic!("{open:?}") };
    // While the old revision shows, the request may yet land: the same goes out again.
    for _ in 0..3 {
        assert_eq!(takeover.step(Event::Opened(WriteOutcome::Unknown)), Step::Read);
        assert_eq!(takeover.step(Event::Read(Some((old.clone(), Revision(7))))), open);
    }
    assert_eq!(takeover.step(Event::Opened(WriteOutcome::Unknown)), Step::Read);
    let mut lost = takeover.clone();
    // It had landed.
    let serve = Step::Serve { record: asked.clone(), revision: Revision(8) };
    assert_eq!(takeover.step(Event::Read(Some((asked, Revision(8))))), serve);
    // Another was faster: all begins again, with its epoch.
    let other = (record(5, 7, &[1], 1), Revision(8));
    assert_eq!(lost.step(Event::Read(Some(other))), seal(&[1], 5));
}

#[test]
fn a_record_that_moved_is_read_again() {
    let mut takeover = begin();
    takeover.step(Event::Read(None));
    assert_eq!(takeover.step(Event::Opened(WriteOutcome::Moved)), Step::Read);
    let other = (record(1, 7, &[1], 1), Revision(8));
    assert_eq!(takeover.step(Event::Read(Some(other))), seal(&[1], 1));
}

#[test]
fn it_does_not_go_on_for_ever() {
    let mut takeover = begin();
    for _ in 0..100 {
        if let Step::Stuck(stuck) = takeover.step(Event::Read(None)) {
            return assert_eq!(stuck, Stuck::Contended);
        }
        if let Step::Stuck(stuck) = takeover.step(Event::Opened(WriteOutcome::Moved)) {
            return assert_eq!(stuck, Stuck::Contended);
        }
    }
    panic!("it went on");
}

#[test]
fn what_comes_late_changes_nothing() {
    let mut takeover = begin();
    let late = sealed(1, Sealed::End(at(900)));
    assert_eq!(takeover.step(late), Step::Wait);
    let open = takeover.step(Event::Read(None));
    assert!(matches!(open, Step::Open { seen: None, .. }), "{open:?}");
    assert_eq!(takeover.step(Event::Read(None)), Step::Wait);
    let serve = takeover.step(Event::Opened(WriteOutcome::Done(Revision(1))));
    assert!(matches!(serve, Step::Serve { .. }), "{serve:?}");
    assert_eq!(takeover.step(Event::Read(None)), Step::Wait);
}

/// One disk, one record, and the processes that come and go: what may happen is read from a script of bytes.
struct World {
    script: std::vec::IntoIter<u8>,
    record: Option<(PgRecord, Revision)>,
    revision: i64,
    /// Requests of unknown outcome that may land yet.
    in_flight: Vec<(Option<Revision>, PgRecord)>,
    disk: Copy,
    fence: Epoch,
    /// Everything below was acknowledged.
    acknowledged: Lsn,
    /// The epoch and incarnation of everybody who served.
    served: Vec<(Epoch, Incarnation)>,
}

/// A life ended early.
struct Crash;

impl World {
    fn new(script: Vec<u8>) -> World {
        let nothing = pg().first_lsn();
        World {
            script: script.into_iter(),
            record: None,
            revision: 0,
            in_flight: Vec::new(),
            disk: Copy {
                store: StoreId(1),
                label: Epoch(0),
                from: nothing,
                end: nothing,
                synced: nothing,
                chain: 0,
            },
            fence: Epoch(0),
            acknowledged: nothing,
            served: Vec::new(),
        }
    }

    /// The next byte of the script; where it has ended all goes well.
    fn chance(&mut self, sides: u8) -> u8 {
        self.script.next().map_or(sides - 1, |byte| byte % sides)
    }

    fn land(&mut self, seen: Option<Revision>, record: PgRecord) -> WriteOutcome {
        if self.record.as_ref().map(|(_, revision)| *revision) != seen {
            return WriteOutcome::Moved;
        }
        self.revision += 1;
        self.record = Some((record, Revision(self.revision)));
        WriteOutcome::Done(Revision(self.revision))
    }

    /// S4.
    fn seal(&mut self, epoch: Epoch, base: Lsn) -> Result<Sealed, StoreRefused> {
        if self.disk.label > epoch {
            return Err(StoreRefused::Newer(self.disk.label));
        }
        self.fence = self.fence.max(epoch.next());
        // The seal is synced in order with the appends before it.
        self.disk.synced = self.disk.end;
        Ok(match self.disk.label {
            label if label == epoch => Sealed::End(self.disk.end),
            label if label != Epoch(0) && label.next() == epoch => {
                Sealed::End(self.disk.end.min(base))
            }
            _ => Sealed::Nothing,
        })
    }

    /// S1.
    fn join(
        &mut self,
        (epoch, base, tiered): (Epoch, Lsn, Lsn),
        by_owner: bool,
    ) -> Result<Copy, StoreRefused> {
        if self.disk.label > epoch {
            return Err(StoreRefused::Newer(self.disk.label));
        }
        if by_owner && self.fence > epoch {
            return Err(StoreRefused::Sealed(self.fence));
        }
        if self.disk.label != epoch {
            if self.disk.label.next() == epoch && self.disk.label != Epoch(0) {
                self.disk.end = self.disk.end.min(base);
            } else {
                (self.disk.from, self.disk.end) = (tiered, tiered);
            }
            self.disk.label = epoch;
        }
        self.disk.synced = self.disk.end;
        Ok(self.disk)
    }

    /// A process starts, takes over, serves for a while and dies; or dies before.
    fn life(&mut self, incarnation: u64) -> Result<(), Crash> {
        let taker = Taker { owner: owner(incarnation), store: member(1), quorum: 1 };
        let (mut takeover, mut step) = Takeover::begin(pg(), taker);
        loop {
            if self.chance(12) == 0 {
                return Err(Crash);
            }
            self.something_lands();
            let event = match step {
                Step::Read => Event::Read(self.record.clone()),
                Step::Seal { stores, epoch, base } => {
                    assert_eq!(stores, [StoreId(1)]);
                    let answer = self.seal(epoch, base).map_err(Unsealed::Refused);
                    Event::Sealed { store: StoreId(1), answer }
                }
                Step::Join { epoch, base, tiered } => {
                    Event::Joined(self.join((epoch, base, tiered), false))
                }
                Step::Open { seen, record } => Event::Opened(self.open(seen, record)),
                Step::Serve { record, .. } => return self.serve(&record),
                Step::Wait => panic!("it waits for nobody"),
                Step::Stuck(Stuck::Contended) => return Err(Crash),
                Step::Stuck(stuck) => panic!("{stuck}"),
            };
            step = takeover.step(event);
        }
    }

    fn open(&mut self, seen: Option<Revision>, record: PgRecord) -> WriteOutcome {
        match self.chance(5) {
            // Lost on the way.
            0 => WriteOutcome::Unknown,
            // Lost on the way back.
            1 => {
                self.land(seen, record);
                WriteOutcome::Unknown
            }
            // Held up.
            2 => {
                self.in_flight.push((seen, record));
                WriteOutcome::Unknown
            }
            _ => self.land(seen, record),
        }
    }

    fn something_lands(&mut self) {
        if !self.in_flight.is_empty() && self.chance(3) == 0 {
            let (seen, record) = self.in_flight.remove(0);
            self.land(seen, record);
        }
    }

    fn serve(&mut self, record: &PgRecord) -> Result<(), Crash> {
        let PgRecord { epoch, base, tiered, .. } = *record;
        // An earlier process's request landed after this one's read: another owns it now, and the store tells.
        let joined = self.join((epoch, base, tiered), true);
        let copy = joined.expect("nobody else is there to seal it");
        assert!(copy.end >= self.acknowledged, "INV-ACK: {copy:?} < {}", self.acknowledged);
        assert_eq!(copy.end, base, "an epoch's appends begin at its base");
        let incarnation = record.owner.incarnation;
        for (other, by) in &self.served {
            assert!(*other < epoch && *by != incarnation, "INV-EPOCH: {epoch} by {incarnation:?}");
        }
        self.served.push((epoch, incarnation));
        for _ in 0..self.chance(4) {
            self.disk.end = self.disk.end.plus(10);
            if self.chance(2) == 0 {
                self.disk.synced = self.disk.end;
                self.acknowledged = self.disk.synced;
            }
        }
        // It dies: what was not synced may be gone.
        if self.chance(2) == 0 {
            self.disk.end = self.disk.synced;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_life_of_a_process_loses_what_was_acknowledged(
        script in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let mut world = World::new(script);
        let mut incarnation = 0;
        while world.script.len() > 0 {
            incarnation += 1;
            let _ = world.life(incarnation);
            if world.disk.synced < world.disk.end && world.chance(2) == 0 {
                world.disk.end = world.disk.synced;
            }
        }
        // PROGRESS: without more failures the next epoch can be opened.
        world.in_flight.clear();
        world.script = Vec::new().into_iter();
        prop_assert!(world.life(incarnation + 1).is_ok());
    }
}

use super::*;
use crate::env::Timestamp;
use crate::format::object::sealed;
use crate::format::{Epoch, Lsn, PgId};
use crate::tier::manifest::{Change, Delta, Key, Origin, QueueSet, RunEntry};
use crate::tier::{ObjectId, ObjectName};
use proptest::prelude::*;
use std::time::Duration;

const PG: PgId = PgId::FIRST;
const NOW: Timestamp = Timestamp(1_000);

fn id(id: u64) -> ObjectId {
    ObjectId { id, nonce: 7 }
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn proven(number: u64, digest: Option<Digest>) -> Proven {
    let name = ObjectName::Bundle { session: 5, id: id(number) };
    Proven { name, len: 100, digest }
}

fn committed(number: u64) -> Committed {
    Committed {
        from: Lsn(10 * number),
        to: Lsn(10 * number + 10),
        chain: 3,
        added: vec![proven(number, Some(digest(number as u8)))],
        removed: vec![],
    }
}

fn begun(epoch: u32) -> ProofWriter {
    ProofWriter::resume(PG, Epoch(epoch), None, (None, &[]), NOW).0
}

fn read(writer: &ProofWriter, mark: Mark) -> (ProofName, Checkpoint) {
    let (name, bytes) = writer.checkpoint(mark, 1).unwrap();
    (name, Checkpoint::decode(&bytes).unwrap())
}

/// Checkpoints of a writer that takes so many commits in each.
fn written(commits: &[u64]) -> Vec<(ProofName, Checkpoint)> {
    let (mut writer, mut all, mut next) = (begun(1), Vec::new(), 0);
    for count in commits {
        for _ in 0..*count {
            writer.commit(committed(next), NOW);
            next += 1;
        }
        let (name, checkpoint) = read(&writer, Mark::default());
        writer.stored(name.seq, NOW);
        all.push((name, checkpoint));
    }
    all
}

fn summaries(all: &[(ProofName, Checkpoint)]) -> Vec<Summary> {
    all.iter().map(|(name, checkpoint)| Summary::of(*name, checkpoint).unwrap()).collect()
}

fn live(all: &[(ProofName, Checkpoint)]) -> Live {
    let mut live = Live::default();
    all.iter().for_each(|(_, checkpoint)| live.feed(checkpoint.clone()));
    live
}

#[test]
fn golden_bytes() {
    let mut writer = begun(2);
    writer.commit(Committed { removed: vec![id(9)], ..committed(1) }, NOW);
    let mark = Mark { root: Some("r".into()), deltas: 4 };
    let (name, bytes) = writer.checkpoint(mark, 1).unwrap();
    assert_eq!(name.to_string(), "proof/0000/0000000000000001-00000001");
    let hex: String = bytes[..20].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, "5350524601000100000000000400000001000000");
    let link = &bytes[85..bytes.len() - 4];
    let hex: String = link[..44].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "010000000000000002000000000000000a0000000000000014000000000000000300000001000000\
         01000000"
    );
    assert_eq!(&link[44..90], b"\x2dl0/0000000000000005/0000000000000001-00000007");
    assert_eq!(link.len(), 44 + 46 + 8 + 1 + 32 + 12);
    // What the digest is of: the one before, the placement group, the link.
    let mut digester = Digester::default();
    [&[0u8; 36][..], link].iter().for_each(|part| digester.update(part));
    assert_eq!(writer.head(), (1, digester.finish()));
    let mut empty = Digester::default();
    empty.update(b"abc");
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(empty.finish().to_string(), abc, "FIPS 180-2, appendix B.1");
}

#[test]
fn checkpoints_follow_each_other_and_cover_what_was_committed() {
    let all = written(&[1, 3, 2]);
    let mut found = summaries(&all);
    found.reverse();
    let branch = Branch::of(&found);
    assert_eq!((branch.fault, branch.beside.len()), (None, 0));
    found.reverse();
    assert_eq!(branch.checkpoints, found);
    let live = live(&all);
    assert_eq!((live.seq, live.tiered, live.objects.len()), (6, Lsn(60), 6));
    assert_eq!(live.objects[&id(3)].digest, Some(digest(3)));
}

#[test]
fn a_missing_checkpoint_is_found() {
    let all = written(&[1, 3, 2]);
    let found = summaries(&all);
    let branch = Branch::of(&[found[0], found[2]]);
    assert_eq!(branch.fault, Some(ProofFault::Broken(found[2].name)));
    assert_eq!(branch.beside, [found[0].name]);
}

/// With a checksum that fits.
#[test]
fn a_forged_checkpoint_is_found() {
    let all = written(&[2, 2]);
    let mut found = summaries(&all);
    let (name, honest) = &all[0];
    let mut forged = honest.clone();
    forged.links[1].added[0].digest = Some(digest(99));
    assert_eq!(Summary::of(*name, &forged), Err(ProofFault::Forged(*name)));
    // And with digests that fit: then the next one does not.
    forged.after = forged.links.iter().fold(forged.before, |before, link| link.digest(PG, before));
    found[0] = Summary::of(*name, &forged).unwrap();
    assert_eq!(Branch::of(&found).fault, Some(ProofFault::Broken(found[1].name)));
    let renamed = ProofName { seq: 9, ..*name };
    assert_eq!(Summary::of(renamed, honest), Err(ProofFault::Forged(renamed)));
}

#[test]
fn of_two_branches_the_later_epochs_counts() {
    let mut all = written(&[2]);
    let (_, base) = all[0].clone();
    let go_on = |epoch: u32, commits: u64| {
        let resumed = ProofWriter::resume(PG, Epoch(epoch), Some(&base), (None, &[]), NOW);
        let mut writer = resumed.0;
        (0..commits).for_each(|at| writer.commit(committed(50 + at), NOW));
        read(&writer, Mark::default())
    };
    all.extend([go_on(1, 5), go_on(2, 1)]);
    let branch = Branch::of(&summaries(&all));
    assert_eq!(branch.checkpoints.last().map(|last| last.name), Some(all[2].0));
    assert_eq!((branch.beside, branch.fault), (vec![all[1].0], None));
}

fn entry(number: u64) -> RunEntry {
    RunEntry {
        object: id(number),
        origin: Origin::Bundle { session: 5 },
        from: Lsn(10 * number),
        to: Lsn(10 * number + 10),
        object_len: 100,
        bytes: 10,
        messages: 0,
        min_time: NOW,
        max_time: NOW,
        queues: QueueSet::None,
    }
}

fn delta(number: u64) -> Delta {
    let (from, to) = (Lsn(10 * number), Lsn(10 * number + 10));
    Delta { from, to, changes: vec![Change::Add(entry(number))] }
}

#[test]
fn an_owner_goes_on_with_what_the_record_has_beyond_the_checkpoint() {
    let mut first = begun(1);
    (0..2).for_each(|at| first.commit(committed(at), NOW));
    let (_, newest) = read(&first, Mark { root: None, deltas: 2 });
    let deltas: Vec<Delta> = (0..4).map(delta).collect();
    let resumed = ProofWriter::resume(PG, Epoch(2), Some(&newest), (None, &deltas), NOW);
    let (mut writer, missing) = resumed;
    assert_eq!((missing, writer.head().0), (CatchUp::Done, 4));
    writer.cover(Lsn(40), proven(2, Some(digest(2))), NOW);
    let (name, next) = read(&writer, Mark { root: None, deltas: 4 });
    let all = [(ProofName { seq: 2, ..name }, newest), (name, next)];
    assert_eq!(Branch::of(&summaries(&all)).fault, None);
    let live = live(&all);
    let digests: Vec<Option<Digest>> = live.objects.values().map(|one| one.digest).collect();
    assert_eq!(digests, [Some(digest(0)), Some(digest(1)), Some(digest(2)), None]);
}

#[test]
fn what_a_fold_took_away_is_made_good_by_naming_everything() {
    let mut first = begun(1);
    (0..3).for_each(|at| first.commit(committed(at), NOW));
    let (first_name, newest) = read(&first, Mark { root: None, deltas: 3 });
    let resumed = ProofWriter::resume(PG, Epoch(2), Some(&newest), (Some("root"), &[]), NOW);
    let (mut writer, missing) = resumed;
    assert_eq!(missing, CatchUp::Whole);
    writer.whole(Lsn(90), &[entry(2), entry(8)], NOW);
    let (name, next) = read(&writer, Mark::default());
    let live = live(&[(first_name, newest), (name, next)]);
    let held: Vec<_> = live.objects.values().map(|one| (one.name.id(), one.digest)).collect();
    assert_eq!(held, [(id(2), Some(digest(2))), (id(8), None)]);
    assert_eq!(live.tiered, Lsn(90));
}

/// After a rebuild a record has one delta for several commits.
#[test]
fn as_many_deltas_are_not_the_same_deltas() {
    let mut first = begun(1);
    (0..2).for_each(|at| first.commit(committed(at), NOW));
    let (_, newest) = read(&first, Mark { root: None, deltas: 2 });
    let merged = Delta {
        from: Lsn(10),
        to: Lsn(30),
        changes: vec![Change::Add(entry(1)), Change::Add(entry(2))],
    };
    let deltas = [delta(0), merged];
    let (_, missing) = ProofWriter::resume(PG, Epoch(2), Some(&newest), (None, &deltas), NOW);
    assert_eq!(missing, CatchUp::Whole);
}

#[test]
fn a_checkpoint_is_due_by_number_and_by_time() {
    let mut writer = begun(1);
    assert!(!writer.is_due(NOW.plus(Duration::from_secs(3600))));
    assert_eq!(writer.checkpoint(Mark::default(), 1), None);
    writer.commit(committed(0), NOW);
    assert!(!writer.is_due(NOW));
    assert!(writer.is_due(NOW.plus(LINKS_TIME_MAX)));
    (1..LINKS_DUE as u64).for_each(|at| writer.commit(committed(at), NOW));
    assert!(writer.is_due(NOW));
    // One more while the checkpoint is being stored.
    let (name, _) = read(&writer, Mark::default());
    writer.commit(committed(500), NOW);
    writer.stored(name.seq, NOW);
    assert!(!writer.is_due(NOW));
    let (_, next) = read(&writer, Mark::default());
    assert_eq!(next.links.len(), 1);
    assert!(next.is_chained());
}

#[test]
fn removed_objects_are_not_covered_any_more() {
    let mut writer = begun(1);
    writer.commit(committed(0), NOW);
    let key = Key { from: Lsn(0), object: id(0) };
    let changes = vec![Change::Remove(key), Change::Add(entry(1))];
    let delta = Delta { from: Lsn(10), to: Lsn(10), changes };
    writer.commit(Committed::of(PG, &delta, 0, |_| Some(digest(1))), NOW);
    let checkpoint = read(&writer, Mark::default());
    assert_eq!(live(&[checkpoint]).objects.keys().copied().collect::<Vec<_>>(), [id(1)]);
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(at: prop::sample::Index, bit in 0..8u32) {
        let (_, checkpoint) = written(&[3]).remove(0);
        let mut bytes = checkpoint.encode();
        prop_assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Checkpoint::decode(&bytes).is_err());
    }

    /// Even where the checksum was made to fit, the digests do not.
    #[test]
    fn any_changed_byte_of_a_link_breaks_the_chain(at: prop::sample::Index, by in 1..=255u8) {
        let (_, checkpoint) = written(&[3]).remove(0);
        let mut bytes = checkpoint.encode();
        bytes.truncate(bytes.len() - 4);
        let at = 84 + at.index(bytes.len() - 84);
        bytes[at] ^= by;
        if let Ok(read) = Checkpoint::decode(&sealed(bytes)) {
            prop_assert!(!read.is_chained());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }
}

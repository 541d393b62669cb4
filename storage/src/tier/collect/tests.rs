use super::*;
use crate::env::Timestamp;
use crate::format::object::{Directory, PgEntry};
use crate::format::{Epoch, Lsn, PgId};
use crate::tier::ObjectId;
use crate::tier::manifest::{Origin, Overlay, QueueSet, Root, RunEntry};
use proptest::prelude::*;
use std::collections::BTreeMap;

const OBJECT: ObjectId = ObjectId { id: 9, nonce: 1 };

fn entry(pg: u32, from: u64, object: ObjectId) -> RunEntry {
    let first = PgId::new(pg).unwrap().first_lsn();
    RunEntry {
        object,
        origin: Origin::Bundle { session: 1 },
        from: first.plus(from),
        to: first.plus(from + 10),
        object_len: 10,
        bytes: 5,
        messages: 0,
        min_time: Timestamp(1),
        max_time: Timestamp(1),
        queues: QueueSet::None,
    }
}

fn references(pg: u32, epoch: u32, tiered: u64, objects: &[ObjectId]) -> References {
    let root = Root::empty(PgId::new(pg).unwrap());
    let entries = objects.iter().map(|object| entry(pg, 0, *object));
    let overlay = Overlay {
        tiered: root.tiered.plus(tiered),
        added: entries.map(|entry| (entry.key(), entry)).collect(),
        ..Overlay::default()
    };
    References::new(Epoch(epoch), (None, &root), &overlay, None)
}

fn directory(parts: &[(u32, u32, u64)]) -> Directory {
    let part = |(pg, epoch, from): &(u32, u32, u64)| {
        let pg = PgId::new(*pg).unwrap();
        PgEntry::empty(pg, Epoch(*epoch), pg.first_lsn().plus(*from))
    };
    Directory { level: 0, entries: parts.iter().map(part).collect() }
}

#[test]
fn a_named_object_goes_after_its_epoch_or_by_its_owners_word() {
    let none = references(1, 5, 0, &[]);
    let judge = |epoch, word| judge_named(OBJECT, Epoch(epoch), word, Some(&none));
    assert_eq!(judge(4, Word::Unknown), Ok(()));
    assert_eq!(judge(5, Word::Unknown), Err(Keep::Open));
    assert_eq!(judge(5, Word::Settled), Ok(()));
    // A taker's, of an epoch that is not open yet.
    assert_eq!(judge(6, Word::Settled), Err(Keep::Open));
    let one = references(1, 5, 0, &[OBJECT]);
    assert_eq!(judge_named(OBJECT, Epoch(1), Word::Settled, Some(&one)), Err(Keep::Referenced));
    assert_eq!(judge_named(OBJECT, Epoch(1), Word::Settled, None), Err(Keep::NoRecord));
}

proptest! {
    /// A bundle stays if any placement group in it references it or may still come to.
    #[test]
    fn a_bundle_goes_only_when_every_placement_group_lets_it(
        parts in proptest::collection::vec(
            (1..4u32, 0..40u64, 1..4u32, 0..40u64, 0..8u32), 1..4),
    ) {
        let (mut known, mut listed, mut may_go) = (BTreeMap::new(), Vec::new(), true);
        for (at, (epoch, from, record_epoch, tiered, kind)) in parts.iter().enumerate() {
            let pg = at as u32;
            listed.push((pg, *epoch, *from));
            let has: &[ObjectId] = if *kind == 1 { &[OBJECT] } else { &[] };
            if *kind > 0 {
                let references = references(pg, *record_epoch, *tiered, has);
                known.insert(PgId::new(pg).unwrap(), references);
            }
            // What a commit asks of the record.
            let may_commit = record_epoch < epoch || (record_epoch == epoch && tiered <= from);
            may_go &= *kind > 1 && !may_commit;
        }
        let outcome = judge_bundle(OBJECT, &directory(&listed), |pg| known.get(&pg));
        prop_assert_eq!(outcome.is_ok(), may_go, "{:?}", outcome);
    }
}

#[test]
fn what_deltas_removed_of_a_page_is_not_referenced() {
    let root = Root::empty(PgId::FIRST);
    let (stays, goes) = (entry(0, 0, OBJECT), entry(0, 10, ObjectId { id: 10, nonce: 1 }));
    let page = crate::tier::manifest::RunPage(vec![stays, goes]);
    let removed = [goes.key()].into();
    let overlay = Overlay { tiered: Lsn(20), removed, ..Overlay::default() };
    let mut references = References::new(Epoch(1), (None, &root), &overlay, None);
    assert!(references.is_empty());
    references.page(&page, &overlay, |_| true);
    assert!(references.has(OBJECT) && !references.has(goes.object));
    assert_eq!(references.len(), 1);
}

use super::super::key_page::{entries_in_page, places_in_page};
use super::super::mix64;
use super::super::queue_index::QueueNumber;
use super::*;
use proptest::prelude::*;

const AT: u64 = 1000;

fn place(queue: u32, delta: u64) -> KeyPlace {
    KeyPlace { queue: QueueNumber(queue), delta }
}

fn find(index: &KeyIndex, hash: KeyHash) -> Vec<KeyPlace> {
    let table = KeyTable::decode(&index.table).unwrap();
    let part = |span: Span| {
        let at = (span.at - AT) as usize;
        Bytes::copy_from_slice(&index.body[at..at + span.len as usize])
    };
    let Some(span) = table.partition(hash) else { return Vec::new() };
    let Some(pages) = Partition::decode(&part(span)).unwrap().pages(hash) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for page in part(table.pages(&pages)).chunks(KEY_PAGE_BYTES) {
        places_in_page(page, hash, &mut found, usize::MAX).unwrap();
    }
    found
}

#[test]
fn golden_bytes_of_a_page() {
    let mut builder = KeyIndexBuilder::default();
    builder.push(KeyHash(300), place(2, 5));
    builder.push(KeyHash(300), place(1, 200));
    builder.push(KeyHash(301), place(0, 0));
    let index = builder.finish(AT);
    assert_eq!(index.body[..13], [3, 0, 0xac, 2, 1, 0xc8, 1, 0, 2, 5, 1, 0, 0]);
    assert_eq!(index.body.len(), KEY_PAGE_BYTES + 8 + 8 + 32 + 4);
    assert_eq!(index.table[..20], [0xe8, 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0]);
}

#[test]
fn an_object_without_keys_answers_at_once() {
    let index = KeyIndexBuilder::default().finish(AT);
    let table = KeyTable::decode(&index.table).unwrap();
    assert_eq!(table.partition(KeyHash(1)), None);
    assert_eq!(table.body(), Span { at: AT, len: 0 });
}

#[test]
fn partitions_stay_small_with_many_keys() {
    let mut builder = KeyIndexBuilder::default();
    (0..300_000u64).for_each(|key| builder.push(KeyHash(mix64(key)), place(1, key)));
    let index = builder.finish(AT);
    let table = KeyTable::decode(&index.table).unwrap();
    let (count, largest) = table.partitions();
    assert!(count >= 6 && largest <= PARTITION_BYTES as u64, "{count} of up to {largest}");
    let bytes_per_key = index.body.len() as f64 / 300_000.0;
    assert!(bytes_per_key < 14.0, "{bytes_per_key}");
    for key in (0..300_000).step_by(997) {
        assert_eq!(find(&index, KeyHash(mix64(key))), [place(1, key)]);
    }
}

proptest! {
    #[test]
    fn every_place_of_a_key_is_found_and_no_other(
        keys in proptest::collection::vec((0..60u64, 0..5u32, 0..1u64 << 40), 0..2000),
        wide: bool, absent: u64,
    ) {
        let hash = |key: u64| if wide { KeyHash(mix64(key)) } else { KeyHash(key) };
        let mut builder = KeyIndexBuilder::default();
        let mut all: Vec<_> =
            keys.iter().map(|(key, queue, delta)| (hash(*key), place(*queue, *delta))).collect();
        all.iter().for_each(|(hash, place)| builder.push(*hash, *place));
        let index = builder.finish(AT);
        all.sort_unstable();
        all.dedup();
        for key in 0..60 {
            let wanted: Vec<_> =
                all.iter().filter(|(known, _)| *known == hash(key)).map(|(_, at)| *at).collect();
            prop_assert_eq!(find(&index, hash(key)), wanted);
        }
        prop_assume!(!all.iter().any(|(known, _)| known.0 == absent));
        prop_assert_eq!(find(&index, KeyHash(absent)), []);
        let table = KeyTable::decode(&index.table).unwrap();
        let pages = &index.body[..table.page_count() as usize * KEY_PAGE_BYTES];
        let mut read = Vec::new();
        for page in pages.chunks(KEY_PAGE_BYTES) {
            read.extend(entries_in_page(page).unwrap().map(Result::unwrap));
        }
        prop_assert_eq!(read, all);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }
}

//! What every bucket does, as checks.
//!
//! A test names the bucket and writes [`bucket_conformance!`](crate::bucket_conformance). Each check
//! gets a folder of its own, so that all may share one bucket. The checks hold behind faults too:
//! whether an object was stored by this attempt or by one before is nobody's business.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "these are tests")]

use super::super::{Bucket, Content, Error, Kind, Name, Purpose, Span};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::ops::Range;

const FOR: Purpose = Purpose::Check;

/// Writes one test per check for the bucket that `$open()` makes: a future of a bucket and of
/// whatever must live as long, or of `None` to skip the checks.
#[macro_export]
macro_rules! bucket_conformance {
    ($open:expr) => {
        $crate::bucket_conformance!(@each $open;
            what_is_stored_is_read_back
            ranges_are_exact
            storing_the_same_again_is_no_error
            another_object_of_the_same_name_is_refused
            of_racing_creators_one_wins
            a_large_object_goes_in_parts
            what_is_not_there_is_not_found
            names_are_listed_in_order_from_anywhere
            pages_of_names_join_without_gap
            a_folder_lists_only_what_is_in_it
            what_is_deleted_is_gone
            a_probe_finds_the_store_usable
            requests_and_bytes_are_counted
        );
    };
    (@each $open:expr; $($check:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let Some((bucket, _kept)) = $open.await else { return };
            $crate::object::testing::conformance::$check(&bucket).await;
        }
    )*};
}

/// A folder that no other run of any check uses.
fn room(bucket: &Bucket) -> Name {
    let nonce = bucket.shared.env.random_u64();
    Name::parse("conformance/room").and_then(|room| room.with_nonce(nonce)).expect("a name")
}

fn within(room: &Name, below: &str) -> Name {
    room.join(below).expect("a name")
}

/// Bytes that differ at every place and by seed.
fn bytes(len: usize, seed: u8) -> Bytes {
    let byte = |at: usize| {
        let [a, b, c, ..] = at.to_le_bytes();
        a ^ b.rotate_left(3) ^ c.rotate_left(5) ^ seed
    };
    (0..len).map(byte).collect::<Vec<u8>>().into()
}

async fn store(bucket: &Bucket, name: &Name, content: &Bytes) {
    bucket.create(name, content.clone(), FOR).await.expect("it is stored");
}

async fn holds(bucket: &Bucket, name: &Name, content: &Bytes) {
    let stored = bucket.get(name, Span::All, FOR).await.expect("it is there");
    assert!(stored.bytes == *content, "{name} holds what was stored");
}

async fn listed(bucket: &Bucket, folder: &Name, after: Option<&Name>) -> Vec<Name> {
    let mut listing = bucket.list(Some(folder), after, FOR);
    let mut names = Vec::new();
    while let Some(entry) = listing.next().await.expect("a page") {
        names.push(entry.name);
    }
    names
}

/// Also nothing, also in pieces.
pub async fn what_is_stored_is_read_back(bucket: &Bucket) {
    let room = room(bucket);
    for len in [0, 1, 4_096, 3 << 20] {
        let (name, content) = (within(&room, &format!("of-{len}")), bytes(len, 1));
        store(bucket, &name, &content).await;
        holds(bucket, &name, &content).await;
        let entry = bucket.head(&name, FOR).await.expect("it is there");
        assert_eq!((entry.name, entry.bytes), (name, len as u64));
    }
    let pieces: Vec<Bytes> = (0..9).map(|at| bytes(1_000, at)).collect();
    let (name, whole) = (within(&room, "pieces"), Bytes::from(pieces.concat()));
    bucket.create(&name, Content::from(pieces), FOR).await.expect("it is stored");
    holds(bucket, &name, &whole).await;
}

/// Neither more nor less, and an error where there is less.
pub async fn ranges_are_exact(bucket: &Bucket) {
    let (name, content) = (within(&room(bucket), "object"), bytes(100_000, 2));
    store(bucket, &name, &content).await;
    let cut = |range: Range<usize>| content.slice(range);
    for range in [0..1u64, 99_999..100_000, 5_000..70_000, 0..100_000] {
        let part = bucket.get(&name, range.clone(), FOR).await.expect("in range");
        assert_eq!((part.from, part.object_bytes), (range.start, 100_000));
        assert!(part.bytes == cut(range.start as usize..range.end as usize), "{range:?}");
    }
    for (tail, from) in [(1, 99_999), (64, 99_936), (1 << 20, 0)] {
        let part = bucket.get(&name, Span::Tail(tail), FOR).await.expect("a tail");
        assert_eq!((part.from, part.object_bytes), (from, 100_000));
        assert!(part.bytes == cut(from as usize..100_000), "the last {tail}");
    }
    for range in [99_999..100_001u64, 100_000..100_001, 500_000..500_001, 7..7] {
        let error = bucket.get(&name, range.clone(), FOR).await.expect_err("out of range");
        assert!(matches!(error, Error::OutOfRange { .. }), "{range:?}: {error}");
    }
    let ranges = [90_000..90_010u64, 0..10, 10..20, 50..60, 50..55];
    let parts = bucket.get_ranges(&name, &ranges, FOR).await.expect("ranges");
    for (range, part) in ranges.iter().zip(&parts) {
        assert!(*part == cut(range.start as usize..range.end as usize), "{range:?}");
    }
    assert_eq!(parts.len(), ranges.len());
}

/// By a writer that does not know whether it did.
pub async fn storing_the_same_again_is_no_error(bucket: &Bucket) {
    let (name, content) = (within(&room(bucket), "object"), bytes(5_000, 3));
    for _ in 0..3 {
        store(bucket, &name, &content).await;
    }
    holds(bucket, &name, &content).await;
}

/// Whether it has the same length or not; and what is there stays.
pub async fn another_object_of_the_same_name_is_refused(bucket: &Bucket) {
    let (name, content) = (within(&room(bucket), "object"), bytes(5_000, 4));
    store(bucket, &name, &content).await;
    for other in [bytes(5_000, 5), bytes(4_999, 4), bytes(0, 0)] {
        let error = bucket.create(&name, other, FOR).await.expect_err("foreign");
        assert!(matches!(error, Error::Foreign { found: 5_000, .. }), "{error}");
        holds(bucket, &name, &content).await;
    }
}

/// And the others know that they lost.
pub async fn of_racing_creators_one_wins(bucket: &Bucket) {
    let room = room(bucket);
    for round in 0..5 {
        let name = &within(&room, &format!("raced-for-{round}"));
        let race = |seed: u8| async move {
            match bucket.create(name, bytes(2_000, seed), FOR).await {
                Ok(_) => Some(seed),
                Err(Error::Foreign { .. }) => None,
                Err(error) => panic!("neither won nor lost: {error}"),
            }
        };
        let outcomes: Vec<Option<u8>> =
            stream::iter((0..6).map(race)).buffer_unordered(6).collect().await;
        let winners: Vec<u8> = outcomes.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        holds(bucket, name, &bytes(2_000, winners[0])).await;
    }
}

/// And is one object then.
pub async fn a_large_object_goes_in_parts(bucket: &Bucket) {
    let (name, len) = (within(&room(bucket), "large"), 17_000_003);
    let content = bytes(len, 6);
    store(bucket, &name, &content).await;
    let boundary = 8u64 << 20;
    for range in [boundary - 10..boundary + 10, 2 * boundary - 1..2 * boundary + 1] {
        let part = bucket.get(&name, range.clone(), FOR).await.expect("in range");
        assert!(part.bytes == content.slice(range.start as usize..range.end as usize));
    }
    holds(bucket, &name, &content).await;
    store(bucket, &name, &content).await;
    let error = bucket.create(&name, bytes(len, 7), FOR).await.expect_err("foreign");
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    holds(bucket, &name, &content).await;
}

/// However it is asked for.
pub async fn what_is_not_there_is_not_found(bucket: &Bucket) {
    let name = within(&room(bucket), "nothing");
    let errors = [
        bucket.get(&name, Span::All, FOR).await.map(|_| ()).expect_err("nothing"),
        bucket.get(&name, 3..4, FOR).await.map(|_| ()).expect_err("nothing"),
        bucket.head(&name, FOR).await.map(|_| ()).expect_err("nothing"),
    ];
    for error in errors {
        assert!(matches!(&error, Error::NotFound { name: of } if *of == name), "{error}");
    }
    assert!(listed(bucket, &name, None).await.is_empty());
}

/// By the bytes of the whole name, where a folder sorts by its parts.
pub async fn names_are_listed_in_order_from_anywhere(bucket: &Bucket) {
    let room = room(bucket);
    let below = ["b", "a/x", "a-1/x", "a.b", "a/y/z", "c/1", "c/2", "c-d", "Z", "a0", "c/10"];
    let mut names: Vec<Name> = below.iter().map(|below| within(&room, below)).collect();
    for name in &names {
        store(bucket, name, &bytes(10, 8)).await;
    }
    names.sort();
    assert_eq!(listed(bucket, &room, None).await, names);
    for (at, name) in names.iter().enumerate() {
        assert_eq!(listed(bucket, &room, Some(name)).await, names[at + 1..], "after {name}");
    }
    let between = within(&room, "a/m");
    let rest: Vec<Name> = names.iter().filter(|name| **name > between).cloned().collect();
    assert_eq!(listed(bucket, &room, Some(&between)).await, rest, "after what is not there");
}

/// More than a service tells at a time.
pub async fn pages_of_names_join_without_gap(bucket: &Bucket) {
    let room = room(bucket);
    let names: Vec<Name> = (0..1_012).map(|at| within(&room, &format!("{at:06}"))).collect();
    let content = bytes(3, 9);
    let all = names.iter().map(|name| store(bucket, name, &content));
    stream::iter(all).buffer_unordered(16).collect::<Vec<()>>().await;
    assert_eq!(listed(bucket, &room, None).await, names);
    bucket.delete(&names, FOR).await.expect("deleted");
    assert!(listed(bucket, &room, None).await.is_empty());
}

/// Not what has the same beginning.
pub async fn a_folder_lists_only_what_is_in_it(bucket: &Bucket) {
    let room = room(bucket);
    for below in ["ab/1", "abc/1", "ab-c", "a"] {
        store(bucket, &within(&room, below), &bytes(1, 0)).await;
    }
    let folder = within(&room, "ab");
    assert_eq!(listed(bucket, &folder, None).await, [within(&folder, "1")]);
}

/// And deleting it again is no error.
pub async fn what_is_deleted_is_gone(bucket: &Bucket) {
    let room = room(bucket);
    let names = ["a", "b/c", "never-there"].map(|below| within(&room, below));
    let [first, second, _] = &names;
    let stays = within(&room, "b/d");
    for name in [first, second, &stays] {
        store(bucket, name, &bytes(9, 0)).await;
    }
    bucket.delete(&names, FOR).await.expect("deleted");
    let error = bucket.get(first, Span::All, FOR).await.expect_err("gone");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_eq!(listed(bucket, &room, None).await, [stays]);
    bucket.delete(&names, FOR).await.expect("deleted again");
}

/// With all that makes it safe.
pub async fn a_probe_finds_the_store_usable(bucket: &Bucket) {
    let found = bucket.probe().await.expect("usable");
    assert!(found.create_only && found.lists_at_once && found.deletes_at_once, "{found:?}");
}

/// By purpose and kind.
pub async fn requests_and_bytes_are_counted(bucket: &Bucket) {
    let name = within(&room(bucket), "object");
    bucket.create(&name, bytes(1_000, 0), Purpose::Upload).await.expect("stored");
    bucket.get(&name, 0..10, Purpose::Compaction).await.expect("read");
    bucket.delete(std::slice::from_ref(&name), Purpose::Collection).await.expect("deleted");
    let usage = bucket.usage();
    let of = |purpose: Purpose, kind: Kind| {
        let mut rows = usage.iter().filter(|row| row.purpose == purpose && row.kind == kind);
        rows.next().copied().expect("it was used")
    };
    assert!(of(Purpose::Upload, Kind::Put).sent_bytes >= 1_000);
    assert_eq!(of(Purpose::Compaction, Kind::Get).received_bytes, 10);
    assert!(of(Purpose::Collection, Kind::Delete).requests >= 1);
}

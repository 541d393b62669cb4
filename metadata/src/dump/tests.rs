use super::*;
use crate::model::{GroupSpec, TopicSpec};
use crate::store::{KeyValue, LeaseId};
use proptest::prelude::*;
use protocol::names::{GroupName, TopicName};

const SECRET: [u8; 32] = [7; 32];

fn cluster() -> Cluster {
    Cluster { name: "DefaultCluster".into(), pgs: 4, secret: SECRET, created: Timestamp(1000) }
}

fn topic(name: &str) -> Topic {
    let spec = TopicSpec::new(TopicName::parse(name).unwrap());
    Topic::create(spec, &cluster(), 1 << 16, Timestamp(2000))
}

fn group(name: &str) -> Group {
    Group::create(GroupSpec::new(GroupName::parse(name).unwrap()), 77, Timestamp(3000))
}

fn pair(key: &str, value: Bytes) -> KeyValue {
    KeyValue { key: key.into(), value, modified: Revision(5), lease: None }
}

fn range() -> Range {
    let pairs = vec![
        pair(key::CLUSTER, cluster().encode()),
        pair("group/readers", group("readers").encode()),
        KeyValue { lease: Some(LeaseId(1)), ..pair("gw/a", Bytes::from_static(b"x")) },
        pair(key::UID, UidMark { next: 1 << 20 }.encode()),
        pair("pg/00001", Bytes::from_static(b"x")),
        pair("someday/user", Bytes::from_static(b"a password")),
        pair("topic/orders", topic("orders").encode()),
    ];
    Range { pairs, revision: Revision(9) }
}

fn dump() -> Dump {
    Dump::of(&range(), Timestamp(4000)).unwrap()
}

#[test]
fn a_dump_has_what_is_the_whole_clusters_and_no_secret() {
    let bytes = Bytes::from(dump().encode());
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(!has(&SECRET) && !has(b"a password") && !has(b"pg/") && !has(b"gw/"));
    let read = Dump::decode(&bytes).unwrap();
    assert_eq!(read, dump());
    assert_eq!((read.revision, read.taken), (Revision(9), Timestamp(4000)));
    assert_eq!(read.topics().collect::<Vec<_>>(), [topic("orders")]);
    assert_eq!(read.groups().collect::<Vec<_>>(), [group("readers")]);
    assert_eq!(read.uid_mark(), UidMark { next: 1 << 20 });
    assert_eq!(read.cluster(SECRET), Ok(cluster()));
}

#[test]
fn golden_bytes() {
    let hex: String = dump().encode()[..40].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "53444d50010000000900000000000000a00f000000000000040000000700636c7573746572160000"
    );
}

#[test]
fn a_store_whose_records_cannot_be_read_gives_no_dump() {
    let mut broken = range();
    broken.pairs[6].value = Bytes::from_static(b"\x09");
    let refused = Dump::of(&broken, Timestamp(0));
    assert!(matches!(refused, Err(DumpRefused::Record { ref key, .. }) if key == "topic/orders"));
    let empty = Range { pairs: Vec::new(), revision: Revision(1) };
    assert_eq!(Dump::of(&empty, Timestamp(0)), Err(DumpRefused::NoCluster));
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(at: prop::sample::Index, bit in 0..8u32) {
        let mut bytes = dump().encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Dump::decode(&bytes.into()).is_err());
    }

    #[test]
    fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), head: bool) {
        if head {
            bytes.splice(0..0, dump().encode()[..28].iter().copied());
        }
        for bytes in [bytes.clone(), sealed(bytes)] {
            if let Ok(read) = Dump::decode(&bytes.into()) {
                prop_assert_eq!(Dump::decode(&read.encode().into()), Ok(read));
            }
        }
    }
}

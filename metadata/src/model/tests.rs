//! The bytes of every record, and the nouns' rules that span files.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid};

fn cluster() -> Cluster {
    Cluster { name: "DefaultCluster".into(), pgs: 4, secret: [7; 32], created: Timestamp(1000) }
}

fn topic(queues: u32) -> Topic {
    let mut spec = TopicSpec::new(TopicName::parse("orders").unwrap());
    spec.queues = queues;
    spec.kind = TopicKind::Fifo;
    spec.attributes.insert("reserve.time".into(), "5".into());
    Topic::create(spec, &cluster(), 1 << 16, Timestamp(2000))
}

fn group() -> Group {
    Group::create(GroupSpec::new(GroupName::parse("billing").unwrap()), 77, Timestamp(3000))
}

fn pg_record() -> PgRecord {
    let gateway = GatewayId::parse("gw-1").unwrap();
    let owner = Owner { gateway: gateway.clone(), incarnation: Incarnation(0xABCD) };
    let member = Member { store: StoreId(1 << 64 | 2), gateway, zone: "a".into() };
    let first = PgRecord::create(PgId::new(3).unwrap(), owner.clone(), vec![member.clone()], 1);
    let base = PgId::new(3).unwrap().first_lsn().plus(4096);
    PgRecord {
        manifest_root: Some("m/3/1".into()),
        deltas: vec![Bytes::from_static(b"d")],
        ..first.open(owner, vec![member], 1, base)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn golden<R: Record + PartialEq + Debug>(record: &R, want: &str) {
    let value = record.encode();
    assert_eq!(hex(&value), want);
    assert_eq!(R::decode(&value).as_ref(), Ok(record));
    assert_eq!(R::decode(&[]), Err(RecordError::Empty));
    let mut newer = value.to_vec();
    newer[0] = 9;
    let refused = R::decode(&newer);
    assert!(matches!(refused, Err(RecordError::Schema { found: 9, .. })), "{refused:?}");
}

#[test]
fn a_cluster_has_these_bytes() {
    golden(
        &cluster(),
        "010a0e44656661756c74436c757374657210041a200707070707070707070707070707070707070707070707\
         07070707070707070720e807",
    );
}

#[test]
fn a_topic_has_these_bytes() {
    golden(
        &topic(6),
        "010a066f726465727310021a0210021a04080110021a04080210011a040803100120808004280630023a110a\
         0c726573657276652e74696d6512013540d00f",
    );
}

#[test]
fn a_clone_has_these_bytes_which_older_versions_refuse() {
    let (source, name) = (topic(2), TopicName::parse("copy").unwrap());
    let span = |queue: QueueUid| Span { from: QueueOffset(queue.0 & 1), to: QueueOffset(300) };
    let origin = Origin::of(&source, Timestamp(3000), span);
    golden(
        &Topic::cloned(&source, name, origin, 2 << 16, Timestamp(4000)),
        "020a04636f707910021a0210011a040801100120808008280630023a110a0c726573657276652e74696d6512013540\
         a01f4a1f0a066f72646572731080800418b817220200012a0a088080041204ac02ab02",
    );
}

#[test]
fn a_group_has_these_bytes() {
    golden(
        &group(),
        "010a0762696c6c696e67104d22370a35e8078827904eb0ea01e0d403c0a907a0fe0a80d30ee0a712c0fc15a0\
         d11980a61de0fa20c0cf24809f49c0ee6d80dddb0180bab7032811300140b817",
    );
    let retry = RetryPolicy::Exponential {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(7200),
        multiplier: 2,
    };
    let exponential = Group { retry, order: Order::Fifo, ..group() };
    golden(&exponential, "010a0762696c6c696e67104d1801220c120a0888271080bab70318022811300140b817");
}

#[test]
fn a_gateway_has_these_bytes() {
    let record = GatewayRecord {
        id: GatewayId::parse("gw-1").unwrap(),
        incarnation: Incarnation(0xABCD),
        zone: "a".into(),
        addresses: BTreeMap::from([("grpc".into(), "10.0.0.1:8081".into())]),
        started: Timestamp(4000),
    };
    golden(
        &record,
        "010a0467772d3111cdab0000000000001a016122150a0467727063120d31302e302e302e313a3830383128a0\
         1f",
    );
}

#[test]
fn a_placement_group_has_these_bytes() {
    golden(
        &pg_record(),
        "010802120467772d3119cdab000000000000221b0901000000000000001102000000000000001a0467772d31\
         22016128013080a080808080c00138808080808080c00142056d2f332f314a0164",
    );
}

#[test]
fn a_uid_mark_has_these_bytes() {
    golden(&UidMark::FIRST, "0108808004");
}

#[test]
fn opening_keeps_what_is_in_the_bucket() {
    let record = pg_record();
    let next = record.open(record.owner.clone(), Vec::new(), 2, Lsn(99));
    assert_eq!((next.epoch, next.base, next.quorum), (Epoch(3), Lsn(99), 2));
    assert_eq!(next.tiered, record.tiered);
    assert_eq!((next.manifest_root, next.deltas), (record.manifest_root, record.deltas));
}

#[test]
fn queue_i_lies_in_the_i_mod_pth_share_and_has_uid_base_plus_i() {
    let topic = topic(10);
    assert!(topic.queues().is_sorted_by_key(|queue| (queue.pg, queue.id)));
    for i in 0..10_u32 {
        let share = topic.spread[i as usize % 4];
        let queue = topic.queue(share.pg, i / 4).unwrap();
        assert_eq!(queue.uid, QueueUid(topic.uid_base + u64::from(i)));
        assert!(topic.queues_in(share.pg).contains(queue));
    }
    assert_eq!(topic.queue(topic.spread[0].pg, 3), None);
    assert_eq!(topic.queues_in(PgId::new(9).unwrap()), []);
}

#[test]
fn a_grown_topic_has_every_queue_it_had() {
    let small = topic(5);
    let large = small.changed(TopicSpec { queues: 16, ..small.spec() });
    assert_eq!(large.queues().len(), 16);
    assert!(small.queues().iter().all(|queue| large.queues().contains(queue)));
    assert_eq!((large.uid_base, large.created), (small.uid_base, small.created));
}

#[test]
fn a_dead_letter_topic_is_one_queue_of_one_uid_in_every_placement_group() {
    let topic = Topic::dead_letter(&group(), &cluster());
    assert_eq!(topic.name.as_str(), "%DLQ%billing");
    let got: Vec<_> = topic.queues().iter().map(|q| (q.pg.get(), q.id, q.uid)).collect();
    let uid = group().dead_letter_queue();
    assert_eq!(got, [(0, 0, uid), (1, 0, uid), (2, 0, uid), (3, 0, uid)]);
    let retry = Topic::retry(&group(), &cluster());
    assert_eq!(retry.name.as_str(), "%RETRY%billing");
    assert!(retry.queues().iter().all(|queue| queue.uid == NEVER_OPENED));
}

#[test]
fn a_secret_is_not_printed() {
    assert!(!format!("{:?}", cluster()).contains('7'));
}

#[test]
fn uids_end_before_they_could_be_negative() {
    let mark = UidMark { next: i64::MAX as u64 - 1 };
    assert_eq!(mark.taking(1), Some(UidMark { next: i64::MAX as u64 }));
    assert_eq!(mark.taking(2), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut value in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(schema) = value.first_mut() {
            *schema = 1 + (*schema & 1);
        }
        if let Ok(topic) = Topic::decode(&value) {
            prop_assert_eq!(Topic::decode(&topic.encode()), Ok(topic));
        }
        let _ = Group::decode(&value);
        let _ = GatewayRecord::decode(&value);
        let _ = PgRecord::decode(&value);
        let _ = Cluster::decode(&value);
    }
}

#[test]
fn a_group_that_was_replayed_to_names_a_queue_in_each_placement_group_of_the_topic() {
    let topic = topic(6);
    let group = group().with_replayed(&topic, 99);
    let queues = group.replayed(&topic);
    let queue = |pg| TopicQueue { pg, id: REPLAY_QUEUE_ID, uid: QueueUid(99) };
    assert_eq!(queues, cluster().pgs().map(queue).collect::<Vec<_>>());
    assert_eq!(group.with_replayed(&topic, 100), group, "they stay");
    assert_eq!(group.changed(group.spec()), group, "whatever else is changed");
    let anew = Topic::create(topic.spec(), &cluster(), 1, Timestamp(0));
    assert!(group.replayed(&anew).is_empty());
    assert_eq!(Group::decode(&group.encode()).as_ref(), Ok(&group));
    assert_eq!(group.encode()[0], 2, "a version that would lose them must refuse it");
    assert_eq!(topic.replayed(queues).queues(), queues);
}

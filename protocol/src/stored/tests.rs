//! Golden bytes were made with `rocketmq-common` 5.5.0 (`MessageDecoder`, `UtilAll`, `String.hashCode`,
//! Guava's `sipHash24`), but for the second layout, which that class only reads: it read ours back.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn message(topic: &str, born: &str, store: &str) -> StoredMessage {
    StoredMessage {
        queue_id: 3,
        flag: 7,
        queue_offset: 0x11_2233_4455,
        physical_offset: 0x66_7788_99AA,
        sys_flag: SysFlag::default(),
        born_at: 1_700_000_000_123,
        born_host: addr(born),
        stored_at: 1_700_000_000_456,
        store_host: addr(store),
        reconsume_times: 2,
        prepared_transaction_offset: 0x0102,
        body: Bytes::from_static(b"hello"),
        topic: topic.to_owned(),
        properties: Properties::from_iter([("a", "b")]),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const V1: &str = "0000006a daa320a7 3610a686 00000003 00000007 0000001122334455 00000066778899aa 00000000 \
    0000018bcfe5687b 0a010203 0000d431 0000018bcfe569c8 7f000001 00002a9f 00000002 0000000000000102 \
    00000005 68656c6c6f 06 6f7264657273 0004 61016202";
const V1_BOTH_HOSTS_V6: &str = "00000082 daa320a7 3610a686 00000003 00000007 0000001122334455 \
    00000066778899aa 00000030 0000018bcfe5687b 20010db8000000000000000000000001 0000d431 0000018bcfe569c8 \
    00000000000000000000000000000001 00002a9f 00000002 0000000000000102 00000005 68656c6c6f 06 6f7264657273 \
    0004 61016202";
const V1_BORN_HOST_V6: &str = "00000072 daa320a7 3610a686 00000003 00000007 0000001122334455 \
    00000066778899aa 00000010 0000018bcfe5687b 20010db8000000000000000000000001 0000d431 0000018bcfe569c8 \
    0a000001 00002a9f 00000002 0000000000000102 00000005 68656c6c6f 06 6f7264657273 0000";
const V2_AFTER_BODY: &str = "0080";

#[test]
fn messages_have_apache_s_bytes() {
    let v4 = message("orders", "10.1.2.3:54321", "127.0.0.1:10911");
    let v6 = message("orders", "[2001:db8::1]:54321", "[::1]:10911");
    let mut mixed = message("orders", "[2001:db8::1]:54321", "10.0.0.1:10911");
    mixed.properties = Properties::new();
    for (message, golden) in [(v4, V1), (v6, V1_BOTH_HOSTS_V6), (mixed, V1_BORN_HOST_V6)] {
        assert_eq!(hex(&message.encode().unwrap().to_bytes()), golden.replace(' ', ""));
        let read = decode(unhex(golden)).unwrap();
        assert_eq!(read.topic, message.topic);
        assert_eq!(read.born_host, message.born_host);
        assert_eq!(read.store_host, message.store_host);
        assert_eq!(read.properties, message.properties);
        assert_eq!(read.encode().unwrap(), message.encode().unwrap());
    }
}

#[test]
fn topic_over_127_bytes_takes_the_second_layout() {
    let short = message(&"t".repeat(127), "10.1.2.3:54321", "127.0.0.1:10911");
    let long = message(&"t".repeat(128), "10.1.2.3:54321", "127.0.0.1:10911");
    let short_bytes = short.encode().unwrap().to_bytes();
    let long_bytes = long.encode().unwrap().to_bytes();
    assert_eq!(hex(&short_bytes[4..8]), "daa320a7");
    assert_eq!(hex(&long_bytes[4..8]), "daa320ab");
    assert_eq!(hex(&long_bytes[93..95]), V2_AFTER_BODY);
    assert_eq!(long_bytes.len(), short_bytes.len() + 2);
    assert_eq!(decode(long_bytes).unwrap(), long);
}

#[test]
fn positions_to_patch_are_those_of_the_fields() {
    for born in ["10.1.2.3:1", "[2001:db8::1]:1"] {
        let mut message = message("orders", born, "[::1]:10911");
        let mut encoded = message.encode().unwrap();
        for (at, value) in
            [(encoded.offset_at, 11_i64), (encoded.lsn_at, -12), (encoded.time_at, 13)]
        {
            let at = usize::try_from(at).unwrap();
            encoded.head[at..at + 8].copy_from_slice(&value.to_be_bytes());
        }
        (message.queue_offset, message.physical_offset, message.stored_at) = (11, -12, 13);
        assert_eq!(encoded, message.encode().unwrap());
    }
}

#[test]
fn body_shares_the_buffer() {
    let bytes = message("orders", "10.1.2.3:1", "127.0.0.1:1").encode().unwrap().to_bytes();
    let range = bytes.as_ptr_range();
    assert!(range.contains(&decode(bytes).unwrap().body.as_ptr()));
}

#[test]
fn several_messages_follow_each_other() {
    let first = message("a", "10.1.2.3:1", "127.0.0.1:1");
    let second = message("b", "[::2]:1", "127.0.0.1:1");
    let mut bytes: Bytes =
        [first.encode().unwrap().to_bytes(), second.encode().unwrap().to_bytes()].concat().into();
    assert!(matches!(decode(bytes.clone()), Err(StoredError::Size { .. })));
    assert_eq!(decode_next(&mut bytes).unwrap().unwrap().topic, "a");
    assert_eq!(decode_next(&mut bytes).unwrap().unwrap().topic, "b");
    assert_eq!(decode_next(&mut bytes), Ok(None));
}

#[test]
fn every_truncation_and_every_bit_flip_of_the_body_is_found() {
    let bytes = message("orders", "10.1.2.3:1", "127.0.0.1:1").encode().unwrap().to_bytes();
    for end in 0..bytes.len() {
        assert!(decode(bytes.slice(..end)).is_err(), "cut at {end}");
    }
    for bit in 0..40 {
        let mut flipped = bytes.to_vec();
        flipped[88 + bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(decode(flipped.into()), Err(StoredError::BodyChecksum { .. })));
    }
}

#[test]
fn lengths_that_do_not_fit_their_field_are_refused() {
    let mut long = message("orders", "10.1.2.3:1", "127.0.0.1:1");
    long.properties.set("k", "v".repeat(PROPERTIES_BYTES_MAX));
    assert!(matches!(long.encode(), Err(StoredError::TooLong { field: "properties", .. })));
    let long = message(&"t".repeat(32_768), "10.1.2.3:1", "127.0.0.1:1");
    assert!(matches!(long.encode(), Err(StoredError::TooLong { field: "topic", .. })));
}

#[test]
fn body_checksum_is_crc32_without_the_top_bit() {
    // The check value of CRC-32/ISO-HDLC is cbf43926.
    assert_eq!(body_crc(b"123456789"), 0x4bf4_3926);
    assert_eq!(body_crc(b""), 0);
}

#[test]
fn sys_flag_fields() {
    let flag = SysFlag(0x301).with(SysFlag::NEED_UNWRAP);
    assert_eq!(flag.compression(), Some(Compression::Zlib));
    assert_eq!(SysFlag(0x300).compression(), None);
    for state in [
        TransactionState::None,
        TransactionState::Prepared,
        TransactionState::Committed,
        TransactionState::RolledBack,
    ] {
        let with = SysFlag::ROLLED_BACK.with(SysFlag::COMPRESSED).with_transaction(state);
        assert_eq!(with.transaction(), state);
        assert!(with.contains(SysFlag::COMPRESSED));
    }
}

#[test]
fn properties_have_apache_s_string() {
    let properties = Properties::from_iter([("KEYS", "k1 k2"), ("TAGS", "TagA"), ("空", "值")]);
    let golden = "4b455953016b31206b320254414753015461674102e7a9ba01e580bc02";
    assert_eq!(hex(properties.encode().as_bytes()), golden);
    assert_eq!(properties.encoded_len(), golden.len() / 2);
    assert_eq!(Properties::decode(&properties.encode()), properties);
}

#[test]
fn odd_properties_are_read_as_java_reads_them() {
    let read = Properties::decode("\u{1}v\u{2}k\u{1}v\u{2}x\u{2}\u{2}k\u{1}w\u{1}z");
    assert_eq!(read.iter().collect::<Vec<_>>(), [("k", "w\u{1}z")]);
    assert!(Properties::decode("").is_empty());
}

#[test]
fn a_value_cannot_bring_in_a_property() {
    let mut properties = Properties::new();
    properties.set("UNIQ_KEY", "id\u{2}TRAN_MSG\u{1}true");
    properties.set("a\u{1}b", "c");
    properties.set("", "nothing");
    let read = Properties::decode(&properties.encode());
    assert_eq!(read.get(property::TRANSACTION_PREPARED), None);
    assert_eq!(read.get("a b"), Some("c"));
    assert_eq!(read.len(), 2);
}

#[test]
fn setting_keeps_the_place_and_removing_closes_it() {
    let mut properties = Properties::from_iter([("a", "1"), ("b", "2"), ("c", "3")]);
    properties.set("a", "4");
    assert_eq!(properties.remove("b").as_deref(), Some("2"));
    assert_eq!(properties.remove("b"), None);
    assert_eq!(properties.iter().collect::<Vec<_>>(), [("a", "4"), ("c", "3")]);
}

#[test]
fn java_hash_is_java_s() {
    for (text, hash) in [
        ("", 0),
        ("TagA", 2_598_919),
        ("hello", 99_162_322),
        ("polygenelubricants", i32::MIN),
        ("Aa", 2112),
        ("BB", 2112),
        ("😀", 1_772_899),
        ("标签", 857_175),
    ] {
        assert_eq!(java_hash(text), hash, "{text}");
    }
    assert_eq!(tag_hash("polygenelubricants"), 0xffff_ffff_8000_0000);
    assert_eq!(tag_hash("TagA"), 2_598_919);
}

#[test]
fn ordered_queue_is_the_one_that_java_producers_choose() {
    let eight = NonZeroUsize::new(8).unwrap();
    let seven = NonZeroUsize::new(7).unwrap();
    // The first and the last key are vectors of the SipHash paper: 726fdb47dd0e0e31 and the
    // negative a129ca6149be45e5.
    let paper: String = (0..15_u8).map(char::from).collect();
    for (key, of_eight, of_seven) in
        [("", 1, 5), ("order-1", 7, 5), ("order-2", 6, 5), ("组", 4, 1), (paper.as_str(), 5, 4)]
    {
        assert_eq!(ordered_queue(key, eight), of_eight, "{key:?}");
        assert_eq!(ordered_queue(key, seven), of_seven, "{key:?}");
    }
}

#[test]
fn offset_message_ids_are_apache_s() {
    for (host, id) in [
        ("127.0.0.1:10911", "7F00000100002A9F00000066778899AA"),
        ("[2001:db8::1]:10911", "20010DB800000000000000000000000100002A9F00000066778899AA"),
    ] {
        assert_eq!(offset_message_id(addr(host), 0x66_7788_99AA), id);
        assert_eq!(parse_offset_message_id(id), Some((addr(host), 0x66_7788_99AA)));
    }
    for wrong in ["", "7F", "7F00000100012A9F00000066778899AA", "+F00000100002A9F00000066778899AA"]
    {
        assert_eq!(parse_offset_message_id(wrong), None);
    }
}

#[test]
fn client_message_ids_are_taken_apart() {
    // Made by MessageClientIDSetter in a sandbox: its made-up IPv4 address, process 2, counter 0.
    let text = "FD00000000000000000000000000000221B530946E09706C28950000";
    assert_eq!(ClassicId::parse(text), None, "IPv6 ids are longer and opaque");
    let classic = ClassicId {
        ip: [10, 1, 2, 3].into(),
        process: 0x1234,
        class_loader: 0x21B5_3094,
        since_month_ms: 0x6E09_706C,
        counter: 7,
    };
    assert_eq!(classic.to_string(), "0A010203123421B530946E09706C0007");
    assert_eq!(ClassicId::parse(&classic.to_string()), Some(classic));
    let grpc = GrpcId {
        mac: [0x56, 0x35, 0x8C, 0x13, 0x20, 0xC7],
        process: 0x6E4F,
        seconds: 0x06CA_5B31,
        sequence: 0,
    };
    assert_eq!(grpc.to_string(), "0156358C1320C76E4F06CA5B3100000000");
    assert_eq!(GrpcId::parse("0156358C1320C76E4F06CA5B3100000000"), Some(grpc));
    assert_eq!(GrpcId::parse("0256358C1320C76E4F06CA5B3100000000"), None);
    assert_eq!(GrpcId::parse("x"), None);
}

#[test]
fn batch_has_apache_s_bytes() {
    let golden =
        "00000029 00000000 00000000 00000009 00000005 626f647931 000e 6101620257414954017472756502";
    let part = BatchPart {
        flag: 9,
        body: Bytes::from_static(b"body1"),
        properties: Properties::from_iter([("a", "b"), ("WAIT", "true")]),
    };
    let bytes = encode_batch(std::slice::from_ref(&part)).unwrap();
    assert_eq!(hex(&bytes), golden.replace(' ', ""));
    let two = encode_batch(&[part.clone(), part.clone()]).unwrap();
    assert_eq!(decode_batch(two.clone()), Ok(vec![part.clone(), part]));
    for end in (1..two.len()).filter(|end| *end != bytes.len()) {
        assert!(decode_batch(two.slice(..end)).is_err(), "cut at {end}");
    }
}

fn any_host() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

prop_compose! {
    fn any_message()(
        numbers in any::<[i32; 4]>(),
        longs in any::<[i64; 5]>(),
        hosts in (any_host(), any_host()),
        body in prop::collection::vec(any::<u8>(), 0..200),
        topic in ".{0,200}",
        pairs in prop::collection::vec((".{0,8}", ".{0,30}"), 0..8),
    ) -> StoredMessage {
        let mut message = StoredMessage {
            queue_id: numbers[0],
            flag: numbers[1],
            queue_offset: longs[0],
            physical_offset: longs[1],
            sys_flag: SysFlag(numbers[2]),
            born_at: longs[2],
            born_host: hosts.0,
            stored_at: longs[3],
            store_host: hosts.1,
            reconsume_times: numbers[3],
            prepared_transaction_offset: longs[4],
            body: body.into(),
            topic,
            properties: Properties::from_iter(pairs),
        };
        let hosts_v6 = SysFlag::BORN_HOST_V6.with(SysFlag::STORE_HOST_V6);
        message.sys_flag = message.sys_flag.without(hosts_v6);
        if message.born_host.is_ipv6() {
            message.sys_flag = message.sys_flag.with(SysFlag::BORN_HOST_V6);
        }
        if message.store_host.is_ipv6() {
            message.sys_flag = message.sys_flag.with(SysFlag::STORE_HOST_V6);
        }
        message
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(message in any_message()) {
        prop_assert_eq!(decode(message.encode().unwrap().to_bytes()), Ok(message));
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (decode(bytes.clone().into()), decode_batch(bytes.into()));
    }

    #[test]
    fn damaged_messages_never_panic(
        message in any_message(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = message.encode().unwrap().to_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(bytes.into());
    }

    #[test]
    fn properties_survive_their_string(pairs in prop::collection::vec((".{0,5}", ".{0,9}"), 0..20)) {
        let properties = Properties::from_iter(pairs);
        prop_assert_eq!(Properties::decode(&properties.encode()), properties);
    }

    #[test]
    fn any_string_decodes_to_properties_that_encode(text in any::<String>()) {
        let read = Properties::decode(&text);
        prop_assert_eq!(Properties::decode(&read.encode()), read);
    }

    #[test]
    fn batches_survive(parts in prop::collection::vec((any::<i32>(), ".{0,20}", ".{1,5}"), 0..5)) {
        let parts: Vec<_> = parts
            .into_iter()
            .map(|(flag, body, key)| BatchPart {
                flag,
                body: body.into(),
                properties: Properties::from_iter([(key, "v")]),
            })
            .collect();
        prop_assert_eq!(decode_batch(encode_batch(&parts).unwrap()), Ok(parts));
    }

    #[test]
    fn ids_survive_and_garbage_is_none(
        host in any_host(),
        offset in any::<i64>(),
        mac in any::<[u8; 6]>(),
        words in any::<(u16, u32, u32)>(),
        text in any::<String>(),
    ) {
        let id = offset_message_id(host, offset);
        prop_assert_eq!(parse_offset_message_id(&id), Some((host, offset)));
        let id = GrpcId { mac, process: words.0, seconds: words.1, sequence: words.2 };
        prop_assert_eq!(GrpcId::parse(&id.to_string()), Some(id));
        let id = ClassicId {
            ip: words.2.into(),
            process: words.0,
            class_loader: words.1,
            since_month_ms: words.2,
            counter: words.0,
        };
        prop_assert_eq!(ClassicId::parse(&id.to_string()), Some(id));
        let _ = (parse_offset_message_id(&text), GrpcId::parse(&text), ClassicId::parse(&text));
    }

    #[test]
    fn ordered_queue_is_one_of_the_queues(key in any::<String>(), queues in 1_usize..10_000) {
        prop_assert!(ordered_queue(&key, NonZeroUsize::new(queues).unwrap()) < queues);
    }
}

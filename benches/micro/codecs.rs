//! What becomes of a message's bytes on its way in and out.

use super::Bench;
use bytes::Bytes;
use prost::Message as _;
use protocol::grpc::v2 as pb;
use protocol::stored::{Properties, StoredMessage, SysFlag, decode, property, tag_hash};
use std::hint::black_box;
use std::net::SocketAddr;

const BODY_BYTES: usize = 1024;

pub(super) fn run(bench: &Bench) {
    let message = stored();
    bench.time("stored message: encode, 1 KiB", 1, || black_box(&message).encode().unwrap());
    let encoded = message.encode().unwrap();
    let whole = Bytes::from([&encoded.head[..], &encoded.body, &encoded.tail].concat());
    bench.time("stored message: decode, 1 KiB", 1, || decode(whole.clone()).unwrap());
    let text = message.properties.encode();
    bench.time("properties: decode, 4", 1, || Properties::decode(black_box(&text)));
    bench.time("tag hash", 1, || tag_hash(black_box("paid")));
    let request = request();
    bench.time("SendMessage request: encode, 1 KiB", 1, || black_box(&request).encode_to_vec());
    let wire = Bytes::from(request.encode_to_vec());
    bench.time("SendMessage request: decode, 1 KiB", 1, || {
        pb::SendMessageRequest::decode(wire.clone()).unwrap()
    });
}

fn stored() -> StoredMessage {
    let mut properties = Properties::default();
    for (name, value) in [
        (property::UNIQ_KEY, "01A2B3C4D5E6F7000000000001"),
        (property::TAGS, "paid"),
        (property::KEYS, "order-17 customer-4"),
        ("shop", "north"),
    ] {
        properties.set(name, value);
    }
    let host = SocketAddr::from(([127, 0, 0, 1], 8081));
    StoredMessage {
        queue_id: 3,
        flag: 0,
        queue_offset: 17,
        physical_offset: 1 << 48,
        sys_flag: SysFlag::default(),
        born_at: 1_700_000_000_000,
        born_host: host,
        stored_at: 1_700_000_000_001,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: vec![7; BODY_BYTES].into(),
        topic: "orders".to_owned(),
        properties,
    }
}

fn request() -> pb::SendMessageRequest {
    let message = pb::Message {
        topic: Some(pb::Resource { resource_namespace: String::new(), name: "orders".to_owned() }),
        user_properties: [("shop".to_owned(), "north".to_owned())].into(),
        system_properties: Some(pb::SystemProperties {
            tag: Some("paid".to_owned()),
            keys: vec!["order-17".to_owned(), "customer-4".to_owned()],
            message_id: "01A2B3C4D5E6F7000000000001".to_owned(),
            message_type: pb::MessageType::Normal as i32,
            born_host: "client-1".to_owned(),
            ..pb::SystemProperties::default()
        }),
        body: vec![7; BODY_BYTES].into(),
    };
    pb::SendMessageRequest { messages: vec![message] }
}

//! Messages looked at by their place, by key and by id.

use crate::world::{Client, Reply, World, brokers, send};
use bytes::Bytes;
use protocol::remoting::{Frame, RequestCode, ResponseCode};
use protocol::stored::{self, StoredMessage, property};

/// What `queryMsgByKey` sends; `fields` take the place of those of the same name.
async fn search(client: &mut Client, key: &str, fields: &[(&str, &str)]) -> Frame {
    let end = i64::MAX.to_string();
    let mut all = vec![
        ("topic", "Orders"),
        ("key", key),
        ("maxNum", "64"),
        ("beginTimestamp", "0"),
        ("endTimestamp", &end),
        ("indexType", "K"),
        ("_UNIQUE_KEY_QUERY", "false"),
    ];
    all.extend_from_slice(fields);
    client.ask(RequestCode::QUERY_MESSAGE, &all, "").await
}

fn messages(reply: Frame) -> Vec<StoredMessage> {
    let mut body: Bytes = reply.expect_success().body;
    std::iter::from_fn(|| stored::decode_next(&mut body).unwrap()).collect()
}

fn ids(messages: &[StoredMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.properties.get(property::UNIQ_KEY).unwrap()).collect()
}

fn not_found() -> (i32, String) {
    let remark = "can not find message, maybe time range not correct";
    (ResponseCode::QUERY_NOT_FOUND, remark.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_finds_each_message_once_however_many_brokers_are_asked() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 6).await;
    let mut client = world.broker().await;
    for _ in 0..2 {
        let reply = search(&mut client, "all", &[]).await;
        assert!(reply.ext.get("indexLastUpdateTimestamp").is_some());
        assert!(reply.ext.get("indexLastUpdatePhyoffset").is_some());
        let found = messages(reply);
        assert_eq!(ids(&found), ["id-5", "id-4", "id-3", "id-2", "id-1", "id-0"]);
        for _ in brokers().into_iter().skip(1) {
            assert_eq!(search(&mut client, "all", &[]).await.refused(), not_found());
        }
    }
    let found = messages(search(&mut client, "order-3", &[]).await);
    assert_eq!(ids(&found), ["id-3"]);
    let found = messages(search(&mut client, "all", &[("maxNum", "2")]).await);
    assert_eq!(ids(&found), ["id-5", "id-4"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_id_finds_its_message() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 3).await;
    let mut client = world.broker().await;
    let unique = [("_UNIQUE_KEY_QUERY", "true"), ("indexType", "U")];
    let found = messages(search(&mut client, "id-1", &unique).await);
    assert_eq!(ids(&found), ["id-1"]);
    // A key is no id.
    assert_eq!(search(&mut client, "order-1", &unique).await.refused(), not_found());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_without_result_or_sense_is_refused() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 3).await;
    let mut client = world.broker().await;
    assert_eq!(search(&mut client, "nothing", &[]).await.refused(), not_found());
    let missing = [("topic", "Missing")];
    assert_eq!(search(&mut client, "all", &missing).await.refused(), not_found());
    let earlier = [("endTimestamp", "1000")];
    assert_eq!(search(&mut client, "all", &earlier).await.refused(), not_found());
    for (field, code, remark) in [
        (("indexType", "T"), ResponseCode::INVALID_PARAMETER, "by tag"),
        (("indexType", "Z"), ResponseCode::INVALID_PARAMETER, "kind of key Z"),
        (("maxNum", "many"), ResponseCode::SYSTEM_ERROR, "maxNum"),
        (("beginTimestamp", "then"), ResponseCode::SYSTEM_ERROR, "beginTimestamp"),
    ] {
        let (got, said) = search(&mut client, "all", &[field]).await.refused();
        assert_eq!(got, code, "{field:?}: {said}");
        assert!(said.contains(remark), "{field:?}: {said}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_viewed_at_its_position() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 3).await;
    let mut client = world.broker().await;
    let code = RequestCode::VIEW_MESSAGE_BY_ID;
    for message in messages(search(&mut client, "all", &[]).await) {
        let position = message.physical_offset.to_string();
        let fields = [("topic", "Orders"), ("offset", &*position)];
        assert_eq!(messages(client.ask(code, &fields, "").await), [message]);
        let inside = (position.parse::<i64>().unwrap() + 1).to_string();
        for nothing in [&*inside, "-1", "9223372036854775807"] {
            let (code, remark) = client.ask(code, &[("offset", nothing)], "").await.refused();
            assert_eq!(code, ResponseCode::SYSTEM_ERROR, "{nothing}");
            let like = ["can not find message by the offset, ", "is not served here"];
            assert!(like.iter().any(|like| remark.contains(like)), "{nothing}: {remark}");
        }
    }
    for (fields, remark) in [
        (&[][..], "the custom field <offset> is null"),
        (&[("offset", "here")], "the custom field <offset> cannot be read"),
    ] {
        let refused = client.ask(code, fields, "").await.refused();
        assert_eq!(refused, (ResponseCode::SYSTEM_ERROR, remark.to_owned()));
    }
    world.stop().await;
}

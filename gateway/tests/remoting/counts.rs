//! What is in topics, and brokers' own numbers.

use crate::world::{Reply, World, brokers, send};
use protocol::remoting::{RequestCode, ResponseCode};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn stats_have_one_row_for_each_queue_whichever_broker_is_meant() {
    let world = World::start().await;
    world.topic("Orders", 6).await;
    let mut client = world.broker().await;
    let mut merged = BTreeSet::new();
    for _ in brokers() {
        let table = client.stats("Orders").await;
        assert_eq!(table.offset_table.len(), 6);
        for (queue, offset) in table.offset_table {
            assert_eq!((offset.min_offset, offset.max_offset), (0, 0));
            merged.insert(queue);
        }
    }
    assert_eq!(merged.len(), 6);
    let missing = client.ask(RequestCode::GET_TOPIC_STATS_INFO, &[("topic", "Missing")], "").await;
    assert_eq!(
        missing.refused(),
        (ResponseCode::TOPIC_NOT_EXIST, "topic[Missing] not exist".into())
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_come_once_for_each_broker() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    send(&world, "Orders", 13).await;
    let mut client = world.broker().await;
    let table = client.stats("Orders").await;
    let offsets = table.offset_table.iter();
    assert_eq!(offsets.map(|(_, offset)| offset.max_offset).sum::<i64>(), 13);
    for (queue, offset) in &table.offset_table {
        assert_eq!(offset.last_update_timestamp > 0, offset.max_offset > 0, "{queue:?}");
    }
    assert!(table.topic_put_tps > 0.0);

    let number = |text: &str| text.parse::<u64>().unwrap();
    let mut sum = 0;
    for _ in brokers() {
        let info = client.runtime().await;
        let own = number(&info["msgPutTotalTodayNow"]);
        let of_queues = table
            .offset_table
            .iter()
            .filter(|(queue, _)| queue.broker_name == info["brokerName"])
            .map(|(_, offset)| offset.max_offset as u64);
        assert_eq!(own, of_queues.sum::<u64>(), "{}", info["brokerName"]);
        assert_eq!(number(&info["putMessageSizeTotal"]), own * 5);
        assert_eq!(number(&info["addressMsgPutTotalTodayNow"]), 13);
        sum += own;
    }
    assert_eq!(sum, 13);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runtime_info_takes_turns_among_the_brokers() {
    let world = World::start().await;
    let mut client = world.broker().await;
    let mut names = Vec::new();
    for _ in brokers() {
        let info = client.runtime().await;
        for (key, like) in [
            ("brokerActive", "true"),
            ("brokerVersionDesc", "V5_5_0"),
            ("msgPutTotalTodayNow", "0"),
            ("msgGetTotalTodayMorning", "0"),
            ("addressBrokers", "4"),
            ("sendThreadPoolQueueSize", "0"),
        ] {
            assert_eq!(info.get(key).map(String::as_str), Some(like), "{key}");
        }
        for (key, numbers) in [
            ("putTps", 3),
            ("getTransferredTps", 3),
            ("commitLogDiskRatio", 1),
            ("earliestMessageTimeStamp", 1),
        ] {
            let text = &info[key];
            let parsed: Result<Vec<f64>, _> = text.split(' ').map(str::parse).collect();
            assert_eq!(parsed.map(|all| all.len()), Ok(numbers), "{key}: {text}");
        }
        names.push(info["brokerName"].clone());
    }
    assert_eq!(names, brokers());
    world.stop().await;
}

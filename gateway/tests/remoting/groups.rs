//! Consumer groups: made, changed, deleted, shown.

use crate::world::{Reply, World, put_group};
use metadata::model::{Order, RetryPolicy};
use protocol::remoting::body::{
    ExponentialRetryPolicy, GroupRetryPolicy, GroupRetryPolicyType, SubscriptionGroupConfig,
    SubscriptionGroupTable,
};
use protocol::remoting::{RequestCode, ResponseCode};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_as_its_configuration_says() {
    let world = World::start().await;
    let plain = r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":false,
        "consumeEnable":true,"consumeFromMinEnable":false,"consumeMessageOrderly":false,
        "consumeTimeoutMinute":15,"groupName":"Billing","groupRetryPolicy":{"type":"CUSTOMIZED"},
        "groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,
        "retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#;
    put_group(&world, plain).await.expect_success();
    let group = || world.gateway.broker().catalog.group("Billing").unwrap();
    let first = group();
    assert_eq!((first.order, first.max_attempts), (Order::Concurrent, 17));
    assert_eq!(first.retry, RetryPolicy::default());

    let exponential = r#"{"groupName":"Billing","consumeMessageOrderly":true,"retryMaxTimes":3,
        "consumeEnable":false,"groupRetryPolicy":{"type":"EXPONENTIAL",
            "exponentialRetryPolicy":{"initial":5000,"max":7200000,"multiplier":2}}}"#;
    put_group(&world, exponential).await.expect_success();
    let second = group();
    assert_eq!((second.order, second.max_attempts), (Order::Fifo, 4));
    assert_eq!((second.consume_enabled, second.uid), (false, first.uid));
    assert_eq!(
        second.retry,
        RetryPolicy::Exponential {
            initial: Duration::from_secs(5),
            max: Duration::from_secs(7200),
            multiplier: 2
        }
    );

    let ladder = r#"{"groupName":"Billing","retryMaxTimes":-1,
        "groupRetryPolicy":{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000,5000]}}}"#;
    put_group(&world, ladder).await.expect_success();
    let third = group();
    assert_eq!(third.max_attempts, 1);
    assert_eq!(third.retry, RetryPolicy::Customized([1, 5].map(Duration::from_secs).to_vec()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_group_request_is_refused_with_apaches_code() {
    let world = World::start().await;
    let long = format!(r#"{{"groupName":"{}"}}"#, "x".repeat(121));
    let steep = r#"{"groupName":"G","groupRetryPolicy":{"type":"EXPONENTIAL",
        "exponentialRetryPolicy":{"initial":9,"max":5,"multiplier":2}}}"#;
    for (body, code) in [
        (r#"{"groupName":"bad group"}"#, ResponseCode::INVALID_PARAMETER),
        (r#"{"groupName":""}"#, ResponseCode::INVALID_PARAMETER),
        (r#"{"groupName":"CID_RMQ_SYS_X"}"#, ResponseCode::INVALID_PARAMETER),
        (&long, ResponseCode::INVALID_PARAMETER),
        (steep, ResponseCode::INVALID_PARAMETER),
        (r#"{"groupName":"G","attributes":{"+colour":"red"}}"#, ResponseCode::SYSTEM_ERROR),
        (r#"{"groupName":"#, ResponseCode::SYSTEM_ERROR),
        ("", ResponseCode::SYSTEM_ERROR),
    ] {
        let (got, said) = put_group(&world, body).await.refused();
        assert_eq!(got, code, "{body}: {said}");
    }
    assert!(world.gateway.broker().catalog.groups().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_settings_are_shown_as_they_were_put() {
    let world = World::start().await;
    let put = SubscriptionGroupConfig {
        group_name: "Billing".to_owned(),
        consume_message_orderly: true,
        consume_enable: false,
        retry_max_times: 3,
        group_retry_policy: GroupRetryPolicy {
            kind: GroupRetryPolicyType::Exponential,
            exponential_retry_policy: Some(ExponentialRetryPolicy {
                initial: 7,
                max: 9,
                multiplier: 1,
            }),
            customized_retry_policy: None,
        },
        ..SubscriptionGroupConfig::default()
    };
    put_group(&world, &serde_json::to_string(&put).unwrap()).await.expect_success();
    put_group(&world, r#"{"groupName":"Audit"}"#).await.expect_success();
    let mut client = world.broker().await;
    let code = RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG;
    let shown: SubscriptionGroupConfig =
        client.ask(code, &[("group", "Billing")], "").await.body_as();
    assert_eq!(shown, put);
    let unknown = client.ask(code, &[("group", "Nobody")], "").await.refused();
    let no_group = ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST;
    assert_eq!(unknown, (no_group, "No group in this broker".to_owned()));

    let code = RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG;
    let reply = client.ask(code, &[], "").await;
    assert_eq!(reply.ext.get("totalGroupNum"), Some("2"));
    let all: SubscriptionGroupTable = reply.body_as();
    assert_eq!(all.subscription_group_table["Billing"], put);
    assert_eq!(all.subscription_group_table.keys().collect::<Vec<_>>(), ["Audit", "Billing"]);
    let fields = [("groupSeq", "0"), ("maxGroupNum", "1"), ("dataVersion", "")];
    let page: SubscriptionGroupTable = client.ask(code, &fields, "").await.body_as();
    assert_eq!(page.subscription_group_table.keys().collect::<Vec<_>>(), ["Audit"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_is_gone_with_its_topics() {
    let world = World::start().await;
    put_group(&world, r#"{"groupName":"Billing"}"#).await.expect_success();
    let (mut broker, mut nameserver) = (world.broker().await, world.nameserver().await);
    nameserver.route("%RETRY%Billing").await.expect_success();
    // What deleteSubGroup -c sends; twice, as for two brokers.
    for _ in 0..2 {
        let group = [("groupName", "Billing"), ("cleanOffset", "false")];
        broker.ask(RequestCode::DELETE_SUBSCRIPTIONGROUP, &group, "").await.expect_success();
        for name in ["%RETRY%Billing", "%DLQ%Billing"] {
            let topic = [("topic", name)];
            broker.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &topic, "").await.expect_success();
            let code = RequestCode::DELETE_TOPIC_IN_NAMESRV;
            nameserver.ask(code, &topic, "").await.expect_success();
        }
    }
    assert!(world.gateway.broker().catalog.groups().is_empty());
    let route = nameserver.route("%RETRY%Billing").await;
    assert_eq!(route.refused().0, ResponseCode::TOPIC_NOT_EXIST);
    for (fields, code) in [
        (&[("groupName", "bad group")][..], ResponseCode::INVALID_PARAMETER),
        (&[], ResponseCode::SYSTEM_ERROR),
    ] {
        let reply = broker.ask(RequestCode::DELETE_SUBSCRIPTIONGROUP, fields, "").await;
        assert_eq!(reply.refused().0, code, "{fields:?}");
    }
    world.stop().await;
}

use super::*;
use crate::grpc::refused::code;
use prost_types::Duration as WireDuration;
use protocol::grpc::v2::{Code, FilterExpression, Publishing, Resource, SubscriptionEntry, Ua};
use std::collections::BTreeMap;
use storage::env::Timestamp;

fn resource(name: &str) -> Resource {
    Resource { resource_namespace: "ns".into(), name: name.into() }
}

fn publishing(topics: &[&str]) -> Settings {
    let topics = topics.iter().map(|name| resource(name)).collect();
    Settings {
        client_type: Some(ClientType::Producer.into()),
        request_timeout: Some(WireDuration { seconds: 7, nanos: 0 }),
        user_agent: Some(Ua { version: "5.2.0".into(), ..Ua::default() }),
        pub_sub: Some(PubSub::Publishing(Publishing { topics, ..Publishing::default() })),
        ..Settings::default()
    }
}

fn subscribing(group: &str, entries: &[(&str, FilterType, &str)]) -> Settings {
    let entry = |&(topic, kind, text): &(&str, FilterType, &str)| SubscriptionEntry {
        topic: Some(resource(topic)),
        expression: Some(FilterExpression { r#type: kind.into(), expression: text.into() }),
    };
    let subscription = v2::Subscription {
        group: Some(resource(group)),
        subscriptions: entries.iter().map(entry).collect(),
        ..v2::Subscription::default()
    };
    Settings {
        client_type: Some(ClientType::PushConsumer.into()),
        pub_sub: Some(PubSub::Subscription(subscription)),
        ..Settings::default()
    }
}

fn group(order: Order, retry: RetryPolicy, attributes: &[(&str, &str)]) -> Group {
    let attribute = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Group {
        name: GroupName::parse("g").unwrap(),
        uid: 1,
        order,
        retry,
        max_attempts: 5,
        consume_enabled: true,
        attributes: attributes.iter().map(attribute).collect::<BTreeMap<_, _>>(),
        created: Timestamp(0),
        replayed: Vec::new(),
    }
}

fn seconds(s: i64) -> WireDuration {
    WireDuration { seconds: s, nanos: 0 }
}

#[test]
fn a_producer_is_told_what_apache_tells_and_reads_its_own_words_again() {
    let asked = publishing(&["t", "u"]);
    let told = merged(asked.clone(), None);
    assert_eq!(
        (&told.user_agent, &told.request_timeout),
        (&asked.user_agent, &asked.request_timeout)
    );
    assert_eq!(told.client_type, asked.client_type);
    let Some(PubSub::Publishing(publishing)) = told.pub_sub else { panic!("the case stays") };
    assert_eq!(publishing.topics, [resource("t"), resource("u")]);
    assert!(publishing.validate_message_type);
    assert_eq!(publishing.max_body_size, 4_194_304);
    let backoff = told.backoff_policy.unwrap();
    assert_eq!(backoff.max_attempts, 3);
    let Some(Strategy::ExponentialBackoff(exponential)) = backoff.strategy else {
        panic!("exponential")
    };
    assert_eq!(exponential.initial, Some(WireDuration { seconds: 0, nanos: 10_000_000 }));
    assert_eq!((exponential.max, exponential.multiplier), (Some(seconds(1)), 2.0));
    assert_eq!(told.metric, Some(Metric { on: false, endpoints: None }));
}

#[test]
fn a_consumer_of_an_unknown_group_is_told_the_defaults() {
    let told = merged(subscribing("g", &[("t", FilterType::Tag, "*")]), None);
    let Some(PubSub::Subscription(subscription)) = told.pub_sub else { panic!("the case stays") };
    assert_eq!(subscription.group, Some(resource("g")));
    assert_eq!(subscription.subscriptions.len(), 1);
    assert_eq!(subscription.fifo, Some(false));
    assert_eq!(subscription.receive_batch_size, Some(32));
    assert_eq!(subscription.long_polling_timeout, Some(seconds(20)));
    assert_eq!(subscription.lite_subscription_quota, Some(2_000));
    assert_eq!(subscription.max_lite_topic_size, Some(64));
    let backoff = told.backoff_policy.unwrap();
    assert_eq!(backoff.max_attempts, 17);
    let Some(Strategy::CustomizedBackoff(ladder)) = backoff.strategy else { panic!("a ladder") };
    let expected =
        [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];
    assert_eq!(ladder.next, expected.map(seconds));
}

#[test]
fn a_consumer_is_told_what_its_group_is() {
    let (initial, max) = (Duration::from_secs(5), Duration::from_secs(7_200));
    let retry = RetryPolicy::Exponential { initial, max, multiplier: 2 };
    let told = merged(subscribing("g", &[]), Some(&group(Order::Fifo, retry, &[])));
    let Some(PubSub::Subscription(subscription)) = told.pub_sub else { panic!("the case stays") };
    assert_eq!(subscription.fifo, Some(true));
    let backoff = told.backoff_policy.unwrap();
    assert_eq!(backoff.max_attempts, 5);
    let expected = exponential(initial, max, 2.0);
    assert_eq!(backoff.strategy, Some(expected));
}

#[test]
fn settings_say_a_role_or_are_refused() {
    let cluster = "DefaultCluster";
    let role_code = |settings: &Settings| role(settings, cluster).map_err(|refused| code(&refused));
    let tag = FilterType::Tag;
    for (settings, expected) in [
        (publishing(&["t", " "]), Code::IllegalTopic),
        (publishing(&["t!"]), Code::IllegalTopic),
        (publishing(&["TBW102"]), Code::IllegalTopic),
        (publishing(&[cluster]), Code::IllegalTopic),
        (subscribing("", &[]), Code::IllegalConsumerGroup),
        (subscribing("CID_RMQ_SYS_x", &[]), Code::IllegalConsumerGroup),
        (subscribing("g", &[("", tag, "*")]), Code::IllegalTopic),
        (subscribing("g", &[("t", FilterType::Sql, "a = 1")]), Code::IllegalFilterExpression),
        (Settings::default(), Code::BadRequest),
    ] {
        assert_eq!(role_code(&settings).unwrap_err(), expected, "{settings:?}");
    }
    let no_topics = role(&publishing(&[]), cluster).unwrap();
    assert_eq!(no_topics, Role::Producer { group: None, topics: Default::default() }, "legal");
    let Role::Consumer(consumer) =
        role(&subscribing("g", &[("t", tag, "a || b")]), cluster).unwrap()
    else {
        panic!("a consumer")
    };
    assert_eq!(consumer.group.as_str(), "g");
    assert_eq!(consumer.subscriptions[0].expression, "a || b");
}

#[test]
fn lite_goes_with_lite_on_the_topic_that_the_group_is_bound_to() {
    let regular = group(Order::Concurrent, RetryPolicy::default(), &[]);
    let lite = group(Order::Concurrent, RetryPolicy::default(), &[("lite.bind.topic", "parent")]);
    let consumer = |topic: &str| Consumer {
        group: GroupName::parse("g").unwrap(),
        subscriptions: vec![Subscription {
            topic: TopicName::parse(topic).unwrap(),
            expression: "*".into(),
            sql: false,
        }],
    };
    for (kind, group, topic, expected) in [
        (Kind::PushConsumer, &regular, "parent", None),
        (Kind::SimpleConsumer, &lite, "parent", Some(Code::IllegalConsumerGroup)),
        (Kind::LitePushConsumer, &regular, "parent", Some(Code::IllegalConsumerGroup)),
        (Kind::LitePushConsumer, &lite, "other", Some(Code::IllegalTopic)),
        (Kind::LiteSimpleConsumer, &lite, "parent", None),
    ] {
        let found = check_lite(kind, &consumer(topic), group).err().map(|refused| code(&refused));
        assert_eq!(found, expected, "{kind:?} of {topic}");
    }
}

#[test]
fn every_client_type_is_known_and_other_numbers_do_not_fail() {
    for (number, expected) in [
        (None, Kind::Unknown),
        (Some(0), Kind::Unknown),
        (Some(1), Kind::Producer),
        (Some(2), Kind::PushConsumer),
        (Some(3), Kind::SimpleConsumer),
        (Some(4), Kind::PullConsumer),
        (Some(5), Kind::LitePushConsumer),
        (Some(6), Kind::LiteSimpleConsumer),
        (Some(99), Kind::Unknown),
    ] {
        assert_eq!(kind(number), expected);
    }
}

#[test]
fn a_registration_keeps_the_request_timeout_or_the_clients_default() {
    let address = "127.0.0.1:1".parse().unwrap();
    let timeout = |settings: &Settings| {
        let role = role(settings, "C").unwrap();
        registration(settings, role, address, (String::new(), String::new())).request_timeout
    };
    assert_eq!(timeout(&publishing(&["t"])), Duration::from_secs(7));
    assert_eq!(timeout(&subscribing("g", &[])), Duration::from_secs(3));
}

#[test]
fn client_properties_are_few_and_short_and_named_like_words() {
    let check = |pairs: Vec<(String, String)>| {
        let settings =
            Settings { client_properties: pairs.into_iter().collect(), ..Settings::default() };
        check_properties(&settings).is_ok()
    };
    let one = |name: &str, value: &str| check(vec![(name.into(), value.into())]);
    assert!(check(vec![]));
    assert!(one("a", "") && one("team.name_x-1", &"v".repeat(256)) && one(&"n".repeat(64), ""));
    for name in ["", "1a", "_a", "a b", "é", &"n".repeat(65)] {
        assert!(!one(name, ""), "{name:?}");
    }
    assert!(!one("a", &"v".repeat(257)));
    let many = |count: usize, bytes: usize| {
        check((0..count).map(|n| (format!("k{n:02}"), "v".repeat(bytes - 3))).collect())
    };
    assert!(many(32, 128));
    assert!(!many(33, 8));
    assert!(!many(32, 129), "4 KiB together");
}

use super::super::client::{Consumer, Front, Kind, Role, Subscription};
use super::*;

fn registry() -> Registry<u32> {
    Registry::new(3)
}

fn id(name: &str) -> ClientId {
    ClientId::new(name)
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn registration(kind: Kind, roles: Vec<Role>) -> Registration {
    Registration {
        front: Front::Grpc,
        kind,
        roles,
        address: "127.0.0.1:1".parse().unwrap(),
        language: "JAVA".into(),
        version: "5.2.0".into(),
        request_timeout: Duration::from_secs(3),
    }
}

fn consumer(name: &str, topics: &[&str]) -> Registration {
    let subscribed =
        |name: &&str| Subscription { topic: topic(name), expression: "*".into(), sql: false };
    let subscriptions = topics.iter().map(subscribed).collect();
    let role = Role::Consumer(Consumer { group: group(name), subscriptions });
    registration(Kind::PushConsumer, vec![role])
}

fn producer(topics: &[&str]) -> Registration {
    let topics = topics.iter().map(|name| topic(name)).collect();
    registration(Kind::Producer, vec![Role::Producer { group: None, topics }])
}

fn members(registry: &Registry<u32>, now: Duration, name: &str) -> Vec<String> {
    registry.consumers(now, &group(name)).map(|(id, _)| id.to_string()).collect()
}

const T0: Duration = Duration::from_secs(1_000);

#[test]
fn a_client_lives_for_the_liveness_time_after_each_sign_of_life_and_no_longer() {
    let mut clients = registry();
    clients.register(T0, id("a"), consumer("g", &["t"])).unwrap();
    let later = T0 + LIVENESS;
    assert!(clients.heard(later, &id("a")));
    assert!(clients.get(later + LIVENESS, &id("a")).is_some());
    assert_eq!(members(&clients, later + LIVENESS, "g"), ["a"]);
    let dead = later + LIVENESS + Duration::from_millis(1);
    assert!(clients.get(dead, &id("a")).is_none());
    assert!(members(&clients, dead, "g").is_empty());
    assert!(!clients.heard(dead, &id("a")), "a dead client must say again who it is");
}

#[test]
fn a_client_that_was_never_seen_is_not_heard() {
    assert!(!registry().heard(T0, &id("a")));
}

#[test]
fn members_of_a_group_are_listed_by_id_and_leave_by_saying_goodbye() {
    let mut clients = registry();
    for name in ["b", "a", "c"] {
        clients.register(T0, id(name), consumer("g", &["t"])).unwrap();
    }
    assert_eq!(members(&clients, T0, "g"), ["a", "b", "c"]);
    assert!(clients.remove(&id("b")).is_some());
    assert!(clients.remove(&id("b")).is_none());
    assert_eq!(members(&clients, T0, "g"), ["a", "c"]);
}

#[test]
fn what_a_client_says_takes_the_place_of_what_it_said_but_its_stream_stays() {
    let mut clients = registry();
    clients.register(T0, id("a"), consumer("g", &["t"])).unwrap();
    *clients.extra(T0, &id("a")).unwrap() = 7;
    clients.register(T0, id("a"), consumer("h", &["u"])).unwrap();
    assert!(members(&clients, T0, "g").is_empty());
    assert_eq!(members(&clients, T0, "h"), ["a"]);
    assert_eq!(clients.groups_of_topic(T0, &topic("t")), BTreeSet::new());
    assert_eq!(clients.groups_of_topic(T0, &topic("u")), BTreeSet::from([group("h")]));
    assert_eq!(clients.get(T0, &id("a")).unwrap().extra, 7);
}

#[test]
fn producers_are_found_by_topic_and_consumers_are_not_among_them() {
    let mut clients = registry();
    clients.register(T0, id("p"), producer(&["t", "u"])).unwrap();
    clients.register(T0, id("c"), consumer("g", &["t"])).unwrap();
    let found: Vec<_> = clients.producers(T0, &topic("t")).map(|(id, _)| id.clone()).collect();
    assert_eq!(found, [id("p")]);
    assert!(clients.producers(T0, &topic("v")).next().is_none());
}

#[test]
fn a_client_may_be_in_several_groups_at_once() {
    let mut clients = registry();
    let mut both = consumer("g", &["t"]);
    both.roles.extend(consumer("h", &["t"]).roles);
    clients.register(T0, id("a"), both).unwrap();
    let groups = clients.groups_of_topic(T0, &topic("t"));
    assert_eq!(groups, BTreeSet::from([group("g"), group("h")]));
    clients.remove(&id("a"));
    assert!(clients.groups_of_topic(T0, &topic("t")).is_empty());
}

#[test]
fn a_full_registry_refuses_strangers_until_somebody_died() {
    let mut clients = registry();
    for name in ["a", "b", "c"] {
        clients.register(T0, id(name), producer(&["t"])).unwrap();
    }
    assert_eq!(clients.register(T0, id("d"), producer(&["t"])), Err(RegisterRefused::Full));
    assert_eq!(clients.register(T0, id("a"), producer(&["t"])), Ok(()));
    let dead = T0 + LIVENESS + SWEEP_PERIOD;
    assert_eq!(clients.register(dead, id("d"), producer(&["t"])), Ok(()));
    assert_eq!(clients.clients.len(), 1, "the dead are forgotten");
    assert_eq!(clients.producers[&topic("t")].len(), 1, "in the indexes too");
}

#[test]
fn a_client_that_names_too_many_topics_is_refused() {
    let mut clients = registry();
    let names: Vec<String> = (0..=SUBSCRIPTIONS_MAX).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let refused = Err(RegisterRefused::TooManyTopics(SUBSCRIPTIONS_MAX + 1));
    assert_eq!(clients.register(T0, id("a"), producer(&names)), refused);
    assert_eq!(clients.register(T0, id("a"), consumer("g", &names)), refused);
    assert_eq!(clients.register(T0, id("a"), producer(&names[1..])), Ok(()));
}

//! QueryRoute and QueryAssignment: spec B.5 to B.7.

use super::world::{call, resource, world};
use protocol::grpc::v2::{
    Address, AddressScheme, Code, Endpoints, MessageType, Permission, QueryAssignmentRequest,
    QueryAssignmentResponse, QueryRouteRequest, QueryRouteResponse,
};

fn endpoints() -> Endpoints {
    let address = Address { host: "mq.example.org".into(), port: 30_081 };
    Endpoints { scheme: AddressScheme::DomainName.into(), addresses: vec![address] }
}

async fn route(world: &mut super::world::World, topic: &str) -> QueryRouteResponse {
    let request = QueryRouteRequest { topic: resource(topic), endpoints: Some(endpoints()) };
    world.client.query_route(call(request)).await.unwrap().into_inner()
}

async fn assignment(
    world: &mut super::world::World,
    topic: &str,
    group: &str,
) -> QueryAssignmentResponse {
    let (topic, group) = (resource(topic), resource(group));
    let request = QueryAssignmentRequest { topic, group, endpoints: Some(endpoints()) };
    world.client.query_assignment(call(request)).await.unwrap().into_inner()
}

/// Spec B.5 and B.6.
#[tokio::test(flavor = "multi_thread")]
async fn topics_are_refused_by_name_and_never_made_by_a_route_query() {
    let mut world = world().await;
    let long = "t".repeat(128);
    for (topic, expected) in [
        ("", Code::IllegalTopic),
        ("  ", Code::IllegalTopic),
        (long.as_str(), Code::IllegalTopic),
        ("a b", Code::IllegalTopic),
        ("t.x", Code::IllegalTopic),
        ("TBW102", Code::IllegalTopic),
        ("SCHEDULE_TOPIC_XXXX", Code::IllegalTopic),
        ("rmq_sys_anything", Code::IllegalTopic),
        ("DefaultCluster", Code::IllegalTopic),
        ("DefaultCluster_REPLY_TOPIC", Code::IllegalTopic),
        ("strata-0001", Code::IllegalTopic),
        (&long[..127], Code::TopicNotFound),
        ("unknown", Code::TopicNotFound),
        ("unknown", Code::TopicNotFound),
        ("%DLQ%unknown", Code::TopicNotFound),
        ("normal", Code::Ok),
    ] {
        let response = route(&mut world, topic).await;
        assert_eq!(response.status.unwrap().code(), expected, "{topic:?}");
        assert_eq!(response.message_queues.is_empty(), expected != Code::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_names_every_queue_once_and_points_at_what_was_asked_for() {
    let mut world = world().await;
    let queues = route(&mut world, "normal").await.message_queues;
    let places: Vec<_> = queues.iter().map(|q| (q.broker.clone().unwrap().name, q.id)).collect();
    let expected: Vec<_> =
        (0..4).flat_map(|pg| (0..2).map(move |id| (format!("strata-{pg:04}"), id))).collect();
    assert_eq!(places, expected);
    for queue in &queues {
        assert_eq!(queue.topic, resource("normal"), "the namespace is echoed");
        assert_eq!(queue.permission(), Permission::ReadWrite);
        assert_eq!(queue.accept_message_types, [i32::from(MessageType::Normal)]);
        let broker = queue.broker.clone().unwrap();
        assert_eq!((broker.id, broker.endpoints), (0, Some(endpoints())));
    }
}

/// Spec B.5 (groups) and B.7.
#[tokio::test(flavor = "multi_thread")]
async fn assignments_are_whole_brokers_for_a_legal_group_and_a_readable_topic() {
    let mut world = world().await;
    world.topic_with_permission("write-only", false, true).await;
    let long = "g".repeat(121);
    for (topic, group, expected) in [
        ("", "g", Code::IllegalTopic),
        ("normal", "", Code::IllegalConsumerGroup),
        ("normal", " ", Code::IllegalConsumerGroup),
        ("normal", &long, Code::IllegalConsumerGroup),
        ("normal", "g!", Code::IllegalConsumerGroup),
        ("normal", "CID_RMQ_SYS_x", Code::IllegalConsumerGroup),
        ("unknown", "g", Code::TopicNotFound),
        ("write-only", "g", Code::Forbidden),
        ("normal", &long[..120], Code::Ok),
        ("normal", "DEFAULT_CONSUMER", Code::Ok),
    ] {
        let response = assignment(&mut world, topic, group).await;
        assert_eq!(response.status.unwrap().code(), expected, "{topic:?} for {group:?}");
    }
    let assignments = assignment(&mut world, "normal", "g").await.assignments;
    let queue = |a: &protocol::grpc::v2::Assignment| a.message_queue.clone().unwrap();
    let brokers: Vec<_> = assignments.iter().map(|a| queue(a).broker.unwrap().name).collect();
    assert_eq!(brokers, ["strata-0000", "strata-0001", "strata-0002", "strata-0003"]);
    assert!(
        assignments.iter().all(|a| queue(a).id == -1 && queue(a).accept_message_types.is_empty())
    );
}

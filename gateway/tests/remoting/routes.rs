//! What the name server tells.

use crate::world::{Reply, World, brokers};
use protocol::remoting::body::{ClusterInfo, TopicRouteData};
use protocol::remoting::{RequestCode, ResponseCode};

#[tokio::test(flavor = "multi_thread")]
async fn a_route_names_every_broker_at_the_address_that_the_client_reached() {
    let world = World::start().await;
    world.topic("Orders", 8).await;
    let route: TopicRouteData = world.nameserver().await.route("Orders").await.body_as();
    let queues: Vec<_> = route
        .queue_datas
        .iter()
        .map(|q| (q.broker_name.clone(), q.read_queue_nums, q.write_queue_nums, q.perm))
        .collect();
    assert_eq!(queues, brokers().into_iter().map(|name| (name, 2, 2, 6)).collect::<Vec<_>>());
    for broker in &route.broker_datas {
        assert_eq!(broker.cluster, "DefaultCluster");
        assert_eq!(broker.broker_addrs.get("0"), Some(&world.broker_address()));
    }
    assert_eq!(route.broker_datas.len(), 4);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_brokers_and_system_topics_have_routes() {
    let world = World::start().await;
    let mut client = world.nameserver().await;
    for (topic, has) in [("DefaultCluster", 4), ("TBW102", 4), ("strata-0003", 1)] {
        let route: TopicRouteData = client.route(topic).await.body_as();
        assert_eq!((route.queue_datas.len(), route.broker_datas.len()), (has, has), "{topic}");
        assert_eq!(route.queue_datas[0].perm, 7, "{topic}");
    }
    for missing in ["Orders", "strata-0004", "bad.name", ""] {
        let (code, remark) = client.route(missing).await.refused();
        assert_eq!(code, ResponseCode::TOPIC_NOT_EXIST);
        assert!(remark.starts_with("No topic route info in name server for the topic: "));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_lists_each_broker_once() {
    let world = World::start().await;
    let reply = world.nameserver().await.ask(RequestCode::GET_BROKER_CLUSTER_INFO, &[], "").await;
    let info: ClusterInfo = reply.body_as();
    assert_eq!(info.cluster_addr_table.get("DefaultCluster"), Some(&brokers()));
    assert_eq!(info.broker_addr_table.keys().cloned().collect::<Vec<_>>(), brokers());
    for broker in info.broker_addr_table.values() {
        assert_eq!(broker.broker_addrs.get("0"), Some(&world.broker_address()));
    }
    world.stop().await;
}
